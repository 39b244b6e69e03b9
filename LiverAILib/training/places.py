"""Where in a slice the finding is, told to a slice network while it learns.

The paper's networks learnt from labels of whole slices, a hundred thousand of them. With a few thousand a network of
34 layers does not find out what in a slice the label speaks of, so while it trains it also says where the finding
lies, and is judged by its outline (deep supervision; Lee et al., AISTATS 2015): by three 1 x 1 convolutions on the
first three stages, which are no part of the network that is kept, and on the last stage by the network's own evidence
at each place. Without the latter what spoke for a lesion was gathered, in the end, at a place where no lesion was.

The weights of the three are never negative: a place speaks for a finding by what is active there, not by what is not.
SMOE shows where a stage is active, so it shows the finding.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from LiverAILib.networks.resnet34 import ResNet34

_HEADS = "places."


class PlacingResNet34(nn.Module):
    """A ResNet34 that says where the finding lies after each of its four stages, at 1/4, 1/8, 1/16 and 1/32 of the
    image's size.
    """

    def __init__(self, network: ResNet34) -> None:
        super().__init__()
        self.network = network
        self.places = nn.ModuleList(PlaceHead(width) for width in network.widths[:3])

    def forward(self, x: Tensor) -> Tensor:
        """The network's own logits (batch, 2)."""
        logits: Tensor = self.network(x)
        return logits

    def with_places(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The same, and the finding's logits (batch, 1, y, x) at the places of each stage."""
        _, *stages, last = self.network.stages(x)
        places = [head(stage) for head, stage in zip(self.places, stages, strict=True)]
        return self.network.classify(last), [*places, self.network.evidence(last)]


class PlaceHead(nn.Module):
    """A 1 x 1 convolution to one channel with weights >= 0, from (batch, channels, y, x)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((1, channels, 1, 1), -2.0))  # through a softplus: 0.13
        self.bias = nn.Parameter(torch.tensor([-4.0]))  # most places hold nothing

    def forward(self, x: Tensor) -> Tensor:
        """(batch, 1, y, x) logits."""
        return F.conv2d(x, F.softplus(self.weight), self.bias)


def without_heads(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of the network itself."""
    return {key.removeprefix("network."): value for key, value in weights.items() if not key.startswith(_HEADS)}


def place_loss(logits: list[Tensor], places: Tensor) -> Tensor:
    """Mean cross entropy of the heads. places: (batch, 1, y, x) of the image's size, the share of each pixel that the
    finding covers; a place holds it as far as its fullest pixel does.

    Places with the finding are few: they weigh as the root of how many times more the others are.
    """
    total = places.new_zeros(())
    for found in logits:
        wanted = F.adaptive_max_pool2d(places, found.shape[2:])
        share = wanted.mean().clamp(1e-3, 0.5)
        weight = ((1 - share) / share).sqrt()
        total = total + F.binary_cross_entropy_with_logits(found.float(), wanted, pos_weight=weight)
    return total / len(logits)
