"""A reader's own lesions: a segment to draw into, and its measures once it is drawn."""

from __future__ import annotations

import numpy as np
import slicer

from LiverAILib.analysis.lesions import measure
from LiverAILib.export.seg_nrrd import LESION_TERMINOLOGY, lesion_colour
from LiverAILib.findings import Lesion
from LiverAILib.opinions import next_reader_id
from LiverAILib.scene.errors import SceneError
from LiverAILib.scene.segmentation import segment_ids, segment_mask
from LiverAILib.scene.shown import ShownRun
from LiverAILib.scene.volumes import volume_from_node
from LiverAILib.study import Phase, Study


def add_reader_segment(shown: ShownRun, name: str) -> str:
    """An empty segment for a lesion that the reader is about to draw, coded as a lesion. Returns its id."""
    segmentation = shown.segmentation.GetSegmentation()
    ids = segment_ids(shown.segmentation)
    new = next_reader_id(ids)
    segment = slicer.vtkSegment()
    segment.SetName(name)
    segment.SetColor(*lesion_colour(len(ids)))
    segment.SetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), LESION_TERMINOLOGY)
    segmentation.AddSegment(segment, new)
    return new


def measure_segment(shown: ShownRun, segment_id: str, name: str) -> Lesion:
    """The measures of a drawn segment, as the program measures its own. Raises SceneError if nothing is drawn.

    Its HU in other phases are taken at the same place, without the program's correction for breathing.
    """
    reference = shown.reference
    if reference is None:
        raise SceneError("The volume of the reference phase was removed, so nothing can be measured on it.")
    mask = segment_mask(shown.segmentation, segment_id, reference)
    if not mask.any():
        raise SceneError(f"{name} is empty. Draw it in the Segment Editor first.")
    volumes = {phase: volume_from_node(node) for phase, node in shown.volumes.items()}
    phases = {phase: np.zeros(3) for phase in Phase if phase in volumes}
    study = Study(volumes)
    probability = np.ones(mask.shape, np.float32)
    (lesion,) = measure(study, mask.astype(np.uint16), probability, phases)
    label = len(shown.findings.lesions) + int(segment_id.rpartition("_")[2])
    return lesion.model_copy(update={"id": segment_id, "name": name, "label": label, "probability": 1.0})
