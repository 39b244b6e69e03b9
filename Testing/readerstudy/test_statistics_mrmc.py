"""Obuchowski-Rockette-Hillis: the Van Dyke study's published results, brute-force covariances, and the symmetries."""

from dataclasses import replace
from math import inf
from time import process_time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from van_dyke import van_dyke

from LiverAILib.readerstudy.statistics.claims import ai_against_readers, mrmc_non_inferiority
from LiverAILib.readerstudy.statistics.estimate import StatisticsError
from LiverAILib.readerstudy.statistics.merits import Readings, auc_merits, decision_merits
from LiverAILib.readerstudy.statistics.mrmc import (
    arm_mean,
    components_of,
    obuchowski_rockette,
)
from LiverAILib.readerstudy.statistics.roc import auc, compare_aucs

FIXED_READERS = "fixed readers, random cases"
FIXED_CASES = "random readers, fixed cases"


def study(seed: int = 0, readers: int = 4, positive: int = 12, negative: int = 15, gain: float = 0.5) -> Readings:
    """Ratings on five levels with case, reader and arm effects."""
    rng = np.random.default_rng(seed)
    truth = np.arange(positive + negative) < positive
    cases = rng.normal(size=truth.size) + truth
    noise = rng.normal(size=(2, readers, truth.size))
    latent = cases + noise + truth * (gain * np.arange(2)[:, None, None] + rng.normal(size=(readers, 1)) * 0.3)
    return Readings(
        arms=("unassisted", "assisted"),
        readers=tuple(f"R{j + 1}" for j in range(readers)),
        positive="HCC",
        negative="non-HCC",
        truth=truth,
        values=np.clip(np.round(latent * 1.5), -3, 3),
    )


def test_van_dyke_random_readers_and_cases() -> None:
    found = obuchowski_rockette(van_dyke())
    parts = found.components
    assert (parts.ms_arm, parts.ms_arm_reader) == pytest.approx((0.004796171, 0.000551031), rel=1e-5)
    assert parts.neither == pytest.approx(0.0002390284)
    assert found.test.statistic == pytest.approx(4.456319, rel=1e-5)
    assert found.test.degrees_of_freedom == pytest.approx((1, 15.25967), rel=1e-5)
    assert found.test.p_value == pytest.approx(0.05166569, rel=1e-5)
    change = found.difference("spin echo", "cine")
    assert (change.difference.value, change.difference.low, change.difference.high) == pytest.approx(
        (-0.04380032, -0.08795925, 0.0003589544), abs=1e-6
    )
    assert change.test.p_value == pytest.approx(0.05166569, rel=1e-5)
    assert change.difference.n == 114


def test_van_dyke_fixed_readers_and_fixed_cases() -> None:
    readers = obuchowski_rockette(van_dyke(), FIXED_READERS)
    assert readers.test.statistic == pytest.approx(5.475953, rel=1e-5)
    assert readers.test.degrees_of_freedom == (1, inf)
    assert readers.test.p_value == pytest.approx(stats.norm.sf(5.475953**0.5) * 2, rel=1e-5)
    cases = obuchowski_rockette(van_dyke(), FIXED_CASES)
    assert cases.test.statistic == pytest.approx(8.704, rel=1e-4)
    assert cases.test.degrees_of_freedom == (1, 4)
    # with fixed cases this is the paired t test over readers
    paired = stats.ttest_rel(*van_dyke().values)
    assert cases.test.p_value == pytest.approx(paired.pvalue)


def brute_jackknife(readings: Readings) -> np.ndarray:
    """Covariance of all AUCs by leaving out one case after the other."""
    without = []
    for k in range(readings.truth.size):
        kept = np.arange(readings.truth.size) != k
        truth, values = readings.truth[kept], readings.values.reshape(-1, readings.truth.size)[:, kept]
        without.append([auc(truth, row, positive="HCC", negative="non-HCC").value for row in values])
    n = readings.truth.size
    return np.cov(np.array(without).T) * (n - 1) ** 2 / n


def test_jackknife_covariance_by_leaving_out_each_case() -> None:
    readings = study()
    found = auc_merits(readings, "jackknife")
    assert found.covariance.reshape(8, 8) == pytest.approx(brute_jackknife(readings))


