"""Lesion crops: what the lesion classifier looks at in one phase.

Source: Ying et al., Nat Commun 2024, and the authors' published cropping: the lesion's box enlarged 1.5 times in plane;
where a side falls below 64 pixels, a square of the longest side, at least 64; 10 mm more above and below (two slices
of 5 mm each); moved into the image where it reaches beyond it. The network then gets 16 x 112 x 112 voxels.

Ours: 64 pixels means 48 mm, 64 of the usual 0.75 mm, so that the crop does not depend on the field of view
(`least_mm`; None counts the volume's own pixels, as published). HU are windowed before any averaging, and shrinking is
anti-aliased. A box larger than the image is filled up with air.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from LiverAILib.analysis.axes import canonical_axes, to_canonical
from LiverAILib.analysis.grid import window
from LiverAILib.networks.lesion_classifier import CROP_SHAPE
from LiverAILib.study import Volume

Box = tuple[tuple[int, int, int], tuple[int, int, int]]


@dataclass(frozen=True)
class CropOptions:
    """enlarge: in plane. least_px: shortest side of a small lesion's square; least_mm: the same in mm, which then
    counts (see above). margin_mm: above and below. shape: of the crop (z, y, x).
    """

    enlarge: float = 1.5
    least_px: int = 64
    least_mm: float | None = 48.0
    margin_mm: float = 10.0
    shape: tuple[int, int, int] = CROP_SHAPE


def crop_box(
    shape: tuple[int, int, int], spacing_mm: tuple[float, float, float], box: Box, options: CropOptions
) -> Box:
    """The box (first voxel, one past the last) to cut for a lesion's box, both in (z, y, x) of an axial array.

    It lies inside the array along each axis on which it fits, and holds it along the others.
    """
    sides = [last - first for first, last in zip(*box, strict=True)]
    plane = [side * options.enlarge for side in sides[1:]]
    least = [options.least_px if options.least_mm is None else options.least_mm / spacing for spacing in spacing_mm[1:]]
    if any(side < limit for side, limit in zip(plane, least, strict=True)):
        longest = max(side * spacing for side, spacing in zip(plane, spacing_mm[1:], strict=True))
        plane = [max(limit, longest / spacing) for limit, spacing in zip(least, spacing_mm[1:], strict=True)]
    wanted = [sides[0] + 2 * options.margin_mm / spacing_mm[0], *plane]
    low, high = [], []
    for first, last, side, length in zip(*box, wanted, shape, strict=True):
        whole = max(round(side), last - first)
        start = floor((first + last - whole) / 2)
        fits = whole <= length
        start = min(max(start, 0), length - whole) if fits else (length - whole) // 2
        low.append(start)
        high.append(start + whole)
    return (low[0], low[1], low[2]), (high[0], high[1], high[2])


def lesion_crop(volume: Volume, box: Box, options: CropOptions | None = None) -> Tensor:
    """The crop (1, *shape) in [-1, 1] of a lesion's box: first voxel, and one past the last, in the volume's own order.

    Its axes run to superior, posterior, left, however the volume is stored. Raises ValueError for an empty box or one
    that lies outside the volume.
    """
    options = options or CropOptions()
    inside = [0 <= a < b <= n for a, b, n in zip(*box, volume.array.shape, strict=True)]
    if not all(inside):
        raise ValueError(f"The lesion's box {box} is empty or leaves the volume {volume.array.shape}.")
    order, flips = canonical_axes(volume.affine)
    array = to_canonical(volume.array, order, flips)
    low, high = [], []
    for axis, flip in zip(order, flips, strict=True):
        first, last, length = box[0][axis], box[1][axis], volume.array.shape[axis]
        low.append(length - last if flip else first)
        high.append(length - first if flip else last)
    shape = (array.shape[0], array.shape[1], array.shape[2])
    spacing = (volume.spacing_mm[order[0]], volume.spacing_mm[order[1]], volume.spacing_mm[order[2]])
    first_voxel, end = crop_box(shape, spacing, ((low[0], low[1], low[2]), (high[0], high[1], high[2])), options)
    cut = tuple(slice(max(a, 0), min(b, n)) for a, b, n in zip(first_voxel, end, shape, strict=True))
    voxels = window(torch.from_numpy(np.array(array[cut], dtype=np.float32, order="C")))
    pad: list[int] = []
    for a, b, n in zip(first_voxel[::-1], end[::-1], shape[::-1], strict=True):
        pad += [max(-a, 0), max(b - n, 0)]
    voxels = F.pad(voxels, pad, value=-1.0)
    depth, height, width = options.shape
    in_plane = F.interpolate(
        voxels.unsqueeze(1), size=(height, width), mode="bilinear", align_corners=False, antialias=True
    )
    upright = in_plane.squeeze(1).permute(1, 0, 2).unsqueeze(1)  # rows become slices, so that 2D resizing works on z
    resized = F.interpolate(upright, size=(depth, width), mode="bilinear", align_corners=False, antialias=True)
    return resized.squeeze(1).permute(1, 0, 2).contiguous().unsqueeze(0)
