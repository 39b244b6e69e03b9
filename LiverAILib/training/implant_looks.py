"""The look of one implant, shared by implants in slices and in stacks of phases."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from LiverAILib.lesion_types import LesionType
from LiverAILib.phantom.appearance import ATYPICAL, Inside, Look, draw_look
from LiverAILib.phantom.enhancement import Enhancement
from LiverAILib.phantom.fields import Array


def implant_look(
    kind: LesionType,
    radial: npt.NDArray[np.float64],
    radius_mm: float,
    texture: Callable[[float], Array],
    enhancement: Enhancement,
    rng: np.random.Generator,
) -> tuple[Array, Look]:
    """The distance to a lesion's surface in mm, negative inside, and its look.

    radial: distance from the centre, 1 on the surface. texture: unit-variance noise of a scale in mm, of that shape.
    """
    inside = Inside(
        distance=np.asarray((radial - 1) * radius_mm, np.float32),
        radial=np.asarray(np.minimum(radial, 1), np.float32),
        fine=texture(3.0),
        coarse=texture(max(0.4 * radius_mm, 2.5)),
        front=texture(max(0.8 * radius_mm, 4.0)),
        radius_mm=radius_mm,
    )
    return inside.distance, draw_look(kind, inside, enhancement, rng, atypical=bool(rng.random() < ATYPICAL[kind]))
