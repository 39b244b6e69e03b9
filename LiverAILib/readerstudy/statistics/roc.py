"""Empirical ROC curves, their area with intervals, and the paired comparison of two areas on the same cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

from LiverAILib.readerstudy.statistics.estimate import (
    Array,
    Estimate,
    StatisticsError,
    TestResult,
    check_level,
    check_truth,
)

Truth = Sequence[bool] | npt.NDArray[np.bool_]
Ratings = Sequence[float] | Array


@dataclass(frozen=True, kw_only=True)
class RocCurve:
    """Operating points from (0, 0) to (1, 1): a case is called `positive` if its rating is >= the threshold."""

    positive: str
    thresholds: Array
    false_positive_fraction: Array
    true_positive_fraction: Array


def check_ratings(ratings: Ratings, n: int, who: str) -> Array:
    """The ratings as an array (case,).

    Raises StatisticsError if they are not one for each case, if one is missing or not finite, or if all are the same.
    """
    values = np.asarray(ratings, dtype=np.float64)
    if values.shape != (n,):
        raise StatisticsError(f"{who}: {values.size} ratings for {n} cases. Each case needs one.")
    missing = int((~np.isfinite(values)).sum())
    if missing:
        raise StatisticsError(f"{who}: {missing} of {n} ratings are missing. A missing rating is never a low one.")
    if np.ptp(values) == 0:
        raise StatisticsError(f"{who}: all {n} ratings are {values[0]:g}; such ties carry no ROC curve.")
    return values


def roc_curve(truth: Truth, ratings: Ratings, *, positive: str, negative: str) -> RocCurve:
    """The empirical curve; cases with equal ratings make one sloped step."""
    known = check_truth(truth, positive, negative)
    values = check_ratings(ratings, known.size, "ROC curve")
    levels, where = np.unique(-values, return_inverse=True)
    true = np.cumsum(np.bincount(where[known], minlength=levels.size)) / known.sum()
    false = np.cumsum(np.bincount(where[~known], minlength=levels.size)) / (~known).sum()
    return RocCurve(
        positive=positive,
        thresholds=np.concatenate(([np.inf], -levels)),
        false_positive_fraction=np.concatenate(([0.0], false)),
        true_positive_fraction=np.concatenate(([0.0], true)),
    )


def placements(positive: Array, negative: Array) -> tuple[Array, Array]:
    """Placement values of DeLong et al. (1988), for many raters at once.

    positive (rater, m), negative (rater, n). Returns (rater, m): for each positive case the share of negative ones
    rated below it, ties a half; and (rater, n): for each negative case the share of positive ones above it.
    """
    m, n = positive.shape[1], negative.shape[1]
    both = stats.rankdata(np.concatenate((positive, negative), axis=1), axis=1)
    of_positive = (both[:, :m] - stats.rankdata(positive, axis=1)) / n
    of_negative = 1 - (both[:, m:] - stats.rankdata(negative, axis=1)) / m
    return of_positive, of_negative


def delong_covariance(of_positive: Array, of_negative: Array) -> Array:
    """Covariance (rater, rater) of the areas from their placement values; needs two cases of either class."""
    m, n = of_positive.shape[1], of_negative.shape[1]
    if min(m, n) < 2:
        raise StatisticsError(f"{m} positive and {n} negative cases: a variance needs two of either.")
    centred, other = (v - v.mean(axis=1, keepdims=True) for v in (of_positive, of_negative))
    return np.asarray(centred @ centred.T / ((m - 1) * m) + other @ other.T / ((n - 1) * n))


def newcombe_auc_interval(area: float, m: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Score interval of an area from m positive and n negative cases (Newcombe 2006, method 5).

    It has a width even at an area of 1. The variance is Hanley and McNeil's, taken at the limit and with (m + n) / 2
    for both numbers of cases; the limits are where |area - limit| is z standard errors.
    """
    check_level(level)
    z, balanced = float(stats.norm.ppf((1 + level) / 2)), (m + n) / 2

    def excess(limit: float) -> float:
        spread = 1 + (balanced - 1) * ((1 - limit) / (2 - limit) + limit / (1 + limit))
        return (area - limit) ** 2 - z * z * limit * (1 - limit) / (m * n) * spread

    low = optimize.brentq(excess, 0, area) if area > 0 and excess(0) > 0 else 0.0
    high = optimize.brentq(excess, area, 1) if area < 1 and excess(1) > 0 else 1.0
    if area == 1:
        low = optimize.brentq(excess, 0, 1 - 1e-9)
    if area == 0:
        high = optimize.brentq(excess, 1e-9, 1)
    return float(low), float(high)


