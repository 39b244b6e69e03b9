"""The parts that pictures are drawn from: sampling on a plane, grey CT, outlines, colours over it, text."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import ImageFont
from scipy import ndimage

from LiverAILib.study import Volume

Colours = npt.NDArray[np.float64]

BACKGROUND, TEXT, FAINT = (16, 18, 22), (235, 235, 235), (150, 155, 165)
WINDOW_HU = (-60.0, 200.0)

#: Position in 0 to 1, and red, green, blue. Dark violet over red to pale yellow, close to the well-known "inferno".
HEAT: Colours = np.array(
    [
        (0.00, 20, 11, 53),
        (0.25, 101, 21, 110),
        (0.50, 188, 55, 84),
        (0.75, 242, 125, 21),
        (1.00, 252, 245, 160),
    ]
)
#: Dark blue over green to yellow, close to "viridis": not to be taken for the lesion probability.
SALIENCY: Colours = np.array(
    [
        (0.00, 48, 18, 92),
        (0.25, 42, 82, 140),
        (0.50, 32, 146, 140),
        (0.75, 110, 205, 88),
        (1.00, 253, 235, 60),
    ]
)
#: Lesion probability and saliency below these are not drawn. Saliency is about one half where nothing stands out.
HEAT_FROM, SALIENCY_FROM = 0.1, 0.8


def to_lps(index_zyx: npt.NDArray[np.float64], affine: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Voxel indices (..., 3) in array order as patient coordinates (..., 3) in mm."""
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
    """The CT as grey RGB (y, x, 3), or None where the volume does not cover the slice."""
    values = sample(volume.array, volume.affine, grid, order=1, outside=-5000.0)
    if (values <= -4999).all():
        return None
    low, high = WINDOW_HU
    grey = (np.clip((values - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def outline(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """A line about two pixels wide around the mask."""
    cross = ndimage.generate_binary_structure(2, 1)
    return ndimage.binary_dilation(mask, cross) & ~ndimage.binary_erosion(mask, cross)


def coloured(
    ct: npt.NDArray[np.uint8], values: npt.NDArray[np.float32], colours: Colours, least: float
) -> npt.NDArray[np.uint8]:
    """A picture (y, x, 3) with values (y, x) in [0, 1] over it, from `least` up, the stronger the less transparent."""
    value = np.clip(values, 0, 1)[..., None]
    colour = np.concatenate([np.interp(value, colours[:, 0], colours[:, part]) for part in (1, 2, 3)], axis=2)
    opacity = np.where(value >= least, 0.35 + 0.35 * value, 0.0)
    return (ct * (1 - opacity) + colour * opacity).astype(np.uint8)


def colour_bytes(colour: tuple[float, float, float]) -> tuple[int, int, int]:
    """A colour in [0, 1] in whole numbers to 255."""
    red, green, blue = (round(255 * part) for part in colour)
    return red, green, blue


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font of all pictures, `size` pixels high."""
    return ImageFont.load_default(size)


def wrapped(text: str, width: int, size: int) -> list[str]:
    """A text in lines no wider than `width` pixels in the font of this size; a longer word stands alone."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font(size).getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
