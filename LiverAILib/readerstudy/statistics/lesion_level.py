"""Lesion-level figures: recall, FROC, AFROC and the weighted AFROC, with intervals by bootstrap over patients.

The patient is the sampling unit throughout: lesions of one patient are not independent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import stats

from LiverAILib.readerstudy.statistics.estimate import Array, Estimate, StatisticsError, check_level
from LiverAILib.readerstudy.statistics.marks import NOT_MARKED, CaseMarks
from LiverAILib.readerstudy.statistics.merits import CovarianceMethod, MeritTable, Readings, pair_mean_merits
from LiverAILib.readerstudy.statistics.proportions import clopper_pearson
from LiverAILib.readerstudy.statistics.roc import newcombe_auc_interval


@dataclass(frozen=True, kw_only=True)
class FreeResponseCurve:
    """`lesion_fraction` against `abscissa`, from nothing marked to every mark; a mark counts if >= the threshold.

    abscissa: false marks per case (FROC), or the fraction of lesion-free cases with a false mark (AFROC, wAFROC). The
    AFROC curves end with a straight line to (1, 1): the lesions and cases that were never marked.
    """

    name: str
    thresholds: Array
    abscissa: Array
    lesion_fraction: Array


def _check(cases: Sequence[CaseMarks]) -> None:
    if not any(case.lesion_ratings for case in cases):
        raise StatisticsError(f"There is no lesion in {len(cases)} cases: no lesion-level figure is estimable.")


def _without_lesion(cases: Sequence[CaseMarks]) -> Array:
    """Highest false rating of each lesion-free case."""
    found = np.array([case.highest_false for case in cases if not case.lesion_ratings])
    if not found.size:
        raise StatisticsError("There is no case without a lesion: AFROC needs some. Use FROC.")
    return found


def froc_curve(cases: Sequence[CaseMarks]) -> FreeResponseCurve:
    """Fraction of lesions found against false marks per case."""
    _check(cases)
    lesions = np.concatenate([case.lesion_ratings for case in cases])
    false = np.concatenate([case.false_ratings for case in cases])
    thresholds = _thresholds(lesions, false)
    return FreeResponseCurve(
        name="FROC",
        thresholds=thresholds,
        abscissa=(false[None] >= thresholds[:, None]).sum(axis=1) / len(cases),
        lesion_fraction=(lesions[None] >= thresholds[:, None]).mean(axis=1),
    )


def afroc_curve(cases: Sequence[CaseMarks], *, weighted: bool = True) -> FreeResponseCurve:
    """Lesion fraction against the fraction of lesion-free cases with a false mark.

    weighted: every patient with lesions counts 1, shared among the lesions (wAFROC); else every lesion counts 1.
    """
    _check(cases)
    normal = _without_lesion(cases)
    lesions, weights = _weighted_lesions(cases, weighted=weighted)
    thresholds = _thresholds(lesions, normal)
    return FreeResponseCurve(
        name="wAFROC" if weighted else "AFROC",
        thresholds=np.append(thresholds, NOT_MARKED),
        abscissa=np.append((normal[None] >= thresholds[:, None]).mean(axis=1), 1.0),
        lesion_fraction=np.append((lesions[None] >= thresholds[:, None]) @ weights, 1.0),
    )


def _thresholds(*ratings: Array) -> Array:
    marked = np.concatenate(ratings)
    return np.concatenate(([np.inf], np.unique(marked[np.isfinite(marked)])[::-1]))


def _weighted_lesions(cases: Sequence[CaseMarks], *, weighted: bool) -> tuple[Array, Array]:
    """Ratings and weights of all lesions; the weights sum to 1."""
    lesions = np.concatenate([case.lesion_ratings for case in cases])
    sizes = [len(case.lesion_ratings) for case in cases if case.lesion_ratings]
    weights = np.repeat([1 / size if weighted else 1.0 for size in sizes], sizes)
    return lesions, weights / weights.sum()


def figure_kernel(cases: Sequence[CaseMarks]) -> Array:
    """(case with lesions, lesion-free case): mean over the case's lesions of 1 if the lesion outrates the lesion-free
    case's highest false mark, a half for a tie (both unmarked is one). Its mean is the area under the wAFROC curve.
    """
    _check(cases)
    normal = _without_lesion(cases)
    rows = []
    for case in cases:
        if case.lesion_ratings:
            ratings = np.array(case.lesion_ratings)[:, None]
            rows.append(((ratings > normal) + 0.5 * (ratings == normal)).mean(axis=0))
    return np.array(rows)


def wafroc_merits(
    marks: Mapping[str, Mapping[str, Sequence[CaseMarks | None]]],
    *,
    with_lesion: str = "lesion",
    without_lesion: str = "no lesion",
    covariance: CovarianceMethod = "jackknife",
    unit: str = "patients",
) -> MeritTable:
    """wAFROC area of each arm and reader, marks[arm][reader][case], for the multi-reader comparison.

    Raises StatisticsError for a missing case (None), readers that differ between arms, or unequal numbers of lesions.
    """
    arms = tuple(marks)
    readers = tuple(marks[arms[0]]) if arms else ()
    cells: list[Sequence[CaseMarks | None]] = []
    for arm in arms:
        if set(marks[arm]) != set(readers):
            raise StatisticsError(
                f'The readers of "{arm}" are not those of "{arms[0]}": each reader must read every arm.'
            )
        cells += [marks[arm][reader] for reader in readers]
    read: list[list[CaseMarks]] = []
    for cell in cells:
        kept = [case for case in cell if case is not None]
        if len(kept) < len(cell):
            raise StatisticsError(
                f"{len(cell) - len(kept)} of {len(cell)} readings are missing; no mark is not the same."
            )
        read.append(kept)
    lesions = {tuple(len(case.lesion_ratings) for case in cell) for cell in read}
    if len(lesions) != 1:
        raise StatisticsError("The cases or their lesions are not the same for all arms and readers. Check the truth.")
    truth = np.array(next(iter(lesions))) > 0
    readings = Readings(
        arms=arms,
        readers=readers,
        positive=with_lesion,
        negative=without_lesion,
        truth=truth,
        values=np.zeros((len(arms), len(readers), truth.size)),
        unit=unit,
    )
    kernel = np.stack([figure_kernel(cell) for cell in read])
    return pair_mean_merits(readings, kernel, name="wAFROC", covariance=covariance)


@dataclass(frozen=True)
class _Settings:
    replicates: int
    seed: int
    unit: str
    level: float

    def draws(self, n: int, *, stream: int = 0) -> Array:
        """How often each of n patients is in each replicate (replicate, patient); other streams are independent."""
        return _resamples(self.replicates, self.seed, n, stream)


@lru_cache(maxsize=8)
def _resamples(replicates: int, seed: int, n: int, stream: int) -> Array:
    """Drawn once for all readers of the same patients."""
    rng = np.random.default_rng([seed, stream])
    drawn = rng.multinomial(n, np.full(n, 1 / n), size=replicates).astype(np.float64)
    drawn.flags.writeable = False
    return drawn


def wafroc_area(
    cases: Sequence[CaseMarks], *, replicates: int = 2000, seed: int = 0, unit: str = "patients", level: float = 0.95
) -> Estimate:
    """Area under the wAFROC curve of one reader; bootstrap over patients, within those with and without lesions.

    An area of 0 or 1 has Newcombe's score interval.
    """
    kernel = figure_kernel(cases)
    (m, n), settings = kernel.shape, _Settings(replicates, seed, unit, level)
    value = float(kernel.mean())

    def areas() -> Array:
        rows, columns = settings.draws(m), settings.draws(n, stream=1)
        return np.asarray(np.einsum("bi,bi->b", rows @ kernel, columns) / (m * n))

    def unchanging() -> tuple[float, float, str]:
        return *newcombe_auc_interval(value, m, n, level), "Newcombe score interval (no variation)"

    return _bootstrapped("wAFROC area", value, areas, settings, m + n, unchanging)


def lesion_recall(
    cases: Sequence[CaseMarks],
    *,
    threshold: float = NOT_MARKED,
    replicates: int = 2000,
    seed: int = 0,
    unit: str = "patients",
    level: float = 0.95,
) -> Estimate:
    """Share of lesions found by a mark of at least `threshold`, by default by any mark; bootstrap over patients with
    lesions. n is the number of lesions.

    Where all or none are found, the interval is Clopper-Pearson's with as many trials as patients, not lesions.
    """
    _check(cases)
    found, sizes = _found(cases, threshold)
    settings, value = _Settings(replicates, seed, unit, level), float(found.sum() / sizes.sum())

    def recalls() -> Array:
        drawn = settings.draws(sizes.size)
        return np.asarray(drawn @ found / (drawn @ sizes))

    def unchanging() -> tuple[float, float, str]:
        low, high = clopper_pearson(round(value * sizes.size), sizes.size, level)
        return min(low, value), max(high, value), f"Clopper-Pearson of {sizes.size} {unit} (no variation)"

    made = _bootstrapped("lesion recall", value, recalls, settings, int(sizes.sum()), unchanging)
    return replace(made, unit="lesions")


def false_marks_per_case(
    cases: Sequence[CaseMarks],
    *,
    threshold: float = NOT_MARKED,
    replicates: int = 2000,
    seed: int = 0,
    unit: str = "patients",
    level: float = 0.95,
) -> Estimate:
    """Mean number of false marks of at least `threshold`; bootstrap over patients.

    Where every case has the same number, the interval is the exact one of a Poisson mean.
    """
    if not cases:
        raise StatisticsError("There is no case: false marks per case are not estimable.")
    false = np.array([sum(rating >= threshold for rating in case.false_ratings) for case in cases], dtype=float)
    settings, total = _Settings(replicates, seed, unit, level), int(false.sum())

    def means() -> Array:
        return np.asarray(settings.draws(false.size) @ false / false.size)

    def unchanging() -> tuple[float, float, str]:
        tail = (1 - level) / 2
        low = float(stats.chi2.ppf(tail, 2 * total)) / 2 if total else 0.0
        return low / false.size, float(stats.chi2.isf(tail, 2 * total + 2)) / 2 / false.size, "exact Poisson"

    return _bootstrapped("false marks per case", float(false.mean()), means, settings, false.size, unchanging)


def _found(cases: Sequence[CaseMarks], threshold: float) -> tuple[Array, npt.NDArray[np.int64]]:
    """Lesions found and lesions there, for each case with lesions."""
    kept = [np.array(case.lesion_ratings) for case in cases if case.lesion_ratings]
    found = np.array([float(((ratings >= threshold) & (ratings > NOT_MARKED)).sum()) for ratings in kept])
    return found, np.array([ratings.size for ratings in kept])


def _bootstrapped(
    name: str,
    value: float,
    draw: Callable[[], Array],
    settings: _Settings,
    n: int,
    unchanging: Callable[[], tuple[float, float, str]],
) -> Estimate:
    """Percentile interval; where resampling shows no variation (all or nothing found), that of `unchanging`."""
    check_level(settings.level)
    drawn = draw()
    tail = (1 - settings.level) / 2
    low, high = (float(end) for end in np.quantile(drawn, [tail, 1 - tail]))
    method = f"percentile bootstrap over {settings.unit}, {settings.replicates} replicates, seed {settings.seed}"
    if np.ptp(drawn) == 0:
        low, high, method = unchanging()
    return Estimate(
        name=name, value=value, low=low, high=high, n=n, unit=settings.unit, method=method, level=settings.level
    )
