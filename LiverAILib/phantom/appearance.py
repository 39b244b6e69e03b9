"""How each lesion type looks in each phase: HU as a function of place in the lesion.

HU = value without contrast + rise. Without contrast a lesion keeps its own value, so in a fatty liver it may look
bright. The behaviour follows the textbook: LI-RADS v2018 for HCC (arterial hyperenhancement, washout, capsule) and for
cholangiocarcinoma (LR-M: rim, delayed centre), and the usual descriptions of the others (peripheral nodular filling of
haemangioma, scar of FNH, target of metastasis, double target of abscess). `ATYPICAL` holds the rates of other looks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from LiverAILib.lesion_types import LesionType
from LiverAILib.phantom.enhancement import Enhancement
from LiverAILib.phantom.fields import Array
from LiverAILib.study import Phase

L = LesionType

#: Share of lesions of a type that do not look as the textbook says.
ATYPICAL: Mapping[LesionType, float] = {
    L.HCC: 0.25,
    L.ICC: 0.25,
    L.METASTASIS: 0.3,
    L.FNH: 0.2,
    L.HAEMANGIOMA: 0.25,
    L.CYST: 0.12,
    L.ABSCESS: 0.25,
}


@dataclass(frozen=True)
class Inside:
    """Places in a lesion's box. distance: mm to its surface, negative inside; radial: 0 centre to 1 surface.

    fine, coarse: unit-variance textures; front: a smooth field that is high where enhancement comes first.
    """

    distance: Array
    radial: Array
    fine: Array
    coarse: Array
    front: Array
    radius_mm: float


@dataclass(frozen=True)
class Look:
    """HU by phase over a lesion's box, and the words for what was drawn."""

    hu: Mapping[Phase, Array]
    features: tuple[str, ...]


def _ramp(value: Array, low: float, high: float) -> Array:
    """0 below `low`, 1 above `high`, linear between."""
    return np.asarray(np.clip((value - low) / max(high - low, 1e-6), 0, 1), np.float32)


def draw_look(
    kind: LesionType, inside: Inside, enhancement: Enhancement, rng: np.random.Generator, *, atypical: bool
) -> Look:
    """The HU of one lesion in every phase of the enhancement."""
    return _LOOKS[kind](inside, enhancement, rng, atypical)


def _timed(e: Enhancement, phase: Phase, early: float, late_arterial: float, portal: float, delayed: float) -> float:
    """A rise at the phase's time from those at 24, 37, 70 and 180 s, with the patient's dose."""
    return e.dose * float(np.interp(e.seconds[phase], (0, 24, 37, 70, 180), (0, early, late_arterial, portal, delayed)))


def _hcc(at: Inside, e: Enhancement, rng: np.random.Generator, atypical: bool) -> Look:
    base = rng.normal(46, 5)
    peak = rng.uniform(42, 85)
    washout = rng.uniform(0.35, 0.8)
    features = ["arterial_hyperenhancement", "washout"]
    if atypical:
        if rng.random() < 0.5:
            peak, features = rng.uniform(10, 28), ["hypovascular"]
        else:
            washout, features = rng.uniform(0.95, 1.2), ["arterial_hyperenhancement"]
    portal = 58 * rng.uniform(0.62, 0.9) if washout < 0.9 else 58 * rng.uniform(0.9, 1.1)
    late = 42 * washout if washout < 0.9 else 42 * rng.uniform(0.9, 1.1)
    capsule = at.radius_mm > 8 and rng.random() < 0.6
    mosaic = at.radius_mm > 20 and rng.random() < 0.7
    necrosis = at.radius_mm > 24 and rng.random() < 0.55
    fat = rng.random() < 0.08
    blobs = np.asarray(1 + (0.34 if mosaic else 0.1) * at.coarse, np.float32)
    dead = _ramp(at.coarse - 0.9 * at.radial, 0.1, 0.5) if necrosis else np.zeros_like(at.radial)
    shell = float(rng.uniform(1.2, 2.6))
    rim = _ramp(-np.abs(at.distance + shell * 0.6), -shell, 0) if capsule else np.zeros_like(at.radial)
    capsule_rise = rng.uniform(68, 88), rng.uniform(62, 84)
    hu = {}
    for phase in e.seconds:
        rise = _timed(e, phase, 0.55 * peak, peak, portal, late) * np.clip(blobs, 0.2, 1.8)
        value = base + rise + 2.5 * at.fine - (22 * _ramp(at.front, 0.4, 1.2) if fat else 0)
        value = value * (1 - dead) + (base - 20 + 0.06 * rise) * dead
        edge = base + 4 + _timed(e, phase, 4, 14, *capsule_rise)
        hu[phase] = np.asarray(value * (1 - rim) + edge * rim, np.float32)
    for name, there in (("capsule", capsule), ("mosaic", mosaic), ("necrosis", necrosis), ("fat", fat)):
        features += [name] if there else []
    return Look(hu, tuple(features))


