"""Shape of the liver, its gallbladder, and fluid around it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from LiverAILib.phantom.anatomy.frame import Frame
from LiverAILib.phantom.anatomy.torso import TorsoShape, cavity, dome
from LiverAILib.phantom.fields import (
    Array,
    Field,
    ellipsoid,
    intersect,
    noise_field,
    polyline,
    sample,
    smooth_curve,
    subtract,
    union,
)
from LiverAILib.phantom.model import Layer, Scene, Solid
from LiverAILib.phantom.options import Tissue
from LiverAILib.phantom.patient import Patient


@dataclass(frozen=True)
class LiverShape:
    """Signed distances of the liver before lesions, of the gallbladder, and of the space the liver may bulge into."""

    liver: Field
    gallbladder: Field
    room: Field


def draw_liver(
    frame: Frame, shape: TorsoShape, patient: Patient, stomach: tuple[Array, Array], rng: np.random.Generator
) -> LiverShape:
    """The liver as a smooth union of lobes, cut by its neighbours and fissures, then deformed."""
    grid, q = frame.box((-135, -155, -150), (115, 60, 120), 3.0)
    z, y, x = q
    cirrhotic = patient.cirrhotic
    right_size = rng.normal(0.94, 0.07) * (rng.uniform(0.84, 0.96) if cirrhotic else 1.0)
    tail = rng.uniform(66, 112) * right_size
    lengths = np.where(z < 5, tail, 102).astype(np.float32)
    right = ellipsoid(((z - 5) / lengths * 100, y, x), (0, -50, -62), (108, 100, 92 * right_size))
    left_reach = rng.uniform(42, 102) * (1.1 if cirrhotic else 1.0)
    left = ellipsoid(
        (z - 0.12 * (x - 5), y - 0.12 * (x - 5), x),
        (rng.normal(30, 8), -98, 4),
        (rng.uniform(22, 42), rng.uniform(32, 48), left_reach),
    )
    quadrate = ellipsoid(q, (-14, -98, -24), (rng.uniform(30, 52), 36, 28))
    normal = np.array([-0.58, 0.3, 0.76]) + rng.normal(0, 0.09, 3)
    normal /= np.linalg.norm(normal)
    cut = (z + 4) * normal[0] + (y + 46) * normal[1] + (x + 30) * normal[2]
    cut = cut + rng.normal(9, 6)
    right = intersect(right, np.asarray(cut, np.float32), 14)
    liver = union(union(right, quadrate, 18), left, 16)
    caudate_size = rng.uniform(1.15, 1.6) if cirrhotic else rng.uniform(0.75, 1.1)
    caudate = ellipsoid(q, (20, -44, -14), np.array([30, 15, 18]) * caudate_size)
    liver = union(liver, caudate, 8)

    porta = polyline(q, [(-14, -58, -16), (-6, -56, -34), (0, -54, -46)], [11, 8, 4])
    liver = subtract(liver, porta, 6)
    slope = rng.normal(0.12, 0.08)
    cleft = np.abs(x - 4 - rng.normal(0, 5) - slope * (y + 110)) - np.clip((26 - z) / 22, 0.0, 1.9) * rng.uniform(
        0.4, 1.3
    )
    cleft = np.maximum(cleft, np.maximum(z - 22, y + 84))
    liver = subtract(liver, np.asarray(cleft, np.float32), 4)
    ligament = np.abs((y + 62) * 0.85 + (x - 6) * 0.5) - rng.uniform(0.8, 2.0)
    ligament = np.maximum(ligament, np.maximum(np.abs(z - 16) - 26, np.maximum(-16 - x, x - 40)))
    liver = subtract(liver, np.asarray(ligament, np.float32), 4)

    liver = subtract(liver, ellipsoid(q, (-68, -4, -64), (58, 32, 32)), 10)
    line, radii = stomach
    liver = subtract(liver, np.asarray(polyline(q, line[::2], radii[::2]) - 1, np.float32), 8)
    bumps = sample(noise_field(rng, grid.origin, grid.upper, 48.0), *grid.axes())
    liver = liver + np.float32(rng.uniform(2.0, 5.0)) * bumps
    if cirrhotic:
        nodules = sample(noise_field(rng, grid.origin, grid.upper, float(rng.uniform(9, 16)), 3.0), *grid.axes())
        liver = liver + np.float32(rng.uniform(0.8, 2.2)) * nodules
    gap = np.float32(rng.uniform(0.3, 3.5))
    room = intersect(dome(q, shape) + np.float32(rng.uniform(1.6, 2.6)), cavity(q, shape) + gap, 5)
    if patient.ascites:
        room = room + np.float32(rng.uniform(4, 14))
    gall = _gallbladder(grid, q, rng)
    liver = subtract(liver, gall - 0.8, 4)
    liver = intersect(np.asarray(liver, np.float32), room, 4)
    return LiverShape(_main_part(grid.like(liver)), grid.like(gall), grid.like(room))


def _main_part(liver: Field) -> Field:
    """Only the largest piece, cropped."""
    from scipy import ndimage

    parts, count = ndimage.label(liver.values < 0)
    if count > 1:
        sizes = np.bincount(parts.ravel())
        sizes[0] = 0
        others = (parts > 0) & (parts != sizes.argmax())
        liver = liver.like(np.where(others, 3.0, liver.values))
    return liver.crop(margin=4, below=6)


def _gallbladder(grid: Field, q: tuple[Array, Array, Array], rng: np.random.Generator) -> Array:
    if rng.random() < 0.14:  # taken out
        return np.full(grid.values.shape, 90, np.float32)
    size = rng.uniform(0.55, 1.2)
    bottom = np.array([-66, -100, -52]) + rng.normal(0, 6, 3)
    neck, body = np.array([-20.0, -66, -34]), np.add(bottom, [-26, -68, -42]) / 2
    line = smooth_curve(np.stack([neck, body, bottom]), 3)
    return polyline(q, line, np.interp(np.linspace(0, 1, len(line)), [0, 0.4, 1], [4, 10, 14]) * size)


def add_liver(scene: Scene, liver: LiverShape, patient: Patient, rng: np.random.Generator) -> None:
    """Ascites, parenchyma with its texture, and the gallbladder."""
    solid = liver.liver
    if patient.ascites:
        wide = float(rng.uniform(5, 16))
        water = intersect(liver.room.values - np.float32(wide), np.float32(-1) * (liver.room.values * 0 + 90), 0)
        near = sample(solid, *liver.room.axes()) - np.float32(wide)
        fluid = liver.room.like(intersect(near, water))
        scene.items.append(Solid(fluid, (Layer(float(rng.uniform(2, 14)), Tissue.FLUID),), over=(Tissue.FAT,)))
    coarse = noise_field(rng, solid.origin, solid.upper, 45.0, 6.0)
    fine = sample(noise_field(rng, solid.origin, solid.upper, 9.0, 3.0), *coarse.axes())
    gain = 1.6 if patient.cirrhotic else 0.7
    texture = coarse.like(coarse.values * np.float32(rng.uniform(0.8, 2.5)) + np.float32(gain) * fine)
    scene.items.append(Solid(solid, (Layer("liver", Tissue.LIVER, texture=texture, texture_hu=1.0),)))
    stone = rng.random() < 0.1
    wall = Layer("gut_wall", Tissue.GALLBLADDER)
    bile = Layer("bile", Tissue.GALLBLADDER, float(rng.uniform(0.8, 1.8)))
    scene.items.append(Solid(liver.gallbladder.crop(below=4), (wall, bile)))
    if stone and (liver.gallbladder.values < -4).any():
        gall = liver.gallbladder
        index = np.argwhere(gall.values < -4)
        at = gall.origin + gall.step * index[rng.integers(len(index))]
        grid = Field(at - 8, 1.0, np.zeros((17, 17, 17), np.float32))
        r = float(rng.uniform(2, 6))
        ball = grid.like(ellipsoid(grid.points(), at, (r, r, r)))
        scene.items.append(
            Solid(ball, (Layer(float(rng.uniform(60, 400)), Tissue.GALLBLADDER),), over=(Tissue.GALLBLADDER,))
        )


def liver_points(liver: Field, rng: np.random.Generator, count: int, depth_mm: float = 0.0) -> Array:
    """Random positions (n, 3) at least `depth_mm` inside the liver."""
    index = np.argwhere(liver.values < -depth_mm)
    if not len(index):
        return np.zeros((0, 3), np.float32)
    picked = index[rng.integers(0, len(index), count)] + rng.uniform(-0.5, 0.5, (count, 3))
    return np.asarray(liver.origin + liver.step * picked, np.float32)
