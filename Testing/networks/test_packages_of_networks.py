"""Each network's weights go through a model package, in half precision, and give the same output."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from LiverAILib.bundles import NETWORKS, find_bundle, write_bundle
from LiverAILib.networks.resnet34 import PHASES_INPUTS

METADATA = {
    "version": "0.0.1",
    "preset": "compact",
    "labels": ["a"],
    "input": {"in_plane_mm": 1.25, "min_slice_mm": 2.0, "window_hu": (-40, 160), "phases": ["portal_venous"]},
    "trained_on": "nothing",
    "data_licence": "none",
    "results": [],
}


def inputs(name: str) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    if name == "LesionClassifier":
        images = torch.rand((1, 3, 1, 2, 32, 32), generator=generator)
        return images, torch.tensor([[True, False, True]]), torch.zeros(1, 12)
    if name == "PhaseComparisonNet":
        return (torch.rand((1, 7, 3, 18, 16), generator=generator),)
    channels = PHASES_INPUTS if name == "HCCNet" else 1
    return (torch.rand((2, channels, 48, 48), generator=generator),)


@pytest.mark.parametrize("name", ["PhaseComparisonNet", "LesionClassifier", "NoduleNet", "HCCNet"])
def test_exported_and_reloaded_weights_give_the_same_output(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = NETWORKS[name]("compact").eval()
    for tensor in network.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(tensor.half())  # what a package can hold
    write_bundle(tmp_path / name.lower(), network.state_dict(), METADATA | {"name": name.lower(), "network": name})
    again = find_bundle(name.lower(), tmp_path).load()
    with torch.inference_mode():
        assert torch.equal(network(*inputs(name)), again(*inputs(name)))


def test_the_fitted_temperature_travels_with_the_classifier(tmp_path: Path) -> None:
    network = NETWORKS["LesionClassifier"]("compact")
    weights = network.state_dict() | {"temperature": torch.tensor(1.75)}
    write_bundle(tmp_path / "classifier", weights, METADATA | {"name": "classifier", "network": "LesionClassifier"})
    assert float(find_bundle("classifier", tmp_path).load().temperature) == 1.75  # type: ignore[arg-type]
