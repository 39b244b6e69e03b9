"""NRRD files, written and read a slab at a time.

Our own reader and writer, because SimpleITK reports no error when the disk is full, can't write Slicer's layers, and
believes any size that a damaged header states. Only what a run folder holds is covered: gzip, little endian, LPS.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from LiverAILib.errors import RunFolderError

_TYPES: dict[str, np.dtype[Any]] = {
    "uint8": np.dtype("u1"),
    "uint16": np.dtype("<u2"),
    "int16": np.dtype("<i2"),
    "float": np.dtype("<f4"),
}
_NAMES = {dtype: name for name, dtype in _TYPES.items()}
_KEYS = {
    "type",
    "dimension",
    "space",
    "sizes",
    "space directions",
    "kinds",
    "endian",
    "encoding",
    "space origin",
}
_SLAB_BYTES = 4 << 20
_HEADER_LIMIT = 4 << 20
#: Larger arrays are refused before anything is allocated: four times 1024 x 1024 x 1000 voxels of 4 bytes.
_DATA_LIMIT = 16 << 30


@dataclass(frozen=True)
class Header:
    """A NRRD header.

    shape: (z, y, x), or (z, y, x, layer) with layers. affine: 4x4, voxel index (x, y, z, 1) to mm, LPS.
    fields: the `key:=value` pairs. offset: where the data begin, in bytes.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    affine: npt.NDArray[np.float64]
    fields: Mapping[str, str]
    offset: int


def write_nrrd(
    path: Path, array: npt.NDArray[Any], affine: npt.NDArray[np.float64], fields: Mapping[str, str] | None = None
) -> None:
    """Write `array`, (z, y, x) or (z, y, x, layer) of uint8, uint16, int16 or float32, gzipped.

    affine: 4x4, voxel index (x, y, z, 1) to mm, LPS. Raises OSError when the disk is full; the caller removes the file.
    """
    dtype = array.dtype.newbyteorder("<") if array.dtype.itemsize > 1 else array.dtype
    sizes = array.shape[::-1]
    layered = array.ndim == 4
    directions = " ".join("(" + ",".join(repr(float(v)) for v in affine[:3, axis]) + ")" for axis in range(3))
    lines = [
        "NRRD0004",
        f"type: {_NAMES[dtype]}",
        f"dimension: {array.ndim}",
        "space: left-posterior-superior",
        f"sizes: {' '.join(map(str, sizes))}",
        f"space directions: {'none ' if layered else ''}{directions}",
        f"kinds: {'list ' if layered else ''}domain domain domain",
        "endian: little",
        "encoding: gzip",
        f"space origin: ({','.join(repr(float(v)) for v in affine[:3, 3])})",
    ]
    lines += [f"{key}:={_escape(value)}" for key, value in (fields or {}).items()]
    with path.open("wb") as file:
        file.write(("\n".join(lines) + "\n\n").encode())
        packer = zlib.compressobj(1, zlib.DEFLATED, 31)  # 31: with a gzip frame
        for slab in _slabs(array):
            file.write(packer.compress(np.ascontiguousarray(slab, dtype=dtype).view(np.uint8).data))
        file.write(packer.flush())


def read_header(path: Path) -> Header:
    """The header of a NRRD file as `write_nrrd` writes it, checked.

    Raises RunFolderError when it is not one, or states a size that no CT has.
    """
    with path.open("rb") as file:
        start = file.read(_HEADER_LIMIT)
    text, found, _ = start.partition(b"\n\n")
    if not text.startswith(b"NRRD000") or not found:
        raise RunFolderError(f"{path.name} is not a NRRD file, or it is damaged. Run the analysis again.")
    standard: dict[str, str] = {}
    fields: dict[str, str] = {}
    for line in text.decode("utf-8", "replace").split("\n")[1:]:
        key, pair, value = line.partition(":=")
        if pair:
            fields[key] = _unescape(value)
        elif not line.startswith("#"):
            key, _, value = line.partition(":")
            standard[key.strip()] = value.strip()
    try:
        header = _interpret(standard, fields, len(text) + 2)
    except (KeyError, ValueError, OverflowError) as error:
        raise RunFolderError(f"{path.name} has a damaged header ({error}). Run the analysis again.") from error
    if not 0 < int(np.prod(header.shape, dtype=object)) * header.dtype.itemsize <= _DATA_LIMIT:
        raise RunFolderError(f"{path.name} claims {header.shape} voxels, which no CT has. Run the analysis again.")
    return header


