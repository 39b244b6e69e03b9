"""LiverSegNet: the hybrid 2D/3D U-Net of LiAIDS that segments the liver and its lesions.

Source: Ying et al., Nat Commun 2024, Methods, "Liver Segmentation" and Fig. 1b. 2D blocks work on each slice; 3D
blocks stand at the input, the bottom and the output. Between the 2D levels, neighbouring slices are averaged in pairs,
so that deeper levels see a larger range in z too.

Where the paper is silent we chose: the channel widths; groups of `group_width` channels in the split convolutions;
pyramid pooling to 1, 3, 6 and 8 bins for keys and values of the non-local blocks (Zhu et al., Asymmetric Non-local,
ICCV 2019); a non-local block's output starts at zero so that training begins with the plain U-Net; logits leave at
half the input's in-plane resolution and are interpolated to it. The 2D blocks' batch normalisation takes the statistics
of the volume at hand, after training too: with an average of many patches' statistics, probabilities depended on how
much air the image held beside the patient.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class LiverSegNetPreset:
    """Sizes of a LiverSegNet.

    stem: channels of the 3D input block. levels: channels of the four 2D levels. bottom: channels of the two 3D
    bottom levels.
    group_width: channels per group of the 5x5 and 7x7 convolutions. pool_bins: bins of the pooled keys and values,
    per axis.
    """

    stem: int
    levels: tuple[int, int, int, int]
    bottom: tuple[int, int]
    group_width: int
    pool_bins: tuple[int, ...] = (1, 3, 6, 8)


PRESETS = {
    "paper": LiverSegNetPreset(stem=32, levels=(64, 128, 256, 512), bottom=(512, 512), group_width=16),
    "compact": LiverSegNetPreset(
        stem=8, levels=(16, 32, 64, 128), bottom=(160, 160), group_width=4, pool_bins=(1, 3, 6)
    ),
}


class ScSE(nn.Module):
    """Concurrent spatial and channel squeeze and excitation (Roy et al., MICCAI 2018) in 2D; the two gated maps are
    added.
    """

    def __init__(self, channels: int, reduction: int = 2) -> None:
        super().__init__()
        self.channel_gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, channels // reduction, 1),
            nn.GELU(),
            nn.Conv2d(channels // reduction, channels, 1),
            nn.Sigmoid(),
        )
        self.spatial_gate = nn.Sequential(nn.Conv2d(channels, 1, 1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channel, y, x) to the same shape."""
        return x * (self.channel_gate(x) + self.spatial_gate(x))


class NonLocal(nn.Module):
    """Non-local attention in 2D or 3D; with `bins`, keys and values are pooled to those grids (asymmetric, hence
    efficient).
    """

    def __init__(self, channels: int, dims: int, bins: tuple[int, ...] | None = None) -> None:
        super().__init__()
        convolution = nn.Conv2d if dims == 2 else nn.Conv3d
        self.inner = max(channels // 4, 8)
        self.bins = bins
        self.dims = dims
        self.query = convolution(channels, self.inner, 1)
        self.key_value = convolution(channels, 2 * self.inner, 1)
        self.out = convolution(self.inner, channels, 1)
        nn.init.zeros_(self.out.weight)
        if self.out.bias is not None:
            nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channel, *spatial) to the same shape."""
        query = self.query(x).flatten(2).transpose(1, 2)
        if self.bins is None:
            key_value = self.key_value(x).flatten(2)
        else:  # 1x1 convolution and average pooling commute: pool first, which is cheaper
            pool = F.adaptive_avg_pool2d if self.dims == 2 else F.adaptive_avg_pool3d
            pooled = torch.cat([pool(x, n).flatten(2) for n in self.bins], dim=2)
            key_value = self.key_value(pooled.unflatten(2, (-1,) + (1,) * (self.dims - 1))).flatten(2)
        key, value = key_value.transpose(1, 2).chunk(2, dim=2)
        # contiguous: the CPU's fused attention takes no other strides, and the fallback is three times slower
        parts = (part.contiguous().unsqueeze(1) for part in (query, key, value))
        mixed = F.scaled_dot_product_attention(*parts).squeeze(1)
        return x + self.out(mixed.transpose(1, 2).unflatten(2, x.shape[2:]))


class InstanceNorm(nn.InstanceNorm3d):
    """Instance normalisation with learnt scale and shift, and with right gradients on the CPU: torch (2.13) reads a
    gradient that comes to it in channels-last order as if it were in plain order.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channel, z, y, x) to the same shape."""
        normal = super().forward(x)
        if normal.requires_grad:
            normal.register_hook(Tensor.contiguous)
        return normal


class VolumeNorm(InstanceNorm):
    """Batch normalisation of slices by the statistics of their own volume, in training and after it alike: instance
    normalisation of the volume. The number of threads changes no digit, as it would within torch's batch normalisation.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Slices (z, channel, y, x) of one volume to the same shape."""
        return _fold(super().forward(_unfold(x, 1)))


