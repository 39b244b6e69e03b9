"""Every table of a report as CSV: one figure a line, with n, unit, method, or the refusal."""

from __future__ import annotations

import csv
from dataclasses import dataclass, fields
from pathlib import Path

from LiverAILib.readerstudy.analysis.tables import Cell, Plain, Refusal, Table
from LiverAILib.readerstudy.statistics.estimate import Estimate


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of the file; what a figure does not have is empty. Figures have all their digits."""

    row: str
    column: str
    value: float | str = ""
    low: float | str = ""
    high: float | str = ""
    level: float | str = ""
    p_value: float | str = ""
    statistic: float | str = ""
    degrees_of_freedom: str = ""
    n: int | str = ""
    unit: str = ""
    method: str = ""
    refused: str = ""


def line_of(cell: Cell) -> Line:
    """A cell as a line."""
    row, column, found = cell.row, cell.column, cell.content
    if isinstance(found, Refusal):
        return Line(row=row, column=column, refused=found.text)
    if isinstance(found, Plain):
        return Line(row=row, column=column, value=found.value, n=found.n, unit=found.unit, method=found.method)
    if isinstance(found, Estimate):
        return Line(
            row=row,
            column=column,
            value=found.value,
            low=found.low,
            high=found.high,
            level=found.level,
            n=found.n,
            unit=found.unit,
            method=found.method,
        )
    return Line(
        row=row,
        column=column,
        p_value=found.p_value,
        statistic=found.statistic,
        degrees_of_freedom=" ".join(f"{value:.6g}" for value in found.degrees_of_freedom),
        n=found.n,
        unit=found.unit,
        method=found.method,
    )


def write_table(path: Path, table: Table) -> None:
    """Write the table as UTF-8 with a header line."""
    names = [field.name for field in fields(Line)]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        for cell in table.cells:
            line = line_of(cell)
            writer.writerow([getattr(line, name) for name in names])
