"""Sizes, places and shapes of lesions, and the things that look like them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from LiverAILib.lesion_types import LesionType
from LiverAILib.phantom.anatomy.liver import LiverShape
from LiverAILib.phantom.appearance import ATYPICAL, Inside, Look, draw_look
from LiverAILib.phantom.enhancement import Enhancement
from LiverAILib.phantom.fields import Array, Field, Vector, intersect, noise_field, sample, smooth_noise, union
from LiverAILib.phantom.model import LesionSolid, Patch, Scene, Tubes
from LiverAILib.phantom.options import LIVER_TISSUES
from LiverAILib.phantom.patient import Patient
from LiverAILib.study import Phase

L = LesionType

#: Diameter in mm: median and log standard deviation; clipped to 4-150 mm. Volumes then spread as in LiAIDS, Table 1.
SIZES: Mapping[LesionType, tuple[float, float]] = {
    L.HCC: (36, 0.65),
    L.ICC: (45, 0.5),
    L.METASTASIS: (20, 0.6),
    L.FNH: (32, 0.5),
    L.HAEMANGIOMA: (22, 0.7),
    L.CYST: (14, 0.75),
    L.ABSCESS: (46, 0.45),
}

#: How lobulated the outline is, as a share of the radius.
LOBULATION: Mapping[LesionType, float] = {
    L.HCC: 0.09,
    L.ICC: 0.2,
    L.METASTASIS: 0.1,
    L.FNH: 0.12,
    L.HAEMANGIOMA: 0.16,
    L.CYST: 0.04,
    L.ABSCESS: 0.16,
}


@dataclass(frozen=True)
class PlacedLesion:
    """A lesion in the still patient. radii: half axes in mm; shape: its signed distance inside the liver."""

    id: int
    kind: LesionType
    atypical: bool
    centre: Vector
    diameter_mm: float
    volume_ml: float
    features: tuple[str, ...]
    shape: Field
    hu: Mapping[Phase, Field]


@dataclass(frozen=True)
class Mimic:
    """A focal change of the liver that is no lesion."""

    kind: str
    centre: Vector
    diameter_mm: float


def draw_diameter(kind: LesionType, rng: np.random.Generator, *, first: bool) -> float:
    """Diameter in mm; further lesions of a patient are smaller than the leading one on the whole."""
    median, spread = SIZES[kind]
    return float(np.clip(rng.lognormal(np.log(median * (1.0 if first else 0.62)), spread), 4, 150))


def place_lesions(
    shape: LiverShape, patient: Patient, rng: np.random.Generator
) -> tuple[list[PlacedLesion], LiverShape]:
    """Draw and place all lesions, biggest first, without overlap. Returns them and the liver with its bulges."""
    order = [(draw_diameter(kind, rng, first=i == 0), kind) for i, kind in enumerate(patient.lesion_types)]
    order.sort(key=lambda pair: -pair[0])
    liver = shape.liver
    taken: list[tuple[Vector, float]] = []
    placed: list[PlacedLesion] = []
    inside = np.argwhere(liver.values < -1.5)
    for diameter, kind in order:
        centre, diameter = _find_place(liver, inside, diameter, taken, rng)
        if centre is None:
            continue
        lesion, liver = _make(len(placed) + 1, kind, centre, diameter, replace(shape, liver=liver), patient, rng)
        if lesion is not None:
            placed.append(lesion)
            taken.append((centre, diameter / 2))
    return placed, replace(shape, liver=liver)


def _find_place(
    liver: Field, inside: Array, diameter: float, taken: list[tuple[Vector, float]], rng: np.random.Generator
) -> tuple[Vector | None, float]:
    """A centre where most of the lesion lies in the liver; it shrinks where there is no room."""
    for attempt in range(60):
        radius = diameter / 2
        centre = liver.origin + liver.step * (inside[rng.integers(len(inside))] + rng.uniform(-0.5, 0.5, 3))
        depth = -float(liver.at(centre[None])[0])
        needed = min(radius * rng.uniform(0.25, 1.0), 26.0)  # some bulge from the surface
        free = all(np.linalg.norm(centre - other) > (radius + r) * 1.02 + 1.0 for other, r in taken)
        if depth >= needed and free:
            return centre, diameter
        if attempt % 8 == 7:
            diameter = max(4.0, diameter * 0.85)
    return None, diameter


def _make(
    number: int,
    kind: LesionType,
    centre: Vector,
    diameter: float,
    shape: LiverShape,
    patient: Patient,
    rng: np.random.Generator,
) -> tuple[PlacedLesion | None, Field]:
    radius = diameter / 2
    ratios = np.clip(rng.normal(1, 0.1 if kind is L.CYST else 0.16, 3), 0.6, 1.3)
    ratios /= ratios.max()
    turn = _rotation(rng)
    step = float(np.clip(radius / 14, 0.5, 1.6))
    reach = radius * 1.3 + 3
    count = int(np.ceil(2 * reach / step)) + 1
    box = Field(centre - reach, step, np.zeros((count, count, count), np.float32))
    z, y, x = (p - np.float32(c) for p, c in zip(box.points(), centre, strict=True))
    turned = [turn[a, 0] * z + turn[a, 1] * y + turn[a, 2] * x for a in range(3)]
    u = [t / np.float32(radius * r) for t, r in zip(turned, ratios, strict=True)]
    radial = np.sqrt(u[0] ** 2 + u[1] ** 2 + u[2] ** 2).astype(np.float32)
    lobes = _texture(rng, box, max(radius * 0.75, 2.5))
    lump = LOBULATION[kind] * float(rng.uniform(0.5, 1.3))
    radial = np.asarray(radial * (1 + lump * lobes), np.float32)
    distance = np.asarray((radial - 1) * np.float32(radius * ratios.mean()), np.float32)
    liver_here = sample(shape.liver, *box.axes())
    room_here = sample(shape.room, *box.axes())
    gall_here = sample(shape.gallbladder, *box.axes())
    bulging = kind is not L.ICC and rng.random() < 0.6
    limit = union(liver_here, distance + 1.0, 3) if bulging else liver_here
    limit = intersect(limit, np.maximum(room_here + 1.0, 1.0 - gall_here))
    inside = intersect(distance, limit + 0.4)
    if not (inside < 0).any():
        return None, shape.liver
    look = _look(kind, box, inside, radial, radius, patient.enhancement, rng)
    liver = _bulge(shape, box, inside) if bulging else shape.liver
    volume = float((inside < 0).sum()) * step**3 / 1000
    atypical, drawn = look
    lesion = PlacedLesion(
        number,
        kind,
        atypical,
        centre,
        float(2 * radius),
        volume,
        drawn.features,
        box.like(inside),
        {phase: box.like(values) for phase, values in drawn.hu.items()},
    )
    return lesion, liver


def _look(
    kind: LesionType,
    box: Field,
    inside: Array,
    radial: Array,
    radius: float,
    enhancement: Enhancement,
    rng: np.random.Generator,
) -> tuple[bool, Look]:
    where = Inside(
        distance=inside,
        radial=radial,
        fine=_texture(rng, box, 3.0),
        coarse=_texture(rng, box, max(radius * 0.4, 2.5)),
        front=_texture(rng, box, max(radius * 0.8, 4.0)),
        radius_mm=radius,
    )
    atypical = bool(rng.random() < ATYPICAL[kind])
    return atypical, draw_look(kind, where, enhancement, rng, atypical=atypical)


def _bulge(shape: LiverShape, box: Field, inside: Array) -> Field:
    """The liver with the lesion's bulge added, on the liver's grid."""
    liver = shape.liver
    values = liver.values.copy()
    index = []
    for a in range(3):
        axis = liver.origin[a] + liver.step * np.arange(liver.values.shape[a])
        hit = np.flatnonzero((axis >= box.origin[a]) & (axis <= box.upper[a]))
        if not hit.size:
            return liver
        index.append((slice(int(hit[0]), int(hit[-1]) + 1), axis[hit]))
    part = tuple(piece for piece, _ in index)
    lesion = sample(box.like(inside), *(axis for _, axis in index))
    values[part] = union(values[part], lesion - 0.5, 4)
    return liver.like(values)


def _texture(rng: np.random.Generator, box: Field, scale_mm: float) -> Array:
    """Unit-variance noise over a lesion's box, made on a coarser grid where its scale allows."""
    if scale_mm / box.step < 4:
        return smooth_noise(rng, box.values.shape, scale_mm / box.step / 2.5)
    return sample(noise_field(rng, box.origin, box.upper, scale_mm), *box.axes())


