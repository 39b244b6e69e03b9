"""Between a volume's own grid and the network's: orientation, in-plane spacing, slice averaging, window, and back.

The network's grid: array axes (z, y, x) run to superior, posterior, left; in-plane spacing is fixed; slices thinner
than `MIN_SLICE_MM` are averaged in groups, thicker ones are taken as they are. Values are HU clipped to [-40, 160] and
scaled to [-1, 1].
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from LiverAILib.analysis.axes import canonical_axes, to_canonical
from LiverAILib.study import Volume

WINDOW_HU = (-40.0, 160.0)
AIR = -0.999  # in [-1, 1]: the window's lower end, so air, fat, or what was left out; tissue is higher
MIN_SLICE_MM = 2.0
BODY_HU = -150.0  # air and lung lie below, fat above
MARGIN_PIXELS = 8


@dataclass(frozen=True)
class NetworkGrid:
    """How a volume was brought to the network's grid, so that results can be brought back.

    order, flips: canonical axis i is the array's axis order[i], reversed where flips[i]. full: shape (z, y, x) of the
    canonical array. averaged: slices averaged to one. resampled: its shape on the network's grid before the crop.
    crop: (y, x) slices of the body.
    """

    order: tuple[int, int, int]
    flips: tuple[bool, bool, bool]
    full: tuple[int, int, int]
    averaged: int
    resampled: tuple[int, int, int]
    crop: tuple[slice, slice]

    def slice_mm(self, volume: Volume) -> float:
        """Spacing of the network's slices, for the volume that the grid was made of."""
        return volume.spacing_mm[self.order[0]] * self.averaged

    def back(self, maps: Tensor) -> npt.NDArray[np.float32]:
        """Maps (channel, z, y, x) on the network's grid as an array (channel, z, y, x) on the volume's own grid; 0
        outside the crop.
        """
        padded = torch.zeros((maps.shape[0], *self.resampled))
        padded[:, :, self.crop[0], self.crop[1]] = maps
        shape = [self.full[self.order.index(axis)] for axis in range(3)]
        array = np.zeros((maps.shape[0], *shape), np.float32)  # pages that stay 0 take no memory
        for channel in range(maps.shape[0]):
            fine = to_canonical(array[channel], self.order, self.flips)
            per_slice = padded[channel]
            if self.averaged > 1:
                depth = self.resampled[0] * self.averaged
                columns = per_slice.flatten(1).T.unsqueeze(1)
                columns = F.interpolate(columns, size=depth, mode="linear", align_corners=False)[..., : self.full[0]]
                per_slice = columns.squeeze(1).T.unflatten(1, self.resampled[1:])
            for first in range(0, self.full[0], 32):  # bounded memory
                part = per_slice[first : first + 32].unsqueeze(1)
                if part.any():
                    enlarged = F.interpolate(part, size=self.full[1:], mode="bilinear", align_corners=False)
                    fine[first : first + 32] = enlarged.squeeze(1).numpy()
        return array


def map_on_grid(values: npt.NDArray[Any], grid: NetworkGrid) -> Tensor:
    """A map or a mask (z, y, x) of the volume's own grid on the network's, float32: means over each pixel's slab."""
    array = to_canonical(values, grid.order, grid.flips)
    slices = []
    for first in range(0, array.shape[0], grid.averaged):
        slab = torch.from_numpy(np.array(array[first : first + grid.averaged], dtype=np.float32, order="C"))
        plane = F.interpolate(
            slab.mean(dim=0)[None, None], size=grid.resampled[1:], mode="bilinear", align_corners=False, antialias=True
        )
        slices.append(plane[0, 0, grid.crop[0], grid.crop[1]])
    return torch.stack(slices)


def window(hu: Tensor) -> Tensor:
    """HU clipped to the window and scaled to [-1, 1]."""
    low, high = WINDOW_HU
    return (hu.clamp(low, high) - low) * (2.0 / (high - low)) - 1.0


def slices_averaged(spacing_mm: float, min_slice_mm: float = MIN_SLICE_MM) -> int:
    """How many slices of this spacing are averaged to one of the network's grid."""
    return max(1, ceil(min_slice_mm / spacing_mm - 0.05))


