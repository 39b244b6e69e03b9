"""What the AI changes in practice: triage, opinions followed, reading time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from LiverAILib.readerstudy.analysis import plots
from LiverAILib.readerstudy.analysis.prepared import Prepared
from LiverAILib.readerstudy.analysis.select import AI, Grid, count_decisions
from LiverAILib.readerstudy.analysis.study_section import pair_of
from LiverAILib.readerstudy.analysis.tables import (
    Cell,
    Content,
    Picture,
    Plain,
    Refusal,
    Section,
    Table,
    attempt,
)
from LiverAILib.readerstudy.dataset import Answer, Target
from LiverAILib.readerstudy.statistics.classification import TwoClassCounts
from LiverAILib.readerstudy.statistics.estimate import Array, StatisticsError, TestResult
from LiverAILib.readerstudy.statistics.reading_time import ReadingTime, reading_time_ratio
from LiverAILib.readerstudy.statistics.triage import DecisionChanges, TriageRow, decision_changes, triage_table

#: Which of the two times; the active one is without idle and lost focus.
TIMES: dict[str, Callable[[Answer], float | None]] = {
    "active time": lambda answer: answer.active_seconds,
    "wall time": lambda answer: answer.wall_seconds,
}


def use_section(prepared: Prepared) -> Section:
    """Triage by the AI against prevalence; AI right or wrong, followed or not; the ratio of reading times."""
    tables = [_triage(prepared), *(_followed(grid, prepared) for grid in prepared.grids)]
    tables += [_overlays(prepared), _times(prepared), *(_ratio(prepared, name) for name in TIMES)]
    return Section(
        title="Triage, opinions followed, reading time",
        text=(
            (
                "Low risk is the AI's triage; predictive values are of malignant disease. An opinion counts as "
                "followed when reader and AI first disagreed and the reader's assisted answer is the AI's. Time "
                "ratios below 1 are faster."
            ),
        ),
        tables=tuple(table for table in tables if table.cells),
        pictures=_pictures(prepared),
    )


def triage_counts(prepared: Prepared) -> TwoClassCounts:
    """Called high risk against truly malignant. Raises StatisticsError without truth or triage."""
    known = [case for case in prepared.data.cases if case.truth(Target.MALIGNANT) is not None]
    ids = [case.id for case in known]
    high = 1 - prepared.index.ai_values(lambda result: result.low_risk, ids)
    if not np.isfinite(high).any():
        raise StatisticsError("The AI gave no triage, or the truth of malignancy is not known.")
    return count_decisions(
        high, np.array([case.truth(Target.MALIGNANT) for case in known], dtype=bool), Target.MALIGNANT
    )


def _triage(prepared: Prepared) -> Table:
    cells: list[Cell] = []
    try:
        counts = triage_counts(prepared)
        own = (counts.true_positive + counts.false_negative) / max(counts.n, 1)
        shares = {f"this study's {own:.1%}": own, **{f"{p:.0%}": p for p in prepared.settings.prevalences}}
        rows = triage_table(counts, list(shares.values()), prepared.settings.level)
    except StatisticsError as refusal:
        cells.append(Cell(row=AI, column="share of low risk", content=Refusal(str(refusal))))
        rows, shares = (), {}
    for name, row in zip(shares, rows, strict=True):
        for column, figure in _triage_columns(row):
            content: Content = Refusal(figure) if isinstance(figure, str) else figure
            cells.append(Cell(row=f"{name} malignant", column=column, content=content))
    return Table(
        key="triage", title="Triage by the AI alone, against prevalence", rows_are="prevalence", cells=tuple(cells)
    )


def _triage_columns(row: TriageRow) -> tuple[tuple[str, Content | str], ...]:
    return (
        ("share of low risk", row.low_risk_share),
        ("NPV (not malignant, called low risk)", row.negative_predictive_value),
        ("PPV (malignant, called high risk)", row.positive_predictive_value),
    )


def changes_of(grid: Grid, pair: tuple[str, str], readers: tuple[str, ...]) -> DecisionChanges:
    """Opinions followed by some readers. Raises StatisticsError without AI decisions."""
    names = (grid.target.negative, grid.target.positive)
    machine = np.isfinite(grid.ai_decisions)
    if not machine.any():
        raise StatisticsError(f"The AI decided no case on {grid.target.positive}.")

    def named(values: Array) -> list[str | None]:
        return [None if np.isnan(value) else names[int(value)] for value in values[machine]]

    truth = [names[int(value)] for value in grid.truth[machine]] * len(readers)
    ai = [names[int(value)] for value in grid.ai_decisions[machine]] * len(readers)
    before = [name for reader in readers for name in named(grid.row(reader, pair[1], "decisions"))]
    after = [name for reader in readers for name in named(grid.row(reader, pair[0], "decisions"))]
    return decision_changes(truth=truth, ai=ai, before=before, after=after)


def _assisted_pair(prepared: Prepared) -> tuple[str, str] | None:
    """(assisted, unassisted), None if there are not both."""
    protocol = prepared.data.protocol
    pair = pair_of(protocol)
    if pair is None or {protocol.arm(name).assisted for name in pair} != {True, False}:
        return None
    return pair if protocol.arm(pair[0]).assisted else (pair[1], pair[0])


def _followed(grid: Grid, prepared: Prepared) -> Table:
    pair = _assisted_pair(prepared)
    cells: list[Cell] = []
    for row in (*grid.readers, "all readers") if pair is not None and grid.has_ai else ():
        readers = grid.readers if row == "all readers" else (row,)
        found = changes_of(grid, pair, readers) if pair is not None else None
        if found is None:
            continue
        n = found.agreed + found.missing + found.ai_right_followed + found.ai_right_not_followed
        n += found.ai_wrong_followed + found.ai_wrong_not_followed
        for name, value in (
            ("AI right, followed", found.ai_right_followed),
            ("AI right, not followed", found.ai_right_not_followed),
            ("AI wrong, followed", found.ai_wrong_followed),
            ("AI wrong, not followed", found.ai_wrong_not_followed),
            ("agreed from the start", found.agreed),
            ("agreed, then changed", found.agreed_then_changed),
            ("an answer missing", found.missing),
        ):
            cells.append(Cell(row=row, column=name, content=Plain(name=name, value=value, n=n, unit="reader-cases")))
        for right in (True, False):
            share = attempt(partial(found.followed, ai_right=right, level=prepared.settings.level))
            column = f"followed where the AI was {'right' if right else 'wrong'}"
            cells.append(Cell(row=row, column=column, content=share))
    return Table(
        key=f"followed_{grid.target.name.lower()}",
        title=f"The AI's opinion and the reader's answer: {grid.target.positive} or not",
        rows_are="reader",
        cells=tuple(cells),
    )


def _overlays(prepared: Prepared) -> Table:
    data = prepared.data
    names = sorted({name for answer in data.answers for name in answer.overlays})
    arms = [arm.name for arm in data.protocol.arms if arm.assisted]
    cells = []
    for reader in data.reader_codes if names else ():
        given = [answer for answer in data.answers if answer.reader == reader and answer.arm in arms]
        for name in names:
            opened = float(sum(name in answer.overlays for answer in given))
            content = Plain(name=f"{name} opened", value=opened, n=len(given), unit="reader-cases")
            cells.append(Cell(row=reader, column=f"{name} opened", content=content))
    return Table(key="overlays", title="Overlays opened in the assisted arm", rows_are="reader", cells=tuple(cells))


def _seconds(prepared: Prepared, name: str) -> Array:
    return prepared.index.values(TIMES[name], prepared.data.case_ids)


def _times(prepared: Prepared) -> Table:
    data, cells = prepared.data, []
    for name in TIMES:
        seconds = _seconds(prepared, name)
        for i, arm in enumerate(data.arm_names):
            for j, reader in enumerate(data.reader_codes):
                there = seconds[i, j][np.isfinite(seconds[i, j])]
                content: Content = Refusal("No time was taken.")
                if there.size:
                    content = Plain(
                        name=f"median {name}, s",
                        value=float(np.median(there)),
                        n=there.size,
                        unit="patients",
                        method="median",
                    )
                cells.append(Cell(row=f"{reader}, {arm}", column=f"median {name} (s)", content=content))
    order = {
        f"{reader}, {arm}": (j, i) for j, reader in enumerate(data.reader_codes) for i, arm in enumerate(data.arm_names)
    }
    return Table(
        key="reading_times",
        title="Reading times",
        rows_are="reader, arm",
        cells=tuple(sorted(cells, key=lambda cell: order[cell.row])),
        notes=("Active time is without idling and lost focus, both are without loading.",),
    )


def time_ratio(prepared: Prepared, name: str) -> tuple[ReadingTime, int]:
    """The ratio of the two arms' times over the cases that every reader timed in both, and how many cases that drops.

    Raises StatisticsError.
    """
    pair = pair_of(prepared.data.protocol)
    if pair is None:
        raise StatisticsError("There is one arm only: no times to compare.")
    seconds = _seconds(prepared, name)
    periods = prepared.index.values(lambda answer: float(answer.period), prepared.data.case_ids)
    arms = [prepared.data.arm_names.index(arm) for arm in pair]
    whole = np.isfinite(seconds[arms]).all(axis=(0, 1))
    if not whole.any():
        raise StatisticsError(f"No case has the {name} of every reader in both arms: the ratio is not estimable.")
    found = reading_time_ratio(
        {arm: seconds[i][:, whole] for arm, i in zip(pair, arms, strict=True)},
        {arm: periods[i][:, whole].astype(int) for arm, i in zip(pair, arms, strict=True)},
        first=pair[0],
        second=pair[1],
        level=prepared.settings.level,
    )
    return found, int((~whole).sum())


def time_test(prepared: Prepared) -> dict[str, TestResult]:
    """The test of the active times, for the correction of several tests; empty if it is refused."""
    try:
        return {"active reading time": time_ratio(prepared, "active time")[0].test}
    except StatisticsError:
        return {}


def _ratio(prepared: Prepared, name: str) -> Table:
    notes: tuple[str, ...] = ()
    try:
        found, dropped = time_ratio(prepared, name)
        contents: list[tuple[str, Content]] = [
            ("ratio of the arms", found.ratio),
            ("test of no difference", found.test),
        ]
        if found.period_ratio is not None:
            contents.append(("ratio of the periods", found.period_ratio))
        notes = found.notes
        if dropped:
            notes = (*notes, f"{dropped} cases without every reader's time in both arms are left out.")
        row = f"{found.first} over {found.second}"
    except StatisticsError as refusal:
        contents, row = [("ratio of the arms", Refusal(str(refusal)))], name
    return Table(
        key=f"{name.split()[0]}_time_ratio",
        title=f"Ratio of the {name}s: mixed model of log time (arm, period; readers and cases random)",
        rows_are="comparison",
        cells=tuple(Cell(row=row, column=column, content=content) for column, content in contents),
        notes=notes,
    )


def _pictures(prepared: Prepared) -> tuple[Picture, ...]:
    data, found = prepared.data, []
    seconds = _seconds(prepared, "active time")
    if np.isfinite(seconds).any():
        boxes = {
            (reader, arm): seconds[i, j][np.isfinite(seconds[i, j])]
            for j, reader in enumerate(data.reader_codes)
            for i, arm in enumerate(data.arm_names)
        }
        n = int(np.isfinite(seconds).sum())
        found.append(
            Picture(
                key="reading_times",
                title="Active reading time",
                caption=f"Box: quartiles and median; whiskers: 5% and 95%; n = {n} readings.",
                draw=partial(plots.draw_times, boxes=boxes, arms=data.arm_names),
                inches=(7.0, 3.8),
            )
        )
    return tuple(found)
