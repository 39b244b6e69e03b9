"""Readers' marks against the true lesions of one case: which lesion each mark hits, and what is left over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from LiverAILib.analysis.boxes3d import MIN_IOM, MIN_IOU, shared_volumes
from LiverAILib.readerstudy.statistics.estimate import Array, StatisticsError

#: The rating of what was not marked: below every confidence.
NOT_MARKED = -np.inf


@dataclass(frozen=True, kw_only=True)
class CaseMarks:
    """One reader's marks on one case, scored.

    lesion_ratings: for each true lesion the highest confidence of the marks that hit it, -inf if none did.
    false_ratings: the confidences of the marks that hit no lesion.
    """

    lesion_ratings: tuple[float, ...]
    false_ratings: tuple[float, ...]

    @property
    def highest_false(self) -> float:
        """The highest confidence of a false mark; -inf without any."""
        return max(self.false_ratings, default=NOT_MARKED)


def hits_by_overlap(
    marks: Array, lesions: Array, *, min_iou: float = MIN_IOU, min_iom: float = MIN_IOM
) -> npt.NDArray[np.bool_]:
    """Which mark boxes hit which lesion boxes (mark, lesion): IoU > 0.3, or intersection over the smaller > 0.5.

    Boxes are (box, 6): lower z, y, x and upper z, y, x in mm. Raises StatisticsError for a box without a volume.
    """
    marks, lesions = np.reshape(marks, (-1, 6)), np.reshape(lesions, (-1, 6))
    for boxes, what in ((marks, "mark"), (lesions, "lesion")):
        if (boxes[:, 3:] <= boxes[:, :3]).any():
            raise StatisticsError(f"A {what}'s box has no volume: its upper corner must lie above its lower one.")
    shared, union, smaller = shared_volumes(marks, lesions)
    return np.asarray((shared > min_iou * union) | (shared > min_iom * smaller))


def hits_in_labels(
    points: npt.NDArray[np.integer], lesion_ids: npt.NDArray[np.integer], lesions: int
) -> npt.NDArray[np.bool_]:
    """Which clicked voxels lie in which true lesion (mark, lesion).

    points: (mark, 3) voxel indices z, y, x; lesion_ids: labelled truth, 0 is background, lesions 1 to `lesions`. A
    click outside the volume hits nothing.
    """
    points = np.reshape(points, (-1, 3))
    inside = ((points >= 0) & (points < np.array(lesion_ids.shape))).all(axis=1)
    found = np.zeros(len(points), dtype=np.int64)
    found[inside] = lesion_ids[tuple(points[inside].T)]
    return np.asarray(found[:, None] == np.arange(1, lesions + 1)[None])


def score_marks(confidences: Sequence[float] | Array, hits: npt.NDArray[np.bool_]) -> CaseMarks:
    """Score one case from the marks' confidences (mark,) and what they hit (mark, lesion).

    A lesion marked twice counts once, with the higher confidence; the second mark is not a false one. A mark that hits
    two lesions finds both. Raises StatisticsError for a mark without a finite confidence.
    """
    ratings = np.asarray(confidences, dtype=np.float64)
    if ratings.shape != hits.shape[:1]:
        raise StatisticsError(f"{ratings.size} confidences for {hits.shape[0]} marks. Each mark needs one.")
    if not np.isfinite(ratings).all():
        raise StatisticsError("A mark without a confidence can't be scored. Ask for it, or give all marks the same.")
    of_lesions = np.where(hits, ratings[:, None], NOT_MARKED).max(axis=0, initial=NOT_MARKED)
    return CaseMarks(
        lesion_ratings=tuple(float(rating) for rating in of_lesions),
        false_ratings=tuple(float(rating) for rating in ratings[~hits.any(axis=1)]),
    )
