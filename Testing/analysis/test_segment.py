"""Inference with LiverSegNet: any size, chunks that join without a seam, post-processing, threads."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from LiverAILib.analysis.grid import to_network
from LiverAILib.analysis.segment import CHUNK, LiverSegmenter, choose_device, clean, predict, predict_closer
from LiverAILib.bundles import find_bundle
from LiverAILib.findings import Model
from LiverAILib.networks.liversegnet import LiverSegNet
from LiverAILib.study import Source, Volume

CPU = torch.device("cpu")


class Threshold(nn.Module):
    """A network without parameters: each voxel over 0 is liver, over 0.5 is lesion."""

    multiple = LiverSegNet.multiple
    least = LiverSegNet.least

    def forward(self, x: Tensor) -> Tensor:
        assert all(size % step == 0 for size, step in zip(x.shape[2:], self.multiple, strict=True))
        return torch.cat([x * 40, (x - 0.5) * 40], dim=1)


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("shape", [(1, 40, 50), (13, 100, 70), (CHUNK, 96, 96), (3 * CHUNK + 5, 33, 65)])
def test_every_size_is_predicted_and_chunks_join_without_a_seam(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    image = torch.rand(shape) * 2 - 1
    probability = predict(Threshold(), image, CPU)
    assert probability.shape == (2, *shape)
    assert torch.allclose(probability[0], (image.bfloat16().float() * 40).sigmoid(), atol=0.06)


def test_progress_ends_at_one() -> None:
    said: list[float] = []
    predict(Threshold(), torch.zeros(100, 32, 32), CPU, said.append)
    assert said == sorted(said)
    assert said[-1] == 1


class Looks(Threshold):
    """Notes the size of what it is shown, and is a little surer with each look."""

    def __init__(self, *before: tuple[int, ...]) -> None:
        super().__init__()
        self.shown = [*before]

    def forward(self, x: Tensor) -> Tensor:
        self.shown.append(tuple(x.shape[2:]))
        return super().forward(x) + 0.5 * (len(self.shown) - 1)


def test_the_second_look_is_at_the_livers_surroundings_and_counts_there() -> None:
    image = torch.full((40, 160, 160), -1.0)
    image[10:20, 64:96, 64:96] = 1
    image[30:34, 4:8, 4:8] = 1  # something else, far from the largest region
    network = Looks()
    said: list[float] = []
    found = predict_closer(network, image, (5.0, 1.0, 1.0), CPU, said.append)
    # 25 mm are 5 slices and 25 pixels on each side, filled up to what the network takes
    assert network.shown == [(40, 160, 160), (24, 96, 96)]
    first, second = predict(Threshold(), image, CPU)[1], predict(Looks((0, 0, 0)), image, CPU)[1]
    assert torch.allclose(found[1, 5:25, 39:121, 39:121], second[5:25, 39:121, 39:121], atol=0.01)
    assert torch.equal(found[1, 25:], first[25:])
    assert torch.equal(found[1, :, :39], first[:, :39])
    assert said == sorted(said)
    assert said[-1] == 1


class Astray(Threshold):
    """Sees the lower right quarter of the liver alone where there is much around it."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[tuple[int, ...]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.shown.append(tuple(x.shape[2:]))
        logits = super().forward(x)
        if len(self.shown) == 1:
            logits[..., :80, :] = -9
            logits[..., :80] = -9
        return logits


def test_a_liver_that_reaches_on_in_the_closer_look_is_looked_at_again() -> None:
    image = torch.full((40, 224, 224), -1.0)
    image[10:20, 40:120, 40:120] = 1
    network = Astray()
    found = predict_closer(network, image, (5.0, 1.0, 1.0), CPU)
    assert len(network.shown) == 3
    assert network.shown[2][1] > network.shown[1][1]
    assert torch.equal(found[0] > 0.5, image > 0)


@pytest.mark.parametrize("value", [-1.0, 1.0])
def test_without_a_liver_or_with_nothing_else_there_is_no_second_look(value: float) -> None:
    network = Looks()
    found = predict_closer(network, torch.full((16, 96, 96), value), (5.0, 1.0, 1.0), CPU)
    assert network.shown == [(16, 96, 96)]
    assert torch.equal(found, predict(Threshold(), torch.full((16, 96, 96), value), CPU))


