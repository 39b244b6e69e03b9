"""Stage 2b: boxes of single slices linked to boxes of lesions.

As LiAIDS' published code does it: boxes of a score of at least 0.05 belong together when they lie at most three slices
apart and share half of the smaller one (IoM >= 0.5), directly or through others; the lesion's box holds them all, its
score is their mean, and lesions of a mean score under 0.384565 are dropped. One slice is enough.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from LiverAILib.analysis.boxes3d import Boxes, FoundBoxes, box_slices, no_boxes, shared_volumes

TINY = 1e-9  # square pixels: a smaller box is empty


@dataclass(frozen=True)
class SliceBoxes:
    """Boxes in one slice. boxes: (n, 4), (y1, x1, y2, x2). scores: (n,)."""

    boxes: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]


@dataclass(frozen=True)
class LinkOptions:
    """Thresholds of the linking; the defaults are the published ones. reach: slices that a gap may span."""

    least_score: float = 0.05
    least_iom: float = 0.5
    reach: int = 3
    least_mean_score: float = 0.384565
    least_slices: int = 1


def link_slices(found: Mapping[int, SliceBoxes], options: LinkOptions | None = None) -> FoundBoxes:
    """3D boxes, best first, from the boxes of each slice (by slice number)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    options = options or LinkOptions()
    kept = {}
    for z, single in found.items():
        enough = single.scores >= options.least_score
        kept[z] = (single.boxes[enough], single.scores[enough])
    first = dict(zip(kept, np.cumsum([0, *(len(boxes) for boxes, _ in kept.values())]), strict=False))
    total = sum(len(boxes) for boxes, _ in kept.values())
    if total == 0:
        return no_boxes()
    pairs = []
    for z, (boxes, _) in kept.items():
        for other in range(z, z + options.reach + 1):
            if other in kept and len(boxes) and len(kept[other][0]):
                shared, _, smaller = shared_volumes(boxes, kept[other][0])
                close = shared >= options.least_iom * np.maximum(smaller, TINY)
                pairs.append(np.argwhere(close) + np.array([first[z], first[other]]))
    rows, columns = np.concatenate(pairs).T
    links = coo_array((np.ones(len(rows), dtype=bool), (rows, columns)), shape=(total, total))
    count, groups = connected_components(links, directed=False)
    numbers = np.repeat(list(kept), [len(boxes) for boxes, _ in kept.values()])
    flat = np.concatenate([boxes for boxes, _ in kept.values()])
    scores = np.concatenate([values for _, values in kept.values()])
    result, means, spans = np.empty((count, 6)), np.empty(count), np.empty(count, dtype=np.int64)
    for group in range(count):
        inside = groups == group
        z, boxes = numbers[inside], flat[inside]
        result[group] = [z.min(), *boxes[:, :2].min(axis=0), z.max() + 1, *boxes[:, 2:].max(axis=0)]
        means[group], spans[group] = scores[inside].mean(), len(np.unique(z))
    order = np.argsort(-means, kind="stable")
    linked = FoundBoxes(result[order], means[order], spans[order])
    return linked.where((linked.scores >= options.least_mean_score) & (linked.slices >= options.least_slices))


def liver_share(boxes: Boxes, liver: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """The share of each box's voxels that are liver, (n,). liver: (z, y, x), lesions included, on the boxes' grid."""
    return np.array([liver[box_slices(box, liver.shape)].mean() for box in boxes]).reshape(len(boxes))
