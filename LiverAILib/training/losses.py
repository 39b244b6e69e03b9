"""Losses of the segmentation network."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

#: Weights of the full output and of the deep-supervision outputs at 1/2, 1/4 and 1/8 of its resolution.
SCALE_WEIGHTS = (1.0, 0.4, 0.2, 0.1)

#: Lesions of this volume and more weigh by their voxels alone.
LARGE_ML = 10.0


#: In the lesion's overlap term a voxel wrongly called lesion counts 0.3 and a missed one 0.7: a reader can reject a
#: finding but not one that was never shown.
LESION_MISS = 0.7


def overlap_loss(logits: Tensor, target: Tensor, weight: Tensor, miss: Tensor) -> Tensor:
    """Soft Tversky loss (Salehi et al., MLMI 2017) over batch and space per channel; 0 is perfect, and `miss` 0.5 is
    soft Dice (Milletari et al., V-Net, with squared denominator).

    logits, target, weight: (batch, channel, *spatial); weight multiplies where the target is. miss: (channel,), what a
    missed voxel counts against a wrong one (1 - miss). A channel that is absent from the target counts nothing here:
    cross entropy alone judges it. An overlap term would punish the faintest probability of a lesion as hard as a missed
    one, and the network learns to see none.
    """
    probability = logits.sigmoid()
    axes = [0, *range(2, logits.ndim)]
    overlap = (weight * probability * target).sum(axes)
    predicted = (probability**2 * (1 + (weight - 1) * target)).sum(axes)
    wanted = (weight * target**2).sum(axes)
    total = overlap + (1 - miss) * (predicted - overlap) + miss * (wanted - overlap)
    present = target.sum(axes) > 0
    return torch.where(present, 1 - (overlap + 10) / (total + 10), 0.0).mean()


def slice_overlap_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Soft Dice loss of one structure in each slice that shows it, averaged with the root of the areas as weights, so
    that the ends of an organ count beside its middle.

    logits, target: (batch, z, y, x). 0 without any such slice.
    """
    probability = logits.sigmoid()
    overlap, predicted, wanted = (value.sum(dim=(2, 3)) for value in (probability * target, probability**2, target**2))
    loss = 1 - (2 * overlap + 10) / (predicted + wanted + 10)
    weight = target.sum(dim=(2, 3)).sqrt()
    return (loss * weight).sum() / weight.sum().clamp_min(1e-6)


def segmentation_loss(outputs: list[Tensor], target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Cross entropy plus an overlap term, summed over the full and the deep-supervision outputs (LiAIDS, Methods: with
    Dice; for lesions we count a miss more, `LESION_MISS`, and the liver's Dice counts slice by slice too: the volume's
    alone left out the liver's tips).

    outputs: logits (batch, 2, z, y, x), full resolution first. target: (batch, 2, z, y, x), liver and lesion.
    weight: (batch, 1, z, y, x) of lesion voxels, see `lesion_weights`; 1 without it.
    """
    total = target.new_zeros(())
    weights = torch.ones_like(target)
    if weight is not None:
        weights[:, 1:] = weight
    miss = target.new_tensor([0.5, LESION_MISS])
    positive = target.new_tensor([1.0, 2.0]).view(1, 2, 1, 1, 1)
    for share, logits in zip(SCALE_WEIGHTS, outputs, strict=True):
        logits = logits.float()
        wanted, here = target, weights
        if logits.shape != target.shape:
            wanted, here = (F.interpolate(x, logits.shape[2:], mode="area") for x in (target, weights))
        entropy = F.binary_cross_entropy_with_logits(logits, wanted, pos_weight=positive * here)
        ends = slice_overlap_loss(logits[:, 0], wanted[:, 0])
        total = total + share * (entropy + overlap_loss(logits, wanted, here, miss) + 0.5 * ends)
    return total


def lesion_weights(lesions: Tensor, voxel_ml: float) -> Tensor:
    """What each voxel of a lesion mask (z, y, x) counts: the root of 10 ml over its lesion's volume, from 1 to 5; 1
    elsewhere.

    Without it one tumour of 100 ml weighs as much as a hundred of 1 ml, and the small ones are not learnt.
    """
    from scipy import ndimage

    ids, count = ndimage.label(lesions.numpy() > 0)
    sizes = np.bincount(ids.ravel(), minlength=count + 1) * voxel_ml
    of_lesion = np.sqrt(LARGE_ML / np.maximum(sizes, 1e-6)).clip(1.0, 5.0).astype(np.float32)
    of_lesion[0] = 1.0
    return torch.from_numpy(of_lesion[ids])
