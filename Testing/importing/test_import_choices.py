"""What lies about in an exam's folder is left out, split or preferred for a stated reason."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from ct_builder import COUNT, PIXEL_MM, SIZE, STEP_MM, anatomy, setting, write_series
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage, generate_uid

from LiverAILib.errors import PhaseQuestion, StudyError
from LiverAILib.importing import Use, inspect, load_study
from LiverAILib.study import ClinicalRecord, Phase, Study


def warned(study: Study, text: str) -> bool:
    return any(text in warning for warning in study.warnings)


def localizer(dataset: Dataset, index: int) -> None:
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]


def coronal(dataset: Dataset, index: int) -> None:
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    dataset.ImagePositionPatient = [-SIZE * PIXEL_MM / 2, index * STEP_MM, 100]


def test_study_of_three_phases_with_clinical_items_from_the_tags(tmp_path: Path) -> None:
    write_series(tmp_path, number=2, look="plain", description="nativ 5.0")
    write_series(tmp_path, number=3, look="arterial", description="ART 1.5")
    write_series(tmp_path, number=4)
    progress: list[float] = []
    study = load_study([tmp_path], progress=lambda fraction, message: progress.append(fraction))
    assert list(study.volumes) == [Phase.NON_CONTRAST, Phase.ARTERIAL, Phase.PORTAL_VENOUS]
    assert study.warnings == ()
    assert study.clinical == ClinicalRecord(age=65, sex="female")
    volume = study.volumes[Phase.ARTERIAL]
    np.testing.assert_array_equal(volume.array, np.maximum(anatomy("arterial"), -1024))
    assert volume.source.label == 'Series 3 "ART 1.5"'
    assert set(volume.source.opinions) == {"tags", "pixels"}
    assert all(opinion.phase is Phase.ARTERIAL for opinion in volume.source.opinions.values())
    assert progress == sorted(progress)
    assert progress[-1] == 1


def test_clinical_record_given_by_the_user_wins(tmp_path: Path) -> None:
    write_series(tmp_path)
    given = ClinicalRecord(age=50, hepatitis=True)
    assert load_study([tmp_path], clinical=given).clinical == ClinicalRecord(age=50, sex="female", hepatitis=True)


def test_localizer_series_and_other_modalities_are_left_out(tmp_path: Path) -> None:
    write_series(tmp_path)
    write_series(tmp_path, number=1, count=2, description="Topogram", edit=localizer)
    write_series(tmp_path, number=9, count=2, description="T1", edit=setting(Modality="MR"))
    report = setting(SOPClassUID=SecondaryCaptureImageStorage, ImageType=["DERIVED", "SECONDARY"])
    write_series(tmp_path, number=999, count=1, description="Dose Report", edit=report)
    study = load_study([tmp_path])
    assert list(study.volumes) == [Phase.PORTAL_VENOUS]
    assert warned(study, 'Series 1 "Topogram" was left out: localizer')
    assert warned(study, "2 series that are not CT left out")


def test_localizer_and_dose_report_inside_the_series_are_left_out(tmp_path: Path) -> None:
    uid = generate_uid()
    write_series(tmp_path, series_uid=uid)
    write_series(tmp_path, series_uid=uid, count=1, edit=localizer)
    write_series(tmp_path, series_uid=uid, count=1, edit=setting(ImageType=["DERIVED", "SECONDARY", "SCREEN SAVE"]))
    study = load_study([tmp_path])
    assert study.volumes[Phase.PORTAL_VENOUS].array.shape == (COUNT, SIZE, SIZE)
    assert warned(study, "2 localizer or report images inside: left out")


def test_unmarked_scout_across_the_plane_is_left_out(tmp_path: Path) -> None:
    uid = generate_uid()
    write_series(tmp_path, series_uid=uid)
    write_series(tmp_path, series_uid=uid, count=1, edit=setting(ImageOrientationPatient=[1, 0, 0, 0, 0, -1]))
    assert load_study([tmp_path]).volumes[Phase.PORTAL_VENOUS].array.shape == (COUNT, SIZE, SIZE)


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (setting(ImageType=["DERIVED", "SECONDARY", "MPR"]), r"a derived reformat \(MPR\)"),
        (setting(ImageType=["DERIVED", "SECONDARY", "MIP"]), "a projection, rendering or material map"),
        (coronal, "a reformat in another plane than axial"),
    ],
)
def test_derived_reformat_is_used_only_when_named(tmp_path: Path, edit: object, reason: str) -> None:
    write_series(tmp_path, edit=edit)  # type: ignore[arg-type]
    with pytest.raises(StudyError, match=rf"{reason}; to use it all the same: --phase 4=PHASE"):
        load_study([tmp_path])
    study = load_study([tmp_path], phase_choices={"4": Phase.PORTAL_VENOUS})
    assert list(study.volumes) == [Phase.PORTAL_VENOUS]
    assert warned(study, "used at the user's word")


def test_bolus_tracking_is_left_out(tmp_path: Path) -> None:
    write_series(tmp_path)
    write_series(tmp_path, number=3, description="Monitoring", count=12, edit=setting(ImagePositionPatient=[0, 0, 50]))
    assert warned(load_study([tmp_path]), 'Series 3 "Monitoring" was left out: bolus tracking')


def test_whole_scan_named_after_its_bolus_timing_is_used(tmp_path: Path) -> None:
    write_series(tmp_path, description="SmartPrep portal")
    assert list(load_study([tmp_path]).volumes) == [Phase.PORTAL_VENOUS]


def test_exact_copies_are_left_out(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "a")
    (tmp_path / "b").mkdir()
    for path in paths[:5]:
        (tmp_path / "b" / path.name).write_bytes(path.read_bytes())
    study = load_study([tmp_path])
    assert study.volumes[Phase.PORTAL_VENOUS].array.shape[0] == COUNT
    assert warned(study, "5 exact copies of images inside: left out")


@pytest.mark.parametrize(
    ("first", "second", "tag"),
    [
        ({"AcquisitionNumber": 2}, {"AcquisitionNumber": 3}, "acquisition number"),
        ({"TemporalPositionIdentifier": 1}, {"TemporalPositionIdentifier": 2}, "temporal position"),
        ({"AcquisitionTime": "100500"}, {"AcquisitionTime": "100540"}, "acquisition time"),
    ],
)
def test_two_phases_under_one_series_uid_are_told_apart(
    tmp_path: Path, first: dict[str, object], second: dict[str, object], tag: str
) -> None:
    uid = generate_uid()
    write_series(tmp_path, series_uid=uid, look="arterial", description="liver", edit=setting(**first))
    write_series(tmp_path, series_uid=uid, look="portal", description="liver", edit=setting(**second))
    report = inspect([tmp_path])
    assert [series.key for series in report.series] == ["4.1", "4.2"]
    study = load_study([tmp_path])
    assert list(study.volumes) == [Phase.ARTERIAL, Phase.PORTAL_VENOUS]
    np.testing.assert_array_equal(study.volumes[Phase.ARTERIAL].array, np.maximum(anatomy("arterial"), -1024))
    assert warned(study, f"told apart by {tag}")


def test_two_interleaved_phases_that_look_like_one_fine_stack_are_told_apart(tmp_path: Path) -> None:
    uid = generate_uid()

    def between(dataset: Dataset, index: int) -> None:
        dataset.AcquisitionNumber = 2
        dataset.ImagePositionPatient[2] += STEP_MM / 2

    write_series(tmp_path, series_uid=uid, look="arterial", description="liver")
    write_series(tmp_path, series_uid=uid, look="portal", description="liver", edit=between)
    study = load_study([tmp_path])
    assert [volume.spacing_mm[0] for volume in study.volumes.values()] == [STEP_MM, STEP_MM]


def test_two_phases_that_no_tag_tells_apart_are_refused(tmp_path: Path) -> None:
    uid = generate_uid()
    write_series(tmp_path, series_uid=uid, look="arterial")
    write_series(tmp_path, series_uid=uid, look="portal")
    with pytest.raises(StudyError, match=r"24 of its 48 images lie at the place of another .* series of its own"):
        load_study([tmp_path])


def test_soft_kernel_is_preferred_for_a_phase(tmp_path: Path) -> None:
    write_series(tmp_path, number=5, edit=setting(ConvolutionKernel="B70f"))
    write_series(tmp_path, number=6, edit=setting(ConvolutionKernel="B30f"))
    study = load_study([tmp_path])
    assert study.volumes[Phase.PORTAL_VENOUS].source.label == 'Series 6 "portal venous"'
    assert warned(study, 'Series 5 "portal venous" was left out: Series 6 "portal venous" is used')
    assert warned(study, "it has a soft kernel")


def test_series_damaged_in_its_pixels_gives_way_to_the_next_best(tmp_path: Path) -> None:
    def damaged(dataset: Dataset, index: int) -> None:
        if index == 11:  # undecodable although the header is sound
            dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.90"
            dataset["PixelData"].is_undefined_length = True
            dataset.PixelData = b"\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\x00\xe0\x10\0\0\0" + b"\7" * 16

    write_series(tmp_path, number=5, edit=damaged)
    with pytest.raises(StudyError, match=r"Series 5.*image 12 can't be decoded \(JPEG 2000.*damaged or truncated"):
        load_study([tmp_path])
    write_series(tmp_path, number=6)
    study = load_study([tmp_path])
    assert study.volumes[Phase.PORTAL_VENOUS].source.label.startswith("Series 6")


@pytest.mark.parametrize("name", ["4", "liver x", "uid", "Series 4"])
def test_phase_is_asked_for_and_taken_from_the_user(tmp_path: Path, name: str) -> None:
    uid = generate_uid()
    write_series(tmp_path, look="delayed", description="liver x", series_uid=uid)
    with pytest.raises(
        PhaseQuestion, match=r'Series 4 "liver x": its phase is uncertain.*--phase 4=PHASE, one of non_contrast'
    ):
        load_study([tmp_path])
    key = {"uid": uid[-9:], "Series 4": 'Series 4 "liver x"'}.get(name, name)
    study = load_study([tmp_path], phase_choices={key: Phase.DELAYED})
    assert study.volumes[Phase.DELAYED].source.opinions["user"].confidence == 1


def test_disagreement_of_tags_and_pixels_asks(tmp_path: Path) -> None:
    write_series(tmp_path, look="arterial", description="portal venous")
    with pytest.raises(PhaseQuestion, match=r"portal venous, 90%.*but its pixels show aorta 32\d.*\(arterial, 95%\)"):
        load_study([tmp_path])
    study = load_study([tmp_path], phase_choices={"4": Phase.PORTAL_VENOUS})
    assert warned(study, "named portal venous by the user, but its pixels show")


def test_unknown_and_ambiguous_names_are_refused(tmp_path: Path) -> None:
    write_series(tmp_path, number=4)
    write_series(tmp_path, number=5, look="arterial")
    with pytest.raises(StudyError, match=r'No series is called "9". There are: 4 .*, 5 '):
        load_study([tmp_path], phase_choices={"9": Phase.ARTERIAL})
    with pytest.raises(StudyError, match=r'"portal venous" means several series: 4, 5'):
        load_study([tmp_path], phase_choices={"portal venous": Phase.ARTERIAL})


def test_inspection_says_all_and_never_names_the_patient(tmp_path: Path) -> None:
    write_series(tmp_path)
    write_series(tmp_path, number=1, count=2, description="Topogram", edit=localizer)
    (tmp_path / "notes.txt").write_text("Secret^Name")
    report = inspect([tmp_path])
    assert [series.use for series in report.series] == [Use.LEFT_OUT, Use.USED]
    assert report.ready
    assert dict(report.skipped) == {"not a DICOM file": 1}
    text, data = report.text(), json.dumps(report.as_dict())
    assert "used as portal venous" in text
    assert "Ready to analyse: portal venous." in text
    assert "80 x 80 x 24 voxels of 4 x 4 x 5 mm" in text
    assert "secret" not in (text + data).lower()
    assert json.loads(data)["series"][1]["phase"] == "portal_venous"


def test_folder_named_as_a_phase(tmp_path: Path) -> None:
    write_series(tmp_path / "a", look="arterial", description="x")
    write_series(tmp_path / "b", look="portal", description="y", number=5)
    study = load_study([], phase_files={Phase.ARTERIAL: tmp_path / "a", Phase.PORTAL_VENOUS: tmp_path / "b"})
    assert list(study.volumes) == [Phase.ARTERIAL, Phase.PORTAL_VENOUS]
    with pytest.raises(StudyError, match="given as arterial, holds several series"):
        load_study([], phase_files={Phase.ARTERIAL: tmp_path})
