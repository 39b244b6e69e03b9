"""Matching over phases: constructed exams with known answers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from LiverAILib.analysis.boxes3d import FoundBoxes
from LiverAILib.analysis.match import LiverFrame, MatchedLesion, liver_frame, match_phases, mend_frames
from LiverAILib.study import Phase, Source, Volume

NC, ART, PV = Phase.NON_CONTRAST, Phase.ARTERIAL, Phase.PORTAL_VENOUS
SHAPE = (30, 60, 60)
LIVER = (slice(5, 25), slice(10, 50), slice(5, 45))


def frame(shift: Sequence[int] = (0, 0, 0), shape: tuple[int, int, int] = SHAPE, spacing: float = 2.0) -> LiverFrame:
    """A box-shaped liver, moved by so many voxels and cut by the volume's ends."""
    liver = np.zeros(shape, dtype=bool)
    liver[tuple(slice(max(s.start + d, 0), s.stop + d) for s, d in zip(LIVER, shift, strict=True))] = True
    affine = np.diag([1.0, 1.0, spacing, 1.0])
    found = liver_frame(Volume(np.zeros(shape, np.int16), affine, Source("test", "file")), liver)
    assert found is not None
    return found


def boxes(*rows: Sequence[float], score: float = 0.8) -> FoundBoxes:
    table = np.array(rows, dtype=np.float64).reshape(-1, 6)
    return FoundBoxes(table, np.full(len(table), score), np.ones(len(table), dtype=np.int64))


def one(lesions: list[MatchedLesion]) -> MatchedLesion:
    assert len(lesions) == 1
    return lesions[0]


def test_the_same_place_in_the_liver_is_the_same_lesion_though_the_liver_moved() -> None:
    shift = np.array([4, -6, 5])
    box = np.array([10.0, 20, 20, 14, 28, 28])
    moved = np.tile(shift, 2) + box
    lesion = one(match_phases({ART: boxes(box), PV: boxes(moved)}, {ART: frame(), PV: frame(shift)}))
    assert lesion.scores.keys() == {ART, PV}
    assert lesion.transferred == ()
    assert lesion.boxes[PV].tolist() == moved.tolist()


def test_box_missed_in_arterial_is_taken_from_the_atlas() -> None:
    shift = np.array([3, 2, -4])
    box = np.array([10.0, 20, 20, 14, 28, 28])
    lesion = one(match_phases({ART: boxes(), PV: boxes(box)}, {ART: frame(shift), PV: frame()}))
    assert lesion.transferred == (ART,)
    assert lesion.boxes[ART].tolist() == pytest.approx((np.tile(shift, 2) + box).tolist())
    assert lesion.score == 0.8


def test_two_phases_agree_on_the_box_of_the_third() -> None:
    first, second = np.array([10.0, 20, 20, 14, 28, 28]), np.array([10.0, 22, 20, 14, 30, 28])
    found = {NC: boxes(), ART: boxes(first), PV: boxes(second)}
    lesion = one(match_phases(found, {NC: frame(), ART: frame(), PV: frame()}))
    assert lesion.boxes[NC].tolist() == pytest.approx([10, 21, 20, 14, 29, 28])


def test_lesions_at_different_places_stay_apart_and_touching_ones_too() -> None:
    a, b = (10, 20, 20, 14, 28, 28), (10, 20, 28, 14, 28, 36)
    lesions = match_phases({ART: boxes(a, b), PV: boxes(b, a)}, {ART: frame(), PV: frame()})
    assert len(lesions) == 2
    assert all(lesion.scores.keys() == {ART, PV} for lesion in lesions)
    assert all(lesion.boxes[ART].tolist() == lesion.boxes[PV].tolist() for lesion in lesions)


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ((10, 20, 20, 14, 24, 28), True),  # half of it: IoM 1
        ((10, 24, 24, 14, 40, 40), False),  # a quarter of it: IoM 1/4, IoU 1/19
        ((10, 20, 23.6, 14, 28, 31.6), True),  # IoU 0.38
        ((10, 20, 25, 14, 28, 33), False),  # IoU 0.23, IoM 0.375
    ],
)
def test_iou_over_a_third_or_so_or_iom_over_half_decides(other: Sequence[float], same: bool) -> None:
    found = {ART: boxes((10, 20, 20, 14, 28, 28)), PV: boxes(other)}
    assert len(match_phases(found, {ART: frame(), PV: frame()})) == (1 if same else 2)


