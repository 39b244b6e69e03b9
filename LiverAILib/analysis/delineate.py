"""Stage 4: the voxels of each lesion, from the segmentation inside its box.

In this order, F being the share of the ellipsoid that fits the box:
1. `segmentation`: lesion probability over `lesions.THRESHOLD` in the box and around it (`SEEN`), in regions that reach
   into the ellipsoid, if it comes to F = 0.1;
2. `low_probability`: over half of the box's highest probability, if that is 0.1 or more, in the region that holds it,
   if this comes to F = 0.7;
3. `contrast`: liver voxels near the ellipsoid whose smoothed HU are on the lesion's side of the middle between the
   box's core and the liver around it, if these differ by 10 HU or more and by four times the noise of the smoothed
   liver (with less the region would be a sponge), and the region comes to F = 0.7;
4. `ellipsoid`: the ellipsoid itself, its liver part if that is a third or more.
All but the first are flagged `approximate`. The paper states no fall-backs; these are ours. The 0.7 comes from 13
phantom lesions in their true boxes: where contrast gave less, its Dice was 0.49 to 0.77 and the ellipsoid's 0.77 to
0.91.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from LiverAILib.analysis.boxes3d import Boxes, box_slices
from LiverAILib.analysis.lesions import THRESHOLD

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]

ENLARGE = 0.1  # of each side at each end, one voxel at least
SEEN = 0.5  # the same where the segmentation draws: a box found in one phase may be too small in another
LEAST_FILL = 0.1
LEAST_GUESSED_FILL = 0.7
LEAST_PEAK = 0.1
LEAST_CONTRAST_HU = 10.0
LEAST_CONTRAST_TO_NOISE = 4.0
LEAST_LIVER = 1 / 3
RING_VOXELS = 3


@dataclass(frozen=True)
class Delineation:
    """One lesion's voxels. where: a box of the volume. mask: bool, of that box's shape. method: see the module."""

    where: tuple[slice, slice, slice]
    mask: Mask
    method: str

    @property
    def approximate(self) -> bool:
        """Whether a fall-back drew it."""
        return self.method != "segmentation"


def ellipsoid_distance(box: Boxes, where: tuple[slice, slice, slice]) -> Floats:
    """Distance of each voxel of `where` from the box's centre, 1 on the ellipsoid that fits the box."""
    axes = []
    for axis, part in enumerate(where):
        centre, half = (box[axis] + box[axis + 3]) / 2, max((box[axis + 3] - box[axis]) / 2, 0.5)
        axes.append(((np.arange(part.start, part.stop) + 0.5 - centre) / half) ** 2)
    return np.sqrt(axes[0][:, None, None] + axes[1][None, :, None] + axes[2]).astype(np.float32)


def delineate(hu: npt.NDArray[np.number], liver: Mask, probability: Floats, box: Boxes) -> Delineation:
    """The voxels of the lesion in a box (6,).

    hu, liver (lesions included) and probability (of lesion): (z, y, x) of one phase, on the box's grid.
    """
    where, distance, ellipsoid = _around(box, SEEN, liver.shape)
    size = int(np.count_nonzero(ellipsoid))
    sure = _touching(probability[where] > THRESHOLD, ellipsoid)
    if np.count_nonzero(sure) >= max(LEAST_FILL * size, 1):
        return Delineation(where, sure, "segmentation")
    where, distance, ellipsoid = _around(box, ENLARGE, liver.shape)
    guessed = max(LEAST_GUESSED_FILL * size, 1)
    seen = probability[where]
    peak = float(seen[ellipsoid].max())
    if peak >= LEAST_PEAK:
        weak = _touching(seen > peak / 2, ellipsoid & (seen == peak))
        if np.count_nonzero(weak) >= guessed:
            return Delineation(where, weak, "low_probability")
    drawn = _by_contrast(hu, liver, probability, box, where, distance)
    if drawn is not None and np.count_nonzero(drawn) >= guessed:
        return Delineation(where, drawn, "contrast")
    in_liver = ellipsoid & liver[where]
    enough = np.count_nonzero(in_liver) >= LEAST_LIVER * size
    return Delineation(where, in_liver if enough else ellipsoid, "ellipsoid")


