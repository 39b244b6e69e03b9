"""The segmentation file: liver and lesions as overlapping, coded segments, to us, SimpleITK and Slicer's reader."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from liverai_fakes import ToySegmenter, toy_lesions, toy_study, toy_truth
from pydicom.sr.codedict import codes

from LiverAILib.analysis.pipeline import Analysis, analyze
from LiverAILib.export.nrrd import read_header
from LiverAILib.export.seg_nrrd import (
    LESION_TERMINOLOGY,
    LIVER_COLOUR,
    LIVER_TERMINOLOGY,
    lesion_colour,
    read_seg_nrrd,
    read_segments,
    segment_layers,
    write_seg_nrrd,
)
from LiverAILib.study import Phase


def written(path: Path, lesions: int = 2, oblique: bool = False) -> Analysis:
    analysis = analyze(toy_study((Phase.PORTAL_VENOUS,), lesions, oblique), ToySegmenter(), lesion_finder=toy_lesions)
    layers = segment_layers(analysis.liver, analysis.lesion_ids, analysis.findings.lesions)
    write_seg_nrrd(path, layers, analysis.affine, analysis.findings.lesions)
    return analysis


@pytest.mark.parametrize("lesions", [0, 1, 2])
def test_masks_and_place_come_back(tmp_path: Path, lesions: int) -> None:
    analysis = written(tmp_path / "s.seg.nrrd", lesions, oblique=True)
    liver, ids, affine = read_seg_nrrd(tmp_path / "s.seg.nrrd")
    truth, labels = toy_truth(lesions)
    np.testing.assert_array_equal(liver, truth)
    np.testing.assert_array_equal(ids, labels)
    np.testing.assert_array_equal(affine, analysis.affine)


def test_the_liver_includes_its_lesions(tmp_path: Path) -> None:
    written(tmp_path / "s.seg.nrrd")
    array = sitk.GetArrayFromImage(sitk.ReadImage(tmp_path / "s.seg.nrrd"))
    assert ((array[..., 0] == 1) >= (array[..., 1] > 0)).all()
    assert set(np.unique(array[..., 1])) == {0, 1, 2}


def test_without_a_lesion_it_is_a_plain_label_map(tmp_path: Path) -> None:
    written(tmp_path / "s.seg.nrrd", lesions=0)
    image = sitk.ReadImage(tmp_path / "s.seg.nrrd")
    assert image.GetNumberOfComponentsPerPixel() == 1
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), toy_truth(0)[0])


def test_more_than_255_lesions_keep_their_labels() -> None:
    _, ids = toy_truth(1)
    lesion = written_lesion()
    layers = segment_layers(ids > 0, ids * 300, [lesion.model_copy(update={"label": 300})])
    assert layers[..., 1].max() == 300


def written_lesion() -> Any:
    return analyze(toy_study(lesions=1), ToySegmenter(), lesion_finder=toy_lesions).findings.lesions[0]


def test_segments_have_ids_names_colours_and_codes(tmp_path: Path) -> None:
    written(tmp_path / "s.seg.nrrd")
    segments = read_segments(read_header(tmp_path / "s.seg.nrrd").fields, "s.seg.nrrd")
    assert [(s.id, s.name, s.label, s.layer) for s in segments] == [
        ("liver", "Liver", 1, 0),
        ("lesion_1", "Lesion 1", 1, 1),
        ("lesion_2", "Lesion 2", 2, 1),
    ]
    assert segments[0].terminology == LIVER_TERMINOLOGY
    assert segments[1].terminology == segments[2].terminology == LESION_TERMINOLOGY
    assert segments[1].colour == pytest.approx(lesion_colour(1))


def test_the_codes_are_dicoms() -> None:
    def parts(entry: str) -> list[tuple[str, str]]:
        return [tuple(text.split("^")[:2]) for text in entry.split("~") if text.count("^") == 2 and text != "^^"]  # type: ignore[misc]

    structure, liver = parts(LIVER_TERMINOLOGY)
    abnormal, lesion, site = parts(LESION_TERMINOLOGY)
    assert structure == ("SCT", codes.SCT.AnatomicalStructure.value)
    assert liver == site == ("SCT", codes.SCT.Liver.value)
    assert abnormal == ("SCT", codes.SCT.MorphologicallyAbnormalStructure.value)
    assert lesion == ("SCT", codes.SCT.Lesion.value)


@pytest.mark.parametrize("lesions", [0, 2])
def test_slicer_reads_every_segment_to_the_voxel(tmp_path: Path, lesions: int) -> None:
    slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")
    import vtk
    from vtk.util.numpy_support import vtk_to_numpy

    analysis = written(tmp_path / "s.seg.nrrd", lesions, oblique=True)
    errors = vtk.vtkStringOutputWindow()
    before = vtk.vtkOutputWindow.GetInstance()
    vtk.vtkOutputWindow.SetInstance(errors)
    scene = slicer.vtkMRMLScene()
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    storage = scene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
    storage.SetFileName(str(tmp_path / "s.seg.nrrd"))
    assert storage.ReadData(node)
    segmentation = node.GetSegmentation()
    assert segmentation.GetNumberOfSegments() == 1 + lesions
    assert segmentation.GetNumberOfLayers("Binary labelmap") == (2 if lesions else 1)
    truth, labels = toy_truth(lesions)
    masks = {"liver": truth} | {f"lesion_{label}": labels == label for label in range(1, lesions + 1)}
    for identity, mask in masks.items():
        segment = segmentation.GetSegment(identity)
        tag = vtk.reference("")
        assert segment.GetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), tag)
        assert str(tag) == (LIVER_TERMINOLOGY if identity == "liver" else LESION_TERMINOLOGY)
        colour = LIVER_COLOUR if identity == "liver" else lesion_colour(int(identity[-1]))
        assert segment.GetColor() == pytest.approx(colour, abs=1e-3)
        image = segment.GetRepresentation("Binary labelmap")
        extent = image.GetExtent()
        box = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(
            extent[5] - extent[4] + 1, extent[3] - extent[2] + 1, extent[1] - extent[0] + 1
        )
        found = np.zeros(mask.shape, dtype=bool)
        found[extent[4] : extent[5] + 1, extent[2] : extent[3] + 1, extent[0] : extent[1] + 1] = (
            box == segment.GetLabelValue()
        )
        np.testing.assert_array_equal(found, mask)
        matrix = vtk.vtkMatrix4x4()
        image.GetImageToWorldMatrix(matrix)
        ras = np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])
        np.testing.assert_allclose(np.diag([-1.0, -1, 1, 1]) @ ras, analysis.affine, atol=1e-6)
    vtk.vtkOutputWindow.SetInstance(before)
    assert "ERROR" not in errors.GetOutput()
