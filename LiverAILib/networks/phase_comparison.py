"""PhaseComparisonNet: a small U-Net that sees all phases of an exam at once and says where a lesion is.

Ours; the papers' detector sees one phase at a time. Slices go through 2D convolutions, and at each level every slice is
mixed with its two neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PHASES = 3  # see `analysis.phase_stack.STACK_PHASES`


@dataclass(frozen=True)
class PhaseComparisonPreset:
    """levels: channels at a half, a quarter and an eighth of the resolution."""

    levels: tuple[int, int, int]


PRESETS = {
    "wide": PhaseComparisonPreset((48, 96, 160)),
    "compact": PhaseComparisonPreset((24, 32, 40)),
}


class Unit(nn.Module):
    """3 x 3 convolution of each slice, batch normalisation, GELU."""

    def __init__(self, channels_in: int, channels_out: int, size: int = 3) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels_in, channels_out, size, padding=size // 2, bias=False)
        self.normal = nn.BatchNorm2d(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        """(slices, channel, y, x) to the same size."""
        return F.gelu(self.normal(self.convolution(x)))


class SliceMix(nn.Module):
    """Each slice plus what a 1 x 1 convolution makes of it and of the slices below and above."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.unit = Unit(3 * channels, channels, 1)

    def forward(self, x: Tensor, depth: int) -> Tensor:
        """(batch * depth, channel, y, x) to the same shape; beyond the ends the last slice goes on."""
        stacks = x.unflatten(0, (-1, depth))
        below = torch.cat([stacks[:, :1], stacks[:, :-1]], dim=1).flatten(0, 1)
        above = torch.cat([stacks[:, 1:], stacks[:, -1:]], dim=1).flatten(0, 1)
        return x + self.unit(torch.cat([below, x, above], dim=1))


class Level(nn.Module):
    """Two units and the mixing of neighbouring slices."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.first = Unit(channels_in, channels_out)
        self.second = Unit(channels_out, channels_out)
        self.mix = SliceMix(channels_out)

    def forward(self, x: Tensor, depth: int) -> Tensor:
        """(batch * depth, channels_in, y, x) to (batch * depth, channels_out, y, x)."""
        return self.mix(self.second(self.first(x)), depth)


class Decoder(nn.Module):
    """The coarser level brought up, added to this one's, and a unit with the mixing of slices."""

    def __init__(self, coarse: int, channels: int) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(coarse, channels, 1)
        self.unit = Unit(channels, channels)
        self.mix = SliceMix(channels)

    def forward(self, coarse: Tensor, fine: Tensor, depth: int) -> Tensor:
        """The shape of `fine`."""
        raised = F.interpolate(self.narrow(coarse), size=fine.shape[2:], mode="bilinear", align_corners=False)
        return self.mix(self.unit(raised + fine), depth)


class PhaseComparisonNet(nn.Module):
    """Logits of lesion from the phases of an exam on one grid.

    Input (batch, 7, z, y, x), see `comparison_input`; any size. Output (batch, z, y, x) logits.
    """

    def __init__(self, preset: PhaseComparisonPreset | str = "compact") -> None:
        super().__init__()
        if isinstance(preset, str):
            preset = PRESETS[preset]
        inputs = 4 * (2 * PHASES + 1)  # each 2 x 2 pixels' values are channels of one
        levels = (inputs, *preset.levels)
        self.encoders = nn.ModuleList([Level(a, b) for a, b in pairwise(levels)])
        self.decoders = nn.ModuleList([Decoder(a, b) for a, b in pairwise(reversed(preset.levels))])
        self.head = nn.Conv2d(preset.levels[0], 4, 1)
        if self.head.bias is not None:
            nn.init.constant_(self.head.bias, -4.0)  # lesions are rare

    def forward(self, x: Tensor) -> Tensor:
        batch, depth, height, width = x.shape[0], *x.shape[2:]
        slices = F.pad(x.transpose(1, 2).flatten(0, 1), (0, width % 2, 0, height % 2), mode="replicate")
        y = F.pixel_unshuffle(slices, 2).contiguous(memory_format=torch.channels_last)
        seen: list[Tensor] = []
        for number, encoder in enumerate(self.encoders):
            if number:
                y = F.max_pool2d(y, 2, ceil_mode=True)
            y = encoder(y, depth)
            seen.append(y)
        for decoder, fine in zip(self.decoders, reversed(seen[:-1]), strict=True):
            y = decoder(y, fine, depth)
        logits = F.pixel_shuffle(self.head(y).float(), 2)[:, 0, :height, :width]
        return logits.unflatten(0, (batch, depth))


HU_SCALE = 40.0
HU_REACH = 3.0  # scaled HU beyond this are clipped


def comparison_input(hu: Tensor, present: Tensor, liver: Tensor, liver_hu: Tensor) -> Tensor:
    """What the network takes: each phase's HU less its liver's, over `HU_SCALE` (0 where the phase lacks), whether each
    phase is there, and how much of the voxel is liver.

    hu: (phase, z, y, x); present: (phase,) bool; liver: (z, y, x) in [0, 1]; liver_hu: (phase,). Returns (7, z, y, x).
    """
    there = present.view(-1, 1, 1, 1).to(hu.dtype)
    scaled = ((hu - liver_hu.view(-1, 1, 1, 1)) / HU_SCALE).clamp(-HU_REACH, HU_REACH) * there
    return torch.cat([scaled, there.expand_as(hu), liver[None]])
