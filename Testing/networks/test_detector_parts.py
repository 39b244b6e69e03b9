"""Boxes, suppression, RoIAlign, anchors and assignment, each against a slow or hand-made answer."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from LiverAILib.analysis.boxes3d import shared_volumes
from LiverAILib.networks.boxes import (
    clip_boxes,
    decode,
    encode,
    non_max_suppression,
    pairwise_iou,
)
from LiverAILib.networks.detector_rpn import FeaturePyramid, assign, draw_sample, make_anchors
from LiverAILib.networks.roi_align import pyramid_levels, pyramid_roi_align, roi_align


def random_boxes(count: int, generator: torch.Generator, size: float = 40.0) -> torch.Tensor:
    corner = torch.rand(count, 2, generator=generator) * size * 0.7
    return torch.cat([corner, corner + 1 + torch.rand(count, 2, generator=generator) * size * 0.3], dim=1)


def test_overlap_of_known_boxes_in_two_and_three_dimensions() -> None:
    a, b = torch.tensor([[0.0, 0, 4, 4]]), torch.tensor([[2.0, 2, 4, 6], [4, 4, 5, 5]])
    assert pairwise_iou(a, b)[0].tolist() == pytest.approx([4 / 20, 0])
    shared, union, smaller = shared_volumes(a.numpy(), b.numpy())
    assert (shared.tolist(), union.tolist(), smaller.tolist()) == ([[4, 0]], [[20, 17]], [[8, 1]])
    cube, part = torch.tensor([[0.0, 0, 0, 2, 2, 2]]), torch.tensor([[1.0, 0, 0, 3, 2, 2]])
    assert float(pairwise_iou(cube, part)) == pytest.approx(1 / 3)
    assert [float(value[0, 0]) for value in shared_volumes(cube.numpy(), part.numpy())] == [4, 12, 8]


def test_decoding_undoes_encoding_and_a_wild_regression_stays_finite() -> None:
    generator = torch.Generator().manual_seed(1)
    boxes, anchors = random_boxes(20, generator), random_boxes(20, generator)
    assert torch.allclose(decode(encode(boxes, anchors, (0.1, 0.2)), anchors, (0.1, 0.2)), boxes, atol=1e-3)
    assert torch.isfinite(decode(torch.full((1, 4), 1e4), anchors[:1])).all()


def test_clipping_keeps_boxes_in_the_image() -> None:
    assert clip_boxes(torch.tensor([[-3.0, 2, 9, 50]]), (8, 16)).tolist() == [[0, 2, 8, 16]]


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 25), threshold=st.floats(0.05, 0.9))
def test_suppression_equals_the_greedy_loop(seed: int, count: int, threshold: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    boxes = torch.stack([random_boxes(count, generator) for _ in range(2)])
    valid = torch.rand(2, count, generator=generator) < 0.9
    found = non_max_suppression(boxes, valid, threshold)
    for image in range(2):
        kept: list[int] = []
        for i in range(count):
            rivals = pairwise_iou(boxes[image, i : i + 1], boxes[image, kept])
            if valid[image, i] and not (rivals > threshold).any():
                kept.append(i)
        assert torch.nonzero(found[image]).flatten().tolist() == kept


def slow_roi_align(features: torch.Tensor, box: list[float], size: int, samples: int) -> torch.Tensor:
    """One box of one image (channel, y, x), sample by sample; pixel i has its centre at i + 0.5."""
    _, height, width = features.shape
    y1, x1, y2, x2 = box
    result = torch.zeros(features.shape[0], size, size)
    for i in range(size * samples):
        for j in range(size * samples):
            y = y1 + (y2 - y1) * (i + 0.5) / (size * samples) - 0.5
            x = x1 + (x2 - x1) * (j + 0.5) / (size * samples) - 0.5
            y, x = min(max(y, 0.0), height - 1.0), min(max(x, 0.0), width - 1.0)
            top, left = min(math.floor(y), height - 2), min(math.floor(x), width - 2)
            dy, dx = y - top, x - left
            value = (
                features[:, top, left] * (1 - dy) * (1 - dx)
                + features[:, top, left + 1] * (1 - dy) * dx
                + features[:, top + 1, left] * dy * (1 - dx)
                + features[:, top + 1, left + 1] * dy * dx
            )
            result[:, i // samples, j // samples] += value / samples**2
    return result


def test_roi_align_equals_the_slow_one_for_boxes_of_several_images_in_any_order() -> None:
    generator = torch.Generator().manual_seed(3)
    features = torch.randn(3, 2, 9, 12, generator=generator)
    boxes = torch.tensor([[1.2, 2.0, 6.7, 9.1], [0.0, 0.0, 9.0, 12.0], [3.0, 4.0, 3.5, 4.5], [5.5, 7.0, 9.0, 12.0]])
    images = torch.tensor([2, 0, 2, 0])
    found = roi_align(features, boxes, images, size=3)
    for number, (box, image) in enumerate(zip(boxes.tolist(), images.tolist(), strict=True)):
        assert torch.allclose(found[number], slow_roi_align(features[image], box, 3, 2), atol=1e-5)


def test_roi_align_of_no_box_is_empty_and_of_bfloat16_is_float32() -> None:
    features = torch.zeros(1, 3, 8, 8, dtype=torch.bfloat16)
    assert roi_align(features, torch.zeros(0, 4), torch.zeros(0, dtype=torch.long), 7).shape == (0, 3, 7, 7)
    one = roi_align(features, torch.tensor([[0.0, 0, 4, 4]]), torch.zeros(1, dtype=torch.long), 7)
    assert one.dtype == torch.float32


def test_a_box_is_pooled_from_the_level_of_its_size() -> None:
    boxes = torch.tensor([[0.0, 0, 8, 8], [0, 0, 20, 20], [0, 0, 45, 45], [0, 0, 600, 600]])
    assert pyramid_levels(boxes, 4, finest=10.0).tolist() == [0, 1, 2, 3]
    pyramid = [torch.full((1, 1, 64 // 2**i, 64 // 2**i), float(i)) for i in range(4)]
    images = torch.zeros(4, dtype=torch.long)
    pooled = pyramid_roi_align(pyramid, (4, 8, 16, 32), boxes, images, 7, 10.0)
    assert pooled[:, 0, 3, 3].tolist() == [0, 1, 2, 3]


def test_anchors_have_the_stated_scales_ratios_and_places() -> None:
    anchors = make_anchors((2, 3), 4, (1.0, 3.0), (0.5, 1.0, 2.0), torch.device("cpu"))
    assert anchors.shape == (2 * 3 * 6, 4)
    low, high = anchors[:6].chunk(2, dim=1)
    sides = high - low
    assert sides.prod(dim=1).tolist() == pytest.approx([16, 144] * 3, rel=1e-5)
    assert (sides[:, 0] / sides[:, 1]).tolist() == pytest.approx([0.5, 0.5, 1, 1, 2, 2], rel=1e-5)
    centres = (anchors[::6, :2] + anchors[::6, 2:]) / 2
    assert centres.tolist() == [[2, 2], [2, 6], [2, 10], [6, 2], [6, 6], [6, 10]]


def test_anchors_learn_lesion_background_or_nothing_by_their_overlap() -> None:
    truth = torch.tensor([[0.0, 0, 10, 10], [30, 30, 32, 32]])
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 5], [50, 50, 60, 60], [29, 29, 33, 33]])
    kinds, which = assign(boxes, truth, 0.7, 0.3, 0.2)
    assert kinds.tolist() == [1, -1, 0, 1]  # the last is the small lesion's best, though it overlaps by a quarter only
    assert which[[0, 3]].tolist() == [0, 1]
    assert assign(boxes, truth, 0.7, 0.3, 0.3)[0].tolist() == [1, -1, 0, 0]
    assert assign(boxes, torch.zeros(0, 4), 0.7, 0.3, 0.3)[0].tolist() == [0, 0, 0, 0]


def test_a_sample_is_filled_up_with_background() -> None:
    kinds = torch.tensor([1] * 10 + [0] * 90 + [-1] * 20)
    lesions, background = draw_sample(kinds, 32, 0.25)
    assert (len(lesions), len(background)) == (8, 24)
    assert (kinds[lesions] == 1).all()
    assert (kinds[background] == 0).all()


def test_the_pyramid_has_five_levels_of_one_width_each_half_the_one_below() -> None:
    maps = [torch.zeros(1, c, 32 // 2**i, 64 // 2**i) for i, c in enumerate((2, 3, 4, 5))]
    shapes = [tuple(p.shape) for p in FeaturePyramid((2, 3, 4, 5), 6)(maps)]
    assert shapes == [(1, 6, 32 // 2**i, 64 // 2**i) for i in range(5)]
