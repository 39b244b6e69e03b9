"""Stacks of phases ready for PhaseComparisonNet, cut from exams whose lesions are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from LiverAILib.analysis.grid import WINDOW_HU
from LiverAILib.analysis.phase_stack import StackFormat, liver_hu, stack_phases
from LiverAILib.analysis.registration import liver_shift
from LiverAILib.analysis.resample import Mask, bounding_box, resampled
from LiverAILib.files import replacing
from LiverAILib.study import Phase
from LiverAILib.training.typed_exam import TypedExam

LEAST_ML = 1e-3  # lesions of a voxel or so weigh as if they were that large
UNIT_ML = 10.0  # lesions of this volume and more weigh by their voxels alone
POWER = 0.6
MOST_WEIGHT = 25.0
PLACES = 50  # kept of each lesion, to cut a part around
LIVER_PLACES = 2000


@dataclass(frozen=True)
class StackSample:
    """One exam. hu: uint8 (phase, z, y, x), 0 to 255 over `WINDOW_HU`; present: bool (phase,); liver: uint8 (z, y, x),
    0 to 255; ids: uint8 (z, y, x), lesions from 1 on, of which the lowest 255 count; real: bool (256,), which of them
    are the scan's own, which all exams made on it share; spacing_mm: (z, y, x).
    """

    hu: Tensor
    present: Tensor
    liver: Tensor
    ids: Tensor
    real: Tensor
    spacing_mm: tuple[float, float, float]

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel."""
        return prod(self.spacing_mm) / 1000

    @cached_property
    def liver_hu(self) -> Tensor:
        """See `phase_stack.liver_hu`."""
        return hu_of(torch.from_numpy(liver_hu(self.hu.numpy().astype(np.float32), self.liver.numpy() > 127)))

    @cached_property
    def weights(self) -> Tensor:
        """See `lesion_weights`."""
        return lesion_weights(self.ids, self.voxel_ml)

    @cached_property
    def lesions(self) -> Mapping[int, Tensor]:
        """Some voxels (n, 3) of each lesion."""
        every = ((number, (self.ids == number).nonzero()) for number in self.ids.unique().tolist() if number)
        return {number: voxels[:: max(1, len(voxels) // PLACES)] for number, voxels in every}

    @cached_property
    def liver_voxels(self) -> Tensor:
        """Some voxels (n, 3) of the liver; the middle of the stack without one."""
        voxels = (self.liver > 127).nonzero()
        if not len(voxels):
            return torch.tensor([[n // 2 for n in self.ids.shape]])
        return voxels[:: max(1, len(voxels) // LIVER_PLACES)].clone()

    def save(self, path: Path) -> None:
        """As one .npz file."""
        arrays = {key: getattr(self, key).numpy() for key in ("hu", "present", "liver", "ids", "real")}
        with replacing(path) as temporary:
            np.savez_compressed(temporary, **arrays, spacing=np.array(self.spacing_mm))

    @classmethod
    def load(cls, path: Path) -> StackSample:
        """What `save` wrote."""
        with np.load(path, allow_pickle=False) as data:
            z, y, x = (float(step) for step in data["spacing"])
            hu, present, liver, ids, real = (
                torch.from_numpy(data[key]) for key in ("hu", "present", "liver", "ids", "real")
            )
            return cls(hu, present, liver, ids, real, (z, y, x))


def lesion_weights(ids: Tensor, voxel_ml: float) -> Tensor:
    """(256,) what a voxel counts, by its lesion in `ids` (z, y, x): the more, the smaller the lesion; 1 outside."""
    sizes = torch.bincount(ids.flatten().long(), minlength=256) * voxel_ml
    weights = (UNIT_ML / sizes.clamp(min=LEAST_ML)).pow(POWER).clamp(1.0, MOST_WEIGHT)
    weights[0] = 1.0
    return weights


def hu_of(stored: Tensor) -> Tensor:
    """HU of values 0 to 255 over the window."""
    low, high = WINDOW_HU
    return stored.float() * ((high - low) / 255) + low


def exam_shifts(exam: TypedExam, livers: Mapping[Phase, Mask]) -> dict[Phase, npt.NDArray[np.float64]]:
    """LPS mm from the reference phase to each phase with a liver (z, y, x), as an analysis finds them."""
    reference, volumes = exam.study.reference_phase, exam.study.volumes
    shifts = {reference: np.zeros(3)}
    for phase, volume in volumes.items():
        if phase is not reference and livers[phase].any():
            shifts[phase] = liver_shift(volumes[reference], livers[reference], volume, livers[phase])
    return shifts


def exam_stack(exam: TypedExam, livers: Mapping[Phase, Mask], taken: StackFormat | None = None) -> StackSample:
    """The stack of an exam, its phases laid over each other by their livers (z, y, x) as in an analysis: those that it
    would find, which hold some vessels and ascites too, or the true ones.

    Raises ValueError without a liver in the reference phase.
    """
    reference = exam.study.reference_phase
    volumes, liver = exam.study.volumes, livers[reference]
    if not liver.any():
        raise ValueError(f"Exam {exam.truth.seed} shows no liver in the {reference.words} phase.")
    stack = stack_phases(volumes, reference, liver, exam_shifts(exam, livers), taken)
    lesions = exam.lesion_ids[reference]
    ids = np.zeros(stack.liver.shape, np.float32)
    if lesions.any():
        ids = resampled(
            lesions.astype(np.float32),
            bounding_box(lesions > 0),
            volumes[reference],
            list(stack.liver.shape),
            stack.affine,
            nearest=True,
        )
    low, high = WINDOW_HU
    real = torch.zeros(256, dtype=torch.bool)
    for lesion in exam.truth.lesions:
        real[min(lesion.id, 255)] |= bool(getattr(lesion, "real", False))
    hu = np.rint((stack.hu.clip(low, high) - low) * (255 / (high - low))).astype(np.uint8)
    return StackSample(
        torch.from_numpy(hu),
        torch.from_numpy(stack.present),
        torch.from_numpy(np.rint(stack.liver * 255).clip(0, 255).astype(np.uint8)),
        torch.from_numpy(np.where(ids < 256, ids, 0).astype(np.uint8)),
        real,
        stack.spacing_mm,
    )
