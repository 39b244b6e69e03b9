"""Stage 3: the same lesion in several phases, through the liver as an atlas.

Source: Ying et al., Nat Commun 2024: lesions found in each phase alone are correlated through the segmented liver, the
same lesion when IoU > 0.3 or IoM > 0.5; what the published code calls for is the liver's bounding box. Positions are
taken relative to it, 0 to 1 on each axis, which takes up breathing and another field of view.

Left open, and chosen here:
- Pairs are joined from the highest overlap down, and a lesion never takes two boxes of one phase: where one phase
  shows two lesions and another one box around both, the better-fitting one takes that box.
- A lesion not found in a phase gets there the mean of its relative boxes, placed by that phase's liver. If three
  quarters of it lie beyond the volume, the phase does not show the lesion and gets no box.
- A liver that the volume cuts off at one end has a box too short to be an atlas: it is made as tall as the tallest
  liver that is whole, beyond the volume's end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import numpy.typing as npt

from LiverAILib.analysis.boxes3d import (
    MIN_IOM,
    MIN_IOU,
    Boxes,
    FoundBoxes,
    boxes_from_canonical,
    boxes_to_canonical,
    finds,
    shared_volumes,
)
from LiverAILib.analysis.grid import canonical_axes, to_canonical
from LiverAILib.study import Phase, Volume

LEAST_INSIDE = 0.25  # share of a transferred box that the volume has to cover
TINY = 1e-12  # of the liver's box: a smaller lesion box is empty


@dataclass(frozen=True)
class LiverFrame:
    """One phase's liver as atlas: its box in mm on the array's canonical axes (from the array's corner).

    cut: whether the volume cuts the liver off at its lower and at its upper end.
    """

    shape: tuple[int, int, int]
    order: tuple[int, int, int]
    flips: tuple[bool, bool, bool]
    spacing_mm: npt.NDArray[np.float64]
    low_mm: npt.NDArray[np.float64]
    high_mm: npt.NDArray[np.float64]
    cut: tuple[bool, bool]

    def to_atlas(self, boxes: Boxes) -> Boxes:
        """Boxes (n, 6) on the volume's grid as positions relative to the liver, canonical axes."""
        canonical = boxes_to_canonical(boxes, self.shape, self.order, self.flips).reshape(-1, 2, 3)
        return ((canonical * self.spacing_mm - self.low_mm) / (self.high_mm - self.low_mm)).reshape(-1, 6)

    def from_atlas(self, boxes: Boxes) -> Boxes:
        """The inverse of `to_atlas`; boxes may reach beyond the volume."""
        placed = boxes.reshape(-1, 2, 3) * (self.high_mm - self.low_mm) + self.low_mm
        return boxes_from_canonical((placed / self.spacing_mm).reshape(-1, 6), self.shape, self.order, self.flips)


def liver_frame(volume: Volume, liver: npt.NDArray[np.bool_]) -> LiverFrame | None:
    """The atlas of one phase; None without a liver. liver: (z, y, x) on the volume's grid, lesions included."""
    if not liver.any():
        return None
    order, flips = canonical_axes(volume.affine)
    spacing = np.asarray(volume.spacing_mm)[list(order)]
    view = to_canonical(liver, order, flips)
    ends = []
    for axis in range(3):
        lines = np.flatnonzero(view.any(axis=tuple(other for other in range(3) if other != axis)))
        ends.append((lines[0], lines[-1] + 1))
    low, high = np.array(ends, dtype=np.float64).T
    z, y, x = liver.shape
    cut = (bool(low[0] == 0), bool(high[0] == view.shape[0]))
    return LiverFrame((z, y, x), order, flips, spacing, low * spacing, high * spacing, cut)


def mend_frames(frames: Mapping[Phase, LiverFrame]) -> dict[Phase, LiverFrame]:
    """The atlases with livers that are cut off at one end made as tall as the tallest whole one."""
    whole = [frame.high_mm[0] - frame.low_mm[0] for frame in frames.values() if not any(frame.cut)]
    mended = {}
    for phase, frame in frames.items():
        low, high = frame.low_mm.copy(), frame.high_mm.copy()
        if whole and sum(frame.cut) == 1:
            height = max(*whole, high[0] - low[0])
            if frame.cut[0]:
                low[0] = high[0] - height
            else:
                high[0] = low[0] + height
        mended[phase] = replace(frame, low_mm=low, high_mm=high)
    return mended


@dataclass(frozen=True)
class MatchedLesion:
    """One lesion in all phases.

    boxes: (6,) on each phase's own grid; a phase that does not show the place is absent. scores: of the phases it was
    found in; its box in the others comes from the atlas.
    """

    boxes: Mapping[Phase, Boxes]
    scores: Mapping[Phase, float]

    @property
    def score(self) -> float:
        """The highest of its scores."""
        return max(self.scores.values())

    @property
    def transferred(self) -> tuple[Phase, ...]:
        """The phases whose box comes from the atlas."""
        return tuple(phase for phase in self.boxes if phase not in self.scores)

    def finds(self, true: Mapping[Phase, Boxes]) -> list[int]:
        """The true lesions that this one is, in any phase in which it was found: rows of their boxes (n, 6) by phase,
        NaN where a phase does not show one.
        """
        hits: set[int] = set()
        for phase in self.scores:
            known = np.flatnonzero(np.isfinite(true[phase]).all(axis=1))
            hits |= set(known[finds(self.boxes[phase][None], true[phase][known])[0]].tolist())
        return sorted(hits)


def match_phases(found: Mapping[Phase, FoundBoxes], frames: Mapping[Phase, LiverFrame | None]) -> list[MatchedLesion]:
    """The lesions of an exam, best first, from the boxes found in each phase and each phase's liver.

    A phase without a liver has no place in the atlas and is left out.
    """
    atlas = mend_frames({phase: frame for phase, frame in frames.items() if frame is not None})
    relative = {phase: atlas[phase].to_atlas(boxes.boxes) for phase, boxes in found.items() if phase in atlas}
    lesions = []
    for group in _groups(relative):
        mean = np.mean([relative[phase][index] for phase, index in group.items()], axis=0)
        boxes = {}
        for phase in Phase:
            if phase in group:
                boxes[phase] = found[phase].boxes[group[phase]]
            elif phase in atlas and (placed := _inside(atlas[phase], mean)) is not None:
                boxes[phase] = placed
        lesions.append(MatchedLesion(boxes, {p: float(found[p].scores[i]) for p, i in group.items()}))
    return sorted(lesions, key=lambda lesion: -lesion.score)


def _groups(relative: Mapping[Phase, Boxes]) -> list[dict[Phase, int]]:
    """Which boxes (phase and index) are one lesion."""
    pairs = []
    for a, b in combinations(relative, 2):
        shared, union, smaller = shared_volumes(relative[a], relative[b])
        iou, iom = (shared / np.maximum(whole, TINY) for whole in (union, smaller))
        pairs += [
            (iou[i, j], iom[i, j], (a, int(i)), (b, int(j))) for i, j in np.argwhere((iou > MIN_IOU) | (iom > MIN_IOM))
        ]
    owner = {(phase, index): {phase: index} for phase, boxes in relative.items() for index in range(len(boxes))}
    for _, _, one, other in sorted(pairs, key=lambda pair: (-pair[0], -pair[1])):
        first, second = owner[one], owner[other]
        if first is second or first.keys() & second.keys():
            continue
        first.update(second)
        for key in second.items():
            owner[key] = first
    return list({id(group): group for group in owner.values()}.values())


def _inside(frame: LiverFrame, relative: Boxes) -> Boxes | None:
    """An atlas box on a phase's grid, cut to the volume; None if the volume covers too little of it."""
    box = frame.from_atlas(relative[None])[0]
    limits = np.array(frame.shape, dtype=np.float64)
    cut = np.concatenate([np.clip(box[:3], 0, limits), np.clip(box[3:], 0, limits)])
    before, after = (float(np.prod(b[3:] - b[:3])) for b in (box, cut))
    return cut if after > LEAST_INSIDE * before else None
