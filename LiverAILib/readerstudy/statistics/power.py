"""Power and sample size, each with the formula that was used."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from scipy import stats

from LiverAILib.readerstudy.statistics.estimate import StatisticsError
from LiverAILib.readerstudy.statistics.mrmc import Components
from LiverAILib.readerstudy.statistics.paired import check_margin

MRMC_FORMULA = (
    "F(1, df, lambda) with s = arm-reader + (c/c*) (Var - Cov1 + (r - 1) max(Cov2 - Cov3, 0)), lambda = r d^2 / (2 s), "
    "df = (r - 1) s^2 / (arm-reader + (c/c*) (Var - Cov1 - max(Cov2 - Cov3, 0)))^2; random readers and cases "
    "(Hillis, Obuchowski and Berbaum 2011)"
)
PAIRED_FORMULA = (
    "n = (z(1 - alpha) + z(power))^2 (discordant - difference^2) / (difference + margin)^2, for the share right of "
    "first minus second on the same cases, alpha one-sided"
)


@dataclass(frozen=True, kw_only=True)
class MrmcPower:
    """Power of the two-arm comparison at two-sided `alpha` for a true difference `effect`."""

    power: float
    readers: int
    cases: int
    effect: float
    alpha: float
    noncentrality: float
    degrees_of_freedom: float
    formula: str = MRMC_FORMULA


@dataclass(frozen=True, kw_only=True)
class PairedSampleSize:
    """Cases for a paired non-inferiority comparison."""

    cases: int
    margin: float
    discordant: float
    difference: float
    alpha: float
    power: float
    formula: str = PAIRED_FORMULA


def mrmc_power(
    pilot: Components, *, pilot_cases: int, effect: float, readers: int, cases: int, alpha: float = 0.05
) -> MrmcPower:
    """Power with other numbers of readers and cases than the pilot's, at the pilot's share of positive cases.

    A negative arm-by-reader variance of the pilot is taken as 0. Raises StatisticsError with fewer than 3 readers, no
    effect, or a pilot whose variances leave nothing to test with.
    """
    if readers < 3:
        raise StatisticsError(f"{readers} readers: fewer than 3 can't stand for all readers.")
    if cases < 1 or pilot_cases < 1 or not 0 < alpha < 1:
        raise StatisticsError("Power needs at least one case and an alpha between 0 and 1.")
    if effect == 0:
        raise StatisticsError("A difference of 0 can't be found. Give the smallest difference that matters.")
    between, ratio = pilot.between, pilot_cases / cases
    arm_reader = max(pilot.arm_reader_variance, 0.0)
    scale = arm_reader + ratio * (pilot.error - pilot.same_reader + (readers - 1) * between)
    own = arm_reader + ratio * (pilot.error - pilot.same_reader - between)
    if not (scale > 0 and own > 0):
        raise StatisticsError("The pilot's variance components leave no variance of a difference. Use a larger pilot.")
    df = (readers - 1) * (scale / own) ** 2
    noncentrality = readers * effect**2 / (2 * scale)
    critical = float(stats.f.isf(alpha, 1, df))
    return MrmcPower(
        power=float(stats.ncf.sf(critical, 1, df, noncentrality)),
        readers=readers,
        cases=cases,
        effect=effect,
        alpha=alpha,
        noncentrality=noncentrality,
        degrees_of_freedom=df,
    )


def mrmc_cases_needed(
    pilot: Components,
    *,
    pilot_cases: int,
    effect: float,
    readers: int,
    power: float = 0.8,
    alpha: float = 0.05,
    most: int = 20_000,
) -> MrmcPower:
    """The smallest number of cases with at least this power for so many readers.

    Raises StatisticsError if even `most` cases don't reach it: then readers are lacking, not cases.
    """

    def at(cases: int) -> MrmcPower:
        return mrmc_power(pilot, pilot_cases=pilot_cases, effect=effect, readers=readers, cases=cases, alpha=alpha)

    if at(most).power < power:
        raise StatisticsError(
            f"With {readers} readers even {most} cases reach a power of {at(most).power:.2f} only. Take more readers."
        )
    low, high = 1, most  # power rises with the cases
    while low < high:
        middle = (low + high) // 2
        if at(middle).power >= power:
            high = middle
        else:
            low = middle + 1
    return at(low)


def paired_non_inferiority_cases(
    *, margin: float, discordant: float, difference: float = 0.0, alpha: float = 0.025, power: float = 0.8
) -> PairedSampleSize:
    """Cases needed to show that `first` is not worse by `margin`, if the true difference is `difference` and the two
    disagree in a share `discordant` of the cases (normal approximation; Liu et al. 2002).

    Raises StatisticsError for impossible shares or a true difference at or beyond the margin.
    """
    check_margin(margin, alpha)
    if not abs(difference) <= discordant <= 1 or discordant == 0:
        raise StatisticsError(f"A discordant share of {discordant:g} does not fit a difference of {difference:g}.")
    if difference <= -margin:
        raise StatisticsError(
            f"A true difference of {difference:g} is at the margin or beyond: no study can show more."
        )
    if not 0 < power < 1:
        raise StatisticsError(f"A power of {power:g} is not between 0 and 1.")
    z = float(stats.norm.isf(alpha) + stats.norm.ppf(power))
    cases = ceil(z * z * (discordant - difference**2) / (difference + margin) ** 2)
    return PairedSampleSize(
        cases=max(cases, 1), margin=margin, discordant=discordant, difference=difference, alpha=alpha, power=power
    )
