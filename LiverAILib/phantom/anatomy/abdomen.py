"""Spleen, kidneys, adrenals, stomach, pancreas, gut and the great vessels outside the liver."""

from __future__ import annotations

import numpy as np

from LiverAILib.phantom.anatomy.frame import Frame
from LiverAILib.phantom.anatomy.torso import TorsoShape, add_tubes, cavity, dome, tubes
from LiverAILib.phantom.fields import (
    Array,
    ellipsoid,
    intersect,
    noise_field,
    polyline,
    sample,
    smooth_curve,
    subtract,
)
from LiverAILib.phantom.model import Layer, Scene, Solid
from LiverAILib.phantom.options import Tissue

#: Course of the vena cava from the pelvis to the right atrium, and its radii; the liver is grooved by it.
VENA_CAVA = ([-240, -30, -20], [-120, -30, -20], [-60, -31, -21], [0, -36, -23], [50, -46, -22], [95, -62, -18])
#: What vessels outside the organs are painted over.
FREE = (Tissue.FAT, Tissue.PANCREAS, Tissue.ARTERY, Tissue.PORTAL_VEIN)
#: The aorta from the pelvis to the chest.
AORTA = ([-230, -32, 8], [-120, -32, 10], [-40, -33, 10], [40, -28, 14], [120, -18, 20], [320, -8, 26])


def add_kidneys(scene: Scene, frame: Frame, rng: np.random.Generator) -> None:
    """Both kidneys with cortex, medulla, sinus fat and pelvis; a simple cyst now and then. Adrenals above them."""
    for side in (-1.0, 1.0):
        cz = (-66 if side < 0 else -52) + rng.normal(0, 7)
        centre = np.array([cz, -9 + rng.normal(0, 4), side * (66 + rng.normal(0, 3))])
        size = rng.normal(1, 0.07)
        grid, q = frame.box(centre - 70, centre + 70, 2.5, margin=2)
        z, y, x = q
        tilt = x - side * 0.16 * (-(z - centre[0]))
        lean = y - 0.18 * (-(z - centre[0])) * 0.7
        u = (z, lean, tilt)
        outer = ellipsoid(u, centre, np.array([54, 27, 26]) * size)
        hilum = ellipsoid(u, np.add(centre, [0, -12, -side * 20]), np.array([26, 14, 17]) * size)
        bumps = sample(noise_field(rng, grid.origin, grid.upper, 22.0), *grid.axes())
        kidney = np.asarray(subtract(outer, hilum, 8) + 0.9 * bumps, np.float32)
        sinus = ellipsoid(u, np.add(centre, [0, -4, -side * 10]), np.array([30, 11, 13]) * size)
        pyramids = np.asarray(
            np.maximum(kidney + 6.5 + 2.2 * np.sin(z / 4.2) * np.cos((y + x) / 5.0), -sinus), np.float32
        )
        solid = grid.like(kidney)
        scene.items.append(Solid(solid, (Layer("renal_cortex", Tissue.KIDNEY),)))
        scene.items.append(Solid(grid.like(pyramids), (Layer("renal_medulla", Tissue.KIDNEY),)))
        inside = grid.like(np.asarray(np.maximum(sinus, kidney), np.float32))
        scene.items.append(Solid(inside, (Layer("fat", Tissue.FAT),)))
        pelvis = ellipsoid(
            u, np.add(centre, [-4, -6, -side * 14]), np.array([12, 4.5, 9]) * size * rng.uniform(0.6, 1.3)
        )
        scene.items.append(Solid(grid.like(pelvis), (Layer("renal_pelvis", Tissue.OTHER),)))
        if rng.random() < 0.2:
            _kidney_cyst(scene, frame, centre, side, rng)
        _adrenal(scene, frame, centre, side, rng)


def _kidney_cyst(scene: Scene, frame: Frame, centre: Array, side: float, rng: np.random.Generator) -> None:
    r = float(rng.uniform(4, 22))
    at = np.add(centre, [rng.uniform(-35, 35), rng.uniform(0, 15), side * (14 + 0.5 * r)])
    grid, q = frame.box(at - r, at + r, 1.5, margin=4)
    scene.items.append(Solid(grid.like(ellipsoid(q, at, (r, r, r))), (Layer(float(rng.normal(6, 4)), Tissue.OTHER),)))


def _adrenal(scene: Scene, frame: Frame, kidney: Array, side: float, rng: np.random.Generator) -> None:
    top = np.add(kidney, [44, -22, -side * 24])
    for dy, dx in ((20, -7), (20, 7)):
        limb = smooth_curve([np.add(top, [4, -8, 0]), np.add(top, [0, 0, 0]), np.add(top, [-8, dy, dx])], 4)
        tubes(scene, frame.to_patient(limb), float(rng.uniform(1.8, 3)), "adrenal", Tissue.ADRENAL)


