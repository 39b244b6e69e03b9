"""Comparing arms over readers and cases: Obuchowski and Rockette (1995) with Hillis' degrees of freedom (2007).

The test that readers and cases are both samples, so that the answer holds for other readers and other patients; fixed
readers (these readers, other patients) and fixed cases (other readers, these patients) are the narrower questions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from math import inf, sqrt

import numpy as np
from scipy import stats

from LiverAILib.readerstudy.statistics.estimate import (
    Array,
    Estimate,
    Sampling,
    StatisticsError,
    TestResult,
    check_level,
)
from LiverAILib.readerstudy.statistics.merits import MeritTable
from LiverAILib.readerstudy.statistics.proportions import clopper_pearson
from LiverAILib.readerstudy.statistics.roc import PairedDifference, newcombe_auc_interval

#: Variances below this are rounding.
TINY = 1e-14


@dataclass(frozen=True, kw_only=True)
class Components:
    """Mean squares and covariances of the Obuchowski-Rockette model; a variance of readers may come out negative.

    error: variance over cases of one figure. same_reader (Cov1): another arm, the same reader; same_arm (Cov2): another
    reader; neither (Cov3): both other. A mean square that one reader or arm does not have is NaN.
    """

    ms_arm: float
    ms_reader: float
    ms_arm_reader: float
    error: float
    same_reader: float
    same_arm: float
    neither: float

    @property
    def between(self) -> float:
        """max(Cov2 - Cov3, 0): what the readers' sharing of the cases adds to a difference of arms."""
        return max(self.same_arm - self.neither, 0.0)

    @property
    def arm_reader_variance(self) -> float:
        """Variance of the arm-by-reader effect."""
        return self.ms_arm_reader - self.error + self.same_reader + self.between


@dataclass(frozen=True, kw_only=True)
class MrmcAnalysis:
    """arm_means by arm; differences for each pair of arms, and for each reader; the test that all arms are equal."""

    merit: str
    sampling: Sampling
    arm_means: dict[str, Estimate]
    differences: tuple[PairedDifference, ...]
    reader_differences: dict[str, tuple[PairedDifference, ...]]
    test: TestResult
    components: Components
    notes: tuple[str, ...]

    def difference(self, first: str, second: str) -> PairedDifference:
        """The comparison `first` minus `second`, whichever way round it was made."""
        for found in self.differences:
            if (found.first, found.second) == (first, second):
                return found
            if (found.second, found.first) == (first, second):
                return _turned(found)
        raise StatisticsError(f'"{first}" and "{second}" are not two arms of this analysis.')


def _turned(found: PairedDifference) -> PairedDifference:
    name = f"{found.difference.name.split(',')[0]}, {found.second} minus {found.first}"
    old, test = found.difference, found.test
    return PairedDifference(
        first=found.second,
        second=found.first,
        difference=replace(old, name=name, value=-old.value, low=-old.high, high=-old.low),
        test=replace(test, name=name, statistic=-test.statistic),
    )


def components_of(merits: MeritTable) -> Components:
    """Mean squares of the arm-by-reader table and mean covariances of its entries."""
    arms, readers = merits.values.shape
    values, covariance = merits.values, merits.covariance
    of_arm, of_reader, grand = values.mean(axis=1), values.mean(axis=0), values.mean()
    rest = values - of_arm[:, None] - of_reader[None] + grand
    same_arm = np.eye(arms, dtype=bool)[:, None, :, None]
    same_reader = np.eye(readers, dtype=bool)[None, :, None, :]

    def mean(where: np.ndarray) -> float:
        chosen = covariance[np.broadcast_to(where, covariance.shape)]
        return float(chosen.mean()) if chosen.size else 0.0

    return Components(
        ms_arm=readers * float(np.var(of_arm, ddof=1)) if arms > 1 else np.nan,
        ms_reader=arms * float(np.var(of_reader, ddof=1)) if readers > 1 else np.nan,
        ms_arm_reader=float((rest**2).sum()) / ((arms - 1) * (readers - 1)) if min(arms, readers) > 1 else np.nan,
        error=mean(same_arm & same_reader),
        same_reader=mean(~same_arm & same_reader),
        same_arm=mean(same_arm & ~same_reader),
        neither=mean(~same_arm & ~same_reader),
    )


