"""Exams with known lesions, and stand-ins for the networks that see them as they are: no weights needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from liverai_fakes import ToySegmentation
from scipy import ndimage
from torch import Tensor, nn

from LiverAILib.analysis.axes import canonical_axes, to_canonical
from LiverAILib.analysis.boxes3d import FoundBoxes
from LiverAILib.analysis.networks import Networks, SliceFormat, Stage
from LiverAILib.analysis.phase_stack import StackFormat
from LiverAILib.analysis.reading import TriageThresholds
from LiverAILib.analysis.stack_slices import StackReader
from LiverAILib.findings import Model
from LiverAILib.lesion_types import LesionType
from LiverAILib.study import ClinicalRecord, Phase, Source, Study, Volume
from LiverAILib.training.stacks import StackSample

ART, PV = Phase.ARTERIAL, Phase.PORTAL_VENOUS
SHAPE = (30, 64, 72)
SPACING = (4.0, 1.5, 1.5)
LIVER_HU, OUTSIDE_HU = 110, -90
Ball = tuple[tuple[float, float, float], float, int]  # centre in voxels (z, y, x), radius in mm, HU


def affine(spacing: Sequence[float] = SPACING, origin: Sequence[float] = (-50.0, -45.0, 600.0)) -> np.ndarray:
    result = np.diag([*spacing[::-1], 1.0])
    result[:3, 3] = origin
    return result


def exam_volume(
    balls: Sequence[Ball], *, shape: tuple[int, int, int] = SHAPE, spacing: Sequence[float] = SPACING, top: float = 26
) -> Volume:
    """A liver from slice 12 up to `top`, with balls of their own HU in it."""
    grid = np.indices(shape, dtype=float)
    z, y, x = grid
    middle, half = (12 + top) / 2, (top - 12) / 2
    hu = np.full(shape, OUTSIDE_HU, np.int16)
    inside = ((z - middle) / half) ** 4 + ((y - 32) / 26) ** 4 + ((x - 36) / 30) ** 4 < 1
    hu[inside] = LIVER_HU
    for centre, radius, level in balls:
        gap = sum(((axis - c) * s) ** 2 for axis, c, s in zip(grid, centre, spacing, strict=True))
        hu[inside & (gap <= radius**2)] = level
    return Volume(hu, affine(spacing), Source("toy", "phantom"))


def study_of(**balls: Sequence[Ball]) -> Study:
    """An exam from the balls of each phase, by its name."""
    return Study({Phase(name): exam_volume(shown) for name, shown in balls.items()}, ClinicalRecord(age=60))


def toy_stack(*, lesion: bool) -> StackSample:
    """A liver in all phases, with or without a lesion of 60 HU, by the same rules as an analysis's."""
    volume = exam_volume([((18.0, 32.0, 36.0), 9.0, 60)] if lesion else [])
    levels = np.rint((volume.array.clip(-40, 160) + 40.0) * 1.275).astype(np.uint8)
    return StackSample(
        torch.from_numpy(np.stack([levels] * 3)),
        torch.ones(3, dtype=torch.bool),
        torch.from_numpy(np.where(volume.array > 0, 255, 0).astype(np.uint8)),
        torch.from_numpy((volume.array == 60).astype(np.uint8)),
        torch.zeros(256, dtype=torch.bool),
        SPACING,
    )


class SeesLiver:
    """A segmenter: liver above 0 HU; lesion where it is darker than `below`."""

    model = Model(name="liversegnet", version="1", sha256="0" * 64)
    parameters: Mapping[str, Any] = {}

    def __init__(self, below: int = 80) -> None:
        self.below = below

    def __call__(self, volume: Volume, progress: Callable[[float], None]) -> ToySegmentation:
        liver = volume.array > 0
        return ToySegmentation(liver, np.where(liver & (volume.array < self.below), 0.875, 0).astype(np.float32))


def sees_levels(volume: Volume, segmentation: ToySegmentation, progress: Callable[[float], None]) -> FoundBoxes:
    """A detector: a box around each connected part of the liver of one level under 80 HU, the darkest first."""
    liver = segmentation.liver
    boxes = []
    for level in np.unique(volume.array[liver & (volume.array < 80)]):
        parts, _ = ndimage.label(liver & (volume.array == level))
        found = ndimage.find_objects(parts)
        boxes += [[*(axis.start for axis in box), *(axis.stop for axis in box)] for box in found]
    array = np.array(boxes, dtype=np.float64).reshape(-1, 6)
    return FoundBoxes(array, np.full(len(array), 0.9), np.ones(len(array), dtype=np.int64))


