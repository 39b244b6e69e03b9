"""The recipe of the lesion detector, as a `Task` of the training loop (see `loop`).

LiAIDS, Methods, "Implementation details": slices at 384 to 640 pixels, flips and rotation each with a chance of one
half; stochastic gradient descent from 0.01, a tenth after 8 and 11 of 12 epochs, weight decay 0.0001 (`PAPER_TEXT`).
The authors' published configuration uses AdamW from 0.0001 with decay 0.05, a linear warm-up of 1000 steps and a tenth
after 27 and 33 of 36 epochs, and turns by any angle: these are the defaults.

Ours: stacks around lesions and liver are cut from cases and phantoms as for segmentation, with other contrast looks and
implants in the real ones where no lesion probability is shown; the five sizes, relative to 512, become a continuous
scale of 0.75 to 1.25; a stack has several target slices, since they share the backbone's work; each region of lesion in
a slice is one true box. There are no ImageNet weights to start from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from LiverAILib.analysis.boxes3d import Boxes, finds, no_boxes
from LiverAILib.analysis.detect import DetectOptions, PhaseDetector
from LiverAILib.analysis.join import join_phases
from LiverAILib.analysis.link import LinkOptions
from LiverAILib.analysis.match import liver_frame, match_phases
from LiverAILib.analysis.segment import Segmentation, Segmenter, bfloat16_is_fast
from LiverAILib.analysis.sure_regions import regions_of, with_regions
from LiverAILib.networks.detector import LesionDetector
from LiverAILib.training.cases import LABEL_STEP, TrainingCase
from LiverAILib.training.lesion_probability import volume_of
from LiverAILib.training.loop import Loop
from LiverAILib.training.patches import PatchOptions, PatchSource
from LiverAILib.training.real_scans import boxes_of
from LiverAILib.training.typed_exam import TypedExam
from LiverAILib.training.validated import FoundInCase, choose_score

LEAST_SCORES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)  # of a slice's box; validation chooses, the first is the published one
NO_REGIONS = 2.0  # more than any probability
REGION_PEAKS = (0.8, 0.9, 0.95, 0.98, NO_REGIONS)  # of a region without a box; validation chooses
LEAST_PIXELS = 4  # a smaller region in a slice is no box


def _detector_patches() -> PatchOptions:
    return PatchOptions(size=(14, 224, 224), at_lesion=0.6, at_liver=0.35, rotation_degrees=180.0, scale=(0.75, 1.25))


@dataclass(frozen=True)
class DetectorRecipe:
    """Options of one training.

    drops: fractions of the steps after which the rate falls to a tenth. flip, rotate: chances; a flip is drawn for rows
    and for columns. patches: its depth is 10 more than the target slices of a stack.
    """

    preset: str = "compact"
    in_plane_mm: float = 1.25
    steps: int = 60_000
    batch: int = 2
    optimizer: str = "adamw"
    learning_rate: float = 1e-4
    weight_decay: float = 0.05
    warmup: int = 1000
    drops: tuple[float, ...] = (27 / 36, 33 / 36)
    flip: float = 0.5
    rotate: float = 0.5
    phantom_share: float = 0.5
    seed: int = 7
    patches: PatchOptions = field(default_factory=_detector_patches)


#: The optimisation that the paper's text states.
PAPER_TEXT = DetectorRecipe(
    preset="paper", batch=6, optimizer="sgd", learning_rate=0.01, weight_decay=1e-4, drops=(8 / 12, 11 / 12)
)


def slice_boxes(lesion: npt.NDArray[np.bool_]) -> list[Tensor]:
    """True boxes (n, 4) of each slice of a lesion mask (z, y, x): one for each 8-connected region."""
    from scipy import ndimage

    result = []
    for plane in lesion:
        labels, _ = ndimage.label(plane, np.ones((3, 3)))
        sizes = np.bincount(labels.ravel())[1:]
        boxes = [
            (rows.start, columns.start, rows.stop, columns.stop)
            for (rows, columns), size in zip(ndimage.find_objects(labels), sizes, strict=True)
            if size >= LEAST_PIXELS
        ]
        result.append(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4))
    return result


class DetectorTask:
    """What the loop trains: the detector on stacks of slices from real cases and phantoms."""

    title = "Lesion detector"

    def __init__(
        self,
        real: list[TrainingCase],
        phantoms: list[TrainingCase],
        validation: list[TrainingCase],
        recipe: DetectorRecipe,
    ) -> None:
        self.recipe = recipe
        self.validation = validation
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        with torch.random.fork_rng():
            torch.manual_seed(recipe.seed)
            self.network: nn.Module = LesionDetector(recipe.preset).to(self.device)
        self.optimizer = make_optimizer(self.network, recipe)
        self._sources = [
            PatchSource(cases, recipe.patches, recipe.seed) if cases else None for cases in (real, phantoms)
        ]
        if not any(self._sources):
            raise ValueError("A detector training needs cases: give real ones, phantoms, or both.")

    def rate(self, step: int) -> float:
        """The learning rate of a step: linear warm-up, then falling to a tenth at each drop."""
        recipe = self.recipe
        drops = sum(step >= fraction * recipe.steps for fraction in recipe.drops)
        return recipe.learning_rate * min(1.0, (step + 1) / max(recipe.warmup, 1)) * 0.1**drops

    def stack(self, generator: torch.Generator) -> tuple[Tensor, list[Tensor]]:
        """One stack (channel, z, y, x) in [-1, 1] and the true boxes of its z - 10 target slices."""
        recipe = self.recipe
        chance = torch.rand(4, generator=generator).tolist()
        real, phantoms = self._sources
        source = phantoms if phantoms and (real is None or chance[0] < recipe.phantom_share) else real
        assert source is not None
        source.generator = generator
        turn = recipe.patches.rotation_degrees if chance[1] < recipe.rotate else 0.0
        source.options = replace(recipe.patches, rotation_degrees=turn)
        image, target, _ = source.draw()
        flipped = [axis for axis, value in ((-2, chance[2]), (-1, chance[3])) if value < recipe.flip]
        image, lesion = image.flip(flipped), target[1].flip(flipped)
        reach = LesionDetector.neighbours
        return image, slice_boxes(lesion[reach:-reach].numpy() > 0)

    def draw(self, generator: torch.Generator) -> tuple[Tensor, list[Tensor]]:
        """One batch of stacks (batch, channel, z, y, x), and the true boxes of all their target slices."""
        draws = [self.stack(generator) for _ in range(self.recipe.batch)]
        return torch.stack([image for image, _ in draws]), [boxes for _, stack in draws for boxes in stack]

    def loss(self, batch: tuple[Tensor, list[Tensor]]) -> Tensor:
        """The sum of the detector's four losses."""
        images, truth = batch[0].to(self.device), [boxes.to(self.device) for boxes in batch[1]]
        with (
            torch.autocast(self.device.type, torch.bfloat16, enabled=bfloat16_is_fast(self.device)),
            plain_attention(self.device),
        ):
            losses = self.network(images, truth)
        return torch.stack(list(losses.values())).sum()

    def validate(self, network: nn.Module) -> dict[str, float]:
        """The highest recall at no more than one false positive a validation case, inside the expert's liver."""
        assert isinstance(network, LesionDetector)
        choice = choose_score(self.find(network, self.validation))
        return {} if choice is None else {"recall": choice.recall, "false positives a case": choice.false_a_case}

    def find(
        self, network: LesionDetector, cases: Sequence[TrainingCase]
    ) -> dict[tuple[float, float], list[FoundInCase]]:
        """What a network finds in cases at any mean score, without regions, by the least score of a slice's box."""
        detector = PhaseDetector(network, self.device, DetectOptions(in_plane_mm=self.recipe.in_plane_mm))
        results: dict[tuple[float, float], list[FoundInCase]] = {(score, NO_REGIONS): [] for score in LEAST_SCORES}
        for case in cases:
            codes = case.codes.numpy()
            known = case.lesion_probability
            probability = torch.zeros(codes.shape) if known is None else known.float() / 255
            looked = detector.look(volume_of(case), Segmentation(codes >= LABEL_STEP, probability.numpy()))
            true = lesion_boxes(codes >= 2 * LABEL_STEP)
            for score in LEAST_SCORES:
                link = LinkOptions(least_score=score, least_mean_score=0.0)
                found = no_boxes() if looked is None else detector.join(looked, link)
                results[score, NO_REGIONS].append(FoundInCase(found.scores, finds(found.boxes, true)))
        return results