def difference_scale(parts: Components, arms: int, readers: int, sampling: Sampling) -> tuple[float, float]:
    """(expected mean square of arms if they are equal, its degrees of freedom); twice the first over the number of
    readers is the variance of a difference of two arms.
    """
    if sampling == "fixed readers, random cases":
        return parts.error - parts.same_reader + (readers - 1) * parts.between, inf
    own = (arms - 1) * (readers - 1)
    if sampling == "random readers, fixed cases":
        return parts.ms_arm_reader, own
    scale = parts.ms_arm_reader + readers * parts.between
    return scale, own * (scale / parts.ms_arm_reader) ** 2 if parts.ms_arm_reader > TINY else inf


def f_tail(statistic: float, df_1: float, df_2: float) -> float:
    """P(F > statistic); df_2 may be infinite."""
    return float(stats.chi2.sf(statistic * df_1, df_1) if df_2 == inf else stats.f.sf(statistic, df_1, df_2))


def t_quantile(share: float, df: float) -> float:
    """Quantile of Student's t; df may be infinite."""
    return float(stats.norm.ppf(share) if df == inf else stats.t.ppf(share, df))


def check_sampling(readers: int, sampling: Sampling) -> None:
    """Raise StatisticsError for random readers with fewer than three of them."""
    if sampling.startswith("random readers") and readers < 3:
        raise StatisticsError(
            f"{readers} reader{'s' * (readers != 1)}: fewer than 3 can't stand for all readers. Take more readers, or "
            "ask about these readers only (fixed readers, random cases)."
        )


def obuchowski_rockette(
    merits: MeritTable, sampling: Sampling = "random readers, random cases", level: float = 0.95
) -> MrmcAnalysis:
    """Compare the arms of a fully crossed study.

    Raises StatisticsError with one arm, with fewer than 3 random readers, and if the variance comes out 0 or negative.
    """
    check_level(level)
    arms, readers = merits.values.shape
    if arms < 2:
        raise StatisticsError(f'There is only the arm "{merits.arms[0]}": a comparison needs two.')
    check_sampling(readers, sampling)
    parts = components_of(merits)
    scale, df = difference_scale(parts, arms, readers, sampling)
    if parts.error < -TINY:
        raise StatisticsError(
            f"{merits.name}: the variance over cases comes out negative ({parts.error:.1g}). There are too few cases "
            f"for this estimate ({merits.method}); use the jackknife, or more cases."
        )
    if scale <= TINY:
        raise StatisticsError(
            f"{merits.name}: the variance of the difference of arms comes out as {scale:.1g}, not above 0, so there is "
            "no test. The arms differ by the same amount in every reader and case, or the study is too small."
        )
    notes = []
    if sampling.startswith("random") and parts.arm_reader_variance < 0:
        notes.append(f"The arm-by-reader variance comes out negative ({parts.arm_reader_variance:.2g}): taken as is.")
    if parts.same_arm < parts.neither:
        notes.append("Cov2 is below Cov3; their difference is taken as 0.")
    method = f"Obuchowski-Rockette-Hillis, {sampling}, {merits.method}"
    statistic = parts.ms_arm / scale
    means = merits.values.mean(axis=1)
    pairs = list(combinations(range(arms), 2))
    error = sqrt(2 * scale / readers)
    alone = {
        reader: tuple(
            _compare(
                merits,
                (a, b),
                float(merits.values[a, j] - merits.values[b, j]),
                merits.covariance[a, j, a, j] + merits.covariance[b, j, b, j] - 2 * merits.covariance[a, j, b, j],
                inf,
                f"{reader} alone, {merits.method}",
                level,
            )
            for a, b in pairs
        )
        for j, reader in enumerate(merits.readers)
    }
    return MrmcAnalysis(
        merit=merits.name,
        sampling=sampling,
        arm_means={arm: arm_mean(merits, arm, sampling, level) for arm in merits.arms},
        differences=tuple(
            _compare(merits, (a, b), float(means[a] - means[b]), error**2, df, method, level) for a, b in pairs
        ),
        reader_differences=alone,
        test=TestResult(
            name=f"{merits.name}, all arms equal",
            statistic=statistic,
            p_value=f_tail(statistic, arms - 1, df),
            n=merits.n,
            unit=merits.unit,
            method=f"{method}, F",
            degrees_of_freedom=(arms - 1, df),
        ),
        components=parts,
        notes=tuple(notes),
    )


