"""The classifier's recipe: the paper's options, lesions from phantoms, a run that learns and calibrates."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
import torch.nn.functional as F

from LiverAILib.analysis.crops import CropOptions
from LiverAILib.lesion_types import LesionType
from LiverAILib.networks.densenet3d import DenseNet3dPreset
from LiverAILib.networks.lesion_classifier import (
    CLASSES,
    CLASSIFIER_PHASES,
    ClassifierPreset,
    LesionClassifier,
    encode_clinical,
)
from LiverAILib.phantom import EVALUATION_SEEDS, Phantom, PhantomOptions, generate
from LiverAILib.study import ClinicalRecord, Phase
from LiverAILib.training.cases import Organ, find_cases
from LiverAILib.training.classifier import ClassifierRecipe, ClassifierTraining, type_loss, vary, with_portal_alone
from LiverAILib.training.lesion_samples import TUMOUR, LesionSamples, exam_lesions, real_patient_number, real_tumours

TINY = ClassifierPreset(
    DenseNet3dPreset(stem=4, growth=3, layers=(1, 1, 1, 1), bottleneck=2, out=6), features=20, hidden=16, dropout=0.0
)
SMALL = CropOptions(shape=(4, 32, 32))
COARSE = PhantomOptions(spacing_mm=(6, 4, 4), liver_crop_mm=5, lesions=("cyst", "hcc", "hcc"))
FEW = ClassifierRecipe(batch=8, learning_rate=0.01, phase_drop=0.1, item_drop=0.0, without_record=0.0, noise=0.02)


def toy(count: int, first_patient: int, seed: int) -> LesionSamples:
    """Cysts are dark and HCC bright in the arterial phase."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2 * CLASSES.index(LesionType.CYST)
    images = torch.randint(100, 150, (count, 3, 1, 2, 32, 32), generator=generator)
    images[:, 1] += torch.where(labels == 0, 60, -60).view(-1, 1, 1, 1, 1)
    present = torch.ones(count, 3, dtype=torch.bool)
    patients = torch.arange(first_patient, first_patient + count)
    return LesionSamples(images.to(torch.uint8), present, torch.zeros(count, 12), labels, patients, patients)


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return generate(3, phases=(Phase.ARTERIAL, Phase.PORTAL_VENOUS), options=COARSE)


def training(**changes: float) -> ClassifierTraining:
    torch.manual_seed(0)
    return ClassifierTraining(toy(24, 0, 1), toy(8, 100, 2), replace(FEW, **changes), LesionClassifier(TINY))  # type: ignore[arg-type]


def test_the_defaults_are_the_papers() -> None:
    recipe = ClassifierRecipe()
    assert (recipe.learning_rate, recipe.weight_decay, recipe.epochs, recipe.batch) == (0.001, 0.01, 200, 16)
    assert [recipe.rate(step, 10) for step in (0, 599, 600, 1200)] == pytest.approx([1e-3, 1e-3, 1e-4, 1e-5])
    short = ClassifierRecipe(cosine=True)
    assert [short.rate(step, 10) for step in (0, 1000, 2000)] == pytest.approx([1e-3, 5e-4, 0], abs=1e-9)


def test_a_phantoms_lesions_have_their_type_record_and_phases(phantom: Phantom) -> None:
    samples = exam_lesions(phantom, SMALL)
    shown = [lesion for lesion in phantom.truth.lesions if (phantom.lesion_ids[Phase.PORTAL_VENOUS] == lesion.id).any()]
    assert len(shown) >= 1
    assert len(samples) >= len(shown)
    assert {CLASSES[label] for label in samples.labels} <= {LesionType.CYST, LesionType.HCC}
    assert samples.images.shape[1:] == (3, 1, 4, 32, 32)
    assert not samples.present[:, 0].any()
    assert samples.present[:, 1:].any(dim=1).all()
    assert samples.patients.unique().tolist() == [3]
    assert samples.images[:, 1:].float().std() > 5


