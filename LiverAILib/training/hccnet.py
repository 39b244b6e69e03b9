"""The recipe of HCCNet: the paper's options as in `slices`, on slices seen in all phases at once.

Ours: every lesion that it learns from is put in on the way (`stack_implants`), into slices of exams and phantoms that
show none of their own: an HCC and at times other types, or none to some of the other six. So no lesion is seen twice,
and where one lies says nothing of its type. Phases vary as in `stack_parts`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from LiverAILib.analysis.stack_slices import slice_input
from LiverAILib.errors import StudyError
from LiverAILib.lesion_types import LesionType
from LiverAILib.networks.resnet34 import PHASES_INPUTS, ResNet34
from LiverAILib.training.freezing import freeze, keep_statistics
from LiverAILib.training.loop import Loop
from LiverAILib.training.places import without_heads
from LiverAILib.training.slice_samples import SHOWN_MM2
from LiverAILib.training.slices import PaperRecipe, PaperTraining, auroc, mix, vary
from LiverAILib.training.stack_implants import LEAST_VOXELS, implant_in_stack
from LiverAILib.training.stack_parts import (
    Chance,
    StackAmounts,
    another_outline,
    cut_at,
    varied_hu,
    varied_presence,
)
from LiverAILib.training.stacks import StackSample

RADII_MM = (3.0, 28.0)  # of what is put in
DEPTH = 3  # slices of the part that lesions are put into; one of them is shown
WIDER = 1.25  # of the crop: the part's side, so that it can be turned
OTHERS = tuple(kind for kind in LesionType if kind is not LesionType.HCC)
OTHERS_BESIDE = (0.7, 0.2, 0.1)  # chances of none, one, two of another type beside an HCC
OTHERS_ALONE = (0.2, 0.45, 0.25, 0.1)  # of none to three without one
TRIES = 200  # parts that may turn out to show nothing of what was put in


@dataclass(frozen=True, kw_only=True)
class HccRecipe(PaperRecipe):
    """What only HCCNet's has. adamw: AdamW instead of SGD, and no mixup, for short runs. looks: how the phases vary, in
    place of the paper's colour jitter, and of our noise. validation_slices: drawn once, on validation patients. frozen:
    parts that stay as they begin, see `freeze`; with any, the statistics of batch normalisation stay too.
    """

    gain: float = 0.0
    shift: float = 0.0
    noise: float = 0.0
    crop: int = 128
    smoothing_mm: float = 0.0
    looks: StackAmounts = field(default_factory=lambda: StackAmounts(lost=0.2))
    adamw: bool = False
    validation_slices: int = 600
    frozen: tuple[str, ...] = ()


class HccTraining(PaperTraining):
    """Training of HCCNet on stacks; a `Task` of the training loop."""

    title = "HCCNet"
    recipe: HccRecipe

    def __init__(self, train: Sequence[StackSample], validation: Sequence[StackSample], recipe: HccRecipe) -> None:
        """Raises StudyError if no training stack shows liver in a slice without a lesion; `draw`, if too little."""
        torch.manual_seed(recipe.seed)
        super().__init__(ResNet34(recipe.preset, inputs=PHASES_INPUTS), recipe)
        if recipe.adamw:
            parameters, decay = self.network.parameters(), recipe.weight_decay
            self.optimizer = torch.optim.AdamW(parameters, lr=recipe.learning_rate, weight_decay=decay)
        self.samples, self.free = _with_free_slices(train)
        if not self.samples:
            raise StudyError("HCCNet learns from slices without a lesion, and there are none. Make more exams.")
        self.checked = self._drawn_once(*_with_free_slices(validation))

    def hold(self) -> None:
        """Let what is `frozen` be as it is now."""
        freeze(self.network.network, self.recipe.frozen)

    @property
    def steps_per_epoch(self) -> int:
        """Batches in as many slices as there are without a lesion."""
        return max(1, sum(len(slices) for slices in self.free) // self.recipe.batch)

    def draw(self, generator: torch.Generator) -> tuple[Tensor, ...]:
        """One varied batch, pairs mixed: images, targets (n, 2), places."""
        recipe = self.recipe
        images, labels, places = self._batch(self.samples, self.free, recipe.batch, generator)
        images, places = vary(images, places, images[:, -1:], recipe, generator, outside=0.0)
        alpha = 0.0 if recipe.adamw else recipe.mixup
        return mix(alpha, generator, images, F.one_hot(labels, 2).float(), places)

    def _batch(
        self, samples: Sequence[StackSample], free: Sequence[Tensor], count: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Images (n, 4, y, x), labels (n,), places (n, 1, y, x) as `vary` takes them."""
        chance = Chance(generator)
        shown = [self._slice(samples, free, chance.happens(0.5), chance) for _ in range(count)]
        images, places = (torch.stack(parts) for parts in zip(*shown, strict=True))
        return images, places.flatten(1).any(dim=1).long(), places

    def _slice(
        self, samples: Sequence[StackSample], free: Sequence[Tensor], hcc: bool, chance: Chance
    ) -> tuple[Tensor, Tensor]:
        """One image (4, y, x), and where (1, y, x) an HCC is: `SHOWN_MM2` of it or more, or none."""
        for _ in range(TRIES if samples else 0):
            number = chance.below(len(samples))
            made = self._implanted(samples[number], free[number], hcc, chance)
            if made is not None:
                return made
        raise StudyError(
            "HCCNet learns from lesions put into slices without one, and these show too little liver. Make more exams."
        )

    def _implanted(self, sample: StackSample, free: Tensor, hcc: bool, chance: Chance) -> tuple[Tensor, Tensor] | None:
        """The same of one sample, in whose slices `free` there is liver and no lesion; None if it does not show what
        it should.
        """
        looks, side = self.recipe.looks, round(WIDER * self.recipe.crop)
        first, size = self._corner(sample, free, chance), (DEPTH, side, side)
        cut = cut_at(sample, first, size)
        ids, liver = sample.ids[cut].long(), sample.liver[cut].float() / 255
        hu, kinds = varied_hu(sample, first, size, looks, chance), _kinds(hcc, chance)
        hu, found, placed = implant_in_stack(
            hu, liver, ids, sample.liver_hu, sample.spacing_mm, kinds, chance.generator, RADII_MM
        )
        if len(placed) < len(kinds):
            return None
        # an HCC is put in first
        shows = (found == int(ids.max()) + 1) if hcc else torch.zeros_like(found, dtype=torch.bool)
        _, y, x = sample.spacing_mm
        if hcc:
            wanted = shows.flatten(1).sum(dim=1) * y * x >= SHOWN_MM2
        else:
            wanted = (found > 0).flatten(1).any(dim=1) | (not kinds)
        wanted &= ~(ids > 0).flatten(1).any(dim=1) & ((liver > 0.5).flatten(1).sum(dim=1) >= LEAST_VOXELS)
        candidates = wanted.nonzero().flatten()
        if not len(candidates):
            return None
        at = int(candidates[chance.below(len(candidates))])
        outline = liver[at : at + 1]
        if chance.happens(looks.outlined):
            outline = another_outline(outline, chance)
        present = varied_presence(sample, looks.lost, chance)
        image = slice_input(hu[:, at : at + 1], present, outline, sample.liver_hu)[0]
        missing = (0, side - image.shape[2], 0, side - image.shape[1])
        return F.pad(image, missing), F.pad(shows[at : at + 1].float(), missing)

    def _corner(self, sample: StackSample, free: Tensor, chance: Chance) -> list[int]:
        """The first voxel of a part around a voxel of the liver in one of the slices `free`."""
        slices = torch.isin(sample.liver_voxels[:, 0], free).nonzero().flatten()
        z, *middle = sample.liver_voxels[slices[chance.below(len(slices))]].tolist()
        crop = self.recipe.crop
        off = [chance.between(-0.3, 0.3) * crop - WIDER * crop / 2 for _ in "yx"]
        return [z - DEPTH // 2, *(round(at + by) for at, by in zip(middle, off, strict=True))]

    def _drawn_once(self, samples: Sequence[StackSample], free: Sequence[Tensor]) -> tuple[Tensor, Tensor] | None:
        """Slices of validation patients, and labels; None if these show too little liver without a lesion."""
        generator = torch.Generator().manual_seed(self.recipe.seed)
        parts = []
        try:
            for _ in range(0, self.recipe.validation_slices, 50):
                images, labels, _ = self._batch(samples, free, 50, generator)
                parts.append((images.half(), labels))
        except StudyError:
            return None
        return torch.cat([images for images, _ in parts]), torch.cat([labels for _, labels in parts])

    def loss(self, batch: tuple[Tensor, ...]) -> Tensor:
        """See `PaperTraining.loss`."""
        if self.recipe.frozen:
            keep_statistics(self.network)
        return super().loss(batch)

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Area under the ROC curve over the slices that were drawn once."""
        if self.checked is None:
            return {}
        images, labels = self.checked
        if len(labels.unique()) < 2:
            return {}
        return {"AUROC": auroc(self.margins(network, (part.float() for part in images.split(50))), labels)}

    def run(
        self, work: Path, *, minutes: float | None = None, say: Callable[[str], None] = print
    ) -> tuple[dict[str, Tensor], Loop]:
        """Train in a work folder, going on from its checkpoint; the ResNet34's averaged weights, and the loop with its
        curves.
        """
        identity = {"network": self.title, **asdict(self.recipe)}
        steps = round(self.recipe.epochs * self.steps_per_epoch)
        loop = Loop(
            self, work, steps, self.recipe.seed, identity, keep_best="AUROC", save_every=250, validate_every=250,
            say=say, minutes=minutes,
        )  # fmt: skip
        return without_heads(loop.run()), loop


def _kinds(hcc: bool, chance: Chance) -> list[LesionType]:
    """What is put in: an HCC first if there is one, and others."""
    more = int(torch.multinomial(torch.tensor(OTHERS_BESIDE if hcc else OTHERS_ALONE), 1, generator=chance.generator))
    return [LesionType.HCC] * hcc + [OTHERS[chance.below(len(OTHERS))] for _ in range(more)]


def _with_free_slices(samples: Sequence[StackSample]) -> tuple[list[StackSample], list[Tensor]]:
    """The samples with slices that show liver and no lesion, and these slices."""
    found = []
    for sample in samples:
        lesions = (sample.ids > 0).flatten(1).any(dim=1)
        liver = torch.bincount(sample.liver_voxels[:, 0], minlength=len(lesions)) > 0
        free = (liver & ~lesions).nonzero().flatten()
        if len(free):
            found.append((sample, free))
    return [sample for sample, _ in found], [free for _, free in found]
