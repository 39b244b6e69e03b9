"""Regions of lesion probability beside the detector's boxes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from stage_exams import ART, PV, SeesLiver, exam_volume, stand_ins, study_of

from LiverAILib.analysis.boxes3d import FoundBoxes, no_boxes
from LiverAILib.analysis.join import join_phases
from LiverAILib.analysis.networks import Stage
from LiverAILib.analysis.pipeline import analyze
from LiverAILib.analysis.sure_regions import regions_of, with_regions
from LiverAILib.study import Study

LARGE = ((20.0, 32.0, 30.0), 15.0, 60)
SMALL = ((18.0, 30.0, 52.0), 7.0, 50)


@pytest.fixture
def study() -> Study:
    return study_of(arterial=[LARGE], portal_venous=[LARGE, SMALL])


def regions(study: Study) -> FoundBoxes:
    segmentations = {phase: SeesLiver()(volume, lambda _: None) for phase, volume in study.volumes.items()}
    return regions_of(join_phases(study, segmentations), study.volumes[PV])  # type: ignore[arg-type]


def test_a_region_is_a_box_around_its_voxels_with_its_highest_probability(study: Study) -> None:
    found = regions(study)
    z, y, x = np.nonzero(exam_volume([LARGE]).array == LARGE[2])
    assert found.boxes[0].tolist() == [z.min(), y.min(), x.min(), z.max() + 1, y.max() + 1, x.max() + 1]
    assert found.scores.tolist() == [0.875, 0.875]
    assert found.slices[0] == z.max() + 1 - z.min()
    assert len(regions(study_of(portal_venous=[]))) == 0


def test_only_sure_regions_without_a_box_are_added_and_only_to_the_reference_phase(study: Study) -> None:
    every = regions(study)
    boxed = {ART: no_boxes(), PV: replace(every.where(np.array([True, False])), scores=np.array([0.6]))}
    found = with_regions(boxed, every, study, 0.8)
    assert len(found[ART]) == 0
    assert sorted(found[PV].boxes.tolist()) == sorted(every.boxes.tolist())
    assert found[PV].scores.tolist() == [0.875, 0.875]  # the box has the score of the region that it finds
    assert with_regions(boxed, every, study, 0.9)[PV].scores.tolist() == [0.6]


def test_a_detector_not_trained_for_the_reference_phase_still_has_its_regions_there(study: Study) -> None:
    assert len(with_regions({ART: no_boxes()}, regions(study), study, 0.8)[PV]) == 2


def test_an_analysis_shows_what_only_the_segmentation_sees_when_the_package_says_so(study: Study) -> None:
    blind = replace(stand_ins(), detector=Stage(lambda volume, found, progress: no_boxes(), stand_ins().models[0]))
    assert analyze(study, SeesLiver(), networks=blind).findings.lesions == []
    lesions = analyze(study, SeesLiver(), networks=replace(blind, region_peak=0.8)).findings.lesions
    assert [lesion.found_in for lesion in lesions] == [[PV], [PV]]
    assert lesions[0].volume_ml > lesions[1].volume_ml
    assert all(lesion.type_probabilities for lesion in lesions)
