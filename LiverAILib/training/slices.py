"""The recipe of NoduleNet, and what HCCNet's has in common with it; what NoduleNet learns from is in `slice_samples`,
HCCNet's own part in `hccnet`.

Wang et al., Br J Cancer 2021, Methods, "AI model development": SGD with momentum 0.9, 120 epochs, batch 256, learning
rate 0.2 with warm-up and cosine decay, label smoothing; random resize and crop, perspective, horizontal flip, rotation,
colour jitter and mixup. How much of each the paper does not say: the amounts are ours, colour jitter is gain and shift
of grey, and resize, rotation and perspective are one resampling. With another batch the learning rate is scaled in
proportion (Goyal et al., 2017).

Ours: half of a batch shows a finding, and of real slices there are at least `real_share` where there are any; images
may be averaged over `shrink` x `shrink` pixels, which is cheaper and takes noise away; a step may see a part of `crop`
x `crop` pixels of each, which is cheaper too, and always holds some of the finding or else of the liver; noise is
added; lesions are partly put in on the way (`implants`, see `slice_implants`); the network is told where in a slice
the finding is (`place_share`, see `places`); and the weights of the best validation are kept. `smoothing_mm` is not for
training: over it the package's scores of neighbouring slices are averaged.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from LiverAILib.analysis.grid import AIR
from LiverAILib.analysis.segment import bfloat16_is_fast
from LiverAILib.analysis.slices import PIXEL_MM
from LiverAILib.networks.resnet34 import ResNet34
from LiverAILib.training.loop import Loop
from LiverAILib.training.pixels import from_bytes
from LiverAILib.training.places import PlacingResNet34, place_loss, without_heads
from LiverAILib.training.slice_implants import implant_in_slice
from LiverAILib.training.slice_samples import SliceSamples

REACH = 0.7  # of half a crop: how far its centre may lie from what it must show; less than 1, as the crop is turned


@dataclass(frozen=True, kw_only=True)
class PaperRecipe:
    """The paper's options, then the amounts that it does not state."""

    preset: str = "compact"
    epochs: float = 120
    batch: int = 256
    learning_rate: float = 0.2
    momentum: float = 0.9
    # ours
    weight_decay: float = 5e-4
    warmup_epochs: float = 5
    label_smoothing: float = 0.1
    mixup: float = 0.3
    area: tuple[float, float] = (0.6, 1.3)
    aspect: tuple[float, float] = (0.8, 1.25)
    rotation_degrees: float = 15.0
    perspective: float = 0.1
    flip: float = 0.5
    gain: float = 0.2
    shift: float = 0.15
    noise: float = 0.12
    crop: int = 0
    place_share: float = 1.0
    smoothing_mm: float = 8.0
    seed: int = 7

    def rate(self, step: int, steps_per_epoch: int) -> float:
        """The learning rate of a step: up in a line over the warm-up, then down along half a cosine."""
        peak = self.learning_rate * self.batch / 256
        total, warm = self.epochs * steps_per_epoch, self.warmup_epochs * steps_per_epoch
        if step < warm:
            return peak * (step + 1) / warm
        spent = min((step - warm) / max(total - warm, 1), 1.0)
        return peak * 0.5 * (1 + math.cos(math.pi * spent))


@dataclass(frozen=True, kw_only=True)
class SliceRecipe(PaperRecipe):
    """What only NoduleNet's has."""

    real_share: float = 0.1
    implants: float = 0.5
    shrink: int = 1
    validation_slices: int = 1500


