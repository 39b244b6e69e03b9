"""The AI against the readers: over readers and cases, and reader by reader on the same patients."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from LiverAILib.readerstudy.analysis.arms_section import BOTH_RANDOM, Asked, asked, claim_words
from LiverAILib.readerstudy.analysis.prepared import Prepared
from LiverAILib.readerstudy.analysis.select import AI, Grid
from LiverAILib.readerstudy.analysis.study_section import pair_of
from LiverAILib.readerstudy.analysis.tables import Cell, Content, Plain, Refusal, Section, Table, attempt
from LiverAILib.readerstudy.statistics.claims import ai_against_readers, mrmc_non_inferiority
from LiverAILib.readerstudy.statistics.estimate import Array, StatisticsError, TestResult
from LiverAILib.readerstudy.statistics.incomplete import METHOD
from LiverAILib.readerstudy.statistics.merits import MeritTable
from LiverAILib.readerstudy.statistics.paired import (
    PairedCounts,
    count_pairs,
    mcnemar,
    newcombe_interval,
    paired_non_inferiority,
    tango_interval,
)
from LiverAILib.readerstudy.statistics.roc import PairedDifference


def ai_section(prepared: Prepared) -> Section:
    """Hillis' one-row model for every figure and arm; exact paired comparisons of accuracy; non-inferiority."""
    tables = []
    if any(grid.has_ai for grid in prepared.grids):
        tables = [_over_readers(prepared), *(_pairs(grid, prepared) for grid in prepared.grids if grid.has_ai)]
    tables += [_two_arms(grid, prepared) for grid in prepared.grids]
    return Section(
        title="The AI against the readers, and paired accuracy",
        text=(
            (
                "Over readers: the AI's figure minus the readers' mean, readers and cases random "
                "(Obuchowski-Rockette-Hillis for one row of differences). By reader: right or wrong on the same "
                "patients. These tests are not adjusted for their number."
            ),
        ),
        tables=tuple(table for table in tables if table.cells),
    )


def _with_ai(prepared: Prepared, which: Asked, arm: str) -> tuple[MeritTable, PairedDifference]:
    table = prepared.merits(which.merit, which.target, with_ai=True)
    own = table.method == METHOD
    return table, ai_against_readers(
        table, ai=AI, arm=arm, sampling=BOTH_RANDOM, level=prepared.settings.level, own_cases=own
    )


def _over_readers(prepared: Prepared) -> Table:
    cells: list[Cell] = []
    notes: list[str] = []
    endpoint = prepared.data.protocol.endpoint
    margin = endpoint.margin if endpoint is not None else None
    for which in asked(prepared):
        for arm in prepared.data.arm_names:
            row = f"{which.name}, readers {arm}"
            try:
                table, found = _with_ai(prepared, which, arm)
                contents: tuple[Content, ...] = (found.difference, found.test)
            except StatisticsError as refusal:
                contents = (Refusal(str(refusal)),) * 2
            columns = ("AI minus readers", "test of no difference")
            cells += [Cell(row=row, column=c, content=each) for c, each in zip(columns, contents, strict=True)]
            if margin is not None and not isinstance(contents[0], Refusal):
                alpha = prepared.data.protocol.alpha / 2
                try:
                    claim = mrmc_non_inferiority(_only(table, arm), first=AI, second=arm, margin=margin, alpha=alpha)
                    cells.append(Cell(row=row, column=f"test against -{margin:g}, one-sided", content=claim.test))
                    notes.append(f"{which.name}: {claim_words(claim, f'the readers {arm}')}")
                except StatisticsError as refusal:
                    refused = Refusal(str(refusal))
                    cells.append(Cell(row=row, column=f"test against -{margin:g}, one-sided", content=refused))
    return Table(
        key="ai_against_readers",
        title="The AI minus the readers' mean",
        rows_are="figure, arm of the readers",
        cells=tuple(cells),
        notes=tuple(notes),
    )