def add_spleen(scene: Scene, frame: Frame, shape: TorsoShape, rng: np.random.Generator, *, enlarged: bool) -> None:
    """The spleen under the left dome, moulded by the wall; `enlarged` in portal hypertension."""
    grow = rng.uniform(1.15, 1.5) if enlarged else np.clip(rng.normal(1.0, 0.1), 0.75, 1.25)
    grid, q = frame.box((-110, -90, 30), (110, 60, 150), 3.0)
    centre = np.array([8 + rng.normal(0, 8), 6 + rng.normal(0, 5), 106.0])
    spleen = ellipsoid(q, centre, np.array([56, 58, 44]) * grow)
    hollow = ellipsoid(q, np.add(centre, [2, -30, -54]), (62, 44, 36))
    spleen = subtract(spleen, hollow, 10)
    spleen = intersect(spleen, cavity(q, shape) + np.float32(rng.uniform(3, 6)), 6)
    spleen = intersect(spleen, dome(q, shape) + 4, 6)
    bumps = sample(noise_field(rng, grid.origin, grid.upper, 38.0), *grid.axes())
    solid = grid.like(np.asarray(spleen + 2.4 * bumps, np.float32)).crop(below=5)
    mottled = noise_field(rng, solid.origin, solid.upper, 14.0)
    layer = Layer("spleen", Tissue.SPLEEN, texture=mottled, texture_hu=3.0)
    scene.items.append(Solid(solid, (layer,)))
    if rng.random() < 0.12:
        at = np.add(centre, [rng.uniform(-40, 20), -10, -34])
        grid, q = frame.box(at - 10, at + 10, 2.0, margin=3)
        r = float(rng.uniform(4, 8))
        scene.items.append(Solid(grid.like(ellipsoid(q, at, (r, r, r))), (Layer("spleen", Tissue.OTHER),)))


def stomach_course(rng: np.random.Generator) -> tuple[Array, Array]:
    """Centre line (n, 3) and radii (n,) of the stomach from the fundus to the duodenal bulb."""
    full = rng.uniform(0.45, 1.15)
    nodes = np.array(
        [
            [48, 0, 66, 26 * full],
            [22, -22, 74, 34 * full],
            [-12, -58, 68, 32 * full],
            [-48, -84, 42, 25 * full],
            [-56, -84, 6, 18 * full],
            [-42, -74, -22, 12],
            [-40, -62, -36, 12],
        ]
    )
    nodes[:, :3] += rng.normal(0, 6, (len(nodes), 3))
    curve = smooth_curve(nodes, 4)
    return np.asarray(curve[:, :3], np.float32), np.asarray(np.maximum(curve[:, 3], 8), np.float32)


def add_stomach(
    scene: Scene, frame: Frame, shape: TorsoShape, course: tuple[Array, Array], rng: np.random.Generator
) -> None:
    """Stomach: wall, then food or water, then gas in front of a level."""
    line, radii = course
    low, high = line.min(axis=0) - 44, line.max(axis=0) + 44
    grid, q = frame.box(low, high, 3.0, margin=2)
    outer = polyline(q, line, radii)
    bumps = sample(noise_field(rng, grid.origin, grid.upper, 26.0), *grid.axes())
    outer = np.asarray(outer + 3.0 * bumps, np.float32)
    outer = intersect(outer, cavity(q, shape) + 5, 6)
    outer = intersect(outer, dome(q, shape) + 5, 6)
    wall = float(rng.uniform(2.5, 5))
    food = noise_field(rng, grid.origin, grid.upper, float(rng.uniform(5, 14)))
    water = rng.random() < 0.5
    content = Layer(float(rng.uniform(0, 40)), Tissue.STOMACH, wall, food, 4.0 if water else float(rng.uniform(15, 60)))
    solid = grid.like(outer).crop(below=4)
    scene.items.append(Solid(solid, (Layer("gut_wall", Tissue.STOMACH), content)))
    level = rng.uniform(-115, 0)
    gas = np.asarray(np.maximum(outer + wall + 0.5, q[1] - np.float32(level)), np.float32)
    scene.items.append(Solid(grid.like(gas).crop(below=4), (Layer(-960.0, Tissue.STOMACH),)))
    esophagus = frame.to_patient(smooth_curve([[320, -20, 6], [120, -32, 8], [66, -42, 24], [48, -40, 46]], 6))
    tubes(scene, esophagus, float(rng.uniform(7, 10)), "gut_wall", Tissue.OTHER)


