"""Volumes to the network's grid and back."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from LiverAILib.analysis.grid import canonical_axes, to_canonical, to_network
from LiverAILib.study import Source, Volume


def make(array: np.ndarray, spacing_xyz: tuple[float, float, float], axes: np.ndarray | None = None) -> Volume:
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3) if axes is None else axes) * np.array(spacing_xyz)
    return Volume(array, affine, Source("test", "phantom"))


def smooth_body(shape: tuple[int, int, int]) -> np.ndarray:
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    return (60 + 60 * np.cos(2 * x + 0.5) * np.cos(y) * np.cos(z)).astype(np.float32)


@pytest.mark.parametrize("slice_mm", [0.7, 1.0, 1.5, 3.0, 7.0])
def test_there_and_back_keeps_every_voxel_in_its_place(slice_mm: float) -> None:
    volume = make(smooth_body((33, 90, 100)), (0.8, 0.8, slice_mm))
    image, grid = to_network(volume, in_plane_mm=1.25)
    back = grid.back(image[None])[0]
    assert back.shape == volume.array.shape
    expected = volume.array / 100 - 0.6
    inner = (slice(3, -3), slice(8, -8), slice(8, -8))
    assert np.abs(back[inner] - expected[inner]).max() < 0.03


def test_thin_slices_are_averaged_and_thick_ones_kept() -> None:
    for slice_mm, depth in ((0.5, 10), (1.0, 20), (2.0, 40), (5.0, 40)):
        image, _ = to_network(make(smooth_body((40, 64, 64)), (1.25, 1.25, slice_mm)), in_plane_mm=1.25)
        assert image.shape[0] == depth


def test_values_are_clipped_to_the_window_and_scaled() -> None:
    array = np.full((4, 40, 40), 60, np.int16)
    array[:, 10:20] = 3000
    array[:, 20:30] = -100
    image, _ = to_network(make(array, (1.25, 1.25, 3)), in_plane_mm=1.25)
    assert image.min() == -1
    assert image.max() == 1
    assert image[2, 4, 20] == pytest.approx(0)


def test_air_around_the_body_is_cut_off_and_comes_back_as_zero() -> None:
    array = np.full((4, 100, 120), -1000, np.int16)
    array[:, 30:70, 40:90] = 50
    image, grid = to_network(make(array, (1.25, 1.25, 3)), in_plane_mm=1.25)
    assert image.shape == (4, 40 + 16, 50 + 16)
    back = grid.back(torch.ones_like(image)[None])[0]
    assert back[:, 35:65, 45:85].min() == 1
    assert back[:, :15].max() == 0


def test_a_volume_of_air_only_is_not_cropped_away() -> None:
    image, grid = to_network(make(np.full((4, 50, 60), -1000, np.int16), (1.25, 1.25, 3)), in_plane_mm=1.25)
    assert image.shape == (4, 50, 60)
    assert grid.back(image[None]).shape == (1, 4, 50, 60)


@settings(deadline=None, max_examples=30)
@given(
    st.sampled_from(list(itertools.permutations(range(3)))),
    st.tuples(*[st.sampled_from((-1.0, 1.0))] * 3),
    st.floats(-0.3, 0.3),
)
def test_the_canonical_view_runs_to_superior_posterior_left(
    order: tuple[int, int, int], signs: tuple[float, float, float], tilt: float
) -> None:
    axes = np.zeros((3, 3))
    for column, (row, sign) in enumerate(zip(order, signs, strict=True)):
        axes[row, column] = sign
    c, s = np.cos(tilt), np.sin(tilt)
    rotated = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ axes
    volume = make(np.zeros((4, 5, 6), np.int16), (1.0, 2.0, 3.0), rotated)
    chosen, flips = canonical_axes(volume.affine)
    assert sorted(chosen) == [0, 1, 2]
    index = np.stack(np.meshgrid(*(np.arange(n) for n in (4, 5, 6)), indexing="ij"), axis=-1)
    lps = volume.to_lps(index)
    for axis, direction in ((0, 2), (1, 1), (2, 0)):  # canonical z to S, y to P, x to L
        component = to_canonical(lps[..., direction], chosen, flips)
        assert (np.diff(component, axis=axis) > 0).all()


def test_storage_order_changes_nothing_in_patient_space() -> None:
    array = smooth_body((20, 60, 70))
    plain = make(array, (1.0, 1.0, 3.0))
    affine = plain.affine.copy()
    affine[:3, 2] *= -1
    affine[2, 3] = 3.0 * 19
    upside_down = Volume(np.ascontiguousarray(array[::-1]), affine, plain.source)
    assert torch.equal(to_network(plain, 1.25)[0], to_network(upside_down, 1.25)[0])
