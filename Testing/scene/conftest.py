"""A real MRML scene in which any VTK error fails the test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed: pip install 'LiverAILib[scene]'")

import vtk

from LiverAILib.scene.headless import HeadlessScene, new_scene


@pytest.fixture(autouse=True)
def _vtk_errors_fail() -> Iterator[None]:
    """Collect what VTK prints; an error fails the test."""
    before = vtk.vtkOutputWindow.GetInstance()
    window = vtk.vtkStringOutputWindow()
    vtk.vtkOutputWindow.SetInstance(window)
    yield
    vtk.vtkOutputWindow.SetInstance(before)
    text = window.GetOutput()
    assert "ERROR" not in text, text


@pytest.fixture
def host() -> Iterator[HeadlessScene]:
    host = new_scene()
    yield host
    host.scene.Clear(1)


@pytest.fixture
def scene(host: HeadlessScene) -> Any:
    return host.scene