class PaperTraining(ABC):
    """What the trainings of both networks have in common."""

    def __init__(self, network: ResNet34, recipe: PaperRecipe) -> None:
        self.recipe = recipe
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.network = PlacingResNet34(network).to(self.device)
        for weight in self.network.parameters():
            if weight.ndim == 4:  # convolutions are faster so
                weight.data = weight.data.contiguous(memory_format=torch.channels_last)
        self.optimizer: torch.optim.Optimizer = torch.optim.SGD(
            self.network.parameters(),
            lr=recipe.learning_rate,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
        )

    @property
    @abstractmethod
    def steps_per_epoch(self) -> int:
        """Batches in one pass."""

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        return self.recipe.rate(step, self.steps_per_epoch)

    def loss(self, batch: tuple[Tensor, ...]) -> Tensor:
        """Cross entropy, labels smoothed; plus that of the places. batch: images, targets (n, 2), places."""
        recipe = self.recipe
        images, target, places = batch
        with self.fast():
            logits, found = self.network.with_places(images.to(self.device))
        loss = F.cross_entropy(logits.float(), target.to(self.device), label_smoothing=recipe.label_smoothing)
        return loss + recipe.place_share * place_loss(found, places.to(self.device)) if recipe.place_share else loss

    def fast(self) -> torch.autocast:
        """bfloat16 where the processor is fast at it."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=bfloat16_is_fast(self.device))

    def margins(self, network: nn.Module, parts: Iterable[Tensor]) -> Tensor:
        """(n,) the finding's logit minus the other's, of images as the network takes them, some at a time."""
        found = [torch.zeros(0)]
        with torch.inference_mode(), self.fast():
            for images in parts:
                logits = network(images.to(self.device)).float().cpu()
                found.append(logits[:, 1] - logits[:, 0])
        return torch.cat(found)


class SliceTraining(PaperTraining):
    """Training of NoduleNet on slices; a `Task` of the training loop."""

    title = "NoduleNet"
    recipe: SliceRecipe

    def __init__(
        self, train: SliceSamples, validation: SliceSamples, recipe: SliceRecipe, network: ResNet34 | None = None
    ) -> None:
        """network: to start from, e.g. with ImageNet's weights. Raises ValueError if a patient stands on both sides,
        or the training slices are of one kind only.
        """
        if set(train.patients.tolist()) & set(validation.patients.tolist()):
            raise ValueError("A patient is in the training and in the validation slices. Split by patient.")
        if len(train.labels.unique()) < 2:
            raise ValueError("The training slices are all positive or all negative. Add the other kind.")
        torch.manual_seed(recipe.seed)
        super().__init__(network or ResNet34(recipe.preset), recipe)
        self.train, self.validation = train, validation
        self._checked = few(validation, recipe.validation_slices, recipe.seed)
        self.chances = balanced_chances(train, recipe.real_share)

    @property
    def steps_per_epoch(self) -> int:
        """Batches in one pass."""
        return max(1, len(self.train) // self.recipe.batch)

    def draw(self, generator: torch.Generator) -> tuple[Tensor, ...]:
        """One varied batch, pairs mixed: images, targets (n, 2), places."""
        recipe = self.recipe
        chosen = torch.multinomial(self.chances, recipe.batch, replacement=True, generator=generator)
        labels = self.train.labels[chosen]
        given = (labels == 1) & (torch.rand(recipe.batch, generator=generator) < recipe.implants)
        if given.any():
            without = self.chances * (self.train.labels == 0)
            chosen[given] = torch.multinomial(without, int(given.sum()), replacement=True, generator=generator)
        images, places = from_bytes(self.train.images[chosen]), self.train.places[chosen].float() / 255
        for number in given.nonzero().flatten().tolist():
            images[number, 0], finding = implant_in_slice(images[number, 0], PIXEL_MM, generator)
            labels[number] = int(finding.any())
            places[number] = F.adaptive_avg_pool2d(finding.float()[None], (places.shape[2], places.shape[3]))
        images = F.avg_pool2d(images, recipe.shrink)
        images, places = vary(images, places, (images > AIR).float(), recipe, generator)
        return mix(recipe.mixup, generator, images, F.one_hot(labels, 2).float(), places)

    def shown(self, images: Tensor) -> Tensor:
        """Kept images (n, 1, y, x) as the network takes them."""
        return F.avg_pool2d(from_bytes(images), self.recipe.shrink)

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Area under the ROC curve over `validation_slices` of the validation slices, and over the real ones among
        them, which are all there.
        """
        labels = self._checked.labels.bool()
        if not labels.any() or labels.all():
            return {}
        scores = self.scores(network, self._checked)
        figures = {"AUROC": auroc(scores, labels)}
        real = self._checked.real
        if labels[real].any() and not labels[real].all() and not real.all():
            figures["AUROC, real slices"] = auroc(scores[real], labels[real])
        return figures

    def scores(self, network: nn.Module, samples: SliceSamples) -> Tensor:
        """(n,) the finding's logit minus the other's, of slices as they are."""
        return self.margins(network, (self.shown(part) for part in samples.images.split(64)))

    def run(
        self,
        work: Path,
        *,
        steps: int | None = None,
        minutes: float | None = None,
        say: Callable[[str], None] = print,
    ) -> tuple[dict[str, Tensor], Loop]:
        """Train in a work folder, going on from its checkpoint; the ResNet34's averaged weights, and the loop with its
        curves.
        """
        identity = {"network": self.title, **asdict(self.recipe)}
        total = self.recipe.epochs * self.steps_per_epoch if steps is None else steps
        loop = Loop.by_epochs(
            self, work, total, self.recipe.seed, identity, self.steps_per_epoch, minutes, say, keep_best="AUROC"
        )
        return without_heads(loop.run()), loop


