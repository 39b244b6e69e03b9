"""Lesions put into slices while NoduleNet learns: where they are, what they change, and what the network is told."""

from __future__ import annotations

from dataclasses import replace

import torch

from LiverAILib.networks.resnet34 import ResNet34, ResNet34Preset
from LiverAILib.training.slice_implants import INNER_MM, implant_in_slice
from LiverAILib.training.slice_samples import SliceSamples
from LiverAILib.training.slices import SliceRecipe, SliceTraining

TINY = ResNet34Preset((4, 4, 8, 8), (1, 1, 1, 1))
STILL = SliceRecipe(
    area=(1, 1), aspect=(1, 1), rotation_degrees=0, perspective=0, flip=0, gain=0, shift=0, noise=0, mixup=0
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def disc(radius: float, size: int = 128) -> torch.Tensor:
    """A round liver of 110 HU in air."""
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    return torch.where((y - size / 2) ** 2 + (x - size / 2) ** 2 <= radius**2, 0.5, -1.0)


def toy() -> SliceSamples:
    """Sixteen slices of one patient that all look alike, every other one said to show a lesion."""
    count = 16
    pixels = ((disc(50) + 1) * 127.5).round().to(torch.uint8).expand(count, 1, 128, 128).contiguous()
    labels = torch.arange(count) % 2
    places = torch.zeros((count, 1, 32, 32), dtype=torch.uint8)
    nobody = torch.zeros(count, dtype=torch.long)
    return SliceSamples(pixels, labels, nobody, nobody.bool(), places)


def test_implants_lie_in_the_liver_and_change_nothing_elsewhere() -> None:
    liver, inner = disc(50), disc(50 - INNER_MM / 1.25 + 1)
    for seed in range(20):
        image, lesions = implant_in_slice(liver, 1.25, generator(seed))
        assert lesions.any()
        assert not (lesions & (inner < 0)).any()
        assert torch.equal(image == -1, liver == -1)
        far = torch.nn.functional.max_pool2d(lesions.float()[None], 9, stride=1, padding=4)[0] == 0
        assert float((image - liver)[far].abs().max()) < 0.1
        assert float((image - liver)[lesions].abs().mean()) > 0.04  # 4 HU
        assert image.abs().max() <= 1


def test_a_slice_with_little_liver_stays_as_it_is() -> None:
    for liver in (disc(8), torch.full((128, 128), -1.0)):
        image, lesions = implant_in_slice(liver, 1.25, generator())
        assert torch.equal(image, liver)
        assert not lesions.any()


def test_slices_with_implants_count_as_slices_with_a_lesion_and_say_where() -> None:
    samples = toy()
    other = replace(samples, patients=samples.patients + 1)
    recipe = replace(STILL, batch=32, implants=1.0)
    images, target, where = SliceTraining(samples, other, recipe, ResNet34(TINY)).draw(generator())
    shown = target[:, 1] == 1
    assert 8 <= int(shown.sum()) <= 24
    assert (where[shown].amax(dim=(1, 2, 3)) > 0).all()
    assert not where[~shown].any()
    assert (images[shown] - images[~shown][:1]).abs().amax(dim=(1, 2, 3)).min() > 0.1
    _, target, where = SliceTraining(samples, other, replace(recipe, implants=0.0), ResNet34(TINY)).draw(generator())
    assert target[:, 1].any()
    assert not where.any()
