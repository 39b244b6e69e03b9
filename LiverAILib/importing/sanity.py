"""Are these Hounsfield units of a trunk? Checked on a sample of the voxels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from LiverAILib.importing.geometry import StackProblem

#: A volume whose lowest value lies above this has no air: it was clipped to a window.
NO_AIR_HU = -300


def check_hu(array: npt.NDArray[Any]) -> list[str]:
    """Warnings about the values of a (z, y, x) volume. Raises StackProblem (kind "not HU") when they can't be HU."""

    def refuse(text: str, remedy: str = "Export the CT again, in Hounsfield units.") -> StackProblem:
        return StackProblem("not HU", text, remedy)

    if array.dtype.kind == "f" and not np.isfinite(array).all():
        bad = int(array.size - np.isfinite(array).sum())
        raise refuse(f"{bad} of its voxels are NaN or infinite.")
    low, high = float(array.min()), float(array.max())
    if low == high:
        raise refuse(f"all its voxels have the same value ({low:g}).", "Choose another series.")
    sample = array[:: max(1, array.shape[0] // 40), :: max(1, array.shape[1] // 128), :: max(1, array.shape[2] // 128)]
    if low >= 0:
        kind = "a label map or an 8-bit picture" if high < 256 else "raw scanner values or a picture"
        raise refuse(f"its values run from {low:g} to {high:g}: this is {kind}, not HU (air is -1000).")
    if high < 20:
        raise refuse(f"its highest value is {high:g}: no soft tissue at all.")
    tissue = float(np.mean((sample > -150) & (sample < 300)))
    if tissue < 0.02:
        raise refuse(f"only {100 * tissue:.1f}% of its voxels have the values of soft tissue.")
    if _inverted(sample):
        raise refuse("its grey values are inverted: the border is brighter than the middle.")
    if low > NO_AIR_HU:
        return [
            f"its values are clipped to [{low:g}, {high:g}] HU: air and bone are not told apart from fat and vessels"
        ]
    return []


def _inverted(sample: npt.NDArray[Any]) -> bool:
    """The border of the images (air around the patient) is denser than their middle."""
    rows, columns = sample.shape[1:]
    if min(rows, columns) < 8:
        return False
    corners = np.concatenate([sample[:, y, x].ravel() for y in (0, 1, -2, -1) for x in (0, 1, -2, -1)])
    middle = sample[:, rows // 3 : -(rows // 3), columns // 3 : -(columns // 3)]
    return float(np.median(corners)) > float(np.median(middle)) + 300
