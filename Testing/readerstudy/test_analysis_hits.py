"""Marks against true lesions by each hit rule, in boxes, by distance and in outlines."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from LiverAILib.export.nrrd import write_nrrd
from LiverAILib.readerstudy.analysis.hits import Masks, mark_hits, score_case, score_study
from LiverAILib.readerstudy.analysis.select import AI, Index
from LiverAILib.readerstudy.dataset import Box, Case, DatasetError, HitRule, LesionMask, Mark, TrueLesion
from LiverAILib.readerstudy.simulated import SimulatedStudy, simulate_study
from LiverAILib.readerstudy.statistics.estimate import StatisticsError
from LiverAILib.readerstudy.statistics.marks import NOT_MARKED

BOX: Box = ((0.0, 0.0, 0.0), (10.0, 20.0, 30.0))
LESION = TrueLesion(id="a", centre=(5.0, 10.0, 15.0), box=BOX)
IN_LESION, OVERLAP = HitRule(kind="in lesion"), HitRule(kind="overlap")


def hits(mark: Mark, rule: HitRule, lesion: TrueLesion = LESION) -> bool:
    return mark_hits(mark, lesion, rule, Masks())


def test_a_click_in_the_box_hits_and_one_beside_it_does_not() -> None:
    assert hits(Mark(confidence=1, point=(9.0, 19.0, 29.0)), IN_LESION)
    assert not hits(Mark(confidence=1, point=(11.0, 19.0, 29.0)), IN_LESION)
    assert hits(Mark(confidence=1, box=((4.0, 4.0, 4.0), (6.0, 6.0, 6.0))), IN_LESION)  # its middle


def test_boxes_hit_by_overlap() -> None:
    assert hits(Mark(confidence=1, box=((1.0, 0.0, 0.0), (11.0, 20.0, 30.0))), OVERLAP)
    assert hits(Mark(confidence=1, box=((4.0, 4.0, 4.0), (6.0, 6.0, 6.0))), OVERLAP)  # IoM: all of it inside
    assert not hits(Mark(confidence=1, box=((9.0, 0.0, 0.0), (19.0, 20.0, 30.0))), OVERLAP)


def test_a_click_hits_within_the_distance() -> None:
    near = HitRule(kind="distance", distance_mm=5)
    assert hits(Mark(confidence=1, point=(5.0, 10.0, 20.0)), near)
    assert not hits(Mark(confidence=1, point=(5.0, 10.0, 20.1)), near)


def test_a_click_hits_the_outline_where_there_is_one(tmp_path: Path) -> None:
    """The outline's grid has its own spacing and origin; a point is (z, y, x) in mm."""
    labels = np.zeros((4, 5, 6), dtype=np.uint8)
    labels[2, 3, 4] = 7
    affine = np.diag([2.0, 3.0, 5.0, 1.0])
    affine[:3, 3] = (-10, 20, 100)
    write_nrrd(tmp_path / "truth.nrrd", labels, affine)
    lesion = replace(LESION, mask=LesionMask(path=tmp_path / "truth.nrrd", label=7))
    inside = (100 + 2 * 5.0, 20 + 3 * 3.0, -10 + 4 * 2.0)
    assert hits(Mark(confidence=1, point=inside), IN_LESION, lesion)
    assert not hits(Mark(confidence=1, point=(inside[0] + 5, *inside[1:])), IN_LESION, lesion)
    assert not hits(Mark(confidence=1, point=(-500.0, 0.0, 0.0)), IN_LESION, lesion)
    gone = replace(LESION, mask=LesionMask(path=tmp_path / "gone.nrrd", label=7))
    with pytest.raises(DatasetError, match="outlines of a case are not there"):
        hits(Mark(confidence=1, point=inside), IN_LESION, gone)


def test_no_mark_is_not_a_missing_reading() -> None:
    case = Case(id="C1", lesions=(LESION, replace(LESION, id="b")))
    found = score_case(case, (), IN_LESION, Masks())
    assert found is not None
    assert found.lesion_ratings == (NOT_MARKED, NOT_MARKED)
    assert score_case(case, None, IN_LESION, Masks()) is None
    assert score_case(Case(id="C2"), (), IN_LESION, Masks()) is None  # its lesions are not known


def test_what_a_rule_lacks_is_named() -> None:
    with pytest.raises(DatasetError, match="rule is overlap"):
        hits(Mark(confidence=1, point=(1.0, 1.0, 1.0)), OVERLAP)
    with pytest.raises(DatasetError, match='"a" has neither an outline nor a box'):
        hits(Mark(confidence=1, point=(1.0, 1.0, 1.0)), IN_LESION, replace(LESION, box=None))
    with pytest.raises(DatasetError, match='"a" has no centre'):
        hits(Mark(confidence=1, point=(1.0, 1.0, 1.0)), HitRule(kind="distance"), replace(LESION, centre=None))
    with pytest.raises(DatasetError, match="neither a place nor a box"):
        hits(Mark(confidence=1), IN_LESION)


def test_a_study_is_scored_by_arm_reader_and_case() -> None:
    data = simulate_study(SimulatedStudy(readers=3, cases=12, seed=1))
    scored, cases = score_study(Index(data), data.protocol.hit_rule)
    assert set(scored) == {"unassisted", "assisted", AI}
    assert len(cases) == 12
    assert all(len(cell) == 12 for readers in scored.values() for cell in readers.values())
    silent = replace(data, answers=tuple(replace(answer, marks=None) for answer in data.answers))
    with pytest.raises(StatisticsError, match="not asked to mark"):
        score_study(Index(silent), IN_LESION)
    blind = replace(data, cases=tuple(replace(case, lesions=None) for case in data.cases))
    with pytest.raises(StatisticsError, match="places of the true lesions"):
        score_study(Index(blind), IN_LESION)
