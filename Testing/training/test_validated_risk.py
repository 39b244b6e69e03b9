"""What HCCNet's package states, from whole exams with known answers."""

from __future__ import annotations

import pytest

from LiverAILib.training.validated_risk import ReadPatient, hccnet_results


def patient(seed: int, risk: float, *, hcc: bool) -> ReadPatient:
    return ReadPatient(seed, "a", hcc, risk, risk / 20, 20, 5.0)


def test_threshold_area_and_results_are_of_exams() -> None:
    read = [patient(1, 0.9, hcc=True), patient(2, 0.5, hcc=True), patient(3, 0.6, hcc=False)]
    read += [patient(4, 0.2, hcc=False), patient(5, 0.1, hcc=False)]
    extra, rows = hccnet_results(read)
    assert extra["hcc_auroc"] == pytest.approx(5 / 6, abs=1e-4)
    assert 0.2 < extra["hcc_threshold"] <= 0.5
    assert [(row["value"], row["n"]) for row in rows] == [
        (pytest.approx(5 / 6, abs=1e-4), 5),
        (1.0, 2),
        (pytest.approx(2 / 3, abs=1e-4), 3),
    ]


def test_exams_of_one_kind_state_nothing() -> None:
    assert hccnet_results([patient(1, 0.9, hcc=True)]) == ({}, [])
    assert hccnet_results([]) == ({}, [])
