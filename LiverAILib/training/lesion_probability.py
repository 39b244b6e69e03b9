"""What the segmentation says of training cases: the detector's second channel, made once and kept beside its pool."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from LiverAILib.analysis.segment import LiverSegmenter
from LiverAILib.files import replacing
from LiverAILib.study import Source, Volume
from LiverAILib.training.cases import TrainingCase


def volume_of(case: TrainingCase) -> Volume:
    """A training case as the stages take volumes."""
    affine = np.diag([case.in_plane_mm, case.in_plane_mm, case.slice_mm, 1.0])
    return Volume(case.image.numpy(), affine, Source(case.name, "file"))


def with_lesion_probability(
    cases: Sequence[TrainingCase], folder: Path, segmenter: LiverSegmenter, say: Callable[[str], None] = print
) -> list[TrainingCase]:
    """The cases with the lesion probability that the segmenter finds, as it is in an analysis: 0 outside its liver.

    It is kept in the folder as `probability_PACKAGE_CASE.npz`, PACKAGE being the first figures of the package's hash.
    Other contrast phases can then no longer be made of a case: the probability is that of its own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    result = []
    for number, case in enumerate(cases, start=1):
        path = folder / f"probability_{segmenter.model.sha256[:8]}_{case.name}.npz"
        if not path.is_file():
            found = segmenter(volume_of(case)).lesion_probability
            with replacing(path) as temporary:
                np.savez_compressed(temporary, probability=np.rint(255 * found).astype(np.uint8))
            say(f"lesion probability of {case.name} ({number} of {len(cases)})")
        with np.load(path, allow_pickle=False) as data:
            probability = torch.from_numpy(data["probability"])
        result.append(replace(case, looks=False, lesion_probability=probability))
    return result
