"""A reader's session: the order of cases, washout, crashes, and what may not be done."""

from pathlib import Path

import pytest
from study_builder import FORM, INSIDE, OUTSIDE, SmallStudy, make_study

from LiverAILib.readerstudy.coordinate import override, reopen
from LiverAILib.readerstudy.errors import AnswerError, NotYetError, SessionError, StudyFileError
from LiverAILib.readerstudy.layout import cases_folder
from LiverAILib.readerstudy.load import load_dataset
from LiverAILib.readerstudy.schema import Kind
from LiverAILib.readerstudy.state import replay
from LiverAILib.readerstudy.store import StudyFile
from LiverAILib.readerstudy.timing import Event
from LiverAILib.study import Phase

MALIGNANT = {"answer": "malignant", "confidence": 55}


@pytest.fixture
def study(tmp_path: Path) -> SmallStudy:
    """Two readers, four cases, one for training."""
    return make_study(tmp_path)


def own_slots(study: SmallStudy, code: str = "R1") -> list[tuple[str, str]]:
    with StudyFile.open(study.path, study.clock) as file:
        return [(slot.case, slot.arm) for slot in replay(file.entries()).readers[code].slots]


def answered(study: SmallStudy, code: str = "R1") -> list[tuple[str, str]]:
    with StudyFile.open(study.path, study.clock) as file:
        return [
            (entry.case_id or "", entry.arm or "")
            for entry in file.entries()
            if entry.kind is Kind.ANSWER and entry.reader == code
        ]


def test_cases_come_in_the_readers_own_order_training_first(study: SmallStudy) -> None:
    titles = []
    with study.log_in(" r1 ") as session:
        for _ in range(5):
            case = session.next_case()
            assert case is not None
            titles.append(case.title)
            session.log(Event.FIRST_VIEW)
            session.submit(FORM)
        assert session.standing.done == 4
        assert session.standing.total == 8
    assert titles == ["Training case 1 of 1", *(f"Case {number} of 4" for number in range(1, 5))]
    assert answered(study) == own_slots(study)[:5]


def test_the_second_period_waits_for_the_washout_of_each_case(study: SmallStudy) -> None:
    assert study.read_all("R1", most=5) == 5
    with study.log_in() as session, pytest.raises(NotYetError, match=r"from 2026-03-31 08:0[01] UTC on"):
        session.next_case()
    study.clock.go_on(days=29.9)
    with study.log_in() as session, pytest.raises(NotYetError):
        session.next_case()
    study.clock.go_on(days=0.2)
    assert study.read_all("R1") == 4
    assert answered(study) == own_slots(study)


def test_a_case_that_was_only_opened_was_seen(study: SmallStudy) -> None:
    """The washout counts from the last time that the images were open, not from the answer."""
    study.read_all("R1", most=4)
    first_period = own_slots(study)[1:5]
    with study.log_in() as session:
        session.next_case()
    study.clock.go_on(days=10)
    assert study.read_all("R1", most=1) == 1
    study.clock.go_on(days=21)  # 31 days after it was first open, 21 after the answer
    with study.log_in() as session:
        waiting = 0
        for _ in range(4):
            try:
                session.next_case()
            except NotYetError:
                waiting = 1
                break
            session.log(Event.FIRST_VIEW)
            session.submit(FORM)
    assert waiting == 1
    assert first_period[3] == answered(study)[4]
    assert first_period[3][0] not in {case for case, _ in answered(study)[5:]}


def test_the_washout_is_overridden_with_a_reason_that_the_report_gets(study: SmallStudy) -> None:
    study.read_all("R1", most=5)
    override(study.path, "washout", "reader leaves the hospital", "R1", clock=study.clock)
    assert study.read_all("R1") == 4
    (told,) = load_dataset(study.path).overrides
    assert (told.rule, told.reader, told.case, told.reason) == ("washout", "R1", None, "reader leaves the hospital")


def test_an_override_is_for_that_reader_and_case_alone(study: SmallStudy) -> None:
    study.read_all("R1", most=5)
    study.read_all("R2", most=5)
    case = own_slots(study)[5][0]
    override(study.path, "washout", "asked for it", "R1", case, clock=study.clock)
    with study.log_in("R1") as session:
        study.read(session)
        with pytest.raises(NotYetError):
            session.next_case()
    with study.log_in("R2") as session, pytest.raises(NotYetError):
        session.next_case()


