"""The lesion detector of LiAIDS: Faster R-CNN on a 3D CSWin Transformer with a feature pyramid.

Source: Ying et al., Nat Commun 2024, Methods, "Lesion Detection", and the authors' published configuration, whose sizes
and thresholds are the defaults here: pyramid of 256 channels, proposals pooled to 7 x 7 from P2 to P5, two dense
layers of 1024, a proposal is a lesion from IoU 0.5, 512 proposals per slice are learnt from, a quarter of them
lesions, cross entropy and L1, boxes of one slice suppressed at IoU 0.1.

The paper works on slices enlarged to 640 x 640, about 0.6 mm a pixel. `compact` is made for 1.25 mm: same anchors in
pixels, hence twice in mm; the pyramid level of a proposal is chosen from half the size; and a lesion of two pixels,
which overlaps no anchor by 0.3, still has an anchor to learn from (`least_iou`).

Beside the image `compact` takes the segmentation's lesion probability p as a second channel (`suspicion`), so that it
goes on from what LiverSegNet knows; ours, not the paper's. `compact-image` is without it, as `paper` is.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from LiverAILib.networks.boxes import box_sizes, clip_boxes, decode, encode, non_max_suppression
from LiverAILib.networks.cswin3d import PRESETS as BACKBONES
from LiverAILib.networks.cswin3d import CSWin3d, CSWin3dPreset
from LiverAILib.networks.detector_rpn import (
    STRIDES,
    FeaturePyramid,
    RegionProposalNetwork,
    RpnOptions,
    assign,
    draw_sample,
)
from LiverAILib.networks.roi_align import pyramid_roi_align

#: Standard deviations of the second stage's shifts and log size ratios.
SECOND_SCALE = (0.1, 0.2)


@dataclass(frozen=True)
class DetectorPreset:
    """Sizes and thresholds of the detector.

    pyramid: channels of P2 .. P6. dense: width of the two dense layers. roi: side of a pooled proposal. finest_roi:
    mean side in pixels at twice which a proposal leaves P2. lesion_iou, sampled, lesion_share: as in `RpnOptions`, for
    proposals. suppression_iou: between the boxes of a slice. least_score, most_boxes: what is handed on of a slice.
    """

    backbone: CSWin3dPreset
    pyramid: int = 256
    dense: int = 1024
    roi: int = 7
    finest_roi: float = 56.0
    lesion_iou: float = 0.5
    sampled: int = 512
    lesion_share: float = 0.25
    suppression_iou: float = 0.1
    least_score: float = 0.05
    most_boxes: int = 100
    rpn: RpnOptions = field(default_factory=RpnOptions)


PRESETS = {
    "paper": DetectorPreset(BACKBONES["paper"]),
    "compact": DetectorPreset(
        BACKBONES["compact"],
        pyramid=64,
        dense=128,
        finest_roi=28.0,
        sampled=128,
        rpn=RpnOptions(least_iou=0.1, sampled=128, candidates=(300, 150), proposals=(200, 64)),
    ),
}
PRESETS |= {name: replace(PRESETS["compact"], backbone=BACKBONES[name]) for name in ("compact-2d", "compact-image")}


def suspicion(probability: Tensor) -> Tensor:
    """The second channel, 2 sqrt(p) - 1 in [-1, 1], of a lesion probability in [0, 1]: low ones are told apart too."""
    return 2 * probability.clamp(0, 1).sqrt() - 1


@dataclass(frozen=True)
class Detections:
    """Lesions in one slice, best first. boxes: (n, 4) in pixels, (y1, x1, y2, x2). scores: (n,) in [0, 1]."""

    boxes: Tensor
    scores: Tensor


class BoxHead(nn.Module):
    """Two dense layers; background or lesion, and how to move the proposal."""

    def __init__(self, channels: int, roi: int, dense: int) -> None:
        super().__init__()
        self.dense = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * roi * roi, dense), nn.ReLU(), nn.Linear(dense, dense), nn.ReLU()
        )
        self.classes = nn.Linear(dense, 2)
        self.regression = nn.Linear(dense, 4)
        for layer, deviation in ((self.classes, 0.01), (self.regression, 0.001)):
            nn.init.normal_(layer.weight, std=deviation)
            nn.init.zeros_(layer.bias)

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """(n, channel, roi, roi) to logits (n, 2), background first, and deltas (n, 4), both float32."""
        hidden = self.dense(pooled)
        return self.classes(hidden).float(), self.regression(hidden).float()


class LesionDetector(nn.Module):
    """Boxes around lesions in each target slice.

    Input (batch, inputs, z, y, x) as for `CSWin3d`, a second channel being the `suspicion`: z - 10 target slices per
    stack, y and x multiples of 32. In training mode, with the true boxes (m, 4) of each of the batch * (z - 10) target
    slices (m may be 0), the four losses; otherwise a `Detections` for each target slice, stack by stack.
    """

    neighbours = CSWin3d.neighbours
    multiple = CSWin3d.multiple

    def __init__(self, preset: DetectorPreset | str = "compact") -> None:
        super().__init__()
        preset = PRESETS[preset] if isinstance(preset, str) else preset
        self.preset = preset
        self.inputs = preset.backbone.inputs
        self.backbone = CSWin3d(preset.backbone)
        self.pyramid = FeaturePyramid(self.backbone.channels, preset.pyramid)
        self.rpn = RegionProposalNetwork(preset.pyramid, preset.rpn)
        self.head = BoxHead(preset.pyramid, preset.roi, preset.dense)

    def forward(self, x: Tensor, truth: list[Tensor] | None = None) -> dict[str, Tensor] | list[Detections]:
        shape = (x.shape[3], x.shape[4])
        pyramid = self.pyramid(self.backbone(x))
        logits, deltas, anchors = self.rpn(pyramid)
        boxes, valid = self.rpn.propose(logits, deltas, anchors, shape)
        if not self.training:
            return self._detect(pyramid, boxes, valid, shape)
        if truth is None or len(truth) != pyramid[0].shape[0]:
            given = "none" if truth is None else len(truth)
            raise ValueError(
                f"LesionDetector in training needs true boxes for each of {pyramid[0].shape[0]} slices, got {given}"
            )
        objectness, regression = self.rpn.losses(logits, deltas, anchors, truth)
        classes, boxes_loss = self._second_losses(pyramid, boxes, valid, truth)
        return {
            "rpn_objectness": objectness,
            "rpn_regression": regression,
            "classes": classes,
            "regression": boxes_loss,
        }

    def _pool(self, pyramid: list[Tensor], boxes: Tensor, images: Tensor) -> Tensor:
        return pyramid_roi_align(pyramid[:4], STRIDES[:4], boxes, images, self.preset.roi, self.preset.finest_roi)

    def _detect(self, pyramid: list[Tensor], boxes: Tensor, valid: Tensor, shape: tuple[int, int]) -> list[Detections]:
        preset = self.preset
        images = torch.arange(boxes.shape[0], device=boxes.device).unsqueeze(1).expand(valid.shape)
        scores = boxes.new_full(valid.shape, -1.0)
        moved = torch.zeros_like(boxes)
        logits, deltas = self.head(self._pool(pyramid, boxes[valid], images[valid]))
        scores[valid] = logits.softmax(dim=1)[:, 1]
        moved[valid] = clip_boxes(decode(deltas, boxes[valid], SECOND_SCALE), shape)
        scores, order = scores.sort(dim=1, descending=True, stable=True)
        moved = moved.gather(1, order.unsqueeze(-1).expand(-1, -1, 4))
        real = (scores >= preset.least_score) & (box_sizes(moved) > 0).all(dim=-1)
        kept = non_max_suppression(moved, real, preset.suppression_iou)
        return [
            Detections(b[k][: preset.most_boxes], s[k][: preset.most_boxes])
            for b, s, k in zip(moved, scores, kept, strict=True)
        ]

    def _second_losses(
        self, pyramid: list[Tensor], boxes: Tensor, valid: Tensor, truth: list[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Class and regression loss over sampled proposals; the true boxes themselves are proposals too."""
        preset = self.preset
        chosen, images, wanted, aims = [], [], [], []
        for number, true in enumerate(truth):
            proposals = torch.cat([true, boxes[number][valid[number]]])
            kinds, which = assign(proposals, true, preset.lesion_iou, preset.lesion_iou, None)
            lesions, background = draw_sample(kinds, preset.sampled, preset.lesion_share)
            chosen.append(proposals[torch.cat([lesions, background])])
            images.append(torch.full((len(chosen[-1]),), number, device=boxes.device))
            wanted.append((torch.arange(len(chosen[-1]), device=boxes.device) < len(lesions)).long())
            aims.append(encode(true[which[lesions]], proposals[lesions], SECOND_SCALE))
        classes = torch.cat(wanted)
        if len(classes) == 0:
            zero = pyramid[0].float().sum() * 0
            return zero, zero
        logits, deltas = self.head(self._pool(pyramid, torch.cat(chosen), torch.cat(images)))
        regression = F.l1_loss(deltas[classes == 1], torch.cat(aims), reduction="sum") / len(classes)
        return F.cross_entropy(logits, classes), regression
