"""Marks against the true lesions by the protocol's hit rule, for every reader, arm and case."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from LiverAILib.readerstudy.analysis.select import AI, Index
from LiverAILib.readerstudy.dataset import Case, DatasetError, HitRule, LesionMask, Mark, Point, TrueLesion
from LiverAILib.readerstudy.statistics.estimate import StatisticsError
from LiverAILib.readerstudy.statistics.marks import NOT_MARKED, CaseMarks, hits_by_overlap, score_marks

#: arm (or `select.AI`), reader, case: the scored marks, None where no reading is.
Scored = dict[str, dict[str, list[CaseMarks | None]]]


class Masks:
    """Answers whether a point lies in a lesion's outline; keeps the last file that it read."""

    def __init__(self) -> None:
        self._path: str | None = None
        self._labels: npt.NDArray[np.generic] | None = None
        self._inverse: npt.NDArray[np.floating] = np.eye(4)

    def inside(self, point: Point, mask: LesionMask) -> bool:
        """Whether the voxel at this point has the lesion's label. Raises RunFolderError for a damaged file."""
        from LiverAILib.export.nrrd import read_nrrd

        if self._path != str(mask.path) or self._labels is None:
            if not mask.path.is_file():
                raise DatasetError(
                    f"The outlines of a case are not there ({mask.path.name}), so its marks can't be scored. Put the "
                    "file back, or let the hit rule be a distance."
                )
            self._labels, header = read_nrrd(mask.path)
            self._path, self._inverse = str(mask.path), np.linalg.inv(header.affine)
        x, y, z = np.round(self._inverse @ (*point[::-1], 1.0))[:3].astype(int)  # the affine takes (x, y, z)
        labels = self._labels if self._labels.ndim == 3 else self._labels[..., mask.layer]
        if not ((np.array([z, y, x]) >= 0) & (np.array([z, y, x]) < np.array(labels.shape))).all():
            return False
        return bool(labels[z, y, x] == mask.label)


def mark_hits(mark: Mark, lesion: TrueLesion, rule: HitRule, masks: Masks) -> bool:
    """Whether a mark finds a lesion. Raises DatasetError if the rule needs what mark or lesion does not have."""
    if rule.kind == "overlap":
        if mark.box is None or lesion.box is None:
            raise DatasetError("The hit rule is overlap, but a mark or a lesion has no box. Use another rule.")
        boxes = [np.array([*box[0], *box[1]])[None] for box in (mark.box, lesion.box)]
        hits = hits_by_overlap(boxes[0], boxes[1], min_iou=rule.min_iou, min_iom=rule.min_iom)
        return bool(hits[0, 0])
    point = mark.point
    if point is None and mark.box is not None:
        low, high = mark.box
        point = ((low[0] + high[0]) / 2, (low[1] + high[1]) / 2, (low[2] + high[2]) / 2)
    if point is None:
        raise DatasetError("A mark has neither a place nor a box, so it can't be scored.")
    if rule.kind == "distance":
        if lesion.centre is None:
            raise DatasetError(f'The lesion "{lesion.id}" has no centre, which the hit rule by distance needs.')
        return bool(np.linalg.norm(np.subtract(point, lesion.centre)) <= rule.distance_mm)
    if lesion.mask is not None:
        return masks.inside(point, lesion.mask)
    if lesion.box is None:
        raise DatasetError(f'The lesion "{lesion.id}" has neither an outline nor a box, which the hit rule needs.')
    return all(low <= at <= high for at, low, high in zip(point, *lesion.box, strict=True))


def score_case(case: Case, marks: Sequence[Mark] | None, rule: HitRule, masks: Masks) -> CaseMarks | None:
    """The scored marks of one reading; None if it is missing or the case's lesions are not known."""
    if marks is None or case.lesions is None:
        return None
    if not marks:
        return CaseMarks(lesion_ratings=(NOT_MARKED,) * len(case.lesions), false_ratings=())
    hits = np.array([[mark_hits(mark, lesion, rule, masks) for lesion in case.lesions] for mark in marks], dtype=bool)
    return score_marks([mark.confidence for mark in marks], hits.reshape(len(marks), len(case.lesions)))


def score_study(index: Index, rule: HitRule) -> tuple[Scored, tuple[Case, ...]]:
    """All marks by arm and reader, over the cases whose lesions are known; with the AI's under `select.AI`, if any.

    Raises StatisticsError if no truth or no mark is there.
    """
    data = index.data
    cases = tuple(case for case in data.cases if case.lesions is not None)
    if not cases:
        raise StatisticsError("The places of the true lesions are not known: there are no lesion-level figures.")
    if not any(answer.marks is not None for answer in data.answers):
        raise StatisticsError("Readers were not asked to mark lesions: there are no lesion-level figures.")
    scored: Scored = {arm: {reader: [] for reader in data.reader_codes} for arm in data.arm_names}
    scored[AI] = {AI: []}
    masks = Masks()
    for case in cases:  # case by case, so that each outline is read once
        for arm in data.arm_names:
            for reader in data.reader_codes:
                answer = index.answer(arm, reader, case.id)
                marks = None if answer is None else answer.marks
                scored[arm][reader].append(score_case(case, marks, rule, masks))
        result = index.ai(case.id)
        scored[AI][AI].append(score_case(case, None if result is None else result.marks, rule, masks))
    if all(case is None for case in scored[AI][AI]):
        del scored[AI]
    return scored, cases
