"""What NoduleNet's package states, from whole exams: constructed cases with known answers."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest
import torch
from stage_exams import SeesDark, exam_volume

from LiverAILib.analysis.networks import SliceFormat
from LiverAILib.networks.resnet34 import ResNet34
from LiverAILib.saliency import SaliencyMix
from LiverAILib.training.validated_slices import (
    MIXES,
    SALIENT_MM2,
    ReadSlices,
    nodulenet_results,
    read_volume,
    words,
)

TAKEN = SliceFormat(1.5, 96)
LESION = ((18.0, 32.0, 36.0), 9.0, 60)


def read(
    probability: list[float], lesion_mm2: list[float], *, real: bool = False, peaks: torch.Tensor | None = None
) -> ReadSlices:
    none = torch.zeros((len(MIXES), 0), dtype=torch.bool)
    return ReadSlices(
        real, torch.tensor(probability).double(), torch.tensor(lesion_mm2), none if peaks is None else peaks
    )


@pytest.mark.parametrize("best", [0, 3, len(MIXES) - 1])
def test_the_mix_is_the_one_that_is_oftenest_highest_in_a_lesion(best: int) -> None:
    peaks = torch.zeros((len(MIXES), 4), dtype=torch.bool)
    peaks[:, 0] = True
    peaks[best:, 1:3] = True
    made = read([0.9, 0.8, 0.3, 0.1, 0.2], [200.0, 90.0, 5.0, 0.0, 0.0], peaks=peaks)
    extra, rows = nodulenet_results([made, read([0.7, 0.75], [50.0, 0.0], real=True)])
    values = {(row["what"], row["on"]): (row["value"], row["n"]) for row in rows}
    assert SaliencyMix(**extra["saliency"]) == MIXES[best]
    assert values[
        f"highest {words(MIXES[best])} in a lesion", f"validation slices with {SALIENT_MM2:g} mm2 or more of lesions"
    ] == (0.75, 4)
    everywhere = "all liver slices of validation exams and scans"
    assert values["AUROC, slices with a lesion", everywhere] == (
        pytest.approx(8 / 9, abs=1e-4),
        6,
    )  # 5 mm2 do not count
    assert values["AUROC, slices with a lesion", "real scans of validation patients"] == (0, 2)
    assert 0.2 < extra["salient_from"] <= 0.7


def test_slices_of_one_kind_state_nothing() -> None:
    assert nodulenet_results([read([0.9, 0.8], [0.0, 0.0])]) == ({}, [])


def test_a_volume_is_read_with_its_neighbours_and_its_peaks() -> None:
    volume = exam_volume([LESION])
    liver, ids = volume.array > 0, (volume.array == LESION[2]).astype(np.uint16)
    network = cast("ResNet34", SeesDark())
    alone = read_volume(network, volume, liver, ids, TAKEN, mixes=MIXES[-2:-1])
    smooth = read_volume(network, volume, liver, ids, SliceFormat(1.5, 96, smoothing_mm=8.0))
    assert alone.lesion_mm2.sum() * 4.0 / 1000 == pytest.approx(int(ids.sum()) * volume.voxel_ml, rel=0.05)
    assert alone.peaks.shape[1] == int((alone.lesion_mm2 >= SALIENT_MM2).sum()) > 0
    assert alone.peaks.all()
    inside = alone.lesion_mm2 > 0
    assert alone.probability[inside].min() > alone.probability[~inside].max()
    beside = torch.nonzero(inside).flatten()[[0, -1]] + torch.tensor([-1, 1])
    assert (smooth.probability[beside] > alone.probability[beside]).all()
    assert smooth.probability.max() < alone.probability.max()
    none = read_volume(network, volume, np.zeros_like(liver), ids, TAKEN)
    assert len(none.probability) == len(none.lesion_mm2) == 0
