"""Boxes as tensors: overlap, regression targets, suppression.

A box of d dimensions is a row of 2d numbers, all lower borders and then all upper ones, in array order: (y1, x1, y2,
x2) or (z1, y1, x1, z2, y2, x2). Borders lie between pixels: pixel i reaches from i to i + 1, so a box of one pixel has
side 1.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

#: Largest logarithm of a size ratio that a regression may ask for (Faster R-CNN's usual bound).
MAX_LOG_RATIO = math.log(1000 / 16)


def box_sizes(boxes: Tensor) -> Tensor:
    """Sides (..., d) of boxes (..., 2d); negative sides count as 0."""
    low, high = boxes.chunk(2, dim=-1)
    return (high - low).clamp(min=0)


def pairwise_iou(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union of each pair: boxes (..., n, 2d) and (..., m, 2d) to (..., n, m); 0 for empty boxes."""
    low1, high1 = first.unsqueeze(-2).chunk(2, dim=-1)
    low2, high2 = second.unsqueeze(-3).chunk(2, dim=-1)
    shared = (torch.minimum(high1, high2) - torch.maximum(low1, low2)).clamp(min=0).prod(dim=-1)
    sizes1, sizes2 = (box_sizes(boxes).prod(dim=-1) for boxes in (first, second))
    union = sizes1.unsqueeze(-1) + sizes2.unsqueeze(-2) - shared
    return shared / union.clamp(min=1e-9)


def encode(boxes: Tensor, anchors: Tensor, scale: tuple[float, float] = (1.0, 1.0)) -> Tensor:
    """Regression targets (..., 2d) that lead from anchors to boxes: shifts in units of the anchor, then log size
    ratios.

    scale: standard deviations that shifts and log ratios are divided by.
    """
    low, high = boxes.chunk(2, dim=-1)
    anchor_low, anchor_high = anchors.chunk(2, dim=-1)
    sides, anchor_sides = (high - low).clamp(min=1e-3), (anchor_high - anchor_low).clamp(min=1e-3)
    shift = (low + high - anchor_low - anchor_high) / (2 * anchor_sides)
    return torch.cat([shift / scale[0], (sides / anchor_sides).log() / scale[1]], dim=-1)


def decode(deltas: Tensor, anchors: Tensor, scale: tuple[float, float] = (1.0, 1.0)) -> Tensor:
    """The boxes (..., 2d) that regression outputs ask for: the inverse of `encode`."""
    shift, log_ratio = deltas.chunk(2, dim=-1)
    low, high = anchors.chunk(2, dim=-1)
    sides = high - low
    centre = (low + high) / 2 + shift * scale[0] * sides
    half = sides * (log_ratio * scale[1]).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO).exp() / 2
    return torch.cat([centre - half, centre + half], dim=-1)


def clip_boxes(boxes: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Boxes (..., 2d) cut to an image of this shape."""
    limit = torch.tensor([*shape, *shape], dtype=boxes.dtype, device=boxes.device)
    return torch.minimum(boxes.clamp(min=0), limit)


def non_max_suppression(boxes: Tensor, valid: Tensor, threshold: float) -> Tensor:
    """Greedy suppression in many images at once.

    boxes: (batch, n, 2d), the best first. valid: (batch, n) bool, which rows are boxes at all. Returns (batch, n) bool:
    the boxes that stay, so that none overlaps a better one that stays by an IoU over `threshold`.

    Found as a fixed point: a box stays if no better box that stays overlaps it. Row j is final after j rounds at the
    latest, mostly after a handful, and no loop over boxes is needed.
    """
    better = torch.ones(boxes.shape[1], boxes.shape[1], dtype=torch.bool, device=boxes.device).triu(1)
    rivals = ((pairwise_iou(boxes, boxes) > threshold) & better & valid.unsqueeze(-1)).float()
    kept = valid
    for _ in range(boxes.shape[1]):
        beaten = (kept.float().unsqueeze(-2) @ rivals).squeeze(-2) > 0
        changed = valid & ~beaten
        if torch.equal(changed, kept):
            break
        kept = changed
    return kept
