"""The recipe of PhaseComparisonNet, as a `Task` of the training loop (see `loop`).

Parts of exams' stacks, most of them around a lesion, small ones the oftener. Varied as in `stack_parts`; mirrored and
turned in plane by right angles, as a lesion may be anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from LiverAILib.analysis.compare import compare_phases
from LiverAILib.analysis.lesions import MIN_LESION_ML
from LiverAILib.analysis.phase_stack import PhaseStack
from LiverAILib.analysis.segment import bfloat16_is_fast
from LiverAILib.evaluation.overlap import same_regions
from LiverAILib.networks.phase_comparison import PhaseComparisonNet, comparison_input
from LiverAILib.training.freezing import freeze, keep_statistics
from LiverAILib.training.loop import Loop
from LiverAILib.training.stack_implants import implant_in_stack
from LiverAILib.training.stack_parts import (
    Chance,
    StackAmounts,
    another_outline,
    cut_at,
    inside,
    varied_hu,
    varied_presence,
)
from LiverAILib.training.stacks import StackSample, hu_of, lesion_weights
from LiverAILib.training.validated import FoundInCase, choose_score

GROW = 0.5  # regions over this are held against the true lesions in validation
ENTROPY_VOXELS = 50_000  # over so many voxels the weighted entropy of a part is averaged
OVERLAP_SHARE = 0.5
MOST_IMPLANTS = 4
REAL_CHANCE = 0.25  # that a part lies around a lesion of the scan's own: there are few, in all exams made on it


@dataclass(frozen=True)
class ComparisonRecipe(StackAmounts):
    """Options of one training, beside how much the parts vary.

    size: of a part (z, y, x) in voxels. at_lesion: chance of a part around a lesion; inside it, a lesion's chance grows
    with the root of its weight. implants: chance that lesions are put in (see `stack_implants`). outside: what a voxel
    outside the liver counts. miss: what a missed lesion voxel counts in the overlap term, of 1 with a wrong one.
    frozen: parts that stay as they begin, see `freeze`; with any, the statistics of batch normalisation stay too.
    """

    preset: str = "compact"
    steps: int = 11_000
    batch: int = 4
    learning_rate: float = 3e-3
    weight_decay: float = 1e-4
    warmup: int = 200
    size: tuple[int, int, int] = (16, 96, 96)
    at_lesion: float = 0.6
    implants: float = 0.5
    outside: float = 0.2
    miss: float = 0.7
    frozen: tuple[str, ...] = ()
    seed: int = 7


class ComparisonTask:
    """What the loop trains."""

    title = "PhaseComparisonNet"

    def __init__(
        self, samples: Sequence[StackSample], validation: Sequence[StackSample], recipe: ComparisonRecipe
    ) -> None:
        if not samples:
            raise ValueError("A training of the comparison needs exams or phantoms.")
        self.samples, self.validation, self.recipe = list(samples), list(validation), recipe
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        with torch.random.fork_rng():
            torch.manual_seed(recipe.seed)
            self.network: nn.Module = PhaseComparisonNet(recipe.preset).to(self.device)
        freeze(self.network, recipe.frozen)
        learning = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(learning, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)

    def rate(self, step: int) -> float:
        """The learning rate of a step: linear warm-up, then along a cosine to a hundredth."""
        recipe = self.recipe
        if step < recipe.warmup:
            return recipe.learning_rate * (step + 1) / recipe.warmup
        part = min((step - recipe.warmup) / max(recipe.steps - recipe.warmup, 1), 1.0)
        return recipe.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * part)))

    def draw(self, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """One batch: input (batch, 7, z, y, x), target and weight (batch, z, y, x)."""
        chance = Chance(generator)
        parts = [self._part(chance) for _ in range(self.recipe.batch)]
        shown, target, weight = zip(*parts, strict=True)
        return torch.stack(shown), torch.stack(target), torch.stack(weight)

    def _part(self, chance: Chance) -> tuple[Tensor, Tensor, Tensor]:
        recipe = self.recipe
        sample = self.samples[chance.below(len(self.samples))]
        first = self._corner(sample, chance)
        cut = cut_at(sample, first, recipe.size)
        liver, ids, weights = sample.liver[cut].float() / 255, sample.ids[cut].long(), sample.weights
        hu = varied_hu(sample, first, recipe.size, recipe, chance)
        if chance.happens(recipe.implants):
            kinds = [None] * (1 + chance.below(MOST_IMPLANTS))
            hu, more, _ = implant_in_stack(hu, liver, ids, sample.liver_hu, sample.spacing_mm, kinds, chance.generator)
            weights = torch.where(torch.arange(256) <= int(ids.max()), weights, lesion_weights(more, sample.voxel_ml))
            ids = more
        weight = torch.where((liver > 0.1) | (ids > 0), weights[ids], recipe.outside)
        target = (ids > 0).float()
        if chance.happens(recipe.outlined):
            liver = another_outline(liver, chance)
        shown = comparison_input(hu, varied_presence(sample, recipe.lost, chance), liver, sample.liver_hu)
        missing = [
            side for n, m in zip(reversed(target.shape), reversed(recipe.size), strict=True) for side in (0, m - n)
        ]
        parts = [F.pad(values, missing) for values in (shown, target, weight)]
        flips = [axis for axis in (-1, -2, -3) if chance.happens(0.5)]
        parts = [values.flip(flips) for values in parts]
        if chance.happens(0.5):
            parts = [values.transpose(-1, -2) for values in parts]
        return parts[0], parts[1], parts[2]

    def _corner(self, sample: StackSample, chance: Chance) -> list[int]:
        """The first voxel of a part: around a lesion, or around a voxel of the liver."""
        voxels = sample.liver_voxels
        if sample.lesions and chance.happens(self.recipe.at_lesion):
            numbers = list(sample.lesions)
            chances = sample.weights[numbers].sqrt() * torch.where(sample.real[numbers], REAL_CHANCE, 1.0)
            voxels = sample.lesions[numbers[int(torch.multinomial(chances, 1, generator=chance.generator))]]
        centre = voxels[chance.below(len(voxels))].tolist()
        wanted = [
            at - size // 2 + round(chance.between(-0.3, 0.3) * size)
            for at, size in zip(centre, self.recipe.size, strict=True)
        ]
        return inside(sample, wanted, self.recipe.size)

    def loss(self, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Weighted cross entropy, and a Tversky term over the batch."""
        shown, target, weight = (values.to(self.device) for values in batch)
        if self.recipe.frozen:
            keep_statistics(self.network)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bfloat16_is_fast(self.device)):
            logits = self.network(shown)
        entropy = F.binary_cross_entropy_with_logits(logits, target, weight, reduction="sum")
        probability = logits.sigmoid()
        hit = (weight * probability * target).sum()
        wrong = (weight * probability * (1 - target)).sum()
        missed = (weight * (1 - probability) * target).sum()
        miss = self.recipe.miss
        overlap = 1 - (hit + 10) / (hit + (1 - miss) * wrong + miss * missed + 10)
        return entropy / (ENTROPY_VOXELS * len(shown)) + OVERLAP_SHARE * overlap

    def validate(self, network: nn.Module) -> dict[str, float]:
        """The highest recall at no more than one false region a validation exam, in the true liver."""
        assert isinstance(network, PhaseComparisonNet)
        found = [found_regions(compare_sample(network, sample, self.device), sample) for sample in self.validation]
        choice = choose_score({(0.0, 0.0): found})
        if choice is None:
            return {}
        return {"recall": choice.recall, "false positives a case": choice.false_a_case}