def test_only_the_largest_region_is_liver_and_its_holes_are_filled() -> None:
    probability = torch.zeros(2, 10, 40, 40)
    probability[0, 2:8, 5:25, 5:25] = 0.9
    probability[0, 4, 12:15, 12:15] = 0.1  # a dark lesion that the liver channel missed
    probability[1, 4, 12:15, 12:15] = 0.8
    probability[0, 2:4, 32:38, 32:38] = 0.9  # a piece of spleen
    probability[1, 2:4, 32:38, 32:38] = 0.9
    cleaned = clean(probability)
    assert (cleaned[0, 4, 12:15, 12:15] > 0.5).all()
    assert (cleaned[1, 4, 12:15, 12:15] > 0.5).all()
    assert cleaned[:, :, 30:, 30:].max() == 0


def test_what_is_lesion_is_liver_too() -> None:
    probability = torch.zeros(2, 8, 40, 40)
    probability[0, :, 5:25, 5:20] = 0.9
    probability[1, :, 8:18, 20:30] = 0.8  # a tumour at the capsule that the liver channel leaves out
    cleaned = clean(probability)
    assert (cleaned[0, :, 8:18, 20:30] > 0.5).all()
    assert (cleaned[1, :, 8:18, 20:30] > 0.5).all()


def test_no_liver_leaves_nothing() -> None:
    assert clean(torch.full((2, 4, 20, 20), 0.4)).max() == 0


def phantomlike() -> Volume:
    array = np.full((12, 150, 160), -1000, np.int16)
    array[:, 20:130, 20:140] = 50
    array[3:9, 40:100, 40:100] = 110
    array[5:7, 60:75, 60:75] = 140
    affine = np.diag([0.9, 0.9, 4.0, 1.0])
    return Volume(array, affine, Source("test", "phantom"))


def test_the_segmenter_answers_on_the_volumes_own_grid() -> None:
    volume = phantomlike()
    segmenter = LiverSegmenter(Threshold(), Model(name="t", version="0", sha256="0"), 1.25, CPU)
    found = segmenter(volume)
    assert found.liver.shape == found.lesion_probability.shape == volume.array.shape
    true = volume.array >= 110
    assert 2 * (found.liver & true).sum() / (found.liver.sum() + true.sum()) > 0.97
    assert (found.lesion_probability[5:7, 63:72, 63:72] > 0.5).all()
    assert (found.lesion_probability[~found.liver] == 0).all()


def test_the_segmenter_states_what_it_works_with() -> None:
    segmenter = LiverSegmenter(Threshold(), Model(name="t", version="0", sha256="0"), 1.25, CPU, min_slice_mm=3.0)
    assert segmenter.parameters["in_plane_mm"] == 1.25
    assert segmenter.parameters["min_slice_mm"] == 3.0


def test_thin_slices_are_averaged_as_the_bundle_says() -> None:
    seen: list[int] = []

    class Watched(Threshold):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            seen.append(image.shape[2])
            return super().forward(image)

    thin = np.repeat(phantomlike().array, 4, axis=0)  # 48 slices of 1 mm
    volume = Volume(thin, np.diag([0.9, 0.9, 1.0, 1.0]), Source("thin", "phantom"))
    for min_slice_mm in (1.0, 4.0):
        seen.clear()
        LiverSegmenter(Watched(), Model(name="t", version="0", sha256="0"), 1.25, CPU, min_slice_mm)(volume)
        assert max(seen) == (48 if min_slice_mm == 1.0 else 16)


def test_one_and_two_threads_agree_and_a_second_run_is_the_same(threads: None) -> None:
    network = find_bundle("liversegnet").load()
    image = to_network(phantomlike(), 1.25)[0]
    results = []
    for count in (1, 2, 2):
        torch.set_num_threads(count)
        results.append(predict(network, image, CPU))
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[1], results[2])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_agrees_with_the_cpu() -> None:
    network = find_bundle("liversegnet").load()
    image = to_network(phantomlike(), 1.25)[0]
    on_cpu = predict(network, image, CPU)
    on_gpu = predict(network.to("cuda"), image, torch.device("cuda"))
    assert (on_cpu - on_gpu).abs().max() < 0.05


def test_the_device_may_be_named() -> None:
    assert choose_device("cpu") == CPU
    assert choose_device("auto").type in ("cpu", "cuda")
