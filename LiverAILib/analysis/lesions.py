"""Stage 2: lesions as connected regions of lesion probability inside the liver, on the reference phase's grid, and
their measures.

The phases' probabilities are brought together on the reference grid: each other phase is shifted so that its liver
overlaps best with the reference phase's (breathing), and the highest probability of any phase counts, since many
lesions show in one phase only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from LiverAILib.analysis.axes import canonical_axes, to_canonical
from LiverAILib.findings import Lesion
from LiverAILib.study import Phase, Study, Volume, array_to_sitk

if TYPE_CHECKING:
    from LiverAILib.analysis.segment import Segmentation

THRESHOLD = 0.5
MIN_LESION_ML = 0.05  # a sphere of 4.6 mm
MIN_PEAK = 0.7  # a region that nowhere reaches this is noise
MAX_SHIFT_MM = 40.0
SHIFT_GRID_MM = 4.0

#: As the findings record them.
PARAMETERS: Mapping[str, float] = {
    "lesion_threshold": THRESHOLD,
    "lesion_min_ml": MIN_LESION_ML,
    "lesion_min_peak": MIN_PEAK,
    "phase_max_shift_mm": MAX_SHIFT_MM,
}

Mask = npt.NDArray[np.bool_]
Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class MeasuredLesions:
    """Lesions on the reference grid: the liver (lesions included), lesion labels 1..n, and the joint lesion
    probability.
    """

    liver: Mask
    lesion_ids: npt.NDArray[np.uint16]
    lesion_probability: npt.NDArray[np.float32]
    lesions: list[Lesion]
    warnings: list[str]


def find_lesions(study: Study, segmentations: Mapping[Phase, Segmentation]) -> MeasuredLesions:
    """Bring the phases' segmentations together, find the lesions and measure them, largest first."""
    reference = study.reference_phase
    volume = study.volumes[reference]
    liver = segmentations[reference].liver
    probability = segmentations[reference].lesion_probability
    warnings = [
        f"No liver was found in the {phase.words} phase; check that it shows the upper abdomen."
        for phase, segmentation in segmentations.items()
        if not segmentation.liver.any()
    ]
    shifts = {reference: np.zeros(3)}
    if liver.any():
        box = bounding_box(liver)
        own, probability = probability, np.zeros(probability.shape, np.float32)  # what stays 0 takes no memory
        joint = probability[box]
        joint[:] = own[box]
        for phase, other in segmentations.items():
            if phase is reference or not other.liver.any():
                continue
            there = study.volumes[phase]
            shifts[phase] = liver_shift(volume, liver, there, other.liver)
            seen = _resample(other.lesion_probability, bounding_box(other.liver), there, volume, box, shifts[phase])
            np.maximum(joint, seen, out=joint, where=liver[box])
    ids = label_lesions(probability, volume.voxel_ml)
    lesions = measure(study, ids, probability, shifts)
    return MeasuredLesions(liver, ids, probability, lesions, warnings)


def label_lesions(probability: npt.NDArray[np.float32], voxel_ml: float) -> npt.NDArray[np.uint16]:
    """Label regions over `THRESHOLD` (26-connected) by falling size; tiny or nowhere convincing regions are dropped."""
    from scipy import ndimage

    result = np.zeros(probability.shape, np.uint16)
    mask = probability > THRESHOLD
    if not mask.any():
        return result
    box = bounding_box(mask)
    regions, count = ndimage.label(mask[box], np.ones((3, 3, 3)))
    sizes = np.bincount(regions.ravel(), minlength=count + 1)
    peaks = ndimage.maximum(probability[box], regions, np.arange(count + 1))
    kept = [i for i in range(1, count + 1) if sizes[i] * voxel_ml >= MIN_LESION_ML and peaks[i] >= MIN_PEAK]
    kept.sort(key=lambda i: (-sizes[i], i))
    table = np.zeros(count + 1, np.uint16)
    table[kept[: np.iinfo(np.uint16).max]] = np.arange(1, len(kept) + 1)
    result[box] = table[regions]
    return result


