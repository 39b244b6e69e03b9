"""The recipe of LiverSegNet: real portal-venous CT, the same with other contrast looks, and phantoms.

LiAIDS, Methods, "Implementation details": Adam with decoupled weight decay 0.05, initial learning rate 0.005 falling
linearly, batch 4, affine change, random crops, salt-and-pepper noise; cross entropy plus Dice with deep supervision.
Ours beyond the paper: a running average of the weights is what is exported, a budget in minutes may stand in for one in
steps, and a training that began with given weights may be averaged with them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from LiverAILib.analysis.grid import MIN_SLICE_MM, WINDOW_HU, to_network
from LiverAILib.analysis.segment import bfloat16_is_fast, clean, predict
from LiverAILib.bundles import Bundle, write_bundle
from LiverAILib.evaluation.overlap import dice
from LiverAILib.networks.liversegnet import LiverSegNet
from LiverAILib.study import Phase
from LiverAILib.training.cases import CaseFiles, Split, TrainingCase, training_case
from LiverAILib.training.checkpoint import load_checkpoint, save_checkpoint
from LiverAILib.training.loop import plot_curves
from LiverAILib.training.losses import lesion_weights, segmentation_loss
from LiverAILib.training.patches import PatchOptions, PatchSource
from LiverAILib.training.phantoms import load_pool


@dataclass(frozen=True)
class Recipe:
    """Options of one training. `steps` or `minutes`, whichever ends first, is the budget over which the learning rate
    falls.

    start_share: part that the weights begun with have in the final ones (Wortsman et al., Model soups, ICML 2022); the
    batch normalisations' statistics are then measured anew on `norm_patches` patches, as an average of statistics fits
    neither (Izmailov et al., UAI 2018).
    """

    preset: str = "compact"
    in_plane_mm: float = 1.25
    steps: int = 240_000
    minutes: float | None = None
    batch: int = 4
    learning_rate: float = 0.005
    weight_decay: float = 0.05
    warmup: int = 200
    average_decay: float = 0.998
    phantom_share: float = 0.35
    start_share: float = 0.0
    norm_patches: int = 36
    seed: int = 7
    checkpoint_minutes: float = 4.0
    validate_minutes: float = 15.0
    patches: PatchOptions = field(default_factory=PatchOptions)


class Training:
    """One training run in a work folder; `run` goes on from the last checkpoint if there is one."""

    def __init__(
        self,
        split: Split,
        work: Path,
        recipe: Recipe,
        say: Callable[[str], None] = print,
        start: Mapping[str, Tensor] | None = None,
    ) -> None:
        """start: weights to begin with, e.g. of a shipped package, if the work folder holds no checkpoint."""
        self.split = split
        self.work = work
        self.recipe = recipe
        self.say = say
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.manual_seed(recipe.seed)
        self.network = LiverSegNet(recipe.preset).to(self.device)
        if start is not None:
            self.network.load_state_dict(start)
        self.start = start
        self.average = {key: value.clone() for key, value in self.network.state_dict().items()}
        self.final = self.average
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.99), weight_decay=recipe.weight_decay
        )
        self.step = 0
        self.minutes = 0.0
        self.losses: list[float] = []
        self.validations: list[dict[str, float]] = []

    def run(self) -> dict[str, Tensor]:
        """Train until the budget is spent; returns the final weights."""
        self._resume()
        recipe = self.recipe
        real = [training_case(files, recipe.in_plane_mm) for files in self.split.train]
        self.say(f"{len(real)} real cases, from step {self.step} at {self.minutes:.1f} min on {self.device}")
        sources = [PatchSource(real, recipe.patches, recipe.seed + self.step)]
        pool: list[TrainingCase] = []

        def look_for_phantoms() -> None:  # they may still be being made
            if (found := len(list(self.work.glob("pool/phantom_*.npz")))) > len(pool):
                pool[:] = load_pool(self.work / "pool", recipe.in_plane_mm)
                sources[1:] = [PatchSource(pool, recipe.patches, recipe.seed + 1 + self.step)]
                self.say(f"{found} phantom volumes")

        chooser = np.random.default_rng([recipe.seed, self.step])
        started = time.monotonic() - self.minutes * 60
        saved = validated = self.minutes

        def draw() -> tuple[Tensor, Tensor, Tensor]:
            patches = []
            for phantom in chooser.random(recipe.batch) < recipe.phantom_share:
                image, target, voxel_ml = sources[-1 if phantom else 0].draw()
                patches.append((image, target, lesion_weights(target[1], voxel_ml)[None]))
            images, targets, weights = (torch.stack(parts) for parts in zip(*patches, strict=True))
            return images, targets, weights

        look_for_phantoms()
        with ThreadPoolExecutor(1) as drawer:  # the next batch is drawn while this one is learnt
            coming = drawer.submit(draw)
            while self.progress < 1:
                batch = coming.result()
                if self.step % 50 == 0:
                    look_for_phantoms()
                coming = drawer.submit(draw)
                self._train_step(*batch)
                self.minutes = (time.monotonic() - started) / 60
                if self.minutes - validated > recipe.validate_minutes:
                    validated = self.minutes
                    self.validate(self.average)
                if self.minutes - saved > recipe.checkpoint_minutes:
                    saved = self.minutes
                    self.save()
            coming.result()
            self.final = self.average
            if self.start is not None and recipe.start_share > 0:
                self.save()
                self.final = self._blended(self.start, (draw()[0] for _ in range(recipe.norm_patches)))
        self.validate(self.final)
        self.save()
        return self.final

    @property
    def progress(self) -> float:
        """The fraction of the budget that is spent, by steps or minutes."""
        by_time = self.minutes / self.recipe.minutes if self.recipe.minutes else 0.0
        return max(self.step / self.recipe.steps, by_time)

    def _train_step(self, images: Tensor, targets: Tensor, weights: Tensor) -> None:
        rate = (
            self.recipe.learning_rate * min(1.0, (self.step + 1) / self.recipe.warmup) * max(1 - self.progress, 0.002)
        )
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.network.train()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bfloat16_is_fast(self.device)):
            outputs = self.network(images.to(self.device))
        loss = segmentation_loss(outputs, targets.to(self.device), weights.to(self.device))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        if not torch.isfinite(norm):  # one such step would spoil the weights for good
            raise FloatingPointError(
                f"The gradient is not finite at step {self.step}; the last checkpoint is unharmed."
            )
        self.optimizer.step()
        decay = min(self.recipe.average_decay, (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            for key, value in self.network.state_dict().items():
                if value.is_floating_point():
                    self.average[key].lerp_(value, 1 - decay)
                else:
                    self.average[key].copy_(value)
        self.step += 1
        self.losses.append(float(loss.detach()))
        if self.step % 20 == 0:
            self.say(f"step {self.step} {self.minutes:.1f} min loss {np.mean(self.losses[-20:]):.3f} rate {rate:.5f}")

    def _blended(self, start: Mapping[str, Tensor], batches: Iterable[Tensor]) -> dict[str, Tensor]:
        """The average mixed with the weights begun with; batch normalisation measured on images (n, 1, z, y, x)."""
        network = LiverSegNet(self.recipe.preset).to(self.device)
        network.load_state_dict(
            {
                key: value.lerp(start[key].to(value), self.recipe.start_share) if value.is_floating_point() else value
                for key, value in self.average.items()
            }
        )
        for layer in network.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.reset_running_stats()
                layer.momentum = None  # a plain mean over all batches
        network.train()
        with torch.no_grad(), torch.autocast(self.device.type, torch.bfloat16, enabled=bfloat16_is_fast(self.device)):
            for images in batches:
                network(images.to(self.device))
        return dict(network.state_dict())

    def validate(self, weights: Mapping[str, Tensor]) -> None:
        """Liver and lesion Dice of the given weights on the validation patients."""
        network = LiverSegNet(self.recipe.preset).to(self.device)
        network.load_state_dict(dict(weights))
        network.eval()
        scores = [
            validation_dice(network, files, self.recipe.in_plane_mm, self.device) for files in self.split.validation
        ]
        liver, lesion = np.mean(scores, axis=0)
        self.validations.append({"step": self.step, "minutes": self.minutes, "liver": liver, "lesion": lesion})
        self.say(
            f"validation at step {self.step}: liver Dice {liver:.3f}, lesion Dice {lesion:.3f} (n = {len(scores)})"
        )

    def save(self) -> None:
        """Checkpoint and curves."""
        meta = {
            "step": self.step,
            "minutes": self.minutes,
            "losses": self.losses,
            "validations": self.validations,
            "recipe": asdict(self.recipe),
        }
        save_checkpoint(self.work, self.network, self.average, self.optimizer, meta)
        rows = [{"step": r["step"], "liver Dice": r["liver"], "lesion Dice": r["lesion"]} for r in self.validations]
        plot_curves(self.work / "curves.png", "LiverSegNet", self.losses, rows)

    def _resume(self) -> None:
        meta = load_checkpoint(self.work, self.network, self.average, self.optimizer)
        if meta is None:
            return
        if meta["recipe"]["preset"] != self.recipe.preset or meta["recipe"]["in_plane_mm"] != self.recipe.in_plane_mm:
            raise ValueError(f"{self.work} holds a training of another preset or spacing. Choose another work folder.")
        self.step, self.minutes = meta["step"], meta["minutes"]
        self.losses, self.validations = meta["losses"], meta["validations"]


def validation_dice(
    network: LiverSegNet, files: CaseFiles, in_plane_mm: float, device: torch.device
) -> tuple[float, float]:
    """Dice of liver and of lesion voxels (thresholds one half) for one case on its own grid."""
    image, grid = to_network(files.volume(), in_plane_mm)
    maps = grid.back(clean(predict(network, image, device))) > 0.5
    label = files.labels()
    return dice(maps[0], label >= 1), dice(maps[1] & maps[0], label == 2)


def write_package(training: Training, folder: Path, trained_on: str, data_licence: str, version: str) -> Bundle:
    """Write the final weights as a model package, with how they were trained."""
    recipe = training.recipe
    losses = training.losses
    metadata = {
        "name": "liversegnet",
        "version": version,
        "task": "Liver and liver lesion segmentation in CT of any contrast phase",
        "description": "LiverSegNet of LiAIDS (Ying et al., Nat Commun 2024). Research use only, not for diagnosis.",
        "authors": "LiverAI developers",
        "copyright": "Weights: non-commercial research use, as their training data.",
        "network": "LiverSegNet",
        "preset": recipe.preset,
        "labels": ["liver", "lesion"],
        "input": {
            "in_plane_mm": recipe.in_plane_mm,
            "min_slice_mm": MIN_SLICE_MM,
            "window_hu": WINDOW_HU,
            "phases": [str(phase) for phase in Phase],
        },
        "trained_on": trained_on,
        "data_licence": data_licence,
        "results": [
            {
                "what": f"{what} Dice, mean",
                "on": "validation patients",
                "n": len(training.split.validation),
                "value": value,
            }
            for what in ("liver", "lesion")
            for value in [round(row[what], 4) for row in training.validations[-1:]]
        ],
        "training": {
            "recipe": asdict(recipe),
            "steps": training.step,
            "minutes": round(training.minutes, 1),
            "patients": {
                side: sorted({case.patient for case in getattr(training.split, side)})
                for side in ("train", "validation", "test")
            },
            "loss_by_50_steps": [round(float(np.mean(losses[i : i + 50])), 4) for i in range(0, len(losses), 50)],
            "validations": training.validations,
        },
        "network_data_format": {
            "inputs": {
                "image": {
                    "type": "image",
                    "format": "hounsfield",
                    "modality": "CT",
                    "num_channels": 1,
                    "spatial_shape": ["8*n", "32*n", "32*n"],
                    "dtype": "float32",
                    "value_range": [-1, 1],
                    "is_patch_data": False,
                    "channel_def": {"0": "image"},
                }
            },
            "outputs": {
                "pred": {
                    "type": "logits",
                    "format": "segmentation",
                    "num_channels": 2,
                    "spatial_shape": ["8*n", "32*n", "32*n"],
                    "dtype": "float32",
                    "value_range": [],
                    "is_patch_data": False,
                    "channel_def": {"0": "liver", "1": "lesion"},
                }
            },
        },
    }
    return write_bundle(folder, training.final, metadata)
