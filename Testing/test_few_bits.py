"""Weights kept in a few bits: how near they are, and what does not fit is refused."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from liverai_fakes import PACKAGE

from LiverAILib.bundles import WEIGHTS, write_bundle
from LiverAILib.errors import BundleError
from LiverAILib.few_bits import BITS, LEAST, SCALE, from_few_bits, from_stored, to_few_bits, to_stored
from LiverAILib.networks.liversegnet import LiverSegNet


def drawn(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def test_each_bit_halves_the_error() -> None:
    weights = {"w": drawn(64, 32, 3, 3)}
    errors = [float((from_few_bits(to_few_bits(weights, bits))["w"] - weights["w"]).std()) for bits in BITS]
    assert all(0.4 < finer / coarser < 0.7 for coarser, finer in pairwise(errors))
    assert errors[-1] < 0.01


def test_each_channel_has_its_own_scale() -> None:
    loud = drawn(2, LEAST)
    loud[1] *= 1e-4
    again = from_few_bits(to_few_bits({"w": loud}, 8))["w"]
    assert torch.all((again - loud).std(dim=1) < 0.02 * loud.std(dim=1))


def test_a_channel_of_zeros_stays_one() -> None:
    weights = torch.zeros(2, LEAST)
    weights[0] = drawn(LEAST)
    assert not from_few_bits(to_few_bits({"w": weights}, 6))["w"][1].any()


def test_a_single_outlier_does_not_spoil_a_channel() -> None:
    weights = drawn(1, 4 * LEAST)
    weights[0, 0] = 12
    error = from_few_bits(to_few_bits({"w": weights}, 5))["w"] - weights
    assert float(error.square().mean()) < float((12 / 15) ** 2 / 12)  # that of steps that reach to the outlier


def test_small_tensors_and_counters_stay() -> None:
    weights = {"bias": drawn(LEAST), "small": drawn(4, 4), "steps": torch.tensor(7)}
    stored = to_few_bits(weights, 8)
    assert stored.keys() == weights.keys()
    assert all(torch.equal(stored[name], weights[name]) for name in weights)


def test_a_package_in_seven_bits_is_half_as_large_and_gives_nearly_the_same(tmp_path: Path) -> None:
    torch.manual_seed(3)
    network = LiverSegNet("compact").eval()
    half = write_bundle(tmp_path / "half", network.state_dict(), PACKAGE)
    few = write_bundle(tmp_path / "few", network.state_dict(), PACKAGE, bits=7)
    assert (few.folder / WEIGHTS).stat().st_size < 0.55 * (half.folder / WEIGHTS).stat().st_size
    image = torch.randn(1, 1, 8, 96, 96)
    with torch.inference_mode():
        true = network(image)
        assert float((few.load()(image) - true).std()) < 0.15 * float(true.std())


@pytest.mark.parametrize("broken", ["no scale", "scale of nothing", "scale of another length"])
def test_whole_numbers_that_do_not_fit_are_refused(tmp_path: Path, broken: str) -> None:
    weights = to_few_bits({"stem.0.weight": drawn(64, 32)}, 7)
    scale = next(name for name in weights if name.endswith(SCALE))
    if broken == "no scale":
        del weights[scale]
    elif broken == "scale of nothing":
        weights["other" + SCALE] = weights[scale].clone()
    else:
        weights[scale] = weights[scale][:1]
    bundle = write_bundle(tmp_path / "liversegnet", weights, PACKAGE)
    with pytest.raises(BundleError, match="do not fit"):
        bundle.load()
    with pytest.raises(ValueError, match="scale"):
        from_few_bits(weights)


def test_a_number_of_bits_that_cannot_be_kept_is_refused() -> None:
    with pytest.raises(ValueError, match="4 to 8 bits, not 9"):
        to_few_bits({}, 9)


@pytest.mark.parametrize("bits", [None, 5])
def test_what_a_training_measures_is_what_the_package_holds(tmp_path: Path, bits: int | None) -> None:
    torch.manual_seed(4)
    weights = LiverSegNet("compact").state_dict()
    loaded = write_bundle(tmp_path / "kept", weights, PACKAGE, bits=bits).load().state_dict()
    measured = from_stored(to_stored(weights, bits))
    assert loaded.keys() == measured.keys()
    assert all(torch.equal(loaded[name], measured[name]) for name in loaded)
    assert any(not torch.equal(loaded[name], weights[name]) for name in loaded)


@pytest.mark.parametrize("bits", BITS)
def test_weights_that_did_not_change_are_kept_as_they_were(bits: int) -> None:
    torch.manual_seed(5)
    stored = to_stored(LiverSegNet("compact").state_dict(), bits)
    again = to_stored(from_stored(stored), bits)
    assert stored.keys() == again.keys()
    assert all(torch.equal(again[name], stored[name]) for name in stored)
