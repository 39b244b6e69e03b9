"""Typed lesions put into parts of stacks as they are drawn, so that PhaseComparisonNet and HCCNet never see the same
ones twice.

A pool of some hundred exams holds few small lesions, and few of each type, and these they would know by heart. An
implant looks in each phase as its type does (`phantom.appearance`), held against the liver's HU there, and keeps the
scan's noise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from LiverAILib.analysis.phase_stack import STACK_PHASES
from LiverAILib.lesion_types import LesionType
from LiverAILib.phantom.enhancement import Enhancement, draw_enhancement, draw_seconds
from LiverAILib.phantom.fields import Array, smooth_noise
from LiverAILib.training.exams_lesions import SOFT_EDGE_MM
from LiverAILib.training.implant_looks import implant_look

RADII_MM = (2.0, 13.0)
SUB_PLANES = 3  # of a slice, over which a lesion is averaged
LEAST_VOXELS = 50  # of liver
BASE_HU = (56.0, 7.0)  # of a liver without contrast medium: mean and SD

Box = tuple[slice, slice, slice]
Floats = npt.NDArray[np.float32]


def implant_in_stack(
    hu: Tensor,
    liver: Tensor,
    ids: Tensor,
    liver_hu: Tensor,
    spacing_mm: tuple[float, float, float],
    kinds: Sequence[LesionType | None],
    generator: torch.Generator,
    radii_mm: tuple[float, float] = RADII_MM,
) -> tuple[Tensor, Tensor, list[LesionType]]:
    """The HU (phase, z, y, x) and the lesion numbers (z, y, x) with up to a lesion of each of `kinds` (None: of any
    type) more, numbered on from the highest, and their types in this order; fewer where there is no room, none where
    there is hardly a liver.

    liver: (z, y, x) in [0, 1]; liver_hu: (phase,).
    """
    free = ((liver > 0.5) & (ids == 0)).numpy()
    if np.count_nonzero(free) < LEAST_VOXELS:
        return hu, ids, []
    rng = np.random.default_rng(int(torch.randint(2**31, (1,), generator=generator)))
    enhancement = draw_enhancement(
        rng, float(rng.normal(*BASE_HU)), cirrhotic=bool(rng.random() < 0.3), seconds=draw_seconds(rng)
    )
    new_hu, new_ids = hu.numpy().copy(), ids.numpy().copy()
    inside = liver.numpy()
    places = np.argwhere(free)
    types = list(LesionType)
    placed = []
    for wanted in kinds:
        kind = types[int(rng.integers(len(types)))] if wanted is None else wanted
        radius = math.exp(rng.uniform(math.log(radii_mm[0]), math.log(radii_mm[1])))
        centre = places[int(rng.integers(len(places)))]
        if new_ids[tuple(centre)]:
            continue
        box, weight, look = _lesion(kind, radius, centre, free.shape, spacing_mm, enhancement, rng)
        weight = weight * inside[box] * (new_ids[box] == 0)
        for number, phase in enumerate(STACK_PHASES):
            own = new_hu[number][box]
            level = look[number] + float(liver_hu[number]) - np.float32(enhancement.hu["liver"][phase])
            own += weight * (level - _smooth(own))
        here = weight > 0.5
        if here.any():
            new_ids[box][here] = new_ids.max() + 1
            placed.append(kind)
    return torch.from_numpy(new_hu), torch.from_numpy(new_ids), placed


def _smooth(values: Floats) -> Floats:
    """Means of 5 x 5 pixels: what is left when noise and texture are taken off."""
    from scipy import ndimage

    return np.asarray(ndimage.uniform_filter(values, (1, 5, 5), mode="nearest"), dtype=np.float32)


def _lesion(
    kind: LesionType,
    radius: float,
    centre: npt.NDArray[np.intp],
    shape: tuple[int, ...],
    spacing_mm: tuple[float, float, float],
    enhancement: Enhancement,
    rng: np.random.Generator,
) -> tuple[Box, Floats, list[Floats]]:
    """A lesion's box, its weights 0..1 there, and its HU by phase. radius: in mm."""
    edge_mm = 0.7 + float(rng.uniform(0, SOFT_EDGE_MM[kind]))
    reach = [math.ceil((1.5 * radius + edge_mm) / step) + 1 for step in spacing_mm]
    z, y, x = (slice(max(c - r, 0), min(c + r + 1, n)) for c, r, n in zip(centre, reach, shape, strict=True))
    stretch = np.exp(rng.normal(0, 0.12, 3)) * radius
    off = rng.uniform(-0.5, 0.5, 3)
    axes = [
        (np.arange(side.start, side.stop) - c - o) * step
        for side, c, o, step in zip((z, y, x), centre, off, spacing_mm, strict=True)
    ]
    parts = (np.arange(SUB_PLANES) - (SUB_PLANES - 1) / 2) / SUB_PLANES * spacing_mm[0]
    fine_z = (axes[0][:, None] + parts).ravel()
    size = (len(fine_z), len(axes[1]), len(axes[2]))
    step_mm = (spacing_mm[0] / SUB_PLANES, *spacing_mm[1:])

    def texture(scale_mm: float) -> Array:
        scale = scale_mm / float(np.prod(step_mm)) ** (1 / 3) / 2.5
        return smooth_noise(rng, size, scale)

    gap = [values / length for values, length in zip((fine_z, axes[1], axes[2]), stretch, strict=True)]
    radial = np.sqrt(gap[0][:, None, None] ** 2 + gap[1][None, :, None] ** 2 + gap[2][None, None] ** 2)
    radial = radial / np.clip(1 + rng.uniform(0.02, 0.14) * texture(max(0.7 * radius, 3.0)), 0.6, 1.6)
    distance, look = implant_look(kind, radial, radius, texture, enhancement, rng)
    weight = 1 / (1 + np.exp((1.7 * distance / edge_mm).clip(-30, 30)))

    def slices(values: Array) -> Floats:
        return np.asarray(values.reshape(-1, SUB_PLANES, *size[1:]).mean(axis=1), dtype=np.float32)

    return (z, y, x), slices(weight), [slices(look.hu[phase]) for phase in STACK_PHASES]
