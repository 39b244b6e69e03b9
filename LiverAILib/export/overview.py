"""overview.png: what was found, at a glance. What is said of the patient; each phase in the axial slice through the
largest lesion, or mid-liver, with outlines, lesion probability and saliency; and a card for each of the larger lesions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from LiverAILib.analysis.pipeline import Analysis
from LiverAILib.export.drawing import (
    BACKGROUND,
    FAINT,
    HEAT,
    HEAT_FROM,
    SALIENCY,
    SALIENCY_FROM,
    TEXT,
    Colours,
    colour_bytes,
    coloured,
    ct_panel,
    font,
    outline,
    sample,
    to_lps,
    wrapped,
)
from LiverAILib.export.lesion_cards import cards_height, draw_cards
from LiverAILib.export.seg_nrrd import LIVER_COLOUR, lesion_colour
from LiverAILib.export.words import risk_words, short_type
from LiverAILib.findings import Findings, Lesion, Triage
from LiverAILib.study import Phase, Study

PANEL = 420
_GAP, _FOOTER, _CAPTION = 6, 30, 24
_SCALE_BAR_MM = 50
_TRIAGE_COLOURS = {Triage.LOW: (140, 220, 140), Triage.HIGH: (255, 150, 110), None: TEXT}

Line = tuple[str, tuple[int, int, int], int]  # text, colour, size


@dataclass(frozen=True)
class _Slice:
    """What one axial slice shows. grid: LPS points (PANEL, PANEL, 3) in mm; shown: the lesions in it."""

    grid: npt.NDArray[np.float64]
    liver: npt.NDArray[np.bool_]
    ids: npt.NDArray[np.uint16]
    heat: npt.NDArray[np.float32]
    shown: list[Lesion]


def draw_overview(analysis: Analysis, study: Study) -> Image.Image:
    """The overview as an RGB image: a column per phase, with CT and outlines, lesion probability and, where there is
    one, saliency below each other (a single phase has them side by side).

    All panels show the same patient coordinates, seen from the feet: the patient's right is on the left.
    """
    phases = [phase for phase in Phase if phase in study.volumes]
    rows = 3 if analysis.saliency else 2
    across, down = (rows, 1) if len(phases) == 1 else (len(phases), rows)
    width = across * (PANEL + _GAP) + _GAP
    grid = _axial_grid(analysis)
    lines = _header(analysis.findings, grid, width)
    top = 8 + sum(size + 8 for _, _, size in lines)
    cards = top + _CAPTION + down * (PANEL + _GAP) + _GAP
    lesions = analysis.findings.lesions
    height = cards + cards_height(len(lesions), across) + _FOOTER
    image = Image.new("RGB", (width, height), BACKGROUND)
    draw = ImageDraw.Draw(image)
    y = 8
    for text, colour, size in lines:
        draw.text((10, y), text, colour, font(size))
        y += size + 8
    ids = sample(analysis.lesion_ids, analysis.affine, grid, order=0).astype(np.uint16)
    seen = _Slice(
        grid,
        sample(analysis.liver.view(np.uint8), analysis.affine, grid, order=0) > 0,
        ids,
        sample(analysis.lesion_probability, analysis.affine, grid, order=1),
        [lesion for lesion in lesions if (ids == lesion.label).any()],
    )
    for column, phase in enumerate(phases):
        left = _GAP + column * (PANEL + _GAP)
        _draw_caption(draw, phase, analysis.findings.reference_phase, (left, top))
        places = [
            (left + row * (PANEL + _GAP), top + _CAPTION)
            if down == 1
            else (left, top + _CAPTION + row * (PANEL + _GAP))
            for row in range(rows)
        ]
        _draw_phase(image, analysis, study, phase, seen, places)
        if column == 0:
            _scale_bar(draw, grid, places[0])
    draw_cards(image, analysis, study.volumes[analysis.findings.reference_phase], across, PANEL + _GAP, (_GAP, cards))
    _write_footer(draw, width, height, saliency=bool(analysis.saliency))
    return image


def _draw_caption(draw: ImageDraw.ImageDraw, phase: Phase, reference: Phase, corner: tuple[int, int]) -> None:
    name = phase.words.capitalize()
    draw.text((corner[0] + 2, corner[1]), name, TEXT, font(16))
    if phase is not reference:
        start = corner[0] + 12 + int(draw.textlength(name, font(16)))
        draw.text((start, corner[1] + 3), f"outlines of the {reference.words} phase", FAINT, font(12))


def _draw_phase(
    image: Image.Image,
    analysis: Analysis,
    study: Study,
    phase: Phase,
    seen: _Slice,
    places: Sequence[tuple[int, int]],
) -> None:
    """CT with outlines, with lesion probability and with saliency, at these upper left corners."""
    draw = ImageDraw.Draw(image)
    ct = ct_panel(study.volumes[phase], seen.grid)
    if ct is None:
        draw.text((places[0][0] + 12, places[0][1] + 12), "This phase does not cover the slice.", FAINT, font(15))
        return
    image.paste(Image.fromarray(_outlined(ct, seen.liver, seen.ids, seen.shown)), places[0])
    _label_lesions(draw, seen.ids, seen.shown, places[0])
    image.paste(Image.fromarray(coloured(ct, seen.heat, HEAT, HEAT_FROM)), places[1])
    _name(draw, "lesion probability", places[1])
    if phase in analysis.saliency:
        saliency = sample(analysis.saliency[phase], study.volumes[phase].affine, seen.grid, order=1)
        image.paste(Image.fromarray(coloured(ct, saliency, SALIENCY, SALIENCY_FROM)), places[2])
        _name(draw, "saliency" if saliency.any() else "no saliency in this slice", places[2])


def _name(draw: ImageDraw.ImageDraw, text: str, corner: tuple[int, int]) -> None:
    """What a panel shows, in its lower left corner."""
    place = (corner[0] + 8, corner[1] + PANEL - 20)
    draw.text(place, text, FAINT, font(12), stroke_width=2, stroke_fill=(0, 0, 0))


def _axial_grid(analysis: Analysis) -> npt.NDArray[np.float64]:
    """LPS points (PANEL, PANEL, 3) in mm of the picture: a square around the liver through the largest lesion."""
    lesions = analysis.findings.lesions
    steps = tuple(max(1, size // 120) for size in analysis.liver.shape)  # enough to find its extent
    where = np.argwhere(analysis.liver[tuple(slice(None, None, step) for step in steps)]) * steps
    if not where.size:
        where = np.array([np.zeros(3), np.array(analysis.liver.shape) - 1])
    low, high = where.min(axis=0), where.max(axis=0)
    corners = np.array([[(low, high)[i][0], (low, high)[j][1], (low, high)[k][2]] for i, j, k in np.ndindex(2, 2, 2)])
    points = to_lps(corners, analysis.affine)
    centre = (points.min(axis=0) + points.max(axis=0)) / 2
    if lesions:
        largest = max(lesions, key=lambda lesion: lesion.volume_ml)
        centre[2] = _largest_section(analysis, largest)
    else:
        centre[2] = to_lps(np.median(where, axis=0), analysis.affine)[2]
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
    levels = to_lps(where + np.array(lesion.box_zyx[0]), analysis.affine)[:, 2]
    step = float(np.linalg.norm(analysis.affine[:3, :3], axis=0)[np.abs(analysis.affine[2, :3]).argmax()])
    bins = np.round(levels / step).astype(int)
    values, counts = np.unique(bins, return_counts=True)
    return float(levels[bins == values[counts.argmax()]].mean())


def _outlined(
    ct: npt.NDArray[np.uint8], liver: npt.NDArray[np.bool_], ids: npt.NDArray[np.uint16], lesions: Sequence[Lesion]
) -> npt.NDArray[np.uint8]:
    picture = ct.copy()
    picture[outline(liver)] = colour_bytes(LIVER_COLOUR)
    for lesion in lesions:
        picture[outline(ids == lesion.label)] = colour_bytes(lesion_colour(lesion.label))
    return picture


def _label_lesions(
    draw: ImageDraw.ImageDraw, ids: npt.NDArray[np.uint16], lesions: Sequence[Lesion], corner: tuple[int, int]
) -> None:
    """Each lesion's number and type, at the upper right of its outline; only the largest ones when there are many."""
    for lesion in sorted(lesions, key=lambda item: item.volume_ml, reverse=True)[:12]:
        rows, columns = np.nonzero(ids == lesion.label)
        kind = lesion.likeliest_type
        text = str(lesion.label) if kind is None else f"{lesion.label} {short_type(kind)}"
        room = int(draw.textlength(text, font(15))) + 6
        x = min(corner[0] + int(columns.max()) + 4, corner[0] + PANEL - room)
        y = max(corner[1] + int(rows.min()) - 14, corner[1])
        colour = colour_bytes(lesion_colour(lesion.label))
        draw.text((x, y), text, colour, font(15), stroke_width=2, stroke_fill=(0, 0, 0))