def add_pancreas(scene: Scene, frame: Frame, rng: np.random.Generator) -> None:
    """Pancreas from the duodenal loop to the splenic hilum, lobulated with fat."""
    size = rng.uniform(0.75, 1.2)
    nodes = np.array(
        [
            [-58, -44, -22, 12],
            [-38, -52, -16, 13],
            [-24, -66, 8, 9],
            [-14, -56, 38, 9],
            [-2, -24, 66, 10],
            [6.0, -6, 80, 7],
        ]
    )
    nodes[:, :3] += rng.normal(0, 4, (len(nodes), 3))
    curve = smooth_curve(nodes, 4)
    grid, q = frame.box((-90, -90, -50), (30, 20, 100), 2.5, margin=4)
    body = polyline(q, curve[:, :3], curve[:, 3] * size)
    lobules = sample(noise_field(rng, grid.origin, grid.upper, 7.0), *grid.axes())
    body = np.asarray(body + 1.8 * lobules, np.float32)
    marbling = noise_field(rng, grid.origin, grid.upper, 5.0)
    layer = Layer("pancreas", Tissue.PANCREAS, texture=marbling, texture_hu=float(rng.uniform(4, 22)))
    scene.items.append(Solid(grid.like(body).crop(below=4), (layer,)))


def add_gut(scene: Scene, frame: Frame, shape: TorsoShape, rng: np.random.Generator) -> None:
    """Colon with stool and gas, duodenum, and loops of small bowel in the free space."""
    colon = [
        ([-235, -20, -92], [-150, -22, -104], [-98, -40, -98], [-84, -76, -78]),
        ([-84, -76, -78], [-98, -112, -40], [-104, -122, 10], [-80, -112, 60], [-34, -78, 102]),
        ([-34, -78, 102], [-60, -10, 112], [-150, 6, 110], [-235, -10, 92]),
    ]
    down = rng.uniform(-25, 12)
    for part in colon:
        nodes = np.asarray(part, dtype=float) + rng.normal(0, 7, (len(part), 3)) + [down, 0, 0]
        _bowel(scene, frame, shape, nodes, float(rng.uniform(13, 25)), rng, stool=True)
    loop = [[-42, -62, -38], [-48, -40, -46], [-84, -34, -44], [-104, -38, -22], [-96, -40, 18], [-76, -52, 36]]
    _bowel(scene, frame, shape, np.asarray(loop, float) + rng.normal(0, 4, (6, 3)), 10.0, rng, stool=False)
    loops = int(rng.integers(26, 52))
    for i in range(loops):
        if i % 3 == 0:  # jejunum, high on the left
            at = np.array([rng.uniform(-95, -25), rng.uniform(-118, -50), rng.uniform(15, 95)])
        else:
            at = np.array([rng.uniform(-225, -58), rng.uniform(-122, -48), rng.uniform(-75, 88)])
        if at[0] > -75 and at[2] < 0:
            continue
        nodes = at + np.cumsum(rng.normal(0, 16, (5, 3)) * [0.8, 0.9, 1.3], axis=0)
        nodes[:, 0] = np.minimum(nodes[:, 0], -22 if at[2] > 10 else -52)
        _bowel(scene, frame, shape, nodes, float(rng.uniform(8, 14)), rng, stool=False)


def _bowel(
    scene: Scene,
    frame: Frame,
    shape: TorsoShape,
    nodes: Array,
    radius: float,
    rng: np.random.Generator,
    *,
    stool: bool,
) -> None:
    curve = smooth_curve(nodes, 5)
    low, high = curve.min(axis=0) - radius - 4, curve.max(axis=0) + radius + 4
    if high[0] * frame.scale[0] < frame.z_range[0] or low[0] * frame.scale[0] > frame.z_range[1]:
        rng.random(3)
        return
    grid, q = frame.box(low, high, 3.0, margin=2)
    folds = 1 + (0.16 if stool else 0.08) * np.sin(np.arange(len(curve)) * 2.1 + rng.uniform(0, 6))
    tube = polyline(q, curve, radius * folds)
    tube = intersect(tube, cavity(q, shape) + 4, 4)
    wall = float(rng.uniform(1.8, 3.2))
    texture = noise_field(rng, grid.origin, grid.upper, 6.0)
    if stool:
        inside = Layer(float(rng.uniform(-90, 40)), Tissue.BOWEL, wall, texture, float(rng.uniform(20, 130)))
    else:
        fill = 180.0 if rng.random() < 0.06 else float(rng.uniform(5, 45))
        inside = Layer(fill, Tissue.BOWEL, wall, texture, 10.0)
    scene.items.append(Solid(grid.like(tube).crop(below=4), (Layer("gut_wall", Tissue.BOWEL), inside)))
    if rng.random() < (0.75 if stool else 0.25):
        level = np.quantile(curve[:, 1], rng.uniform(0.2, 0.95)) + rng.uniform(-0.6, 0.8) * radius
        gas = np.asarray(np.maximum(tube + wall + 0.4, q[1] - np.float32(level)), np.float32)
        scene.items.append(Solid(grid.like(gas).crop(below=4), (Layer(-970.0, Tissue.BOWEL),)))


