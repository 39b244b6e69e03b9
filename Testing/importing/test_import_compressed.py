"""Compressed transfer syntaxes and enhanced multi-frame CT give the same HU as the plain files."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pydicom
import pytest
from ct_builder import COUNT, DATA, STEP_MM, anatomy, slice_dataset, write_series
from jpeg_frames import baseline, lossless
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    JPEG2000,
    UID,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from LiverAILib.errors import StudyError
from LiverAILib.importing import inspect, load_study
from LiverAILib.importing.codestream import claimed_size
from LiverAILib.study import Phase, Volume

CASES = DATA / "dicom_cases"


def portal(folder: Path) -> Volume:
    return load_study([folder]).volumes[Phase.PORTAL_VENOUS]


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless], ids=lambda uid: uid.name)
def test_lossless_syntaxes_decode_exactly(tmp_path: Path, syntax: UID) -> None:
    write_series(tmp_path, syntax=syntax)
    np.testing.assert_array_equal(portal(tmp_path).array, anatomy().clip(-1024))


@pytest.mark.parametrize(
    ("syntax", "options"),
    [(JPEG2000, {"j2k_psnr": [90]}), (JPEGLSNearLossless, {"jls_error": 2})],
    ids=["J2K", "JPEG-LS"],
)
def test_lossy_syntaxes_decode_and_are_said(tmp_path: Path, syntax: UID, options: dict[str, object]) -> None:
    def compress(dataset: Dataset, index: int) -> None:
        dataset.compress(syntax, **options)
        dataset.LossyImageCompression = "01"

    write_series(tmp_path, edit=compress)
    study = load_study([tmp_path])
    assert np.abs(study.volumes[Phase.PORTAL_VENOUS].array - anatomy().clip(-1024)).max() <= 12
    assert any("compressed with loss" in warning for warning in study.warnings)


@pytest.mark.parametrize("syntax", [JPEGLosslessSV1, JPEGLossless], ids=lambda uid: uid.name)
def test_lossless_jpeg_as_scanners_send_it_decodes_exactly(tmp_path: Path, syntax: UID) -> None:
    def compress(dataset: Dataset, index: int) -> None:
        stored = np.frombuffer(dataset.PixelData, "<u2").reshape(dataset.Rows, dataset.Columns)
        encapsulated(dataset, lossless(stored), syntax)

    write_series(tmp_path, edit=compress)
    np.testing.assert_array_equal(portal(tmp_path).array, anatomy().clip(-1024))


def test_baseline_jpeg_of_eight_bits_is_read_with_its_own_rescale(tmp_path: Path) -> None:
    def compress(dataset: Dataset, index: int) -> None:
        hu = np.frombuffer(dataset.PixelData, "<u2").astype(float) + float(dataset.RescaleIntercept)
        eight = np.clip((hu + 1024) / 8, 0, 255).astype(np.uint8).reshape(dataset.Rows, dataset.Columns)
        dataset.BitsAllocated = dataset.BitsStored = 8
        dataset.HighBit = 7
        dataset.RescaleSlope, dataset.RescaleIntercept = 8, -1024
        dataset.LossyImageCompression = "01"
        encapsulated(dataset, baseline(eight), JPEGBaseline8Bit)

    write_series(tmp_path, edit=compress)
    study = load_study([tmp_path])
    error = study.volumes[Phase.PORTAL_VENOUS].array - anatomy().clip(-1024, 1016)
    assert np.median(np.abs(error)) <= 8
    assert any("compressed with loss" in warning for warning in study.warnings)


def encapsulated(dataset: Dataset, frame: bytes, syntax: UID) -> None:
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = syntax


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian], ids=lambda uid: uid.name)
def test_plain_syntaxes_are_read(tmp_path: Path, syntax: UID) -> None:
    for path in write_series(tmp_path):
        dataset = pydicom.dcmread(path)
        little = syntax != ExplicitVRBigEndian
        if not little:
            dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
        dataset.file_meta.TransferSyntaxUID = syntax
        plain = Dataset()
        plain.update(dataset)
        pydicom.dcmwrite(path, _with_meta(plain, dataset), implicit_vr=syntax.is_implicit_VR, little_endian=little)
    np.testing.assert_array_equal(portal(tmp_path).array, anatomy().clip(-1024))


def _with_meta(plain: Dataset, source: Dataset) -> Dataset:
    plain.file_meta = source.file_meta
    plain.preamble = b"\0" * 128
    return plain


def enhanced(count: int = COUNT, looks: tuple[str, ...] = ("portal",)) -> Dataset:
    """An enhanced multi-frame CT; several looks are temporal positions of one object."""
    first = slice_dataset(anatomy(looks[0])[0], 0, description="portal", number=4, series_uid="1.2.3.4")
    dataset = copy.deepcopy(first)
    for keyword in (
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "PixelSpacing",
        "RescaleSlope",
        "RescaleIntercept",
    ):
        delattr(dataset, keyword)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    dataset.NumberOfFrames = count * len(looks)
    measures, plane, rescale = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = first.PixelSpacing, first.SliceThickness
    plane.ImageOrientationPatient = first.ImageOrientationPatient
    rescale.RescaleSlope, rescale.RescaleIntercept, rescale.RescaleType = 1, -1024, "HU"
    shared = Dataset()
    shared.PixelMeasuresSequence = Sequence([measures])
    shared.PlaneOrientationSequence = Sequence([plane])
    shared.PixelValueTransformationSequence = Sequence([rescale])
    dataset.SharedFunctionalGroupsSequence = Sequence([shared])
    frames, pixels = [], []
    for time, look in enumerate(looks):
        for index in reversed(range(count)):
            frame, position, content = Dataset(), Dataset(), Dataset()
            position.ImagePositionPatient = [-160, -160, index * STEP_MM]
            content.TemporalPositionIndex = time + 1
            frame.PlanePositionSequence = Sequence([position])
            frame.FrameContentSequence = Sequence([content])
            frames.append(frame)
            pixels.append(slice_dataset(anatomy(look)[index], 0, description="", number=1, series_uid="1").PixelData)
    dataset.PerFrameFunctionalGroupsSequence = Sequence(frames)
    dataset.PixelData = b"".join(pixels)
    return dataset


def test_enhanced_multi_frame_is_read_by_its_frames_positions(tmp_path: Path) -> None:
    enhanced().save_as(tmp_path / "mf", enforce_file_format=True)
    volume = portal(tmp_path)
    np.testing.assert_array_equal(volume.array, anatomy().clip(-1024))
    assert volume.spacing_mm == pytest.approx((5, 4, 4))


def test_compressed_enhanced_multi_frame_is_read(tmp_path: Path) -> None:
    dataset = enhanced()
    dataset.compress(RLELossless)
    dataset.save_as(tmp_path / "mf", enforce_file_format=True)
    np.testing.assert_array_equal(portal(tmp_path).array, anatomy().clip(-1024))


def test_phases_in_one_enhanced_object_are_told_apart(tmp_path: Path) -> None:
    dataset = enhanced(looks=("arterial", "portal"))
    dataset.SeriesDescription = "liver"
    dataset.save_as(tmp_path / "mf", enforce_file_format=True)
    study = load_study([tmp_path])
    assert list(study.volumes) == [Phase.ARTERIAL, Phase.PORTAL_VENOUS]


def test_enhanced_multi_frame_with_a_frame_missing_is_refused(tmp_path: Path) -> None:
    dataset = enhanced()
    del dataset.PerFrameFunctionalGroupsSequence[9]
    dataset.NumberOfFrames = COUNT - 1
    dataset.PixelData = dataset.PixelData[: (COUNT - 1) * 80 * 80 * 2]
    dataset.save_as(tmp_path / "mf", enforce_file_format=True)
    with pytest.raises(StudyError, match="1 of 24 slices are missing"):
        load_study([tmp_path])


def test_size_is_read_from_jpeg_headers_without_decoding() -> None:
    dataset = slice_dataset(anatomy()[0, :50], 0, description="", number=1, series_uid="1")
    for syntax in (JPEGLSLossless, JPEG2000Lossless):
        one = copy.deepcopy(dataset)
        one.compress(syntax, encapsulate_ext=False)
        assert claimed_size(pydicom.encaps.get_frame(one.PixelData, 0, number_of_frames=1)) == (50, 80)
    assert claimed_size(b"no image") is None
    assert claimed_size(b"\xff\xd8\xff\xe0") is None


@pytest.mark.skipif(not CASES.is_dir(), reason="needs the shared DICOM cases")
@pytest.mark.parametrize("name", ["JLSL", "JLSN", "JPLL", "J2KR", "J2KI", "RLE"])
def test_vendor_files_in_every_syntax_decode(name: str) -> None:
    from LiverAILib.importing.decode import decode
    from LiverAILib.importing.header import read_slices

    for path in sorted((CASES / "dicom-test-files/data/WG04" / name).iterdir()):
        slices = read_slices(path)
        images = dict(decode(slices, [0]))
        assert images[0].shape == (slices[0].rows, slices[0].columns)
        assert images[0].min() < -500 < 20 < images[0].max()


@pytest.mark.skipif(not CASES.is_dir(), reason="needs the shared DICOM cases")
def test_public_cases_are_refused_or_left_out_with_reasons() -> None:
    report = inspect([CASES / "dcm_qa_ct_GE_tilt"])
    assert "the gantry was tilted: the stack leans by 18.5 degrees" in report.problems[0]
    report = inspect([CASES / "dcmqi"])
    assert not report.ready
    assert any("not a CT image series (SEG)" in series.detail for series in report.series)
    assert any("not a CT image series (SR)" in series.detail for series in report.series)
