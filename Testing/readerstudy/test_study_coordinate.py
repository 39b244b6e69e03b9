"""What the coordinator does: seal, amend, verify, look at the progress; and the same from the command line."""

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from study_builder import FORM, SmallStudy, cases, copy_study, make_study, protocol, write_protocol

from LiverAILib.cli import main
from LiverAILib.errors import OutputError
from LiverAILib.readerstudy.coordinate import (
    amend_study,
    create_study,
    override,
    reopen,
    seal_study,
)
from LiverAILib.readerstudy.dataset import Verdict
from LiverAILib.readerstudy.errors import ProtocolError, StudyFileError
from LiverAILib.readerstudy.layout import cases_folder
from LiverAILib.readerstudy.load import load_dataset
from LiverAILib.readerstudy.schema import COLUMNS, GENESIS, OBJECTS, chain_hash
from LiverAILib.readerstudy.standing import study_progress
from LiverAILib.readerstudy.verify import verify_study


@pytest.fixture
def study(tmp_path: Path) -> SmallStudy:
    """Two readers, four cases, one for training; sealed."""
    return make_study(tmp_path)


def changed_protocol(study: SmallStudy, **changes: Any) -> Path:
    return write_protocol(study.path.parent, protocol(**changes) | {"cases": changes.pop("cases", cases())})


def test_what_is_there_is_not_overwritten(study: SmallStudy) -> None:
    with pytest.raises(OutputError, match=r"study.sqlite is there already"):
        create_study(study.path.parent / "protocol.yaml", study.path)
    study.path.unlink()
    with pytest.raises(OutputError, match=r"study.truth.json is there already"):
        create_study(study.path.parent / "protocol.yaml", study.path)
    assert not study.path.exists()


def test_a_protocol_is_sealed_once_and_before_the_first_answer(tmp_path: Path) -> None:
    study = make_study(tmp_path, sealed=False)
    study.read_all("R1", most=1)  # a training case does not count
    copy = copy_study(study, tmp_path.with_name("copy"))
    sha256 = seal_study(study.path, study.clock)
    assert load_dataset(study.path).protocol.sealed_sha256 == sha256
    with pytest.raises(ProtocolError, match="was sealed on 2026-03-01"):
        seal_study(study.path, study.clock)
    copy.read_all("R1", most=1)
    with pytest.raises(ProtocolError, match=r"1 answers already.*a pilot"):
        seal_study(copy.path, copy.clock)


def test_an_amendment_is_dated_has_a_reason_and_leaves_the_seal(study: SmallStudy) -> None:
    before = load_dataset(study.path).protocol
    study.clock.go_on(days=3)
    changes = amend_study(
        study.path, changed_protocol(study, washout_days=14), "ethics board asked for it", clock=study.clock
    )
    assert changes == {"washout_days": [30.0, 14.0]}
    after = load_dataset(study.path).protocol
    assert after.washout_days == 14
    assert after.sealed_sha256 == before.sealed_sha256
    (told,) = after.amendments
    assert told.utc.startswith("2026-03-04")
    assert told.text == "ethics board asked for it (changed: washout_days)"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": 8}, "can't change seed"),
        ({"readers": [{"code": "R1"}]}, "can't change readers"),
        ({"cases": cases(5)}, "cases are not those"),
        ({"questions": [{"kind": "hcc", "confidence": True}]}, "can't change questions"),
        ({}, "is the same"),
    ],
)
def test_an_amendment_can_not_make_another_study(study: SmallStudy, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ProtocolError, match=words):
        amend_study(study.path, changed_protocol(study, **changes), "it seemed better", clock=study.clock)


def test_a_draft_may_be_changed_and_the_report_tells_only_of_what_came_after_the_seal(tmp_path: Path) -> None:
    study = make_study(tmp_path, sealed=False)
    amend_study(study.path, changed_protocol(study, alpha=0.01), "it seemed better", clock=study.clock)
    sha256 = seal_study(study.path, study.clock)
    facts = load_dataset(study.path).protocol
    assert (facts.alpha, facts.sealed_sha256, facts.amendments) == (0.01, sha256, ())


def test_an_amendment_needs_a_reason(study: SmallStudy) -> None:
    with pytest.raises(ProtocolError, match="reason in words"):
        amend_study(study.path, changed_protocol(study, alpha=0.01), " because ", clock=study.clock)


