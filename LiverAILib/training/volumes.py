"""Volumes of synthetic exams for training, kept as plain arrays in a pool."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from LiverAILib.files import replacing
from LiverAILib.study import Phase
from LiverAILib.training.cases import LABEL_STEP, Organ, TrainingCase
from LiverAILib.training.typed_exam import TypedExam


def save_volume(path: Path, exam: TypedExam, phase: Phase, in_plane_mm: float) -> None:
    """One phase of an exam as a training volume, brought to the in-plane grid."""
    volume = exam.study.volumes[phase]
    label = exam.liver_mask(phase).astype(np.uint8) + exam.lesion_mask(phase)
    codes = label * np.uint8(LABEL_STEP) + np.where(label > 0, np.uint8(Organ.LIVER), np.uint8(Organ.UNKNOWN))
    image, codes = volume.array, codes.astype(np.uint8)
    slice_mm, *plane_mm = volume.spacing_mm
    size = [round(n * step / in_plane_mm) for n, step in zip(image.shape[1:], plane_mm, strict=True)]
    if size != list(image.shape[1:]):
        fine = torch.from_numpy(image.clip(-1024, 1024)).float().unsqueeze(1)
        finer = F.interpolate(fine, size=size, mode="bilinear", antialias=True)
        image = finer[:, 0].round().to(torch.int16).numpy()
        codes = F.interpolate(torch.from_numpy(codes).unsqueeze(1), size=size, mode="nearest-exact")[:, 0].numpy()
    with replacing(path) as temporary:
        np.savez_compressed(temporary, image=image, codes=codes, slice_mm=slice_mm)


def load_volumes(paths: Sequence[Path], in_plane_mm: float) -> list[TrainingCase]:
    """What `save_volume` wrote."""
    cases = []
    for path in paths:
        with np.load(path, allow_pickle=False) as data:
            image, codes = torch.from_numpy(data["image"]), torch.from_numpy(data["codes"])
            cases.append(TrainingCase(path.stem, image, codes, float(data["slice_mm"]), in_plane_mm, looks=False))
    return cases
