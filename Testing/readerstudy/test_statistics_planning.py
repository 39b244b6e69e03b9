"""Simulated studies, power, triage tables and followed advice."""

import numpy as np
import pytest
from scipy import stats
from van_dyke import van_dyke

from LiverAILib.readerstudy.statistics import simulate as sim
from LiverAILib.readerstudy.statistics.classification import TwoClassCounts, predictive_value_of, recall_of
from LiverAILib.readerstudy.statistics.estimate import Estimate, StatisticsError
from LiverAILib.readerstudy.statistics.merits import auc_merits
from LiverAILib.readerstudy.statistics.mrmc import Components, components_of
from LiverAILib.readerstudy.statistics.power import (
    mrmc_cases_needed,
    mrmc_power,
    paired_non_inferiority_cases,
)
from LiverAILib.readerstudy.statistics.triage import decision_changes, triage_table


def test_roe_metz_ratings_have_the_models_variances_and_area() -> None:
    model = sim.RoeMetz(reader=0.04, arm_reader=0.02, gain=0.5)
    layout = sim.Layout(readers=40, positive=300, negative=300)
    readings = sim.simulate(model, layout, np.random.default_rng(2))
    negative = readings.values[..., ~readings.truth]
    centred = negative - negative.mean(axis=2, keepdims=True)
    assert np.var(centred) == pytest.approx(1, rel=0.05)
    between = np.mean([np.mean(centred[0, j] * centred[0, k]) for j in range(40) for k in range(j)])
    assert between == pytest.approx(model.case + model.arm_case, rel=0.15)
    assert np.mean(centred[0] * centred[1]) == pytest.approx(model.case + model.reader_case, rel=0.15)
    areas = auc_merits(readings, "DeLong").values.mean(axis=1)
    assert areas == pytest.approx([model.auc(second_arm=False), model.auc(second_arm=True)], abs=0.03)
    assert sim.layout_of(readings) == layout


def test_the_same_seed_gives_the_same_studies() -> None:
    layout = sim.Layout(readers=3, positive=10, negative=10)
    one, two = (sim.simulate_rejections(sim.RoeMetz(), layout, replicates=5, seed=7) for _ in range(2))
    assert one == two
    assert "reader-case 0.2" in one.formula


def test_null_studies_are_rejected_about_as_often_as_promised_and_pooled_answers_too_often() -> None:
    layout = sim.Layout(readers=6, positive=30, negative=30)
    found = sim.simulate_rejections(sim.RoeMetz(), layout, replicates=150, seed=1)
    assert found.rejected[sim.PRIMARY].value < 0.1
    assert found.rejected[sim.POOLED_MCNEMAR].value > 0.1
    assert found.rejected[sim.PAIRED_T].value > 0.1
    assert found.rejected[sim.PRIMARY].n == 150


def test_power_as_computed_agrees_with_power_as_simulated() -> None:
    model, layout = sim.RoeMetz(gain=0.7), sim.Layout(readers=5, positive=30, negative=30)
    rng = np.random.default_rng(3)
    parts = [components_of(auc_merits(sim.simulate(model, layout, rng), "unbiased")) for _ in range(150)]
    names = ("ms_arm", "ms_reader", "ms_arm_reader", "error", "same_reader", "same_arm", "neither")
    pilot = Components(**{name: float(np.mean([getattr(p, name) for p in parts])) for name in names})
    effect = model.auc(second_arm=True) - model.auc(second_arm=False)
    computed = mrmc_power(pilot, pilot_cases=60, effect=effect, readers=5, cases=60)
    simulated = sim.simulate_rejections(model, layout, replicates=150, seed=4, covariance="unbiased")
    assert computed.power == pytest.approx(simulated.rejected[sim.PRIMARY].value, abs=0.12)
    assert 0.2 < computed.power < 0.9


