"""Type and probability written at each lesion in the slice views, as one markups node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from LiverAILib.opinions import ReadLesion
from LiverAILib.scene.display import lesion_value
from LiverAILib.scene.provenance import ROLE
from LiverAILib.scene.volumes import lps_to_ras

LABELS_ROLE = "labels"


def label_text(one: ReadLesion, colours: str) -> str:
    """What is written at a lesion: its name, type, and the probability that it is coloured by."""
    kind = one.type.value.upper() if one.type is not None else ""
    value = lesion_value(one.lesion, colours)
    if value is None and one.lesion.malignancy is not None:
        value = one.lesion.malignancy
    number = "" if value is None else f"{100 * value:.0f}%"
    return " ".join(part for part in (one.name, kind, number) if part)


def show_labels(scene: Any, lesions: Sequence[ReadLesion], colours: str, visible: bool) -> Any:
    """Write the labels (or take them away). Returns the markups node, None if there is none."""
    node = find_labels(scene)
    if not visible:
        if node is not None and node.GetDisplayNode() is not None:
            node.GetDisplayNode().SetVisibility(False)
        return node
    if node is None:
        node = scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "LiverAI labels")
        node.SetAttribute(ROLE, LABELS_ROLE)
        node.CreateDefaultDisplayNodes()
        node.SetLocked(True)
    was = node.StartModify()
    try:
        node.RemoveAllControlPoints()
        for one in lesions:
            if not one.rejected:
                number = node.AddControlPoint(*lps_to_ras(one.lesion.centre_lps_mm).tolist())
                node.SetNthControlPointLabel(number, label_text(one, colours))
                node.SetNthControlPointLocked(number, True)
    finally:
        node.EndModify(was)
    display = node.GetDisplayNode()
    display.SetVisibility(True)
    display.SetVisibility3D(False)
    display.SetPointLabelsVisibility(True)
    display.SetTextScale(3.0)
    display.SetUseGlyphScale(False)
    display.SetGlyphSize(1.0)
    display.SetSelectedColor(1.0, 1.0, 1.0)
    display.SetColor(1.0, 1.0, 1.0)
    return node


def find_labels(scene: Any) -> Any:
    """The labels' node, None if there is none."""
    found = scene.GetNodesByClass("vtkMRMLMarkupsFiducialNode")
    nodes = [found.GetItemAsObject(index) for index in range(found.GetNumberOfItems())]
    return next((node for node in nodes if node.GetAttribute(ROLE) == LABELS_ROLE), None)
