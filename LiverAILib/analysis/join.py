"""The phases' segmentations brought together on the reference phase's grid.

Each other phase is shifted so that its liver lies over the reference phase's (breathing, see `registration`), and the
highest lesion probability of any phase counts, since many lesions show in one phase only. Two kinds of phases do not
count beside others: the non-contrast one, which adds false lesions and no true ones; and one in which much of the liver
looks like lesion while it does not in another, as a fatty liver does before contrast medium reaches it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from LiverAILib.analysis.registration import liver_shift
from LiverAILib.analysis.resample import Box, Mask, bounding_box, resampled
from LiverAILib.study import Phase, Study, Volume

if TYPE_CHECKING:
    from LiverAILib.analysis.segment import Segmentation

DIFFUSE_SHARE = 0.25  # of the liver: more than this is much
DIFFUSE_FACTOR = 4.0  # as much as in the phase that shows least
BRIGHT_HU = 140.0  # of the liver: from here on little room is left in the networks' window


@dataclass(frozen=True)
class JointMap:
    """The phases' segmentations on the reference grid: the reference phase's liver, the highest lesion probability of
    any phase that counts, and LPS shifts in mm from the reference to each phase that has a liver.
    """

    liver: Mask
    probability: npt.NDArray[np.float32]
    shifts: Mapping[Phase, npt.NDArray[np.float64]]
    warnings: list[str]


def join_phases(study: Study, segmentations: Mapping[Phase, Segmentation]) -> JointMap:
    """Bring the phases' lesion probabilities to the reference grid, each shifted by its `liver_shift`."""
    reference = study.reference_phase
    volume = study.volumes[reference]
    liver = segmentations[reference].liver
    probability = segmentations[reference].lesion_probability
    diffuse, notes = diffuse_phases(segmentations)
    missing = [
        f"No liver was found in the {phase.words} phase; check that it shows the upper abdomen."
        for phase, segmentation in segmentations.items()
        if not segmentation.liver.any()
    ]
    warnings = [*missing, *notes, *bright_livers(study, segmentations)]
    counted = {phase for phase, found in segmentations.items() if found.liver.any()} - diffuse
    if counted > {Phase.NON_CONTRAST}:
        counted.remove(Phase.NON_CONTRAST)
    shifts = {reference: np.zeros(3)}
    if liver.any():
        box = bounding_box(liver)
        own, probability = probability, np.zeros(probability.shape, np.float32)  # what stays 0 takes no memory
        joint = probability[box]
        if reference in counted:
            joint[:] = own[box]
        for phase, other in segmentations.items():
            if phase is reference or not other.liver.any():
                continue
            there = study.volumes[phase]
            shifts[phase] = liver_shift(volume, liver, there, other.liver)
            if phase in counted:
                seen = _resample(other.lesion_probability, bounding_box(other.liver), there, volume, box, shifts[phase])
                np.maximum(joint, seen, out=joint, where=liver[box])
    return JointMap(liver, probability, shifts, warnings)


def bright_livers(study: Study, segmentations: Mapping[Phase, Segmentation]) -> list[str]:
    """Words on the phases in which the liver's median is over `BRIGHT_HU`."""
    from LiverAILib.analysis.grid import WINDOW_HU

    notes = []
    for phase, found in segmentations.items():
        level = float(np.median(study.volumes[phase].array[found.liver])) if found.liver.any() else 0.0
        if level > BRIGHT_HU:
            notes.append(
                f"In the {phase.words} phase the liver measures {level:.0f} HU; the networks see nothing brighter than "
                f"{WINDOW_HU[1]:.0f} HU, so brighter lesions can be missed in this phase."
            )
    return notes


def diffuse_phases(segmentations: Mapping[Phase, Segmentation]) -> tuple[set[Phase], list[str]]:
    """The phases whose lesion probabilities are not believed, and words on them and on all in which more than
    `DIFFUSE_SHARE` of the liver is over one half.
    """
    shares = {
        phase: float(np.mean(found.lesion_probability[found.liver] > 0.5))
        for phase, found in segmentations.items()
        if found.liver.any()
    }
    diffuse, notes = set(), []
    for phase, share in shares.items():
        if share <= DIFFUSE_SHARE:
            continue
        said = f"In the {phase.words} phase {share:.0%} of the liver looks like lesion, as a fatty liver may"
        if share > DIFFUSE_FACTOR * min(shares.values()):
            diffuse.add(phase)
            notes.append(f"{said}; another phase does not show it, so lesions were not looked for in this one.")
        else:
            notes.append(f"{said}. Check whether it is a lesion.")
    return diffuse, notes


def _resample(
    array: npt.NDArray[np.float32],
    inside: Box,
    source: Volume,
    target: Volume,
    box: Box,
    shift: npt.NDArray[np.float64],
) -> npt.NDArray[np.float32]:
    """`array` on the source's grid (0 outside the box `inside`), at the voxels of a box of the target's grid, whose
    points are moved by `shift`.
    """
    affine = target.affine.copy()
    affine[:3, 3] = target.to_lps([axis.start for axis in box]) + shift
    return resampled(array, inside, source, [axis.stop - axis.start for axis in box], affine)