def _rotation(rng: np.random.Generator) -> Vector:
    q, r = np.linalg.qr(rng.standard_normal((3, 3)))
    return np.asarray(q * np.sign(np.diag(r)))


def add_lesions(scene: Scene, lesions: list[PlacedLesion], rng: np.random.Generator) -> None:
    """Lesions over the vessels; soft or benign ones push vessels aside first."""
    pushing = [lesion for lesion in lesions if not lesion.kind.malignant or rng.random() < 0.5]
    for i, item in enumerate(scene.items):
        if isinstance(item, Tubes) and item.over == LIVER_TISSUES:
            scene.items[i] = replace(item, start=_pushed(item.start, pushing), end=_pushed(item.end, pushing))
    for lesion in lesions:
        scene.items.append(LesionSolid(lesion.id, lesion.shape.crop(margin=3, below=2.0), lesion.hu))


def _pushed(points: Array, lesions: list[PlacedLesion]) -> Array:
    """Vessel points moved out of lesions, less and less with distance."""
    out = np.asarray(points, np.float64).copy()
    for lesion in lesions:
        radius = lesion.diameter_mm / 2
        away = out - lesion.centre
        far = np.linalg.norm(away, axis=1)
        near = far < 2 * radius
        target = radius * 1.02 + (far - 0.0) * 0.49
        grow = np.where(near, np.maximum(target, far) / np.maximum(far, 1e-3), 1.0)
        out = lesion.centre + away * np.minimum(grow, 30)[:, None]
    return np.asarray(out, np.float32)


