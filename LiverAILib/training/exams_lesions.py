"""Lesions painted into the structure of a real scan: vessels pushed aside or overgrown, edges as sharp as the scan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from LiverAILib.lesion_types import LesionType
from LiverAILib.phantom.fields import Array, Field, Vector, sample
from LiverAILib.phantom.lesions import PlacedLesion
from LiverAILib.phantom.model import Patch
from LiverAILib.phantom.tubes import sub_planes
from LiverAILib.study import Phase

Box = tuple[slice, slice, slice]

#: How far the edge of a type is blurred beyond the scan's own blur, in mm, at most: infiltration.
SOFT_EDGE_MM: Mapping[LesionType, float] = {
    LesionType.HCC: 1.0,
    LesionType.ICC: 2.2,
    LesionType.METASTASIS: 1.6,
    LesionType.FNH: 0.8,
    LesionType.HAEMANGIOMA: 0.8,
    LesionType.CYST: 0.2,
    LesionType.ABSCESS: 1.6,
}


@dataclass(frozen=True)
class Canvas:
    """What is painted on: per phase the HU without noise, all on one grid, and what the voxels are; (z, y, x).

    axes: voxel centres in mm (z, y, x). closed: voxels that no lesion may take. ids: 0 none. weight: how much of a
    voxel was painted over.
    """

    hu: Mapping[Phase, npt.NDArray[np.float32]]
    axes: tuple[Vector, Vector, Vector]
    thickness: float
    liver: npt.NDArray[np.bool_]
    closed: npt.NDArray[np.bool_]
    ids: npt.NDArray[np.uint16]
    weight: npt.NDArray[np.float32]

    @property
    def pixel(self) -> float:
        """In-plane voxel size in mm."""
        return float(self.axes[2][1] - self.axes[2][0])

    def around(self, low: Vector, high: Vector, margin: int = 4) -> Box | None:
        """The voxels between two corners (z, y, x) in mm, with a margin in plane; None if there is none."""
        parts = []
        for axis, (grid, a, b) in enumerate(zip(self.axes, low, high, strict=True)):
            half = self.thickness / 2 if axis == 0 else 0.0
            more = margin if axis else 0
            first, last = int(np.searchsorted(grid, a - half)), int(np.searchsorted(grid, b + half))
            part = slice(max(first - more, 0), min(last + more, len(grid)))
            if part.stop <= part.start:
                return None
            parts.append(part)
        return parts[0], parts[1], parts[2]


def push_aside(
    canvas: Canvas, lesion: PlacedLesion, liver: Field, strength: float, lean: tuple[float, float, float]
) -> None:
    """Move what is around a lesion outwards, as a growing one does; the liver's surface stays where it is.

    liver: its signed distance, (z, y, x) in mm. strength: 0..1. lean: where in the lesion the push comes from, in
    radii: a vessel goes to one side of a lesion and is not spread around it. A point at a distance r shows what was
    nearer by up to `strength` radii, and nothing moves beyond twice the radius.
    """
    radius = 0.46 * lesion.diameter_mm
    centre = lesion.centre + radius * np.asarray(lean)
    box = canvas.around(centre - 2 * radius, centre + 2 * radius)
    if box is None:
        return
    z, y, x = axes = [grid[part] for grid, part in zip(canvas.axes, box, strict=True)]
    offsets = np.meshgrid(
        *(np.asarray(a - c, np.float32) for a, c in zip(axes, centre, strict=True)), indexing="ij", sparse=True
    )
    far = np.sqrt(offsets[0] ** 2 + offsets[1] ** 2 + offsets[2] ** 2)
    inward = np.float32(strength) * np.clip(radius - 1.04 * (far - radius), 0, radius)
    inward *= np.clip(-sample(liver, z, y, x) / 8.0, 0, 1)
    shrink = 1 - inward / np.maximum(far, 1e-3)
    index = [
        np.clip((c + o * shrink - grid[0]) / max(float(grid[1] - grid[0]), 1e-3), 0, len(grid) - 1)
        for c, o, grid in zip(centre, offsets, canvas.axes, strict=True)
    ]
    moved = canvas.liver[box] & ~canvas.closed[box] & (inward > 0)
    points = np.stack([axis[moved] for axis in index])
    source = canvas.closed | ~canvas.liver
    usable = ~source[tuple(np.rint(points).astype(np.intp))]
    target = np.flatnonzero(moved)[usable]
    for values in canvas.hu.values():
        fresh = ndimage.map_coordinates(values, points[:, usable], order=1, mode="nearest")
        part = values[box].ravel()
        part[target] = fresh
        values[box] = part.reshape(moved.shape)


def paint_patch(canvas: Canvas, patch: Patch) -> None:
    """A change of liver tissue that is no lesion, on parenchyma only."""
    box = canvas.around(patch.weight.origin, patch.weight.upper, margin=0)
    if box is None:
        return
    z, y, x = (grid[part] for grid, part in zip(canvas.axes, box, strict=True))
    weight = sample(patch.weight, z, y, x)
    weight *= canvas.liver[box] & ~canvas.closed[box]
    for phase, values in canvas.hu.items():
        values[box] += np.float32(patch.delta[phase]) * weight


def paint_lesion(canvas: Canvas, lesion: PlacedLesion, number: int, blur_mm: float) -> int:
    """Paint a lesion with the partial volume of its slices and an edge blurred by `blur_mm` (SD); the voxels that it
    fills by half or more get `number`. Returns how many those are.
    """
    field = lesion.shape.crop(margin=3, below=2.0)
    box = canvas.around(field.origin, field.upper)
    if box is None:
        return 0
    z, y, x = (grid[part] for grid, part in zip(canvas.axes, box, strict=True))
    count = int(np.clip(np.ceil(canvas.thickness / max(1.2 * field.step, 0.8)), 1, 5))
    fine = sub_planes(z, canvas.thickness, count)
    distance = sample(field, fine, y, x)
    covered = np.clip(0.5 - distance / canvas.pixel, 0, 1).reshape(len(z), count, *distance.shape[1:]).mean(axis=1)
    covered *= ~canvas.closed[box]
    inside = (covered >= 0.5) & (canvas.ids[box] == 0)
    sigma = blur_mm / canvas.pixel
    alpha: Array = np.asarray(ndimage.gaussian_filter(covered, (0, sigma, sigma), truncate=3.0), np.float32)
    alpha *= ~canvas.closed[box]
    for phase, values in canvas.hu.items():
        own = sample(lesion.hu[phase], fine, y, x, average=count)
        part = values[box]
        part += alpha * (ndimage.gaussian_filter(own, (0, 0.5 * sigma, 0.5 * sigma), truncate=3.0) - part)
    canvas.weight[box] = np.maximum(canvas.weight[box], alpha)
    canvas.ids[box][inside] = number
    canvas.liver[box][inside] = True
    return int(inside.sum())
