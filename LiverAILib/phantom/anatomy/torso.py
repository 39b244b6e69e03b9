"""Skin, fat, muscles, ribs, spine, lungs, diaphragm and heart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from LiverAILib.phantom.anatomy.frame import Frame
from LiverAILib.phantom.fields import (
    Array,
    Field,
    Vector,
    ellipsoid,
    intersect,
    noise_field,
    polyline,
    sample,
    smooth_curve,
    subtract,
    union,
)
from LiverAILib.phantom.model import Layer, Scene, Solid, Tubes
from LiverAILib.phantom.options import Tissue

#: Half width, half depth, centre and exponent of the body cavity's cross-section in the standard body.
CAVITY = (136.0, 92.0, -52.0, 2.5)
VERTEBRA_MM = 33.0


@dataclass(frozen=True)
class TorsoShape:
    """Drawn numbers of the trunk. dome_top_mm: height of the right diaphragm."""

    wall_mm: float
    fat_mm: float
    belly: float
    dome_top_mm: float
    left_dome_mm: float
    lordosis_mm: float
    vertebra_phase: float

    @staticmethod
    def draw(rng: np.random.Generator) -> TorsoShape:
        """Draw the trunk of one patient."""
        return TorsoShape(
            wall_mm=float(rng.uniform(5, 10.5)),
            fat_mm=float(np.clip(rng.lognormal(2.5, 0.5), 4, 42)),
            belly=float(rng.uniform(0, 1)),
            dome_top_mm=float(rng.normal(86, 8)),
            left_dome_mm=float(rng.normal(71, 8)),
            lordosis_mm=float(rng.uniform(0, 10)),
            vertebra_phase=float(rng.uniform(0, VERTEBRA_MM)),
        )

    def spine_y(self, z: Array) -> Array:
        """Depth of the vertebral bodies' centres at height z."""
        return np.asarray(-self.lordosis_mm * np.cos((z + 90) / 110), dtype=np.float32)


def cavity_ring(q: tuple[Array, Array, Array]) -> Array:
    """Distance to the inner outline of the trunk's wall, the spine left aside."""
    z, y, x = q
    a, b, yc, n = CAVITY
    taper = 1 - 0.0011 * np.maximum(z - 55, 0) - 0.0004 * np.maximum(-110 - z, 0)
    ratio = (np.abs(x / (a * taper)) ** n + np.abs((y - yc) / (b * taper)) ** n) ** (1 / n)
    return np.asarray((ratio - 1) * 105 * taper, dtype=np.float32)


def back(q: tuple[Array, Array, Array], shape: TorsoShape) -> Array:
    """Distance to spine and muscles of the back, which bulge into the cavity."""
    z, y, x = q
    ys = y - shape.spine_y(z)
    column = np.sqrt(x**2 + (ys + 2) ** 2) - 25
    erector = _oval(np.abs(x) - 32, ys - 38, 34, 19)
    psoas_width = np.clip((-z - 5) / 90, 0, 1) * 20
    psoas = np.sqrt((np.abs(x) - 36) ** 2 + (ys - 2) ** 2) - psoas_width
    psoas = np.where(psoas_width > 2, psoas, 50)
    return union(union(column, erector, 10), np.asarray(psoas, dtype=np.float32), 6)


def _oval(x: Array, y: Array, rx: float, ry: float) -> Array:
    ratio = np.sqrt((x / rx) ** 2 + (y / ry) ** 2)
    return np.asarray((ratio - 1) * min(rx, ry), dtype=np.float32)


def cavity(q: tuple[Array, Array, Array], shape: TorsoShape) -> Array:
    """Distance to the cavity of chest and abdomen together."""
    return subtract(cavity_ring(q), back(q, shape), 8)


def dome(q: tuple[Array, Array, Array], shape: TorsoShape) -> Array:
    """Distance to the space under the diaphragm: two domes whose sides run down to the wall."""
    z, y, x = q
    distances = []
    for cx, cy, top, a, b in ((-63, -50, shape.dome_top_mm, 80, 93), (66, -42, shape.left_dome_mm, 74, 86)):
        height = 102.0
        centre = top - height
        up = np.maximum(z - centre, 0) / height
        radius = np.sqrt(((x - cx) / a) ** 2 + ((y - cy) / b) ** 2 + up**2)
        radius = radius - 0.0045 * np.maximum(centre + 32 - z, 0)
        distances.append((radius - 1) * min(a, b))
    middle = ellipsoid(q, (20, -60, 0), (62, 70, 40))
    return union(union(np.asarray(distances[0], np.float32), np.asarray(distances[1], np.float32), 22), middle, 20)


