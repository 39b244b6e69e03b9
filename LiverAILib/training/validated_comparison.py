"""What is chosen and measured on validation exams when a training of PhaseComparisonNet has ended: how its lesion
probability and the segmentations' become one, and which regions of that are lesions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from LiverAILib.analysis.compare import Compared, JointWeights, PhaseComparer
from LiverAILib.analysis.join import join_phases
from LiverAILib.analysis.lesions import label_lesions
from LiverAILib.analysis.region_facts import RegionFacts, RegionWeights
from LiverAILib.analysis.resample import bounding_box
from LiverAILib.analysis.segment import Segmenter
from LiverAILib.evaluation.overlap import outline, same_regions
from LiverAILib.training.packages import result
from LiverAILib.training.region_fit import fit_regions, stricter
from LiverAILib.training.typed_exam import TypedExam

SHARES = (0.6, 0.8)  # of the comparison; neither is left out, as neither has seen all that scans may show
OFFSETS = (0.25, 0.65, 1.2)
ALONE = JointWeights(1.0, 0.0, 0.0)  # as without a comparison
MOST_FALSE = 1 / 3  # an exam, on real anatomy and in phantoms each
REAL_COUNT = 0.5  # of a region that is a lesion of the scan's own in fitting regions: all exams on one scan share it
NEAR = 0.015
MARGIN = 0.01  # of sureness, over that of a false region: a package's weights are rounded


@dataclass(frozen=True)
class ComparedExam:
    """One exam, in the bounding box of the liver that was found. side: "exam" on validation anatomy, "phantom", or
    "learnt" for new lesions on anatomy that was learnt from, to fit regions but not to measure. segmented: the
    segmentations' lesion probability; compared: what the comparison says; ids: true lesions (0 outside); made: which of
    them are synthetic; missed: how many of these lie outside the box.
    """

    side: str
    segmented: npt.NDArray[np.float32]
    compared: Compared
    ids: npt.NDArray[np.integer]
    made: tuple[int, ...]
    missed: int


@dataclass(frozen=True)
class ExamRegions:
    """The regions of one exam's joint probability. same: bool (region, true lesion), see `same_regions`."""

    exam: ComparedExam
    labels: npt.NDArray[np.uint16]
    facts: list[RegionFacts | None]
    same: npt.NDArray[np.bool_]

    @property
    def false(self) -> npt.NDArray[np.bool_]:
        """Which regions are no lesion, (n,)."""
        return np.asarray(~self.same.any(axis=1))

    def sureness(self, weights: RegionWeights | None) -> npt.NDArray[np.float64]:
        """(n,); without weights, or facts, all count."""
        return np.array([np.inf if one is None or weights is None else weights.sureness(one) for one in self.facts])


@dataclass(frozen=True)
class Outcome:
    """Of one choice: share of the synthetic lesions that are found, false lesions an exam by side, and the median Dice
    of the found ones.
    """

    weights: JointWeights
    regions: RegionWeights | None
    recall: float
    false: dict[str, float]
    dice: float


def compare_exam(comparer: PhaseComparer, exam: TypedExam, segmenter: Segmenter, side: str) -> ComparedExam | None:
    """The probabilities in an exam as an analysis gets them; None without a comparison."""
    reference = exam.study.reference_phase
    segmented = {phase: segmenter(volume, lambda _: None) for phase, volume in exam.study.volumes.items()}
    joint = join_phases(exam.study, segmented)
    found = comparer.look(exam.study, joint)
    if found is None:
        return None
    box = bounding_box(joint.liver)
    ids = exam.lesion_ids[reference]
    inside = set(np.unique(ids[box]).tolist())
    shown = [lesion for lesion in exam.truth.lesions if (ids == lesion.id).any()]
    made = [lesion.id for lesion in shown if not getattr(lesion, "real", False)]
    return ComparedExam(
        side,
        np.where(joint.liver[box], joint.probability[box], np.float32(0)),
        found,
        ids[box],
        tuple(number for number in made if number in inside),
        sum(number not in inside for number in made),
    )


def regions_in(exam: ComparedExam, weights: JointWeights) -> ExamRegions:
    """The regions of the joint probability, every one whose peak is high enough without `RegionWeights`."""
    joint = weights.joint(exam.segmented, exam.compared.probability.array)
    labels, facts = exam.compared.regions(joint)
    return ExamRegions(exam, labels, facts, same_regions(labels, exam.ids))


