"""Bad days at the reading station: each is said in a sentence with what to do, and nothing that was stored is lost."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import slicer
from reading_study import FULL_FORM, Station
from slicer_host import wait_until
from study_builder import SmallStudy, make_study

from LiverAILib.readerstudy.layout import cases_folder
from LiverAILib.readerstudy.schema import Kind
from LiverAILib.readerstudy.store import StudyFile
from LiverAILib.readerstudy.timing import Event


def answers(study: SmallStudy) -> int:
    with StudyFile.open(study.path, study.clock) as file:
        return sum(entry.kind is Kind.ANSWER for entry in file.entries())


def not_logged_in(station: Station) -> bool:
    """The login page, with the analysis as it was."""
    reading = station.reading
    return station.widget.panel is not None and reading.login.widget.isVisibleTo(reading.section)


def test_without_file_or_code_the_missing_one_is_asked_for(station: Station) -> None:
    station.reading.login.loginButton.click()
    assert station.message == "Choose the study file first."
    station.reading.login.progressButton.click()
    assert station.message == "Choose the study file first."
    station.log_in("")
    assert station.message == "Type your code first."


def test_a_missing_study_file(station: Station, study: SmallStudy) -> None:
    study.path.unlink()
    station.log_in()
    assert "study.sqlite is not there" in station.message
    assert not_logged_in(station)
    station.reading.login.progressButton.click()
    assert "study.sqlite is not there" in station.message


def test_a_file_that_is_no_study(station: Station, study: SmallStudy) -> None:
    study.path.write_text("hello")
    station.log_in()
    assert "is not a study file of LiverAI" in station.message
    assert not_logged_in(station)


def test_an_edited_study_file_is_named_and_not_read(station: Station, study: SmallStudy) -> None:
    with sqlite3.connect(study.path) as connection:
        connection.execute("DROP TRIGGER no_update")
        connection.execute("UPDATE entry SET utc = '2020-01-01T00:00:00.000+00:00' WHERE number = 3")
    connection.close()
    station.log_in()
    assert "was changed by another hand or is damaged" in station.message
    assert "last good copy" in station.message
    assert not_logged_in(station)


def test_a_damaged_study_file(station: Station, study: SmallStudy) -> None:
    data = bytearray(study.path.read_bytes())
    data[4096:8192] = b"\xff" * 4096
    study.path.write_bytes(data)
    station.log_in()
    assert "damaged" in station.message
    assert not_logged_in(station)


def test_an_unknown_code_is_told_no_other(station: Station) -> None:
    station.log_in("R9")
    assert "not one of the study" in station.message
    assert "R1" not in station.message
    assert not_logged_in(station)
    station.log_in("R2")
    assert station.widget.panel is None


def test_a_protocol_that_is_not_sealed_is_a_pilot(make_station: Any, tmp_path: Path) -> None:
    station = make_station(make_study(tmp_path / "study", sealed=False))
    station.log_in()
    assert "not sealed: this is a pilot" in station.page.notice.text


def test_cases_that_are_not_prepared(make_station: Any, tmp_path: Path) -> None:
    station = make_station(make_study(tmp_path / "study", prepare="no"))
    station.log_in()
    assert "5 cases are not prepared yet" in station.message
    assert "`liverai study prepare`" in station.message


def test_a_study_file_that_another_program_holds(
    make_station: Any, study: SmallStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    station = make_station(study)
    station.log_in()
    station.next()
    station.fill()
    station.reading.room.session._connection.set_authorizer(None)
    station.reading.room.session._connection.execute("PRAGMA busy_timeout = 50")
    holder = sqlite3.connect(study.path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    station.submit()
    assert "being written by another program" in station.message
    assert station.reading.room.case is not None
    holder.execute("ROLLBACK")
    holder.close()
    station.submit()
    assert answers(study) == 1


def test_a_full_disk_keeps_the_case_open_and_the_answer_typed(station: Station, study: SmallStudy) -> None:
    station.log_in()
    station.next()
    station.fill()
    station.page.form.fields["remarks"].widget.setPlainText("x" * 9000)
    connection = station.reading.room.session._connection
    connection.set_authorizer(None)
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    station.submit()
    assert station.message.startswith("The disk is full")
    assert "Free some space" in station.message
    assert len(station.page.answer()["remarks"]) == 9000
    connection.execute("PRAGMA max_page_count = 100000")
    station.submit()
    assert answers(study) == 1


def test_a_missing_case_folder(station: Station, study: SmallStudy) -> None:
    cases = cases_folder(study.path)
    cases.rename(cases.with_name("elsewhere"))
    station.log_in()
    station.page.nextButton.click()
    assert "missing or were changed" in station.message
    assert "Ask the coordinator" in station.message
    assert station.reading.room.case is None
    cases.with_name("elsewhere").rename(cases)
    assert station.next() is not None


def test_a_missing_run_folder_stops_the_assisted_case_before_it_is_opened(station: Station, study: SmallStudy) -> None:
    for run in cases_folder(study.path).glob("*/run"):
        shutil.rmtree(run)
    station.log_in()
    arms = []
    for _ in range(2):
        station.page.nextButton.click()
        station.wait()
        if "missing or were changed" in station.message:
            break
        arms.append(station.reading.room.case.arm)
        station.fill()
        station.submit()
    else:
        pytest.fail("an assisted case was shown without its run folder")
    assert set(arms) <= {"unassisted"}
    with StudyFile.open(study.path, study.clock) as file:
        assert all(entry.arm == "unassisted" for entry in file.entries() if entry.kind is Kind.BEGIN)


def test_images_that_vanish_while_they_are_loaded_can_be_tried_again(station: Station, study: SmallStudy) -> None:
    station.log_in()
    station.page.nextButton.click()
    cases = cases_folder(study.path)
    cases.rename(cases.with_name("elsewhere"))
    assert wait_until(lambda: bool(station.message), 10)
    assert "missing or were changed" in station.message
    assert station.page.retryButton.isVisibleTo(station.page.widget)
    cases.with_name("elsewhere").rename(cases)
    station.page.retryButton.click()
    assert wait_until(lambda: station.page.form is not None, 10)
    assert not station.page.retryButton.isVisibleTo(station.page.widget)
    station.fill()
    station.submit()
    assert answers(study) == 1


def test_a_result_that_vanishes_while_it_is_loaded_names_no_file(station: Station, study: SmallStudy) -> None:
    station.log_in()
    station.page.nextButton.click()
    if not station.reading.room.case.assisted:
        station.wait()
        station.fill()
        station.submit()
        station.page.nextButton.click()
    assert station.reading.room.case.assisted
    for run in cases_folder(study.path).glob("*/run"):
        shutil.rmtree(run)
    assert wait_until(lambda: bool(station.message), 10)
    assert station.message == "This case can't be shown. Try again, or ask the coordinator."
    assert station.page.form is None
    station.page.leaveButton.click()
    assert station.widget.panel is not None


def test_a_clock_that_was_set_back_is_told(station: Station, study: SmallStudy) -> None:
    study.clock.set_back(hours=5)
    station.log_in()
    assert "Set the clock right" in station.message


def test_a_running_analysis_comes_first(station: Station) -> None:
    class Running:
        running = True

        def abandon(self) -> None:
            pass

    station.widget.panel.job = Running()
    station.log_in()
    assert "An analysis is running" in station.message
    assert station.widget.panel is not None
    station.widget.panel.job = None


def test_an_unexpected_error_is_said_and_logged(station: Station, caplog: pytest.LogCaptureFixture) -> None:
    station.log_in()
    station.next()
    station.reading.room.attempt(lambda: 1 / 0)
    assert "Unexpected error (ZeroDivisionError)" in station.message
    assert "ZeroDivisionError" in caplog.text


def test_work_in_the_scene_is_closed_only_after_a_second_click(station: Station, study: SmallStudy) -> None:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "My points")
    station.log_in()
    assert "Save what you need" in station.message
    assert slicer.mrmlScene.IsNodePresent(node)
    station.log_in("R9")  # a wrong code does not close it either
    assert "not one of the study" in station.message
    assert slicer.mrmlScene.IsNodePresent(node)
    station.log_in()
    station.reading.login.loginButton.click()
    assert station.widget.panel is None
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLMarkupsFiducialNode") == 0


def test_events_of_other_moments_are_not_logged(station: Station, study: SmallStudy) -> None:
    station.log_in()
    station.reading.room.note(Event.FOCUS_LOST)
    station.reading.room.touch()
    station.reading.submit()
    assert station.message == ""
    with StudyFile.open(study.path, study.clock) as file:
        assert not [entry for entry in file.entries() if entry.kind is Kind.EVENT]


def test_other_programs_reading_the_study_is_no_obstacle(station: Station, study: SmallStudy) -> None:
    station.log_in()
    study.read_all("R2", FULL_FORM, most=2)
    station.read()
    station.reading.show_progress(study.path)
    assert answers(study) == 3
