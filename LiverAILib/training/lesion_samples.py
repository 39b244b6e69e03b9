"""Lesions ready for the lesion classifier, cut from exams with known types, and from real scans whose organ map says
which lesions are tumours.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from LiverAILib.analysis.crops import Box, CropOptions, lesion_crop
from LiverAILib.files import replacing
from LiverAILib.networks.lesion_classifier import (
    CLASSES,
    CLASSIFIER_PHASES,
    encode_clinical,
    stack_phases,
)
from LiverAILib.phantom import EVALUATION_SEEDS
from LiverAILib.study import ClinicalRecord, Phase
from LiverAILib.training.cases import CaseFiles
from LiverAILib.training.exams_truth import ExamTruth
from LiverAILib.training.pixels import to_bytes
from LiverAILib.training.real_scans import boxes_of, read_scan
from LiverAILib.training.typed_exam import ExamFacts, TypedExam

#: Numbers of real patients start here; below are phantoms' seeds, each a patient of its own.
REAL_PATIENTS = 10_000_000
#: The label of a real tumour, after those of `CLASSES`: it is malignant, and nobody knows which of the malignant types.
TUMOUR = len(CLASSES)


Crops = Mapping[Phase, Tensor]


def patient_number(truth: ExamFacts) -> int:
    """Who was scanned, as a number: all exams made on one real patient's scans share it."""
    if isinstance(truth, ExamTruth):
        return real_patient_number(truth.patient)
    return truth.seed


def real_patient_number(patient: str) -> int:
    """The number of a real patient, from the name that the case table gives."""
    return REAL_PATIENTS + zlib.crc32(patient.encode())


def check_trainable(truth: ExamFacts) -> None:
    """Raises ValueError for an exam that is for evaluation only."""
    if truth.evaluation_only or truth.seed >= EVALUATION_SEEDS:
        raise ValueError(f"Exam {truth.seed} is for evaluation only: nothing may be trained on it.")


@dataclass(frozen=True)
class LesionSamples:
    """Lesions ready for the network. images: uint8 (n, 3, 1, z, y, x), 0..255 for -1..1; present: bool (n, 3);
    clinical: (n, 12); labels: (n,) in the order of `CLASSES`, or `TUMOUR`; patients: (n,) numbers (`patient_number`);
    exams: (n,) seeds.
    """

    images: Tensor
    present: Tensor
    clinical: Tensor
    labels: Tensor
    patients: Tensor
    exams: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def save(self, path: Path) -> None:
        """As one .npz file."""
        with replacing(path) as temporary:
            np.savez_compressed(temporary, **{key: value.numpy() for key, value in vars(self).items()})

    @classmethod
    def load(cls, path: Path) -> LesionSamples:
        """What `save` wrote."""
        with np.load(path, allow_pickle=False) as data:
            return cls(**{key: torch.from_numpy(data[key]) for key in data.files})

    @classmethod
    def joined(cls, parts: Sequence[LesionSamples]) -> LesionSamples:
        """All lesions of several."""
        return cls(*(torch.cat([vars(part)[key] for part in parts]) for key in vars(parts[0])))


def exam_lesions(
    exam: TypedExam,
    options: CropOptions | None = None,
    *,
    most: int | None = None,
    box_error: float = 0.0,
    check: bool = True,
) -> LesionSamples:
    """The lesions of known type that fill a voxel in some phase.

    most: take no more than this of an exam, drawn by its seed, so that one with 25 metastases does not outweigh others.
    box_error: SD of each side of the box, as a share of its size, for the boxes of a finder are not the true ones.
    Raises ValueError for an exam that is for evaluation only, unless `check` is off.
    """
    from scipy import ndimage

    truth = exam.truth
    if check:
        check_trainable(truth)
    rng = np.random.default_rng([truth.seed, 90])
    places = {
        phase: ndimage.find_objects(exam.lesion_ids[phase]) for phase in CLASSIFIER_PHASES if phase in exam.lesion_ids
    }
    typed = [lesion for lesion in truth.lesions if lesion.type is not None]
    if most is not None and len(typed) > most:
        typed = [typed[i] for i in sorted(rng.choice(len(typed), most, replace=False))]
    cropped: list[Crops] = []
    labels = []
    for lesion in typed:
        crops = {}
        error = rng.normal(0, box_error, (2, 3))
        for phase, found in places.items():
            box = found[lesion.id - 1] if lesion.id <= len(found) else None
            if box is not None:
                volume = exam.study.volumes[phase]
                crops[phase] = lesion_crop(volume, _misjudged(box, volume.array.shape, error), options)
        if crops:
            cropped.append(crops)
            labels.append(CLASSES.index(lesion.type))
    return _samples(cropped, labels, truth.clinical, patient_number(truth), truth.seed, options)


def real_tumours(files: CaseFiles, options: CropOptions | None = None, *, box_error: float = 0.0) -> LesionSamples:
    """The lesions of a real scan that its organ map calls tumours, from their one phase and without a record; none if
    there is no organ map. box_error: see `exam_lesions`.
    """
    scan = read_scan(files)
    number = real_patient_number(files.name)
    rng = np.random.default_rng([number, 90])
    tumours = [lesion.id for lesion in scan.lesions if lesion.known == "tumour"]
    cropped: list[Crops] = []
    for box in boxes_of(scan.ids, tumours):
        sides = tuple(slice(int(low), int(high)) for low, high in zip(box[:3], box[3:], strict=True))
        misjudged = _misjudged(sides, scan.volume.array.shape, rng.normal(0, box_error, (2, 3)))
        cropped.append({Phase.PORTAL_VENOUS: lesion_crop(scan.volume, misjudged, options)})
    labels = [TUMOUR] * len(cropped)
    return _samples(cropped, labels, ClinicalRecord(), real_patient_number(files.patient), number, options)


def _samples(
    cropped: Sequence[Crops],
    labels: Sequence[int],
    record: ClinicalRecord,
    patient: int,
    exam: int,
    options: CropOptions | None,
) -> LesionSamples:
    """Lesions of one exam."""
    phases, count = len(CLASSIFIER_PHASES), len(labels)
    images = [torch.zeros((0, phases, 1, *(options or CropOptions()).shape), dtype=torch.uint8)]
    present = [torch.zeros((0, phases), dtype=torch.bool)]
    for crops in cropped:
        stacked, there = stack_phases(crops)
        images.append(to_bytes(stacked)[None])
        present.append(there[None])
    return LesionSamples(
        torch.cat(images),
        torch.cat(present),
        encode_clinical(record).repeat(count, 1),
        torch.tensor(labels, dtype=torch.long),
        torch.full((count,), patient),
        torch.full((count,), exam),
    )


def _misjudged(box: tuple[slice, ...], shape: tuple[int, ...], error: npt.NDArray[np.float64]) -> Box:
    """The lesion's box with its sides moved by shares of its size."""
    low, high = [], []
    for side, size, (first, last) in zip(box, shape, error.T, strict=True):
        length = side.stop - side.start
        start = min(max(round(side.start + first * length), 0), size - 1)
        low.append(start)
        high.append(min(max(round(side.stop + last * length), start + 1), size))
    return (low[0], low[1], low[2]), (high[0], high[1], high[2])