def test_setting_the_clock_does_not_shorten_the_washout_unnoticed(study: SmallStudy) -> None:
    study.read_all("R1", most=5)
    study.clock.go_on(days=31)  # not really: the reader sets the clock
    assert study.read_all("R1") == 4
    study.clock.set_back(hours=31 * 24)
    with pytest.raises(NotYetError, match="Set the clock right"):
        study.log_in("R2")
    override(study.path, "clock", "the clock was a month ahead", clock=study.clock)
    study.read_all("R2", most=1)
    assert [told.rule for told in load_dataset(study.path).overrides] == ["clock"]


def test_after_a_crash_the_open_case_comes_again(study: SmallStudy) -> None:
    crashed = study.log_in()
    study.read(crashed)
    before = crashed.next_case()
    crashed.log(Event.FIRST_VIEW)
    study.clock.go_on(25)
    crashed.log(Event.FOCUS_LOST)
    with study.log_in() as session:  # the process is gone; nobody logged out
        assert session.next_case() == before
        session.log(Event.FIRST_VIEW)
        study.clock.go_on(10)
        session.submit(FORM)
    (answer,) = load_dataset(study.path).answers
    assert answer.active_seconds == 35
    with pytest.raises(SessionError, match="has ended"):
        crashed.submit(FORM)


def test_a_second_login_ends_the_first(study: SmallStudy) -> None:
    first = study.log_in()
    first.next_case()
    first.log(Event.FIRST_VIEW)
    with study.log_in() as second:
        with pytest.raises(SessionError, match="same code logged in elsewhere"):
            first.submit(FORM)
        first.close()
        study.read(second)
    assert len(answered(study)) == 1


def test_there_is_no_way_to_skip_or_jump(study: SmallStudy) -> None:
    with study.log_in() as session:
        with pytest.raises(SessionError, match="No case is open"):
            session.submit(FORM)
        session.next_case()
        with pytest.raises(SessionError, match="no way to skip"):
            session.next_case()
        with pytest.raises(SessionError, match="not shown yet"):
            session.submit(FORM)
    with pytest.raises(SessionError, match="session has ended"):
        session.next_case()


def test_a_refused_answer_can_be_put_right(study: SmallStudy) -> None:
    with study.log_in() as session:
        session.next_case()
        session.log(Event.FIRST_VIEW)
        with pytest.raises(AnswerError, match="not answered yet"):
            session.submit({"verdict": FORM["verdict"]})
        with pytest.raises(AnswerError, match="Mark 1 lies outside the images"):
            session.submit({**FORM, "marks": [{"point_lps_mm": OUTSIDE, "confidence": 5}]})
        session.submit({**FORM, "marks": [{"point_lps_mm": INSIDE, "confidence": 5}]})
    assert len(answered(study)) == 1


def test_overlays_and_the_ai_are_there_only_in_the_assisted_arm(study: SmallStudy) -> None:
    arms = []
    with study.log_in() as session:
        for _ in range(5):
            case = session.next_case()
            assert case is not None
            session.log(Event.FIRST_VIEW)
            arms.append(case.arm)
            assert case.assisted is (case.arm == "assisted")
            if case.assisted:
                session.log(Event.OVERLAY_SHOWN, "lesion probability")
                assert (session.ai_run() / "findings.json").is_file()
            else:
                with pytest.raises(SessionError, match="without the AI"):
                    session.ai_run()
                with pytest.raises(SessionError, match="has no overlays"):
                    session.log(Event.OVERLAY_SHOWN, "lesion probability")
            session.submit(FORM)
    assert set(arms) == {"assisted", "unassisted"}


def test_whether_the_ai_was_followed_is_logged_in_the_assisted_arm(study: SmallStudy) -> None:
    """The AI says: benign, no HCC."""
    study.read_all("R1", {**FORM, "hcc": {"answer": "yes", "confidence": 55}, "verdict": MALIGNANT}, most=5)
    with StudyFile.open(study.path, study.clock) as file:
        answers = [entry for entry in file.entries() if entry.kind is Kind.ANSWER]
    for entry in answers:
        expected = {"hcc": False, "verdict": False} if entry.arm == "assisted" else None
        assert entry.content.get("agrees_with_ai") == expected