def test_a_truth_that_was_wrong_is_corrected_by_an_amendment_only(study: SmallStudy) -> None:
    by_hand = json.loads(study.truth.read_text())
    by_hand["cases"]["C001"]["truth"] = {"hcc": False, "verdict": "benign", "type": None, "lesions": None}
    kept = study.truth.read_text()
    study.truth.write_text(json.dumps(by_hand))
    with pytest.raises(StudyFileError, match="was changed: its cases or their truth"):
        verify_study(study.path, study.truth)
    study.truth.write_text(kept)
    listed = cases()
    listed[0]["truth"] = {"type": "icc"}
    changes = amend_study(study.path, changed_protocol(study, cases=listed), "histology came late", clock=study.clock)
    (case_id,) = changes["truth of"]
    corrected = next(case for case in load_dataset(study.path).cases if case.id == case_id)
    assert (corrected.hcc, corrected.verdict) == (False, Verdict.MALIGNANT)
    assert "icc" not in load_dataset(study.path).protocol.amendments[0].text


def test_an_amendment_that_was_cut_off_between_its_files_is_finished(study: SmallStudy) -> None:
    old = study.truth.read_text()
    listed = cases()
    listed[0]["truth"] = {"type": "icc"}
    amend_study(study.path, changed_protocol(study, cases=listed), "histology came late", clock=study.clock)
    new = study.truth.read_text()
    study.truth.with_suffix(".amended").write_text(new)
    study.truth.write_text(old)
    verify_study(study.path, study.truth)
    assert not study.truth.with_suffix(".amended").exists()
    assert json.loads(study.truth.read_text())["cases"] == json.loads(new)["cases"]
    study.truth.with_suffix(".amended").write_text(old)  # one that was cut off before its entry was stored
    verify_study(study.path, study.truth)
    assert json.loads(study.truth.read_text())["cases"] == json.loads(new)["cases"]
    assert not study.truth.with_suffix(".amended").exists()


def test_reasons_and_names_are_asked_for(study: SmallStudy) -> None:
    with pytest.raises(StudyFileError, match=r'"R9" is no reader of this study. Readers: R1, R2'):
        override(study.path, "washout", "no time left", "R9", clock=study.clock)
    with pytest.raises(StudyFileError, match='"C099" is no case'):
        reopen(study.path, "R1", "C099", "assisted", "no time left", study.clock)
    with pytest.raises(StudyFileError, match="without a reader"):
        override(study.path, "clock", "no time left", "R1", clock=study.clock)
    with pytest.raises(StudyFileError, match="no rule"):
        override(study.path, "blinding", "no time left", "R1", clock=study.clock)


def test_progress_shows_who_is_how_far_and_no_answer(study: SmallStudy) -> None:
    study.read_all("R1", {**FORM, "remarks": "very sure"}, most=5)
    progress = study_progress(study.path, study.clock)
    one, two = progress.readers
    assert (one.training, one.periods) == ((1, 1), ((4, 4), (0, 4)))
    assert one.next_from is not None
    assert (two.periods, two.last, two.finished) == (((0, 4), (0, 4)), None, False)
    study.clock.go_on(days=31)
    study.read_all("R1")
    assert study_progress(study.path, study.clock).readers[0].finished
    text = study_progress(study.path, study.clock).text()
    assert "finished" in text
    for word in ("hcc", "benign", "very sure", "90", "unassisted"):
        assert word not in text.lower()


def rewrite(path: Path, number: int, content: str) -> None:
    """Change an entry and compute the whole chain anew, as somebody does who knows how it is made."""
    connection = sqlite3.connect(path, isolation_level=None)
    for name in ("no_update", "no_delete"):
        connection.execute(f"DROP TRIGGER {name}")
    connection.execute("UPDATE entry SET content = ? WHERE number = ?", (content, number))
    last = GENESIS
    for row in connection.execute(f"SELECT {', '.join(COLUMNS)} FROM entry ORDER BY number").fetchall():
        own = chain_hash(last, row)
        connection.execute("UPDATE entry SET previous = ?, hash = ? WHERE number = ?", (last, own, row[0]))
        last = own
    for name in ("no_update", "no_delete"):
        connection.execute(OBJECTS[name])
    connection.close()


def test_a_chain_that_was_rewritten_as_a_whole_differs_from_an_earlier_verification(study: SmallStudy) -> None:
    study.read_all("R1", most=2)
    number = verify_study(study.path, study.truth).head.number
    rewrite(study.path, number - 1, '{"seconds":1,"answer":{}}')
    verify_study(study.path)  # consistent in itself
    with pytest.raises(StudyFileError, match="differs from the one seen at an earlier verification"):
        verify_study(study.path, study.truth)


