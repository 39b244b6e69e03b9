"""ROC curves and their areas; readers' points without and with the AI, joined by lines."""

from __future__ import annotations

from functools import partial

import numpy as np
import numpy.typing as npt

from LiverAILib.readerstudy.analysis import plots
from LiverAILib.readerstudy.analysis.prepared import Prepared
from LiverAILib.readerstudy.analysis.select import Grid, rater_name
from LiverAILib.readerstudy.analysis.study_section import pair_of
from LiverAILib.readerstudy.analysis.tables import Cell, Picture, Section, Table, attempt, attempt_both
from LiverAILib.readerstudy.statistics.estimate import Array, Estimate, StatisticsError
from LiverAILib.readerstudy.statistics.roc import PairedDifference, RocCurve, auc, compare_aucs, roc_curve


def roc_section(prepared: Prepared) -> Section:
    """Areas with DeLong's intervals, the paired test of each reader's two arms, and the plots."""
    tables: list[Table] = []
    pictures: list[Picture] = []
    for grid in prepared.grids:
        tables.append(_areas(grid, prepared))
        if (pair := pair_of(prepared.data.protocol)) is not None:
            tables.append(_paired(grid, pair, prepared.settings.level))
        pictures += _pictures(grid, prepared)
    return Section(
        title="ROC curves",
        text=("Ratings are the stated probabilities of the class asked for; a case without a rating is left out.",),
        tables=tuple(tables),
        pictures=tuple(pictures),
    )


def _rated(grid: Grid, ratings: Array) -> tuple[npt.NDArray[np.bool_], Array]:
    there = np.isfinite(ratings)
    return grid.truth[there], ratings[there]


def _area(grid: Grid, who: str, arm: str | None, level: float) -> Estimate:
    truth, ratings = _rated(grid, grid.row(who, arm, "ratings"))
    if not ratings.size:
        raise StatisticsError(f"{rater_name(who, arm)}: there are no ratings, so there is no ROC curve.")
    name = rater_name(who, arm)
    return auc(
        truth, ratings, positive=grid.target.positive, negative=grid.target.negative, who=f"AUC, {name}", level=level
    )


def _areas(grid: Grid, prepared: Prepared) -> Table:
    cells = tuple(
        Cell(
            row=rater_name(who, arm),
            column=f"AUC ({grid.target.positive})",
            content=attempt(partial(_area, grid, who, arm, prepared.settings.level)),
        )
        for who, arm in grid.raters
    )
    return Table(
        key=f"auc_{grid.target.name.lower()}",
        title=f"Area under the ROC curve: {grid.target.positive} or not",
        rows_are="reader, arm",
        cells=cells,
    )


def _compare(grid: Grid, reader: str, pair: tuple[str, str], level: float) -> PairedDifference:
    rows = [grid.row(reader, arm, "ratings") for arm in pair]
    both = np.isfinite(rows[0]) & np.isfinite(rows[1])
    if not both.any():
        raise StatisticsError(f"{reader} rated no case in both arms.")
    return compare_aucs(
        grid.truth[both],
        {arm: row[both] for arm, row in zip(pair, rows, strict=True)},
        first=pair[0],
        second=pair[1],
        positive=grid.target.positive,
        negative=grid.target.negative,
        level=level,
    )


def _paired(grid: Grid, pair: tuple[str, str], level: float) -> Table:
    cells: list[Cell] = []
    for reader in grid.readers:
        contents = attempt_both(partial(_compare, grid, reader, pair, level))
        for column, content in zip(("difference of AUC", "test"), contents, strict=True):
            cells.append(Cell(row=reader, column=column, content=content))
    return Table(
        key=f"auc_paired_{grid.target.name.lower()}",
        title=f"AUC of each reader, {pair[0]} minus {pair[1]}: {grid.target.positive} or not",
        rows_are="reader",
        cells=tuple(cells),
        notes=("One reader at a time, these cases as a sample; the comparison over readers is in section 2.",),
    )


def curve_of(grid: Grid, ratings: Array) -> RocCurve | None:
    """The empirical curve, None where there is none."""
    truth, rated = _rated(grid, ratings)
    try:
        return roc_curve(truth, rated, positive=grid.target.positive, negative=grid.target.negative)
    except StatisticsError:
        return None


def _point(grid: Grid, decisions: Array) -> tuple[float, float] | None:
    """(1 - specificity, sensitivity), None without answers in both classes."""
    there = np.isfinite(decisions)
    sick, well = decisions[grid.truth & there], decisions[~grid.truth & there]
    return (float(well.mean()), float(sick.mean())) if sick.size and well.size else None


def _pictures(grid: Grid, prepared: Prepared) -> list[Picture]:
    positive, name = grid.target.positive, grid.target.name.lower()
    found: list[Picture] = []
    pair = pair_of(prepared.data.protocol)
    machine = curve_of(grid, grid.ai_ratings)
    n = f"n = {int(grid.truth.sum())} {positive}, {int((~grid.truth).sum())} {grid.target.negative} (patients)"
    if pair is not None:
        first, second = grid.arms.index(pair[0]), grid.arms.index(pair[1])
        moves = [
            plots.Move(
                name=reader,
                before=_point(grid, grid.decisions[second, j]),
                after=_point(grid, grid.decisions[first, j]),
            )
            for j, reader in enumerate(grid.readers)
        ]
        found.append(
            Picture(
                key=f"roc_points_{name}",
                title=f"Readers' points and the AI's curve: {positive} or not",
                caption=f"Each line leads from a reader's point {pair[1]} (open) to that {pair[0]} (filled); {n}.",
                draw=partial(
                    plots.draw_points,
                    moves=moves,
                    arms=pair,
                    curve=machine,
                    ai_point=_point(grid, grid.ai_decisions),
                    positive=positive,
                    negative=grid.target.negative,
                ),
                inches=(6.4, 5.6),
            )
        )
    curves = {arm: [curve_of(grid, row) for row in grid.ratings[i]] for i, arm in enumerate(grid.arms)}
    if any(curve is not None for row in curves.values() for curve in row):
        found.append(
            Picture(
                key=f"roc_curves_{name}",
                title=f"Readers' ROC curves: {positive} or not",
                caption=f"Thin: each reader. Thick: mean of the readers' curves at each false positive fraction; {n}.",
                draw=partial(
                    plots.draw_curves, curves=curves, ai=machine, positive=positive, negative=grid.target.negative
                ),
                inches=(6.4, 5.6),
            )
        )
    return found
