"""Nothing that a reader must not know can be reached from the reader's session, the images or the log.

Everything reachable is walked: attributes, slots, items, closures, and what the garbage collector knows.
"""

import gc
import re
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from study_builder import FORM, TOY_PARTS, SmallStudy, make_study

from LiverAILib.export.run_folder import read_run
from LiverAILib.readerstudy.layout import cases_folder
from LiverAILib.readerstudy.session import ReaderSession
from LiverAILib.readerstudy.timing import Event

#: Of the archive (see `named_study` and `cases`), the truth, another reader's and the reader's own earlier answers.
BLINDED = ("mueller", "secret", "1.2.3.4", "truth", "haemangioma", "otherremark", "ownremark", "agrees_with_ai")
#: What the AI found; allowed while a case of the assisted arm is open.
OF_THE_AI = ("0.875", "malignancy", "ai_mark", "lesion_1")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> SmallStudy:
    """Prepared by the real machinery from an archive full of names; R2 has read, R1 has begun."""
    study = make_study(tmp_path_factory.mktemp("study"), prepare="real", count=4, training=0, washout_days=0)
    study.read_all("R2", {**FORM, "remarks": "otherremark"}, most=8)
    study.read_all("R1", {**FORM, "remarks": "ownremark"}, most=1)
    return study


def reachable(root: Any) -> Iterator[str]:
    """The text of every string, path, number and key that can be reached from an object."""
    seen: set[int] = set()
    todo: list[Any] = [root]
    while todo:
        value = todo.pop()
        if id(value) in seen or isinstance(value, types.ModuleType):
            continue
        seen.add(id(value))
        if isinstance(value, str | bytes | Path | int | float):
            yield str(value).lower()
        elif isinstance(value, np.ndarray):
            yield str(value.tolist() if value.size < 1000 else "").lower()
        elif isinstance(value, type):
            continue  # classes are code, not data
        elif isinstance(value, types.FunctionType):
            todo.extend(cell.cell_contents for cell in value.__closure__ or ())
        else:
            yield repr(value).lower() if type(value).__module__.startswith("LiverAILib") else ""
            todo.extend(gc.get_referents(value))
            todo.extend(vars(value).values() if hasattr(value, "__dict__") else ())


def found(root: Any, words: tuple[str, ...]) -> set[str]:
    text = "\n".join(reachable(root))
    return {word for word in words if word in text}


def session_in_arm(study: SmallStudy, assisted: bool) -> ReaderSession:
    """R1's session with a case of this arm open, its images loaded."""
    session = study.log_in("R1")
    while True:
        case = session.next_case()
        assert case is not None
        session.log(Event.FIRST_VIEW)
        if case.assisted is assisted:
            return session
        session.submit({**FORM, "remarks": "ownremark"})


def test_the_walk_finds_what_is_there() -> None:
    class Holder:
        def __init__(self) -> None:
            self.deep = {"a": [({"b": Path("/x/Mueller")},)]}

    assert found(Holder(), BLINDED) == {"mueller"}
    assert found(lambda: None, BLINDED) == set()
    secret = "ownremark"
    assert found(lambda: secret, BLINDED) == {"ownremark"}


def test_an_unassisted_case_reaches_nothing_blinded(study: SmallStudy) -> None:
    with session_in_arm(study, assisted=False) as session:
        held = [session, session.volumes(), session._open]
        assert found(held, BLINDED + OF_THE_AI) == set()


def test_an_assisted_case_reaches_the_ai_and_nothing_else(study: SmallStudy) -> None:
    with session_in_arm(study, assisted=True) as session:
        held = [session, session.volumes(), session.ai_run()]
        assert found(held, BLINDED) == set()
        assert "0.875" in found(held, OF_THE_AI)


def test_after_the_answer_neither_it_nor_the_ai_is_reachable(study: SmallStudy) -> None:
    with session_in_arm(study, assisted=True) as session:
        session.ai_run()
        session.submit({**FORM, "remarks": "ownremark"})
        assert found(session, BLINDED + OF_THE_AI) == set()


def test_the_prepared_folder_names_nothing(study: SmallStudy) -> None:
    """Images, findings, segmentation and log of every case, as bytes."""
    names = re.compile(rb"mueller|secret|1\.2\.3\.4|archive", re.IGNORECASE)
    files = [path for path in cases_folder(study.path).rglob("*") if path.is_file()]
    assert len(files) >= 4 * 7
    for path in files:
        assert not names.search(path.read_bytes()), path.name
        assert not names.search(str(path.relative_to(study.path.parent)).encode())
    run = read_run(cases_folder(study.path) / "C001" / "run")
    assert {facts.source for facts in run.findings.phases.values()} == {"arterial", "portal venous"}


def test_the_study_file_names_no_source_and_no_truth(study: SmallStudy) -> None:
    data = study.path.read_bytes()
    for suffix in ("-wal",):
        log = study.path.with_name(study.path.name + suffix)
        data += log.read_bytes() if log.exists() else b""
    assert b"C001" in data
    assert not re.search(rb"mueller|secret|haemangioma|archive", data, re.IGNORECASE)


def test_the_parts_of_the_archive_were_really_there(study: SmallStudy) -> None:
    text = study.truth.read_text()
    assert "Mueller^Anna" in text
    assert "secretwarning" in text
    assert "secretfolder" in text
    assert TOY_PARTS.load is not None
    assert "secretseries" in str(TOY_PARTS.load().volumes)
