"""A reader's marks: points of one markups node that the reader clicks, and a box around each where one is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import slicer

from LiverAILib.scene.volumes import from_vtk_matrix, lps_to_ras

Point = tuple[float, float, float]

#: Edges of a box when it is new, mm.
BOX_MM = 20.0
_NAME = "Marks"


class Marks:
    """The marks of one case. on_change(): told when a mark was set, moved or removed, by whatever means.

    Each mark has a key that stays its own, also when the scene was closed and the marks are drawn again.
    """

    def __init__(self, scene: Any, *, boxes: bool = False, on_change: Callable[[], None] = lambda: None) -> None:
        self._scene = scene
        self._boxes = boxes
        self._on_change = on_change
        self._keys: dict[str, str] = {}  # of the node's points
        self._count = 0
        self._points: dict[str, Point] = {}
        self._box_nodes: dict[str, Any] = {}
        self._kept_boxes: dict[str, tuple[Point, Point] | None] = {}
        self._node: Any = None
        self._observers: list[int] = []
        self._quiet = False
        self.draw()

    def draw(self) -> None:
        """Make the nodes, with the marks that there are: at the beginning, and after the scene was closed."""
        kept = dict(self._points)
        self._node = self._scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", _NAME)
        self._node.CreateDefaultDisplayNodes()
        display = self._node.GetDisplayNode()
        display.SetVisibility3D(False)
        display.SetUseGlyphScale(False)
        display.SetGlyphSize(4.0)
        display.SetTextScale(3.5)
        self._keys, self._points = {}, {}
        self._quiet = True
        for key, point in kept.items():
            number = self._node.AddControlPoint(*lps_to_ras(point).tolist())
            self._keys[self._node.GetNthControlPointID(number)] = key
        self._quiet = False
        kind = slicer.vtkMRMLMarkupsNode
        self._observers = [
            self._node.AddObserver(event, lambda *_: self._changed())
            for event in (
                kind.PointPositionDefinedEvent,
                kind.PointPositionUndefinedEvent,
                kind.PointRemovedEvent,
                kind.PointModifiedEvent,
            )
        ]
        self._read()
        for key, corners in self._kept_boxes.items():
            if corners is not None and key in self._box_nodes:
                self._set_box(self._box_nodes[key], corners)
        self._kept_boxes = {}

    def keep(self) -> None:
        """The scene is about to be closed: remember the marks and forget the nodes, until they are drawn again."""
        if self._node is not None:
            self._kept_boxes = {key: self.box(key) for key in self._box_nodes}
            self._box_nodes = {}
            self._forget_node()

    def close(self) -> None:
        """Take the marks out of the scene."""
        self.stop_placing()
        nodes = [self._node, *self._box_nodes.values()]
        self._forget_node()
        for node in nodes:
            if node is not None and self._scene.IsNodePresent(node):
                self._scene.RemoveNode(node)
        self._box_nodes, self._points = {}, {}

    def _forget_node(self) -> None:
        if self._node is not None:
            for tag in self._observers:
                self._node.RemoveObserver(tag)
        self._node, self._observers = None, []

    # --- what is marked

    @property
    def points(self) -> dict[str, Point]:
        """The place (LPS, mm) of each mark by its key, in the order of marking."""
        return dict(self._points)

    def box(self, key: str) -> tuple[Point, Point] | None:
        """The low and high corner (LPS, mm) of a mark's box, None without one."""
        node = self._box_nodes.get(key)
        if node is None or not self._scene.IsNodePresent(node):
            return None
        bounds = [0.0] * 6
        node.GetRASBounds(bounds)
        one, other = lps_to_ras(bounds[::2]), lps_to_ras(bounds[1::2])
        low, high = (tuple(map(float, end)) for end in (one.clip(max=other), one.clip(min=other)))
        return (low[0], low[1], low[2]), (high[0], high[1], high[2])

    def add(self, point_lps: Sequence[float]) -> str:
        """Mark a place (LPS, mm). Returns the mark's key."""
        before = set(self._points)
        self._node.AddControlPoint(*lps_to_ras(point_lps).tolist())
        self._changed()
        return next(key for key in self._points if key not in before)

    def remove(self, key: str) -> None:
        """Take a mark back."""
        point_id = next((point for point, its in self._keys.items() if its == key), None)
        if point_id is not None:
            self._node.RemoveNthControlPoint(self._node.GetNthControlPointIndexByID(point_id))
            self._changed()

    # --- placing with the mouse

    def place(self) -> None:
        """The next click into a view sets a mark."""
        selection = self._scene.GetNodeByID("vtkMRMLSelectionNodeSingleton")
        interaction = self._scene.GetNodeByID("vtkMRMLInteractionNodeSingleton")
        selection.SetReferenceActivePlaceNodeClassName("vtkMRMLMarkupsFiducialNode")
        selection.SetActivePlaceNodeID(self._node.GetID())
        interaction.SetPlaceModePersistence(0)
        interaction.SetCurrentInteractionMode(interaction.Place)

    def stop_placing(self) -> None:
        """The mouse is for looking again."""
        interaction = self._scene.GetNodeByID("vtkMRMLInteractionNodeSingleton")
        if interaction is not None and interaction.GetCurrentInteractionMode() == interaction.Place:
            interaction.SetCurrentInteractionMode(interaction.ViewTransform)

    # --- following the node

    def _changed(self) -> None:
        if self._quiet or self._node is None:
            return
        self._quiet = True
        try:
            before = self.points
            self._read()
        finally:
            self._quiet = False
        if before != self._points:
            self._on_change()

    def _read(self) -> None:
        """Take up the node's points; one that is only under the mouse yet does not count."""
        node, kind = self._node, slicer.vtkMRMLMarkupsNode
        found: dict[str, Point] = {}
        for index in range(node.GetNumberOfControlPoints()):
            if node.GetNthControlPointPositionStatus(index) != kind.PositionDefined:
                continue
            point_id = node.GetNthControlPointID(index)
            if point_id not in self._keys:
                self._count += 1
                self._keys[point_id] = str(self._count)
            ras = [0.0, 0.0, 0.0]
            node.GetNthControlPointPositionWorld(index, ras)
            x, y, z = (float(value) for value in lps_to_ras(ras))
            found[self._keys[point_id]] = (x, y, z)
            node.SetNthControlPointLabel(index, str(len(found)))
        self._points = found
        self._follow_boxes()

    def _follow_boxes(self) -> None:
        for key in [key for key in self._box_nodes if key not in self._points]:
            self._scene.RemoveNode(self._box_nodes.pop(key))
        for key, point in self._points.items() if self._boxes else ():
            if key not in self._box_nodes:
                node = self._scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", f"Box {key}")
                node.CreateDefaultDisplayNodes()
                display = node.GetDisplayNode()
                display.SetVisibility3D(False)
                display.SetFillVisibility(False)
                display.SetHandlesInteractive(True)
                display.SetRotationHandleVisibility(False)
                display.SetPropertiesLabelVisibility(False)
                self._box_nodes[key] = node
                half = BOX_MM / 2
                x, y, z = point
                self._set_box(node, ((x - half, y - half, z - half), (x + half, y + half, z + half)))

    def _set_box(self, node: Any, corners: tuple[Point, Point]) -> None:
        low, high = corners
        node.SetCenter(lps_to_ras([(a + b) / 2 for a, b in zip(low, high, strict=True)]).tolist())
        node.SetSize([b - a for a, b in zip(low, high, strict=True)])


def pointer_place(scene: Any, views: Sequence[Any]) -> Point | None:
    """Where the mouse pointer is in a slice view, else the middle of the first of these slice nodes (LPS, mm)."""
    crosshairs = scene.GetNodesByClass("vtkMRMLCrosshairNode")
    ras = [0.0, 0.0, 0.0]
    for index in range(crosshairs.GetNumberOfItems()):
        if crosshairs.GetItemAsObject(index).GetCursorPositionRAS(ras):
            x, y, z = (float(value) for value in lps_to_ras(ras))
            return x, y, z
    if not views:
        return None
    x, y, z = (float(value) for value in lps_to_ras(from_vtk_matrix(views[0].GetSliceToRAS())[:3, 3]))
    return x, y, z