def compare_sample(network: PhaseComparisonNet, sample: StackSample, device: torch.device) -> npt.NDArray[np.float32]:
    """Lesion probability (z, y, x) in a sample's liver."""
    affine = np.diag([*sample.spacing_mm[::-1], 1.0])
    liver = (sample.liver.numpy() / 255).astype(np.float32)
    stack = PhaseStack(hu_of(sample.hu).numpy(), sample.present.numpy(), liver, affine)
    return np.where(liver > 0.5, compare_phases(network, stack, device), np.float32(0))


def found_regions(probability: npt.NDArray[np.float32], sample: StackSample) -> FoundInCase:
    """The regions of a lesion probability over `GROW` by their peaks, held against the sample's lesions."""
    from scipy import ndimage

    regions, count = ndimage.label(probability > GROW, np.ones((3, 3, 3)))
    true, numbers = np.unique(sample.ids.numpy(), return_inverse=True)
    ids = numbers.reshape(sample.ids.shape) + (true[0] != 0)
    lesions = int(ids.max())
    if not count:
        return FoundInCase(np.zeros(0), np.zeros((0, lesions), np.bool_))
    large = np.bincount(regions.ravel())[1:] * sample.voxel_ml >= MIN_LESION_ML
    peaks = np.asarray(ndimage.maximum(probability, regions, np.arange(1, count + 1)), dtype=np.float64)
    return FoundInCase(peaks[large], same_regions(regions, ids)[large])


def train_comparison(
    task: ComparisonTask, work: Path, *, minutes: float | None = None, say: Callable[[str], None] = print
) -> tuple[dict[str, Tensor], Loop]:
    """Train in a work folder, on from its last checkpoint if there is one; the averaged weights, and the loop."""
    recipe = task.recipe
    sizes = {key: value for key, value in asdict(recipe).items() if key == "preset"}
    loop = Loop(task, work, recipe.steps, recipe.seed, sizes, validate_every=500, say=say, minutes=minutes)
    return loop.run(), loop
