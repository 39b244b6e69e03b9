"""Figures of merit where not every reader read every case: split-plot studies, and readings that are missing.

Each reader's figure is of the cases that this reader read in all arms. Two readers' figures vary together only through
the cases that both read: their covariance is DeLong's over those. The multi-reader test needs nothing else, since with
the same cases in all arms its mean squares hold the same average covariances as in a crossed study. Readings must
be missing by design or at random; whoever leaves out the hard cases is not helped by any formula.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from LiverAILib.readerstudy.statistics.estimate import Array, StatisticsError, check_truth
from LiverAILib.readerstudy.statistics.lesion_level import figure_kernel
from LiverAILib.readerstudy.statistics.marks import CaseMarks
from LiverAILib.readerstudy.statistics.merits import (
    DecisionFigure,
    MeritTable,
    Readings,
    check_decisions,
    decided_cases,
)
from LiverAILib.readerstudy.statistics.roc import placements

METHOD = "each reader's own cases, DeLong covariance over shared cases"


def shared_case_covariance(values: Array) -> Array:
    """Covariance (rater, rater) of the means of values (rater, case), NaN where a rater has no value.

    From the cases that two raters share; 0 for raters that share fewer than two. Without gaps it is the usual one.
    """
    there = np.isfinite(values)
    filled, there = np.where(there, values, 0.0), there.astype(np.float64)
    own, shared = there.sum(axis=1), there @ there.T
    sums = filled @ there.T  # of the first rater's values over the cases that the second has too
    products = filled @ filled.T - sums * sums.T / np.maximum(shared, 1)
    per_case = np.where(shared > 1, products / np.maximum(shared - 1, 1), 0.0)
    return np.asarray(per_case * shared / np.outer(own, own))


def _check_arms(readings: Readings) -> None:
    read = np.isfinite(readings.values)
    uneven = np.asarray(read.any(axis=0) & ~read.all(axis=0))
    for reader in np.flatnonzero(uneven.any(axis=1)):
        raise StatisticsError(
            f"{readings.readers[reader]} read some cases in one arm only. Leave those out, so that the arms are "
            "compared on the same cases."
        )


def _table(
    readings: Readings, name: str, parts: Sequence[Array], values: Array, used: tuple[int, int], least: int = 2
) -> MeritTable:
    """The table from the raters' values in each class of cases (rater, case)."""
    for part in parts:
        counts = np.isfinite(part).sum(axis=1)
        if counts.min() < least:
            rater = int(counts.argmin()) % len(readings.readers)
            raise StatisticsError(
                f"{name}: {readings.readers[rater]} read {counts.min()} cases of a class; a variance needs {least}."
            )
    shape = (len(readings.arms), len(readings.readers))
    covariance = np.sum([shared_case_covariance(part) for part in parts], axis=0)
    return MeritTable(
        name=name,
        arms=readings.arms,
        readers=readings.readers,
        values=values.reshape(shape),
        covariance=covariance.reshape(*shape, *shape),
        n_positive=used[0],
        n_negative=used[1],
        unit=readings.unit,
        method=METHOD,
    )


def available_auc_merits(readings: Readings) -> MeritTable:
    """Empirical AUC of each arm and reader over the cases that the reader read; n are the cases that anyone read."""
    known = check_truth(readings.truth, readings.positive, readings.negative)
    _check_arms(readings)
    values = readings.values.reshape(-1, known.size)
    above, below = np.full(values.shape, np.nan), np.full(values.shape, np.nan)
    for rater, ratings in enumerate(values):
        read = np.isfinite(ratings)
        sick, well = known & read, ~known & read
        if not (sick.any() and well.any()) or np.ptp(ratings[read]) == 0:
            who = readings.readers[rater % len(readings.readers)]
            raise StatisticsError(f"{who}: the cases read are of one class or all rated alike; there is no ROC curve.")
        (above[rater, sick],), (below[rater, well],) = placements(ratings[None, sick], ratings[None, well])
    anyone = np.isfinite(values).any(axis=0)
    used = (int((known & anyone).sum()), int((~known & anyone).sum()))
    areas = np.nanmean(above, axis=1)
    return _table(readings, "AUC", (above[:, known], below[:, ~known]), areas, used)


def available_decision_merits(readings: Readings, figure: DecisionFigure) -> MeritTable:
    """Share of right decisions of each arm and reader over the cases that the reader read."""
    known = check_truth(readings.truth, readings.positive, readings.negative)
    _check_arms(readings)
    check_decisions(readings, figure)
    kept = decided_cases(known, figure)
    values = readings.values.reshape(-1, known.size)
    right = np.where(np.isfinite(values), values == known, np.nan)[:, kept]
    anyone = np.isfinite(right).any(axis=0)
    used = (int((known[kept] & anyone).sum()), int((~known[kept] & anyone).sum()))
    shares = np.array([row[np.isfinite(row)].mean() if np.isfinite(row).any() else np.nan for row in right])
    return _table(readings, figure, (right,), shares, used)


def available_wafroc_merits(
    marks: Mapping[str, Mapping[str, Sequence[CaseMarks | None]]], *, unit: str = "patients"
) -> MeritTable:
    """wAFROC area of each arm and reader, marks[arm][reader][case] with None for a case that was not read."""
    arms = tuple(marks)
    readers = tuple(marks[arms[0]])
    cells = [marks[arm][reader] for arm in arms for reader in readers]
    size = len(cells[0])
    lesions = np.full(size, -1)
    read = np.zeros((len(cells), size), dtype=bool)
    for rater, cell in enumerate(cells):
        for k, case in enumerate(cell):
            if case is not None:
                read[rater, k] = True
                lesions[k] = len(case.lesion_ratings)
    with_lesion = lesions > 0
    readings = Readings(
        arms=arms,
        readers=readers,
        positive="lesion",
        negative="no lesion",
        truth=with_lesion,
        values=np.where(read, 0.0, np.nan).reshape(len(arms), len(readers), size),
        unit=unit,
    )
    _check_arms(readings)
    above, below = np.full(read.shape, np.nan), np.full(read.shape, np.nan)
    for rater, cell in enumerate(cells):
        kernel = figure_kernel([case for case in cell if case is not None])
        above[rater, with_lesion & read[rater]] = kernel.mean(axis=1)
        below[rater, ~with_lesion & read[rater]] = kernel.mean(axis=0)
    used = (int(with_lesion.sum()), int((lesions == 0).sum()))
    areas = np.nanmean(above, axis=1)
    return _table(readings, "wAFROC", (above[:, with_lesion], below[:, ~with_lesion]), areas, used)
