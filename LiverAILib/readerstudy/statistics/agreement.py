"""How far raters agree with each other: Fleiss' kappa, Krippendorff's alpha, the share of unanimous cases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Literal

import numpy as np
from scipy import stats

from LiverAILib.readerstudy.statistics.estimate import Array, Estimate, StatisticsError, TestResult, check_level
from LiverAILib.readerstudy.statistics.proportions import proportion

Answers = Sequence[Sequence[str | None]]
Scale = Literal["nominal", "ordinal", "interval"]


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Fleiss' kappa with its interval, and the test that raters agree by chance alone."""

    kappa: Estimate
    test: TestResult


def count_categories(answers: Answers, categories: Sequence[str]) -> Array:
    """How many raters gave each case each category: (case, category), from answers (case, rater); None is missing.

    Raises StatisticsError for an answer that is none of the categories.
    """
    if len(set(categories)) != len(categories) or len(categories) < 2:
        raise StatisticsError(f"Agreement needs two categories or more, each once; got {', '.join(categories)}.")
    index = {name: column for column, name in enumerate(categories)}
    counts = np.zeros((len(answers), len(categories)))
    for row, given in enumerate(answers):
        for answer in given:
            if answer is None:
                continue
            if answer not in index:
                raise StatisticsError(f'Case {row + 1}: "{answer}" is none of {", ".join(categories)}.')
            counts[row, index[answer]] += 1
    return counts


def _jackknife_interval(
    value: float, estimate: Callable[[Array], float], counts: Array, level: float
) -> tuple[float, float]:
    """Normal interval from leaving out one case after the other; cases of one pattern are computed once."""
    patterns, times = np.unique(counts, axis=0, return_counts=True)
    without = []
    for k in range(len(patterns)):
        less = times.copy()
        less[k] -= 1
        without.append(estimate(np.repeat(patterns, less, axis=0)))
    n, values = len(counts), np.array(without)
    mean = float(values @ times) / n
    error = sqrt((n - 1) / n * float(times @ (values - mean) ** 2))
    half = float(stats.norm.ppf((1 + level) / 2)) * error
    return max(value - half, -1.0), min(value + half, 1.0)


def _fleiss(counts: Array) -> float:
    raters = counts[0].sum()
    shares = counts.sum(axis=0) / counts.sum()
    observed = float((counts * (counts - 1)).sum(axis=1).mean() / (raters * (raters - 1)))
    chance = float(shares @ shares)
    return (observed - chance) / (1 - chance) if chance < 1 else 1.0


def fleiss_kappa(
    answers: Answers, *, categories: Sequence[str], unit: str = "patients", level: float = 0.95
) -> Agreement:
    """Fleiss' kappa (1971) of answers (case, rater); every rater answered every case.

    z is against agreement by chance, with Fleiss, Nee and Landis' (1979) standard error; the interval is by jackknife
    over cases. Raises StatisticsError for a missing answer, fewer than two raters or three cases, or a single category.
    """
    check_level(level)
    counts = count_categories(answers, categories)
    raters = {int(total) for total in counts.sum(axis=1)} | {len(given) for given in answers}
    if len(raters) != 1:
        raise StatisticsError(
            "Fleiss' kappa needs every rater's answer to every case; with gaps use Krippendorff's alpha."
        )
    return fleiss_from_counts(counts, unit=unit, level=level)


def fleiss_from_counts(counts: Array, *, unit: str = "patients", level: float = 0.95) -> Agreement:
    """Fleiss' kappa from counts (case, category), each row with the same number of raters; see `fleiss_kappa`."""
    n, raters = len(counts), int(counts[0].sum()) if len(counts) else 0
    if n < 3 or raters < 2:
        raise StatisticsError(f"{n} cases and {raters} raters: agreement needs three cases and two raters.")
    shares = counts.sum(axis=0) / counts.sum()
    if shares.max() == 1:
        raise StatisticsError("All answers are of one category: agreement beyond chance is not estimable.")
    kappa, spread = _fleiss(counts), shares * (1 - shares)
    total = float(spread.sum())
    variance = 2 * (total**2 - float(spread @ (1 - 2 * shares))) / (total**2 * n * raters * (raters - 1))
    z = kappa / sqrt(variance)
    low, high = _jackknife_interval(kappa, _fleiss, counts, level)
    return Agreement(
        kappa=Estimate(
            name="Fleiss' kappa",
            value=kappa,
            low=low,
            high=high,
            n=n,
            unit=unit,
            method=f"{raters} raters, jackknife over {unit}",
            level=level,
        ),
        test=TestResult(
            name="agreement beyond chance",
            statistic=z,
            p_value=float(2 * stats.norm.sf(abs(z))),
            n=n,
            unit=unit,
            method="Fleiss-Nee-Landis, z",
        ),
    )


