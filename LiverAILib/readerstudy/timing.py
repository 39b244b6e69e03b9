"""Reading times from the logged events of one case.

Wall time runs from the first view of the images to the submission; what is loaded in between is left out. Active time
also leaves out when the reader was idle or worked in another window. A case that a crash cut off is begun again: the
times of all attempts add up, a cut-off one as far as its last event.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Event(StrEnum):
    """What happens during a case. The panel reports all but those of the engine itself."""

    LOADING = "loading"  # loading begins
    LOADED = "loaded"
    FIRST_VIEW = "first view"  # the reader sees the images
    FOCUS_LOST = "focus lost"
    FOCUS_GAINED = "focus gained"
    OVERLAY_SHOWN = "overlay shown"  # assisted arm; detail: its name
    OVERLAY_HIDDEN = "overlay hidden"
    # of the engine
    IDLE = "idle"  # at the end of a pause; detail: when it began, in seconds
    AI_SHOWN = "AI shown"
    SUBMIT = "submit"


#: What a panel may not report: the engine does.
OF_THE_ENGINE = frozenset({Event.IDLE, Event.AI_SHOWN, Event.SUBMIT})


@dataclass(frozen=True)
class Moment:
    """An event at so many seconds from the beginning of its attempt, by a clock that is never set."""

    event: Event
    seconds: float
    detail: float | str | None = None


@dataclass(frozen=True, kw_only=True)
class Times:
    """Of one reading, in seconds. wall = active + idle_or_away."""

    wall: float
    active: float
    idle_or_away: float
    loading: float
    attempts: int


def reading_times(attempts: Iterable[Sequence[Moment]]) -> Times:
    """The times of one reading from the moments of its attempts; each begins at 0 s."""
    parts = [_attempt(moments) for moments in attempts]
    wall, active, loading = (sum(column) for column in zip(*parts, strict=True)) if parts else (0.0, 0.0, 0.0)
    return Times(wall=wall, active=active, idle_or_away=wall - active, loading=loading, attempts=len(parts))


def _attempt(moments: Sequence[Moment]) -> tuple[float, float, float]:
    """Wall, active and loading seconds of one attempt."""
    if not moments:
        return 0.0, 0.0, 0.0
    end = moments[-1].seconds
    loading = _between(moments, Event.LOADING, Event.LOADED, end)
    seen = next((moment.seconds for moment in moments if moment.event is Event.FIRST_VIEW), end)
    away = _between(moments, Event.FOCUS_LOST, Event.FOCUS_GAINED, end)
    idle = [
        (float(moment.detail), moment.seconds)
        for moment in moments
        if moment.event is Event.IDLE and isinstance(moment.detail, int | float)
    ]
    whole = end - seen
    wall = max(whole - _covered(loading, seen, end), 0.0)  # rounding must not make it negative
    active = min(max(whole - _covered([*loading, *away, *idle], seen, end), 0.0), wall)
    return wall, active, _covered(loading, 0.0, end)


def _between(moments: Sequence[Moment], opens: Event, closes: Event, end: float) -> list[tuple[float, float]]:
    """The intervals from each opening event to the next closing one; an open one lasts to the end."""
    intervals = []
    since: float | None = None
    for moment in moments:
        if moment.event is opens and since is None:
            since = moment.seconds
        elif moment.event is closes and since is not None:
            intervals.append((since, moment.seconds))
            since = None
    return intervals if since is None else [*intervals, (since, end)]


def _covered(intervals: Iterable[tuple[float, float]], low: float, high: float) -> float:
    """How much of [low, high] the intervals cover, overlaps counted once."""
    total, reached = 0.0, low
    for begin, finish in sorted(intervals):
        begin, finish = max(begin, reached), min(finish, high)
        if finish > begin:
            total += finish - begin
            reached = finish
    return total
