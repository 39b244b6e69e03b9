"""One DICOM file's header, read so that no file can harm the program, as plain values.

The reader never inflates a deflated file beyond a limit, never decodes pixels, reads only the tags that the importer
needs, and turns what it can't use into `HeaderError`. A multi-frame object gives one `Slice` per frame.
"""

from __future__ import annotations

import hashlib
import io
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import UID

from LiverAILib.importing.tag_values import (
    acquired,
    age_of,
    integer,
    moment_of,
    number,
    numbers,
    seconds_of,
    text,
    value,
)

DEFLATED = "1.2.840.10008.1.2.1.99"
#: A deflated file may expand to this; one CT slice of 2048 x 2048 needs 8 MiB.
MAX_INFLATED_BYTES = 64 * 2**20
MAX_META_BYTES = 2**16
MAX_FILE_BYTES = 4 * 2**30
#: No CT has larger images or more of them in one object.
MAX_MATRIX = 2048
MAX_FRAMES = 4096

_TAGS = [
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


@dataclass(frozen=True, slots=True)
class Slice:
    """What the importer knows of one image: a single-frame file, or one frame of a multi-frame one.

    Positions and spacings are in mm, LPS; a tag that is absent or unreadable is None. `patient` is a hash: the name
    and the ID are never kept. `problem` says what already the header rules out (no pixels, absurd size).
    """

    path: Path
    frame: int | None
    sop_class: str
    sop_uid: str
    transfer_syntax: str
    modality: str
    patient: str
    study_uid: str
    series_uid: str
    series_number: int | None
    description: str
    protocol: str
    comments: str
    image_type: tuple[str, ...]
    kernel: str
    scan_options: str
    rows: int
    columns: int
    frames: int
    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    pixel_spacing: tuple[float, ...] | None
    thickness: float | None
    frame_of_reference: str
    acquisition_number: int | None
    temporal_position: int | None
    instance_number: int | None
    acquired: datetime | None
    injected_seconds: float | None
    acquired_seconds: float | None
    contrast_agent: str
    slope: float | None
    intercept: float | None
    rescale_type: str
    photometric: str
    samples: int
    bits_allocated: int
    bits_stored: int
    signed: bool
    padding: int | None
    padding_limit: int | None
    lossy: bool
    tilt_deg: float | None
    age: float | None
    sex: str | None
    problem: str | None


@contextmanager
def quiet() -> Iterator[None]:
    """pydicom warns about every odd value; the importer judges the values itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def open_dataset(path: Path, *, pixels: bool) -> tuple[Dataset, int]:
    """The dataset of a file and the number of bytes from the pixel element to the end of the file.

    With `pixels` the whole file is read, else only the importer's tags. Raises HeaderError.
    """
    with _hostile():
        return _open(path, pixels=pixels)


def read_slices(path: Path) -> list[Slice]:
    """The images in a file: one for a single-frame or non-image object, else one a frame. May raise HeaderError."""
    with _hostile():
        dataset, tail = _open(path, pixels=False)
        if not any(keyword in dataset for keyword in ("SOPClassUID", "Modality", "Rows")):
            raise HeaderError("damaged DICOM file")
        if text(dataset, "SOPClassUID") == "1.2.840.10008.1.3.10":
            raise HeaderError("DICOMDIR index")
        common = _common(path, dataset, tail)
        if "NumberOfFrames" not in dataset or common["problem"] is not None or common["modality"] != "CT":
            return [Slice(frame=None, **common)]
        if "PerFrameFunctionalGroupsSequence" not in dataset and common["frames"] == 1:
            return [Slice(frame=0, **common)]
        return _frames(dataset, common)


@contextmanager
def _hostile() -> Iterator[None]:
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


def _open(path: Path, *, pixels: bool) -> tuple[Dataset, int]:
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
        tags: Any = None if pixels else _TAGS
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


def _common(path: Path, dataset: Dataset, tail: int) -> dict[str, Any]:
    """The fields of `Slice` except `frame`, from the top level of the dataset."""
    image_type = value(dataset, "ImageType")
    words = [image_type] if isinstance(image_type, str) else list(image_type or [])
    patient = "|".join(text(dataset, k) for k in ("PatientID", "PatientName", "PatientBirthDate"))
    syntax = getattr(dataset, "file_meta", Dataset()).get("TransferSyntaxUID") or "1.2.840.10008.1.2"
    fields: dict[str, Any] = {
        "path": path,
        "sop_class": text(dataset, "SOPClassUID"),
        "sop_uid": text(dataset, "SOPInstanceUID"),
        "transfer_syntax": str(syntax),
        "modality": text(dataset, "Modality").upper(),
        "patient": hashlib.sha256(patient.encode(errors="replace")).hexdigest(),
        "study_uid": text(dataset, "StudyInstanceUID"),
        "series_uid": text(dataset, "SeriesInstanceUID"),
        "series_number": integer(dataset, "SeriesNumber"),
        "description": text(dataset, "SeriesDescription"),
        "protocol": text(dataset, "ProtocolName"),
        "comments": text(dataset, "ImageComments"),
        "image_type": tuple(str(word).strip().upper() for word in words),
        "kernel": text(dataset, "ConvolutionKernel"),
        "scan_options": text(dataset, "ScanOptions"),
        "rows": integer(dataset, "Rows") or 0,
        "columns": integer(dataset, "Columns") or 0,
        "frames": integer(dataset, "NumberOfFrames") or 1,
        "position": numbers(dataset, "ImagePositionPatient", 3),
        "orientation": numbers(dataset, "ImageOrientationPatient", 6),
        "pixel_spacing": numbers(dataset, "PixelSpacing", 2),
        "thickness": number(dataset, "SliceThickness"),
        "frame_of_reference": text(dataset, "FrameOfReferenceUID"),
        "acquisition_number": integer(dataset, "AcquisitionNumber"),
        "temporal_position": integer(dataset, "TemporalPositionIdentifier"),
        "instance_number": integer(dataset, "InstanceNumber"),
        "acquired": acquired(dataset),
        "acquired_seconds": seconds_of(text(dataset, "AcquisitionTime")),
        "injected_seconds": seconds_of(text(dataset, "ContrastBolusStartTime")),
        "contrast_agent": text(dataset, "ContrastBolusAgent"),
        "slope": number(dataset, "RescaleSlope"),
        "intercept": number(dataset, "RescaleIntercept"),
        "rescale_type": text(dataset, "RescaleType").upper(),
        "photometric": text(dataset, "PhotometricInterpretation"),
        "samples": integer(dataset, "SamplesPerPixel") or 1,
        "bits_allocated": integer(dataset, "BitsAllocated") or 0,
        "bits_stored": integer(dataset, "BitsStored") or integer(dataset, "BitsAllocated") or 0,
        "signed": integer(dataset, "PixelRepresentation") == 1,
        "padding": integer(dataset, "PixelPaddingValue"),
        "padding_limit": integer(dataset, "PixelPaddingRangeLimit"),
        "lossy": text(dataset, "LossyImageCompression") == "01",
        "tilt_deg": number(dataset, "GantryDetectorTilt"),
        "age": age_of(dataset),
        "sex": {"F": "female", "M": "male"}.get(text(dataset, "PatientSex").upper()),
    }
    return fields | {"problem": _problem(fields, tail)}


def _problem(fields: dict[str, Any], tail: int) -> str | None:
    """What the header alone rules out, before any pixel is touched.

    `tail`: bytes from the pixel element to the file's end.
    """
    rows, columns, frames, bits = (fields[k] for k in ("rows", "columns", "frames", "bits_allocated"))
    if not (rows or columns):
        return "no image"
    if not (0 < rows <= MAX_MATRIX and 0 < columns <= MAX_MATRIX and 0 < frames <= MAX_FRAMES):
        return f"absurd size ({columns} x {rows} pixels, {frames} frames)"
    if fields["samples"] != 1:
        return "a colour picture"
    if bits not in (8, 16, 32):
        return f"{bits} bits per pixel"
    if tail <= 12:
        return "no pixel data"
    if not UID(fields["transfer_syntax"]).is_compressed and tail < rows * columns * frames * bits // 8:
        return "truncated pixel data"
    return None


def _frames(dataset: Dataset, common: dict[str, Any]) -> list[Slice]:
    """The frames of an enhanced (or legacy converted) multi-frame CT, each with its own geometry, time and rescale."""
    shared = (value(dataset, "SharedFunctionalGroupsSequence") or [Dataset()])[0]
    per_frame = value(dataset, "PerFrameFunctionalGroupsSequence") or []
    if len(per_frame) != common["frames"] or "ConcatenationUID" in dataset:
        reason = "multi-frame image without a position for each frame"
        return [Slice(frame=None, **(common | {"problem": reason}))]

    slices = []
    for index, own in enumerate(per_frame):

        def or_else(new: Any, key: str) -> Any:
            return common[key] if new is None else new

        def group(name: str, own: Dataset = own) -> Dataset:
            sequence = value(own, name) or value(shared, name)
            return sequence[0] if sequence else Dataset()

        plane, measures = group("PlanePositionSequence"), group("PixelMeasuresSequence")
        content, rescale = group("FrameContentSequence"), group("PixelValueTransformationSequence")
        kind = group("CTImageFrameTypeSequence")
        when = text(content, "FrameAcquisitionDateTime") or text(content, "FrameReferenceDateTime")
        frame_type = value(kind, "FrameType")
        fields = common | {
            "position": numbers(plane, "ImagePositionPatient", 3),
            "orientation": numbers(group("PlaneOrientationSequence"), "ImageOrientationPatient", 6),
            "pixel_spacing": or_else(numbers(measures, "PixelSpacing", 2), "pixel_spacing"),
            "thickness": or_else(number(measures, "SliceThickness"), "thickness"),
            "temporal_position": integer(content, "TemporalPositionIndex"),
            "acquisition_number": or_else(integer(content, "FrameAcquisitionNumber"), "acquisition_number"),
            "instance_number": index + 1,
            "acquired": moment_of(when) or common["acquired"],
            "slope": or_else(number(rescale, "RescaleSlope"), "slope"),
            "intercept": or_else(number(rescale, "RescaleIntercept"), "intercept"),
            "rescale_type": text(rescale, "RescaleType").upper() or common["rescale_type"],
            "image_type": tuple(str(w).upper() for w in frame_type) if frame_type else common["image_type"],
            "sop_uid": f"{common['sop_uid']}#{index}",
        }
        slices.append(Slice(frame=index, **fields))
    return slices
