"""Phantoms as files: what a DICOM or NIfTI reader gets is what was generated."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from LiverAILib.errors import OutputError, StudyError
from LiverAILib.phantom import Phantom, PhantomOptions, PhantomTruth, generate
from LiverAILib.phantom.command import add_parser, lesions_asked
from LiverAILib.phantom.write import write_dicom, write_nifti
from LiverAILib.study import Phase


@pytest.fixture(scope="module")
def small() -> Phantom:
    """Arterial and portal phase, few voxels."""
    return generate(4, phases=(Phase.ARTERIAL, Phase.PORTAL_VENOUS), options=PhantomOptions(shape=(12, 64, 64)))


@pytest.fixture(scope="module")
def folder(small: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The exam as DICOM."""
    folder = tmp_path_factory.mktemp("dicom")
    write_dicom(small, folder)
    return folder


def test_dicom_gives_back_every_voxel_and_the_affine(small: Phantom, folder: Path) -> None:
    series: dict[str, list[pydicom.Dataset]] = {}
    for path in folder.iterdir():
        image = pydicom.dcmread(path)
        series.setdefault(image.SeriesInstanceUID, []).append(image)
    assert len(series) == 2
    for images, volume in zip(
        sorted(series.values(), key=lambda s: s[0].SeriesNumber), small.study.volumes.values(), strict=True
    ):
        images.sort(key=lambda i: float(i.ImagePositionPatient[2]))
        hu = np.stack([i.pixel_array * float(i.RescaleSlope) + float(i.RescaleIntercept) for i in images])
        assert np.array_equal(hu, volume.array)
        assert np.allclose([float(v) for v in images[0].ImagePositionPatient], volume.affine[:3, 3], atol=1e-3)
        assert np.allclose([float(v) for v in images[0].PixelSpacing], volume.spacing_mm[1:], rtol=1e-5)
        gaps = np.diff([float(i.ImagePositionPatient[2]) for i in images])
        assert np.allclose(gaps, volume.spacing_mm[0], atol=1e-3)


def test_dicom_tags_tell_patient_phase_and_time(folder: Path) -> None:
    images = [pydicom.dcmread(path, stop_before_pixels=True) for path in sorted(folder.iterdir())]
    assert {i.PatientID for i in images} == {"PHANTOM-4"}
    assert len({i.SOPInstanceUID for i in images}) == len(images) == 24
    assert len({i.StudyInstanceUID for i in images}) == 1
    early, late = (next(i for i in images if i.AcquisitionNumber == n) for n in (1, 2))
    assert float(early.AcquisitionTime) < float(late.AcquisitionTime)
    assert early.SeriesDescription != late.SeriesDescription
    assert early.ContrastBolusAgent


def test_file_names_say_nothing_of_the_order(folder: Path) -> None:
    order = [pydicom.dcmread(path, stop_before_pixels=True).InstanceNumber for path in sorted(folder.iterdir())]
    assert order != sorted(order)
    assert order != sorted(order, reverse=True)


def test_plain_phase_carries_no_contrast_tags(tmp_path: Path) -> None:
    plain = generate(4, phases=(Phase.NON_CONTRAST,), options=PhantomOptions(shape=(2, 32, 32)))
    image = pydicom.dcmread(write_dicom(plain, tmp_path / "plain")[0])
    assert "ContrastBolusAgent" not in image


def test_nothing_is_overwritten(small: Phantom, folder: Path) -> None:
    with pytest.raises(OutputError, match="not empty"):
        write_dicom(small, folder)
    with pytest.raises(OutputError, match="not empty"):
        write_nifti(small, folder)


def test_nifti_gives_back_images_labels_and_truth(small: Phantom, tmp_path: Path) -> None:
    write_nifti(small, tmp_path / "exam")
    for phase, volume in small.study.volumes.items():
        image = sitk.ReadImage(str(tmp_path / "exam" / f"{phase}.nii.gz"))
        assert np.array_equal(sitk.GetArrayFromImage(image), volume.array)
        assert np.allclose(image.GetOrigin(), volume.affine[:3, 3], atol=1e-3)
        labels = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "exam" / f"{phase}_labels.nii.gz")))
        assert np.array_equal(labels, small.labels[phase])
    truth = PhantomTruth.model_validate_json((tmp_path / "exam" / "truth.json").read_text(encoding="utf-8"))
    assert truth == small.truth


def parse(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    return parser.parse_args(["phantom", *words])


def test_command_writes_dicom_labels_and_truth(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = parse(
        str(tmp_path / "out"),
        "--seed",
        "9",
        "--slices",
        "6",
        "--matrix",
        "48",
        "--phases",
        "portal_venous",
        "--lesions",
        "cyst",
    )
    assert args.run(args) == 0
    assert len(list((tmp_path / "out" / "dicom").iterdir())) == 6
    assert (tmp_path / "out" / "labels" / "portal_venous.nii.gz").is_file()
    truth = PhantomTruth.model_validate_json((tmp_path / "out" / "truth.json").read_text(encoding="utf-8"))
    assert [str(lesion.type) for lesion in truth.lesions] == ["cyst"]
    assert "cyst" in capsys.readouterr().out


def test_command_refuses_a_count_of_zero(tmp_path: Path) -> None:
    args = parse(str(tmp_path / "out"), "--count", "0")
    with pytest.raises(StudyError, match="count"):
        args.run(args)


def test_lesions_option_reads_numbers_types_and_nothing() -> None:
    assert lesions_asked(None) is None
    assert lesions_asked([]) == ()
    assert lesions_asked(["4"]) == 4
    assert lesions_asked(["hcc", "cyst"]) == ("hcc", "cyst")
