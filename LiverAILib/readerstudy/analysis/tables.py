"""The parts of a report: tables of figures, pictures, sections. No figure is without its n, unit and method."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite, isnan
from typing import TYPE_CHECKING

from LiverAILib.readerstudy.statistics.estimate import Estimate, StatisticsError, TestResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

    from LiverAILib.readerstudy.statistics.roc import PairedDifference


@dataclass(frozen=True, kw_only=True)
class Plain:
    """A figure without an interval: a count, a variance component, a computed power."""

    name: str
    value: float
    n: int
    unit: str
    method: str = "count"


@dataclass(frozen=True)
class Refusal:
    """What stands in place of a figure that is not estimable."""

    text: str


Content = Estimate | TestResult | Plain | Refusal


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One figure and its place in a table."""

    row: str
    column: str
    content: Content


@dataclass(frozen=True, kw_only=True)
class Table:
    """key: name of its CSV. rows_are: what a row is ("reader, arm"). Rows and columns stand in the cells' order."""

    key: str
    title: str
    rows_are: str
    cells: tuple[Cell, ...]
    notes: tuple[str, ...] = ()

    @property
    def rows(self) -> tuple[str, ...]:
        """Names of the rows."""
        return tuple(dict.fromkeys(cell.row for cell in self.cells))

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(dict.fromkeys(cell.column for cell in self.cells))


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A plot, drawn when it is needed on a canvas of `inches` (width, height). key: its file name."""

    key: str
    title: str
    caption: str
    draw: Callable[[Canvas], None]
    inches: tuple[float, float] = (7.0, 5.0)


@dataclass(frozen=True, kw_only=True)
class Section:
    """A chapter of the report: text, facts by name, tables and pictures."""

    title: str
    text: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Report:
    """All of it. remarks: what a reader has to know before any figure (not sealed, overrides, missing answers)."""

    title: str
    subtitle: str
    remarks: tuple[str, ...]
    sections: tuple[Section, ...]


def attempt(compute: Callable[[], Content]) -> Content:
    """The figure, or its refusal in words."""
    try:
        return compute()
    except StatisticsError as refusal:
        return Refusal(str(refusal))


def attempt_both(compute: Callable[[], PairedDifference]) -> tuple[Content, Content]:
    """A difference and its test, or its refusal twice."""
    try:
        found = compute()
    except StatisticsError as refusal:
        return Refusal(str(refusal)), Refusal(str(refusal))
    return found.difference, found.test


def number(value: float) -> str:
    """A figure as the report prints it: three decimals, four digits where it is small, no decimals for counts."""
    if isnan(value):
        return "none"
    if not isfinite(value):
        return "infinite" if value > 0 else "-infinite"
    if float(value).is_integer() and abs(value) >= 2:
        return f"{value:.0f}"
    if 0 < abs(value) < 0.01:
        return f"{value:.2g}"
    return f"{value:.3f}" if abs(value) < 100 else f"{value:.1f}"


def p_value(p: float) -> str:
    """A p-value in words: "p = 0.012"."""
    if isnan(p):
        return "p is not estimable"
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def lines(content: Content) -> tuple[str, ...]:
    """A cell's lines: the figure, its interval or test, its n and unit; or the refusal."""
    if isinstance(content, Refusal):
        return (content.text,)
    size = f"n = {content.n} {content.unit}"
    if isinstance(content, Plain):
        value = f"{content.value:.0f}" if content.method == "count" else number(content.value)
        return (value, size)
    if isinstance(content, Estimate):
        return (f"{content.value:.3f}", f"{content.low:.3f} to {content.high:.3f}", size)
    df = ", ".join(number(value) for value in content.degrees_of_freedom)
    statistic = number(content.statistic)
    return (p_value(content.p_value), f"statistic {statistic}" + (f", df {df}" if df else ""), size)


def methods(cells: tuple[Cell, ...]) -> tuple[str, ...]:
    """The methods of some cells, each once, in their order; intervals with their level."""
    found: dict[str, None] = {}
    for cell in cells:
        if isinstance(cell.content, Estimate):
            found[f"{cell.content.method} ({cell.content.level:.0%} interval)"] = None
        elif not isinstance(cell.content, Refusal):
            found[cell.content.method] = None
    return tuple(found)
