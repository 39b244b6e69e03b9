"""Smooth functions of space on coarse grids, and their fast separable resampling to a CT grid.

Coordinates are patient millimetres in array order (z, y, x) with x to the left, y to the back and z to the head (LPS).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Array = npt.NDArray[Any]  # float32 by convention
Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Field:
    """Values (z, y, x) on a cubic grid: a signed distance in mm (negative inside) or a texture.

    origin: position of values[0, 0, 0] in mm, (z, y, x). step: grid step in mm.
    """

    origin: Vector
    step: float
    values: Array

    @property
    def upper(self) -> Vector:
        """Position of the last grid point, (z, y, x) in mm."""
        return np.asarray(self.origin + self.step * (np.asarray(self.values.shape) - 1))

    def points(self) -> tuple[Array, Array, Array]:
        """Broadcastable (z, y, x) coordinates of the grid points."""
        return grid_points(self.origin, self.step, self.values.shape)

    def axes(self) -> tuple[Vector, Vector, Vector]:
        """Coordinates (z, y, x) of the grid's planes, rows and columns."""
        z, y, x = (self.origin[a] + self.step * np.arange(self.values.shape[a]) for a in range(3))
        return z, y, x

    def at(self, points: npt.ArrayLike) -> Vector:
        """Trilinear values at points (..., 3), the edge value outside."""
        points = np.asarray(points, dtype=np.float64)
        index = (points.reshape(-1, 3) - self.origin) / self.step
        values = ndimage.map_coordinates(self.values, index.T, order=1, mode="nearest")
        return np.asarray(values, dtype=np.float64).reshape(points.shape[:-1])

    def like(self, values: Array) -> Field:
        """The same grid with other values."""
        return Field(self.origin, self.step, np.asarray(values, dtype=np.float32))

    def crop(self, margin: int = 2, below: float = 0.0) -> Field:
        """The part where the values are under `below`, with a margin of grid points; the whole when there is none."""
        inside = self.values < below
        slices = []
        for axis in range(3):
            hit = np.flatnonzero(inside.any(axis=tuple(a for a in range(3) if a != axis)))
            if not hit.size:
                return self
            slices.append(slice(max(int(hit[0]) - margin, 0), int(hit[-1]) + margin + 1))
        start = np.array([part.start for part in slices])
        return Field(self.origin + self.step * start, self.step, np.ascontiguousarray(self.values[tuple(slices)]))


def grid_points(origin: npt.ArrayLike, step: float, shape: Sequence[int]) -> tuple[Array, Array, Array]:
    """Broadcastable (z, y, x) coordinates of a cubic grid."""
    low = np.asarray(origin, dtype=np.float64)
    z, y, x = (np.asarray(low[a] + step * np.arange(shape[a]), dtype=np.float32) for a in range(3))
    return z[:, None, None], y[None, :, None], x[None, None, :]


def _neighbours(
    positions: Vector, origin: float, step: float, count: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], Array]:
    """Indices of the grid points below and above each position, and the share of the upper; clamped at the ends."""
    index = np.clip((np.asarray(positions) - origin) / step, 0, count - 1)
    low = np.minimum(index.astype(np.intp), max(count - 2, 0))
    return low, np.minimum(low + 1, count - 1), (index - low).astype(np.float32)


def sample(field: Field, z: Vector, y: Vector, x: Vector, average: int = 1) -> Array:
    """The field on the grid that three axes span, (len(z) / average, len(y), len(x)).

    Linear in each axis. With `average` = n, every n neighbouring z are averaged. Rows come last, slice by slice, so
    that the bulk of the work is on contiguous memory that fits the cache, and no threads are started.
    """
    origin, step, values = field.origin, field.step, field.values
    low, high, share = _neighbours(z, float(origin[0]), step, values.shape[0])
    planes = values[low] * (1 - share[:, None, None]) + values[high] * share[:, None, None]
    if average > 1:
        planes = planes.reshape(-1, average, *planes.shape[1:]).mean(axis=1)
    low, high, share = _neighbours(x, float(origin[2]), step, values.shape[2])
    planes = planes[:, :, low] * (1 - share) + planes[:, :, high] * share
    low, high, share = _neighbours(y, float(origin[1]), step, values.shape[1])
    near, far = (1 - share)[:, None], share[:, None]
    out = np.empty((len(planes), len(low), planes.shape[2]), np.float32)
    above = np.empty(out.shape[1:], np.float32)
    for plane, result in zip(planes, out, strict=True):
        np.take(plane, low, axis=0, out=result, mode="clip")
        np.take(plane, high, axis=0, out=above, mode="clip")
        result *= near
        above *= far
        result += above
    return out


