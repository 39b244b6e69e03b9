"""Implanted lesions: they lie in the liver, show, and are labelled where they show."""

from __future__ import annotations

import pytest
import torch

from LiverAILib.training.cases import LABEL_STEP, Organ
from LiverAILib.training.implants import implant_lesions

LIVER = LABEL_STEP + Organ.LIVER


def patch() -> tuple[torch.Tensor, torch.Tensor]:
    codes = torch.zeros(12, 80, 80, dtype=torch.uint8)
    codes[2:11, 10:70, 10:70] = LIVER
    hu = torch.where(codes > 0, 100.0, 20.0)
    return hu, codes


@pytest.mark.parametrize("seed", range(8))
def test_an_implant_changes_the_image_where_its_label_is_and_never_outside_the_liver(seed: int) -> None:
    hu, codes = patch()
    changed, labelled = implant_lesions(hu, codes, (3.0, 1.25, 1.25), torch.Generator().manual_seed(seed))
    lesion = labelled >= 2 * LABEL_STEP
    assert lesion.any()
    assert (codes[lesion] >= LABEL_STEP).all()
    assert torch.equal(changed[codes == 0], hu[codes == 0])
    difference = (changed - hu).abs()
    assert float(difference[lesion].median()) > 10
    assert float(difference[(codes > 0) & ~lesion].median()) < 3


def test_a_vessel_inside_a_lesion_gives_way_to_it() -> None:
    steps = []
    for seed in range(30):
        hu, codes = patch()
        codes[2:11, 38:42, 10:70] = LABEL_STEP + Organ.VEINS
        hu[2:11, 38:42, 10:70] = 160.0
        changed, labelled = implant_lesions(hu, codes, (3.0, 1.25, 1.25), torch.Generator().manual_seed(seed))
        lesion = labelled >= 2 * LABEL_STEP
        across = lesion[:, 36] & lesion[:, 39]  # beside the vessel and in it, where the lesion holds both
        steps.append((changed[:, 39] - changed[:, 36])[across].abs())
    found = torch.cat(steps)
    assert len(found) > 500
    assert float(found.median()) < 20  # it was 60


def test_a_patch_without_liver_is_left_alone() -> None:
    hu, codes = patch()
    codes[:] = 0
    changed, labelled = implant_lesions(hu, codes, (3.0, 1.25, 1.25), torch.Generator().manual_seed(0))
    assert torch.equal(changed, hu)
    assert torch.equal(labelled, codes)


def test_an_implant_wholly_in_a_vessel_stays_finite() -> None:
    codes = torch.zeros(12, 40, 40, dtype=torch.uint8)
    codes[2:11, 12:15, 10:30] = LABEL_STEP + Organ.VEINS
    codes[2:11, 26:30, 10:30] = LIVER
    hu = torch.where(codes > 0, 100.0, 20.0)
    for seed in range(300):
        changed, _ = implant_lesions(hu, codes, (3.0, 1.25, 1.25), torch.Generator().manual_seed(seed))
        assert torch.isfinite(changed).all()
