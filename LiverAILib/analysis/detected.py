"""Stages 2 to 4 of one exam: detect in each phase, match over phases, delineate in each phase; and measure the result.

Lesions are measured on the reference phase's grid, as those without a detector are (see `lesions`), in the outline that
the joint lesion probability of all phases gives there, and their HU in each phase's own outline. A lesion that the
reference phase's scan does not show can't be measured: it is named in `unmeasured`, and counts as unread. A lesion all
of whose voxels belong to others is one of them twice, and is dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from LiverAILib.analysis.boxes3d import FoundBoxes, box_slices
from LiverAILib.analysis.delineate import Delineation, delineate_all
from LiverAILib.analysis.join import JointMap
from LiverAILib.analysis.lesions import IndexBox, MeasuredLesions, largest_first, measure, relabel
from LiverAILib.analysis.match import MatchedLesion, liver_frame, match_phases
from LiverAILib.analysis.segment import Segmentation
from LiverAILib.findings import Lesion
from LiverAILib.study import Phase, Study


@dataclass(frozen=True)
class DetectedLesions:
    """The lesions of an exam, best first; lesion i (from 0) has label i + 1 in every phase.

    labels: (z, y, x) on each phase's own grid. drawn: by phase and label; a phase that does not show a lesion lacks it.
    """

    lesions: list[MatchedLesion]
    labels: Mapping[Phase, npt.NDArray[np.uint16]]
    drawn: Mapping[Phase, Mapping[int, Delineation]]

    def approximate(self, phase: Phase, label: int) -> bool:
        """Whether a lesion's outline in a phase is a guess: drawn by a fall-back, or in a box taken from the atlas."""
        return self.drawn[phase][label].approximate or phase in self.lesions[label - 1].transferred


def match_and_delineate(
    study: Study, segmentations: Mapping[Phase, Segmentation], found: Mapping[Phase, FoundBoxes]
) -> DetectedLesions:
    """The lesions of an exam from the boxes of its phases; a phase that was not looked at takes them from the others.

    segmentations: of every phase, on its own grid.
    """
    frames = {phase: liver_frame(volume, segmentations[phase].liver) for phase, volume in study.volumes.items()}
    lesions = match_phases(found, frames)
    labels, drawn = {}, {}
    for phase, volume in study.volumes.items():
        shown = [number for number, lesion in enumerate(lesions, start=1) if phase in lesion.boxes]
        boxes = [lesions[number - 1].boxes[phase] for number in shown]
        segmentation = segmentations[phase]
        own, outlines = delineate_all(volume.array, segmentation.liver, segmentation.lesion_probability, boxes)
        labels[phase] = relabel(own, np.array([0, *shown], dtype=np.uint16))
        drawn[phase] = dict(zip(shown, outlines, strict=True))
    return DetectedLesions(lesions, labels, drawn)


def measure_detected(
    study: Study,
    segmentations: Mapping[Phase, Segmentation],
    joint: JointMap,
    found: Mapping[Phase, FoundBoxes],
) -> MeasuredLesions:
    """The lesions of an exam from the boxes of its phases, measured on the reference grid, largest first.

    joint: the segmentations on that grid.
    """
    reference = study.reference_phase
    whole = Segmentation(segmentations[reference].liver, joint.probability)
    detected = match_and_delineate(study, {**segmentations, reference: whole}, found)
    ids, table = largest_first(detected.labels[reference], study.volumes[reference])
    table = np.pad(table, (0, len(detected.lesions) + 1 - len(table)))
    labels = {phase: ids if phase is reference else relabel(own, table) for phase, own in detected.labels.items()}
    old = {int(table[number]): number for number in range(1, len(table)) if table[number]}
    lesions = []
    for lesion in measure(study, ids, joint.probability, {}):
        number = old[lesion.label]
        drawn = [phase for phase in Phase if number in detected.drawn.get(phase, {})]
        matched = detected.lesions[number - 1]
        parts = {
            "found_in": [phase for phase in Phase if phase in matched.scores],
            "approximate_in": [phase for phase in drawn if detected.approximate(phase, number)],
        }
        lesions.append(lesion.model_copy(update=parts))
    unmeasured = tuple(
        f"A lesion found in the {' and the '.join(p.words for p in matched.scores)} phase lies outside the scan of the "
        f"{reference.words} phase: it has no segment, no measures and no type."
        for matched in detected.lesions
        if reference not in matched.boxes
    )
    return MeasuredLesions(
        _with_lesions(joint.liver, ids),
        ids,
        joint.probability,
        _with_mean_hu(lesions, study, labels),
        [*joint.warnings, *unmeasured],
        joint.shifts,
        labels,
        _boxes(detected, old),
        unmeasured,
    )


def _boxes(detected: DetectedLesions, old: Mapping[int, int]) -> dict[Phase, dict[int, IndexBox]]:
    """Each lesion's box in whole voxels, by phase and new label."""
    boxes: dict[Phase, dict[int, IndexBox]] = {}
    for phase, labels in detected.labels.items():
        boxes[phase] = {}
        for label, number in old.items():
            box = detected.lesions[number - 1].boxes.get(phase)
            if box is not None:
                z, y, x = box_slices(box, labels.shape)
                boxes[phase][label] = (
                    (int(z.start), int(y.start), int(x.start)),
                    (int(z.stop), int(y.stop), int(x.stop)),
                )
    return boxes


def _with_lesions(liver: npt.NDArray[np.bool_], ids: npt.NDArray[np.uint16]) -> npt.NDArray[np.bool_]:
    """The liver with the voxels of lesions that reach beyond it."""
    beyond = [number for number, (own, there) in enumerate(zip(liver, ids, strict=True)) if (there[~own] > 0).any()]
    if not beyond:
        return liver
    result = liver.copy()
    for number in beyond:
        result[number] |= ids[number] > 0
    return result


def _with_mean_hu(lesions: list[Lesion], study: Study, labels: Mapping[Phase, npt.NDArray[np.uint16]]) -> list[Lesion]:
    """The lesions with the mean HU of their own outline in each phase that shows them."""
    means: dict[int, dict[Phase, float]] = {lesion.label: {} for lesion in lesions}
    for phase in Phase:
        if phase not in labels:
            continue
        for label, box in enumerate(ndimage.find_objects(labels[phase]), start=1):
            if box is not None:
                values = study.volumes[phase].array[box][labels[phase][box] == label]
                means[label][phase] = round(float(values.mean(dtype=np.float64)), 1)
    return [lesion.model_copy(update={"mean_hu": means[lesion.label]}) for lesion in lesions]
