"""Where exports go: a folder or file is complete or not there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from LiverAILib.errors import OutputError
from LiverAILib.export.place import reserve
from LiverAILib.files import replacing
from LiverAILib.readerstudy.dataset import Dataset
from LiverAILib.readerstudy.exchange.long_csv import write_long


def write_folder(out: Path, data: Dataset) -> None:
    """Write the long CSV layout to a new folder. Raises OutputError if it is there already or can't be written."""
    with reserve(out, overwrite=False, replaceable=lambda _: False) as place:
        place.fill(lambda folder: write_long(folder, data), False)


def write_file(out: Path, write: Callable[[Path], None]) -> None:
    """Let `write` write a new file beside its place, then take it. Raises OutputError, also if it is there already."""
    if out.exists():
        raise OutputError(f"{out} is there already. Choose another name.")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with replacing(out) as temporary:
            write(temporary)
    except OSError as error:
        raise OutputError(f"{out} can't be written: {error.strerror or error}. Choose another folder.") from error