def liver_part(
    volume: Volume, liver: npt.NDArray[np.bool_], min_slice_mm: float = MIN_SLICE_MM, beyond: int = 0
) -> tuple[slice, slice, slice] | None:
    """The part of a volume from the liver's lowest slice to its highest, and `beyond` slices of the network's grid more
    at each end, as far as the volume goes; None without a liver.

    On the network's grid, slices are then averaged in groups counted from the liver's lowest one, so that what a
    network is shown does not depend on what else was scanned. Raises ValueError if liver and volume differ in shape.
    """
    if liver.shape != volume.array.shape:
        raise ValueError(f"The liver mask {liver.shape} is not on the volume's grid {volume.array.shape}.")
    order, flips = canonical_axes(volume.affine)
    axis, flip = order[0], flips[0]
    lines = np.flatnonzero(liver.any(axis=tuple(other for other in range(3) if other != axis)))
    if not len(lines):
        return None
    length = liver.shape[axis]
    first, end = int(lines[0]), int(lines[-1]) + 1
    if flip:
        first, end = length - end, length - first
    averaged = slices_averaged(volume.spacing_mm[axis], min_slice_mm)
    first -= min(beyond, first // averaged) * averaged
    end = min(end + beyond * averaged, length)
    if flip:
        first, end = length - end, length - first
    chosen = slice(first, end)
    return (
        chosen if axis == 0 else slice(0, liver.shape[0]),
        chosen if axis == 1 else slice(0, liver.shape[1]),
        chosen if axis == 2 else slice(0, liver.shape[2]),
    )


def part_of(volume: Volume, part: tuple[slice, slice, slice]) -> Volume:
    """A part of a volume as a volume of its own, in the same place."""
    affine = volume.affine.copy()
    affine[:3, 3] = volume.to_lps([axis.start for axis in part])
    return Volume(volume.array[part], affine, volume.source)


def to_network(volume: Volume, in_plane_mm: float, min_slice_mm: float = MIN_SLICE_MM) -> tuple[Tensor, NetworkGrid]:
    """Bring a volume to the network's grid: (z, y, x) float32 in [-1, 1], cropped in plane to the body, and how it
    was done.
    """
    order, flips = canonical_axes(volume.affine)
    array = to_canonical(volume.array, order, flips)
    spacing = np.asarray(volume.spacing_mm)[list(order)]
    averaged = slices_averaged(float(spacing[0]), min_slice_mm)
    height, width = (max(1, round(array.shape[i] * spacing[i] / in_plane_mm)) for i in (1, 2))
    size = (height, width)
    slices = []
    for first in range(0, array.shape[0], averaged):
        slab = torch.from_numpy(np.array(array[first : first + averaged], dtype=np.float32, order="C"))
        slab = slab.clamp(-1024, 3071)
        body = slab.mean(dim=0) > BODY_HU
        # clip before averaging, as the published data were: an average of clipped voxels stays inside the window
        plane = window(slab).mean(dim=0)
        both = torch.stack([plane, body.float()]).unsqueeze(0)
        slices.append(F.interpolate(both, size=size, mode="bilinear", align_corners=False, antialias=True)[0])
    stack = torch.stack(slices, dim=1)
    crop = _body_crop(stack[1])
    grid = NetworkGrid(
        order, flips, (array.shape[0], array.shape[1], array.shape[2]), averaged, (len(slices), *size), crop
    )
    return stack[0][:, crop[0], crop[1]].contiguous(), grid


def _body_crop(body: Tensor) -> tuple[slice, slice]:
    """Rows and columns that hold the body in at least 1% of a line, with a margin; everything if there is none."""
    found = body.mean(dim=0) > 0.05
    result = []
    for axis in (1, 0):
        lines = torch.nonzero(found.float().mean(dim=axis) > 0.01).flatten()
        size = found.shape[1 - axis]
        if len(lines) == 0:
            result.append(slice(0, size))
        else:
            result.append(slice(max(int(lines[0]) - MARGIN_PIXELS, 0), min(int(lines[-1]) + 1 + MARGIN_PIXELS, size)))
    return result[0], result[1]
