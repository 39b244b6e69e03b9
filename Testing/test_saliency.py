"""SMOE saliency: right against the formula in float64 on all five scales, and its edge cases."""

from __future__ import annotations

from math import erf, sqrt

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from LiverAILib.networks.resnet34 import ResNet34, ResNet34Preset
from LiverAILib.saliency import (
    SaliencyMix,
    combine,
    grad_cam,
    normalise,
    peak_inside,
    saliency_maps,
    share_inside,
    smoe_scale,
)

TINY = ResNet34Preset((4, 4, 8, 8), (1, 1, 1, 1))


def network_and_images(seed: int = 0) -> tuple[ResNet34, Tensor]:
    torch.manual_seed(seed)
    return ResNet34(TINY).eval(), torch.randn(2, 1, 96, 64).clamp(-0.9, 1)  # tissue everywhere


def reference_smoe(activations: Tensor) -> np.ndarray:
    """The formula, location by location, in float64."""
    x = activations.double().numpy() + 1e-7
    result = np.empty((x.shape[0], *x.shape[2:]))
    for place in np.ndindex(result.shape):
        channels = x[(place[0], slice(None), *place[1:])]
        mean = channels.sum() / channels.size
        result[place] = mean * (np.log2(mean) - np.log2(channels).sum() / channels.size)
    return result


def test_the_scale_is_right_on_all_five_stages_of_the_network() -> None:
    network, images = network_and_images()
    with torch.inference_mode():
        stages = network.stages(images)
    assert len(stages) == 5
    for stage in stages:
        expected = reference_smoe(stage)
        assert expected.max() > 1e-3
        assert np.allclose(smoe_scale(stage).numpy(), expected, rtol=1e-5, atol=1e-9)


def test_the_scale_of_known_channels() -> None:
    # one channel of four fires with 4: mean 1, log2 1 = 0, mean log2 = (2 - 3 * 23.2535) / 4
    one = torch.tensor([4.0, 0, 0, 0]).view(1, 4, 1, 1)
    assert float(smoe_scale(one)) == pytest.approx(-(2 + 3 * np.log2(1e-7)) / 4, rel=1e-6)
    # 1 and 4: mean 2.5, mean log2 = 1
    two = torch.tensor([1.0, 4.0]).view(1, 2, 1, 1)
    assert float(smoe_scale(two)) == pytest.approx(2.5 * (np.log2(2.5) - 1), rel=1e-6)
    # equal channels carry no information, however strong
    assert float(smoe_scale(torch.full((1, 64, 1, 1), 3e4))) == pytest.approx(0, abs=1e-8)
    assert float(smoe_scale(torch.zeros(1, 64, 1, 1))) == pytest.approx(0, abs=1e-12)


def test_it_keeps_the_type_and_stays_exact_where_single_precision_would_not() -> None:
    close = 1000 + torch.rand(1, 256, 4, 4)  # a gap of about 1e-7 between logarithms of about 10
    assert smoe_scale(close).dtype == torch.float32
    assert np.allclose(smoe_scale(close).numpy(), reference_smoe(close), rtol=1e-5)


def test_negative_activations_are_refused() -> None:
    with pytest.raises(ValueError, match="after a ReLU"):
        smoe_scale(torch.tensor([[[1.0]], [[-0.1]]]).view(1, 2, 1, 1))


def test_normalising_is_the_normal_distribution_function_of_each_map_alone() -> None:
    maps = torch.tensor([[[1.0, 2.0], [3.0, 6.0]], [[0.0, 0.0], [0.0, 100.0]]])
    found = normalise(maps)
    for single, result in zip(maps.numpy(), found.numpy(), strict=True):
        mean, deviation = single.mean(), single.std(ddof=1)
        expected = [0.5 * (1 + erf((v - mean) / deviation / sqrt(2))) for v in single.ravel()]
        assert np.allclose(result.ravel(), expected, atol=1e-6)


def test_normalising_over_what_is_shown_leaves_the_rest_out() -> None:
    maps = torch.tensor([[[1.0, 2.0, 3.0, 900.0]], [[5.0, 5.0, 5.0, 7.0]]])
    shown = torch.tensor([[[True, True, True, False]]]).expand(2, 1, 4)
    found = normalise(maps, shown)
    assert torch.allclose(found[0, :, :3], normalise(maps[:1, :, :3])[0])
    assert not found[:, :, 3].any()
    assert not found[1].any()  # the same wherever it is shown
    assert not normalise(maps, shown & False).any()


def test_much_air_around_the_liver_does_not_make_all_of_it_salient() -> None:
    network, images = network_and_images()
    framed = nn.functional.pad(images, (96, 96, 64, 64), value=-1.0)
    maps, _ = saliency_maps(network, framed, SaliencyMix((0, 2, 3, 4, 0)))
    inside = maps[:, 64:-64, 96:-96]
    assert 0.3 < float(inside.mean()) < 0.6
    assert not maps[:, :32].any()


@pytest.mark.parametrize("value", [0.0, 1e-9, 0.1, 1e6])
def test_a_map_that_is_the_same_everywhere_says_nothing(value: float) -> None:
    assert not normalise(torch.full((1, 5, 7), value)).any()
    assert not normalise(torch.full((1, 1, 1), value)).any()


