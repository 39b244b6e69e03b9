"""Small CT exams as DICOM, sound or with one chosen fault, for the importer's tests."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, generate_uid

#: Real CT for trying out, beside the project (or where LIVERAI_DATA says); tests that need it skip without it.
DATA = Path(os.environ.get("LIVERAI_DATA") or Path(__file__).parents[3] / "shared" / "data")

SIZE, PIXEL_MM, STEP_MM, COUNT = 80, 4.0, 5.0, 24
STUDY, FRAME = generate_uid(entropy_srcs=["study"]), generate_uid(entropy_srcs=["frame"])
#: HU of aorta, liver and spleen in each phase (Goshima et al., AJR 2006).
LOOKS = {
    "plain": (42, 56, 48),
    "arterial": (320, 74, 130),
    "portal": (160, 114, 122),
    "delayed": (104, 90, 92),
}
Edit = Callable[[Dataset, int], None]


@functools.cache
def anatomy(look: str = "portal", count: int = COUNT) -> npt.NDArray[np.int16]:
    """A trunk in HU, (z, y, x) from feet to head: body, spine, aorta, liver, spleen."""
    aorta, liver, spleen = LOOKS[look]
    z, y, x = np.meshgrid(
        np.arange(count) * STEP_MM, (np.arange(SIZE) - 40) * PIXEL_MM, (np.arange(SIZE) - 40) * PIXEL_MM, indexing="ij"
    )
    middle = (count - 1) * STEP_MM / 2
    hu = np.full(z.shape, -1000.0)
    hu[(x / 150) ** 2 + (y / 105) ** 2 < 1] = -100
    hu[((x / 140) ** 2 + (y / 95) ** 2 < 1) & ((x / 128) ** 2 + (y / 83) ** 2 > 1)] = 55
    hu[((x + 70) / 55) ** 2 + ((y + 10) / 62) ** 2 + ((z - middle) / 70) ** 2 < 1] = liver
    hu[((x - 95) / 26) ** 2 + ((y - 30) / 36) ** 2 + ((z - middle) / 50) ** 2 < 1] = spleen
    hu[np.hypot(x, y - 50) < 22] = 250
    hu[np.hypot(x - 14, y - 12) < 12] = aorta
    noise = np.random.default_rng(7).normal(0, 6, hu.shape)
    return np.rint(hu + noise).astype(np.int16)


def slice_dataset(
    pixels: npt.NDArray[np.int16], index: int, *, description: str, number: int, series_uid: str
) -> FileDataset:
    """One axial CT image; HU are stored with an intercept of -1024."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = generate_uid(entropy_srcs=["tests"])
    d = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    d.SOPClassUID, d.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    d.SpecificCharacterSet = "ISO_IR 192"
    d.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    d.Modality, d.SeriesDescription, d.SeriesNumber = "CT", description, number
    d.StudyInstanceUID, d.SeriesInstanceUID, d.FrameOfReferenceUID = STUDY, series_uid, FRAME
    d.PatientID, d.PatientName, d.PatientBirthDate = "SECRET-ID-1", "Secret^Name", "19600102"
    d.PatientSex, d.PatientAge = "F", "065Y"
    d.StudyDate = d.AcquisitionDate = "20260102"
    d.StudyTime, d.AcquisitionTime = "100000", f"10{number % 60:02d}00"
    d.StudyID = d.AccessionNumber = ""
    d.AcquisitionNumber, d.InstanceNumber = 1, index + 1
    d.ImagePositionPatient = [-SIZE * PIXEL_MM / 2, -SIZE * PIXEL_MM / 2, index * STEP_MM]
    d.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    d.PixelSpacing, d.SliceThickness = [PIXEL_MM, PIXEL_MM], STEP_MM
    d.Rows, d.Columns = pixels.shape
    d.SamplesPerPixel, d.PhotometricInterpretation = 1, "MONOCHROME2"
    d.BitsAllocated = d.BitsStored = 16
    d.HighBit, d.PixelRepresentation = 15, 0
    d.RescaleSlope, d.RescaleIntercept, d.RescaleType = 1, -1024, "HU"
    d.PixelData = (pixels.astype(np.int32) + 1024).clip(0).astype("<u2").tobytes()
    return d


def write_series(
    folder: Path,
    *,
    look: str = "portal",
    description: str = "portal venous",
    number: int = 4,
    count: int = COUNT,
    edit: Edit | None = None,
    skip: Sequence[int] = (),
    syntax: UID | None = None,
    series_uid: str | None = None,
) -> list[Path]:
    """Write a series with file names that say nothing of the order; `edit(dataset, index)` may change each image."""
    folder.mkdir(parents=True, exist_ok=True)
    uid = series_uid or generate_uid()
    pixels = anatomy(look, count)
    paths = []
    for index in range(count):
        if index in skip:
            continue
        dataset = slice_dataset(pixels[index], index, description=description, number=number, series_uid=uid)
        if edit is not None:
            edit(dataset, index)
        if syntax is not None:
            dataset.compress(syntax, encoding_plugin="")
        path = folder / f"{(index * 7919) % 1009:04d}_{number}_{dataset.SOPInstanceUID[-6:]}"
        dataset.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def setting(**values: object) -> Edit:
    """An edit that gives every image these tag values; None deletes the tag."""

    def edit(dataset: Dataset, index: int) -> None:
        for keyword, value in values.items():
            if value is None:
                delattr(dataset, keyword)
            else:
                setattr(dataset, keyword, value)

    return edit
