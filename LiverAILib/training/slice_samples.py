"""Labelled liver slices for NoduleNet and HCCNet, cut from exams and from real scans.

Labels. NoduleNet: a slice that shows a lesion, i.e. `SHOWN_MM2` of it or more. HCCNet: a slice that shows an HCC; as in
the paper, the other slices of a patient with HCC are left out, and all slices of the other patients are negative.
Left out are also slices that show less of a lesion than that, and for HCCNet those with a lesion of unknown type.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from LiverAILib.analysis.slices import MARGIN_MM, PIXEL_MM, SIZE, LiverSlices, liver_slices, mask_on_grid
from LiverAILib.errors import StudyError
from LiverAILib.files import replacing
from LiverAILib.lesion_types import LesionType
from LiverAILib.study import Phase
from LiverAILib.training.cases import CaseFiles
from LiverAILib.training.lesion_samples import check_trainable, patient_number, real_patient_number
from LiverAILib.training.pixels import to_bytes
from LiverAILib.training.typed_exam import TypedExam

Target = Literal["nodulenet", "hccnet"]

PLACE_SHARE = 4  # lesions are kept at a quarter of the images' resolution
MARGINS_MM = (6.0, 14.0)  # around the liver, so that the network does not mind where the outline ends
SHOWN_MM2 = 12.0  # a lesion counts as shown in a slice from this area on: a disc of 4 mm
LEFT_OUT = -1
PHASES = tuple(Phase)


@dataclass(frozen=True)
class SliceSamples:
    """Slices of one network. images: uint8 (n, 1, y, x), 0..255 for -1..1; labels: (n,), 1 is the finding; patients:
    (n,) numbers; exams: (n,) numbers of what was scanned at once; phases: (n,) places in `Phase`; real: (n,) whether
    nothing in them was made; clean: (n,) whether they show no lesion at all; places: uint8 (n, 1, y / 4, x / 4), what
    part of each place the finding covers, 0..255.
    """

    images: Tensor
    labels: Tensor
    patients: Tensor
    exams: Tensor
    phases: Tensor
    real: Tensor
    clean: Tensor
    places: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class LabelledSlices:
    """Slices with both networks' labels. nodule, hcc: (n,) 0, 1, or `LEFT_OUT`; lesion_places, hcc_places: as the
    places of `SliceSamples`, and so is the rest.
    """

    images: Tensor
    nodule: Tensor
    hcc: Tensor
    patients: Tensor
    exams: Tensor
    phases: Tensor
    real: Tensor
    lesion_places: Tensor
    hcc_places: Tensor

    def of(self, target: Target) -> SliceSamples:
        """The slices of one network."""
        labels, places = (self.nodule, self.lesion_places) if target == "nodulenet" else (self.hcc, self.hcc_places)
        chosen = labels != LEFT_OUT
        kept = self.where(chosen)
        return SliceSamples(
            kept.images,
            labels[chosen].long(),
            kept.patients,
            kept.exams,
            kept.phases,
            kept.real,
            kept.nodule == 0,
            places[chosen],
        )

    def where(self, chosen: Tensor) -> LabelledSlices:
        """The chosen (n,) ones."""
        return LabelledSlices(*(value[chosen] for value in vars(self).values()))

    @classmethod
    def joined(cls, parts: Sequence[LabelledSlices]) -> LabelledSlices:
        """All slices of several."""
        return cls(*(torch.cat([vars(part)[key] for part in parts]) for key in vars(parts[0])))

    def save(self, path: Path) -> None:
        """As one .npz file."""
        with replacing(path) as temporary:
            np.savez_compressed(temporary, **{key: value.numpy() for key, value in vars(self).items()})

    @classmethod
    def load(cls, path: Path) -> LabelledSlices:
        """What `save` wrote. Raises StudyError for what an older version wrote."""
        with np.load(path, allow_pickle=False) as data:
            if set(data.files) != {field.name for field in fields(cls)}:
                raise StudyError(f"{path} was made by another version. Delete it, or name another --pool.")
            return cls(**{key: torch.from_numpy(data[key]) for key in data.files})


def lesion_areas(slices: LiverSlices, mask: npt.NDArray[np.bool_], pixel_mm: float) -> tuple[Tensor, Tensor]:
    """How much (n,) of a mask of the volume's own grid (z, y, x) each slice shows, in mm2, and where: see
    `SliceSamples.places`.
    """
    size = slices.images.shape[-1]
    if slices.grid is None:
        return torch.zeros(0), torch.zeros((0, 1, size // PLACE_SHARE, size // PLACE_SHARE), dtype=torch.uint8)
    shown = torch.from_numpy(mask_on_grid(mask[slices.cut], slices.grid)[list(slices.index)]).float().unsqueeze(1)
    (top, left), (_, rows, columns) = slices.corner, slices.plane
    square = F.pad(shown, (-left, left + size - columns, -top, top + size - rows))
    return shown.sum(dim=(1, 2, 3)) * pixel_mm**2, (F.avg_pool2d(square, PLACE_SHARE) * 255).round().to(torch.uint8)


def exam_slices(
    exam: TypedExam, *, pixel_mm: float = PIXEL_MM, size: int = SIZE, most: int | None = None, check: bool = True
) -> LabelledSlices:
    """The labelled liver slices of all phases of an exam.

    most: no more than this of a phase, drawn by the exam's seed, half of them with a lesion where there are as many.
    Raises ValueError for an exam that is for evaluation only, unless `check` is off.
    """
    truth = exam.truth
    if check:
        check_trainable(truth)
    hccs = [lesion.id for lesion in truth.lesions if lesion.type is LesionType.HCC]
    unknown = [lesion.id for lesion in truth.lesions if lesion.type is None]
    rng = np.random.default_rng([truth.seed, 91])
    parts = []
    for phase, volume in exam.study.volumes.items():
        margin = float(rng.uniform(*MARGINS_MM)) if check else MARGIN_MM
        slices = liver_slices(volume, exam.liver_mask(phase), pixel_mm=pixel_mm, size=size, margin_mm=margin)
        ids = exam.lesion_ids[phase]
        areas, places = lesion_areas(slices, ids > 0, pixel_mm)
        nodule = _label(areas)
        areas, hcc_places = lesion_areas(slices, np.isin(ids, hccs), pixel_mm)
        if hccs:
            hcc = _label(areas)
            hcc[hcc == 0] = LEFT_OUT
        else:
            hcc = torch.zeros_like(nodule)
            hcc[lesion_areas(slices, np.isin(ids, unknown), pixel_mm)[0] > 0] = LEFT_OUT
        kept = _drawn(nodule, most, rng)
        phases = torch.full_like(nodule, PHASES.index(phase))
        parts.append(tuple(part[kept] for part in (slices.images, nodule, hcc, phases, places, hcc_places)))
    columns = tuple(torch.cat(column) for column in zip(*parts, strict=True))
    return _labelled(*columns, patient=patient_number(truth), exam=truth.seed, real=False)


def real_slices(
    files: CaseFiles, *, pixel_mm: float = PIXEL_MM, size: int = SIZE, number: int | None = None
) -> LabelledSlices:
    """The slices of a real scan as it is. Nobody knows the types of its lesions: for HCCNet only a liver without any
    counts, as negative. number: of the exam; made from the case's name without it.
    """
    volume = files.volume()
    label, _ = files.truth(volume)
    slices = liver_slices(volume, label > 0, pixel_mm=pixel_mm, size=size)
    areas, places = lesion_areas(slices, label == 2, pixel_mm)
    nodule = _label(areas)
    hcc = torch.full_like(nodule, LEFT_OUT if (label == 2).any() else 0)
    exam = real_patient_number(files.name) if number is None else number
    return _labelled(
        slices.images,
        nodule,
        hcc,
        torch.full_like(nodule, PHASES.index(Phase.PORTAL_VENOUS)),
        places,
        torch.zeros_like(places),
        patient=real_patient_number(files.patient),
        exam=exam,
        real=True,
    )


def _label(areas: Tensor) -> Tensor:
    labels = (areas >= SHOWN_MM2).to(torch.int8)
    labels[(areas > 0) & (areas < SHOWN_MM2)] = LEFT_OUT
    return labels


def _drawn(nodule: Tensor, most: int | None, rng: np.random.Generator) -> Tensor:
    """Indices of the slices that are kept, in order."""
    shown = np.flatnonzero(nodule.numpy() == 1)
    rest = np.flatnonzero(nodule.numpy() == 0)
    if most is None or len(shown) + len(rest) <= most:
        return torch.from_numpy(np.sort(np.concatenate([shown, rest])))
    positives = min(len(shown), max(most // 2, most - len(rest)))
    chosen = [rng.choice(shown, positives, replace=False), rng.choice(rest, most - positives, replace=False)]
    return torch.from_numpy(np.sort(np.concatenate(chosen)))


def _labelled(
    images: Tensor,
    nodule: Tensor,
    hcc: Tensor,
    phases: Tensor,
    places: Tensor,
    hcc_places: Tensor,
    *,
    patient: int,
    exam: int,
    real: bool,
) -> LabelledSlices:
    count = len(nodule)
    return LabelledSlices(
        to_bytes(images),
        nodule,
        hcc,
        torch.full((count,), patient),
        torch.full((count,), exam),
        phases,
        torch.full((count,), real),
        places,
        hcc_places,
    )
