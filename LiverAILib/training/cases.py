"""Training cases: a folder of labelled CT, checked, split by patient, and kept on the network's in-plane grid.

Layout of the folder (NIfTI, one set of files a case):

    NAME_ct.nii.gz       HU, one phase
    NAME_label.nii.gz    1 liver, 2 lesion
    NAME_organs.nii.gz   optional, codes as in `Organ`
    cases.json           optional, a list of {"case": NAME, "patient": ID, ...}; without it every case is its own
    patient

Cases of one patient never stand on both sides of a split.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from LiverAILib.errors import StudyError
from LiverAILib.study import Source, Volume, sitk_affine


class Organ(IntEnum):
    """Codes of the optional organ maps."""

    UNKNOWN = 0
    BODY = 1
    BONE = 2
    LUNG = 3
    KIDNEY = 4
    SPLEEN = 5
    GALLBLADDER = 6
    PANCREAS = 7
    STOMACH = 8
    ADRENAL = 9
    LIVER = 10
    PORTAL_VEIN = 11
    VEINS = 12
    ARTERY = 13
    BILIARY = 14
    TUMOUR = 15
    CYST = 16
    OTHER_TUMOUR = 17
    METAL = 18


LABEL_STEP = 32
LEAST_ML = 0.02  # a smaller part of a lesion label is a stray voxel
_INSIDE_LIVER = (Organ.PORTAL_VEIN, Organ.VEINS, Organ.BILIARY)


@dataclass(frozen=True)
class CaseFiles:
    """The files of one case."""

    name: str
    patient: str
    ct: Path
    label: Path
    organs: Path | None

    def volume(self) -> Volume:
        """The CT as a Volume (int16 HU)."""
        image = _read(self.ct)
        array, affine = image
        return Volume(np.clip(np.rint(array), -1024, 3071).astype(np.int16), affine, Source(self.name, "file"))

    def labels(self) -> npt.NDArray[np.uint8]:
        """(z, y, x): 1 liver, 2 lesion."""
        array, _ = _read(self.label)
        if array.min() < 0 or array.max() > 2:
            raise StudyError(
                f"{self.label.name} holds the value {array.max() if array.max() > 2 else array.min():g}. "
                "Labels are 0 (neither), 1 (liver) and 2 (lesion): map others to these."
            )
        return array.astype(np.uint8)

    def truth(self, volume: Volume) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """Label and organ map of the CT in agreement, (z, y, x) each; see `merge_labels`.

        Codes that are none of `Organ` are unknown. Raises StudyError if a grid is not the CT's, or without a liver.
        """
        label = self.labels()
        organs = np.zeros_like(label)
        if self.organs:
            codes, _ = _read(self.organs)
            organs = np.where(np.isin(codes, list(Organ)), codes, Organ.UNKNOWN).astype(np.uint8)
        for name, other in (("label", label), ("organ map", organs)):
            if other.shape != volume.array.shape:
                raise StudyError(f"{self.name}: the {name}'s grid {other.shape} is not the CT's {volume.array.shape}.")
        if not (label > 0).any():
            raise StudyError(f"{self.name}: the label holds no liver (1).")
        return merge_labels(volume.array, label, organs)


@dataclass(frozen=True)
class Split:
    """Cases by use; patients are disjoint. `test` is only for figures that are reported."""

    train: list[CaseFiles]
    validation: list[CaseFiles]
    test: list[CaseFiles]


@dataclass(frozen=True)
class TrainingCase:
    """A case on the network's in-plane grid, canonical orientation, own slices.

    image: int16 HU (z, y, x). codes: uint8, 32 * label (1 liver, 2 lesion) + `Organ` code. slice_mm, in_plane_mm:
    spacing.
    looks: whether other contrast phases may be made from it (a real portal-venous CT). lesion_probability: uint8
    (z, y, x), what a segmentation network says of it, in steps of one over 255; None where none was asked.
    """

    name: str
    image: torch.Tensor
    codes: torch.Tensor
    slice_mm: float
    in_plane_mm: float
    looks: bool
    lesion_probability: torch.Tensor | None = None


def _read(path: Path) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64]]:
    import SimpleITK as sitk

    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise StudyError(f"{path.name} can't be read as an image. Export it again as NIfTI.") from error
    return sitk.GetArrayFromImage(image), sitk_affine(image)


def _patients(table: Path) -> dict[str, str]:
    """Patient of each case, from a case table. Raises StudyError if it is malformed."""
    try:
        return {str(row["case"]): str(row["patient"]) for row in json.loads(table.read_text())}
    except (KeyError, TypeError, ValueError) as error:
        raise StudyError(
            f'{table.name} is not a list of {{"case": NAME, "patient": ID}}. Correct it, or take it away.'
        ) from error


def find_cases(folder: Path) -> list[CaseFiles]:
    """The cases of a folder, sorted by name. Raises StudyError if there is none or a label file is missing."""
    patients: dict[str, str] = {}
    for table in (folder / "cases.json", folder.parent / "cases.json"):
        if table.is_file():
            patients = _patients(table)
            break
    cases = []
    for ct in sorted(folder.glob("*_ct.nii.gz")):
        name = ct.name.removesuffix("_ct.nii.gz")
        label, organs = (folder / f"{name}_{kind}.nii.gz" for kind in ("label", "organs"))
        if not label.is_file():
            raise StudyError(
                f"{ct.name} has no {label.name} beside it. Add the label (1 liver, 2 lesion) or move the CT away."
            )
        cases.append(CaseFiles(name, patients.get(name, name), ct, label, organs if organs.is_file() else None))
    if not cases:
        raise StudyError(
            f"{folder} holds no NAME_ct.nii.gz. Put NAME_ct.nii.gz and NAME_label.nii.gz there for each case."
        )
    return cases


def split_cases(cases: list[CaseFiles], *, test: int = 6, validation: int = 2, seed: int = 2024) -> Split:
    """Draw test and validation patients by seed; a patient without any lesion is added to the test side if it lacks
    one.

    Raises StudyError with fewer than test + validation + 2 patients.
    """
    patients = sorted({case.patient for case in cases})
    if len(patients) < test + validation + 2:
        raise StudyError(
            f"{len(patients)} patients are too few to hold out {test} for the test and {validation} for validation."
        )
    drawn = random.Random(seed).sample(patients, test + validation)  # noqa: S311
    side = dict.fromkeys(drawn[:test], "test") | dict.fromkeys(drawn[test:], "validation")

    def lesion_free(patient: str) -> bool:
        return not any((case.labels() == 2).any() for case in cases if case.patient == patient)

    if not any(lesion_free(patient) for patient in drawn[:test]):
        free = [patient for patient in reversed(patients) if patient not in side and lesion_free(patient)]
        if free:
            side[free[0]] = "test"
    groups: dict[str, list[CaseFiles]] = {"train": [], "validation": [], "test": []}
    for case in cases:
        groups[side.get(case.patient, "train")].append(case)
    return Split(groups["train"], groups["validation"], groups["test"])


def training_case(files: CaseFiles, in_plane_mm: float) -> TrainingCase:
    """Read one case and bring it to the network's in-plane grid. See `CaseFiles.truth` for what it refuses."""
    from LiverAILib.analysis.grid import canonical_axes, to_canonical

    volume = files.volume()
    label, organs = files.truth(volume)
    order, flips = canonical_axes(volume.affine)
    image = np.ascontiguousarray(to_canonical(volume.array, order, flips))
    codes = np.ascontiguousarray(to_canonical(LABEL_STEP * label + organs, order, flips))
    spacing = [volume.spacing_mm[axis] for axis in order]
    size = [round(image.shape[i] * spacing[i] / in_plane_mm) for i in (1, 2)]
    resampled = F.interpolate(
        torch.from_numpy(image.clip(-1024, 1024)).float().unsqueeze(1), size=size, mode="bilinear", antialias=True
    )
    nearest = F.interpolate(torch.from_numpy(codes).unsqueeze(1), size=size, mode="nearest-exact")
    return TrainingCase(
        files.name, resampled[:, 0].round().to(torch.int16), nearest[:, 0], spacing[0], in_plane_mm, looks=True
    )