def measure(
    study: Study,
    ids: npt.NDArray[np.uint16],
    probability: npt.NDArray[np.float32],
    shifts: Mapping[Phase, npt.NDArray[np.float64]],
) -> list[Lesion]:
    """Measure each label of `ids` (reference grid). shifts: LPS mm from the reference to each phase that may be
    sampled.
    """
    from scipy import ndimage

    volume = study.volumes[study.reference_phase]
    lesions = []
    for number, box in enumerate(ndimage.find_objects(ids), start=1):
        mask = ids[box] == number
        first = np.array([axis.start for axis in box])
        points = volume.to_lps(np.argwhere(mask) + first)
        longest, perpendicular = axial_diameters(mask, volume)
        centre = points.mean(axis=0)
        lesions.append(
            Lesion(
                id=f"lesion_{number}",
                name=f"Lesion {number}",
                label=number,
                centre_lps_mm=(_tenth(centre[0]), _tenth(centre[1]), _tenth(centre[2])),
                box_zyx=(
                    (box[0].start, box[1].start, box[2].start),
                    (box[0].stop, box[1].stop, box[2].stop),
                ),
                volume_ml=round(int(mask.sum()) * volume.voxel_ml, 3),
                diameter_mm=_tenth(longest),
                perpendicular_mm=_tenth(perpendicular),
                probability=round(float(probability[box][mask].mean(dtype=np.float64)), 3),
                mean_hu=_mean_hu(study, points, shifts),
            )
        )
    return lesions


def _tenth(value: float) -> float:
    return round(float(value), 1)


def _mean_hu(
    study: Study, points: npt.NDArray[np.float64], shifts: Mapping[Phase, npt.NDArray[np.float64]]
) -> dict[Phase, float]:
    """Mean HU at the lesion's voxels (LPS points) in each phase that covers at least half of them."""
    result = {}
    for phase, shift in shifts.items():
        volume = study.volumes[phase]
        inverse = np.linalg.inv(volume.affine)
        index = np.rint((points + shift) @ inverse[:3, :3].T + inverse[:3, 3]).astype(int)[:, ::-1]
        inside = np.all((index >= 0) & (index < volume.array.shape), axis=1)
        if inside.mean() >= 0.5:
            z, y, x = index[inside].T
            result[phase] = _tenth(volume.array[z, y, x].mean(dtype=np.float64))
    return {phase: result[phase] for phase in Phase if phase in result}


def axial_diameters(mask: Mask, volume: Volume) -> tuple[float, float]:
    """Longest diameter in any axial slice, and the caliper width at right angles to it in that slice, in mm.

    mask: (z, y, x) on the volume's axes. Measured between pixel borders, so one pixel is as long as its side.
    """
    order, flips = canonical_axes(volume.affine)
    planes = to_canonical(mask, order, flips)
    spacing = np.array(volume.spacing_mm)[list(order)][1:]
    best = (0.0, 0.0)
    for plane in planes:
        if not plane.any():
            continue
        pixels = _row_ends(plane) * spacing
        gaps = pixels[:, None] - pixels[None]
        lengths = np.hypot(gaps[..., 0], gaps[..., 1])
        longest = float(lengths.max())
        if longest + spacing.min() <= best[0]:
            continue
        a, b = np.unravel_index(int(lengths.argmax()), lengths.shape)
        along = (pixels[b] - pixels[a]) / longest if longest > 0 else np.array([0.0, 1.0])
        across = pixels @ np.array([-along[1], along[0]])
        pixel_along, pixel_across = np.abs(along) @ spacing, np.abs(along[::-1]) @ spacing
        best = max(best, (longest + float(pixel_along), float(np.ptp(across)) + float(pixel_across)))
    return best[0], min(best)


def _row_ends(plane: Mask) -> npt.NDArray[np.intp]:
    """First and last pixel of each row, (n, 2): every corner of the convex hull, so both ends of any longest chord."""
    rows = np.flatnonzero(plane.any(axis=1))
    first = plane[rows].argmax(axis=1)
    last = plane.shape[1] - 1 - plane[rows, ::-1].argmax(axis=1)
    return np.concatenate([np.stack([rows, first], axis=1), np.stack([rows, last], axis=1)])


