"""A picture of a lesion for the report: the axial slice through its middle in each phase, with its outline."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from LiverAILib.export.drawing import ct_panel, outline, sample
from LiverAILib.findings import Lesion
from LiverAILib.study import Phase, Volume

SIDE = 200
_GAP, _CAPTION = 4, 20
_BACKGROUND, _TEXT = (16, 18, 22), (235, 235, 235)
_SCALE_BAR_MM = 20
#: The picture is so many times as wide as the lesion, but at least so many mm.
_TIMES, _LEAST_MM = 2.6, 70.0


def lesion_picture(
    lesion: Lesion,
    volumes: Mapping[Phase, Volume],
    mask: npt.NDArray[np.bool_],
    affine: npt.NDArray[np.float64],
    colour: tuple[float, float, float],
) -> Image.Image:
    """An RGB image: one panel per phase, all through the lesion's largest axial section, at one scale.

    mask: the lesion's voxels (z, y, x) on the grid of `affine` (LPS). The patient's right is on the left. The outline
    is the reference phase's: where the patient breathed differently it is off in the others.
    """
    grid = _grid(lesion, mask, affine)
    inside = ndimage.binary_fill_holes(sample(mask.view(np.uint8), affine, grid, order=0) > 0)
    line = outline(np.asarray(inside))
    phases = [phase for phase in Phase if phase in volumes]
    image = Image.new("RGB", (len(phases) * (SIDE + _GAP) + _GAP, SIDE + _CAPTION + _GAP), _BACKGROUND)
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(13)
    for column, phase in enumerate(phases):
        left = _GAP + column * (SIDE + _GAP)
        draw.text((left + 2, 2), phase.words.capitalize(), _TEXT, font)
        panel = ct_panel(volumes[phase], grid)
        if panel is None:
            draw.text((left + 8, _CAPTION + 8), "not covered", _TEXT, font)
            continue
        panel[line] = [round(255 * part) for part in colour]
        image.paste(Image.fromarray(panel), (left, _CAPTION))
    pixels = _SCALE_BAR_MM / float(grid[0, 1, 0] - grid[0, 0, 0])
    y = _CAPTION + SIDE - 8
    draw.line([(_GAP + 6, y), (_GAP + 6 + pixels, y)], _TEXT, 2)
    draw.text((_GAP + 6, y - 17), f"{_SCALE_BAR_MM} mm", _TEXT, ImageFont.load_default(11))
    return image


def jpeg(image: Image.Image) -> bytes:
    """The image as a small JPEG."""
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=86)
    return stream.getvalue()


def _grid(lesion: Lesion, mask: npt.NDArray[np.bool_], affine: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """LPS points (SIDE, SIDE, 3) of the picture."""
    centre = np.array(lesion.centre_lps_mm)
    where = np.argwhere(mask)
    if where.size:
        points = where[:, ::-1] @ affine[:3, :3].T + affine[:3, 3]
        levels, counts = np.unique(points[:, 2].round(1), return_counts=True)
        centre[2] = float(levels[counts.argmax()])
    side = max(_TIMES * lesion.diameter_mm, _LEAST_MM)
    offsets = (np.arange(SIDE) - (SIDE - 1) / 2) * side / SIDE
    grid = np.empty((SIDE, SIDE, 3))
    grid[..., 0] = centre[0] + offsets[None, :]
    grid[..., 1] = centre[1] + offsets[:, None]
    grid[..., 2] = centre[2]
    return grid
