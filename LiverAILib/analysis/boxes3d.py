"""3D boxes of lesions on a volume's grid, and the same boxes on its axes turned to superior, posterior, left.

A box is a row (z1, y1, x1, z2, y2, x2) of the array's own axes, in voxels; borders lie between voxels, so voxel i
reaches from i to i + 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Boxes = npt.NDArray[np.float64]

#: Two lesions are the same if their IoU is greater than the one, or their IoM (intersection over the smaller) than the
#: other. LiAIDS' rule for boxes of several phases; found and true lesions, as boxes or voxels, are compared by it too.
MIN_IOU = 0.3
MIN_IOM = 0.5
#: Ours: a found box finds a true one only from this IoU on. By IoM alone a box of the whole liver finds everything.
LEAST_IOU = 0.1


@dataclass(frozen=True)
class FoundBoxes:
    """Lesions found in one phase. boxes: (n, 6). scores: (n,) in [0, 1]. slices: (n,) slices with a 2D box of it."""

    boxes: Boxes
    scores: npt.NDArray[np.float64]
    slices: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.boxes)

    def where(self, chosen: npt.NDArray[np.bool_]) -> FoundBoxes:
        """The chosen ones."""
        return FoundBoxes(self.boxes[chosen], self.scores[chosen], self.slices[chosen])


def no_boxes() -> FoundBoxes:
    """Nothing found."""
    return FoundBoxes(np.zeros((0, 6)), np.zeros(0), np.zeros(0, dtype=np.int64))


def joined(first: FoundBoxes, second: FoundBoxes) -> FoundBoxes:
    """Both, best first."""
    every = [np.concatenate(pair) for pair in zip(vars(first).values(), vars(second).values(), strict=True)]
    order = np.argsort(-every[1], kind="stable")
    return FoundBoxes(every[0][order], every[1][order], every[2][order])


def finds(found: Boxes, true: Boxes) -> npt.NDArray[np.bool_]:
    """Which found box (n, 6) finds which true one (m, 6), (n, m): IoU > 0.3 or IoM > 0.5, and IoU > 0.1."""
    shared, union, smaller = shared_volumes(found, true)
    return ((shared > MIN_IOU * union) | (shared > MIN_IOM * smaller)) & (shared > LEAST_IOU * union)


def shared_volumes(first: Boxes, second: Boxes) -> tuple[Boxes, Boxes, Boxes]:
    """Volumes (n, m) of what each of (n, 6) boxes shares with each of (m, 6), of both together, and of the smaller;
    areas of boxes with four numbers.
    """
    axes = first.shape[1] // 2
    low = np.maximum(first[:, None, :axes], second[None, :, :axes])
    high = np.minimum(first[:, None, axes:], second[None, :, axes:])
    shared = np.prod(np.clip(high - low, 0, None), axis=2)
    own, others = (np.prod(boxes[:, axes:] - boxes[:, :axes], axis=1) for boxes in (first, second))
    return shared, own[:, None] + others[None] - shared, np.minimum(own[:, None], others[None])


def box_slices(box: Boxes, shape: tuple[int, ...]) -> tuple[slice, slice, slice]:
    """The voxels that a box touches, at least one per axis, inside an array of this shape."""
    first = np.clip(np.floor(box[:3] + 1e-6).astype(int), 0, np.array(shape) - 1)
    last = np.clip(np.ceil(box[3:] - 1e-6).astype(int), first + 1, np.array(shape))
    return slice(first[0], last[0]), slice(first[1], last[1]), slice(first[2], last[2])


def boxes_to_canonical(
    boxes: Boxes, shape: tuple[int, ...], order: tuple[int, int, int], flips: tuple[bool, bool, bool]
) -> Boxes:
    """Boxes (n, 6) on an array of this shape as boxes on its canonical view (see `grid.canonical_axes`)."""
    result = np.empty_like(boxes)
    for axis, (source, flip) in enumerate(zip(order, flips, strict=True)):
        low, high = boxes[:, source], boxes[:, source + 3]
        result[:, axis], result[:, axis + 3] = (shape[source] - high, shape[source] - low) if flip else (low, high)
    return result


def boxes_from_canonical(
    boxes: Boxes, shape: tuple[int, ...], order: tuple[int, int, int], flips: tuple[bool, bool, bool]
) -> Boxes:
    """The inverse of `boxes_to_canonical`; shape is still that of the array itself."""
    result = np.empty_like(boxes)
    for axis, (source, flip) in enumerate(zip(order, flips, strict=True)):
        low, high = boxes[:, axis], boxes[:, axis + 3]
        result[:, source], result[:, source + 3] = (shape[source] - high, shape[source] - low) if flip else (low, high)
    return result
