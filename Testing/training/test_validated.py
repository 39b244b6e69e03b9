"""Thresholds and results that are chosen on validation data: constructed cases with known answers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from LiverAILib.analysis.calibrate import fit_temperature
from LiverAILib.analysis.joint_types import TypeCompany
from LiverAILib.lesion_types import LesionType
from LiverAILib.networks.lesion_classifier import CLASSES
from LiverAILib.training.validated import (
    FoundInCase,
    choose_score,
    classifier_results,
    detector_results,
    drawn_company,
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


def test_the_classifiers_package_gets_a_triage_that_misses_no_tumour() -> None:
    labels = torch.tensor([CLASSES.index(LesionType.HCC), CLASSES.index(LesionType.CYST)] * 20)
    logits = torch.zeros(40, 7)
    logits[torch.arange(40), labels] = 4.0
    logits[1, CLASSES.index(LesionType.HCC)] = 9.0  # one cyst is taken for a tumour
    calibration = fit_temperature(logits.numpy(), labels.numpy())
    company = drawn_company()
    extra, rows = classifier_results(logits, logits, labels, torch.arange(40), 10, calibration, company)
    values = {row["what"]: row["value"] for row in rows if "by itself" not in row["on"]}
    assert values["seven-class accuracy"] == pytest.approx(39 / 40)
    assert values["triage: NPV of low risk"] == 1.0
    assert values["triage: share of low risk"] == pytest.approx((19 + 10) / 50)
    assert 0 < extra["triage"]["benign_below"] <= extra["triage"]["malignant_from"] <= 1
    assert extra["temperature"] == calibration.temperature
    # one lesion a patient: nothing is gained by trusting others, so the first of equals
    assert TypeCompany.from_metadata(extra["company"], 7).trust == 0.0
    pairs = classifier_results(
        0.1 * logits, 0.1 * logits, labels.sort()[0], torch.arange(40) // 4, 10, calibration, company
    )
    assert pairs[0]["company"]["trust"] == 1.0  # every patient's four are alike, and each by itself is doubtful


def test_lesions_that_go_together_are_those_that_the_phantom_draws() -> None:
    company = drawn_company()
    metastasis, cyst, hcc = (CLASSES.index(kind) for kind in (LesionType.METASTASIS, LesionType.CYST, LesionType.HCC))
    assert company.leading[metastasis] == pytest.approx(0.22, abs=0.01)
    assert company.found_with[hcc][hcc] > 0.75
    assert company.found_with[hcc][cyst] == max(p for k, p in enumerate(company.found_with[hcc]) if k != hcc)
    assert 0 < company.found_with[hcc][metastasis] < 0.01
