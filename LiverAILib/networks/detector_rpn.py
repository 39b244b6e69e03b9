"""The first stage of the lesion detector: feature pyramid, anchors and region proposal network.

Sources: Lin et al., Feature Pyramid Networks, CVPR 2017; Ren et al., Faster R-CNN, TPAMI 2017; LiAIDS' published
configuration: levels P2 to P6 at strides 4 to 64, anchors of 1 and 3 times the stride in three ratios (6 per place), an
anchor is a lesion from IoU 0.7 and background below 0.3, 256 anchors per slice are learnt from, half of them lesions;
binary cross entropy and L1. Anchors are centred on their pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from LiverAILib.networks.boxes import box_sizes, clip_boxes, decode, encode, non_max_suppression, pairwise_iou

STRIDES = (4, 8, 16, 32, 64)


@dataclass(frozen=True)
class RpnOptions:
    """Options of the region proposal network.

    lesion_iou, background_iou: an anchor is a lesion from the first on, background below the second. least_iou: a
    lesion that no anchor reaches `lesion_iou` with takes its best anchors, if they reach this. sampled, lesion_share:
    anchors learnt from per slice, and the largest share of lesions. candidates: per level, before suppression.
    proposals: per slice, after it; both (training, inference). suppression_iou: between proposals of one level.
    """

    scales: tuple[float, ...] = (1.0, 3.0)
    ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    lesion_iou: float = 0.7
    background_iou: float = 0.3
    least_iou: float = 0.3
    sampled: int = 256
    lesion_share: float = 0.5
    candidates: tuple[int, int] = (2000, 1000)
    proposals: tuple[int, int] = (1000, 1000)
    suppression_iou: float = 0.7


class FeaturePyramid(nn.Module):
    """Maps at strides 4, 8, 16, 32 of any channels to P2 .. P6 of one width; P6 is every second pixel of P5."""

    def __init__(self, channels_in: tuple[int, ...], channels: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(c, channels, 1) for c in channels_in)
        self.smooth = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in channels_in)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Four maps (n, channel, y, x), finest first, to five (n, width, y, x)."""
        merged = [lateral(features) for lateral, features in zip(self.lateral, maps, strict=True)]
        for level in range(len(merged) - 1, 0, -1):
            merged[level - 1] = merged[level - 1] + F.interpolate(merged[level], merged[level - 1].shape[2:])
        pyramid = [smooth(features) for smooth, features in zip(self.smooth, merged, strict=True)]
        return [*pyramid, F.max_pool2d(pyramid[-1], 1, stride=2)]


def make_anchors(
    shape: tuple[int, int], stride: int, scales: tuple[float, ...], ratios: tuple[float, ...], device: torch.device
) -> Tensor:
    """Anchors (y * x * ratios * scales, 4) in image pixels of one level whose map has this shape.

    A ratio is height over width; the area is (scale * stride) squared whatever the ratio.
    """
    root = torch.tensor(ratios, device=device).sqrt()
    sides = torch.stack([root, 1 / root], -1).unsqueeze(1) * stride * torch.tensor(scales, device=device).view(1, -1, 1)
    y, x = (((torch.arange(n, device=device) + 0.5) * stride) for n in shape)
    centres = torch.stack(torch.meshgrid(y, x, indexing="ij"), -1).reshape(-1, 1, 2)
    half = sides.reshape(1, -1, 2) / 2
    return torch.cat([centres - half, centres + half], -1).reshape(-1, 4)


def assign(
    boxes: Tensor, truth: Tensor, lesion_iou: float, background_iou: float, least_iou: float | None
) -> tuple[Tensor, Tensor]:
    """What each box (n, 4) should learn from the true boxes (m, 4) of its slice.

    Returns (n,) kinds, 1 lesion, 0 background, -1 neither, and (n,) the index of the true box it is nearest to. With
    `least_iou`, each true box also takes the boxes that reach its highest IoU, if that is at least this.
    """
    kinds = torch.full((boxes.shape[0],), -1, device=boxes.device)
    if len(truth) == 0:
        return kinds.zero_(), kinds.clone()
    iou = pairwise_iou(boxes, truth)
    best, which = iou.max(dim=1)
    kinds[best < background_iou] = 0
    kinds[best >= lesion_iou] = 1
    if least_iou is not None:
        highest = iou.max(dim=0).values
        reached = (iou >= highest - 1e-6) & (highest >= max(least_iou, 1e-6))
        chosen = reached.any(dim=1)
        kinds[chosen] = 1
        which = torch.where(chosen, torch.where(reached, iou, -1.0).argmax(dim=1), which)
    return kinds, which


