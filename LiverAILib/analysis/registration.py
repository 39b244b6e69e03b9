"""How a phase lies to the reference phase: the breath between them, as a shift.

First the livers' overlap, to within `SHIFT_GRID_MM`; it finds the way from one breath to another. Then the images in
and around the liver, by mutual information (Mattes et al., IEEE Trans Med Imaging 2003), which needs no tissue to look
the same in both phases; it finds the last millimetres, which small lesions need. What lies farther off is left out:
ribs and spine do not move with the liver.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from LiverAILib.analysis.resample import Mask, around, bounding_box, coarse, grown, part, resampled
from LiverAILib.study import Volume, array_to_sitk

MAX_SHIFT_MM = 40.0
SHIFT_GRID_MM = 4.0
MARGIN_MM = 10.0  # around the liver: its edges, and what moves with it
MATCH_GRID_MM = 2.5
MOST_REFINED_MM = 8.0  # farther from the best overlap the images matched something else
BINS = 32
FIRST_STEP_MM, LAST_STEP_MM, STEPS = 2.0, 0.05, 40
DECIMALS = 2  # of the shift: what is beyond depends on rounding

Shift = npt.NDArray[np.float64]


def liver_shift(reference: Volume, reference_liver: Mask, other: Volume, other_liver: Mask) -> Shift:
    """The shift (LPS, mm) to add to a reference point to find it in the other phase: where the two livers overlap best,
    refined to where the images match best. Livers (z, y, x), not empty.
    """
    return refined(reference, reference_liver, other, overlap_shift(reference, reference_liver, other, other_liver))


def overlap_shift(reference: Volume, reference_liver: Mask, other: Volume, other_liver: Mask) -> Shift:
    """Where the two livers overlap best: by cross-correlation on a common grid of `SHIFT_GRID_MM`, within
    `MAX_SHIFT_MM`; 0 where no shift is better than none.
    """
    from scipy import signal

    low, high = _liver_extent(reference, reference_liver)
    low, high = low - MAX_SHIFT_MM, high + MAX_SHIFT_MM
    pairs = ((reference, reference_liver), (other, other_liver))
    own, there = (_on_grid(volume, liver, low, high) for volume, liver in pairs)
    reach = int(MAX_SHIFT_MM / SHIFT_GRID_MM)
    overlap = signal.fftconvolve(there, own[::-1, ::-1, ::-1], mode="full")
    middle = np.array(own.shape) - 1
    window = overlap[tuple(slice(max(m - reach, 0), m + reach + 1) for m in middle)]
    best = np.unravel_index(int(window.argmax()), window.shape)
    start = np.maximum(middle - reach, 0)
    if window[best] <= overlap[tuple(middle)] * 1.005:
        return np.zeros(3)
    steps = (np.array(best) + start - middle)[::-1]
    return np.asarray(steps * SHIFT_GRID_MM, dtype=np.float64)


def _liver_extent(volume: Volume, liver: Mask) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    box = bounding_box(liver)
    corners = [[(axis.start, axis.stop)[bit >> i & 1] for i, axis in enumerate(box)] for bit in range(8)]
    points = volume.to_lps(corners)
    return points.min(axis=0), points.max(axis=0)


def _on_grid(volume: Volume, liver: Mask, low: npt.ArrayLike, high: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """The liver on an axis-aligned grid of `SHIFT_GRID_MM` between two LPS corners, (z, y, x)."""
    low, high = np.asarray(low), np.asarray(high)
    grid = np.diag([SHIFT_GRID_MM] * 3 + [1.0])
    grid[:3, 3] = low
    size = np.ceil((high - low) / SHIFT_GRID_MM).astype(int) + 1
    return resampled(liver, bounding_box(liver), volume, size[::-1].tolist(), grid)


def refined(reference: Volume, liver: Mask, other: Volume, start: Shift) -> Shift:
    """The shift near `start` that gives the two images the highest mutual information in and around the liver; `start`
    where there is none, as with images of one value or a liver of a few voxels.
    """
    import SimpleITK as sitk

    inside = bounding_box(liver)
    box = grown(reference, inside, MARGIN_MM)
    fixed = _image(part(reference, reference.array, box))
    near = _coarse(part(reference, liver, box)).array >= 0.5
    if not near.any():
        return start
    wide = part(reference, reference.array, grown(reference, inside, MARGIN_MM + MOST_REFINED_MM))
    place = wide.affine.copy()
    place[:3, 3] += start
    moving = _image(around(other, place, list(wide.array.shape)))
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(BINS)
    method.SetMetricFixedMask(array_to_sitk(_widened(near, fixed.spacing_mm), fixed.affine))
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(FIRST_STEP_MM, LAST_STEP_MM, STEPS)
    method.SetInitialTransform(sitk.TranslationTransform(3, start.tolist()), inPlace=False)
    try:
        found = np.array(method.Execute(fixed.to_sitk(), moving.to_sitk()).GetParameters())
    except RuntimeError:  # too little of the liver in the other image, or nothing to tell one place from another
        return start
    close = np.isfinite(found).all() and np.abs(found - start).max() <= MOST_REFINED_MM
    return np.asarray(found.round(DECIMALS)) if close else start


def _image(volume: Volume) -> Volume:
    """A part of a scan as it is matched."""
    from LiverAILib.analysis.grid import WINDOW_HU

    low, high = WINDOW_HU
    return _coarse(volume.with_array(volume.array.clip(low, high).astype(np.float32)))


def _coarse(volume: Volume) -> Volume:
    return coarse(volume, MATCH_GRID_MM, MATCH_GRID_MM)


def _widened(mask: Mask, spacing_mm: tuple[float, float, float]) -> npt.NDArray[np.uint8]:
    """The mask and what lies within `MARGIN_MM` of it."""
    from scipy import ndimage

    return np.asarray(ndimage.distance_transform_edt(~mask, sampling=spacing_mm) <= MARGIN_MM).astype(np.uint8)
