"""What the segmentation says of training cases: the detector's second channel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch

from LiverAILib.analysis.segment import Segmenter
from LiverAILib.study import Source, Volume
from LiverAILib.training.cases import TrainingCase


def volume_of(case: TrainingCase) -> Volume:
    """A training case as the stages take volumes."""
    affine = np.diag([case.in_plane_mm, case.in_plane_mm, case.slice_mm, 1.0])
    return Volume(case.image.numpy(), affine, Source(case.name, "file"))


def with_lesion_probability(
    cases: Sequence[TrainingCase], segmenter: Segmenter, say: Callable[[str], None] = print
) -> list[TrainingCase]:
    """The cases with the lesion probability that the segmenter finds, as it is in an analysis: 0 outside its liver."""
    result = []
    for number, case in enumerate(cases, start=1):
        found = segmenter(volume_of(case), lambda _: None).lesion_probability
        probability = torch.from_numpy(np.rint(255 * found).astype(np.uint8))
        result.append(replace(case, lesion_probability=probability))
        if number % 20 == 0:
            say(f"lesion probability of {number} of {len(cases)} cases")
    return result
