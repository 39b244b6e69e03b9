"""Series that are no volume are refused with their name, what is wrong, and what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ct_builder import COUNT, PIXEL_MM, SIZE, STEP_MM, Edit, setting, write_series
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from LiverAILib.errors import StudyError
from LiverAILib.importing import Use, inspect, load_study
from LiverAILib.study import Phase


def only(index: int, edit: Edit) -> Edit:
    """The edit on one image of the series."""

    def apply(dataset: Dataset, at: int) -> None:
        if at == index:
            edit(dataset, at)

    return apply


def move(shift: Callable[[int], tuple[float, float, float]]) -> Edit:
    """Shift each image by mm (x, y, z)."""

    def apply(dataset: Dataset, at: int) -> None:
        dataset.ImagePositionPatient = [p + s for p, s in zip(dataset.ImagePositionPatient, shift(at), strict=True)]

    return apply


def tilt(dataset: Dataset, at: int) -> None:
    angle = np.radians(10)
    dataset.ImageOrientationPatient = [1, 0, 0, 0, float(np.cos(angle)), float(-np.sin(angle))]
    dataset.GantryDetectorTilt = 10


def smaller(dataset: Dataset, at: int) -> None:
    dataset.Rows = SIZE // 2
    dataset.PixelData = dataset.PixelData[: SIZE * SIZE]


def truncated(dataset: Dataset, at: int) -> None:
    dataset.PixelData = dataset.PixelData[:-500]


def inverted(dataset: Dataset, at: int) -> None:
    stored = np.frombuffer(dataset.PixelData, "<u2")
    dataset.PixelData = (2300 - np.minimum(stored, 2300)).astype("<u2").tobytes()
    dataset.PhotometricInterpretation = "MONOCHROME1"


def raw_values(dataset: Dataset, at: int) -> None:
    dataset.RescaleIntercept = 0


def constant(dataset: Dataset, at: int) -> None:
    dataset.PixelData = b"\0\4" * (SIZE * SIZE)


def duplicate_place(dataset: Dataset, at: int) -> None:
    if at == 5:
        dataset.ImagePositionPatient = [-SIZE * PIXEL_MM / 2, -SIZE * PIXEL_MM / 2, 4 * STEP_MM]


FAULTS: dict[str, tuple[Edit, str, str]] = {
    "irregular spacing": (move(lambda i: (0, 0, 1.7 * (i % 3 == 1))), "unevenly spaced", "even spacing"),
    "gantry tilt": (tilt, "the gantry was tilted: the stack leans by 10.0 degrees (the tag says 10)", "Resample"),
    "shifted images": (move(lambda i: (8 * (i == 9), 0, 0)), "shifted against each other", "Re-send"),
    "same place, other pixels": (
        duplicate_place,
        "1 of its 24 images lie at the place of another",
        "series of its own",
    ),
    "mixed matrix": (only(3, smaller), "differ in size: 80 x 40, 80 x 80", "Re-send"),
    "mixed pixel spacing": (
        only(3, setting(PixelSpacing=[3.5, 3.5])),
        "differ in pixel spacing (3.500 to 4.000",
        "Re-send",
    ),
    "mixed frame of reference": (
        only(3, setting(FrameOfReferenceUID=generate_uid())),
        "more than one frame of reference",
        "Re-send",
    ),
    "mixed orientation": (
        lambda d, i: setattr(d, "ImageOrientationPatient", [1, 0, 0, 0, 1, 0] if i % 2 else [-1, 0, 0, 0, 1, 0]),
        "different planes",
        "Re-send",
    ),
    "two patients in one series": (only(3, setting(PatientID="OTHER")), "images of two patients", "one patient"),
    "two studies in one series": (
        only(3, setting(StudyInstanceUID=generate_uid())),
        "images of two studies",
        "one study",
    ),
    "no position": (setting(ImagePositionPatient=None), "24 of 24 images have no position tag", "Export the original"),
    "some without position": (
        only(3, setting(ImagePositionPatient=None)),
        "1 of 24 images have no position tag",
        "Export",
    ),
    "no orientation": (setting(ImageOrientationPatient=None), "no orientation tag", "Export the original"),
    "bad orientation": (setting(ImageOrientationPatient=[1, 0, 0, 1, 1, 0]), "perpendicular directions", "Re-send"),
    "no pixel spacing": (setting(PixelSpacing=None), "no pixel spacing tag", "Export the original"),
    "absurd pixel spacing": (setting(PixelSpacing=[400, 400]), "pixel spacing of 400 mm", "Re-send"),
    "truncated pixels": (only(3, truncated), "1 of 24 images: truncated pixel data", "Re-send"),
    "no pixels": (only(3, setting(PixelData=None)), "1 of 24 images: no pixel data", "Re-send"),
    "missing rescale": (
        setting(RescaleSlope=None, RescaleIntercept=None),
        "rescale slope and intercept are missing",
        "Export",
    ),
    "not HU by its tag": (setting(RescaleType="Z_EFF"), "its values are Z_EFF, not Hounsfield units", "plain CT"),
    "raw values": (raw_values, "not HU (air is -1000)", "Hounsfield units"),
    "constant": (constant, "same value", "another series"),
    "inverted": (inverted, "grey values are inverted", "Export"),
    "absurd rows": (setting(Rows=65535, Columns=65535), "absurd size (65535 x 65535 pixels", "Re-send"),
    "absurd frames": (setting(NumberOfFrames=2_000_000_000), "2000000000 frames", "Re-send"),
    "odd bits": (setting(BitsAllocated=12), "12 bits per pixel", "Re-send"),
    "palette": (setting(PhotometricInterpretation="PALETTE COLOR"), "not grey values", "plain CT"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_broken_series_is_refused_with_its_name_and_a_remedy(tmp_path: Path, fault: str) -> None:
    edit, complaint, remedy = FAULTS[fault]
    write_series(tmp_path, edit=edit)
    with pytest.raises(StudyError) as error:
        load_study([tmp_path])
    text = str(error.value)
    assert 'Series 4 "portal venous"' in text
    assert complaint in text
    assert remedy in text
    report = inspect([tmp_path])
    assert [series.use for series in report.series] == [Use.REFUSED]
    assert not report.ready
    assert "SECRET" not in report.text().upper()


def test_missing_slices_are_counted_and_located(tmp_path: Path) -> None:
    write_series(tmp_path, skip=(7, 8, 15))
    with pytest.raises(StudyError, match=r"3 of 24 slices are missing \(after z = 30 mm, z = 70 mm\)\. Re-send"):
        load_study([tmp_path])


def test_too_few_slices_are_refused(tmp_path: Path) -> None:
    write_series(tmp_path, count=7)
    with pytest.raises(StudyError, match="only 7 images; a liver CT needs 8 or more"):
        load_study([tmp_path])


def test_short_scan_range_is_a_warning(tmp_path: Path) -> None:
    write_series(tmp_path, count=12)
    study = load_study([tmp_path])
    assert any("covers only 60 mm: the liver can't be complete" in warning for warning in study.warnings)


def test_broken_arterial_series_is_an_error_although_the_portal_one_is_sound(tmp_path: Path) -> None:
    write_series(tmp_path / "a", description="arterial", look="arterial", number=3, skip=(7,))
    write_series(tmp_path / "b")
    with pytest.raises(StudyError, match=r'Series 3 "arterial": 1 of 24 slices are missing'):
        load_study([tmp_path])


def test_broken_series_is_a_warning_when_another_fills_its_phase(tmp_path: Path) -> None:
    write_series(tmp_path / "a", description="portal venous thin", number=3, skip=(7,))
    write_series(tmp_path / "b")
    study = load_study([tmp_path])
    assert list(study.volumes) == [Phase.PORTAL_VENOUS]
    assert any(
        w.startswith('Left out: Series 3 "portal venous thin": 1 of 24 slices are missing') for w in study.warnings
    )


@pytest.mark.parametrize(("tag", "what"), [("PatientID", "2 patients"), ("StudyInstanceUID", "2 studies")])
def test_two_exams_in_one_folder_are_refused(tmp_path: Path, tag: str, what: str) -> None:
    write_series(tmp_path / "a")
    write_series(
        tmp_path / "b", number=7, description="arterial", look="arterial", edit=setting(**{tag: generate_uid()})
    )
    with pytest.raises(StudyError, match=rf"exams of {what} .*Series 4.*Series 7.*Give the folder of one exam"):
        load_study([tmp_path])


def test_naming_a_series_chooses_its_exam(tmp_path: Path) -> None:
    write_series(tmp_path / "a")
    write_series(tmp_path / "b", number=7, description="arterial", look="arterial", edit=setting(PatientID="OTHER"))
    study = load_study([tmp_path], phase_choices={"7": Phase.ARTERIAL})
    assert list(study.volumes) == [Phase.ARTERIAL]
    assert any("belongs to another exam" in warning for warning in study.warnings)


def test_named_series_of_two_studies_of_one_patient_are_used_with_a_warning(tmp_path: Path) -> None:
    write_series(tmp_path / "a")
    other = setting(StudyInstanceUID=generate_uid())
    write_series(tmp_path / "b", number=7, description="arterial", look="arterial", edit=other)
    study = load_study([tmp_path], phase_choices={"4": Phase.PORTAL_VENOUS, "7": Phase.ARTERIAL})
    assert len(study.volumes) == 2
    assert any("come from 2 studies of one patient" in warning for warning in study.warnings)


def test_same_frame_of_reference_is_not_needed_between_series(tmp_path: Path) -> None:
    write_series(tmp_path / "a")
    other = setting(FrameOfReferenceUID=generate_uid())
    write_series(tmp_path / "b", number=3, description="arterial", look="arterial", edit=other)
    assert set(load_study([tmp_path]).volumes) == {Phase.ARTERIAL, Phase.PORTAL_VENOUS}


def test_monochrome1_with_sound_hu_is_used_and_said(tmp_path: Path) -> None:
    write_series(tmp_path, edit=setting(PhotometricInterpretation="MONOCHROME1"))
    study = load_study([tmp_path])
    assert any("MONOCHROME1" in warning for warning in study.warnings)
    assert len(study.volumes[Phase.PORTAL_VENOUS].array) == COUNT


def test_missing_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="neither a file nor a folder"):
        load_study([tmp_path / "nowhere"])


def test_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"No usable CT series .*empty.*Give the folder of a liver CT"):
        load_study([tmp_path])
