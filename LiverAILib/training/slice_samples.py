"""Labelled liver slices for NoduleNet, cut from exams and from real scans.

A slice counts as one that shows a lesion from `SHOWN_MM2` of it on; one that shows less is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from LiverAILib.analysis.slices import MARGIN_MM, PIXEL_MM, SIZE, LiverSlices, liver_slices, mask_on_grid
from LiverAILib.errors import StudyError
from LiverAILib.files import replacing
from LiverAILib.training.cases import CaseFiles
from LiverAILib.training.lesion_samples import check_trainable, patient_number, real_patient_number
from LiverAILib.training.pixels import to_bytes
from LiverAILib.training.typed_exam import TypedExam

PLACE_SHARE = 4  # lesions are kept at a quarter of the images' resolution
MARGINS_MM = (6.0, 14.0)  # around the liver, so that the network does not mind where the outline ends
SHOWN_MM2 = 12.0  # a lesion counts as shown in a slice from this area on: a disc of 4 mm


@dataclass(frozen=True)
class SliceSamples:
    """Slices. images: uint8 (n, 1, y, x), 0..255 for -1..1; labels: (n,), 1 shows a lesion, 0 none; patients: (n,)
    numbers; real: (n,) whether nothing in them was made; places: uint8 (n, 1, y / 4, x / 4), what part of each place
    lesions cover, 0..255.
    """

    images: Tensor
    labels: Tensor
    patients: Tensor
    real: Tensor
    places: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def where(self, chosen: Tensor) -> SliceSamples:
        """The chosen (n,) ones."""
        return SliceSamples(*(value[chosen] for value in vars(self).values()))

    @classmethod
    def joined(cls, parts: Sequence[SliceSamples]) -> SliceSamples:
        """All slices of several."""
        return cls(*(torch.cat([vars(part)[key] for part in parts]) for key in vars(parts[0])))

    def save(self, path: Path) -> None:
        """As one .npz file."""
        with replacing(path) as temporary:
            np.savez_compressed(temporary, **{key: value.numpy() for key, value in vars(self).items()})

    @classmethod
    def load(cls, path: Path) -> SliceSamples:
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
) -> SliceSamples:
    """The labelled liver slices of all phases of an exam.

    most: no more than this of a phase, drawn by the exam's seed, half of them with a lesion where there are as many.
    Raises ValueError for an exam that is for evaluation only, unless `check` is off.
    """
    truth = exam.truth
    if check:
        check_trainable(truth)
    rng = np.random.default_rng([truth.seed, 91])
    parts = []
    for phase, volume in exam.study.volumes.items():
        margin = float(rng.uniform(*MARGINS_MM)) if check else MARGIN_MM
        slices = liver_slices(volume, exam.liver_mask(phase), pixel_mm=pixel_mm, size=size, margin_mm=margin)
        areas, places = lesion_areas(slices, exam.lesion_ids[phase] > 0, pixel_mm)
        samples = _labelled(slices.images, areas, places, patient_number(truth), real=False)
        parts.append(samples.where(_drawn(samples.labels, most, rng)))
    return SliceSamples.joined(parts)


def real_slices(files: CaseFiles, *, pixel_mm: float = PIXEL_MM, size: int = SIZE) -> SliceSamples:
    """The slices of a real scan as it is."""
    volume = files.volume()
    label, _ = files.truth(volume)
    slices = liver_slices(volume, label > 0, pixel_mm=pixel_mm, size=size)
    areas, places = lesion_areas(slices, label == 2, pixel_mm)
    return _labelled(slices.images, areas, places, real_patient_number(files.patient), real=True)


def _labelled(images: Tensor, areas: Tensor, places: Tensor, patient: int, *, real: bool) -> SliceSamples:
    """The slices that show enough of a lesion or nothing of one. areas: (n,) of lesion in mm2."""
    count = len(areas)
    every = SliceSamples(
        to_bytes(images),
        (areas >= SHOWN_MM2).long(),
        torch.full((count,), patient),
        torch.full((count,), real),
        places,
    )
    return every.where((areas == 0) | (areas >= SHOWN_MM2))


def _drawn(labels: Tensor, most: int | None, rng: np.random.Generator) -> Tensor:
    """Indices of the slices that are kept, in order."""
    shown = np.flatnonzero(labels.numpy() == 1)
    rest = np.flatnonzero(labels.numpy() == 0)
    if most is None or len(labels) <= most:
        return torch.arange(len(labels))
    positives = min(len(shown), max(most // 2, most - len(rest)))
    chosen = [rng.choice(shown, positives, replace=False), rng.choice(rest, most - positives, replace=False)]
    return torch.from_numpy(np.sort(np.concatenate(chosen)))
