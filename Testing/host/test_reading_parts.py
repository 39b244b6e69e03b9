"""The parts of the reader study's panel by themselves: the form, the marks, the hanging, the watch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from liverai_fakes import toy_study
from PySide6 import QtCore, QtWidgets
from reading_study import QUESTIONS, Station
from slicer_host import start_host
from study_builder import SmallStudy, make_study

from LiverAILib.readerstudy.answers import CHOICES
from LiverAILib.scene.headless import new_scene
from LiverAILib.scene.marks import BOX_MM, Marks, pointer_place
from LiverAILib.scene.reading import empty_scene, holds_work
from LiverAILib.scene.volumes import add_volume
from LiverAILib.study import Phase


class Clicks:
    """Counts the calls."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, *_: Any) -> None:
        self.count += 1


# --- the form


def test_every_answer_that_the_study_takes_can_be_given(module: Any) -> None:
    from LiverAIPanel.question_form import choices

    for kind, answers in CHOICES.items():
        assert {value for value, _ in choices(kind.value)[0]} == set(answers)


def test_only_what_the_protocol_asks_is_asked(make_station: Any, tmp_path: Path) -> None:
    questions = [
        {"kind": "text", "id": "why", "ask": "Why?", "required": True},
        {"kind": "verdict", "ask": "What is it?", "confidence": True},
        {"kind": "marks", "ask": "Where?"},
    ]
    primary = {"merit": "accuracy", "target": "malignant", "first": "assisted", "second": "unassisted"}
    station: Station = make_station(make_study(tmp_path / "study", questions=questions, primary=primary))
    station.log_in()
    station.next()
    form = station.page.form
    assert list(form.fields) == ["why", "verdict", "marks"]
    assert list(form.confidences) == ["verdict"]
    shown = [label.text for label in form.widget.findChildren(QtWidgets.QLabel)]
    assert [text for text in shown if text.endswith("?")] == ["Why?", "What is it?", "Where?"]
    station.fill(verdict="no lesion")
    station.submit()
    assert '"Why?" is not answered yet' in station.message
    form.fields["why"].widget.setPlainText("nothing there")
    station.submit()
    assert station.page.title.text == "Stored."


def test_confidence_is_said_by_slider_or_number_and_50_is_not_presumed(module: Any) -> None:
    from LiverAIPanel.answer_fields import Confidence

    changed = Clicks()
    field = Confidence(changed)
    assert field.value is None
    assert field.number.text == "–"
    field.slider.sliderReleased.emit()  # the handle was touched where it is
    assert field.value == 50
    field.slider.setValue(80)
    assert (field.value, field.number.value) == (80, 80)
    field.number.setValue(7)
    assert (field.value, field.slider.value) == (7, 7)
    assert changed.count == 3


def test_the_form_is_filled_with_the_keyboard_alone(station: Station) -> None:
    station.log_in()
    station.next()
    station.mark()
    kinds = (QtWidgets.QAbstractButton, QtWidgets.QSpinBox, QtWidgets.QComboBox, QtWidgets.QPlainTextEdit)
    fields = [widget for kind in kinds for widget in station.page.widget.findChildren(kind)]
    assert len(fields) > 15
    for widget in fields:
        assert widget.focusPolicy & QtCore.Qt.FocusPolicy.TabFocus, widget
    assert station.page.form.fields["remarks"].widget.tabChangesFocus


@pytest.mark.parametrize("language", ["", "de"])
def test_the_page_fits_into_400_pixels(module: Any, make_station: Any, study: SmallStudy, language: str) -> None:
    slicer.app.language = language
    shown = module.LiverAI(type("Parent", (), {})())
    try:
        station = make_station(study)
        station.log_in()
        station.read_until(assisted=True)
        station.fill()
        station.mark((-20.0, 5.0, -90.0))
        assert station.widget.parent.minimumSizeHint().width() <= 400
        words = "Abgeben" if language else "Submit"
        assert station.page.submitButton.text.startswith(words)
    finally:
        if shown.translator is not None:
            slicer.app.removeTranslator(shown.translator)


# --- marks


def test_boxes_stand_around_their_marks_and_survive_a_closed_scene() -> None:
    scene = new_scene().scene
    changed = Clicks()
    marks = Marks(scene, boxes=True, on_change=changed)
    one, two = marks.add((10.0, -20.0, 30.0)), marks.add((0.0, 0.0, 0.0))
    assert changed.count == 2
    half = BOX_MM / 2
    box = marks.box(one)
    assert box is not None
    assert np.allclose(box, [(10 - half, -20 - half, 30 - half), (10 + half, -20 + half, 30 + half)])
    node = scene.GetFirstNodeByName("Box 1")
    node.SetSize([30.0, 40.0, 50.0])  # the reader drags the handles
    marks.keep()
    scene.Clear(0)
    marks.draw()
    assert marks.points == {one: (10.0, -20.0, 30.0), two: (0.0, 0.0, 0.0)}
    kept = marks.box(one)
    assert kept is not None
    assert np.allclose(np.subtract(kept[1], kept[0]), [30, 40, 50])
    marks.remove(one)
    assert marks.box(one) is None
    assert scene.GetNumberOfNodesByClass("vtkMRMLMarkupsROINode") == 1
    marks.close()
    assert scene.GetNumberOfNodesByClass("vtkMRMLMarkupsNode") == 0


