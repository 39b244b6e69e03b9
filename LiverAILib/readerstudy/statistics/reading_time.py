"""Reading time with and without the AI: a mixed model of log time with arm and period, readers and cases as samples.

Each reader read each case in both arms, so the model is fitted to the log ratio of the two times of every reader-case:
arm + period + reader + case + rest, the last three random (reader-by-arm and case-by-arm effects of the times). On a
crossed study its variances come in closed form from the mean squares, with Satterthwaite's degrees of freedom.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, sqrt

import numpy as np
import numpy.typing as npt
from scipy import stats

from LiverAILib.readerstudy.statistics.estimate import Array, Estimate, StatisticsError, TestResult, check_level


@dataclass(frozen=True, kw_only=True)
class ReadingTime:
    """ratio: geometric mean time of `first` over that of `second`; 0.8 is a fifth less time.

    period_ratio: time in the second period over that in the first, None where arm and period can't be told apart (every
    reader-case had the arms in one order); `notes` says so then.
    """

    first: str
    second: str
    ratio: Estimate
    test: TestResult
    period_ratio: Estimate | None
    notes: tuple[str, ...]


def reading_time_ratio(
    seconds: Mapping[str, Array],
    periods: Mapping[str, npt.NDArray[np.integer]],
    *,
    first: str,
    second: str,
    level: float = 0.95,
) -> ReadingTime:
    """Compare the times of two arms; seconds[arm] and periods[arm] (1 or 2) are (reader, case).

    Raises StatisticsError for a missing or non-positive time, fewer than 3 readers or cases, and times that don't vary.
    """
    check_level(level)
    ratios, order = _log_ratios(seconds, periods, first, second)
    readers, cases = ratios.shape
    inner, inner_order = _double_centred(ratios), _double_centred(order)
    spread = float((inner_order**2).sum())
    known = spread > 1e-9
    slope = float((inner * inner_order).sum()) / spread if known else 0.0
    adjusted = ratios - slope * order
    rest_df = (readers - 1) * (cases - 1) - known
    rest = float((_double_centred(adjusted) ** 2).sum()) / rest_df
    between_readers = cases * float(np.var(adjusted.mean(axis=1), ddof=1))
    between_cases = readers * float(np.var(adjusted.mean(axis=0), ddof=1))
    square, df = _square_of_mean((between_readers, readers - 1), (between_cases, cases - 1), (rest, rest_df))
    variance = square / (readers * cases) + (float(order.mean()) ** 2 * rest / spread if known else 0.0)
    if variance <= 1e-14:
        raise StatisticsError("The times don't vary between readers, cases or arms: there is nothing to estimate.")
    name, unit, n = f"reading time, {first} over {second}", "reader-cases", readers * cases
    method = "paired log times, random readers and cases, Satterthwaite"
    mean = float(adjusted.mean())
    confounded = "Arm and period can't be told apart here: the ratio holds for both together."
    statistic = mean / sqrt(variance)
    return ReadingTime(
        first=first,
        second=second,
        ratio=_ratio(name, mean, variance, df, (n, unit, method, level)),
        test=TestResult(
            name=name,
            statistic=statistic,
            p_value=float(2 * stats.t.sf(abs(statistic), df)),
            n=n,
            unit=unit,
            method=f"{method}, t",
            degrees_of_freedom=(df,),
        ),
        period_ratio=(
            _ratio("reading time, second period over first", slope, rest / spread, rest_df, (n, unit, method, level))
            if known
            else None
        ),
        notes=() if known else (confounded,),
    )


def _log_ratios(
    seconds: Mapping[str, Array], periods: Mapping[str, npt.NDArray[np.integer]], first: str, second: str
) -> tuple[Array, Array]:
    """Log of time in first over time in second, and period of first minus period of second, both (reader, case)."""
    for arm in (first, second):
        if arm not in seconds or arm not in periods:
            raise StatisticsError(f'There are no times of "{arm}".')
    times = np.stack([np.asarray(seconds[arm], dtype=np.float64) for arm in (first, second)])
    when = np.stack([np.asarray(periods[arm], dtype=np.float64) for arm in (first, second)])
    if times.ndim != 3 or when.shape != times.shape:
        raise StatisticsError("Times and periods must be (reader, case), of the same readers and cases in both arms.")
    missing = int((~np.isfinite(times)).sum())
    if missing:
        raise StatisticsError(f"{missing} of {times.size} times are missing. Leave out the cases that lack one.")
    if (times <= 0).any():
        raise StatisticsError(f"{int((times <= 0).sum())} times are not above 0 s. Check the clock's log.")
    if min(times.shape[1:]) < 3:
        raise StatisticsError(f"{times.shape[1]} readers and {times.shape[2]} cases: at least 3 of either are needed.")
    logs = np.log(times)
    return logs[0] - logs[1], when[0] - when[1]


def _double_centred(values: Array) -> Array:
    return np.asarray(values - values.mean(axis=1, keepdims=True) - values.mean(axis=0, keepdims=True) + values.mean())


def _square_of_mean(
    readers: tuple[float, float], cases: tuple[float, float], rest: tuple[float, float]
) -> tuple[float, float]:
    """n times the variance of the grand mean and its degrees of freedom, from (mean square, degrees of freedom).

    A factor whose mean square is below the rest's has no variance of its own.
    """
    used = [part for part in (readers, cases) if part[0] > rest[0]]
    terms = [(1.0, part) for part in used] + [(1.0 - len(used), rest)]
    total = sum(weight * square for weight, (square, _) in terms)
    below = sum((weight * square) ** 2 / df for weight, (square, df) in terms)
    return total, total**2 / below if below > 0 else float(rest[1])


def _ratio(name: str, mean: float, variance: float, df: float, said: tuple[int, str, str, float]) -> Estimate:
    n, unit, method, level = said
    half = float(stats.t.ppf((1 + level) / 2, df)) * sqrt(variance)
    return Estimate(
        name=name,
        value=exp(mean),
        low=exp(mean - half),
        high=exp(mean + half),
        n=n,
        unit=unit,
        method=method,
        level=level,
    )