def add_lungs_and_heart(scene: Scene, frame: Frame, shape: TorsoShape, rng: np.random.Generator) -> None:
    """Fat of the whole trunk, lungs with their vessels, mediastinum, heart, diaphragm and the fat under it."""
    low, high = (-330, -235, -250), (320, 150, 250)
    grid, q = frame.box(low, high, 8.0)
    everything = grid.like(np.full(grid.values.shape, -50, np.float32))
    lung_texture = noise_field(rng, grid.origin, grid.upper, 40.0, 10.0)
    fat_texture = noise_field(rng, grid.origin, grid.upper, 9.0, 4.0)
    scene.items.append(Solid(everything, (Layer("fat", Tissue.FAT, texture=fat_texture, texture_hu=5),), moving=False))
    grid, q = frame.box((-75, -160, -150), (320, 60, 150), 4.0)
    lungs = cavity(q, shape)
    lungs = subtract(lungs, polyline(q, [(-80, -28, 6), (40, -55, 8), (330, -60, 4)], [26, 24, 40]), 10)
    hilum = rng.uniform(-890, -820)
    layer = Layer(float(hilum), Tissue.LUNG, texture=lung_texture, texture_hu=25)
    scene.items.append(Solid(grid.like(lungs).crop(below=4), (layer,), moving=False))
    _lung_vessels(scene, frame, rng)
    _mediastinum(scene, frame, rng)
    _heart(scene, frame, shape, rng)
    grid, q = frame.box((-330, -235, -250), (shape.dome_top_mm + 12, 150, 250), 4.0)
    under = grid.like(dome(q, shape))
    layers = (
        Layer("muscle", Tissue.MUSCLE),
        Layer("fat", Tissue.FAT, 2.0, fat_texture, 8),
    )
    scene.items.append(Solid(under, layers))


def _lung_vessels(scene: Scene, frame: Frame, rng: np.random.Generator) -> None:
    """Branches from both hila to the base of the lungs."""
    count = 150
    side = rng.choice([-1.0, 1.0], count)
    hilum = np.column_stack([np.full(count, 150.0), np.full(count, -35.0), 30 * side])
    tip = np.column_stack(
        [rng.uniform(20, 260, count), rng.uniform(-125, 35, count), side * rng.uniform(35, 125, count)]
    )
    middle = (hilum + tip) / 2 + rng.normal(0, 10, (count, 3))
    size = np.float32(rng.uniform(0.7, 1.2))
    start = _f32(frame.to_patient(np.vstack([hilum, middle])))
    end = _f32(frame.to_patient(np.vstack([middle, tip])))
    wide = np.repeat(np.array([2.2, 1.1], np.float32) * size, count)
    narrow = wide * np.float32(0.6)
    scene.items.append(Tubes(start, end, wide, narrow, "heart_blood", Tissue.LUNG, True, (Tissue.LUNG,)))


def _mediastinum(scene: Scene, frame: Frame, rng: np.random.Generator) -> None:
    """Great vessels and windpipe above the heart."""
    courses = (
        ([[130, -72, 6], [185, -84, -8], [225, -70, -4], [238, -40, 14], [215, -18, 22]], 14.0, "heart_blood"),
        ([[150, -92, 22], [190, -78, 20], [200, -52, 0], [198, -44, -30]], 11.0, "heart_blood"),
        ([[110, -62, -20], [190, -66, -26], [320, -70, -24]], 8.5, "vena_cava_high"),
    )
    for nodes, radius, hu in courses:
        line = frame.to_patient(smooth_curve(np.asarray(nodes, dtype=float), 6))
        tubes(scene, line, radius * float(rng.uniform(0.9, 1.15)), hu, Tissue.HEART)
    wind = frame.to_patient(smooth_curve([[185, -34, 2], [250, -38, 0], [320, -44, 0]], 4))
    tubes(scene, wind, 9.0, -990.0, Tissue.LUNG)


def _heart(scene: Scene, frame: Frame, shape: TorsoShape, rng: np.random.Generator) -> None:
    grid, q = frame.box((50, -150, -60), (180, 10, 100), 4.0)
    bottom = shape.dome_top_mm - rng.uniform(18, 30)
    heart = ellipsoid(q, (bottom + 48, -78, 24), (46, 48, 56))
    left = ellipsoid(q, (bottom + 46, -72, 42), (34, 26, 26))
    right = union(
        ellipsoid(q, (bottom + 44, -92, 0), (32, 24, 30)), ellipsoid(q, (bottom + 62, -60, -20), (30, 26, 22))
    )
    pericardium = (Layer("fat", Tissue.FAT, -5), Layer("myocardium", Tissue.HEART))
    scene.items.append(Solid(grid.like(heart), pericardium))
    for chamber in (left, right):
        inside = grid.like(intersect(chamber, heart + 4))
        scene.items.append(Solid(inside, (Layer("heart_blood", Tissue.HEART),)))


