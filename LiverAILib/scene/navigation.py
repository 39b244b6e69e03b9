"""Going to a lesion: in its best phase, with its segment in front, and where slices of a score lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import slicer

from LiverAILib.findings import Findings, Lesion
from LiverAILib.scene.segmentation import LIVER_ID, segment_ids
from LiverAILib.scene.volumes import lps_to_ras, node_affine, node_shape
from LiverAILib.study import Phase

#: Opacity of the outline of segments that are not the chosen one.
DIMMED = 0.35


def best_phase(lesion: Lesion, findings: Findings, phases: Sequence[Phase]) -> Phase | None:
    """The phase of `phases` in which the lesion stands out most from the liver, in HU; of those in which the detector
    found it, if it tells. The reference phase where nothing was measured; None without any phase.
    """
    seen = [phase for phase in lesion.found_in if phase in phases] or list(phases)

    def contrast(phase: Phase) -> float:
        facts, mean = findings.phases.get(phase), lesion.mean_hu.get(phase)
        return abs(mean - facts.liver_hu) if facts and facts.liver_hu is not None and mean is not None else -1.0

    best = max(seen, key=contrast, default=None)
    if best is not None and contrast(best) < 0 and findings.reference_phase in phases:
        return findings.reference_phase
    return best


def jump_to(scene: Any, point_lps: Sequence[float]) -> None:
    """Move all slice views to a point (LPS, mm) without turning or panning them."""
    offset = slicer.vtkMRMLSliceNode.OffsetJumpSlice
    slicer.vtkMRMLSliceNode.JumpAllSlices(scene, *lps_to_ras(point_lps).tolist(), offset)


def highlight(segmentation: Any, chosen: str | None) -> None:
    """Dim the outlines of all lesions but the chosen one; None shows all alike."""
    display = segmentation.GetDisplayNode()
    if display is None:
        return
    was = display.StartModify()
    try:
        for segment in segment_ids(segmentation):
            dim = chosen is not None and segment not in (chosen, LIVER_ID)
            display.SetSegmentOpacity2DOutline(segment, DIMMED if dim else 1.0)
            display.SetSegmentOpacity2DFill(segment, DIMMED if dim else 1.0)
    finally:
        display.EndModify(was)


def show_phase(scene: Any, volume: Any) -> None:
    """Put a phase into the background of all slice views that show more than one phase in turn."""
    composites = scene.GetNodesByClass("vtkMRMLSliceCompositeNode")
    for index in range(composites.GetNumberOfItems()):
        composite = composites.GetItemAsObject(index)
        if not is_phase_view(composite.GetLayoutName()):
            composite.SetBackgroundVolumeID(volume.GetID())


def is_phase_view(layout_name: str | None) -> bool:
    """Whether a slice view belongs to one phase of the comparing layouts."""
    return (layout_name or "").startswith("LiverAI")


def shown_scores(
    findings: Findings, phase: Phase, volumes: Mapping[Phase, Any]
) -> tuple[list[float], list[float], list[float]]:
    """Heights (mm, S; feet to head) of the scored slices of a phase, and of each NoduleNet's and HCCNet's score; empty
    where a network said nothing. volumes: the phases' volume nodes.

    HCCNet's are of the reference phase's slices, seen with the other phases; each height has that of the nearest.
    """
    own, risk = findings.slice_scores.get(phase), findings.hcc_risk
    slices = own.slices if own is not None else []
    nodule, hcc = (own.nodule, own.hcc) if own is not None else ([], [])
    heights = score_positions(slices, volumes[phase])
    reference = volumes.get(findings.reference_phase)
    if risk is not None and risk.scores and reference is not None:
        places = score_positions(risk.slices, reference)
        heights = heights if slices else places
        hcc = [risk.scores[index] for index in np.abs(heights[:, None] - places[None]).argmin(axis=1)]
    return heights.tolist(), nodule, hcc


def score_positions(slices: Sequence[tuple[int, int]], volume: Any) -> npt.NDArray[np.float64]:
    """Head-to-feet position (mm, S) of the middle of each scored slice of a phase's volume node, (n,)."""
    affine = node_affine(volume)
    axis = int(np.abs(affine[2, :3]).argmax())
    middle = (np.array(node_shape(volume))[::-1] - 1) / 2
    result = []
    for first, stop in slices:
        index = middle.copy()
        index[axis] = (first + stop - 1) / 2
        result.append(float((affine @ [*index, 1.0])[2]))
    return np.asarray(result)


def jump_to_level(scene: Any, level_mm: float) -> None:
    """Move the axial slice views to a height (S, mm)."""
    nodes = scene.GetNodesByClass("vtkMRMLSliceNode")
    for index in range(nodes.GetNumberOfItems()):
        node = nodes.GetItemAsObject(index)
        if node.GetOrientation() == "Axial":
            node.SetSliceOffset(level_mm)


def level_shown(scene: Any) -> float | None:
    """The height (S, mm) of the first axial slice view; None without one."""
    nodes = scene.GetNodesByClass("vtkMRMLSliceNode")
    for index in range(nodes.GetNumberOfItems()):
        node = nodes.GetItemAsObject(index)
        if node.GetOrientation() == "Axial":
            return float(node.GetSliceOffset())
    return None


def phases_here(volumes: Mapping[Phase, Any]) -> list[Phase]:
    """The phases that have a volume, in the order of acquisition."""
    return [phase for phase in Phase if phase in volumes]