def _around(box: Boxes, enlarge: float, shape: tuple[int, ...]) -> tuple[tuple[slice, slice, slice], Floats, Mask]:
    """A box enlarged by a part of each side at each end, one voxel at least; each voxel's distance as in
    `ellipsoid_distance`; and the ellipsoid, of one voxel at least.
    """
    margin = np.maximum(enlarge * (box[3:] - box[:3]), 1.0)
    where = box_slices(np.concatenate([box[:3] - margin, box[3:] + margin]), shape)
    distance = ellipsoid_distance(box, where)
    ellipsoid = distance <= 1
    return where, distance, ellipsoid if ellipsoid.any() else distance == distance.min()


def _touching(mask: Mask, seed: Mask) -> Mask:
    """The 26-connected regions of a mask that meet the seed."""
    from scipy import ndimage

    labels, count = ndimage.label(mask, np.ones((3, 3, 3)))
    met = np.zeros(count + 1, dtype=bool)
    met[np.unique(labels[seed])] = True
    met[0] = False
    return np.asarray(met[labels])


def _by_contrast(
    hu: npt.NDArray[np.number],
    liver: Mask,
    probability: Floats,
    box: Boxes,
    where: tuple[slice, slice, slice],
    distance: Floats,
) -> Mask | None:
    """Voxels on the lesion's side of the middle between its core and the liver around; None without contrast."""
    from scipy import ndimage

    margin = RING_VOXELS + np.maximum(ENLARGE * (box[3:] - box[:3]), 1.0)  # so that `where` lies in it
    wide = box_slices(np.concatenate([box[:3] - margin, box[3:] + margin]), liver.shape)
    far = ellipsoid_distance(box, wide) > 1.2
    around = far & liver[wide] & (probability[wide] < THRESHOLD)
    core = distance <= max(0.5, float(distance.min()))
    if np.count_nonzero(around) < 20:
        return None
    level = float(np.median(hu[wide][around]))
    contrast = float(np.median(hu[where][core])) - level
    smooth = ndimage.gaussian_filter(hu[wide].astype(np.float32), (0.0, 0.8, 0.8))
    noise = 1.4826 * float(np.median(np.abs(smooth[around] - np.median(smooth[around]))))
    if abs(contrast) < max(LEAST_CONTRAST_HU, LEAST_CONTRAST_TO_NOISE * noise):
        return None
    inner = tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(where, wide, strict=True))
    beyond = (smooth[inner] - level) * np.sign(contrast) > abs(contrast) / 2
    region = _touching(beyond & liver[where] & (distance <= 1.2), core)
    return np.asarray(ndimage.binary_fill_holes(region))


def delineate_all(
    hu: npt.NDArray[np.number], liver: Mask, probability: Floats, boxes: Sequence[Boxes]
) -> tuple[npt.NDArray[np.uint16], list[Delineation]]:
    """Labels 1..n (z, y, x) of the lesions in boxes (6,), and each one's delineation.

    A voxel that two lesions claim goes to the one whose ellipsoid's centre is nearer, so touching lesions stay two.
    """
    labels = np.zeros(liver.shape, np.uint16)
    drawn = [delineate(hu, liver, probability, box) for box in boxes]
    for number, (box, lesion) in enumerate(zip(boxes, drawn, strict=True), start=1):
        part = labels[lesion.where]
        take = lesion.mask.copy()
        for rival in np.unique(part[take & (part > 0)]):
            other = ellipsoid_distance(boxes[rival - 1], lesion.where)
            take &= ~((part == rival) & (other <= ellipsoid_distance(box, lesion.where)))
        part[take] = number
    return labels, drawn
