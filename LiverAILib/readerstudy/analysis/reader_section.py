"""Each reader in each arm, and the AI alone: decisions against the truth, and what they mean at other prevalences."""

from __future__ import annotations

from functools import partial

from LiverAILib.readerstudy.analysis.prepared import Prepared, Settings
from LiverAILib.readerstudy.analysis.select import Grid, rater_name
from LiverAILib.readerstudy.analysis.tables import Cell, Content, Plain, Refusal, Section, Table, attempt
from LiverAILib.readerstudy.statistics import classification as cl
from LiverAILib.readerstudy.statistics.estimate import Estimate


def reader_section(prepared: Prepared) -> Section:
    """Accuracy, recall, predictive values and F1 of both classes by name, kappa; predictive values by prevalence."""
    tables = []
    for grid in prepared.grids:
        tables += [_counts(grid), _decisions(grid, prepared.settings), _prevalence(grid, prepared)]
    return Section(
        title="Each reader and the AI alone",
        text=(
            (
                "Sensitivity is the share of the class asked for that was called so, specificity that of the other "
                "class; both classes are named in every column. Missing answers are left out."
            ),
        ),
        tables=tuple(tables),
    )


def _counts(grid: Grid) -> Table:
    cells = []
    for who, arm in grid.raters:
        counts, row = grid.counts(who, arm), rater_name(who, arm)
        for name, value, n in (
            (f"true {grid.target.positive}", counts.true_positive, counts.n),
            (f"missed {grid.target.positive}", counts.false_negative, counts.n),
            (f"true {grid.target.negative}", counts.true_negative, counts.n),
            (f"falsely called {grid.target.positive}", counts.false_positive, counts.n),
            ("without an answer", counts.missing, counts.n + counts.missing),
        ):
            content = Plain(name=name, value=value, n=n, unit=counts.unit)
            cells.append(Cell(row=row, column=name, content=content))
    return Table(
        key=f"counts_{grid.target.name.lower()}",
        title=f"Decisions counted: {grid.target.positive} or not",
        rows_are="reader, arm",
        cells=tuple(cells),
    )


def _decisions(grid: Grid, chosen: Settings) -> Table:
    cells = []
    for who, arm in grid.raters:
        counts = grid.counts(who, arm)
        for name, figure in cl.classification_table(counts, chosen.interval, chosen.level).items():
            content: Content = figure if isinstance(figure, Estimate) else Refusal(figure)
            cells.append(Cell(row=rater_name(who, arm), column=_column(name, grid), content=content))
    return Table(
        key=f"readers_{grid.target.name.lower()}",
        title=f"Figures from the decisions: {grid.target.positive} or not",
        rows_are="reader, arm",
        cells=tuple(cells),
    )


def _column(name: str, grid: Grid) -> str:
    """The figure's name with the class that it is of, also where the figure is refused."""
    positive, negative = grid.target.positive, grid.target.negative
    of = {"sensitivity": positive, "positive predictive value": positive}
    of |= {"specificity": negative, "negative predictive value": negative}
    return f"{name} ({of[name]})" if name in of else name


def _prevalence(grid: Grid, prepared: Prepared) -> Table:
    cells = []
    for who, arm in grid.raters:
        counts = grid.counts(who, arm)
        for prevalence in prepared.settings.prevalences:
            for name in (grid.target.positive, grid.target.negative):
                kind = "PPV" if name == grid.target.positive else "NPV"
                compute = partial(cl.predictive_value_at, name, prevalence, counts, prepared.settings.level)
                column = f"{kind} ({name}) at {prevalence:.0%} {grid.target.positive}"
                cells.append(Cell(row=rater_name(who, arm), column=column, content=attempt(compute)))
    return Table(
        key=f"prevalence_{grid.target.name.lower()}",
        title=f"Predictive values at other prevalences of {grid.target.positive}",
        rows_are="reader, arm",
        cells=tuple(cells),
    )
