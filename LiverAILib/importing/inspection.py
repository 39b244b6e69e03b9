"""What the importer found and decided, for people and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from LiverAILib.study import Phase, PhaseOpinion


class Use(StrEnum):
    """What becomes of a series."""

    USED = "used"
    LEFT_OUT = "left out"
    REFUSED = "refused"
    QUESTION = "question"


@dataclass(frozen=True)
class SeriesReport:
    """One series or file. `key` is what `--phase KEY=...` takes; spacing is (z, y, x) in mm; `detail` says why."""

    key: str
    label: str
    images: int
    shape: tuple[int, int, int] | None
    spacing_mm: tuple[float, float, float] | None
    opinions: Mapping[str, PhaseOpinion]
    phase: Phase | None
    confidence: float
    use: Use
    detail: str
    notes: tuple[str, ...] = ()

    def text(self) -> str:
        """Two or more lines for people."""
        size = f"{self.images} image{'s' if self.images != 1 else ''}"
        if self.shape and self.spacing_mm:
            z, y, x = self.shape
            size = f"{x} x {y} x {z} voxels of " + " x ".join(f"{s:.3g}" for s in reversed(self.spacing_mm)) + " mm"
        name = self.phase.words if self.phase else "?"
        decision = {
            Use.USED: f"used as {name} ({100 * self.confidence:.0f}% sure): {self.detail}",
            Use.LEFT_OUT: f"not used: {self.detail}",
            Use.REFUSED: f"refused: {self.detail}",
            Use.QUESTION: f"question: {self.detail}",
        }[self.use]
        lines = [f"{self.label}: {size}", f"    {decision}"]
        for source, opinion in self.opinions.items():
            if opinion.phase is not None:
                lines.append(f"    {source}: {opinion.phase.words}, {100 * opinion.confidence:.0f}%: {opinion.reason}")
            elif opinion.reason:
                lines.append(f"    {source}: no phase: {opinion.reason}")
        return "\n".join([*lines, *(f"    note: {note}" for note in self.notes)])


@dataclass(frozen=True)
class Inspection:
    """All series, the files that were skipped (reason -> count), and what stands in the way of a study."""

    series: tuple[SeriesReport, ...]
    skipped: Mapping[str, int] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def ready(self) -> bool:
        """Whether `load_study` would give a study."""
        return not self.problems and not self.questions

    @property
    def phases(self) -> dict[Phase, SeriesReport]:
        """The series that would be used."""
        return {s.phase: s for s in self.series if s.use is Use.USED and s.phase is not None}

    def text(self) -> str:
        """The whole report for people, plain text."""
        lines = [report.text() for report in self.series] or ["No CT series found."]
        if self.skipped:
            lines.append(
                "Skipped files: " + ", ".join(f"{count} x {what}" for what, count in sorted(self.skipped.items()))
            )
        lines.extend(f"Warning: {text}" for text in self.warnings)
        lines.extend(f"Problem: {text}" for text in self.problems)
        lines.extend(f"Question: {text}" for text in self.questions)
        if self.ready:
            lines.append("Ready to analyse: " + ", ".join(p.words for p in Phase if p in self.phases) + ".")
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON-ready data."""
        return {
            "ready": self.ready,
            "series": [
                asdict(s)
                | {
                    "use": s.use.value,
                    "phase": str(s.phase) if s.phase else None,
                    "opinions": {
                        source: asdict(o) | {"phase": str(o.phase) if o.phase else None}
                        for source, o in s.opinions.items()
                    },
                }
                for s in self.series
            ],
            "skipped": dict(self.skipped),
            "problems": list(self.problems),
            "questions": list(self.questions),
            "warnings": list(self.warnings),
        }
