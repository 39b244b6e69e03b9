"""Split-plot studies and missing readings: the same as before without gaps, and honest with them."""

from dataclasses import replace

import numpy as np
import pytest

from LiverAILib.readerstudy.statistics.estimate import StatisticsError
from LiverAILib.readerstudy.statistics.incomplete import (
    available_auc_merits,
    available_decision_merits,
    available_wafroc_merits,
    shared_case_covariance,
)
from LiverAILib.readerstudy.statistics.lesion_level import wafroc_merits
from LiverAILib.readerstudy.statistics.marks import CaseMarks
from LiverAILib.readerstudy.statistics.merits import Readings, auc_merits, decision_merits
from LiverAILib.readerstudy.statistics.mrmc import obuchowski_rockette
from LiverAILib.readerstudy.statistics.simulate import Layout, RoeMetz, called, simulate


def crossed(seed: int = 0, readers: int = 4) -> Readings:
    return simulate(RoeMetz(), Layout(readers=readers, positive=12, negative=16), np.random.default_rng(seed))


def holed(readings: Readings, seed: int = 1, share: float = 0.15) -> Readings:
    """A share of the reader-cases missing, in all arms."""
    gone = np.random.default_rng(seed).random(readings.values.shape[1:]) < share
    return replace(readings, values=np.where(gone, np.nan, readings.values))


def test_without_gaps_it_is_the_delong_covariance() -> None:
    readings = crossed()
    one, other = available_auc_merits(readings), auc_merits(readings, "DeLong")
    assert one.values == pytest.approx(other.values)
    assert one.covariance == pytest.approx(other.covariance)
    assert (one.n_positive, one.n_negative) == (12, 16)
    calls = called(readings, 0.75)
    for figure in ("accuracy", "sensitivity", "specificity"):
        one, other = available_decision_merits(calls, figure), decision_merits(calls, figure)
        assert one.values == pytest.approx(other.values)
        assert one.covariance == pytest.approx(other.covariance)
        assert one.n == other.n


def test_with_gaps_each_reader_has_the_figure_of_the_own_cases() -> None:
    readings = holed(crossed())
    found = available_auc_merits(readings)
    read = np.isfinite(readings.values[0, 2])
    alone = replace(readings, readers=("R3",), truth=readings.truth[read], values=readings.values[:, 2:3][..., read])
    single = auc_merits(alone, "DeLong")
    assert found.values[:, 2] == pytest.approx(single.values[:, 0])
    assert found.covariance[:, 2, :, 2] == pytest.approx(single.covariance[:, 0, :, 0])
    assert "shared cases" in found.method


def test_readers_who_share_no_case_do_not_vary_together() -> None:
    readings = crossed()
    values = readings.values.copy()
    values[:, :2, 1::2] = np.nan
    values[:, 2:, ::2] = np.nan
    found = available_auc_merits(replace(readings, values=values))
    assert (found.covariance[:, :2, :, 2:] == 0).all()
    assert np.abs(found.covariance[:, :2, :, :2]).min() > 0


def test_covariance_over_shared_cases_by_hand() -> None:
    nan = np.nan
    values = np.array([[1.0, 2.0, 4.0, nan], [nan, 3.0, 1.0, 2.0]])
    found = shared_case_covariance(values)
    assert found[0, 0] == pytest.approx(np.var([1, 2, 4], ddof=1) / 3)
    assert found[0, 1] == pytest.approx(np.cov([2, 4], [3, 1])[0, 1] * 2 / 9)


def test_split_plot_null_studies_are_rejected_about_as_often_as_promised() -> None:
    """Six readers in two groups, each group with its own cases."""
    rng, layout = np.random.default_rng(4), Layout(readers=6, positive=40, negative=40)
    rejected = 0
    for _ in range(200):
        readings = simulate(RoeMetz(), layout, rng)
        values = readings.values.copy()
        values[:, :3, 1::2] = np.nan
        values[:, 3:, ::2] = np.nan
        table = available_auc_merits(replace(readings, values=values))
        rejected += obuchowski_rockette(table).test.p_value < 0.05
    assert 2 <= rejected <= 20  # 5% of 200 is 10


def test_wafroc_with_gaps() -> None:
    rng = np.random.default_rng(0)

    def case(k: int, gain: float) -> CaseMarks:
        lesions = tuple(float(v) for v in rng.normal(gain, 1, k % 3))
        return CaseMarks(
            lesion_ratings=lesions, false_ratings=tuple(float(v) for v in rng.normal(0, 1, rng.integers(2)))
        )

    marks = {arm: {r: [case(k, g) for k in range(24)] for r in "abc"} for arm, g in (("with", 1.5), ("without", 1.0))}
    one, other = available_wafroc_merits(marks), wafroc_merits(marks, covariance="DeLong")
    assert one.values == pytest.approx(other.values)
    assert one.covariance == pytest.approx(other.covariance)
    gaps = {arm: {**cells, "a": [None, None, *cells["a"][2:]]} for arm, cells in marks.items()}
    found = available_wafroc_merits(gaps)
    assert found.values[:, 1:] == pytest.approx(one.values[:, 1:])
    assert found.values[0, 0] != one.values[0, 0]


def test_refusals() -> None:
    readings = crossed()
    values = readings.values.copy()
    values[1, 1, 3] = np.nan
    with pytest.raises(StatisticsError, match="R2 read some cases in one arm only"):
        available_auc_merits(replace(readings, values=values))
    values = readings.values.copy()
    values[:, 1, readings.truth] = np.nan
    with pytest.raises(StatisticsError, match="R2: the cases read are of one class"):
        available_auc_merits(replace(readings, values=values))
    calls = called(replace(readings, values=readings.values), 0.75)
    gone = np.where(np.isnan(values), np.nan, calls.values)
    with pytest.raises(StatisticsError, match="R2 read 0 cases of a class"):
        available_decision_merits(replace(calls, values=gone), "sensitivity")