def _compare(
    merits: MeritTable, pair: tuple[int, int], value: float, variance: float, df: float, method: str, level: float
) -> PairedDifference:
    """One difference with t interval and test; without variance p is 1 if there is no difference, else NaN."""
    first, second = merits.arms[pair[0]], merits.arms[pair[1]]
    name, error = f"{merits.name}, {first} minus {second}", sqrt(max(variance, 0.0))
    half = t_quantile((1 + level) / 2, df) * error
    if error**2 > TINY:
        statistic = value / error
        p = f_tail(statistic**2, 1, df)
    else:
        statistic, p = (0.0, 1.0) if abs(value) < 1e-12 else (np.nan, np.nan)
        method += ", no variance: no interval"
    n, unit = merits.n, merits.unit
    return PairedDifference(
        first=first,
        second=second,
        difference=Estimate(
            name=name, value=value, low=value - half, high=value + half, n=n, unit=unit, method=method, level=level
        ),
        test=TestResult(
            name=name, statistic=statistic, p_value=p, n=n, unit=unit, method=method, degrees_of_freedom=(df,)
        ),
    )


def arm_mean(
    merits: MeritTable, arm: str, sampling: Sampling = "random readers, random cases", level: float = 0.95
) -> Estimate:
    """The readers' mean in one arm, from that arm's readings alone (Hillis 2014).

    Where all readers are right on every case there is no variance: the interval is then that of a single reader, and
    `method` says so. Raises StatisticsError with fewer than 3 random readers.
    """
    readers = len(merits.readers)
    check_sampling(readers, sampling)
    values, covariance = merits.values[merits.arms.index(arm)], own_covariance(merits, arm)
    error = float(np.trace(covariance)) / readers
    shared = float(covariance.sum() - np.trace(covariance)) / (readers * (readers - 1)) if readers > 1 else 0.0
    spread = float(np.var(values, ddof=1)) if readers > 1 else 0.0
    if sampling == "fixed readers, random cases":
        scale, df = error + (readers - 1) * shared, inf
    elif sampling == "random readers, fixed cases":
        scale, df = spread, float(readers - 1)
    else:
        scale = spread + readers * max(shared, 0.0)
        df = (readers - 1) * (scale / spread) ** 2 if spread > TINY else inf
    value, method = float(values.mean()), f"{sampling}, {merits.method}"
    if scale > TINY:
        half = t_quantile((1 + level) / 2, df) * sqrt(scale / readers)
        low, high = max(value - half, 0.0), min(value + half, 1.0)
    else:
        low, high, method = _without_variance(merits, value, level)
    return Estimate(
        name=f"{merits.name}, {arm}",
        value=value,
        low=low,
        high=high,
        n=merits.n,
        unit=merits.unit,
        method=method,
        level=level,
    )


def own_covariance(merits: MeritTable, arm: str) -> Array:
    """Covariance (reader, reader) of one arm. Raises StatisticsError for an arm that is not there."""
    if arm not in merits.arms:
        raise StatisticsError(f'"{arm}" is none of the arms {", ".join(merits.arms)}.')
    index = merits.arms.index(arm)
    return merits.covariance[index, :, index, :]


def _without_variance(merits: MeritTable, value: float, level: float) -> tuple[float, float, str]:
    if value not in (0.0, 1.0):
        raise StatisticsError(f"{merits.name}: no reader differs and no case varies, so {value:.3f} has no interval.")
    if merits.n_positive and merits.n_negative and merits.name != "accuracy":
        low, high = newcombe_auc_interval(value, merits.n_positive, merits.n_negative, level)
        return low, high, "Newcombe score interval of one reader (no variance)"
    low, high = clopper_pearson(round(value * merits.n), merits.n, level)
    return low, high, "Clopper-Pearson of one reader (no variance)"
