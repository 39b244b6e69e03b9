"""The recipe of HCCNet: typed lesions in slices of all phases, what is drawn, what may stay as it is, a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from stage_exams import LIVER_HU, toy_stack

from LiverAILib.analysis.stack_slices import REACH_HU
from LiverAILib.errors import StudyError
from LiverAILib.lesion_types import LesionType
from LiverAILib.networks import resnet34
from LiverAILib.networks.resnet34 import PHASES_INPUTS, ResNet34, ResNet34Preset, for_phases
from LiverAILib.training.hccnet import HccRecipe, HccTraining
from LiverAILib.training.stack_implants import implant_in_stack
from LiverAILib.training.stack_parts import StackAmounts

SPACING = (4.0, 1.5, 1.5)
DARK_HU = 60
STILL = StackAmounts(gain=0, shift_hu=0, noise_hu=0, misplaced=0, outlined=0, lost=0)
RECIPE = HccRecipe(
    preset="tiny",
    batch=16,
    crop=48,
    validation_slices=50,
    looks=STILL,
    mixup=0,
    area=(1, 1),
    aspect=(1, 1),
    rotation_degrees=0,
    perspective=0,
)


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(resnet34.PRESETS, "tiny", ResNet34Preset((4, 4, 8, 8), (1, 1, 1, 1), sharpness=4.0))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_defaults_are_the_papers() -> None:
    recipe = HccRecipe()
    assert (recipe.learning_rate, recipe.momentum, recipe.batch, recipe.epochs) == (0.2, 0.9, 256, 120)
    assert recipe.label_smoothing > 0
    assert recipe.mixup > 0


def test_both_labels_are_drawn_and_only_an_hcc_is_the_finding() -> None:
    images, target, places = HccTraining([toy_stack(lesion=False)], [], RECIPE).draw(generator())
    hcc = target[:, 1] == 1
    assert images.shape == (16, PHASES_INPUTS, 48, 48)
    assert 3 <= int(hcc.sum()) <= 13
    assert (places[hcc].amax(dim=(1, 2, 3)) > 0.5).all()
    assert not places[~hcc].any()
    inside = images[:, 3:] == 1
    changed = (images[:, :3].abs() * inside).amax(dim=(1, 2, 3)) > 6 / REACH_HU
    assert float(changed.float().mean()) > 0.6


def test_an_hcc_is_brighter_than_the_liver_in_the_arterial_phase_and_not_later() -> None:
    hu = torch.full((3, 6, 64, 64), 100.0)
    liver, ids = torch.ones(6, 64, 64), torch.zeros(6, 64, 64, dtype=torch.long)
    changes = []
    for seed in range(30):
        made, found, placed = implant_in_stack(
            hu, liver, ids, torch.full((3,), 100.0), SPACING, [LesionType.HCC], generator(seed), (8.0, 12.0)
        )
        assert placed == [LesionType.HCC]
        changes.append((made - hu)[:, found == 1].median(dim=1).values)
    _, arterial, portal = torch.stack(changes).median(dim=0).values.tolist()
    assert arterial > 10
    assert portal < 5


def test_lesions_that_were_there_are_not_shown() -> None:
    training = HccTraining([toy_stack(lesion=True)], [], RECIPE)
    shows = (training.samples[0].ids > 0).flatten(1).any(dim=1)
    assert not shows[training.free[0]].any()
    dark = (DARK_HU - LIVER_HU) / REACH_HU
    for seed in range(4):
        images, _, _ = training.draw(generator(seed))
        same = ((images[:, :3] - dark).abs() < 0.01).all(dim=1)  # in all phases alike, as nothing that is put in
        assert float(torch.nn.functional.avg_pool2d(same.float(), 5, 1).max()) < 0.9


def test_livers_full_of_lesions_are_refused() -> None:
    full = toy_stack(lesion=False)
    with pytest.raises(StudyError, match="slices without a lesion"):
        HccTraining([replace(full, ids=torch.ones_like(full.ids))], [], RECIPE)


def test_a_run_goes_on_from_one_phase_and_leaves_frozen_parts_as_they_were(tmp_path: Path) -> None:
    recipe = replace(RECIPE, frozen=("layer3.*.conv*", "layer4"), epochs=2, batch=4)
    training = HccTraining([toy_stack(lesion=False)], [toy_stack(lesion=False)], recipe)
    torch.manual_seed(3)
    start = {name: value.clone() for name, value in for_phases(ResNet34("tiny").state_dict()).items()}
    training.network.network.load_state_dict(start)
    training.hold()
    weights, loop = training.run(tmp_path, say=lambda _: None)
    assert loop.step >= 2
    assert 0 <= training.validate(training.network.eval())["AUROC"] <= 1
    assert set(weights) == set(start)
    for name, value in weights.items():
        held = name.startswith("layer4") or (name.startswith("layer3") and "conv" in name)
        if held or "running" in name or "num_batches" in name:
            assert torch.equal(value, start[name]), name
        else:
            assert not torch.equal(value, start[name]), name


def test_short_runs_may_use_adamw_and_unmixed_images() -> None:
    training = HccTraining([toy_stack(lesion=False)], [], replace(RECIPE, adamw=True, mixup=0.3))
    assert isinstance(training.optimizer, torch.optim.AdamW)
    _, target, _ = training.draw(generator())
    assert set(target.flatten().tolist()) == {0.0, 1.0}
    assert isinstance(HccTraining([toy_stack(lesion=False)], [], RECIPE).optimizer, torch.optim.SGD)


def test_the_first_layer_of_one_phase_is_shared_out_over_the_phases() -> None:
    torch.manual_seed(1)
    one, every = ResNet34("tiny").eval(), ResNet34("tiny", inputs=PHASES_INPUTS).eval()
    every.load_state_dict(for_phases(one.state_dict()))
    image = torch.rand(2, 1, 64, 64) * 2 - 1
    alike = torch.cat([image, image, image, torch.ones_like(image)], dim=1)
    assert torch.allclose(every(alike), one(image), atol=1e-5)
    again = for_phases(every.state_dict())
    assert torch.equal(again["conv1.weight"], every.conv1.weight)
