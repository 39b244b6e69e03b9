"""Reading on the panel: the banner, the table, going to lesions and phases, opinions, slice scores, the overlay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from PySide6 import QtCore, QtGui
from rich_run import make_rich_run, show_rich
from scene_fixtures import add_volumes, make_run

from LiverAILib.lesion_types import LesionType
from LiverAILib.opinions import Call
from LiverAILib.scene.labels import find_labels
from LiverAILib.scene.shown import recall, recall_opinions
from LiverAILib.scene.volumes import lps_to_ras
from LiverAILib.study import Phase


@pytest.fixture
def rich(panel: Any, tmp_path: Path) -> Any:
    run, _ = show_rich(panel, tmp_path / "run")
    return run


def view(name: str) -> Any:
    return slicer.app.layoutManager().sliceWidget(name)


def composite(name: str) -> Any:
    return view(name).sliceLogic().GetSliceCompositeNode()


def saved() -> Any:
    shown = recall(slicer.mrmlScene)
    assert shown is not None
    return recall_opinions(slicer.mrmlScene, shown.run_id)


def test_the_banner_says_the_reading_and_what_is_missing(panel: Any, rich: Any) -> None:
    text = panel.findings.banner.text
    assert "<b>High risk.</b> Lesion 1 is definitely malignant" in text
    assert "HCC risk score 0.45 (36 images): over the threshold" in text
    assert "no delayed phase" in text
    assert "Not available" not in text


def test_an_open_triage_is_titled_so(rich: Any) -> None:
    from LiverAIPanel.findings_box import banner_text

    reading = rich.findings.reading.model_copy(update={"triage": None, "reason": "Not triaged: why. Here all is well."})
    text = banner_text(rich.findings.model_copy(update={"reading": reading}), [])
    assert "<b>Not triaged.</b> Why. Here all is well." in text


def test_findings_without_types_reading_or_scores_are_shown_and_the_lack_is_said(panel: Any, tmp_path: Path) -> None:
    run = make_run(tmp_path / "plain")
    volumes = add_volumes(slicer.mrmlScene, run)
    panel.logic.show(run.folder, volumes)
    panel.restore()
    assert "lesions were not classified, no HCC risk score" in panel.findings.banner.text
    assert panel.findings.order() == ["lesion_1", "lesion_2", "lesion_3"]
    panel.findings.table.selectRow(0)
    assert panel.findings.bars.rows == []
    assert not panel.findings.strip.isVisibleTo(panel.findings.widget)
    assert "not classified" in panel.findings.chosen.text


def test_findings_of_an_older_version_are_read(panel: Any, tmp_path: Path) -> None:
    import json

    run = make_run(tmp_path / "old")
    path = run.folder / "findings.json"
    content = json.loads(path.read_text())
    for key in ("reading", "hcc_risk", "slice_scores"):
        del content[key]
    content["schema_version"] = 1
    path.write_text(json.dumps(content))
    panel.logic.show(run.folder, add_volumes(slicer.mrmlScene, run))
    panel.restore()
    assert len(panel.findings.order()) == 3


def test_a_row_goes_to_the_lesion_in_its_best_phase_and_highlights_it(panel: Any, rich: Any) -> None:
    lesion = rich.findings.lesions[0]
    panel.findings.table.selectRow(panel.findings.order().index(lesion.id))
    x, y, z = lps_to_ras(lesion.centre_lps_mm)
    offsets = [view(name).mrmlSliceNode().GetSliceOffset() for name in ("Red", "Green", "Yellow")]
    assert offsets == pytest.approx([z, y, -x], abs=1e-4)  # Slicer counts sagittal slices towards the left
    shown = recall(slicer.mrmlScene)
    assert shown is not None
    assert composite("Red").GetBackgroundVolumeID() == shown.volumes[Phase.ARTERIAL].GetID()
    display = shown.segmentation.GetDisplayNode()
    assert display.GetSegmentOpacity2DOutline("lesion_1") == 1.0
    assert display.GetSegmentOpacity2DOutline("lesion_2") < 0.5
    assert display.GetSegmentOpacity2DOutline("liver") == 1.0
    assert [row[0] for row in panel.findings.bars.rows][:2] == ["HCC", "ICC"]
    assert panel.findings.bars.rows[0][1] == pytest.approx(0.82)
    assert "40% of this phase's saliency" in panel.findings.chosen.text


def test_keys_go_to_the_next_lesion_and_phase(panel: Any, rich: Any) -> None:
    panel.enter()
    window = slicer.util.mainWindow()
    keys = {key.key.toString(): key for key in window.findChildren(QtGui.QShortcut)}
    assert set(keys) == {"N", "P", "K", "J", "A"}
    keys["N"].activated.emit()
    assert panel.findings.selected() == panel.findings.order()[0]
    keys["N"].activated.emit()
    assert panel.findings.selected() == panel.findings.order()[1]
    keys["P"].activated.emit()
    assert panel.findings.selected() == panel.findings.order()[0]
    before = panel.session.phase
    keys["K"].activated.emit()
    assert panel.session.phase is not before
    keys["J"].activated.emit()
    assert panel.session.phase is before
    panel.exit()
    assert not any(key.enabled for key in keys.values())


def test_the_table_sorts_numbers_as_numbers_and_keeps_the_choice(panel: Any, rich: Any) -> None:
    panel.findings.table.selectRow(0)
    chosen = panel.findings.selected()
    panel.findings.table.sortItems(3, QtCore.Qt.SortOrder.DescendingOrder)
    volumes = {lesion.id: lesion.volume_ml for lesion in rich.findings.lesions}
    order = [volumes[name] for name in panel.findings.order()]
    assert order == sorted(order, reverse=True)
    assert panel.findings.selected() == chosen


def test_confirm_reject_retype_and_rename_stay_apart_from_the_programs_words(panel: Any, rich: Any) -> None:
    panel.findings.select("lesion_1")
    panel.go_to("lesion_1")
    panel.opinion.confirmButton.click()
    panel.opinion.type.widget.setCurrentIndex(1 + list(LesionType).index(LesionType.FNH))
    panel.opinion.name.text = "Segment VIII"
    panel.opinion.name.editingFinished.emit()
    opinion = saved().of("lesion_1")
    assert (opinion.call, opinion.type, opinion.name) == (Call.CONFIRMED, LesionType.FNH, "Segment VIII")
    shown = recall(slicer.mrmlScene)
    assert shown is not None
    assert shown.findings == rich.findings, "the program's words are untouched"
    assert "Segment VIII: FNH" in panel.findings.chosen.text
    assert "The program says HCC" in panel.findings.chosen.text
    assert panel.findings.selected() == "lesion_1"
    panel.opinion.confirmButton.click()
    panel.opinion.type.widget.setCurrentIndex(0)
    panel.opinion.name.text = ""
    panel.opinion.name.editingFinished.emit()
    assert saved().opinions == {}


def test_a_rejected_lesion_is_struck_out_and_not_drawn(panel: Any, rich: Any) -> None:
    panel.findings.table.selectRow(0)
    name = panel.findings.selected()
    panel.opinion.rejectButton.click()
    shown = recall(slicer.mrmlScene)
    assert shown is not None
    assert not shown.segmentation.GetDisplayNode().GetSegmentVisibility(name)
    assert panel.findings.table.item(panel.findings.order().index(name), 0).font().strikeOut()
    assert "2 lesions" in panel.findings.banner.text


def test_a_lesion_drawn_in_the_segment_editor_is_measured_and_can_be_removed(panel: Any, rich: Any) -> None:
    panel.opinion.addButton.click()
    assert slicer.app.modules_selected == ["SegmentEditor"]
    panel.enter()
    assert "reader_1" not in panel.findings.order(), "nothing is drawn yet"
    shown = recall(slicer.mrmlScene)
    assert shown is not None
    mask = np.zeros(rich.reference.array.shape, np.uint8)
    mask[6:9, 20:26, 30:38] = 1
    draw(shown.segmentation, "reader_1", mask, shown.reference)
    panel.enter()
    assert "reader_1" in panel.findings.order()
    (added,) = saved().added
    assert added.volume_ml == pytest.approx(mask.sum() * rich.reference.voxel_ml, rel=1e-3)
    assert set(added.mean_hu) == set(rich.study.volumes)
    panel.findings.select("reader_1")
    panel.go_to("reader_1")
    panel.opinion.removeButton.click()
    assert "reader_1" not in panel.findings.order()
    assert saved().added == []


def draw(segmentation: Any, segment_id: str, mask: np.ndarray, reference: Any) -> None:
    """What the Segment Editor does: voxels into a segment."""
    import vtk
    from vtk.util.numpy_support import numpy_to_vtk

    image = slicer.vtkOrientedImageData()
    image.SetDimensions(*mask.shape[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(mask.ravel(), deep=True))
    matrix = vtk.vtkMatrix4x4()
    reference.GetIJKToRASMatrix(matrix)
    image.SetGeometryFromImageToWorldMatrix(matrix)
    segmentation.GetSegmentation().GetSegment(segment_id).AddRepresentation("Binary labelmap", image)


def test_a_click_on_the_strip_goes_to_that_slice(panel: Any, rich: Any) -> None:
    strip = panel.findings.strip
    assert len(strip.levels) == 12
    assert strip.levels == sorted(strip.levels), "feet to head"
    assert [title for title, _, _ in strip.curves] == ["NoduleNet", "HCCNet"]
    strip.resize(120, 46)
    press = QtGui.QMouseEvent(
        QtCore.QEvent.Type.MouseButtonPress,
        QtCore.QPointF(119, 10),
        QtCore.QPointF(119, 10),
        QtCore.Qt.MouseButton.LeftButton,
        QtCore.Qt.MouseButton.LeftButton,
        QtCore.Qt.KeyboardModifier.NoModifier,
    )
    strip.mousePressEvent(press)
    assert view("Red").mrmlSliceNode().GetSliceOffset() == pytest.approx(strip.levels[-1])
    assert "portal venous" in panel.findings.strip_title.text


def test_segments_are_outlined_filled_or_off(panel: Any, rich: Any) -> None:
    shown = recall(slicer.mrmlScene)
    assert shown is not None
    display = shown.segmentation.GetDisplayNode()
    states = []
    for index in range(3):
        panel.overlay.segments.widget.setCurrentIndex(index)
        states.append((bool(display.GetVisibility2DOutline()), bool(display.GetVisibility2DFill())))
    assert states == [(True, False), (True, True), (False, False)]


def test_the_map_is_probability_saliency_of_the_shown_phase_or_none(panel: Any, rich: Any) -> None:
    shown = recall(slicer.mrmlScene)
    assert shown is not None
    assert composite("Red").GetForegroundVolumeID() == shown.probability.GetID()
    panel.overlay.heat.widget.setCurrentIndex(1)
    assert composite("Red").GetForegroundVolumeID() == shown.saliency[panel.session.phase].GetID()
    panel.step_phase(1)
    assert composite("Red").GetForegroundVolumeID() == shown.saliency[panel.session.phase].GetID()
    panel.overlay.heat.widget.setCurrentIndex(2)
    assert not composite("Red").GetForegroundVolumeID()


def test_opacity_and_threshold_move(panel: Any, rich: Any) -> None:
    panel.overlay.opacity.setValue(75)
    panel.overlay.threshold.setValue(30)
    shown = recall(slicer.mrmlScene)
    assert shown is not None
    assert composite("Red").GetForegroundOpacity() == pytest.approx(0.75)
    assert shown.probability.GetDisplayNode().GetLowerThreshold() == pytest.approx(0.3)


def test_lesions_are_coloured_by_a_probability_and_labelled_with_it(panel: Any, rich: Any) -> None:
    shown = recall(slicer.mrmlScene)
    assert shown is not None
    segmentation = shown.segmentation.GetSegmentation()
    own = segmentation.GetSegment("lesion_1").GetColor()
    panel.overlay.colours.widget.setCurrentIndex(1)
    high, low = (segmentation.GetSegment(name).GetColor() for name in ("lesion_1", "lesion_2"))
    assert sum(high) > sum(low), "pale for malignant, dark for benign"
    panel.overlay.labels.setChecked(True)
    labels = find_labels(slicer.mrmlScene)
    assert labels.GetNumberOfControlPoints() == 3
    assert labels.GetNthControlPointLabel(0) == "Lesion 1 HCC 88%"
    assert labels.GetDisplayNode().GetVisibility()
    panel.overlay.colours.widget.setCurrentIndex(0)
    assert segmentation.GetSegment("lesion_1").GetColor() == pytest.approx(own)


def test_one_key_takes_all_ai_off_and_brings_it_back(panel: Any, rich: Any) -> None:
    shown = recall(slicer.mrmlScene)
    assert shown is not None
    panel.overlay.labels.setChecked(True)
    panel.overlay.toggle()
    assert not composite("Red").GetForegroundVolumeID()
    assert not shown.segmentation.GetDisplayNode().GetVisibility()
    assert not find_labels(slicer.mrmlScene).GetDisplayNode().GetVisibility()
    panel.overlay.toggle()
    assert composite("Red").GetForegroundVolumeID() == shown.probability.GetID()
    assert shown.segmentation.GetDisplayNode().GetVisibility()
    assert find_labels(slicer.mrmlScene).GetDisplayNode().GetVisibility()


def test_phases_side_by_side_are_linked_and_share_one_window(panel: Any, rich: Any) -> None:
    shown = recall(slicer.mrmlScene)
    assert shown is not None
    panel.overlay.layout.widget.setCurrentIndex(3)
    assert slicer.app.layoutManager().layout == 7304
    backgrounds = [composite(f"LiverAI{number}").GetBackgroundVolumeID() for number in (1, 2, 3, 4)]
    assert backgrounds[:3] == [shown.volumes[phase].GetID() for phase in shown.volumes]
    assert not backgrounds[3]
    assert all(composite(f"LiverAI{number}").GetHotLinkedControl() for number in (1, 2, 3))
    first, *others = (node.GetDisplayNode() for node in shown.volumes.values())
    first.SetWindowLevel(350, 40)
    assert all((other.GetWindow(), other.GetLevel()) == (350, 40) for other in others)
    panel.overlay.heat.widget.setCurrentIndex(1)
    assert composite("LiverAI1").GetForegroundVolumeID() == shown.saliency[Phase.NON_CONTRAST].GetID()
    assert composite("LiverAI2").GetForegroundVolumeID() == shown.saliency[Phase.ARTERIAL].GetID()
    panel.overlay.layout.widget.setCurrentIndex(2)
    assert slicer.app.layoutManager().layout == 7302
    panel.overlay.layout.widget.setCurrentIndex(1)
    assert slicer.app.layoutManager().layout == slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView


def test_leaving_the_module_brings_the_layout_back_and_coming_again_ours(panel: Any, rich: Any) -> None:
    manager = slicer.app.layoutManager()
    before = manager.layout
    panel.overlay.layout.widget.setCurrentIndex(3)
    panel.exit()
    assert manager.layout == before
    panel.enter()
    assert manager.layout == 7304


def test_surfaces_are_made_only_when_asked_for(panel: Any, rich: Any) -> None:
    shown = recall(slicer.mrmlScene)
    assert shown is not None
    assert not shown.segmentation.GetSegmentation().ContainsRepresentation("Closed surface")
    panel.overlay.surfacesButton.click()
    assert shown.segmentation.GetSegmentation().ContainsRepresentation("Closed surface")


def test_without_findings_everything_is_empty_and_quiet(panel: Any) -> None:
    panel.step_lesion(1)
    panel.step_phase(1)
    panel.overlay.toggle()
    panel.overlay.surfacesButton.click()
    assert "No findings" in panel.findings.banner.text
    assert not panel.report.copyButton.enabled


def test_rich_runs_are_complete(tmp_path: Path) -> None:
    from LiverAILib.export.run_folder import read_run

    assert len(read_run(make_rich_run(tmp_path / "run").folder).saliency) == 3
