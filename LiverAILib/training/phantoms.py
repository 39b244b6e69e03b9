"""Phantom volumes for training: made once, kept as plain arrays in the work folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from LiverAILib.errors import StudyError
from LiverAILib.study import Phase
from LiverAILib.training.cases import LABEL_STEP, Organ, TrainingCase
from LiverAILib.training.typed_exam import TypedExam

PHASES = (Phase.NON_CONTRAST, Phase.ARTERIAL, Phase.PORTAL_VENOUS)


def make_pool(
    folder: Path, exams: int, in_plane_mm: float, *, first_seed: int = 1, say: Callable[[str], None] = print
) -> None:
    """Make the phantom exams with seeds first_seed.. that are not there yet; one `phantom_SEED_PHASE.npz` per volume.

    Raises StudyError if a seed would reach those kept for evaluation.
    """
    from LiverAILib.phantom import EVALUATION_SEEDS, PhantomOptions, generate

    if first_seed + exams > EVALUATION_SEEDS:
        raise StudyError(f"Seeds from {EVALUATION_SEEDS} up are for evaluation only. Choose a smaller first seed.")
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(first_seed, first_seed + exams):
        if all((folder / f"phantom_{seed}_{phase}.npz").is_file() for phase in PHASES):
            continue
        chooser = np.random.default_rng([seed, 51])
        slice_mm = float(chooser.uniform(2.0, 5.0))
        reach_mm = chooser.uniform(380, 480) if chooser.random() < 0.2 else chooser.uniform(200, 300)
        shape = (round(reach_mm / slice_mm), round(370 / in_plane_mm), round(420 / in_plane_mm))
        options = PhantomOptions(shape=shape, spacing_mm=(slice_mm, in_plane_mm, in_plane_mm))
        phantom = generate(seed, phases=PHASES, options=options)
        for phase in PHASES:
            save_volume(folder / f"phantom_{seed}_{phase}.npz", phantom, phase, in_plane_mm)
        say(f"phantom {seed} made")


def save_volume(path: Path, exam: TypedExam, phase: Phase, in_plane_mm: float) -> None:
    """One phase of an exam as a training volume, brought to the in-plane grid, written beside its place first."""
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
    temporary = path.with_name(f".new_{path.name}")
    np.savez_compressed(temporary, image=image, codes=codes, slice_mm=slice_mm)
    temporary.replace(path)


def load_pool(folder: Path, in_plane_mm: float) -> list[TrainingCase]:
    """The phantom volumes (`phantom_*.npz`) that are in a folder by now."""
    return load_volumes(sorted(folder.glob("phantom_*.npz")), in_plane_mm)


def load_volumes(paths: Sequence[Path], in_plane_mm: float) -> list[TrainingCase]:
    """What `save_volume` wrote."""
    cases = []
    for path in paths:
        with np.load(path, allow_pickle=False) as data:
            image, codes = torch.from_numpy(data["image"]), torch.from_numpy(data["codes"])
            cases.append(TrainingCase(path.stem, image, codes, float(data["slice_mm"]), in_plane_mm, looks=False))
    return cases
