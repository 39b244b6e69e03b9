"""Real scans lesion by lesion: what the experts drew, with the names that the organ maps give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from LiverAILib.evaluation.overlap import label_regions
from LiverAILib.study import Volume
from LiverAILib.training.cases import LEAST_ML, CaseFiles, lesion_kind, names_tumours


@dataclass(frozen=True)
class RealLesion:
    """id: its number in `RealScan.ids`. known: "tumour" or "cyst" by the organ map, "lesion" where there is none."""

    id: int
    known: str
    volume_ml: float
    mean_hu: float


@dataclass(frozen=True)
class RealScan:
    """A scan with its truth. liver: with lesions, (z, y, x); ids: 0 for no lesion."""

    name: str
    patient: str
    volume: Volume
    liver: npt.NDArray[np.bool_]
    ids: npt.NDArray[np.int32]
    lesions: tuple[RealLesion, ...]


def read_scan(files: CaseFiles) -> RealScan:
    """A case with label and organ map in agreement; a cyst of the organ map is a lesion too."""
    volume = files.volume()
    label, organs = files.truth(volume)
    mapped = names_tumours(organs)
    parts = label_regions(label == 2)
    sizes = np.bincount(parts.ravel(), minlength=int(parts.max(initial=0)) + 1) * volume.voxel_ml
    kept = [number for number in range(1, len(sizes)) if sizes[number] >= LEAST_ML]
    table = np.zeros(len(sizes), np.int32)
    table[kept] = np.arange(1, len(kept) + 1)
    ids = table[parts]
    lesions = []
    for number, old in enumerate(kept, start=1):
        own = ids == number
        known = lesion_kind(organs[own], mapped=mapped)
        lesions.append(RealLesion(number, known, float(sizes[old]), float(volume.array[own].mean())))
    return RealScan(files.name, files.patient, volume, label > 0, ids, tuple(lesions))


def boxes_of(ids: npt.NDArray[np.integer], numbers: Sequence[int]) -> npt.NDArray[np.float64]:
    """Boxes (n, 6) of the regions with these numbers; NaN for one without a voxel."""
    from scipy import ndimage

    found = ndimage.find_objects(ids.astype(np.int32))
    boxes = np.full((len(numbers), 6), np.nan)
    for row, number in enumerate(numbers):
        box = found[number - 1] if number <= len(found) else None
        if box is not None:
            boxes[row] = [*(axis.start for axis in box), *(axis.stop for axis in box)]
    return boxes
