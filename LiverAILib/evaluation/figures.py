"""One figure of the evaluation: what was measured, on what, how many, its interval, and the goal to meet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from LiverAILib.readerstudy.statistics.estimate import Estimate


@dataclass(frozen=True)
class Figure:
    """One row of the table.

    goal: least (>=) or most (<=) value asked for, "" where none is. low, high: ends of the 95% interval. method: how
    the interval was made. papers: what the papers report, for comparison.
    """

    what: str
    on: str
    n: str
    value: float
    goal: str = ""
    detail: str = ""
    low: float | None = None
    high: float | None = None
    method: str = ""
    papers: str = ""

    @property
    def reached(self) -> bool:
        """Whether the value meets the goal; without a goal there is nothing to miss."""
        return self._meets(self.value)

    def _meets(self, value: float) -> bool:
        if not self.goal:
            return True
        sign, bound = self.goal.split()
        return value >= float(bound) if sign == ">=" else value <= float(bound)

    @property
    def words(self) -> str:
        """The value with its interval; with more digits where rounding would hide that the goal is not reached."""
        digits = 1 if "time" in self.what else 3
        if math.isnan(self.value):
            return "not estimable"
        while digits < 9 and self._meets(float(f"{self.value:.{digits}f}")) and not self.reached:
            digits += 1
        if self.low is None or self.high is None:
            return f"{self.value:.{digits}f}"
        return f"{self.value:.{digits}f} ({self.low:.{digits}f}-{self.high:.{digits}f})"

    def row(self) -> dict[str, Any]:
        """As plain values; what could not be estimated is None."""
        values = asdict(self)
        return values | {"value": None if math.isnan(self.value) else self.value}

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Figure:
        """What `row` gave."""
        return cls(**row | {"value": math.nan if row["value"] is None else float(row["value"])})


def figure_of(
    estimate: Estimate, what: str, on: str, *, goal: str = "", detail: str = "", papers: str = "", units: str = ""
) -> Figure:
    """An estimate as a row. units: instead of "n unit", where more has to be said."""
    return Figure(
        what,
        on,
        units or f"{estimate.n} {estimate.unit}",
        estimate.value,
        goal,
        detail,
        estimate.low,
        estimate.high,
        estimate.method,
        papers,
    )


def table(figures: Sequence[Figure]) -> str:
    """The figures as a Markdown table."""
    lines = [
        "| what | on | n | value (95% interval) | goal | | the papers' |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for figure in figures:
        verdict = "" if not figure.goal else "reached" if figure.reached else "not reached"
        note = "; ".join(part for part in (verdict, figure.detail) if part)
        lines.append(
            f"| {figure.what} | {figure.on} | {figure.n} | {figure.words} | {figure.goal} | {note} | {figure.papers} |"
        )
    return "\n".join(lines) + "\n"
