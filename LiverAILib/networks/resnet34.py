"""NoduleNet and HCCNet: ResNet-34 with two outputs for one axial CT slice, or for one slice in several phases.

Source: Wang et al., Br J Cancer 2021, Methods, "AI model development": two residual networks of 34 layers (He et al.,
CVPR 2016), initialised from ImageNet but for the last layer, with two outputs. Parts are named as in the common
ImageNet weight files, so `load_imagenet` can take such a file. The paper feeds grey JPEG slices and does not state
their size; here the input has one channel, which equals three equal channels whose first-layer weights are added up.
Ours: HCCNet sees a slice in all contrast phases at once, `PHASES_INPUTS` channels (`analysis.stack_slices`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class ResNet34Preset:
    """Sizes of a ResNet34. widths: channels of the four stages; the stem has the first. blocks: per stage.

    sharpness: how much the places that speak for the finding count more than the others in its logit, see
    `ResNet34.classify`; 0 is the published mean.
    """

    widths: tuple[int, int, int, int]
    blocks: tuple[int, int, int, int] = (3, 4, 6, 3)
    sharpness: float = 0.0


PHASES_INPUTS = 4  # see `analysis.stack_slices.slice_input`

PRESETS = {
    "paper": ResNet34Preset((64, 128, 256, 512)),
    # a lesion of 1 cm is one place of 64: its mean is lost in the rest unless a hundred thousand slices teach it
    "compact": ResNet34Preset((16, 32, 64, 128), sharpness=4.0),
}


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut; the output is never negative."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride, bias=False), nn.BatchNorm2d(channels_out)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels_in, y, x) to (batch, channels_out, y / stride, x / stride)."""
        inner = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(inner)) + self.downsample(x))


class ResNet34(nn.Module):
    """Logits (batch, 2) of windowed slices (batch, inputs, y, x) in [-1, 1], y and x at least 32; class 1 is the
    finding.

    `stages` gives what the five stages put out, for saliency: at 1/2, 1/4, 1/8, 1/16 and 1/32 of the input's size,
    each after its ReLU.
    """

    least = 32

    def __init__(self, preset: ResNet34Preset | str = "compact", outputs: int = 2, inputs: int = 1) -> None:
        super().__init__()
        if isinstance(preset, str):
            preset = PRESETS[preset]
        self.widths, self.sharpness, self.inputs = preset.widths, preset.sharpness, inputs
        channels = preset.widths[0]
        self.conv1 = nn.Conv2d(inputs, channels, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        layers = []
        for number, (width, count) in enumerate(zip(preset.widths, preset.blocks, strict=True)):
            stride = 1 if number == 0 else 2
            layers.append(
                nn.Sequential(
                    BasicBlock(channels, width, stride), *(BasicBlock(width, width, 1) for _ in range(count - 1))
                )
            )
            channels = width
        self.layer1, self.layer2, self.layer3, self.layer4 = layers
        self.fc = nn.Linear(channels, outputs)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def stages(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """The five stages' outputs, none negative; raises ValueError for an input of another shape."""
        if x.dim() != 4 or x.shape[1] != self.inputs or min(x.shape[2:]) < self.least:
            raise ValueError(
                f"ResNet34 takes (batch, {self.inputs}, y, x) with y and x of at least {self.least}, "
                f"got {tuple(x.shape)}"
            )
        stem = F.relu(self.bn1(self.conv1(x)))
        first = self.layer1(F.max_pool2d(stem, 3, 2, 1))
        second = self.layer2(first)
        third = self.layer3(second)
        return stem, first, second, third, self.layer4(third)

    def classify(self, last: Tensor) -> Tensor:
        """Logits (batch, outputs) from the last stage's output.

        The last layer on the mean over all places is the mean of the last layer on each. With a sharpness r > 0 the
        evidence e of a finding (see `evidence`) is pooled as log(mean(exp(r e))) / r instead, which is nearer to the
        highest (Pinheiro and Collobert, CVPR 2015); the logit of class 0, nothing, stays the mean.
        """
        mean: Tensor = self.fc(last.mean(dim=(2, 3)))
        if not self.sharpness:
            return mean
        evidence = self.evidence(last).float().flatten(2)
        pooled = torch.logsumexp(self.sharpness * evidence, dim=2) - math.log(evidence.shape[2])
        return torch.cat([mean[:, :1], mean[:, :1] + pooled / self.sharpness], dim=1)

    def evidence(self, last: Tensor) -> Tensor:
        """How much each place of the last stage's output speaks for each finding, (batch, outputs - 1, y, x): the last
        layer's logits there, less that of class 0.
        """
        weight, bias = self.fc.weight[1:] - self.fc.weight[:1], self.fc.bias[1:] - self.fc.bias[:1]
        return F.conv2d(last, weight[:, :, None, None], bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.classify(self.stages(x)[-1])


def for_phases(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a network that sees one phase, such as NoduleNet's, for one that sees all: each phase has an equal
    part of the first layer's, the liver's outline none. Weights of the latter stay as they are.
    """
    result = dict(weights)
    first = result["conv1.weight"]
    if first.shape[1] == 1:
        phases = PHASES_INPUTS - 1
        shares = [first / phases] * phases
        result["conv1.weight"] = torch.cat([*shares, torch.zeros_like(first)], dim=1)
    return result


def load_imagenet(network: ResNet34, weights: Mapping[str, Tensor]) -> None:
    """Take over ImageNet weights of a ResNet-34 (the names of the common weight files), all but the last layer.

    The first layer's weights are added up over red, green and blue, and spread over phases, if the network sees these
    (`for_phases`). Raises ValueError if they are not of this preset.
    """
    taken = {key: value for key, value in weights.items() if not key.startswith("fc.")}
    if "conv1.weight" in taken and taken["conv1.weight"].shape[1] == 3:
        taken["conv1.weight"] = taken["conv1.weight"].sum(dim=1, keepdim=True)
        if network.inputs > 1:
            taken = for_phases(taken)
    own = network.state_dict()
    unfit = [
        key
        for key, value in own.items()
        if not key.startswith("fc.") and (key not in taken or taken[key].shape != value.shape)
    ]
    unfit += sorted(set(taken) - set(own))
    if unfit:
        raise ValueError(f"These are not ImageNet weights of a ResNet-34 of this preset (at {unfit[0]}).")
    with torch.no_grad():
        network.load_state_dict(taken, strict=False)
