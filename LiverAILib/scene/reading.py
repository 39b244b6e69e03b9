"""The scene of a reader study: emptied of all that came before, then one case's images under neutral names."""

from __future__ import annotations

from typing import Any

from LiverAILib.scene.volumes import PHASE_NAMES, add_volume
from LiverAILib.study import Phase, Volume

#: Nodes that Slicer makes by itself, or that are nothing a person would miss.
_NO_CONTENT = ("vtkMRMLColorNode", "vtkMRMLSubjectHierarchyNode", "vtkMRMLScriptedModuleNode", "vtkMRMLViewNode")


def holds_work(scene: Any) -> bool:
    """Whether a scene holds anything that somebody loaded or made, and may want to save."""
    nodes = scene.GetNodesByClass("vtkMRMLStorableNode")
    every = [nodes.GetItemAsObject(index) for index in range(nodes.GetNumberOfItems())]
    return any(
        not node.GetHideFromEditors() and not node.GetSingletonTag() and not any(node.IsA(kind) for kind in _NO_CONTENT)
        for node in every
    )


def empty_scene(scene: Any) -> None:
    """Remove everything, also what closing a scene leaves: its path, its comment, and what could be undone."""
    scene.Clear(0)
    scene.ClearUndoStack()
    scene.ClearRedoStack()
    scene.SetURL("")
    scene.SetRootDirectory("")


def add_images(scene: Any, phase: Phase, volume: Volume) -> Any:
    """A phase's images as a volume node that is named after the phase and knows no file."""
    return add_volume(scene, volume, PHASE_NAMES[phase])
