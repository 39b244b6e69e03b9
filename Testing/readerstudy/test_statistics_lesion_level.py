"""Marks matched to lesions, and the free-response figures by their definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from LiverAILib.readerstudy.statistics.estimate import StatisticsError
from LiverAILib.readerstudy.statistics.lesion_level import (
    afroc_curve,
    false_marks_per_case,
    froc_curve,
    lesion_recall,
    wafroc_area,
    wafroc_merits,
)
from LiverAILib.readerstudy.statistics.marks import CaseMarks, hits_by_overlap, hits_in_labels, score_marks
from LiverAILib.readerstudy.statistics.mrmc import obuchowski_rockette
from LiverAILib.readerstudy.statistics.roc import auc

NONE = -np.inf


def case(lesions: list[float], false: list[float]) -> CaseMarks:
    return CaseMarks(lesion_ratings=tuple(lesions), false_ratings=tuple(false))


#: Two patients with lesions (one and three) and three without.
FIVE = [case([80], [20]), case([90, 40, NONE], []), case([], [60]), case([], [30, 40]), case([], [])]


def test_boxes_hit_by_iou_or_by_iom() -> None:
    lesion = [[0, 0, 0, 10, 10, 10]]
    marks = [
        [0, 0, 0, 10, 10, 10],
        [0, 0, 5, 10, 10, 15],  # IoU 1/3, IoM 1/2
        [0, 0, 6, 10, 10, 16],  # IoU 1/4, IoM 0.4
        [4, 4, 4, 6, 6, 6],  # small and inside: IoU 0.008, IoM 1
        [20, 0, 0, 30, 10, 10],
    ]
    assert hits_by_overlap(np.array(marks), np.array(lesion))[:, 0].tolist() == [True, True, False, True, False]
    with pytest.raises(StatisticsError, match="no volume"):
        hits_by_overlap(np.array([[0, 0, 0, 0, 1, 1]]), np.array(lesion))
    assert hits_by_overlap(np.zeros((0, 6)), np.array(lesion)).shape == (0, 1)


def test_a_click_hits_the_lesion_that_it_lies_in() -> None:
    labels = np.zeros((4, 5, 6), dtype=np.int16)
    labels[1, 2, 3], labels[3, 4, 5] = 1, 2
    points = np.array([[1, 2, 3], [3, 4, 5], [0, 0, 0], [9, 0, 0], [-1, 4, 5]])
    assert hits_in_labels(points, labels, 2).tolist() == [
        [True, False],
        [False, True],
        [False, False],
        [False, False],
        [False, False],
    ]


def test_a_lesion_marked_twice_counts_once_with_the_higher_confidence() -> None:
    hits = np.array([[True, False], [True, False], [False, False]])
    found = score_marks([50, 70, 30], hits)
    assert found == case([70, NONE], [30])
    assert score_marks([], np.zeros((0, 2), dtype=bool)) == case([NONE, NONE], [])
    assert score_marks([10], np.zeros((1, 0), dtype=bool)) == case([], [10])
    with pytest.raises(StatisticsError, match="confidence"):
        score_marks([np.nan], np.ones((1, 1), dtype=bool))
    with pytest.raises(StatisticsError, match="1 confidences for 2 marks"):
        score_marks([1], np.ones((2, 1), dtype=bool))


def test_froc_by_hand() -> None:
    curve = froc_curve(FIVE)
    at_40 = list(curve.thresholds).index(40)
    assert curve.lesion_fraction[at_40] == 3 / 4
    assert curve.abscissa[at_40] == 2 / 5
    assert (curve.abscissa[-1], curve.lesion_fraction[-1]) == (4 / 5, 3 / 4)
    assert (curve.abscissa[0], curve.lesion_fraction[0]) == (0, 0)


def test_wafroc_area_by_hand() -> None:
    # lesion-free cases have 60, 40 and nothing. The lesion of 80 beats all; 90 beats all, 40 scores 0, 1/2, 1, the
    # unmarked one 0, 0, 1/2: its patient has (3 + 1.5 + 0.5) / 9
    expected = (1 + 5 / 9) / 2
    assert wafroc_area(FIVE, replicates=200).value == pytest.approx(expected)
    curve = afroc_curve(FIVE)
    assert np.trapezoid(curve.lesion_fraction, curve.abscissa) == pytest.approx(expected)
    plain = afroc_curve(FIVE, weighted=False)
    assert np.trapezoid(plain.lesion_fraction, plain.abscissa) == pytest.approx((3 + 3 + 1.5 + 0.5) / 12)


def random_cases(seed: int, gain: float = 1.0, patients: int = 30) -> list[CaseMarks]:
    rng, sizes = np.random.default_rng(seed), np.random.default_rng(99).integers(0, 4, patients)
    found = []
    for size in sizes:
        lesions = [float(np.round(r, 1)) if rng.random() < 0.7 else NONE for r in rng.normal(gain, 1, size)]
        found.append(case(lesions, [float(np.round(r, 1)) for r in rng.normal(0, 1, rng.poisson(0.5))]))
    return found


@given(st.integers(0, 1000))
def test_the_kernels_mean_is_the_area_under_the_drawn_curve(seed: int) -> None:
    cases = random_cases(seed)
    curve = afroc_curve(cases)
    assert np.trapezoid(curve.lesion_fraction, curve.abscissa) == pytest.approx(wafroc_area(cases, replicates=2).value)
    assert (curve.abscissa[-1], curve.lesion_fraction[-1]) == (1, 1)
    assert (np.diff(curve.abscissa) >= 0).all()
    assert (np.diff(curve.lesion_fraction) >= -1e-12).all()


def test_one_lesion_a_patient_and_one_mark_a_case_make_wafroc_the_auc() -> None:
    rng = np.random.default_rng(4)
    truth, ratings = np.arange(40) < 15, np.round(rng.normal(size=40), 1)
    cases = [case([r], []) if t else case([], [r]) for t, r in zip(truth, ratings, strict=True)]
    expected = auc(truth, ratings, positive="lesion", negative="none").value
    assert wafroc_area(cases, replicates=2).value == pytest.approx(expected)


def test_recall_is_resampled_by_patient_not_by_lesion() -> None:
    # ten patients with ten lesions each, all or nothing found: as good as ten patients, not a hundred lesions
    cases = [case([1.0] * 10 if k < 6 else [NONE] * 10, []) for k in range(10)]
    found = lesion_recall(cases)
    assert (found.value, found.n, found.unit) == (0.6, 100, "lesions")
    assert (found.low, found.high) == pytest.approx((0.3, 0.9), abs=0.01)
    assert "bootstrap over patients" in found.method
    assert lesion_recall(FIVE, threshold=50, replicates=100).value == 2 / 4
    assert lesion_recall(cases) == found  # seeded


def test_false_marks_per_case() -> None:
    found = false_marks_per_case(FIVE)
    assert found.value == 4 / 5
    assert found.low < 4 / 5 < found.high
    assert false_marks_per_case(FIVE, threshold=35).value == 2 / 5


def test_perfect_marks_have_intervals_with_a_width() -> None:
    cases = [case([90, 80], [])] * 8 + [case([], [])] * 9
    for found in (wafroc_area(cases), lesion_recall(cases)):
        assert (found.value, found.high) == (1, 1)
        assert 0.5 < found.low < 0.9
        assert "no variation" in found.method
    none = false_marks_per_case(cases)
    assert (none.value, none.low, none.method) == (0, 0, "exact Poisson")
    assert none.high == pytest.approx(3.689 / 17, abs=1e-3)


def test_wafroc_in_the_multi_reader_comparison() -> None:
    marks = {
        arm: {f"R{j}": random_cases(10 * a + j, gain=1 + a) for j in range(4)}
        for a, arm in enumerate(("without", "with"))
    }
    table = wafroc_merits(marks)
    assert table.values[1, 2] == pytest.approx(wafroc_area(marks["with"]["R2"], replicates=2).value)
    without = []
    for k in range(30):
        pair = [[c for i, c in enumerate(marks[arm]["R0"]) if i != k] for arm in ("without", "with")]
        without.append([wafroc_area(cases, replicates=2).value for cases in pair])
    expected = np.cov(np.array(without).T) * 29**2 / 30
    assert table.covariance[:, 0, :, 0] == pytest.approx(expected)
    found = obuchowski_rockette(table).difference("with", "without")
    assert found.difference.value > 0
    turned = {arm: {reader: marks[arm][reader] for reader in ("R3", "R1", "R0", "R2")} for arm in ("with", "without")}
    again = obuchowski_rockette(wafroc_merits(turned)).difference("with", "without")
    assert again.test.p_value == pytest.approx(found.test.p_value)


def test_refusals() -> None:
    with pytest.raises(StatisticsError, match="no lesion in 2"):
        froc_curve([case([], [1]), case([], [])])
    with pytest.raises(StatisticsError, match="without a lesion"):
        wafroc_area([case([1], [])])
    with pytest.raises(StatisticsError, match="1 of 5 readings are missing; no mark is not the same"):
        wafroc_merits({"a": {"R": [*FIVE[:4], None]}})
    with pytest.raises(StatisticsError, match="not the same for all"):
        wafroc_merits({"a": {"R": FIVE}, "b": {"R": FIVE[::-1]}})
    with pytest.raises(StatisticsError, match="readers of"):
        wafroc_merits({"a": {"R": FIVE}, "b": {"S": FIVE}})
    with pytest.raises(StatisticsError, match="no case"):
        false_marks_per_case([])
