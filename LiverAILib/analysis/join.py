"""The phases' segmentations brought together on the reference phase's grid.

Each other phase is shifted so that its liver overlaps best with the reference phase's (breathing), and the highest
lesion probability of any phase counts, since many lesions show in one phase only. Two kinds of phases do not count
beside others: the non-contrast one, which adds false lesions and no true ones; and one in which much of the liver looks
like lesion while it does not in another, as a fatty liver does before contrast medium reaches it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from LiverAILib.study import Phase, Study, Volume, array_to_sitk

if TYPE_CHECKING:
    from LiverAILib.analysis.segment import Segmentation

MAX_SHIFT_MM = 40.0
SHIFT_GRID_MM = 4.0
DIFFUSE_SHARE = 0.25  # of the liver: more than this is much
DIFFUSE_FACTOR = 4.0  # as much as in the phase that shows least

Mask = npt.NDArray[np.bool_]
Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class JointMap:
    """The phases' segmentations on the reference grid: the reference phase's liver, the highest lesion probability of
    any phase that counts, and LPS shifts in mm from the reference to each phase that has a liver.
    """

    liver: Mask
    probability: npt.NDArray[np.float32]
    shifts: Mapping[Phase, npt.NDArray[np.float64]]
    warnings: list[str]


def join_phases(study: Study, segmentations: Mapping[Phase, Segmentation]) -> JointMap:
    """Bring the phases' lesion probabilities to the reference grid, each shifted so that the livers overlap best."""
    reference = study.reference_phase
    volume = study.volumes[reference]
    liver = segmentations[reference].liver
    probability = segmentations[reference].lesion_probability
    diffuse, notes = diffuse_phases(segmentations)
    warnings = [
        f"No liver was found in the {phase.words} phase; check that it shows the upper abdomen."
        for phase, segmentation in segmentations.items()
        if not segmentation.liver.any()
    ] + notes
    counted = {phase for phase, found in segmentations.items() if found.liver.any()} - diffuse
    if counted > {Phase.NON_CONTRAST}:
        counted.remove(Phase.NON_CONTRAST)
    shifts = {reference: np.zeros(3)}
    if liver.any():
        box = bounding_box(liver)
        own, probability = probability, np.zeros(probability.shape, np.float32)  # what stays 0 takes no memory
        joint = probability[box]
        if reference in counted:
            joint[:] = own[box]
        for phase, other in segmentations.items():
            if phase is reference or not other.liver.any():
                continue
            there = study.volumes[phase]
            shifts[phase] = liver_shift(volume, liver, there, other.liver)
            if phase in counted:
                seen = _resample(other.lesion_probability, bounding_box(other.liver), there, volume, box, shifts[phase])
                np.maximum(joint, seen, out=joint, where=liver[box])
    return JointMap(liver, probability, shifts, warnings)


def diffuse_phases(segmentations: Mapping[Phase, Segmentation]) -> tuple[set[Phase], list[str]]:
    """The phases whose lesion probabilities are not believed, and words on them and on all in which more than
    `DIFFUSE_SHARE` of the liver is over one half.
    """
    shares = {
        phase: float(np.mean(found.lesion_probability[found.liver] > 0.5))
        for phase, found in segmentations.items()
        if found.liver.any()
    }
    diffuse, notes = set(), []
    for phase, share in shares.items():
        if share <= DIFFUSE_SHARE:
            continue
        said = f"In the {phase.words} phase {share:.0%} of the liver looks like lesion, as a fatty liver may"
        if share > DIFFUSE_FACTOR * min(shares.values()):
            diffuse.add(phase)
            notes.append(f"{said}; another phase does not show it, so lesions were not looked for in this one.")
        else:
            notes.append(f"{said}. Check whether it is a lesion.")
    return diffuse, notes


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
    return resampled(liver, bounding_box(liver), volume, size[::-1].tolist(), grid)


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
    return resampled(array, inside, source, [axis.stop - axis.start for axis in box], affine)


def resampled(
    array: npt.NDArray[Any],
    inside: Box,
    volume: Volume,
    shape: list[int],
    affine: npt.NDArray[np.float64],
    *,
    nearest: bool = False,
) -> npt.NDArray[np.float32]:
    """`array`, 0 outside the box `inside` of the volume's grid, brought linearly (or the nearest voxel) to another grid
    (z, y, x).

    Only the box is copied, with a voxel of zeros around it, so that values fall off as they do in the whole array.
    """
    import SimpleITK as sitk

    part = array[inside]
    padded = np.pad(part.view(np.uint8) if part.dtype == np.bool_ else part, 1)
    place = volume.affine.copy()
    place[:3, 3] = volume.to_lps([axis.start - 1 for axis in inside])
    target = array_to_sitk(np.zeros(shape, np.uint8), affine)
    image = array_to_sitk(padded, place)
    how = sitk.sitkNearestNeighbor if nearest else sitk.sitkLinear
    found = sitk.Resample(image, target, sitk.Transform(), how, 0.0, sitk.sitkFloat32)
    return np.asarray(sitk.GetArrayFromImage(found), dtype=np.float32)