def knows_levels(
    volumes: Mapping[Phase, Volume],
    boxes: Sequence[Mapping[Phase, Any]],
    clinical: ClinicalRecord,
    progress: Callable[[float], None],
) -> list[dict[LesionType, float] | None]:
    """A classifier: the level in the middle of the box is the type's number times ten."""
    result: list[dict[LesionType, float] | None] = []
    for lesion in boxes:
        levels = [
            int(volumes[phase].array[tuple((a + b) // 2 for a, b in zip(*box, strict=True))])
            for phase, box in lesion.items()
        ]
        number = min(levels) // 10
        types = list(LesionType)
        if number >= len(types):
            result.append(None)
            continue
        chances = dict.fromkeys(LesionType, 0.01)
        chances[types[number]] = 0.94
        result.append(chances)
    return result


class SeesDark(nn.Module):
    """NoduleNet: its probability rises with the part of the slice that is dark; its stages light up there."""

    def stages(self, x: Tensor) -> tuple[Tensor, ...]:
        """At five scales: what lies between 0 and 80 HU, in a few of sixteen channels."""
        dark = ((x > -0.6) & (x < 0.2)).float()  # of the window from -40 to 160 HU
        maps = []
        for scale in (1, 2, 4, 8, 16):  # a toy liver is small
            pooled = nn.functional.avg_pool2d(dark, scale)
            maps.append(torch.cat([pooled, *[torch.zeros_like(pooled)] * 15], dim=1))
        return tuple(maps)

    def classify(self, last: Tensor) -> Tensor:
        share = last.sum(dim=(1, 2, 3)) * 20 - 2
        return torch.stack([-share, share], dim=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.classify(self.stages(x)[-1])


class SeesDarkPhases(nn.Module):
    """HCCNet: its probability rises with the part of the slice where the liver is darker by 30 HU in some phase."""

    def forward(self, x: Tensor) -> Tensor:
        dark = (x[:, :3].amin(dim=1) < -0.25) & (x[:, 3] > 0.5)
        share = dark.float().mean(dim=(1, 2)) * 20 - 2
        return torch.stack([-share, share], dim=1)


def reads_risk(network: nn.Module | None = None) -> StackReader:
    """HCCNet's stage."""
    return StackReader(network or SeesDarkPhases(), torch.device("cpu"), StackFormat())


def model(name: str) -> Model:
    return Model(name=name, version="1", sha256="1" * 64)


def stand_ins() -> Networks:
    """All stages, with thresholds."""
    return Networks(
        detector=Stage(sees_levels, model("lesiondetector"), parameters={"detector_levels": True}),
        detector_recall=0.95,
        classifier=Stage(knows_levels, model("lesionclassifier")),
        triage=TriageThresholds(0.2, 0.8),
        nodules=Stage(SeesDark(), model("nodulenet")),
        hcc=Stage(reads_risk(), model("hccnet")),
        hcc_threshold=0.1,
        slice_format=SliceFormat(1.5, 96),
    )


def flipped(volume: Volume) -> Volume:
    """The same volume with its slices stored from head to feet."""
    turn = np.diag([1.0, 1.0, -1.0, 1.0])
    turn[2, 3] = volume.array.shape[0] - 1
    return Volume(np.ascontiguousarray(volume.array[::-1]), volume.affine @ turn, volume.source)


def cropped(volume: Volume, first: int) -> Volume:
    """The same volume without its lowest slices."""
    place = volume.affine.copy()
    place[:3, 3] = volume.to_lps([first, 0, 0])
    return Volume(np.ascontiguousarray(volume.array[first:]), place, volume.source)


def shifted(volume: Volume, by: Sequence[float]) -> Volume:
    """The same volume elsewhere in the patient."""
    place = volume.affine.copy()
    place[:3, 3] += by
    return Volume(volume.array, place, volume.source)


def each(study: Study, change: Callable[[Volume], Volume]) -> Study:
    """A study with every volume changed."""
    return Study({phase: change(volume) for phase, volume in study.volumes.items()}, study.clinical)


def upwards(volume: Volume, array: np.ndarray) -> np.ndarray:
    """An array on a volume's grid with its slices from feet to head."""
    order, flips = canonical_axes(volume.affine)
    return to_canonical(array, order, flips)