def add_mimics(
    scene: Scene, shape: LiverShape, patient: Patient, lesions: list[PlacedLesion], rng: np.random.Generator
) -> list[Mimic]:
    """Focal fat or sparing near fissure and gallbladder, and perfusion differences of the arterial phase."""
    mimics: list[Mimic] = []
    liver = shape.liver
    e = patient.enhancement
    if rng.random() < (0.35 if patient.fatty else 0.12):
        kind = "focal_sparing" if patient.fatty else "focal_fat"
        change = float(rng.uniform(10, 24)) if patient.fatty else -float(rng.uniform(12, 28))
        near_gall = np.argwhere(
            (liver.values < -2) & (liver.values > -16) & (sample(shape.gallbladder, *liver.axes()) < 22)
        )
        anywhere = np.argwhere((liver.values < -1) & (liver.values > -10))
        pool = near_gall if len(near_gall) and rng.random() < 0.7 else anywhere
        _patch(scene, liver, pool, rng, kind, dict.fromkeys(e.seconds, change), (6, 18), mimics)
    for _ in range(int(rng.poisson(0.25 if not patient.cirrhotic else 0.9))):
        rise = dict.fromkeys(e.seconds, 0.0)
        rise[Phase.ARTERIAL] = float(rng.uniform(12, 34)) * e.dose
        rise[Phase.PORTAL_VENOUS] = float(rng.uniform(-3, 6))
        edge = np.argwhere((liver.values < -2) & (liver.values > -14))
        _patch(scene, liver, edge, rng, "perfusion", rise, (5, 22), mimics)
    for lesion in lesions:
        share = {L.ABSCESS: 0.55, L.HCC: 0.2, L.HAEMANGIOMA: 0.2}.get(lesion.kind, 0.05)
        if rng.random() < share:
            r = lesion.diameter_mm / 2
            rise = dict.fromkeys(e.seconds, 0.0)
            rise[Phase.ARTERIAL] = float(rng.uniform(8, 26)) * e.dose
            _patch(
                scene,
                liver,
                lesion.centre[None],
                rng,
                "perfusion",
                rise,
                (r * 1.2, r * 1.7 + 4),
                mimics,
                at_points=True,
            )
    return mimics


def _patch(
    scene: Scene,
    liver: Field,
    pool: Array,
    rng: np.random.Generator,
    kind: str,
    delta: Mapping[Phase, float],
    size: tuple[float, float],
    mimics: list[Mimic],
    *,
    at_points: bool = False,
) -> None:
    if not len(pool):
        return
    picked = pool[rng.integers(len(pool))]
    centre = np.asarray(picked if at_points else liver.origin + liver.step * picked, np.float64)
    radius = rng.uniform(*size) * rng.uniform(0.7, 1.3, 3)
    reach = float(radius.max()) * 1.6 + 3
    step = float(np.clip(reach / 14, 0.8, 3))
    count = int(np.ceil(2 * reach / step)) + 1
    box = Field(centre - reach, step, np.zeros((count, count, count), np.float32))
    turn = _rotation(rng)
    parts = [p - np.float32(c) for p, c in zip(box.points(), centre, strict=True)]
    turned = [sum(turn[a, b] * parts[b] for b in range(3)) / np.float32(radius[a]) for a in range(3)]
    distance = np.sqrt(turned[0] ** 2 + turned[1] ** 2 + turned[2] ** 2) - 1 + 0.25 * _texture(rng, box, reach * 0.5)
    weight = np.clip(0.5 - distance * float(rng.uniform(1.5, 5)), 0, 1)
    scene.items.append(Patch(box.like(weight), delta))
    mimics.append(Mimic(kind, centre, float(2 * radius.max())))
