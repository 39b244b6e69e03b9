"""The lesion table as a vtkMRMLTableNode: one row per lesion, typed columns, units in the titles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import vtk

from LiverAILib.findings import Findings, Lesion
from LiverAILib.lesion_types import LesionType
from LiverAILib.scene.volumes import PHASE_NAMES, lps_to_ras
from LiverAILib.study import Phase

#: The columns that hold words; all others hold numbers.
TEXT_COLUMNS = ("Lesion", "Segment", "Type", "Verdict", "Found in", "Outline a guess in")

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
    return columns + _type_columns(lesions) + _place_columns(lesions)


def _type_columns(lesions: Sequence[Lesion]) -> list[Column]:
    """Type, malignancy, verdict and the seven probabilities; none if no lesion was classified."""
    if all(lesion.type_probabilities is None for lesion in lesions):
        return []
    unknown = float("nan")
    kinds = [lesion.likeliest_type for lesion in lesions]
    malignancies = [lesion.malignancy for lesion in lesions]
    columns: list[Column] = [
        ("Type", "", "the likeliest", ["" if kind is None else kind.full_name for kind in kinds]),
        (
            "Malignancy",
            "",
            "probability of HCC, ICC or metastasis",
            [unknown if value is None else value for value in malignancies],
        ),
    ]
    if any(lesion.verdict is not None for lesion in lesions):
        verdicts = ["" if lesion.verdict is None else lesion.verdict.value for lesion in lesions]
        columns.append(("Verdict", "", "what the thresholds say of the malignancy", verdicts))
    return columns + [
        (
            kind.full_name,
            "",
            "probability of the type",
            [(lesion.type_probabilities or {}).get(kind, unknown) for lesion in lesions],
        )
        for kind in LesionType
    ]


def _place_columns(lesions: Sequence[Lesion]) -> list[Column]:
    """In which phases it was found, where its outline is a guess, and the share of each phase's saliency in it."""
    columns: list[Column] = []
    if any(lesion.found_in for lesion in lesions):
        columns += [
            ("Found in", "", "phases", [_phases(lesion.found_in) for lesion in lesions]),
            ("Outline a guess in", "", "phases", [_phases(lesion.approximate_in) for lesion in lesions]),
        ]
    for phase in Phase:
        if any(phase in lesion.saliency_share for lesion in lesions):
            shares = [lesion.saliency_share.get(phase, float("nan")) for lesion in lesions]
            columns.append((f"Saliency, {phase.words}", "", "share of the liver's saliency in it", shares))
    return columns


def _phases(phases: Sequence[Phase]) -> str:
    return ", ".join(phase.words for phase in phases)


def add_lesion_table(scene: Any, findings: Findings, name: str) -> Any:
    """A new vtkMRMLTableNode of the findings' lesions; columns keep their types and units in a saved scene."""
    node = scene.AddNewNodeByClass("vtkMRMLTableNode", name)
    for title, unit, description, values in lesion_columns(findings):
        numeric = title not in TEXT_COLUMNS
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
