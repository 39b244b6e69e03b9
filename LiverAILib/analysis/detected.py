"""Stages 2 to 4 of one exam: detect in each phase, match over phases, delineate in each phase."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from LiverAILib.analysis.boxes3d import FoundBoxes
from LiverAILib.analysis.delineate import Delineation, delineate_all
from LiverAILib.analysis.match import MatchedLesion, liver_frame, match_phases
from LiverAILib.analysis.segment import Segmentation
from LiverAILib.study import Phase, Study, Volume


class Detector(Protocol):
    """What this stage needs of a detector; see `detect.PhaseDetector`."""

    def __call__(self, volume: Volume, liver: npt.NDArray[np.bool_]) -> FoundBoxes:
        """Lesions of one volume as boxes on its own grid."""
        ...


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


def detect_exam(study: Study, segmentations: Mapping[Phase, Segmentation], detector: Detector) -> DetectedLesions:
    """Find the lesions of an exam. segmentations: of every phase, on its own grid."""
    found = {phase: detector(volume, segmentations[phase].liver) for phase, volume in study.volumes.items()}
    frames = {phase: liver_frame(volume, segmentations[phase].liver) for phase, volume in study.volumes.items()}
    lesions = match_phases(found, frames)
    labels, drawn = {}, {}
    for phase, volume in study.volumes.items():
        shown = [number for number, lesion in enumerate(lesions, start=1) if phase in lesion.boxes]
        boxes = [lesions[number - 1].boxes[phase] for number in shown]
        segmentation = segmentations[phase]
        own, outlines = delineate_all(volume.array, segmentation.liver, segmentation.lesion_probability, boxes)
        labels[phase] = np.array([0, *shown], dtype=np.uint16)[own]
        drawn[phase] = dict(zip(shown, outlines, strict=True))
    return DetectedLesions(lesions, labels, drawn)
