"""The classification stage: each lesion's boxes in the phases to its seven class probabilities (LiAIDS), and from
those of all lesions together, if it is known which types go with which, to what they are in this patient (ours, see
`joint_types`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from LiverAILib.analysis.crops import Box, CropOptions, lesion_crop
from LiverAILib.analysis.joint_types import TypeCompany, joint_probabilities
from LiverAILib.lesion_types import LesionType
from LiverAILib.networks.lesion_classifier import (
    CLASSES,
    CLASSIFIER_PHASES,
    LesionClassifier,
    encode_clinical,
    stack_phases,
)
from LiverAILib.study import ClinicalRecord, Phase, Volume


def classify_lesions(
    network: LesionClassifier,
    volumes: Mapping[Phase, Volume],
    boxes: Sequence[Mapping[Phase, Box]],
    clinical: ClinicalRecord,
    *,
    options: CropOptions | None = None,
    company: TypeCompany | None = None,
    batch: int = 4,
    progress: Callable[[float], None] | None = None,
) -> list[dict[LesionType, float] | None]:
    """Calibrated probabilities of each lesion, in the order given; None where no box lies in a phase that the network
    takes.

    boxes: per lesion and phase the first voxel and one past the last, in that phase's own (z, y, x). company: which
    types go with which; without, each lesion is judged by itself, as in the paper. The network is in evaluation mode.
    At most `batch` lesions' crops are held at a time, so 60 metastases need no more memory than 4.
    """
    usable = [
        {phase: box for phase, box in lesion.items() if phase in CLASSIFIER_PHASES and phase in volumes}
        for lesion in boxes
    ]
    results: list[dict[LesionType, float] | None] = [None] * len(boxes)
    wanted = [number for number, lesion in enumerate(usable) if lesion]
    device = network.temperature.device
    record = encode_clinical(clinical).to(device)
    judged: list[list[float]] = []
    by_images: list[list[float]] = []
    for first in range(0, len(wanted), batch):
        chosen = wanted[first : first + batch]
        stacked = [
            stack_phases({phase: lesion_crop(volumes[phase], box, options) for phase, box in usable[number].items()})
            for number in chosen
        ]
        images, present = (torch.stack(parts).to(device) for parts in zip(*stacked, strict=True))
        known = record.expand(len(chosen), -1)
        with torch.inference_mode():
            logits = network.by_record(images, present, known, torch.zeros_like(known))
        for answers, found in zip((judged, by_images), logits, strict=True):
            answers += network.calibrated(found).tolist()
        if progress:
            progress((first + len(chosen)) / len(wanted))
    if company is not None:
        judged = joint_probabilities(np.array(judged), np.array(by_images), company).tolist()
    for number, values in zip(wanted, judged, strict=True):
        results[number] = dict(zip(CLASSES, values, strict=True))
    return results
