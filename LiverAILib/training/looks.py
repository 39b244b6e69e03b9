"""Contrast looks: a real portal-venous patch is given the look of a non-contrast or an arterial scan, organ by organ,
and now and then a fatty liver in any phase.

Means and scatter of each tissue follow Foley et al., AJR 1994 (biphasic liver CT), Bae, Radiology 2010 (contrast
timing) and Lamba et al., AJR 2014 (normal values). A steatotic liver measures 40 HU or less without contrast medium
(Boyce et al., AJR 2010); enhancement adds to that. The texture and noise of the patch are kept; only slowly varying
offsets are added, so the patch stays a real one.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from LiverAILib.training.cases import Organ

#: HU (mean, standard deviation between patients) of tissues with a look of their own.
NON_CONTRAST_HU: dict[Organ, tuple[float, float]] = {
    Organ.KIDNEY: (32, 4), Organ.SPLEEN: (48, 5), Organ.GALLBLADDER: (10, 6), Organ.PANCREAS: (38, 7), Organ.STOMACH:
    (25, 15),
    Organ.ADRENAL: (30, 8), Organ.LIVER: (56, 9), Organ.PORTAL_VEIN: (40, 5), Organ.VEINS: (40, 5), Organ.ARTERY: (41,
    5),
    Organ.BILIARY: (10, 6), Organ.OTHER_TUMOUR: (35, 8),
}  # fmt: skip
ARTERIAL_HU: dict[Organ, tuple[float, float]] = {
    Organ.KIDNEY: (140, 30), Organ.SPLEEN: (115, 30), Organ.GALLBLADDER: (10, 6), Organ.PANCREAS: (95, 20),
    Organ.STOMACH: (45, 20),
    Organ.ADRENAL: (70, 20), Organ.LIVER: (68, 10), Organ.PORTAL_VEIN: (95, 35), Organ.VEINS: (62, 14), Organ.ARTERY:
    (280, 60),
    Organ.BILIARY: (10, 6), Organ.OTHER_TUMOUR: (60, 15),
}  # fmt: skip

#: HU from and to of a fatty liver in each look.
FATTY_HU = {"non_contrast": (-5.0, 40.0), "arterial": (0.0, 52.0), "portal_venous": (25.0, 80.0)}
FATTY_SHARE = 0.15


def _uniform(low: float, high: float, generator: torch.Generator) -> float:
    return low + (high - low) * float(torch.rand(1, generator=generator))


def contrast_look(hu: Tensor, organs: Tensor, look: str, generator: torch.Generator) -> Tensor:
    """Give a portal-venous patch another look.

    hu: float (z, y, x). organs: `Organ` codes, (z, y, x). look: "non_contrast", "arterial", or "portal_venous", which
    changes nothing but a fatty liver. Returns float (z, y, x). Tissues without a code (soft tissue above 60 HU) are
    drawn towards their usual range in that phase. One liver in seven is fatty; fluid and, in the portal-venous phase,
    tumours keep their HU in it.
    """
    fatty = _uniform(0, 1, generator) < FATTY_SHARE
    if look == "portal_venous":
        return _fatty_portal_venous(hu, organs, generator) if fatty else hu
    table = NON_CONTRAST_HU if look == "non_contrast" else ARTERIAL_HU
    offset = torch.zeros_like(hu)
    liver = organs == Organ.LIVER
    present = bool(liver.any())
    liver_now = float(hu[liver].mean()) if present else 105.0
    mean, deviation = table[Organ.LIVER]
    liver_then = mean + deviation * float(torch.randn(1, generator=generator))
    if fatty:
        liver_then = _uniform(*FATTY_HU[look], generator)
    for organ, (mean, deviation) in table.items():
        region = organs == organ
        if not region.any():
            continue
        target = liver_then if organ is Organ.LIVER else mean + deviation * float(torch.randn(1, generator=generator))
        if organ in (Organ.PORTAL_VEIN, Organ.VEINS) and look == "arterial" and _uniform(0, 1, generator) < 0.3:
            target = liver_then + _uniform(-12, 8, generator)
        offset[region] = target - float(hu[region].mean())
    for organ in (Organ.TUMOUR, Organ.CYST):
        region = organs == organ
        if region.any():
            now = float(hu[region].mean())
            if organ is Organ.CYST or now < 25:
                target = now  # fluid does not enhance
            elif look == "arterial" and _uniform(0, 1, generator) < 0.35:
                target = liver_then + _uniform(12, 60, generator)
            else:
                target = liver_then - _uniform(5, 35, generator)
            offset[region] = target - now
    unknown = (organs == Organ.UNKNOWN) | (organs == Organ.BODY)
    squeeze = _uniform(0.1, 0.4, generator) if look == "non_contrast" else _uniform(0.5, 1.1, generator)
    knee = _uniform(40, 60, generator)
    bone = F.avg_pool3d((hu > 150).float()[None, None], (1, 9, 9), stride=1, padding=(0, 4, 4))[0, 0] > 0.15
    soft = unknown & (hu > knee) & ~bone
    offset[soft] = (hu[soft] - knee) * (squeeze - 1)
    if not present:
        offset[unknown & (hu > knee) & ~bone] += liver_then - liver_now if look == "non_contrast" else 0.0
    return hu + _smoothed(offset)


def _fatty_portal_venous(hu: Tensor, organs: Tensor, generator: torch.Generator) -> Tensor:
    liver = organs == Organ.LIVER
    offset = torch.zeros_like(hu)
    if liver.any():
        offset[liver] = (_uniform(*FATTY_HU["portal_venous"], generator) - hu[liver].mean()).clamp(max=0)
    return hu + _smoothed(offset)


def _smoothed(offset: Tensor) -> Tensor:
    """Offsets without steps between neighbouring tissues."""
    return F.avg_pool2d(offset.unsqueeze(1), 3, stride=1, padding=1, count_include_pad=False).squeeze(1)