def auc(
    truth: Truth,
    ratings: Ratings,
    *,
    positive: str,
    negative: str,
    who: str = "AUC",
    unit: str = "patients",
    level: float = 0.95,
) -> Estimate:
    """Area under the empirical curve with DeLong's interval, cut to [0, 1].

    Where DeLong's variance is 0 (classes parted without error) the interval is Newcombe's, and `method` says so.
    Raises StatisticsError for a missing class or rating, and if all ratings are tied.
    """
    check_level(level)
    known = check_truth(truth, positive, negative)
    values = check_ratings(ratings, known.size, who)
    above, below = placements(values[None, known], values[None, ~known])
    area = float(above.mean())
    variance = float(delong_covariance(above, below)[0, 0])
    if variance > 0:
        half = float(stats.norm.ppf((1 + level) / 2)) * sqrt(variance)
        low, high, method = max(area - half, 0.0), min(area + half, 1.0), "DeLong"
    else:
        low, high = newcombe_auc_interval(area, above.shape[1], below.shape[1], level)
        method = "Newcombe score interval (DeLong's variance is 0)"
    return Estimate(name=who, value=area, low=low, high=high, n=known.size, unit=unit, method=method, level=level)


@dataclass(frozen=True, kw_only=True)
class PairedDifference:
    """A difference `first` minus `second` on the same cases, and the test that it is 0."""

    first: str
    second: str
    difference: Estimate
    test: TestResult


def compare_aucs(
    truth: Truth,
    ratings: dict[str, Ratings],
    *,
    first: str,
    second: str,
    positive: str,
    negative: str,
    unit: str = "patients",
    level: float = 0.95,
) -> PairedDifference:
    """Area of `first` minus area of `second`, two keys of `ratings`, read on the same cases (paired DeLong test).

    Raises StatisticsError if the variance of the difference is 0, as for identical ratings.
    """
    check_level(level)
    known = check_truth(truth, positive, negative)
    for name in (first, second):
        if name not in ratings:
            raise StatisticsError(f'There are no ratings of "{name}".')
    values = np.stack([check_ratings(ratings[name], known.size, name) for name in (first, second)])
    above, below = placements(values[:, known], values[:, ~known])
    areas, covariance = above.mean(axis=1), delong_covariance(above, below)
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    if variance <= 1e-15:
        raise StatisticsError(
            f'"{first}" and "{second}" rank the cases alike: their difference has no variance to test.'
        )
    difference, error = float(areas[0] - areas[1]), sqrt(variance)
    half = float(stats.norm.ppf((1 + level) / 2)) * error
    name = f"AUC, {first} minus {second}"
    return PairedDifference(
        first=first,
        second=second,
        difference=Estimate(
            name=name,
            value=difference,
            low=max(difference - half, -1.0),
            high=min(difference + half, 1.0),
            n=known.size,
            unit=unit,
            method="paired DeLong",
            level=level,
        ),
        test=TestResult(
            name=name,
            statistic=difference / error,
            p_value=float(2 * stats.norm.sf(abs(difference) / error)),
            n=known.size,
            unit=unit,
            method="paired DeLong, z",
        ),
    )
