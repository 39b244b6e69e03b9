"""What is true of a synthetic exam."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict
from scipy import ndimage

from LiverAILib.lesion_types import LesionType
from LiverAILib.phantom import MimicTruth
from LiverAILib.phantom.lesions import Mimic, PlacedLesion
from LiverAILib.study import ClinicalRecord, Phase
from LiverAILib.training.exams_anatomy import Anatomy

Shifts = Mapping[Phase, tuple[float, float, float]]


class ExamLesion(BaseModel):
    """One lesion. type: None for a real one that nobody has named. known: of a real one "tumour", "cyst" or "lesion",
    else the type. Sizes of synthetic ones are those of the shape, before voxels; of real ones from their voxels.
    """

    model_config = ConfigDict(frozen=True)

    id: int
    type: LesionType | None
    real: bool
    known: str
    atypical: bool
    diameter_mm: float
    volume_ml: float
    centre_lps: dict[Phase, tuple[float, float, float]]
    features: tuple[str, ...] = ()


class ExamTruth(BaseModel):
    """All that is known of a synthetic exam. shift_mm: (z, y, x) of everything, by phase."""

    model_config = ConfigDict(frozen=True)

    seed: int
    evaluation_only: bool
    case: str
    patient: str
    clinical: ClinicalRecord
    lesions: tuple[ExamLesion, ...]
    mimics: tuple[MimicTruth, ...]
    liver_unenhanced_hu: float
    seconds_after_injection: dict[Phase, float]
    shift_mm: dict[Phase, tuple[float, float, float]]
    noise_hu: float
    slice_thickness_mm: float


def _lps(centre: npt.NDArray[np.float64], shift: tuple[float, float, float]) -> tuple[float, float, float]:
    z, y, x = (round(float(c + s), 2) for c, s in zip(centre, shift, strict=True))
    return x, y, z


def real_truth(anatomy: Anatomy, shifts: Shifts) -> list[ExamLesion]:
    """The lesions of the scan itself."""
    spacing = np.asarray(anatomy.spacing_mm)
    found = []
    for lesion, box in zip(anatomy.real, ndimage.find_objects(anatomy.real_ids.astype(np.int32)), strict=True):
        own = anatomy.real_ids[box] == lesion.id
        middle = np.argwhere(own).mean(axis=0) + [part.start for part in box]
        sides = [(part.stop - part.start) * step for part, step in zip(box, spacing, strict=True)]
        found.append(
            ExamLesion(
                id=lesion.id,
                type=LesionType.CYST if lesion.known == "cyst" else None,
                real=True,
                known=lesion.known,
                atypical=False,
                diameter_mm=round(max(sides), 1),
                volume_ml=round(float(own.sum() * np.prod(spacing)) / 1000, 3),
                centre_lps={phase: _lps(middle * spacing, shift) for phase, shift in shifts.items()},
            )
        )
    return found


def synthetic_truth(placed: Sequence[PlacedLesion], first: int, shifts: Shifts) -> list[ExamLesion]:
    """The lesions that were put in; `first` is the number of the first."""
    return [
        ExamLesion(
            id=number,
            type=lesion.kind,
            real=False,
            known=str(lesion.kind),
            atypical=lesion.atypical,
            diameter_mm=round(lesion.diameter_mm, 1),
            volume_ml=round(lesion.volume_ml, 3),
            centre_lps={phase: _lps(lesion.centre, shift) for phase, shift in shifts.items()},
            features=lesion.features,
        )
        for number, lesion in enumerate(placed, start=first)
    ]


def mimic_truth(mimics: Sequence[Mimic], shifts: Shifts) -> tuple[MimicTruth, ...]:
    """The changes of liver tissue that are no lesions."""
    return tuple(
        MimicTruth(
            kind=mimic.kind,
            diameter_mm=round(mimic.diameter_mm, 1),
            centre_lps={phase: _lps(mimic.centre, shift) for phase, shift in shifts.items()},
        )
        for mimic in mimics
    )
