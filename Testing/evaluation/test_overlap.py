"""Overlap of masks and lesions."""

from __future__ import annotations

import numpy as np
import pytest

from LiverAILib.evaluation.overlap import dice, label_regions, match_lesions
from LiverAILib.evaluation.segmentation import CaseResult, summarise
from LiverAILib.study import Phase


def blank() -> np.ndarray:
    return np.zeros((4, 20, 20), np.int32)


def test_dice_of_half_overlapping_boxes() -> None:
    a, b = blank().astype(bool), blank().astype(bool)
    a[:, :, :10] = True
    b[:, :, 5:15] = True
    assert dice(a, b) == pytest.approx(0.5)
    assert dice(blank() > 0, blank() > 0) == 1


def test_a_found_lesion_that_overlaps_enough_is_a_hit_and_another_is_false() -> None:
    true, found = blank(), blank()
    true[:, 2:8, 2:8] = 1
    true[:, 12:16, 12:16] = 2
    found[:, 3:8, 2:8] = 1
    found[:, 0:2, 17:20] = 2
    match = match_lesions(found, true, voxel_ml=0.01)
    assert match.hit == (True, False)
    assert match.true_ml == pytest.approx((1.44, 0.64))
    assert match.false_positive_ml == pytest.approx((0.24,))
    assert match.recall() == (1, 2)
    assert match.recall(1.0) == (1, 1)


def test_a_fragment_inside_a_large_lesion_is_neither_missed_nor_false() -> None:
    true, found = blank(), blank()
    true[:, 2:18, 2:18] = 1
    found[1, 5:8, 5:8] = 1
    match = match_lesions(found, true, 0.01)
    assert match.hit == (True,)
    assert match.false_positive_ml == ()


def test_a_slight_touch_is_no_hit() -> None:
    true, found = blank(), blank()
    true[:, 2:8, 2:8] = 1
    found[:, 7:13, 7:13] = 1
    match = match_lesions(found, true, 0.01)
    assert match.hit == (False,)
    assert len(match.false_positive_ml) == 1


def test_nothing_true_and_nothing_found() -> None:
    match = match_lesions(blank(), blank(), 0.01)
    assert match == type(match)((), (), ())


def test_regions_that_touch_at_a_corner_are_one() -> None:
    mask = blank() > 0
    mask[0, 0, 0] = mask[1, 1, 1] = mask[3, 10, 10] = True
    assert label_regions(mask).max() == 2


def test_the_summary_has_the_exact_interval_of_recall_and_none_without_lesions() -> None:
    match = match_lesions(blank(), blank(), 0.01)
    some = type(match)((2.0,) * 10, (True,) * 8 + (False,) * 2, ())
    result = CaseResult("a", "p", Phase.PORTAL_VENOUS, 0.9, 0.5, some)
    assert summarise([result]).recall_interval == pytest.approx((0.4439, 0.9748), abs=1e-4)
    empty = CaseResult("b", "q", Phase.PORTAL_VENOUS, 0.9, 1.0, match)
    assert np.isnan(summarise([empty]).recall_interval).all()
