"""ROC curves and their areas against brute-force definitions."""

import numpy as np
import pytest
from hypothesis import given, reject
from hypothesis import strategies as st
from scipy import stats

from LiverAILib.readerstudy.statistics.estimate import StatisticsError
from LiverAILib.readerstudy.statistics.roc import auc, compare_aucs, newcombe_auc_interval, roc_curve

NAMES = {"positive": "HCC", "negative": "non-HCC"}
TRUTH = np.array([True] * 6 + [False] * 8)
ONE = np.array([5, 4, 4, 3, 2, 5, 1, 2, 3, 1, 1, 4, 2, 1.0])
TWO = np.array([3, 4, 2, 3, 5, 5, 2, 2, 3, 1, 4, 4, 1, 1.0])


def brute_area(truth: np.ndarray, ratings: np.ndarray) -> float:
    pairs = [(x > y) + 0.5 * (x == y) for x in ratings[truth] for y in ratings[~truth]]
    return float(np.mean(pairs))


def brute_variance(truth: np.ndarray, ratings: np.ndarray) -> float:
    """DeLong's variance from the pairs, one by one."""
    kernel = np.array([[(x > y) + 0.5 * (x == y) for y in ratings[~truth]] for x in ratings[truth]])
    return float(np.var(kernel.mean(1), ddof=1) / kernel.shape[0] + np.var(kernel.mean(0), ddof=1) / kernel.shape[1])


def test_area_and_interval_by_brute_force() -> None:
    found = auc(TRUTH, ONE, **NAMES)
    assert found.value == pytest.approx(brute_area(TRUTH, ONE))
    assert found.low == pytest.approx(found.value - 1.959964 * brute_variance(TRUTH, ONE) ** 0.5, abs=1e-6)
    assert (found.method, found.n, found.unit, found.level) == ("DeLong", 14, "patients", 0.95)


def test_area_is_mann_whitneys() -> None:
    u = stats.mannwhitneyu(ONE[TRUTH], ONE[~TRUTH]).statistic
    assert auc(TRUTH, ONE, **NAMES).value == pytest.approx(u / 48)


def test_the_curves_trapezoids_are_the_area() -> None:
    curve = roc_curve(TRUTH, ONE, **NAMES)
    area = np.trapezoid(curve.true_positive_fraction, curve.false_positive_fraction)
    assert area == pytest.approx(auc(TRUTH, ONE, **NAMES).value)
    at_4 = list(curve.thresholds).index(4)
    assert curve.true_positive_fraction[at_4] == 4 / 6
    assert curve.false_positive_fraction[at_4] == 1 / 8


def test_paired_delong_agrees_with_the_variance_of_the_difference_kernel() -> None:
    kernels = [np.array([[(x > y) + 0.5 * (x == y) for y in r[~TRUTH]] for x in r[TRUTH]]) for r in (ONE, TWO)]
    kernel = kernels[0] - kernels[1]
    variance = np.var(kernel.mean(1), ddof=1) / 6 + np.var(kernel.mean(0), ddof=1) / 8
    found = compare_aucs(TRUTH, {"with": ONE, "without": TWO}, first="with", second="without", **NAMES)
    assert found.test.statistic == pytest.approx(kernel.mean() / variance**0.5)
    assert found.test.p_value == pytest.approx(2 * stats.norm.sf(abs(kernel.mean()) / variance**0.5))


cases = st.integers(2, 12).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(0, 4), min_size=2 * n, max_size=2 * n),
        st.lists(st.integers(0, 4), min_size=2 * n, max_size=2 * n),
        st.permutations(range(2 * n)),
    )
)


@given(cases)
def test_swapping_flips_the_sign_and_permuting_cases_changes_nothing(
    drawn: tuple[list[int], list[int], list[int]],
) -> None:
    one, two, order = (np.array(part) for part in drawn)
    truth = np.arange(one.size) % 2 == 0
    data = {"a": one.astype(float), "b": two.astype(float)}
    try:
        found = compare_aucs(truth, data, first="a", second="b", **NAMES)
    except StatisticsError:
        reject()
    turned = compare_aucs(truth, data, first="b", second="a", **NAMES)
    assert turned.difference.value == pytest.approx(-found.difference.value)
    assert (turned.difference.low, turned.difference.high) == pytest.approx(
        (-found.difference.high, -found.difference.low)
    )
    assert turned.test.p_value == pytest.approx(found.test.p_value)
    shuffled = compare_aucs(truth[order], {k: v[order] for k, v in data.items()}, first="a", second="b", **NAMES)
    assert shuffled.difference.value == pytest.approx(found.difference.value)
    assert shuffled.test.p_value == pytest.approx(found.test.p_value, abs=1e-9)


def test_a_perfect_reader_has_area_1_and_an_interval_with_a_width() -> None:
    found = auc(TRUTH, TRUTH.astype(float), **NAMES)
    assert (found.value, found.high) == (1, 1)
    assert 0.6 < found.low < 0.95
    assert found.method.startswith("Newcombe")
    worst = auc(TRUTH, 1 - TRUTH.astype(float), **NAMES)
    assert (worst.value, worst.low) == (0, 0)
    assert worst.high == pytest.approx(1 - found.low)


def test_newcombes_interval_narrows_with_cases_and_solves_its_equation() -> None:
    low, high = newcombe_auc_interval(0.8, 30, 40)
    for limit in (low, high):
        q = 1 + 34 * ((1 - limit) / (2 - limit) + limit / (1 + limit))
        assert abs(0.8 - limit) == pytest.approx(1.959964 * (limit * (1 - limit) / 1200 * q) ** 0.5, rel=1e-4)
    assert newcombe_auc_interval(1, 30, 40)[0] < newcombe_auc_interval(1, 300, 400)[0] < 1


def test_refusals() -> None:
    with pytest.raises(StatisticsError, match='no case of class "HCC"'):
        auc(np.zeros(4, dtype=bool), [1, 2, 3, 4.0], **NAMES)
    with pytest.raises(StatisticsError, match="such ties"):
        auc(TRUTH, np.ones(14), who="reader 3", **NAMES)
    with pytest.raises(StatisticsError, match="2 of 14 ratings are missing"):
        auc(TRUTH, [np.nan, np.nan, *ONE[2:]], **NAMES)
    with pytest.raises(StatisticsError, match="rank the cases alike"):
        compare_aucs(TRUTH, {"a": ONE, "b": 2 * ONE}, first="a", second="b", **NAMES)
    with pytest.raises(StatisticsError, match="needs two"):
        auc(np.array([True, False, False]), [1, 2, 3.0], **NAMES)
    with pytest.raises(StatisticsError, match='no ratings of "c"'):
        compare_aucs(TRUTH, {"a": ONE}, first="a", second="c", **NAMES)
