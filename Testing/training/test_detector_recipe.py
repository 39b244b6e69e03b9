"""The detector's recipe: what it draws, its rates, its figures, and that a stopped training goes on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_cases import write_case

from LiverAILib.networks import detector as detector_module
from LiverAILib.networks.cswin3d import PRESETS as BACKBONES
from LiverAILib.training.cases import LABEL_STEP, TrainingCase, find_cases, training_case
from LiverAILib.training.detector import (
    PAPER_TEXT,
    DetectorRecipe,
    DetectorTask,
    lesion_boxes,
    make_optimizer,
    slice_boxes,
    train_detector,
)
from LiverAILib.training.patches import PatchOptions, PatchSource

RECIPE = DetectorRecipe(
    preset="tiny",
    in_plane_mm=2.0,
    steps=4,
    batch=1,
    learning_rate=1e-3,
    warmup=2,
    patches=PatchOptions(size=(12, 64, 64), at_lesion=1.0, other_look=0.0, implants=0.0, slice_mm=(3.0, 3.1)),
)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DetectorTask:
    return make_task(tmp_path, monkeypatch, RECIPE)


def make_task(folder: Path, monkeypatch: pytest.MonkeyPatch, recipe: DetectorRecipe) -> DetectorTask:
    compact = detector_module.PRESETS["compact"]
    backbone = replace(BACKBONES["compact"], stem=2, channels=(8, 16, 32, 64), depths=(1, 1, 1, 1), expansion=2)
    tiny = replace(compact, backbone=backbone, pyramid=16, dense=16, sampled=32)
    monkeypatch.setitem(detector_module.PRESETS, "tiny", tiny)
    if not (folder / "a_ct.nii.gz").is_file():
        write_case(folder, "a")
        write_case(folder, "b")
    files = find_cases(folder)
    real, held = (with_a_guess(training_case(file, recipe.in_plane_mm)) for file in files)
    return DetectorTask([real], [], [held], recipe)


def with_a_guess(case: TrainingCase) -> TrainingCase:
    """A lesion probability of four fifths in every other lesion's slice."""
    guess = torch.where(case.codes >= 2 * LABEL_STEP, 204, 0).to(torch.uint8)
    guess[::2] = 0
    return replace(case, looks=False, lesion_probability=guess)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_each_region_of_a_slice_is_a_box_and_a_single_pixel_is_none() -> None:
    lesion = np.zeros((3, 20, 20), dtype=bool)
    lesion[0, 2:5, 3:9] = True
    lesion[0, 10:12, 10:12] = True
    lesion[2, 7, 7] = True
    boxes = slice_boxes(lesion)
    assert [b.tolist() for b in boxes] == [[[2, 3, 5, 9], [10, 10, 12, 12]], [], []]
    assert boxes[1].shape == (0, 4)


def test_a_stack_has_ten_slices_more_than_targets_and_boxes_where_the_lesion_is_dark(task: DetectorTask) -> None:
    inside, around = [], []
    for seed in range(12):
        image, truth = task.stack(generator(seed))
        assert image.shape == (2, 12, 64, 64)
        assert len(truth) == 2
        for plane, boxes in zip(image[0, 5:7], truth, strict=True):
            for y1, x1, y2, x2 in boxes.int().tolist():
                y, x = (y1 + y2) // 2, (x1 + x2) // 2
                inside.append(float(plane[max(y - 1, 0) : y + 1, max(x - 1, 0) : x + 1].mean()))
                around.append(float(plane[max(y1 - 3, 0) : y2 + 3, max(x1 - 3, 0) : x2 + 3].max()))
    assert len(inside) > 6
    assert np.median(np.array(around) - np.array(inside)) > 0.3  # 50 HU in a window of 200 that is 2 wide


