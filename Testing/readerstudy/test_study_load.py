"""From the study file to the report: answers, marks and truth arrive where the analysis looks for them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from liverai_fakes import toy_affine
from study_builder import FORM, SmallStudy, cases, make_study

from LiverAILib.cli import main
from LiverAILib.export.nrrd import write_nrrd
from LiverAILib.readerstudy.analysis.hits import Masks, mark_hits
from LiverAILib.readerstudy.load import load_dataset
from LiverAILib.readerstudy.timing import Event

#: Voxels (x, y, z) in the lesion of `with_masks` and outside it, in LPS mm on an oblique grid.
AFFINE = toy_affine(oblique=True)
IN_LESION, BESIDE = ((AFFINE @ (*voxel, 1))[:3].tolist() for voxel in ((41, 31, 11), (31, 41, 11)))


def with_masks(folder: Path) -> list[dict[str, Any]]:
    """Cases of which every second has an HCC with a mask, the others nothing."""
    mask = np.zeros((20, 64, 72), np.uint8)
    mask[9:13, 29:34, 38:45] = 2
    write_nrrd(folder / "lesions.nrrd", mask, AFFINE)
    listed = cases(8, training=0)
    for number, case in enumerate(listed):
        lesions = [{"type": "hcc", "mask": {"path": "lesions.nrrd", "label": 2}}] if number % 2 else []
        case["truth"] = {"lesions": lesions}
    return listed


@pytest.fixture
def study(tmp_path: Path) -> SmallStudy:
    """Three readers who mark one voxel in every case and call it an HCC with their own confidence."""
    marked = {
        "hcc": {"answer": "yes", "confidence": 80},
        "verdict": {"answer": "malignant", "confidence": 70},
        "marks": [{"point_lps_mm": IN_LESION, "confidence": 60}, {"point_lps_mm": BESIDE, "confidence": 20}],
    }
    nothing = {**FORM, "verdict": {"answer": "no lesion", "confidence": 80}, "marks": []}
    readers = [{"code": f"R{number}"} for number in range(3)]
    study = make_study(tmp_path, cases=with_masks(tmp_path), readers=readers, washout_days=0, idle_seconds=60)
    for number, reader in enumerate(readers):
        with study.log_in(reader["code"]) as session:
            for step in range(16):
                session.next_case()
                session.log(Event.FIRST_VIEW)
                study.clock.go_on(20 + 3 * number + step)
                session.submit(marked if (step + number) % 3 else nothing)
    return study


def test_marks_find_the_lesions_that_they_were_put_into(study: SmallStudy) -> None:
    data = load_dataset(study.path)
    lesions = [case.lesions[0] for case in data.cases if case.lesions]
    marks = next(answer.marks for answer in data.answers if answer.marks)
    assert len(lesions) == 4
    for rule in ("in lesion", "distance"):
        chosen = type(data.protocol.hit_rule)(kind=rule, distance_mm=6)
        assert [mark_hits(mark, lesions[0], chosen, Masks()) for mark in marks] == [True, False]


def test_the_report_comes_from_the_study_file(study: SmallStudy, capsys: pytest.CaptureFixture[str]) -> None:
    out = study.path.parent / "report"
    code = main(["study", "analyze", str(study.path), "-o", str(out), "--replicates", "100"])
    assert code == 0, capsys.readouterr().err
    text = (out / "report.html").read_text()
    assert load_dataset(study.path).protocol.sealed_sha256[:12] in text
    assert "A small study" in text
    assert "Mueller" not in text
