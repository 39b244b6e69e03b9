"""Files made to harm the reader, and plain junk, cost neither memory nor time and stop nothing."""

from __future__ import annotations

import functools
import io
import os
import struct
import tempfile
import time
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from ct_builder import COUNT, anatomy, setting, slice_dataset, write_series
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless, RLELossless, generate_uid

from LiverAILib.errors import StudyError
from LiverAILib.importing import inspect, load_study
from LiverAILib.study import Phase


def one_slice() -> Dataset:
    return slice_dataset(anatomy()[3], 3, description="hostile", number=8, series_uid=generate_uid())


def deflated(dataset: Dataset, path: Path, body: bytes | None = None) -> None:
    """Write a deflated file; with `body`, that instead of the dataset."""
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(path, enforce_file_format=True)
    if body is not None:
        data = path.read_bytes()
        length = struct.unpack("<I", data[140:144])[0]
        packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
        path.write_bytes(data[: 144 + length] + packer.compress(body) + packer.flush())


def nested(depth: int) -> bytes:
    """Sequences of undefined length inside each other, as explicit VR little endian."""
    start = struct.pack("<HH2sHI", 0x0040, 0xA730, b"SQ", 0, 0xFFFFFFFF) + struct.pack(
        "<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF
    )
    return start * depth


def test_junk_is_counted_and_does_not_stop_the_study(tmp_path: Path) -> None:
    write_series(tmp_path / "ct")
    (tmp_path / "readme.txt").write_text("hello")
    (tmp_path / "empty").touch()
    (tmp_path / "magic").write_bytes(b"\0" * 128 + b"DICM" + np.random.default_rng(1).bytes(5000))
    (tmp_path / "zeros").write_bytes(bytes(1000))
    (tmp_path / "short").write_bytes(b"\0" * 128 + b"DICM")
    report = inspect([tmp_path])
    assert report.ready
    assert sum(report.skipped.values()) == 5
    assert report.skipped["empty file"] == 1
    assert report.skipped["not a DICOM file"] == 2


def test_file_truncated_in_its_header_leaves_a_gap_that_is_refused(tmp_path: Path) -> None:
    paths = write_series(tmp_path)
    paths[10].write_bytes(paths[10].read_bytes()[:900])
    with pytest.raises(StudyError, match="1 of 24"):
        load_study([tmp_path])


def test_rle_that_claims_65535_squared_is_refused_before_decoding(tmp_path: Path) -> None:
    def claim(dataset: Dataset, index: int) -> None:
        dataset.Rows = dataset.Columns = 65535

    for index in range(COUNT):
        dataset = one_slice()
        dataset.compress(RLELossless)
        claim(dataset, index)
        dataset.SeriesInstanceUID = "1.2.3"
        dataset.save_as(tmp_path / str(index), enforce_file_format=True)
    tracemalloc.start()
    with pytest.raises(StudyError, match=r"absurd size \(65535 x 65535"):
        load_study([tmp_path])
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


def test_codestream_that_claims_more_than_the_tags_is_not_decoded(tmp_path: Path) -> None:
    def lie(dataset: Dataset, index: int) -> None:
        dataset.compress(JPEG2000Lossless)
        frame = bytearray(dataset.PixelData)
        at = frame.find(b"\xff\x4f\xff\x51") + 8
        frame[at : at + 8] = struct.pack(">II", 60000, 60000)
        dataset.PixelData = bytes(frame)

    write_series(tmp_path, edit=lie)
    with pytest.raises(StudyError, match="80 x 80 pixels by its tags and 60000 x 60000 by its data"):
        load_study([tmp_path])


def test_deflated_bomb_is_not_expanded(tmp_path: Path) -> None:
    write_series(tmp_path / "ct")
    deflated(one_slice(), tmp_path / "bomb", bytes(2**28))
    tracemalloc.start()
    report = inspect([tmp_path])
    assert tracemalloc.get_traced_memory()[1] < 150e6
    tracemalloc.stop()
    assert report.skipped["deflated DICOM file that expands beyond 64 MiB"] == 1
    assert report.ready


def test_honest_deflated_series_is_read(tmp_path: Path) -> None:
    for index in range(COUNT):
        dataset = slice_dataset(anatomy()[index], index, description="portal", number=4, series_uid="1.2.3")
        deflated(dataset, tmp_path / str(index))
    np.testing.assert_array_equal(
        load_study([tmp_path]).volumes[Phase.PORTAL_VENOUS].array[:, 5:75], anatomy()[:, 5:75].clip(-1024)
    )