def test_unbiased_covariance_by_its_definition() -> None:
    """E[AB] - E[A]E[B], the last from the products of pairs that share no case, counted one by one."""
    readings = study(positive=4, negative=5)
    truth, ratings = readings.truth, readings.values.reshape(-1, 9)
    kernel = np.array([[np.sign(row[truth][:, None] - row[~truth][None]) / 2 + 0.5] for row in ratings])[:, 0]
    a, b = kernel[1], kernel[6]
    products = [
        a[i, k] * b[x, y] for i in range(4) for k in range(5) for x in range(4) for y in range(5) if i != x and k != y
    ]
    expected = a.mean() * b.mean() - np.mean(products)
    assert auc_merits(readings, "unbiased").covariance.reshape(8, 8)[1, 6] == pytest.approx(expected)


def test_unbiased_covariance_is_unbiased_and_the_others_nearly_so() -> None:
    rng = np.random.default_rng(5)
    areas, estimates = [], {"jackknife": [], "DeLong": [], "unbiased": []}
    for _ in range(1500):
        one = replace(study(positive=6, negative=8), values=rng.normal(size=(2, 4, 14)) + (np.arange(14) < 6))
        for method, kept in estimates.items():
            table = auc_merits(one, method)
            kept.append(np.diagonal(table.covariance.reshape(8, 8)).mean())
        areas.append(table.values.ravel())
    true = np.var(np.array(areas), ddof=1)
    assert np.mean(estimates["unbiased"]) == pytest.approx(true, rel=0.05)
    assert np.mean(estimates["DeLong"]) > np.mean(estimates["unbiased"])
    assert np.mean(estimates["jackknife"]) > np.mean(estimates["DeLong"])


def test_delong_covariance_of_one_reader_is_the_paired_delong_test() -> None:
    readings = study(readers=1)
    found = obuchowski_rockette(auc_merits(readings, "DeLong"), FIXED_READERS).difference("assisted", "unassisted")
    ratings = dict(zip(readings.arms, readings.values[:, 0], strict=True))
    single = compare_aucs(
        readings.truth, ratings, first="assisted", second="unassisted", positive="HCC", negative="non-HCC"
    )
    assert found.test.p_value == pytest.approx(single.test.p_value)
    assert found.difference.low == pytest.approx(single.difference.low)


def test_decisions_by_counting() -> None:
    readings = study()
    calls = replace(readings, values=(readings.values >= 1).astype(float))
    known = readings.truth
    right = calls.values == known
    assert decision_merits(calls, "accuracy").values == pytest.approx(right.mean(axis=2))
    sensitivity = decision_merits(calls, "sensitivity")
    assert sensitivity.values == pytest.approx(right[..., known].mean(axis=2))
    assert (sensitivity.n_positive, sensitivity.n_negative, sensitivity.n) == (12, 0, 12)
    assert decision_merits(calls, "specificity").values == pytest.approx(right[..., ~known].mean(axis=2))
    flat = right[..., known].reshape(8, 12).astype(float)
    assert sensitivity.covariance.reshape(8, 8) == pytest.approx(np.cov(flat) / 12)
    for figure in ("accuracy", "sensitivity", "specificity"):
        obuchowski_rockette(decision_merits(calls, figure))


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10_000),
    st.permutations(range(4)),
    st.permutations(range(27)),
    st.sampled_from(["jackknife", "unbiased"]),
)
def test_order_changes_nothing_and_swapping_arms_flips_signs(
    seed: int, readers: list[int], cases: list[int], covariance: str
) -> None:
    readings = study(seed)
    found = obuchowski_rockette(auc_merits(readings, covariance))
    shuffled = replace(
        readings,
        readers=tuple(readings.readers[j] for j in readers),
        truth=readings.truth[cases],
        values=readings.values[:, readers][..., cases],
    )
    again = obuchowski_rockette(auc_merits(shuffled, covariance))
    assert again.test.p_value == pytest.approx(found.test.p_value, abs=1e-9)
    assert again.arm_means["assisted"].low == pytest.approx(found.arm_means["assisted"].low)
    turned = replace(readings, arms=readings.arms[::-1], values=readings.values[::-1])
    one = obuchowski_rockette(auc_merits(turned, covariance)).differences[0]
    other = found.differences[0]
    assert (one.first, one.second) == (other.second, other.first)
    assert one.difference.value == pytest.approx(-other.difference.value)
    assert (one.difference.low, one.difference.high) == pytest.approx((-other.difference.high, -other.difference.low))
    assert one.test.p_value == pytest.approx(other.test.p_value, abs=1e-9)
    named = found.difference("assisted", "unassisted")  # by name it comes whichever way round it is asked for
    assert named.difference.value == pytest.approx(one.difference.value)
    assert named.test.statistic == pytest.approx(one.test.statistic)


