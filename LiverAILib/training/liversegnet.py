"""The recipe of LiverSegNet: real portal-venous CT, the same with other contrast looks, and synthetic volumes.

LiAIDS, Methods, "Implementation details": Adam with decoupled weight decay 0.05, initial learning rate 0.005 falling
linearly, batch 4, affine change, random crops, salt-and-pepper noise; cross entropy plus Dice with deep supervision.
Ours beyond the paper: see `losses` and `patches`; a running average of the weights is what is exported, and a training
that began with given weights may be averaged with them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from LiverAILib.analysis.lesions import THRESHOLD
from LiverAILib.analysis.segment import bfloat16_is_fast, segment
from LiverAILib.evaluation.overlap import dice
from LiverAILib.networks.liversegnet import LiverSegNet
from LiverAILib.training.cases import CaseFiles, TrainingCase
from LiverAILib.training.freezing import freeze
from LiverAILib.training.loop import Loop
from LiverAILib.training.losses import lesion_weights, segmentation_loss
from LiverAILib.training.patches import PatchOptions, PatchSource


@dataclass(frozen=True)
class SegmentationRecipe:
    """Options of one training; the learning rate falls over `steps`.

    warmup: share of the steps in which it rises first. synthetic_share: of the patches, if there are synthetic volumes
    and real ones. start_share: part that the weights begun with have in the final ones (Wortsman et al., Model soups,
    ICML 2022). frozen: parts that stay as they begin, see `freeze`.
    """

    preset: str = "compact"
    in_plane_mm: float = 1.25
    steps: int = 240_000
    batch: int = 4
    learning_rate: float = 0.005
    weight_decay: float = 0.05
    warmup: float = 0.02
    synthetic_share: float = 0.4
    start_share: float = 0.0
    frozen: tuple[str, ...] = ()
    seed: int = 7
    patches: PatchOptions = field(default_factory=PatchOptions)


class SegmentationTask:
    """What the loop trains: LiverSegNet on patches of real cases and synthetic volumes."""

    title = "LiverSegNet"

    def __init__(
        self,
        real: list[TrainingCase],
        synthetic: list[TrainingCase],
        validation: Sequence[CaseFiles],
        recipe: SegmentationRecipe,
    ) -> None:
        self.recipe = recipe
        self.validation = validation
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.manual_seed(recipe.seed)
        self.network: nn.Module = LiverSegNet(recipe.preset).to(self.device)
        freeze(self.network, recipe.frozen)
        learning = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        self.optimizer: torch.optim.Optimizer = torch.optim.AdamW(
            learning, lr=recipe.learning_rate, betas=(0.9, 0.99), weight_decay=recipe.weight_decay
        )
        self._sources = [
            PatchSource(cases, recipe.patches, recipe.seed) if cases else None for cases in (real, synthetic)
        ]
        if not any(self._sources):
            raise ValueError("A training of LiverSegNet needs cases: give real ones, synthetic ones, or both.")

    def rate(self, step: int) -> float:
        """The learning rate of a step: up in a line over the warm-up, and down in a line over all steps."""
        recipe = self.recipe
        rising = min(1.0, (step + 1) / max(recipe.warmup * recipe.steps, 1))
        return recipe.learning_rate * rising * max(1 - step / recipe.steps, 0.002)

    def draw(self, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Images (batch, 1, z, y, x) in [-1, 1], targets (batch, 2, z, y, x), lesion weights (batch, 1, z, y, x)."""
        real, synthetic = self._sources
        patches = []
        for chance in torch.rand(self.recipe.batch, generator=generator).tolist():
            source = synthetic if synthetic and (real is None or chance < self.recipe.synthetic_share) else real
            assert source is not None
            source.generator = generator
            image, target, voxel_ml = source.draw()
            patches.append((image, target, lesion_weights(target[1], voxel_ml)[None]))
        images, targets, weights = (torch.stack(parts) for parts in zip(*patches, strict=True))
        return images, targets, weights

    def loss(self, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Cross entropy and overlap at all scales."""
        images, targets, weights = (part.to(self.device) for part in batch)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bfloat16_is_fast(self.device)):
            outputs = self.network(images)
        return segmentation_loss(outputs, targets, weights)

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Mean Dice of liver and of lesion voxels over the validation cases."""
        assert isinstance(network, LiverSegNet)
        if not self.validation:
            return {}
        scores = [validation_dice(network, files, self.recipe.in_plane_mm, self.device) for files in self.validation]
        liver, lesion = np.mean(scores, axis=0)
        return {"liver Dice": float(liver), "lesion Dice": float(lesion)}

    def blended(self, weights: Mapping[str, Tensor], start: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights mixed with those begun with, see `start_share`, in the network too."""
        share = self.recipe.start_share
        mixed = {key: value.lerp(start[key].to(value), share) for key, value in weights.items()}
        self.network.load_state_dict(mixed)
        return mixed


def train_segmentation(
    task: SegmentationTask,
    work: Path,
    *,
    minutes: float | None = None,
    start: Mapping[str, Tensor] | None = None,
    say: Callable[[str], None] = print,
) -> tuple[dict[str, Tensor], Loop]:
    """Train in a work folder, on from its last checkpoint if there is one; the final weights, and the loop.

    start: the weights begun with; the network gets them here.
    """
    recipe = task.recipe
    if start is not None:
        task.network.load_state_dict(dict(start))
    sizes = {"preset": recipe.preset, "in_plane_mm": recipe.in_plane_mm}
    loop = Loop(task, work, recipe.steps, recipe.seed, sizes, say=say, minutes=minutes)
    weights = loop.run()
    if start is None or recipe.start_share <= 0:
        return weights, loop
    weights = task.blended(weights, start)
    if figures := task.validate(task.network.eval()):
        loop.validations.append({"step": float(loop.step), **figures})
        say("validation after blending: " + ", ".join(f"{key} {value:.3f}" for key, value in figures.items()))
    return weights, loop


def validation_dice(
    network: LiverSegNet, files: CaseFiles, in_plane_mm: float, device: torch.device
) -> tuple[float, float]:
    """Dice of liver and of lesion voxels, cut where the analysis cuts them, for one case on its own grid."""
    found = segment(network, files.volume(), in_plane_mm, device)
    label = files.labels()
    return dice(found.liver, label >= 1), dice(found.lesion_probability > THRESHOLD, label == 2)
