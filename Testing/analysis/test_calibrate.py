"""What is fitted on validation data: known temperatures, known thresholds, and refusals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from LiverAILib.analysis.calibrate import TEMPERATURES, choose_decision, choose_triage, fit_temperature

NONE = float("nan")


def test_the_temperature_that_logits_were_blown_up_with_is_found() -> None:
    rng = np.random.default_rng(0)
    honest = rng.normal(0, 1.5, (8000, 7))
    labels = np.array([rng.choice(7, p=row) for row in special.softmax(honest, axis=1)])
    found = fit_temperature(honest * 2.5, labels)
    assert found.temperature == pytest.approx(2.5, rel=0.06)
    assert found.nll_after < found.nll_before
    assert found.n == 8000
    assert fit_temperature(honest, labels).temperature == pytest.approx(1, rel=0.06)


def test_no_calibration_is_worse_than_none_and_it_is_the_optimum() -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 2, (50, 7))
    labels = (logits + rng.normal(0, 2, (50, 7))).argmax(axis=1)
    found = fit_temperature(logits, labels)
    for factor in (0.9, 1.1):
        log_p = special.log_softmax(logits / (found.temperature * factor), axis=1)
        assert -log_p[np.arange(50), labels].mean() >= found.nll_after - 1e-9


def test_a_flawless_validation_set_gives_no_certainties() -> None:
    found = fit_temperature(np.eye(7) * 3, np.arange(7))
    assert found.temperature == pytest.approx(TEMPERATURES[0], rel=1e-2)
    assert special.softmax(np.eye(7)[0] * 3 / found.temperature).max() < 0.99


@pytest.mark.parametrize(
    ("logits", "labels"), [(np.zeros((0, 7)), []), (np.zeros((2, 7)), [0]), (np.zeros((1, 7)), [7])]
)
def test_what_is_no_validation_set_is_refused(logits: np.ndarray, labels: list[int]) -> None:
    with pytest.raises(ValueError, match=r"calibration needs|none of the 7"):
        fit_temperature(logits, labels)


def test_the_decision_parts_two_groups_halfway() -> None:
    found = choose_decision([0.1, 0.2, 0.6, 0.9], [False, False, True, True])
    assert (found.threshold, found.sensitivity, found.specificity, found.n) == (pytest.approx(0.4), 1.0, 1.0, 4)


def test_of_equally_good_decisions_the_most_sensitive_is_taken() -> None:
    # from 0.5 on: 2/2 + 1/2; from 0.85 on: 1/2 + 2/2
    found = choose_decision([0.2, 0.6, 0.8, 0.9], [False, True, False, True])
    assert found.threshold == pytest.approx(0.4)
    assert (found.sensitivity, found.specificity) == (1.0, 0.5)


@pytest.mark.parametrize("truth", [[True, True], [False, False]])
def test_a_decision_needs_both_groups(truth: list[bool]) -> None:
    with pytest.raises(ValueError, match="both positive and negative"):
        choose_decision([0.1, 0.9], truth)


def test_as_many_patients_as_the_npv_allows_are_at_low_risk() -> None:
    # 90 benign at 0.01 to 0.30, one malignant at 0.2, nine malignant at 0.9
    worst = [*np.linspace(0.01, 0.30, 90), 0.2, *[0.9] * 9]
    truth = [False] * 90 + [True] * 10
    strict, loose = choose_triage(worst, truth, npv=1.0), choose_triage(worst, truth, npv=0.98)
    assert strict.npv == 1.0
    assert strict.thresholds.benign_below <= 0.2
    assert strict.low_share == pytest.approx(np.mean(np.linspace(0.01, 0.30, 90) < 0.2) * 0.9)
    assert loose.low_share == pytest.approx(0.91)
    assert loose.npv == pytest.approx(90 / 91)
    assert loose.ppv == 1.0
    assert loose.thresholds.benign_below == pytest.approx(0.6)


def test_a_tumour_that_was_not_found_counts_against_the_npv() -> None:
    worst, truth = [NONE] * 50 + [0.9] * 10, [True] + [False] * 49 + [True] * 10
    assert choose_triage(worst, truth, npv=0.98).npv == pytest.approx(0.98)
    with pytest.raises(ValueError, match=r"negative predictive value of 0\.99 on these 60 patients"):
        choose_triage(worst, truth, npv=0.99)


def test_the_definitely_malignant_zone_starts_where_its_ppv_is_reached() -> None:
    worst = [0.05] * 100 + [0.5] * 10 + [0.6] * 10 + [0.95] * 20
    truth = [False] * 100 + [False] * 5 + [True] * 5 + [False] + [True] * 9 + [True] * 20
    choice = choose_triage(worst, truth, definite_ppv=0.95)
    assert choice.thresholds.benign_below == pytest.approx(0.275)
    assert choice.thresholds.malignant_from == pytest.approx(0.55)  # 29 of 30 from here, 34 of 40 from 0.275
    assert choice.definite_ppv == pytest.approx(29 / 30)
    assert choice.ppv == pytest.approx(34 / 40)


def test_without_a_reliable_malignant_zone_only_certainty_is_definite() -> None:
    worst = [0.05] * 100 + [0.5] * 10
    choice = choose_triage(worst, [False] * 100 + [True, False] * 5)
    assert choice.thresholds.malignant_from == 1.0
    assert choice.definite_ppv is None


def test_a_confident_npv_needs_more_patients() -> None:
    worst = [NONE] * 100 + [0.9] * 10
    truth = [False] * 100 + [True] * 10
    assert choose_triage(worst, truth).npv == 1.0
    with pytest.raises(ValueError, match="No threshold"):
        choose_triage(worst, truth, confidence=0.95)
    assert choose_triage([NONE] * 300 + [0.9] * 10, [False] * 300 + [True] * 10, confidence=0.95).low_share > 0.9


@given(st.lists(st.tuples(st.one_of(st.just(NONE), st.floats(0, 1)), st.booleans()), min_size=1, max_size=40))
def test_what_is_promised_is_kept_on_the_patients_themselves(patients: list[tuple[float, bool]]) -> None:
    worst, truth = np.array([p[0] for p in patients]), np.array([p[1] for p in patients])
    try:
        choice = choose_triage(worst, truth, npv=0.8)
    except ValueError:
        lesion_free = np.isnan(worst)
        assert not lesion_free.any() or truth[lesion_free].mean() > 0.2 - 1e-12
        return
    low = np.isnan(worst) | (worst < choice.thresholds.benign_below)
    assert (~truth[low]).mean() == pytest.approx(choice.npv)
    assert choice.npv >= 0.8
    assert low.mean() == pytest.approx(choice.low_share)


@pytest.mark.parametrize(("worst", "truth"), [([], []), ([0.5], [True, False]), ([1.5], [True])])
def test_wrong_patients_are_refused(worst: list[float], truth: list[bool]) -> None:
    with pytest.raises(ValueError, match=r"needs patients|not in 0 to 1"):
        choose_triage(worst, truth)
