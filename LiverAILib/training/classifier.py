"""The recipe of the lesion classifier; what it learns from is in `lesion_samples`.

LiAIDS (Ying et al., Nat Commun 2024), Methods, "Implementation details": Adam, learning rate 0.001 times 0.1 every 60
epochs, weight decay 0.01 (decoupled here), 200 epochs, batch 16. The paper names no augmentation for the classifier and
has no phase or item missing; flips, turns, zoom, gain, shift, noise and the drop-outs are ours, and at times
(`portal_alone`) the portal venous phase stands alone, as it does in much of practice. Each lesion is also judged
without its record (`without_record` of the loss), as `analysis.joint_types` needs both answers. Types are drawn equally
often, since rare ones would otherwise hardly be seen. Of real tumours only malignancy is known: they are judged by the
sum of the malignant types' probabilities, and `tumour_share` of a batch are such. Crops are held as the network looks
at them. After the training the temperature is fitted on the validation lesions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from LiverAILib.analysis.calibrate import Calibration, fit_temperature
from LiverAILib.analysis.segment import bfloat16_is_fast
from LiverAILib.networks.lesion_classifier import (
    CLASSES,
    CLASSIFIER_PHASES,
    LesionClassifier,
    drop_clinical,
    drop_phases,
    shrunk,
)
from LiverAILib.study import Phase
from LiverAILib.training.lesion_samples import TUMOUR, LesionSamples
from LiverAILib.training.loop import Loop
from LiverAILib.training.pixels import from_bytes


@dataclass(frozen=True)
class ClassifierRecipe:
    """The paper's options, then ours. An epoch is one pass over as many lesions as there are."""

    preset: str = "compact"
    epochs: float = 200
    batch: int = 16
    learning_rate: float = 0.001
    decay_factor: float = 0.1
    decay_epochs: float = 60
    weight_decay: float = 0.01
    # ours
    phase_drop: float = 0.25
    portal_alone: float = 0.12
    item_drop: float = 0.2
    without_record: float = 0.5
    flip: float = 0.5
    turn_degrees: float = 25.0
    zoom: float = 0.15
    move: float = 0.06  # of the crop's side
    gain: float = 0.05
    shift: float = 0.05  # in units of the windowed image: 5 HU
    noise: float = 0.05
    tumour_share: float = 0.06
    cosine: bool = False
    seed: int = 7

    def rate(self, step: int, steps_per_epoch: int) -> float:
        """The learning rate of a step: in steps down as the paper's, or along half a cosine, which suits short runs."""
        if self.cosine:
            share = min(step / max(self.epochs * steps_per_epoch, 1), 1.0)
            return self.learning_rate * 0.5 * (1 + math.cos(math.pi * share))
        return self.learning_rate * self.decay_factor ** int(step / (steps_per_epoch * self.decay_epochs))


