"""Findings in words, the same on the command line, in the overview and in the scene."""

from __future__ import annotations

from LiverAILib.findings import HCCRisk, Lesion
from LiverAILib.lesion_types import LesionType

_SHORT = {
    LesionType.HCC: "HCC",
    LesionType.ICC: "ICC",
    LesionType.METASTASIS: "Metastasis",
    LesionType.FNH: "FNH",
    LesionType.HAEMANGIOMA: "Haemangioma",
    LesionType.CYST: "Cyst",
    LesionType.ABSCESS: "Abscess",
}


def short_type(kind: LesionType) -> str:
    """A type's name where space is short."""
    return _SHORT[kind]


def type_words(lesion: Lesion) -> str:
    """Type and malignancy of a lesion: "HCC 0.81, malignancy 0.93 (malignant)"; empty if it was not classified."""
    if lesion.type_probabilities is None or lesion.likeliest_type is None:
        return ""
    kind = lesion.likeliest_type
    verdict = f" ({lesion.verdict})" if lesion.verdict is not None else ""
    return f"{_SHORT[kind]} {lesion.type_probabilities[kind]:.2f}, malignancy {lesion.malignancy:.2f}{verdict}"


def found_words(lesion: Lesion) -> str:
    """In which phases the detector found it; empty without a detector."""
    return f"found in {', '.join(phase.words for phase in lesion.found_in)}" if lesion.found_in else ""


def risk_words(risk: HCCRisk) -> str:
    """The HCC risk score, from how many images, and how it compares with its threshold."""
    score = f"HCC risk score {risk.unscaled:.2f} from {risk.images} images"
    if risk.threshold is None:
        return f"{score}."
    return f"{score}, {'at least' if risk.hcc else 'below'} {risk.threshold:.2f}, the threshold for HCC."
