"""Slicer's 3D view, drawn without the application: the liver in glass, the lesions in it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import slicer

from LiverAILib.scene.headless import HeadlessScene
from LiverAILib.scene.rendering import add_text, grab, offscreen_window

_MANAGERS = (
    "vtkMRMLViewDisplayableManager",
    "vtkMRMLCameraDisplayableManager",
    "vtkMRMLModelDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager3D",
    "vtkMRMLOrientationMarkerDisplayableManager",
)
_TOP = (0.13, 0.15, 0.20)
_BOTTOM = (0.02, 0.02, 0.04)


def set_up_3d(host: HeadlessScene) -> Any:
    """Slicer's standard 3D view with a dark background and no box; kept when the scene is saved. Returns its view node."""
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
    camera = host.scene.AddNewNodeByClass("vtkMRMLCameraNode")
    camera.SetLayoutName(node.GetLayoutName())
    bounds = [0.0] * 6
    segmentation.GetRASBounds(bounds)
    low, high = np.array(bounds[::2]), np.array(bounds[1::2])
    centre = (low + high) / 2
    reach = float(np.linalg.norm(high - low))
    camera.SetFocalPoint(*centre)
    camera.SetPosition(*(centre + 1.55 * reach * np.array([0.15, 0.97, 0.20])))
    camera.SetViewUp(0, 0, 1)

    group = slicer.vtkMRMLDisplayableManagerGroup()
    for name in _MANAGERS:
        manager = getattr(slicer, name)()
        manager.SetMRMLApplicationLogic(host.application_logic)
        group.AddDisplayableManager(manager)
    group.SetRenderer(renderer)
    group.SetMRMLDisplayableNode(node)
    group.SetInteractor(interactor)
    add_text(renderer, title, (14, size[1] - 14), align=("left", "top"))
    add_text(renderer, "Research use only", (14, 14), size=14, colour=(0.75, 0.75, 0.75))
    renderer.ResetCameraClippingRange()
    pixels = grab(window)
    window.Finalize()
    return pixels
