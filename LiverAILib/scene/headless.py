"""A real MRML scene without the application: for the demo, pictures and tests, on the slicer-core libraries."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import slicer

from LiverAILib.scene.errors import SceneError


@dataclass(frozen=True)
class HeadlessScene:
    """A scene and the logics that it needs alive: colours (default tables, legends), segmentations, volumes, tables."""

    scene: Any
    application_logic: Any
    logics: tuple[Any, ...]


def new_scene() -> HeadlessScene:
    """A fresh scene that can load and save all node types of a run."""
    scene = slicer.vtkMRMLScene()
    application_logic = slicer.vtkMRMLApplicationLogic()
    application_logic.SetMRMLScene(scene)
    scene.RegisterNodeClass(slicer.vtkMRMLColorLegendDisplayNode())
    logics = []
    for name in ("vtkMRMLColorLogic", "vtkSlicerVolumesLogic", "vtkSlicerSegmentationsModuleLogic"):
        logic = getattr(slicer, name)()
        logic.SetMRMLApplicationLogic(application_logic)
        logic.SetMRMLScene(scene)
        logics.append(logic)
    return HeadlessScene(scene, application_logic, tuple(logics))


def read_scene(host: HeadlessScene, path: Path) -> None:
    """Replace the scene's content by that of an `.mrb` file. Raises SceneError if it can't be read."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(Path.cwd()):  # Slicer leaves it changed
        remote = slicer.vtkMRMLRemoteIOLogic()
        remote.SetMRMLScene(host.scene)
        remote.GetCacheManager().SetRemoteCacheDirectory(folder)
        manager_logic = slicer.vtkDataIOManagerLogic()
        manager_logic.SetMRMLApplicationLogic(host.application_logic)
        manager_logic.SetAndObserveDataIOManager(remote.GetDataIOManager())
        remote.AddDataIOToScene()
        read = host.scene.ReadFromMRB(str(path), True)
        remote.RemoveDataIOFromScene()
    if not read:
        raise SceneError(f"{path.name} can't be read. Save the scene again.")
