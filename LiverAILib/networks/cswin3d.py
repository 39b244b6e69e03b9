"""3D CSWin Transformer: the backbone of LiAIDS' lesion detector, from 2n+1 = 11 neighbouring slices to the middle one.

Source: Ying et al., Nat Commun 2024, Methods, "Lesion Detection"; Dong et al., CSWin Transformer, CVPR 2022. The
authors' published configuration states channels 64, blocks 1-2-9-1, heads 2-4-8-16, stripe widths 1-2-7-7, a hidden
layer of 4 times the channels and a drop-path rate of 0.2; its backbone says that a 3D convolution comes first, then a
2D convolution with LayerNorm per slice, that attention works on each slice, that 3x3x3 convolutions with stride 2 join
the stages, and that each stage hands on its middle slice.

What they leave open, and what is chosen here:
- Depth. No convolution pads or strides in z: the first takes 5 slices to one, each of the three between stages takes 3
  to one, so 11 slices become exactly the middle one. A stack of z slices gives the pyramids of z - 10 of them, each
  the same as from its own 11 slices, at the price of one pass. (The configuration has 9 slices, the paper 11.)
- LePE, the 3x3 depth-wise convolution of the values, runs over the whole map, not stripe by stripe.
- Where a map's side is no multiple of the stripe width, it is filled up and the filling is masked from the attention.
- The last stage attends to the whole slice, as CSWin does at its 7 x 7 map.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: Slices above and below the target slice (the paper's n).
NEIGHBOURS = 5


@dataclass(frozen=True)
class CSWin3dPreset:
    """Sizes of the backbone.

    inputs: channels of the input. stem: channels of the first 3D convolution. channels, depths, heads, stripes: per
    stage; a stripe of 0 is the whole slice. expansion: hidden channels of the MLP per channel. drop_path: share of
    skipped branches at the last block, rising linearly from 0 at the first. context: False makes it 2D, for the paper's
    ablation: each target slice is seen without its neighbours, by the same layers with kernels one slice thick; input
    and output stay as they are.
    """

    stem: int
    channels: tuple[int, int, int, int]
    depths: tuple[int, int, int, int]
    heads: tuple[int, int, int, int] = (2, 4, 8, 16)
    stripes: tuple[int, int, int, int] = (1, 2, 7, 0)
    expansion: int = 4
    drop_path: float = 0.2
    context: bool = True
    inputs: int = 1


PRESETS = {
    "paper": CSWin3dPreset(stem=16, channels=(64, 128, 256, 512), depths=(1, 2, 9, 1)),
    "compact": CSWin3dPreset(stem=8, channels=(32, 64, 96, 128), depths=(1, 2, 4, 1), drop_path=0.05, inputs=2),
}
PRESETS["compact-2d"] = replace(PRESETS["compact"], context=False)
PRESETS["compact-image"] = replace(PRESETS["compact"], inputs=1)


def _into_stripes(x: Tensor, heads: int, stripe: tuple[int, int]) -> Tensor:
    """(n, y, x, channel) to (n * stripes, heads, tokens of a stripe, channel of a head)."""
    n, height, width, channels = x.shape
    rows, columns = height // stripe[0], width // stripe[1]
    x = x.reshape(n, rows, stripe[0], columns, stripe[1], heads, channels // heads)
    return x.permute(0, 1, 3, 5, 2, 4, 6).reshape(n * rows * columns, heads, stripe[0] * stripe[1], channels // heads)


def _from_stripes(x: Tensor, shape: torch.Size, stripe: tuple[int, int]) -> Tensor:
    """The inverse of `_into_stripes`; shape: the (n, y, x, channel) wanted."""
    n, height, width, channels = shape
    x = x.reshape(n, height // stripe[0], width // stripe[1], x.shape[1], stripe[0], stripe[1], x.shape[3])
    return x.permute(0, 1, 4, 2, 5, 3, 6).reshape(n, height, width, channels)


class StripeAttention(nn.Module):
    """Self-attention inside stripes that run the whole height (`upright`) or the whole width of a slice, plus LePE."""

    def __init__(self, channels: int, heads: int, stripe: int, upright: bool) -> None:
        super().__init__()
        self.heads = heads
        self.stripe = stripe
        self.upright = upright
        self.position = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Each (n, y, x, channel); returns the same shape."""
        height, width = value.shape[1:3]
        lengthwise = width if self.upright else height
        step = min(self.stripe, lengthwise) or lengthwise
        fill = -lengthwise % step
        pad = (0, 0, 0, fill, 0, 0) if self.upright else (0, 0, 0, 0, 0, fill)
        filled = [F.pad(part, pad) if fill else part for part in (query, key, value)]
        shape = filled[0].shape
        whole = self.stripe == 0
        stripe = (shape[1] if whole or self.upright else step, shape[2] if whole or not self.upright else step)
        mask = None
        if fill:
            real = torch.zeros((1, *shape[1:3], 1), dtype=torch.bool, device=value.device)
            real[:, :height, :width] = True
            mask = _into_stripes(real, 1, stripe).transpose(2, 3).repeat(shape[0], 1, 1, 1)
        queries, keys, values = (_into_stripes(part, self.heads, stripe) for part in filled)
        mixed = F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
        mixed = _from_stripes(mixed, shape, stripe)[:, :height, :width]
        return mixed + self.position(value.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class DropPath(nn.Module):
    """Stochastic depth: in training, a residual branch is skipped for random slices and scaled up for the others."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """(n, ...) to the same shape."""
        if not self.training or self.rate == 0:
            return x
        kept = torch.rand((x.shape[0], *(1,) * (x.ndim - 1)), device=x.device) >= self.rate
        return x * kept / (1 - self.rate)


class CSWinBlock(nn.Module):
    """Cross-shaped attention: half of the heads in upright, half in level stripes; then an MLP. Both residual."""

    def __init__(self, channels: int, heads: int, stripe: int, expansion: int, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.query_key_value = nn.Linear(channels, 3 * channels)
        if stripe:
            branches = [StripeAttention(channels // 2, heads // 2, stripe, upright) for upright in (True, False)]
        else:
            branches = [StripeAttention(channels, heads, 0, upright=True)]
        self.branches = nn.ModuleList(branches)
        self.project = nn.Linear(channels, channels)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = nn.Sequential(
            nn.Linear(channels, expansion * channels), nn.GELU(), nn.Linear(expansion * channels, channels)
        )
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """Slices (n, y, x, channel) to the same shape."""
        parts = self.query_key_value(self.norm1(x)).chunk(3, dim=-1)
        halves = zip(*(part.chunk(len(self.branches), dim=-1) for part in parts), strict=True)
        mixed = [branch(*half) for branch, half in zip(self.branches, halves, strict=True)]
        x = x + self.drop_path(self.project(torch.cat(mixed, dim=-1)))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class Stem(nn.Module):
    """Some slices (5; 1 in 2D) to one by a 3D convolution, then a 7x7 convolution with stride 4 per slice and
    LayerNorm.
    """

    def __init__(self, inputs: int, inner: int, channels: int, slices: int = 5) -> None:
        super().__init__()
        self.volume = nn.Sequential(nn.Conv3d(inputs, inner, (slices, 3, 3), padding=(0, 1, 1)), nn.GELU())
        self.plane = nn.Conv2d(inner, channels, 7, stride=4, padding=3)
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, input, z, y, x) to (batch, z - 4, y / 4, x / 4, channel)."""
        slices = self.volume(x).transpose(1, 2)
        flat = slices.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        return self.norm(self.plane(flat).permute(0, 2, 3, 1)).unflatten(0, slices.shape[:2])


class Merge(nn.Module):
    """Between stages: 3x3x3 convolution, stride 2 in plane, three slices (1 in 2D) to one, then LayerNorm."""

    def __init__(self, channels_in: int, channels_out: int, slices: int = 3) -> None:
        super().__init__()
        self.convolution = nn.Conv3d(channels_in, channels_out, (slices, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1))
        self.norm = nn.LayerNorm(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, z, y, x, channel) to (batch, z - 2, y / 2, x / 2, more channels)."""
        return self.norm(self.convolution(x.permute(0, 4, 1, 2, 3)).permute(0, 2, 3, 4, 1))


class CSWin3d(nn.Module):
    """Feature maps of the target slices at strides 4, 8, 16 and 32.

    Input (batch, inputs, z, y, x), HU clipped to [-40, 160] and scaled to [-1, 1], and where there are two channels the
    second as the detector says; z at least 11, y and x multiples of 32.
    Output: four maps (batch * (z - 10), channel, y / stride, x / stride) for slices 5 .. z - 6 of each stack.
    """

    neighbours = NEIGHBOURS
    multiple = 32

    def __init__(self, preset: CSWin3dPreset | str = "compact") -> None:
        super().__init__()
        preset = PRESETS[preset] if isinstance(preset, str) else preset
        self.channels = preset.channels
        self.context = preset.context
        self.stem = Stem(preset.inputs, preset.stem, preset.channels[0], 5 if preset.context else 1)
        last = max(sum(preset.depths) - 1, 1)
        rates = iter([preset.drop_path * number / last for number in range(last + 1)])
        self.stages = nn.ModuleList(
            nn.Sequential(*(CSWinBlock(c, heads, stripe, preset.expansion, next(rates)) for _ in range(depth)))
            for c, depth, heads, stripe in zip(
                preset.channels, preset.depths, preset.heads, preset.stripes, strict=True
            )
        )
        thick = 3 if preset.context else 1
        self.merges = nn.ModuleList(
            Merge(a, b, thick) for a, b in zip(preset.channels[:-1], preset.channels[1:], strict=True)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(c) for c in preset.channels)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> list[Tensor]:
        depth, *plane = x.shape[2:]
        if depth <= 2 * NEIGHBOURS or any(side % self.multiple or side == 0 for side in plane):
            raise ValueError(
                f"CSWin3d: z must be at least {2 * NEIGHBOURS + 1}, y and x multiples of {self.multiple}, "
                f"got {tuple(x.shape[2:])}"
            )
        targets = depth - 2 * NEIGHBOURS
        x = self.stem(x if self.context else x[:, :, NEIGHBOURS:-NEIGHBOURS])
        maps = []
        for level, stage in enumerate(self.stages):
            if level:
                x = self.merges[level - 1](x)
            x = stage(x.flatten(0, 1)).unflatten(0, x.shape[:2])
            spare = (x.shape[1] - targets) // 2
            middle = self.norms[level](x[:, spare : spare + targets])
            maps.append(middle.flatten(0, 1).permute(0, 3, 1, 2))
        return maps
