"""overview.png: what was found, at a glance: each phase in the axial slice through the largest lesion, or mid-liver."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from LiverAILib.analysis.pipeline import Analysis
from LiverAILib.export.seg_nrrd import LIVER_COLOUR, lesion_colour
from LiverAILib.findings import Lesion
from LiverAILib.study import Phase, Study, Volume

PANEL = 420
_GAP, _HEADER, _FOOTER, _CAPTION = 6, 64, 30, 24
_SCALE_BAR_MM = 50
_WINDOW_HU = (-60.0, 200.0)
_BACKGROUND, _TEXT, _FAINT = (16, 18, 22), (235, 235, 235), (150, 155, 165)

# Dark violet over red to pale yellow, close to the well-known "inferno": value, red, green, blue.
_HEAT = np.array(
    [
        (0.00, 20, 11, 53),
        (0.25, 101, 21, 110),
        (0.50, 188, 55, 84),
        (0.75, 242, 125, 21),
        (1.00, 252, 245, 160),
    ]
)
#: Below this probability no heat is drawn.
HEAT_FROM = 0.1


def draw_overview(analysis: Analysis, study: Study) -> Image.Image:
    """The overview as an RGB image: a column per phase, CT with outlines above, lesion probability below (a single
    phase has them side by side).

    All panels show the same patient coordinates, seen from the feet: the patient's right is on the left.
    """
    phases = [phase for phase in Phase if phase in study.volumes]
    grid = _axial_grid(analysis)
    across, down = (2, 1) if len(phases) == 1 else (len(phases), 2)
    width = across * (PANEL + _GAP) + _GAP
    height = _HEADER + down * (PANEL + _GAP) + _CAPTION + _FOOTER
    image = Image.new("RGB", (width, height), _BACKGROUND)
    draw = ImageDraw.Draw(image)
    lesions = analysis.findings.lesions
    ids = sample(analysis.lesion_ids, analysis.affine, grid, order=0).astype(np.uint16)
    liver = sample(analysis.liver.view(np.uint8), analysis.affine, grid, order=0) > 0
    heat = sample(analysis.lesion_probability, analysis.affine, grid, order=1)
    shown = [lesion for lesion in lesions if (ids == lesion.label).any()]
    for column, phase in enumerate(phases):
        left = _GAP + column * (PANEL + _GAP)
        draw.text((left + 2, _HEADER), phase.words.capitalize(), _TEXT, _font(16))
        if phase is not analysis.findings.reference_phase:
            source = f"outlines of the {analysis.findings.reference_phase.words} phase"
            start = left + 12 + int(draw.textlength(phase.words.capitalize(), _font(16)))
            draw.text((start, _HEADER + 3), source, _FAINT, _font(12))
        top = _HEADER + _CAPTION
        ct = ct_panel(study.volumes[phase], grid)
        if ct is None:
            draw.text((left + 12, top + 12), "This phase does not cover the slice.", _FAINT, _font(15))
            continue
        image.paste(Image.fromarray(_outlined(ct, liver, ids, shown)), (left, top))
        _label_lesions(draw, ids, shown, (left, top))
        beside = (left + PANEL + _GAP, top) if down == 1 else (left, top + PANEL + _GAP)
        image.paste(Image.fromarray(_heated(ct, heat)), beside)
        if column == 0:
            _scale_bar(draw, grid, (left, top))
    _write_header(draw, analysis, grid, width)
    _write_footer(draw, width, height)
    return image


def _axial_grid(analysis: Analysis) -> npt.NDArray[np.float64]:
    """LPS points (PANEL, PANEL, 3) in mm of the picture: a square around the liver through the largest lesion."""
    lesions = analysis.findings.lesions
    steps = tuple(max(1, size // 120) for size in analysis.liver.shape)  # enough to find its extent
    where = np.argwhere(analysis.liver[tuple(slice(None, None, step) for step in steps)]) * steps
    if not where.size:
        where = np.array([np.zeros(3), np.array(analysis.liver.shape) - 1])
    low, high = where.min(axis=0), where.max(axis=0)
    corners = np.array([[(low, high)[i][0], (low, high)[j][1], (low, high)[k][2]] for i, j, k in np.ndindex(2, 2, 2)])
    points = _to_lps(corners, analysis.affine)
    centre = (points.min(axis=0) + points.max(axis=0)) / 2
    if lesions:
        largest = max(lesions, key=lambda lesion: lesion.volume_ml)
        centre[2] = _largest_section(analysis, largest)
    else:
        centre[2] = _to_lps(np.median(where, axis=0), analysis.affine)[2]
    side = max(np.ptp(points[:, 0]), np.ptp(points[:, 1])) * 1.12 + 30.0
    offsets = (np.arange(PANEL) - (PANEL - 1) / 2) * side / PANEL
    grid = np.empty((PANEL, PANEL, 3))
    grid[..., 0] = centre[0] + offsets[None, :]
    grid[..., 1] = centre[1] + offsets[:, None]
    grid[..., 2] = centre[2]
    return grid


def _largest_section(analysis: Analysis, lesion: Lesion) -> float:
    """The patient z in mm of the axial level where the lesion has the most voxels."""
    box = tuple(slice(first, last) for first, last in zip(*lesion.box_zyx, strict=True))
    where = np.argwhere(analysis.lesion_ids[box] == lesion.label)
    if not where.size:
        return lesion.centre_lps_mm[2]
    levels = _to_lps(where + np.array(lesion.box_zyx[0]), analysis.affine)[:, 2]
    step = float(np.linalg.norm(analysis.affine[:3, :3], axis=0)[np.abs(analysis.affine[2, :3]).argmax()])
    bins = np.round(levels / step).astype(int)
    values, counts = np.unique(bins, return_counts=True)
    return float(levels[bins == values[counts.argmax()]].mean())


def _to_lps(index_zyx: npt.NDArray[np.float64], affine: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(index_zyx[..., ::-1] @ affine[:3, :3].T + affine[:3, 3])


def sample(
    array: npt.NDArray[Any],
    affine: npt.NDArray[np.float64],
    grid: npt.NDArray[np.float64],
    order: Literal[0, 1],
    outside: float = 0,
) -> npt.NDArray[np.float32]:
    """The array's values at LPS points; half a voxel beyond the first and last slice still counts as inside."""
    inverse = np.linalg.inv(affine)
    index = (grid @ inverse[:3, :3].T + inverse[:3, 3])[..., ::-1]
    limits = np.array(array.shape) - 1
    inside = ((index >= -0.5) & (index <= limits + 0.5)).all(axis=-1)
    index = np.clip(index, 0, limits)
    values = ndimage.map_coordinates(array, np.moveaxis(index, -1, 0), output=np.float32, order=order, mode="nearest")
    return np.where(inside, values, np.float32(outside))


