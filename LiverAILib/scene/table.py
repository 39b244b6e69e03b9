"""The lesion table as a vtkMRMLTableNode: one row per lesion, typed columns, units in the titles."""

from __future__ import annotations

from typing import Any

import vtk

from LiverAILib.findings import Findings
from LiverAILib.scene.volumes import PHASE_NAMES, lps_to_ras
from LiverAILib.study import Phase

Column = tuple[str, str, str, list[str] | list[float]]  # name, unit, description, values


def lesion_columns(findings: Findings) -> list[Column]:
    """The table's columns; a value that is not known is NaN."""
    lesions = findings.lesions
    centres = [lps_to_ras(lesion.centre_lps_mm) for lesion in lesions]
    unknown = float("nan")
    columns: list[Column] = [
        ("Lesion", "", "name of its segment", [lesion.name for lesion in lesions]),
        ("Segment", "", "segment id", [lesion.id for lesion in lesions]),
        ("Volume (ml)", "ml", "volume", [lesion.volume_ml for lesion in lesions]),
        ("Diameter (mm)", "mm", "longest in an axial slice", [lesion.diameter_mm for lesion in lesions]),
        ("Perpendicular (mm)", "mm", "longest at right angles", [lesion.perpendicular_mm for lesion in lesions]),
        ("Probability", "", "mean lesion probability", [lesion.probability for lesion in lesions]),
    ]
    columns += [
        (f"{PHASE_NAMES[phase]} (HU)", "HU", "mean", [lesion.mean_hu.get(phase, unknown) for lesion in lesions])
        for phase in Phase
        if phase in findings.phases
    ]
    columns += [
        (f"{axis} (mm)", "mm", "centre, RAS", [float(centre[i]) for centre in centres]) for i, axis in enumerate("RAS")
    ]
    return columns


def add_lesion_table(scene: Any, findings: Findings, name: str) -> Any:
    """A new vtkMRMLTableNode of the findings' lesions; columns keep their types and units in a saved scene."""
    node = scene.AddNewNodeByClass("vtkMRMLTableNode", name)
    for title, unit, description, values in lesion_columns(findings):
        numeric = title not in ("Lesion", "Segment")
        array = vtk.vtkDoubleArray() if numeric else vtk.vtkStringArray()
        array.SetName(title)
        for value in values:
            array.InsertNextValue(value)
        node.AddColumn(array)
        node.SetColumnType(title, vtk.VTK_DOUBLE if numeric else vtk.VTK_STRING)
        node.SetColumnDescription(title, description)
        if unit:
            node.SetColumnUnitLabel(title, unit)
    node.SetUseColumnTitleAsColumnHeader(True)
    node.SetLocked(True)
    return node