def test_maps_are_combined_with_weights_one_to_five_at_the_images_size() -> None:
    maps = [torch.full((1, 32 >> i, 32 >> i), float(i == k)) for k, i in ((3, j) for j in range(5))]
    assert torch.allclose(combine(maps, (50, 40)), torch.full((1, 50, 40), 4 / 15))
    with pytest.raises(ValueError, match="2 maps but 5"):
        combine(maps[:2], (8, 8))


def test_the_whole_map_is_that_of_the_formulas_in_double_precision() -> None:
    network, images = network_and_images()
    maps, probability = saliency_maps(network, images)
    with torch.inference_mode():
        stages = network.stages(images)
        logits = network(images)
    total = torch.zeros(2, 96, 64, dtype=torch.float64)
    for weight, stage in enumerate(stages, start=1):
        smoe = torch.from_numpy(reference_smoe(stage))
        z = (smoe - smoe.mean((1, 2), keepdim=True)) / smoe.std((1, 2), keepdim=True)
        cdf = 0.5 * (1 + torch.erf(z / sqrt(2)))
        total += weight * nn.functional.interpolate(cdf[:, None], (96, 64), mode="bilinear")[:, 0]
    assert torch.allclose(maps.double(), total / 15, atol=1e-5)
    assert torch.allclose(probability, logits.softmax(1)[:, 1])
    assert 0 <= float(maps.min()) < float(maps.max()) <= 1


def test_a_slice_has_the_same_saliency_alone_and_in_a_batch() -> None:
    network, images = network_and_images()
    assert torch.allclose(saliency_maps(network, images)[0][1:], saliency_maps(network, images[1:])[0], atol=1e-5)


def test_grad_cam_weighs_channels_by_what_they_add_to_the_class() -> None:
    network, _ = network_and_images()
    last = torch.zeros(1, 8, 3, 3)
    last[0, 2, 0, 0] = last[0, 5, 2, 2] = 1.0
    with torch.no_grad():
        network.fc.weight.zero_()
        network.fc.weight[1, 2] = 2.0  # speaks for the finding
        network.fc.weight[1, 5] = -2.0  # against it
    cam = grad_cam(network, last)
    assert float(cam[0, 0, 0]) == 1.0
    assert float(cam.sum()) == 1.0
    assert not grad_cam(network, torch.zeros(1, 8, 3, 3)).any()


def test_the_product_with_grad_cam_is_nowhere_higher_and_works_without_gradients_around() -> None:
    network, images = network_and_images()
    plain, _ = saliency_maps(network, images)
    with torch.inference_mode():
        product, _ = saliency_maps(network, images, SaliencyMix(cam=True))
    assert (product <= plain + 1e-6).all()
    assert product.shape == plain.shape
    assert all(p.grad is None for p in network.parameters())


def test_the_share_inside_each_lesion() -> None:
    saliency = np.zeros((2, 3, 4), np.float32)
    ids = np.zeros((2, 3, 4), np.uint16)
    saliency[0, 0], ids[0, 0] = 1.0, 1  # 4 of 10
    saliency[1, 2, :2], ids[1, 2] = 1.0, 3  # 2 of 10
    saliency[0, 2] = 1.0  # in no lesion
    assert share_inside(saliency, ids) == pytest.approx({1: 0.4, 3: 0.2})
    assert share_inside(saliency, ids, within=ids > 0) == pytest.approx({1: 4 / 6, 3: 2 / 6})
    assert share_inside(saliency * 0, ids) == {1: 0.0, 3: 0.0}
    assert share_inside(saliency, ids * 0) == {}
    with pytest.raises(ValueError, match="not on one grid"):
        share_inside(saliency, ids[:1])


def test_whether_the_highest_saliency_lies_in_a_lesion() -> None:
    saliency = np.zeros((4, 5), np.float32)
    saliency[1, 2], saliency[3, 3] = 0.9, 0.5
    lesion = np.zeros((4, 5), bool)
    lesion[3, 3] = True
    assert peak_inside(saliency, lesion) is False
    lesion[1, 2] = True
    assert peak_inside(saliency, lesion) is True
    assert peak_inside(saliency * 0, lesion) is None
    assert peak_inside(saliency * 0 + 1, lesion) is None
    with pytest.raises(ValueError, match="not on one grid"):
        peak_inside(saliency, lesion[1:])


def test_a_mix_leaves_layers_out_and_refuses_what_makes_no_sense() -> None:
    network, images = network_and_images()
    middle, _ = saliency_maps(network, images, SaliencyMix((0, 1, 2, 3, 0)))
    layers = [normalise(smoe_scale(stage)) for stage in network.stages(images)]
    assert torch.equal(middle, combine(layers[1:4], (96, 64), (1, 2, 3)))
    for weights in ((0.0,) * 5, (-1.0, 1, 1, 1, 1), (float("nan"), 1, 1, 1, 1)):
        with pytest.raises(ValueError, match="Saliency weights"):
            SaliencyMix(weights)
