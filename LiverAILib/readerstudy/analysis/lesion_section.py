"""Lesions: recall by the hit rule and by the other rules that the marks allow, FROC, AFROC and wAFROC."""

from __future__ import annotations

from functools import partial
from typing import Literal

from LiverAILib.readerstudy.analysis import plots
from LiverAILib.readerstudy.analysis.hits import Scored
from LiverAILib.readerstudy.analysis.prepared import Prepared
from LiverAILib.readerstudy.analysis.select import rater_name
from LiverAILib.readerstudy.analysis.tables import Cell, Picture, Section, Table, attempt
from LiverAILib.readerstudy.dataset import HitRule
from LiverAILib.readerstudy.statistics.estimate import Estimate, StatisticsError
from LiverAILib.readerstudy.statistics.lesion_level import (
    FreeResponseCurve,
    afroc_curve,
    false_marks_per_case,
    froc_curve,
    lesion_recall,
    wafroc_area,
)
from LiverAILib.readerstudy.statistics.marks import CaseMarks

#: arm, reader, and the cases read.
Rater = tuple[str, str, list[CaseMarks]]

#: Rules that are reported beside the protocol's where the marks allow.
_OTHER_RULES: tuple[Literal["in lesion", "overlap"], ...] = ("in lesion", "overlap")


def lesion_section(prepared: Prepared) -> Section:
    """Figures of each reader and the AI; intervals by bootstrap over patients."""
    title, rule = "Lesions", prepared.data.protocol.hit_rule
    try:
        scored = prepared.scored()
    except StatisticsError as refusal:
        return Section(title=title, text=(str(refusal),))
    tables = [_table(scored, rule, prepared, "lesions")]
    for kind in _OTHER_RULES:
        if kind != rule.kind:
            other = HitRule(kind=kind, min_iou=rule.min_iou, min_iom=rule.min_iom, distance_mm=rule.distance_mm)
            try:
                again = prepared.scored(other)
            except StatisticsError:
                continue
            tables.append(_table(again, other, prepared, f"lesions_{kind.replace(' ', '_')}", main=False))
    return Section(
        title=title,
        text=(
            (
                f"Hit rule of the protocol: {rule.words}. A lesion marked twice counts once; a mark that hits no "
                "lesion is a false one. Patients are resampled, as lesions of one patient are not independent."
            ),
        ),
        tables=tuple(tables),
        pictures=_pictures(scored, prepared),
    )


def raters(scored: Scored) -> list[Rater]:
    """Every reader in every arm, and the AI, with the cases that were read."""
    return [
        (arm, reader, [case for case in cells if case is not None])
        for arm, readers in scored.items()
        for reader, cells in readers.items()
    ]


def _name(arm: str, reader: str) -> str:
    return rater_name(reader, None if arm == reader else arm)


def _table(scored: Scored, rule: HitRule, prepared: Prepared, key: str, *, main: bool = True) -> Table:
    chosen, cells = prepared.settings, []
    for arm, reader, cases in sorted(raters(scored), key=lambda rater: rater[0] == rater[1]):
        row = _name(arm, reader)

        def recall(cases: list[CaseMarks] = cases) -> Estimate:
            return lesion_recall(cases, replicates=chosen.replicates, seed=chosen.seed, level=chosen.level)

        def false(cases: list[CaseMarks] = cases) -> Estimate:
            return false_marks_per_case(cases, replicates=chosen.replicates, seed=chosen.seed, level=chosen.level)

        def area(cases: list[CaseMarks] = cases) -> Estimate:
            return wafroc_area(cases, replicates=chosen.replicates, seed=chosen.seed, level=chosen.level)

        cells += [
            Cell(row=row, column="lesion recall", content=attempt(recall)),
            Cell(row=row, column="false marks per patient", content=attempt(false)),
        ]
        if main:
            cells.append(Cell(row=row, column="wAFROC area", content=attempt(area)))
    return Table(
        key=key,
        title=f"Lesions found: {rule.words}",
        rows_are="reader, arm",
        cells=tuple(cells),
        notes=(f"n of the recall is lesions; the bootstrap resamples patients ({chosen.replicates} replicates).",),
    )


def _curves(scored: Scored, kind: str) -> dict[str, list[FreeResponseCurve]]:
    found: dict[str, list[FreeResponseCurve]] = {}
    for arm, _, cases in raters(scored):
        try:
            curve = froc_curve(cases) if kind == "FROC" else afroc_curve(cases, weighted=kind == "wAFROC")
        except StatisticsError:
            continue
        found.setdefault(arm, []).append(curve)
    return found


def _pictures(scored: Scored, prepared: Prepared) -> tuple[Picture, ...]:
    cases = [case for case in prepared.data.cases if case.lesions is not None]
    lesions = sum(len(case.lesions or ()) for case in cases)
    found = []
    for kind in ("FROC", "AFROC", "wAFROC"):
        curves = _curves(scored, kind)
        if curves:
            found.append(
                Picture(
                    key=kind.lower(),
                    title=f"{kind} curves",
                    caption=f"Thin: each reader. Thick: mean of the readers. n = {lesions} lesions of {len(cases)} "
                    "patients. " + _CAPTIONS[kind],
                    draw=partial(plots.draw_free_response, curves=curves, kind=kind),
                    inches=(6.0, 4.6),
                )
            )
    return tuple(found)


_CAPTIONS = {
    "FROC": "Fraction of lesions found against false marks per patient.",
    "AFROC": "Fraction of lesions found against the fraction of lesion-free patients with a false mark.",
    "wAFROC": "As AFROC, each patient with lesions counting 1.",
}
