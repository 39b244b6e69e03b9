"""Slicer's own slice view, drawn without the application: layers, outlines, legend, ruler and annotations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import slicer
import vtk

from LiverAILib.scene.headless import HeadlessScene
from LiverAILib.scene.overlay import OPACITY
from LiverAILib.scene.rendering import add_text, displayable_managers, grab, offscreen_window, written_texts
from LiverAILib.scene.volumes import from_vtk_matrix

#: Slicer's names of its three standard views.
VIEW_NAMES = {"Axial": "Red", "Coronal": "Green", "Sagittal": "Yellow"}

_MANAGERS = (
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D",
    "vtkMRMLColorLegendDisplayableManager",
    "vtkMRMLRulerDisplayableManager",
)
_LETTERS = (("L", "R"), ("P", "A"), ("I", "S"))  # towards minus and plus of R, A, S
_MARGIN = 14


@dataclass(frozen=True)
class Mark:
    """A short text beside a point (RAS, mm), in a colour."""

    text: str
    ras: tuple[float, float, float]
    colour: tuple[float, float, float]


@dataclass(frozen=True)
class SliceContent:
    """What a slice view shows. Marks appear on slices within `mark_reach_mm` of their point.

    frame_ras: two corners (mm) of a box that fills most of the view; without it the whole background is fitted in.
    """

    background: Any
    foreground: Any | None = None
    opacity: float = OPACITY
    frame_ras: tuple[tuple[float, float, float], tuple[float, float, float]] | None = None
    title: str = ""
    marks: Mapping[str, Mark] = field(default_factory=dict)
    mark_reach_mm: float = 6.0


def set_up_slice(host: HeadlessScene, orientation: str, content: SliceContent, centre_ras: npt.ArrayLike) -> Any:
    """Slicer's standard view of an orientation, with its layers and its slice through a point; a saved scene keeps it.

    orientation: Axial, Coronal or Sagittal. Returns the slice logic, which owns the view's slice and composite nodes.
    """
    logic = slicer.vtkMRMLSliceLogic()
    logic.SetMRMLApplicationLogic(host.application_logic)
    logic.SetMRMLScene(host.scene)
    node = host.scene.GetNodeByID(f"vtkMRMLSliceNode{VIEW_NAMES[orientation]}")
    if node is None:
        node = logic.AddSliceNode(VIEW_NAMES[orientation])
    else:
        logic.SetSliceNode(node)
    node.SetOrientation(orientation)
    composite = logic.GetSliceCompositeNode()
    composite.SetBackgroundVolumeID(content.background.GetID())
    composite.SetForegroundVolumeID(content.foreground.GetID() if content.foreground is not None else "")
    composite.SetForegroundOpacity(content.opacity)
    node.JumpSliceByOffsetting(*np.asarray(centre_ras, dtype=np.float64).tolist())
    return logic


def render_slice_view(
    host: HeadlessScene,
    orientation: str,
    content: SliceContent,
    centre_ras: npt.ArrayLike,
    size: tuple[int, int] = (1000, 800),
    texts: list[str] | None = None,
) -> npt.NDArray[np.uint8]:
    """A picture (height, width, 3) of a slice view through a point (RAS, mm), fitted to the background volume.

    Anterior (or superior) is up, and the patient's right is on the left, as Slicer shows it. texts: gets every text
    that is written into the picture.
    Raises SceneError where VTK can't draw.
    """
    window, renderer, interactor = offscreen_window(size)
    logic = set_up_slice(host, orientation, content, centre_ras)
    node = logic.GetSliceNode()
    logic.ResizeSliceNode(*size)
    logic.FitSliceToBackground(*size)
    if content.frame_ras is not None:
        _frame(node, np.array(content.frame_ras), size)
    node.JumpSliceByOffsetting(*np.asarray(centre_ras, dtype=np.float64).tolist())
    node.SetRulerType(slicer.vtkMRMLSliceNode.RulerTypeThin)
    node.SetRulerColor(slicer.vtkMRMLSliceNode.RulerColorYellow)

    mapper = vtk.vtkImageMapper()
    mapper.SetColorWindow(255)
    mapper.SetColorLevel(127.5)
    mapper.SetInputConnection(logic.GetImageDataConnection())
    picture = vtk.vtkActor2D()
    picture.SetMapper(mapper)
    picture.GetProperty().SetDisplayLocationToBackground()
    renderer.AddViewProp(picture)

    logics = vtk.vtkCollection()  # where the legend's manager looks for the view's layers
    logics.AddItem(logic)
    host.application_logic.SetSliceLogics(logics)
    group = displayable_managers(host, _MANAGERS, renderer, node)
    _announce_layers(logic.GetSliceCompositeNode())
    _annotate(renderer, node, orientation, content, size)
    logic.UpdatePipeline()
    pixels = grab(window)
    if texts is not None:
        texts += written_texts(renderer)
    # Slicer's classes crash when the window goes before its managers.
    host.application_logic.SetSliceLogics(vtk.vtkCollection())
    del logics, group, node, logic, picture, mapper, renderer, interactor, window
    return pixels


def _announce_layers(composite: Any) -> None:
    """Tell the managers that the layers changed: legends older than the view's managers are drawn only then."""
    composite.SetInteractionFlags(slicer.vtkMRMLSliceCompositeNode.ForegroundVolumeFlag)
    composite.Modified()
    composite.SetInteractionFlags(0)


