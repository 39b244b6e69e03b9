"""The breath between two phases: found by the livers' overlap, and to a part of a voxel by the images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scipy import ndimage
from stage_exams import cropped, flipped

from LiverAILib.analysis.registration import MOST_REFINED_MM, liver_shift, overlap_shift, refined
from LiverAILib.study import Source, Volume

SHAPE = (30, 80, 80)
SPACING = (3.0, 1.5, 1.5)
LUNG, FAT, LIVER, SPINE = -160, -90, 60, 240


def grid(move: Sequence[float]) -> list[np.ndarray]:
    """LPS mm of each voxel (z, y, x), of a patient who moved by (x, y, z) mm."""
    return [axis * step - shift for axis, step, shift in zip(np.indices(SHAPE), SPACING, reversed(move), strict=True)]


def scan(move: Sequence[float] = (0, 0, 0), *, vessels: int = 120, seed: int = 1) -> tuple[Volume, np.ndarray]:
    """A liver with vessels under a lung, with noise; the spine behind it stays where it is."""
    z, y, x = grid(move)
    liver = ((z - 42) / 30) ** 2 + ((y - 58) / 36) ** 2 + ((x - 60) / 44) ** 2 < 1
    hu = np.where(z > 62, LUNG, FAT).astype(float)
    hu[liver] = LIVER
    for down, across, radius in ((50, 40, 4), (60, 70, 3), (70, 55, 5)):
        hu[liver & ((y - down - 0.2 * (z - 40)) ** 2 + (x - across - 0.3 * (z - 40)) ** 2 < radius**2)] = vessels
    hu[:, 66:, 36:50] = SPINE
    hu = ndimage.gaussian_filter(hu, 0.5) + np.random.default_rng(seed).normal(0, 12, SHAPE)
    return Volume(hu.astype(np.int16), np.diag([*SPACING[::-1], 1.0]), Source("toy", "phantom")), liver


@pytest.mark.parametrize("move", [(0, 0, 0), (1.5, -0.7, 2.0), (-2.0, 3.1, -13.4)])
def test_a_breath_is_found_to_half_a_millimetre_though_vessels_look_different(move: Sequence[float]) -> None:
    (first, liver), (second, moved) = scan(), scan(move, vessels=40, seed=2)
    assert liver_shift(first, liver, second, moved) == pytest.approx(move, abs=0.5)


def test_it_is_the_same_however_the_images_are_stored_and_whatever_else_was_scanned() -> None:
    (first, liver), (second, _) = scan(), scan((1.5, -0.7, 2.0), seed=2)
    start = np.zeros(3)
    shift = refined(first, liver, second, start)
    assert refined(first, liver, flipped(second), start) == pytest.approx(shift, abs=0.05)
    assert refined(flipped(first), flipped_mask(first, liver), second, start) == pytest.approx(shift, abs=0.05)
    assert refined(first, liver, cropped(second, 2), start) == pytest.approx(shift, abs=0.2)


def flipped_mask(volume: Volume, mask: np.ndarray) -> np.ndarray:
    return flipped(volume.with_array(mask.astype(np.float32))).array > 0


def test_where_the_images_say_nothing_the_livers_overlap_decides() -> None:
    (_, liver), (_, moved) = scan(), scan((0, -3, 12))
    flat = Volume(np.full(SHAPE, 100, np.int16), np.diag([*SPACING[::-1], 1.0]), Source("toy", "phantom"))
    overlap = overlap_shift(flat, liver, flat, moved)
    assert overlap == pytest.approx((0, -3, 12), abs=2.1)
    assert np.array_equal(liver_shift(flat, liver, flat, moved), overlap)


def test_a_match_far_from_the_livers_overlap_is_not_believed() -> None:
    (first, liver), (second, _) = scan(), scan((0, 0, 1.5 * MOST_REFINED_MM), seed=2)
    shift = refined(first, liver, second, np.zeros(3))
    assert np.abs(shift).max() <= MOST_REFINED_MM


def test_an_image_that_does_not_meet_the_liver_leaves_the_shift() -> None:
    first, liver = scan()
    far = Volume(
        first.array, first.affine + np.array([[0, 0, 0, 0]] * 2 + [[0, 0, 0, 500.0]] + [[0] * 4]), first.source
    )
    assert np.array_equal(refined(first, liver, far, np.zeros(3)), np.zeros(3))
