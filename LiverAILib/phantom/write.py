"""A phantom exam as files: DICOM as a scanner would send it, or NIfTI with label maps; always with its truth."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from LiverAILib.errors import OutputError
from LiverAILib.phantom.generate import Phantom
from LiverAILib.study import Phase, Volume, array_to_sitk

#: Series descriptions as they come from hospitals; the first of each is the most common.
DESCRIPTIONS: dict[Phase, tuple[str, ...]] = {
    Phase.NON_CONTRAST: ("Abdomen C-", "LIVER WO", "Abdomen nativ 5.0 B30f", "平扫", "ABDO SANS INJ"),
    Phase.ARTERIAL: ("Abdomen ART", "LATE ART 35s", "Abdomen arteriell 5.0 B30f", "动脉期", "ABDO ARTERIEL"),
    Phase.PORTAL_VENOUS: ("Abdomen PV", "PORTAL VENOUS 70s", "Abdomen portalvenös 5.0 B30f", "门静脉期", "ABDO PORTAL"),
    Phase.DELAYED: ("Abdomen DELAYED", "DELAY 3min", "Abdomen spät 5.0 B30f", "延迟期", "ABDO TARDIF"),
}
_AGENT = "Iodinated contrast 350 mg/ml"


def write_truth(phantom: Phantom, path: Path | str) -> None:
    """Write the truth record as JSON. Raises OutputError when it can't be written."""
    _guard(Path(path), lambda target: target.write_text(phantom.truth.model_dump_json(indent=2), encoding="utf-8"))


def write_dicom(phantom: Phantom, folder: Path | str) -> list[Path]:
    """Write all phases as CT Image objects into one folder, under names that say nothing, and return the files.

    One series per phase; UIDs, names and times are drawn from the seed, so the same exam gives the same files.
    Raises OutputError when the folder holds something already or can't be written.
    """
    folder = _fresh(Path(folder))
    rng = np.random.default_rng([phantom.truth.seed, 777])
    common = _Common(phantom, rng)
    names = rng.permutation(sum(v.array.shape[0] for v in phantom.study.volumes.values())) + 1
    files: list[Path] = []
    for number, (phase, volume) in enumerate(phantom.study.volumes.items(), start=2):
        series = _uid(rng)
        uids = [_uid(rng) for _ in range(volume.array.shape[0])]
        for k, uid in enumerate(uids):
            dataset = common.slice(phase, volume, k, uid, series, number)
            path = folder / f"I{int(names[len(files)]):07d}"
            _guard(path, partial(dataset.save_as, enforce_file_format=True))
            files.append(path)
    return files


def write_nifti(phantom: Phantom, folder: Path | str) -> list[Path]:
    """Write `<phase>.nii.gz`, `<phase>_labels.nii.gz`, `<phase>_lesions.nii.gz` for each phase and `truth.json`.

    Each image is read back and compared, as a full disk goes unnoticed otherwise. Raises OutputError.
    """
    folder = _fresh(Path(folder))
    files = []
    for phase, volume in phantom.study.volumes.items():
        parts = {
            f"{phase}.nii.gz": volume.array,
            f"{phase}_labels.nii.gz": phantom.labels[phase],
            f"{phase}_lesions.nii.gz": phantom.lesion_ids[phase],
        }
        for name, array in parts.items():
            write_image(array, volume, folder / name)
            files.append(folder / name)
    write_truth(phantom, folder / "truth.json")
    return [*files, folder / "truth.json"]


def write_image(array: np.ndarray[Any, Any], volume: Volume, path: Path) -> None:
    """Write an array on a volume's grid and check it by reading back."""
    import SimpleITK as sitk

    try:
        sitk.WriteImage(array_to_sitk(array, volume.affine), str(path), useCompression=True)
        same = np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(path))), array)
    except RuntimeError as error:
        raise OutputError(f"{path} can't be written. Check that the folder is writable and not full.") from error
    if not same:
        raise OutputError(f"{path} was not written whole. Check that the disk is not full.")