def _icc(at: Inside, e: Enhancement, rng: np.random.Generator, atypical: bool) -> Look:
    base = rng.normal(39, 4)
    rim_rise = rng.uniform(30, 58)
    centre_late = rng.uniform(36, 58)
    features = ["rim", "delayed_central"]
    if atypical and rng.random() < 0.5:
        rim_rise, centre_late, features = rng.uniform(8, 18), rng.uniform(14, 26), ["hypovascular"]
    elif atypical:  # a small, cellular one enhances as a whole
        features = ["arterial_hyperenhancement"]
    width = float(np.clip(rng.uniform(0.15, 0.35) * at.radius_mm, 2, 9))
    rim = _ramp(at.distance + 0.25 * width * at.coarse, -width, -0.3 * width)
    whole = 1.0 if "arterial_hyperenhancement" in features else 0.0
    hu = {}
    for phase in e.seconds:
        edge = _timed(e, phase, 0.45 * rim_rise, rim_rise, rng.uniform(44, 56), 32)
        core = _timed(e, phase, 2 + 22 * whole, 8 + 34 * whole, rng.uniform(16, 28) + 16 * whole, centre_late)
        mix = core * (1 + 0.22 * at.coarse) * (1 - rim) + edge * rim
        hu[phase] = np.asarray(base + mix + 2.5 * at.fine, np.float32)
    return Look(hu, tuple(features))


def _metastasis(at: Inside, e: Enhancement, rng: np.random.Generator, atypical: bool) -> Look:
    base = rng.normal(38, 5)
    features: list[str] = []
    if atypical and rng.random() < 0.65:
        features.append("hypervascular")
        peak = rng.uniform(38, 75)
        rises = (0.5 * peak, peak, rng.uniform(42, 60), rng.uniform(24, 38))
    elif atypical:
        features.append("cystic")
        base, rises = rng.normal(20, 5), (1, 3, 6, 8)
    else:
        features.append("hypovascular")
        rises = (3, rng.uniform(6, 16), rng.uniform(18, 36), rng.uniform(18, 32))
    rimmed = rng.random() < 0.65
    necrosis = at.radius_mm > 9 and rng.random() < 0.55
    width = float(np.clip(0.24 * at.radius_mm, 1.4, 5))
    rim = _ramp(at.distance + 0.2 * width * at.coarse, -width, -0.35 * width) if rimmed else np.zeros_like(at.radial)
    dead = _ramp(-at.radial - 0.18 * at.coarse, -0.72, -0.35) if necrosis else np.zeros_like(at.radial)
    edge_peak = rng.uniform(22, 48)
    edge_portal = rng.uniform(36, 56)
    hu = {}
    for phase in e.seconds:
        rise = _timed(e, phase, *rises) * (1 + 0.15 * at.coarse)
        edge = _timed(e, phase, 0.4 * edge_peak, edge_peak, edge_portal, 0.7 * edge_portal)
        value = base + rise * (1 - rim) + np.maximum(edge, rise) * rim
        value = value * (1 - dead) + (0.65 * base + 0.12 * rise) * dead
        hu[phase] = np.asarray(value + 2.5 * at.fine, np.float32)
    features += (["rim"] if rimmed else []) + (["necrosis"] if necrosis else [])
    return Look(hu, tuple(features))


def _fnh(at: Inside, e: Enhancement, rng: np.random.Generator, atypical: bool) -> Look:
    base = min(rng.normal(50, 4), e.hu["liver"][Phase.NON_CONTRAST] + (4 if not atypical else 20))
    peak = rng.uniform(72, 115)
    portal, late = rng.uniform(58, 72), rng.uniform(41, 50)
    features = ["arterial_hyperenhancement"]
    if atypical:
        peak, late = rng.uniform(40, 66), rng.uniform(30, 42)
    scar = at.radius_mm > 12 and rng.random() < (0.15 if atypical else 0.65)
    arms = np.abs(at.front) * at.radius_mm * 0.16 + at.radial * at.radius_mm * 0.42
    star = _ramp(-arms, -max(2.2, 0.15 * at.radius_mm), -1.0) if scar else np.zeros_like(at.radial)
    hu = {}
    for phase in e.seconds:
        rise = _timed(e, phase, 0.7 * peak, peak, portal, late) * (1 + 0.06 * at.coarse)
        middle = _timed(e, phase, 4, 14, 34, 66)
        hu[phase] = np.asarray(base + rise * (1 - star) + (middle - 8) * star + 2.0 * at.fine, np.float32)
    return Look(hu, tuple(features + (["central_scar"] if scar else [])))


