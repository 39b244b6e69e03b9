"""A run folder becomes nodes: what they hold, that a second run replaces them, and what is refused."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scene_fixtures import Run, add_volumes, axis_aligned, make_run, no_vtk_errors
from scipy.spatial.transform import Rotation

from LiverAILib.errors import RunFolderError
from LiverAILib.scene.errors import SceneError
from LiverAILib.scene.hierarchy import find_folders, folder_nodes
from LiverAILib.scene.load import clear_run, show_run
from LiverAILib.scene.overlay import heat_colours
from LiverAILib.scene.provenance import own_nodes
from LiverAILib.scene.segmentation import create_surfaces, segment_ids, segment_mask, terminology
from LiverAILib.scene.volumes import add_volume, from_vtk_matrix, node_affine, node_array, to_vtk_matrix
from LiverAILib.study import Phase


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make_run(tmp_path_factory.mktemp("runs") / "run")


def node_ids(scene: Any) -> list[str]:
    return sorted(scene.GetNthNode(index).GetID() for index in range(scene.GetNumberOfNodes()))


def test_segments_are_those_of_the_findings_to_the_voxel(scene: Any, run: Run) -> None:
    volumes = add_volumes(scene, run)
    nodes = show_run(scene, run.folder, volumes)
    assert segment_ids(nodes.segmentation) == ["liver", "lesion_1", "lesion_2", "lesion_3"]
    reference = volumes[Phase.PORTAL_VENOUS]
    np.testing.assert_array_equal(segment_mask(nodes.segmentation, "liver", reference), run.liver)
    for label in (1, 2, 3):
        mask = segment_mask(nodes.segmentation, f"lesion_{label}", reference)
        np.testing.assert_array_equal(mask, run.lesions == label)


@pytest.mark.parametrize(
    ("angles", "spacing", "mirror"),
    [((0, 0, 0), (0.7, 0.7, 5.0), -1), ((12, -7, 33), (0.6, 0.9, 3.0), 1), ((90, 0, 0), (1, 2, 0.5), 1)],
)
def test_oblique_and_mirrored_grids_fit_to_the_voxel(
    scene: Any, tmp_path: Path, angles: tuple[float, ...], spacing: tuple[float, ...], mirror: int
) -> None:
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() * spacing * [1, 1, mirror]
    affine[:3, 3] = (-100.0, 55.5, -700.25)
    run = make_run(tmp_path / "run", shape=(10, 22, 18), affine=affine)
    volumes = add_volumes(scene, run)
    nodes = show_run(scene, run.folder, volumes)
    reference = volumes[Phase.PORTAL_VENOUS]
    np.testing.assert_array_equal(segment_mask(nodes.segmentation, "liver", reference), run.liver)
    np.testing.assert_array_equal(segment_mask(nodes.segmentation, "lesion_2", reference), run.lesions == 2)
    np.testing.assert_array_equal(node_array(nodes.probability), run.probability)
    np.testing.assert_allclose(node_affine(nodes.probability), affine, atol=1e-6)


def test_a_segment_lies_in_the_world_where_its_voxels_are(scene: Any, run: Run) -> None:
    nodes = show_run(scene, run.folder, add_volumes(scene, run))
    centre = np.array(nodes.segmentation.GetSegmentCenterRAS("lesion_1"))
    expected = np.array(run.findings.lesions[0].centre_lps_mm) * (-1, -1, 1)
    np.testing.assert_allclose(centre, expected, atol=max(run.reference.spacing_mm))


def test_segments_are_coded_named_and_coloured(scene: Any, run: Run) -> None:
    nodes = show_run(scene, run.folder, add_volumes(scene, run))
    segmentation = nodes.segmentation.GetSegmentation()
    assert "~SCT^10200004^Liver~" in terminology(nodes.segmentation, "liver")
    for number in (1, 2, 3):
        text = terminology(nodes.segmentation, f"lesion_{number}")
        assert "~SCT^52988006^Lesion~" in text
        assert text.split("~")[5] == "SCT^10200004^Liver"
        assert segmentation.GetSegment(f"lesion_{number}").GetName() == f"Lesion {number}"
    colours = {segmentation.GetSegment(name).GetColor() for name in segment_ids(nodes.segmentation)}
    assert len(colours) == 4


def test_outlines_are_two_pixels_without_fill_and_no_surface_is_made(scene: Any, run: Run) -> None:
    nodes = show_run(scene, run.folder, add_volumes(scene, run))
    display = nodes.segmentation.GetDisplayNode()
    assert not display.GetVisibility2DFill()
    assert display.GetVisibility2DOutline()
    assert display.GetSliceIntersectionThickness() == 2
    assert not nodes.segmentation.GetSegmentation().ContainsRepresentation("Closed surface")
    create_surfaces(nodes.segmentation)
    assert nodes.segmentation.GetClosedSurfaceInternalRepresentation("lesion_1").GetNumberOfPoints() > 20


def test_probability_has_its_own_colours_threshold_and_legend(scene: Any, run: Run) -> None:
    nodes = show_run(scene, run.folder, add_volumes(scene, run))
    display = nodes.probability.GetDisplayNode()
    assert display.GetColorNode() is nodes.colours
    assert nodes.colours.GetNumberOfColors() == 256
    assert display.GetWindowLevelMin() == 0
    assert display.GetWindowLevelMax() == 1
    assert display.GetApplyThreshold()
    assert display.GetLowerThreshold() == pytest.approx(0.1)
    assert nodes.legend.GetPrimaryDisplayNode() is display
    assert nodes.legend.GetTitleText() == "Lesion probability"
    np.testing.assert_array_equal(node_array(nodes.probability), run.probability)


def test_heat_colours_grow_lighter_steadily() -> None:
    lightness = heat_colours() @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness) > 0).all()


def test_table_has_a_typed_row_per_lesion(scene: Any, run: Run) -> None:
    table = show_run(scene, run.folder, add_volumes(scene, run)).table.GetTable()
    assert table.GetNumberOfRows() == 3
    names = [table.GetColumn(index).GetName() for index in range(table.GetNumberOfColumns())]
    assert names[:6] == ["Lesion", "Segment", "Volume (ml)", "Diameter (mm)", "Perpendicular (mm)", "Probability"]
    for row, lesion in enumerate(run.findings.lesions):
        assert table.GetValueByName(row, "Segment").ToString() == lesion.id
        assert table.GetValueByName(row, "Volume (ml)").ToDouble() == pytest.approx(lesion.volume_ml)
        assert table.GetValueByName(row, "Portal venous (HU)").ToDouble() == lesion.mean_hu[Phase.PORTAL_VENOUS]
        assert np.isnan(table.GetValueByName(row, "Arterial (HU)").ToDouble())
        assert table.GetValueByName(row, "R (mm)").ToDouble() == pytest.approx(-lesion.centre_lps_mm[0])


def test_nodes_lie_in_one_folder_and_say_where_they_come_from(scene: Any, run: Run) -> None:
    nodes = show_run(scene, run.folder, add_volumes(scene, run))
    assert find_folders(scene) == [nodes.folder]
    assert folder_nodes(scene, nodes.folder) == [nodes.segmentation, nodes.probability, nodes.table]
    for node in (nodes.segmentation, nodes.probability, nodes.colours, nodes.table):
        assert node.GetAttribute("LiverAI.RunId") == nodes.provenance.run_id
        assert node.GetAttribute("LiverAI.SoftwareVersion") == "0.1.0"
        assert node.GetAttribute("LiverAI.CreatedUtc") == "2026-11-21T20:00:00Z"
        models = json.loads(node.GetAttribute("LiverAI.Models"))
        assert models["liversegnet-compact"]["sha256"] == "ab" * 32


def test_showing_a_run_again_changes_nothing_in_number(scene: Any, run: Run) -> None:
    volumes = add_volumes(scene, run)
    show_run(scene, run.folder, volumes)
    count = scene.GetNumberOfNodes()
    for _ in range(3):
        show_run(scene, run.folder, volumes)
    assert scene.GetNumberOfNodes() == count
    assert len(own_nodes(scene)) == 4
    assert len(find_folders(scene)) == 1


def test_a_second_analysis_replaces_the_first(scene: Any, run: Run, tmp_path: Path) -> None:
    second = make_run(tmp_path / "second", lesions=1, version="0.2.0")
    volumes = add_volumes(scene, run)
    first_id = show_run(scene, run.folder, volumes).provenance.run_id
    nodes = show_run(scene, second.folder, volumes)
    assert nodes.provenance.run_id != first_id
    assert segment_ids(nodes.segmentation) == ["liver", "lesion_1"]
    assert nodes.table.GetTable().GetNumberOfRows() == 1
    assert {node.GetAttribute("LiverAI.SoftwareVersion") for node in own_nodes(scene)} == {"0.2.0"}


def test_clear_leaves_the_scene_as_it_was(scene: Any, run: Run) -> None:
    volumes = add_volumes(scene, run)
    before = node_ids(scene)
    show_run(scene, run.folder, volumes)
    clear_run(scene)
    assert node_ids(scene) == before
    assert find_folders(scene) == []


def test_what_a_user_put_into_the_folder_is_kept(scene: Any, run: Run) -> None:
    import slicer

    volumes = add_volumes(scene, run)
    nodes = show_run(scene, run.folder, volumes)
    note = scene.AddNewNodeByClass("vtkMRMLTextNode", "My note")
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    hierarchy.CreateItem(nodes.folder, note)
    show_run(scene, run.folder, volumes)
    assert scene.IsNodePresent(note)
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(note)) == hierarchy.GetSceneItemID()


def test_a_study_without_lesions(scene: Any, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", lesions=0, phases=(Phase.NON_CONTRAST,))
    nodes = show_run(scene, run.folder, add_volumes(scene, run))
    assert segment_ids(nodes.segmentation) == ["liver"]
    assert nodes.table.GetTable().GetNumberOfRows() == 0


def test_twenty_lesions_take_under_two_seconds(scene: Any, tmp_path: Path) -> None:
    """In seconds of the processor, as the machine may be busy."""
    affine = axis_aligned((0.9, 0.9, 5.0), (-160.0, -160.0, 0.0))
    run = make_run(tmp_path / "run", shape=(40, 192, 192), affine=affine, lesions=20, phases=(Phase.PORTAL_VENOUS,))
    volumes = add_volumes(scene, run)
    start = time.process_time()
    nodes = show_run(scene, run.folder, volumes)
    assert time.process_time() - start < 2.0
    assert len(segment_ids(nodes.segmentation)) == 21


def test_a_transformed_volume_carries_findings_made_in_the_world(scene: Any, run: Run) -> None:
    """A volume under a linear transform is exported hardened; the run lies in the world and must fit there."""
    shift = np.eye(4)
    shift[:3, 3] = (15, -8, 40)  # RAS
    moved = run.reference.affine.copy()
    moved[:3, 3] -= (-15, 8, 40)
    volume = type(run.reference)(run.reference.array, moved, run.reference.source)
    node = add_volume(scene, volume, "moved")
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(to_vtk_matrix(shift))
    node.SetAndObserveTransformNodeID(transform.GetID())
    nodes = show_run(scene, run.folder, {Phase.PORTAL_VENOUS: node})
    centre = np.array(nodes.segmentation.GetSegmentCenterRAS("lesion_1"))
    expected = np.array(run.findings.lesions[0].centre_lps_mm) * (-1, -1, 1)
    np.testing.assert_allclose(centre, expected, atol=max(run.reference.spacing_mm))


def test_a_volume_of_another_exam_is_refused_and_the_scene_kept(scene: Any, run: Run, tmp_path: Path) -> None:
    volumes = add_volumes(scene, run)
    shown = show_run(scene, run.folder, volumes).provenance.run_id
    before = node_ids(scene)
    other = make_run(tmp_path / "other", affine=axis_aligned((1.5, 1.5, 4.0), (-60.0, -40.0, 901.0)))
    with pytest.raises(SceneError, match="does not fit the chosen volume"):
        show_run(scene, other.folder, volumes)
    assert node_ids(scene) == before
    assert {node.GetAttribute("LiverAI.RunId") for node in own_nodes(scene)} == {shown}


def test_findings_need_the_volume_of_their_phase(scene: Any, run: Run) -> None:
    volumes = add_volumes(scene, run)
    with pytest.raises(SceneError, match="portal venous phase"):
        show_run(scene, run.folder, {Phase.ARTERIAL: volumes[Phase.ARTERIAL]})


@pytest.mark.parametrize("name", ["findings.json", "segmentation.seg.nrrd", "lesion_probability.nrrd"])
def test_an_incomplete_or_damaged_run_folder_is_refused_and_the_scene_kept(
    scene: Any, tmp_path: Path, name: str
) -> None:
    run = make_run(tmp_path / "run")
    volumes = add_volumes(scene, run)
    before = node_ids(scene)
    path = run.folder / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(RunFolderError, match=name):
        show_run(scene, run.folder, volumes)
    path.unlink()
    with pytest.raises(RunFolderError, match=name):
        show_run(scene, run.folder, volumes)
    assert node_ids(scene) == before


def test_showing_a_run_does_not_change_the_volumes(scene: Any, run: Run) -> None:
    volumes = add_volumes(scene, run)
    node = volumes[Phase.PORTAL_VENOUS]
    before = (node_array(node).copy(), node_affine(node), node.GetName(), node.GetDisplayNode().GetWindow())
    show_run(scene, run.folder, volumes)
    assert (node_array(node) == before[0]).all()
    np.testing.assert_array_equal(node_affine(node), before[1])
    assert (node.GetName(), node.GetDisplayNode().GetWindow()) == before[2:]


def test_a_vtk_error_fails_a_test() -> None:
    """The fixture that guards every test here does see errors."""
    import vtk

    with pytest.raises(AssertionError, match="ERROR"), no_vtk_errors():
        vtk.vtkImageGaussianSmooth().Update()


def test_matrices_survive_vtk() -> None:
    matrix = np.arange(16, dtype=np.float64).reshape(4, 4)
    np.testing.assert_array_equal(from_vtk_matrix(to_vtk_matrix(matrix)), matrix)
