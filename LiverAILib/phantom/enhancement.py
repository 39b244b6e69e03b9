"""Attenuation of each tissue over the time after injection.

Mean HU without contrast and the rise over it at five times after the start of injection, linear in between. Sources:
- Goshima et al., AJR 2006;187:W25 (171 patients, 2 ml/kg of 300 mg I/ml at 4 ml/s). Late arterial: aorta +300-336,
  spleen +97-108, portal vein +75-104, hepatic vein +24-51, liver +15-25. Portal venous: liver +59-63, aorta +117-125,
  spleen +73-82;
- Heiken et al., Radiology 1993;187:327 and Bae, Radiology 2010;256:32: the course over time, and that dose per weight
  scales all of it and a slow heart delays it.
Unenhanced values and the cortico-medullary course of the kidney are common reference values (blood 35-45 HU, liver
50-65, spleen 45-50, kidney 30-35, muscle 50-60, pancreas 35-45, fat -90 to -110, bile 0-15).
Patients spread around the means: 18% by dose, 8% by timing, each tissue by 6% and by the unenhanced spread below.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from LiverAILib.study import Phase

#: Seconds after the start of injection at which the rises below hold: none, early and late arterial, portal, delayed.
TIMES = (0.0, 24.0, 37.0, 70.0, 180.0)

#: tissue: (HU without contrast, SD between patients, rises at TIMES).
TISSUES: Mapping[str, tuple[float, float, tuple[float, float, float, float, float]]] = {
    "aorta": (41, 3, (0, 240, 310, 122, 78)),
    "portal_vein": (40, 3, (0, 8, 92, 138, 82)),
    "hepatic_vein": (40, 3, (0, 1, 32, 128, 80)),
    "vena_cava_low": (40, 3, (0, 4, 30, 82, 80)),
    "vena_cava_high": (40, 3, (0, 25, 88, 118, 80)),
    "heart_blood": (41, 3, (0, 250, 240, 120, 78)),
    "myocardium": (45, 4, (0, 55, 85, 75, 50)),
    "liver": (58, 5, (0, 4, 19, 60, 42)),
    "spleen": (48, 4, (0, 60, 100, 78, 50)),
    "renal_cortex": (33, 3, (0, 110, 155, 140, 110)),
    "renal_medulla": (31, 3, (0, 18, 45, 130, 115)),
    "renal_pelvis": (8, 4, (0, 0, 2, 12, 320)),
    "pancreas": (40, 5, (0, 45, 75, 55, 32)),
    "adrenal": (28, 8, (0, 30, 55, 45, 30)),
    "muscle": (55, 4, (0, 2, 6, 12, 14)),
    "gut_wall": (38, 5, (0, 25, 50, 55, 40)),
    "bile": (8, 5, (0, 0, 0, 1, 2)),
    "marrow": (170, 40, (0, 3, 8, 16, 16)),
    "fat": (-102, 5, (0, 0, 0, 1, 1)),
    "cord": (30, 4, (0, 2, 4, 6, 6)),
    "disc": (80, 12, (0, 0, 1, 3, 4)),
    "cartilage": (105, 25, (0, 1, 3, 5, 6)),
}

#: Vessels share one unenhanced value, which follows the haematocrit.
BLOOD = ("aorta", "portal_vein", "hepatic_vein", "vena_cava_low", "vena_cava_high", "heart_blood")


@dataclass(frozen=True)
class Enhancement:
    """Attenuation of every tissue of one patient in every phase.

    hu: tissue -> phase -> HU. rise: tissue -> phase -> HU over the unenhanced value. seconds: phase -> seconds.
    """

    hu: Mapping[str, Mapping[Phase, float]]
    seconds: Mapping[Phase, float]
    dose: float

    def rise(self, tissue: str, phase: Phase) -> float:
        """HU over the value without contrast."""
        return self.hu[tissue][phase] - self.hu[tissue][Phase.NON_CONTRAST]


def draw_seconds(rng: np.random.Generator) -> dict[Phase, float]:
    """When each phase is taken: about a quarter of the arterial phases are early ones."""
    arterial = rng.uniform(22, 28) if rng.random() < 0.22 else rng.normal(36, 2.5)
    return {
        Phase.NON_CONTRAST: 0.0,
        Phase.ARTERIAL: float(np.clip(arterial, 20, 44)),
        Phase.PORTAL_VENOUS: float(np.clip(rng.normal(70, 6), 55, 90)),
        Phase.DELAYED: float(np.clip(rng.normal(185, 40), 120, 320)),
    }


def draw_enhancement(
    rng: np.random.Generator, liver_unenhanced: float, *, cirrhotic: bool, seconds: Mapping[Phase, float]
) -> Enhancement:
    """The HU of all tissues for one patient, given the liver's HU without contrast.

    A slow heart delays the course, the dose per weight scales it, a cirrhotic liver enhances later and less.
    """
    dose = float(np.clip(rng.lognormal(0, 0.18), 0.65, 1.5))
    delay = float(np.clip(rng.normal(1.0, 0.08), 0.85, 1.2))
    hu: dict[str, dict[Phase, float]] = {}
    blood = rng.normal(41, 4)
    for tissue, (mean, spread, rises) in TISSUES.items():
        base = blood if tissue in BLOOD else rng.normal(mean, spread)
        own = rng.normal(1, 0.06)
        if tissue == "liver":
            base = liver_unenhanced
            if cirrhotic:
                own *= rng.uniform(0.72, 0.95)
        late = 1.08 if cirrhotic and tissue in ("liver", "portal_vein", "hepatic_vein") else 1.0
        hu[tissue] = {
            phase: float(base + dose * own * np.interp(time / (delay * late), TIMES, rises))
            for phase, time in seconds.items()
        }
        hu[tissue][Phase.NON_CONTRAST] = float(base)
    # Veins can't be brighter than what feeds them once the bolus has passed.
    for vein in ("portal_vein", "hepatic_vein"):
        for phase in (Phase.PORTAL_VENOUS, Phase.DELAYED):
            hu[vein][phase] = max(hu[vein][phase], hu["liver"][phase] + 4)
    return Enhancement(hu, dict(seconds), dose)
