"""A 3D DenseNet with scSE attention: the image branch of the lesion classifier.

Source: Ying et al., Nat Commun 2024, Methods, "Lesion Classification" (DenseNet with scSE), and the outline that the
authors published: 36 layers in four dense blocks, attention after each, the depth (z) never strided, and the outputs of
all four blocks averaged to the smallest one's grid, joined and mixed. Neither states the widths. Where both are silent
we chose: the stem of the first DenseNet paper in plane (7x7, stride 2, then pooled by 2), dense layers with a 1x1x1
bottleneck, and growth 32 in the `paper` preset, as the DenseNet paper uses.

Ours: beside the image the stem sees how far each voxel is from the crop's centre, where the lesion lies (after Liu et
al., CoordConv, NeurIPS 2018). What follows is averaged over the whole crop, of which a small lesion fills a few
percent; without this the network has to learn first which tissue is asked about. The compact preset is also shown
how far each place, smoothed, lies from what surrounds the lesion (`_contrast`): in few lesions a small difference of
noisy HU is hard to learn.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CONTRAST_STEP = 0.2  # of the windowed image: 20 HU


@dataclass(frozen=True)
class DenseNet3dPreset:
    """Sizes of a DenseNet3d.

    stem: channels of the stem. growth: channels that each dense layer adds. layers: dense layers per block.
    bottleneck: width of the 1x1x1 convolutions in growths. out: channels of the resulting map. contrast: whether the
    stem also sees the contrast with the surroundings.
    """

    stem: int
    growth: int
    layers: tuple[int, int, int, int] = (4, 4, 4, 4)
    bottleneck: int = 4
    out: int = 196
    contrast: bool = False


PRESETS = {
    "paper": DenseNet3dPreset(stem=64, growth=32, out=196),
    "compact": DenseNet3dPreset(stem=16, growth=12, bottleneck=2, out=64, contrast=True),
}


class ScSE3d(nn.Module):
    """Concurrent spatial and channel squeeze and excitation (Roy et al., MICCAI 2018) in 3D; gated maps are added."""

    def __init__(self, channels: int, reduction: int = 2) -> None:
        super().__init__()
        self.channel_gate = nn.Sequential(
            nn.AdaptiveAvgPool3d(1),
            nn.Conv3d(channels, channels // reduction, 1),
            nn.GELU(),
            nn.Conv3d(channels // reduction, channels, 1),
            nn.Sigmoid(),
        )
        self.spatial_gate = nn.Sequential(nn.Conv3d(channels, 1, 1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channel, z, y, x) to the same shape."""
        return x * (self.channel_gate(x) + self.spatial_gate(x))


