"""The part of the evaluation about the lesion detector, and about the types of what it finds."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from LiverAILib.analysis.boxes3d import box_slices
from LiverAILib.analysis.lesions import IndexBox
from LiverAILib.analysis.networks import Networks
from LiverAILib.analysis.segment import Segmenter
from LiverAILib.evaluation.detection import (
    DetectedCase,
    detect_in_exam,
    detect_in_scan,
    exam_figures,
    froc_of,
    open_detector,
    real_case_figures,
)
from LiverAILib.evaluation.figures import Figure, figure_of
from LiverAILib.evaluation.groups import auc_by_group, share
from LiverAILib.evaluation.part import Part, Picture, Say
from LiverAILib.evaluation.plots import draw_froc
from LiverAILib.evaluation.pool import PooledExam
from LiverAILib.lesion_types import LesionType
from LiverAILib.readerstudy.statistics.lesion_level import false_marks_per_case
from LiverAILib.study import Phase
from LiverAILib.training.real_scans import RealScan


def detector_part(
    networks: Networks,
    segmenter: Segmenter,
    exams: Iterable[PooledExam],
    phantoms: Iterable[PooledExam],
    scans: Iterable[RealScan],
    say: Say,
) -> tuple[Part, list[Picture]]:
    """Detection on exams, on real scans, and on phantoms without a lesion, each in the liver that LiverSegNet finds."""
    networks, threshold = open_detector(networks)
    cases: list[DetectedCase] = []
    typed: list[tuple[int, LesionType, float, LesionType]] = []
    for exam in exams:
        case = detect_in_exam(exam, segmenter, networks, threshold)
        if networks.classifier is not None:
            typed += _types(exam, case, networks, len(cases))
        cases.append(case)
        if len(cases) % 10 == 0:
            say(f"detector: {len(cases)} exams")
    if not cases:
        return Part("detector", [], [], ["Detection: there are no exams. Make some (--exams)."]), []
    names = len({case.group for case in cases})
    on = f"synthetic exams on the anatomy of {names} held-out patients, all three phases"
    figures = exam_figures(cases, threshold, on)
    if typed:
        figures += _type_figures(typed, on.replace("synthetic exams", "lesions found in synthetic exams"))
    pictures = []
    if any(case.marks().lesion_ratings for case in cases):
        curves, point = froc_of(cases, threshold)
        title = f"{len(cases)} synthetic exams, anatomy of {names} held-out patients"
        pictures.append(Picture("froc", lambda canvas: draw_froc(canvas, curves, point, title)))
    real = []
    for scan in scans:
        real.append(detect_in_scan(scan, segmenter, networks, threshold))
        say(f"detector: {scan.name}")
    where = "held-out patients, real portal-venous CT"
    more, notes = real_case_figures(real, threshold, where)
    figures += more
    empty = [detect_in_exam(phantom, segmenter, networks, threshold) for phantom in phantoms]
    if empty:
        marks = [case.marks() for case in empty]
        found = false_marks_per_case(marks, threshold=threshold, unit="phantoms")
        where = "phantoms without a lesion, all three phases"
        figures.append(figure_of(found, "false positives a case", where, goal="<= 0.5"))
    rows = [case.row() for case in (*cases, *real, *empty)]
    return Part("detector", figures, rows, notes), pictures


def _types(
    exam: PooledExam, case: DetectedCase, networks: Networks, group: int
) -> list[tuple[int, LesionType, float, LesionType]]:
    """Of the found lesions with known type: exam, true type, probability of malignancy, likeliest type. All that was
    found in the exam is typed together, as in an analysis.
    """
    assert networks.classifier is not None
    truth = {lesion.id: lesion.type for lesion in exam.truth.lesions}
    boxes: list[dict[Phase, IndexBox]] = []
    for lesion, _ in case.matched:
        own = {}
        for phase, box in lesion.boxes.items():
            z, y, x = box_slices(box, exam.study.volumes[phase].array.shape)
            own[phase] = ((int(z.start), int(y.start), int(x.start)), (int(z.stop), int(y.stop), int(x.stop)))
        boxes.append(own)
    found = networks.classifier.run(exam.study.volumes, boxes, exam.study.clinical, lambda _: None)
    return [
        (group, kind, sum(chances[k] for k in LesionType if k.malignant), max(LesionType, key=chances.__getitem__))
        for (_, number), chances in zip(case.matched, found, strict=True)
        if chances is not None and number is not None and (kind := truth[number])
    ]


def _type_figures(typed: list[tuple[int, LesionType, float, LesionType]], on: str) -> list[Figure]:
    groups = np.array([group for group, *_ in typed])
    right = np.array([kind is likeliest for _, kind, _, likeliest in typed])
    malignant = np.array([kind.malignant for _, kind, _, _ in typed])
    scores = np.array([score for _, _, score, _ in typed])
    accuracy = share(right, groups, name="accuracy", unit="lesions", grouped_by="exams")
    figures = [figure_of(accuracy, "seven-class accuracy, found boxes", on)]
    if malignant.any() and not malignant.all():
        area = auc_by_group(malignant, scores, groups, name="AUC", unit="lesions", grouped_by="exams")
        figures.append(figure_of(area, "malignant vs benign AUC, found boxes", on))
    return figures
