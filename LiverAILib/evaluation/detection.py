"""The lesion detector: recall by size, false positives a case, FROC; on exams, on real scans, and where nothing is.

A lesion is found if in any phase in which its box was found it overlaps the true one by the rule of
`analysis.boxes3d.finds`; a found lesion that is no true one is a false positive. Boxes are those of the stages: found
in each phase, matched over the phases. A case is an exam, or one volume where there is one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from LiverAILib.analysis.boxes3d import FoundBoxes
from LiverAILib.analysis.match import MatchedLesion, liver_frame, match_phases
from LiverAILib.analysis.networks import Networks
from LiverAILib.analysis.progress import silent
from LiverAILib.analysis.segment import Segmentation, Segmenter
from LiverAILib.analysis.stages import detect_phases, join
from LiverAILib.evaluation.figures import Figure, figure_of
from LiverAILib.evaluation.groups import share
from LiverAILib.readerstudy.statistics.lesion_level import (
    FreeResponseCurve,
    false_marks_per_case,
    froc_curve,
    lesion_recall,
)
from LiverAILib.readerstudy.statistics.marks import NOT_MARKED, CaseMarks
from LiverAILib.study import Phase, Study
from LiverAILib.training.real_scans import RealScan, boxes_of
from LiverAILib.training.typed_exam import TypedExam

SMALL_MM = 10.0
LARGE_ML = 1.0


@dataclass(frozen=True)
class TrueLesion:
    """counted: whether recall is asked of it; finding another one is neither right nor wrong."""

    id: int
    known: str
    diameter_mm: float
    volume_ml: float
    counted: bool


@dataclass(frozen=True)
class DetectedCase:
    """One case. lesions, and for each the highest score of what finds it, `NOT_MARKED` if nothing does; scores of false
    findings. matched: at the package's threshold, the found lesions with the number of the true one, if any.
    """

    name: str
    group: str
    lesions: tuple[TrueLesion, ...]
    ratings: tuple[float, ...]
    false: tuple[float, ...]
    matched: tuple[tuple[MatchedLesion, int | None], ...] = ()

    def marks(self, least_mm: float = 0.0, below_mm: float = np.inf) -> CaseMarks:
        """As the statistics take them: the counted lesions between these sizes."""
        kept = [
            rating
            for lesion, rating in zip(self.lesions, self.ratings, strict=True)
            if lesion.counted and least_mm <= lesion.diameter_mm < below_mm
        ]
        return CaseMarks(lesion_ratings=tuple(kept), false_ratings=self.false)

    def row(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "case": self.name,
            "patient": self.group,
            "lesions": [
                {
                    "known": lesion.known,
                    "diameter_mm": lesion.diameter_mm,
                    "volume_ml": lesion.volume_ml,
                    "counted": lesion.counted,
                    "score": None if rating == NOT_MARKED else round(rating, 4),
                }
                for lesion, rating in zip(self.lesions, self.ratings, strict=True)
            ],
            "false_scores": [round(score, 4) for score in self.false],
        }


def judge(
    name: str,
    group: str,
    study: Study,
    segmentations: Mapping[Phase, Segmentation],
    ids: Mapping[Phase, npt.NDArray[np.integer]],
    lesions: Sequence[TrueLesion],
    found: Mapping[Phase, FoundBoxes],
    threshold: float,
) -> DetectedCase:
    """Found boxes against the truth. threshold: of a box's score, the package's; lower ones count for the FROC only."""
    frames = {phase: liver_frame(study.volumes[phase], segmentations[phase].liver) for phase in found}
    numbers = [lesion.id for lesion in lesions]
    true = {phase: boxes_of(ids[phase], numbers) for phase in found}
    shown = [k for k in range(len(lesions)) if any(np.isfinite(true[phase][k]).all() for phase in found)]
    ratings = dict.fromkeys(shown, NOT_MARKED)
    false: list[float] = []
    for lesion in match_phases(found, frames):
        hits = lesion.finds(true)
        for k in hits:
            if k in ratings:
                ratings[k] = max(ratings[k], lesion.score)
        if not hits:
            false.append(lesion.score)
    sure = {phase: boxes.where(boxes.scores >= threshold) for phase, boxes in found.items()}
    matched = []
    for lesion in match_phases(sure, frames):
        hits = lesion.finds(true)
        matched.append((lesion, lesions[min(hits)].id if hits else None))
    return DetectedCase(
        name,
        group,
        tuple(lesions[k] for k in shown),
        tuple(ratings[k] for k in shown),
        tuple(false),
        tuple(matched),
    )


def segmented(study: Study, segmenter: Segmenter) -> dict[Phase, Segmentation]:
    """Each phase as the stages before the detector hand it on."""
    return {phase: segmenter(volume, lambda _: None) for phase, volume in study.volumes.items()}


def detect_in_exam(exam: TypedExam, segmenter: Segmenter, networks: Networks, threshold: float) -> DetectedCase:
    """The detector on an exam. Recall is asked of the synthetic lesions."""
    study = exam.study
    segmentations = segmented(study, segmenter)
    lesions = [
        TrueLesion(
            lesion.id,
            str(getattr(lesion, "known", lesion.type)),
            lesion.diameter_mm,
            lesion.volume_ml,
            not getattr(lesion, "real", False),
        )
        for lesion in exam.truth.lesions
    ]
    found = detect_phases(study, segmentations, join(study, segmentations, networks), networks, silent())
    truth = exam.truth
    group = str(getattr(truth, "patient", truth.seed))
    return judge(f"exam {truth.seed}", group, study, segmentations, exam.lesion_ids, lesions, found, threshold)


def detect_in_scan(scan: RealScan, segmenter: Segmenter, networks: Networks, threshold: float) -> DetectedCase:
    """The detector on a real scan. Recall is asked of lesions of at least `LARGE_ML`."""
    phase = Phase.PORTAL_VENOUS
    study = Study({phase: scan.volume})
    segmentations = segmented(study, segmenter)
    boxes = boxes_of(scan.ids, [lesion.id for lesion in scan.lesions])
    longest = ((boxes[:, 3:] - boxes[:, :3]) * scan.volume.spacing_mm).max(axis=1, initial=0)
    lesions = [
        TrueLesion(
            lesion.id, lesion.known, round(float(mm), 1), round(lesion.volume_ml, 3), lesion.volume_ml >= LARGE_ML
        )
        for lesion, mm in zip(scan.lesions, longest, strict=True)
    ]
    found = detect_phases(study, segmentations, join(study, segmentations, networks), networks, silent())
    return judge(scan.name, scan.patient, study, segmentations, {phase: scan.ids}, lesions, found, threshold)


def open_detector(networks: Networks) -> tuple[Networks, float]:
    """The same networks with a detector that drops nothing for its score, and the score from which it would keep."""
    from LiverAILib.analysis.detect import PhaseDetector

    assert networks.detector is not None
    run = networks.detector.run
    if not isinstance(run, PhaseDetector):
        return networks, 0.0
    link = run.options.link
    opened = copy(run)
    opened.options = replace(run.options, link=replace(link, least_mean_score=0.0))
    return replace(networks, detector=replace(networks.detector, run=opened)), link.least_mean_score


def exam_figures(cases: Sequence[DetectedCase], threshold: float, on: str) -> list[Figure]:
    """Recall of all and of small lesions at the package's threshold, and false positives a case."""
    figures = []
    unit = "exams"
    for what, below, goal, papers in (
        ("detection recall, all lesions", np.inf, ">= 0.93", "0.951"),
        ("detection recall, lesions < 1 cm", SMALL_MM, ">= 0.85", "0.948"),
    ):
        marks = [case.marks(below_mm=below) for case in cases]
        count = sum(len(mark.lesion_ratings) for mark in marks)
        if count:
            found = lesion_recall(marks, threshold=threshold, unit=unit)
            units = f"{count} lesions of {len(cases)} exams"
            detail = f"at one false positive a case at best {recall_at(marks, 1.0):.3f}"
            figures.append(figure_of(found, what, on, goal=goal, papers=papers, units=units, detail=detail))
    false = false_marks_per_case([case.marks() for case in cases], threshold=threshold, unit=unit)
    figures.append(figure_of(false, "false positives a case", on, goal="<= 1"))
    empty = [case.marks() for case in cases if not case.lesions]
    if empty:
        found = false_marks_per_case(empty, threshold=threshold, unit=unit)
        figures.append(figure_of(found, "false positives a case, exams without any lesion", on))
    return figures


