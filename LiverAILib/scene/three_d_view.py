"""Slicer's 3D view, drawn without the application: the liver in glass, the lesions in it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import slicer
import vtk

from LiverAILib.scene.headless import HeadlessScene
from LiverAILib.scene.rendering import add_text, displayable_managers, grab, offscreen_window
from LiverAILib.scene.segmentation import surface_bounds

# Without vtkMRMLViewDisplayableManager, which crashes when it is destroyed outside the application: what it would take
# from the view node (background, depth peeling) is set on the renderer here.
_MANAGERS = (
    "vtkMRMLCameraDisplayableManager",
    "vtkMRMLModelDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager3D",
    "vtkMRMLOrientationMarkerDisplayableManager",
)
_TOP = (0.13, 0.15, 0.20)
_BOTTOM = (0.02, 0.02, 0.04)


def set_up_3d(host: HeadlessScene) -> Any:
    """The view node of Slicer's standard 3D view, with a dark background and no box; a saved scene keeps it."""
    node = slicer.vtkMRMLViewNode()
    node.SetName("View1")
    node.SetSingletonTag("1")
    node.SetLayoutName("1")
    node.SetLayoutLabel("1")
    node.SetBoxVisible(False)
    node.SetAxisLabelsVisible(False)
    node.SetBackgroundColor(*_BOTTOM)
    node.SetBackgroundColor2(*_TOP)
    node.SetUseDepthPeeling(True)
    node.SetOrientationMarkerType(slicer.vtkMRMLViewNode.OrientationMarkerTypeAxes)
    return host.scene.AddNode(node)


def render_3d_view(
    host: HeadlessScene, segmentation: Any, title: str = "", size: tuple[int, int] = (1000, 800)
) -> npt.NDArray[np.uint8]:
    """A picture (height, width, 3) of a segmentation that has closed surfaces, seen from the patient's front.

    Raises SceneError where VTK can't draw.
    """
    window, renderer, interactor = offscreen_window(size)
    node = set_up_3d(host)
    camera = host.scene.GetFirstNodeByClass("vtkMRMLCameraNode")
    if camera is None:
        camera = host.scene.AddNewNodeByClass("vtkMRMLCameraNode")
    camera.SetLayoutName(node.GetLayoutName())
    low, high = surface_bounds(segmentation)
    centre = (low + high) / 2
    reach = float(np.linalg.norm(high - low))
    camera.SetFocalPoint(*centre)
    camera.SetPosition(*(centre + 1.55 * reach * np.array([0.15, 0.97, 0.20])))
    camera.SetViewUp(0, 0, 1)

    renderer.SetBackground(*_BOTTOM)
    renderer.SetBackground2(*_TOP)
    renderer.SetGradientBackground(True)
    renderer.SetUseDepthPeeling(True)
    lights = vtk.vtkLightKit()
    lights.SetKeyLightIntensity(1.0)
    lights.AddLightsToRenderer(renderer)
    window.SetAlphaBitPlanes(True)
    group = displayable_managers(host, _MANAGERS, renderer, node)
    add_text(renderer, title, (14, size[1] - 14), align=("left", "top"))
    add_text(renderer, "Research use only", (14, 14), size=14, colour=(0.75, 0.75, 0.75))
    renderer.ResetCameraClippingRange()
    pixels = grab(window)
    del group, node, camera, renderer, interactor, window  # in this order, as in `slice_view`
    return pixels