def test_an_unknown_code_learns_nothing(study: SmallStudy) -> None:
    with pytest.raises(SessionError, match="not one of the study") as error:
        study.log_in("R3")
    assert "R1" not in str(error.value)


def test_reading_waits_for_all_cases_to_be_prepared(tmp_path: Path) -> None:
    study = make_study(tmp_path, prepare="no")
    with pytest.raises(SessionError, match="5 cases are not prepared"):
        study.log_in()


def test_changed_images_are_not_read(study: SmallStudy) -> None:
    case = own_slots(study)[0][0]
    path = cases_folder(study.path) / case / "volumes" / "portal_venous.nrrd"
    path.write_bytes(path.read_bytes() + b"x")
    with study.log_in() as session, pytest.raises(StudyFileError, match="not the file that was prepared"):
        session.next_case()
    path.unlink()
    with study.log_in() as session, pytest.raises(StudyFileError, match="can't be read"):
        session.next_case()


def test_images_come_under_neutral_names(study: SmallStudy) -> None:
    with study.log_in() as session:
        case = session.next_case()
        assert case is not None
        assert case.phases == (Phase.PORTAL_VENOUS,)
        (volume,) = session.volumes().values()
    assert volume.source.label == "portal venous"
    assert volume.array.shape == (20, 64, 72)


def test_a_reopened_case_comes_first_and_its_last_answer_counts(study: SmallStudy) -> None:
    study.read_all("R1", most=5)
    case, arm = own_slots(study)[2]
    reopen(study.path, "R1", case, arm, "pressed the wrong key", study.clock)
    changed = {**FORM, "hcc": {"answer": "no", "confidence": 60}}
    assert study.read_all("R1", changed, most=1) == 1
    assert answered(study)[-1] == (case, arm)
    data = load_dataset(study.path)
    assert {answer.p_hcc for answer in data.answers if answer.case == case} == {0.4}
    assert len(data.answers) == 4
    (told,) = data.overrides
    assert (told.rule, told.reader, told.case) == ("final answer", "R1", case)
    with pytest.raises(StudyFileError, match="no answer to"):
        reopen(study.path, "R1", case, "assisted" if arm == "unassisted" else "unassisted", "by mistake", study.clock)


def test_pauses_are_noticed_by_the_engine(study: SmallStudy) -> None:
    study.read_all("R1", most=1)
    with study.log_in() as session:
        session.next_case()
        study.clock.go_on(12)
        session.log(Event.LOADED)
        session.log(Event.FIRST_VIEW)
        study.clock.go_on(20)
        session.touch()
        study.clock.go_on(300)
        session.touch()
        study.clock.go_on(8)
        session.submit(FORM)
    (answer,) = load_dataset(study.path).answers
    assert (answer.wall_seconds, answer.active_seconds) == (328, 28)


def test_the_sequential_design_asks_at_once_again_with_the_ai(tmp_path: Path) -> None:
    study = make_study(tmp_path, design="sequential", training=0)
    with study.log_in() as session:
        first = session.next_case()
        session.log(Event.FIRST_VIEW)
        study.clock.go_on(30)
        session.submit(FORM)
        second = session.next_case()
        assert first is not None
        assert second is not None
        assert (first.assisted, second.assisted) == (False, True)
        assert (first.again, second.again) == (False, True)
        assert first.title == second.title
        session.log(Event.FIRST_VIEW)
        session.log(Event.OVERLAY_SHOWN, "lesions")
        study.clock.go_on(10)
        session.submit(FORM)
    data = load_dataset(study.path)
    assert [(answer.arm, answer.period) for answer in data.answers] == [("unassisted", 1), ("assisted", 2)]
    assert [answer.active_seconds for answer in data.answers] == [30, 40]  # the second includes the first
    assert data.answers[1].overlays == ("lesions",)


def test_after_the_logout_the_study_is_in_one_file_again(study: SmallStudy) -> None:
    study.read_all("R1", most=1)
    assert not list(study.path.parent.glob("study.sqlite-*"))


def test_a_study_that_is_not_sealed_is_a_pilot(tmp_path: Path) -> None:
    study = make_study(tmp_path, sealed=False)
    with study.log_in() as session:
        assert session.pilot
    assert load_dataset(study.path).protocol.sealed_sha256 is None
