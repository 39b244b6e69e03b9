"""The HCC risk score: the printed formula, the one without 1/n, and the edge cases."""

from __future__ import annotations

from math import log10

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from LiverAILib.analysis.risk import MAX_PROBABILITY, hcc_risk

PROBABILITIES = st.lists(st.floats(0, 1), min_size=1, max_size=40)


def test_the_formula_as_printed_and_without_the_number_of_images() -> None:
    p = [0.9, 0.5, 0.1]
    weighted = sum(x * log10(1 - x) for x in p) / sum(p)
    score = hcc_risk(p)
    assert score is not None
    assert score.unscaled == pytest.approx(-weighted)
    assert score.printed == pytest.approx(-weighted / 3)
    assert score.images == 3


def test_one_image_of_probability_nine_tenths_scores_one() -> None:
    score = hcc_risk([0.9])
    assert score is not None
    assert (score.printed, score.unscaled) == pytest.approx((1.0, 1.0))


def test_the_printed_form_falls_with_more_images_and_the_unscaled_one_does_not() -> None:
    few, many = hcc_risk([0.8] * 2), hcc_risk([0.8] * 200)
    assert few is not None
    assert many is not None
    assert many.printed == pytest.approx(few.printed / 100)
    assert many.unscaled == pytest.approx(few.unscaled)


def test_images_of_probability_zero_change_only_the_printed_form() -> None:
    alone, among = hcc_risk([0.7]), hcc_risk([0.7, 0.0])
    assert alone is not None
    assert among is not None
    assert among.unscaled == pytest.approx(alone.unscaled)
    assert among.printed == pytest.approx(alone.printed / 2)


def test_no_image_gives_no_score() -> None:
    assert hcc_risk([]) is None


def test_all_zero_scores_zero() -> None:
    score = hcc_risk([0.0, 0.0])
    assert score is not None
    assert (score.printed, score.unscaled, score.images) == (0.0, 0.0, 2)


def test_certainty_is_cut_so_that_the_score_stays_finite() -> None:
    score = hcc_risk([1.0, 1.0])
    assert score is not None
    assert score.unscaled == pytest.approx(-log10(1 - MAX_PROBABILITY))
    assert score.unscaled == pytest.approx(6.0)


@pytest.mark.parametrize("wrong", [[1.1], [-0.1], [0.5, float("nan")]])
def test_what_is_no_probability_is_refused(wrong: list[float]) -> None:
    with pytest.raises(ValueError, match="not in 0 to 1"):
        hcc_risk(wrong)


@given(PROBABILITIES)
def test_the_score_is_finite_ordered_and_independent_of_the_order_of_images(p: list[float]) -> None:
    score, backwards = hcc_risk(p), hcc_risk(p[::-1])
    assert score is not None
    assert backwards is not None
    assert 0 <= score.printed <= score.unscaled <= 6.0 + 1e-9
    assert backwards.unscaled == pytest.approx(score.unscaled)
    assert score.unscaled <= -log10(1 - min(max(p), MAX_PROBABILITY)) + 1e-9


@given(PROBABILITIES, st.floats(0, 1))
def test_a_more_certain_highest_image_never_lowers_the_score(p: list[float], higher: float) -> None:
    top = int(np.argmax(p))
    raised = [*p]
    raised[top] = max(p[top], higher)
    before, after = hcc_risk(p), hcc_risk(raised)
    assert before is not None
    assert after is not None
    assert after.unscaled >= before.unscaled - 1e-9
