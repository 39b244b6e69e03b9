"""A scene saved as .mrb and read back keeps everything, and the program finds its own nodes in it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scene_fixtures import Run, add_volumes, make_run

from LiverAILib.errors import OutputError
from LiverAILib.scene.errors import SceneError
from LiverAILib.scene.headless import HeadlessScene, new_scene, read_scene
from LiverAILib.scene.hierarchy import find_folders, folder_nodes
from LiverAILib.scene.load import clear_run, save_scene, show_run
from LiverAILib.scene.provenance import ROLE, Role, own_nodes
from LiverAILib.scene.segmentation import segment_ids, segment_mask, terminology
from LiverAILib.scene.volumes import PHASE_NAMES, node_affine, node_array
from LiverAILib.study import Phase


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make_run(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture
def reloaded(run: Run, tmp_path: Path) -> HeadlessScene:
    """The run shown in a scene, saved, and read into another one."""
    first = new_scene()
    show_run(first.scene, run.folder, add_volumes(first.scene, run))
    second = new_scene()
    read_scene(second, save_scene(first.scene, tmp_path / "case.mrb"))
    return second


def by_role(scene: Any, role: Role) -> Any:
    (node,) = [node for node in own_nodes(scene) if node.GetAttribute(ROLE) == role.value]
    return node


def volumes_by_name(scene: Any, run: Run) -> dict[Phase, Any]:
    return {phase: scene.GetFirstNodeByName(PHASE_NAMES[phase]) for phase in run.study.volumes}


def test_segments_keep_ids_names_colours_terminology_and_voxels(reloaded: HeadlessScene, run: Run) -> None:
    scene = reloaded.scene
    node = by_role(scene, Role.SEGMENTATION)
    fresh = new_scene()
    original = show_run(fresh.scene, run.folder, add_volumes(fresh.scene, run)).segmentation
    assert segment_ids(node) == segment_ids(original) == ["liver", "lesion_1", "lesion_2", "lesion_3"]
    reference = volumes_by_name(scene, run)[Phase.PORTAL_VENOUS]
    np.testing.assert_array_equal(segment_mask(node, "liver", reference), run.liver)
    for name in segment_ids(node):
        kept, before = (each.GetSegmentation().GetSegment(name) for each in (node, original))
        assert kept.GetName() == before.GetName()
        np.testing.assert_allclose(kept.GetColor(), before.GetColor(), atol=1e-5)
        assert terminology(node, name) == terminology(original, name) != ""
    for label in (1, 2, 3):
        np.testing.assert_array_equal(segment_mask(node, f"lesion_{label}", reference), run.lesions == label)


def test_display_of_outlines_and_overlay_is_kept(reloaded: HeadlessScene, run: Run) -> None:
    scene = reloaded.scene
    outlines = by_role(scene, Role.SEGMENTATION).GetDisplayNode()
    assert (outlines.GetVisibility2DFill(), outlines.GetSliceIntersectionThickness()) == (0, 2)
    probability = by_role(scene, Role.PROBABILITY)
    np.testing.assert_array_equal(node_array(probability), run.probability)
    display = probability.GetVolumeDisplayNode()
    assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (0, 1)
    assert display.GetApplyThreshold()
    assert display.GetLowerThreshold() == pytest.approx(0.1)
    colours = by_role(scene, Role.COLOURS)
    assert display.GetColorNode() is colours
    assert colours.GetNumberOfColors() == 256
    colour = [0.0] * 4
    colours.GetColor(255, colour)
    np.testing.assert_allclose(colour, (0.99, 0.96, 0.60, 1.0), atol=0.01)
    legend = scene.GetFirstNodeByClass("vtkMRMLColorLegendDisplayNode")
    assert legend.GetPrimaryDisplayNode() is display
    assert legend.GetTitleText() == "Lesion probability"


def test_table_keeps_its_types_and_numbers(reloaded: HeadlessScene, run: Run) -> None:
    table = by_role(reloaded.scene, Role.TABLE).GetTable()
    assert table.GetNumberOfRows() == 3
    assert table.GetColumnByName("Volume (ml)").IsA("vtkDoubleArray")
    assert table.GetColumnByName("Segment").IsA("vtkStringArray")
    for row, lesion in enumerate(run.findings.lesions):
        assert table.GetValueByName(row, "Segment").ToString() == lesion.id
        assert table.GetValueByName(row, "Volume (ml)").ToDouble() == pytest.approx(lesion.volume_ml, rel=1e-5)


def test_folder_and_provenance_are_kept(reloaded: HeadlessScene) -> None:
    scene = reloaded.scene
    (folder,) = find_folders(scene)
    names = [node.GetName() for node in folder_nodes(scene, folder)]
    assert names == ["Liver and lesions", "Lesion probability", "Lesions"]
    for node in own_nodes(scene):
        assert len(node.GetAttribute("LiverAI.RunId")) == 16
        assert "abab" in node.GetAttribute("LiverAI.Models")


def test_a_new_analysis_in_a_reloaded_scene_replaces_the_saved_one(
    reloaded: HeadlessScene, run: Run, tmp_path: Path
) -> None:
    scene = reloaded.scene
    second = make_run(tmp_path / "second", lesions=2, version="0.2.0")
    nodes = show_run(scene, second.folder, volumes_by_name(scene, run))
    assert {node.GetAttribute("LiverAI.SoftwareVersion") for node in own_nodes(scene)} == {"0.2.0"}
    assert len(own_nodes(scene)) == 4
    assert find_folders(scene) == [nodes.folder]
    assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 1
    assert scene.GetNumberOfNodesByClass("vtkMRMLColorLegendDisplayNode") == 1


def test_clearing_a_reloaded_scene_leaves_only_the_volumes(reloaded: HeadlessScene, run: Run) -> None:
    scene = reloaded.scene
    clear_run(scene)
    assert own_nodes(scene) == []
    assert find_folders(scene) == []
    assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0
    assert scene.GetNumberOfNodesByClass("vtkMRMLTableNode") == 0
    assert scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 2


def test_volumes_keep_geometry_and_voxels(reloaded: HeadlessScene, run: Run) -> None:
    for phase, node in volumes_by_name(reloaded.scene, run).items():
        np.testing.assert_array_equal(node_array(node), run.study.volumes[phase].array)
        np.testing.assert_allclose(node_affine(node), run.study.volumes[phase].affine, atol=1e-5)


def test_saving_never_points_into_the_run_folder(scene: Any, run: Run, tmp_path: Path) -> None:
    """A later "save" in Slicer must not overwrite the run folder's segmentation."""
    before = {path.name: path.read_bytes() for path in run.folder.iterdir()}
    nodes = show_run(scene, run.folder, add_volumes(scene, run))
    save_scene(scene, tmp_path / "case.mrb")
    for node in (nodes.segmentation, nodes.probability, nodes.table):
        storage = node.GetStorageNode()
        assert storage is None or str(run.folder) not in (storage.GetFileName() or "")
    assert {path.name: path.read_bytes() for path in run.folder.iterdir()} == before