def test_crops_differ_with_the_finders_error_and_many_lesions_are_thinned_out(phantom: Phantom) -> None:
    exact, rough, again = (exam_lesions(phantom, SMALL, box_error=error) for error in (0.0, 0.2, 0.2))
    assert torch.equal(rough.images, again.images)
    assert not torch.equal(exact.images, rough.images)
    assert len(exam_lesions(phantom, SMALL, most=1)) == 1


def test_nothing_is_trained_on_evaluation_seeds(phantom: Phantom) -> None:
    kept = replace(phantom, truth=phantom.truth.model_copy(update={"seed": EVALUATION_SEEDS}))
    with pytest.raises(ValueError, match="for evaluation only"):
        exam_lesions(kept, SMALL)


def test_samples_come_back_from_their_file(tmp_path: Path) -> None:
    samples = toy(3, 0, 0)
    samples.save(tmp_path / "lesions_3.npz")
    again = LesionSamples.load(tmp_path / "lesions_3.npz")
    assert all(torch.equal(value, vars(again)[key]) for key, value in vars(samples).items())
    assert len(LesionSamples.joined([samples, again])) == 6


def test_a_patient_on_both_sides_is_refused() -> None:
    with pytest.raises(ValueError, match="Split by patient"):
        ClassifierTraining(toy(4, 0, 1), toy(4, 3, 2), FEW, LesionClassifier(TINY))


def test_a_run_learns_calibrates_and_goes_on_after_a_stop(tmp_path: Path) -> None:
    weights, calibration, loop = training().run(tmp_path / "whole", steps=30, say=lambda text: None)
    assert loop.validations[-1]["accuracy"] == 1.0
    assert calibration is not None
    assert calibration.nll_after <= calibration.nll_before + 1e-9
    assert float(weights["temperature"]) == pytest.approx(calibration.temperature)
    training().run(tmp_path / "parts", steps=10, say=lambda text: None)
    again, _, _ = training().run(tmp_path / "parts", steps=30, say=lambda text: None)
    assert all(torch.allclose(weights[key], again[key], atol=1e-6) for key in weights)
    with pytest.raises(ValueError, match="holds another training"):
        training(batch=4).run(tmp_path / "parts", steps=30)


def test_rare_types_are_drawn_as_often_as_frequent_ones() -> None:
    samples = toy(24, 0, 1)
    samples.labels[:] = 0
    samples.labels[:2] = 5
    task = ClassifierTraining(samples, toy(2, 100, 2), FEW, LesionClassifier(TINY))
    drawn = torch.multinomial(task.chances, 4000, replacement=True, generator=torch.Generator().manual_seed(0))
    assert (drawn < 2).float().mean().item() == pytest.approx(0.5, abs=0.03)


def test_real_tumours_are_a_fixed_part_of_a_batch() -> None:
    samples = toy(24, 0, 1)
    samples.labels[:3] = TUMOUR
    task = ClassifierTraining(samples, toy(2, 100, 2), FEW, LesionClassifier(TINY))
    assert float(task.chances[:3].sum() / task.chances.sum()) == pytest.approx(FEW.tumour_share)
    assert len(task.chances[3:].unique()) <= 2


def test_a_tumour_of_unknown_type_is_judged_by_its_malignancy_alone() -> None:
    logits = torch.randn((2, 7), generator=torch.Generator().manual_seed(1))
    sure = torch.tensor([2, 5])
    assert type_loss(logits, sure).item() == pytest.approx(F.cross_entropy(logits, sure).item(), abs=1e-6)
    malignant = torch.tensor([kind.malignant for kind in CLASSES])
    chance = logits[0].softmax(0)[malignant].sum()
    assert type_loss(logits[:1], torch.tensor([TUMOUR])).item() == pytest.approx(-float(chance.log()), abs=1e-6)
    both = logits.clone().requires_grad_()
    type_loss(both, torch.tensor([TUMOUR, 5])).backward()
    assert both.grad is not None
    assert both.grad.isfinite().all()
    assert (both.grad[0][malignant] < 0).all()
    assert (both.grad[0][~malignant] > 0).all()


