"""Lesions put into slices as NoduleNet and HCCNet draw them, so that they never see the same ones twice.

The exams of a pool hold a thousand lesions or so: a slice network knows them by heart before it knows what a lesion
is. Half of the slices it is shown with a lesion are therefore slices without one, given lesions by `implants`: the
same patient, texture and noise with a lesion and without. HCCNet has to tell types apart, of which a pool holds some
dozens each; its implants look as their type does in the slice's phase (`phantom.appearance`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from LiverAILib.analysis.grid import AIR, WINDOW_HU, window
from LiverAILib.lesion_types import LesionType
from LiverAILib.phantom.appearance import Look
from LiverAILib.phantom.enhancement import Enhancement, draw_enhancement, draw_seconds
from LiverAILib.phantom.fields import Array, smooth_noise
from LiverAILib.phantom.lesions import draw_diameter
from LiverAILib.study import Phase
from LiverAILib.training.cases import LABEL_STEP, Organ
from LiverAILib.training.exams_lesions import SOFT_EDGE_MM
from LiverAILib.training.implant_looks import implant_look
from LiverAILib.training.implants import implant_lesions

LEAST_PIXELS = 200  # of liver away from the rim
RIM_MM = 7.0  # of what is shown, more or less: beyond the liver
INNER_MM = 15.0  # from the rim of what is shown, which is the liver and up to 14 mm around it
VESSEL_HU = 15.0  # smoothed pixels that differ by more from the liver's median are vessels, or something else


def implant_in_slice(image: Tensor, pixel_mm: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """An image (y, x) in [-1, 1], air around the liver, with one to four lesions in it; and where (bool) they are,
    nowhere if the slice shows too little liver.
    """
    seen = _look_at(image, pixel_mm)
    if not seen.inner.any():
        return image, seen.inner
    codes = torch.where(seen.inner, LABEL_STEP + Organ.LIVER, 0)
    codes[seen.vessel] = LABEL_STEP + Organ.VEINS
    spacing_mm = (5.0, pixel_mm, pixel_mm)
    changed, codes = implant_lesions(seen.hu[None], codes.to(torch.uint8)[None], spacing_mm, generator)
    return _shown(changed[0], image), codes[0] >= 2 * LABEL_STEP


def implant_typed(
    image: Tensor, phase: Phase, hcc: bool, pixel_mm: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """An image (y, x) of a phase in [-1, 1], air around the liver, with an HCC and at times lesions of other types, or
    with one to three of another type; and where (bool) an HCC is, nowhere if the slice shows too little liver.
    """
    seen = _look_at(image, pixel_mm)
    hccs = torch.zeros_like(seen.inner)
    if int(seen.inner.sum()) < LEAST_PIXELS:
        return image, hccs
    rng = np.random.default_rng(int(torch.randint(2**31, (1,), generator=generator)))
    others = [kind for kind in LesionType if kind is not LesionType.HCC]
    other = others[int(rng.integers(len(others)))]
    more = int(rng.choice(3, p=(0.6, 0.25, 0.15)))
    kinds = (
        [LesionType.HCC, *[LesionType.HCC] * more, *[other] * (rng.random() < 0.15)] if hcc else [other] * (1 + more)
    )
    enhancement = draw_enhancement(
        rng, float(rng.normal(56, 7)), cirrhotic=bool(rng.random() < 0.3), seconds=draw_seconds(rng)
    )
    liver_hu = float(seen.smooth[seen.inner & ~seen.vessel].median())
    shift = liver_hu - enhancement.hu["liver"][phase]
    hu = seen.hu.clone()
    for number, kind in enumerate(kinds):
        radius = draw_diameter(kind, rng, first=number == 0) / 2
        places = seen.inner.nonzero()
        centre = places[int(rng.integers(len(places)))].tolist()
        box, weight, look = _cut_lesion(kind, radius, centre, hu.shape, pixel_mm, enhancement, rng)
        weight = weight * seen.liver[box]
        hu[box] += weight * (torch.from_numpy(look.hu[phase]) + shift - seen.smooth[box])
        if kind is LesionType.HCC:
            hccs[box] |= weight > 0.5
    return _shown(hu, image), hccs


@dataclass(frozen=True)
class _Seen:
    """An image (y, x) in HU, and smoothed; what is shown but for its rim, what is far enough from it for a lesion's
    centre, and what of that is a vessel.
    """

    hu: Tensor
    smooth: Tensor
    liver: Tensor
    inner: Tensor
    vessel: Tensor


def _look_at(image: Tensor, pixel_mm: float) -> _Seen:
    low, high = WINDOW_HU
    hu = (image + 1) * (high - low) / 2 + low
    liver, inner = (_far_from_air(image, round(mm / pixel_mm)) for mm in (RIM_MM, INNER_MM))
    smooth = F.avg_pool2d(hu[None, None], 5, stride=1, padding=2)[0, 0]
    vessel = inner & ((smooth - smooth[inner].median()).abs() > VESSEL_HU) if inner.any() else inner
    return _Seen(hu, smooth, liver, inner, vessel)


def _far_from_air(image: Tensor, reach: int) -> Tensor:
    near_air = F.pad((image < AIR).float()[None, None], (reach,) * 4, value=1.0)
    for kernel in ((2 * reach + 1, 1), (1, 2 * reach + 1)):
        near_air = F.max_pool2d(near_air, kernel, stride=1)
    return near_air[0, 0] == 0


def _shown(hu: Tensor, image: Tensor) -> Tensor:
    """HU as an image again, air where there was air."""
    return torch.where(image < AIR, -1.0, window(hu))


def _cut_lesion(
    kind: LesionType,
    radius: float,
    centre: list[int],
    shape: torch.Size,
    pixel_mm: float,
    enhancement: Enhancement,
    rng: np.random.Generator,
) -> tuple[tuple[slice, slice], Tensor, Look]:
    """A lesion cut at any height: its box in the slice, weights 0..1 there, and its look. radius: in mm."""
    reach = int(np.ceil(1.5 * radius / pixel_mm)) + 2
    rows, columns = (slice(max(c - reach, 0), min(c + reach + 1, n)) for c, n in zip(centre, shape, strict=True))
    stretch = rng.uniform(0.8, 1.25)
    y = (np.arange(rows.start, rows.stop) - centre[0])[:, None] * pixel_mm / radius * stretch
    x = (np.arange(columns.start, columns.stop) - centre[1])[None] * pixel_mm / radius / stretch
    size = (rows.stop - rows.start, columns.stop - columns.start)

    def texture(scale_mm: float) -> Array:
        return smooth_noise(rng, size, scale_mm / pixel_mm / 2.5)

    bumps = 1 + rng.uniform(0.02, 0.14) * texture(max(0.7 * radius, 3.0))
    radial = np.sqrt(y**2 + x**2 + rng.uniform(0, 0.8) ** 2) / np.clip(bumps, 0.6, 1.6)
    distance, look = implant_look(kind, radial, radius, texture, enhancement, rng)
    edge_mm = 0.7 + rng.uniform(0, SOFT_EDGE_MM[kind])
    weight = torch.sigmoid(torch.from_numpy(-1.7 * distance / np.float32(edge_mm)))
    return (rows, columns), weight, look