def test_a_saved_scene_replaces_the_file_and_leaves_nothing_else(scene: Any, run: Run, tmp_path: Path) -> None:
    show_run(scene, run.folder, add_volumes(scene, run))
    path = tmp_path / "out" / "case.mrb"
    save_scene(scene, path)
    first = path.stat().st_size
    clear_run(scene)
    save_scene(scene, path)
    assert [entry.name for entry in path.parent.iterdir()] == ["case.mrb"]
    assert path.stat().st_size < first


def test_saving_and_reading_leave_the_working_folder_alone(scene: Any, run: Run, tmp_path: Path) -> None:
    before = Path.cwd()
    show_run(scene, run.folder, add_volumes(scene, run))
    path = save_scene(scene, tmp_path / "case.mrb")
    assert Path.cwd() == before
    read_scene(new_scene(), path)
    assert Path.cwd() == before


def test_a_scene_is_saved_under_a_relative_path(scene: Any, tmp_path: Path) -> None:
    relative = Path(os.path.relpath(tmp_path)) / "case.mrb"
    assert not relative.is_absolute()
    save_scene(scene, relative)
    assert (tmp_path / "case.mrb").is_file()


def test_a_scene_is_saved_only_as_mrb(scene: Any, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"saved as \.mrb"):
        save_scene(scene, tmp_path / "case.zip")


def test_a_place_that_is_no_folder_is_refused(scene: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="Choose another folder"):
        save_scene(scene, tmp_path / "file" / "case.mrb")


def test_a_damaged_scene_file_is_refused(tmp_path: Path) -> None:
    import vtk

    path = tmp_path / "case.mrb"
    path.write_bytes(b"no zip archive")
    host = new_scene()
    window = vtk.vtkOutputWindow.GetInstance()
    vtk.vtkOutputWindow.SetInstance(vtk.vtkStringOutputWindow())  # VTK's own complaint is expected here
    try:
        with pytest.raises(SceneError, match="can't be read"):
            read_scene(host, path)
    finally:
        vtk.vtkOutputWindow.SetInstance(window)
