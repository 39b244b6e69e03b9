"""Paired right-or-wrong: published examples, brute force, and the symmetries."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from LiverAILib.readerstudy.statistics.estimate import StatisticsError
from LiverAILib.readerstudy.statistics.paired import (
    PairedCounts,
    count_pairs,
    holm,
    mcnemar,
    newcombe_interval,
    paired_non_inferiority,
    tango_interval,
    tango_z,
)


def pair(both: int, only_first: int, only_second: int, neither: int) -> PairedCounts:
    return PairedCounts(
        first="AI", second="readers", both=both, only_first=only_first, only_second=only_second, neither=neither
    )


cells = st.tuples(*[st.integers(0, 30)] * 4).filter(lambda c: sum(c) > 0)


def test_mcnemar_by_hand() -> None:
    # 2 against 8 discordant: 2 * (1 + 10 + 45) / 1024; mid-p takes half of the last term away on either side
    assert mcnemar(pair(50, 2, 8, 5)).p_value == pytest.approx(112 / 1024)
    assert mcnemar(pair(50, 2, 8, 5), "mid-p").p_value == pytest.approx(67 / 1024)
    assert mcnemar(pair(9, 0, 0, 1)).p_value == 1
    assert mcnemar(pair(1, 5, 5, 1), "mid-p").p_value == pytest.approx(1)


def test_newcombes_published_example() -> None:
    # Newcombe 1998 (Stat Med 17:2635), table II: a, b, c, d = 36, 12, 2, 0, method 10
    found = newcombe_interval(pair(36, 12, 2, 0))
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.0569, 0.3404), abs=5e-4)


def test_tangos_published_example() -> None:
    # Tango 1998: 43, 0, 1, 0 (n = 44): -0.118 to 0.060
    found = tango_interval(pair(43, 0, 1, 0))
    assert (found.low, found.high) == pytest.approx((-0.118, 0.060), abs=1e-3)


@given(cells)
def test_at_no_difference_tangos_z_is_mcnemars(drawn: tuple[int, int, int, int]) -> None:
    counts = pair(*drawn)
    b, c = counts.only_first, counts.only_second
    assert tango_z(counts, 0.0) == pytest.approx((b - c) / (b + c) ** 0.5 if b + c else 0)


@given(cells, st.floats(-0.9, 0.9))
def test_tangos_constraint_is_the_maximum_of_the_likelihood(
    drawn: tuple[int, int, int, int], difference: float
) -> None:
    """The variance under the constraint, by searching the share of only_second on a grid."""
    counts = pair(*drawn)
    b, c, n = counts.only_first, counts.only_second, counts.n
    shares = np.linspace(max(0, -difference), (1 - difference) / 2, 20001)[1:-1]
    with np.errstate(divide="ignore"):
        rest = np.log(1 - 2 * shares - difference)
        likelihood = b * np.log(shares + difference) + c * np.log(shares) + (n - b - c) * rest
    best = shares[np.argmax(likelihood)]
    expected = (b - c - n * difference) / (n * (2 * best + difference * (1 - difference))) ** 0.5
    if abs(expected) < 20:
        assert tango_z(counts, difference) == pytest.approx(expected, rel=0.02, abs=0.02)


@given(cells)
def test_swapping_the_raters_flips_every_sign(drawn: tuple[int, int, int, int]) -> None:
    counts = pair(*drawn)
    for interval in (tango_interval, newcombe_interval):
        one, other = interval(counts), interval(counts.swapped())
        assert (one.value, one.low, one.high) == pytest.approx((-other.value, -other.high, -other.low), abs=1e-6)
        assert -1 <= one.low <= one.value <= one.high <= 1
        assert one.low < one.high
    assert mcnemar(counts).p_value == mcnemar(counts.swapped()).p_value
    assert mcnemar(counts, "mid-p").p_value <= mcnemar(counts).p_value


def test_non_inferiority_agrees_with_its_interval() -> None:
    counts = pair(80, 6, 7, 7)
    for margin in (0.02, 0.05, 0.1, 0.2):
        found = paired_non_inferiority(counts, margin)
        assert found.shown == (found.test.p_value < 0.025)
        assert found.difference.level == pytest.approx(0.95)
    assert paired_non_inferiority(counts, 0.2).shown
    assert not paired_non_inferiority(counts, 0.2).superior
    assert paired_non_inferiority(pair(60, 30, 2, 8), 0.05).superior
    with pytest.raises(StatisticsError, match="margin"):
        paired_non_inferiority(counts, 0)


def test_counting_pairs_by_name() -> None:
    right = {"AI": np.array([True, True, False, False]), "reader": np.array([True, False, True, False])}
    counts = count_pairs(right, first="reader", second="AI")
    assert (counts.both, counts.only_first, counts.only_second, counts.neither) == (1, 1, 1, 1)
    with pytest.raises(StatisticsError, match="same cases"):
        count_pairs({"a": [True], "b": [True, False]}, first="a", second="b")
    with pytest.raises(StatisticsError, match="No case"):
        pair(0, 0, 0, 0)


def test_holm() -> None:
    found = holm({"c": 0.03, "a": 0.01, "b": 0.04, "d": 0.005})
    assert found == pytest.approx({"c": 0.06, "a": 0.03, "b": 0.06, "d": 0.02})
    assert holm({}) == {}
    with pytest.raises(StatisticsError, match='"x"'):
        holm({"x": 1.2})
