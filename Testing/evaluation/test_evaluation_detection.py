"""Detection against known lesions: what counts as found, as false, and as neither."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from stage_exams import SeesLiver, sees_levels, stand_ins
from toy_pool import PV, toy_exam, toy_scan

from LiverAILib.analysis.boxes3d import FoundBoxes
from LiverAILib.analysis.link import LinkOptions
from LiverAILib.analysis.segment import Segmentation
from LiverAILib.evaluation.detecting_part import detector_part
from LiverAILib.evaluation.detection import detect_in_exam, detect_in_scan, exam_figures, judge, recall_at, segmented
from LiverAILib.evaluation.overlap import same_regions
from LiverAILib.evaluation.part import draw_pictures
from LiverAILib.evaluation.whole import outline, whole_part
from LiverAILib.lesion_types import LesionType
from LiverAILib.readerstudy.statistics.marks import NOT_MARKED
from LiverAILib.study import Phase, Volume
from LiverAILib.training.detector import LEAST_SCORES, NO_REGIONS, REGION_PEAKS, find_in_exams

ART = Phase.ARTERIAL
LARGE = ((18.0, 20.0, 30.0), 9.0, 10)
SMALL = ((18.0, 42.0, 30.0), 4.0, 40)
BRIGHT = ((20.0, 30.0, 52.0), 6.0, 150)  # the stand-in for the detector sees dark lesions only


def silent(_: str) -> None:
    """Says nothing."""


def boxes(*rows: tuple[float, ...], scores: tuple[float, ...]) -> FoundBoxes:
    return FoundBoxes(np.array(rows, dtype=np.float64).reshape(-1, 6), np.array(scores), np.ones(len(rows), np.int64))


def test_found_missed_and_false_lesions_of_an_exam() -> None:
    exam = toy_exam(1, [LARGE, SMALL, BRIGHT], [LesionType.ICC, LesionType.METASTASIS, LesionType.HCC], (ART, PV))
    case = detect_in_exam(exam, SeesLiver(), stand_ins(), 0.0)
    assert case.ratings == (0.9, 0.9, NOT_MARKED)
    assert case.false == ()
    figures = {figure.what: figure for figure in exam_figures([case, case], 0.5, "toys")}
    assert figures["detection recall, all lesions"].value == pytest.approx(2 / 3)
    assert figures["detection recall, lesions < 1 cm"].value == 1
    assert figures["detection recall, lesions < 1 cm"].n == "2 lesions of 2 exams"
    assert figures["false positives a case"].value == 0


def test_a_real_lesion_is_neither_asked_for_nor_false_when_found() -> None:
    exam = toy_exam(1, [LARGE, SMALL], [None, LesionType.CYST])
    case = detect_in_exam(exam, SeesLiver(), stand_ins(), 0.0)
    assert case.marks().lesion_ratings == (0.9,)
    assert case.false == ()


def test_a_lesion_found_in_one_phase_is_found_and_a_box_beside_is_false() -> None:
    exam = toy_exam(1, [LARGE], [LesionType.CYST], (ART, PV))
    voxels = np.argwhere(exam.lesion_ids[ART])
    low, high = voxels.min(axis=0), voxels.max(axis=0) + 1
    found = {
        ART: boxes((*low, *high), scores=(0.8,)),
        PV: boxes((16.0, 40.0, 50.0, 20.0, 46.0, 56.0), scores=(0.4,)),
    }
    lesions = detect_in_exam(exam, SeesLiver(), stand_ins(), 0.0).lesions
    case = judge("a", "p", exam.study, segmented(exam.study, SeesLiver()), exam.lesion_ids, lesions, found, 0.5)
    assert case.ratings == (0.8,)
    assert case.false == (0.4,)
    assert [number for _, number in case.matched] == [1]  # the weak one is under the package's threshold
    assert recall_at([case.marks()], 0.0) == 1


def test_what_training_finds_in_an_exam_counts_once_for_all_its_phases() -> None:
    exam = toy_exam(1, [LARGE, SMALL, BRIGHT], [LesionType.ICC, LesionType.CYST, LesionType.HCC], (ART, PV))

    class Faint:
        """Sees dark lesions, the small one faintly and in the arterial phase only."""

        def look(self, volume: Volume, segmentation: Segmentation) -> tuple[Volume, Segmentation]:
            return volume, segmentation

        def join(self, looked: tuple[Volume, Segmentation], link: LinkOptions) -> FoundBoxes:
            found = sees_levels(*looked, lambda _: None)  # type: ignore[arg-type]
            small = found.boxes[:, 4] - found.boxes[:, 1] < 10
            scores = np.where(small, 0.1, 0.9)
            shown = (scores >= link.least_score) & ~(small & (looked[0] is exam.study.volumes[PV]))
            return FoundBoxes(found.boxes, scores, found.slices).where(shown)

    found = find_in_exams(Faint(), [exam], SeesLiver())  # type: ignore[arg-type]
    assert list(found) == list(product(LEAST_SCORES, REGION_PEAKS))
    (every,), (sure,), (more,) = found[0.05, NO_REGIONS], found[0.5, NO_REGIONS], found[0.5, 0.8]
    assert every.scores.tolist() == [0.9, 0.1]
    assert every.hits.tolist() == [[True, False, False], [False, True, False]]
    assert sure.scores.tolist() == [0.9]
    assert sure.hits.tolist() == [[True, False, False]]
    assert more.scores.tolist() == [0.9, 0.875]  # the small one is a region of lesion probability 0.875
    assert more.hits.tolist() == every.hits.tolist()


def test_recall_of_large_real_lesions_and_false_positives_where_nothing_is(tmp_path: Path) -> None:
    scans = [toy_scan("a", [LARGE, SMALL], ["tumour", "lesion"]), toy_scan("b", [], [])]
    case = detect_in_scan(scans[0], SeesLiver(), stand_ins(), 0.0)
    assert [lesion.counted for lesion in case.lesions] == [True, False]
    part, pictures = detector_part(
        stand_ins(), SeesLiver(), [toy_exam(1, [LARGE], [LesionType.ICC])], [toy_exam(2, [], [])], scans, silent
    )
    values = {(figure.what, figure.on.split(",")[0]): figure for figure in part.figures}
    assert values["detection recall, real lesions >= 1 ml", "held-out patients"].value == 1
    assert values["detection recall, real lesions >= 1 ml", "held-out patients"].n == "1 lesions of 1 patients"
    assert values["false positives a case, real cases without a lesion", "held-out patients"].value == 0
    empty = values["false positives a case", "phantoms without a lesion"]
    assert empty.value == 0
    assert empty.high is not None
    assert empty.high > 0.5  # one phantom says little
    assert [figure.what for figure in part.figures if "found boxes" in figure.what] == [
        "seven-class accuracy, found boxes"
    ]
    draw_pictures(pictures, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["froc.png"]


def test_what_a_detector_sees_beside_is_counted() -> None:
    networks = stand_ins()
    assert networks.detector is not None

    def doubled(volume, segmentation, progress):  # type: ignore[no-untyped-def]
        found = sees_levels(volume, segmentation, progress)
        extra = boxes((14.0, 44.0, 44.0, 17.0, 50.0, 50.0), scores=(0.7,))
        return FoundBoxes(
            np.concatenate([found.boxes, extra.boxes]),
            np.concatenate([found.scores, extra.scores]),
            np.concatenate([found.slices, extra.slices]),
        )

    networks = replace(networks, detector=replace(networks.detector, run=doubled))
    case = detect_in_exam(toy_exam(3, [], []), SeesLiver(), networks, 0.0)
    assert case.false == (0.7,)
    figures = {figure.what: figure for figure in exam_figures([case], 0.5, "toys")}
    assert figures["false positives a case, exams without any lesion"].value == 1


def test_the_whole_analysis_is_held_against_the_truth() -> None:
    exams = [toy_exam(1, [LARGE, BRIGHT], [LesionType.ICC, LesionType.HCC]), toy_exam(2, [], [])]
    shown = toy_exam(4, [LARGE], [LesionType.ICC])
    empty = [toy_exam(3, [], []), replace(shown, lesion_ids={p: 0 * ids for p, ids in shown.lesion_ids.items()})]
    part, _ = whole_part(exams, empty, SeesLiver(), stand_ins(), silent)
    values = {figure.what: figure.value for figure in part.figures}
    assert values["recall of lesions, whole analysis"] == 0.5
    by_size = [what for what in values if " cm" in what]
    assert by_size == ["recall of lesions of 1 to 2 cm, whole analysis"]  # both are
    assert values[by_size[0]] == 0.5
    assert values["false positives a case, whole analysis"] == 0
    assert values["false positives a case, phantoms without a lesion, whole analysis"] == 0.5
    assert values["seven-class accuracy of found lesions, whole analysis"] == 1
    assert values["liver Dice, mean, whole analysis"] == 1
    assert part.cases[1]["triage"] == "low"
    assert len(part.cases[0]["outlines"]) == 1
    assert values["Dice of a found lesion, median, whole analysis"] == pytest.approx(part.cases[0]["outlines"][0][0])


def test_the_types_of_found_lesions_tell_patients_with_an_hcc() -> None:
    hcc = (LARGE[0], LARGE[1], 5)  # of this level the stand-in says HCC
    exams = [
        toy_exam(1, [hcc], [LesionType.HCC]),
        toy_exam(2, [LARGE], [LesionType.ICC]),
        toy_exam(3, [hcc], [None]),
        toy_exam(4, [BRIGHT], [LesionType.HCC]),
    ]
    part, _ = whole_part(exams, [], SeesLiver(), stand_ins(), silent)
    assert [case["hcc_probability"] for case in part.cases] == [0.94, 0.01, 0, 0]  # of unknown type, and not found
    figure = next(one for one in part.figures if one.what == "HCC by lesion types, AUROC, patients, whole analysis")
    assert figure.value == (1 + 1 + 0 + 0.5) / 4
    assert figure.n == "4 exams (2 with an HCC)"


def test_an_outline_is_held_against_all_lesions_that_it_covers() -> None:
    true = np.zeros((1, 4, 40), np.int32)
    true[0, 0, 0:10], true[0, 0, 10:20], true[0, 0, 30:40] = 1, 2, 3
    found = np.zeros_like(true)
    found[0, 0:2, 0:20], found[0, 0, 30:35] = 1, 2
    same = same_regions(found, true)
    assert outline(found, true, same, 1) == outline(found, true, same, 2) == (pytest.approx(2 / 3), 2.0)
    assert outline(found, true, same, 3) == (pytest.approx(2 / 3), 0.5)
    assert outline(found * 0, true, same_regions(found * 0, true), 1) is None