def few(samples: SliceSamples, most: int, seed: int) -> SliceSamples:
    """All real slices, and as many others, drawn by seed, as make `most` of all."""
    made = torch.nonzero(~samples.real).flatten()
    left = max(most - int(samples.real.sum()), 0)
    kept = samples.real.clone()
    kept[made[torch.randperm(len(made), generator=torch.Generator().manual_seed(seed))[:left]]] = True
    return SliceSamples(*(part[kept] for part in vars(samples).values()))


def balanced_chances(samples: SliceSamples, real_share: float) -> Tensor:
    """(n,) how likely each slice is drawn: both labels alike, and real slices at least `real_share` of each label that
    has any. Within these a slice counts as the root of the area that it shows: the ends of the liver are many slices
    with little to see.
    """
    area = torch.cat([part.flatten(1).gt(0).sum(dim=1) for part in samples.images.split(256)])
    weights = area.double().clamp(min=1).sqrt()
    chances = torch.zeros(len(samples))
    for label in (0, 1):
        group = samples.labels == label
        real, made = group & samples.real, group & ~samples.real
        share = float(real.sum()) / max(float(group.sum()), 1)
        if real.any() and made.any():
            share = max(share, real_share)
        for part, wanted in ((real, share), (made, 1 - share)):
            if part.any():
                chances[part] = (wanted * weights[part] / weights[part].sum()).float()
    return chances


