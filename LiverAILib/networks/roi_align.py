"""RoIAlign (He et al., Mask R-CNN, ICCV 2017) by `grid_sample`, for boxes of many images and pyramid levels at once.

torchvision's operator is not used, since its registry build does not load beside the CPU build of torch. The published
configuration takes as many samples per bin as the box has pixels (`sampling_ratio=0`), which gives every box its own
number of samples; here each bin takes `SAMPLES` x `SAMPLES`, so that one call serves all boxes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from LiverAILib.networks.boxes import box_sizes

SAMPLES = 2


def roi_align(features: Tensor, boxes: Tensor, images: Tensor, size: int, samples: int = SAMPLES) -> Tensor:
    """Mean of bilinear samples in each of size x size bins of each box.

    features: (batch, channel, y, x). boxes: (n, 4) in pixels of these features, (y1, x1, y2, x2). images: (n,) index of
    each box's image. Returns (n, channel, size, size) in float32. Samples outside take the nearest pixel's value.
    """
    batch, channels, height, width = features.shape
    count = boxes.shape[0]
    if count == 0:
        return features.new_zeros((0, channels, size, size), dtype=torch.float32)
    low, high = boxes.float().chunk(2, dim=-1)
    steps = (torch.arange(size * samples, device=boxes.device) + 0.5) / (size * samples)
    places = low.unsqueeze(-1) + (high - low).unsqueeze(-1) * steps  # (n, 2, size * samples), y then x
    y, x = 2 * places[:, 0] / height - 1, 2 * places[:, 1] / width - 1
    points = torch.stack(
        [x.unsqueeze(1).expand(-1, size * samples, -1), y.unsqueeze(2).expand(-1, -1, size * samples)], -1
    )
    # one row of the grid per box; images with fewer boxes than the fullest are filled up with unused rows
    order = torch.argsort(images, stable=True)
    counts = torch.bincount(images, minlength=batch)
    starts = counts.cumsum(0) - counts
    ordered = images[order]
    row = torch.arange(count, device=boxes.device) - starts[ordered]
    grid = points.new_zeros((batch, int(counts.max()), (size * samples) ** 2, 2))
    grid[ordered, row] = points[order].flatten(1, 2)
    with torch.autocast(features.device.type, enabled=False):
        sampled = F.grid_sample(features.float(), grid, padding_mode="border", align_corners=False)
    # (batch, channel, row, sample) to (n, channel, y, x)
    chosen = sampled.permute(0, 2, 1, 3)[ordered, row].unflatten(2, (size * samples, size * samples))
    pooled = F.avg_pool2d(chosen, samples)
    return torch.empty_like(pooled).index_copy(0, order, pooled)


def pyramid_levels(boxes: Tensor, levels: int, finest: float) -> Tensor:
    """The pyramid level (n,) of each box (n, 4): 0 for a mean side under 2 * `finest` pixels, one more per doubling.

    Lin et al., Feature Pyramid Networks, CVPR 2017, eq. 1, as the published configuration uses it.
    """
    side = box_sizes(boxes).prod(dim=-1).sqrt()
    return torch.floor(torch.log2(side / finest + 1e-6)).clamp(0, levels - 1).long()


def pyramid_roi_align(
    pyramid: list[Tensor], strides: tuple[int, ...], boxes: Tensor, images: Tensor, size: int, finest: float
) -> Tensor:
    """RoIAlign of each box (n, 4), in image pixels, on the level that suits its size; (n, channel, size, size)."""
    levels = pyramid_levels(boxes, len(pyramid), finest)
    result = boxes.new_zeros((boxes.shape[0], pyramid[0].shape[1], size, size), dtype=torch.float32)
    for level, (features, stride) in enumerate(zip(pyramid, strides, strict=True)):
        chosen = torch.nonzero(levels == level).flatten()
        if len(chosen):
            found = roi_align(features, boxes[chosen] / stride, images[chosen], size)
            result = result.index_copy(0, chosen, found)
    return result
