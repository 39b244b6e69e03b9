"""What the importer knows of each image, as plain values. A multi-frame object gives one `Slice` per frame."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID

from LiverAILib.importing.opening import HeaderError, hostile, open_unguarded
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

#: No CT has larger images or more of them in one object.
MAX_MATRIX = 2048
MAX_FRAMES = 4096


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
    title: str
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


def read_slices(path: Path) -> list[Slice]:
    """The images in a file: one for a single-frame or non-image object, else one a frame. May raise HeaderError."""
    with hostile():
        dataset, tail = open_unguarded(path, pixels=False)
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


def _common(path: Path, dataset: Dataset, tail: int) -> dict[str, Any]:
    """The fields of `Slice` except `frame`, from the top level of the dataset."""
    image_type = value(dataset, "ImageType")
    words = [image_type] if isinstance(image_type, str) else list(image_type or [])
    patient = text(dataset, "PatientID") or text(dataset, "PatientName") + "|" + text(dataset, "PatientBirthDate")
    modality = text(dataset, "Modality").upper()
    syntax = getattr(dataset, "file_meta", Dataset()).get("TransferSyntaxUID") or "1.2.840.10008.1.2"
    fields: dict[str, Any] = {
        "path": path,
        "sop_class": text(dataset, "SOPClassUID"),
        "sop_uid": text(dataset, "SOPInstanceUID"),
        "transfer_syntax": str(syntax),
        "modality": modality if re.fullmatch(r"[A-Z0-9_]{1,16}", modality) else "unknown",
        "patient": hashlib.sha256(patient.encode(errors="replace")).hexdigest(),
        "study_uid": text(dataset, "StudyInstanceUID"),
        "series_uid": text(dataset, "SeriesInstanceUID"),
        "series_number": integer(dataset, "SeriesNumber"),
        "description": text(dataset, "SeriesDescription"),
        "title": _title(dataset),
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


def _title(dataset: Dataset) -> str:
    """The series description without the words of the patient's name and ID, should someone have typed them there."""
    words = re.split(r"[\s^=]+", f"{text(dataset, 'PatientName')} {text(dataset, 'PatientID')}")
    title = text(dataset, "SeriesDescription")
    for word in words:
        if len(word) >= 4:
            title = re.sub(re.escape(word), "***", title, flags=re.IGNORECASE)
    return title


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
