"""The phases of an exam beside each other on one grid around the liver, as a network that compares them takes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from LiverAILib.analysis.axes import canonical_axes, to_canonical
from LiverAILib.analysis.grid import WINDOW_HU, slices_averaged
from LiverAILib.analysis.join import Mask, bounding_box, resampled
from LiverAILib.study import Phase, Volume

#: In the order of the network's channels. Exams to train on have no delayed phase.
STACK_PHASES = (Phase.NON_CONTRAST, Phase.ARTERIAL, Phase.PORTAL_VENOUS)
MARGIN_MM = 9.0  # around the liver


@dataclass(frozen=True)
class StackFormat:
    """In-plane pixel size of the stack, and the least thickness of its slices (thinner ones are averaged in groups)."""

    in_plane_mm: float = 1.5
    min_slice_mm: float = 2.0


@dataclass(frozen=True)
class PhaseStack:
    """hu: (phase, z, y, x) float32, clipped to `WINDOW_HU`; a phase that is not there is 0. present: (phase,). liver:
    (z, y, x), how much of each voxel is liver in the reference phase. affine: of the grid, LPS mm, as a volume's; its
    axes run to superior, posterior, left.
    """

    hu: npt.NDArray[np.float32]
    present: npt.NDArray[np.bool_]
    liver: npt.NDArray[np.float32]
    affine: npt.NDArray[np.float64]

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size (z, y, x) in mm."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(z), float(y), float(x)

    @property
    def liver_hu(self) -> npt.NDArray[np.float32]:
        """See `liver_hu`."""
        return liver_hu(self.hu, self.liver > 0.5)


def liver_hu(hu: npt.NDArray[np.float32], liver: Mask) -> npt.NDArray[np.float32]:
    """Median HU of the liver in each phase: hu (phase, z, y, x), liver (z, y, x); 0 without a liver."""
    if not liver.any():
        return np.zeros(len(hu), np.float32)
    return np.array([np.median(values[liver]) for values in hu], dtype=np.float32)


def stack_phases(
    volumes: Mapping[Phase, Volume],
    reference: Phase,
    liver: Mask,
    shifts: Mapping[Phase, npt.NDArray[np.float64]],
    taken: StackFormat | None = None,
) -> PhaseStack:
    """The phases around the reference phase's liver (z, y, x, not empty), each moved by its shift (see `JointMap`);
    phases without one are left out.
    """
    taken = taken or StackFormat()
    own = volumes[reference]
    margin = [int(np.ceil(MARGIN_MM / step)) for step in own.spacing_mm]
    box = tuple(
        slice(max(axis.start - reach, 0), min(axis.stop + reach, length))
        for axis, reach, length in zip(bounding_box(liver), margin, liver.shape, strict=True)
    )
    corner = own.affine.copy()
    corner[:3, 3] = own.to_lps([axis.start for axis in box])
    part = Volume(liver[box].astype(np.float32), corner, own.source)
    inside = _coarse(part, taken)
    shape = list(inside.array.shape)
    hu = np.zeros((len(STACK_PHASES), *shape), np.float32)
    present = np.zeros(len(STACK_PHASES), np.bool_)
    for number, phase in enumerate(STACK_PHASES):
        if phase not in volumes or phase not in shifts:
            continue
        low, high = WINDOW_HU
        place = inside.affine.copy()
        place[:3, 3] += shifts[phase]
        window = _around(volumes[phase], place, shape)
        near = _coarse(window.with_array(window.array.clip(low, high).astype(np.float32) - low), taken)
        whole = (slice(0, near.array.shape[0]), slice(0, near.array.shape[1]), slice(0, near.array.shape[2]))
        hu[number] = resampled(near.array, whole, near, shape, place) + low
        present[number] = True
    return PhaseStack(hu, present, inside.array, inside.affine)


def _around(volume: Volume, affine: npt.NDArray[np.float64], shape: list[int]) -> Volume:
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


def _coarse(volume: Volume, taken: StackFormat) -> Volume:
    """A float volume at the stack's resolution, on axes of its own that run to superior, posterior, left."""
    order, flips = canonical_axes(volume.affine)
    array = to_canonical(volume.array, order, flips)
    spacing = np.array(volume.spacing_mm)[list(order)]
    group = slices_averaged(float(spacing[0]), taken.min_slice_mm)
    size = [max(1, round(n * step / taken.in_plane_mm)) for n, step in zip(array.shape[1:], spacing[1:], strict=True)]
    planes: list[Tensor] = []
    for first in range(0, array.shape[0], group):
        slab = torch.from_numpy(np.array(array[first : first + group], dtype=np.float32, order="C")).mean(dim=0)
        planes.append(F.interpolate(slab[None, None], size=size, mode="bilinear", align_corners=False, antialias=True))
    coarse = torch.cat(planes)[:, 0].numpy()
    factor = np.array([group, *(n / m for n, m in zip(array.shape[1:], size, strict=True))])
    # from a voxel of the coarse grid to one of the canonical array, and on to the volume's own
    scale = np.diag([*factor[::-1], 1.0])
    scale[:3, 3] = (factor[::-1] - 1) / 2
    turn = np.eye(4)
    turn[:3, :3] = 0
    for axis, (own, flip) in enumerate(zip(order, flips, strict=True)):
        turn[2 - own, 2 - axis] = -1 if flip else 1
        turn[2 - own, 3] = volume.array.shape[own] - 1 if flip else 0
    return Volume(coarse, volume.affine @ turn @ scale, volume.source)


def on_stack(labels: npt.NDArray[np.uint16], volume: Volume, stack: PhaseStack) -> npt.NDArray[np.uint16]:
    """Labels of the volume's grid on the stack's, nearest voxel."""
    if not labels.any():
        return np.zeros(stack.liver.shape, np.uint16)
    found = resampled(
        labels.astype(np.float32), bounding_box(labels > 0), volume, list(stack.liver.shape), stack.affine, nearest=True
    )
    return found.astype(np.uint16)