class SplitConvUnit(nn.Module):
    """The paper's Conv2d unit: halves of the channels through grouped 5x5 and 7x7, joined with the input, scSE, 1x1,
    `VolumeNorm`, GELU.
    """

    def __init__(self, channels_in: int, channels_out: int, group_width: int) -> None:
        super().__init__()
        half = channels_in // 2
        groups = max(half // group_width, 1)
        self.conv5 = nn.Conv2d(half, half, 5, padding=2, groups=groups)
        self.conv7 = nn.Conv2d(half, half, 7, padding=3, groups=groups)
        self.attention = ScSE(2 * channels_in)
        self.mix = nn.Sequential(
            nn.Conv2d(2 * channels_in, channels_out, 1, bias=False), VolumeNorm(channels_out), nn.GELU()
        )

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels_in, y, x) to (batch, channels_out, y, x)."""
        first, second = x.chunk(2, dim=1)
        return self.mix(self.attention(torch.cat([self.conv5(first), self.conv7(second), x], dim=1)))


class Block2d(nn.Sequential):
    """Two split-convolution units and an efficient non-local block."""

    def __init__(self, channels_in: int, channels_out: int, preset: LiverSegNetPreset) -> None:
        super().__init__(
            SplitConvUnit(channels_in, channels_out, preset.group_width),
            SplitConvUnit(channels_out, channels_out, preset.group_width),
            NonLocal(channels_out, 2, preset.pool_bins),
        )


class Block3d(nn.Sequential):
    """3x3x3 convolution, InstanceNorm, GELU."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(
            nn.Conv3d(channels_in, channels_out, 3, padding=1, bias=False),
            InstanceNorm(channels_out),
            nn.GELU(),
        )


