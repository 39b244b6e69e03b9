"""Stage 1c: all phases compared with each other, where there are two or more. Not in the papers.

LiverSegNet, and the papers' detector, see one phase at a time; a lesion that is bright in the arterial phase and like
the liver in the portal venous one is judged there by one look only. Here a small network sees the phases beside each
other, and its lesion probability and the segmentations' become one joint lesion probability:

    logit(joint) = segmentation * logit(p) + comparison * logit(q) + offset

with p the highest of any phase that counts (see `join`), q the comparison's, and weights from the package. Which of its
regions are lesions a package may decide by more than their peaks (`region_facts`); the joint probability is scaled so
that the same thresholds serve. Validation has chosen all of these.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from LiverAILib.analysis.join import JointMap
from LiverAILib.analysis.lesions import label_lesions
from LiverAILib.analysis.phase_stack import STACK_PHASES, PhaseStack, StackFormat, on_stack, stack_phases
from LiverAILib.analysis.region_facts import SURE, RegionFacts, RegionWeights, region_facts, with_sureness
from LiverAILib.analysis.resample import bounding_box, resampled
from LiverAILib.analysis.segment import bfloat16_is_fast
from LiverAILib.networks.phase_comparison import PhaseComparisonNet, comparison_input
from LiverAILib.study import Phase, Source, Study, Volume

LEAST_PHASES = 2
PART_SLICES = 96  # looked at together; a longer stack goes through the network in parts
OVERLAP_SLICES = 8  # more on each side of a part; what the network mixes reaches 5 slices
#: How many times its size a slice is shown, for the sake of small lesions, and the axes along which it is mirrored.
VIEWS: tuple[tuple[float, tuple[int, ...]], ...] = ((1.0, ()), (1.0, (-2, -1)), (4 / 3, (-1,)), (4 / 3, (-2,)))


@dataclass(frozen=True)
class JointWeights:
    """How the joint lesion probability comes about, see above; the defaults take each for half."""

    segmentation: float = 0.5
    comparison: float = 0.5
    offset: float = 0.0

    def __post_init__(self) -> None:
        if min(self.segmentation, self.comparison) < 0 or self.segmentation + self.comparison <= 0:
            raise ValueError("The weights of the joint lesion probability can't be negative, nor both 0.")

    def joint(self, segmented: npt.NDArray[np.float32], compared: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The joint probability of two of any one shape; 0 where nothing was segmented and nothing compared."""
        from scipy.special import expit, logit

        p, q = (logit(values.clip(SURE, 1 - SURE)) for values in (segmented, compared))
        sure = self.segmentation * p + self.comparison * q + np.float32(self.offset)
        found = expit(sure).astype(np.float32)
        return np.where((segmented > 0) | (compared > 0), found, np.float32(0))

    def metadata(self) -> dict[str, float]:
        """As a package states them."""
        return {key: round(value, 4) for key, value in asdict(self).items()}


@dataclass(frozen=True)
class Compared:
    """What the network says. probability: in the bounding box of the reference phase's liver, 0 outside that liver.
    on_stack: (z, y, x) on the grid of `stack`.
    """

    probability: Volume
    on_stack: npt.NDArray[np.float32]
    stack: PhaseStack

    def regions(self, joint: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.uint16], list[RegionFacts | None]]:
        """The regions of a joint probability in that box, as `label_lesions` finds them, and their facts."""
        voxel_ml = self.probability.voxel_ml
        labels = label_lesions(joint, voxel_ml)
        seen = on_stack(labels, self.probability, self.stack)
        return labels, region_facts(labels, joint, voxel_ml, seen, self.on_stack, self.stack)


