"""Files that are complete or not there."""

from pathlib import Path

import pytest

from LiverAILib.files import replacing


def test_a_file_takes_its_place_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "part.json"
    path.write_text("old")
    with replacing(path) as new:
        new.write_text("new")
        assert (new.parent, new.suffix, path.read_text()) == (tmp_path, ".json", "old")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def write_on_a_full_disk(path: Path) -> None:
    with replacing(path) as new:
        new.write_text("ne")
        raise OSError("full")


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "part.json"
    path.write_text("old")
    with pytest.raises(OSError, match="full"):
        write_on_a_full_disk(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_two_may_make_the_same_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "volume.npz"
    with replacing(path) as one, replacing(path) as other:
        one.write_text("one")
        other.write_text("other")
    assert path.read_text() == "one", "the last one that is done stays"
    assert list(tmp_path.iterdir()) == [path]