def _frame(node: Any, corners: npt.NDArray[np.float64], size: tuple[int, int], margin: float = 1.45) -> None:
    """Centre the view on a box and choose the field of view in which the box, with a margin, just fits."""
    extent = np.abs(from_vtk_matrix(node.GetSliceToRAS())[:3, :3].T @ (corners[1] - corners[0]))
    height = margin * max(extent[1], extent[0] * size[1] / size[0])
    node.SetFieldOfView(height * size[0] / size[1], height, node.GetFieldOfView()[2])
    node.JumpSliceByCentering(*corners.mean(axis=0).tolist())


def direction_letters(node: Any) -> dict[str, str]:
    """The patient's side at each edge of a slice view: keys left, right, bottom, top; letters of R L A P S I."""
    to_ras = from_vtk_matrix(node.GetSliceToRAS())
    letters = {}
    for low, high, column in (("left", "right", 0), ("bottom", "top", 1)):
        axis = int(np.abs(to_ras[:3, column]).argmax())
        minus, plus = _LETTERS[axis]
        letters[low], letters[high] = (minus, plus) if to_ras[axis, column] > 0 else (plus, minus)
    return letters


def _annotate(renderer: Any, node: Any, orientation: str, content: SliceContent, size: tuple[int, int]) -> None:
    width, height = size
    letters = direction_letters(node)
    for side, position, align in (
        ("left", (_MARGIN, height / 2), ("left", "centre")),
        ("right", (width - _MARGIN, height / 2), ("right", "centre")),
        ("top", (width / 2, height - _MARGIN), ("centre", "top")),
        ("bottom", (width / 2, 3 * _MARGIN), ("centre", "bottom")),
    ):
        add_text(renderer, letters[side], position, size=24, align=align, bold=True, colour=(1.0, 0.85, 0.4))
    axis = {"Sagittal": 0, "Coronal": 1, "Axial": 2}[orientation]
    offset = float(from_vtk_matrix(node.GetSliceToRAS())[axis, 3])
    where = f"{orientation}, {_LETTERS[axis][offset > 0]} {abs(offset):.1f} mm"
    add_text(renderer, f"{content.title}\n{where}", (_MARGIN, height - _MARGIN), align=("left", "top"))
    add_text(renderer, "Research use only", (_MARGIN, _MARGIN), size=14, colour=(0.75, 0.75, 0.75))

    to_xy = np.linalg.inv(from_vtk_matrix(node.GetXYToRAS()))
    normal = from_vtk_matrix(node.GetSliceToRAS())[:3, 2]
    origin = from_vtk_matrix(node.GetSliceToRAS())[:3, 3]
    for mark in content.marks.values():
        if abs(float((np.asarray(mark.ras) - origin) @ normal)) <= content.mark_reach_mm:
            x, y = (to_xy @ [*mark.ras, 1.0])[:2]
            add_text(renderer, mark.text, (x, y), size=16, colour=mark.colour, align=("centre", "centre"), bold=True)
