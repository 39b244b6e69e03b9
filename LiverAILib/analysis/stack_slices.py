"""HCCNet's slice scores: each axial liver slice of the reference phase, seen in all contrast phases at once.

Wang et al. (Br J Cancer 2021) show HCCNet every slice of every phase by itself. Ours: arterial enhancement and washout
are what tells an HCC from other lesions, and no single phase shows both. So the phases are laid over each other (see
`phase_stack`), and a slice's phases are channels of one image; any of them may lack.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from LiverAILib.analysis.axes import canonical_axes
from LiverAILib.analysis.networks import SliceRisks
from LiverAILib.analysis.phase_stack import STACK_PHASES, PhaseStack, StackFormat, stack_phases
from LiverAILib.analysis.resample import Mask
from LiverAILib.analysis.slices import MIN_LIVER_MM2, neighbour_shares, slice_scores
from LiverAILib.study import Phase, Study, Volume

REACH_HU = 120.0  # from the liver's HU; what differs by more is clipped
VIEWS = ((), (-1,), (-2,), (-2, -1))  # axes along which each slice is mirrored; logits are averaged
MARGIN_PIXELS = 6  # around the liver, since its outline may be wrong where a lesion is


def slice_input(hu: Tensor, present: Tensor, liver: Tensor, liver_hu: Tensor) -> Tensor:
    """What HCCNet takes: each phase's HU less its liver's, over `REACH_HU` (0 where the phase lacks, and away from the
    liver), and how much of the pixel is liver.

    hu: (phase, z, y, x); present: (phase,) bool; liver: (z, y, x) in [0, 1]; liver_hu: (phase,). Returns (z, 4, y, x)
    in [-1, 1].
    """
    there = present.view(-1, 1, 1, 1).to(hu.dtype)
    scaled = ((hu - liver_hu.view(-1, 1, 1, 1)) / REACH_HU).clamp(-1, 1) * there
    near = F.max_pool2d((liver > 0.5).to(hu.dtype), 2 * MARGIN_PIXELS + 1, 1, MARGIN_PIXELS)
    return torch.cat([scaled * near, liver[None]]).transpose(0, 1)


@dataclass(frozen=True)
class StackReader:
    """Runs HCCNet on a study. network: in evaluation mode on `device`, with the inputs of `slice_input`. smoothing_mm:
    see `neighbour_shares`. phases: that it was trained for.
    """

    network: nn.Module
    device: torch.device
    taken: StackFormat
    smoothing_mm: float = 0.0
    phases: frozenset[Phase] = frozenset(STACK_PHASES)

    def __call__(self, study: Study, liver: Mask, shifts: Mapping[Phase, npt.NDArray[np.float64]]) -> SliceRisks | None:
        """The liver slices of the reference phase (liver: (z, y, x) on its grid). shifts: LPS mm from there to each
        phase that has a liver. None without a liver, or without a phase that the network takes.
        """
        used = {phase: shift for phase, shift in shifts.items() if phase in self.phases}
        if not liver.any() or not used.keys() & set(STACK_PHASES):
            return None
        reference = study.volumes[study.reference_phase]
        stack = stack_phases(study.volumes, study.reference_phase, liver, used, self.taken)
        slice_mm, *plane_mm = stack.spacing_mm
        index = np.flatnonzero(stack.liver.sum(axis=(1, 2)) * np.prod(plane_mm) >= MIN_LIVER_MM2).tolist()
        if not index:
            return None
        hu, present, outline = (torch.from_numpy(values) for values in (stack.hu, stack.present, stack.liver))
        images = slice_input(hu[:, index], present, outline[index], torch.from_numpy(stack.liver_hu))
        shares = neighbour_shares(index, slice_mm, self.smoothing_mm)
        found = slice_scores(self.network, _large_enough(images), shares, views=VIEWS, device=self.device)
        return SliceRisks(_spans(stack, reference, index), np.round(found, 6).tolist())


def _large_enough(images: Tensor, least: int = 32) -> Tensor:
    """Images (n, channels, y, x) with zeros below and to the left up to the least size that a ResNet-34 takes."""
    y, x = images.shape[2:]
    return F.pad(images, (0, max(least - x, 0), 0, max(least - y, 0)))


def _spans(stack: PhaseStack, volume: Volume, index: list[int]) -> list[tuple[int, int]]:
    """Of slices of a stack the first slice, and one past the last, along the volume's own axial axis."""
    axis = canonical_axes(volume.affine)[0][0]
    count = max(1, round(stack.spacing_mm[0] / volume.spacing_mm[axis]))
    points = np.array([[0.0, 0.0, number, 1.0] for number in index]).T
    middles = (np.linalg.inv(volume.affine) @ stack.affine @ points)[2 - axis]
    firsts = np.rint(middles - (count - 1) / 2).astype(int).tolist()
    return [(max(first, 0), min(first + count, volume.array.shape[axis])) for first in firsts]
