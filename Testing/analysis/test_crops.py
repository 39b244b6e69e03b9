"""Lesion crops: the box rules of the paper, and that patient space decides and not storage."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from LiverAILib.analysis.crops import Box, CropOptions, crop_box, lesion_crop
from LiverAILib.study import Source, Volume

PIXELS = CropOptions(least_mm=None)
SPACING = (5.0, 0.75, 0.75)
SOURCE = Source("toy", "phantom")


def test_a_large_lesions_box_is_enlarged_half_and_gets_ten_millimetres_above_and_below() -> None:
    low, high = crop_box((60, 512, 512), SPACING, ((20, 200, 200), (30, 300, 260)), PIXELS)
    assert (low, high) == ((18, 175, 185), (32, 325, 275))


def test_a_small_lesion_gets_a_square_of_64_pixels_around_it() -> None:
    low, high = crop_box((60, 512, 512), SPACING, ((20, 200, 300), (22, 210, 320)), PIXELS)
    assert (low, high) == ((18, 173, 278), (24, 237, 342))


def test_a_slender_lesion_gets_a_square_of_its_longer_side() -> None:
    low, high = crop_box((60, 512, 512), SPACING, ((20, 200, 200), (22, 300, 210)), PIXELS)
    assert [b - a for a, b in zip(low, high, strict=True)] == [6, 150, 150]


@pytest.mark.parametrize("pixel", [0.5, 0.75, 0.98])
def test_sixty_four_usual_pixels_are_48_mm_on_any_grid(pixel: float) -> None:
    low, high = crop_box((60, 512, 512), (1.0, pixel, pixel), ((20, 200, 200), (22, 205, 205)), CropOptions())
    assert [(b - a) * pixel for a, b in zip(low[1:], high[1:], strict=True)] == pytest.approx([48, 48], abs=pixel)
    assert high[0] - low[0] == 22


def test_at_the_images_border_the_box_is_moved_in_and_a_box_too_large_holds_the_image() -> None:
    low, high = crop_box((60, 512, 512), SPACING, ((0, 0, 500), (2, 10, 512)), PIXELS)
    assert (low, high) == ((0, 0, 448), (6, 64, 512))
    low, high = crop_box((4, 40, 512), SPACING, ((1, 10, 100), (3, 20, 110)), PIXELS)
    assert low[:2] == (-1, -12)
    assert high[:2] == (5, 52)


@st.composite
def boxes(draw: st.DrawFn) -> tuple[tuple[int, int, int], tuple[float, float, float], Box]:
    shape = tuple(draw(st.integers(1, 90)) for _ in range(3))
    low = tuple(draw(st.integers(0, n - 1)) for n in shape)
    high = tuple(draw(st.integers(a + 1, n)) for a, n in zip(low, shape, strict=True))
    spacing = tuple(draw(st.floats(0.3, 8)) for _ in range(3))
    return shape, spacing, (low, high)  # type: ignore[return-value]


@given(boxes(), st.booleans())
def test_the_crop_always_holds_the_lesion_and_stays_inside_where_it_fits(
    case: tuple[tuple[int, int, int], tuple[float, float, float], Box], in_mm: bool
) -> None:
    shape, spacing, box = case
    low, high = crop_box(shape, spacing, box, CropOptions() if in_mm else PIXELS)
    for a, b, first, last, n in zip(low, high, *box, shape, strict=True):
        assert a <= first < last <= b
        assert (0 <= a < b <= n) if b - a <= n else (a <= 0 and b >= n)


def ball(shape: tuple[int, int, int] = (20, 120, 130)) -> tuple[Volume, Box]:
    """Liver at 60 HU with noise and a lesion at 150 HU of 24 x 20 pixels in slices 8 to 11."""
    array = np.random.default_rng(2).integers(50, 70, shape).astype(np.int16)
    box = ((8, 40, 60), (12, 64, 80))
    array[8:12, 40:64, 60:80] = 150
    affine = np.diag([0.75, 0.75, 5.0, 1.0])
    affine[:3, 3] = (10, -30, 55)
    return Volume(array, affine, SOURCE), box


def test_the_crop_has_the_papers_shape_and_the_lesion_in_its_middle() -> None:
    volume, box = ball()
    crop = lesion_crop(volume, box)
    assert crop.shape == (1, 16, 112, 112)
    assert crop.dtype == torch.float32
    # 8 slices become 16 and 64 pixels 112: the lesion fills slices 4 to 11, rows 35 to 76, columns 38 to 73
    assert float(crop[0, 5:11, 37:75, 40:72].min()) == pytest.approx(0.9, abs=1e-4)
    assert float(crop[0, :3].max()) < 0.2
    assert float(crop[0, 5:11, :33].max()) < 0.2


def test_hounsfield_units_are_clipped_before_they_are_averaged() -> None:
    volume, box = ball()
    metal = volume.array.copy()
    metal[9, 50, 70] = 30000
    assert float(lesion_crop(volume.with_array(metal), box).max()) <= 1.0


def test_storage_order_and_a_shifted_table_change_nothing() -> None:
    volume, box = ball()
    n = volume.array.shape
    affine = volume.affine.copy()
    affine[:3, 3] = volume.to_lps((n[0] - 1, 0, n[2] - 1)) + np.array([30.0, -200.0, 7.0])
    affine[:3, [0, 2]] *= -1
    turned = Volume(np.ascontiguousarray(volume.array[::-1, :, ::-1]), affine, SOURCE)
    (z0, y0, x0), (z1, y1, x1) = box
    turned_box = ((n[0] - z1, y0, n[2] - x1), (n[0] - z0, y1, n[2] - x0))
    assert torch.equal(lesion_crop(turned, turned_box), lesion_crop(volume, box))


def test_slices_stored_along_another_axis_change_nothing() -> None:
    volume, box = ball()
    affine = volume.affine[:, [2, 1, 0, 3]]  # the array's first axis is now x
    turned = Volume(np.ascontiguousarray(volume.array.transpose(2, 1, 0)), affine, SOURCE)
    turned_box = (box[0][::-1], box[1][::-1])
    assert torch.equal(lesion_crop(turned, turned_box), lesion_crop(volume, box))


def test_a_volume_smaller_than_the_crop_is_filled_up_with_air() -> None:
    array = np.full((2, 20, 20), 60, np.int16)
    crop = lesion_crop(Volume(array, np.diag([0.75, 0.75, 5.0, 1.0]), SOURCE), ((0, 5, 5), (2, 15, 15)))
    assert (crop[0, 0] == -1).all()
    assert float(crop[0, 8, 56, 56]) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("box", [((3, 5, 5), (3, 9, 9)), ((-1, 5, 5), (3, 9, 9)), ((0, 5, 5), (3, 9, 131))])
def test_an_empty_box_or_one_outside_is_refused(box: Box) -> None:
    volume, _ = ball()
    with pytest.raises(ValueError, match="empty or leaves the volume"):
        lesion_crop(volume, box)
