"""Array axes in the patient: which runs to the head, the back, the left. Needs numpy only."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def canonical_axes(affine: npt.NDArray[np.float64]) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    """Which array axis (z, y, x order) runs closest to superior, posterior, left, and whether it must be reversed."""
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)  # columns: index x, y, z
    directions = directions[::-1, ::-1]  # rows: S, P, L; columns: index z, y, x
    order: list[int] = []
    flips: list[bool] = []
    for row in directions:
        free = [axis for axis in range(3) if axis not in order]
        axis = max(free, key=lambda a: abs(row[a]))
        order.append(axis)
        flips.append(bool(row[axis] < 0))
    return (order[0], order[1], order[2]), (flips[0], flips[1], flips[2])


def to_canonical(
    array: npt.NDArray[Any], order: tuple[int, int, int], flips: tuple[bool, bool, bool]
) -> npt.NDArray[Any]:
    """A view of the array whose axes run to superior, posterior, left (see `canonical_axes`)."""
    return np.flip(np.transpose(array, order), tuple(axis for axis in range(3) if flips[axis]))
