"""Two named raters right or wrong on the same cases: McNemar's test, intervals, non-inferiority; Holm's correction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

from LiverAILib.readerstudy.statistics.estimate import Estimate, StatisticsError, TestResult, check_level
from LiverAILib.readerstudy.statistics.proportions import wilson


@dataclass(frozen=True, kw_only=True)
class PairedCounts:
    """How often both raters, one, or neither was right. `what` names the figure ("accuracy", "sensitivity (HCC)")."""

    first: str
    second: str
    both: int
    only_first: int
    only_second: int
    neither: int
    what: str = "accuracy"
    unit: str = "patients"

    def __post_init__(self) -> None:
        if self.first == self.second:
            raise StatisticsError(f'Both raters are called "{self.first}". Give each its own name.')
        if min(self.both, self.only_first, self.only_second, self.neither) < 0:
            raise StatisticsError("A count below 0 is none. Check the counts.")
        if self.n == 0:
            raise StatisticsError(f"No case was read by both {self.first} and {self.second}.")

    @property
    def n(self) -> int:
        """Cases."""
        return self.both + self.only_first + self.only_second + self.neither

    @property
    def difference(self) -> float:
        """Share right of first minus second."""
        return (self.only_first - self.only_second) / self.n

    def swapped(self) -> PairedCounts:
        """The same counts with second minus first in view."""
        return PairedCounts(
            first=self.second,
            second=self.first,
            both=self.both,
            only_first=self.only_second,
            only_second=self.only_first,
            neither=self.neither,
            what=self.what,
            unit=self.unit,
        )


def count_pairs(
    right: Mapping[str, Sequence[bool] | npt.NDArray[np.bool_]],
    *,
    first: str,
    second: str,
    what: str = "accuracy",
    unit: str = "patients",
) -> PairedCounts:
    """Counts from what each named rater got right, case by case.

    Raises StatisticsError for unequal numbers of cases.
    """
    one, two = np.asarray(right[first]), np.asarray(right[second])
    if one.shape != two.shape or one.ndim != 1 or one.dtype != np.bool_ or two.dtype != np.bool_:
        raise StatisticsError(f"{first} and {second} need one right-or-wrong each for the same cases.")
    return PairedCounts(
        first=first,
        second=second,
        both=int((one & two).sum()),
        only_first=int((one & ~two).sum()),
        only_second=int((~one & two).sum()),
        neither=int((~one & ~two).sum()),
        what=what,
        unit=unit,
    )


def mcnemar(counts: PairedCounts, method: Literal["exact", "mid-p"] = "exact") -> TestResult:
    """McNemar's two-sided test on the discordant cases; p is 1 where there is none.

    Its statistic is the number of cases that only `first` got right.
    """
    discordant, fewer = counts.only_first + counts.only_second, min(counts.only_first, counts.only_second)
    p = min(1.0, 2 * float(stats.binom.cdf(fewer, discordant, 0.5)))
    if method == "mid-p":
        p = 2 * float(stats.binom.cdf(fewer, discordant, 0.5)) - float(stats.binom.pmf(fewer, discordant, 0.5))
        p = min(1.0, p)
    return TestResult(
        name=f"{counts.what}, {counts.first} against {counts.second}",
        statistic=float(counts.only_first),
        p_value=p,
        n=counts.n,
        unit=counts.unit,
        method=f"McNemar, {method}, {discordant} discordant",
    )


def tango_z(counts: PairedCounts, difference: float) -> float:
    """Tango's (1998) score statistic for `first` minus `second` being truly `difference`, inside (-1, 1)."""
    n, b, c = counts.n, counts.only_first, counts.only_second
    linear = -b - c + (2 * n - b + c) * difference
    constant = -c * difference * (1 - difference)
    share = (sqrt(max(linear * linear - 8 * n * constant, 0.0)) - linear) / (4 * n)  # of only_second, at the constraint
    variance = n * (2 * share + difference * (1 - difference))
    distance = b - c - n * difference
    if variance <= 1e-12:
        return 0.0 if abs(distance) < 1e-9 else float(np.copysign(np.inf, distance))
    return distance / sqrt(variance)


