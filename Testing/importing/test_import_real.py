"""Real CT beside the project: the phase is found, and reading is quick. Skipped where the data are not there."""

from __future__ import annotations

import time

import pytest
from ct_builder import DATA

from LiverAILib.errors import StudyError
from LiverAILib.importing import inspect, load_study
from LiverAILib.study import Phase

SAMPLES = DATA / "samples"
pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason="needs the shared CT data")


def test_portal_sample_with_minimal_tags_is_portal_venous() -> None:
    started = time.process_time()
    study = load_study([SAMPLES / "portal_dicom"])
    assert time.process_time() - started < 8  # CPU seconds of all threads; 2 s wall time on two idle cores
    assert list(study.volumes) == [Phase.PORTAL_VENOUS]
    volume = study.volumes[Phase.PORTAL_VENOUS]
    assert volume.array.shape == (124, 512, 512)
    assert volume.spacing_mm == pytest.approx((4, 0.703125, 0.703125))
    assert study.clinical.age is None  # the birth date is the study date
    assert study.clinical.sex == "male"


def test_plain_sample_is_non_contrast_by_tags_and_pixels() -> None:
    study = load_study([SAMPLES / "plain_dicom"])
    opinions = study.volumes[Phase.NON_CONTRAST].source.opinions
    assert {opinion.phase for opinion in opinions.values()} == {Phase.NON_CONTRAST}
    assert study.clinical.age == 43
    assert study.clinical.sex == "female"


def test_both_samples_together_are_two_patients() -> None:
    with pytest.raises(StudyError, match="exams of 2 patients"):
        load_study([SAMPLES / "portal_dicom", SAMPLES / "plain_dicom"])


@pytest.mark.parametrize("case", ["case00", "case15", "case18", "case22", "case50"])
def test_no_clipped_portal_volume_is_taken_for_another_phase(case: str) -> None:
    path = DATA / "portal_ct/train" / f"{case}_ct.nii.gz"
    if not path.exists():
        pytest.skip("needs the shared portal CT")
    report = inspect([path])
    assert set(report.phases) <= {Phase.PORTAL_VENOUS}
    assert report.ready or report.questions