def find_in_exams(
    detector: PhaseDetector, exams: Iterable[TypedExam], segmenter: Segmenter
) -> dict[tuple[float, float], list[FoundInCase]]:
    """What a detector finds in exams as an analysis does, in the liver that the segmenter finds and matched over the
    phases, at any mean score; by the least scores of a slice's box (`LEAST_SCORES`) and of a region without a box
    (`REGION_PEAKS`).
    """
    results: dict[tuple[float, float], list[FoundInCase]] = {key: [] for key in product(LEAST_SCORES, REGION_PEAKS)}
    for exam in exams:
        volumes = exam.study.volumes
        segmented = {phase: segmenter(volume, lambda _: None) for phase, volume in volumes.items()}
        looked = {phase: detector.look(volume, segmented[phase]) for phase, volume in volumes.items()}
        frames = {phase: liver_frame(volume, segmented[phase].liver) for phase, volume in volumes.items()}
        every = {
            phase: boxes_of(exam.lesion_ids[phase], [lesion.id for lesion in exam.truth.lesions]) for phase in volumes
        }
        shown = np.any([np.isfinite(boxes).all(axis=1) for boxes in every.values()], axis=0)
        true = {phase: boxes[shown] for phase, boxes in every.items()}
        regions = regions_of(join_phases(exam.study, segmented), volumes[exam.study.reference_phase])
        for score in LEAST_SCORES:
            link = LinkOptions(least_score=score, least_mean_score=0.0)
            found = {phase: no_boxes() if seen is None else detector.join(seen, link) for phase, seen in looked.items()}
            for peak in REGION_PEAKS:
                lesions = match_phases(with_regions(found, regions, exam.study, peak), frames)
                hits = np.zeros((len(lesions), int(shown.sum())), dtype=np.bool_)
                for number, lesion in enumerate(lesions):
                    hits[number, lesion.finds(true)] = True
                results[score, peak].append(FoundInCase(np.array([lesion.score for lesion in lesions]), hits))
    return results


