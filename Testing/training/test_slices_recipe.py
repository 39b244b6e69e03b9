"""The slice networks' recipe: the paper's options, labels as the paper draws them, augmentation, a run that learns."""

from __future__ import annotations

from dataclasses import replace
from math import cos, pi
from pathlib import Path

import numpy as np
import pytest
import torch

from LiverAILib.networks.resnet34 import ResNet34, ResNet34Preset
from LiverAILib.phantom import EVALUATION_SEEDS, Phantom, PhantomOptions, generate
from LiverAILib.study import Phase
from LiverAILib.training.places import PlaceHead, place_loss
from LiverAILib.training.slice_samples import SliceSamples, exam_slices
from LiverAILib.training.slices import SliceRecipe, SliceTraining, auroc, balanced_chances, few, mix, vary

TINY = ResNet34Preset((4, 4, 8, 8), (1, 1, 1, 1))
COARSE = PhantomOptions(spacing_mm=(8, 4, 4), liver_crop_mm=5, lesions=("cyst", "hcc"))
STILL = SliceRecipe(area=(1, 1), aspect=(1, 1), rotation_degrees=0, perspective=0, flip=0, gain=0, shift=0, noise=0)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return generate(3, phases=(Phase.PORTAL_VENOUS,), options=COARSE)


def toy(count: int, first_patient: int, seed: int) -> SliceSamples:
    """Positive slices have a bright spot."""
    labels = torch.arange(count) % 2
    images = torch.randint(80, 120, (count, 1, 32, 32), generator=generator(seed))
    images[:, :, 8:24, 8:24] += 100 * labels.view(-1, 1, 1, 1)
    patients = torch.arange(first_patient, first_patient + count)
    places = torch.zeros((count, 1, 8, 8), dtype=torch.uint8)
    places[:, :, 2:6, 2:6] = 255 * labels.view(-1, 1, 1, 1).to(torch.uint8)
    real = torch.zeros(count, dtype=torch.bool)
    return SliceSamples(images.to(torch.uint8), labels, patients, real, places)


def test_the_defaults_are_the_papers() -> None:
    recipe = SliceRecipe()
    assert (recipe.learning_rate, recipe.momentum, recipe.batch, recipe.epochs) == (0.2, 0.9, 256, 120)
    assert recipe.label_smoothing > 0
    assert recipe.mixup > 0


def test_the_rate_warms_up_and_falls_along_a_cosine() -> None:
    rates = [SliceRecipe().rate(step, 10) for step in range(1200)]
    assert rates[0] == pytest.approx(0.2 / 50)
    assert rates[49] == pytest.approx(0.2)
    assert rates[50 + 575] == pytest.approx(0.1, rel=1e-2)
    assert rates[-1] == pytest.approx(0.2 * 0.5 * (1 + cos(pi * 1149 / 1150)))
    assert rates[50:] == sorted(rates[50:], reverse=True)
    assert SliceRecipe(batch=64).rate(49, 10) == pytest.approx(0.05)


def test_nodulenet_keeps_all_slices_and_marks_those_with_a_lesion(phantom: Phantom) -> None:
    samples = exam_slices(phantom, pixel_mm=4, size=64)
    assert samples.images.shape[1:] == (1, 64, 64)
    assert 0 < int(samples.labels.sum()) < len(samples)
    shows = np.count_nonzero(phantom.lesion_mask(Phase.PORTAL_VENOUS), axis=(1, 2)) * 16 >= 12
    assert abs(int(samples.labels.sum()) - int(shows.sum())) <= 2


def test_slices_that_hardly_show_a_lesion_are_left_out_and_a_few_are_drawn(phantom: Phantom, tmp_path: Path) -> None:
    slices = exam_slices(phantom, pixel_mm=4, size=64)
    ids = phantom.lesion_ids[Phase.PORTAL_VENOUS]
    nothing = int((slices.labels == 0).sum())
    assert nothing <= int((~(ids > 0).any(axis=(1, 2))).sum())
    few = exam_slices(phantom, pixel_mm=4, size=64, most=6)
    assert len(few) == 6
    assert 3 <= int(few.labels.sum()) < 6
    few.save(tmp_path / "slices.npz")
    again = SliceSamples.load(tmp_path / "slices.npz")
    assert all(torch.equal(value, vars(again)[key]) for key, value in vars(few).items())


def test_a_validation_on_the_way_sees_all_real_slices_and_some_others() -> None:
    samples = replace(toy(40, 0, 1), real=torch.arange(40) < 6)
    some = few(samples, 16, 3)
    assert len(some) == 16
    assert some.patients[some.real].tolist() == list(range(6))
    assert len(few(samples, 100, 3)) == 40
    assert len(few(samples, 2, 3)) == 6
    assert torch.equal(some.patients, few(samples, 16, 3).patients)