def test_the_tumours_of_a_real_scan_are_those_that_its_organ_map_names(tmp_path: Path) -> None:
    shape = (10, 40, 40)
    label, organs = np.ones(shape, np.uint8), np.full(shape, Organ.BODY, np.uint8)
    label[:2] = 0
    hu = np.full(shape, 100, np.int16)
    for corner, code in ((4, Organ.TUMOUR), (24, Organ.CYST)):
        place = (slice(3, 7), slice(corner, corner + 8), slice(10, 18))
        label[place], organs[place], hu[place] = 2, code, 40 if code is Organ.TUMOUR else 5
    for name, values in {"ct": hu, "label": label, "organs": organs}.items():
        sitk.WriteImage(sitk.GetImageFromArray(values), str(tmp_path / f"a_{name}.nii.gz"))
    (files,) = find_cases(tmp_path)
    samples = real_tumours(files, SMALL)
    assert samples.labels.tolist() == [TUMOUR]
    assert samples.present.tolist() == [[phase is Phase.PORTAL_VENOUS for phase in CLASSIFIER_PHASES]]
    assert torch.equal(samples.clinical[0], encode_clinical(ClinicalRecord()))
    assert samples.patients.unique().tolist() == [real_patient_number("a")]
    (tmp_path / "a_organs.nii.gz").unlink()
    (files,) = find_cases(tmp_path)
    assert len(real_tumours(files, SMALL)) == 0
    assert LesionSamples.joined([samples, real_tumours(files, SMALL)]).labels.tolist() == [TUMOUR]


def test_the_phases_of_a_lesion_are_flipped_together() -> None:
    image = torch.rand(1, 1, 1, 4, 8, 8) * 2 - 1
    recipe = replace(FEW, gain=0.0, shift=0.0, noise=0.0, turn_degrees=0.0, zoom=0.0, move=0.0)
    seen = set()
    for seed in range(40):
        varied = vary(image.expand(2, 3, -1, -1, -1, -1), recipe, torch.Generator().manual_seed(seed))
        for lesion in varied:
            assert torch.equal(lesion[0], lesion[1])
            assert torch.equal(lesion[0], lesion[2])
            seen.add(float(lesion[0, 0, 0, 0, 0]))
    assert len(seen) == 8


def test_the_phases_of_a_lesion_are_turned_together_and_the_lesion_stays_in_the_crop() -> None:
    image = torch.zeros(1, 3, 1, 2, 65, 65)
    image[..., 28:37, 28:37] = 1
    recipe = replace(FEW, gain=0.0, shift=0.0, noise=0.0, turn_degrees=30.0, zoom=0.2, move=0.1)
    varied = vary(image.expand(30, -1, -1, -1, -1, -1), recipe, torch.Generator().manual_seed(0))
    assert torch.equal(varied[:, 0], varied[:, 2])
    area = varied[:, 0, 0, 0].sum(dim=(1, 2))
    assert 81 / 1.2**2 * 0.9 < float(area.min()) < 75 < 88 < float(area.max()) < 81 * 1.2**2 * 1.1
    rows = (varied[:, 0, 0, 0].sum(dim=2) * torch.arange(65)).sum(dim=1) / area
    assert 3 < float((rows - 32).abs().max()) < 9  # at most a tenth of 65, and zoom


def test_the_portal_venous_phase_stands_alone_only_where_it_is() -> None:
    present = torch.tensor([[1, 1, 1], [1, 1, 1], [1, 1, 0]]).bool()
    found = with_portal_alone(present, torch.tensor([True, False, True]))
    assert found.int().tolist() == [[0, 0, 1], [1, 1, 1], [1, 1, 0]]


def test_crops_are_held_as_the_network_looks_at_them() -> None:
    task = ClassifierTraining(toy(4, 0, 1), toy(4, 9, 2), FEW, LesionClassifier(TINY, looks_at=(1, 32, 32)))
    assert task.train.images.shape == task.validation.images.shape == (4, 3, 1, 1, 32, 32)
    assert torch.isfinite(task.loss(task.draw(torch.Generator().manual_seed(0))))
