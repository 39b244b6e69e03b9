"""What is chosen and measured on validation exams when a training of PhaseComparisonNet has ended: how its lesion
probability and the segmentations' become one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from LiverAILib.analysis.compare import JointWeights, PhaseComparer
from LiverAILib.analysis.join import bounding_box, join_phases
from LiverAILib.analysis.lesions import label_lesions
from LiverAILib.analysis.segment import Segmenter
from LiverAILib.evaluation.overlap import outline, same_regions
from LiverAILib.training.packages import result
from LiverAILib.training.typed_exam import TypedExam

SHARES = (0.5, 0.6, 0.7, 0.8)  # of the comparison; neither is left out, as neither has seen all that scans may show
OFFSETS = (-0.5, 0.0, 0.25, 0.65, 1.0, 1.5)
PEAKS = (0.8, 0.9, 0.945, 0.975)
ALONE = JointWeights(1.0, 0.0, 0.0)  # as without a comparison
MOST_FALSE = 0.5  # an exam
NEAR = 0.015


@dataclass(frozen=True)
class ComparedExam:
    """One validation exam, in the bounding box of the liver that was found: the segmentations' lesion probability, the
    comparison's, true lesions (0 outside), which of them are synthetic, and how many of these lie outside the box.
    """

    segmented: npt.NDArray[np.float32]
    compared: npt.NDArray[np.float32]
    ids: npt.NDArray[np.integer]
    made: tuple[int, ...]
    missed: int
    voxel_ml: float


@dataclass(frozen=True)
class Outcome:
    """Of one choice of weights: share of the synthetic lesions that are found, false lesions an exam, and the median
    Dice of the found ones.
    """

    weights: JointWeights
    recall: float
    false_an_exam: float
    dice: float


def compare_exams(comparer: PhaseComparer, exams: Iterable[TypedExam], segmenter: Segmenter) -> list[ComparedExam]:
    """The probabilities in exams as an analysis gets them, those without a comparison left out."""
    result = []
    for exam in exams:
        reference = exam.study.reference_phase
        segmented = {phase: segmenter(volume, lambda _: None) for phase, volume in exam.study.volumes.items()}
        joint = join_phases(exam.study, segmented)
        found = comparer.look(exam.study, joint)
        if found is None:
            continue
        box = bounding_box(joint.liver)
        ids = exam.lesion_ids[reference]
        inside = set(np.unique(ids[box]).tolist())
        shown = [lesion for lesion in exam.truth.lesions if (ids == lesion.id).any()]
        made = [lesion.id for lesion in shown if not getattr(lesion, "real", False)]
        result.append(
            ComparedExam(
                np.where(joint.liver[box], joint.probability[box], np.float32(0)),
                found,
                ids[box],
                tuple(number for number in made if number in inside),
                sum(number not in inside for number in made),
                exam.study.volumes[reference].voxel_ml,
            )
        )
    return result


def outcome_of(exams: Sequence[ComparedExam], weights: JointWeights) -> Outcome:
    """What an analysis would find with these weights."""
    hits, false, agreement = 0, 0, []
    for exam in exams:
        found = label_lesions(weights.joint(exam.segmented, exam.compared), exam.voxel_ml)
        same = same_regions(found, exam.ids)
        false += int((~same.any(axis=1)).sum())
        for number in exam.made:
            found_as = outline(found, exam.ids, same, number)
            if found_as is not None:
                hits += 1
                agreement.append(found_as[0])
    lesions = sum(len(exam.made) + exam.missed for exam in exams)
    return Outcome(weights, hits / max(lesions, 1), false / max(len(exams), 1), float(np.median(agreement or [0.0])))


def choose_joint(exams: Sequence[ComparedExam]) -> Outcome:
    """Of all weights with no more than `MOST_FALSE` false lesions an exam, those of a recall within `NEAR` of the
    highest whose outlines are best. If these find less than without a comparison, of those with no more false lesions
    than that has.
    """
    alone = outcome_of(exams, ALONE)
    tried = [
        outcome_of(exams, JointWeights(round(1 - share, 4), share, offset, peak))
        for share, offset, peak in product(SHARES, OFFSETS, PEAKS)
    ]
    allowed = [one for one in tried if one.false_an_exam <= MOST_FALSE]
    if max((one.recall for one in allowed), default=0.0) < alone.recall:
        allowed = [one for one in (alone, *tried) if one.false_an_exam <= max(MOST_FALSE, alone.false_an_exam)]
    highest = max(one.recall for one in allowed)
    near = [one for one in allowed if one.recall >= highest - NEAR]
    return max(near, key=lambda one: (round(one.dice, 3), one.recall, -one.false_an_exam))


def comparison_results(exams: Sequence[ComparedExam]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """`joint` and the results, with and without the comparison; nothing without a synthetic lesion."""
    lesions = sum(len(exam.made) + exam.missed for exam in exams)
    if not lesions:
        return {}, []
    chosen, alone = choose_joint(exams), outcome_of(exams, ALONE)
    rows = []
    for one, on in (
        (chosen, "exams of three phases on validation patients, and phantoms"),
        (alone, "the same exams without a comparison"),
    ):
        rows += [
            result("recall", on, lesions, one.recall),
            result("false positives an exam", on, len(exams), one.false_an_exam),
            result("Dice of a found lesion, median", on, lesions, one.dice),
        ]
    return {"joint": chosen.weights.metadata()}, rows
