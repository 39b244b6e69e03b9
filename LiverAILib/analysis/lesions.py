"""Lesions without a detector: connected regions of the phases' joint lesion probability (see `join`) inside the liver,
on the reference phase's grid; and the measures of lesions, however they were found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from LiverAILib.analysis.axes import canonical_axes, to_canonical
from LiverAILib.analysis.join import JointMap, join_phases
from LiverAILib.analysis.registration import MAX_SHIFT_MM, MOST_REFINED_MM
from LiverAILib.analysis.resample import Mask, bounding_box
from LiverAILib.findings import Lesion
from LiverAILib.study import Phase, Study, Volume

if TYPE_CHECKING:
    from LiverAILib.analysis.segment import Segmentation

THRESHOLD = 0.6  # see Docs/decisions.md
MIN_LESION_ML = 0.05  # a sphere of 4.6 mm
MIN_PEAK = 0.8  # a region that nowhere reaches this is noise

#: As the findings record them.
PARAMETERS: Mapping[str, float] = {
    "lesion_threshold": THRESHOLD,
    "lesion_min_ml": MIN_LESION_ML,
    "lesion_min_peak": MIN_PEAK,
    "phase_max_shift_mm": MAX_SHIFT_MM + MOST_REFINED_MM,
}

IndexBox = tuple[tuple[int, int, int], tuple[int, int, int]]


@dataclass(frozen=True)
class MeasuredLesions:
    """Lesions on the reference grid: the liver (lesions included), lesion labels 1..n, and the joint lesion
    probability.

    shifts: LPS mm from the reference to each phase that has a liver. labels, boxes: where each phase has its own, the
    labels 1..n on its grid and the lesions' boxes (first voxel, and one past the last) by label. unmeasured: in words,
    lesions that were found but do not lie in the reference phase's scan.
    """

    liver: Mask
    lesion_ids: npt.NDArray[np.uint16]
    lesion_probability: npt.NDArray[np.float32]
    lesions: list[Lesion]
    warnings: list[str]
    shifts: Mapping[Phase, npt.NDArray[np.float64]] = field(default_factory=dict)
    labels: Mapping[Phase, npt.NDArray[np.uint16]] = field(default_factory=dict)
    boxes: Mapping[Phase, Mapping[int, IndexBox]] = field(default_factory=dict)
    unmeasured: tuple[str, ...] = ()


def find_lesions(study: Study, segmentations: Mapping[Phase, Segmentation]) -> MeasuredLesions:
    """Bring the phases' segmentations together, find the lesions and measure them, largest first."""
    return lesions_in(study, join_phases(study, segmentations))


def lesions_in(study: Study, joint: JointMap) -> MeasuredLesions:
    """The lesions of a joint lesion probability, measured, largest first."""
    volume = study.volumes[study.reference_phase]
    ids = label_lesions(joint.probability, volume.voxel_ml)
    ids = largest_first(ids, volume)[0]
    lesions = measure(study, ids, joint.probability, joint.shifts)
    return MeasuredLesions(joint.liver, ids, joint.probability, lesions, joint.warnings, joint.shifts)


def largest_first(ids: npt.NDArray[np.uint16], volume: Volume) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint16]]:
    """The same regions labelled 1..n by falling size, and the table from old to new labels (0 for one without a voxel).

    Of equally large ones the lowest, then the foremost, then the rightmost in the patient comes first, so that labels
    do not depend on how the volume is stored.
    """
    from scipy import ndimage

    sizes = np.bincount(ids.ravel())
    table = np.zeros(len(sizes), np.uint16)
    places = []
    for label, box in enumerate(ndimage.find_objects(ids), start=1):
        if box is not None:
            middle = np.argwhere(ids[box] == label).mean(axis=0) + [axis.start for axis in box]
            places.append((-int(sizes[label]), *np.round(volume.to_lps(middle)[::-1], 3).tolist(), label))
    order = [int(place[-1]) for place in sorted(places)]
    table[order] = np.arange(1, len(order) + 1)
    if order == list(range(1, len(sizes))):
        return ids, table
    return relabel(ids, table), table


def relabel(ids: npt.NDArray[np.uint16], table: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint16]:
    """Labels (z, y, x) through a table of new ones; slices without a label take no memory."""
    result = np.zeros(ids.shape, np.uint16)
    for new, old in zip(result, ids, strict=True):
        if old.any():
            new[:] = table[old]
    return result


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