def draw_sample(kinds: Tensor, count: int, lesion_share: float) -> tuple[Tensor, Tensor]:
    """Random indices of lesions, at most the share of `count`, and of background to make up `count`."""
    lesions, background = torch.nonzero(kinds == 1).flatten(), torch.nonzero(kinds == 0).flatten()
    lesions = lesions[torch.randperm(len(lesions), device=kinds.device)[: int(count * lesion_share)]]
    background = background[torch.randperm(len(background), device=kinds.device)[: count - len(lesions)]]
    return lesions, background


class RegionProposalNetwork(nn.Module):
    """One head for all pyramid levels: lesion or not, and how to move each anchor."""

    def __init__(self, channels: int, options: RpnOptions) -> None:
        super().__init__()
        self.options = options
        anchors = len(options.scales) * len(options.ratios)
        self.shared = nn.Conv2d(channels, channels, 3, padding=1)
        self.objectness = nn.Conv2d(channels, anchors, 1)
        self.regression = nn.Conv2d(channels, 4 * anchors, 1)
        for layer in (self.shared, self.objectness, self.regression):
            nn.init.normal_(layer.weight, std=0.01)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def forward(self, pyramid: list[Tensor]) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Per level: objectness logits (n, anchors), deltas (n, anchors, 4), anchors (anchors, 4); all float32."""
        logits, deltas, anchors = [], [], []
        for features, stride in zip(pyramid, STRIDES, strict=True):
            hidden = F.relu(self.shared(features))
            logits.append(self.objectness(hidden).float().permute(0, 2, 3, 1).flatten(1))
            deltas.append(self.regression(hidden).float().permute(0, 2, 3, 1).flatten(1).unflatten(1, (-1, 4)))
            shape = (features.shape[2], features.shape[3])
            anchors.append(make_anchors(shape, stride, self.options.scales, self.options.ratios, features.device))
        return logits, deltas, anchors

    @torch.no_grad()
    def propose(
        self, logits: list[Tensor], deltas: list[Tensor], anchors: list[Tensor], shape: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """The best boxes of each slice: (n, proposals, 4) in image pixels, best first, and (n, proposals) which are
        any.

        Boxes are suppressed within their level only.
        """
        candidates, limit = (
            pair[0 if self.training else 1] for pair in (self.options.candidates, self.options.proposals)
        )
        boxes, scores = [], []
        for level_logits, level_deltas, level_anchors in zip(logits, deltas, anchors, strict=True):
            best, index = level_logits.topk(min(candidates, level_logits.shape[1]), dim=1)
            moved = decode(level_deltas.gather(1, index.unsqueeze(-1).expand(-1, -1, 4)), level_anchors[index])
            moved = clip_boxes(moved, shape)
            valid = (box_sizes(moved) > 0).all(dim=-1)
            kept = non_max_suppression(moved, valid, self.options.suppression_iou)
            boxes.append(moved)
            scores.append(torch.where(kept, best, -torch.inf))
        joined, ranked = torch.cat(boxes, dim=1), torch.cat(scores, dim=1)
        best, index = ranked.topk(min(limit, ranked.shape[1]), dim=1)
        return joined.gather(1, index.unsqueeze(-1).expand(-1, -1, 4)), best > -torch.inf

    def losses(
        self, logits: list[Tensor], deltas: list[Tensor], anchors: list[Tensor], truth: list[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Objectness and regression loss, means over the sampled anchors. truth: true boxes (m, 4) of each slice."""
        options = self.options
        all_logits, all_deltas, all_anchors = torch.cat(logits, 1), torch.cat(deltas, 1), torch.cat(anchors, 0)
        objectness, regression = all_logits.new_zeros(()), all_logits.new_zeros(())
        for number, boxes in enumerate(truth):
            kinds, which = assign(all_anchors, boxes, options.lesion_iou, options.background_iou, options.least_iou)
            lesions, background = draw_sample(kinds, options.sampled, options.lesion_share)
            chosen = torch.cat([lesions, background])
            wanted = (kinds[chosen] == 1).float()
            total = max(len(chosen), 1)
            objectness = (
                objectness
                + F.binary_cross_entropy_with_logits(all_logits[number, chosen], wanted, reduction="sum") / total
            )
            if len(lesions):
                aim = encode(boxes[which[lesions]], all_anchors[lesions])
                regression = regression + F.l1_loss(all_deltas[number, lesions], aim, reduction="sum") / total
        return objectness / len(truth), regression / len(truth)