def smooth_noise(rng: np.random.Generator, shape: Sequence[int], sigma: float) -> Array:
    """Gaussian noise with standard deviation 1, smoothed by `sigma` grid steps."""
    noise = rng.standard_normal(tuple(shape), dtype=np.float32)
    if sigma > 0:
        noise = ndimage.gaussian_filter(noise, sigma, mode="nearest", truncate=3.0)
    return np.asarray(noise / max(float(noise.std()), 1e-6), dtype=np.float32)


def noise_field(
    rng: np.random.Generator, low: npt.ArrayLike, high: npt.ArrayLike, scale_mm: float, step: float | None = None
) -> Field:
    """A unit-variance random field over a box, with features of about `scale_mm`."""
    step = step or max(scale_mm / 2.0, 1.0)
    origin = np.asarray(low, dtype=np.float64)
    shape = np.maximum(np.ceil((np.asarray(high) - origin) / step).astype(int) + 1, 3)
    return Field(origin, step, smooth_noise(rng, shape.tolist(), scale_mm / step / 2.5))


def ellipsoid(points: Sequence[Array], centre: npt.ArrayLike, radii: npt.ArrayLike) -> Array:
    """Approximate signed distance to an ellipsoid along the axes (first order exact at its surface)."""
    z, y, x = ((p - np.float32(c)) for p, c in zip(points, np.asarray(centre), strict=True))
    rz, ry, rx = (np.float32(r) for r in np.asarray(radii))
    k0 = np.sqrt((z / rz) ** 2 + (y / ry) ** 2 + (x / rx) ** 2)
    k1 = np.sqrt((z / rz**2) ** 2 + (y / ry**2) ** 2 + (x / rx**2) ** 2)
    return np.asarray(k0 * (k0 - 1) / np.maximum(k1, 1e-6) + np.where(k0 < 1e-4, -min(rz, ry, rx), 0), dtype=np.float32)


def polyline(points: Sequence[Array], nodes: npt.ArrayLike, radii: npt.ArrayLike) -> Array:
    """Signed distance to a tube along nodes (n, 3) with radii (n,) that vary linearly between them."""
    nodes = np.asarray(nodes, dtype=np.float32)
    radii = np.asarray(radii, dtype=np.float32)
    z, y, x = points
    best: Array | None = None
    for a, b, ra, rb in zip(nodes[:-1], nodes[1:], radii[:-1], radii[1:], strict=True):
        d = b - a
        t = ((z - a[0]) * d[0] + (y - a[1]) * d[1] + (x - a[2]) * d[2]) / max(float(d @ d), 1e-6)
        t = np.clip(t, 0, 1)
        gap = np.sqrt((z - a[0] - t * d[0]) ** 2 + (y - a[1] - t * d[1]) ** 2 + (x - a[2] - t * d[2]) ** 2)
        gap -= ra + t * (rb - ra)
        best = gap if best is None else np.minimum(best, gap)
    if best is None:
        raise ValueError("A tube needs two nodes or more.")
    return np.asarray(best, dtype=np.float32)


def union(a: Array, b: Array, blend_mm: float = 0.0) -> Array:
    """Smooth minimum of two distances."""
    if blend_mm <= 0:
        return np.minimum(a, b)
    h = np.maximum(blend_mm - np.abs(a - b), 0) / blend_mm
    return np.asarray(np.minimum(a, b) - h * h * (blend_mm / 4), dtype=np.float32)


def intersect(a: Array, b: Array, blend_mm: float = 0.0) -> Array:
    """Smooth maximum of two distances."""
    return np.asarray(-union(-a, -b, blend_mm), dtype=np.float32)


def subtract(a: Array, b: Array, blend_mm: float = 0.0) -> Array:
    """`a` without `b`."""
    return intersect(a, -b, blend_mm)


def smooth_curve(nodes: npt.ArrayLike, per_segment: int = 6) -> Vector:
    """Catmull-Rom curve through nodes (n, k): ((n - 1) * per_segment + 1, k)."""
    p = np.asarray(nodes, dtype=np.float64)
    padded = np.vstack([2 * p[0] - p[1], p, 2 * p[-1] - p[-2]])
    out = []
    t = np.arange(per_segment)[:, None] / per_segment
    for i in range(len(p) - 1):
        a, b, c, d = padded[i : i + 4]
        out.append(0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3))
    return np.vstack([*out, p[-1:]])
