"""The detector as a whole: losses in training, boxes in inference, sizes, gradients, weights there and back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load, save
from test_cswin3d import TINY as TINY_BACKBONE

from LiverAILib.networks.detector import PRESETS, LesionDetector

TINY = replace(
    PRESETS["compact"],
    backbone=TINY_BACKBONE,
    pyramid=16,
    dense=64,
    sampled=32,
    rpn=replace(PRESETS["compact"].rpn, sampled=64, candidates=(40, 40), proposals=(30, 20)),
)


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    """The same draws in each run, and one thread: layers this small lose time on more."""
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def lesion_slices(slices: int, size: int = 64) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """A noisy stack with a dark block through all slices, and its box in each target slice."""
    image = 0.3 + 0.1 * torch.randn(1, 1, slices + 10, size, size)
    image[..., 20:36, 28:40] -= 0.8
    return image, [torch.tensor([[20.0, 28, 36, 40]])] * slices


def test_training_gives_four_finite_losses_with_and_without_lesions() -> None:
    network = LesionDetector(TINY).train()
    image, truth = lesion_slices(2)
    losses = network(image, [truth[0], torch.zeros(0, 4)])
    assert set(losses) == {"rpn_objectness", "rpn_regression", "classes", "regression"}
    assert all(torch.isfinite(loss) and loss > 0 for loss in losses.values())
    empty = network(image, [torch.zeros(0, 4)] * 2)
    assert empty["rpn_regression"].item() == empty["regression"].item() == 0
    sum(empty.values()).backward()


def test_training_needs_the_true_boxes_of_every_slice() -> None:
    with pytest.raises(ValueError, match="each of 2 slices, got 1"):
        LesionDetector(TINY).train()(*[lesion_slices(2)[0], [torch.zeros(0, 4)]])


def test_a_gradient_reaches_every_parameter() -> None:
    network = LesionDetector(TINY).train()
    image, truth = lesion_slices(1)
    large = torch.tensor([[1.0, 1, 63, 63]])  # so that the coarsest level has something to learn too
    sum(network(image, [torch.cat([truth[0], large])]).values()).backward()
    silent = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []


def test_inference_gives_boxes_inside_the_image_best_first_and_hardly_overlapping() -> None:
    from LiverAILib.networks.boxes import pairwise_iou

    network = LesionDetector(replace(TINY, least_score=0.0)).eval()
    with torch.inference_mode():
        found = network(torch.randn(1, 1, 13, 64, 96))
    assert len(found) == 3
    for slice_found in found:
        boxes, scores = slice_found.boxes, slice_found.scores
        assert len(boxes) == len(scores) > 0
        assert (boxes >= 0).all()
        assert (boxes <= torch.tensor([64.0, 96, 64, 96])).all()
        assert (scores[:-1] >= scores[1:]).all()
        assert (pairwise_iou(boxes, boxes).triu(1) <= TINY.suppression_iou).all()


def test_the_detector_learns_one_lesion_and_finds_it() -> None:
    network = LesionDetector(TINY).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=4e-3)
    for step in range(60):
        optimizer.param_groups[0]["lr"] = 4e-3 * (1 - step / 60)
        loss = sum(network(*lesion_slices(1)).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    image, truth = lesion_slices(1)
    with torch.inference_mode():
        found = network.eval()(image)[0]
    assert found.scores[0] > 0.5
    assert (found.boxes[0] - truth[0][0]).abs().max() < 3


def test_a_volume_in_one_pass_gives_the_boxes_of_its_windows() -> None:
    network = LesionDetector(replace(TINY, least_score=0.0)).eval()
    x = torch.randn(1, 1, 12, 64, 64)
    with torch.inference_mode():
        whole = network(x)
        windows = [network(x[:, :, first : first + 11])[0] for first in range(2)]
    for a, b in zip(whole, windows, strict=True):
        assert torch.allclose(a.boxes, b.boxes, atol=1e-3)
        assert torch.allclose(a.scores, b.scores, atol=1e-5)


def test_exported_and_reloaded_weights_give_equal_output() -> None:
    first, second = LesionDetector(TINY).eval(), LesionDetector(TINY).eval()
    second.load_state_dict(load(save({k: v.contiguous() for k, v in first.state_dict().items()})))
    x = torch.randn(1, 1, 11, 64, 64)
    with torch.inference_mode():
        a, b = first(x)[0], second(x)[0]
    assert torch.equal(a.boxes, b.boxes)
    assert torch.equal(a.scores, b.scores)


def test_bfloat16_runs_and_hands_on_float32() -> None:
    network = LesionDetector(replace(TINY, least_score=0.0)).eval()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        found = network(torch.randn(1, 1, 11, 64, 64))[0]
    assert found.boxes.dtype == found.scores.dtype == torch.float32


def test_the_paper_preset_has_the_published_sizes_and_compact_the_same_topology() -> None:
    paper = PRESETS["paper"]
    assert (paper.pyramid, paper.dense, paper.roi, paper.finest_roi) == (256, 1024, 7, 56)
    assert (paper.lesion_iou, paper.sampled, paper.lesion_share, paper.suppression_iou) == (0.5, 512, 0.25, 0.1)
    rpn = paper.rpn
    assert (rpn.scales, rpn.ratios) == ((1, 3), (0.5, 1, 2))
    assert (rpn.lesion_iou, rpn.background_iou, rpn.least_iou) == (0.7, 0.3, 0.3)
    assert (rpn.sampled, rpn.lesion_share, rpn.suppression_iou) == (256, 0.5, 0.7)
    assert (rpn.candidates, rpn.proposals) == ((2000, 1000), (1000, 1000))
    with torch.device("meta"):
        built = {name: LesionDetector(name) for name in ("paper", "compact")}
    kinds = [[type(child) for child in network.children()] for network in built.values()]
    assert kinds[0] == kinds[1]
    assert sum(p.numel() for p in built["compact"].parameters()) < 5e6
    assert built["paper"].pyramid.lateral[3].in_channels == 512
