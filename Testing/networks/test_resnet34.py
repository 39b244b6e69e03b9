"""ResNet-34: the five stages that saliency needs, the published widths, and ImageNet weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from LiverAILib.networks.resnet34 import PRESETS, ResNet34, ResNet34Preset, load_imagenet

TINY = ResNet34Preset((4, 4, 8, 8), (1, 1, 1, 1))


@pytest.mark.parametrize("size", [(64, 64), (32, 45), (97, 33)])
def test_five_stages_halve_the_resolution_and_none_is_negative(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    images = torch.randn(2, 1, *size)
    stages = ResNet34(TINY).eval().stages(images)
    expected = []
    height, width = size
    for channels in (4, 4, 4, 8, 8):
        height, width = -(-height // 2), -(-width // 2)
        expected.append((2, channels, height, width))
    assert [tuple(stage.shape) for stage in stages] == expected
    assert all(float(stage.detach().min()) >= 0 for stage in stages)


def test_the_output_is_two_logits_of_the_last_stage() -> None:
    network = ResNet34(TINY).eval()
    images = torch.randn(3, 1, 40, 40)
    assert network(images).shape == (3, 2)
    assert torch.equal(network(images), network.classify(network.stages(images)[-1]))


def test_the_finding_is_pooled_between_its_mean_and_its_highest_place() -> None:
    torch.manual_seed(0)
    last = torch.rand(2, 8, 5, 6)
    mean = ResNet34(TINY)
    places = mean.fc(last.permute(0, 2, 3, 1)).flatten(1, 2)
    assert torch.allclose(mean.classify(last), places.mean(dim=1), atol=1e-5)
    evidence = places[..., 1] - places[..., 0]
    assert torch.allclose(mean.evidence(last).flatten(1), evidence, atol=1e-5)
    for sharpness, expected in ((4.0, (4 * evidence).exp().mean(dim=1).log() / 4), (500.0, evidence.amax(dim=1))):
        sharp = ResNet34(replace(TINY, sharpness=sharpness))
        sharp.load_state_dict(mean.state_dict())
        logits = sharp.classify(last)
        assert torch.allclose(logits[:, 0], places[..., 0].mean(dim=1), atol=1e-5)
        assert torch.allclose(logits[:, 1] - logits[:, 0], expected, atol=0.01)
    assert PRESETS["paper"].sharpness == 0


@pytest.mark.parametrize("shape", [(1, 3, 64, 64), (1, 1, 31, 64), (1, 64, 64)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="ResNet34 takes"):
        ResNet34(TINY)(torch.zeros(shape))


def test_a_gradient_reaches_every_parameter() -> None:
    torch.manual_seed(0)
    network = ResNet34(TINY).train()
    network(torch.randn(4, 1, 64, 64)).square().sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_the_paper_preset_is_the_published_network_and_the_compact_one_the_same_but_narrower() -> None:
    with torch.device("meta"):
        paper, compact = ResNet34("paper"), ResNet34("compact")
    assert PRESETS["paper"].widths == (64, 128, 256, 512)
    weighted = [
        m for name, m in paper.named_modules() if isinstance(m, nn.Conv2d | nn.Linear) and "downsample" not in name
    ]
    assert len(weighted) == 34
    # ResNet-34 has 21,797,672 weights with three input channels and 1000 outputs
    fewer = 2 * 64 * 49 + 998 * 513
    assert sum(p.numel() for p in paper.parameters()) == 21_797_672 - fewer
    assert [type(m) for m in paper.modules()] == [type(m) for m in compact.modules()]


def test_reloaded_weights_give_the_same_output(tmp_path: Path) -> None:
    network, again = ResNet34(TINY).eval(), ResNet34(TINY).eval()
    images = torch.randn(2, 1, 40, 40)
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    again.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    assert torch.equal(network(images), again(images))


def test_imagenet_weights_of_three_colours_answer_as_on_a_grey_picture() -> None:
    torch.manual_seed(1)
    donor, network = ResNet34(TINY).eval(), ResNet34(TINY).eval()
    weights = dict(donor.state_dict())
    colour = torch.randn(4, 3, 7, 7)
    weights["conv1.weight"] = colour
    own_output = network.fc.weight.clone()
    load_imagenet(network, weights)
    grey = torch.randn(1, 1, 40, 40)
    expected = nn.functional.conv2d(grey.expand(-1, 3, -1, -1), colour, stride=2, padding=3)
    assert torch.allclose(network.conv1(grey), expected, atol=1e-4)
    assert torch.equal(network.layer3[0].conv2.weight, donor.layer3[0].conv2.weight)
    assert torch.equal(network.fc.weight, own_output)


def test_weights_of_another_network_are_refused_by_name() -> None:
    weights = ResNet34(ResNet34Preset((8, 8, 8, 8), (1, 1, 1, 1))).state_dict()
    with pytest.raises(ValueError, match=r"not ImageNet weights .* conv1\.weight"):
        load_imagenet(ResNet34(TINY), weights)
