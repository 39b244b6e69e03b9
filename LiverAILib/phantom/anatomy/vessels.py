"""Portal, hepatic venous and arterial trees inside the liver, grown to fill it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from LiverAILib.phantom.anatomy.abdomen import FREE, VENA_CAVA
from LiverAILib.phantom.anatomy.frame import Frame
from LiverAILib.phantom.anatomy.liver import liver_points
from LiverAILib.phantom.anatomy.torso import tubes
from LiverAILib.phantom.fields import Array, Field, Vector, smooth_curve
from LiverAILib.phantom.model import Scene, Tubes
from LiverAILib.phantom.options import LIVER_TISSUES, Tissue

#: Radius of a branch over its share of the tree's liver: Murray's law gives 1/3, livers measure a little more.
MURRAY = 0.38


@dataclass
class Branches:
    """Segments of a tree, in patient mm."""

    start: list[Vector] = field(default_factory=list)
    end: list[Vector] = field(default_factory=list)
    start_radius: list[float] = field(default_factory=list)
    end_radius: list[float] = field(default_factory=list)

    def add(self, a: Vector, b: Vector, ra: float, rb: float, rng: np.random.Generator) -> None:
        """A branch in three slightly bent pieces."""
        length = float(np.linalg.norm(b - a))
        bend = rng.normal(0, 0.06 * length, 3)
        inner = [a, a + (b - a) / 3 + bend, a + (b - a) * 2 / 3 + bend, b]
        for i in range(3):
            self.start.append(inner[i])
            self.end.append(inner[i + 1])
            self.start_radius.append(ra + (rb - ra) * i / 3)
            self.end_radius.append(ra + (rb - ra) * (i + 1) / 3)

    def tubes(self, hu: str, label: Tissue, gain: float = 1.0, offset: Vector | None = None) -> Tubes:
        """As something to paint over the liver."""
        shift = np.zeros(3) if offset is None else offset
        return Tubes(
            np.asarray(np.asarray(self.start) + shift, np.float32),
            np.asarray(np.asarray(self.end) + shift, np.float32),
            np.asarray(self.start_radius, np.float32) * np.float32(gain),
            np.asarray(self.end_radius, np.float32) * np.float32(gain),
            hu,
            label,
            True,
            LIVER_TISSUES,
        )


def grow(
    branches: Branches,
    root: Vector,
    targets: Array,
    radius: float,
    rng: np.random.Generator,
    smallest: float,
    depth: int = 0,
) -> None:
    """Split the targets in two again and again, with a branch towards the middle of each part."""
    if len(targets) < 3 or radius < smallest or depth > 9:
        return
    centre = targets.mean(axis=0)
    spread = targets - centre
    axis = np.linalg.svd(spread[: min(len(spread), 200)], full_matrices=False)[2][0]
    along = spread @ (axis + rng.normal(0, 0.25, 3))
    limit = np.quantile(along, rng.uniform(0.36, 0.64))
    for part in (targets[along <= limit], targets[along > limit]):
        if len(part) < 2:
            continue
        share = len(part) / len(targets)
        child = radius * share**MURRAY
        way = part.mean(axis=0) - root
        reach = 0.62 if depth < 5 else 0.85
        tip = root + way * reach + rng.normal(0, 2.0, 3)
        branches.add(root, tip, child, child * 0.92, rng)
        grow(branches, tip, part, child * 0.96, rng, smallest, depth + 1)


def add_vessels(scene: Scene, frame: Frame, liver: Field, rng: np.random.Generator, *, cirrhotic: bool) -> None:
    """Vena cava behind the liver, portal confluence and the three trees. Adds tubes in painting order."""
    points = liver_points(liver, rng, 1300, 3.0).astype(np.float64)
    gain = rng.uniform(0.85, 1.2)
    _cava(scene, frame, rng)
    portal = _portal(scene, frame, points, rng, gain * (1.1 if cirrhotic else 1.0))
    hepatic = _hepatic(frame, points, rng, gain * (0.8 if cirrhotic else 1.0))
    ducts = rng.normal(0, 1, 3)
    beside = ducts / np.linalg.norm(ducts) * 3.0
    big = Branches()
    for a, b, ra, rb in zip(portal.start, portal.end, portal.start_radius, portal.end_radius, strict=True):
        if ra > 2.3:
            for name, value in (("start", a), ("end", b), ("start_radius", ra), ("end_radius", rb)):
                getattr(big, name).append(value)
    if big.start:
        scene.items.append(big.tubes("aorta", Tissue.HEPATIC_VESSEL, 0.3, beside))
    scene.items.append(hepatic.tubes("hepatic_vein", Tissue.HEPATIC_VESSEL))
    scene.items.append(portal.tubes("portal_vein", Tissue.HEPATIC_VESSEL))


def _cava(scene: Scene, frame: Frame, rng: np.random.Generator) -> None:
    line = smooth_curve(np.asarray(VENA_CAVA, float), 8)
    line = frame.to_patient(line)
    high = line[:, 0] >= float(frame.to_patient([-44, -30, -20])[0])
    r = float(rng.uniform(8.5, 11.5))
    tubes(scene, line[high], r, "vena_cava_high", Tissue.VENA_CAVA)


def _portal(scene: Scene, frame: Frame, points: Vector, rng: np.random.Generator, gain: float) -> Branches:
    """Mesenteric and splenic vein, portal trunk, and its tree: right anterior, right posterior, left."""
    wobble = rng.normal(0, 2, (8, 3))
    confluence = np.array([-26, -52, -4]) + wobble[0]
    hilum = np.array([-4, -56, -34]) + wobble[1]
    trunk = 6.6 * gain
    mesenteric = smooth_curve([[-230, -72, -10], [-100, -66, -8], [-52, -58, -4], confluence], 6)
    splenic = smooth_curve([[6, -12, 82], [-2, -26, 58], [-16, -50, 26], confluence], 6)
    main = smooth_curve([confluence, (confluence + hilum) / 2 + [1, -4, 0], hilum], 6)
    for line, radius in ((mesenteric, 5.2 * gain), (splenic, 4.4 * gain)):
        tubes(scene, frame.to_patient(line), radius, "portal_vein", Tissue.PORTAL_VEIN, over=FREE)
    tubes(scene, frame.to_patient(main), trunk, "portal_vein", Tissue.PORTAL_VEIN)
    tree = Branches()
    start = frame.to_patient(hilum)
    right = frame.to_patient(np.array([2, -54, -54]) + wobble[2])
    left = frame.to_patient(np.array([10, -70, -12]) + wobble[3])
    umbilical = frame.to_patient(np.array([10, -92, 4]) + wobble[4])
    tree.add(start, right, trunk * 0.86, trunk * 0.8, rng)
    tree.add(start, left, trunk * 0.66, trunk * 0.6, rng)
    tree.add(left, umbilical, trunk * 0.6, trunk * 0.55, rng)
    divide = float(frame.to_patient([0, -60, -12])[2])
    side = points[:, 2] < divide
    grow(tree, right, points[side], trunk * 0.8, rng, 0.6)
    grow(tree, umbilical, points[~side], trunk * 0.58, rng, 0.6)
    return tree


def _hepatic(frame: Frame, points: Vector, rng: np.random.Generator, gain: float) -> Branches:
    """Right, middle and left hepatic vein that run together at the cava under the diaphragm."""
    tree = Branches()
    cava = frame.to_patient([70, -50, -21])
    azimuth = np.arctan2(-(points[:, 1] - cava[1]), points[:, 2] - cava[2])  # 0 left, pi/2 front, pi right
    first, second = np.quantile(azimuth, [0.26, 0.58]) + rng.normal(0, 0.04, 2)
    groups = (azimuth <= first, (azimuth > first) & (azimuth <= second), azimuth > second)
    for members, radius in zip(groups, (4.6, 4.8, 5.4), strict=True):
        if members.sum() < 5:
            continue
        part = points[members]
        tip = cava + (part.mean(axis=0) - cava) * 0.35 + rng.normal(0, 2, 3)
        tree.add(cava, tip, radius * gain * 1.1, radius * gain, rng)
        grow(tree, tip, part, radius * gain * 1.2, rng, 0.6)
    low = points[points[:, 0] < np.quantile(points[:, 0], 0.25)]
    if rng.random() < 0.3 and len(low) > 10:  # an inferior right vein
        start = frame.to_patient([10, -38, -24])
        grow(tree, start, low, 2.6 * gain, rng, 0.9)
    return tree
