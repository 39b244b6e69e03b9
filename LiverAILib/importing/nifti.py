"""Checks on a NIfTI file's bytes that the reading library does not make.

The library (niftilib, inside ITK) turns NaN into 0 and reads a truncated compressed file without a word, so the bytes
are counted, the compressed stream's checksum is verified, and floating-point voxels are looked at before they are read.
"""

from __future__ import annotations

import gzip
import zlib
from io import BufferedIOBase
from pathlib import Path

import numpy as np

_HEADER_BYTES = 348
_CHUNK_BYTES = 2**24
#: NIfTI-1 data type codes of floating-point voxels.
_FLOATS = {16: "f4", 64: "f8"}


class NiftiProblem(Exception):
    """The file's bytes are not what its header says; the text says how."""


def check_bytes(path: Path, most_voxels: int) -> None:
    """Raise NiftiProblem when the file is truncated, damaged, holds NaN, or claims more voxels than `most_voxels`."""
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
        if packed:
            with gzip.open(path) as unpacked:
                _check(unpacked, most_voxels)
        else:
            with path.open("rb") as plain:
                _check(plain, most_voxels)
    except (EOFError, gzip.BadGzipFile, zlib.error, OSError) as error:
        raise NiftiProblem("it is truncated or damaged") from error


def _check(stream: BufferedIOBase | gzip.GzipFile, most_voxels: int) -> None:
    header = stream.read(_HEADER_BYTES)
    if len(header) < _HEADER_BYTES:
        raise NiftiProblem("it is empty or truncated")
    order = next((o for o in "<>" if int(np.frombuffer(header, f"{o}i4", 1)[0]) == _HEADER_BYTES), None)
    if order is None:
        return  # NIfTI-2 or another format: the library decides
    dimensions = np.frombuffer(header, f"{order}i2", 8, 40)
    kind, bits = (int(v) for v in np.frombuffer(header, f"{order}i2", 2, 70))
    offset = int(np.frombuffer(header, f"{order}f4", 1, 108)[0])
    voxels = int(
        np.prod(dimensions[1 : 1 + max(1, min(7, int(dimensions[0])))].astype(np.int64).clip(1), dtype=np.int64)
    )
    if voxels > most_voxels or header[344:348] == b"ni1\0":
        return  # the caller refuses the size by the header; the voxels of a pair lie in another file
    stream.read(max(0, offset - _HEADER_BYTES))
    wanted = voxels * bits // 8
    bad = 0
    while chunk := stream.read(_CHUNK_BYTES):
        used = chunk[: max(0, wanted)]
        wanted -= len(used)
        if kind in _FLOATS:
            whole = len(used) // (bits // 8) * (bits // 8)
            bad += int(np.count_nonzero(~np.isfinite(np.frombuffer(used[:whole], f"{order}{_FLOATS[kind]}"))))
        if wanted < -_CHUNK_BYTES:
            raise NiftiProblem("it goes on far beyond its voxels")
    if wanted > 0:
        raise NiftiProblem("it is truncated")
    if bad:
        raise NiftiProblem(f"{bad} of its voxels are NaN or infinite")
