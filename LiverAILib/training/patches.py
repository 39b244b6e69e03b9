"""Patches for the segmentation network: where they are cut, and how they are varied."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from LiverAILib.analysis.grid import WINDOW_HU, window
from LiverAILib.analysis.segment import surroundings
from LiverAILib.networks.detector import suspicion
from LiverAILib.training.cases import LABEL_STEP, TrainingCase
from LiverAILib.training.implants import implant_lesions
from LiverAILib.training.looks import contrast_look

BEND_REACH_MM = 70.0  # places so far apart are displaced independently
ENHANCES_HU = 50.0  # soft tissue without contrast medium; what is above it in a portal-venous scan is enhancement


@dataclass(frozen=True)
class PatchOptions:
    """How patches are drawn. Probabilities are per patch; the paper names affine change, cropping and salt-and-pepper
    noise.

    towards_middle: how far the patch is moved in plane from the chosen voxel to the middle of the volume. Patches
    nearly as large as the body teach the network where the liver lies; whole slices are what it is given later.
    bright: how often a portal-venous look is enhanced more than it was, `enhancement` times the HU above 50, as a
    higher dose or a lower tube voltage would; the liver may then come near the end of the window.
    stretch: largest ratio of the scales in y and x. bend_mm: spread of a smooth random displacement in plane, as
    patients differ more than a turn and a scale.
    faint, hidden: how often a lesion probability is lowered, by a random factor, or taken away: those of cases that the
    segmentation learnt from are too sure, and what it misses has to be seen in the image. Other looks and implants,
    which it would not fit, are made only where it is taken away.
    close: how often a synthetic case is cut around the liver, as the real ones are, and as `analysis.segment` does for
    its closer looks.
    """

    size: tuple[int, int, int] = (24, 224, 288)
    towards_middle: float = 0.7
    at_lesion: float = 0.5
    at_liver: float = 0.40
    other_look: float = 0.5
    implants: float = 0.55
    bright: float = 0.3
    enhancement: tuple[float, float] = (1.1, 2.0)
    faint: float = 0.3
    hidden: float = 0.5
    close: float = 0.4
    rotation_degrees: float = 12.0
    scale: tuple[float, float] = (0.85, 1.2)
    stretch: float = 1.15
    bend_mm: float = 4.0
    slice_mm: tuple[float, float] = (1.6, 6.5)
    gain: float = 0.12
    shift_hu: float = 12.0
    noise_hu: float = 18.0
    salt_and_pepper: float = 0.08


class Patch(NamedTuple):
    """image: (1, z, y, x) float in [-1, 1], with the `suspicion` (2, z, y, x) where the case has a lesion probability.
    target: (2, z, y, x) float, liver (with lesions) and lesion. voxel_ml: of one voxel.
    """

    image: Tensor
    target: Tensor
    voxel_ml: float


class PatchSource:
    """Draws patches from cases; the same seed gives the same sequence."""

    def __init__(self, cases: list[TrainingCase], options: PatchOptions, seed: int) -> None:
        self.cases = cases
        self.options = options
        self.generator = torch.Generator().manual_seed(seed)
        self._voxels: dict[str, tuple[list[Tensor], Tensor]] = {}
        self._closeups: dict[str, TrainingCase] = {}

    def _random(self, low: float = 0.0, high: float = 1.0) -> float:
        return low + (high - low) * float(torch.rand(1, generator=self.generator))

    def _integer(self, high: int) -> int:
        return int(torch.randint(high, (1,), generator=self.generator))

    def _places(self, case: TrainingCase) -> tuple[list[Tensor], Tensor]:
        """Voxels (n, 3) of each lesion, and of the liver (thinned)."""
        if case.name not in self._voxels:
            from scipy import ndimage

            ids, count = ndimage.label(case.codes.numpy() >= 2 * LABEL_STEP)
            boxes = ndimage.find_objects(ids)
            lesions = []
            for i in range(count):
                inside = torch.from_numpy(ids[boxes[i]] == i + 1).nonzero()
                if len(inside) >= 4:
                    lesions.append(inside + torch.tensor([axis.start for axis in boxes[i]]))
            liver = (case.codes >= LABEL_STEP).nonzero()
            self._voxels[case.name] = (lesions, liver[:: max(1, len(liver) // 20_000)].clone())
        return self._voxels[case.name]

    def _liver_voxel(self, liver: Tensor) -> Tensor:
        """One of these voxels (n, 3), with every slice as likely as any other: the ends as often as the middle."""
        slices = liver[:, 0].unique()
        inside = liver[liver[:, 0] == slices[self._integer(len(slices))]]
        return inside[self._integer(len(inside))]

    def _closeup(self, case: TrainingCase) -> TrainingCase:
        """The case cut `CLOSER_LOOK_MM` around its liver."""
        if case.name not in self._closeups:
            spacing = (case.slice_mm, case.in_plane_mm, case.in_plane_mm)
            box = surroundings((case.codes >= LABEL_STEP).numpy(), spacing)
            self._closeups[case.name] = (
                case
                if box is None
                else replace(
                    case,
                    name=f"{case.name}, close",
                    image=case.image[box],
                    codes=case.codes[box],
                    lesion_probability=None if case.lesion_probability is None else case.lesion_probability[box],
                )
            )
        return self._closeups[case.name]

    def draw(self) -> Patch:
        """One patch of a case that is drawn too."""
        case = self.cases[self._integer(len(self.cases))]
        if not case.looks and self._random() < self.options.close:
            case = self._closeup(case)
        return self.draw_from(case)

    def draw_from(self, case: TrainingCase) -> Patch:
        """One patch of a given case."""
        depth, height, width = self.options.size
        group = self._slices_per_group(case.slice_mm)
        lesions, liver = self._places(case)
        where = self._random()
        if lesions and where < self.options.at_lesion:
            voxels = lesions[self._integer(len(lesions))]
            centre = voxels[self._integer(len(voxels))].float()
        elif len(liver) and where < self.options.at_lesion + self.options.at_liver:
            centre = self._liver_voxel(liver).float()
        else:
            centre = torch.tensor([self._random(0, s) for s in case.image.shape])
        middle = torch.tensor(case.image.shape) / 2
        middle[0] = centre[0]
        free = 1 - self.options.towards_middle
        jitter = torch.tensor([0.35 * depth * group, 0.3 * free * height, 0.3 * free * width])
        wander = torch.tensor([self._random(-1, 1) for _ in range(3)])
        centre = middle + (centre - middle) * free + wander * jitter
        scale = self._random(*self.options.scale)
        hu, codes, probability = self._cut(case, centre, group, scale)
        pixel_mm = case.in_plane_mm / scale
        shown = probability is not None and self._random() >= self.options.hidden
        if case.looks and not shown:
            hu = self._other_look(hu, codes % LABEL_STEP)
            if self._random() < self.options.implants:
                hu, codes = implant_lesions(hu, codes, (case.slice_mm * group, pixel_mm, pixel_mm), self.generator)
        target = torch.stack([codes >= LABEL_STEP, codes >= 2 * LABEL_STEP]).float()
        channels = [self._vary(hu)]
        if probability is not None:
            faint = self._random() if self._random() < self.options.faint else 1.0
            channels.append(suspicion(probability * faint if shown else torch.zeros_like(probability)))
        return Patch(torch.stack(channels), target, case.slice_mm * group * pixel_mm**2 / 1000)

    def _other_look(self, hu: Tensor, organs: Tensor) -> Tensor:
        """A portal-venous patch in another phase, or with more enhancement, or with a fatty liver, or as it is."""
        if self._random() < self.options.other_look:
            return contrast_look(hu, organs, "non_contrast" if self._random() < 0.5 else "arterial", self.generator)
        hu = contrast_look(hu, organs, "portal_venous", self.generator)
        if self._random() < self.options.bright:
            hu = hu + (hu - ENHANCES_HU).clamp(min=0) * (self._random(*self.options.enhancement) - 1)
        return hu

    def _slices_per_group(self, slice_mm: float) -> int:
        low, high = self.options.slice_mm
        wanted = math.exp(self._random(math.log(low), math.log(high)))
        return max(1, round(wanted / slice_mm))

    def _cut(
        self, case: TrainingCase, centre: Tensor, group: int, scale: float
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """HU, codes and lesion probability of a rotated, scaled patch; air outside the case; slices averaged in
        groups.
        """
        depth, height, width = self.options.size
        total = case.image.shape[0]
        first = int(centre[0]) - depth * group // 2
        first = min(max(first, -2 * group), max(total - (depth - 2) * group, -2 * group))
        index = torch.arange(first, first + depth * group)
        inside = (index >= 0) & (index < total)
        index = index.clamp(0, total - 1)
        angle = math.radians(self._random(-1, 1) * self.options.rotation_degrees)
        rows, columns = case.image.shape[1:]
        stretch = math.exp(self._random(-0.5, 0.5) * math.log(self.options.stretch))
        step_y = (torch.arange(height) - (height - 1) / 2) / (scale * stretch)
        step_x = (torch.arange(width) - (width - 1) / 2) / (scale / stretch)
        y = centre[1] + step_y[:, None] * math.cos(angle) - step_x[None] * math.sin(angle)
        x = centre[2] + step_y[:, None] * math.sin(angle) + step_x[None] * math.cos(angle)
        bend_y, bend_x = self._bend(height, width, case.in_plane_mm) / case.in_plane_mm
        grid = torch.stack([(2 * (x + bend_x) + 1) / columns - 1, (2 * (y + bend_y) + 1) / rows - 1], dim=-1)
        hu = torch.full((depth * group, height, width), -1024.0)
        codes = torch.zeros((depth * group, height, width), dtype=torch.uint8)
        known = case.lesion_probability
        probability = None if known is None else torch.zeros(hu.shape)
        if inside.any():
            chosen = index[inside]
            low, high = int(chosen[0]), int(chosen[-1]) + 1
            sampling = grid.expand(high - low, -1, -1, -1)
            image = case.image[low:high].float().unsqueeze(1) + 1024  # so that the zero padding is air
            hu[inside] = F.grid_sample(image, sampling, align_corners=False).squeeze(1) - 1024
            nearest = F.grid_sample(
                case.codes[low:high].float().unsqueeze(1), sampling, mode="nearest", align_corners=False
            )
            codes[inside] = nearest.squeeze(1).to(torch.uint8)
            if known is not None and probability is not None:
                shares = known[low:high].float().unsqueeze(1) / 255
                probability[inside] = F.grid_sample(shares, sampling, align_corners=False).squeeze(1)
        hu = hu.clamp(-1024, 1024)
        if group > 1:
            hu = hu.clamp(*WINDOW_HU).unflatten(0, (depth, group)).mean(dim=1)
            codes = codes.unflatten(0, (depth, group))[:, group // 2]
            probability = None if probability is None else probability.unflatten(0, (depth, group)).mean(dim=1)
        return hu, codes, probability

    def _bend(self, height: int, width: int, pixel_mm: float) -> Tensor:
        """A smooth random displacement (2, y, x) in mm, the same for all slices."""
        rows, columns = (max(2, round(n * pixel_mm / BEND_REACH_MM) + 1) for n in (height, width))
        coarse = torch.randn(1, 2, rows, columns, generator=self.generator) * self.options.bend_mm
        return F.interpolate(coarse, size=(height, width), mode="bicubic", align_corners=True)[0]

    def _vary(self, hu: Tensor) -> Tensor:
        """Random gain, shift, blur, correlated noise and salt-and-pepper; windowed to [-1, 1]."""
        options = self.options
        hu = hu.clamp(-200, 400)
        hu = (hu - 60) * (1 + self._random(-1, 1) * options.gain) + 60 + self._random(-1, 1) * options.shift_hu
        if self._random() < 0.3:
            hu = _blur(hu, self._random(0.3, 0.9))
        if self._random() < 0.6:
            noise = torch.randn(hu.shape, generator=self.generator)
            if self._random() < 0.6:
                noise = _blur(noise, self._random(0.4, 1.0))
            noise = noise / noise.std()
            hu = hu + noise * self._random(0, options.noise_hu)
        image = window(hu)
        if self._random() < options.salt_and_pepper:
            spots = torch.rand(hu.shape, generator=self.generator)
            share = self._random(0, 0.01)
            image = image.masked_fill(spots < share, -1.0).masked_fill(spots > 1 - share, 1.0)
        return image


def _blur(x: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of each slice."""
    reach = max(1, math.ceil(2.5 * sigma))
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    kernel = (kernel / kernel.sum()).view(1, 1, 1, -1)
    padded = F.pad(x.unsqueeze(1), (reach, reach, reach, reach), mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel), kernel.transpose(2, 3)).squeeze(1)
