"""What goes in: the phases of one exam as volumes in Hounsfield units, and the clinical record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from LiverAILib.errors import StudyError

if TYPE_CHECKING:
    import SimpleITK as sitk


class Phase(StrEnum):
    """Contrast phase of a liver CT, in the order of acquisition."""

    NON_CONTRAST = "non_contrast"
    ARTERIAL = "arterial"
    PORTAL_VENOUS = "portal_venous"
    DELAYED = "delayed"

    @property
    def words(self) -> str:
        """The name in a sentence: "portal venous"."""
        return "non-contrast" if self is Phase.NON_CONTRAST else self.value.replace("_", " ")


#: The phase whose grid carries the segmentation: the first of these that the study has.
REFERENCE_ORDER = (Phase.PORTAL_VENOUS, Phase.DELAYED, Phase.ARTERIAL, Phase.NON_CONTRAST)


@dataclass(frozen=True)
class PhaseOpinion:
    """What one source (tags, pixels, the user) says of a series' phase. `confidence` is in [0, 1]."""

    phase: Phase | None
    confidence: float
    reason: str


@dataclass(frozen=True)
class Source:
    """Where a volume came from. `label` is safe to print and store: it never holds a patient's name or ID."""

    label: str
    kind: str  # "dicom", "file", "scene", "phantom"
    series_uid: str | None = None
    opinions: Mapping[str, PhaseOpinion] = field(default_factory=dict)  # "tags", "pixels", "user"


@dataclass(frozen=True)
class Volume:
    """A CT volume in Hounsfield units.

    array: (z, y, x), int16 or float32.
    affine: 4x4 float64, maps the voxel index (x, y, z, 1) to patient space in mm, LPS (DICOM's axes).
    Raises StudyError if the affine is singular or sheared (axes not at right angles) or the array is not 3D.
    """

    array: npt.NDArray[Any]
    affine: npt.NDArray[np.float64]
    source: Source

    def __post_init__(self) -> None:
        if self.array.ndim != 3 or 0 in self.array.shape:
            raise StudyError(
                f"{self.source.label}: a volume needs three dimensions, this has shape {self.array.shape}."
            )
        if self.array.dtype not in (np.dtype(np.int16), np.dtype(np.float32)):
            raise StudyError(f"{self.source.label}: voxels must be int16 or float32 HU, not {self.array.dtype}.")
        affine = np.asarray(self.affine, dtype=np.float64)
        object.__setattr__(self, "affine", affine)
        if affine.shape != (4, 4) or not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
            raise StudyError(
                f"{self.source.label}: its affine is not an invertible 4x4 matrix. Export the volume again."
            )
        axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
        if np.abs(axes.T @ axes - np.eye(3)).max() > 1e-3:
            raise StudyError(
                f"{self.source.label}: its axes are not at right angles (sheared, or a tilted gantry). "
                "Resample it to a rectangular grid, or choose another series."
            )

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size in mm in array order (z, y, x)."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(z), float(y), float(x)

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in ml."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000.0

    def to_lps(self, index_zyx: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Patient coordinates (..., 3) in mm, LPS, of voxel indices (..., 3) in array order (z, y, x)."""
        index = np.asarray(index_zyx, dtype=np.float64)[..., ::-1]
        return np.asarray(index @ self.affine[:3, :3].T + self.affine[:3, 3])

    def with_array(self, array: npt.NDArray[Any]) -> Volume:
        """The same grid with other voxels."""
        return replace(self, array=array)

    def to_sitk(self) -> sitk.Image:
        """The volume as a SimpleITK image (LPS, no copy of meaning lost)."""
        return array_to_sitk(self.array, self.affine)


def array_to_sitk(array: npt.NDArray[Any], affine: npt.NDArray[np.float64]) -> sitk.Image:
    """A SimpleITK image from (z, y, x) voxels and an LPS affine."""
    import SimpleITK as sitk

    image = sitk.GetImageFromArray(array)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    image.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
    return image


def sitk_affine(image: sitk.Image) -> npt.NDArray[np.float64]:
    """The LPS affine, (x, y, z, 1) index to mm, of a 3D SimpleITK image."""
    affine = np.eye(4)
    affine[:3, :3] = np.asarray(image.GetDirection()).reshape(3, 3) * np.asarray(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return affine


@dataclass(frozen=True)
class ClinicalRecord:
    """The clinical items that the LiAIDS classifier takes (age in years); None is unknown."""

    age: float | None = None
    sex: str | None = None  # "female" or "male"
    hepatitis: bool | None = None
    cirrhosis: bool | None = None
    cholangiolithiasis: bool | None = None
    extrahepatic_tumour: bool | None = None

    def __post_init__(self) -> None:
        if self.age is not None and not 0 <= self.age <= 120:
            raise StudyError(f"Age {self.age} is not in 0 to 120 years.")
        if self.sex not in (None, "female", "male"):
            raise StudyError(f'Sex "{self.sex}" is not one of female, male.')


@dataclass(frozen=True)
class Study:
    """One exam: any non-empty subset of phases, each its own grid, and what the importer had to say."""

    volumes: Mapping[Phase, Volume]
    clinical: ClinicalRecord = field(default_factory=ClinicalRecord)
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.volumes:
            raise StudyError("The study has no volume. Give at least one phase of a liver CT.")

    @property
    def reference_phase(self) -> Phase:
        """The phase whose grid carries the segmentation."""
        return next(phase for phase in REFERENCE_ORDER if phase in self.volumes)
