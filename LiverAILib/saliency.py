"""SMOE saliency: where NoduleNet looks, from one forward pass.

Source: Mundhenk, Chen and Friedland, "Efficient Saliency Maps for Explainable AI", 2019 (FastCAM), as Wang et al.
(Br J Cancer 2021) use it: the SMOE scale of five layers' activations, each map normalised over its image, enlarged
to the image's size and averaged with weights, 1 to 5 at first (deep layers count more). As an option the result is
multiplied with Grad-CAM, which makes it specific to the class; FastCAM does so.

Ours: our images show the liver and what is near it, and air for the rest. A map is normalised over what is shown, and
zero elsewhere: over the whole image all of the liver is high, beside that much air. A map that is the same everywhere
says nothing, so its normalised form is zero (the formula is 0/0 there).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from LiverAILib.analysis.grid import AIR
from LiverAILib.networks.resnet34 import ResNet34

EPSILON = 1e-7  # added to the activations, as FastCAM does: log2(0) is not a number
WEIGHTS = (1.0, 2.0, 3.0, 4.0, 5.0)


@dataclass(frozen=True)
class SaliencyMix:
    """What a map is made of. weights: of the five layers, first layer first. cam: multiply with Grad-CAM of the
    finding. Raises ValueError for a negative weight, or none above 0.
    """

    weights: tuple[float, float, float, float, float] = WEIGHTS
    cam: bool = False

    def __post_init__(self) -> None:
        if not all(0 <= weight < float("inf") for weight in self.weights) or not any(self.weights):
            raise ValueError(f"Saliency weights are 0 or more, one at least above 0, not {self.weights}.")


def smoe_scale(activations: Tensor) -> Tensor:
    """Saliency per location of one layer's activations.

    activations: non-negative, (batch, channel, *spatial). Returns (batch, *spatial), >= 0: the mean over channels times
    the gap between its log2 and the mean log2, so it is high where few channels fire strongly. Computed in float64,
    since the gap is a small difference of large logarithms; the result has the input's type. Raises ValueError for a
    negative activation.
    """
    if activations.numel() and bool((activations < 0).any()):
        raise ValueError("SMOE needs activations after a ReLU; these have negative ones.")
    x = activations.double() + EPSILON
    mean = x.mean(dim=1)
    gap = mean.log2() - x.log2().mean(dim=1)
    return (mean * gap.clamp_min(0)).to(activations.dtype)


def normalise(maps: Tensor, shown: Tensor | None = None) -> Tensor:
    """Each map of (batch, y, x) through the normal distribution function of its own mean and deviation, to [0, 1].

    shown: bool (batch, y, x), the places that count, all if None; the others become 0.
    """
    x = maps.double().flatten(1)
    counted = torch.ones_like(x) if shown is None else shown.flatten(1).double()
    count = counted.sum(dim=1, keepdim=True)
    mean = (x * counted).sum(dim=1, keepdim=True) / count.clamp_min(1)
    variance = ((x - mean).square() * counted).sum(dim=1, keepdim=True) / (count - 1).clamp_min(1)
    deviation = variance.sqrt()
    flat = deviation <= 1e-9 * mean.abs() + 1e-30
    scaled = 0.5 * (1 + torch.erf((x - mean) / torch.where(flat, 1.0, deviation) / sqrt(2)))
    return torch.where(flat | (counted == 0), 0.0, scaled).view_as(maps).to(maps.dtype)


def shown_places(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Bool (batch, *size): the places of a coarser map that show tissue in half or more of them, of images (batch, 1,
    y, x).
    """
    return F.adaptive_avg_pool2d((images > AIR).float(), size).squeeze(1) >= 0.5


def combine(maps: Sequence[Tensor], size: tuple[int, int], weights: Sequence[float] = WEIGHTS) -> Tensor:
    """The weighted mean, (batch, *size) in [0, 1], of normalised maps (batch, y, x) enlarged bilinearly to `size`."""
    if len(maps) != len(weights):
        raise ValueError(f"{len(maps)} maps but {len(weights)} weights")
    total = sum(
        weight * F.interpolate(single.unsqueeze(1), size, mode="bilinear", align_corners=False)
        for single, weight in zip(maps, weights, strict=True)
    )
    assert isinstance(total, Tensor)
    return total.squeeze(1) / sum(weights)


def grad_cam(network: ResNet34, last: Tensor, target: int = 1) -> Tensor:
    """Grad-CAM (Selvaraju et al., ICCV 2017) of the last stage's output (batch, channel, y, x), as (batch, y, x)
    in [0, 1].

    Each channel weighs as much as the class's logit rises with it; what speaks against the class is cut off.
    """
    with torch.inference_mode(False), torch.enable_grad():
        leaf = last.detach().clone().requires_grad_(True)
        logit = network.classify(leaf)[:, target].sum()
        (gradient,) = torch.autograd.grad(logit, leaf)
    cam = F.relu((gradient.mean(dim=(2, 3), keepdim=True) * last.detach()).sum(dim=1))
    peak = cam.amax(dim=(1, 2), keepdim=True)
    return torch.where(peak > 0, cam / peak.clamp_min(1e-30), 0.0)