def ct_panel(volume: Volume, grid: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8] | None:
    """The CT as grey RGB (PANEL, PANEL, 3), or None where the volume does not cover the slice."""
    values = sample(volume.array, volume.affine, grid, order=1, outside=-5000.0)
    if (values <= -4999).all():
        return None
    low, high = _WINDOW_HU
    grey = (np.clip((values - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def _outlined(
    ct: npt.NDArray[np.uint8], liver: npt.NDArray[np.bool_], ids: npt.NDArray[np.uint16], lesions: Sequence[Lesion]
) -> npt.NDArray[np.uint8]:
    picture = ct.copy()
    picture[outline(liver)] = _bytes(LIVER_COLOUR)
    for lesion in lesions:
        picture[outline(ids == lesion.label)] = _bytes(lesion_colour(lesion.label))
    return picture


def outline(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """A line about two pixels wide around the mask."""
    cross = ndimage.generate_binary_structure(2, 1)
    return ndimage.binary_dilation(mask, cross) & ~ndimage.binary_erosion(mask, cross)


def _heated(ct: npt.NDArray[np.uint8], probability: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    value = np.clip(probability, 0, 1)[..., None]
    colour = np.concatenate([np.interp(value, _HEAT[:, 0], _HEAT[:, part]) for part in (1, 2, 3)], axis=2)
    opacity = np.where(value >= HEAT_FROM, 0.35 + 0.35 * value, 0.0)
    return (ct * (1 - opacity) + colour * opacity).astype(np.uint8)


def _label_lesions(
    draw: ImageDraw.ImageDraw, ids: npt.NDArray[np.uint16], lesions: Sequence[Lesion], corner: tuple[int, int]
) -> None:
    """Each lesion's number, at the upper right of its outline; only the largest ones when there are many."""
    for lesion in sorted(lesions, key=lambda item: item.volume_ml, reverse=True)[:12]:
        rows, columns = np.nonzero(ids == lesion.label)
        x = min(corner[0] + int(columns.max()) + 4, corner[0] + PANEL - 24)
        y = max(corner[1] + int(rows.min()) - 14, corner[1])
        colour = _bytes(lesion_colour(lesion.label))
        draw.text((x, y), str(lesion.label), colour, _font(15), stroke_width=2, stroke_fill=(0, 0, 0))


def _scale_bar(draw: ImageDraw.ImageDraw, grid: npt.NDArray[np.float64], corner: tuple[int, int]) -> None:
    pixels = _SCALE_BAR_MM / (grid[0, 1, 0] - grid[0, 0, 0])
    x, y = corner[0] + 10, corner[1] + PANEL - 12
    draw.line([(x, y), (x + pixels, y)], _TEXT, 2)
    draw.text((x, y - 18), f"{_SCALE_BAR_MM} mm", _TEXT, _font(12))
    draw.text((corner[0] + 6, corner[1] + PANEL // 2), "R", _FAINT, _font(14))


def _write_header(draw: ImageDraw.ImageDraw, analysis: Analysis, grid: npt.NDArray[np.float64], width: int) -> None:
    findings = analysis.findings
    lesions = sorted(findings.lesions, key=lambda lesion: lesion.volume_ml, reverse=True)
    count = f"{len(lesions)} lesion{'' if len(lesions) == 1 else 's'}" if lesions else "no lesion found"
    draw.text((10, 8), f"Liver {findings.liver_ml:.0f} ml, {count}", _TEXT, _font(20))
    sizes = [f"{lesion.label}: {lesion.diameter_mm:.0f} x {lesion.perpendicular_mm:.0f} mm" for lesion in lesions]
    line = f"Axial slice at z = {grid[0, 0, 2]:.1f} mm.  "
    font = _font(14)
    for number, size in enumerate(sizes):
        longer = line + size + "   "
        if draw.textlength(longer + "and 99 more", font) > width - 20:
            line += f"and {len(sizes) - number} more"
            break
        line = longer
    draw.text((10, 36), line, _FAINT, font)


def _write_footer(draw: ImageDraw.ImageDraw, width: int, height: int) -> None:
    draw.text((10, height - 24), "Research use only. Not for diagnosis.", (255, 196, 84), _font(14))
    font = _font(12)
    text = "lesion probability 0"
    bar = 90
    x = width - 24 - bar - int(draw.textlength(text, font))
    draw.text((x, height - 23), text, _FAINT, font)
    x += int(draw.textlength(text, font)) + 6
    for step in range(bar):
        colour = tuple(int(np.interp(step / (bar - 1), _HEAT[:, 0], _HEAT[:, part])) for part in (1, 2, 3))
        draw.line([(x + step, height - 21), (x + step, height - 10)], colour)
    draw.text((x + bar + 4, height - 23), "1", _FAINT, font)


def _bytes(colour: tuple[float, float, float]) -> tuple[int, int, int]:
    red, green, blue = (round(255 * part) for part in colour)
    return red, green, blue


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
