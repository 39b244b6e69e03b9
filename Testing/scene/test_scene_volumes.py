"""Volumes go into the scene and come back: LPS and RAS, any direction, any spacing, against SimpleITK to the voxel."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import SimpleITK as sitk
import slicer
import vtk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from LiverAILib.scene.errors import SceneError
from LiverAILib.scene.headless import HeadlessScene, new_scene
from LiverAILib.scene.volumes import add_volume, lps_to_ras, node_affine, node_array, to_vtk_matrix, volume_from_node
from LiverAILib.study import Source, Volume

HOST = new_scene()
SOURCE = Source("test", "phantom")


@st.composite
def affines(draw: st.DrawFn) -> npt.NDArray[np.float64]:
    """LPS affines of rectangular grids: any rotation, mirrored or not, spacing 0.3 to 10 mm, far origins."""
    numbers = st.floats(-1, 1).filter(lambda value: abs(value) > 1e-3)
    rotation = Rotation.from_quat([draw(numbers) for _ in range(4)]).as_matrix()
    if draw(st.booleans()):
        rotation[:, draw(st.integers(0, 2))] *= -1
    affine = np.eye(4)
    affine[:3, :3] = rotation * [draw(st.floats(0.3, 10)) for _ in range(3)]
    affine[:3, 3] = [draw(st.floats(-2000, 2000)) for _ in range(3)]
    return affine


def ijk_to_ras(node: Any, index_xyz: tuple[int, int, int]) -> npt.NDArray[np.float64]:
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return np.array(matrix.MultiplyPoint((*index_xyz, 1.0))[:3])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(affine=affines(), seed=st.integers(0, 2**16))
def test_each_voxel_is_where_simpleitk_says(affine: npt.NDArray[np.float64], seed: int) -> None:
    rng = np.random.default_rng(seed)
    array = rng.integers(-1024, 3072, (3, 4, 5)).astype(np.int16)
    node = add_volume(HOST.scene, Volume(array, affine, SOURCE), "CT")
    image = Volume(array, affine, SOURCE).to_sitk()
    for index in ((0, 0, 0), (4, 3, 2), (1, 2, 0), (4, 0, 1)):
        lps = np.array(image.TransformIndexToPhysicalPoint(index))
        np.testing.assert_allclose(ijk_to_ras(node, index), lps * (-1, -1, 1), atol=1e-6)
        assert node.GetImageData().GetScalarComponentAsDouble(*index, 0) == image.GetPixel(index)
    HOST.scene.RemoveNode(node)


@settings(max_examples=40, deadline=None)
@given(affine=affines())
def test_a_volume_comes_back_as_it_went_in(affine: npt.NDArray[np.float64]) -> None:
    array = np.arange(60, dtype=np.int16).reshape(3, 4, 5) - 30
    node = add_volume(HOST.scene, Volume(array, affine, SOURCE), "CT")
    back = volume_from_node(node)
    np.testing.assert_array_equal(back.array, array)
    assert back.array.dtype == np.int16
    np.testing.assert_allclose(back.affine, affine, rtol=1e-9, atol=1e-6)
    HOST.scene.RemoveNode(node)


def test_simpleitk_and_the_scene_resample_alike(scene: Any) -> None:
    """The same physical point in an oblique volume gives the same interpolated HU in VTK and SimpleITK."""
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", [20, -35, 50], degrees=True).as_matrix() * [0.8, 1.1, 3.0]
    affine[:3, 3] = (-120.0, 35.0, 800.0)
    array = np.random.default_rng(3).normal(60, 40, (12, 20, 18)).astype(np.float32)
    volume = Volume(array, affine, SOURCE)
    node = add_volume(scene, volume, "CT")
    inner = np.random.default_rng(4).uniform(2, 9, (50, 3))
    points = volume.to_lps(inner)
    to_ijk = vtk.vtkMatrix4x4()
    node.GetRASToIJKMatrix(to_ijk)
    image = volume.to_sitk()
    interpolator = vtk.vtkImageInterpolator()
    interpolator.Initialize(node.GetImageData())
    for point in points:
        index = to_ijk.MultiplyPoint((*lps_to_ras(point), 1.0))[:3]
        value = interpolator.Interpolate(*index, 0)
        assert value == pytest.approx(image.EvaluateAtPhysicalPoint(point.tolist(), sitk.sitkLinear), abs=1e-2)


def test_float_voxels_stay_float(scene: Any) -> None:
    array = np.linspace(-5, 5, 24, dtype=np.float32).reshape(2, 3, 4)
    back = volume_from_node(add_volume(scene, Volume(array, np.eye(4), SOURCE), "CT"))
    assert back.array.dtype == np.float32
    np.testing.assert_array_equal(back.array, array)


def test_unsigned_short_beyond_int16_becomes_float(scene: Any) -> None:
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "odd")
    image = vtk.vtkImageData()
    image.SetDimensions(2, 2, 2)
    image.AllocateScalars(vtk.VTK_UNSIGNED_SHORT, 1)
    image.GetPointData().GetScalars().Fill(40000)
    node.SetAndObserveImageData(image)
    assert volume_from_node(node).array.max() == np.float32(40000)


def test_a_linear_parent_transform_moves_the_volume(scene: Any) -> None:
    node = add_volume(scene, Volume(np.zeros((2, 3, 4), np.int16), np.diag([1.0, 1.0, 5.0, 1.0]), SOURCE), "CT")
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("z", 90, degrees=True).as_matrix()
    matrix[:3, 3] = (10, 20, 30)
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(to_vtk_matrix(matrix))
    node.SetAndObserveTransformNodeID(transform.GetID())
    ras = matrix @ [*ijk_to_ras(node, (3, 2, 1)), 1.0]
    np.testing.assert_allclose(lps_to_ras((node_affine(node) @ [3, 2, 1, 1])[:3]), ras[:3], atol=1e-9)


def test_a_non_linear_parent_transform_is_refused(scene: Any) -> None:
    node = add_volume(scene, Volume(np.zeros((2, 3, 4), np.int16), np.eye(4), SOURCE), "CT")
    transform = scene.AddNewNodeByClass("vtkMRMLBSplineTransformNode")
    transform.SetAndObserveTransformToParent(slicer.vtkOrientedBSplineTransform())
    node.SetAndObserveTransformNodeID(transform.GetID())
    with pytest.raises(SceneError, match="Harden"):
        node_affine(node)


def test_a_volume_without_voxels_is_refused(scene: Any) -> None:
    with pytest.raises(SceneError, match="no voxels"):
        node_array(scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty"))


def test_ct_is_shown_in_the_liver_window(host: HeadlessScene) -> None:
    node = add_volume(host.scene, Volume(np.zeros((2, 3, 4), np.int16), np.eye(4), SOURCE), "CT")
    display = node.GetDisplayNode()
    assert (display.GetWindow(), display.GetLevel(), display.GetAutoWindowLevel()) == (200, 60, 0)
    assert display.GetColorNode().GetName() == "Grey"
