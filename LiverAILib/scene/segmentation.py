"""The segmentation node of a run: liver and lesions as they stand in the run folder, set up for display."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from LiverAILib.errors import RunFolderError
from LiverAILib.export.nrrd import read_nrrd
from LiverAILib.findings import Findings
from LiverAILib.scene.overlay import check_same_grid

LIVER_ID = "liver"
OUTLINE_PIXELS = 2
LIVER_OPACITY_3D = 0.35


def add_segmentation(scene: Any, path: Path, findings: Findings, reference: Any, name: str) -> Any:
    """A new vtkMRMLSegmentationNode of a run's `.seg.nrrd`, with the reference volume node's geometry.

    Ids, names, colours and terminology are the file's. The node keeps no storage node, so that saving the scene never
    writes into the run folder. Raises RunFolderError if the file is damaged or its segments are not those of the
    findings, SceneError if it does not fit the reference volume. On an error nothing stays in the scene.
    """
    _, header = read_nrrd(path)  # Slicer's reader ends the process on a file that is cut short
    check_same_grid(path.name, header.shape[:3], header.affine, reference)
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    storage = scene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
    try:
        storage.SetFileName(str(path))
        read = storage.ReadData(node)
        _check_segments(path.name, segment_ids(node) if read else [], findings)
    except RunFolderError:
        scene.RemoveNode(node)
        raise
    finally:
        scene.RemoveNode(storage)
    node.SetReferenceImageGeometryParameterFromVolumeNode(reference)
    show_outlines(node)
    return node


def show_outlines(node: Any) -> None:
    """2 px outlines without fill in slices; in 3D (once there are surfaces) lesions in a translucent liver."""
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetVisibility2DFill(False)
    display.SetVisibility2DOutline(True)
    display.SetOpacity2DOutline(1.0)
    display.SetSliceIntersectionThickness(OUTLINE_PIXELS)
    display.SetSegmentOpacity3D(LIVER_ID, LIVER_OPACITY_3D)


def create_surfaces(node: Any, smoothing: float = 0.5) -> None:
    """Closed surfaces for 3D views: takes seconds on a full-size exam, so it is done only when asked for."""
    segmentation = node.GetSegmentation()
    segmentation.SetConversionParameter("Smoothing factor", str(smoothing))
    if not node.CreateClosedSurfaceRepresentation():
        raise RunFolderError("The segmentation gave no surface. Run the analysis again.")
    node.GetDisplayNode().SetPreferredDisplayRepresentationName3D("Closed surface")


def surface_bounds(node: Any, segment_id: str = LIVER_ID) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The low and high corner (RAS, mm) of a segment's closed surface; raises RunFolderError if it is empty."""
    surface = node.GetClosedSurfaceInternalRepresentation(segment_id)
    if surface is None or surface.GetNumberOfPoints() == 0:
        raise RunFolderError(f'Segment "{segment_id}" is empty: there is nothing to show.')
    bounds = np.array(surface.GetBounds())
    return bounds[::2], bounds[1::2]


def segment_ids(node: Any) -> list[str]:
    """The segment ids in their order."""
    segmentation = node.GetSegmentation()
    return [segmentation.GetNthSegmentID(index) for index in range(segmentation.GetNumberOfSegments())]


def terminology(node: Any, segment_id: str) -> str:
    """The text of a segment's terminology tag, empty without one."""
    segment = node.GetSegmentation().GetSegment(segment_id)
    value = vtk.reference("")
    return str(value) if segment.GetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), value) else ""


def segment_mask(node: Any, segment_id: str, reference: Any) -> npt.NDArray[np.bool_]:
    """A segment's voxels (z, y, x) on the grid of a volume node that is under no transform."""
    geometry = slicer.vtkOrientedImageData()
    geometry.SetExtent(reference.GetImageData().GetExtent())
    matrix = vtk.vtkMatrix4x4()
    reference.GetIJKToRASMatrix(matrix)
    geometry.SetGeometryFromImageToWorldMatrix(matrix)
    own = slicer.vtkOrientedImageData()
    node.GetBinaryLabelmapRepresentation(segment_id, own)
    there = slicer.vtkOrientedImageData()
    if not slicer.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage(own, geometry, there):
        raise RunFolderError(f'Segment "{segment_id}" can\'t be put on the grid of the volume.')
    x, y, z = there.GetDimensions()
    return np.asarray(vtk_to_numpy(there.GetPointData().GetScalars())).reshape(z, y, x) > 0


def _check_segments(file_name: str, ids: list[str], findings: Findings) -> None:
    expected = {LIVER_ID, *(lesion.id for lesion in findings.lesions)}
    found = set(ids)
    if found != expected:
        missing = ", ".join(sorted(expected - found)) or "none"
        extra = ", ".join(sorted(found - expected)) or "none"
        raise RunFolderError(
            f"{file_name} and findings.json disagree (missing segments: {missing}; unknown: {extra}). "
            "Run the analysis again."
        )
