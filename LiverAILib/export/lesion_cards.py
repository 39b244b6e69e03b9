"""The lower part of overview.png: a card for each of the larger lesions, with its picture and what is said of it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from LiverAILib.analysis.pipeline import Analysis
from LiverAILib.export.drawing import FAINT, TEXT, colour_bytes, ct_panel, font, outline, sample, wrapped
from LiverAILib.export.seg_nrrd import lesion_colour
from LiverAILib.export.words import found_words, short_type
from LiverAILib.findings import Lesion
from LiverAILib.study import Phase, Volume

SIDE = 128  # of a card's picture, in pixels
ROWS = 3
_GAP, _LINE = 8, 18
_LEAST_MM = 50.0  # shown around a small lesion


def cards_height(count: int, across: int) -> int:
    """How high the cards of so many lesions are, `across` beside each other."""
    rows = min(-(-count // across), ROWS)
    return rows * (SIDE + _GAP) + (_LINE if count > rows * across else 0)


def draw_cards(
    image: Image.Image, analysis: Analysis, reference: Volume, across: int, pitch: int, corner: tuple[int, int]
) -> None:
    """Draw the cards of the largest lesions, `pitch` pixels wide, from this upper left corner on."""
    draw = ImageDraw.Draw(image)
    lesions = sorted(analysis.findings.lesions, key=lambda lesion: (-lesion.volume_ml, lesion.label))
    shown = lesions[: across * ROWS]
    for number, lesion in enumerate(shown):
        row, column = divmod(number, across)
        place = (corner[0] + column * pitch, corner[1] + row * (SIDE + _GAP))
        picture = _picture(analysis, reference, lesion)
        if picture is not None:
            image.paste(Image.fromarray(picture), place)
        y = place[1] + 2
        for text, colour, size in _lines(lesion, analysis.findings.reference_phase, pitch - SIDE - 24):
            draw.text((place[0] + SIDE + 10, y), text, colour, font(size))
            y += size + 6
    if len(lesions) > len(shown):
        y = corner[1] + cards_height(len(shown), across)
        draw.text((corner[0] + 4, y - 4), f"and {len(lesions) - len(shown)} smaller lesions", FAINT, font(14))


def _lines(lesion: Lesion, reference: Phase, width: int) -> list[tuple[str, tuple[int, int, int], int]]:
    """What a card says: name and likeliest type, malignancy, size, and where it was found."""
    colour = colour_bytes(lesion_colour(lesion.label))
    kind = lesion.likeliest_type
    if kind is None or lesion.type_probabilities is None:
        lines = [(lesion.name, colour, 16)]
    else:
        lines = [(f"{lesion.name}: {short_type(kind)} {lesion.type_probabilities[kind]:.2f}", colour, 16)]
        verdict = f", {lesion.verdict}" if lesion.verdict is not None else ""
        lines.append((f"malignancy {lesion.malignancy:.2f}{verdict}", TEXT, 14))
    size = f"{lesion.diameter_mm:.0f} x {lesion.perpendicular_mm:.0f} mm, {lesion.volume_ml:.1f} ml"
    lines.append((size, TEXT, 14))
    words = found_words(lesion)
    if reference in lesion.approximate_in:
        words += "; outline approximate"
    return lines + [(text, FAINT, 12) for text in wrapped(words, width, 12)]


def _picture(analysis: Analysis, reference: Volume, lesion: Lesion) -> npt.NDArray[np.uint8] | None:
    """The lesion with its outline, (SIDE, SIDE, 3), in the axial plane through its centre in the reference phase."""
    side = max(1.6 * lesion.diameter_mm, _LEAST_MM)
    offsets = (np.arange(SIDE) - (SIDE - 1) / 2) * side / SIDE
    grid = np.empty((SIDE, SIDE, 3))
    grid[..., 0] = lesion.centre_lps_mm[0] + offsets[None, :]
    grid[..., 1] = lesion.centre_lps_mm[1] + offsets[:, None]
    grid[..., 2] = lesion.centre_lps_mm[2]
    picture = ct_panel(reference, grid)
    if picture is not None:
        ids = sample(analysis.lesion_ids, analysis.affine, grid, order=0)
        picture[outline(ids == lesion.label)] = colour_bytes(lesion_colour(lesion.label))
    return picture