def test_real_slices_and_both_labels_are_drawn_often_enough() -> None:
    labels = torch.tensor([1] * 10 + [0] * 90)
    real = torch.zeros(100, dtype=torch.bool)
    real[:1] = real[95:] = True
    none = torch.zeros(100, dtype=torch.long)
    nothing = none.view(-1, 1, 1, 1)
    chances = balanced_chances(SliceSamples(nothing, labels, none, real, nothing), 0.3)
    chances = chances / chances.sum()
    assert float(chances[labels == 1].sum()) == pytest.approx(0.5)
    assert float(chances[0]) == pytest.approx(0.15)
    assert float(chances[(labels == 0) & real].sum()) == pytest.approx(0.15)


def test_nothing_is_trained_on_evaluation_seeds(phantom: Phantom) -> None:
    kept = replace(phantom, truth=phantom.truth.model_copy(update={"seed": EVALUATION_SEEDS}))
    with pytest.raises(ValueError, match="for evaluation only"):
        exam_slices(kept)


def varied(images: torch.Tensor, recipe: SliceRecipe, seed: int = 0) -> torch.Tensor:
    return vary(images, torch.zeros_like(images[:, :, ::4, ::4]), shown(images), recipe, generator(seed))[0]


def shown(images: torch.Tensor) -> torch.Tensor:
    return (images > -0.99).float()


def test_without_amounts_augmentation_changes_nothing() -> None:
    images = torch.rand(3, 1, 32, 40) * 2 - 1
    assert torch.allclose(varied(images, STILL), images, atol=1e-5)


def test_each_augmentation_does_what_it_is_called() -> None:
    images = torch.rand(1, 1, 32, 32) * 2 - 1
    flipped = varied(images, replace(STILL, flip=1.0))
    assert torch.allclose(flipped, images.flip(-1), atol=1e-5)
    ramp = torch.linspace(-1, 1, 64).view(1, 1, 1, -1).expand(1, 1, 64, -1).contiguous()
    cropped = varied(ramp, replace(STILL, area=(0.25, 0.25)))
    assert float(cropped.max() - cropped.min()) == pytest.approx(1, abs=0.05)  # half of the width
    spot = torch.full((1, 1, 65, 65), -1.0)
    spot[..., 10, 32] = 1
    rotated = varied(spot, replace(STILL, rotation_degrees=40.0), 2)
    y, x = divmod(int(rotated.argmax()), 65)
    assert (y - 32) ** 2 + (x - 32) ** 2 == pytest.approx(22**2, rel=0.12)
    assert x != 32
    brighter = varied(images * 0, replace(STILL, shift=0.3))
    assert float(brighter.std()) == pytest.approx(0, abs=1e-6)
    assert 0 < abs(float(brighter.mean())) <= 0.3
    noisy = varied(ramp.where(ramp > 0, -1.0), replace(STILL, noise=0.1))
    assert float(noisy[ramp > 0].sub(ramp[ramp > 0])[:-64].std()) > 0
    assert torch.equal(noisy[ramp < 0], torch.full_like(noisy[ramp < 0], -1))  # air stays air
    bent = varied(ramp, replace(STILL, perspective=0.3))
    assert not torch.allclose(bent[0, 0, 5], bent[0, 0, 60], atol=0.02)  # no longer parallel
    everything = varied(images.expand(50, -1, -1, -1), SliceRecipe())
    assert -1 <= float(everything.min()) <= float(everything.max()) <= 1
    assert torch.isfinite(everything).all()


def test_slices_may_be_learnt_from_and_scored_with_their_pixels_averaged() -> None:
    samples = toy(8, 0, 1)
    large = replace(samples, images=samples.images.repeat_interleave(2, 2).repeat_interleave(2, 3))
    recipe = replace(STILL, batch=4, mixup=0, implants=0)
    task = SliceTraining(samples, toy(8, 100, 2), recipe, ResNet34(TINY))
    shrinking = SliceTraining(large, toy(8, 100, 2), replace(recipe, shrink=2), ResNet34(TINY))
    for one, other in zip(task.draw(generator()), shrinking.draw(generator()), strict=True):
        assert torch.allclose(one, other, atol=1e-6)
    network = task.network.eval()
    assert torch.allclose(task.scores(network, samples), shrinking.scores(network, large), atol=1e-5)


def test_the_place_of_the_finding_moves_with_the_image() -> None:
    places = torch.zeros(40, 1, 16, 16)
    places[:, :, 3:7, 9:12] = 1
    images = torch.nn.functional.interpolate(places, scale_factor=4) * 2 - 1
    moved, along = vary(images, places, shown(images), replace(SliceRecipe(), gain=0, shift=0, noise=0), generator())
    bright = moved > 0
    assert bright.any()
    assert float((bright & (along > 0.5)).sum() / (bright | (along > 0.5)).sum()) > 0.9


def test_a_crop_without_a_finding_holds_some_of_the_liver() -> None:
    images = torch.full((200, 1, 64, 64), -1.0)
    images[:, :, 4:14, 50:60] = 0.5  # all else is air
    places = torch.zeros(200, 1, 16, 16)
    recipe = replace(SliceRecipe(), crop=32, noise=0, gain=0, shift=0)
    assert (vary(images, places, shown(images), recipe, generator())[0].amax(dim=(1, 2, 3)) > 0.4).all()
    assert not vary(images * 0 - 1, places, shown(images * 0 - 1), recipe, generator())[1].any()  # no liver: no error


