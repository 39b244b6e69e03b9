"""The phases of an exam beside each other on one grid around the liver, as a network that compares them takes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from LiverAILib.analysis.grid import WINDOW_HU
from LiverAILib.analysis.resample import Mask, around, bounding_box, coarse, grown, part, resampled
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
    near_liver = part(own, liver, grown(own, bounding_box(liver), MARGIN_MM))
    inside = coarse(near_liver, taken.in_plane_mm, taken.min_slice_mm)
    shape = list(inside.array.shape)
    hu = np.zeros((len(STACK_PHASES), *shape), np.float32)
    present = np.zeros(len(STACK_PHASES), np.bool_)
    for number, phase in enumerate(STACK_PHASES):
        if phase not in volumes or phase not in shifts:
            continue
        low, high = WINDOW_HU
        place = inside.affine.copy()
        place[:3, 3] += shifts[phase]
        window = around(volumes[phase], place, shape)
        above = window.with_array(window.array.clip(low, high).astype(np.float32) - low)
        near = coarse(above, taken.in_plane_mm, taken.min_slice_mm)
        whole = (slice(0, near.array.shape[0]), slice(0, near.array.shape[1]), slice(0, near.array.shape[2]))
        hu[number] = resampled(near.array, whole, near, shape, place) + low
        present[number] = True
    return PhaseStack(hu, present, inside.array, inside.affine)


def on_stack(labels: npt.NDArray[np.uint16], volume: Volume, stack: PhaseStack) -> npt.NDArray[np.uint16]:
    """Labels of the volume's grid on the stack's, nearest voxel."""
    if not labels.any():
        return np.zeros(stack.liver.shape, np.uint16)
    found = resampled(
        labels.astype(np.float32), bounding_box(labels > 0), volume, list(stack.liver.shape), stack.affine, nearest=True
    )
    return found.astype(np.uint16)
