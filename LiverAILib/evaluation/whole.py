"""The whole analysis, all stages in their order with the liver and the lesions that it finds itself, on a few exams."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from LiverAILib.analysis.networks import Networks
from LiverAILib.analysis.pipeline import analyze
from LiverAILib.analysis.segment import Segmenter
from LiverAILib.evaluation.detection import SMALL_MM
from LiverAILib.evaluation.figures import Figure, figure_of
from LiverAILib.evaluation.groups import auc_by_group, share
from LiverAILib.evaluation.overlap import dice, outline, same_regions
from LiverAILib.evaluation.part import Part, Picture, Say
from LiverAILib.evaluation.pool import PooledExam
from LiverAILib.lesion_types import LesionType
from LiverAILib.readerstudy.statistics.lesion_level import false_marks_per_case
from LiverAILib.readerstudy.statistics.marks import NOT_MARKED, CaseMarks

LARGE_MM = 20.0


@dataclass(frozen=True)
class WholeExam:
    """One exam. hits: of its synthetic lesions by size. outlines: Dice, and found volume over the true one, of each of
    these that was found. types: true and likeliest type of the found ones. hcc: whether it holds one; hcc_probability:
    the highest of a found lesion, 0 without one; lesions whose type nobody knows are left out.
    """

    seed: int
    liver_dice: float
    diameters_mm: tuple[float, ...]
    hits: tuple[bool, ...]
    outlines: tuple[tuple[float, float], ...]
    false: int
    types: tuple[tuple[str, str], ...]
    triage: str | None
    malignant: bool
    hcc: bool
    hcc_probability: float
    risk: float | None

    def row(self) -> dict[str, Any]:
        """As plain values."""
        return vars(self) | {
            "outlines": [[round(value, 4) for value in pair] for pair in self.outlines],
            "types": [list(pair) for pair in self.types],
        }


def analyse_exam(exam: PooledExam, segmenter: Segmenter, networks: Networks) -> WholeExam:
    """Analyse an exam and compare what is found in the reference phase with what is there."""
    reference = exam.study.reference_phase
    analysis = analyze(exam.study, segmenter, networks=networks)
    ids = exam.lesion_ids[reference]
    same = same_regions(analysis.lesion_ids, ids)  # (found, true)
    findings = analysis.findings
    shown = [lesion for lesion in exam.truth.lesions if (ids == lesion.id).any()]
    made = [lesion for lesion in shown if not getattr(lesion, "real", False)]
    unknown = [lesion.id - 1 for lesion in shown if lesion.type is None]
    types, hcc_probability = [], 0.0
    for lesion in findings.lesions:
        if lesion.type_probabilities is None:
            continue
        if not same[lesion.label - 1, unknown].any():
            hcc_probability = max(hcc_probability, lesion.type_probabilities[LesionType.HCC])
        likeliest = max(LesionType, key=lesion.type_probabilities.__getitem__)
        types += [
            (str(true.type), str(likeliest))
            for true in made
            if true.type is not None and same[lesion.label - 1, true.id - 1]
        ]
    return WholeExam(
        exam.truth.seed,
        dice(analysis.liver, exam.liver_mask(reference)),
        tuple(lesion.diameter_mm for lesion in made),
        tuple(bool(same[:, lesion.id - 1].any()) for lesion in made),
        tuple(pair for lesion in made if (pair := outline(analysis.lesion_ids, ids, same, lesion.id)) is not None),
        int((~same.any(axis=1)).sum()),
        tuple(types),
        None if findings.reading is None else str(findings.reading.triage),
        any(lesion.type is not None and lesion.type.malignant for lesion in exam.truth.lesions),
        any(lesion.type is LesionType.HCC for lesion in exam.truth.lesions),
        hcc_probability,
        None if findings.hcc_risk is None else findings.hcc_risk.unscaled,
    )


def whole_part(
    exams: Iterable[PooledExam],
    phantoms: Iterable[PooledExam],
    segmenter: Segmenter,
    networks: Networks,
    say: Say,
) -> tuple[Part, list[Picture]]:
    """Recall, false positives and types from start to end. phantoms: without a lesion."""
    done = []
    for exam in exams:
        done.append(analyse_exam(exam, segmenter, networks))
        say(f"whole analysis: exam {done[-1].seed}, {sum(done[-1].hits)} of {len(done[-1].hits)} lesions")
    if not done:
        return Part("whole", [], [], ["The whole analysis: there are no exams. Make some (--exams)."]), []
    how = "the detector" if networks.detector is not None else "regions of lesion probability, as there is no detector"
    on = f"synthetic exams on held-out anatomy, whole analysis, lesions from {how}"
    figures = [
        Figure(
            "liver Dice, mean, whole analysis", on, f"{len(done)} exams", float(np.mean([e.liver_dice for e in done]))
        )
    ]
    hits = np.array([hit for exam in done for hit in exam.hits], dtype=np.bool_)
    group = np.array([number for number, exam in enumerate(done) for _ in exam.hits], dtype=np.int64)
    size = np.array([diameter for exam in done for diameter in exam.diameters_mm])
    for words, low, high in (
        ("lesions", 0.0, np.inf),
        ("lesions < 1 cm", 0.0, SMALL_MM),
        ("lesions of 1 to 2 cm", SMALL_MM, LARGE_MM),
        ("lesions of 2 cm or more", LARGE_MM, np.inf),
    ):
        own = (size >= low) & (size < high)
        if own.any():
            found = share(hits[own], group[own], name="recall", unit="lesions", grouped_by="exams")
            figures.append(figure_of(found, f"recall of {words}, whole analysis", on))
    outlines = [pair for exam in done for pair in exam.outlines]
    if outlines:
        units = f"{len(outlines)} found lesions"
        agreement, volume = np.median(outlines, axis=0).tolist()
        figures.append(Figure("Dice of a found lesion, median, whole analysis", on, units, agreement))
        figures.append(Figure("found volume over true volume of a lesion, median, whole analysis", on, units, volume))
    figures.append(_false_ones(done, "false positives a case, whole analysis", on, "exams"))
    empty = []
    for phantom in phantoms:
        empty.append(analyse_exam(phantom, segmenter, networks))
        say(f"whole analysis: phantom {empty[-1].seed} without a lesion, {empty[-1].false} found")
    if empty:
        what = "false positives a case, phantoms without a lesion, whole analysis"
        figures.append(_false_ones(empty, what, "phantoms of other seeds than those trained on", "phantoms"))
    pairs = [(number, pair) for number, exam in enumerate(done) for pair in exam.types]
    if pairs:
        right = np.array([true == called for _, (true, called) in pairs])
        found = share(right, np.array([number for number, _ in pairs]), name="", unit="lesions", grouped_by="exams")
        figures.append(figure_of(found, "seven-class accuracy of found lesions, whole analysis", on))
    hcc = np.array([exam.hcc for exam in done], dtype=np.bool_)
    if hcc.any() and not hcc.all() and networks.classifier is not None:
        scores, each = np.array([exam.hcc_probability for exam in done]), np.arange(len(done))
        units = f"{len(done)} exams ({int(hcc.sum())} with an HCC)"
        found = auc_by_group(hcc, scores, each, name="AUROC", unit="exams", grouped_by="exams")
        figures.append(figure_of(found, "HCC by lesion types, AUROC, patients, whole analysis", on, units=units))
    return Part("whole", figures, [exam.row() for exam in (*done, *empty)]), []


def _false_ones(done: Sequence[WholeExam], what: str, on: str, unit: str) -> Figure:
    marks = [CaseMarks(lesion_ratings=(), false_ratings=(1.0,) * exam.false) for exam in done]
    found = false_marks_per_case(marks, threshold=NOT_MARKED, unit=unit)
    return figure_of(found, what, on)
