"""Slice networks against known slices: a stand-in that sees dark spots, and truth that agrees with it or not."""

from __future__ import annotations

import re

import numpy as np
import pytest
from stage_exams import SeesDark, reads_risk
from toy_pool import PV, toy_exam, toy_scan

from LiverAILib.analysis.networks import SliceFormat
from LiverAILib.evaluation.slice_reading import (
    hccnet_part,
    longest_mm,
    nodulenet_part,
    read_scan_slices,
)
from LiverAILib.lesion_types import LesionType
from LiverAILib.study import Phase, Volume
from LiverAILib.training.real_scans import RealScan
from LiverAILib.training.validated_risk import read_exam_risk

TAKEN = SliceFormat(1.5, 96)
BALL = ((19.0, 28.0, 36.0), 12.0, 40)
OTHER = ((19.0, 44.0, 20.0), 7.0, 40)


def silent(_: str) -> None:
    """Says nothing."""


def values(figures) -> dict[str, float]:  # type: ignore[no-untyped-def]
    return {figure.what: figure.value for figure in figures}


def test_slices_with_a_lesion_score_higher_and_their_saliency_peaks_in_it() -> None:
    scans = [toy_scan("a", [BALL], ["tumour"]), toy_scan("b", [OTHER], ["lesion"]), toy_scan("c", [], [])]
    part, pictures = nodulenet_part(SeesDark(), scans, TAKEN, 0.5, silent)
    found = values(part.figures)
    assert found["NoduleNet AUROC, slices"] == 1
    assert found["SMOE: maximum inside a lesion"] == 1
    assert found["SMOE: maximum of the liver inside a lesion"] == 1
    assert part.figures[0].n.endswith("of 3 patients")
    assert [picture.name for picture in pictures] == ["roc_nodulenet"]
    assert part.cases[2]["large"] == [False] * len(part.cases[2]["nodule"])


def test_in_the_liver_that_is_found_slices_beyond_it_are_not_read() -> None:
    scans = [toy_scan("a", [BALL], ["tumour"]), toy_scan("c", [], [])]

    def lower_part(volume: Volume) -> np.ndarray:
        liver = np.asarray(volume.array > 0)
        liver[int(BALL[0][0]) :] = False  # the upper half of the lesion lies beyond
        return liver

    part, _ = nodulenet_part(SeesDark(), scans, TAKEN, 0.5, silent, find_liver=lower_part)
    whole, own = (
        next(figure for figure in part.figures if figure.what == what)
        for what in ("NoduleNet AUROC, slices", "NoduleNet AUROC, slices, found liver")
    )
    count = [int(text) for text in re.findall(r"\d+", own.n)]
    assert own.value == 1
    assert 0 < count[1] < count[2] == int(re.findall(r"\d+", whole.n)[1])
    nothing, _ = nodulenet_part(SeesDark(), scans, TAKEN, 0.5, silent, find_liver=lambda scan: scan.array > 9999)
    words = {figure.what: figure.words for figure in nothing.figures}
    assert words["NoduleNet AUROC, slices, found liver"] == "not estimable"


def test_saliency_beside_the_lesion_counts_as_a_miss() -> None:
    seen, true = toy_scan("a", [OTHER], ["lesion"]), toy_scan("a", [BALL], ["lesion"])
    moved = RealScan("a", "a", seen.volume, seen.liver, true.ids, true.lesions)
    read = read_scan_slices(SeesDark(), moved, TAKEN)
    assert read.large.any()
    peaks = [peak for peak, large in zip(read.peak, read.large, strict=True) if large]
    assert not any(peaks)


def test_without_any_lesion_there_is_no_area_but_a_note() -> None:
    part, pictures = nodulenet_part(SeesDark(), [toy_scan("c", [], [])], TAKEN, 0.5, silent)
    assert not part.figures
    assert not pictures
    assert any("no AUROC" in note for note in part.notes)


def test_the_longest_side_of_a_region() -> None:
    plane = np.zeros((20, 20), dtype=bool)
    assert longest_mm(plane, (1.0, 1.0)) == 0
    plane[2:5, 2:10] = True
    plane[12:18, 12] = True
    assert longest_mm(plane, (1.0, 1.5)) == 12
    assert longest_mm(plane, (3.0, 1.0)) == 18


def test_patients_with_an_hcc_have_the_higher_risk() -> None:
    sick = [toy_exam(seed, [BALL], [LesionType.HCC]) for seed in (1, 2)]
    well = [toy_exam(seed, [], []) for seed in (3, 4, 5)]
    part, pictures = hccnet_part(reads_risk(), sick + well, 0.05, silent)
    found = values(part.figures)
    assert found["HCCNet AUROC, patients"] == 1
    assert part.figures[0].n == "5 exams (2 with an HCC)"
    assert [picture.name for picture in pictures] == ["roc_hccnet"]
    assert hccnet_part(reads_risk(), well, None, silent)[0].notes


def test_slices_with_a_lesion_of_unknown_type_take_no_part_in_the_risk() -> None:
    phases = (Phase.ARTERIAL, PV)
    plain, real = toy_exam(1, [], [], phases), toy_exam(2, [BALL], [None], phases)
    of_plain, of_real = (read_exam_risk(reads_risk(), exam) for exam in (plain, real))
    assert of_plain is not None
    assert of_real is not None
    assert of_real.images < of_plain.images
    assert of_real.risk == pytest.approx(of_plain.risk)
    assert not of_real.hcc
