"""Where each lesion lies in each phase's own volume: its labels there, and its box.

A detector gives both by itself. Without one, the lesions of the reference phase are moved to the other phases by the
shift between the phases (see `registration`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from LiverAILib.analysis.lesions import IndexBox, MeasuredLesions
from LiverAILib.analysis.resample import Box, bounding_box, resampled
from LiverAILib.study import Phase, Study, Volume


@dataclass(frozen=True)
class Places:
    """labels: (z, y, x) on each phase's own grid, 0 for no lesion. boxes: by label and phase, first voxel and one past
    the last; a phase that does not show a lesion is absent.
    """

    labels: Mapping[Phase, npt.NDArray[np.uint16]]
    boxes: Mapping[int, Mapping[Phase, IndexBox]]


def locate(study: Study, measured: MeasuredLesions) -> Places:
    """The lesions' places in each phase of the study."""
    reference = study.reference_phase
    labels: dict[Phase, npt.NDArray[np.uint16]] = {}
    boxes: dict[int, dict[Phase, IndexBox]] = {lesion.label: {} for lesion in measured.lesions}
    for phase, volume in study.volumes.items():
        if phase in measured.labels:
            labels[phase] = measured.labels[phase]
        elif phase is reference:
            labels[phase] = measured.lesion_ids
        elif phase in measured.shifts:
            labels[phase] = _moved(measured.lesion_ids, study.volumes[reference], volume, measured.shifts[phase])
        else:
            labels[phase] = np.zeros(volume.array.shape, np.uint16)
        own = measured.boxes.get(phase)
        for label, box in (own if own is not None else _boxes_of(labels[phase])).items():
            boxes[label][phase] = box
    return Places(labels, boxes)


def _boxes_of(labels: npt.NDArray[np.uint16]) -> dict[int, IndexBox]:
    return {
        label: ((z.start, y.start, x.start), (z.stop, y.stop, x.stop))
        for label, box in enumerate(ndimage.find_objects(labels), start=1)
        if box is not None
        for z, y, x in [box]
    }


def _moved(
    ids: npt.NDArray[np.uint16], source: Volume, target: Volume, shift: npt.NDArray[np.float64]
) -> npt.NDArray[np.uint16]:
    """Labels of the source's grid, moved by an LPS shift in mm, on the target's grid; slices without one stay 0."""
    result = np.zeros(target.array.shape, np.uint16)
    if not ids.any():
        return result
    inside = bounding_box(ids > 0)
    where = _box_there(inside, source, target, shift)
    if where is None:
        return result
    affine = target.affine.copy()
    affine[:3, 3] = target.to_lps([axis.start for axis in where]) - shift
    shape = [axis.stop - axis.start for axis in where]
    result[where] = resampled(ids, inside, source, shape, affine, nearest=True)
    return result


def _box_there(inside: Box, source: Volume, target: Volume, shift: npt.NDArray[np.float64]) -> Box | None:
    """The voxels of the target's grid around a box of the source's grid; None if it lies outside."""
    corners = [[(axis.start - 1, axis.stop)[bit >> i & 1] for i, axis in enumerate(inside)] for bit in range(8)]
    inverse = np.linalg.inv(target.affine)
    index = ((source.to_lps(corners) + shift) @ inverse[:3, :3].T + inverse[:3, 3])[:, ::-1]
    low = np.maximum(np.floor(index.min(axis=0)).astype(int), 0)
    high = np.minimum(np.ceil(index.max(axis=0)).astype(int) + 1, target.array.shape)
    if (high <= low).any():
        return None
    return slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1])), slice(int(low[2]), int(high[2]))