def read_nrrd(path: Path) -> tuple[npt.NDArray[Any], Header]:
    """The array and the header of a file that `write_nrrd` wrote.

    Raises RunFolderError when it is cut short, longer than its header says, or damaged (gzip's check sum).
    """
    header = read_header(path)
    try:
        array: npt.NDArray[Any] = np.empty(header.shape, dtype=header.dtype)
    except MemoryError:
        raise RunFolderError(f"{path.name} claims {header.shape} voxels, too many for this machine.") from None
    target = array.reshape(-1).view(np.uint8)
    done = 0
    for block in _blocks(path, header):
        if done + len(block) > target.size:
            raise RunFolderError(f"{path.name} holds more data than its header says. Run the analysis again.")
        target[done : done + len(block)] = np.frombuffer(block, dtype=np.uint8)
        done += len(block)
    if done != target.size:
        raise RunFolderError(f"{path.name} is cut short: {done} of {target.size} bytes. Run the analysis again.")
    return array, header


def same_as_file(path: Path, array: npt.NDArray[Any]) -> bool:
    """Whether the file holds exactly this array; read a slab at a time. Raises RunFolderError when it is damaged."""
    header = read_header(path)
    if header.shape != array.shape or header.dtype != array.dtype:
        return False
    blocks = _blocks(path, header)
    rest = b""
    for slab in _slabs(array):
        wanted = np.ascontiguousarray(slab).view(np.uint8).data.cast("B")
        parts = [rest]
        have = len(rest)
        while have < len(wanted):
            block = next(blocks, b"")
            if not block:
                return False
            parts.append(block)
            have += len(block)
        data = b"".join(parts)
        if data[: len(wanted)] != wanted:
            return False
        rest = data[len(wanted) :]
    return not rest and next(blocks, b"") == b""


def _slabs(array: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    step = max(1, _SLAB_BYTES // max(1, array[0].nbytes))
    for start in range(0, len(array), step):
        yield array[start : start + step]


def _blocks(path: Path, header: Header) -> Iterator[bytes]:
    """The unpacked bytes, at most a slab at a time, so that a small file can't unpack into all of the memory."""
    unpacker = zlib.decompressobj(31)
    try:
        with path.open("rb") as file:
            file.seek(header.offset)
            while packed := file.read(1 << 20):
                while packed:
                    if block := unpacker.decompress(packed, _SLAB_BYTES):
                        yield block
                    packed = unpacker.unconsumed_tail
            while block := unpacker.decompress(unpacker.unconsumed_tail, _SLAB_BYTES):
                yield block
    except zlib.error as error:
        raise RunFolderError(f"{path.name} is damaged ({error}). Run the analysis again.") from error
    if not unpacker.eof:
        raise RunFolderError(f"{path.name} is cut short. Run the analysis again.")


def _interpret(standard: Mapping[str, str], fields: Mapping[str, str], offset: int) -> Header:
    if unknown := set(standard) - _KEYS:  # such as "data file", which would lead other readers out of the folder
        raise ValueError(f'field "{sorted(unknown)[0][:40]}"')
    if standard["encoding"] != "gzip" or standard.get("endian", "little") != "little":
        raise ValueError("not gzip, little endian")
    if standard["space"] != "left-posterior-superior":
        raise ValueError(f'space "{standard["space"]}"')
    sizes = [int(size) for size in standard["sizes"].split()]
    if len(sizes) not in (3, 4) or min(sizes) < 1 or int(standard["dimension"]) != len(sizes):
        raise ValueError(f"sizes {sizes}")
    directions = standard["space directions"].split()
    affine = np.eye(4)
    affine[:3, :3] = np.array([_vector(text) for text in directions if text != "none"]).T
    affine[:3, 3] = _vector(standard["space origin"])
    if not np.isfinite(affine).all():
        raise ValueError("directions that are not finite")
    return Header(tuple(sizes[::-1]), _TYPES[standard["type"]], affine, fields, offset)


def _vector(text: str) -> list[float]:
    values = [float(part) for part in text.strip("()").split(",")]
    if len(values) != 3:
        raise ValueError(f'vector "{text[:40]}"')
    return values


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n")


def _unescape(value: str) -> str:
    return re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], value)
