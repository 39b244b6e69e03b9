"""What a CT volume's own pixels say of its contrast phase: enhancement of the aorta, the liver and the spleen.

Classical image analysis on a coarse copy (about 3 x 3 x 5 mm), no network. The aorta is the round, bright, vertical
structure in front of the spine; the liver is the largest deep homogeneous organ on the patient's right; the spleen one
on the left, behind. Their HU are compared with what each phase is known to look like.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from LiverAILib.study import Phase, PhaseOpinion

_F32 = npt.NDArray[np.float32]
_Spacing = tuple[float, float, float]
_PLANE_MM = 3.0
_STEP_MM = 5.0


@dataclass(frozen=True)
class Enhancement:
    """HU of the organs that were found; None where one was not.

    renal: the brightest 1 ml where the renal pelvis is expected. ceiling: the volume's highest value (clipped volumes).
    """

    aorta: float | None
    liver: float | None
    spleen: float | None
    renal: float | None
    ceiling: float


def coarse(array: npt.NDArray[np.number], affine: npt.NDArray[np.float64]) -> tuple[_F32, tuple[float, float, float]]:
    """A block-averaged copy with axes (to the head, to the back, to the patient's left), and its spacing in mm."""
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    owner = [
        int(np.argmax(np.abs(directions[axis]))) for axis in range(3)
    ]  # which index axis runs along x, y, z of the patient
    if sorted(owner) != [0, 1, 2]:
        owner = [0, 1, 2]
    volume = np.transpose(array, [2 - owner[2], 2 - owner[1], 2 - owner[0]])
    flips = tuple(slice(None, None, -1 if directions[axis, owner[axis]] < 0 else 1) for axis in (2, 1, 0))
    volume = volume[flips]
    size = [float(spacing[owner[axis]]) for axis in (2, 1, 0)]
    factors = [max(1, round(goal / mm)) for goal, mm in zip((_STEP_MM, _PLANE_MM, _PLANE_MM), size, strict=True)]
    nz, ny, nx = (n // f for n, f in zip(volume.shape, factors, strict=True))
    out = np.empty((nz, ny, nx), dtype=np.float32)
    fz, fy, fx = factors
    for z in range(nz):
        block = volume[z * fz : (z + 1) * fz, : ny * fy, : nx * fx]
        out[z] = block.reshape(fz, ny, fy, nx, fx).mean(axis=(0, 2, 4), dtype=np.float32)
    return out, (size[0] * fz, size[1] * fy, size[2] * fx)


def measure(array: npt.NDArray[np.number], affine: npt.NDArray[np.float64]) -> Enhancement:
    """Find the organs and their HU."""
    volume, spacing = coarse(array, affine)
    ceiling = float(array.max())
    body = ndimage.uniform_filter(volume, (1, 3, 3)) > -200
    if min(volume.shape) < 6 or body.mean() < 0.03:
        return Enhancement(None, None, None, None, ceiling)
    rows = _trunk(body)
    volume, body = volume[rows], body[rows]
    spine = _spine(volume, body, spacing)
    liver, spleen, levels = _organs(volume, spine, spacing)
    aorta = _aorta(volume[levels], spine[levels], spacing)
    return Enhancement(aorta, liver, spleen, _renal(volume, spine, levels, spacing), ceiling)


def _trunk(body: npt.NDArray[np.bool_]) -> tuple[slice, slice, slice]:
    """The box around the largest thing in the axial projection: the trunk without table and air."""
    labels, _ = ndimage.label(body.mean(axis=0) > 0.1)
    sizes = np.bincount(labels.ravel())[1:]
    if not len(sizes):
        return slice(None), slice(None), slice(None)
    y, x = ndimage.find_objects(labels)[int(np.argmax(sizes))]
    return slice(None), y, x


def _spine(volume: _F32, body: npt.NDArray[np.bool_], spacing: _Spacing) -> npt.NDArray[np.float64]:
    """(z, 2): (y, x) in voxels, at each level, of the column of bone that runs through the volume near its midline."""
    bone = np.clip((volume - 110) / 120, 0, 1)
    blurred = ndimage.gaussian_filter(bone, [25 / spacing[0], 9 / spacing[1], 9 / spacing[2]], truncate=2)
    ys, xs = np.nonzero(body.any(axis=0))
    y, x = np.mgrid[: volume.shape[1], : volume.shape[2]]
    depth = (y - ys.min()) / max(1, np.ptp(ys))
    allowed = (np.abs(x - xs.mean()) * spacing[2] < 60) & (depth > 0.4)
    where = np.where(allowed, blurred, -1).reshape(len(volume), -1).argmax(axis=1)
    centres = np.stack(np.unravel_index(where, volume.shape[1:]), axis=1).astype(float)
    return np.asarray(ndimage.median_filter(centres, size=(min(9, len(centres)), 1), mode="nearest"))


def _disc(radius_mm: float, spacing: _Spacing, inner_mm: float = 0.0) -> npt.NDArray[np.bool_]:
    """An in-plane disc or ring, (1, y, x)."""
    reach = [int(radius_mm / s) + 1 for s in spacing[1:]]
    y, x = np.mgrid[-reach[0] : reach[0] + 1, -reach[1] : reach[1] + 1]
    distance = np.hypot(y * spacing[1], x * spacing[2])
    return np.asarray((distance <= radius_mm) & (distance >= inner_mm))[None]


def _aorta(volume: _F32, spine: npt.NDArray[np.float64], spacing: _Spacing) -> float | None:
    """HU of the roundest, brightest, most vertical structure in front of the spine.

    At each place in front of the spine a disc of vessel size is compared with the ring around it. The ring's 60th
    percentile is used: less than half of an aorta's ring is bone, most of a vertebra's is.
    """
    height, front, left, right = (
        round(mm / s) for mm, s in zip((70, 20, 25, 42), (spacing[1:2] * 2 + spacing[2:] * 2), strict=True)
    )
    padded = np.pad(np.clip(volume, -120, 500), ((0, 0), (height, 0), (left, right)), mode="edge")
    window = np.stack(  # from 70 to 20 mm in front of the spine's centre: no vertebra
        [
            plane[round(y) : round(y) + height - front, round(x) : round(x) + left + right + 1]
            for plane, (y, x) in zip(padded, spine, strict=True)
        ]
    )
    disc = _disc(7, spacing)
    weights = (disc / disc.sum()).astype(np.float32)
    inside = ndimage.convolve(window, weights, mode="nearest")
    small = _disc(4, spacing)  # the core, free of the wall's partial volume even in a narrow aorta
    core = ndimage.convolve(window, (small / small.sum()).astype(np.float32), mode="nearest")
    spread = np.sqrt(np.maximum(ndimage.convolve(window**2, weights, mode="nearest") - inside**2, 0))
    around = ndimage.percentile_filter(window, 60, footprint=_disc(19, spacing, 13), mode="nearest")
    score = np.clip(inside - np.maximum(around, 0), -50, 250) - 0.7 * spread
    score[inside < 15] = -200
    length = max(1, round(40 / spacing[0]))
    score = ndimage.uniform_filter1d(score, length, axis=0, mode="nearest")
    values = []
    for z in range(min(length // 2, len(score) - 1), len(score), max(1, length // 2)):
        y, x = np.unravel_index(int(np.argmax(score[z])), score[z].shape)
        near = core[max(0, z - length // 2) : z + length // 2 + 1, y, x]
        values.append((float(score[z, y, x]), float(np.median(near))))
    best = [hu for points, hu in sorted(values, reverse=True)[: max(1, (len(values) + 1) // 2)] if points > -60]
    return float(np.median(best)) if best else None


def _renal(volume: _F32, spine: npt.NDArray[np.float64], liver_levels: slice, spacing: _Spacing) -> float | None:
    """HU of the brightest 1 ml beside and in front of the spine, from the liver's middle to 60 mm below it.

    No bone lies there, but the kidneys do, with excreted contrast in their pelvis from about two minutes on.
    """
    if liver_levels.start is None:
        return None
    low = max(0, liver_levels.start - round(60 / spacing[0]))
    high = (liver_levels.start + liver_levels.stop) // 2
    part, centre = volume[low:high], spine[low:high]
    off = np.abs(np.arange(volume.shape[2]) - centre[:, 1, None, None]) * spacing[2]
    ahead = (centre[:, 0, None, None] - np.arange(volume.shape[1])[:, None]) * spacing[1]
    values = part[(off > 32) & (off < 75) & (ahead > 5) & (ahead < 60)]
    count = max(1, round(1000 / math.prod(spacing)))
    return float(np.partition(values, -count)[-count]) if values.size > 20 * count else None


def _organs(
    volume: _F32, spine: npt.NDArray[np.float64], spacing: _Spacing
) -> tuple[float | None, float | None, slice]:
    """HU of liver and spleen, the deep homogeneous masses on either side, and the levels that the liver spans."""
    smooth = ndimage.gaussian_filter(volume, [4 / spacing[0], 4 / spacing[1], 4 / spacing[2]], truncate=2)
    mean = ndimage.uniform_filter(smooth, (1, 3, 3))
    spread = np.sqrt(np.maximum(ndimage.uniform_filter(smooth**2, (1, 3, 3)) - mean**2, 0))
    soft = (smooth > 0) & (smooth < 220) & (spread < 20)
    padded = np.pad(soft, ((4, 4), (0, 0), (0, 0)), mode="edge")
    depth = ndimage.distance_transform_edt(padded, sampling=spacing)[4:-4]
    x = np.arange(volume.shape[2])
    y = np.arange(volume.shape[1])[:, None]
    spine_y, spine_x = spine[:, 0, None, None], spine[:, 1, None, None]
    liver = _largest((depth >= 17) & (x < spine_x - 25 / spacing[2]), spacing, 40)
    spleen = _largest((depth >= 11) & (x > spine_x + 45 / spacing[2]) & (y > spine_y - 60 / spacing[1]), spacing, 12)
    if liver is None:
        return None, None, slice(None)
    levels = np.flatnonzero(liver.any(axis=(1, 2)))
    span = slice(int(levels[0]), int(levels[-1]) + 1)
    # A spleen lies at the level of the liver; muscle of shoulder or hip does not.
    if spleen is not None and not spleen[span].any():
        spleen = None
    return float(np.median(mean[liver])), None if spleen is None else float(np.median(mean[spleen])), span


def _largest(mask: npt.NDArray[np.bool_], spacing: _Spacing, least_ml: float) -> npt.NDArray[np.bool_] | None:
    """The largest connected part of the mask; None when it is small."""
    labels, count = ndimage.label(mask)
    if count == 0:
        return None
    sizes = np.bincount(labels.ravel())[1:]
    if sizes.max() * math.prod(spacing) / 1000 < least_ml:
        return None
    return np.asarray(labels == int(np.argmax(sizes)) + 1)


#: Aorta, liver, spleen: HU without contrast (mean, deviation between patients; the liver's is wide because of fat), the
#: deviation of what is measured without contrast (an aorta then hardly differs from its neighbours), relative deviation
#: of the rise, and how often something else was measured, of which HU (stomach for the spleen).
_ORGANS = (
    (42, 9, 17, 0.15, 0.02, (0, 500)),
    (56, 12, 12, 0.25, 0.03, (0, 200)),
    (48, 6, 6, 0.2, 0.5, (0, 80)),
)
#: Rise over that in each phase at the usual dose (early and late times where the phase is long), and how usual the
#: phase is as the only series of an exam. After Goshima et al., AJR 2006;187:W25, and Bae, Radiology 2010;256:32.
_RISES: dict[Phase, tuple[float, tuple[tuple[float, float, float], ...]]] = {
    Phase.NON_CONTRAST: (0.25, ((0, 0, 0),)),
    Phase.ARTERIAL: (0.25, ((240, 4, 60), (300, 18, 95))),
    Phase.PORTAL_VENOUS: (0.35, ((115, 57, 78), (95, 52, 65))),
    Phase.DELAYED: (0.15, ((78, 42, 52), (58, 32, 38))),
}
#: Iodine per kg and tube voltage scale all rises alike.
_DOSES = np.exp(np.linspace(-0.8, 0.8, 17))
_DOSE_WEIGHTS = np.exp(-0.5 * (np.log(_DOSES) / 0.3) ** 2)
#: No opinion is surer than this: organs are sometimes mistaken.
_MOST = 0.95


def from_pixels(array: npt.NDArray[np.number], affine: npt.NDArray[np.float64]) -> PhaseOpinion:
    """The phase that the enhancement speaks for, with an honest confidence."""
    return judge(measure(array, affine))


def judge(found: Enhancement) -> PhaseOpinion:
    """Bayes over the organs' HU, the unknown dose integrated out; without an aorta or a liver there is no opinion.

    In a clipped volume a value at the ceiling is compared with the expected values clipped in the same way.
    """
    if found.aorta is None or found.liver is None:
        return PhaseOpinion(None, 0.0, "aorta and liver were not found in its pixels")
    values = (found.aorta, found.liver, found.spleen)
    weights = np.array(
        [
            prior * _excretion(found, phase) * np.mean([_likelihood(values, rise, found.ceiling) for rise in rises])
            for phase, (prior, rises) in _RISES.items()
        ]
    )
    weights /= weights.sum()
    best = int(weights.argmax())
    organs = f"aorta {found.aorta:.0f}, liver {found.liver:.0f}" + (
        "" if found.spleen is None else f", spleen {found.spleen:.0f}"
    )
    return PhaseOpinion(list(_RISES)[best], round(min(_MOST, float(weights[best])), 2), f"its pixels show {organs} HU")


def _likelihood(values: tuple[float | None, ...], rises: tuple[float, float, float], ceiling: float) -> float:
    """Probability density of the organs' HU given their rises at the usual dose."""
    product = _DOSE_WEIGHTS / _DOSE_WEIGHTS.sum()
    for value, rise, (base, base_sd, plain_sd, relative_sd, mistaken, (low, high)) in zip(
        values, rises, _ORGANS, strict=True
    ):
        if value is None:
            continue
        expected = np.minimum(base + _DOSES * rise, ceiling)
        deviation = np.sqrt((base_sd if rise else plain_sd) ** 2 + (relative_sd * _DOSES * rise) ** 2 + 4**2)
        normal = np.exp(-0.5 * ((value - expected) / deviation) ** 2) / (deviation * math.sqrt(2 * math.pi))
        other = 1 / (high - low) if low <= value <= high else 1e-4
        product = product * ((1 - mistaken) * normal + mistaken * other)
    return float(product.sum())


def _excretion(found: Enhancement, phase: Phase) -> float:
    """Probability density of how much the renal region outshines the aorta.

    Parenchyma is about as bright as the aorta in the portal-venous phase and darker before; excreted contrast in the
    delayed phase (in most patients) is brighter than any vessel. Stones and oral contrast are the exceptions elsewhere.
    """
    if found.renal is None or found.aorta is None or found.ceiling < 400:
        return 1.0
    excess = found.renal - found.aorta

    def normal(mean: float, deviation: float) -> float:
        return math.exp(-0.5 * ((excess - mean) / deviation) ** 2) / (deviation * math.sqrt(2 * math.pi))

    bright = 1 / 700 if 40 < excess < 740 else 1e-5
    parenchyma = normal(10, 35)
    return {
        Phase.NON_CONTRAST: 0.9 * normal(5, 25) + 0.1 * bright,
        Phase.ARTERIAL: 0.9 * normal(-120, 80) + 0.1 * bright,
        Phase.PORTAL_VENOUS: 0.95 * parenchyma + 0.05 * bright,
        Phase.DELAYED: 0.3 * parenchyma + 0.7 * bright,
    }[phase]
