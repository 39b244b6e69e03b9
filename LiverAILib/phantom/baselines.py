"""Two simple methods that a phantom must defeat: a threshold that finds lesions, and nearest means that name them.

Both are given what no real method has: the true liver, or the true lesion outline, and the best threshold in hindsight.
If they did well, a network could learn the phantom without learning anything of CT.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from LiverAILib.lesion_types import LesionType
from LiverAILib.phantom.generate import Phantom
from LiverAILib.study import Phase

#: Departures from the liver's median HU that are tried as thresholds.
THRESHOLDS = (8.0, 12.0, 16.0, 20.0, 25.0, 30.0, 40.0)


@dataclass(frozen=True)
class FinderScore:
    """How a finder did: lesions found of all, false findings per exam, and mean Dice of the lesion voxels."""

    threshold_hu: float
    lesions: int
    recall: float
    false_per_exam: float
    dice: float


def threshold_finder(
    phantom: Phantom, phase: Phase, threshold_hu: float, smallest_ml: float = 0.1
) -> npt.NDArray[np.intp]:
    """Parts (0 none) of the true liver that depart from its median by `threshold_hu` after smoothing by 2 mm."""
    volume = phantom.study.volumes[phase]
    liver = phantom.liver_mask(phase)
    hu = volume.array.astype(np.float32)
    smooth = ndimage.gaussian_filter(hu, [2.0 / s for s in volume.spacing_mm])
    inner = ndimage.binary_erosion(liver, iterations=1)
    centre = float(np.median(hu[liver])) if liver.any() else 0.0
    parts, count = ndimage.label(inner & (np.abs(smooth - centre) > threshold_hu))
    sizes = np.bincount(parts.ravel(), minlength=count + 1) * volume.voxel_ml
    keep = np.flatnonzero(sizes[1:] >= smallest_ml) + 1
    lookup = np.zeros(count + 1, np.intp)
    lookup[keep] = np.arange(1, len(keep) + 1)
    return np.asarray(lookup[parts])


def score_finder(phantoms: Iterable[Phantom], phase: Phase, overlap: float = 0.3) -> list[FinderScore]:
    """The threshold finder's score at each of `THRESHOLDS`; a lesion is found by a part with IoU > `overlap`."""
    tallies = {t: [0, 0] for t in THRESHOLDS}  # found, false
    dice = dict.fromkeys(THRESHOLDS, 0.0)
    exams = lesion_exams = lesions = 0
    for phantom in phantoms:
        ids = phantom.lesion_ids[phase]
        truth = ids > 0
        exams += 1
        lesion_exams += bool(truth.any())
        lesions += len(np.unique(ids[truth]))
        for threshold, tally in tallies.items():
            parts = threshold_finder(phantom, phase, threshold)
            found, hits = _match(parts, ids, overlap)
            tally[0] += found
            tally[1] += int(parts.max()) - hits
            if truth.any():
                dice[threshold] += 2 * float(((parts > 0) & truth).sum()) / float((parts > 0).sum() + truth.sum())
    return [
        FinderScore(t, lesions, found / max(lesions, 1), false / max(exams, 1), dice[t] / max(lesion_exams, 1))
        for t, (found, false) in tallies.items()
    ]


def _match(parts: npt.NDArray[np.intp], ids: npt.NDArray[np.uint16], overlap: float) -> tuple[int, int]:
    """Number of lesions found, and of parts that found one."""
    found, hits = 0, set()
    for lesion in np.unique(ids[ids > 0]):
        mask = ids == lesion
        touching, shared = np.unique(parts[mask], return_counts=True)
        for part, common in zip(touching, shared, strict=True):
            if part and common / (mask.sum() + (parts == part).sum() - common) > overlap:
                found += 1
                hits.add(int(part))
                break
    return found, len(hits)


def lesion_features(phantom: Phantom, phases: Sequence[Phase]) -> tuple[npt.NDArray[np.float64], list[LesionType]]:
    """Measured mean HU of each lesion's true voxels by phase, and that against the liver: (lesions, 2 * phases)."""
    rows, kinds = [], []
    for lesion in phantom.truth.lesions:
        row: list[float] = []
        for phase in phases:
            hu = phantom.study.volumes[phase].array
            mask = phantom.lesion_ids[phase] == lesion.id
            if not mask.any():
                break
            liver = phantom.liver_mask(phase) & (phantom.lesion_ids[phase] == 0)
            mean = float(hu[mask].mean())
            row += [mean, mean - float(np.median(hu[liver]))]
        if len(row) == 2 * len(phases):
            rows.append(row)
            kinds.append(lesion.type)
    return np.asarray(rows, dtype=np.float64).reshape(-1, 2 * len(phases)), kinds


def nearest_mean_accuracy(features: npt.NDArray[np.float64], kinds: Sequence[LesionType]) -> float:
    """Mean recall over the types of a nearest-mean classifier of standardised features, leaving one lesion out."""
    scaled = (features - features.mean(axis=0)) / np.maximum(features.std(axis=0), 1e-6)
    names = np.array([str(kind) for kind in kinds])
    right = np.zeros(len(names), dtype=bool)
    for i in range(len(names)):
        others = np.arange(len(names)) != i
        classes = np.unique(names[others])
        means = np.stack([scaled[others & (names == name)].mean(axis=0) for name in classes])
        right[i] = classes[np.argmin(((means - scaled[i]) ** 2).sum(axis=1))] == names[i]
    return float(np.mean([right[names == name].mean() for name in np.unique(names)]))
