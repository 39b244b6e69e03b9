"""Which tissue each voxel of a portal-venous scan is, and what its HU become in another phase.

With an organ map the organs are known. Without one, and for what a map leaves open, tissue is guessed from HU and
place: the training scans are cut around the liver and clipped to [-40, 160] HU, so that fat, lung and air look alike,
and so do bone, kidney and vessels. A guess is good enough for the look of the surroundings; liver, hepatic vessels and
lesions never rest on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from LiverAILib.phantom.enhancement import Enhancement
from LiverAILib.study import Phase
from LiverAILib.training.cases import Organ

Array = npt.NDArray[np.float32]
Labels = npt.NDArray[np.uint8]

#: Tissues of `enhancement.TISSUES` for organ codes; what is missing here is judged by its HU.
ORGAN_TISSUES: Mapping[Organ, str] = {
    Organ.KIDNEY: "renal_cortex",
    Organ.SPLEEN: "spleen",
    Organ.GALLBLADDER: "bile",
    Organ.PANCREAS: "pancreas",
    Organ.ADRENAL: "adrenal",
    Organ.PORTAL_VEIN: "portal_vein",
    Organ.VEINS: "vena_cava_high",
    Organ.ARTERY: "aorta",
    Organ.BILIARY: "bile",
}
#: Never changed by contrast.
STILL = (Organ.BONE, Organ.LUNG, Organ.METAL, Organ.CYST)
_BRIGHT_HU = 145.0
_EDGE_MM = 24.0


def guess_bright(
    smooth: Array, organs: Labels, inside: npt.NDArray[np.bool_], spacing_mm: tuple[float, float, float]
) -> Labels:
    """Organ codes with the bright parts outside the liver told apart, where the map does not know them: bone reaches
    the rim of the cut-out at its back or sides; of the rest the large parts are kidney, the one at the very back
    the aorta, and the others veins. Parts that touch the liver's vessels count as the portal vein.
    """
    open_ = np.isin(organs, (Organ.UNKNOWN, Organ.BODY)) & ~inside
    bright = ndimage.binary_opening(open_ & (smooth > _BRIGHT_HU), np.ones((1, 3, 3), bool))
    parts, count = ndimage.label(bright)
    if not count:
        return organs
    boxes = ndimage.find_objects(parts)
    sizes = np.bincount(parts.ravel(), minlength=count + 1) * float(np.prod(spacing_mm)) / 1000
    rim = [_EDGE_MM / step for step in spacing_mm]
    kinds = np.full(count + 1, Organ.UNKNOWN, np.uint8)
    vessels: list[tuple[float, int]] = []
    for number, box in enumerate(boxes, start=1):
        back = box[1].stop > smooth.shape[1] - rim[1]
        side = box[2].start < rim[2] or box[2].stop > smooth.shape[2] - rim[2]
        if sizes[number] < 0.3:
            kinds[number] = Organ.UNKNOWN
        elif back or side:
            kinds[number] = Organ.BONE
        elif sizes[number] > 25:
            kinds[number] = Organ.KIDNEY
        else:
            vessels.append(((box[1].start + box[1].stop) / 2, number))
    for place, number in vessels:
        kinds[number] = Organ.ARTERY if place == max(vessels)[0] and sizes[number] > 4 else Organ.PORTAL_VEIN
    found = organs.copy()
    found[bright] = kinds[parts[bright]]
    marrow = ndimage.binary_dilation(found == Organ.BONE, np.ones((1, 7, 7), bool))
    found[marrow & open_ & (smooth > 60)] = Organ.BONE  # and what is thin or less bright beside it
    return found


def phase_offset(
    smooth: Array,
    organs: Labels,
    liver: npt.NDArray[np.bool_],
    vessel_hu: float,
    liver_hu: float,
    lesions: Sequence[tuple[npt.NDArray[np.bool_], float]],
    enhancement: Enhancement,
    phase: Phase,
) -> Array:
    """What to add to a portal-venous scan (z, y, x) for another phase.

    smooth: the scan without noise. liver: liver tissue and the vessels in it. vessel_hu, liver_hu: their HU here.
    lesions: masks of real lesions and what to add to each. The liver turns from parenchyma to vessel in proportion to
    its HU, so that there are no seams; the rest is set organ by organ, or by its HU.
    """
    e = enhancement
    offset = _by_hu(smooth, e, phase)
    for organ in STILL:
        offset[organs == organ] = 0
    for organ, tissue in ORGAN_TISSUES.items():
        region = (organs == organ) & ~liver
        if region.any():
            offset[region] = _rescaled(smooth[region], e.hu[tissue][phase])
    share = np.clip((smooth - liver_hu - 6) / max(vessel_hu - liver_hu - 6, 10), 0, 1)
    blood = 0.5 * (e.hu["portal_vein"][phase] + e.hu["hepatic_vein"][phase])
    inner = share * (blood - vessel_hu) + (1 - share) * (e.hu["liver"][phase] - liver_hu)
    offset[liver] = inner[liver]
    for mask, value in lesions:
        offset[mask] = value
    return np.asarray(ndimage.gaussian_filter(offset, (0, 0.8, 0.8)), np.float32)


def _rescaled(values: Array, target: float) -> Array:
    """The change that brings most of an organ to its HU in the phase; what took up no contrast, such as a thrombus or
    the fat in a hilum, stays as it is.
    """
    now = float(np.percentile(values, 60))
    if now < 60:
        return np.full_like(values, target - now)
    return np.asarray(np.clip(values - 30, 0, None) * ((target - 30) / (now - 30) - 1), np.float32)


def _by_hu(smooth: Array, e: Enhancement, phase: Phase) -> Array:
    """The change of tissue that is known by its HU only: fluid and fat stay, muscle, parenchyma and blood change."""
    tissues = ("muscle", "gut_wall", "spleen", "aorta", "portal_vein")
    *change, artery, vein = (e.rise(tissue, phase) - e.rise(tissue, Phase.PORTAL_VENOUS) for tissue in tissues)
    knots = (25.0, 65.0, 95.0, 125.0, 155.0)
    return np.asarray(np.interp(smooth, knots, (0.0, *change, 0.5 * (artery + vein))), np.float32)


def real_lesion_offset(
    mean_hu: float, *, fluid: bool, enhancement: Enhancement, phase: Phase, hypervascular: bool, base: float
) -> float:
    """What to add to a real lesion of unknown type for another phase: fluid stays; the rest falls to `base` without
    contrast and, when hypervascular, outshines the liver in the arterial phase.
    """
    if fluid:
        return 0.0
    e = enhancement
    rise = max(mean_hu - base, 0.0)
    if phase is Phase.NON_CONTRAST:
        return base - mean_hu if rise else 0.0
    if phase is Phase.ARTERIAL:
        return (0.35 * rise if not hypervascular else max(rise, e.rise("liver", phase) + 35.0 * e.dose)) - rise
    return 0.0 if phase is Phase.PORTAL_VENOUS else -0.15 * rise
