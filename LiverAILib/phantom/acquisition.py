"""The scanner: grid, point spread, noise and artefacts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage

from LiverAILib.phantom.fields import Array, Field, Vector
from LiverAILib.phantom.options import PhantomOptions


@dataclass(frozen=True)
class Scanner:
    """Settings of one exam. kernel_mm: width (SD) of the point spread; sharp: edge enhancement.

    noise_hu: SD of the noise in 5 mm slices, about.
    """

    kernel_mm: float
    sharp: float
    noise_hu: float
    noise_peak: float
    streaks: float
    table: bool

    @staticmethod
    def draw(rng: np.random.Generator, *, artefacts: bool) -> Scanner:
        """Draw a scanner's protocol."""
        sharp = float(rng.uniform(0.15, 0.5)) if rng.random() < 0.2 else 0.0
        streak = float(rng.uniform(4, 11)) if rng.random() < 0.07 else 0.0
        return Scanner(
            kernel_mm=float(rng.uniform(0.45, 0.85)),
            sharp=sharp,
            noise_hu=float(np.clip(rng.lognormal(np.log(11.5), 0.32), 6, 25)),
            noise_peak=float(rng.uniform(0.12, 0.26)),
            streaks=streak if artefacts else 0.0,
            table=bool(rng.random() < 0.85),
        )


@dataclass(frozen=True)
class Grid:
    """Voxel centres of a phase in patient mm (z, y, x), and the slice thickness."""

    z: Vector
    y: Vector
    x: Vector
    thickness: float

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size (z, y, x) in mm."""
        z, y, x = (float(a[1] - a[0]) if len(a) > 1 else self.thickness for a in (self.z, self.y, self.x))
        return z, y, x

    @property
    def affine(self) -> Vector:
        """LPS affine of (x, y, z, 1) indices."""
        affine = np.eye(4)
        z, y, x = self.spacing
        affine[0, 0], affine[1, 1], affine[2, 2] = x, y, z
        affine[:3, 3] = self.x[0], self.y[0], self.z[0]
        return affine


def draw_spacing(rng: np.random.Generator) -> tuple[float, float, float]:
    """Voxel size (z, y, x) as in practice."""
    slices = float(rng.choice([1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 5.0, 7.0, 7.5, 8.0, 10.0], p=_SLICES))
    pixel = float(np.round(rng.uniform(0.6, 0.9), 4))
    return slices, pixel, pixel


_SLICES = np.array([4, 6, 6, 8, 8, 12, 36, 6, 5, 6, 3]) / 100.0


def draw_grid(
    rng: np.random.Generator,
    options: PhantomOptions,
    liver: tuple[Vector, Vector],
    body_half_mm: float,
    z_limits: tuple[float, float],
    *,
    whole_body: bool,
) -> Grid:
    """The grid of an exam. liver: its bounding box (low, high) in mm; body_half_mm: half the body's width."""
    drawn = draw_spacing(rng)
    margins = rng.uniform(12, 45, 2) if options.margin_mm is None else np.full(2, options.margin_mm)
    offset = rng.normal(0, 8, 2)
    low, high = liver
    z_low, z_high = z_limits if whole_body else (low[0] - margins[0], high[0] + margins[1])
    if options.liver_crop_mm is not None:
        z_low, z_high = low[0] - options.liver_crop_mm, high[0] + options.liver_crop_mm
    sizes: list[tuple[float, float]] = []  # (low edge, high edge) in y and x
    for a in (1, 2):
        if options.liver_crop_mm is not None:
            sizes.append((low[a] - options.liver_crop_mm, high[a] + options.liver_crop_mm))
        else:
            centre = (-52.0 if a == 1 else 0.0) + offset[a - 1]
            sizes.append((centre - body_half_mm - 12, centre + body_half_mm + 12))
    if options.spacing_mm is not None:
        sz, sy, sx = options.spacing_mm
    elif options.shape is not None:
        pixel = (sizes[1][1] - sizes[1][0]) / options.shape[2]
        sz, sy, sx = float(np.clip((z_high - z_low) / options.shape[0], 1, 10)), pixel, pixel
    else:
        sz, sy, sx = drawn
    if options.shape is not None:
        nz, ny, nx = options.shape
    elif options.liver_crop_mm is not None:
        nz, ny, nx = (
            max(1, round((b - a) / s)) for (a, b), s in zip([(z_low, z_high), *sizes], (sz, sy, sx), strict=True)
        )
    else:
        nz = max(1, round((z_high - z_low) / sz))
        ny = nx = 512
    centres = ((z_low + z_high) / 2, sum(sizes[0]) / 2, sum(sizes[1]) / 2)
    axes = [c + (np.arange(n) - (n - 1) / 2) * s for c, n, s in zip(centres, (nz, ny, nx), (sz, sy, sx), strict=True)]
    z, y, x = (np.asarray(axis, np.float64) for axis in axes)
    return Grid(z, y, x, sz)


