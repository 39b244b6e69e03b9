"""Lesions put into the liver of a patch: blobs of random shape whose tissue keeps the surrounding texture and noise.

Few real lesions are in the training data; implants of simple shape and contrast are known to stand in for them well in
segmentation (Hu et al., Label-free liver tumor segmentation, CVPR 2023).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from LiverAILib.training.cases import LABEL_STEP, Organ

LARGE_RADIUS_MM = 55.0


def _uniform(low: float, high: float, generator: torch.Generator) -> float:
    return low + (high - low) * float(torch.rand(1, generator=generator))


def implant_lesions(
    hu: Tensor, codes: Tensor, spacing_mm: tuple[float, float, float], generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Put one to four lesions into the liver.

    hu: float (z, y, x). codes: uint8 (z, y, x), see `TrainingCase`. spacing_mm: (z, y, x) of the patch.
    Returns both with the lesions; where the patch holds no liver they come back unchanged.
    """
    liver = (codes // LABEL_STEP == 1).nonzero()
    if len(liver) < 200:
        return hu, codes
    hu, codes = hu.clone(), codes.clone()
    largest = LARGE_RADIUS_MM if _uniform(0, 1, generator) < 0.4 else 22.0
    for _ in range(int(torch.randint(1, 5, (1,), generator=generator))):
        centre = liver[int(torch.randint(len(liver), (1,), generator=generator))]
        radius = math.exp(_uniform(math.log(3.0), math.log(largest), generator))
        if radius > 22:
            largest = 22.0  # one large lesion leaves little room for another
        box, weight, distance = _blob(centre, radius, hu.shape, spacing_mm, generator)
        inside = codes[box] >= LABEL_STEP
        vessel = inside & (codes[box] % LABEL_STEP != Organ.LIVER)
        bright = _uniform(0, 1, generator) < 0.2
        least = 10 + 60 / radius  # a small faint lesion is lost in the noise: no one could learn it
        contrast = _uniform(least, least + 35, generator) if bright else -_uniform(least, least + 50, generator)
        change = torch.full_like(weight, contrast)
        if radius > 7 and _uniform(0, 1, generator) < 0.4:  # a core, necrosis or scar
            change[distance < _uniform(0.3, 0.8, generator)] += _uniform(-35, 20, generator)
        if radius > 7 and _uniform(0, 1, generator) < 0.25:  # a capsule or an enhancing rim
            change[distance > 1 - _uniform(2, 5, generator) / radius] += _uniform(0, 45, generator)
        if radius > 10 and _uniform(0, 1, generator) < 0.6:  # mosaic
            change += _smooth_field((5, 9, 9), distance.shape, generator) * _uniform(0, 14, generator)
        beside = inside & ~vessel
        if vessel.any() and beside.any():  # vessels give way to the lesion
            change = torch.where(vessel, change + hu[box][beside].mean() - hu[box][vessel].mean(), change)
        hu[box] += change * weight * inside
        codes[box] = torch.where(inside & (weight > 0.5), 2 * LABEL_STEP + Organ.TUMOUR, codes[box].long()).to(
            torch.uint8
        )
    return hu, codes


def _smooth_field(knots: tuple[int, int, int], shape: torch.Size, generator: torch.Generator) -> Tensor:
    coarse = torch.randn((1, 1, *knots), generator=generator)
    return F.interpolate(coarse, shape, mode="trilinear", align_corners=True)[0, 0]


def _blob(
    centre: Tensor,
    radius_mm: float,
    shape: torch.Size,
    spacing_mm: tuple[float, float, float],
    generator: torch.Generator,
) -> tuple[tuple[slice, slice, slice], Tensor, Tensor]:
    """A box of the patch; weights 0..1 in it: an ellipsoid with a bumpy surface and an edge about a pixel wide; and
    the distance from the centre, 1 on the surface.
    """
    reach = [math.ceil(1.6 * radius_mm / step) + 1 for step in spacing_mm]
    low = [max(int(c) - r, 0) for c, r in zip(centre, reach, strict=True)]
    high = [min(int(c) + r + 1, n) for c, r, n in zip(centre, reach, shape, strict=True)]
    axes = [
        (torch.arange(a, b) - float(c)) * step / (radius_mm * _uniform(0.75, 1.3, generator))
        for a, b, c, step in zip(low, high, centre, spacing_mm, strict=True)
    ]
    distance = (axes[0][:, None, None] ** 2 + axes[1][None, :, None] ** 2 + axes[2][None, None] ** 2).sqrt()
    distance = distance / (
        1 + _uniform(0.1, 0.25, generator) * _smooth_field((4, 5, 5), distance.shape, generator)
    ).clamp(0.4, 2.5)
    edge_mm = _uniform(0.6, 2.0, generator)
    weight = torch.sigmoid((1 - distance) * radius_mm / edge_mm * 1.7)
    return (slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2])), weight, distance
