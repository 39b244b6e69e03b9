"""Another breath in another phase: a shift of the whole image and its masks."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from LiverAILib.study import Phase

Shift = tuple[float, float, float]


def draw_shift(rng: np.random.Generator, phase: Phase, spacing: Shift, *, wanted: bool) -> Shift:
    """Another breath: mostly along z; in plane by whole pixels."""
    deep = rng.normal(0, 8) if rng.random() < 0.2 else rng.normal(0, 3)
    sideways = np.rint([0.18 * deep + rng.normal(0, 0.8), rng.normal(0, 0.8)] / np.asarray(spacing[1:]))
    if phase is Phase.PORTAL_VENOUS or not wanted:
        return 0.0, 0.0, 0.0
    return float(np.clip(deep, -15, 15)), float(sideways[0] * spacing[1]), float(sideways[1] * spacing[2])


def moved(hu: npt.NDArray[np.float32], shift: Shift, spacing: Shift) -> npt.NDArray[np.float32]:
    """The image moved by a shift in mm, linear between slices; the borders are repeated."""
    if shift == (0.0, 0.0, 0.0):
        return hu
    place = np.clip(np.arange(len(hu)) - shift[0] / spacing[0], 0, len(hu) - 1)
    low = np.minimum(place.astype(np.intp), len(hu) - 1)
    high = np.minimum(low + 1, len(hu) - 1)
    share = (place - low).astype(np.float32)[:, None, None]
    return _in_plane(hu[low] * (1 - share) + hu[high] * share, shift, spacing)


def moved_labels(labels: npt.NDArray[Any], shift: Shift, spacing: Shift) -> npt.NDArray[Any]:
    """The same for masks and numbers: the nearest slice."""
    if shift == (0.0, 0.0, 0.0):
        return labels
    place = np.rint(np.arange(len(labels)) - shift[0] / spacing[0]).astype(np.intp)
    return _in_plane(labels[np.clip(place, 0, len(labels) - 1)], shift, spacing)


def _in_plane(array: npt.NDArray[Any], shift: Shift, spacing: Shift) -> npt.NDArray[Any]:
    for axis in (1, 2):
        size = array.shape[axis]
        index = np.clip(np.arange(size) - round(shift[axis] / spacing[axis]), 0, size - 1)
        array = np.take(array, index, axis=axis)
    return array