def tango_interval(counts: PairedCounts, level: float = 0.95) -> Estimate:
    """Score interval of the paired difference (Tango 1998)."""
    check_level(level)
    z, found, edge = float(stats.norm.ppf((1 + level) / 2)), counts.difference, 1 - 1e-10
    low = -1.0 if tango_z(counts, -edge) < z else optimize.brentq(lambda d: tango_z(counts, d) - z, -edge, found)
    high = 1.0 if tango_z(counts, edge) > -z else optimize.brentq(lambda d: tango_z(counts, d) + z, found, edge)
    return _interval(counts, float(low), float(high), "Tango score", level)


def newcombe_interval(counts: PairedCounts, level: float = 0.95) -> Estimate:
    """Square-and-add interval of the paired difference from two Wilson intervals (Newcombe 1998, method 10)."""
    n, a, b, c, d = counts.n, counts.both, counts.only_first, counts.only_second, counts.neither
    one, two = (a + b) / n, (a + c) / n
    low_one, high_one = wilson(a + b, n, level)
    low_two, high_two = wilson(a + c, n, level)
    margins = (a + b) * (c + d) * (a + c) * (b + d)
    product = a * d - b * c
    numerator = max(product - n / 2, 0) if product > 0 else product
    phi = numerator / sqrt(margins) if margins else 0.0
    below = (one - low_one) ** 2 - 2 * phi * (one - low_one) * (high_two - two) + (high_two - two) ** 2
    above = (two - low_two) ** 2 - 2 * phi * (two - low_two) * (high_one - one) + (high_one - one) ** 2
    low, high = one - two - sqrt(max(below, 0.0)), one - two + sqrt(max(above, 0.0))
    return _interval(counts, low, high, "Newcombe paired, method 10", level)


def _interval(counts: PairedCounts, low: float, high: float, method: str, level: float) -> Estimate:
    return Estimate(
        name=f"{counts.what}, {counts.first} minus {counts.second}",
        value=counts.difference,
        low=low,
        high=high,
        n=counts.n,
        unit=counts.unit,
        method=method,
        level=level,
    )


@dataclass(frozen=True, kw_only=True)
class NonInferiority:
    """Whether `first` is worse than `second` by less than the margin: the interval's lower end against -margin.

    `difference` has level 1 - 2 alpha, so that its lower end is one-sided at alpha; `test.p_value` is one-sided.
    """

    first: str
    second: str
    margin: float
    alpha: float
    difference: Estimate
    test: TestResult

    @property
    def shown(self) -> bool:
        """Non-inferiority is shown."""
        return self.difference.low > -self.margin

    @property
    def superior(self) -> bool:
        """The same interval also excludes 0: superiority, which needs no correction after non-inferiority."""
        return self.difference.low > 0


def check_margin(margin: float, alpha: float) -> None:
    """Raise StatisticsError unless 0 < margin < 1 and 0 < alpha < 0.5."""
    if not 0 < margin < 1:
        raise StatisticsError(f"A margin of {margin:g} is not between 0 and 1. Give the loss that is still acceptable.")
    if not 0 < alpha < 0.5:
        raise StatisticsError(f"A one-sided alpha of {alpha:g} is not between 0 and 0.5. 0.025 is usual.")


def paired_non_inferiority(counts: PairedCounts, margin: float, alpha: float = 0.025) -> NonInferiority:
    """`first` not worse than `second` by `margin` or more, by Tango's score test, one-sided."""
    check_margin(margin, alpha)
    z = tango_z(counts, -margin)
    return NonInferiority(
        first=counts.first,
        second=counts.second,
        margin=margin,
        alpha=alpha,
        difference=tango_interval(counts, 1 - 2 * alpha),
        test=TestResult(
            name=f"{counts.what}, {counts.first} worse than {counts.second} by {margin:g}",
            statistic=z,
            p_value=float(stats.norm.sf(z)),
            n=counts.n,
            unit=counts.unit,
            method="Tango score, one-sided",
        ),
    )


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's (1979) adjusted p-values by name: they keep the family-wise error at alpha when compared with alpha."""
    for name, p in p_values.items():
        if not 0 <= p <= 1:
            raise StatisticsError(f'The p-value of "{name}" is {p:g}: not between 0 and 1.')
    adjusted: dict[str, float] = {}
    highest = 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda key: p_values[key])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[name]))
        adjusted[name] = highest
    return {name: adjusted[name] for name in p_values}