def test_the_same_step_draws_the_same_and_another_step_something_else(task: DetectorTask) -> None:
    first, again, other = (task.stack(generator(seed))[0] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_flips_turn_image_and_boxes_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    still = replace(RECIPE, rotate=0.0, flip=0.0)
    plain = make_task(tmp_path, monkeypatch, still)
    flipped = make_task(tmp_path, monkeypatch, replace(still, flip=1.0))
    (image, truth), (turned, turned_truth) = plain.stack(generator(3)), flipped.stack(generator(3))
    assert torch.equal(image.flip([-2, -1]), turned)
    for boxes, others in zip(truth, turned_truth, strict=True):
        assert sorted((64 - boxes[:, [2, 3, 0, 1]]).tolist()) == sorted(others.tolist())


def test_the_rate_warms_up_and_falls_to_a_tenth_twice(task: DetectorTask) -> None:
    task.recipe = DetectorRecipe(steps=36_000)
    rates = [task.rate(step) for step in (0, 499, 5000, 26_999, 27_000, 33_000)]
    assert rates == pytest.approx([1e-7, 5e-5, 1e-4, 1e-4, 1e-5, 1e-6])


def test_the_papers_text_and_its_published_configuration_are_both_there(task: DetectorTask) -> None:
    assert (PAPER_TEXT.optimizer, PAPER_TEXT.learning_rate, PAPER_TEXT.weight_decay) == ("sgd", 0.01, 1e-4)
    assert (PAPER_TEXT.batch, PAPER_TEXT.drops) == (6, (8 / 12, 11 / 12))
    assert (DetectorRecipe().optimizer, DetectorRecipe().weight_decay) == ("adamw", 0.05)
    assert isinstance(make_optimizer(task.network, PAPER_TEXT), torch.optim.SGD)
    with pytest.raises(ValueError, match="adamw or sgd"):
        make_optimizer(task.network, replace(RECIPE, optimizer="adam"))


def test_the_second_channel_goes_with_the_image_and_is_lowered_at_times(task: DetectorTask) -> None:
    source = task._sources[0]
    assert source is not None
    sure, faint = PatchSource(source.cases, replace(RECIPE.patches, faint=0.0, hidden=0.0), 3), source
    faint.options = replace(RECIPE.patches, faint=1.0, hidden=0.0)
    seen = []
    for _ in range(8):
        image, target, _ = sure.draw()
        shown = image[1] > 0.5
        assert torch.equal(image[1] == -1, image[1] < -0.999)
        assert float(image[1].max()) <= 2 * 0.8**0.5 - 1 + 1e-3  # a probability of four fifths
        if shown.any():
            assert float(target[1][shown].mean()) > 0.9  # where the lesion is
            seen.append(float(image[1].max()))
    assert len(seen) > 4
    highest = [float(faint.draw().image[1].max()) for _ in range(8)]
    assert max(highest) < 2 * 0.8**0.5 - 1
    assert len({round(value, 3) for value in highest}) > 4
    source.options = replace(RECIPE.patches, hidden=1.0)
    assert all(float(source.draw().image[1].max()) == -1 for _ in range(4))


def test_implants_are_put_only_where_no_lesion_probability_is_shown(task: DetectorTask) -> None:
    source = task._sources[0]
    assert source is not None
    case = replace(source.cases[0], looks=True)
    sizes = {}
    for implants, hidden in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)):
        options = replace(RECIPE.patches, implants=implants, hidden=hidden, other_look=0.0)
        drawn = PatchSource([case], options, 3)
        sizes[implants, hidden] = sum(float(drawn.draw_from(case).target[1].mean()) for _ in range(12))
    assert sizes[1.0, 0.0] < 1.5 * sizes[0.0, 0.0]
    assert sizes[1.0, 1.0] > 2 * sizes[0.0, 1.0]


def test_boxes_of_a_lesion_mask() -> None:
    lesion = np.zeros((6, 20, 20), dtype=bool)
    lesion[1:4, 2:8, 2:8] = True
    lesion[4:6, 12:18, 12:18] = True
    assert lesion_boxes(lesion).tolist() == [[1, 2, 2, 4, 8, 8], [4, 12, 12, 6, 18, 18]]


def test_a_stopped_training_goes_on_and_ends_where_an_unbroken_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = train_detector(make_task(tmp_path, monkeypatch, RECIPE), tmp_path / "whole", say=lambda _: None)
    shorter = replace(RECIPE, steps=2, drops=(1.5, 1.9))
    train_detector(make_task(tmp_path, monkeypatch, shorter), tmp_path / "work", say=lambda _: None)
    said: list[str] = []
    rest, _ = train_detector(make_task(tmp_path, monkeypatch, RECIPE), tmp_path / "work", say=said.append)
    assert "going on at step 2" in said
    assert any("recall" in line and "false positives a case" in line for line in said)
    assert all(torch.allclose(value, rest[key], atol=1e-6) for key, value in whole.items())
    assert (tmp_path / "work" / "curves.png").is_file()


def test_a_training_without_any_case_is_refused() -> None:
    with pytest.raises(ValueError, match="needs cases"):
        DetectorTask([], [], [], DetectorRecipe())