def recall_at(marks: Sequence[CaseMarks], false_a_case: float) -> float:
    """The highest recall on the FROC curve at no more false positives a case."""
    curve = froc_curve(marks)
    return float(curve.lesion_fraction[curve.abscissa <= false_a_case + 1e-9].max(initial=0.0))


def real_case_figures(cases: Sequence[DetectedCase], threshold: float, on: str) -> tuple[list[Figure], list[str]]:
    """Recall of large real lesions, false positives a case, and in cases without a lesion."""
    figures, notes = [], []
    marks = [case.marks() for case in cases]
    count = sum(len(mark.lesion_ratings) for mark in marks)
    if count:
        hits = np.array([rating >= threshold for mark in marks for rating in mark.lesion_ratings])
        names = sorted({case.group for case in cases})
        group = np.array(
            [names.index(c.group) for c, mark in zip(cases, marks, strict=True) for _ in mark.lesion_ratings]
        )
        found = share(hits, group, name="recall", unit="lesions", grouped_by="patients")
        units = f"{count} lesions of {len(set(group.tolist()))} patients"
        detail = f"at two false positives a case at best {recall_at(marks, 2.0):.3f}"
        figures.append(
            figure_of(found, "detection recall, real lesions >= 1 ml", on, goal=">= 0.80", units=units, detail=detail)
        )
    else:
        notes.append("Detection of real lesions: the held-out scans hold none of at least 1 ml.")
    false = false_marks_per_case(marks, threshold=threshold, unit="scans")
    figures.append(figure_of(false, "false positives a case", on, goal="<= 2"))
    empty = [case.marks() for case in cases if not case.lesions]
    if empty:
        found = false_marks_per_case(empty, threshold=threshold, unit="scans")
        figures.append(figure_of(found, "false positives a case, real cases without a lesion", on, goal="<= 0.5"))
    else:
        notes.append("Every held-out scan has a lesion: no false positives in real cases without one.")
    return figures, notes


def froc_of(
    cases: Sequence[DetectedCase], threshold: float
) -> tuple[list[tuple[str, FreeResponseCurve]], tuple[float, float]]:
    """The curves of all and of small lesions, and the point of the threshold."""
    curves = []
    for name, below in (("all lesions", np.inf), ("lesions < 1 cm", SMALL_MM)):
        marks = [case.marks(below_mm=below) for case in cases]
        count = sum(len(mark.lesion_ratings) for mark in marks)
        if count:
            curves.append((f"{name}, n = {count}", froc_curve(marks)))
    marks = [case.marks() for case in cases]
    ratings = np.concatenate([mark.lesion_ratings for mark in marks])
    false = sum(score >= threshold for mark in marks for score in mark.false_ratings) / len(marks)
    return curves, (float(false), float((ratings >= threshold).mean()))
