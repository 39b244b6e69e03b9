"""What comes out: the findings of one analysis, as JSON in and out."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from LiverAILib.lesion_types import LesionType
from LiverAILib.study import Phase

#: Raised when fields come, go or change their meaning; files of a newer schema are refused, older ones are read.
SCHEMA_VERSION = 3

Vector = tuple[float, float, float]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Verdict(StrEnum):
    """What is said of a lesion."""

    BENIGN = "benign"
    INDETERMINATE = "indeterminate"
    MALIGNANT = "malignant"


class Triage(StrEnum):
    """What is said of a patient."""

    LOW = "low"
    HIGH = "high"


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
    found_in: list[Phase] = Field(default=[], description="phases in which the detector found it; empty without one")
    approximate_in: list[Phase] = Field(default=[], description="phases in which its outline is a guess")
    type_probabilities: dict[LesionType, float] | None = Field(
        default=None, description="of all seven types, the patient's other lesions considered; None if not classified"
    )
    verdict: Verdict | None = Field(default=None, description="None without a classifier")
    saliency_share: dict[Phase, float] = Field(
        default={},
        description='the "quantified pixel" figure: share of the phase\'s saliency in the liver that lies in it',
    )

    @property
    def likeliest_type(self) -> LesionType | None:
        """The type with the highest probability; the paper's order decides a tie."""
        if self.type_probabilities is None:
            return None
        return max(LesionType, key=self.type_probabilities.__getitem__)

    @property
    def malignancy(self) -> float | None:
        """The probability that it is HCC, ICC or metastasis."""
        if self.type_probabilities is None:
            return None
        return min(sum(self.type_probabilities[kind] for kind in LesionType if kind.malignant), 1.0)


class SliceScores(_Record):
    """NoduleNet's probabilities of one phase's axial slices that show liver, feet to head; none without NoduleNet."""

    slices: list[tuple[int, int]] = Field(
        description="first slice, and one past the last, that the score is of, along the volume's axial axis"
    )
    nodule: list[float]
    hcc: list[float] = Field(default=[], description="only in files up to schema 2; now in HCCRisk.scores")


class Reading(_Record):
    """What is said of the patient. Research use, no diagnosis."""

    triage: Triage | None = Field(description="None if it stays open; the reason says why")
    reason: str = Field(description="of the triage, in words")
    worst: str | None = Field(description="id of the lesion that decides; None without one")
    verdict: Verdict | None = Field(description="of that lesion")
    malignancy: float | None = Field(description="of that lesion, 0 without a lesion, None if unknown")
    malignant: bool | None = Field(description="the two-way call, None if unknown")


class HCCRisk(_Record):
    """The HCC risk score of HCCNet from all liver slices of the reference phase, each seen together with the other
    phases.
    """

    printed: float = Field(description="as the paper prints it, divided by the number of images")
    unscaled: float = Field(description="without that division; compare patients by this one")
    images: int
    threshold: float | None = Field(description="of the unscaled score, from the model package; None if it has none")
    hcc: bool | None = Field(description="unscaled >= threshold; None without a threshold")
    slices: list[tuple[int, int]] = Field(
        default=[], description="of each image the first slice of the reference phase, and one past the last"
    )
    scores: list[float] = Field(default=[], description="HCCNet's probability of each; empty in files up to schema 2")


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
    reading: Reading | None = Field(default=None, description="None without a lesion classifier")
    hcc_risk: HCCRisk | None = Field(default=None, description="None without HCCNet or without a liver")
    slice_scores: dict[Phase, SliceScores] = {}

    @property
    def typed_together(self) -> bool:
        """Whether the lesions' types lean on one another (`analysis.joint_types`)."""
        typed = sum(lesion.type_probabilities is not None for lesion in self.lesions)
        return typed > 1 and bool(self.parameters.get("other_lesions_trust", 0))
