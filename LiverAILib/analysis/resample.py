"""Parts of volumes brought to other grids, in patient space."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from LiverAILib.analysis.axes import canonical_axes, to_canonical
from LiverAILib.study import Volume, array_to_sitk

Mask = npt.NDArray[np.bool_]
Box = tuple[slice, slice, slice]


def bounding_box(mask: Mask) -> Box:
    """The smallest box that holds a non-empty mask (z, y, x)."""
    slices = []
    for axis in range(3):
        lines = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        slices.append(slice(int(lines[0]), int(lines[-1]) + 1))
    return slices[0], slices[1], slices[2]


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


def around(volume: Volume, affine: npt.NDArray[np.float64], shape: list[int]) -> Volume:
    """The part of a volume that a grid covers, and a little more; one voxel of it where they do not meet."""
    corners = np.array([[x, y, z, 1.0] for z in (0, shape[0]) for y in (0, shape[1]) for x in (0, shape[2])])
    index = (np.linalg.inv(volume.affine) @ affine @ corners.T)[2::-1].T
    low, high = np.floor(index.min(axis=0)).astype(int) - 4, np.ceil(index.max(axis=0)).astype(int) + 5
    size = np.array(volume.array.shape)
    low, high = low.clip(0, size - 1), high.clip(1, size)
    high = np.maximum(high, low + 1)
    place = volume.affine.copy()
    place[:3, 3] = volume.to_lps(low)
    z, y, x = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return Volume(volume.array[z, y, x], place, volume.source)


def grown(volume: Volume, box: Box, margin_mm: float) -> Box:
    """A box of the volume's grid and a margin around it, cut at the grid's edges."""
    reaches = [int(np.ceil(margin_mm / step)) for step in volume.spacing_mm]
    first, second, third = (
        slice(max(axis.start - reach, 0), min(axis.stop + reach, length))
        for axis, reach, length in zip(box, reaches, volume.array.shape, strict=True)
    )
    return first, second, third


def part(volume: Volume, array: npt.NDArray[Any], box: Box) -> Volume:
    """A box of an array on the volume's grid, in its place; a mask as 0 and 1."""
    place = volume.affine.copy()
    place[:3, 3] = volume.to_lps([axis.start for axis in box])
    own = array[box]
    return Volume(own.astype(np.float32) if own.dtype == np.bool_ else own, place, volume.source)


def coarse(volume: Volume, in_plane_mm: float, min_slice_mm: float) -> Volume:
    """A float volume at a pixel size, with slices in groups averaged to a least thickness, on axes of its own that run
    to superior, posterior, left.
    """
    import torch
    import torch.nn.functional as F

    from LiverAILib.analysis.grid import slices_averaged

    order, flips = canonical_axes(volume.affine)
    array = to_canonical(volume.array, order, flips)
    spacing = np.array(volume.spacing_mm)[list(order)]
    group = slices_averaged(float(spacing[0]), min_slice_mm)
    size = [max(1, round(n * step / in_plane_mm)) for n, step in zip(array.shape[1:], spacing[1:], strict=True)]
    planes = []
    for first in range(0, array.shape[0], group):
        slab = torch.from_numpy(np.array(array[first : first + group], dtype=np.float32, order="C")).mean(dim=0)
        planes.append(F.interpolate(slab[None, None], size=size, mode="bilinear", align_corners=False, antialias=True))
    found = torch.cat(planes)[:, 0].numpy()
    factor = np.array([group, *(n / m for n, m in zip(array.shape[1:], size, strict=True))])
    # from a voxel of the coarse grid to one of the canonical array, and on to the volume's own
    scale = np.diag([*factor[::-1], 1.0])
    scale[:3, 3] = (factor[::-1] - 1) / 2
    turn = np.eye(4)
    turn[:3, :3] = 0
    for axis, (own, flip) in enumerate(zip(order, flips, strict=True)):
        turn[2 - own, 2 - axis] = -1 if flip else 1
        turn[2 - own, 3] = volume.array.shape[own] - 1 if flip else 0
    return Volume(found, volume.affine @ turn @ scale, volume.source)
