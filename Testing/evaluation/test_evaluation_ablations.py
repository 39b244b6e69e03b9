"""The papers' ablations that need a network of their own: presets of the training, measured like any other package."""

from __future__ import annotations

import pytest
import torch

from LiverAILib.bundles import NETWORKS
from LiverAILib.cli import build_parser
from LiverAILib.errors import StudyError
from LiverAILib.networks.cswin3d import CSWin3d
from LiverAILib.networks.lesion_classifier import LesionClassifier
from LiverAILib.training.command import OWN_PRESETS


def test_a_2d_backbone_does_not_look_at_the_neighbouring_slices() -> None:
    torch.manual_seed(0)
    image = torch.randn(1, 2, 12, 32, 32)
    other = image.clone()
    other[:, :, [0, 4, 7, 11]] += 1  # the targets are slices 5 and 6
    with torch.inference_mode():
        for preset, same in (("compact-2d", True), ("compact", False)):
            network = CSWin3d(preset).eval()
            before, after = network(image), network(other)
            assert [m.shape for m in before] == [
                (2, c, 32 // s, 32 // s) for c, s in zip((32, 64, 96, 128), (4, 8, 16, 32), strict=True)
            ]
            assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True)) is same


def test_without_interaction_the_phases_meet_in_the_dense_layers_only() -> None:
    assert not LesionClassifier("compact-without-interaction").preset.interaction
    assert not hasattr(LesionClassifier("compact-clinical"), "branches")
    assert LesionClassifier("compact-images").head[0].in_features == 588


@pytest.mark.parametrize(("network", "name"), [(n, p) for n, names in OWN_PRESETS.items() for p in names])
def test_packages_of_every_preset_can_be_built(network: str, name: str) -> None:
    kind = {"comparison": "PhaseComparisonNet", "detector": "LesionDetector", "classifier": "LesionClassifier"}[network]
    built = NETWORKS[kind](name)
    assert sum(weight.numel() for weight in built.parameters()) > 1000


def test_a_preset_of_another_network_is_refused(tmp_path) -> None:  # type: ignore[no-untyped-def]
    arguments = ["train", "nodulenet", "--data", str(tmp_path), "--preset", "compact-2d"]
    args = build_parser(arguments).parse_args(arguments)
    with pytest.raises(StudyError, match=r'nodulenet has no preset "compact-2d"\. Choose from compact, paper'):
        args.run(args)
