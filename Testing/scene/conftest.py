"""A real MRML scene in which any VTK error fails the test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed: pip install 'LiverAILib[scene]'")

from scene_fixtures import no_vtk_errors

from LiverAILib.scene.headless import HeadlessScene, new_scene


@pytest.fixture(autouse=True)
def _vtk_errors_fail() -> Iterator[None]:
    """Any VTK error fails the test."""
    with no_vtk_errors():
        yield


@pytest.fixture
def host() -> Iterator[HeadlessScene]:
    host = new_scene()
    yield host
    host.scene.Clear(1)


@pytest.fixture
def scene(host: HeadlessScene) -> Any:
    return host.scene
