"""Delineation: each way to draw a lesion, in the order in which they are tried."""

from __future__ import annotations

import numpy as np
import pytest

from LiverAILib.analysis.delineate import Delineation, delineate, delineate_all, ellipsoid_distance

SHAPE = (12, 40, 40)
BOX = np.array([3.0, 10, 10, 9, 22, 22])
EVERYWHERE = (slice(0, 12), slice(0, 40), slice(0, 40))


def scene() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """HU, liver and lesion probability: a liver of 110 HU that fills the volume but for its last columns."""
    rng = np.random.default_rng(0)
    hu = 110 + 4 * rng.standard_normal(SHAPE)
    liver = np.ones(SHAPE, dtype=bool)
    liver[:, :, 34:] = False
    return hu, liver, np.zeros(SHAPE, np.float32)


def ball(box: np.ndarray = BOX, scale: float = 1.0) -> np.ndarray:
    return ellipsoid_distance(box, EVERYWHERE) <= scale


def placed(drawn: Delineation) -> np.ndarray:
    whole = np.zeros(SHAPE, dtype=bool)
    whole[drawn.where] = drawn.mask
    return whole


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def test_the_segmentation_inside_the_box_is_taken_and_is_exact() -> None:
    hu, liver, probability = scene()
    truth = ball(scale=0.9)
    probability[truth] = 0.9
    probability[:, 30:, :] = 0.9  # another lesion, outside the box
    found = delineate(hu, liver, probability, BOX)
    assert (found.method, found.approximate) == ("segmentation", False)
    assert np.array_equal(placed(found), truth)


def test_a_speck_of_segmentation_is_not_enough() -> None:
    hu, liver, probability = scene()
    probability[6, 16, 16] = 0.9
    assert delineate(hu, liver, probability, BOX).method != "segmentation"


def test_a_faint_probability_is_taken_from_half_its_peak_and_flagged() -> None:
    hu, liver, probability = scene()
    truth = ball(scale=0.95)
    probability[truth] = 0.3
    probability[~truth] = 0.05
    found = delineate(hu, liver, probability, BOX)
    assert (found.method, found.approximate) == ("low_probability", True)
    assert np.array_equal(placed(found), truth)


@pytest.mark.parametrize("change", [-45, 45])
def test_without_probability_the_contrast_to_the_liver_draws_it(change: int) -> None:
    hu, liver, probability = scene()
    truth = ball(scale=0.95)
    hu[truth] += change
    found = delineate(hu, liver, probability, BOX)
    assert (found.method, found.approximate) == ("contrast", True)
    assert dice(placed(found), truth) > 0.9


def test_contrast_draws_a_lesion_as_wide_as_half_of_the_liver() -> None:
    shape, box = (12, 160, 160), np.array([2.0, 40, 36, 10, 120, 110])
    where = tuple(slice(0, n) for n in shape)
    truth = ellipsoid_distance(box, where) <= 0.95  # type: ignore[arg-type]
    hu = 110 + 4 * np.random.default_rng(0).standard_normal(shape) - 60 * truth
    found = delineate(hu, np.ones(shape, dtype=bool), np.zeros(shape, np.float32), box)
    whole = np.zeros(shape, dtype=bool)
    whole[found.where] = found.mask
    assert found.method == "contrast"
    assert dice(whole, truth) > 0.95


def test_a_contrast_that_drowns_in_noise_draws_no_sponge() -> None:
    hu, liver, probability = scene()
    hu += 30 * np.random.default_rng(1).standard_normal(SHAPE)
    hu[ball(scale=0.95)] -= 20
    found = delineate(hu, liver, probability, BOX)
    assert found.method == "ellipsoid"
    assert np.array_equal(placed(found), ball())


def test_contrast_in_a_part_of_the_box_only_is_not_taken_for_the_lesion() -> None:
    hu, liver, probability = scene()
    hu[ball(scale=0.6)] -= 45  # the core of a lesion whose rim is as bright as the liver
    found = delineate(hu, liver, probability, BOX)
    assert found.method == "ellipsoid"
    assert np.array_equal(placed(found), ball())


def test_without_contrast_it_is_the_ellipsoid_in_the_liver() -> None:
    hu, liver, probability = scene()
    found = delineate(hu, liver, probability, BOX)
    assert (found.method, found.approximate) == ("ellipsoid", True)
    assert np.array_equal(placed(found), ball())
    edge = BOX + np.array([0, 0, 18, 0, 0, 18])  # half of it beyond the liver
    at_edge = delineate(hu, liver, probability, edge)
    assert np.array_equal(placed(at_edge), ball(edge) & liver)


def test_a_box_hardly_in_the_liver_keeps_its_ellipsoid() -> None:
    hu, liver, probability = scene()
    outside = BOX + np.array([0, 0, 17, 0, 0, 17]) + np.array([0, 0, 5, 0, 0, 0])
    liver[:, :, 33:] = False
    found = delineate(hu, liver, probability, outside)
    assert np.array_equal(placed(found), ball(outside))


def test_a_lesion_at_the_dome_cut_by_the_volume_is_drawn_up_to_its_end() -> None:
    hu, liver, probability = scene()
    box = np.array([9.0, 10, 10, 12, 22, 22])
    probability[10:, 12:20, 12:20] = 0.8
    found = delineate(hu, liver, probability, box)
    assert np.array_equal(placed(found), probability > 0.5)


def test_a_box_of_one_voxel_gives_one_voxel() -> None:
    hu, liver, probability = scene()
    found = delineate(hu, liver, probability, np.array([5.0, 15, 15, 6, 16, 16]))
    assert np.argwhere(placed(found)).tolist() == [[5, 15, 15]]


def test_two_touching_lesions_that_the_segmentation_joins_stay_two() -> None:
    hu, liver, probability = scene()
    boxes = [BOX, BOX + np.array([0, 0, 11, 0, 0, 11])]
    truths = [ball(box) for box in boxes]
    probability[truths[0] | truths[1]] = 0.9
    labels, drawn = delineate_all(hu, liver, probability, boxes)
    assert np.array_equal(labels > 0, truths[0] | truths[1])
    assert all(dice(labels == number, truth) > 0.97 for number, truth in enumerate(truths, start=1))
    assert [lesion.method for lesion in drawn] == ["segmentation"] * 2


def test_no_box_gives_no_label() -> None:
    labels, drawn = delineate_all(*scene(), [])
    assert not labels.any()
    assert drawn == []
