"""Proportions with exact and score intervals."""

from __future__ import annotations

from math import sqrt
from typing import Literal

from scipy import stats

from LiverAILib.readerstudy.statistics.estimate import Estimate, StatisticsError, check_level

IntervalMethod = Literal["Clopper-Pearson", "Wilson"]


def check_counts(successes: int, n: int, name: str = "The proportion") -> None:
    """Raise StatisticsError unless 0 <= successes <= n and n > 0."""
    if n == 0:
        raise StatisticsError(f"{name} is not estimable: its denominator is 0.")
    if not 0 <= successes <= n:
        raise StatisticsError(f"{name}: {successes} of {n} is no proportion. Check the counts.")


def clopper_pearson(successes: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Exact interval of a binomial proportion (Clopper and Pearson 1934)."""
    check_counts(successes, n)
    check_level(level)
    tail = (1 - level) / 2
    low = float(stats.beta.ppf(tail, successes, n - successes + 1)) if successes else 0.0
    high = float(stats.beta.ppf(1 - tail, successes + 1, n - successes)) if successes < n else 1.0
    return low, high


def wilson(successes: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Score interval of a binomial proportion (Wilson 1927), without continuity correction."""
    check_counts(successes, n)
    check_level(level)
    z = float(stats.norm.ppf((1 + level) / 2))
    share = successes / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (0.0 if successes == 0 else centre - half), (1.0 if successes == n else centre + half)


def proportion(
    successes: int,
    n: int,
    *,
    name: str,
    unit: str = "patients",
    method: IntervalMethod = "Clopper-Pearson",
    level: float = 0.95,
) -> Estimate:
    """successes/n with its interval.

    Raises StatisticsError, naming the figure, if n is 0 or the counts are impossible.
    """
    check_counts(successes, n, name)
    low, high = (clopper_pearson if method == "Clopper-Pearson" else wilson)(successes, n, level)
    return Estimate(name=name, value=successes / n, low=low, high=high, n=n, unit=unit, method=method, level=level)
