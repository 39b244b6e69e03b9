"""HCCNet on whole exams in their true liver, read as an analysis reads them: the risk score of each, and what a package
states of it. For validation, and for the evaluation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from LiverAILib.analysis.axes import canonical_axes
from LiverAILib.analysis.calibrate import choose_decision
from LiverAILib.analysis.networks import ReadRisk
from LiverAILib.analysis.risk import hcc_risk
from LiverAILib.lesion_types import LesionType
from LiverAILib.training.packages import result
from LiverAILib.training.slices import auroc
from LiverAILib.training.stacks import exam_shifts
from LiverAILib.training.typed_exam import TypedExam


@dataclass(frozen=True)
class ReadPatient:
    """One exam. hcc: whether it holds one. risk, printed: the score in both forms. slice_mm: distance of its slices."""

    seed: int
    patient: str
    hcc: bool
    risk: float
    printed: float
    images: int
    slice_mm: float


def read_exam_risk(reader: ReadRisk, exam: TypedExam) -> ReadPatient | None:
    """HCCNet on all liver slices but those that show a lesion of unknown type; None if none is left."""
    truth, study = exam.truth, exam.study
    reference = study.reference_phase
    livers = {phase: exam.liver_mask(phase) for phase in study.volumes}
    read = reader(study, livers[reference], exam_shifts(exam, livers))
    if read is None:
        return None
    unknown = [lesion.id for lesion in truth.lesions if lesion.type is None]
    axis = canonical_axes(study.volumes[reference].affine)[0][0]
    others = tuple(other for other in range(3) if other != axis)
    lines = np.asarray(np.isin(exam.lesion_ids[reference], unknown).any(axis=others))
    known = zip(read.slices, read.probability, strict=True)
    risk = hcc_risk([value for (first, end), value in known if not lines[first:end].any()])
    if risk is None:
        return None
    return ReadPatient(
        truth.seed,
        str(getattr(truth, "patient", truth.seed)),
        any(lesion.type is LesionType.HCC for lesion in truth.lesions),
        risk.unscaled,
        risk.printed,
        risk.images,
        max(study.volumes[reference].spacing_mm),
    )


def hccnet_results(read: Sequence[ReadPatient]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """`hcc_threshold` (Youden's threshold of the unscaled risk score of an exam), `hcc_auroc` and the results; nothing
    if all or none of the exams hold an HCC.
    """
    scores, truth = [one.risk for one in read], [one.hcc for one in read]
    if len(set(truth)) < 2:
        return {}, []
    decision = choose_decision(scores, truth)
    on = "validation exams, all liver slices"
    found = auroc(torch.tensor(scores), torch.tensor(truth))
    level, without = f"{decision.threshold:.3f}", len(truth) - sum(truth)
    rows = [
        result("AUROC, exams with an HCC, unscaled risk score", on, len(truth), found),
        result(f"sensitivity from a score of {level} on", on, sum(truth), decision.sensitivity),
        result(f"specificity below a score of {level}", on, without, decision.specificity),
    ]
    return {"hcc_threshold": round(decision.threshold, 5), "hcc_auroc": round(found, 4)}, rows
