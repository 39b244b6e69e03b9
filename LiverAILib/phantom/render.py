"""Paint a scene on the grid of one phase, slab by slab, with the partial volume of thick slices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from LiverAILib.phantom.enhancement import Enhancement
from LiverAILib.phantom.fields import Array, Field, Vector, sample
from LiverAILib.phantom.model import Attenuation, LesionSolid, Patch, Scene, Solid, Tubes
from LiverAILib.phantom.options import LIVER_TISSUES, Tissue
from LiverAILib.phantom.tubes import sub_planes, tube_coverage
from LiverAILib.study import Phase


@dataclass(frozen=True)
class Breath:
    """Where things that move stand in a phase: patient = still + shift, growing with height above the pelvis."""

    shift: Vector  # (z, y, x) in mm at the liver
    stretch: float = 0.0  # of z, per mm over the liver's centre

    def to_phase(self, points: Vector) -> Vector:
        """Still positions (..., 3) to their places in the phase."""
        moved = np.asarray(points, dtype=np.float64) + self.shift
        moved[..., 0] += self.stretch * np.asarray(points)[..., 0]
        return np.asarray(moved)

    def from_phase(self, axes: tuple[Vector, Vector, Vector]) -> tuple[Vector, Vector, Vector]:
        """Axes of the phase's grid as still coordinates (the map is separable)."""
        z, y, x = axes
        return (z - self.shift[0]) / (1 + self.stretch), y - self.shift[1], x - self.shift[2]


@dataclass(frozen=True)
class Slab:
    """Some slices of a phase: centres (z, y, x) in mm, slice thickness, and the arrays to paint in."""

    z: Vector
    y: Vector
    x: Vector
    thickness: float
    hu: Array
    label: npt.NDArray[np.uint8]
    lesion: npt.NDArray[np.uint16]


class Painter:
    """Paints items on slabs of one phase."""

    def __init__(self, phase: Phase, enhancement: Enhancement, breath: Breath) -> None:
        self.phase = phase
        self.enhancement = enhancement
        self.breath = breath

    def paint(self, scene: Scene, slab: Slab) -> None:
        """Paint everything in order."""
        for item in scene.items:
            if isinstance(item, Solid):
                self._solid(item, slab)
            elif isinstance(item, Tubes):
                self._tubes(item, slab)
            elif isinstance(item, Patch):
                self._patch(item, slab)
            else:
                self._lesion(item, slab)

    def value(self, hu: Attenuation) -> float:
        """HU in this phase."""
        if isinstance(hu, str):
            return self.enhancement.hu[hu][self.phase]
        return float(hu) if isinstance(hu, int | float) else float(hu[self.phase])

    def _window(self, field: Field, slab: Slab, *, moving: bool, reach: float = 0.0) -> _Window | None:
        axes = (slab.z, slab.y, slab.x)
        still = self.breath.from_phase(axes) if moving else axes
        half = (slab.thickness / 2 + reach, reach, reach)
        slices = []
        for a in range(3):
            hit = np.flatnonzero((still[a] >= field.origin[a] - half[a]) & (still[a] <= field.upper[a] + half[a]))
            if not hit.size:
                return None
            slices.append(slice(int(hit[0]), int(hit[-1]) + 1))
        z, y, x = (still[a][slices[a]] for a in range(3))
        return _Window((slices[0], slices[1], slices[2]), z, y, x)

    def _solid(self, item: Solid, slab: Slab) -> None:
        window = self._window(item.distance, slab, moving=item.moving)
        if window is None:
            return
        middle, width = _faces(item.distance, window, slab)
        shallow = min(layer.depth_mm for layer in item.layers)
        if float(middle.min()) > float(width.max()) / 2 - shallow:
            return
        hu, label = slab.hu[window.slices], slab.label[window.slices]
        for layer in item.layers:
            alpha = _coverage(middle, width, layer.depth_mm)
            if item.over:
                alpha *= np.isin(label, item.over)
            target: Array | float = self.value(layer.hu)
            if layer.texture is not None:
                texture = sample(layer.texture, *window.axes)
                texture *= np.float32(layer.texture_hu)
                texture += np.float32(target)
                target = texture
            _blend(hu, alpha, target)
            label[alpha >= 0.5] = int(layer.label)

    def _lesion(self, item: LesionSolid, slab: Slab) -> None:
        window = self._window(item.distance, slab, moving=True)
        if window is None:
            return
        hu, label, ids = slab.hu[window.slices], slab.label[window.slices], slab.lesion[window.slices]
        count = _planes(item.distance, slab.thickness)
        fine = sub_planes(window.z, slab.thickness, count)
        distance = sample(item.distance, fine, window.y, window.x)
        pixel = _pixel(slab)
        alpha = np.clip(0.5 - distance / pixel, 0, 1).reshape(len(window.z), count, *distance.shape[1:]).mean(axis=1)
        if not alpha.any():
            return
        alpha *= np.isin(label, LIVER_TISSUES)
        values = sample(item.hu[self.phase], fine, window.y, window.x, average=count)
        _blend(hu, alpha, values)
        inside = alpha >= 0.5
        label[inside] = int(Tissue.LESION)
        ids[inside] = item.id

    def _patch(self, item: Patch, slab: Slab) -> None:
        window = self._window(item.weight, slab, moving=True)
        delta = item.delta[self.phase]
        if window is None or abs(delta) < 1e-3:
            return
        weight = sample(item.weight, *window.axes)
        weight *= np.float32(delta)
        slab.hu[window.slices] += weight * np.isin(slab.label[window.slices], item.over)

    def _tubes(self, item: Tubes, slab: Slab) -> None:
        """Coverage of the union of all segments, so that joints are not painted twice, then one blend."""
        start, end = item.start, item.end
        if item.moving:
            start = self.breath.to_phase(start).astype(np.float32)
            end = self.breath.to_phase(end).astype(np.float32)
        found = tube_coverage(start, end, item.start_radius, item.end_radius, slab.z, slab.y, slab.x, slab.thickness)
        if found is None:
            return
        box, total = found
        hu, label = slab.hu[box], slab.label[box]
        where = np.nonzero(total)
        alpha = total[where]
        if item.over:
            alpha = alpha * np.isin(label[where], item.over)
        before = hu[where]
        hu[where] = before + alpha * (np.float32(self.value(item.hu)) - before)
        solid = alpha >= 0.5
        label[tuple(part[solid] for part in where)] = int(item.label)