def add_wall(scene: Scene, frame: Frame, shape: TorsoShape, rng: np.random.Generator) -> None:
    """The trunk's wall over the viscera: fat, muscles, spine and ribs, and the air outside; none of it breathes."""
    grid, q = frame.box((-330, -235, -250), (320, 150, 250), 4.0)
    z, y, x = q
    inner = cavity(q, shape)
    scene.items.append(Solid(grid.like(-inner), (Layer("fat", Tissue.FAT),), moving=False))
    ring = cavity_ring(q)
    ys = y - shape.spine_y(z)
    erector = union(_oval(np.abs(x) - 32, ys - 36, 36, 19), _oval(x, ys - 28, 40, 25), 8)
    wall = noise_field(rng, grid.origin, grid.upper, 50.0, 12.0)
    uneven = np.asarray(ring - shape.wall_mm * (1 + 0.28 * sample(wall, *grid.axes())), np.float32)
    muscle = union(subtract(uneven, inner + 0.3), erector, 4)
    muscle = intersect(muscle, union(uneven, erector + 0, 8))
    streaks = noise_field(rng, grid.origin, grid.upper, 7.0, 3.5)
    flesh = Layer("muscle", Tissue.MUSCLE, texture=streaks, texture_hu=float(rng.uniform(3, 13)))
    scene.items.append(Solid(grid.like(muscle), (flesh,), moving=False))
    _fat_planes(scene, shape, ring, grid)
    _flat_bones(scene, shape, ring, grid, q, rng)
    hull = union(uneven, _oval(x, ys - 24, 78, 35), 30)
    thick = np.float32(shape.fat_mm) * (1 + 0.35 * np.clip((y + 20) / 80, -1, 1) * np.minimum(np.abs(x) / 60, 1))
    thick = thick * (1 + shape.belly * np.clip((-y - 90) / 60, 0, 1) * np.clip((-z + 30) / 90, 0, 1.2))
    rough = noise_field(rng, grid.origin, grid.upper, 60.0, 12.0)
    thick = thick + sample(rough, *grid.axes()) * 0.16 * shape.fat_mm
    body = np.asarray(hull - np.maximum(thick, 2.5), np.float32)
    skin = (Layer(15.0, Tissue.FAT, -float(rng.uniform(1.6, 2.6))), Layer(-1000.0, Tissue.AIR))
    _spine(scene, frame, shape, rng)
    _ribs(scene, frame, shape, rng)
    scene.items.append(Solid(grid.like(-body), skin, moving=False))


def _fat_planes(scene: Scene, shape: TorsoShape, ring: Array, grid: Field) -> None:
    """Thin fat between the layers of the abdominal wall."""
    middle = np.abs(ring - shape.wall_mm * 0.55) - 0.9
    layer = Layer(-20.0, Tissue.MUSCLE)
    scene.items.append(Solid(grid.like(middle), (layer,), moving=False, over=(Tissue.MUSCLE,)))


def _flat_bones(
    scene: Scene, shape: TorsoShape, ring: Array, grid: Field, q: tuple[Array, Array, Array], rng: np.random.Generator
) -> None:
    """Breast bone and hip bones: plates that follow the wall."""
    z, y, x = q
    middle = np.abs(ring - 0.5 * shape.wall_mm)
    sternum = np.maximum(np.maximum(middle - 0.4 * shape.wall_mm - 0.5, np.abs(x) - rng.uniform(14, 20)), 72 - z)
    sternum = np.maximum(sternum, y)
    hip = np.maximum(np.abs(ring + 12 + 0.06 * (z + 150)) - 5, np.maximum(z + 165 - 0.25 * y, -75 - y))
    marrow = Layer(float(rng.uniform(110, 200)), Tissue.BONE, 1.8)
    for bone in (sternum, hip):
        solid = grid.like(np.asarray(bone, np.float32)).crop(below=4)
        scene.items.append(Solid(solid, (Layer(480.0, Tissue.BONE), marrow), moving=False))


