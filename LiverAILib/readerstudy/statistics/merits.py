"""Figures of merit of every arm and reader on the same cases, with their covariance over cases.

A figure is a mean over cases (accuracy, sensitivity, specificity) or over pairs of a positive and a negative case (AUC,
wAFROC). For either the covariance of all arms and readers comes in closed form, so nothing is resampled.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from LiverAILib.readerstudy.statistics.estimate import Array, StatisticsError, check_truth
from LiverAILib.readerstudy.statistics.roc import delong_covariance

CovarianceMethod = Literal["jackknife", "DeLong", "unbiased"]
DecisionFigure = Literal["accuracy", "sensitivity", "specificity"]


@dataclass(frozen=True, kw_only=True)
class Readings:
    """A fully crossed study: values (arm, reader, case), and truth (case,), True for class `positive`.

    values: ratings, higher for `positive`; or decisions, 1 for called `positive` and 0 for called `negative`; NaN is a
    missing reading.
    """

    arms: tuple[str, ...]
    readers: tuple[str, ...]
    positive: str
    negative: str
    truth: npt.NDArray[np.bool_]
    values: Array
    unit: str = "patients"

    def __post_init__(self) -> None:
        for names, what in ((self.arms, "arm"), (self.readers, "reader")):
            if not names or len(set(names)) != len(names):
                raise StatisticsError(f"Each {what} needs a name of its own; got {', '.join(names) or 'none'}.")
        expected = (len(self.arms), len(self.readers), np.size(self.truth))
        if np.shape(self.values) != expected:
            raise StatisticsError(f"The readings are {np.shape(self.values)}, not (arm, reader, case) = {expected}.")

    def complete(self) -> tuple[Readings, int]:
        """The cases that every reader read in every arm, and how many cases are left out."""
        kept = np.isfinite(self.values).all(axis=(0, 1))
        left = replace(self, truth=np.asarray(self.truth)[kept], values=self.values[..., kept])
        return left, int((~kept).sum())

    def with_ai(self, ai: str, values: Array) -> Readings:
        """These readings with an arm more: the AI's values (case,), the same for every reader."""
        if np.shape(values) != np.shape(self.truth):
            raise StatisticsError(f"{ai}: {np.size(values)} values for {np.size(self.truth)} cases.")
        repeated = np.broadcast_to(values, (1, *self.values.shape[1:]))
        return replace(self, arms=(*self.arms, ai), values=np.concatenate((self.values, repeated)))

    def checked(self) -> npt.NDArray[np.bool_]:
        """The truth, after checking that both classes are there and no reading is missing."""
        known = check_truth(self.truth, self.positive, self.negative)
        missing = ~np.isfinite(self.values)
        if missing.any():
            arm, reader = np.argwhere(missing.any(axis=2))[0]
            raise StatisticsError(
                f"{int(missing.sum())} of {missing.size} readings are missing (the first: {self.readers[reader]}, "
                f"{self.arms[arm]}); this method needs every reader to read every case in every arm. Complete them, "
                "or analyse the cases that all have read."
            )
        return known


@dataclass(frozen=True, kw_only=True)
class MeritTable:
    """values (arm, reader) and their covariance (arm, reader, arm, reader) over cases.

    n_positive, n_negative: the cases of either class that the figure uses; 0 where it uses none of that class.
    """

    name: str
    arms: tuple[str, ...]
    readers: tuple[str, ...]
    values: Array
    covariance: Array
    n_positive: int
    n_negative: int
    unit: str
    method: str

    @property
    def n(self) -> int:
        """Cases that the figure uses."""
        return self.n_positive + self.n_negative


