"""Agreement of two masks, and of two sets of lesions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from LiverAILib.analysis.boxes3d import MIN_IOM, MIN_IOU


def dice(found: npt.NDArray[np.bool_], true: npt.NDArray[np.bool_]) -> float:
    """Dice coefficient of two masks of one shape; 1 if both are empty."""
    total = int(np.count_nonzero(found)) + int(np.count_nonzero(true))
    return 2 * int(np.count_nonzero(found & true)) / total if total else 1.0


@dataclass(frozen=True)
class LesionMatch:
    """Which lesions of one case agree, sizes in ml; `hit` says of each true lesion whether a found one is the same."""

    true_ml: tuple[float, ...]
    hit: tuple[bool, ...]
    false_positive_ml: tuple[float, ...]

    def recall(self, min_ml: float = 0.0) -> tuple[int, int]:
        """(found, all) true lesions of at least `min_ml`."""
        wanted = [hit for size, hit in zip(self.true_ml, self.hit, strict=True) if size >= min_ml]
        return sum(wanted), len(wanted)


def same_regions(found_ids: npt.NDArray[np.integer], true_ids: npt.NDArray[np.integer]) -> npt.NDArray[np.bool_]:
    """Which labelled found lesion is which true one, bool (found, true), labels from 1 on, by the overlap of their
    voxels: IoU > 0.3, or intersection over the smaller > 0.5.
    """
    true_sizes, found_sizes, shared = _shared(found_ids, true_ids)
    union = true_sizes[:, None] + found_sizes[None] - shared
    smaller = np.minimum(true_sizes[:, None], found_sizes[None])
    return np.asarray(((shared > MIN_IOU * union) | (shared > MIN_IOM * smaller)).T)


def outline(
    found_ids: npt.NDArray[np.integer], true_ids: npt.NDArray[np.integer], same: npt.NDArray[np.bool_], label: int
) -> tuple[float, float] | None:
    """Dice, and found volume over the true one, of a true lesion with what finds it, together with the other lesions
    that this finds too; None if nothing does. same: see `same_regions`.
    """
    finding = np.flatnonzero(same[:, label - 1])
    if not len(finding):
        return None
    found = np.isin(found_ids, finding + 1)
    true = np.isin(true_ids, np.flatnonzero(same[finding].any(axis=0)) + 1)
    return dice(found, true), float(np.count_nonzero(found) / np.count_nonzero(true))


def _shared(
    found_ids: npt.NDArray[np.integer], true_ids: npt.NDArray[np.integer]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Voxels of each true and of each found lesion, and of each pair (true, found)."""
    true_count, found_count = int(true_ids.max(initial=0)), int(found_ids.max(initial=0))
    pairs = true_ids.astype(np.int64) * (found_count + 1) + found_ids
    table = np.bincount(pairs.ravel(), minlength=(true_count + 1) * (found_count + 1))
    table = table.reshape(true_count + 1, found_count + 1)
    return table.sum(axis=1)[1:], table.sum(axis=0)[1:], table[1:, 1:]


def match_lesions(
    found_ids: npt.NDArray[np.integer], true_ids: npt.NDArray[np.integer], voxel_ml: float
) -> LesionMatch:
    """Match labelled lesions (0 is background), see `same_regions`. A found lesion that is the same as no true one is a
    false positive.
    """
    true_sizes, found_sizes, _ = _shared(found_ids, true_ids)
    same = same_regions(found_ids, true_ids)
    kept = np.asarray(true_sizes > 0)
    hit, right = np.asarray(same.any(axis=0)), np.asarray(same.any(axis=1))
    return LesionMatch(
        tuple(float(size * voxel_ml) for size in true_sizes[kept]),
        tuple(bool(value) for value in hit[kept]),
        tuple(float(s * voxel_ml) for s, own in zip(found_sizes, right, strict=True) if s and not own),
    )


def label_regions(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
    """26-connected regions of an expert mask, labelled from 1."""
    from scipy import ndimage

    labels, _ = ndimage.label(mask, np.ones((3, 3, 3)))
    return np.asarray(labels, dtype=np.int32)
