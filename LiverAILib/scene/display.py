"""How the findings lie over the images: segments, a heat map, colours by probability, and all of it off at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from LiverAILib.export.seg_nrrd import lesion_colour
from LiverAILib.findings import Lesion
from LiverAILib.lesion_types import LesionType
from LiverAILib.opinions import ReadLesion
from LiverAILib.scene.navigation import is_phase_view
from LiverAILib.scene.overlay import OPACITY, THRESHOLD, heat_colours
from LiverAILib.scene.shown import ShownRun
from LiverAILib.study import Phase

BY_LESION = "lesion"
BY_MALIGNANCY = "malignancy"
UNKNOWN_COLOUR = (0.6, 0.6, 0.6)


class Segments(StrEnum):
    """How segments are drawn in slice views."""

    OUTLINE = "outline"
    FILL = "fill"
    OFF = "off"


class Heat(StrEnum):
    """Which map lies over the images."""

    PROBABILITY = "probability"
    SALIENCY = "saliency"
    OFF = "off"


@dataclass(frozen=True)
class Overlay:
    """All choices of the overlay section. colours: BY_LESION, BY_MALIGNANCY or a `LesionType`'s value.

    hidden: nothing of the program's is drawn, whatever else is chosen.
    """

    segments: Segments = Segments.OUTLINE
    heat: Heat = Heat.PROBABILITY
    opacity: float = OPACITY
    threshold: float = THRESHOLD
    legend: bool = True
    colours: str = BY_LESION
    labels: bool = False
    hidden: bool = False


def apply_overlay(scene: Any, shown: ShownRun, lesions: Sequence[ReadLesion], overlay: Overlay, phase: Phase) -> None:
    """Draw a run as chosen. phase: the one in the views, for its saliency map."""
    _draw_segments(shown, lesions, overlay)
    heat = _heat_node(shown, overlay, phase)
    for node in (shown.probability, *shown.saliency.values()):
        display = node.GetDisplayNode()
        if display is not None and (node is heat or node is shown.probability):
            display.SetThreshold(overlay.threshold, 10.0)
            display.SetApplyThreshold(True)
        legend = _legend(node)
        if legend is not None:
            legend.SetVisibility(overlay.legend and not overlay.hidden and node is heat)
    composites = scene.GetNodesByClass("vtkMRMLSliceCompositeNode")
    for index in range(composites.GetNumberOfItems()):
        composite = composites.GetItemAsObject(index)
        here = heat
        if overlay.heat is Heat.SALIENCY and is_phase_view(composite.GetLayoutName()) and not overlay.hidden:
            here = _saliency_of_view(shown, composite)
        composite.SetForegroundVolumeID(here.GetID() if here is not None else None)
        composite.SetForegroundOpacity(overlay.opacity)


def lesion_value(lesion: Lesion, colours: str) -> float | None:
    """The probability that a lesion is coloured by; None where it is unknown or colours are by lesion."""
    if colours == BY_LESION or lesion.type_probabilities is None:
        return None
    return lesion.malignancy if colours == BY_MALIGNANCY else lesion.type_probabilities[LesionType(colours)]


def colour_of(lesion: Lesion, colours: str) -> tuple[float, float, float]:
    """A lesion's colour: its own, or the heat colour of a probability; grey where that is unknown."""
    if colours == BY_LESION:
        return lesion_colour(lesion.label)
    value = lesion_value(lesion, colours)
    if value is None:
        return UNKNOWN_COLOUR
    red, green, blue = heat_colours()[round(255 * float(np.clip(0.15 + 0.85 * value, 0, 1)))].tolist()
    return red, green, blue


def _draw_segments(shown: ShownRun, lesions: Sequence[ReadLesion], overlay: Overlay) -> None:
    display = shown.segmentation.GetDisplayNode()
    if display is None:
        return
    segmentation = shown.segmentation.GetSegmentation()
    was = display.StartModify()
    try:
        display.SetVisibility(not overlay.hidden)
        display.SetVisibility2DOutline(overlay.segments is not Segments.OFF)
        display.SetVisibility2DFill(overlay.segments is Segments.FILL)
        display.SetOpacity2DFill(overlay.opacity)
        for one in lesions:
            segment = segmentation.GetSegment(one.lesion.id)
            if segment is not None:
                colour = colour_of(one.lesion, overlay.colours)
                if max(abs(a - b) for a, b in zip(colour, segment.GetColor(), strict=True)) > 1e-6:
                    segment.SetColor(*colour)
                display.SetSegmentVisibility(one.lesion.id, not one.rejected)
    finally:
        display.EndModify(was)


def _heat_node(shown: ShownRun, overlay: Overlay, phase: Phase) -> Any:
    if overlay.hidden or overlay.heat is Heat.OFF:
        return None
    return shown.saliency.get(phase) if overlay.heat is Heat.SALIENCY else shown.probability


def _saliency_of_view(shown: ShownRun, composite: Any) -> Any:
    """The saliency of the phase in a view of the comparing layouts."""
    background = composite.GetBackgroundVolumeID()
    return next(
        (shown.saliency.get(phase) for phase, node in shown.volumes.items() if node.GetID() == background), None
    )


def _legend(node: Any) -> Any:
    """The colour legend of a volume, None without one."""
    displays = [node.GetNthDisplayNode(index) for index in range(node.GetNumberOfDisplayNodes())]
    return next((one for one in displays if one is not None and one.IsA("vtkMRMLColorLegendDisplayNode")), None)