def _haemangioma(at: Inside, e: Enhancement, rng: np.random.Generator, atypical: bool) -> Look:
    """Enhancement keeps to the blood pool: nodules at the edge that grow inwards; small ones fill at once."""
    base = rng.normal(39, 4)
    flash = at.radius_mm < 10 and rng.random() < 0.45
    sclerosed = atypical and not flash
    scar = at.radius_mm > 25 and rng.random() < 0.6
    depth = -at.distance
    wave = depth - at.radius_mm * 0.42 * at.front - 0.05 * at.radius_mm * at.coarse
    speed = rng.uniform(0.6, 1.5) * (0.35 if sclerosed else 1.0)
    core = _ramp(-at.radial - 0.2 * at.front, -0.34, -0.22) if scar else np.zeros_like(at.radial)
    hu = {}
    for phase in e.seconds:
        pool = e.rise("aorta", phase)
        late = e.rise("vena_cava_high", phase)
        seconds = e.seconds[phase]
        reach = speed * (
            0.0 if seconds < 5 else 0.055 * max(seconds - 22, 2) + 0.0016 * max(seconds - 60, 0) * at.radius_mm
        )
        if flash:
            filled: Array = np.ones_like(at.radial)
        else:
            soft = 0.08 * at.radius_mm + 0.6
            filled = _ramp(reach - wave - 0.30 * at.radius_mm * (seconds < 60), -soft, soft)
        blood = 0.55 * pool + 0.35 * late if seconds < 50 else max(0.82 * pool, 0.8 * late)
        value = base + filled * (1 - core) * blood * (0.75 if sclerosed else 0.95) + (1 - filled) * 3.0 * (seconds > 0)
        hu[phase] = np.asarray(value + 2.0 * at.fine, np.float32)
    names = ("flash_filling" if flash else "slow_filling" if sclerosed else "nodular_filling_in",)
    return Look(hu, names + (("central_scar",) if scar else ()))


def _cyst(at: Inside, e: Enhancement, rng: np.random.Generator, atypical: bool) -> Look:
    base = rng.uniform(18, 42) if atypical else rng.normal(6, 5)
    return Look(
        {phase: np.asarray(base + 0.8 * at.fine + np.zeros_like(at.radial), np.float32) for phase in e.seconds},
        ("dense_fluid",) if atypical else ("fluid",),
    )


def _abscess(at: Inside, e: Enhancement, rng: np.random.Generator, atypical: bool) -> Look:
    """Pus, a wall that enhances, and oedema outside it: the double target."""
    pus = rng.normal(20, 5)
    width = float(np.clip(rng.uniform(0.12, 0.22) * at.radius_mm, 1.8, 6))
    oedema_width = 0.0 if atypical and rng.random() < 0.5 else float(np.clip(0.16 * at.radius_mm, 1.5, 6))
    wall_out = at.distance + oedema_width
    wall = _ramp(wall_out, -width, -0.6 * width) * _ramp(-wall_out, -0.6, 0.2)
    oedema = _ramp(wall_out, -0.2, 0.6)
    septa = _ramp(-np.abs(at.coarse), -0.22, -0.08) * (1 - oedema) if rng.random() < 0.6 else np.zeros_like(at.radial)
    solid = atypical and rng.random() < 0.5  # not yet liquid
    gas = rng.random() < 0.08 and at.radius_mm > 15
    liver = e.hu["liver"][Phase.NON_CONTRAST]
    hu = {}
    peak, portal = rng.uniform(24, 48), rng.uniform(46, 68)
    for phase in e.seconds:
        edge = 36 + _timed(e, phase, 0.5 * peak, peak, portal, 0.9 * portal)
        inner = pus + (_timed(e, phase, 5, 12, 26, 28) * (1 + 0.3 * at.coarse) if solid else 0.0)
        swollen = min(liver, 46) - 12 + 0.62 * e.rise("liver", phase) + _timed(e, phase, 0, 2, 0, 16)
        value = inner + (0.75 * edge - 0.75 * inner) * septa
        value = value * (1 - wall) + edge * wall
        value = value * (1 - oedema) + swollen * oedema
        if gas:
            value = np.where((at.coarse > 1.5) & (at.radial < 0.7), -500, value)
        hu[phase] = np.asarray(value + 2.5 * at.fine, np.float32)
    names = [name for name, there in (("double_target", oedema_width > 0), ("septa", bool(septa.any()))) if there]
    names += (["phlegmonous"] if solid else []) + (["gas"] if gas else [])
    return Look(hu, tuple(names))


_LOOKS = {
    L.HCC: _hcc,
    L.ICC: _icc,
    L.METASTASIS: _metastasis,
    L.FNH: _fnh,
    L.HAEMANGIOMA: _haemangioma,
    L.CYST: _cyst,
    L.ABSCESS: _abscess,
}