def bounding_box(mask: Mask) -> Box:
    """The smallest box that holds a non-empty mask (z, y, x)."""
    slices = []
    for axis in range(3):
        lines = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        slices.append(slice(int(lines[0]), int(lines[-1]) + 1))
    return slices[0], slices[1], slices[2]


def liver_shift(reference: Volume, reference_liver: Mask, other: Volume, other_liver: Mask) -> npt.NDArray[np.float64]:
    """The shift (LPS, mm) to add to a reference point to find it in the other phase: where the two livers overlap best.

    Found by cross-correlation on a common grid of `SHIFT_GRID_MM`, within `MAX_SHIFT_MM`; 0 where no shift is better
    than none.
    """
    from scipy import signal

    low, high = _liver_extent(reference, reference_liver)
    low, high = low - MAX_SHIFT_MM, high + MAX_SHIFT_MM
    coarse = [_on_grid(v, liver, low, high) for v, liver in ((reference, reference_liver), (other, other_liver))]
    reach = int(MAX_SHIFT_MM / SHIFT_GRID_MM)
    overlap = signal.fftconvolve(coarse[1], coarse[0][::-1, ::-1, ::-1], mode="full")
    middle = np.array(coarse[0].shape) - 1
    window = overlap[tuple(slice(max(m - reach, 0), m + reach + 1) for m in middle)]
    best = np.unravel_index(int(window.argmax()), window.shape)
    start = np.maximum(middle - reach, 0)
    if window[best] <= overlap[tuple(middle)] * 1.005:
        return np.zeros(3)
    steps = (np.array(best) + start - middle)[::-1]
    return np.asarray(steps * SHIFT_GRID_MM, dtype=np.float64)


def _liver_extent(volume: Volume, liver: Mask) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    box = bounding_box(liver)
    corners = [[(axis.start, axis.stop)[bit >> i & 1] for i, axis in enumerate(box)] for bit in range(8)]
    points = volume.to_lps(corners)
    return points.min(axis=0), points.max(axis=0)


def _on_grid(volume: Volume, liver: Mask, low: npt.ArrayLike, high: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """The liver on an axis-aligned grid of `SHIFT_GRID_MM` between two LPS corners, (z, y, x)."""
    low, high = np.asarray(low), np.asarray(high)
    grid = np.diag([SHIFT_GRID_MM] * 3 + [1.0])
    grid[:3, 3] = low
    size = np.ceil((high - low) / SHIFT_GRID_MM).astype(int) + 1
    return _sampled(liver, bounding_box(liver), volume, size[::-1].tolist(), grid)


def _resample(
    array: npt.NDArray[np.float32],
    inside: Box,
    source: Volume,
    target: Volume,
    box: Box,
    shift: npt.NDArray[np.float64],
) -> npt.NDArray[np.float32]:
    """`array` on the source's grid (0 outside the box `inside`), at the voxels of a box of the target's grid, whose
    points are moved by `shift`.
    """
    affine = target.affine.copy()
    affine[:3, 3] = target.to_lps([axis.start for axis in box]) + shift
    return _sampled(array, inside, source, [axis.stop - axis.start for axis in box], affine)


def _sampled(
    array: npt.NDArray[Any], inside: Box, volume: Volume, shape: list[int], affine: npt.NDArray[np.float64]
) -> npt.NDArray[np.float32]:
    """`array`, 0 outside the box `inside` of the volume's grid, brought linearly to another grid (z, y, x).

    Only the box is copied, with a voxel of zeros around it, so that values fall off as they do in the whole array.
    """
    import SimpleITK as sitk

    part = array[inside]
    padded = np.pad(part.view(np.uint8) if part.dtype == np.bool_ else part, 1)
    place = volume.affine.copy()
    place[:3, 3] = volume.to_lps([axis.start - 1 for axis in inside])
    target = array_to_sitk(np.zeros(shape, np.uint8), affine)
    image = array_to_sitk(padded, place)
    found = sitk.Resample(image, target, sitk.Transform(), sitk.sitkLinear, 0.0, sitk.sitkFloat32)
    return np.asarray(sitk.GetArrayFromImage(found), dtype=np.float32)