@dataclass(frozen=True)
class SaliencyParts:
    """Of images (batch, 1, y, x): each layer's SMOE scale (batch, its y, its x), and which places of it count (bool);
    Grad-CAM of the finding; and the finding's logit less the other's (batch,). None for what no mix asked for.
    """

    layers: tuple[Tensor | None, ...]
    shown: tuple[Tensor | None, ...]
    cam: Tensor | None
    margin: Tensor

    @classmethod
    def joined(cls, parts: Sequence[SaliencyParts]) -> SaliencyParts:
        """All images of several, at least one, that the same mixes were asked for."""
        return cls(
            tuple(_joined(column) for column in zip(*(part.layers for part in parts), strict=True)),
            tuple(_joined(column) for column in zip(*(part.shown for part in parts), strict=True)),
            _joined([part.cam for part in parts]),
            torch.cat([part.margin for part in parts]),
        )

    def changed(self, change: Callable[[Tensor], Tensor], shown: Callable[[Tensor], Tensor]) -> SaliencyParts:
        """With layers, Grad-CAM and margins put through one function, and what counts through another."""
        return SaliencyParts(
            tuple(None if layer is None else change(layer) for layer in self.layers),
            tuple(None if places is None else shown(places) for places in self.shown),
            None if self.cam is None else change(self.cam),
            change(self.margin),
        )

    def averaged(self, shares: Tensor) -> SaliencyParts:
        """Each image's as the mean over all images, of which they count as much as a row of shares (batch, batch) says;
        rows sum to 1.
        """
        return self.changed(lambda one: torch.tensordot(shares.to(one.dtype), one, dims=1), lambda places: places)

    def where(self, chosen: Tensor) -> SaliencyParts:
        """The images with these numbers."""
        return self.changed(lambda one: one[chosen], lambda places: places[chosen])

    def mixed(self, mix: SaliencyMix, size: tuple[int, int]) -> Tensor:
        """The saliency (batch, *size) in [0, 1], of one of the mixes that were asked for."""
        maps, weights = [], []
        for layer, places, weight in zip(self.layers, self.shown, mix.weights, strict=True):
            if weight:
                assert layer is not None
                maps.append(normalise(layer, places))
                weights.append(weight)
        result = combine(maps, size, weights)
        if mix.cam:
            assert self.cam is not None
            cam = F.interpolate(self.cam.unsqueeze(1), size, mode="bilinear", align_corners=False).squeeze(1)
            result = result * cam
        return result


def _joined(tensors: Sequence[Tensor | None]) -> Tensor | None:
    known = [tensor for tensor in tensors if tensor is not None]
    return torch.cat(known) if known else None


def saliency_parts(network: ResNet34, images: Tensor, mixes: Sequence[SaliencyMix]) -> SaliencyParts:
    """What these mixes need, of windowed slices (batch, 1, y, x)."""
    with torch.no_grad():
        stages = network.stages(images)
        logits = network.classify(stages[-1]).float()
        asked = [any(mix.weights[number] for mix in mixes) for number in range(len(stages))]
        return SaliencyParts(
            tuple(smoe_scale(stage.float()) if wanted else None for stage, wanted in zip(stages, asked, strict=True)),
            tuple(
                shown_places(images, (stage.shape[2], stage.shape[3])) if wanted else None
                for stage, wanted in zip(stages, asked, strict=True)
            ),
            grad_cam(network, stages[-1].float()) if any(mix.cam for mix in mixes) else None,
            logits[:, 1] - logits[:, 0],
        )


def saliency_maps(network: ResNet34, images: Tensor, mix: SaliencyMix | None = None) -> tuple[Tensor, Tensor]:
    """Saliency (batch, y, x) in [0, 1] and the finding's probability (batch,) of windowed slices (batch, 1, y, x).

    mix: as published, all five layers and no Grad-CAM, if None.
    """
    mix = mix or SaliencyMix()
    parts = saliency_parts(network, images, [mix])
    return parts.mixed(mix, (images.shape[2], images.shape[3])), torch.sigmoid(parts.margin)


def share_inside(
    saliency: npt.NDArray[np.floating], lesion_ids: npt.NDArray[np.integer], within: npt.NDArray[np.bool_] | None = None
) -> dict[int, float]:
    """The "quantified pixel" figure: for each label of `lesion_ids` (0 is none), the part of all saliency that lies in
    it.

    All arrays on one grid. within: count only the saliency there, e.g. in the liver. 0 for each if there is none at
    all. Raises ValueError if the shapes differ.
    """
    if saliency.shape != lesion_ids.shape or (within is not None and within.shape != saliency.shape):
        raise ValueError(f"Saliency {saliency.shape} and lesions {lesion_ids.shape} are not on one grid.")
    last = int(lesion_ids.max(initial=0)) + 1
    sums, counts = np.zeros(last), np.zeros(last, np.int64)
    for number, ids in enumerate(lesion_ids):  # a slice at a time: a whole volume in float64 is large
        weights = saliency[number] if within is None else np.where(within[number], saliency[number], 0)
        sums += np.bincount(ids.ravel(), weights=weights.ravel(), minlength=last)
        counts += np.bincount(ids.ravel(), minlength=last)
    total = float(sums.sum())
    labels = np.flatnonzero(counts)
    return {int(label): float(sums[label] / total) if total > 0 else 0.0 for label in labels if label}


def peak_inside(saliency: npt.NDArray[np.floating], lesions: npt.NDArray[np.bool_]) -> bool | None:
    """Whether the highest saliency of a slice (y, x) lies in a lesion; of several highest pixels one is enough. None
    where there is no saliency, or all of it is equal. Raises ValueError if the shapes differ.
    """
    if saliency.shape != lesions.shape:
        raise ValueError(f"Saliency {saliency.shape} and lesions {lesions.shape} are not on one grid.")
    highest = saliency.max(initial=0)
    if highest == saliency.min(initial=highest):
        return None
    return bool(lesions[saliency == highest].any())