@dataclass(frozen=True)
class _Window:
    slices: tuple[slice, slice, slice]
    z: Vector
    y: Vector
    x: Vector

    @property
    def axes(self) -> tuple[Vector, Vector, Vector]:
        return self.z, self.y, self.x


def _faces(field: Field, window: _Window, slab: Slab) -> tuple[Array, Array]:
    """Distance at the middle of each voxel and the width of its partial volume: pixel plus slope through the slice."""
    half = slab.thickness / 2
    z = window.z
    if len(z) > 1 and abs(z[1] - z[0] - slab.thickness) < 1e-6:
        edges = sample(field, np.append(z - half, z[-1] + half), window.y, window.x)
        below, above = edges[:-1], edges[1:]
    else:
        both = sample(field, np.concatenate([z - half, z + half]), window.y, window.x)
        below, above = both[: len(z)], both[len(z) :]
    width = np.abs(above - below)
    width += np.float32(_pixel(slab))
    middle = below + above
    middle *= np.float32(0.5)
    return middle, width


def _coverage(middle: Array, width: Array, depth: float) -> Array:
    """Share of each voxel that lies more than `depth` under the surface."""
    alpha = middle + np.float32(depth) if depth else middle.copy()
    alpha /= width
    np.subtract(np.float32(0.5), alpha, out=alpha)
    return np.clip(alpha, 0, 1, out=alpha)


def _blend(hu: Array, alpha: Array, value: Array | float) -> None:
    """hu += alpha * (value - hu), in place."""
    change = np.subtract(value, hu, dtype=np.float32)
    change *= alpha
    hu += change


def _pixel(slab: Slab) -> float:
    return float(slab.x[1] - slab.x[0]) if len(slab.x) > 1 else 1.0


def _planes(field: Field, thickness: float) -> int:
    """Planes to average over a slice so that small or fine lesions are blurred as they should be."""
    return int(np.clip(np.ceil(thickness / max(1.2 * field.step, 0.8)), 1, 5))
