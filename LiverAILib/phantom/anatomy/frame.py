"""From the standard body to one patient's: size, proportions and a smooth deformation.

Anatomy is written in standard coordinates: millimetres (z, y, x) with the origin in the vertebral body at the level of
the porta hepatis, in a body 330 mm wide and 230 mm deep.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from LiverAILib.phantom.fields import Array, Field, Vector, noise_field, sample

_LOW = np.array([-340.0, -240.0, -260.0])
_HIGH = np.array([330.0, 160.0, 260.0])


@dataclass(frozen=True)
class Frame:
    """One patient's body: standard = patient / scale + shift(patient).

    z_range: what the exam needs, in patient mm; nothing is computed beyond it.
    """

    scale: Vector
    shift: tuple[Field, Field, Field]
    z_range: tuple[float, float]

    @staticmethod
    def draw(rng: np.random.Generator, z_range: tuple[float, float], amplitude_mm: float = 5.5) -> Frame:
        """Draw stature, girth and deformation."""
        stature, girth = rng.normal(1, 0.06), rng.normal(1, 0.06)
        scale = np.clip([stature, girth * rng.normal(1.09, 0.07), girth], 0.84, 1.28)
        fields = []
        for gain in (1.0, 1.0, 1.0):
            noise = noise_field(rng, _LOW, _HIGH, scale_mm=75.0, step=15.0)
            fields.append(noise.like(noise.values * np.float32(gain * amplitude_mm)))
        return Frame(np.asarray(scale), (fields[0], fields[1], fields[2]), z_range)

    def to_patient(self, standard: npt.ArrayLike) -> Vector:
        """Patient positions (..., 3) of standard ones: the inverse of the deformation by fixed-point steps."""
        q = np.asarray(standard, dtype=np.float64)
        p = q * self.scale
        for _ in range(4):
            u = np.stack([field.at(p) for field in self.shift], axis=-1)
            p = (q - u) * self.scale
        return p

    def box(
        self, low: npt.ArrayLike, high: npt.ArrayLike, step: float, margin: float = 14.0
    ) -> tuple[Field, tuple[Array, Array, Array]]:
        """A grid around a box of standard space, and the standard coordinates (z, y, x) of its points."""
        lower = np.asarray(low) * self.scale - margin
        upper = np.asarray(high) * self.scale + margin
        lower[0], upper[0] = max(lower[0], self.z_range[0]), min(upper[0], self.z_range[1])
        upper = np.maximum(upper, lower + 2 * step)
        shape = np.ceil((upper - lower) / step).astype(int) + 1
        axes = [lower[a] + step * np.arange(shape[a]) for a in range(3)]
        grid = Field(lower, step, np.zeros(shape, dtype=np.float32))
        points = grid.points()
        q = tuple(
            np.asarray(points[a] / np.float32(self.scale[a]) + sample(self.shift[a], *axes), dtype=np.float32)
            for a in range(3)
        )
        return grid, (q[0], q[1], q[2])