def outcome_of(found: Sequence[ExamRegions], weights: JointWeights, regions: RegionWeights | None) -> Outcome:
    """What an analysis would find with these weights; "learnt" exams take no part."""
    measured = [one for one in found if one.exam.side != "learnt"]
    hits, agreement = 0, []
    false: dict[str, list[int]] = {}
    for one in measured:
        kept = one.sureness(regions) >= 0
        same = one.same & kept[:, None]
        labels = np.where(np.r_[False, kept][one.labels], one.labels, 0)
        false.setdefault(one.exam.side, []).append(int((kept & one.false).sum()))
        for number in one.exam.made:
            found_as = outline(labels, one.exam.ids, same, number)
            if found_as is not None:
                hits += 1
                agreement.append(found_as[0])
    lesions = sum(len(one.exam.made) + one.exam.missed for one in measured)
    means = {side: float(np.mean(counts)) for side, counts in false.items()}
    return Outcome(weights, regions, hits / max(lesions, 1), means, float(np.median(agreement or [0.0])))


def choose_regions(found: Sequence[ExamRegions]) -> RegionWeights | None:
    """Weights fitted to all regions, and the least sureness at which no side but "learnt" has more than `MOST_FALSE`
    false lesions an exam.
    """
    facts, lesion, counts = [], [], []
    for one in found:
        made = np.asarray(one.same[:, np.array(one.exam.made, dtype=np.intp) - 1].any(axis=1))
        for own, right, wrong in zip(one.facts, made, one.false, strict=True):
            if own is not None:
                facts.append(own)
                lesion.append(not wrong)
                counts.append(1.0 if right or wrong else REAL_COUNT)
    weights = fit_regions(facts, lesion, counts)
    if weights is None:
        return None
    least = -np.inf
    for side in {one.exam.side for one in found} - {"learnt"}:
        of_side = [one for one in found if one.exam.side == side]
        wrong = np.sort(np.concatenate([one.sureness(weights)[one.false] for one in of_side]))[::-1]
        allowed = int(MOST_FALSE * len(of_side))
        if len(wrong) > allowed:
            least = max(least, float(wrong[allowed]) + MARGIN)
    return stricter(weights, least) if np.isfinite(least) else weights


def choose_joint(exams: Sequence[ComparedExam], alone: Outcome) -> Outcome:
    """Of all weights, each with its regions, those of a recall within `NEAR` of the highest whose outlines are best;
    `alone`, as without a comparison, if that finds more.
    """
    tried = []
    for share, offset in product(SHARES, OFFSETS):
        weights = JointWeights(round(1 - share, 4), share, offset)
        found = [regions_in(exam, weights) for exam in exams]
        tried.append(outcome_of(found, weights, choose_regions(found)))
    highest = max(one.recall for one in tried)
    if alone.recall > highest:
        return alone
    near = [one for one in tried if one.recall >= highest - NEAR]
    return max(near, key=lambda one: (round(one.dice, 3), one.recall, -sum(one.false.values())))


def alone_of(exams: Sequence[ComparedExam]) -> Outcome:
    """What the segmentations find without a comparison."""
    found = []
    for exam in exams:
        if exam.side != "learnt":
            labels = label_lesions(ALONE.joint(exam.segmented, exam.segmented), exam.compared.probability.voxel_ml)
            found.append(ExamRegions(exam, labels, [None] * int(labels.max()), same_regions(labels, exam.ids)))
    return outcome_of(found, ALONE, None)


def comparison_results(exams: Iterable[ComparedExam]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """`joint`, `regions` and the results, with and without the comparison; nothing without a synthetic lesion."""
    exams = list(exams)
    measured = [exam for exam in exams if exam.side != "learnt"]
    lesions = sum(len(exam.made) + exam.missed for exam in measured)
    if not lesions:
        return {}, []
    alone = alone_of(exams)
    chosen = choose_joint(exams, alone)
    words = {"exam": "exams of three phases on validation patients", "phantom": "phantoms"}
    sides = [side for side in words if any(exam.side == side for exam in measured)]
    every = " and ".join(words[side] for side in sides)
    rows = []
    for one, how in ((chosen, ""), (alone, ", without a comparison")):
        rows.append(result("recall", every + how, lesions, one.recall))
        for side in sides:
            count = sum(exam.side == side for exam in measured)
            rows.append(result("false positives an exam", words[side] + how, count, one.false[side]))
        rows.append(result("Dice of a found lesion, median", every + how, lesions, one.dice))
    extra: dict[str, Any] = {"joint": chosen.weights.metadata()}
    if chosen.regions is not None:
        extra["regions"] = chosen.regions.metadata()
    return extra, rows
