"""Losses of the segmentation network."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

#: Weights of the full output and of the deep-supervision outputs at 1/2, 1/4 and 1/8 of its resolution.
SCALE_WEIGHTS = (1.0, 0.4, 0.2, 0.1)


def dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Soft Dice loss (Milletari et al., V-Net), squared denominator, over batch and space per channel; 0 is perfect.

    Both (batch, channel, *spatial). A channel that is absent from the target counts nothing here: cross entropy alone
    judges it. Dice would punish the faintest probability of a lesion as hard as a missed one, and the network learns to
    see none.
    """
    probability = logits.sigmoid()
    axes = [0, *range(2, logits.ndim)]
    overlap = (probability * target).sum(axes)
    total = (probability**2).sum(axes) + (target**2).sum(axes)
    present = target.sum(axes) > 0
    return torch.where(present, 1 - (2 * overlap + 20) / (total + 20), 0.0).mean()


def segmentation_loss(outputs: list[Tensor], target: Tensor) -> Tensor:
    """Cross entropy plus Dice, summed over the full and the deep-supervision outputs (LiAIDS, Methods).

    outputs: logits (batch, 2, z, y, x), full resolution first. target: (batch, 2, z, y, x), liver and lesion.
    """
    total = target.new_zeros(())
    for weight, logits in zip(SCALE_WEIGHTS, outputs, strict=True):
        logits = logits.float()
        wanted = target if logits.shape == target.shape else F.interpolate(target, logits.shape[2:], mode="area")
        entropy = F.binary_cross_entropy_with_logits(
            logits, wanted, pos_weight=logits.new_tensor([1.0, 2.0]).view(1, 2, 1, 1, 1)
        )
        total = total + weight * (entropy + dice_loss(logits, wanted))
    return total
