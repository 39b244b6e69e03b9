"""Thresholds and results that are chosen on validation data: constructed cases with known answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from LiverAILib.analysis.calibrate import fit_temperature
from LiverAILib.lesion_types import LesionType
from LiverAILib.networks.lesion_classifier import CLASSES
from LiverAILib.networks.resnet34 import ResNet34, ResNet34Preset
from LiverAILib.saliency import SaliencyMix, SaliencyParts
from LiverAILib.training import validated
from LiverAILib.training.slice_samples import SliceSamples
from LiverAILib.training.slices import SliceRecipe, SliceTraining
from LiverAILib.training.validated import (
    FoundInCase,
    choose_score,
    classifier_results,
    detector_results,
    nodulenet_results,
    words,
)


def found(scores: list[float], hits: list[list[int]], lesions: int) -> FoundInCase:
    return FoundInCase(np.array(scores), np.array(hits, dtype=bool).reshape(len(scores), lesions))


def test_the_operating_point_allows_one_false_box_a_case() -> None:
    cases = [
        found([0.9, 0.6, 0.5, 0.3], [[1, 0], [0, 0], [0, 1], [0, 0]], 2),
        found([0.8, 0.4, 0.2], [[0], [0], [1]], 1),
    ]
    extra, rows = detector_results({(0.05, 2.0): cases}, "toys")
    assert extra == {"operating_point": {"least_score": 0.05, "least_mean_score": 0.5, "recall": 0.6667}}
    assert [(row["value"], row["n"]) for row in rows] == [(pytest.approx(2 / 3, abs=1e-4), 3), (1.0, 2)]
    strict = choose_score({(0.05, 2.0): cases}, false_a_case=0.0)
    assert strict is not None
    sparing = [found([0.95, 0.7], [[1, 0], [0, 1]], 2), found([], [], 1)]
    best = choose_score({(0.05, 2.0): cases, (0.3, 0.8): sparing})
    assert best is not None
    assert (best.slice_score, best.region_peak, best.recall, best.false_a_case) == (0.3, 0.8, pytest.approx(2 / 3), 0)
    point = detector_results({(0.3, 0.8): sparing}, "toys")[0]["operating_point"]
    assert point == {"least_score": 0.3, "least_mean_score": 0.7, "recall": 0.6667, "region_peak": 0.8}
    assert strict.recall == pytest.approx(1 / 3)
    assert detector_results({(0.05, 2.0): [found([0.9], [[]], 0)]}, "toys") == ({}, [])


@pytest.mark.parametrize(
    ("misled", "focused", "best"),
    [
        ((), False, SaliencyMix()),
        ((3, 4), False, SaliencyMix((1, 2, 3, 4, 0))),
        ((1, 2, 3, 4), True, SaliencyMix(cam=True)),
    ],
)
def test_saliency_is_mixed_so_that_its_peaks_are_oftenest_in_a_lesion(
    monkeypatch: pytest.MonkeyPatch, misled: tuple[int, ...], focused: bool, best: SaliencyMix
) -> None:
    count = 6
    labels = torch.tensor([0, 1] * (count // 2))
    images = torch.randint(0, 255, (count, 1, 64, 64), dtype=torch.uint8)
    places = torch.zeros((count, 1, 16, 16), dtype=torch.uint8)
    places[1::2, :, 4:8, 4:8] = 255  # 16 cells of 25 mm2
    places[3, :, 4:7] = places[3, :, :, 4:7] = 0  # one that is small
    real = torch.zeros(count, dtype=torch.bool)
    numbers = torch.arange(count)
    samples = SliceSamples(images, labels, numbers, numbers, numbers, real, labels == 0, places)
    held = replace(samples, patients=numbers + 100)
    tiny = ResNet34(ResNet34Preset((4, 4, 8, 8), (1, 1, 1, 1)))
    training = SliceTraining(samples, held, SliceRecipe(batch=2), tiny)

    def parts(network: ResNet34, shown: torch.Tensor, mixes: tuple[SaliencyMix, ...]) -> SaliencyParts:
        assert best in mixes
        layers = [torch.zeros(len(shown), 64, 64) for _ in range(5)]
        lesion, elsewhere = (slice(18, 22),) * 2, (slice(50, 54),) * 2  # the lesion is in pixels 16 to 31
        for number, layer in enumerate(layers):
            layer[:, *(elsewhere if number in misled else lesion)] = 1
        cam = torch.zeros(len(shown), 64, 64)
        cam[:, *(lesion if focused else elsewhere)] = 1
        return SaliencyParts(tuple(layers), cam, torch.zeros(len(shown)))

    monkeypatch.setattr(validated, "saliency_parts", parts)
    extra, rows = nodulenet_results(training)
    assert SaliencyMix(**extra["saliency"]) == best
    shares = {row["what"]: (row["value"], row["n"]) for row in rows if row["what"].startswith("highest")}
    plain = float(best == SaliencyMix())
    assert shares == {
        "highest SMOE (1, 2, 3, 4, 5) in a lesion": (plain, 2),
        f"highest {words(best)} in a lesion": (1.0, 2),
    }


def test_the_classifiers_package_gets_a_triage_that_misses_no_tumour() -> None:
    labels = torch.tensor([CLASSES.index(LesionType.HCC), CLASSES.index(LesionType.CYST)] * 20)
    logits = torch.zeros(40, 7)
    logits[torch.arange(40), labels] = 4.0
    logits[1, CLASSES.index(LesionType.HCC)] = 9.0  # one cyst is taken for a tumour
    calibration = fit_temperature(logits.numpy(), labels.numpy())
    extra, rows = classifier_results(logits, labels, torch.arange(40), 10, calibration)
    values = {row["what"]: row["value"] for row in rows}
    assert values["seven-class accuracy"] == pytest.approx(39 / 40)
    assert values["triage: NPV of low risk"] == 1.0
    assert values["triage: share of low risk"] == pytest.approx((19 + 10) / 50)
    assert 0 < extra["triage"]["benign_below"] <= extra["triage"]["malignant_from"] <= 1
    assert extra["temperature"] == calibration.temperature
