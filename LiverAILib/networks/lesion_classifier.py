"""The lesion classifier of LiAIDS: up to three phases' crops and the clinical record to seven lesion types.

Source: Ying et al., Nat Commun 2024, Methods, "Lesion Classification", Fig. 1c and Fig. 3f (588 image features): one
DenseNet with scSE per phase; products of each pair of phases' feature maps; adaptive pooling; two dense layers to the
image features; these joined with the clinical items; two dense layers to the classes.

The paper's patients have all phases and a full record. Ours need not: in a product, an absent phase is replaced by a
learned neutral vector (ones at first, so that the other phase passes as it is), and an unknown item by zeros, with a
flag beside each. With all phases there the computation is the paper's. An absent phase's voxels are never read: they
reach no output, no gradient and no batch statistic. Also ours: LayerNorm before the image's dense layers, so that
pooled products of few and of many phases have one scale; BatchNorm before and after them, since the pooled products
differ far more between channels than between lesions; drop-out before the last layer; and `looks_at`: the compact
preset makes the crops smaller first, 0.75 mm pixels in the usual crop of 48 mm, at an eighth of the cost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from LiverAILib.lesion_types import LesionType
from LiverAILib.networks.densenet3d import PRESETS as BRANCHES
from LiverAILib.networks.densenet3d import DenseNet3d, DenseNet3dPreset
from LiverAILib.study import ClinicalRecord, Phase

#: The phases that have a branch, in the order of the network's input.
CLASSIFIER_PHASES = (Phase.NON_CONTRAST, Phase.ARTERIAL, Phase.PORTAL_VENOUS)
#: The classes, in the order of the network's output.
CLASSES = tuple(LesionType)
CROP_SHAPE = (16, 112, 112)
CLINICAL_ITEMS = ("age", "sex", "hepatitis", "cirrhosis", "cholangiolithiasis", "extrahepatic_tumour")
CLINICAL_LENGTH = 2 * len(CLINICAL_ITEMS)

Inputs = Literal["both", "images", "clinical"]


@dataclass(frozen=True)
class ClassifierPreset:
    """Sizes of a LesionClassifier, and the paper's ablations as switches.

    features: length of the image features. hidden: width of the dense layer before the classes. interaction: products
    of pairs; without, the phases' maps are joined as they are. inputs: what is looked at. looks_at: the shape (z, y, x)
    that larger crops are made smaller to; None takes them as they are.
    """

    branch: DenseNet3dPreset
    looks_at: tuple[int, int, int] | None = None
    features: int = 588
    hidden: int = 128
    interaction: bool = True
    inputs: Inputs = "both"
    dropout: float = 0.2


_COMPACT = ClassifierPreset(branch=BRANCHES["compact"], looks_at=(8, 64, 64))
PRESETS = {
    "paper": ClassifierPreset(branch=BRANCHES["paper"], hidden=256),
    "compact": _COMPACT,
    "compact-without-interaction": replace(_COMPACT, interaction=False),
    "compact-images": replace(_COMPACT, inputs="images"),
    "compact-clinical": replace(_COMPACT, inputs="clinical"),
}


def encode_clinical(record: ClinicalRecord) -> Tensor:
    """The record as 12 numbers: each item's value (age in units of 20 years from 50; otherwise -1 or 1; 0 unknown),
    then six flags of what is known.
    """
    values = [
        None if record.age is None else (record.age - 50.0) / 20.0,
        None if record.sex is None else (1.0 if record.sex == "male" else -1.0),
    ]
    history = (record.hepatitis, record.cirrhosis, record.cholangiolithiasis, record.extrahepatic_tumour)
    values += [None if item is None else (1.0 if item else -1.0) for item in history]
    return torch.tensor([0.0 if v is None else v for v in values] + [float(v is not None) for v in values])


def stack_phases(crops: Mapping[Phase, Tensor]) -> tuple[Tensor, Tensor]:
    """One lesion's crops (1, z, y, x) by phase as the network takes them: (phase, 1, z, y, x), zero where absent, and
    which are present (phase,).

    Phases without a branch are left aside; raises ValueError if none of the others is there.
    """
    known = [crops[phase] for phase in CLASSIFIER_PHASES if phase in crops]
    if not known:
        wanted = ", ".join(CLASSIFIER_PHASES)
        raise ValueError(f"The lesion classifier needs one of the phases {wanted}; got {', '.join(crops) or 'none'}.")
    empty = torch.zeros_like(known[0])
    return (
        torch.stack([crops.get(phase, empty) for phase in CLASSIFIER_PHASES]),
        torch.tensor([phase in crops for phase in CLASSIFIER_PHASES]),
    )


def shrunk(images: Tensor, shape: tuple[int, int, int] | None) -> Tensor:
    """Crops (batch, phase, 1, z, y, x) with no axis longer than `shape`, anti-aliased; None and small ones: as they
    are.
    """
    if shape is None:
        return images
    depth, height, width = (min(own, most) for own, most in zip(images.shape[3:], shape, strict=True))
    sizes = (depth, height, width)
    if images.shape[3:] == sizes:
        return images
    flat = images.flatten(0, 2)
    if flat.shape[2:] != (height, width):
        flat = F.interpolate(flat, size=(height, width), mode="bilinear", align_corners=False, antialias=True)
    return F.adaptive_avg_pool3d(flat.unsqueeze(1), sizes).view(*images.shape[:3], *sizes)


class LesionClassifier(nn.Module):
    """Logits of the seven types for each lesion.

    images: (batch, 3, 1, z, y, x) in [-1, 1], phases in the order of `CLASSIFIER_PHASES`; present: (batch, 3) bool;
    clinical: (batch, 12) from `encode_clinical`. Returns (batch, 7) logits in the order of `CLASSES`, uncalibrated:
    `probabilities` divides them by the `temperature` that was fitted on validation data and is kept with the weights.
    Raises ValueError for a lesion without any phase (unless only the record is looked at), or other shapes.
    """

    temperature: Tensor

    def __init__(self, preset: ClassifierPreset | str = "compact", **switches: bool | float | str) -> None:
        """switches: fields of the preset to replace, e.g. interaction=False or inputs="images"."""
        super().__init__()
        if isinstance(preset, str):
            preset = PRESETS[preset]
        self.preset = preset = replace(preset, **switches)  # type: ignore[arg-type]
        if preset.inputs not in ("both", "images", "clinical"):
            raise ValueError(f'inputs must be "both", "images" or "clinical", not {preset.inputs!r}')
        self.register_buffer("temperature", torch.ones(()))
        phases, channels = len(CLASSIFIER_PHASES), preset.branch.out
        joined = 0
        if preset.inputs != "clinical":
            self.branches = nn.ModuleList([DenseNet3d(preset.branch) for _ in CLASSIFIER_PHASES])
            self.neutral = nn.Parameter(torch.ones(phases, channels))
            pooled = channels * (len(_PAIRS) if preset.interaction else phases)
            self.image_head = nn.Sequential(
                nn.LayerNorm(pooled),
                nn.BatchNorm1d(pooled),
                nn.Linear(pooled, preset.features),
                nn.ReLU(),
                nn.Linear(preset.features, preset.features),
                nn.BatchNorm1d(preset.features),
                nn.ReLU(),
            )
            joined += preset.features
        if preset.inputs != "images":
            joined += CLINICAL_LENGTH
        self.head = nn.Sequential(
            nn.Linear(joined, preset.hidden),
            nn.ReLU(),
            nn.Dropout(preset.dropout),
            nn.Linear(preset.hidden, len(CLASSES)),
        )

    def image_features(self, images: Tensor, present: Tensor) -> Tensor:
        """(batch, features): what the paper's Fig. 3f shows."""
        wanted = (len(present), len(CLASSIFIER_PHASES), 1)
        if images.dim() != 6 or tuple(images.shape[:3]) != wanted or tuple(present.shape) != wanted[:2]:
            raise ValueError(
                f"LesionClassifier takes images (batch, 3, 1, z, y, x) and present (batch, 3), "
                f"got {tuple(images.shape)} and {tuple(present.shape)}"
            )
        present = present.bool()
        if not bool(present.any(dim=1).all()):
            raise ValueError("LesionClassifier: a lesion has no phase at all")
        maps = self._maps(shrunk(images, self.preset.looks_at), present)
        if self.preset.interaction:
            parts = [(maps[first] * maps[second]).mean(dim=(2, 3, 4)) for first, second in _PAIRS]
        else:
            parts = [single.mean(dim=(2, 3, 4)) for single in maps]
        features: Tensor = self.image_head(torch.cat(parts, dim=1))
        return features

    def _maps(self, images: Tensor, present: Tensor) -> list[Tensor]:
        """Each phase's map (batch, channel, z, y, x); the neutral vector where the phase is absent. A branch runs on
        the lesions that have its phase only.
        """
        found: dict[int, Tensor] = {}
        for number, branch in enumerate(self.branches):
            if bool(present[:, number].any()):
                found[number] = branch(images[present[:, number], number])
        size = next(iter(found.values())).shape[2:]
        maps = []
        for number in range(len(self.branches)):
            neutral = self.neutral[number].view(1, -1, 1, 1, 1).expand(len(images), -1, *size)
            if number in found:
                here = torch.nonzero(present[:, number]).flatten()
                neutral = neutral.to(found[number].dtype).index_copy(0, here, found[number])
            maps.append(neutral)
        return maps

    def forward(self, images: Tensor, present: Tensor, clinical: Tensor) -> Tensor:
        return self.by_record(images, present, clinical)[0]

    def by_record(self, images: Tensor, present: Tensor, *records: Tensor) -> list[Tensor]:
        """The logits with each of several clinical vectors (batch, 12); the images are looked at once."""
        features = None if self.preset.inputs == "clinical" else self.image_features(images, present)
        return [self.types(features, clinical) for clinical in records]

    def types(self, features: Tensor | None, clinical: Tensor) -> Tensor:
        """The logits from image features (None if images are not looked at) and clinical vectors."""
        parts = [] if features is None else [features]
        if self.preset.inputs != "images":
            if clinical.dim() != 2 or clinical.shape[1] != CLINICAL_LENGTH:
                raise ValueError(
                    f"LesionClassifier takes clinical (batch, {CLINICAL_LENGTH}), got {tuple(clinical.shape)}"
                )
            parts.append(clinical.to(parts[0].dtype) if parts else clinical)
        logits: Tensor = self.head(torch.cat(parts, dim=1))
        return logits

    def probabilities(self, images: Tensor, present: Tensor, clinical: Tensor) -> Tensor:
        """(batch, 7) calibrated probabilities, float32."""
        return self.calibrated(self(images, present, clinical))

    def calibrated(self, logits: Tensor) -> Tensor:
        """(batch, 7) probabilities, float32, of these logits."""
        return torch.softmax(logits.float() / self.temperature, dim=1)


_PAIRS: Sequence[tuple[int, int]] = tuple(combinations(range(len(CLASSIFIER_PHASES)), 2))


def drop_phases(present: Tensor, chance: float, generator: torch.Generator | None = None) -> Tensor:
    """Training's phase drop-out: each present phase (batch, phase) is taken away with `chance`, but never a lesion's
    last one.
    """
    scores = torch.rand(present.shape, generator=generator)
    kept = present & (scores >= chance)
    # a lesion that lost all keeps the one with the highest score
    best = torch.where(present, scores, -1.0).argmax(dim=1, keepdim=True)
    lost = ~kept.any(dim=1, keepdim=True) & present.any(dim=1, keepdim=True)
    return kept | (lost & torch.zeros_like(present).scatter(1, best, True))


def drop_clinical(clinical: Tensor, chance: float, generator: torch.Generator | None = None) -> Tensor:
    """Training's clinical drop-out: each item of (batch, 12) gets unknown with this chance."""
    items = torch.rand((len(clinical), len(CLINICAL_ITEMS)), generator=generator) >= chance
    return clinical * items.repeat(1, 2)