def test_a_crop_always_holds_some_of_the_finding() -> None:
    places = torch.zeros(300, 1, 16, 16)
    corners = torch.randint(1, 15, (200, 2), generator=generator(5))  # the other 100 show nothing
    places[torch.arange(200), 0, corners[:, 0], corners[:, 1]] = 1
    images = torch.linspace(-0.9, 0.9, 64).expand(300, 1, 64, 64).contiguous()
    moved, along = vary(
        images, places, shown(images), replace(SliceRecipe(), crop=32, noise=0, gain=0, shift=0), generator()
    )
    assert moved.shape == along.shape == (300, 1, 32, 32)
    assert (along[:200].amax(dim=(1, 2, 3)) > 0.2).all()
    assert not along[200:].any()
    for part in (moved[:200], moved[200:]):  # from everywhere, with and without a finding
        middles = part[:, 0, 16, 16]
        assert float(middles.min()) < -0.3
        assert float(middles.max()) > 0.3


def test_a_place_speaks_for_the_finding_by_what_is_active_there() -> None:
    head = PlaceHead(6)
    torch.nn.init.normal_(head.weight, std=3)
    active = torch.rand(2, 6, 4, 4)
    assert (head(active + 0.1) > head(active)).all()


def test_slices_know_where_their_lesions_are(phantom: Phantom) -> None:
    slices = exam_slices(phantom, pixel_mm=4, size=64)
    holds = slices.places.amax(dim=(1, 2, 3)) > 0
    assert holds[slices.labels == 1].all()
    assert not holds[slices.labels == 0].any()


def test_the_heads_learn_the_place_and_are_not_kept(tmp_path: Path) -> None:
    recipe = SliceRecipe(batch=8, learning_rate=3.2, epochs=10, warmup_epochs=1, area=(0.8, 1.0))
    training = SliceTraining(toy(32, 0, 1), toy(12, 100, 2), recipe, ResNet34(TINY))
    weights, _ = training.run(tmp_path, say=lambda text: None)
    assert set(weights) == set(ResNet34(TINY).state_dict())
    held = toy(12, 100, 2)
    with torch.inference_mode():
        _, found = training.network.eval().with_places(held.images.float() / 127.5 - 1)
    wanted = torch.nn.functional.adaptive_max_pool2d(held.places.float() / 255, found[0].shape[2:])
    there, elsewhere = (float(found[0].sigmoid()[part].mean()) for part in (wanted > 0.5, wanted == 0))
    assert there > 2 * elsewhere
    assert float(place_loss([40 * wanted - 20], wanted)) < 1e-3 < float(place_loss([20 - 40 * wanted], wanted))


def test_mixup_blends_images_and_targets_alike() -> None:
    values = torch.tensor([0.0, 1.0] * 50)
    parts = values.view(-1, 1, 1, 1), torch.stack([1 - values, values], 1)
    images, target = mix(0.4, generator(), *parts)
    assert torch.allclose(images.flatten(), target[:, 1], atol=1e-6)
    assert torch.allclose(target.sum(dim=1), torch.ones(100))
    assert ((images > 0.02) & (images < 0.98)).any()
    same, _ = mix(0.0, generator(), *parts)
    assert torch.equal(same.flatten(), values)


def test_the_area_under_the_curve() -> None:
    assert auroc(torch.tensor([0.1, 0.2, 0.8, 0.9]), torch.tensor([0, 0, 1, 1])) == 1.0
    assert auroc(torch.tensor([0.5, 0.5, 0.5]), torch.tensor([0, 1, 0])) == 0.5
    assert auroc(torch.tensor([0.3, 0.1, 0.2, 0.4]), torch.tensor([1, 0, 1, 0])) == 0.5


def test_a_run_learns_and_goes_on_after_a_stop(tmp_path: Path) -> None:
    recipe = SliceRecipe(batch=8, learning_rate=3.2, epochs=10, warmup_epochs=1, area=(0.8, 1.0))

    def training() -> SliceTraining:
        torch.manual_seed(0)
        return SliceTraining(toy(32, 0, 1), toy(12, 100, 2), recipe, ResNet34(TINY))

    weights, loop = training().run(tmp_path / "whole", say=lambda text: None)
    assert loop.step == 40
    assert loop.validations[-1]["AUROC"] > 0.95
    training().run(tmp_path / "parts", steps=15, say=lambda text: None)
    again, _ = training().run(tmp_path / "parts", say=lambda text: None)
    assert all(torch.allclose(weights[key], again[key], atol=1e-6) for key in weights)


def test_slices_of_one_kind_or_a_patient_on_both_sides_are_refused() -> None:
    positive = SliceSamples(*(part[1::2] for part in vars(toy(8, 0, 1)).values()))
    with pytest.raises(ValueError, match="all positive or all negative"):
        SliceTraining(positive, toy(4, 100, 2), SliceRecipe(), ResNet34(TINY))
    with pytest.raises(ValueError, match="Split by patient"):
        SliceTraining(toy(8, 0, 1), toy(4, 7, 2), SliceRecipe(), ResNet34(TINY))
