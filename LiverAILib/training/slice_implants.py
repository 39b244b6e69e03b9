"""Lesions put into slices as NoduleNet draws them, so that it never sees the same ones twice.

The exams of a pool hold a thousand lesions or so: a slice network knows them by heart before it knows what a lesion
is. Half of the slices it is shown with a lesion are therefore slices without one, given lesions by `implants`: the
same patient, texture and noise with a lesion and without.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from LiverAILib.analysis.grid import AIR, WINDOW_HU
from LiverAILib.training.cases import LABEL_STEP, Organ
from LiverAILib.training.implants import implant_lesions

INNER_MM = 15.0  # from the rim of what is shown, which is the liver and up to 14 mm around it
VESSEL_HU = 15.0  # smoothed pixels that differ by more from the liver's median are vessels, or something else


def implant_in_slice(image: Tensor, pixel_mm: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """An image (y, x) in [-1, 1], air around the liver, with one to four lesions in it; and where (bool) they are,
    nowhere if the slice shows too little liver.
    """
    low, high = WINDOW_HU
    hu = (image + 1) * (high - low) / 2 + low
    air = (image < AIR).float()[None, None]
    reach = round(INNER_MM / pixel_mm)
    near_air = F.pad(air, (reach,) * 4, value=1.0)
    for kernel in ((2 * reach + 1, 1), (1, 2 * reach + 1)):
        near_air = F.max_pool2d(near_air, kernel, stride=1)
    inner = near_air[0, 0] == 0
    if not inner.any():
        return image, inner
    codes = torch.where(inner, LABEL_STEP + Organ.LIVER, 0)
    smooth = F.avg_pool2d(hu[None, None], 5, stride=1, padding=2)[0, 0]
    vessel = inner & ((smooth - smooth[inner].median()).abs() > VESSEL_HU)
    codes[vessel] = LABEL_STEP + Organ.VEINS
    spacing_mm = (5.0, pixel_mm, pixel_mm)
    changed, codes = implant_lesions(hu[None], codes.to(torch.uint8)[None], spacing_mm, generator)
    shown = (changed[0].clamp(low, high) - low) * 2 / (high - low) - 1
    return torch.where(air[0, 0] > 0, -1.0, shown), codes[0] >= 2 * LABEL_STEP
