"""NIfTI, NRRD and MetaImage files become phases, or are refused before they can do harm."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import SimpleITK as sitk
from ct_builder import PIXEL_MM, STEP_MM, anatomy, write_series

from LiverAILib.errors import PhaseQuestion, StudyError
from LiverAILib.importing import load_study
from LiverAILib.study import Phase


def image(array: npt.NDArray[np.generic]) -> sitk.Image:
    result = sitk.GetImageFromArray(array, isVector=False)
    result.SetSpacing((PIXEL_MM, PIXEL_MM, STEP_MM)[: result.GetDimension()] + (1.0,) * (result.GetDimension() - 3))
    return result


def saved(path: Path, array: npt.NDArray[np.generic] | None = None) -> Path:
    sitk.WriteImage(image(anatomy() if array is None else array), str(path))
    return path


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_file_of_a_stated_phase(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    source = image(anatomy())
    source.SetOrigin((12, -34, 56))
    source.SetDirection((0, -1, 0, 1, 0, 0, 0, 0, 1))
    sitk.WriteImage(source, str(path))
    study = load_study([], phase_files={Phase.DELAYED: path})
    volume = study.volumes[Phase.DELAYED]
    np.testing.assert_array_equal(volume.array, anatomy().clip(-1024))
    expected = source.TransformIndexToPhysicalPoint((3, 4, 5))
    np.testing.assert_allclose(volume.to_lps([5, 4, 3]), expected, atol=1e-3)
    assert volume.source.kind == "file"
    assert volume.source.label == f'File "a{suffix}"'


def test_phase_from_the_name_and_the_pixels_of_a_file(tmp_path: Path) -> None:
    study = load_study([saved(tmp_path / "case7_portal_venous.nii.gz")])
    opinions = study.volumes[Phase.PORTAL_VENOUS].source.opinions
    assert opinions["tags"].reason == 'its name says "portal"'
    assert opinions["pixels"].phase is Phase.PORTAL_VENOUS


def test_phase_from_the_pixels_alone(tmp_path: Path) -> None:
    assert list(load_study([saved(tmp_path / "ct.nii.gz", anatomy("arterial"))]).volumes) == [Phase.ARTERIAL]


def test_volume_clipped_to_a_window_is_used_with_a_warning(tmp_path: Path) -> None:
    clipped = anatomy().clip(-40, 160)
    study = load_study([], phase_files={Phase.PORTAL_VENOUS: saved(tmp_path / "a.nii.gz", clipped)})
    assert any("clipped to [-40, 160] HU" in warning for warning in study.warnings)


def test_float_voxels_are_rounded(tmp_path: Path) -> None:
    array = anatomy().astype(np.float32) + 0.3
    study = load_study([], phase_files={Phase.ARTERIAL: saved(tmp_path / "a.nii.gz", array)})
    np.testing.assert_array_equal(study.volumes[Phase.ARTERIAL].array, np.rint(array).clip(-1024))


def with_nan() -> npt.NDArray[np.float32]:
    array = anatomy().astype(np.float32)
    array[3, 4, 5] = np.nan
    return array


@pytest.mark.parametrize(
    ("array", "complaint"),
    [
        (with_nan(), "1 of its voxels are NaN or infinite"),
        (np.full((20, 40, 40), -1000, np.int16), r"same value \(-1000\)"),
        (np.random.default_rng(1).integers(0, 3, (20, 40, 40)).astype(np.uint8), "a label map or an 8-bit picture"),
        ((anatomy().clip(-1024) + 1024).astype(np.uint16), "raw scanner values"),
        (np.random.default_rng(1).uniform(-1, 1, (20, 40, 40)).astype(np.float32), "no soft tissue"),
        (np.where(anatomy() > 2000, 50, -1000).astype(np.int16) - np.arange(80, dtype=np.int16), "no soft tissue"),
        (np.stack([anatomy()] * 2), r"it has 4 dimensions \(80, 80, 24, 2\)"),
        (anatomy()[:4], "only 4 slices"),
    ],
    ids=["nan", "constant", "labels", "raw", "normalised", "air", "4D", "thin"],
)
def test_file_that_is_no_ct_is_refused(tmp_path: Path, array: npt.NDArray[np.generic], complaint: str) -> None:
    path = saved(tmp_path / "a.nii.gz", array)
    with pytest.raises(
        StudyError, match=rf'File "a.nii.gz": .*{complaint}.*Export|File "a.nii.gz": .*{complaint}.*Choose'
    ):
        load_study([], phase_files={Phase.ARTERIAL: path})


@pytest.mark.parametrize("suffix", [".nii", ".nrrd", ".mha"])
def test_nan_is_found_in_every_format(tmp_path: Path, suffix: str) -> None:
    path = saved(tmp_path / f"a{suffix}", with_nan())
    with pytest.raises(StudyError, match="1 of its voxels are NaN"):
        load_study([], phase_files={Phase.ARTERIAL: path})


def test_sheared_affine_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.nii")
    data = bytearray(path.read_bytes())
    data[252:256] = struct.pack("<hh", 0, 1)  # sform only
    rows = [[4, 1.5, 0, 0], [0, 4, 0, 0], [0, 0, 5, 0]]
    data[280:328] = struct.pack("<12f", *np.ravel(rows))
    path.write_bytes(bytes(data))
    with pytest.raises(StudyError, match=r"not at right angles .*Resample"):
        load_study([], phase_files={Phase.ARTERIAL: path})


def test_huge_claim_is_refused_before_reading(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.nii")
    data = bytearray(path.read_bytes())
    data[40:56] = struct.pack("<8h", 3, 32000, 32000, 3000, 1, 1, 1, 1)
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(bytes(data)))
    with pytest.raises(StudyError, match="claims 32000 x 32000 x 3000 voxels"):
        load_study([], phase_files={Phase.ARTERIAL: tmp_path / "b.nii.gz"})


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b garbage", b"NRRD0004\nsizes: x"], ids=["empty", "garbage", "nrrd"])
@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_damaged_file_is_refused(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    with pytest.raises(StudyError, match="it is empty, truncated or not the format"):
        load_study([], phase_files={Phase.ARTERIAL: path})


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha"])
def test_truncated_file_is_refused(tmp_path: Path, suffix: str) -> None:
    path = saved(tmp_path / f"a{suffix}")
    path.write_bytes(path.read_bytes()[:20000])
    with pytest.raises(StudyError, match="truncated"):
        load_study([], phase_files={Phase.ARTERIAL: path})


def test_missing_phase_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r'"a.nii.gz".* is neither a file nor a folder'):
        load_study([], phase_files={Phase.ARTERIAL: Path("a.nii.gz")})


def test_file_phase_is_asked_for(tmp_path: Path) -> None:
    path = saved(tmp_path / "ct.nii.gz", anatomy("delayed"))
    with pytest.raises(PhaseQuestion, match=r"--phase ct.nii.gz=PHASE"):
        load_study([path])
    assert list(load_study([path], phase_choices={"ct.nii.gz": Phase.DELAYED}).volumes) == [Phase.DELAYED]


def test_dicom_folder_and_file_together(tmp_path: Path) -> None:
    write_series(tmp_path / "dicom")
    arterial = saved(tmp_path / "arterial.nii.gz", anatomy("arterial"))
    study = load_study([tmp_path / "dicom"], phase_files={Phase.ARTERIAL: arterial})
    assert list(study.volumes) == [Phase.ARTERIAL, Phase.PORTAL_VENOUS]
