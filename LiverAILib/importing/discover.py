"""Which files there are: folders are walked within limits, links are not followed, everything skipped is counted."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from LiverAILib.errors import StudyError
from LiverAILib.importing.header import Slice, read_slices
from LiverAILib.importing.opening import HeaderError, quiet

MAX_DEPTH = 16
MAX_FILES = 200_000
#: Files that are volumes by themselves.
VOLUME_SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")


@dataclass
class Found:
    """What the paths hold: the DICOM images, the volume files, and how many files were skipped for which reason."""

    slices: list[Slice] = field(default_factory=list)
    volume_files: list[Path] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)


def is_volume_file(path: Path) -> bool:
    """Whether the name is that of a NIfTI, NRRD or MetaImage volume."""
    return path.name.lower().endswith(VOLUME_SUFFIXES)


def discover(paths: Sequence[Path], progress: Callable[[float, str], None] | None = None) -> Found:
    """Read the header of every file below `paths`.

    Raises StudyError for a path that is not there or holds too many files.
    """
    found = Found()
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            _walk(path, files, found.skipped)
        elif path.is_file():
            files.append(path)
        else:
            raise StudyError(f'"{path}" is neither a file nor a folder. Check the path.')
    unique = list(dict.fromkeys(files))
    with quiet():
        for index, path in enumerate(unique):
            if progress and index % 100 == 0:
                progress(index / len(unique), f"Reading headers: {index} of {len(unique)} files")
            _read(path, found)
    return found


def _read(path: Path, found: Found) -> None:
    if is_volume_file(path):
        found.volume_files.append(path)
        return
    try:
        found.slices.extend(read_slices(path))
    except HeaderError as error:
        found.skipped[error.kind] += 1


def _walk(root: Path, files: list[Path], skipped: Counter[str]) -> None:
    """Append the regular files below `root`, in a stable order."""

    def denied(_: OSError) -> None:
        skipped["folder without read permission"] += 1

    base = len(root.parts)
    for folder, names, file_names in os.walk(root, onerror=denied, followlinks=False):
        here = Path(folder)
        for name in [name for name in names if (here / name).is_symlink()]:
            skipped["link (not followed)"] += 1
            names.remove(name)
        if len(here.parts) - base >= MAX_DEPTH and names:
            skipped["folder nested too deeply"] += len(names)
            names.clear()
        names.sort()
        for name in sorted(file_names):
            path = here / name
            if path.is_symlink():
                skipped["link (not followed)"] += 1
            elif path.is_file():
                files.append(path)
            else:
                skipped["not a regular file"] += 1
        if len(files) > MAX_FILES:
            raise StudyError(f'"{root}" holds more than {MAX_FILES} files. Choose the folder of one exam.')
