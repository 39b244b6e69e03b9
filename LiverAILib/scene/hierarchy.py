"""The subject-hierarchy folder that holds what LiverAI adds to a scene."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import slicer
import vtk

from LiverAILib.scene.provenance import ROLE, Provenance

FOLDER_ROLE = "folder"


def _hierarchy(scene: Any) -> Any:
    return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)


def find_folders(scene: Any) -> list[int]:
    """The items of our folders in a scene: none or one, unless scenes were imported into each other."""
    hierarchy = _hierarchy(scene)
    items = vtk.vtkIdList()
    hierarchy.GetItemChildren(hierarchy.GetSceneItemID(), items, True)
    every = [items.GetId(index) for index in range(items.GetNumberOfIds())]
    return [item for item in every if hierarchy.GetItemAttribute(item, ROLE) == FOLDER_ROLE]


def add_folder(scene: Any, name: str, provenance: Provenance, nodes: Iterable[Any]) -> int:
    """A new folder with the run's attributes, holding these nodes. Returns its item."""
    hierarchy = _hierarchy(scene)
    folder: int = hierarchy.CreateFolderItem(hierarchy.GetSceneItemID(), name)
    hierarchy.SetItemAttribute(folder, ROLE, FOLDER_ROLE)
    for key, value in provenance.attributes().items():
        hierarchy.SetItemAttribute(folder, key, value)
    for node in nodes:
        # The application makes items by itself, the bare libraries do not.
        item = hierarchy.GetItemByDataNode(node) or hierarchy.CreateItem(folder, node)
        hierarchy.SetItemParent(item, folder)
    hierarchy.SetItemExpanded(folder, True)
    return folder


def remove_folders(scene: Any) -> None:
    """Remove our folders; what a user has put into one moves up to the scene."""
    hierarchy = _hierarchy(scene)
    for folder in find_folders(scene):
        items = vtk.vtkIdList()
        hierarchy.GetItemChildren(folder, items, False)
        for index in range(items.GetNumberOfIds()):
            hierarchy.SetItemParent(items.GetId(index), hierarchy.GetSceneItemID())
        hierarchy.RemoveItem(folder, True, False)  # with its display node, which the application may have made


def remove_item(scene: Any, node: Any) -> None:
    """Remove a node's item, not the node: the bare libraries, unlike the application, would keep it."""
    hierarchy = _hierarchy(scene)
    item = hierarchy.GetItemByDataNode(node)
    if item:
        hierarchy.RemoveItem(item, False, True)


def folder_nodes(scene: Any, folder: int) -> list[Any]:
    """The nodes directly in a folder."""
    hierarchy = _hierarchy(scene)
    items = vtk.vtkIdList()
    hierarchy.GetItemChildren(folder, items, False)
    nodes = [hierarchy.GetItemDataNode(items.GetId(index)) for index in range(items.GetNumberOfIds())]
    return [node for node in nodes if node is not None]