class UpConv(nn.Sequential):
    """1x1 convolution, `VolumeNorm`, GELU, then twice the in-plane resolution (bilinear)."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(
            nn.Conv2d(channels_in, channels_out, 1, bias=False),
            VolumeNorm(channels_out),
            nn.GELU(),
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
        )


def _fold(x: Tensor) -> Tensor:
    """(batch, channel, z, y, x) to slices (batch * z, channel, y, x), channels last: grouped convolutions run 3 to 5
    times faster.
    """
    return x.transpose(1, 2).flatten(0, 1).contiguous(memory_format=torch.channels_last)


def _unfold(x: Tensor, batch: int) -> Tensor:
    """Slices (batch * z, channel, y, x) to (batch, channel, z, y, x)."""
    return x.unflatten(0, (batch, -1)).transpose(1, 2)


def _halve_depth(x: Tensor) -> Tensor:
    """Average slices in pairs: (batch * z, ...) to (batch * z / 2, ...)."""
    return (x[::2] + x[1::2]) * 0.5


def _double_depth(x: Tensor) -> Tensor:
    """Repeat each slice: (batch * z, ...) to (batch * 2z, ...)."""
    return x.repeat_interleave(2, 0)


class LiverSegNet(nn.Module):
    """Logits for liver (lesions included) and lesion from one CT phase.

    Input (batch, 1, z, y, x), HU clipped to [-40, 160] and scaled to [-1, 1]; z must be a multiple of 8, y and x of 32
    (`multiple`) and at least 96 (`least`). Output: (batch, 2, z, y, x) logits, channel 0 liver, 1 lesion; in training
    mode a list, the full output first, then the three deep-supervision outputs at 1/2, 1/4 and 1/8 of its resolution.
    """

    multiple = (8, 32, 32)
    least = (8, 96, 96)

    def __init__(self, preset: LiverSegNetPreset | str = "compact", outputs: int = 2) -> None:
        super().__init__()
        if isinstance(preset, str):
            preset = PRESETS[preset]
        c1, c2, c3, c4 = preset.levels
        b1, b2 = preset.bottom
        self.stem = Block3d(1, preset.stem)
        self.encoder1 = Block2d(preset.stem, c1, preset)
        self.encoder2 = Block2d(c1, c2, preset)
        self.encoder3 = Block2d(c2, c3, preset)
        self.encoder4 = Block2d(c3, c4, preset)
        self.bottom1 = nn.Sequential(Block3d(c4, b1), NonLocal(b1, 3))
        self.bottom2 = nn.Sequential(Block3d(b1, b2), NonLocal(b2, 3))
        self.bottom_up = nn.Sequential(Block3d(b1 + b2, b1), NonLocal(b1, 3))
        self.skip4 = nn.Conv2d(c4, c4, 1)
        self.skip3 = nn.Conv2d(c3, c3, 1)
        self.skip2 = nn.Conv2d(c2, c2, 1)
        self.skip1 = nn.Conv2d(c1, c1, 1)
        self.up4 = UpConv(b1, c4)
        self.up3 = UpConv(c4, c3)
        self.up2 = UpConv(c3, c2)
        self.up1 = UpConv(c2, c1)
        self.decoder4 = Block2d(2 * c4, c4, preset)
        self.decoder3 = Block2d(2 * c3, c3, preset)
        self.decoder2 = Block2d(2 * c2, c2, preset)
        self.decoder1 = Block2d(2 * c1, c1, preset)
        self.head = nn.Sequential(Block3d(c1, c1), nn.Conv3d(c1, outputs, 1))
        self.deep_heads = nn.ModuleList([nn.Conv2d(c, outputs, 1) for c in (c2, c3, c4)])
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        for length, step, least in zip(x.shape[2:], self.multiple, self.least, strict=True):
            if length % step or length < least:
                wanted = f"multiples of {self.multiple}, at least {self.least}"
                raise ValueError(f"LiverSegNet: z, y, x must be {wanted}, got {tuple(x.shape[2:])}")
        batch, size = x.shape[0], x.shape[2:]
        if batch > 1:  # each volume is normalised by itself
            outputs = [self(volume) for volume in x.split(1)]
            if not self.training:
                return torch.cat(outputs)
            return [torch.cat(scale) for scale in zip(*outputs, strict=True)]
        level1 = self.encoder1(F.avg_pool2d(_fold(self.stem(x)), 2))
        level2 = self.encoder2(F.avg_pool2d(_halve_depth(level1), 2))
        level3 = self.encoder3(F.max_pool2d(_halve_depth(level2), 2))
        level4 = self.encoder4(F.max_pool2d(_halve_depth(level3), 2))

        bottom1 = self.bottom1(F.max_pool3d(_unfold(level4, batch), (1, 2, 2)))
        bottom2 = self.bottom2(F.max_pool3d(bottom1, (1, 2, 2), ceil_mode=True))
        bottom = self.bottom_up(torch.cat([bottom1, F.interpolate(bottom2, bottom1.shape[2:], mode="nearest")], dim=1))

        decoded4 = self.decoder4(torch.cat([self.up4(_fold(bottom)), self.skip4(level4)], dim=1))
        decoded3 = self.decoder3(torch.cat([_double_depth(self.up3(decoded4)), self.skip3(level3)], dim=1))
        decoded2 = self.decoder2(torch.cat([_double_depth(self.up2(decoded3)), self.skip2(level2)], dim=1))
        decoded1 = self.decoder1(torch.cat([_double_depth(self.up1(decoded2)), self.skip1(level1)], dim=1))
        logits = self.head(_unfold(decoded1, batch))
        logits = F.interpolate(logits, size, mode="trilinear", align_corners=False)
        if not self.training:
            return logits
        deep = zip(self.deep_heads, (decoded2, decoded3, decoded4), strict=True)
        return [logits, *(_unfold(head(level), batch) for head, level in deep)]


def count_parameters(network: nn.Module) -> int:
    """The number of weights."""
    return sum(prod(p.shape) for p in network.parameters())
