"""The whole pipeline with every stage: constructed exams with a known answer, from pixels to the reading in words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from stage_exams import (
    ART,
    PV,
    Ball,
    SeesLiver,
    exam_volume,
    stand_ins,
    study_of,
)

from LiverAILib.analysis.lesions import MIN_PEAK
from LiverAILib.analysis.networks import Networks
from LiverAILib.analysis.pipeline import Analysis, analyze
from LiverAILib.findings import Triage, Verdict
from LiverAILib.lesion_types import LesionType
from LiverAILib.study import ClinicalRecord, Study, Volume

METASTASIS: Ball = ((18, 28, 24), 12.0, 20)
CYST: Ball = ((20, 38, 50), 8.0, 50)


def run(study: Study, networks: Networks | None = None) -> Analysis:
    return analyze(study, SeesLiver(), networks=networks or stand_ins())


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    """A metastasis in both phases; a cyst in the portal venous phase only."""
    return run(study_of(arterial=[METASTASIS], portal_venous=[METASTASIS, CYST]))


def test_each_lesion_has_type_verdict_and_the_phases_it_was_found_in(analysis: Analysis) -> None:
    metastasis, cyst = analysis.findings.lesions
    assert (metastasis.id, cyst.id) == ("lesion_1", "lesion_2")
    assert metastasis.likeliest_type is LesionType.METASTASIS
    assert metastasis.verdict is Verdict.MALIGNANT
    assert metastasis.malignancy == pytest.approx(0.96)
    assert metastasis.found_in == [ART, PV]
    assert metastasis.approximate_in == []
    assert metastasis.mean_hu == {ART: 20, PV: 20}
    assert cyst.likeliest_type is LesionType.CYST
    assert cyst.verdict is Verdict.BENIGN


def test_a_lesion_seen_in_one_phase_only_is_guessed_in_the_other(analysis: Analysis) -> None:
    cyst = analysis.findings.lesions[1]
    assert cyst.found_in == [PV]
    assert cyst.approximate_in == [ART]
    assert cyst.mean_hu == {ART: 110, PV: 50}


def test_the_worst_lesion_decides_the_reading(analysis: Analysis) -> None:
    reading = analysis.findings.reading
    assert reading is not None
    assert reading.triage is Triage.HIGH
    assert reading.worst == "lesion_1"
    assert reading.malignant
    assert "Lesion 1 is definitely malignant (most likely metastasis" in reading.reason


def test_types_without_a_clinical_record_are_said_to_be_less_sure() -> None:
    study = study_of(portal_venous=[CYST])
    said = [
        any("no clinical record" in warning for warning in run(each).findings.warnings)
        for each in (replace(study, clinical=ClinicalRecord()), replace(study, clinical=ClinicalRecord(age=60)))
    ]
    assert said == [True, False]


@pytest.mark.parametrize(("recall", "said"), [(0.6, "found 60% of its validation's lesions"), (None, "does not state")])
def test_a_detector_that_finds_too_little_calls_nobody_low_risk(recall: float | None, said: str) -> None:
    few = run(study_of(portal_venous=[]), replace(stand_ins(), detector_recall=recall)).findings.reading
    assert few is not None
    assert few.triage is None
    assert said in few.reason


@pytest.mark.parametrize(("balls", "triage"), [([], Triage.LOW), ([METASTASIS], Triage.HIGH)])
def test_without_a_detector_nobody_is_called_low_risk(balls: list[Ball], triage: Triage) -> None:
    study = study_of(portal_venous=balls)
    full = run(study).findings.reading
    assert full is not None
    assert full.triage is triage
    alone = run(study, replace(stand_ins(), detector=None)).findings.reading
    assert alone is not None
    assert alone.triage is (None if triage is Triage.LOW else Triage.HIGH)
    assert (alone.malignancy, alone.malignant) == (full.malignancy, full.malignant)


def test_slices_have_scores_and_the_risk_counts_all_of_them(analysis: Analysis) -> None:
    findings = analysis.findings
    liver = np.flatnonzero(analysis.liver.any(axis=(1, 2)))
    for phase in (ART, PV):
        scores = findings.slice_scores[phase]
        assert len(scores.slices) == len(scores.nodule)
        assert all(last == first + 1 and first in liver for first, last in scores.slices)
        highest = scores.slices[int(np.argmax(scores.nodule))][0]
        assert (analysis.lesion_ids[highest] > 0).any()
        assert min(scores.nodule) < 0.1 < 0.9 < max(scores.nodule)
    risk = findings.hcc_risk
    assert risk is not None
    assert risk.images == len(risk.slices) == len(risk.scores)
    assert all(last == first + 1 and first in liver for first, last in risk.slices)
    assert (analysis.lesion_ids[risk.slices[int(np.argmax(risk.scores))][0]] > 0).any()
    assert risk.hcc is (risk.unscaled >= 0.1)


def test_saliency_lies_on_each_phases_grid_and_mostly_in_the_lesion(analysis: Analysis) -> None:
    for phase in (ART, PV):
        saliency = analysis.saliency[phase]
        assert saliency.shape == analysis.liver.shape
        plane = saliency[18]
        assert analysis.lesion_ids[18][np.unravel_index(plane.argmax(), plane.shape)] == 1
        assert not saliency[:12].any()
    lesion = analysis.findings.lesions[0]
    share = (analysis.lesion_ids == 1).sum() / analysis.liver.sum()
    for phase in (ART, PV):
        assert lesion.saliency_share[phase] > 2 * share


def test_models_parameters_and_times_of_all_stages_are_stated(analysis: Analysis) -> None:
    findings = analysis.findings
    assert [model.name for model in findings.models] == [
        "liversegnet",
        "lesiondetector",
        "lesionclassifier",
        "nodulenet",
        "hccnet",
    ]
    assert findings.parameters["detector_levels"] is True
    assert "lesion_min_peak" not in findings.parameters  # that is how lesions are found without a detector
    assert set(findings.seconds) >= {"detect_arterial", "detect", "lesions", "classify", "slices_portal_venous"}


def test_two_touching_lesions_stay_two() -> None:
    left, right = ((18, 30, 24), 10.0, 20), ((18, 30, 36.5), 10.0, 50)
    found = run(study_of(portal_venous=[left, right]))
    kinds = {lesion.label: lesion.likeliest_type for lesion in found.findings.lesions}
    row = found.lesion_ids[18, 30]
    assert (row[20:40] > 0).all()  # they touch
    assert kinds[int(row[20])] is LesionType.METASTASIS
    assert kinds[int(row[40])] is LesionType.CYST
    border = int(np.flatnonzero(row == row[40])[0])
    assert (row[20:border] == row[20]).all()
    assert abs(border - 30) <= 2


def test_a_lesion_at_the_dome_cut_by_the_volume_is_measured_as_far_as_it_is_there() -> None:
    volume = exam_volume([((29, 32, 36), 14.0, 20)], top=40)
    found = run(Study({PV: volume}))
    (lesion,) = found.findings.lesions
    assert lesion.box_zyx[1][0] == volume.array.shape[0]
    assert lesion.volume_ml == pytest.approx((volume.array == 20).sum() * volume.voxel_ml, rel=0.02)
    assert lesion.likeliest_type is LesionType.METASTASIS
    assert any("upper edge" in warning for warning in found.findings.warnings)


def test_sixty_metastases_are_all_there_in_an_order_that_storage_does_not_decide() -> None:
    balls: list[Ball] = [
        ((14 + 2.5 * k, 14 + 6 * j, 14 + 9 * i), 2.9, 20) for i in range(6) for j in range(5) for k in range(2)
    ]
    study = study_of(arterial=balls, portal_venous=balls)
    found = run(study)
    assert len(found.findings.lesions) == 60
    assert [lesion.label for lesion in found.findings.lesions] == list(range(1, 61))
    assert {lesion.likeliest_type for lesion in found.findings.lesions} == {LesionType.METASTASIS}
    assert all(lesion.found_in == [ART, PV] for lesion in found.findings.lesions)
    centres = [lesion.centre_lps_mm[::-1] for lesion in found.findings.lesions]
    sizes = [lesion.volume_ml for lesion in found.findings.lesions]
    assert [c for _, c in sorted(zip([-s for s in sizes], centres, strict=True))] == centres


def test_no_lesion_is_low_risk_and_every_slice_is_read() -> None:
    found = run(study_of(arterial=[], portal_venous=[]))
    assert found.findings.lesions == []
    reading = found.findings.reading
    assert reading is not None
    assert (reading.triage, reading.worst, reading.malignancy) == (Triage.LOW, None, 0.0)
    assert found.findings.hcc_risk is not None
    assert set(found.saliency) == {ART, PV}


def test_without_a_liver_nothing_is_read_and_nobody_is_called_low_risk() -> None:
    air = Volume(np.full((8, 16, 16), -900, np.int16), np.eye(4), exam_volume([]).source)
    found = run(Study({PV: air}))
    reading = found.findings.reading
    assert reading is not None
    assert reading.triage is Triage.HIGH
    assert "no liver was found" in reading.reason
    assert found.findings.hcc_risk is None
    assert found.findings.slice_scores[PV].slices == []


def test_a_lesion_outside_the_reference_scan_is_said_and_is_never_low_risk() -> None:
    low: Ball = ((14, 30, 30), 7.0, 50)
    whole, upper = exam_volume([low]), exam_volume([])
    place = upper.affine.copy()
    place[:3, 3] = upper.to_lps([18, 0, 0])
    portal = Volume(np.ascontiguousarray(upper.array[18:]), place, upper.source)
    found = run(Study({ART: whole, PV: portal}))
    assert found.findings.lesions == []
    (text,) = [warning for warning in found.findings.warnings if "outside the scan" in warning]
    assert "found in the arterial phase" in text
    assert found.findings.reading is not None
    assert found.findings.reading.triage is Triage.HIGH


def test_a_lesion_that_the_classifier_can_not_take_is_unread_and_high_risk() -> None:
    found = run(study_of(portal_venous=[((18, 28, 24), 10.0, 75)]))
    (lesion,) = found.findings.lesions
    assert lesion.type_probabilities is None
    assert lesion.verdict is Verdict.INDETERMINATE
    assert any(warning.startswith("Not classified") for warning in found.findings.warnings)
    assert found.findings.reading is not None
    assert found.findings.reading.triage is Triage.HIGH


def test_without_a_detector_regions_are_classified_in_every_phase_where_they_lie() -> None:
    networks = replace(stand_ins(), detector=None)
    study = study_of(arterial=[METASTASIS], portal_venous=[METASTASIS, CYST])
    moved = study.volumes[ART]
    place = moved.affine.copy()
    place[:3, 3] += (0, 0, 8.0)  # breathing: the arterial liver lies 8 mm higher
    study = Study({ART: Volume(moved.array, place, moved.source), PV: study.volumes[PV]}, study.clinical)
    found = run(study, networks)
    assert [lesion.likeliest_type for lesion in found.findings.lesions] == [LesionType.METASTASIS, LesionType.CYST]
    assert found.findings.lesions[0].found_in == []
    saliency, hu = found.saliency[ART], study.volumes[ART].array
    expected = saliency[hu == METASTASIS[2]].sum() / saliency[hu > 0].sum()
    assert found.findings.lesions[0].saliency_share[ART] == pytest.approx(expected, rel=0.05)
    assert found.findings.parameters["lesion_min_peak"] == MIN_PEAK


@pytest.mark.parametrize("name", ["detector", "classifier", "nodules", "hcc"])
def test_each_stage_may_be_missing(name: str) -> None:
    networks = replace(stand_ins(), **{name: None}, notes=("Not installed, so left out: this.",))
    found = run(study_of(portal_venous=[METASTASIS]), networks).findings
    assert found.warnings.count("Not installed, so left out: this.") == 1
    assert len(found.lesions) == 1
    assert (found.reading is None) is (name == "classifier")
    assert (found.hcc_risk is None) is (name == "hcc")
    assert bool(found.lesions[0].saliency_share) is bool(found.slice_scores) is (name != "nodules")


def test_a_phase_that_a_network_was_not_trained_for_is_not_shown_to_it() -> None:
    networks = stand_ins()
    assert networks.detector is not None
    assert networks.nodules is not None
    assert networks.hcc is not None
    networks = replace(
        networks,
        detector=replace(networks.detector, phases=frozenset({PV})),
        nodules=replace(networks.nodules, phases=frozenset({PV})),
        hcc=replace(networks.hcc, phases=frozenset({PV})),
    )
    found = run(study_of(arterial=[METASTASIS], portal_venous=[METASTASIS]), networks).findings
    assert found.lesions[0].found_in == [PV]
    assert list(found.slice_scores) == [PV]
    said = [warning for warning in found.warnings if "was not trained for the arterial phase" in warning]
    assert [text.split(" was")[0] for text in said] == ["The lesion detector", "NoduleNet", "HCCNet"]


def test_a_given_lesion_finder_stands_in_for_the_detector() -> None:
    from LiverAILib.analysis.lesions import find_lesions

    study = study_of(portal_venous=[METASTASIS])
    found = analyze(study, SeesLiver(), networks=stand_ins(), lesion_finder=find_lesions).findings
    assert found.lesions[0].found_in == []
    assert "lesiondetector" not in [model.name for model in found.models]