def test_a_box_that_was_deleted_is_missed(make_station: Any, tmp_path: Path) -> None:
    questions = [
        {"kind": "hcc", "confidence": True},
        {"kind": "marks", "box": True},
    ]
    station: Station = make_station(make_study(tmp_path / "study", questions=questions))
    station.log_in()
    station.next()
    station.page.form.fields["hcc"].buttons["no"].click()
    station.page.form.confidences["hcc"].number.setValue(50)
    station.mark()
    slicer.mrmlScene.RemoveNode(slicer.mrmlScene.GetFirstNodeByName("Box 1"))
    station.submit()
    assert "Mark 1 needs a box" in station.message


def test_a_point_that_only_follows_the_mouse_is_no_mark() -> None:
    scene = new_scene().scene
    marks = Marks(scene)
    node = scene.GetFirstNodeByClass("vtkMRMLMarkupsFiducialNode")
    index = node.AddControlPoint(1.0, 2.0, 3.0)
    node.SetNthControlPointPosition(index, 1.0, 2.0, 3.0, slicer.vtkMRMLMarkupsNode.PositionPreview)
    assert marks.points == {}
    node.SetNthControlPointPosition(index, 1.0, 2.0, 3.0, slicer.vtkMRMLMarkupsNode.PositionDefined)
    assert list(marks.points.values()) == [(-1.0, -2.0, 3.0)]


def test_a_mark_is_set_under_the_pointer_or_in_the_middle_of_the_first_view() -> None:
    scene = new_scene().scene
    assert pointer_place(scene, []) is None
    view = slicer.vtkMRMLSliceNode()
    view.SetOrientationToAxial() if hasattr(view, "SetOrientationToAxial") else None
    matrix = view.GetSliceToRAS()
    for row, value in enumerate((4.0, 5.0, 6.0)):
        matrix.SetElement(row, 3, value)
    assert pointer_place(scene, [view]) == (-4.0, -5.0, 6.0)
    crosshair = scene.AddNewNodeByClass("vtkMRMLCrosshairNode")
    crosshair.SetCursorPositionRAS((1.0, 2.0, 3.0))
    assert pointer_place(scene, [view]) == (-1.0, -2.0, 3.0)


# --- the scene


def test_an_empty_scene_holds_nothing_and_forgets_its_path() -> None:
    scene = new_scene().scene
    assert not holds_work(scene)
    add_volume(scene, toy_study().volumes[Phase.ARTERIAL], "CT")
    scene.SetURL("/patients/Mueller.mrml")
    assert holds_work(scene)
    empty_scene(scene)
    assert not holds_work(scene)
    assert not scene.GetURL()


@pytest.mark.parametrize(("count", "layout"), [(1, "red"), (2, 7302), (3, 7304), (4, 7304)])
def test_phases_hang_in_the_order_of_acquisition(module: Any, count: int, layout: Any) -> None:
    from LiverAIPanel.views import Views

    (volume, *_) = toy_study().volumes.values()
    nodes = {phase: add_volume(slicer.mrmlScene, volume, phase.words) for phase in list(Phase)[:count]}
    views = Views()
    views.hang(nodes)
    manager = slicer.app.layoutManager()
    assert manager.layout == (slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView if layout == "red" else layout)
    names = ["Red"] if count == 1 else [f"LiverAI{number}" for number in range(1, count + 1)]
    hung = [manager.sliceWidget(name).sliceLogic().GetSliceCompositeNode().GetBackgroundVolumeID() for name in names]
    assert hung == [node.GetID() for node in nodes.values()]
    for name in names:
        node = manager.sliceWidget(name).mrmlSliceNode()
        assert node.GetOrientation() == "Axial"
        assert node.GetSliceOffset() == pytest.approx(-120.25 + 2.5 * 9.5, abs=1.5)
    views.stop_sharing()


def test_without_a_window_a_session_works_too(
    module: Any, make_station: Any, study: SmallStudy, tmp_path: Path
) -> None:
    start_host(tmp_path / "bare")
    station = make_station(study)
    station.log_in()
    station.read_until(assisted=True)
    station.fill()
    station.page.mark_here()
    station.submit()
    assert station.page.title.text == "Stored."


# --- the watch


def test_the_watch_tells_of_input_and_focus_and_only_of_changes(module: Any) -> None:
    from LiverAIPanel.watch import Watch

    seen: list[Any] = []
    now: list[Any] = [True, 0]
    watch = Watch(lambda: seen.append("input"), seen.append, look=lambda: tuple(now))
    watch.start()
    watch.tick()
    assert seen == []
    now[1] = 1
    watch.tick()
    watch.tick()
    assert seen == ["input"]
    now[:] = [False, 2]  # the mouse moves in another window
    watch.tick()
    assert seen == ["input", False]
    watch.start()  # the images are shown again meanwhile
    now[:] = [True, 2]
    watch.tick()
    assert seen == ["input", False, True]
    watch.stop()


def test_the_watch_sees_the_views_move(module: Any) -> None:
    from LiverAIPanel.watch import look

    before = look()[1]
    assert look()[1] == before
    slicer.app.layoutManager().sliceWidget("Red").mrmlSliceNode().SetSliceOffset(12)
    assert look()[1] != before


def test_the_questions_of_the_tests_are_all_that_can_be_asked() -> None:
    assert {question["kind"] for question in QUESTIONS} == {"hcc", "verdict", "type", "marks", "text"}