def test_one_box_around_two_lesions_goes_to_the_better_fitting_one() -> None:
    left, right, both = (10, 20, 20, 14, 28, 26), (10, 20, 26, 14, 28, 36), (10, 20, 20, 14, 28, 36)
    lesions = match_phases({ART: boxes(both), PV: boxes(left, right)}, {ART: frame(), PV: frame()})
    by_box = {tuple(lesion.boxes[PV]): lesion for lesion in lesions}
    assert by_box[right].scores.keys() == {ART, PV}
    assert by_box[left].transferred == (ART,)
    assert by_box[left].boxes[ART].tolist() == pytest.approx(left)


def test_slice_order_and_spacing_of_a_phase_do_not_matter() -> None:
    box = np.array([[10.0, 20, 20, 14, 28, 28]])
    liver = np.zeros((60, 60, 60), dtype=bool)
    liver[10:50, 10:50, 5:45] = True  # half the slice distance, stored from head to feet
    affine = np.diag([1.0, 1.0, -1.0, 1.0])
    thin = liver_frame(Volume(np.zeros(liver.shape, np.int16), affine, Source("test", "file")), liver[::-1])
    lesion = one(match_phases({PV: boxes(*box)}, {ART: thin, PV: frame()}))
    assert lesion.boxes[ART].tolist() == pytest.approx([60 - 28, 20, 20, 60 - 20, 28, 28])


def test_a_liver_cut_at_the_dome_is_completed_before_it_serves_as_atlas() -> None:
    whole, cut = frame(), frame(shape=(15, 60, 60))  # only the lower half of the liver is in the volume
    assert cut.cut == (False, True)
    mended = mend_frames({ART: cut, PV: whole})
    assert np.allclose(mended[ART].high_mm, whole.high_mm)
    low_down, at_dome = (7, 20, 20, 10, 28, 28), (20, 20, 20, 24, 28, 28)
    lesions = match_phases({ART: boxes(low_down), PV: boxes(low_down, at_dome)}, {ART: cut, PV: whole})
    assert len(lesions) == 2
    assert sorted(len(lesion.boxes) for lesion in lesions) == [1, 2]  # the cut volume does not show the dome
    assert all(lesion.transferred == () for lesion in lesions)


def test_a_transferred_box_is_cut_to_the_volume() -> None:
    whole, cut = frame(), frame(shape=(22, 60, 60))
    lesion = one(match_phases({PV: boxes((20, 20, 20, 24, 28, 28))}, {ART: cut, PV: whole}))
    assert lesion.boxes[ART].tolist() == pytest.approx([20, 20, 20, 22, 28, 28])


def test_a_phase_without_a_liver_is_left_out() -> None:
    found = {ART: boxes((10, 20, 20, 14, 28, 28)), PV: boxes((10, 20, 20, 14, 28, 28))}
    assert one(match_phases(found, {ART: None, PV: frame()})).boxes.keys() == {PV}
    empty = Volume(np.zeros(SHAPE, np.int16), np.eye(4), Source("test", "file"))
    assert liver_frame(empty, np.zeros(SHAPE, dtype=bool)) is None


def test_sixty_metastases_are_matched_one_to_one_and_none_gives_none() -> None:
    grid = [
        (8 + 3 * k, 12 + 7 * i, 7 + 9 * j, 10 + 3 * k, 17 + 7 * i, 13 + 9 * j)
        for k in range(3)
        for i in range(5)
        for j in range(4)
    ]
    assert len(grid) == 60
    lesions = match_phases({ART: boxes(*grid), PV: boxes(*grid[::-1])}, {ART: frame(), PV: frame()})
    assert len(lesions) == 60
    assert all(lesion.boxes[ART].tolist() == lesion.boxes[PV].tolist() for lesion in lesions)
    assert match_phases({ART: boxes(), PV: boxes()}, {ART: frame(), PV: frame()}) == []


def test_lesions_come_best_first() -> None:
    strong, weak = boxes((10, 20, 20, 14, 28, 28), score=0.9), boxes((16, 20, 20, 20, 28, 28), score=0.5)
    lesions = match_phases({ART: weak, PV: strong}, {ART: frame(), PV: frame()})
    assert [lesion.score for lesion in lesions] == [0.9, 0.5]