def add_great_vessels(scene: Scene, frame: Frame, rng: np.random.Generator, age: float) -> None:
    """Aorta with its plaques, coeliac trunk, mesenteric and renal vessels, and the vena cava below the liver."""
    aorta = frame.to_patient(smooth_curve(np.asarray(AORTA, float) + rng.normal(0, 2.5, (6, 3)) * [0, 1, 1], 10))
    r = np.interp(np.linspace(0, 1, len(aorta)), [0, 0.5, 1], [8.0, 10.0, 12.0]) * rng.uniform(0.85, 1.25)
    tubes(scene, aorta, r + 1.2, "muscle", Tissue.ARTERY, moving=False)
    tubes(scene, aorta, r, "aorta", Tissue.ARTERY, moving=False)
    if rng.random() < (age - 45) / 40:
        for i in rng.integers(0, len(aorta) - 1, rng.integers(2, 14)):
            around = rng.uniform(0, 2 * np.pi)
            at = aorta[i] + np.array([0, np.sin(around), np.cos(around)]) * r[i]
            plaque = np.stack([at, at + rng.normal(0, 3, 3)])
            tubes(scene, plaque, float(rng.uniform(0.8, 2)), 700.0, Tissue.ARTERY, moving=False)
    for side, name in ((-1.0, "aorta"), (1.0, "aorta"), (-1.0, "vena_cava_high"), (1.0, "vena_cava_high")):
        y = -30 if name == "aorta" else -34
        start = [-42, y, 10 if name == "aorta" else -20]
        line = smooth_curve(np.array([start, [-46, -14, side * 28], [-56, -8, side * 46]], dtype=float), 5)
        radius, label = (2.6, Tissue.ARTERY) if name == "aorta" else (4.6, Tissue.VENA_CAVA)
        tubes(scene, frame.to_patient(line), radius, name, label)
    arteries = {
        "coeliac": ([[-8, -40, 10], [-10, -58, 8]], 4.0),
        "splenic": ([[-10, -58, 8], [-4, -58, 34], [-10, -34, 56], [4, -12, 84]], 2.8),
        "hepatic": ([[-10, -58, 8], [-20, -64, -8], [-14, -66, -26], [-4, -58, -36]], 2.4),
        "mesenteric": ([[-24, -42, 10], [-36, -56, 8], [-90, -66, 6], [-230, -70, 0]], 3.8),
        "gastric": ([[-8, -56, 12], [20, -50, 36], [10, -70, 50]], 1.5),
    }
    for nodes, radius in arteries.values():
        line = smooth_curve(np.asarray(nodes, float) + rng.normal(0, 2, (len(nodes), 3)), 6)
        tubes(scene, frame.to_patient(line), radius * rng.uniform(0.8, 1.2), "aorta", Tissue.ARTERY, over=FREE)
    cava = frame.to_patient(smooth_curve(np.asarray(VENA_CAVA, float), 8))
    low = cava[:, 0] < float(frame.to_patient([-40, -30, -20])[0])
    width = rng.uniform(7.5, 12)
    tubes(scene, cava[low], width, "vena_cava_low", Tissue.VENA_CAVA)
    _mesentery(scene, frame, rng)


def _mesentery(scene: Scene, frame: Frame, rng: np.random.Generator) -> None:
    """Small vessels in the fat of the mesentery."""
    for kind, label, share in (("portal_vein", Tissue.PORTAL_VEIN, 42), ("aorta", Tissue.ARTERY, 28)):
        lines = []
        for _ in range(share):
            a = np.array([rng.uniform(-220, -10), rng.uniform(-100, -50), rng.uniform(-40, 70)])
            b = a + rng.normal(0, 18, 3)
            lines.append(frame.to_patient(np.stack([a, (a + b) / 2 + rng.normal(0, 3, 3), b])))
        cut = share // 2
        for part, radius in ((lines[:cut], 0.9), (lines[cut:], 1.7)):
            add_tubes(scene, part, radius * float(rng.uniform(0.7, 1.3)), kind, label, over=(Tissue.FAT,))