def _only(table: MeritTable, arm: str) -> MeritTable:
    """The AI and one arm."""
    chosen = [table.arms.index(AI), table.arms.index(arm)]
    return MeritTable(
        name=table.name,
        arms=(AI, arm),
        readers=table.readers,
        values=table.values[chosen],
        covariance=table.covariance[chosen][:, :, chosen],
        n_positive=table.n_positive,
        n_negative=table.n_negative,
        unit=table.unit,
        method=table.method,
    )


def _counts(grid: Grid, names: tuple[str, str], rows: tuple[Array, Array]) -> PairedCounts:
    both = np.isfinite(rows[0]) & np.isfinite(rows[1])
    right = {name: (row == grid.truth)[both] for name, row in zip(names, rows, strict=True)}
    what = f"accuracy ({grid.target.positive} or not)"
    return count_pairs(right, first=names[0], second=names[1], what=what)


def _paired_cells(
    row: str, grid: Grid, names: tuple[str, str], rows: tuple[Array, Array], prepared: Prepared, margin: float | None
) -> list[Cell]:
    level = prepared.settings.level

    def counts() -> PairedCounts:
        return _counts(grid, names, rows)

    cells = [
        Cell(row=row, column="difference, Tango", content=attempt(lambda: tango_interval(counts(), level))),
        Cell(row=row, column="difference, Newcombe", content=attempt(lambda: newcombe_interval(counts(), level))),
        Cell(row=row, column="discordant", content=attempt(lambda: _discordant(counts()))),
        Cell(row=row, column="McNemar, exact", content=attempt(lambda: _mcnemar(counts(), "exact"))),
        Cell(row=row, column="McNemar, mid-p", content=attempt(lambda: _mcnemar(counts(), "mid-p"))),
    ]
    if margin is not None:
        alpha = prepared.data.protocol.alpha / 2

        def claim() -> Content:
            return paired_non_inferiority(counts(), margin, alpha).test

        cells.append(Cell(row=row, column=f"test against -{margin:g}, one-sided", content=attempt(claim)))
    return cells


def _discordant(counts: PairedCounts) -> Plain:
    value = counts.only_first + counts.only_second
    return Plain(name="discordant", value=value, n=counts.n, unit=counts.unit)


def _mcnemar(counts: PairedCounts, kind: Literal["exact", "mid-p"]) -> TestResult:
    """The test with its number of discordant patients left to the column beside it."""
    return replace(mcnemar(counts, kind), method=f"McNemar, {kind}; statistic: right by the first alone")


def _pairs(grid: Grid, prepared: Prepared) -> Table:
    endpoint = prepared.data.protocol.endpoint
    margin = endpoint.margin if endpoint is not None else None
    cells: list[Cell] = []
    for reader in grid.readers:
        for arm in grid.arms:
            rows = (grid.ai_decisions, grid.row(reader, arm, "decisions"))
            cells += _paired_cells(f"{reader}, {arm}", grid, (AI, f"{reader}, {arm}"), rows, prepared, margin)
    return Table(
        key=f"ai_paired_{grid.target.name.lower()}",
        title=f"Accuracy of the AI minus that of each reader: {grid.target.positive} or not",
        rows_are="reader, arm",
        cells=tuple(cells),
    )


def _two_arms(grid: Grid, prepared: Prepared) -> Table:
    pair = pair_of(prepared.data.protocol)
    key, cells = f"arms_paired_{grid.target.name.lower()}", []
    if pair is None:
        return Table(key=key, title="", rows_are="reader", cells=())
    for reader in grid.readers:
        rows = (grid.row(reader, pair[0], "decisions"), grid.row(reader, pair[1], "decisions"))
        cells += _paired_cells(reader, grid, pair, rows, prepared, None)
    title = f"Accuracy of each reader, {pair[0]} minus {pair[1]}: {grid.target.positive} or not"
    return Table(key=key, title=title, rows_are="reader", cells=tuple(cells))