def test_perfect_readers_have_area_1_with_a_stated_interval_and_no_test() -> None:
    readings = study()
    perfect = replace(readings, values=np.broadcast_to(readings.truth.astype(float), readings.values.shape))
    table = auc_merits(perfect)
    mean = arm_mean(table, "assisted")
    assert (mean.value, mean.high) == (1, 1)
    assert 0.7 < mean.low < 1
    assert "Newcombe" in mean.method
    right = arm_mean(decision_merits(perfect, "sensitivity"), "assisted")
    assert right.low == pytest.approx(0.025 ** (1 / 12))
    assert "Clopper-Pearson" in right.method
    with pytest.raises(StatisticsError, match="no test"):
        obuchowski_rockette(table)


def test_ai_against_readers_is_the_one_sample_t_test_of_differences_with_their_covariance() -> None:
    readings = study(3)
    machine = np.random.default_rng(1).normal(size=27) + 2 * readings.truth
    table = auc_merits(readings.with_ai("AI", machine))
    found = ai_against_readers(table, ai="AI", arm="unassisted")
    gaps = table.values[2] - table.values[0]
    c = table.covariance
    covariance = c[2, :, 2, :] - c[2, :, 0, :] - c[0, :, 2, :] + c[0, :, 0, :]
    shared = (covariance.sum() - np.trace(covariance)) / 12
    spread = np.var(gaps, ddof=1)
    scale = spread + 4 * max(shared, 0)
    assert found.difference.value == pytest.approx(gaps.mean())
    assert found.test.statistic == pytest.approx(gaps.mean() / (scale / 4) ** 0.5)
    assert found.test.degrees_of_freedom[0] == pytest.approx(3 * (scale / spread) ** 2)
    with pytest.raises(StatisticsError, match="differs between readers"):
        ai_against_readers(table, ai="assisted", arm="unassisted")


def test_non_inferiority_agrees_with_its_interval() -> None:
    table = auc_merits(study(2, gain=0.2))
    for margin in (0.01, 0.05, 0.1, 0.3):
        found = mrmc_non_inferiority(table, first="assisted", second="unassisted", margin=margin)
        assert found.shown == (found.test.p_value < 0.025)
    assert mrmc_non_inferiority(table, first="assisted", second="unassisted", margin=0.5).shown


def test_three_arms() -> None:
    readings = study()
    third = replace(
        readings, arms=("a", "b", "c"), values=np.concatenate((readings.values, study(9).values[:1] + readings.truth))
    )
    found = obuchowski_rockette(auc_merits(third))
    assert found.test.degrees_of_freedom[0] == 2
    assert [(d.first, d.second) for d in found.differences] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert set(found.reader_differences) == {"R1", "R2", "R3", "R4"}


def test_refusals_in_words() -> None:
    readings = study()
    with pytest.raises(StatisticsError, match="fewer than 3"):
        obuchowski_rockette(auc_merits(study(readers=2)))
    obuchowski_rockette(auc_merits(study(readers=2)), FIXED_READERS)
    gaps = readings.values.copy()
    gaps[1, 2, 5] = np.nan
    holed = replace(readings, values=gaps)
    with pytest.raises(StatisticsError, match=r"1 of 216 readings are missing \(the first: R3, assisted\)"):
        auc_merits(holed)
    whole, left_out = holed.complete()
    assert (left_out, auc_merits(whole).n) == (1, 26)
    tied = readings.values.copy()
    tied[0, 1] = 2
    with pytest.raises(StatisticsError, match="R2, unassisted: all ratings are the same"):
        auc_merits(replace(readings, values=tied))
    with pytest.raises(StatisticsError, match='no case of class "HCC"'):
        auc_merits(replace(readings, truth=np.zeros(27, dtype=bool)))
    with pytest.raises(StatisticsError, match="needs decisions"):
        decision_merits(readings, "accuracy")
    with pytest.raises(StatisticsError, match="needs two"):
        obuchowski_rockette(auc_merits(replace(readings, arms=("a",), values=readings.values[:1])))
    with pytest.raises(StatisticsError, match="got none"):
        replace(readings, arms=(), values=readings.values[:0])
    with pytest.raises(StatisticsError, match="no test"):
        obuchowski_rockette(auc_merits(replace(readings, values=readings.values[[0, 0]])))
    table = auc_merits(readings)
    with pytest.raises(StatisticsError, match="comes out negative"):
        obuchowski_rockette(replace(table, covariance=-table.covariance))


def test_six_readers_two_arms_three_hundred_cases_take_well_under_a_second() -> None:
    readings = study(readers=6, positive=140, negative=160)
    start = process_time()
    for method in ("jackknife", "DeLong", "unbiased"):
        obuchowski_rockette(auc_merits(readings, method))
    assert process_time() - start < 1
    assert components_of(auc_merits(readings)).error > 0
