"""NRRD files as we write and read them; SimpleITK is the second opinion."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from liverai_fakes import toy_affine

from LiverAILib.errors import RunFolderError
from LiverAILib.export.nrrd import read_header, read_nrrd, same_as_file, write_nrrd
from LiverAILib.study import sitk_affine


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
def test_simpleitk_reads_the_same_voxels_in_the_same_place(tmp_path: Path, dtype: type) -> None:
    array = np.random.default_rng(1).integers(0, 200, (5, 6, 7)).astype(dtype)
    write_nrrd(tmp_path / "a.nrrd", array, toy_affine(oblique=True))
    image = sitk.ReadImage(tmp_path / "a.nrrd")
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), array)
    np.testing.assert_allclose(sitk_affine(image), toy_affine(oblique=True), atol=1e-9)


def test_layers_are_components_to_simpleitk(tmp_path: Path) -> None:
    array = np.random.default_rng(1).integers(0, 9, (5, 6, 7, 2)).astype(np.uint8)
    write_nrrd(tmp_path / "a.nrrd", array, toy_affine())
    image = sitk.ReadImage(tmp_path / "a.nrrd")
    assert image.GetNumberOfComponentsPerPixel() == 2
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), array)
    np.testing.assert_allclose(sitk_affine(image), toy_affine(), atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(
    value=st.text(st.characters(min_codepoint=32, max_codepoint=0x2FFF), max_size=30),
    tail=st.sampled_from(["", "\n", "\\n", "\\"]),
)
def test_fields_come_back_as_they_went_in(tmp_path_factory: pytest.TempPathFactory, value: str, tail: str) -> None:
    path = tmp_path_factory.mktemp("fields") / "a.nrrd"
    write_nrrd(path, np.zeros((1, 1, 1), np.uint8), np.eye(4), {"Key": value + tail})
    assert read_header(path).fields == {"Key": value + tail}


def test_arrays_larger_than_a_slab_come_back(tmp_path: Path) -> None:
    array = np.random.default_rng(2).normal(size=(7, 600, 800)).astype(np.float32)
    write_nrrd(tmp_path / "a.nrrd", array, np.eye(4))
    np.testing.assert_array_equal(read_nrrd(tmp_path / "a.nrrd")[0], array)
    assert same_as_file(tmp_path / "a.nrrd", array)
    array[-1, -1, -1] += 1
    assert not same_as_file(tmp_path / "a.nrrd", array)


@pytest.mark.parametrize("keep", [10, 200, 0.5, -1])
def test_a_file_that_is_cut_short_is_refused(tmp_path: Path, keep: float) -> None:
    path = tmp_path / "a.nrrd"
    array = np.random.default_rng(3).normal(size=(8, 9, 10)).astype(np.float32)
    write_nrrd(path, array, np.eye(4))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep) if isinstance(keep, float) else keep])
    with pytest.raises(RunFolderError, match=r"a\.nrrd"):
        read_nrrd(path)
    with pytest.raises(RunFolderError, match=r"a\.nrrd"):
        same_as_file(path, array)


def test_a_flipped_bit_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.nrrd"
    write_nrrd(path, np.random.default_rng(3).normal(size=(8, 9, 10)).astype(np.float32), np.eye(4))
    data = bytearray(path.read_bytes())
    data[-500] ^= 4
    path.write_bytes(data)
    with pytest.raises(RunFolderError, match="damaged"):
        read_nrrd(path)


def test_a_size_that_no_ct_has_is_refused_before_anything_is_allocated(tmp_path: Path) -> None:
    path = tmp_path / "a.nrrd"
    write_nrrd(path, np.zeros((2, 3, 4), np.uint8), np.eye(4))
    path.write_bytes(path.read_bytes().replace(b"sizes: 4 3 2", b"sizes: 400000 300000 2"))
    with pytest.raises(RunFolderError, match="no CT has"):
        read_nrrd(path)


def test_a_file_that_unpacks_to_more_than_it_says_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.nrrd"
    write_nrrd(path, np.zeros((2, 3, 4), np.uint8), np.eye(4))
    head = path.read_bytes().split(b"\n\n")[0]
    path.write_bytes(head + b"\n\n" + gzip.compress(bytes(200_000_000), 9))
    with pytest.raises(RunFolderError, match="more data"):
        read_nrrd(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"type: unsigned char", b""),
        (b"type: uint8", b"type: double"),
        (b"sizes: 4 3 2", b"sizes: 4 -3 2"),
        (b"sizes: 4 3 2", b"sizes: x"),
        (b"(1.0,0.0,0.0)", b"(nan,0.0,0.0)"),
        (b"(1.0,0.0,0.0)", b"(1.0,0.0)"),
        (b"encoding: gzip", b"encoding: raw"),
        (b"NRRD0004", b"JUNK0004"),
        (b"endian: little", b"data file: /etc/passwd"),
    ],
)
def test_a_damaged_header_is_refused(tmp_path: Path, old: bytes, new: bytes) -> None:
    path = tmp_path / "a.nrrd"
    write_nrrd(path, np.zeros((2, 3, 4), np.uint8), np.eye(4))
    data = path.read_bytes()
    path.write_bytes(data.replace(old, new) if old in data else data.replace(b"type: uint8\n", b""))
    with pytest.raises(RunFolderError, match=r"a\.nrrd"):
        read_header(path)
