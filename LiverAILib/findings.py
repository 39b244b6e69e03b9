"""What comes out: the findings of one analysis, as JSON in and out."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from LiverAILib.study import Phase

#: Raised when a field changes its meaning or goes; files of a newer schema are refused.
SCHEMA_VERSION = 1

Vector = tuple[float, float, float]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PhaseFacts(_Record):
    """One phase as it was used."""

    source: str
    shape: tuple[int, int, int] = Field(description="(z, y, x)")
    spacing_mm: Vector = Field(description="(z, y, x)")
    confidence: float = Field(description="of the phase, 1 if the user said it")
    reason: str
    liver_ml: float
    liver_hu: float | None = Field(description="mean over the liver outside lesions; None without a liver")


class Lesion(_Record):
    """One lesion, measured on the reference phase's grid."""

    id: str = Field(description="segment id in segmentation.seg.nrrd, e.g. lesion_1")
    name: str
    label: int = Field(description="label value in segmentation.seg.nrrd")
    centre_lps_mm: Vector
    box_zyx: tuple[tuple[int, int, int], tuple[int, int, int]] = Field(description="first voxel, and one past the last")
    volume_ml: float
    diameter_mm: float = Field(description="longest in an axial slice")
    perpendicular_mm: float = Field(description="longest at right angles to it in the same slice")
    probability: float = Field(description="mean lesion probability over its voxels")
    mean_hu: dict[Phase, float] = Field(description="per phase; a phase that does not cover the lesion is absent")


class Model(_Record):
    name: str
    version: str
    sha256: str


class Findings(_Record):
    """Everything an analysis found and how."""

    schema_version: int = SCHEMA_VERSION
    software_version: str
    created_utc: str
    device: str
    threads: int
    models: list[Model]
    parameters: dict[str, float | int | str | bool]
    seconds: dict[str, float] = Field(description="wall time per stage")
    warnings: list[str]
    reference_phase: Phase
    phases: dict[Phase, PhaseFacts]
    clinical: dict[str, float | str | bool | None]
    liver_ml: float
    lesions: list[Lesion]
