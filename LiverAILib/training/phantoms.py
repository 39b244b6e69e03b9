"""Phantom volumes for training: made once, kept as plain arrays in the work folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from LiverAILib.errors import StudyError
from LiverAILib.training.cases import LABEL_STEP, Organ, TrainingCase


def make_pool(
    folder: Path, exams: int, in_plane_mm: float, *, first_seed: int = 1, say: Callable[[str], None] = print
) -> None:
    """Make the phantom exams with seeds first_seed.. that are not there yet; one `phantom_SEED_PHASE.npz` per volume.

    Raises StudyError if a seed would reach those kept for evaluation.
    """
    from LiverAILib.phantom import EVALUATION_SEEDS, PhantomOptions, generate
    from LiverAILib.study import Phase

    if first_seed + exams > EVALUATION_SEEDS:
        raise StudyError(f"Seeds from {EVALUATION_SEEDS} up are for evaluation only. Choose a smaller first seed.")
    folder.mkdir(parents=True, exist_ok=True)
    phases = (Phase.NON_CONTRAST, Phase.ARTERIAL, Phase.PORTAL_VENOUS)
    for seed in range(first_seed, first_seed + exams):
        if all((folder / f"phantom_{seed}_{phase}.npz").is_file() for phase in phases):
            continue
        chooser = np.random.default_rng([seed, 51])
        slice_mm = float(chooser.uniform(2.0, 5.0))
        reach_mm = chooser.uniform(380, 480) if chooser.random() < 0.2 else chooser.uniform(200, 300)
        shape = (round(reach_mm / slice_mm), round(370 / in_plane_mm), round(420 / in_plane_mm))
        options = PhantomOptions(shape=shape, spacing_mm=(slice_mm, in_plane_mm, in_plane_mm))
        phantom = generate(seed, phases=phases, options=options)
        for phase in phases:
            volume = phantom.study.volumes[phase]
            label = phantom.liver_mask(phase).astype(np.uint8) + phantom.lesion_mask(phase)
            codes = label * np.uint8(LABEL_STEP) + np.where(label > 0, np.uint8(Organ.LIVER), np.uint8(Organ.UNKNOWN))
            temporary = folder / f".new_{seed}_{phase}.npz"
            np.savez_compressed(
                temporary, image=volume.array, codes=codes.astype(np.uint8), slice_mm=volume.spacing_mm[0]
            )
            temporary.replace(folder / f"phantom_{seed}_{phase}.npz")
        say(f"phantom {seed} made")


def load_pool(folder: Path, in_plane_mm: float) -> list[TrainingCase]:
    """The phantom volumes (`phantom_*.npz`) that are in a folder by now."""
    cases = []
    for path in sorted(folder.glob("phantom_*.npz")):
        with np.load(path, allow_pickle=False) as data:
            image, codes = torch.from_numpy(data["image"]), torch.from_numpy(data["codes"])
            cases.append(TrainingCase(path.stem, image, codes, float(data["slice_mm"]), in_plane_mm, looks=False))
    return cases