def pair_mean_covariance(kernel: Array, method: CovarianceMethod) -> Array:
    """Covariance (rater, rater) of the means of kernel (rater, m positive cases, n negative cases).

    "jackknife": leave one case out, over all m + n cases. "DeLong": DeLong et al. 1988. "unbiased": the U-statistic
    estimate from the mean products of pairs that share both cases, one, or none (Gallas 2006); it may be negative.
    """
    raters, m, n = kernel.shape
    if min(m, n) < 2:
        raise StatisticsError(f"{m} positive and {n} negative cases: a variance needs two of either.")
    of_positive, of_negative = kernel.mean(axis=2), kernel.mean(axis=1)
    if method == "DeLong":
        return delong_covariance(of_positive, of_negative)
    if method == "jackknife":
        full = of_positive.mean(axis=1, keepdims=True)
        without = np.concatenate(((m * full - of_positive) / (m - 1), (n * full - of_negative) / (n - 1)), axis=1)
        without -= without.mean(axis=1, keepdims=True)
        return np.asarray(without @ without.T * (m + n - 1) / (m + n))
    flat = kernel.reshape(raters, m * n)
    rows, columns, total = of_positive * n, of_negative * m, flat.sum(axis=1)
    both = flat @ flat.T
    same_positive, same_negative = rows @ rows.T - both, columns @ columns.T - both
    neither = np.outer(total, total) - both - same_positive - same_negative
    apart = neither / (m * (m - 1) * n * (n - 1))
    mean_square = (both + same_positive + same_negative) / (m * n) ** 2
    return np.asarray(mean_square - apart * (m + n - 1) / (m * n))


def _table(readings: Readings, name: str, values: Array, covariance: Array, m: int, n: int, method: str) -> MeritTable:
    shape = (len(readings.arms), len(readings.readers))
    return MeritTable(
        name=name,
        arms=readings.arms,
        readers=readings.readers,
        values=values.reshape(shape),
        covariance=covariance.reshape(*shape, *shape),
        n_positive=m,
        n_negative=n,
        unit=readings.unit,
        method=method,
    )


def pair_mean_merits(
    readings: Readings, kernel: Array, *, name: str, covariance: CovarianceMethod = "jackknife"
) -> MeritTable:
    """The figure that is the mean of kernel (arm * reader, positive case, negative case)."""
    _, m, n = kernel.shape
    method = f"{covariance} covariance"
    return _table(readings, name, kernel.mean(axis=(1, 2)), pair_mean_covariance(kernel, covariance), m, n, method)


def auc_merits(readings: Readings, covariance: CovarianceMethod = "jackknife") -> MeritTable:
    """Empirical AUC of each arm and reader. Raises StatisticsError if one gave all cases the same rating."""
    known = readings.checked()
    for arm, reader in np.argwhere(np.ptp(readings.values, axis=2) == 0):
        who = f"{readings.readers[reader]}, {readings.arms[arm]}"
        raise StatisticsError(f"{who}: all ratings are the same; such ties carry no ROC curve.")
    ratings = readings.values.reshape(-1, known.size)
    above = ratings[:, known][:, :, None] - ratings[:, ~known][:, None, :]
    return pair_mean_merits(readings, (np.sign(above) + 1) / 2, name="AUC", covariance=covariance)


def check_decisions(readings: Readings, figure: DecisionFigure) -> None:
    """Raise StatisticsError if a value is neither 0 nor 1 nor missing."""
    if not (np.isin(readings.values, (0, 1)) | np.isnan(readings.values)).all():
        raise StatisticsError(f"{figure} needs decisions: 1 for {readings.positive}, 0 for {readings.negative}.")


def decided_cases(known: npt.NDArray[np.bool_], figure: DecisionFigure) -> npt.NDArray[np.bool_]:
    """The cases (case,) that a figure is of: all, those of the positive class, or those of the negative one."""
    return {"accuracy": np.ones_like(known), "sensitivity": known, "specificity": ~known}[figure]


def decision_merits(readings: Readings, figure: DecisionFigure) -> MeritTable:
    """Share of right decisions among all cases, the positive ones or the negative ones.

    For a mean over cases jackknife, DeLong's and the unbiased covariance are the same. Raises StatisticsError if a
    value is not 0 or 1, or if there are fewer than two such cases.
    """
    known = readings.checked()
    check_decisions(readings, figure)
    used = decided_cases(known, figure)
    right = (readings.values == known)[..., used].reshape(-1, int(used.sum())).astype(np.float64)
    if right.shape[1] < 2:
        raise StatisticsError(f"{figure}: one case carries no variance.")
    centred = right - right.mean(axis=1, keepdims=True)
    covariance = centred @ centred.T / (right.shape[1] * (right.shape[1] - 1))
    m, n = int((used & known).sum()), int((used & ~known).sum())
    return _table(readings, figure, right.mean(axis=1), covariance, m, n, "covariance over cases")
