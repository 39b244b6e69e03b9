"""Training cases: the folder layout, the split by patient, and what a patch may look like."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from LiverAILib.errors import StudyError
from LiverAILib.training.cases import (
    LABEL_STEP,
    Organ,
    TrainingCase,
    find_cases,
    merge_labels,
    split_cases,
    training_case,
)
from LiverAILib.training.looks import FATTY_HU, contrast_look
from LiverAILib.training.patches import PatchOptions, PatchSource


def write_case(folder: Path, name: str, *, lesion: bool = True, organs: bool = False, label: bool = True) -> None:
    hu = np.full((20, 64, 72), -40, np.int16)
    hu[:, 10:54, 10:62] = 100
    truth = np.zeros(hu.shape, np.uint8)
    truth[4:16, 20:44, 16:44] = 1
    if lesion:
        truth[8:12, 26:32, 24:30] = 2
        hu[8:12, 26:32, 24:30] = 50
    maps = {"ct": hu}
    if label:
        maps["label"] = truth
    if organs:
        maps["organs"] = np.where(truth > 0, Organ.LIVER, Organ.SPLEEN).astype(np.uint8)
    for kind, array in maps.items():
        image = sitk.GetImageFromArray(array)
        image.SetSpacing((1.0, 1.0, 3.0))
        sitk.WriteImage(image, str(folder / f"{name}_{kind}.nii.gz"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(12):
        write_case(tmp_path, f"case{number:02}", lesion=number != 7)
    rows = [{"case": f"case{n:02}", "patient": "twin" if n in (3, 4) else f"p{n}"} for n in range(12)]
    (tmp_path / "cases.json").write_text(json.dumps(rows))
    return tmp_path


def test_no_patient_stands_on_two_sides(folder: Path) -> None:
    for seed in range(20):
        split = split_cases(find_cases(folder), test=3, validation=2, seed=seed)
        sides = [{case.patient for case in side} for side in (split.train, split.validation, split.test)]
        assert sum(len(side) for side in sides) == len(set.union(*sides)) == 11
        assert sum(len(side) for side in (split.train, split.validation, split.test)) == 12


def test_the_test_side_always_has_a_patient_without_lesions_unless_it_is_the_validation(folder: Path) -> None:
    for seed in range(10):
        split = split_cases(find_cases(folder), test=3, validation=2, seed=seed)
        assert "case07" in {case.name for case in split.test + split.validation}


def test_the_same_seed_gives_the_same_split(folder: Path) -> None:
    assert split_cases(find_cases(folder), test=3) == split_cases(find_cases(folder), test=3)


def test_too_few_patients_are_refused(folder: Path) -> None:
    with pytest.raises(StudyError, match="too few"):
        split_cases(find_cases(folder), test=9, validation=2)


def test_a_ct_without_label_is_named(folder: Path) -> None:
    write_case(folder, "extra", label=False)
    with pytest.raises(StudyError, match=r"extra_label\.nii\.gz"):
        find_cases(folder)


def test_an_empty_folder_says_the_layout(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="NAME_ct"):
        find_cases(tmp_path)


def test_labels_of_another_grid_are_refused(folder: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(np.ones((3, 3, 3), np.uint8)), str(folder / "case00_label.nii.gz"))
    with pytest.raises(StudyError, match="case00"):
        training_case(find_cases(folder)[0], 1.25)


def test_a_case_comes_on_the_networks_grid(folder: Path) -> None:
    case = training_case(find_cases(folder)[0], 2.0)
    assert case.image.shape == case.codes.shape == (20, 32, 36)
    assert case.slice_mm == pytest.approx(3.0)
    assert set((case.codes // LABEL_STEP).unique().tolist()) == {0, 1, 2}


def test_the_expert_label_overrules_the_organ_map() -> None:
    label = np.array([[[0, 1, 1, 2, 1]]], np.uint8)
    organs = np.array([[[Organ.LIVER, Organ.SPLEEN, Organ.VEINS, Organ.LIVER, Organ.CYST]]], np.uint8)
    merged_label, merged = merge_labels(np.zeros((1, 1, 5), np.int16), label, organs)
    assert merged_label.ravel().tolist() == [0, 1, 1, 2, 2]
    assert merged.ravel().tolist() == [Organ.UNKNOWN, Organ.LIVER, Organ.VEINS, Organ.TUMOUR, Organ.CYST]


def test_patches_keep_image_and_target_together(folder: Path) -> None:
    options = PatchOptions(
        size=(8, 32, 32), other_look=0, implants=0, noise_hu=0, gain=0, shift_hu=0, salt_and_pepper=0
    )
    source = PatchSource([training_case(find_cases(folder)[0], 1.0)], options, seed=1)
    lesions = 0
    for _ in range(40):
        image, target, _ = source.draw()
        assert image.shape == (1, 8, 32, 32)
        assert target.shape == (2, 8, 32, 32)
        assert image.abs().max() <= 1
        assert (target[1] <= target[0]).all()
        deep = torch.nn.functional.avg_pool2d(target[1], 3, 1, 1) == 1  # away from the blurred border
        if deep.any():
            lesions += 1
            assert image[0][deep].mean() < 0.1  # 50 HU is -0.1, the liver's 100 HU is 0.4
    assert lesions > 5


def test_each_slice_of_the_liver_is_chosen_as_often_as_any_other(folder: Path) -> None:
    source = PatchSource([training_case(find_cases(folder)[0], 1.0)], PatchOptions(), seed=1)
    liver = torch.tensor([[0, 5, 5]] + [[1, y, x] for y in range(10) for x in range(10)])
    chosen = [int(source._liver_voxel(liver)[0]) for _ in range(200)]
    assert 70 < sum(chosen) < 130


def test_bending_moves_image_and_target_smoothly() -> None:
    codes = torch.zeros(40, 120, 120, dtype=torch.uint8)
    codes[:, 40:80, 40:80] = LABEL_STEP
    image = torch.where(codes > 0, 150, -30).to(torch.int16)
    case = TrainingCase("made", image, codes, 5.0, 1.0, looks=False)
    still: dict[str, Any] = {"scale": (1, 1), "stretch": 1, "rotation_degrees": 0, "close": 0, "slice_mm": (5.0, 5.1)}
    options = PatchOptions((8, 120, 120), towards_middle=1, gain=0, shift_hu=0, noise_hu=0, salt_and_pepper=0, **still)
    drawn = [PatchSource([case], replace(options, bend_mm=mm), seed=3).draw() for mm in (0.0, 8.0)]
    for patch in drawn:
        assert ((patch.image[0] > 0) ^ (patch.target[0] > 0)).float().mean() < 0.01
    straight, bent = (patch.target[0] > 0 for patch in drawn)
    assert 0.05 < float((straight ^ bent).sum() / straight.sum()) < 0.6


def test_synthetic_cases_are_also_shown_cut_around_their_liver() -> None:
    image = torch.full((30, 120, 120), 50, dtype=torch.int16)
    codes = torch.zeros(30, 120, 120, dtype=torch.uint8)
    codes[10:20, 50:70, 50:70] = LABEL_STEP
    case = TrainingCase("made", image, codes, 5.0, 1.0, looks=False)
    shares = []
    for close in (0.0, 1.0):
        options = PatchOptions(
            size=(8, 120, 120),
            scale=(1, 1),
            stretch=1,
            bend_mm=0,
            rotation_degrees=0,
            at_liver=1,
            at_lesion=0,
            close=close,
        )
        patch = PatchSource([case], options, seed=1).draw()
        assert patch.target[0].any()
        shares.append(float((patch.image > -0.9).float().mean()))
    assert shares[0] > 0.8
    assert 0.2 < shares[1] < 0.4  # 70 x 70 of 120 x 120


def test_the_same_seed_draws_the_same_patches(folder: Path) -> None:
    case = training_case(find_cases(folder)[0], 1.0)
    draws = [PatchSource([case], PatchOptions(size=(8, 32, 32)), seed=5).draw()[0] for _ in range(2)]
    assert torch.equal(draws[0], draws[1])


@pytest.mark.parametrize(("look", "low", "high"), [("non_contrast", 0, 85), ("arterial", 35, 100)])
def test_a_contrast_look_moves_the_liver_and_keeps_its_noise(look: str, low: float, high: float) -> None:
    generator = torch.Generator().manual_seed(0)
    organs = torch.full((6, 40, 40), int(Organ.LIVER), dtype=torch.uint8)
    organs[:, :8] = Organ.ARTERY
    hu = 105 + 10 * torch.randn(6, 40, 40, generator=generator)
    changed = contrast_look(hu, organs, look, generator)
    liver, artery = changed[:, 16:], changed[:, 2:6]
    assert low < float(liver.mean()) < high
    assert float(liver.std()) == pytest.approx(float(hu[:, 16:].std()), rel=0.01)
    assert (float(artery.mean()) > float(liver.mean())) == (look == "arterial")


@pytest.mark.parametrize("look", ["non_contrast", "arterial", "portal_venous"])
def test_one_liver_in_seven_is_fatty_in_every_look(look: str) -> None:
    generator = torch.Generator().manual_seed(0)
    organs = torch.full((2, 24, 24), int(Organ.LIVER), dtype=torch.uint8)
    organs[:, :8] = Organ.SPLEEN
    hu = torch.full((2, 24, 24), 110.0)
    livers = []
    for _ in range(300):
        changed = contrast_look(hu, organs, look, generator)
        livers.append(float(changed[:, 12:].mean()))
        if look == "portal_venous":
            assert (changed[:, :6] == 110).all()  # nothing but the liver
    low, high = FATTY_HU[look]
    usual = {"non_contrast": 56, "arterial": 68, "portal_venous": 110}[look]
    assert min(livers) < (low + high) / 2
    assert all(low - 1 < hu < usual + 45 for hu in livers)
    assert 0.08 < sum(hu < usual - 30 for hu in livers) / len(livers) < 0.22