def plain_attention(device: torch.device) -> AbstractContextManager[None]:
    """On CPUs, attention by matrix products: the backward pass of torch's fused one (2.13) makes a step half as long
    again.
    """
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()


def make_optimizer(network: nn.Module, recipe: DetectorRecipe) -> torch.optim.Optimizer:
    """AdamW or SGD (momentum 0.9); norms and biases do not decay."""
    shared = {"lr": recipe.learning_rate}
    groups: list[dict[str, Any]] = [
        {"params": [p for p in network.parameters() if p.ndim > 1], "weight_decay": recipe.weight_decay, **shared},
        {"params": [p for p in network.parameters() if p.ndim <= 1], "weight_decay": 0.0, **shared},
    ]
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups)
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, momentum=0.9)
    raise ValueError(f"The optimizer is adamw or sgd, not {recipe.optimizer!r}.")


def lesion_boxes(lesion: npt.NDArray[np.bool_]) -> Boxes:
    """Boxes (n, 6) of the 26-connected regions of a lesion mask (z, y, x)."""
    from scipy import ndimage

    labels, _ = ndimage.label(lesion, np.ones((3, 3, 3)))
    boxes = [[*(axis.start for axis in box), *(axis.stop for axis in box)] for box in ndimage.find_objects(labels)]
    return np.array(boxes, dtype=np.float64).reshape(-1, 6)


def train_detector(
    task: DetectorTask, work: Path, *, minutes: float | None = None, say: Callable[[str], None] = print
) -> tuple[dict[str, Tensor], Loop]:
    """Train in a work folder, on from its last checkpoint if there is one; the averaged weights, and the loop."""
    recipe = task.recipe
    sizes = {key: value for key, value in asdict(recipe).items() if key in ("preset", "in_plane_mm", "optimizer")}
    loop = Loop(task, work, recipe.steps, recipe.seed, sizes, validate_every=1000, say=say, minutes=minutes)
    return loop.run(), loop
