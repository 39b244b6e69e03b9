"""Reading times from events: loading, pauses and other windows are left out, each second once."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from LiverAILib.readerstudy.timing import Event, Moment, reading_times

E = Event


def moments(*listed: tuple[Event, float] | tuple[Event, float, float]) -> list[Moment]:
    return [Moment(*item) for item in listed]


def test_loading_before_the_first_view_is_not_reading() -> None:
    times = reading_times([moments((E.LOADING, 0), (E.LOADED, 8), (E.FIRST_VIEW, 10), (E.SUBMIT, 40))])
    assert (times.wall, times.active, times.loading) == (30, 30, 8)


def test_later_loading_is_left_out_of_both_times() -> None:
    times = reading_times(
        [moments((E.FIRST_VIEW, 0), (E.LOADING, 10), (E.LOADED, 15), (E.SUBMIT, 40))],
    )
    assert (times.wall, times.active, times.loading) == (35, 35, 5)


def test_a_pause_in_another_window_is_counted_once() -> None:
    times = reading_times(
        [moments((E.FIRST_VIEW, 0), (E.FOCUS_LOST, 20), (E.FOCUS_GAINED, 90), (E.IDLE, 100, 10), (E.SUBMIT, 120))]
    )
    assert times.wall == 120
    assert times.active == 30  # all but 10 to 100
    assert times.idle_or_away == 90


def test_focus_that_never_comes_back_lasts_to_the_end() -> None:
    assert reading_times([moments((E.FIRST_VIEW, 0), (E.FOCUS_LOST, 20), (E.SUBMIT, 50))]).active == 20


def test_attempts_that_a_crash_cut_off_add_up() -> None:
    cut = moments((E.LOADING, 0), (E.LOADED, 5), (E.FIRST_VIEW, 5), (E.OVERLAY_SHOWN, 25))
    whole = moments((E.LOADING, 0), (E.LOADED, 4), (E.FIRST_VIEW, 4), (E.SUBMIT, 14))
    times = reading_times([cut, whole])
    assert (times.wall, times.active, times.attempts) == (30, 30, 2)


@pytest.mark.parametrize("attempts", [[], [[]], [moments((E.LOADING, 0))]])
def test_what_was_never_seen_took_no_time(attempts: list[list[Moment]]) -> None:
    assert reading_times(attempts).wall == 0


@settings(deadline=None)
@example(
    [(E.LOADING, 0.0), (E.LOADING, 514.0), (E.LOADED, 130.0), (E.FIRST_VIEW, 1.676041314410739), (E.FOCUS_LOST, 0.0)]
)
@given(st.lists(st.tuples(st.sampled_from(list(E)), st.floats(0, 1000)), max_size=30))
def test_active_is_never_more_than_wall(listed: list[tuple[Event, float]]) -> None:
    events = [
        Moment(event, seconds, seconds / 2 if event is E.IDLE else None)
        for event, seconds in sorted(listed, key=lambda item: item[1])
    ]
    times = reading_times([events])
    assert 0 <= times.active <= times.wall
    assert times.wall + times.loading <= 1000 + 1e-9