def vary(
    images: Tensor,
    places: Tensor,
    inside: Tensor,
    recipe: PaperRecipe,
    generator: torch.Generator,
    outside: float = -1.0,
) -> tuple[Tensor, Tensor]:
    """Random resize and crop, rotation, perspective, flip, gain, shift and noise of (n, channels, y, x) in [-1, 1];
    `outside` beyond their edges.

    places: (n, 1, any y, any x) in [0, 1] of the same extent, moved alike. Both results have the images' size, or
    `crop` x `crop`. A crop holds some of the finding, if there is one, and some of what is `inside` (n, 1, y, x; the
    liver) if there is none.
    """
    count = len(images)
    rows, columns = (recipe.crop, recipe.crop) if recipe.crop else images.shape[2:]

    def draw(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, generator=generator)

    side = draw(*recipe.area).sqrt()
    stretch = torch.exp(0.5 * draw(math.log(recipe.aspect[0]), math.log(recipe.aspect[1])))
    height = (side / stretch * rows / images.shape[2]).clamp(max=1)
    width = (side * stretch * columns / images.shape[3]).clamp(max=1)
    shown_y, shown_x = _drawn_place(inside, places, generator)
    centre_y = _between(draw(0, 1), 1 - height, shown_y, REACH * height)
    centre_x = _between(draw(0, 1), 1 - width, shown_x, REACH * width)
    angle = draw(-1, 1) * math.radians(recipe.rotation_degrees)
    turned = torch.where(torch.rand(count, generator=generator) < recipe.flip, -1.0, 1.0)
    tilt_y, tilt_x = draw(-1, 1) * recipe.perspective, draw(-1, 1) * recipe.perspective
    y = ((torch.arange(rows) + 0.5) * 2 / rows - 1).view(1, -1, 1)
    x = ((torch.arange(columns) + 0.5) * 2 / columns - 1).view(1, 1, -1) * turned.view(-1, 1, 1)

    def each(value: Tensor) -> Tensor:
        return value.view(-1, 1, 1)

    depth = 1 + each(tilt_y) * y + each(tilt_x) * x
    v, u = each(height) * y / depth, each(width) * x / depth
    source_y = each(centre_y) + each(angle.sin()) * u + each(angle.cos()) * v
    source_x = each(centre_x) + each(angle.cos()) * u - each(angle.sin()) * v
    grid = torch.stack([source_x.expand(-1, rows, columns), source_y.expand(-1, rows, columns)], dim=-1)
    moved = F.grid_sample(images - outside, grid, align_corners=False) + outside
    tissue = moved > AIR
    gain, shift = draw(-1, 1) * recipe.gain, draw(-1, 1) * recipe.shift
    moved = moved * (1 + gain.view(-1, 1, 1, 1)) + shift.view(-1, 1, 1, 1)
    if recipe.noise > 0:
        noise = torch.randn(moved.shape, generator=generator)
        moved = moved + tissue * noise * draw(0, recipe.noise).view(-1, 1, 1, 1)
    return moved.clamp(-1, 1), F.grid_sample(places, grid, align_corners=False)


def _drawn_place(inside: Tensor, places: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Of each image a point of the finding, or where nothing is found of what is inside (n, 1, y, x): y and x in
    [-1, 1].
    """
    count, _, rows, columns = places.shape
    flat = places.flatten(1)
    some = flat.amax(dim=1, keepdim=True) > 0
    tissue = F.adaptive_max_pool2d(inside, (rows, columns)).flatten(1)
    tissue = torch.where(tissue.amax(dim=1, keepdim=True) > 0, tissue, 1.0)
    point = torch.multinomial(torch.where(some, flat, tissue), 1, generator=generator).view(count)
    return (point // columns + 0.5) * 2 / rows - 1, (point % columns + 0.5) * 2 / columns - 1


def _between(part: Tensor, most: Tensor, point: Tensor, reach: Tensor) -> Tensor:
    """In [-most, most], and no farther than `reach` from a point where that can be."""
    low, high = torch.maximum(-most, point - reach), torch.minimum(most, point + reach)
    return torch.clamp(low + part * (high - low), -most, most)


def mix(alpha: float, generator: torch.Generator, *parts: Tensor) -> tuple[Tensor, ...]:
    """Mixup (Zhang et al., ICLR 2018): each image of the batch, and all that belongs to it, is blended with another
    one's, by a share from the beta distribution of `alpha`; 0 leaves them alone. parts: (n, ...) images, targets, ...
    """
    if alpha <= 0:
        return parts
    count = len(parts[0])
    seed = int(torch.randint(2**31, (1,), generator=generator))
    share = torch.from_numpy(np.random.default_rng(seed).beta(alpha, alpha, count).astype(np.float32))
    other = torch.randperm(count, generator=generator)
    return tuple(part[other].lerp(part, share.view(-1, *[1] * (part.dim() - 1))) for part in parts)


def auroc(scores: Tensor, labels: Tensor) -> float:
    """Area under the ROC curve: how often a positive scores higher than a negative, ties counted half."""
    from scipy import stats

    ranks = stats.rankdata(scores.double().numpy())
    positive = labels.bool().numpy()
    hits, misses = int(positive.sum()), int((~positive).sum())
    return float((ranks[positive].sum() - hits * (hits + 1) / 2) / (hits * misses))