def test_cases_needed_after_the_van_dyke_pilot() -> None:
    """The published worked example: 251 cases with 6 readers for a power of 0.8 at the observed difference."""
    pilot = components_of(van_dyke())
    found = mrmc_cases_needed(pilot, pilot_cases=114, effect=0.04380032, readers=6)
    assert found.cases == 251
    assert found.power >= 0.8
    assert mrmc_power(pilot, pilot_cases=114, effect=0.04380032, readers=6, cases=250).power < 0.8
    assert "Hillis" in found.formula
    powers = [mrmc_power(pilot, pilot_cases=114, effect=0.05, readers=r, cases=100).power for r in (3, 6, 12)]
    assert powers == sorted(powers)
    with pytest.raises(StatisticsError, match="Take more readers"):
        mrmc_cases_needed(pilot, pilot_cases=114, effect=0.01, readers=3)
    with pytest.raises(StatisticsError, match="fewer than 3"):
        mrmc_power(pilot, pilot_cases=114, effect=0.05, readers=2, cases=100)
    with pytest.raises(StatisticsError, match="can't be found"):
        mrmc_power(pilot, pilot_cases=114, effect=0, readers=5, cases=100)


def test_paired_non_inferiority_sample_size_by_hand() -> None:
    found = paired_non_inferiority_cases(margin=0.05, discordant=0.1)
    z = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
    assert found.cases == int(np.ceil(z**2 * 0.1 / 0.05**2))
    assert "discordant" in found.formula
    assert paired_non_inferiority_cases(margin=0.05, discordant=0.1, difference=0.02).cases < found.cases
    with pytest.raises(StatisticsError, match="at the margin or beyond"):
        paired_non_inferiority_cases(margin=0.05, discordant=0.1, difference=-0.05)
    with pytest.raises(StatisticsError, match="does not fit"):
        paired_non_inferiority_cases(margin=0.05, discordant=0.01, difference=0.02)


COUNTS = TwoClassCounts(
    positive="malignant", negative="benign", true_positive=95, false_negative=5, true_negative=120, false_positive=80
)


def test_triage_table_against_prevalence() -> None:
    rows = triage_table(COUNTS, [0.01, 1 / 3, 0.5])
    own = rows[1]
    assert own.low_risk_share.value == pytest.approx(125 / 300)
    assert isinstance(own.negative_predictive_value, Estimate)
    assert own.negative_predictive_value.value == pytest.approx(predictive_value_of("benign", COUNTS).value)
    assert isinstance(own.positive_predictive_value, Estimate)
    assert own.positive_predictive_value.value == pytest.approx(predictive_value_of("malignant", COUNTS).value)
    rare = rows[0].low_risk_share
    assert rare.value == pytest.approx(0.01 * 0.05 + 0.99 * recall_of("benign", COUNTS).value)
    assert rare.low < rare.value < rare.high
    values = [row.negative_predictive_value for row in rows]
    assert all(isinstance(a, Estimate) for a in values)
    assert values[0].value > values[1].value > values[2].value  # type: ignore[union-attr]


def test_triage_table_says_what_it_cannot_give() -> None:
    all_high = TwoClassCounts(
        positive="malignant", negative="benign", true_positive=9, false_negative=0, true_negative=0, false_positive=9
    )
    row = triage_table(all_high, [0.2])[0]
    assert row.low_risk_share.value == 0
    assert row.negative_predictive_value == 'No case is called "benign": the predictive value is not estimable.'
    with pytest.raises(StatisticsError, match="prevalence"):
        triage_table(COUNTS, [0.0])


def test_followed_advice_is_counted_by_who_was_right() -> None:
    found = decision_changes(
        truth=["m", "m", "b", "b", "m", "b", "m"],
        ai=["m", "m", "m", "m", "m", "b", "m"],
        before=["b", "b", "b", "b", "m", "b", None],
        after=["m", "b", "m", "b", "m", "m", "m"],
    )
    assert (found.ai_right_followed, found.ai_right_not_followed) == (1, 1)
    assert (found.ai_wrong_followed, found.ai_wrong_not_followed) == (1, 1)
    assert (found.agreed, found.agreed_then_changed, found.missing) == (2, 1, 1)
    assert found.followed(ai_right=True).value == 0.5
    assert "too narrow" in found.followed(ai_right=False).method
    never = decision_changes(truth=["m"], ai=["m"], before=["m"], after=["m"])
    with pytest.raises(StatisticsError, match="AI wrong and followed is not estimable"):
        never.followed(ai_right=False)
