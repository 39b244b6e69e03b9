"""Drawing without a display: whether it works here, an offscreen window, and its pixels."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from LiverAILib.scene.errors import SceneError
from LiverAILib.scene.headless import HeadlessScene

INSTALL_COMMAND = "apt-get install libegl1 libgl1 libgl1-mesa-dri"
_WINDOW_VARIABLE = "VTK_DEFAULT_OPENGL_WINDOW"
_OFFSCREEN_WINDOWS = ("vtkEGLRenderWindow", "vtkOSOpenGLRenderWindow")

# Draws one red pixel; without a GL library VTK crashes here and not in the caller.
_PROBE = """
import vtkmodules.vtkRenderingOpenGL2
from vtkmodules.vtkCommonCore import vtkUnsignedCharArray
from vtkmodules.vtkRenderingCore import vtkRenderer, vtkRenderWindow
window, renderer, pixels = vtkRenderWindow(), vtkRenderer(), vtkUnsignedCharArray()
window.SetOffScreenRendering(True)
window.SetMultiSamples(0)
window.SetSize(8, 8)
renderer.SetBackground(1, 0, 0)
window.AddRenderer(renderer)
window.Render()
window.GetPixelData(0, 0, 7, 7, 0, pixels, 0)
assert pixels.GetValue(0) == 255 and pixels.GetValue(1) == 0
"""


@dataclass(frozen=True)
class Rendering:
    """Whether pictures can be drawn, with which VTK window class (empty: the platform's own), and else what to do."""

    available: bool
    window: str
    message: str


@cache
def rendering_available() -> Rendering:
    """Try in a child process whether VTK can draw offscreen (a few seconds on the first call, then remembered)."""
    chosen = os.environ.get(_WINDOW_VARIABLE)
    if chosen is not None:
        candidates: tuple[str, ...] = (chosen,)
    else:
        candidates = _OFFSCREEN_WINDOWS if sys.platform == "linux" else ("",)
    for window in candidates:
        if _probe(window):
            return Rendering(True, window, "")
    return Rendering(False, "", _advice())


def _advice() -> str:
    if sys.platform == "linux":
        return f"Pictures are skipped: no OpenGL library that draws without a display. Install one: {INSTALL_COMMAND}"
    return "Pictures are skipped: VTK can't draw here (no OpenGL 3.2)."


def _probe(window: str) -> bool:
    environment = {**os.environ, **({_WINDOW_VARIABLE: window} if window else {})}
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter and text
            [sys.executable, "-c", _PROBE],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def offscreen_window(size: tuple[int, int]) -> tuple[Any, Any, Any]:
    """A render window of (width, height) that needs no display, its renderer and its interactor.

    Raises SceneError, with the command that helps, where VTK can't draw.
    """
    state = rendering_available()
    if not state.available:
        raise SceneError(state.message)
    if state.window:
        os.environ[_WINDOW_VARIABLE] = state.window  # read by VTK's object factory
    window = vtk.vtkRenderWindow()
    window.SetOffScreenRendering(True)
    window.SetMultiSamples(0)  # otherwise translucent surfaces vanish
    window.SetSize(*size)
    renderer = vtk.vtkRenderer()
    window.AddRenderer(renderer)
    interactor = vtk.vtkRenderWindowInteractor()
    interactor.SetRenderWindow(window)
    return window, renderer, interactor


def displayable_managers(host: HeadlessScene, names: Sequence[str], renderer: Any, view_node: Any) -> Any:
    """The group of displayable managers that draws the scene into a renderer, for a slice or 3D view node."""
    group = slicer.vtkMRMLDisplayableManagerGroup()
    for name in names:
        manager = getattr(slicer, name)()
        manager.SetMRMLApplicationLogic(host.application_logic)
        group.AddDisplayableManager(manager)
    group.SetRenderer(renderer)
    group.SetMRMLDisplayableNode(view_node)
    return group


def grab(window: Any) -> npt.NDArray[np.uint8]:
    """Draw and return the pixels (height, width, 3), first row at the top."""
    window.Render()
    grabber = vtk.vtkWindowToImageFilter()
    grabber.SetInput(window)
    grabber.SetInputBufferTypeToRGB()
    grabber.ReadFrontBufferOff()
    grabber.Update()
    image = grabber.GetOutput()
    width, height, _ = image.GetDimensions()
    pixels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, 3)
    return np.ascontiguousarray(pixels[::-1])


def written_texts(renderer: Any) -> list[str]:
    """Every text that a drawn renderer, or one over or under it in its window, writes: also legends and corners."""
    texts: list[str] = []
    renderers = renderer.GetRenderWindow().GetRenderers()
    for index in range(renderers.GetNumberOfItems()):
        props = renderers.GetItemAsObject(index).GetViewProps()
        todo = [props.GetItemAsObject(number) for number in range(props.GetNumberOfItems())]
        seen: list[Any] = []
        while todo:
            prop = todo.pop()
            if prop in seen:
                continue
            seen.append(prop)
            told = [getattr(prop, name)() for name in ("GetInput", "GetTitle", "GetCaption") if hasattr(prop, name)]
            told += [prop.GetText(corner) for corner in range(8)] if prop.IsA("vtkCornerAnnotation") else []
            texts += [text for text in told if isinstance(text, str) and text]
            parts = vtk.vtkPropCollection()
            prop.GetActors2D(parts)
            todo += [parts.GetItemAsObject(number) for number in range(parts.GetNumberOfItems())]
    return texts


def add_text(
    renderer: Any,
    text: str,
    position: tuple[float, float],
    *,
    size: int = 18,
    colour: tuple[float, float, float] = (1.0, 1.0, 1.0),
    align: tuple[str, str] = ("left", "bottom"),
    bold: bool = False,
) -> Any:
    """Write text with a shadow at a pixel position, counted from the lower left.

    align: left, centre or right, and bottom, centre or top.
    """
    actor = vtk.vtkTextActor()
    actor.SetInput(text)
    actor.SetPosition(*position)
    style = actor.GetTextProperty()
    style.SetFontFamilyToArial()
    style.SetFontSize(size)
    style.SetColor(*colour)
    style.SetBold(bold)
    style.SetShadow(True)
    style.SetShadowOffset(1, -1)
    style.SetJustification({"left": 0, "centre": 1, "right": 2}[align[0]])
    style.SetVerticalJustification({"bottom": 0, "centre": 1, "top": 2}[align[1]])
    renderer.AddViewProp(actor)
    return actor
