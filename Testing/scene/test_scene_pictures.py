"""Pictures of Slicer's views without the application, and what happens where nothing can be drawn."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scene_fixtures import Run, add_volumes, axis_aligned, make_run

from LiverAILib.scene.demo import lesion_marks, make_scene, view_centre
from LiverAILib.scene.headless import HeadlessScene, new_scene, read_scene
from LiverAILib.scene.load import show_run
from LiverAILib.scene.provenance import own_nodes
from LiverAILib.scene.rendering import INSTALL_COMMAND, rendering_available
from LiverAILib.scene.segmentation import create_surfaces
from LiverAILib.scene.slice_view import SliceContent, direction_letters, render_slice_view, set_up_slice
from LiverAILib.scene.three_d_view import render_3d_view
from LiverAILib.scene.volumes import add_volume
from LiverAILib.study import Phase, Source, Volume

needs_gl = pytest.mark.skipif(not rendering_available().available, reason=f"no OpenGL library ({INSTALL_COMMAND})")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make_run(tmp_path_factory.mktemp("runs") / "run")


def quadrants(pixels: np.ndarray) -> dict[str, float]:
    """Mean brightness of the picture's inner quarters, without the annotations at the edges."""
    height, width = pixels.shape[:2]
    grey = pixels[height // 5 : -height // 5, width // 5 : -width // 5].mean(axis=2)
    half_y, half_x = grey.shape[0] // 2, grey.shape[1] // 2
    return {
        "top left": grey[:half_y, :half_x].mean(),
        "top right": grey[:half_y, half_x:].mean(),
        "bottom left": grey[half_y:, :half_x].mean(),
        "bottom right": grey[half_y:, half_x:].mean(),
    }


@needs_gl
@pytest.mark.parametrize("mirror", [1, -1])
@pytest.mark.parametrize(
    ("orientation", "towards_lps", "expected"),
    [
        ("Axial", (-1, -1, 0), "top left"),  # right and anterior
        ("Axial", (1, 1, 0), "bottom right"),  # left and posterior
        ("Coronal", (-1, 0, 1), "top left"),  # right and superior
        ("Sagittal", (0, -1, 1), "top left"),  # anterior and superior
    ],
)
def test_views_have_the_radiological_orientation(
    host: HeadlessScene, orientation: str, towards_lps: tuple[int, int, int], expected: str, mirror: int
) -> None:
    """A bright block on one side of the patient shows where a radiologist looks for it, whatever the voxel order."""
    shape = (20, 40, 40)
    affine = axis_aligned((2.0 * mirror, 2.0 * mirror, 4.0 * mirror), (0.0, 0.0, 0.0))
    array = np.full(shape, -100, np.int16)
    block = [slice(None)] * 3
    for axis, side in enumerate(towards_lps[::-1]):
        if side:
            high = (side > 0) == (mirror > 0)
            block[axis] = slice(shape[axis] // 2, None) if high else slice(0, shape[axis] // 2)
    array[tuple(block)] = 200
    volume = Volume(array, affine, Source("test", "phantom"))
    node = add_volume(host.scene, volume, "CT")
    middle = volume.to_lps((np.array(shape) - 1) / 2) * (-1, -1, 1)
    pixels = render_slice_view(host, orientation, SliceContent(node), middle, (200, 160))
    brightness = quadrants(pixels)
    assert max(brightness, key=lambda name: brightness[name]) == expected


def test_edges_are_lettered_with_the_patients_sides(host: HeadlessScene, run: Run) -> None:
    content = SliceContent(add_volumes(host.scene, run)[Phase.PORTAL_VENOUS])
    letters = {
        orientation: direction_letters(set_up_slice(host, orientation, content, (0, 0, 0)).GetSliceNode())
        for orientation in ("Axial", "Coronal", "Sagittal")
    }
    assert letters["Axial"] == {"left": "R", "right": "L", "bottom": "P", "top": "A"}
    assert letters["Coronal"] == {"left": "R", "right": "L", "bottom": "I", "top": "S"}
    assert letters["Sagittal"] == {"left": "A", "right": "P", "bottom": "I", "top": "S"}


@needs_gl
def test_outlines_and_heat_map_change_the_picture_where_they_should(host: HeadlessScene, run: Run) -> None:
    volumes = add_volumes(host.scene, run)
    nodes = show_run(host.scene, run.folder, volumes)
    reference = volumes[Phase.PORTAL_VENOUS]
    centre = view_centre(run.findings, reference)
    nodes.segmentation.GetDisplayNode().SetVisibility(False)
    plain = render_slice_view(host, "Axial", SliceContent(reference), centre, (300, 240)).astype(int)
    heat = render_slice_view(host, "Axial", SliceContent(reference, nodes.probability), centre, (300, 240)).astype(int)
    nodes.segmentation.GetDisplayNode().SetVisibility(True)
    marks = lesion_marks(nodes)
    full = render_slice_view(
        host, "Axial", SliceContent(reference, nodes.probability, marks=marks), centre, (300, 240)
    ).astype(int)
    body = (slice(60, 165), slice(75, 200))  # clear of annotations and legend
    assert np.ptp(plain[body], axis=2).max() == 0, "the CT alone is grey"
    coloured = np.ptp(heat[body], axis=2) > 20
    assert 0.005 < coloured.mean() < 0.25, "the heat map covers the lesion and not the liver"
    legend = heat[160:, 270:]
    assert (np.ptp(legend, axis=2) > 60).sum() > 50, "the legend's bar stands in the lower right corner"
    assert np.abs(full - heat)[body].max() > 60, "outlines and numbers are drawn"


@needs_gl
def test_a_picture_is_the_same_every_time(host: HeadlessScene, run: Run) -> None:
    volumes = add_volumes(host.scene, run)
    nodes = show_run(host.scene, run.folder, volumes)
    content = SliceContent(volumes[Phase.PORTAL_VENOUS], nodes.probability, marks=lesion_marks(nodes))
    first, second = (render_slice_view(host, "Coronal", content, (0, 0, 930), (200, 160)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


@needs_gl
def test_lesions_show_through_the_liver_in_3d(host: HeadlessScene, run: Run) -> None:
    nodes = show_run(host.scene, run.folder, add_volumes(host.scene, run))
    create_surfaces(nodes.segmentation)
    with_lesions = render_3d_view(host, nodes.segmentation, size=(300, 240)).astype(int)
    for lesion in run.findings.lesions:
        nodes.segmentation.GetDisplayNode().SetSegmentVisibility3D(lesion.id, False)
    liver_only = render_3d_view(host, nodes.segmentation, size=(300, 240)).astype(int)
    middle = (slice(40, 200), slice(40, 260))
    assert (liver_only[middle].sum(axis=2) > 120).mean() > 0.2, "the liver fills a good part of the view"
    assert 0.005 < (np.abs(with_lesions - liver_only)[middle].max(axis=2) > 40).mean() < 0.3


@needs_gl
def test_make_scene_writes_a_scene_that_opens_and_pictures(run: Run, tmp_path: Path) -> None:
    made = make_scene(run.folder, run.study, tmp_path / "out")
    assert made.message == ""
    names = ["axial_arterial.png", "axial.png", "coronal.png", "sagittal.png", "3d.png", "views.png"]
    assert [path.name for path in made.pictures] == names
    assert Image.open(made.pictures[-1]).size == (2000, 1600)
    host = new_scene()
    read_scene(host, made.scene_path)
    assert len(own_nodes(host.scene)) == 4
    for name in ("Red", "Green", "Yellow"):
        composite = host.scene.GetNodeByID(f"vtkMRMLSliceCompositeNode{name}")
        assert host.scene.GetNodeByID(composite.GetForegroundVolumeID()).GetName() == "Lesion probability"
        assert composite.GetForegroundOpacity() == pytest.approx(0.4)
        assert host.scene.GetNodeByID(composite.GetBackgroundVolumeID()).GetName() == "Portal venous"


def test_the_scene_is_written_without_pictures_too(run: Run, tmp_path: Path) -> None:
    made = make_scene(run.folder, run.study, tmp_path, pictures=False)
    assert (made.pictures, made.message) == ((), "")
    assert made.scene_path.is_file()


def test_a_study_without_a_liver_still_gives_a_scene(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", lesions=0, liver=False)
    made = make_scene(run.folder, run.study, tmp_path / "out")
    assert made.scene_path.is_file()
    assert "3d.png" not in [path.name for path in made.pictures]


def test_without_gl_nothing_crashes_and_the_command_is_said(run: Run, tmp_path: Path) -> None:
    """Really without: the child's EGL finds no driver, and there is no OSMesa."""
    script = (
        "import sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from pathlib import Path\n"
        "from scene_fixtures import make_run\n"
        "from LiverAILib.scene.demo import make_scene\n"
        f"run = make_run(Path({str(tmp_path / 'run')!r}))\n"
        f"made = make_scene(run.folder, run.study, Path({str(tmp_path / 'out')!r}))\n"
        "print(made.message, made.pictures, made.scene_path.is_file())\n"
    )
    environment = {
        **os.environ,
        "__EGL_VENDOR_LIBRARY_FILENAMES": str(tmp_path / "no_driver.json"),
        "VTK_DEFAULT_OPENGL_WINDOW": "vtkEGLRenderWindow",
    }
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert INSTALL_COMMAND in done.stdout
    assert done.stdout.strip().endswith("() True")