def fleiss_of_three_raters_from_totals(*, unanimous: int, n: int, answers_of_one_class: int) -> float:
    """Fleiss' kappa of three raters and two classes from what papers print: unanimous cases of n, and how many of the
    3n answers were of one of the classes. With three raters and two classes these determine it.
    """
    if not 0 <= unanimous <= n or not 0 < answers_of_one_class < 3 * n:
        raise StatisticsError("These totals leave no agreement to estimate. Check the counts.")
    share = answers_of_one_class / (3 * n)
    observed, chance = (unanimous + (n - unanimous) / 3) / n, share**2 + (1 - share) ** 2
    return (observed - chance) / (1 - chance)


def unanimous_share(answers: Answers, *, unit: str = "patients", level: float = 0.95) -> Estimate:
    """Share of cases in which all raters gave the same answer. Raises StatisticsError for a missing answer."""
    if any(answer is None for given in answers for answer in given):
        raise StatisticsError("The unanimous share needs every rater's answer to every case; some are missing.")
    same = sum(len(set(given)) == 1 for given in answers)
    return proportion(same, len(answers), name="unanimous share", unit=unit, level=level)


def _distances(totals: Array, scale: Scale) -> Array:
    """Squared distances (category, category) of Krippendorff's metrics; categories are in rising order."""
    if scale == "nominal":
        return 1.0 - np.eye(totals.size)
    steps = np.arange(float(totals.size)) if scale == "interval" else np.cumsum(totals) - totals / 2
    return np.asarray((steps[:, None] - steps[None]) ** 2)


def _alpha(counts: Array, scale: Scale) -> float:
    raters = counts.sum(axis=1)
    counts, raters = counts[raters > 1], raters[raters > 1]
    weighted = counts / (raters - 1)[:, None]
    pairs = weighted.T @ counts - np.diag(weighted.sum(axis=0))
    totals = pairs.sum(axis=0)
    distance = _distances(totals, scale)
    observed, expected = float((pairs * distance).sum()), float(totals @ distance @ totals)
    return 1 - (totals.sum() - 1) * observed / expected if expected > 0 else 1.0


def krippendorff_alpha(
    answers: Answers,
    *,
    categories: Sequence[str],
    scale: Scale = "nominal",
    unit: str = "patients",
    level: float = 0.95,
) -> Estimate:
    """Krippendorff's alpha of answers (case, rater), with gaps (None); the interval is by jackknife over cases.

    For "ordinal" and "interval" `categories` are in rising order, for "interval" one apart. Cases with fewer than two
    answers are left out of n. Raises StatisticsError if fewer than three are left or all answers are of one category.
    """
    check_level(level)
    counts = count_categories(answers, categories)
    counts = counts[counts.sum(axis=1) > 1]
    if len(counts) < 3:
        raise StatisticsError(f"{len(counts)} cases have two answers or more: agreement needs three.")
    if (counts.sum(axis=0) > 0).sum() < 2:
        raise StatisticsError("All answers are of one category: agreement beyond chance is not estimable.")
    value = _alpha(counts, scale)
    low, high = _jackknife_interval(value, lambda part: _alpha(part, scale), counts, level)
    return Estimate(
        name=f"Krippendorff's alpha ({scale})",
        value=value,
        low=low,
        high=high,
        n=len(counts),
        unit=unit,
        method=f"jackknife over {unit}",
        level=level,
    )
