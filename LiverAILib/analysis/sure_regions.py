"""Stage 2c: regions of lesion probability of which the segmentation is sure, where the detector has no box.

Not in the papers. Ours, as the bundled networks learnt little: detector and segmentation miss different lesions, and a
reader can dismiss a false one, but not a missed one. From which probability a region is sure is chosen together with
the detector's scores on validation exams (`training.validated.choose_score`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from scipy import ndimage

from LiverAILib.analysis.axes import canonical_axes
from LiverAILib.analysis.boxes3d import FoundBoxes, finds, joined, no_boxes
from LiverAILib.analysis.join import JointMap
from LiverAILib.analysis.lesions import label_lesions
from LiverAILib.study import Phase, Study, Volume


def regions_of(joint: JointMap, volume: Volume) -> FoundBoxes:
    """Regions of the phases' joint lesion probability as `lesions.find_lesions` takes them, on the reference volume's
    grid, surest first. A region's score is its highest probability.
    """
    ids = label_lesions(joint.probability, volume.voxel_ml)
    places = ndimage.find_objects(ids)
    if not places:
        return no_boxes()
    boxes = np.array([[*(a.start for a in box), *(a.stop for a in box)] for box in places], dtype=np.float64)
    peaks = np.array([joint.probability[box][ids[box] == n].max() for n, box in enumerate(places, start=1)])
    axis = canonical_axes(volume.affine)[0][0]
    slices = (boxes[:, axis + 3] - boxes[:, axis]).astype(np.int64)
    return joined(FoundBoxes(boxes, peaks.astype(np.float64), slices), no_boxes())


def with_regions(
    found: Mapping[Phase, FoundBoxes], regions: FoundBoxes, study: Study, least_peak: float
) -> dict[Phase, FoundBoxes]:
    """The detector's boxes by phase, and in the reference phase also the regions (see `regions_of`) of a score of at
    least `least_peak` that none of its boxes there finds. A box that finds one has at least its score.
    """
    reference = study.reference_phase
    own = found.get(reference, no_boxes())
    sure = regions.where(regions.scores >= least_peak)
    same = finds(own.boxes, sure.boxes)
    scores = np.maximum(own.scores, np.max(same * sure.scores, axis=1, initial=0.0))
    missed = np.asarray(~same.any(axis=0), dtype=np.bool_)
    return {**found, reference: joined(replace(own, scores=scores), sure.where(missed))}