def test_deeply_nested_sequences_are_skipped(tmp_path: Path) -> None:
    write_series(tmp_path / "ct")
    path = write_series(tmp_path / "nested", count=1)[0]
    data = path.read_bytes()
    at = data.find(struct.pack("<HH", 0x7FE0, 0x0010))
    path.write_bytes(data[:at] + nested(5000))
    report = inspect([tmp_path])
    assert report.skipped["DICOM file with sequences nested too deeply"] == 1
    assert report.ready


def test_symbolic_links_are_not_followed(tmp_path: Path) -> None:
    write_series(tmp_path / "ct")
    (tmp_path / "ct" / "loop").symlink_to(tmp_path)
    (tmp_path / "ct" / "passwd").symlink_to("/etc/passwd")
    report = inspect([tmp_path])
    assert report.skipped == {"link (not followed)": 2}
    assert report.ready


def test_pipes_and_deep_folders_are_skipped(tmp_path: Path) -> None:
    write_series(tmp_path / "ct")
    os.mkfifo(tmp_path / "pipe")
    deep = tmp_path.joinpath(*["d"] * 40)
    deep.mkdir(parents=True)
    started = time.monotonic()
    report = inspect([tmp_path])
    assert report.skipped == {"not a regular file": 1, "folder nested too deeply": 1}
    assert time.monotonic() - started < 10


def test_patient_id_with_a_path_goes_nowhere(tmp_path: Path) -> None:
    edit = setting(PatientID="../../etc/evil", PatientName="../../Evil^Name")
    write_series(tmp_path, edit=edit)
    study, report = load_study([tmp_path]), inspect([tmp_path])
    assert (
        "evil" not in (repr(study.volumes[Phase.PORTAL_VENOUS].source) + report.text() + str(report.as_dict())).lower()
    )


def test_name_typed_into_a_description_is_masked(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_series(tmp_path, edit=setting(SeriesDescription="secret NAME portal", Modality="CT"))
    write_series(tmp_path, count=1, number=9, edit=setting(Modality="SECRET^NAME"))
    caplog.clear()
    study, report = load_study([tmp_path]), inspect([tmp_path])
    assert "secret" not in caplog.text.lower()
    assert study.volumes[Phase.PORTAL_VENOUS].source.label == 'Series 4 "*** *** portal"'
    assert "secret" not in (report.text() + " ".join(study.warnings)).lower()


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_damaged_headers_never_crash_the_reader(data: st.DataObject) -> None:
    whole = _small_file()
    changes = st.lists(st.tuples(st.integers(132, 1700), st.integers(0, 255)), min_size=1, max_size=12)
    with tempfile.TemporaryDirectory() as folder:
        for name in range(4):
            bad = bytearray(whole)
            for at, value in data.draw(changes):
                bad[at] = value
            del bad[data.draw(st.integers(140, len(bad))) :]
            (Path(folder) / str(name)).write_bytes(bytes(bad))
        report = inspect([Path(folder)])
    assert not report.ready


@functools.cache
def _small_file() -> bytes:
    stream = io.BytesIO()
    one_slice().save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def test_control_characters_in_a_description_do_not_reach_the_terminal(tmp_path: Path) -> None:
    write_series(tmp_path, edit=setting(SeriesDescription="portal\x1b[2Jvenous\nx"))
    label = load_study([tmp_path]).volumes[Phase.PORTAL_VENOUS].source.label
    assert label.isprintable()
    assert "portal" in label


def test_file_without_preamble_is_read(tmp_path: Path) -> None:
    for path in write_series(tmp_path):
        path.write_bytes(path.read_bytes()[132:])
    assert list(load_study([tmp_path]).volumes) == [Phase.PORTAL_VENOUS]


def test_multi_frame_without_geometry_is_refused(tmp_path: Path) -> None:
    dataset = one_slice()
    dataset.NumberOfFrames = 3
    dataset.PixelData = dataset.PixelData * 3
    dataset.save_as(tmp_path / "mf", enforce_file_format=True)
    with pytest.raises(StudyError, match="multi-frame image without a position for each frame"):
        load_study([tmp_path])


def test_encapsulated_frame_cut_short_is_refused(tmp_path: Path) -> None:
    def cut(dataset: Dataset, index: int) -> None:
        dataset.compress(RLELossless)
        if index == 4:
            dataset.PixelData = encapsulate([b"\2\0\0\0" + bytes(60)])

    write_series(tmp_path, edit=cut)
    with pytest.raises(StudyError, match=r"image 5 can't be decoded \(RLE Lossless\)"):
        load_study([tmp_path])
