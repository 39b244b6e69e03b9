"""A labelled portal-venous scan made ready to become an exam: tissues, structure and noise apart, room for lesions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from LiverAILib.analysis.axes import canonical_axes, to_canonical
from LiverAILib.phantom.anatomy.liver import LiverShape
from LiverAILib.phantom.fields import Field
from LiverAILib.training.cases import LEAST_ML, CaseFiles, Organ, lesion_kind, names_tumours
from LiverAILib.training.exams_noise import NoiseModel, measure_noise, spread, structure
from LiverAILib.training.exams_tissues import guess_bright

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

_STEP_MM = 3.0  # of the fields in which lesions are placed
_BULGE_MM = 4.0


@dataclass(frozen=True)
class RealLesion:
    """A lesion of the scan itself. known: "tumour", "cyst", or "lesion" where the organ map does not say."""

    id: int
    known: str
    mean_hu: float


@dataclass(frozen=True)
class Anatomy:
    """One scan, axes to superior, posterior, left; arrays (z, y, x).

    hu: as scanned. smooth: without most of the noise. organs: `Organ` codes. liver: with vessels and lesions.
    real_ids: 0 none, else the number of a real lesion. spacing_mm: (z, y, x). liver_hu, vessel_hu: of parenchyma and of
    the vessels in it. left_hu: SD of the noise
    and texture that stay in `smooth`. window: least and greatest HU of the scan, to which exams are clipped too.
    """

    case: str
    patient: str
    hu: Array
    smooth: Array
    organs: npt.NDArray[np.uint8]
    liver: Mask
    real_ids: npt.NDArray[np.uint16]
    real: tuple[RealLesion, ...]
    spacing_mm: tuple[float, float, float]
    noise: NoiseModel
    left_hu: float
    liver_hu: float
    vessel_hu: float
    window: tuple[float, float]

    def shape_for_lesions(self) -> LiverShape:
        """Where lesions may grow, mm from the first voxel: in the liver, a few mm out of it, in no real lesion."""
        return _liver_shape(self)


def read_anatomy(files: CaseFiles, averaged: int = 1) -> Anatomy:
    """Read a case; `averaged` slices are made one. Raises StudyError if CT and labels differ in grid or show no
    liver.
    """
    volume = files.volume()
    label, organs = files.truth(volume)
    order, flips = canonical_axes(volume.affine)
    hu, label, organs = (
        np.ascontiguousarray(to_canonical(array, order, flips)) for array in (volume.array, label, organs)
    )
    spacing = [volume.spacing_mm[axis] for axis in order]
    window = float(hu.min()), float(hu.max())
    if averaged > 1:
        groups = hu.shape[0] // averaged
        hu = hu[: groups * averaged].reshape(groups, averaged, *hu.shape[1:]).mean(axis=1)
        middle = slice(averaged // 2, groups * averaged, averaged)
        label, organs = label[middle], organs[middle]
        spacing[0] *= averaged
    return anatomy_of(
        files.name,
        files.patient,
        hu.astype(np.float32),
        label,
        organs,
        (spacing[0], spacing[1], spacing[2]),
        window,
    )


def anatomy_of(
    case: str,
    patient: str,
    hu: Array,
    label: npt.NDArray[np.uint8],
    organs: npt.NDArray[np.uint8],
    spacing_mm: tuple[float, float, float],
    window: tuple[float, float],
) -> Anatomy:
    """An anatomy from arrays with canonical axes. label: 1 liver, 2 lesion; organs: merged with it."""
    liver = label > 0
    vessels = (label == 1) & np.isin(organs, (Organ.VEINS, Organ.PORTAL_VEIN))
    even = (label == 1) & (organs == Organ.LIVER)
    noise = measure_noise(hu, even)
    smooth = structure(hu, noise.sd)
    inner = ndimage.binary_erosion(even, np.ones((1, 3, 3), dtype=bool))
    left_hu = spread(smooth, inner if inner.sum() > 1000 else even)
    liver_hu = float(np.median(smooth[even])) if even.any() else float(np.median(smooth[liver]))
    vessel_hu = float(np.percentile(smooth[vessels], 70)) if vessels.sum() > 100 else liver_hu + 35
    ids, real = _real_lesions(label == 2, smooth, organs, spacing_mm)
    organs = guess_bright(smooth, organs, ndimage.binary_dilation(liver, np.ones((1, 3, 3), bool)), spacing_mm)
    return Anatomy(
        case,
        patient,
        hu,
        smooth,
        organs,
        liver,
        ids,
        real,
        spacing_mm,
        noise,
        min(left_hu, 0.6 * noise.sd),
        liver_hu,
        max(vessel_hu, liver_hu + 12),
        window,
    )


def _real_lesions(
    mask: Mask, smooth: Array, organs: npt.NDArray[np.uint8], spacing_mm: tuple[float, float, float]
) -> tuple[npt.NDArray[np.uint16], tuple[RealLesion, ...]]:
    parts, _ = ndimage.label(mask, np.ones((3, 3, 3)))
    ids = np.zeros(mask.shape, np.uint16)
    found: list[RealLesion] = []
    mapped = names_tumours(organs)
    for number, box in enumerate(ndimage.find_objects(parts), start=1):
        own = parts[box] == number
        if own.sum() * float(np.prod(spacing_mm)) / 1000 < LEAST_ML:
            continue
        ids[box][own] = len(found) + 1
        known = lesion_kind(organs[box][own], mapped=mapped)
        found.append(RealLesion(len(found) + 1, known, float(smooth[box][own].mean())))
    return ids, tuple(found)


def _liver_shape(anatomy: Anatomy) -> LiverShape:
    """Signed distances on a cubic grid from the masks, by nearest voxels."""
    spacing = np.asarray(anatomy.spacing_mm)
    extent = (np.asarray(anatomy.liver.shape) - 1) * spacing
    count = np.ceil(extent / _STEP_MM).astype(int) + 1
    index = [
        np.clip(np.rint(_STEP_MM * np.arange(n) / s).astype(int), 0, size - 1)
        for n, s, size in zip(count, spacing, anatomy.liver.shape, strict=True)
    ]
    pick = np.ix_(*index)

    def distance(mask: Mask) -> Array:
        """mm to the surface, negative inside."""
        if not mask.any():
            return np.full(mask.shape, 200.0, np.float32)
        outside = ndimage.distance_transform_edt(~mask, sampling=_STEP_MM)
        inside = ndimage.distance_transform_edt(mask, sampling=_STEP_MM)
        return np.asarray(outside - inside - np.where(mask, -0.5, 0.5) * _STEP_MM, np.float32)

    liver = distance(anatomy.liver[pick])
    free_of_real = np.asarray(3.0 - distance(anatomy.real_ids[pick] > 0), np.float32)
    origin = np.zeros(3)
    gallbladder = distance(anatomy.organs[pick] == Organ.GALLBLADDER)
    return LiverShape(
        Field(origin, _STEP_MM, np.maximum(liver, free_of_real)),
        Field(origin, _STEP_MM, gallbladder),
        Field(origin, _STEP_MM, np.maximum(liver - np.float32(_BULGE_MM), free_of_real)),
    )
