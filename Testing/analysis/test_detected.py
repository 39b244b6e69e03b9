"""An exam of two phases from boxes to labels: what one phase misses is taken from the other, and flagged."""

from __future__ import annotations

import numpy as np
import pytest

from LiverAILib.analysis.boxes3d import FoundBoxes, no_boxes
from LiverAILib.analysis.detected import DetectedLesions, match_and_delineate
from LiverAILib.analysis.segment import Segmentation
from LiverAILib.study import Phase, Source, Study, Volume

ART, PV = Phase.ARTERIAL, Phase.PORTAL_VENOUS
SHAPE = (20, 60, 60)
SEEN_IN_BOTH = (8, 20, 14, 12, 28, 22)
PORTAL_ONLY = (8, 20, 32, 12, 28, 40)
SHIFT = (2, 3, 4)  # of the arterial liver, in voxels


def moved(box: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(b + d for b, d in zip(box, SHIFT * 2, strict=True))


def phase_scene(shift: tuple[int, int, int], lesions: list[tuple[int, ...]]) -> tuple[Volume, Segmentation]:
    """A liver in the middle, and lesions as blocks of probability 0.9 that are 50 HU darker."""
    liver = np.zeros(SHAPE, dtype=bool)
    dz, dy, dx = shift
    liver[4 + dz : 16 + dz, 10 + dy : 45 + dy, 8 + dx : 48 + dx] = True
    hu = np.where(liver, 110, -40).astype(np.int16)
    probability = np.zeros(SHAPE, np.float32)
    for z1, y1, x1, z2, y2, x2 in lesions:
        hu[z1:z2, y1:y2, x1:x2] = 60
        probability[z1:z2, y1:y2, x1:x2] = 0.9
    return Volume(hu, np.diag([1.0, 1.0, 3.0, 1.0]), Source("test", "file")), Segmentation(liver, probability)


def boxes(*rows: tuple[int, ...]) -> FoundBoxes:
    return FoundBoxes(np.array(rows, float), 0.9 - 0.1 * np.arange(len(rows)), np.ones(len(rows), dtype=np.int64))


@pytest.fixture
def exam() -> DetectedLesions:
    arterial, in_arterial = phase_scene(SHIFT, [moved(SEEN_IN_BOTH)])
    portal, in_portal = phase_scene((0, 0, 0), [SEEN_IN_BOTH, PORTAL_ONLY])
    found = {ART: boxes(moved(SEEN_IN_BOTH)), PV: boxes(SEEN_IN_BOTH, PORTAL_ONLY)}
    return match_and_delineate(Study({ART: arterial, PV: portal}), {ART: in_arterial, PV: in_portal}, found)


def test_a_lesion_has_the_same_label_in_every_phase(exam: DetectedLesions) -> None:
    for phase, box in ((ART, moved(SEEN_IN_BOTH)), (PV, SEEN_IN_BOTH)):
        z1, y1, x1, z2, y2, x2 = box
        assert (exam.labels[phase][z1:z2, y1:y2, x1:x2] == 1).all()
        assert np.count_nonzero(exam.labels[phase] == 1) == 4 * 8 * 8


def test_a_lesion_missed_in_arterial_is_drawn_there_in_the_atlas_box_and_flagged(exam: DetectedLesions) -> None:
    assert exam.lesions[1].transferred == (ART,)
    places = np.argwhere(exam.labels[ART] == 2)
    assert places.min(axis=0).tolist() == list(moved(PORTAL_ONLY)[:3])
    assert (places.max(axis=0) + 1).tolist() == list(moved(PORTAL_ONLY)[3:])
    assert exam.drawn[ART][2].method == "ellipsoid"
    assert exam.approximate(ART, 2)
    assert not exam.approximate(PV, 2)
    assert not exam.approximate(ART, 1)


def test_an_exam_without_lesions_has_empty_labels() -> None:
    portal, segmentation = phase_scene((0, 0, 0), [])
    found = match_and_delineate(Study({PV: portal}), {PV: segmentation}, {PV: no_boxes()})
    assert found.lesions == []
    assert not found.labels[PV].any()
    assert found.drawn[PV] == {}