def names_tumours(organs: npt.NDArray[np.uint8]) -> bool:
    """Whether codes come from an organ map, which names tumours and cysts, and not from the label alone."""
    return bool(np.isin(organs, (Organ.BODY, Organ.BONE, Organ.SPLEEN)).any())


def lesion_kind(organs: npt.NDArray[np.uint8], *, mapped: bool) -> str:
    """By the organ map's codes (n,) in a lesion "cyst" or "tumour"; "lesion" without a map (see `names_tumours`)."""
    if float((organs == Organ.CYST).mean()) > 0.5:
        return "cyst"
    return "tumour" if mapped else "lesion"


def merge_labels(
    hu: npt.NDArray[Any], label: npt.NDArray[np.uint8], organs: npt.NDArray[np.uint8]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Label and organ map in agreement: the expert label rules, and a cyst of the organ map is a lesion too."""
    from scipy import ndimage

    cyst = (label > 0) & (organs == Organ.CYST)
    label = np.where(cyst, np.uint8(2), np.minimum(label, 2)).astype(np.uint8)
    merged = organs.copy()
    contradicted = (Organ.LIVER, Organ.TUMOUR, Organ.CYST)
    merged[(label == 0) & np.isin(organs, contradicted)] = Organ.UNKNOWN
    merged[(label == 1) & ~np.isin(organs, _INSIDE_LIVER)] = Organ.LIVER
    merged[(label == 2) & ~cyst] = Organ.TUMOUR
    if not np.isin(organs, _INSIDE_LIVER).any():  # vessels are not drawn: take the bright ones
        smooth = ndimage.gaussian_filter(hu.astype(np.float32), (0.5, 1.0, 1.0))
        liver = merged == Organ.LIVER
        merged[liver & (smooth > np.median(smooth[liver]) + 18)] = Organ.VEINS
    return label, merged