def _scale_bar(draw: ImageDraw.ImageDraw, grid: npt.NDArray[np.float64], corner: tuple[int, int]) -> None:
    pixels = _SCALE_BAR_MM / (grid[0, 1, 0] - grid[0, 0, 0])
    x, y = corner[0] + 10, corner[1] + PANEL - 12
    draw.line([(x, y), (x + pixels, y)], TEXT, 2)
    draw.text((x, y - 18), f"{_SCALE_BAR_MM} mm", TEXT, font(12))
    draw.text((corner[0] + 6, corner[1] + PANEL // 2), "R", FAINT, font(14))


def _header(findings: Findings, grid: npt.NDArray[np.float64], width: int) -> list[Line]:
    """The lines above the pictures: what there is, what is said of the patient, and where the slice is."""
    count = len(findings.lesions)
    words = f"{count} lesion{'' if count == 1 else 's'}" if count else "no lesion found"
    lines: list[Line] = [(f"Liver {findings.liver_ml:.0f} ml, {words}", TEXT, 20)]
    if findings.reading is not None:
        colour = _TRIAGE_COLOURS[findings.reading.triage]
        lines += [(text, colour, 16) for text in wrapped(findings.reading.reason, width - 20, 16)]
    if findings.hcc_risk is not None:
        lines += [(text, TEXT, 14) for text in wrapped(risk_words(findings.hcc_risk), width - 20, 14)]
    return [*lines, (f"Axial slice at z = {grid[0, 0, 2]:.1f} mm.", FAINT, 14)]


def _write_footer(draw: ImageDraw.ImageDraw, width: int, height: int, *, saliency: bool) -> None:
    draw.text((10, height - 24), "Research use only. Not for diagnosis.", (255, 196, 84), font(14))
    x = _legend(draw, "lesion probability", HEAT, width - 12, height)
    if saliency:
        _legend(draw, "saliency", SALIENCY, x - 24, height)


def _legend(draw: ImageDraw.ImageDraw, name: str, colours: Colours, right: int, height: int) -> int:
    """A bar of colours from 0 to 1 that ends at `right`; returns where it begins."""
    text = f"{name} 0"
    bar, used = 90, font(12)
    left = right - 12 - bar - int(draw.textlength(text, used))
    draw.text((left, height - 23), text, FAINT, used)
    x = left + int(draw.textlength(text, used)) + 6
    for step in range(bar):
        colour = tuple(int(np.interp(step / (bar - 1), colours[:, 0], colours[:, part])) for part in (1, 2, 3))
        draw.line([(x + step, height - 21), (x + step, height - 10)], colour)
    draw.text((x + bar + 4, height - 23), "1", FAINT, used)
    return left
