"""HCCNet's slices: phases as channels of one image, whichever are there; which slices are read, and where they lie."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
import torch
from stage_exams import ART, LIVER_HU, PV, SHAPE, Ball, exam_volume, flipped, reads_risk, study_of
from torch import Tensor, nn

from LiverAILib.analysis.phase_stack import STACK_PHASES
from LiverAILib.analysis.stack_slices import MARGIN_PIXELS, REACH_HU, slice_input
from LiverAILib.study import Phase, Study, Volume

BALL: Ball = ((18.0, 32.0, 36.0), 9.0, 60)
Shifts = Mapping[Phase, npt.NDArray[np.float64]]


class Keeps(nn.Module):
    """Keeps what it was shown; says nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.shown.append(x)
        return torch.zeros(len(x), 2)


def still(study: Study) -> dict[Phase, npt.NDArray[np.float64]]:
    return {phase: np.zeros(3) for phase in study.volumes}


def liver_of(study: Study) -> npt.NDArray[np.bool_]:
    return np.asarray(study.volumes[study.reference_phase].array > 0)


def seen(study: Study, shifts: Shifts | None = None) -> Tensor:
    network = Keeps()
    assert reads_risk(network)(study, liver_of(study), still(study) if shifts is None else shifts) is not None
    return torch.cat(network.shown)


def test_hu_count_from_the_livers_and_what_lacks_or_lies_away_is_nothing() -> None:
    hu = torch.full((3, 1, 40, 40), 100.0)
    hu[1, 0, 20, 20] = 160
    hu[2, 0, 20, 21] = -300
    liver = torch.zeros(1, 40, 40)
    liver[:, 18:23, 18:23] = 1
    image = slice_input(hu, torch.tensor([False, True, True]), liver, torch.tensor([0.0, 100.0, 70.0]))[0]
    assert image.shape == (4, 40, 40)
    assert not image[0].any()
    assert float(image[1, 20, 20]) == pytest.approx(60 / REACH_HU)
    assert float(image[2, 20, 21]) == -1
    assert float(image[2, 20, 20]) == pytest.approx(30 / REACH_HU)
    assert float(image[2, 18 - MARGIN_PIXELS, 20]) == pytest.approx(30 / REACH_HU)
    assert not image[2, : 18 - MARGIN_PIXELS].any()
    assert torch.equal(image[3], liver[0])


def test_each_phase_is_a_channel_in_its_place_and_a_missing_one_is_empty() -> None:
    images = seen(study_of(arterial=[BALL], portal_venous=[]))
    arterial, portal = STACK_PHASES.index(ART), STACK_PHASES.index(PV)
    middle = images[:, arterial].flatten(1).amin(dim=1).argmin()
    assert float(images[middle, arterial].min()) < 0.8 * (60 - LIVER_HU) / REACH_HU
    inside = images[:, 3] == 1
    assert float(images[:, portal][inside].median().abs()) < 0.02
    assert float((images[:, portal][inside] < -0.3).float().mean()) == 0
    assert not images[:, STACK_PHASES.index(Phase.NON_CONTRAST)].any()


def test_a_phase_that_lies_elsewhere_is_laid_over_the_reference() -> None:
    study = study_of(arterial=[BALL], portal_venous=[BALL])
    moved = study.volumes[ART]
    place = moved.affine.copy()
    place[:3, 3] += (6.0, 0, 8.0)
    other = Study({ART: Volume(moved.array, place, moved.source), PV: study.volumes[PV]})
    shifts = still(other) | {ART: np.array([6.0, 0, 8.0])}
    assert torch.allclose(seen(other, shifts), seen(study), atol=1e-4)
    assert not torch.allclose(seen(other), seen(study), atol=0.1)


def test_the_slices_of_the_reference_that_show_liver_are_read_from_feet_to_head() -> None:
    study = study_of(arterial=[], portal_venous=[BALL])
    read = reads_risk()(study, liver_of(study), still(study))
    assert read is not None
    assert len(read.slices) == len(read.probability)
    firsts = [first for first, _ in read.slices]
    assert firsts == sorted(firsts)
    assert set(firsts) <= set(np.flatnonzero(liver_of(study).any(axis=(1, 2))).tolist())
    lesion = np.flatnonzero((study.volumes[PV].array == BALL[2]).any(axis=(1, 2)))
    assert firsts[int(np.argmax(read.probability))] in lesion
    turned = Study({phase: flipped(volume) for phase, volume in study.volumes.items()})
    other = reads_risk()(turned, liver_of(turned), still(turned))
    assert other is not None
    assert np.allclose(other.probability, read.probability, atol=1e-5)
    assert [SHAPE[0] - last for _, last in other.slices] == firsts


class LooksLeft(nn.Module):
    """Its logit is how much of the slice's left upper quarter is liver."""

    def forward(self, x: Tensor) -> Tensor:
        share = x[:, 3, : x.shape[2] // 2, : x.shape[3] // 2].mean(dim=(1, 2))
        return torch.stack([torch.zeros_like(share), share], dim=1)


def test_each_slice_is_read_mirrored_too_and_the_logits_are_averaged() -> None:
    study = study_of(portal_venous=[])
    liver = liver_of(study).copy()
    liver[:, :, 40:] = False  # less of it on the one side
    plain = reads_risk(LooksLeft())(study, liver, still(study))
    assert plain is not None
    mirrored = [volume.with_array(volume.array[:, ::-1, ::-1].copy()) for volume in study.volumes.values()]
    turned = Study(dict(zip(study.volumes, mirrored, strict=True)))
    other = reads_risk(LooksLeft())(turned, liver[:, ::-1, ::-1].copy(), still(turned))
    assert other is not None
    assert np.ptp(plain.probability) > 0.01
    assert np.allclose(other.probability, plain.probability, atol=1e-3)


def test_thin_slices_are_averaged_and_the_score_is_of_all_of_them() -> None:
    study = Study({PV: exam_volume([BALL], spacing=(1.0, 1.5, 1.5))})
    read = reads_risk()(study, liver_of(study), still(study))
    assert read is not None
    assert {last - first for first, last in read.slices} == {2}
    assert all(above[0] == below[1] for below, above in pairwise(read.slices))


def test_without_a_liver_or_a_phase_it_knows_nothing_is_read() -> None:
    study = study_of(portal_venous=[])
    assert reads_risk()(study, np.zeros(SHAPE, bool), still(study)) is None
    late = Study({Phase.DELAYED: exam_volume([])})
    assert reads_risk()(late, liver_of(late), still(late)) is None
