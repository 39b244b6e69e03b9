"""Slice scores: which slices are cut out, that patient space decides and not storage, and saliency on the own grid."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from LiverAILib.analysis.slices import LiverSlices, liver_slices, neighbour_shares, saliency_volume, slice_scores
from LiverAILib.networks.resnet34 import ResNet34, ResNet34Preset
from LiverAILib.study import Source, Volume

TINY = ResNet34Preset((4, 4, 8, 8), (1, 1, 1, 1))
SOURCE = Source("toy", "phantom")
LIVER = (slice(3, 9), slice(10, 34), slice(8, 30))


def body(spacing: tuple[float, float, float] = (5.0, 2.5, 2.5)) -> tuple[Volume, npt.NDArray[np.bool_]]:
    """A body of 12 slices with a brighter liver in slices 3 to 8; axes run to superior, posterior, left."""
    rng = np.random.default_rng(1)
    array = np.full((12, 48, 56), -1000, np.int16)
    array[:, 4:44, 4:52] = rng.integers(20, 60, (12, 40, 48))
    liver = np.zeros(array.shape, bool)
    liver[LIVER] = True
    array[liver] += 60
    affine = np.diag([spacing[2], spacing[1], spacing[0], 1.0])
    affine[:3, 3] = (-60, -50, 700)
    return Volume(array, affine, SOURCE), liver


class MeanNetwork(nn.Module):
    """A slice's score rises with its mean."""

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(dim=(1, 2, 3))
        return torch.stack([-mean, mean], dim=1)


def scored(
    network: nn.Module, slices: LiverSlices, smoothing_mm: float = 0.0, batch: int = 16
) -> npt.NDArray[np.float64]:
    shares = neighbour_shares(slices.index, slices.slice_mm, smoothing_mm)
    return slice_scores(network, slices.images, shares, batch=batch)


def test_the_slices_that_show_liver_are_cut_in_a_square_around_it() -> None:
    volume, liver = body()
    slices = liver_slices(volume, liver, pixel_mm=2.5, size=40)
    assert slices.index == tuple(range(6))
    assert slices.cut == (slice(3, 9), slice(0, 48), slice(0, 56))
    assert slices.spans == [(z, z + 1) for z in range(3, 9)]
    assert slices.images.shape == (6, 1, 40, 40)
    assert -1 <= float(slices.images.min()) < float(slices.images.max()) <= 1
    # the square's centre is the liver's: 24 x 22 pixels of liver in the middle of 40 x 40 are brighter
    middle = slices.images[:, 0, 8:32, 9:31]
    assert float(middle.mean()) > float(slices.images.mean()) + 0.2


def test_what_lies_outside_the_image_is_air() -> None:
    volume, liver = body()
    slices = liver_slices(volume, liver, pixel_mm=2.5, size=128)
    assert slices.corner[0] < 0
    assert (slices.images[:, 0, 0] == -1).all()


def test_without_a_liver_there_is_no_slice_and_no_score() -> None:
    volume, liver = body()
    slices = liver_slices(volume, liver & False, pixel_mm=2.5, size=40)
    assert slices.index == ()
    assert scored(MeanNetwork(), slices).shape == (0,)
    saliency, scores = saliency_volume(ResNet34(TINY).eval(), slices)
    assert saliency.shape == volume.array.shape
    assert not saliency.any()
    assert scores.shape == (0,)


def test_a_mask_of_another_grid_is_refused() -> None:
    volume, liver = body()
    with pytest.raises(ValueError, match="not on the volume's grid"):
        liver_slices(volume, liver[1:])


def test_thin_slices_are_averaged_to_fewer() -> None:
    volume, liver = body(spacing=(1.0, 2.5, 2.5))
    slices = liver_slices(volume, liver, pixel_mm=2.5, size=40)
    assert slices.grid is not None
    assert slices.grid.averaged == 2
    assert slices.index == (0, 1, 2)


def stored_differently(volume: Volume, liver: npt.NDArray[np.bool_]) -> tuple[Volume, npt.NDArray[np.bool_]]:
    """The same place in space with slices and rows in reverse order."""
    affine = volume.affine.copy()
    affine[:3, 3] = volume.to_lps((volume.array.shape[0] - 1, volume.array.shape[1] - 1, 0))
    affine[:3, 1:3] *= -1
    flipped = Volume(np.ascontiguousarray(volume.array[::-1, ::-1]), affine, SOURCE)
    return flipped, np.ascontiguousarray(liver[::-1, ::-1])


def test_the_order_in_storage_changes_nothing() -> None:
    volume, liver = body()
    network = ResNet34(TINY).eval()
    first = liver_slices(volume, liver, pixel_mm=2.5, size=40)
    second = liver_slices(*stored_differently(volume, liver), pixel_mm=2.5, size=40)
    assert torch.equal(first.images, second.images)
    one, _ = saliency_volume(network, first, threshold=0.0)
    two, _ = saliency_volume(network, second, threshold=0.0)
    assert np.allclose(one, two[::-1, ::-1], atol=1e-6)


