"""Reading times: known effects come back, and the error of the mean is honest about readers and cases."""

import numpy as np
import pytest
from scipy import stats

from LiverAILib.readerstudy.statistics.estimate import StatisticsError
from LiverAILib.readerstudy.statistics.reading_time import ReadingTime, reading_time_ratio

Drawn = tuple[dict[str, np.ndarray], dict[str, np.ndarray]]


def draw(
    seed: int, ratio: float = 0.8, period: float = 0.9, readers: int = 6, cases: int = 40, noise: float = 0.2
) -> Drawn:
    """Times with reader, case, reader-by-arm and case-by-arm effects; half of each reader's cases assisted first."""
    rng = np.random.default_rng(seed)
    assisted_in = 1 + (rng.permuted(np.tile(np.arange(cases) % 2, (readers, 1)), axis=1))
    periods = {"with": assisted_in, "without": 3 - assisted_in}
    base = 4 + rng.normal(0, 0.4, (readers, 1)) + rng.normal(0, 0.4, (1, cases))
    seconds = {}
    for arm in ("with", "without"):
        own = rng.normal(0, 0.1, (readers, 1)) + rng.normal(0, 0.1, (1, cases)) + rng.normal(0, 0.2, (readers, cases))
        effect = np.log(ratio) * (arm == "with") + np.log(period) * (periods[arm] - 1)
        seconds[arm] = np.exp(base + effect + own * noise / 0.2)
    return seconds, periods


def compare(drawn: Drawn, first: str = "with", second: str = "without") -> ReadingTime:
    return reading_time_ratio(*drawn, first=first, second=second)


def test_known_ratios_come_back() -> None:
    found = compare(draw(0, noise=0.002))
    assert found.ratio.value == pytest.approx(0.8, rel=0.005)
    assert found.period_ratio is not None
    assert found.period_ratio.value == pytest.approx(0.9, rel=0.005)
    assert found.ratio.low < 0.8 < found.ratio.high
    assert found.ratio.n == 240


def test_swapping_arms_inverts_the_ratio_and_order_changes_nothing() -> None:
    seconds, periods = draw(1)
    one, other = compare((seconds, periods)), compare((seconds, periods), "without", "with")
    assert one.ratio.value == pytest.approx(1 / other.ratio.value)
    assert one.ratio.low == pytest.approx(1 / other.ratio.high)
    assert one.test.statistic == pytest.approx(-other.test.statistic)
    assert one.period_ratio is not None
    assert other.period_ratio is not None
    assert one.period_ratio.value == pytest.approx(other.period_ratio.value)
    turned = compare(tuple({arm: v[::-1, ::-1] for arm, v in part.items()} for part in (seconds, periods)))
    assert turned.ratio.value == pytest.approx(one.ratio.value)
    assert turned.test.p_value == pytest.approx(one.test.p_value)


def test_no_effect_is_found_about_as_often_as_promised() -> None:
    p = [compare(draw(seed, ratio=1.0)).test.p_value for seed in range(400)]
    assert 0.02 < np.mean(np.array(p) < 0.05) < 0.09


def test_one_order_for_all_is_said_and_agrees_with_the_two_way_analysis() -> None:
    seconds, periods = draw(2)
    same = {"with": np.full((6, 40), 2), "without": np.ones((6, 40), dtype=int)}
    found = compare((seconds, same))
    assert found.period_ratio is None
    assert "can't be told apart" in found.notes[0]
    d = np.log(seconds["with"] / seconds["without"])
    readers, cases = 40 * np.var(d.mean(1), ddof=1), 6 * np.var(d.mean(0), ddof=1)
    rest = ((d - d.mean(1, keepdims=True) - d.mean(0) + d.mean()) ** 2).sum() / (5 * 39)
    assert min(readers, cases) > rest  # so that all three enter
    square = readers + cases - rest
    df = square**2 / (readers**2 / 5 + cases**2 / 39 + rest**2 / (5 * 39))
    assert found.test.degrees_of_freedom[0] == pytest.approx(df)
    assert found.test.p_value == pytest.approx(2 * stats.t.sf(abs(d.mean() / (square / 240) ** 0.5), df))
    assert compare((seconds, periods)).notes == ()


def test_refusals() -> None:
    seconds, periods = draw(3)
    with pytest.raises(StatisticsError, match='no times of "alone"'):
        reading_time_ratio(seconds, periods, first="alone", second="with")
    holed = {**seconds, "with": np.where(np.eye(6, 40) > 0, np.nan, seconds["with"])}
    with pytest.raises(StatisticsError, match="6 of 480 times are missing"):
        compare((holed, periods))
    with pytest.raises(StatisticsError, match="not above 0 s"):
        compare(({**seconds, "with": seconds["with"] * 0}, periods))
    with pytest.raises(StatisticsError, match="2 readers"):
        compare(tuple({arm: v[:2] for arm, v in part.items()} for part in (seconds, periods)))
    with pytest.raises(StatisticsError, match="don't vary"):
        compare(({"with": seconds["with"], "without": seconds["with"]}, periods))
