"""A DICOM file opened so that no file can harm the program.

A deflated file is never inflated beyond a limit, only the tags that the importer needs are read unless the pixels are
wanted, and whatever a damaged file provokes in the parser becomes a `HeaderError`.
"""

from __future__ import annotations

import io
import logging
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pydicom
from pydicom.dataset import Dataset

DEFLATED = "1.2.840.10008.1.2.1.99"
#: A deflated file may expand to this; one CT slice of 2048 x 2048 needs 8 MiB.
MAX_INFLATED_BYTES = 64 * 2**20
MAX_META_BYTES = 2**16
MAX_FILE_BYTES = 4 * 2**30

TAGS = [
    "SpecificCharacterSet", "ImageType", "SOPClassUID", "SOPInstanceUID", "StudyDate", "AcquisitionDate", "ContentDate",
    "SeriesDate", "AcquisitionDateTime", "StudyTime", "SeriesTime", "AcquisitionTime", "ContentTime", "Modality",
    "SeriesDescription", "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientAge",
    "ContrastBolusAgent", "ScanOptions", "SliceThickness", "SpacingBetweenSlices", "ProtocolName",
    "ContrastBolusStartTime", "GantryDetectorTilt", "ConvolutionKernel", "StudyInstanceUID",
    "SeriesInstanceUID", "SeriesNumber",
    "AcquisitionNumber", "InstanceNumber", "ImagePositionPatient", "ImageOrientationPatient", "FrameOfReferenceUID",
    "TemporalPositionIdentifier", "ImageComments", "SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames",
    "Rows", "Columns", "PixelSpacing", "BitsAllocated", "BitsStored", "PixelRepresentation", "PixelPaddingValue",
    "PixelPaddingRangeLimit", "RescaleIntercept", "RescaleSlope", "RescaleType", "LossyImageCompression",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "ConcatenationUID",
]  # fmt: skip


class HeaderError(Exception):
    """A file can't be used; `kind` is a short phrase under which it is counted."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


@contextmanager
def quiet() -> Iterator[None]:
    """Silence pydicom, which warns of odd values and logs them, a patient's name among them: we judge them."""
    logger = logging.getLogger("pydicom")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def open_dataset(path: Path, *, pixels: bool) -> tuple[Dataset, int]:
    """The dataset of a file and the number of bytes from the pixel element to the end of the file.

    With `pixels` the whole file is read, else only the importer's tags. Raises HeaderError.
    """
    with hostile():
        return open_unguarded(path, pixels=pixels)


@contextmanager
def hostile() -> Iterator[None]:
    """Whatever a damaged file provokes in the parser becomes a HeaderError that says so in a few words."""
    try:
        yield
    except HeaderError:
        raise
    except RecursionError:
        raise HeaderError("DICOM file with sequences nested too deeply") from None
    except PermissionError:
        raise HeaderError("file without read permission") from None
    except OSError:
        raise HeaderError("file that could not be read") from None
    except Exception:  # noqa: BLE001  the parser has no common base for its errors
        raise HeaderError("damaged DICOM file") from None


def open_unguarded(path: Path, *, pixels: bool) -> tuple[Dataset, int]:
    """`open_dataset` for a caller that guards itself with `hostile`."""
    size = path.stat().st_size
    if size == 0:
        raise HeaderError("empty file")
    if size > MAX_FILE_BYTES:
        raise HeaderError("file larger than 4 GiB")
    with path.open("rb") as stream:
        head = stream.read(132)
        bare = head[128:132] != b"DICM"
        if bare and not _looks_like_bare_dicom(head):
            raise HeaderError("not a DICOM file")
        source: BinaryIO = stream
        stream.seek(0)
        if not bare:  # pydicom itself inflates without limit, even when asked for the file meta information only
            stream.seek(132)
            syntax, start = _meta_information(stream.read(MAX_META_BYTES))
            if syntax == DEFLATED.encode():
                inflated = _inflated(path, 132 + start)
                source, size = inflated, len(inflated.getbuffer())
            stream.seek(0)
        tags: Any = None if pixels else TAGS
        dataset = pydicom.dcmread(source, force=bare, specific_tags=tags, stop_before_pixels=not pixels)
        return dataset, 0 if pixels else size - source.tell()


def _looks_like_bare_dicom(head: bytes) -> bool:
    """Some archives drop the 128-byte preamble: then the file begins with an element of group 0002 or 0008."""
    return len(head) >= 16 and head[:2] in (b"\x02\x00", b"\x08\x00") and head[3] == 0 and (
        head[4:6].isalpha() or head[6:8] == b"\x00\x00"
    )  # fmt: skip


def _meta_information(data: bytes) -> tuple[bytes, int]:
    """Transfer syntax and length of the file meta information (group 0002) that `data` begins with."""
    at, syntax = 0, b""
    while at + 8 <= len(data) and data[at : at + 2] == b"\x02\x00":
        long = data[at + 4 : at + 6] in (b"OB", b"OW", b"SQ", b"UN", b"UT")
        length = int.from_bytes(data[at + 8 : at + 12] if long else data[at + 6 : at + 8], "little")
        value_at = at + (12 if long else 8)
        if data[at + 2 : at + 4] == b"\x10\x00":
            syntax = data[value_at : value_at + length].rstrip(b"\0 ")
        at = value_at + length
    return syntax, at


def _inflated(path: Path, start: int) -> io.BytesIO:
    """A deflated file as a plain one, of no more than MAX_INFLATED_BYTES; `start` is where its dataset begins."""
    data = path.read_bytes()
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    body = inflater.decompress(data[start:], MAX_INFLATED_BYTES)
    if inflater.unconsumed_tail:
        raise HeaderError("deflated DICOM file that expands beyond 64 MiB")
    # The plain syntax's UID is 3 characters (".99") shorter, padded with NUL: the group's length stays true.
    meta = data[:start].replace(DEFLATED.encode(), b"1.2.840.10008.1.2.1\0\0\0")
    return io.BytesIO(meta + body)
