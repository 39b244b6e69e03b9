"""The AI's opinion of a case, from its findings, in the words of the reader study."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from LiverAILib.export.nrrd import read_header
from LiverAILib.findings import Findings, Lesion, Triage
from LiverAILib.lesion_types import LesionType
from LiverAILib.readerstudy.case_files import sha256_of
from LiverAILib.readerstudy.dataset import Verdict
from LiverAILib.readerstudy.lesion_places import box_of_voxels
from LiverAILib.readerstudy.truth import AiMark, AiOpinion


def opinion_of(findings: Findings, findings_sha256: str, affine: npt.NDArray[np.float64]) -> AiOpinion:
    """What the findings say. affine: of the reference phase, voxel index (x, y, z, 1) to LPS mm.

    Without a patient reading (no classifier) only the marks are known: nothing is made up. P(HCC) of a patient is the
    highest of the lesions', and 0 without a lesion. The HCC call is whether HCC is the likeliest type of a lesion; only
    where types are unknown HCCNet's risk score makes it, if it has a threshold.
    """
    reading, risk = findings.reading, findings.hcc_risk
    worst = next((lesion for lesion in findings.lesions if reading and lesion.id == reading.worst), None)
    verdict: Verdict | None = None
    p_hcc: float | None = None
    hcc: bool | None = None
    if reading is not None and reading.malignant is not None:
        verdict = Verdict.MALIGNANT if reading.malignant else Verdict.BENIGN
        if not findings.lesions:
            verdict = Verdict.NO_LESION
    types = [lesion.type_probabilities for lesion in findings.lesions]
    if reading is not None and None not in types:
        p_hcc = max((chances[LesionType.HCC] for chances in types if chances is not None), default=0.0)
    kind = worst.likeliest_type if worst else None
    if verdict is not None and p_hcc is not None:
        hcc = any(lesion.likeliest_type is LesionType.HCC for lesion in findings.lesions)
    elif risk is not None:
        hcc = risk.hcc
    return AiOpinion(
        findings_sha256=findings_sha256,
        hcc=hcc,
        verdict=verdict,
        type=kind,
        p_hcc=p_hcc,
        p_malignant=reading.malignancy if reading else None,
        type_probabilities=worst.type_probabilities if worst else None,
        low_risk=reading.triage is Triage.LOW if reading and reading.triage else None,
        marks=tuple(_mark(lesion, affine) for lesion in findings.lesions),
    )


def read_opinion(run: Path) -> AiOpinion:
    """The opinion in a run folder whose files were checked."""
    from LiverAILib.export.run_folder import FINDINGS, PROBABILITY

    findings = Findings.model_validate_json((run / FINDINGS).read_bytes())
    return opinion_of(findings, sha256_of(run / FINDINGS), read_header(run / PROBABILITY).affine)


def _mark(lesion: Lesion, affine: npt.NDArray[np.float64]) -> AiMark:
    return AiMark(
        confidence=min(max(lesion.probability, 0.0), 1.0),
        centre_lps_mm=lesion.centre_lps_mm,
        box_lps_mm=box_of_voxels(*lesion.box_zyx, affine),
        type=lesion.likeliest_type,
    )
