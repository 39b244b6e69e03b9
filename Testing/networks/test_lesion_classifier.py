"""The lesion classifier: shapes, widths, gradients, and that absent phases and unknown items really are absent."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from LiverAILib.networks.densenet3d import CONTRAST_STEP, DenseNet3d, DenseNet3dPreset, ScSE3d, _contrast
from LiverAILib.networks.lesion_classifier import (
    CLASSES,
    CLINICAL_LENGTH,
    CROP_SHAPE,
    PRESETS,
    ClassifierPreset,
    LesionClassifier,
    drop_clinical,
    drop_phases,
    encode_clinical,
    shrunk,
    stack_phases,
)
from LiverAILib.study import ClinicalRecord, Phase

TINY = ClassifierPreset(
    DenseNet3dPreset(stem=4, growth=3, layers=(1, 1, 1, 1), bottleneck=2, out=6), features=20, hidden=8
)


def tiny(**switches: bool | float | str) -> LesionClassifier:
    torch.manual_seed(3)
    return LesionClassifier(TINY, **switches)


def batch(count: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand((count, 3, 1, 3, 33, 40), generator=generator) * 2 - 1
    return (
        images,
        torch.ones(count, 3, dtype=torch.bool),
        encode_clinical(ClinicalRecord(60, "male", True)).repeat(count, 1),
    )


@pytest.mark.parametrize("size", [(1, 32, 32), (3, 33, 40), (16, 50, 47)])
def test_a_branch_keeps_every_slice_and_takes_odd_sizes(size: tuple[int, int, int]) -> None:
    found = DenseNet3d(TINY.branch).eval()(torch.zeros(1, 1, *size))
    assert found.shape == (1, 6, size[0], *(-(-length // 32) for length in size[1:]))


@pytest.mark.parametrize("shape", [(1, 1, 4, 31, 40), (1, 2, 4, 40, 40), (1, 1, 40, 40)])
def test_a_branch_refuses_other_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="DenseNet3d takes"):
        DenseNet3d(TINY.branch)(torch.zeros(shape))


def test_the_compact_preset_takes_the_papers_crops() -> None:
    network = LesionClassifier("compact").eval()
    images = torch.zeros(1, 3, 1, *CROP_SHAPE)
    with torch.inference_mode():
        present = torch.tensor([[False, False, True]])
        assert network.image_features(images, present).shape == (1, 588)
        assert network(images, present, torch.zeros(1, CLINICAL_LENGTH)).shape == (1, 7)


def test_the_paper_preset_has_36_layers_588_features_and_the_topology_of_the_compact_one() -> None:
    with torch.device("meta"):
        paper, compact = LesionClassifier("paper"), LesionClassifier("compact")
    assert [type(m) for m in paper.modules()] == [type(m) for m in compact.modules()]
    assert PRESETS["paper"].features == PRESETS["compact"].features == 588
    # convolutions outside the attention and the last mix, each with weights: the stem, 16 pairs and 3 transitions
    branch = paper.branches[0]
    gates = {id(m) for scse in branch.modules() if isinstance(scse, ScSE3d) for m in scse.modules()}
    layers = [m for m in branch.modules() if isinstance(m, nn.Conv3d) and id(m) not in gates]
    assert len(layers) - 1 == 36
    assert PRESETS["paper"].branch.growth == 32
    assert sum(p.numel() for p in compact.parameters()) < 2.5e6


def test_the_classes_are_the_seven_of_the_paper_with_the_malignant_ones_first() -> None:
    assert [kind.malignant for kind in CLASSES] == [True] * 3 + [False] * 4


@pytest.mark.parametrize("interaction", [True, False])
def test_a_gradient_reaches_every_parameter(interaction: bool) -> None:
    network = tiny(interaction=interaction).train()
    images, present, clinical = batch(4)
    present[0, 0] = present[1, 1] = present[2, 2] = False  # so the neutral vectors are used too
    network(images, present, clinical).square().sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


@pytest.mark.parametrize("pattern", [p for p in product([True, False], repeat=3) if any(p) and not all(p)])
@pytest.mark.parametrize("interaction", [True, False])
def test_any_subset_of_phases_works_and_an_absent_one_has_no_influence(
    pattern: tuple[bool, bool, bool], interaction: bool
) -> None:
    network = tiny(interaction=interaction).eval()
    images, present, clinical = batch(2)
    present[0] = torch.tensor(pattern)
    other = images.clone()
    other[0, ~present[0]] = float("nan")  # whatever stands there is not even read
    first, second = network(images, present, clinical), network(other, present, clinical)
    assert torch.isfinite(second).all()
    assert torch.equal(first, second)
    full = network(images, torch.ones_like(present), clinical)
    assert not torch.allclose(first[0], full[0])
    assert torch.allclose(first[1], full[1], atol=1e-6)


def test_an_absent_phase_changes_no_gradient_and_no_batch_statistic_in_training() -> None:
    images, present, clinical = batch(3)
    present[0, 1] = present[1, 1] = False
    results = []
    for noise in (0.0, 100.0):
        network = tiny(dropout=0.0).train()
        changed = images.clone()
        changed[:2, 1] += noise
        network(changed, present, clinical).square().sum().backward()
        results.append([p.grad for p in network.parameters()] + list(network.buffers()))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_the_interaction_is_the_product_of_pairs_of_maps() -> None:
    network = tiny().eval()
    images, present, _ = batch(1)
    with torch.no_grad():
        a, b, c = (branch(images[:, i]) for i, branch in enumerate(network.branches))
        pooled = [(x * y).mean(dim=(2, 3, 4)) for x, y in ((a, b), (a, c), (b, c))]
        expected = network.image_head(torch.cat(pooled, dim=1))
        assert torch.allclose(network.image_features(images, present), expected, atol=1e-6)


def test_a_lone_phase_passes_the_interaction_unchanged_at_first() -> None:
    network = tiny().eval()
    images, present, _ = batch(1)
    present[0] = torch.tensor([False, True, False])
    with torch.no_grad():
        pooled = network.branches[1](images[:, 1]).mean(dim=(2, 3, 4))
        expected = network.image_head(torch.cat([pooled, torch.ones_like(pooled), pooled], dim=1))
        assert torch.allclose(network.image_features(images, present), expected, atol=1e-6)


def test_large_crops_are_made_smaller_first_where_the_preset_says_so() -> None:
    ramp = torch.linspace(-1, 1, 64).expand(2, 3, 1, 4, 64, 64)
    small = shrunk(ramp, (2, 16, 80))
    assert small.shape == (2, 3, 1, 2, 16, 64)
    assert torch.allclose(small[1, 2, 0, 1, 5], torch.linspace(-1, 1, 64), atol=1e-6)
    assert torch.allclose(
        shrunk(ramp.transpose(-1, -2), (4, 16, 64))[0, 0, 0, 0, :, 9], torch.linspace(-1, 1, 16), atol=0.07
    )
    assert shrunk(ramp, None) is ramp
    network = tiny(looks_at=(2, 33, 32)).eval()
    images, present, clinical = batch(2)
    with torch.inference_mode():
        assert torch.equal(network(images, present, clinical), network(shrunk(images, (2, 33, 32)), present, clinical))


def test_a_branch_tells_the_centre_from_the_rim() -> None:
    """A spot in the middle and the same spot in a corner differ for an untrained branch already."""
    torch.manual_seed(0)
    branch = DenseNet3d(TINY.branch).eval()
    image = torch.zeros(2, 1, 1, 64, 64)
    image[0, 0, 0, 31:33, 31:33] = image[1, 0, 0, 15:17, 15:17] = 1
    with torch.inference_mode():
        first, second = branch(image).mean(dim=(2, 3, 4))
    assert not torch.allclose(first, second, rtol=1e-3)


def test_each_switch_leaves_out_what_it_names() -> None:
    images, present, clinical = batch(2)
    only_images, only_clinical = tiny(inputs="images").eval(), tiny(inputs="clinical").eval()
    assert torch.equal(only_images(images, present, clinical), only_images(images, present, clinical * 0 - 5))
    assert torch.equal(only_clinical(images, present, clinical), only_clinical(images * 0, present & False, clinical))
    assert not torch.equal(only_clinical(images, present, clinical), only_clinical(images, present, clinical * 0))
    assert not any(isinstance(m, DenseNet3d) for m in only_clinical.modules())
    with pytest.raises(ValueError, match="inputs must be"):
        tiny(inputs="none")


def test_a_lesion_without_a_phase_and_wrong_shapes_are_refused() -> None:
    network = tiny().eval()
    images, present, clinical = batch(2)
    with pytest.raises(ValueError, match="no phase at all"):
        network(images, present & torch.tensor([[True], [False]]), clinical)
    with pytest.raises(ValueError, match="batch, 3, 1"):
        network(images[:, :2], present, clinical)
    with pytest.raises(ValueError, match=r"\(batch, 12\)"):
        network(images, present, clinical[:, :6])


def test_a_record_is_encoded_with_flags_for_what_is_known() -> None:
    code = encode_clinical(ClinicalRecord(70, "female", None, True, False, None)).tolist()
    assert code == [1.0, -1.0, 0.0, 1.0, -1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0]
    assert not encode_clinical(ClinicalRecord()).any()


def test_crops_are_stacked_in_the_networks_order_and_absent_phases_marked() -> None:
    crop = torch.ones(1, 2, 32, 32)
    images, present = stack_phases({Phase.PORTAL_VENOUS: crop * 3, Phase.NON_CONTRAST: crop, Phase.DELAYED: crop * 9})
    assert images.shape == (3, 1, 2, 32, 32)
    assert images.mean(dim=(1, 2, 3, 4)).tolist() == [1, 0, 3]
    assert present.tolist() == [True, False, True]
    with pytest.raises(ValueError, match="needs one of the phases"):
        stack_phases({Phase.DELAYED: crop})


def test_probabilities_are_the_softmax_at_the_fitted_temperature_kept_with_the_weights(tmp_path: Path) -> None:
    network = tiny().eval()
    network.temperature.fill_(2.0)
    images, present, clinical = batch(2)
    with torch.inference_mode():
        expected = torch.softmax(network(images, present, clinical) / 2, dim=1)
        assert torch.allclose(network.probabilities(images, present, clinical), expected)
        save_file(network.state_dict(), tmp_path / "weights.safetensors")
        again = LesionClassifier(TINY).eval()
        again.load_state_dict(load_file(tmp_path / "weights.safetensors"))
        assert torch.equal(again.probabilities(images, present, clinical), expected)


def test_phase_drop_out_never_takes_the_last_phase_and_never_adds_one() -> None:
    generator = torch.Generator().manual_seed(1)
    present = torch.tensor([p for p in product([True, False], repeat=3) if any(p)]).repeat(200, 1)
    kept = drop_phases(present, 0.5, generator)
    assert kept.any(dim=1).all()
    assert not (kept & ~present).any()
    full = kept[present.all(dim=1)]
    assert {tuple(row) for row in full.tolist()} == {p for p in product([True, False], repeat=3) if any(p)}
    assert torch.equal(drop_phases(present, 0.0, generator), present)
    assert drop_phases(present, 1.0, generator).sum(dim=1).tolist() == [1] * len(present)


def test_clinical_drop_out_makes_items_unknown_together_with_their_flag() -> None:
    generator = torch.Generator().manual_seed(1)
    full = encode_clinical(ClinicalRecord(70, "male", True, True, False, False)).repeat(2000, 1)
    some = drop_clinical(full, 0.3, generator)
    values, flags = some.chunk(2, dim=1)
    assert torch.equal(values != 0, flags != 0)
    assert flags.mean().item() == pytest.approx(0.7, abs=0.02)


def test_the_contrast_channel_is_what_lies_between_lesion_and_surroundings_whatever_their_level() -> None:
    generator = torch.Generator().manual_seed(0)
    crop = torch.full((2, 1, 8, 64, 64), 0.3) + 0.1 * torch.randn(2, 1, 8, 64, 64, generator=generator)
    crop[:, :, 2:6, 24:40, 24:40] -= 2 * CONTRAST_STEP
    crop[1] += 0.2
    crop[1, ..., :6] = -1.0  # fat beside the liver
    found = _contrast(crop)
    assert found.shape == crop.shape
    for single in found:
        assert float(single[0, 3:5, 28:36, 28:36].mean()) == pytest.approx(-2, abs=0.1)
        assert float(single[0, :, :10, 20:].mean()) == pytest.approx(0, abs=0.1)
    assert float(found[:, :, 3:5, 28:36, 28:36].std()) < 0.15  # the noise has an SD of half a step
    assert torch.isfinite(_contrast(torch.full((1, 1, 4, 32, 32), -1.0))).all()
    preset = DenseNet3dPreset(stem=4, growth=3, layers=(1, 1, 1, 1), bottleneck=2, out=6, contrast=True)
    assert DenseNet3d(preset).eval()(crop).shape == (2, 6, 8, 2, 2)
