"""Lesions put into slices as NoduleNet draws them, so that it never sees the same ones twice.

The exams of a pool hold a thousand lesions or so: a slice network knows them by heart before it knows what a lesion
is. Half of the slices it is shown with a lesion are therefore slices without one, given lesions by `implants`: the
same patient, texture and noise with a lesion and without.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from LiverAILib.analysis.grid import AIR, WINDOW_HU, window
from LiverAILib.training.cases import LABEL_STEP, Organ
from LiverAILib.training.implants import implant_lesions

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


@dataclass(frozen=True)
class _Seen:
    """An image (y, x) in HU; what is far enough from its rim for a lesion's centre, and what of that is a vessel."""

    hu: Tensor
    inner: Tensor
    vessel: Tensor


def _look_at(image: Tensor, pixel_mm: float) -> _Seen:
    low, high = WINDOW_HU
    hu = (image + 1) * (high - low) / 2 + low
    inner = _far_from_air(image, round(INNER_MM / pixel_mm))
    smooth = F.avg_pool2d(hu[None, None], 5, stride=1, padding=2)[0, 0]
    vessel = inner & ((smooth - smooth[inner].median()).abs() > VESSEL_HU) if inner.any() else inner
    return _Seen(hu, inner, vessel)


def _far_from_air(image: Tensor, reach: int) -> Tensor:
    near_air = F.pad((image < AIR).float()[None, None], (reach,) * 4, value=1.0)
    for kernel in ((2 * reach + 1, 1), (1, 2 * reach + 1)):
        near_air = F.max_pool2d(near_air, kernel, stride=1)
    return near_air[0, 0] == 0


def _shown(hu: Tensor, image: Tensor) -> Tensor:
    """HU as an image again, air where there was air."""
    return torch.where(image < AIR, -1.0, window(hu))