def test_a_file_whose_end_was_cut_off_differs_from_an_earlier_verification(study: SmallStudy) -> None:
    shutil.copy(study.path, study.path.with_name("earlier.sqlite"))
    study.read_all("R1", most=2)
    verify_study(study.path, study.truth)
    study.path.with_name("earlier.sqlite").replace(study.path)
    with pytest.raises(StudyFileError, match="or is gone"):
        verify_study(study.path, study.truth)


def test_the_truth_of_another_study_is_refused(study: SmallStudy, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = make_study(tmp_path / "other")
    with pytest.raises(StudyFileError, match="another study"):
        verify_study(study.path, other.truth)


def test_changed_prepared_files_are_named(study: SmallStudy) -> None:
    assert verify_study(study.path, study.truth, files=True).checked[-1] == "15 prepared files"
    path = cases_folder(study.path) / "C002" / "run" / "findings.json"
    path.write_text(path.read_text().replace("0.3", "0.9"))
    verify_study(study.path, study.truth)
    with pytest.raises(StudyFileError, match=r"C002.run.findings.json is not the file that was prepared"):
        verify_study(study.path, study.truth, files=True)


def test_the_data_set_is_what_was_read(study: SmallStudy) -> None:
    study.read_all("R1", most=5)
    data = load_dataset(study.path)
    assert data.expected_answers == 16
    assert len(data.answers) == 4
    assert [case.id for case in data.cases] == ["C001", "C002", "C003", "C004"]
    assert sum(bool(case.hcc) for case in data.cases) == 2
    answer = data.answers[0]
    assert (answer.hcc, answer.verdict) == (False, Verdict.BENIGN)
    assert (answer.p_hcc, answer.p_malignant, answer.confidence) == (0.1, 0.2, 0.9)
    assert answer.marks is not None
    assert answer.marks[0].point == (-100.0, 0.0, -10.0)  # z y x
    result = data.ai[0]
    assert (result.hcc, result.verdict, result.type) == (False, Verdict.BENIGN, "haemangioma")
    assert (result.p_hcc, result.p_malignant, result.low_risk) == (0.3, 0.3, True)
    assert data.readers[0].experience_years == 4
    assert data.protocol.endpoint is not None
    assert data.protocol.endpoint.merit == "AUC"


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    code = main(["study", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out + captured.err


def test_the_command_line_from_the_protocol_to_the_seal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, study = tmp_path / "protocol.yaml", tmp_path / "study.sqlite"
    assert run(capsys, "new", path)[0] == 0
    assert run(capsys, "new", path)[0] == 6
    for name in ("practice", "first", "second"):
        (tmp_path / "exams" / name).mkdir(parents=True)
    values = YAML(typ="safe", pure=True).load(path.read_text())
    values["cases"][1] = {"name": "first", "input": "exams/first", "truth": {"type": "hcc"}}
    write_protocol(tmp_path, values)
    code, text = run(capsys, "create", path, "-o", study)
    assert code == 0, text
    assert "2 cases, 1 for training, 12 readings" in text
    assert study.with_name("study.truth.json").stat().st_mode & 0o077 == 0
    code, text = run(capsys, "prepare", study, "--progress", "none")
    assert code == 3
    assert "Not prepared: first" in text
    assert "0 cases are ready (0 new), 3 failed" in text
    assert run(capsys, "seal", study)[0] == 0
    code, text = run(capsys, "status", study)
    assert code == 0
    assert "Prepared cases: 0 of 3" in text
    path.write_text(path.read_text().replace("alpha: 0.05", "alpha: 0.01"))
    code, text = run(capsys, "amend", study, path, "--reason", "asked by reviewers")
    assert (code, text) == (0, "Amended: alpha.\n")
    code, text = run(capsys, "verify", study)
    assert code == 0, text
    assert "1 amendments" in text
    assert run(capsys, "override", study, "--reader", "R1", "--reason", "on leave soon")[0] == 0
    code, text = run(capsys, "reopen", study, "--reader", "R1", "--case", "C001", "--arm", "x", "--reason", "a b")
    assert code == 3
    assert "no answer to C001" in text
    code, text = run(capsys, "verify", tmp_path / "none.sqlite")
    assert code == 3
    assert "is not there" in text


def test_sealing_says_how_many_cases_are_not_prepared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for prepare, said in (("no", "5 of 5 cases are not prepared yet"), ("toy", "")):
        study = make_study(tmp_path / prepare, sealed=False, prepare=prepare)
        code, text = run(capsys, "seal", study.path)
        assert code == 0
        assert said in text
        assert ("not prepared" in text) == bool(said)
