"""Exams of a pool and real scans with balls for lesions, for tests: nothing is drawn, all answers are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from stage_exams import SPACING, Ball, exam_volume

from LiverAILib.evaluation.pool import PooledExam
from LiverAILib.lesion_types import LesionType
from LiverAILib.study import ClinicalRecord, Phase, Study
from LiverAILib.training.exams_truth import ExamLesion, ExamTruth
from LiverAILib.training.real_scans import RealLesion, RealScan

PV = Phase.PORTAL_VENOUS


def ball_ids(balls: Sequence[Ball], shape: tuple[int, int, int]) -> np.ndarray:
    """The balls' voxels, numbered from 1."""
    ids = np.zeros(shape, np.uint16)
    grid = np.indices(shape, dtype=float)
    for number, (centre, radius, _) in enumerate(balls, start=1):
        gap = sum(((axis - c) * s) ** 2 for axis, c, s in zip(grid, centre, SPACING, strict=True))
        ids[gap <= radius**2] = number
    return ids


def lesion(number: int, kind: LesionType | None, radius: float) -> ExamLesion:
    return ExamLesion(
        id=number,
        type=kind,
        real=kind is None,
        known="lesion" if kind is None else str(kind),
        atypical=False,
        diameter_mm=2 * radius,
        volume_ml=round(4.19 * (radius / 10) ** 3, 3),
        centre_lps={},
    )


def toy_exam(
    seed: int, balls: Sequence[Ball], kinds: Sequence[LesionType | None], phases: Sequence[Phase] = (PV,)
) -> PooledExam:
    """An exam whose phases all show the same balls; kind None is a real lesion of unknown type."""
    volumes = {phase: exam_volume(balls) for phase in phases}
    livers = {phase: volume.array > 0 for phase, volume in volumes.items()}
    ids = {phase: ball_ids(balls, volume.array.shape) * livers[phase] for phase, volume in volumes.items()}
    clinical = ClinicalRecord(age=60)
    truth = ExamTruth(
        seed=seed,
        evaluation_only=True,
        case="toy",
        patient=f"p{seed % 3}",
        clinical=clinical,
        lesions=tuple(lesion(n, kind, ball[1]) for n, (kind, ball) in enumerate(zip(kinds, balls, strict=True), 1)),
        mimics=(),
        liver_unenhanced_hu=60,
        seconds_after_injection={},
        shift_mm={},
        noise_hu=0,
        slice_thickness_mm=4,
    )
    return PooledExam(Study(volumes, clinical), livers, ids, truth)


def toy_scan(name: str, balls: Sequence[Ball], known: Sequence[str], patient: str | None = None) -> RealScan:
    """A real scan with balls for lesions."""
    volume = exam_volume(balls)
    liver = volume.array > 0
    ids = (ball_ids(balls, volume.array.shape) * liver).astype(np.int32)
    lesions = tuple(
        RealLesion(number, word, float((ids == number).sum()) * volume.voxel_ml, ball[2])
        for number, (word, ball) in enumerate(zip(known, balls, strict=True), start=1)
    )
    return RealScan(name, patient or name, volume, liver, ids, lesions)


def by_phase(exam: PooledExam, values: Mapping[Phase, np.ndarray]) -> PooledExam:
    """The exam with other labels in some phases."""
    return PooledExam(exam.study, exam.livers, {**exam.lesion_ids, **values}, exam.truth)