class PhaseComparer:
    """Brings the comparison into a joint map. regions: decide which regions are lesions, their peaks if None. phases:
    that the network was trained for.
    """

    def __init__(
        self,
        network: PhaseComparisonNet,
        device: torch.device,
        taken: StackFormat | None = None,
        weights: JointWeights | None = None,
        regions: RegionWeights | None = None,
        phases: frozenset[Phase] = frozenset(STACK_PHASES),
    ) -> None:
        self.network = network.to(device).eval()
        self.device = device
        self.taken = taken or StackFormat()
        self.weights = weights or JointWeights()
        self.regions = regions
        self.phases = phases

    def __call__(self, study: Study, joint: JointMap) -> JointMap:
        """The joint map with the comparison's part, inside the reference phase's liver. As it is without a liver there,
        or with fewer than `LEAST_PHASES` phases to compare.
        """
        found = self.look(study, joint)
        if found is None:
            return joint
        box = bounding_box(joint.liver)
        probability = np.zeros(joint.probability.shape, np.float32)  # what stays 0 takes no memory
        own = self.weights.joint(joint.probability[box], found.probability.array)
        own = np.where(joint.liver[box], own, np.float32(0))
        if self.regions is not None:
            labels, facts = found.regions(own)
            own = with_sureness(own, labels, [None if one is None else self.regions.sureness(one) for one in facts])
        probability[box] = own
        return replace(joint, probability=probability)

    def look(self, study: Study, joint: JointMap) -> Compared | None:
        """What the network alone says; None where there is nothing to compare."""
        shifts = {phase: shift for phase, shift in joint.shifts.items() if phase in self.phases}
        if len(shifts.keys() & set(STACK_PHASES)) < LEAST_PHASES or not joint.liver.any():
            return None
        reference = study.volumes[study.reference_phase]
        stack = stack_phases(study.volumes, study.reference_phase, joint.liver, shifts, self.taken)
        seen = Volume(compare_phases(self.network, stack, self.device), stack.affine, Source("comparison", "file"))
        box = bounding_box(joint.liver)
        place = reference.affine.copy()
        place[:3, 3] = reference.to_lps([axis.start for axis in box])
        z, y, x = seen.array.shape
        whole = (slice(0, z), slice(0, y), slice(0, x))
        found = resampled(seen.array, whole, seen, [axis.stop - axis.start for axis in box], place)
        found = np.where(joint.liver[box], found, np.float32(0))
        return Compared(Volume(found, place, seen.source), seen.array, stack)


def compare_phases(network: PhaseComparisonNet, stack: PhaseStack, device: torch.device) -> npt.NDArray[np.float32]:
    """Lesion probability (z, y, x) on a stack's grid: of the mean logit over several views, see `VIEWS`. Long stacks go
    through the network in overlapping parts.
    """
    hu, present, liver = (torch.from_numpy(values) for values in (stack.hu, stack.present, stack.liver))
    shown = comparison_input(hu, present, liver, torch.from_numpy(stack.liver_hu))
    depth = shown.shape[1]
    parts = []
    for first in range(0, depth, PART_SLICES):
        low, high = max(first - OVERLAP_SLICES, 0), min(first + PART_SLICES + OVERLAP_SLICES, depth)
        part = shown[None, :, low:high].to(device)
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bfloat16_is_fast(device)):
            seen = [_view(network, part, scale, axes) for scale, axes in VIEWS]
        logits = torch.stack(seen).mean(dim=0)
        kept = slice(first - low, first - low + min(PART_SLICES, depth - first))
        parts.append(logits[kept].sigmoid().float().cpu())
    return torch.cat(parts).numpy()


def _view(network: PhaseComparisonNet, shown: Tensor, scale: float, axes: tuple[int, ...]) -> Tensor:
    """Logits (z, y, x) of one exam (1, channel, z, y, x), seen in another size and mirrored."""
    size = shown.shape[-2:]
    slices = shown[0].transpose(0, 1)
    if scale != 1:
        larger = [round(side * scale) for side in size]
        slices = F.interpolate(slices, size=larger, mode="bilinear", align_corners=False)
    logits: Tensor = network(slices.transpose(0, 1)[None].flip(axes)).flip(axes)[0]
    if scale != 1:
        logits = F.interpolate(logits[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]
    return logits