def _fresh(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        used = any(folder.iterdir())
    except OSError as error:
        raise OutputError(f"{folder} can't be made or read: {error.strerror}. Choose another folder.") from error
    if used:
        raise OutputError(f"{folder} is not empty. Choose another folder; nothing is overwritten.")
    return folder


def _guard(path: Path, write: Callable[[Path], object]) -> None:
    try:
        write(path)
    except OSError as error:
        raise OutputError(
            f"{path} can't be written: {error.strerror}. Free some space or choose another folder."
        ) from error


def _uid(rng: np.random.Generator) -> UID:
    """A UID of the 2.25 root with 122 random bits."""
    words = rng.integers(0, 1 << 32, 4, dtype=np.uint64)
    value = sum(int(word) << (32 * k) for k, word in enumerate(words)) % (1 << 122)
    return UID(f"2.25.{value + 1}")


class _Common:
    """What all images of the exam share, and one image from it."""

    def __init__(self, phantom: Phantom, rng: np.random.Generator) -> None:
        self.truth = phantom.truth
        self.clinical = phantom.study.clinical
        self.study_uid, self.frame_uid = _uid(rng), _uid(rng)
        self.dialect = int(rng.choice(5, p=[0.45, 0.25, 0.12, 0.12, 0.06]))
        day = date(2019, 1, 1) + timedelta(days=int(rng.integers(0, 2000)))
        late = rng.random() < 0.03  # an exam around midnight
        minute = 23 * 60 + 57 if late else int(rng.integers(7 * 60, 20 * 60))
        self.start = datetime(day.year, day.month, day.day) + timedelta(minutes=minute, seconds=int(rng.integers(60)))  # noqa: DTZ001 DICOM times are local
        self.kvp = float(rng.choice([100, 120, 120, 140]))
        self.current = int(rng.integers(120, 420))
        self.sharp = bool(rng.random() < 0.2)

    def slice(self, phase: Phase, volume: Volume, k: int, uid: UID, series: UID, number: int) -> FileDataset:
        """One CT Image object: slice k of a phase."""
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = uid
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        ds.SpecificCharacterSet = "ISO_IR 192"
        ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, uid
        self._patient_and_study(ds)
        self._series(ds, phase, series, number)
        self._image(ds, volume, k)
        return ds

    def _patient_and_study(self, ds: FileDataset) -> None:
        ds.PatientName = f"Phantom^{self.truth.seed}"
        ds.PatientID = f"PHANTOM-{self.truth.seed}"
        ds.PatientBirthDate = ""
        ds.PatientSex = {"female": "F", "male": "M", None: ""}[self.clinical.sex]
        if self.clinical.age is not None:
            ds.PatientAge = f"{int(self.clinical.age):03d}Y"
        ds.StudyInstanceUID = self.study_uid
        ds.StudyDate = self.start.strftime("%Y%m%d")
        ds.StudyTime = self.start.strftime("%H%M%S")
        ds.StudyID = str(self.truth.seed % 100000)
        ds.AccessionNumber = ""
        ds.ReferringPhysicianName = ""
        ds.StudyDescription = "CT Liver"

    def _series(self, ds: FileDataset, phase: Phase, series: UID, number: int) -> None:
        seconds = self.truth.seconds_after_injection[phase]
        # Plain images come four minutes before the injection.
        injected = self.start + timedelta(minutes=6)
        taken = injected + timedelta(seconds=seconds if phase is not Phase.NON_CONTRAST else -240)
        ds.Modality = "CT"
        ds.SeriesInstanceUID = series
        ds.SeriesNumber = number
        ds.SeriesDescription = DESCRIPTIONS[phase][self.dialect]
        ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = taken.strftime("%Y%m%d")
        ds.SeriesTime = ds.AcquisitionTime = taken.strftime("%H%M%S.%f")
        ds.ContentTime = (taken + timedelta(seconds=8)).strftime("%H%M%S")
        ds.AcquisitionNumber = number - 1
        ds.PatientPosition = "FFS"
        ds.BodyPartExamined = "ABDOMEN"
        ds.Manufacturer = "LiverAI"
        ds.ManufacturerModelName = "Phantom"
        ds.FrameOfReferenceUID = self.frame_uid
        ds.PositionReferenceIndicator = ""
        ds.KVP = self.kvp
        ds.XRayTubeCurrent = self.current
        ds.ConvolutionKernel = "B40f" if self.sharp else "B30f"
        ds.ProtocolName = "Liver multiphase"
        if phase is not Phase.NON_CONTRAST:
            ds.ContrastBolusAgent = _AGENT
            ds.ContrastBolusRoute = "IV"
            ds.ContrastBolusStartTime = injected.strftime("%H%M%S")

    def _image(self, ds: FileDataset, volume: Volume, k: int) -> None:
        array = volume.array[k]
        sz, sy, sx = volume.spacing_mm
        position = volume.to_lps([k, 0, 0])
        ds.InstanceNumber = volume.array.shape[0] - k  # scanners count from the head
        ds.ImagePositionPatient = [f"{v:.6g}" for v in position]
        ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        ds.SliceLocation = f"{position[2]:.6g}"
        ds.SliceThickness = f"{sz:.6g}"
        ds.SpacingBetweenSlices = f"{sz:.6g}"
        ds.PixelSpacing = [f"{sy:.8g}", f"{sx:.8g}"]
        ds.SamplesPerPixel = 1
        ds.PhotometricInterpretation = "MONOCHROME2"
        ds.Rows, ds.Columns = array.shape
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
        ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = -1024, 1, "HU"
        ds.WindowCenter, ds.WindowWidth = 60, 350
        ds.ImageComments = "Synthetic image (phantom), not a patient"
        ds.PixelData = (array.astype(np.int32) + 1024).astype("<u2").tobytes()
