"""The truth record of a phantom exam, as it is written to truth.json."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from LiverAILib.lesion_types import LesionType
from LiverAILib.study import ClinicalRecord, Phase


class LesionTruth(BaseModel):
    """One lesion. Sizes are those of its shape inside the liver, before voxels: a 4 mm lesion may fill no voxel.

    diameter_mm: longest extent along an axis of its ellipsoid. centre_lps: by phase, in mm, breathing applied.
    true_hu: mean over its voxels before noise, by phase; empty where it fills no voxel.
    """

    model_config = ConfigDict(frozen=True)

    id: int
    type: LesionType
    atypical: bool
    diameter_mm: float
    volume_ml: float
    centre_lps: dict[Phase, tuple[float, float, float]]
    true_hu: dict[Phase, float]
    features: tuple[str, ...] = ()


class MimicTruth(BaseModel):
    """Something that looks like a lesion and is none. kind: focal_fat, focal_sparing or perfusion."""

    model_config = ConfigDict(frozen=True)

    kind: str
    diameter_mm: float
    centre_lps: dict[Phase, tuple[float, float, float]]


class LiverTruth(BaseModel):
    """State of the liver. volume_ml: the liver mask (lesions included) in each phase's volume."""

    model_config = ConfigDict(frozen=True)

    fatty: bool
    cirrhotic: bool
    ascites: bool
    unenhanced_hu: float
    volume_ml: dict[Phase, float]


class PhantomTruth(BaseModel):
    """All that is known of a phantom exam."""

    model_config = ConfigDict(frozen=True)

    seed: int
    evaluation_only: bool
    clinical: ClinicalRecord
    liver: LiverTruth
    lesions: tuple[LesionTruth, ...]
    mimics: tuple[MimicTruth, ...]
    seconds_after_injection: dict[Phase, float]
    breathing_shift_mm: dict[Phase, tuple[float, float, float]]  # (z, y, x) of the liver
    noise_hu: float
    slice_thickness_mm: float
    artefacts: tuple[str, ...] = ()
