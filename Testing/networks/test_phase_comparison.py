"""PhaseComparisonNet: any size, all phases used, what its input holds."""

from __future__ import annotations

import pytest
import torch

from LiverAILib.networks.phase_comparison import (
    HU_REACH,
    HU_SCALE,
    PRESETS,
    PhaseComparisonNet,
    PhaseComparisonPreset,
    comparison_input,
)

TINY = PhaseComparisonPreset((4, 6, 8))


@pytest.mark.parametrize("size", [(3, 16, 16), (1, 17, 23), (5, 33, 8), (2, 9, 9)])
def test_logits_have_the_size_of_the_input(size: tuple[int, int, int]) -> None:
    network = PhaseComparisonNet(TINY).eval()
    assert network(torch.randn(2, 7, *size)).shape == (2, *size)


def test_exams_of_a_batch_do_not_mix_and_slices_do() -> None:
    torch.manual_seed(0)
    network = PhaseComparisonNet(TINY).eval()
    exams = torch.randn(2, 7, 12, 16, 16)
    apart = torch.cat([network(exam[None]) for exam in exams])
    assert torch.allclose(network(exams), apart, atol=1e-5)
    changed = exams.clone()
    changed[0, :, 5] += 1
    moved = (network(changed) - network(exams)).abs().amax(dim=(2, 3)) > 1e-6
    assert moved[0, 3:8].all()
    assert not moved[1].any()


def test_a_gradient_reaches_every_parameter() -> None:
    torch.manual_seed(0)
    network = PhaseComparisonNet(TINY).train()
    network(torch.randn(2, 7, 4, 16, 16)).square().sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_the_compact_preset_is_small_enough_to_ship_and_the_wide_one_is_larger() -> None:
    with torch.device("meta"):
        compact, wide = (sum(p.numel() for p in PhaseComparisonNet(name).parameters()) for name in ("compact", "wide"))
    assert compact < 100_000 < wide
    assert list(PRESETS) == ["wide", "compact"]


def test_the_input_is_hu_over_the_livers_whether_a_phase_is_there_and_the_liver() -> None:
    hu = torch.tensor([50.0, 90.0, 110.0]).view(3, 1, 1, 1).repeat(1, 2, 2, 2)
    hu[2, 0, 0, 0] = 130
    hu[1, 0, 0, 0] = 400
    liver = torch.rand(2, 2, 2)
    shown = comparison_input(hu, torch.tensor([False, True, True]), liver, torch.tensor([60.0, 80.0, 110.0]))
    assert shown.shape == (7, 2, 2, 2)
    assert (shown[0] == 0).all()
    assert shown[1, 0, 0, 0] == HU_REACH
    assert shown[1, 1, 1, 1] == pytest.approx(10 / HU_SCALE)
    assert shown[2, 0, 0, 0] == pytest.approx(20 / HU_SCALE)
    assert shown[3:6, 0, 0, 0].tolist() == [0, 1, 1]
    assert torch.equal(shown[6], liver)
