"""The terminology file: codes checked against DICOM's dictionary, structure against Slicer's own loader."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydicom.sr.codedict import codes

PATH = Path(__file__).resolve().parents[2] / "Resources" / "Terminology" / "LiverAI.term.json"

#: SNOMED CT disorders that DICOM's dictionary does not list; from public FHIR value sets.
NOT_IN_DICOM = {
    "109841003": "Hepatocellular carcinoma",
    "109842005": "Intrahepatic bile duct carcinoma",
    "278527001": "Focal nodular hyperplasia of liver",
}
IN_DICOM = {
    "91723000": codes.SCT.AnatomicalStructure,
    "49755003": codes.SCT.MorphologicallyAbnormalStructure,
    "10200004": codes.SCT.Liver,
    "52988006": codes.SCT.Lesion,
    "14799000": codes.SCT.NeoplasmSecondary,
    "400210000": codes.SCT.Hemangioma,
    "367643001": codes.SCT.Cyst,
    "44132006": codes.SCT.Abscess,
}


@pytest.fixture(scope="module")
def content() -> dict[str, Any]:
    return json.loads(PATH.read_text(encoding="utf-8"))


def entries(content: dict[str, Any]) -> list[dict[str, Any]]:
    categories = content["SegmentationCodes"]["Category"]
    return categories + [kind for category in categories for kind in category["Type"]]


def test_codes_and_meanings_are_dicoms(content: dict[str, Any]) -> None:
    for entry in entries(content):
        value, meaning = entry["CodeValue"], entry["CodeMeaning"]
        assert entry["CodingSchemeDesignator"] == "SCT"
        if value in NOT_IN_DICOM:
            assert meaning == NOT_IN_DICOM[value]
        else:
            assert (IN_DICOM[value].value, IN_DICOM[value].meaning) == (value, meaning)


def test_liver_lesion_and_the_seven_types_are_there(content: dict[str, Any]) -> None:
    found = {entry["CodeValue"] for entry in entries(content)}
    assert found == set(IN_DICOM) | set(NOT_IN_DICOM)


def test_keys_are_those_of_the_schema(content: dict[str, Any]) -> None:
    """dcmqi's segment-context schema allows no others."""
    code = {"CodeMeaning", "CodingSchemeDesignator", "CodeValue"}
    assert set(content) == {"SegmentationCategoryTypeContextName", "@schema", "SegmentationCodes"}
    for category in content["SegmentationCodes"]["Category"]:
        assert set(category) == code | {"showAnatomy", "Type"}
        for kind in category["Type"]:
            assert set(kind) == code | {"recommendedDisplayRGBValue", "3dSlicerLabel"}
            assert len(kind["recommendedDisplayRGBValue"]) == 3
            assert all(0 <= part <= 255 for part in kind["recommendedDisplayRGBValue"])
            assert len(kind["CodeValue"]) <= 16
            assert len(kind["CodeMeaning"]) <= 64


def test_colours_tell_the_types_apart(content: dict[str, Any]) -> None:
    kinds = [kind for category in content["SegmentationCodes"]["Category"] for kind in category["Type"]]
    assert len({tuple(kind["recommendedDisplayRGBValue"]) for kind in kinds}) == len(kinds)


def test_slicers_own_loader_takes_the_file(content: dict[str, Any]) -> None:
    slicer = pytest.importorskip("slicer")
    import vtk

    window = vtk.vtkOutputWindow.GetInstance()
    messages = vtk.vtkStringOutputWindow()
    vtk.vtkOutputWindow.SetInstance(messages)
    try:
        logic = slicer.vtkSlicerTerminologiesModuleLogic()
        assert logic.LoadTerminologyFromFile(str(PATH)) == "LiverAI"
        category = slicer.vtkSlicerTerminologyCategory()
        kind = slicer.vtkSlicerTerminologyType()
        for number, expected in enumerate(content["SegmentationCodes"]["Category"]):
            logic.GetNthCategoryInTerminology("LiverAI", number, category)
            assert category.GetCodeValue() == expected["CodeValue"]
            assert category.GetShowAnatomy() == expected["showAnatomy"]
            for index, entry in enumerate(expected["Type"]):
                logic.GetNthTypeInTerminologyCategory("LiverAI", category, index, kind)
                assert (kind.GetCodeValue(), kind.GetCodeMeaning()) == (entry["CodeValue"], entry["CodeMeaning"])
    finally:
        vtk.vtkOutputWindow.SetInstance(window)
    assert "ERROR" not in messages.GetOutput()
