"""The affine maps each voxel to the place that DICOM says, and highdicom's own reader agrees with ours."""

from __future__ import annotations

import tempfile
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from ct_builder import anatomy, setting, slice_dataset, write_series
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from LiverAILib.importing import load_study
from LiverAILib.importing.discover import discover
from LiverAILib.importing.series import sort_into_series
from LiverAILib.study import Phase


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    turn=st.tuples(*[st.floats(-3.1, 3.1)] * 3),
    pixel=st.tuples(*[st.floats(0.3, 3.0)] * 2),
    step=st.floats(0.4, 10.0),
    origin=st.tuples(*[st.floats(-500, 500)] * 3),
    order=st.permutations(range(9)),
    backwards=st.booleans(),
)
def test_voxels_lie_where_the_tags_say(
    turn: tuple[float, ...],
    pixel: tuple[float, float],
    step: float,
    origin: tuple[float, ...],
    order: list[int],
    backwards: bool,
) -> None:
    rotation = Rotation.from_rotvec(turn).as_matrix()
    row, column, normal = rotation.T
    pixels = anatomy()[:9, ::4, ::8]  # 20 rows of 10 pixels: rows and columns can't be mixed up unseen
    with tempfile.TemporaryDirectory() as folder:
        stored = {}
        for name, index in enumerate(order):
            dataset = slice_dataset(pixels[index], index, description="x", number=1, series_uid="1.2.3")
            position = np.array(origin) + (-1 if backwards else 1) * index * step * normal
            dataset.ImagePositionPatient = [f"{p:.10f}"[:16] for p in position]
            dataset.ImageOrientationPatient = [f"{v:.12f}"[:16] for v in (*row, *column)]
            dataset.PixelSpacing = [f"{p:.8f}" for p in pixel]
            dataset.save_as(Path(folder) / f"{name}", enforce_file_format=True)
            stored[index] = position
        study = load_study([Path(folder)], phase_choices={"1": Phase.ARTERIAL})
    volume = study.volumes[Phase.ARTERIAL]
    for index, position in stored.items():
        z = int(np.argmin([np.abs(plane - pixels[index].clip(-1024)).sum() for plane in volume.array]))
        np.testing.assert_array_equal(volume.array[z], pixels[index].clip(-1024))
        i, j = 19, 9  # last row, last column
        expected = position + row * pixel[1] * j + column * pixel[0] * i
        np.testing.assert_allclose(volume.to_lps([z, i, j]), expected, atol=1e-3)
    assert np.linalg.det(volume.affine[:3, :3]) > 0


def test_highdicom_reads_the_same_volume(tmp_path: Path) -> None:
    turn = Rotation.from_euler("xyz", [4, -7, 11], degrees=True).as_matrix().T

    def oblique(dataset: pydicom.Dataset, index: int) -> None:
        dataset.ImageOrientationPatient = [round(v, 10) for v in (*turn[0], *turn[1])]
        dataset.ImagePositionPatient = [round(v, 8) for v in np.array([-10, 20, 30]) + index * 5 * turn[2]]
        dataset.RescaleSlope, dataset.RescaleIntercept = (2, -1024) if index % 2 else (1, -1000)

    paths = write_series(tmp_path, edit=oblique)
    ours = load_study([tmp_path]).volumes[Phase.PORTAL_VENOUS]
    theirs = hd.get_volume_from_series([pydicom.dcmread(path) for path in paths], apply_presentation_lut=False)
    # highdicom counts slices so that (z, y, x) is right-handed: from head to feet here
    flipped = theirs.flip_spatial(0)
    np.testing.assert_array_equal(ours.array, np.maximum(flipped.array, -1024))
    np.testing.assert_allclose(ours.affine[:3, [2, 1, 0, 3]], flipped.affine[:3], atol=1e-4)


def test_positions_rounded_to_a_tenth_of_a_millimetre_are_a_volume(tmp_path: Path) -> None:
    def rounded(dataset: pydicom.Dataset, index: int) -> None:
        dataset.ImagePositionPatient = [-160, -160, round(index * 0.625, 1)]

    write_series(tmp_path, edit=rounded)
    assert load_study([tmp_path]).volumes[Phase.PORTAL_VENOUS].spacing_mm[0] == pytest.approx(0.625, abs=0.005)


@pytest.mark.parametrize("padding", [-2000, 63536])
def test_padding_becomes_air(tmp_path: Path, padding: int) -> None:
    def pad(dataset: pydicom.Dataset, index: int) -> None:
        stored = np.frombuffer(dataset.PixelData, "<u2").reshape(80, 80).astype(np.int32)
        if padding < 0:
            dataset.PixelRepresentation = 1
            dataset.RescaleIntercept, stored = 0, stored - 1024
            dataset.add_new((0x0028, 0x0120), "SS", padding)
        else:
            dataset.add_new((0x0028, 0x0120), "US", padding)
        stored[:5] = padding
        dataset.PixelData = stored.astype("<i2" if padding < 0 else "<u2").tobytes()

    write_series(tmp_path, edit=pad)
    array = load_study([tmp_path]).volumes[Phase.PORTAL_VENOUS].array
    assert (array[:, :5] == -1024).all()
    np.testing.assert_array_equal(array[:, 5:], anatomy()[:, 5:].clip(-1024))


def test_padding_value_that_means_tissue_is_not_cut_out(tmp_path: Path) -> None:
    def pad(dataset: pydicom.Dataset, index: int) -> None:
        dataset.add_new((0x0028, 0x0120), "US", 1024 + 56)

    write_series(tmp_path, edit=pad)
    array = load_study([tmp_path]).volumes[Phase.PORTAL_VENOUS].array
    np.testing.assert_array_equal(array, anatomy().clip(-1024))


def test_overlay_in_high_bits_is_masked(tmp_path: Path) -> None:
    def overlay(dataset: pydicom.Dataset, index: int) -> None:
        stored = np.frombuffer(dataset.PixelData, "<u2").clip(0, 4095) | 0x8000
        dataset.BitsStored, dataset.HighBit = 12, 11
        dataset.PixelData = stored.astype("<u2").tobytes()

    write_series(tmp_path, edit=overlay)
    np.testing.assert_array_equal(load_study([tmp_path]).volumes[Phase.PORTAL_VENOUS].array, anatomy().clip(-1024))


def test_each_image_uses_its_own_rescale(tmp_path: Path) -> None:
    def own(dataset: pydicom.Dataset, index: int) -> None:
        stored = np.frombuffer(dataset.PixelData, "<u2") + index
        dataset.PixelData = stored.astype("<u2").tobytes()
        dataset.RescaleIntercept = -1024 - index

    write_series(tmp_path, edit=own)
    np.testing.assert_array_equal(load_study([tmp_path]).volumes[Phase.PORTAL_VENOUS].array, anatomy().clip(-1024))


def test_series_without_uid_is_grouped_by_folder(tmp_path: Path) -> None:
    write_series(tmp_path / "a", edit=setting(SeriesInstanceUID=None))
    write_series(tmp_path / "b", number=3, look="arterial", description="ART", edit=setting(SeriesInstanceUID=None))
    candidates = sort_into_series(discover([tmp_path]).slices)
    assert [(c.key, c.images) for c in candidates] == [("3", 24), ("4", 24)]
