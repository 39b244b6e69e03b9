"""Intervals over groups, and the figures that stand on them: constructed cases with known answers."""

from __future__ import annotations

import numpy as np
import pytest

from LiverAILib.evaluation.groups import area, auc_by_group, by_group, calibration_error, draws, macro_area, share
from LiverAILib.evaluation.tsne import tsne
from LiverAILib.readerstudy.statistics.proportions import clopper_pearson


def test_members_of_a_group_are_drawn_together() -> None:
    groups = np.array([7, 3, 7, 3, 3, 9])
    for index in draws(groups, 50):
        counts = np.bincount(index, minlength=6)
        assert counts[0] == counts[2]
        assert counts[1] == counts[3] == counts[4]
        assert counts[0] + counts[1] + counts[5] == 3  # as many groups as there are


def test_a_share_of_independent_members_has_the_exact_interval() -> None:
    found = share(np.arange(20) < 15, np.arange(20), name="a", unit="exams", grouped_by="exams")
    assert found.value == 0.75
    assert (found.low, found.high) == clopper_pearson(15, 20)


def test_members_of_one_group_count_as_one_where_all_are_hit() -> None:
    found = share(np.ones(40, dtype=bool), np.repeat(np.arange(4), 10), name="a", unit="lesions", grouped_by="exams")
    assert (found.low, found.high) == clopper_pearson(4, 4)
    assert found.n == 40


def test_hits_that_come_in_groups_are_less_sure_than_scattered_ones() -> None:
    groups = np.repeat(np.arange(10), 10)
    together, scattered = groups < 5, np.arange(100) % 2 == 0
    wide, narrow = (share(hits, groups, name="a", unit="b", grouped_by="c") for hits in (together, scattered))
    assert wide.value == narrow.value == 0.5
    assert wide.high - wide.low > 0.4
    assert narrow.high - narrow.low < 0.01


def test_areas_under_known_curves() -> None:
    truth = np.array([True, True, False, False])
    assert area(truth, np.array([0.9, 0.4, 0.5, 0.1])) == 0.75
    assert area(truth, np.array([0.5, 0.5, 0.5, 0.5])) == 0.5
    assert np.isnan(area(np.ones(3, dtype=bool), np.arange(3.0)))
    labels = np.array([0, 0, 1, 1])
    scores = np.array([[0.9, 0.1, 0.0], [0.4, 0.6, 0.0], [0.5, 0.5, 0.0], [0.1, 0.9, 0.0]])
    assert macro_area(labels, scores) == 0.75  # the third class has no case


def test_a_flawless_area_still_has_an_interval() -> None:
    truth = np.arange(20) >= 10
    found = auc_by_group(truth, np.arange(20.0), np.arange(20), name="a", unit="exams", grouped_by="exams")
    assert found.value == 1
    assert 0.6 < found.low < 0.95
    assert "Newcombe" in found.method


def test_replicates_that_miss_a_class_are_left_out() -> None:
    truth, groups = np.array([True, False, False]), np.arange(3)
    found = by_group(
        lambda index: area(truth[index], np.array([2.0, 1.0, 3.0])[index]), groups, name="", unit="", grouped_by=""
    )
    assert found.value == 0.5
    assert 0 <= found.low <= found.high <= 1


def test_calibration_error_is_the_gap_between_what_was_said_and_what_was_so() -> None:
    right = np.arange(10) < 7
    assert calibration_error(np.full(10, 0.9), right) == pytest.approx(0.2)
    assert calibration_error(np.full(10, 0.7), right) == pytest.approx(0)
    both = calibration_error(np.array([0.95, 0.95, 0.15, 0.15]), np.array([True, False, False, True]))
    assert both == pytest.approx((0.45 + 0.35) / 2)
    assert calibration_error(np.ones(4), np.ones(4, dtype=bool)) == 0


def test_tsne_keeps_clusters_together() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 20)
    points = rng.normal(size=(3, 50))[labels] * 4 + rng.normal(size=(60, 50))
    places = tsne(points, steps=250)
    gaps = ((places[:, None] - places[None]) ** 2).sum(axis=-1)
    np.fill_diagonal(gaps, np.inf)
    assert (labels[gaps.argmin(axis=1)] == labels).mean() > 0.95
    assert np.array_equal(places, tsne(points, steps=250))
    with pytest.raises(ValueError, match="at least four"):
        tsne(points[:3])