class DenseLayer(nn.Module):
    """BatchNorm, ReLU, 1x1x1, BatchNorm, ReLU, 3x3x3; the result is appended to the input."""

    def __init__(self, channels: int, preset: DenseNet3dPreset) -> None:
        super().__init__()
        inner = preset.bottleneck * preset.growth
        self.new = nn.Sequential(
            nn.BatchNorm3d(channels),
            nn.ReLU(),
            nn.Conv3d(channels, inner, 1, bias=False),
            nn.BatchNorm3d(inner),
            nn.ReLU(),
            nn.Conv3d(inner, preset.growth, 3, padding=1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, z, y, x) to (batch, channels + growth, z, y, x)."""
        return torch.cat([x, self.new(x)], dim=1)


class Transition(nn.Sequential):
    """BatchNorm, ReLU, 1x1x1 to half of the channels, then half of the in-plane resolution."""

    def __init__(self, channels: int) -> None:
        super().__init__(
            nn.BatchNorm3d(channels),
            nn.ReLU(),
            nn.Conv3d(channels, channels // 2, 1, bias=False),
            nn.AvgPool3d((1, 2, 2), ceil_mode=True),
        )


class DenseNet3d(nn.Module):
    """A feature map of one phase's crop.

    Input (batch, 1, z, y, x) in [-1, 1], y and x at least `least`; output (batch, out, z, y / 32, x / 32), never
    negative.
    """

    least = 32

    def __init__(self, preset: DenseNet3dPreset | str = "compact") -> None:
        super().__init__()
        if isinstance(preset, str):
            preset = PRESETS[preset]
        self.contrast = preset.contrast
        self.stem = nn.Sequential(
            nn.Conv3d(
                3 if preset.contrast else 2, preset.stem, (3, 7, 7), stride=(1, 2, 2), padding=(1, 3, 3), bias=False
            ),
            nn.BatchNorm3d(preset.stem),
            nn.ReLU(),
            nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1)),
        )
        channels, joined = preset.stem, 0
        blocks: list[nn.Module] = []
        transitions: list[nn.Module] = []
        for number, layers in enumerate(preset.layers):
            parts: list[nn.Module] = []
            for _ in range(layers):
                parts.append(DenseLayer(channels, preset))
                channels += preset.growth
            blocks.append(nn.Sequential(*parts, ScSE3d(channels)))
            joined += channels
            if number < len(preset.layers) - 1:
                transitions.append(Transition(channels))
                channels //= 2
        self.blocks = nn.ModuleList(blocks)
        self.transitions = nn.ModuleList(transitions)
        self.mix = nn.Sequential(
            nn.BatchNorm3d(joined),
            nn.ReLU(),
            nn.Conv3d(joined, preset.out, 1, bias=False),
            nn.BatchNorm3d(preset.out),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 5 or x.shape[1] != 1 or min(x.shape[3:]) < self.least:
            wanted = f"(batch, 1, z, y, x) with y and x of at least {self.least}"
            raise ValueError(f"DenseNet3d takes {wanted}, got {tuple(x.shape)}")
        shown = [x, _from_centre(x), *([_contrast(x)] if self.contrast else [])]
        x = self.stem(torch.cat(shown, dim=1))
        outputs = []
        for number, block in enumerate(self.blocks):
            x = block(x)
            outputs.append(x)
            if number < len(self.transitions):
                x = self.transitions[number](x)
        size = (x.shape[2], x.shape[3], x.shape[4])
        return self.mix(torch.cat([F.adaptive_avg_pool3d(output, size) for output in outputs], dim=1))


def _from_centre(x: Tensor) -> Tensor:
    """The distance from the centre of each voxel of (batch, 1, z, y, x), in half sides; about zero on average."""
    z, y, x_ = (torch.linspace(-1, 1, length, device=x.device, dtype=x.dtype) ** 2 for length in x.shape[2:])
    distance = (z[:, None, None] + y[:, None] + x_).sqrt() - 0.9
    return distance.expand_as(x)


def _contrast(x: Tensor) -> Tensor:
    """How much brighter than what surrounds the lesion each smoothed place of (batch, 1, z, y, x) is, in steps of
    `CONTRAST_STEP`, at most three. The surroundings are what lies farther from the centre than half a side and is not
    as dark as the window's end: their median.
    """
    with torch.no_grad():
        image = x.float()
        thinned = image[..., ::2, ::2]
        around = (_from_centre(thinned) > 0.1) & (thinned > -0.99)
        level = thinned.masked_fill(~around, torch.nan).flatten(1).nanmedian(dim=1).values.nan_to_num(0.0)
        smooth = image
        for axis, most in enumerate((3, 5, 5)):
            length = min(most, (image.shape[2 + axis] - 1) | 1)  # odd, and not longer than the axis
            kernel, padding = [1, 1, 1], [0, 0, 0]
            kernel[axis], padding[axis] = length, length // 2
            smooth = F.avg_pool3d(smooth, kernel, stride=1, padding=padding, count_include_pad=False)
        return ((smooth - level.view(-1, 1, 1, 1, 1)) / CONTRAST_STEP).clamp(-3, 3).to(x.dtype)
