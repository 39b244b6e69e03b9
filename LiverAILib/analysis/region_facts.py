"""What speaks for a region of joint lesion probability beside its highest probability. Ours, not in the papers.

A small lesion's probability reaches less far up than a large one's. So a large, stretched or high-contrast region whose
peak is no higher than a small lesion's is more likely a vessel, ascites or the liver's edge. A logistic regression on a
few facts of each region, fitted on validation exams and phantoms, says how much more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np
import numpy.typing as npt

from LiverAILib.analysis.lesions import MIN_PEAK, THRESHOLD
from LiverAILib.analysis.phase_stack import PhaseStack

SURE = 1e-4  # probabilities count as if they were this far from 0 and 1
SHELL_MM = (2.0, 8.0)  # what surrounds a region: the liver that is so far from it
LEAST_SHELL = 6  # voxels; with fewer a region has no contrast
LEAST_CONTRAST = 0.1
MOST_ML = 10.0  # regions of this volume and more count alike, so that no tumour is too large to be one
LEFT_OVER = 0.05  # logits over `THRESHOLD` that a region keeps which is no lesion


@dataclass(frozen=True)
class RegionFacts:
    """peak: logit of the highest joint probability. compared: of the comparison's highest. volume: log of the volume in
    ml, at most `MOST_ML`. elongation: log of the largest over the smallest variance along its principal axes. contrast:
    log of how far its mean HU is from its surroundings', in SDs of the liver's HU, in the phase where that is most.
    depth: mean distance from the liver's surface in mm.
    """

    peak: float
    compared: float
    volume: float
    elongation: float
    contrast: float
    depth: float


FACTS = tuple(field.name for field in fields(RegionFacts))


@dataclass(frozen=True)
class RegionWeights:
    """The logistic regression: a region counts as a lesion if the weighted sum of its facts and the bias is over 0."""

    peak: float = 1.0
    compared: float = 0.0
    volume: float = 0.0
    elongation: float = 0.0
    contrast: float = 0.0
    depth: float = 0.0
    bias: float = -float(np.log(MIN_PEAK / (1 - MIN_PEAK)))

    def sureness(self, facts: RegionFacts) -> float:
        """That sum. With the defaults it says what the peak alone says."""
        return self.bias + sum(getattr(self, name) * getattr(facts, name) for name in FACTS)

    def metadata(self) -> dict[str, float]:
        """As a package states them."""
        return {key: round(value, 4) for key, value in asdict(self).items()}


def region_facts(
    labels: npt.NDArray[np.integer],
    probability: npt.NDArray[np.float32],
    voxel_ml: float,
    on_stack: npt.NDArray[np.integer],
    compared: npt.NDArray[np.float32],
    stack: PhaseStack,
) -> list[RegionFacts | None]:
    """Of each region 1..n of `labels`; None for one that no voxel of the stack's grid lies in.

    labels, probability: (z, y, x) on the reference phase's grid, the joint probability. on_stack, compared: (z, y, x)
    on the stack's, the same labels and the comparison's probability.
    """
    from scipy import ndimage
    from scipy.special import logit

    count = int(labels.max(initial=0))
    if not count:
        return []
    inside = stack.liver > 0.5
    numbers = np.arange(1, count + 1)
    volumes = np.bincount(labels.ravel(), minlength=count + 1)[1:] * voxel_ml
    peaks, highest = (
        logit(np.clip(ndimage.maximum(values, regions, numbers), SURE, 1 - SURE))
        for values, regions in ((probability, labels), (compared, on_stack))
    )
    depth = ndimage.distance_transform_edt(inside, sampling=stack.spacing_mm)
    spread = [_spread(values[inside]) for values in stack.hu] if inside.any() else [1.0] * len(stack.hu)
    facts: list[RegionFacts | None] = []
    for number, place in enumerate(ndimage.find_objects(on_stack, count), start=1):
        if place is None:
            facts.append(None)
            continue
        own = on_stack[place] == number
        facts.append(
            RegionFacts(
                peak=float(peaks[number - 1]),
                compared=float(highest[number - 1]),
                volume=float(np.log(min(volumes[number - 1], MOST_ML))),
                elongation=_elongation(own, stack.spacing_mm),
                contrast=_contrast(on_stack, number, place, stack, inside, spread),
                depth=float(depth[place][own].mean()),
            )
        )
    return facts


def _spread(hu: npt.NDArray[np.float32]) -> float:
    """SD of the liver's HU, from the median distance from the median, so that lesions and vessels hardly count."""
    return max(1.4826 * float(np.median(np.abs(hu - np.median(hu)))), 1.0)


def _elongation(own: npt.NDArray[np.bool_], spacing_mm: Sequence[float]) -> float:
    """Of a region's voxels, each of which has the variance of a box."""
    points = np.argwhere(own) * spacing_mm
    within = np.diag(np.square(spacing_mm) / 12)
    around = np.cov(points.T) if len(points) > 1 else np.zeros((3, 3))
    low, _, high = np.linalg.eigvalsh(around + within)
    return float(np.log(high / low))


def _contrast(
    on_stack: npt.NDArray[np.integer],
    number: int,
    place: tuple[slice, ...],
    stack: PhaseStack,
    inside: npt.NDArray[np.bool_],
    spread: Sequence[float],
) -> float:
    from scipy import ndimage

    reach = [int(np.ceil(SHELL_MM[1] / step)) for step in stack.spacing_mm]
    wide = tuple(slice(max(s.start - r, 0), s.stop + r) for s, r in zip(place, reach, strict=True))
    own = on_stack[wide] == number
    gap = ndimage.distance_transform_edt(~own, sampling=stack.spacing_mm)
    shell = (gap > SHELL_MM[0]) & (gap < SHELL_MM[1]) & inside[wide] & (on_stack[wide] == 0)
    if np.count_nonzero(shell) < LEAST_SHELL:
        return float(np.log(LEAST_CONTRAST))
    contrasts = [
        abs(float(hu[wide][own].mean()) - float(hu[wide][shell].mean())) / own_spread
        for hu, own_spread, there in zip(stack.hu, spread, stack.present, strict=True)
        if there
    ]
    return float(np.log(LEAST_CONTRAST + max(contrasts)))


def with_sureness(
    probability: npt.NDArray[np.float32], labels: npt.NDArray[np.integer], sureness: Sequence[float | None]
) -> npt.NDArray[np.float32]:
    """The joint probability (z, y, x) with each region 1..n scaled, in logits, so that its peak is over `MIN_PEAK` if
    its sureness is over 0. Its outline, where it is over `THRESHOLD`, stays; None leaves a region as it is.
    """
    from scipy import ndimage
    from scipy.special import expit, logit

    result = probability.copy()
    low, wanted, most = (float(logit(value)) for value in (THRESHOLD, MIN_PEAK, 1 - SURE))
    for number, place in enumerate(ndimage.find_objects(labels), start=1):
        sure = sureness[number - 1]
        if place is None or sure is None:
            continue
        own = labels[place] == number
        logits = logit(probability[place][own].clip(SURE, 1 - SURE).astype(np.float64))
        peak = min(max(wanted + sure, low + LEFT_OVER), most)
        factor = (peak - low) / max(float(logits.max()) - low, LEFT_OVER)
        result[place][own] = expit(low + (logits - low) * factor)
    return result
