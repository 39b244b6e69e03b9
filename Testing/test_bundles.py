"""Model packages: what is accepted, and what is refused with which words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from liverai_fakes import PACKAGE

from LiverAILib.analysis.segment import load_segmenter
from LiverAILib.bundles import METADATA, WEIGHTS, find_bundle, write_bundle
from LiverAILib.errors import BundleError
from LiverAILib.networks.liversegnet import LiverSegNet


@pytest.fixture(scope="module")
def network() -> LiverSegNet:
    torch.manual_seed(3)
    return LiverSegNet("compact").eval()


@pytest.fixture
def models(tmp_path: Path, network: LiverSegNet) -> Path:
    write_bundle(tmp_path / "liversegnet", network.state_dict(), PACKAGE)
    return tmp_path


def test_written_and_loaded_weights_give_the_same_output(models: Path, network: LiverSegNet) -> None:
    loaded = find_bundle("liversegnet", models).load()
    image = torch.randn(1, 1, 8, 96, 96)
    half = LiverSegNet("compact").eval()
    half.load_state_dict({k: v.half().float() if v.is_floating_point() else v for k, v in network.state_dict().items()})
    with torch.inference_mode():
        assert torch.equal(loaded(image), half(image))
        assert torch.allclose(loaded(image), network(image), atol=0.05)


def test_findings_can_name_the_model(models: Path) -> None:
    model = find_bundle("liversegnet", models).model
    assert (model.name, model.version, len(model.sha256)) == ("liversegnet", "0.0.1", 64)


def test_a_package_says_which_patients_its_network_has_seen(tmp_path: Path, network: LiverSegNet) -> None:
    sides = {"train": ["p1", "p2"], "validation": ["p3"], "test": ["p4"]}
    bundle = write_bundle(tmp_path / "a", network.state_dict(), PACKAGE | {"training": {"patients": sides}})
    assert bundle.metadata.patients_seen == ["p1", "p2", "p3"]
    assert write_bundle(tmp_path / "b", network.state_dict(), PACKAGE).metadata.patients_seen == []


def test_monai_finds_its_keys(models: Path) -> None:
    metadata = json.loads((models / "liversegnet" / METADATA).read_text())
    assert {"version", "monai_version", "pytorch_version", "numpy_version"} <= metadata.keys()


def test_a_flipped_byte_is_refused(models: Path) -> None:
    path = models / "liversegnet" / WEIGHTS
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(BundleError, match="SHA-256 differs"):
        find_bundle("liversegnet", models)


def test_weights_exchanged_after_the_check_are_refused(models: Path) -> None:
    bundle = find_bundle("liversegnet", models)
    (models / "liversegnet" / WEIGHTS).write_bytes(b"other")
    with pytest.raises(BundleError, match="SHA-256 differs"):
        bundle.load()


def test_no_bundle_is_named_with_the_place_where_it_should_be(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"liversegnet is not in .*--models"):
        find_bundle("liversegnet", tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"name": "liversegnet"}'])
def test_broken_metadata_is_refused(models: Path, text: str) -> None:
    (models / "liversegnet" / METADATA).write_text(text)
    with pytest.raises(BundleError, match=r"metadata\.json is not valid"):
        find_bundle("liversegnet", models)


def test_an_unknown_network_is_refused(models: Path) -> None:
    path = models / "liversegnet" / METADATA
    path.write_text(path.read_text().replace('"LiverSegNet"', '"OtherNet"'))
    with pytest.raises(BundleError, match="OtherNet"):
        find_bundle("liversegnet", models).load()


def test_a_package_for_another_window_is_refused(tmp_path: Path, network: LiverSegNet) -> None:
    wide = PACKAGE | {"input": PACKAGE["input"] | {"window_hu": [-100, 240]}}
    write_bundle(tmp_path / "liversegnet", network.state_dict(), wide)
    with pytest.raises(BundleError, match=r"window of \(-100.0, 240.0\) HU"):
        load_segmenter(tmp_path, "cpu")


def test_the_segmenter_works_as_its_package_says(tmp_path: Path, network: LiverSegNet) -> None:
    thick = PACKAGE | {"input": PACKAGE["input"] | {"in_plane_mm": 1.5, "min_slice_mm": 4.0}}
    write_bundle(tmp_path / "liversegnet", network.state_dict(), thick)
    parameters = load_segmenter(tmp_path, "cpu").parameters
    assert (parameters["in_plane_mm"], parameters["min_slice_mm"]) == (1.5, 4.0)


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    write_bundle(tmp_path / "liversegnet", {"stem.0.weight": torch.zeros(2)}, PACKAGE)
    with pytest.raises(BundleError, match="do not fit"):
        find_bundle("liversegnet", tmp_path).load()


def test_metadata_that_lacks_a_key_is_not_written(tmp_path: Path, network: LiverSegNet) -> None:
    with pytest.raises(BundleError, match="trained_on"):
        write_bundle(
            tmp_path / "liversegnet",
            network.state_dict(),
            {k: v for k, v in PACKAGE.items() if k != "trained_on"},
        )
    assert list(tmp_path.iterdir()) == []


def test_a_second_write_replaces_the_first(models: Path, network: LiverSegNet) -> None:
    write_bundle(models / "liversegnet", network.state_dict(), {**PACKAGE, "version": "0.0.2"})
    assert find_bundle("liversegnet", models).metadata.version == "0.0.2"
    assert [path.name for path in models.iterdir()] == ["liversegnet"]