class ClassifierTraining:
    """Training of a LesionClassifier on lesions; a `Task` of the training loop."""

    title = "Lesion classifier"

    def __init__(
        self,
        train: LesionSamples,
        validation: LesionSamples,
        recipe: ClassifierRecipe,
        network: LesionClassifier | None = None,
    ) -> None:
        """Raises ValueError if a patient stands on both sides."""
        if set(train.patients.tolist()) & set(validation.patients.tolist()):
            raise ValueError("A patient is in the training and in the validation lesions. Split by patient.")
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.network: LesionClassifier = (network or LesionClassifier(recipe.preset)).to(self.device)
        self.train, self.validation = (_looked_at(side, self.network) for side in (train, validation))
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        self.chances = drawing_chances(train.labels, recipe.tumour_share)

    @property
    def steps_per_epoch(self) -> int:
        """Batches in one pass."""
        return max(1, len(self.train) // self.recipe.batch)

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        return self.recipe.rate(step, self.steps_per_epoch)

    def draw(self, generator: torch.Generator) -> tuple[Tensor, ...]:
        """One batch, types equally likely, varied and with drop-outs: images, phases present, clinical vectors,
        types.
        """
        recipe, train = self.recipe, self.train
        chosen = torch.multinomial(self.chances, recipe.batch, replacement=True, generator=generator)
        images = vary(from_bytes(train.images[chosen]), recipe, generator)
        alone = torch.rand(recipe.batch, generator=generator) < recipe.portal_alone
        present = with_portal_alone(train.present[chosen], alone)
        present = drop_phases(present, recipe.phase_drop, generator)
        clinical = drop_clinical(train.clinical[chosen], recipe.item_drop, generator)
        return images, present, clinical, train.labels[chosen]

    def loss(self, batch: tuple[Tensor, ...]) -> Tensor:
        """Cross entropy with the record, and by its share without."""
        images, present, clinical, labels = (part.to(self.device) for part in batch)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bfloat16_is_fast(self.device)):
            known, unknown = self.network.by_record(images, present, clinical, torch.zeros_like(clinical))
        share = self.recipe.without_record
        return (1 - share) * type_loss(known.float(), labels) + share * type_loss(unknown.float(), labels)

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Accuracy and mean log loss over the validation lesions with all they have."""
        if not len(self.validation):
            return {}
        logits, _ = self.validation_logits(network)
        right = logits.argmax(dim=1) == self.validation.labels
        return {
            "accuracy": float(right.float().mean()),
            "log loss": float(F.cross_entropy(logits, self.validation.labels)),
        }

    def validation_logits(self, network: nn.Module) -> tuple[Tensor, Tensor]:
        """Uncalibrated logits (n, 7) of the validation lesions, with their records and without."""
        assert isinstance(network, LesionClassifier)
        found: tuple[list[Tensor], list[Tensor]] = ([], [])
        with torch.inference_mode():
            for first in range(0, len(self.validation), self.recipe.batch):
                part = slice(first, first + self.recipe.batch)
                images = from_bytes(self.validation.images[part])
                clinical = self.validation.clinical[part]
                inputs = (images, self.validation.present[part], clinical, torch.zeros_like(clinical))
                for answers, logits in zip(
                    found, network.by_record(*(tensor.to(self.device) for tensor in inputs)), strict=True
                ):
                    answers.append(logits.float().cpu())
        return torch.cat(found[0]), torch.cat(found[1])

    def run(
        self,
        work: Path,
        *,
        steps: int | None = None,
        minutes: float | None = None,
        say: Callable[[str], None] = print,
    ) -> tuple[dict[str, Tensor], Calibration | None, Loop]:
        """Train in a work folder, going on from its checkpoint; the averaged weights with the fitted temperature in
        them, the calibration (None without validation lesions), and the loop with its curves.
        """
        identity = {"network": "LesionClassifier", **asdict(self.recipe)}
        total = self.recipe.epochs * self.steps_per_epoch if steps is None else steps
        loop = Loop.by_epochs(self, work, total, self.recipe.seed, identity, self.steps_per_epoch, minutes, say)
        weights = loop.run()
        if not len(self.validation):
            return weights, None, loop
        self.network.load_state_dict(weights)
        calibration = fit_temperature(
            self.validation_logits(self.network.eval())[0].numpy(), self.validation.labels.numpy()
        )
        return weights | {"temperature": torch.tensor(calibration.temperature)}, calibration, loop


def with_portal_alone(present: Tensor, alone: Tensor) -> Tensor:
    """Phases present (n, 3) without all but the portal venous one where `alone` (n,) says so and it is there."""
    portal = torch.tensor([phase is Phase.PORTAL_VENOUS for phase in CLASSIFIER_PHASES])
    return torch.where((alone & present[:, portal].any(dim=1)).unsqueeze(1), present & portal, present)


def drawing_chances(labels: Tensor, tumour_share: float) -> Tensor:
    """(n,) how likely each lesion is drawn: all types alike, and tumours of unknown type by their share."""
    tumour = labels == TUMOUR
    counts = torch.bincount(labels, minlength=TUMOUR + 1).float()
    chances = 1 / counts[labels]
    if tumour.any() and not tumour.all():
        chances[tumour] *= tumour_share / (1 - tumour_share) * float(chances[~tumour].sum())
    return chances


def type_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross entropy of (n, 7) logits; of a tumour of unknown type that of the malignant types together."""
    possible = F.one_hot(labels, TUMOUR + 1)[:, :TUMOUR].bool()
    possible[labels == TUMOUR] = torch.tensor([kind.malignant for kind in CLASSES], device=labels.device)
    named = logits.masked_fill(~possible, -torch.inf).logsumexp(dim=1)
    return (logits.logsumexp(dim=1) - named).mean()


def _looked_at(samples: LesionSamples, network: LesionClassifier) -> LesionSamples:
    """The samples with crops no larger than the network makes them."""
    parts = [shrunk(part.float(), network.preset.looks_at).round().to(torch.uint8) for part in samples.images.split(64)]
    return replace(samples, images=torch.cat(parts))


def vary(images: Tensor, recipe: ClassifierRecipe, generator: torch.Generator) -> Tensor:
    """Augmentation of (n, phase, 1, z, y, x) in [-1, 1]: flips, turn, zoom and shift of a lesion's phases together, and
    for each phase gain, shift and noise of its own.
    """
    for axis in (-1, -2, -3):
        turned = torch.rand(len(images), generator=generator) < recipe.flip
        images = torch.where(turned.view(-1, 1, 1, 1, 1, 1), images.flip(axis), images)
    if recipe.turn_degrees or recipe.zoom or recipe.move:
        images = _turned(images, recipe, generator)
    draws = torch.rand((3, *images.shape[:2], 1, 1, 1, 1), generator=generator)
    gain = 1 + (2 * draws[0] - 1) * recipe.gain
    shift = (2 * draws[1] - 1) * recipe.shift
    noise = torch.randn(images.shape, generator=generator) * draws[2] * recipe.noise
    return (images * gain + shift + noise).clamp(-1, 1)


def _turned(images: Tensor, recipe: ClassifierRecipe, generator: torch.Generator) -> Tensor:
    """Each lesion turned, made larger or smaller, and moved, in plane."""
    angle, zoom, *move = 2 * torch.rand((4, len(images)), generator=generator) - 1
    angle = angle * math.radians(recipe.turn_degrees)
    scale = torch.exp(zoom * math.log1p(recipe.zoom))
    cosine, sine = angle.cos() / scale, angle.sin() / scale
    x, y = (2 * recipe.move * part for part in move)
    affine = torch.stack([torch.stack([cosine, -sine, x], dim=1), torch.stack([sine, cosine, y], dim=1)], dim=1)
    planes = images.flatten(1, 3)  # (n, all slices of all phases, y, x)
    grid = F.affine_grid(affine, list(planes.shape), align_corners=False)
    return F.grid_sample(planes, grid, padding_mode="border", align_corners=False).view(images.shape)