class Detector:
    """Blurs slices, adds noise with a CT-like spectrum, and draws table and streaks."""

    def __init__(self, grid: Grid, scanner: Scanner) -> None:
        self.grid = grid
        self.scanner = scanner
        _, sy, sx = grid.spacing
        fy = np.fft.fftfreq(len(grid.y), sy)[:, None]
        fx = np.fft.fftfreq(len(grid.x), sx)[None, :]
        radius = np.sqrt(fy**2 + fx**2)
        peak = scanner.noise_peak
        # Ramp of the back-projection times the kernel's fall-off; a little more power along x than along y.
        spectrum = (radius + 0.035) * np.exp(-((radius / (1.5 * peak)) ** 2)) * (1 + 0.35 * fy**2 / (radius**2 + 1e-6))
        self.filter = np.asarray(spectrum / np.sqrt(np.mean(spectrum**2)), dtype=np.float32)
        streak = np.exp(-((fx / 0.02) ** 2)) * np.exp(-((np.abs(fy) - 0.13) ** 2) / 0.08**2)
        self.streak_filter = np.asarray(streak / np.sqrt(np.mean(streak**2)), dtype=np.float32)
        yy = (grid.y[:, None] + 50) / 125.0
        xx = grid.x[None, :] / 175.0
        self.profile = np.asarray(0.62 + 0.55 * np.exp(-(yy**2 + xx**2) * 1.1), dtype=np.float32)
        self.strength = scanner.noise_hu * float(np.clip((5.0 / grid.thickness) ** 0.3, 0.8, 1.5))

    def add_table(self, hu: Array) -> None:
        """The curved couch under the back, in front of everything painted so far only where there is air."""
        if not self.scanner.table:
            return
        y = self.grid.y[:, None]
        x = self.grid.x[None, :]
        depth = np.abs(y - (120.0 - x**2 / 900.0))
        couch = np.asarray(np.clip(1.6 - depth, 0, 1) * (np.abs(x) < 205), dtype=np.float32)
        air = hu < -900
        hu += np.where(air, couch * 1050, 0).astype(np.float32)

    def expose(self, hu: Array, first: int, key: tuple[int, ...]) -> None:
        """Blur and add noise in place to slices hu (n, y, x) that start at slice `first`; `key` seeds the noise."""
        _, sy, sx = self.grid.spacing
        sigma = (0, self.scanner.kernel_mm / sy, self.scanner.kernel_mm / sx)
        blurred = ndimage.gaussian_filter(hu, sigma, truncate=3.0)
        if self.scanner.sharp:
            wide = ndimage.gaussian_filter(blurred, (0, 1.2 / sy, 1.2 / sx), truncate=2.5)
            blurred += np.float32(self.scanner.sharp) * (blurred - wide)
        hu[...] = blurred
        mix = np.float32(np.sqrt(1 - _NEIGHBOUR**2)), np.float32(_NEIGHBOUR)
        here = self._noise_pair((*key, first))
        for k in range(0, len(hu), 2):
            after = self._noise_pair((*key, first + k + 2))
            for part, (own, next_one) in enumerate(((here[0], here[1]), (here[1], after[0]))):
                if k + part < len(hu):
                    hu[k + part] += own * mix[0] + next_one * mix[1]
            here = after

    def _noise_pair(self, key: tuple[int, ...]) -> tuple[Array, Array]:
        """Noise of two slices: the real and the imaginary part of one filtered complex wave."""
        rng = np.random.default_rng(key)
        shape = self.filter.shape
        white = rng.standard_normal((2, *shape), dtype=np.float32)
        wave = np.empty(shape, dtype=np.complex64)
        wave.real, wave.imag = white
        scale = np.float32(np.sqrt(shape[0] * shape[1]))
        noise = fft.ifft2(wave * self.filter, workers=1) * (scale * np.float32(self.strength)) * self.profile
        if self.scanner.streaks:
            lines = fft.ifft2(wave[::-1] * self.streak_filter, workers=1) * (scale * np.float32(self.scanner.streaks))
            noise += lines * self.profile**2
        return noise.real, noise.imag


#: How much of the next slice's noise is in a slice: slices of a helical scan share some rays.
_NEIGHBOUR = 0.26


def bounding_box(field: Field) -> tuple[Vector, Vector]:
    """Extent (low, high) in mm of where the distance is negative."""
    index = np.argwhere(field.values < 0)
    return field.origin + field.step * index.min(axis=0), field.origin + field.step * index.max(axis=0)
