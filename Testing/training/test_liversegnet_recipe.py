"""The recipe: the loss falls, lesions are weighed, weights begun with may keep a share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_cases import write_case

from LiverAILib.errors import StudyError
from LiverAILib.networks.liversegnet import PRESETS, LiverSegNet
from LiverAILib.training import liversegnet
from LiverAILib.training.cases import find_cases, training_case
from LiverAILib.training.liversegnet import SegmentationRecipe, SegmentationTask, train_segmentation
from LiverAILib.training.losses import lesion_weights, overlap_loss, segmentation_loss, slice_overlap_loss
from LiverAILib.training.patches import PatchOptions

RECIPE = SegmentationRecipe(
    preset="tiny",
    in_plane_mm=2.0,
    steps=6,
    batch=1,
    learning_rate=0.01,
    patches=PatchOptions(size=(8, 96, 96)),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cases")
    for name in ("a", "b"):
        write_case(folder, name)
    return folder


@pytest.fixture
def task(folder: Path, monkeypatch: pytest.MonkeyPatch) -> SegmentationTask:
    tiny = replace(PRESETS["compact"], stem=4, levels=(8, 8, 16, 16), bottom=(16, 16), group_width=2, pool_bins=(1, 2))
    monkeypatch.setitem(PRESETS, "tiny", tiny)
    return make(folder, RECIPE)


def make(folder: Path, recipe: SegmentationRecipe) -> SegmentationTask:
    cases = find_cases(folder)
    return SegmentationTask([training_case(cases[0], recipe.in_plane_mm)], [], cases[1:], recipe)


def quiet(text: str) -> None:
    """Say nothing."""


def test_training_learns_and_is_validated(task: SegmentationTask, folder: Path, tmp_path: Path) -> None:
    task = make(folder, replace(RECIPE, steps=32))
    _, loop = train_segmentation(task, tmp_path, say=quiet)
    assert np.mean(loop.losses[-8:]) < 0.9 * np.mean(loop.losses[:8])
    assert loop.validations[-1].keys() == {"step", "liver Dice", "lesion Dice"}


def test_a_work_folder_of_another_spacing_is_refused(task: SegmentationTask, folder: Path, tmp_path: Path) -> None:
    train_segmentation(make(folder, replace(RECIPE, steps=1)), tmp_path, say=quiet)
    with pytest.raises(ValueError, match="holds another training"):
        train_segmentation(make(folder, replace(RECIPE, in_plane_mm=1.0)), tmp_path, say=quiet)


def test_the_rate_rises_and_then_falls_to_nearly_nothing(task: SegmentationTask) -> None:
    task.recipe = SegmentationRecipe(steps=1000, warmup=0.1, learning_rate=1.0)
    rates = [task.rate(step) for step in range(1000)]
    assert rates[0] == pytest.approx(0.01)
    assert max(rates) == rates[99]
    assert rates[500] == pytest.approx(0.5)
    assert rates[-1] == pytest.approx(0.002)


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


def test_the_ends_of_an_organ_count_beside_its_middle() -> None:
    target = torch.zeros(1, 4, 20, 20)
    target[0, 1, :, :] = target[0, 2, :10, :10] = 1  # 400 and 100 voxels; weights 2 : 1
    losses = []
    for missed in ((), (1,), (2,)):
        logits = 40 * target - 20
        for number in missed:
            logits[0, number] = -20
        losses.append(float(slice_overlap_loss(logits, target)))
    assert losses[0] == pytest.approx(0, abs=1e-3)
    assert losses[1] / losses[2] == pytest.approx(2, rel=0.1)  # by voxels it were 4
    assert float(slice_overlap_loss(torch.zeros(1, 4, 20, 20), torch.zeros(1, 4, 20, 20))) == 0


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
    recipe = SegmentationRecipe()
    assert (recipe.learning_rate, recipe.weight_decay, recipe.batch) == (0.005, 0.05, 4)
    assert liversegnet.__doc__ is not None


def test_weights_begun_with_may_keep_a_share(task: SegmentationTask, folder: Path, tmp_path: Path) -> None:
    start = {key: value.clone() for key, value in make(folder, replace(RECIPE, seed=99)).network.state_dict().items()}
    recipe = replace(RECIPE, steps=2, start_share=0.25)
    plain, _ = train_segmentation(
        make(folder, replace(recipe, start_share=0.0)), tmp_path / "a", start=start, say=quiet
    )
    mixed, loop = train_segmentation(make(folder, recipe), tmp_path / "b", start=start, say=quiet)
    key = next(key for key, value in mixed.items() if key.endswith("weight") and value.ndim > 1)
    assert torch.allclose(mixed[key], 0.75 * plain[key] + 0.25 * start[key], atol=1e-6)
    assert not torch.equal(plain[key], start[key])
    assert len(loop.validations) == 2  # before and after
    again, _ = train_segmentation(make(folder, recipe), tmp_path / "b", start=start, say=quiet)
    assert torch.allclose(again[key], mixed[key], atol=1e-6)  # what is kept is the average itself, not the blend
    LiverSegNet("tiny").load_state_dict(mixed)


def test_frozen_parts_stay_to_the_bit_as_they_began(task: SegmentationTask, folder: Path, tmp_path: Path) -> None:
    start = {key: value.clone() for key, value in make(folder, replace(RECIPE, seed=99)).network.state_dict().items()}
    recipe = replace(RECIPE, steps=2, start_share=0.5, frozen=("bottom1", "decoder2"))
    weights, _ = train_segmentation(make(folder, recipe), tmp_path / "a", start=start, say=quiet)
    changed = {key.split(".")[0] for key, value in weights.items() if not torch.equal(value, start[key])}
    assert changed
    assert changed.isdisjoint(recipe.frozen)
    again, _ = train_segmentation(make(folder, recipe), tmp_path / "a", start=start, say=quiet)  # from its checkpoint
    assert all(torch.equal(again[key], weights[key]) for key in weights)


def test_a_part_that_is_not_there_cannot_be_frozen(task: SegmentationTask, folder: Path) -> None:
    with pytest.raises(StudyError, match='no part "bottom9" to freeze'):
        make(folder, replace(RECIPE, frozen=("bottom9",)))
