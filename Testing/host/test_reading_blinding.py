"""What a reader must not know is nowhere in Slicer: not in the scene, the widgets, the window titles or the pictures.

Before the login everything blinded is really there: nodes with patient names, an analysis's result, the coordinator's
view. Then all that a person could see or open is walked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import slicer
import vtk
from PySide6 import QtCore, QtWidgets
from reading_study import FULL_FORM, QUESTIONS, Station, copied
from rich_run import show_rich
from study_builder import SmallStudy, make_study

from LiverAILib.readerstudy.truth import read_truth
from LiverAILib.scene.rendering import rendering_available
from LiverAILib.scene.slice_view import SliceContent, render_slice_view

#: Of the archive and the coordinator; of the other reader; of the reader's own earlier answers; of an earlier analysis.
BLINDED = (
    "mueller",
    "secret",
    "1.2.3.4",
    "pid-77",
    "archive",
    "r2",
    "otherremark",
    "ownremark",
    "agrees_with_ai",
    "definitely malignant",
)
#: What the AI found in the study's cases (its probability, its volumes); it may be seen in the assisted arm alone.
OF_THE_AI = ("0.875", "lesion_1", "lesion probability", "liverai findings", "ml, 2 lesions", "the ai's result\n")


@pytest.fixture(scope="module")
def blinded(prepared: SmallStudy, tmp_path_factory: pytest.TempPathFactory) -> SmallStudy:
    """R2 has read the first period."""
    study = copied(prepared, tmp_path_factory.mktemp("blinded") / "study")
    study.read_all("R2", {**FULL_FORM, "remarks": "otherremark"}, most=4)
    return study


# --- what a person can see or open


def strings_of_node(node: Any) -> Iterator[str]:
    """Names, attributes, references, files, texts, tables, segments: and whatever else the node says of itself."""
    yield from (node.GetName() or "", node.GetDescription() or "", node.GetID() or "")
    if not node.IsA("vtkMRMLColorNode"):  # of those, hundreds of numbers
        yield str(node)
    for name in node.GetAttributeNames():
        yield f"{name} {node.GetAttribute(name)}"
    if node.IsA("vtkMRMLScriptedModuleNode"):
        for name in node.GetParameterNames():
            yield f"{name} {node.GetParameter(name)}"
    if node.IsA("vtkMRMLStorageNode"):
        yield node.GetFileName() or ""
        yield from (node.GetNthFileName(index) or "" for index in range(node.GetNumberOfFileNames()))
    if node.IsA("vtkMRMLTextNode"):
        yield node.GetText() or ""
    if node.IsA("vtkMRMLTableNode"):
        yield from (str(node.GetTable().GetColumn(index)) for index in range(node.GetTable().GetNumberOfColumns()))
    if node.IsA("vtkMRMLSegmentationNode"):
        segmentation = node.GetSegmentation()
        for index in range(segmentation.GetNumberOfSegments()):
            segment = segmentation.GetNthSegment(index)
            yield f"{segmentation.GetNthSegmentID(index)} {segment.GetName()} {segment}"
    if node.IsA("vtkMRMLMarkupsNode"):
        for index in range(node.GetNumberOfControlPoints()):
            yield f"{node.GetNthControlPointLabel(index)} {node.GetNthControlPointDescription(index)}"


def strings_of_scene(scene: Any) -> Iterator[str]:
    nodes = scene.GetNodes()
    for index in range(nodes.GetNumberOfItems()):
        yield from strings_of_node(nodes.GetItemAsObject(index))
    yield from (scene.GetURL() or "", scene.GetRootDirectory() or "", str(scene.GetNumberOfUndoLevels()))
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    items = vtk.vtkIdList()
    hierarchy.GetItemChildren(hierarchy.GetSceneItemID(), items, True)
    for index in range(items.GetNumberOfIds()):
        item = items.GetId(index)
        names = hierarchy.GetItemAttributeNames(item)
        yield hierarchy.GetItemName(item)
        yield " ".join(f"{name} {hierarchy.GetItemAttribute(item, name)}" for name in names)
    scene.SetSaveToXMLString(1)
    scene.Commit()
    yield scene.GetSceneXMLString()


def strings_of_widget(widget: Any) -> Iterator[str]:
    """Every text property of a widget, and the items that it shows."""
    meta = widget.metaObject()
    for index in range(meta.propertyCount()):
        value = widget.property(meta.property(index).name())
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            yield " ".join(map(str, value))
    yield from (str(getattr(widget, "_text", "")), str(getattr(widget, "curves", "")), str(getattr(widget, "rows", "")))
    if isinstance(widget, QtWidgets.QComboBox):
        yield from (widget.itemText(index) for index in range(widget.count))
    if isinstance(widget, QtWidgets.QTableWidget):
        for row in range(widget.rowCount):
            for column in range(widget.columnCount):
                item = widget.item(row, column)
                yield "" if item is None else f"{item.text()} {item.toolTip()}"


def strings_of_windows(station: Station) -> Iterator[str]:
    """Of the panel, the main window and every other window that is shown, with their titles."""
    shown = [window for window in QtWidgets.QApplication.topLevelWidgets() if window.isVisible()]
    for window in {station.widget.parent, slicer.util.mainWindow(), *shown}:
        for widget in [window, *window.findChildren(QtWidgets.QWidget)]:
            yield from strings_of_widget(widget)


def found(strings: Iterator[str], words: tuple[str, ...]) -> set[str]:
    """The words that are there, as the beginning of a word or as a number of their own."""
    text = "\n".join(strings).lower() + "\n"
    return {
        word
        for word in words
        if re.search(rf"(?<![a-z0-9.]){re.escape(word)}" + (r"(?![0-9])" if word[-1].isdigit() else ""), text)
    }


def everywhere(station: Station, words: tuple[str, ...]) -> set[str]:
    """Which of the words are anywhere in the scene or in a window."""
    QtWidgets.QApplication.sendPostedEvents(None, QtCore.QEvent.Type.DeferredDelete)
    return found(strings_of_scene(slicer.mrmlScene), words) | found(strings_of_windows(station), words)


# --- the station of somebody who worked with patients before


@pytest.fixture
def station(make_station: Any, blinded: SmallStudy, tmp_path: Path) -> Station:
    """A scene full of names, an analysis's result on the panel, the coordinator's view open: then R1 logs in."""
    made: Station = make_station(copied(blinded, tmp_path / "study"))
    made.widget.panel.output.currentPath = str(tmp_path / "secretresults")
    _, volumes = show_rich(made.widget.panel, tmp_path / "secretrun")
    for node in volumes.values():
        node.SetName("CT Mueller^Anna")
        node.SetAttribute("DICOM.instanceUIDs", "1.2.3.4.5 1.2.3.4.6")
        storage = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVolumeArchetypeStorageNode")
        storage.SetFileName(str(tmp_path / "PID-77" / "mueller.nrrd"))
        node.SetAndObserveStorageNodeID(storage.GetID())
    made.widget.panel.parameters().run_folder = str(tmp_path / "secretrun")
    slicer.mrmlScene.SetURL(str(tmp_path / "mueller.mrml"))
    slicer.mrmlScene.SetRootDirectory(str(tmp_path / "PID-77"))
    slicer.mrmlScene.GetSubjectHierarchyNode().CreateFolderItem(3, "Mueller^Anna")
    made.widget.panel.restore()
    made.reading.login.path.currentPath = str(made.study.path)
    made.reading.login.progressButton.click()
    return made


def begin(station: Station) -> None:
    """The scene is full, so the first click only asks."""
    station.log_in()
    assert "Save what you need" in station.message
    assert station.widget.panel is not None
    station.reading.login.loginButton.click()
    assert station.widget.panel is None


def test_everything_blinded_is_there_before_the_login(station: Station) -> None:
    there = everywhere(station, BLINDED)
    assert there >= {"mueller", "secret", "1.2.3.4", "pid-77", "r2", "definitely malignant"}
    assert everywhere(station, ("secretrun",)) == {"secretrun"}


def test_after_the_login_nothing_of_before_is_left(station: Station) -> None:
    begin(station)
    assert everywhere(station, BLINDED + OF_THE_AI) == set()


def test_an_unassisted_case_shows_nothing_blinded(station: Station) -> None:
    begin(station)
    case = station.read_until(assisted=False)
    station.fill()
    assert case.phases
    truth = read_truth(station.study.truth)
    pseudonyms = tuple(name.lower() for name in truth.cases)
    assert everywhere(station, BLINDED + OF_THE_AI + pseudonyms) == set()
    assert "liver ai" not in slicer.util.mainWindow().windowTitle.lower()


def test_an_assisted_case_shows_the_ai_and_nothing_else_and_then_it_is_gone(station: Station) -> None:
    begin(station)
    station.read_until(assisted=True)
    station.page.ai.overlay.labels.setChecked(True)
    station.page.ai.overlay.heat.widget.setCurrentIndex(0)
    pseudonyms = tuple(name.lower() for name in read_truth(station.study.truth).cases)
    assert everywhere(station, BLINDED + pseudonyms) == set()
    assert everywhere(station, OF_THE_AI) == set(OF_THE_AI)
    station.fill()
    station.page.form.fields["remarks"].widget.setPlainText("ownremark")
    station.submit()
    assert everywhere(station, BLINDED + OF_THE_AI) == set()


def test_the_own_earlier_answer_is_nowhere_when_the_case_comes_again(station: Station) -> None:
    begin(station)
    for _ in range(4):
        station.next()
        station.fill(sure=83)
        station.page.form.fields["remarks"].widget.setPlainText("ownremark")
        station.submit()
    station.study.clock.go_on(days=31)
    case = station.next()
    assert not case.training
    assert everywhere(station, BLINDED) == set()
    assert found(strings_of_windows(station), ("83",)) == set()
    assert station.page.answer() == {"marks": [], "remarks": ""}


def test_a_sequential_second_reading_shows_the_ai_but_not_the_first_answer(make_station: Any, tmp_path: Path) -> None:
    study = make_study(
        tmp_path / "study", prepare="real", count=1, training=0, design="sequential", questions=QUESTIONS
    )
    station = make_station(study)
    station.log_in()
    first = station.next()
    assert not first.assisted
    nodes = [slicer.mrmlScene.GetNthNodeByClass(index, "vtkMRMLScalarVolumeNode").GetID() for index in (0, 1)]
    station.fill(sure=83)
    station.page.form.fields["remarks"].widget.setPlainText("ownremark")
    station.submit()
    second = station.wait()
    assert second.again
    assert second.assisted
    assert "read again" in station.page.notice.text
    again = [slicer.mrmlScene.GetNthNodeByClass(index, "vtkMRMLScalarVolumeNode").GetID() for index in (0, 1)]
    assert again == nodes, "the same images, not loaded again"
    assert len(station.page.ai.findings.order()) == 2
    assert everywhere(station, ("ownremark",)) == set()
    assert found(strings_of_windows(station), ("83",)) == set()
    station.fill()
    station.submit()
    assert everywhere(station, OF_THE_AI) == set()


def test_errors_of_a_case_name_neither_it_nor_its_files(station: Station) -> None:
    begin(station)
    for path in station.study.path.with_name("study.cases").rglob("*.nrrd"):
        path.unlink()
    station.page.nextButton.click()
    assert "Ask the coordinator" in station.message
    truth = read_truth(station.study.truth)
    assert everywhere(station, (*BLINDED, "arterial.nrrd", *(name.lower() for name in truth.cases))) == set()


# --- pictures


@pytest.mark.skipif(not rendering_available().available, reason="nothing to draw with")
@pytest.mark.parametrize("assisted", [False, True])
def test_pictures_write_nothing_blinded(station: Station, assisted: bool) -> None:
    begin(station)
    station.read_until(assisted=assisted)
    station.fill()
    if assisted:
        station.page.ai.overlay.heat.widget.setCurrentIndex(0)
    volume = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
    heat = station.page.ai.session.shown.probability if assisted else None
    bounds = [0.0] * 6
    volume.GetRASBounds(bounds)
    centre = [(low + high) / 2 for low, high in zip(bounds[::2], bounds[1::2], strict=True)]
    content = SliceContent(background=volume, foreground=heat, title=volume.GetName())
    texts: list[str] = []
    render_slice_view(slicer.app.layoutManager()._host, "Axial", content, centre, (300, 260), texts)
    assert any(text.startswith("Arterial\nAxial") for text in texts)
    assert found(iter(texts), BLINDED) == set()
    assert ("lesion probability" in " ".join(texts).lower()) is assisted


def test_the_blinded_words_are_really_in_the_study(blinded: SmallStudy) -> None:
    truth = json.dumps(json.loads(blinded.truth.read_text())).lower()
    assert "mueller^anna" in truth
    assert "secretfolder" in truth
    assert b"otherremark" in blinded.path.read_bytes()
