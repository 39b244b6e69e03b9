"""The protocol: its template, what is refused and in which words, and what follows from a case's truth."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from study_builder import cases, protocol, write_protocol

from LiverAILib.errors import OutputError
from LiverAILib.export.nrrd import write_nrrd
from LiverAILib.lesion_types import LesionType
from LiverAILib.readerstudy.dataset import Verdict
from LiverAILib.readerstudy.errors import ProtocolError
from LiverAILib.readerstudy.protocol import Protocol
from LiverAILib.readerstudy.protocol_file import parse_protocol, read_protocol, write_template
from LiverAILib.readerstudy.truth import TruthSpec
from LiverAILib.study import Phase


def written(folder: Path, **changes: Any) -> Path:
    return write_protocol(folder, protocol(**changes) | {"cases": changes.pop("cases", cases())})


def test_the_template_is_a_protocol_that_only_lacks_the_exams(tmp_path: Path) -> None:
    path = tmp_path / "protocol.yaml"
    write_template(path)
    read = parse_protocol(path)
    assert read.protocol.primary.merit == "AUC"
    assert [case.training for case in read.cases] == [True, False, False]
    assert read.cases[1].truth.hcc is True
    assert read.cases[2].phases == {"4": Phase.ARTERIAL}
    with pytest.raises(ProtocolError, match=r'case "practice": .*exams/practice is not there'):
        read_protocol(path)
    with pytest.raises(OutputError, match="there already"):
        write_template(path)


def test_paths_are_relative_to_the_protocol(tmp_path: Path) -> None:
    read = read_protocol(written(tmp_path))
    assert read.cases[0].paths == (tmp_path / "archive/Mueller_0_secretfolder",)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"wash_out": 3}, "wash_out: Extra inputs"),
        ({"readers": [{"code": "R1"}, {"code": "r1"}]}, 'the reader "R1" is there twice'),
        ({"readers": [{"code": "Dr Miller"}]}, r"readers\[1\].code"),
        ({"washout_days": -1}, "washout_days"),
        ({"alpha": 5}, "alpha"),
        ({"questions": [{"kind": "hcc"}]}, "AUC of HCC needs the question hcc, with confidence"),
        ({"questions": [{"kind": "hcc", "confidence": True, "type": True}]}, "only marks are asked for a type"),
        (
            {"primary": {"merit": "AUC", "target": "HCC", "first": "with", "second": "without"}},
            "must be the two arms assisted and unassisted",
        ),
        (
            {"primary": {"merit": "wAFROC", "target": "HCC", "first": "assisted", "second": "unassisted"}}
            | {"questions": [{"kind": "hcc", "confidence": True}]},
            "wAFROC needs the question marks",
        ),
        ({"hit_rule": {"kind": "overlap"}}, "overlap needs boxes"),
        ({"arms": [{"name": "a", "assisted": True}, {"name": "b", "assisted": True}]}, "one arm is assisted"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ProtocolError, match=words):
        read_protocol(written(tmp_path, **changes))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("title: a\ntitle: b\n", "line 2"),
        ("title: [a\n", "line 2, column 1"),
        ("- just a list\n", "holds no protocol"),
        ("a: !!python/object:os.system x\n", "line 1"),
    ],
)
def test_a_file_that_is_not_a_protocol_is_refused_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "protocol.yaml"
    path.write_text(text)
    with pytest.raises(ProtocolError, match=words):
        read_protocol(path)


def test_no_is_a_word_and_not_false(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_text(path.read_text().replace("R2", "NO"))
    assert [reader.code for reader in read_protocol(path).readers] == ["R1", "NO"]


def test_cases_may_come_from_a_table(tmp_path: Path) -> None:
    mask = np.zeros((4, 5, 6), np.uint8)
    mask[1, 1, 1], mask[2, 3, 4] = 1, 2
    write_nrrd(tmp_path / "m.nrrd", mask, np.eye(4))
    for name in ("a.nii.gz", "b.nii.gz", "exam"):
        (tmp_path / name).touch()
    (tmp_path / "cases.csv").write_text(
        "name,input,arterial,portal_venous,training,hcc,verdict,type,mask,types\n"
        "one,exam,,,yes,,no lesion,,,\n"
        "two,,a.nii.gz,b.nii.gz,,,,,m.nrrd,cyst;hcc\n"
        "three,exam,,,,no,malignant,,,\n"
    )
    path = write_protocol(tmp_path, protocol() | {"cases": []})
    path.write_text(path.read_text().replace("cases: []", "cases: cases.csv"))
    one, two, three = read_protocol(path).cases
    assert one.training
    assert one.truth.lesions == ()
    assert two.input == {Phase.ARTERIAL: tmp_path / "a.nii.gz", Phase.PORTAL_VENOUS: tmp_path / "b.nii.gz"}
    assert (two.truth.hcc, two.truth.verdict, two.truth.type) == (True, Verdict.MALIGNANT, LesionType.HCC)
    assert (three.truth.hcc, three.truth.verdict) == (False, Verdict.MALIGNANT)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("one,exam,perhaps,,", "training is yes or no"),
        ("one,exam,yes,m.nrrd,", "mask and types go together"),
        ("one,,,,", "neither input"),
        ("one,exam", "not as many fields"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, row: str, words: str) -> None:
    (tmp_path / "cases.csv").write_text(f"name,input,training,mask,types\n{row}\n")
    path = write_protocol(tmp_path, protocol() | {"cases": []})
    path.write_text(path.read_text().replace("cases: []", "cases: cases.csv"))
    with pytest.raises(ProtocolError, match=f"cases.csv, line 2: .*{words}"):
        read_protocol(path)


def test_a_mask_without_the_lesion_is_found_before_the_reading(tmp_path: Path) -> None:
    write_nrrd(tmp_path / "m.nrrd", np.ones((4, 5, 6), np.uint8), np.eye(4))
    listed = cases(2)
    listed[0]["truth"] = {"lesions": [{"type": "hcc", "mask": {"path": "m.nrrd", "label": 3}}]}
    with pytest.raises(ProtocolError, match="no voxel of value 3"):
        read_protocol(written(tmp_path, cases=listed))


def test_centre_and_box_of_a_lesion_come_from_its_mask(tmp_path: Path) -> None:
    affine = np.array([[0, 0, 2, 10], [0.5, 0, 0, 20], [0, -1, 0, 30], [0, 0, 0, 1.0]])
    mask = np.zeros((4, 5, 6), np.uint8)
    mask[1:3, 2, 3:5] = 1  # z y x: indices 1 to 2, 2, 3 to 4
    write_nrrd(tmp_path / "m.nrrd", mask, affine)
    listed = cases(2)
    listed[0]["truth"] = {"lesions": [{"type": "hcc", "mask": {"path": "m.nrrd"}}]}
    listed[1]["truth"] = {"lesions": [{"type": "cyst", "box_lps_mm": [[0, 0, 0], [4, 6, 8]]}]}
    read = read_protocol(written(tmp_path, cases=listed))
    (masked,), (boxed,) = (case.truth.lesions or () for case in read.cases[:2])
    assert masked.centre_lps_mm == (13, 21.75, 28)
    assert masked.box_lps_mm == ((11, 21.25, 27.5), (15, 22.25, 28.5))
    assert boxed.centre_lps_mm == (2, 3, 4)


@pytest.mark.parametrize(
    ("truth", "changes", "words"),
    [
        ({"verdict": "malignant"}, {}, "endpoint needs its truth of hcc"),
        ({"lesions": [{"type": "hcc", "centre_lps_mm": [0, 0, 0]}]}, {}, "hit rule needs a mask or a box"),
        (
            {"type": "hcc"},
            {"primary": {"merit": "wAFROC", "target": "HCC", "first": "assisted", "second": "unassisted"}},
            "wAFROC needs the places",
        ),
    ],
)
def test_a_truth_that_the_endpoint_can_not_use_is_refused(
    tmp_path: Path, truth: dict[str, Any], changes: dict[str, Any], words: str
) -> None:
    listed = cases(2)
    listed[0]["truth"] = truth
    with pytest.raises(ProtocolError, match=f'case "Mueller.Anna 0": .*{words}'):
        read_protocol(written(tmp_path, cases=listed, **changes))
    listed[0] |= {"training": True}
    listed[1]["truth"] = {"hcc": True, "lesions": [{"type": "hcc", "box_lps_mm": [[0, 0, 0], [1, 1, 1]]}]}
    read_protocol(written(tmp_path, cases=listed[:2], **changes))


@pytest.mark.parametrize(
    ("given", "hcc", "verdict", "kind"),
    [
        ({"type": "hcc"}, True, "malignant", "hcc"),
        ({"type": "icc"}, False, "malignant", "icc"),
        ({"type": "cyst"}, False, "benign", "cyst"),
        ({"verdict": "malignant"}, None, "malignant", None),
        ({"verdict": "no lesion"}, False, "no lesion", None),
        ({"lesions": []}, False, "no lesion", None),
        ({"hcc": True}, True, "malignant", None),
        ({"hcc": False}, False, None, None),
        ({"lesions": ["cyst", "hcc"]}, True, "malignant", "hcc"),
        ({"lesions": ["cyst", None], "verdict": "malignant"}, None, "malignant", None),
        ({"lesions": ["fnh", "cyst"]}, False, "benign", "fnh"),
    ],
)
def test_what_follows_from_the_truth(given: dict[str, Any], hcc: bool | None, verdict: str, kind: str) -> None:
    truth = TruthSpec.model_validate(with_places(given))
    assert (truth.hcc, truth.verdict, truth.type) == (hcc, verdict, kind)
    assert TruthSpec.model_validate(truth.model_dump()) == truth


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"hcc": True, "verdict": "benign"},
        {"hcc": False, "type": "hcc"},
        {"hcc": False, "lesions": ["hcc"]},
        {"type": "cyst", "verdict": "malignant"},
        {"lesions": [], "verdict": "benign"},
        {"lesions": ["cyst"], "verdict": "no lesion"},
    ],
)
def test_a_truth_that_contradicts_itself_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TruthSpec.model_validate(with_places(given))


def with_places(given: dict[str, Any]) -> dict[str, Any]:
    if "lesions" in given:
        return given | {"lesions": [{"type": kind, "centre_lps_mm": (0, 0, 0)} for kind in given["lesions"]]}
    return given


def test_the_seal_follows_every_item() -> None:
    one = Protocol.model_validate(protocol())
    assert one.sha256() == Protocol.model_validate(protocol()).sha256()
    assert one.sha256() != Protocol.model_validate(protocol(alpha=0.025)).sha256()
