"""The recipe: the loss falls, a run goes on where it stopped, nothing is pickled."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_cases import write_case

from LiverAILib.networks.liversegnet import PRESETS
from LiverAILib.training import liversegnet
from LiverAILib.training.cases import Split, find_cases
from LiverAILib.training.liversegnet import Recipe, Training
from LiverAILib.training.losses import lesion_weights, overlap_loss, segmentation_loss
from LiverAILib.training.patches import PatchOptions

RECIPE = Recipe(
    preset="tiny",
    in_plane_mm=2.0,
    steps=12,
    batch=1,
    learning_rate=0.01,
    warmup=2,
    checkpoint_minutes=1e9,
    validate_minutes=1e9,
    patches=PatchOptions(size=(8, 96, 96)),
)


@pytest.fixture
def split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Split:
    tiny = replace(PRESETS["compact"], stem=4, levels=(8, 8, 16, 16), bottom=(16, 16), group_width=2, pool_bins=(1, 2))
    monkeypatch.setitem(PRESETS, "tiny", tiny)
    for name in ("a", "b"):
        write_case(tmp_path, name)
    cases = find_cases(tmp_path)
    return Split(cases[:1], cases[1:], [])


def test_training_learns_and_leaves_checkpoint_and_curves(split: Split, tmp_path: Path) -> None:
    work = tmp_path / "work"
    training = Training(split, work, replace(RECIPE, steps=40), say=lambda _: None)
    training.run()
    assert np.mean(training.losses[-8:]) < 0.85 * np.mean(training.losses[:8])
    assert {path.name for path in work.iterdir()} == {"state.safetensors", "state.json", "curves.png"}
    assert training.validations[-1]["step"] == 40


def test_a_stopped_training_goes_on_where_it_was(split: Split, tmp_path: Path) -> None:
    work = tmp_path / "work"
    first = Training(split, work, RECIPE, say=lambda _: None)
    first.run()
    second = Training(split, work, replace(RECIPE, steps=15), say=lambda _: None)
    second._resume()
    assert second.step == 12
    assert second.losses == first.losses
    for key, value in first.network.state_dict().items():
        assert torch.equal(value, second.network.state_dict()[key])
    moments = [
        first.optimizer.state_dict()["state"][0]["exp_avg"],
        second.optimizer.state_dict()["state"][0]["exp_avg"],
    ]
    assert torch.equal(*moments)
    second.run()
    assert second.step == 15


def test_a_work_folder_of_another_preset_is_refused(split: Split, tmp_path: Path) -> None:
    Training(split, tmp_path / "work", RECIPE, say=lambda _: None).run()
    with pytest.raises(ValueError, match="another preset"):
        Training(split, tmp_path / "work", replace(RECIPE, in_plane_mm=1.0), say=lambda _: None).run()


def overlap(logits: torch.Tensor, target: torch.Tensor, weight: float = 1.0, miss: float = 0.5) -> float:
    channels = target.shape[1]
    return float(overlap_loss(logits, target, torch.full_like(target, weight), torch.full((channels,), miss)))


def test_overlap_loss_is_zero_for_a_perfect_and_near_one_for_a_wrong_answer() -> None:
    target = torch.zeros(1, 1, 4, 16, 16)
    target[..., :8] = 1
    sure = (target * 2 - 1) * 30
    for weight in (1.0, 5.0):
        assert overlap(sure, target, weight) == pytest.approx(0, abs=1e-4)
        assert overlap(-sure, target, weight) > 0.9


def test_overlap_loss_is_dice_when_both_errors_count_alike_and_else_a_miss_is_dearer() -> None:
    target = torch.zeros(1, 1, 4, 16, 16)
    target[..., 4:12] = 1
    less, more = (-torch.ones_like(target) * 30 for _ in range(2))
    less[..., 6:12] = 30  # a quarter is missed
    more[..., 2:12] = 30  # as much is wrongly taken
    dice = 2 * 384 / (384 + 512)
    assert overlap(less, target) == pytest.approx(1 - dice, abs=0.02)
    assert overlap(less, target, miss=0.7) > 1.5 * overlap(more, target, miss=0.7)


def test_voxels_of_small_lesions_weigh_more() -> None:
    lesions = torch.zeros(4, 40, 40)
    lesions[:, 2:4, 2:4] = 1  # 16 voxels
    lesions[:, 10:30, 10:30] = 1  # 1600 voxels
    weights = lesion_weights(lesions, voxel_ml=0.05)
    assert weights[0, 2, 2] == pytest.approx((10 / 0.8) ** 0.5)
    assert weights[0, 20, 20] == 1  # 80 ml
    assert weights[0, 0, 0] == 1
    image = torch.full((1, 2, 4, 40, 40), -8.0)
    target = torch.stack([lesions, lesions])[None]
    small, large = image.clone(), image.clone()
    small[..., :10, :10], large[..., 10:30, 10:30] = target[..., :10, :10] * 16 - 8, 8.0
    missed_large, missed_small = (
        float(segmentation_loss([x] * 4, target, weights[None, None]) - segmentation_loss([x] * 4, target))
        for x in (small, large)
    )
    assert missed_small > missed_large


def test_a_patch_without_a_lesion_is_left_to_the_cross_entropy() -> None:
    target = torch.zeros(1, 2, 4, 16, 16)
    target[:, 0, :, 4:12, 4:12] = 1
    sure = (target * 2 - 1) * 20
    faint = sure.clone()
    faint[:, 1, :, 6:9, 6:9] = -1.0  # a faint wrong lesion
    assert overlap(faint, target) == pytest.approx(overlap(sure, target))
    assert float(segmentation_loss([faint] * 4, target)) > float(segmentation_loss([sure] * 4, target))


def test_the_loss_counts_every_scale() -> None:
    target = torch.zeros(1, 2, 8, 32, 32)
    target[:, :, 2:6, 8:24, 8:24] = 1
    right = [torch.nn.functional.interpolate(target, scale_factor=s) * 20 - 10 for s in (1, 0.5, 0.25, 0.125)]
    losses = [float(segmentation_loss([*right[:i], -right[i], *right[i + 1 :]], target)) for i in range(4)]
    assert losses == sorted(losses, reverse=True)
    assert min(losses) > float(segmentation_loss(right, target))


def test_the_recipe_defaults_are_the_papers() -> None:
    recipe = Recipe()
    assert (recipe.learning_rate, recipe.weight_decay, recipe.batch) == (0.005, 0.05, 4)
    assert liversegnet.__doc__ is not None


def test_a_training_may_begin_with_given_weights(split: Split, tmp_path: Path) -> None:
    first = Training(split, tmp_path / "a", RECIPE, say=lambda _: None)
    first.run()
    second = Training(split, tmp_path / "b", RECIPE, say=lambda _: None, start=first.average)
    for key, value in first.average.items():
        assert torch.equal(second.average[key], value)


def test_weights_begun_with_may_keep_a_share(split: Split, tmp_path: Path) -> None:
    first = Training(split, tmp_path / "a", RECIPE, say=lambda _: None)
    first.run()
    recipe = replace(RECIPE, start_share=0.25, norm_patches=2, seed=RECIPE.seed + 1)
    second = Training(split, tmp_path / "b", recipe, say=lambda _: None, start=first.final)
    final = second.run()
    key = next(key for key, value in final.items() if key.endswith("weight") and value.ndim > 1)
    expected = 0.75 * second.average[key] + 0.25 * first.final[key]
    assert torch.allclose(final[key], expected, atol=1e-6)
    assert not torch.equal(second.average[key], first.final[key])
    again = Training(split, tmp_path / "b", recipe, say=lambda _: None, start=first.final).run()
    assert torch.allclose(again[key], final[key], atol=1e-6)  # what is kept is the average itself, not the blend