@pytest.mark.parametrize("slice_mm", [5.0, 1.0])
def test_cutting_the_pelvis_away_changes_no_image(slice_mm: float) -> None:
    volume, liver = body((slice_mm, 2.5, 2.5))
    volume.array[:2] = 300  # what is cut away is not air, and fills the whole field of view
    affine = volume.affine.copy()
    first = liver_slices(volume, liver, pixel_mm=2.5, size=40)
    for start in (1, 2):  # also where slices are averaged in pairs
        affine[:3, 3] = volume.to_lps((start, 0, 0))
        second = liver_slices(Volume(volume.array[start:], affine, SOURCE), liver[start:], pixel_mm=2.5, size=40)
        assert torch.equal(first.images, second.images)


@pytest.mark.parametrize("batch", [1, 4, 100])
def test_scores_are_the_networks_probabilities_whatever_the_batch(batch: int) -> None:
    volume, liver = body()
    slices = liver_slices(volume, liver, pixel_mm=2.5, size=40)
    expected = torch.sigmoid(2 * slices.images.mean(dim=(1, 2, 3)))
    assert np.allclose(scored(MeanNetwork(), slices, batch=batch), expected.numpy(), atol=1e-6)


@pytest.mark.parametrize("slice_mm", [5.0, 2.5])
def test_neighbours_count_by_their_distance_in_mm(slice_mm: float) -> None:
    volume, liver = body((slice_mm, 2.5, 2.5))
    slices = liver_slices(volume, liver, pixel_mm=2.5, size=40)
    assert slices.slice_mm == slice_mm
    count = len(slices.index)
    assert torch.equal(neighbour_shares(slices.index, slice_mm, 0.0), torch.eye(count, dtype=torch.float64))
    shares = neighbour_shares(slices.index, slice_mm, 5.0)
    assert torch.allclose(shares.sum(dim=1), torch.ones(count, dtype=torch.float64))
    middle = count // 2
    assert float(shares[middle, middle + 1] / shares[middle, middle]) == pytest.approx(
        np.exp(-0.5 * (slice_mm / 5) ** 2)
    )


def test_scores_and_saliency_are_averaged_over_neighbours() -> None:
    volume, liver = body()
    slices = liver_slices(volume, liver, pixel_mm=2.5, size=40)
    torch.manual_seed(2)
    network = ResNet34(TINY).eval()
    alone = scored(network, slices)
    logit = np.log(alone / (1 - alone))
    expected = 1 / (1 + np.exp(-(neighbour_shares(slices.index, slices.slice_mm, 8.0).numpy() @ logit)))
    assert np.allclose(scored(network, slices, smoothing_mm=8.0), expected, atol=1e-5)
    saliency, scores = saliency_volume(network, slices, threshold=0.0, smoothing_mm=8.0)
    assert np.allclose(scores, expected, atol=1e-5)
    far, _ = saliency_volume(network, slices, threshold=0.0, smoothing_mm=1e4)
    apart, _ = saliency_volume(network, slices, threshold=0.0)
    shown = [z for z in range(len(far)) if far[z].any()]

    def change(maps: np.ndarray) -> float:
        return float(np.mean([np.abs(maps[a] - maps[b]).mean() for a, b in pairwise(shown)]))

    assert change(far) < change(saliency) < change(apart)


def biased(slices: LiverSlices, *, positive: int) -> ResNet34:
    """A network whose bias puts exactly the `positive` highest slices over one half."""
    torch.manual_seed(5)
    network = ResNet34(TINY).eval()
    with torch.no_grad():
        logits = network(slices.images)
        order = torch.sort(logits[:, 1] - logits[:, 0], descending=True).values
        network.fc.bias[1] -= (order[positive - 1] + order[positive]) / 2
    return network


def test_saliency_lies_on_the_own_grid_in_slices_over_the_threshold_only() -> None:
    volume, liver = body()
    slices = liver_slices(volume, liver, pixel_mm=2.5, size=40)
    network = biased(slices, positive=2)
    saliency, scores = saliency_volume(network, slices, batch=4)
    assert saliency.shape == volume.array.shape
    assert np.allclose(scores, scored(network, slices), atol=1e-6)
    over = [index + 3 for index, score in zip(slices.index, scores, strict=True) if score > 0.5]
    assert len(over) == 2
    shown = [z for z in range(12) if saliency[z].any()]
    assert shown == over
    # the square reaches from pixel 2 to 42 (y) and from -1 to 39 (x); nothing lies outside it
    top, left = 2, -1
    outside = np.ones(saliency.shape, bool)
    outside[:, top : top + 40, max(left, 0) : left + 40] = False
    assert not saliency[outside].any()
    assert 0.2 < float(saliency.max()) <= 1


def test_slices_stored_along_the_last_axis_give_the_same_saliency() -> None:
    volume, liver = body()
    turned = Volume(np.ascontiguousarray(volume.array.transpose(2, 1, 0)), volume.affine[:, [2, 1, 0, 3]], SOURCE)
    network = ResNet34(TINY).eval()
    plain, _ = saliency_volume(network, liver_slices(volume, liver, pixel_mm=2.5, size=40), threshold=0.0)
    other = liver_slices(turned, np.ascontiguousarray(liver.transpose(2, 1, 0)), pixel_mm=2.5, size=40)
    found, _ = saliency_volume(network, other, threshold=0.0)
    assert plain.any()
    assert np.allclose(found, plain.transpose(2, 1, 0), atol=1e-6)
