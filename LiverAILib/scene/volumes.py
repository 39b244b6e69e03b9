"""Volumes to MRML nodes and back. The only place where LPS (DICOM, SimpleITK) meets Slicer's RAS."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from LiverAILib.scene.errors import SceneError
from LiverAILib.study import Phase, Source, Volume

#: x and y change sign between LPS and RAS; its own inverse.
LPS_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])

#: Soft-tissue window of the liver, HU.
WINDOW, LEVEL = 200.0, 60.0

#: As nodes and columns are called.
PHASE_NAMES = {phase: phase.words.capitalize() for phase in Phase}


def lps_to_ras(points: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Points (..., 3) in mm from LPS to RAS, or from RAS to LPS."""
    return np.asarray(points, dtype=np.float64) * (-1.0, -1.0, 1.0)


def to_vtk_matrix(matrix: npt.NDArray[np.float64]) -> Any:
    """A vtkMatrix4x4 of a (4, 4) array."""
    result = vtk.vtkMatrix4x4()
    result.DeepCopy(matrix.ravel().tolist())
    return result


def from_vtk_matrix(matrix: Any) -> npt.NDArray[np.float64]:
    """The (4, 4) array of a vtkMatrix4x4."""
    return np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def fill_volume_node(node: Any, array: npt.NDArray[Any], affine_lps: npt.NDArray[np.float64]) -> None:
    """Copy (z, y, x) voxels and an LPS affine, (x, y, z, 1) index to mm, into a scalar volume node."""
    image = vtk.vtkImageData()
    image.SetDimensions(*array.shape[::-1])
    scalars = numpy_to_vtk(np.ascontiguousarray(array).ravel(), deep=True)
    scalars.SetName("ImageScalars")
    image.GetPointData().SetScalars(scalars)
    node.SetAndObserveImageData(image)
    node.SetIJKToRASMatrix(to_vtk_matrix(LPS_RAS @ affine_lps))


def add_volume(scene: Any, volume: Volume, name: str) -> Any:
    """A new vtkMRMLScalarVolumeNode of a CT volume, shown in the soft-tissue window."""
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    fill_volume_node(node, volume.array, volume.affine)
    node.CreateDefaultDisplayNodes()
    set_ct_window(node)
    return node


def set_ct_window(node: Any, level: float = LEVEL) -> None:
    """The liver's window in grey, centred on `level` HU."""
    display = node.GetDisplayNode()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevel(WINDOW, level)
    grey = node.GetScene().GetNodeByID("vtkMRMLColorTableNodeGrey")
    if grey is not None:
        display.SetAndObserveColorNodeID(grey.GetID())


def node_affine(node: Any) -> npt.NDArray[np.float64]:
    """The node's LPS affine in the world: a linear parent transform is applied.

    Raises SceneError under a non-linear transform.
    """
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    ijk_to_world = from_vtk_matrix(matrix)
    parent = node.GetParentTransformNode()
    if parent is not None:
        if not parent.IsTransformToWorldLinear():
            raise SceneError("A volume is under a non-linear transform. Harden it in the Transforms module.")
        to_world = vtk.vtkMatrix4x4()
        parent.GetMatrixTransformToWorld(to_world)
        ijk_to_world = from_vtk_matrix(to_world) @ ijk_to_world
    return LPS_RAS @ ijk_to_world


def node_shape(node: Any) -> tuple[int, int, int]:
    """The node's shape (z, y, x); raises SceneError if it has no voxels."""
    image = node.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0:
        raise SceneError("A volume has no voxels. Load it again.")
    x, y, z = image.GetDimensions()
    return z, y, x


def node_array(node: Any) -> npt.NDArray[Any]:
    """The node's voxels (z, y, x), a view that keeps the node's memory."""
    shape = node_shape(node)
    scalars = node.GetImageData().GetPointData().GetScalars()
    if scalars.GetNumberOfComponents() != 1:
        raise SceneError(f"A volume has {scalars.GetNumberOfComponents()} components; a CT has one. Choose another.")
    return np.asarray(vtk_to_numpy(scalars)).reshape(shape)


def volume_from_node(node: Any, label: str = "volume from the scene") -> Volume:
    """The CT volume of a node: a copy, int16 where that loses nothing, else float32.

    `label` must be safe to print: a node's name may hold a patient's.
    """
    array = node_array(node)
    narrow = np.issubdtype(array.dtype, np.integer) and int(array.min()) >= -32768 and int(array.max()) <= 32767
    return Volume(array.astype(np.int16 if narrow else np.float32), node_affine(node), Source(label, "scene"))