def _spine(scene: Scene, frame: Frame, shape: TorsoShape, rng: np.random.Generator) -> None:
    grid, q = frame.box((-330, -25, -50), (320, 90, 50), 2.5, margin=6)
    z, y, x = q
    y = y - shape.spine_y(z)
    turn = np.mod(z + shape.vertebra_phase, VERTEBRA_MM) - VERTEBRA_MM / 2
    waist = 2.0 * np.cos(turn * 2 * np.pi / VERTEBRA_MM)
    body = _oval(x, np.maximum(y, -40), 23, 17) + np.asarray(waist, np.float32)
    disc = np.asarray(np.abs(turn) - VERTEBRA_MM / 2 + 4.2, np.float32)  # > 0 in a disc
    ring = _oval(x, y - 26, 16, 15)
    spinous = np.maximum(np.abs(x) - 3.0, np.maximum(np.abs(y - 44 + turn * 0.2) - 10, np.abs(turn + 3) - 9))
    across = np.sqrt((y - 27) ** 2 + (turn - 5) ** 2) - 5
    across = np.maximum(across, np.abs(x) - 36)
    arch = intersect(ring, np.asarray(np.abs(turn) - 11, np.float32))
    bones = union(union(arch, np.asarray(across, np.float32), 3), np.asarray(spinous, np.float32), 3)
    bones = union(bones, intersect(body, disc), 2)
    marrow = rng.normal(205, 45)
    cortex = float(rng.uniform(380, 620))
    texture = noise_field(rng, grid.origin, grid.upper, 6.0, 3.0)
    canal = _oval(x, y - 26, 10, 8.5)
    cord = _oval(x, y - 26, 5.5, 4.5)
    add = scene.items.append
    add(Solid(grid.like(intersect(body, -disc)), (Layer("disc", Tissue.OTHER),), moving=False))
    inner = Layer(float(marrow), Tissue.BONE, float(rng.uniform(1.6, 2.8)), texture, 55)
    add(Solid(grid.like(bones), (Layer(cortex, Tissue.BONE), inner), moving=False))
    add(Solid(grid.like(canal), (Layer(5.0, Tissue.OTHER),), moving=False))
    add(Solid(grid.like(cord), (Layer("cord", Tissue.OTHER),), moving=False))


def rib_line(index: int, side: float, shape: TorsoShape) -> tuple[Vector, float, float]:
    """Centre line (n, 3) of rib `index` in standard space, how far round the trunk it goes, and how far it is bone."""
    a, b, yc, n = CAVITY
    top = -2.0 + (12 - index) * 28.0
    reach = {12: 0.38, 11: 0.5, 10: 0.72}.get(index, 0.93)
    drop = {12: 55, 11: 75}.get(index, 148)
    s = np.linspace(0, reach, 26)
    angle = np.pi / 2 - 0.28 - s * (np.pi - 0.4)  # from the back round the side to the front
    taper = 1 - 0.0011 * max(top - 85, 0)
    cos, sin = np.cos(angle), np.sin(angle)
    grow = (np.abs(cos) ** n + np.abs(sin) ** n) ** (-1 / n)
    off = 1 + shape.wall_mm * 0.45 / 105
    x = side * a * off * grow * cos * taper
    y = yc + b * off * grow * sin * taper
    z = top - drop * s**1.1 + 70 * np.maximum(s - 0.78, 0) * 2.2
    first = [[top + 4, 10.0, side * 20.0], [top + 2, 26.0, side * 40]]
    return np.vstack([first, np.column_stack([z, y, x])[1:]]), reach, 0.78


def _ribs(scene: Scene, frame: Frame, shape: TorsoShape, rng: np.random.Generator) -> None:
    thickness = float(rng.uniform(4.0, 5.4))
    marrow = float(rng.uniform(130, 260))
    bones: list[Vector] = []
    cartilages: list[Vector] = []
    for index in range(1, 13):
        for side in (-1.0, 1.0):
            line, reach, bony = rib_line(index, side, shape)
            points = frame.to_patient(line + rng.normal(0, 1.5, 3))
            bone = np.linspace(0, 1, len(points)) * reach <= bony
            bones.append(points[bone])
            if not bone.all():
                cartilages.append(points[np.flatnonzero(bone)[-1] :])
    add_tubes(scene, cartilages, thickness, "cartilage", Tissue.OTHER, moving=False)
    add_tubes(scene, bones, thickness, 620.0, Tissue.BONE, moving=False)
    add_tubes(scene, bones, thickness - 2.0, marrow, Tissue.BONE, moving=False)


def add_tubes(
    scene: Scene,
    lines: list[Vector],
    radius: float,
    hu: str | float,
    label: Tissue,
    *,
    moving: bool = True,
    over: tuple[Tissue, ...] = (),
) -> None:
    """Add many tubes of one radius as one item; lines: patient points (n, 3) of each."""
    if not lines:
        return
    start, end = np.vstack([line[:-1] for line in lines]), np.vstack([line[1:] for line in lines])
    r = np.full(len(start), radius, np.float32)
    scene.items.append(Tubes(_f32(start), _f32(end), r, r, hu, label, moving, over))


def tubes(
    scene: Scene,
    points: Vector,
    radius: float | Vector,
    hu: str | float,
    label: Tissue,
    *,
    moving: bool = True,
    over: tuple[Tissue, ...] = (),
) -> None:
    """Add a tube along patient points (n, 3) with one radius or one for each point."""
    r = np.broadcast_to(np.asarray(radius, dtype=np.float32), (len(points),))
    scene.items.append(Tubes(_f32(points[:-1]), _f32(points[1:]), r[:-1], r[1:], hu, label, moving, over))


def _f32(values: Vector) -> Array:
    return np.asarray(values, dtype=np.float32)
