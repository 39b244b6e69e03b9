"""A reader at the panel: log in, read case after case, answer, log out; crashes, a closed scene, two programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import slicer
from PySide6 import QtGui
from reading_study import FULL_FORM, Station
from slicer_host import start_host, wait_until
from study_builder import SmallStudy

from LiverAILib.errors import LiverAIError
from LiverAILib.readerstudy.load import load_dataset
from LiverAILib.readerstudy.schema import Kind
from LiverAILib.readerstudy.store import StudyFile


def entries(study: SmallStudy, kind: Kind) -> list[Any]:
    with StudyFile.open(study.path, study.clock) as file:
        return [entry for entry in file.entries() if entry.kind is kind]


def events(study: SmallStudy) -> list[str]:
    return [entry.content["event"] for entry in entries(study, Kind.EVENT)]


def volumes() -> list[str]:
    found = slicer.mrmlScene.GetNodesByClass("vtkMRMLScalarVolumeNode")
    return [found.GetItemAsObject(index).GetName() for index in range(found.GetNumberOfItems())]


def composite(name: str) -> Any:
    return slicer.app.layoutManager().sliceWidget(name).sliceLogic().GetSliceCompositeNode()


def test_a_reader_logs_in_reads_and_logs_out(station: Station, study: SmallStudy) -> None:
    station.log_in(" r1 ")
    assert station.page.notice.text.startswith("Cases come one by one")
    case = station.next()
    assert case.training
    assert station.page.title.text == "Training case 1 of 2"
    assert "does not count" in station.page.notice.text
    assert volumes() == ["Arterial", "Portal venous"]
    station.fill()
    station.submit()
    assert station.page.title.text == "Stored."
    assert volumes() == []
    assert station.page.form is None
    titles = []
    for _ in range(3):
        station.read()
        titles.append(station.page.answeredBar.value)
    assert titles == [0, 1, 2]
    station.page.leaveButton.click()
    assert not station.page.widget.isVisibleTo(station.reading.section)
    data = load_dataset(study.path)
    assert len(data.answers) == 2
    assert {answer.active_seconds for answer in data.answers} == {30}


def test_the_answer_is_stored_as_it_was_given(station: Station, study: SmallStudy) -> None:
    station.log_in()
    station.next()
    station.fill(hcc="yes", verdict="malignant", kind="hcc", sure=80)
    key = station.mark((-12.0, 3.0, -95.0), sure=15)
    station.page.form.marks.rows[key].type.widget.setCurrentIndex(1)
    station.page.form.fields["remarks"].widget.setPlainText("blurred")
    station.submit()
    (entry,) = entries(study, Kind.ANSWER)
    answer = entry.content["answer"]
    assert answer["hcc"] == {"answer": "yes", "confidence": 80}
    assert answer["p_hcc"] == 80
    assert answer["type"] == {"answer": "hcc"}
    assert answer["remarks"] == "blurred"
    first, second = answer["marks"]
    assert first == {"point_lps_mm": [-10.0, 0.0, -100.0], "confidence": 70, "type": "haemangioma"}
    assert second == {"point_lps_mm": [-12.0, 3.0, -95.0], "confidence": 15, "type": "hcc"}


def test_nothing_is_answered_beforehand_and_what_is_missing_is_said(station: Station, study: SmallStudy) -> None:
    station.log_in()
    station.next()
    assert station.page.answer() == {"marks": [], "remarks": ""}
    station.page.submitButton.click()
    assert "hepatocellular carcinoma" in station.message
    assert "not answered yet" in station.message
    station.fill(verdict="malignant")
    station.page.submitButton.click()
    assert "contradicts" in station.message
    station.page.form.fields["verdict"].buttons["benign"].click()
    station.page.submitButton.click()
    assert station.page.title.text == "Stored."
    assert len(entries(study, Kind.ANSWER)) == 1


def test_phases_hang_side_by_side_axial_linked_and_in_one_window(station: Station) -> None:
    before = slicer.app.layoutManager().layout
    station.log_in()
    station.next()
    assert slicer.app.layoutManager().layout == 7302
    shown = [slicer.mrmlScene.GetNodeByID(composite(f"LiverAI{n}").GetBackgroundVolumeID()) for n in (1, 2)]
    assert [node.GetName() for node in shown] == ["Arterial", "Portal venous"]
    assert all(composite(f"LiverAI{n}").GetHotLinkedControl() for n in (1, 2))
    shown[0].GetDisplayNode().SetWindowLevel(350, 40)
    assert shown[1].GetDisplayNode().GetWindow() == 350
    node = slicer.app.layoutManager().sliceWidget("LiverAI1").mrmlSliceNode()
    offset = node.GetSliceOffset()
    node.SetSliceOffset(offset + 20)
    node.SetOrientation("Coronal")
    station.page.hangButton.click()
    assert node.GetSliceOffset() == pytest.approx(offset)
    assert node.GetOrientation() == "Axial"
    assert shown[1].GetDisplayNode().GetWindow() == 200
    station.page.leaveButton.click()
    station.page.leaveButton.click()
    assert slicer.app.layoutManager().layout == before


def test_the_ai_is_shown_in_the_assisted_arm_and_what_is_opened_is_logged(station: Station, study: SmallStudy) -> None:
    station.log_in()
    station.read_until(assisted=True)
    assert station.page.notice.text.startswith("With the AI's result.")
    ai = station.page.ai
    assert len(ai.findings.order()) == 2
    assert not composite("LiverAI1").GetForegroundVolumeID()
    ai.overlay.heat.widget.setCurrentIndex(0)
    assert composite("LiverAI1").GetForegroundVolumeID() == ai.session.shown.probability.GetID()
    station.page.toggle_ai()
    assert not ai.session.shown.segmentation.GetDisplayNode().GetVisibility()
    station.page.step_lesion(1)
    assert ai.findings.selected() == ai.findings.order()[0]
    station.fill()
    station.submit()
    assert station.page.ai is None
    last = entries(study, Kind.ANSWER)[-1]
    assert last.arm == "assisted"
    own = [entry.content for entry in entries(study, Kind.EVENT) if entry.case_id == last.case_id]
    told = [(one["event"], one.get("detail")) for one in own]
    assert ("AI shown", None) in told
    overlays = [one for one in told if one[0].startswith("overlay")]
    assert overlays == [
        ("overlay shown", "segments"),
        ("overlay shown", "probability"),
        ("overlay hidden", "probability"),
        ("overlay hidden", "segments"),
    ]


def test_without_the_ai_there_is_nothing_of_it(station: Station, study: SmallStudy) -> None:
    station.log_in()
    station.read_until(assisted=False)
    assert station.page.ai is None
    station.page.step_lesion(1)
    station.page.toggle_ai()
    assert volumes() == ["Arterial", "Portal venous"]
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0
    assert "AI shown" not in events(study)


def test_while_a_session_is_open_the_analysis_is_gone_and_comes_back(station: Station) -> None:
    assert station.widget.panel is not None
    station.log_in()
    assert station.widget.panel is None
    with pytest.raises(LiverAIError, match="reading session is open"):
        station.widget.logic.analyze({})
    with pytest.raises(LiverAIError, match="reading session is open"):
        station.widget.logic.show("anywhere", {})
    shortcuts = {key.key.toString() for key in slicer.util.mainWindow().findChildren(QtGui.QShortcut)}
    assert shortcuts == {"M", "N", "P", "A", "Ctrl+Return"}
    station.page.leaveButton.click()
    assert station.widget.panel is not None
    assert station.widget.panel.run.analyzeButton is not None
    assert {key.key.toString() for key in slicer.util.mainWindow().findChildren(QtGui.QShortcut)} == set("NPKJA")


def test_keys_mark_and_submit(station: Station, study: SmallStudy) -> None:
    station.log_in()
    station.next()
    keys = {key.key.toString(): key for key in slicer.util.mainWindow().findChildren(QtGui.QShortcut)}
    keys["M"].activated.emit()
    (row,) = station.page.form.marks.rows.values()
    row.type.widget.setCurrentIndex(5)
    row.confidence.setValue(50)
    station.fill()
    keys["Ctrl+Return"].activated.emit()
    assert len(entries(study, Kind.ANSWER)) == 1
    (mark,) = entries(study, Kind.ANSWER)[0].content["answer"]["marks"]
    assert mark["confidence"] == 50


def test_marks_follow_the_images(station: Station) -> None:
    station.log_in()
    station.next()
    box = station.page.form.marks
    assert box.none.text == "Nothing is marked."
    box.placeButton.click()
    interaction = slicer.mrmlScene.GetNodeByID("vtkMRMLInteractionNodeSingleton")
    assert interaction.GetCurrentInteractionMode() == interaction.Place
    one = station.mark((-10.0, 0.0, -100.0))
    two = station.mark((-20.0, 5.0, -90.0))
    assert [row.goButton.text for row in box.rows.values()] == ["1", "2"]
    box.rows[two].goButton.click()
    view = slicer.app.layoutManager().sliceWidget("LiverAI1").mrmlSliceNode()
    assert view.GetSliceOffset() == pytest.approx(-90, abs=0.01)
    from reading_study import marks_node

    marks_node().SetNthControlPointPosition(1, 21.0, -5.0, -92.5)  # dragged, in RAS
    assert box.value[1]["point_lps_mm"] == pytest.approx([-21.0, 5.0, -92.5])
    box.rows[one].removeButton.click()
    assert [row.goButton.text for row in box.rows.values()] == ["1"]
    assert box.value[0]["point_lps_mm"] == pytest.approx([-21.0, 5.0, -92.5])
    assert marks_node().GetNthControlPointLabel(0) == "1"


def test_after_a_crash_the_open_case_comes_again(make_station: Any, study: SmallStudy, tmp_path: Path) -> None:
    crashed = make_station(study)
    crashed.log_in()
    crashed.read()
    before = crashed.next()
    study.clock.go_on(25)
    crashed.screen.in_front = False
    crashed.reading.watch.tick()
    crashed.reading.watch.stop()  # the process is gone; nobody logged out
    start_host(tmp_path / "again", window=True)
    again = make_station(study)
    again.log_in()
    assert "has ended" in again.page.notice.text
    assert again.next() == before
    again.fill()
    again.submit(10)
    assert len(entries(study, Kind.ANSWER)) == 2


def test_a_login_in_another_program_ends_the_session(station: Station, study: SmallStudy) -> None:
    station.log_in()
    station.next()
    station.fill()
    with study.log_in("R1") as other:
        station.submit()
        assert "same code logged in elsewhere" in station.message
        assert station.widget.panel is not None
        assert volumes() == []
        assert entries(study, Kind.ANSWER) == []
        study.read(other, FULL_FORM)
    assert len(entries(study, Kind.ANSWER)) == 1


def test_two_readers_in_two_programs_do_not_disturb_each_other(station: Station, study: SmallStudy) -> None:
    station.log_in("R1")
    station.read()
    with study.log_in("R2") as other:
        study.read(other, FULL_FORM)
        station.read()
        study.read(other, FULL_FORM)
    assert [entry.reader for entry in entries(study, Kind.ANSWER)] == ["R1", "R2", "R1", "R2"]


def test_a_closed_scene_shows_the_case_again_with_its_marks(station: Station, study: SmallStudy) -> None:
    station.log_in()
    station.next()
    station.fill()
    slicer.mrmlScene.Clear(0)
    assert wait_until(lambda: len(volumes()) == 2 and not station.reading.room.loading, 10)
    assert len(station.page.form.marks.rows) == 1
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLMarkupsFiducialNode") == 1
    station.submit()
    (entry,) = entries(study, Kind.ANSWER)
    assert entry.content["answer"]["marks"][0]["point_lps_mm"] == [-10.0, 0.0, -100.0]
    assert events(study).count("loading") == events(study).count("loaded") == 2


def test_a_scene_closed_in_the_assisted_arm_shows_the_ai_again(station: Station) -> None:
    station.log_in()
    station.read_until(assisted=True)
    slicer.mrmlScene.Clear(0)
    assert wait_until(lambda: not station.reading.room.loading and station.page.ai is not None, 10)
    assert len(station.page.ai.findings.order()) == 2


def test_quitting_slicer_during_a_case_logs_out_and_loses_only_that_case(station: Station, study: SmallStudy) -> None:
    station.log_in()
    station.read()
    station.next()
    station.fill()
    station.widget.cleanup()
    assert len(entries(study, Kind.ANSWER)) == 1
    assert entries(study, Kind.SESSION_END)[-1].content == {"why": "logged out"}
    assert volumes() == []


def test_logging_out_of_an_open_case_asks_once(station: Station, study: SmallStudy) -> None:
    station.log_in()
    station.next()
    station.page.leaveButton.click()
    assert "not submitted" in station.message
    assert station.reading.room.case is not None
    station.page.leaveButton.click()
    assert station.widget.panel is not None
    assert entries(study, Kind.ANSWER) == []


def test_leaving_the_module_and_coming_back_keeps_the_case(station: Station, study: SmallStudy) -> None:
    station.log_in()
    station.next()
    station.fill()
    station.widget.exit()
    assert not any(key.enabled for key in slicer.util.mainWindow().findChildren(QtGui.QShortcut))
    station.widget.enter()
    station.submit()
    assert len(entries(study, Kind.ANSWER)) == 1


def test_time_counts_from_the_first_view_without_pauses_and_other_windows(station: Station, study: SmallStudy) -> None:
    station.log_in()
    station.read()
    station.read()
    case = station.next()
    assert not case.training
    study.clock.go_on(20)
    station.screen.state = 1  # the mouse moves
    station.reading.watch.tick()
    study.clock.go_on(300)  # and rests for longer than idle_seconds
    station.screen.state = 2
    station.reading.watch.tick()
    study.clock.go_on(10)
    station.screen.in_front = False
    station.reading.watch.tick()
    study.clock.go_on(40)
    station.screen.in_front = True
    station.reading.watch.tick()
    station.fill()
    station.submit(5)
    (answer,) = load_dataset(study.path).answers
    assert answer.wall_seconds == 375
    assert answer.active_seconds == 35


def test_the_washout_is_told_with_its_date_and_ends(station: Station, study: SmallStudy) -> None:
    station.log_in()
    for _ in range(4):
        station.read()
    assert station.next() is None
    assert "2026-03-31" in station.message
    assert station.page.nextButton.isVisibleTo(station.page.widget)
    study.clock.go_on(days=31)
    assert station.next() is not None


def test_an_override_of_the_coordinator_lets_the_reader_go_on(station: Station, study: SmallStudy) -> None:
    from LiverAILib.readerstudy.coordinate import override

    station.log_in()
    for _ in range(4):
        station.read()
    assert station.next() is None
    override(study.path, "washout", "the reader leaves the hospital", "R1", clock=study.clock)
    station.page.leaveButton.click()
    station.log_in()
    assert station.next() is not None
    station.page.leaveButton.click()
    station.page.leaveButton.click()
    station.reading.login.progressButton.click()
    table = station.reading.progress.table
    assert table.item(0, 7).text() == "1"


def test_after_the_last_case_the_session_is_over(station: Station, study: SmallStudy) -> None:
    station.log_in()
    for _ in range(4):
        station.read()
    station.page.leaveButton.click()
    study.clock.go_on(days=40)
    station.log_in()
    for _ in range(2):
        station.read()
    station.page.nextButton.click()
    assert "You have read all your cases" in station.message
    assert entries(study, Kind.SESSION_END)[-1].content == {"why": "logged out"}
    assert len(load_dataset(study.path).answers) == 4


def test_the_coordinator_sees_progress_and_no_answers(station: Station, study: SmallStudy) -> None:
    study.read_all("R2", FULL_FORM, most=3)
    station.reading.login.path.currentPath = str(study.path)
    station.reading.login.progressButton.click()
    progress = station.reading.progress
    assert "A small study (sealed on 2026-03-01). Prepared cases: 4 of 4." in progress.summary.text
    rows = [[progress.table.item(row, column).text() for column in range(8)] for row in range(2)]
    assert rows[0][:5] == ["R1", "0/2", "0/2", "0/2", "may read"]
    assert rows[1][:4] == ["R2", "2/2", "1/2", "0/2"]
    station.log_in()
    assert progress.table.rowCount == 0
    assert progress.summary.text == ""


def test_the_study_file_is_remembered_on_this_computer(station: Station, make_station: Any) -> None:
    station.log_in()
    station.page.leaveButton.click()
    assert make_station(station.study).reading.login.path.currentPath == str(station.study.path)
    assert station.reading.login.code.text == ""
