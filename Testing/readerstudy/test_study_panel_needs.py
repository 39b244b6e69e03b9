"""What the reading panel asks of a session besides: one phase at a time, what comes next, whose file it was."""

from pathlib import Path

import numpy as np
import pytest
from study_builder import FORM, SmallStudy, make_study

from LiverAILib.readerstudy.errors import CaseFileError, SessionEndedError
from LiverAILib.readerstudy.layout import cases_folder
from LiverAILib.readerstudy.timing import Event


@pytest.fixture
def study(tmp_path: Path) -> SmallStudy:
    return make_study(tmp_path, count=2, training=1)


def test_a_phase_by_itself_is_the_one_of_all(study: SmallStudy) -> None:
    with study.log_in() as session:
        case = session.next_case()
        assert case is not None
        every = session.volumes()
        assert list(every) == list(case.phases)
        for phase, volume in every.items():
            assert np.array_equal(session.volume(phase).array, volume.array)


def test_only_a_sequential_study_goes_on_with_the_same_images(study: SmallStudy, tmp_path: Path) -> None:
    with study.log_in() as session:
        assert not session.goes_on
        study.read(session)
        assert not session.goes_on
    sequential = make_study(tmp_path / "sequential", design="sequential", count=2, training=0)
    with sequential.log_in() as session:
        told = []
        for _ in range(4):
            case = session.next_case()
            assert case is not None
            session.log(Event.FIRST_VIEW)
            session.submit(FORM)
            told.append((case.assisted, session.goes_on))
    assert told == [(False, True), (True, False)] * 2


def test_a_login_knows_whether_it_replaced_a_session(study: SmallStudy) -> None:
    with study.log_in() as session:
        assert not session.replaced
    open_one = study.log_in()
    with study.log_in() as session:
        assert session.replaced
        with pytest.raises(SessionEndedError, match="logged in elsewhere"):
            open_one.next_case()
    with pytest.raises(SessionEndedError, match="Log in again"):
        session.volumes()


def test_the_error_of_a_missing_file_is_told_from_that_of_the_study_file(study: SmallStudy) -> None:
    for path in cases_folder(study.path).rglob("portal_venous.nrrd"):
        path.unlink()
    with study.log_in() as session, pytest.raises(CaseFileError, match="can't be read"):
        session.next_case()
