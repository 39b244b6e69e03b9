"""The patient as a list of things to paint, outermost first: independent of any CT grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from LiverAILib.phantom.fields import Array, Field
from LiverAILib.phantom.options import Tissue
from LiverAILib.study import Phase

#: HU of a tissue: a name of `enhancement.TISSUES`, one value for all phases, or a value by phase.
Attenuation = str | float | Mapping[Phase, float]


@dataclass(frozen=True)
class Layer:
    """One shell of a solid: what lies more than `depth_mm` under the surface (negative depths lie outside it)."""

    hu: Attenuation
    label: Tissue
    depth_mm: float = 0.0
    texture: Field | None = None
    texture_hu: float = 0.0


@dataclass(frozen=True)
class Solid:
    """A body with a signed distance, painted layer over layer. `moving`: it goes with the breath.

    over: paint only where the label is one of these (empty: everywhere).
    """

    distance: Field
    layers: tuple[Layer, ...]
    moving: bool = True
    over: tuple[Tissue, ...] = ()


@dataclass(frozen=True)
class Tubes:
    """Round vessels or bones: segments from `start` to `end` (n, 3) with radii (n,) at both ends, in mm."""

    start: Array
    end: Array
    start_radius: Array
    end_radius: Array
    hu: Attenuation
    label: Tissue
    moving: bool = True
    over: tuple[Tissue, ...] = ()


@dataclass(frozen=True)
class Patch:
    """Liver tissue that differs without a mass: weight 0..1 times `delta` HU is added by phase, inside `over` only."""

    weight: Field
    delta: Mapping[Phase, float]
    over: tuple[Tissue, ...] = (Tissue.LIVER,)


@dataclass(frozen=True)
class LesionSolid:
    """A lesion: its distance and its HU in space for every phase. Painted over liver tissues only."""

    id: int
    distance: Field
    hu: Mapping[Phase, Field]


Item = Solid | Tubes | Patch | LesionSolid


@dataclass
class Scene:
    """What to paint in order, with the liver's signed distance for placing things in it."""

    items: list[Item] = field(default_factory=list)
    liver: Field | None = None
