"""A run folder as a scene file that Slicer opens, and as pictures of Slicer's views."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import slicer
from PIL import Image

from LiverAILib.errors import OutputError
from LiverAILib.export.words import short_type
from LiverAILib.findings import Findings
from LiverAILib.scene.headless import HeadlessScene, new_scene
from LiverAILib.scene.load import RunNodes, save_scene, show_run
from LiverAILib.scene.rendering import rendering_available
from LiverAILib.scene.segmentation import create_surfaces, surface_bounds
from LiverAILib.scene.slice_view import VIEW_NAMES, Mark, SliceContent, render_slice_view, set_up_slice
from LiverAILib.scene.three_d_view import render_3d_view, set_up_3d
from LiverAILib.scene.volumes import PHASE_NAMES, add_volume, lps_to_ras, node_affine, node_shape, set_ct_window
from LiverAILib.study import Phase, Study

Box = tuple[tuple[float, float, float], tuple[float, float, float]]
SCENE_FILE = "scene.mrb"


@dataclass(frozen=True)
class DemoScene:
    """What `make_scene` wrote. `message` says why there are no pictures, and is empty otherwise."""

    scene_path: Path
    pictures: tuple[Path, ...]
    message: str


def make_scene(run_folder: Path, study: Study, out_dir: Path, pictures: bool = True) -> DemoScene:
    """Load a run into a fresh scene and write it as `scene.mrb`, with pictures of its views.

    study: the volumes that were analysed. Pictures: `axial.png`, `coronal.png` and `sagittal.png` through the largest
    lesion (else the volume's middle), `3d.png` (if a liver was found), `views.png` with all of them,
    `axial_<phase>.png`, without the heat map, for each other phase, and `axial_saliency.png` where there is any. Where
    VTK can't draw, the scene is still written and the message says what to install.
    Raises RunFolderError, SceneError, OutputError.
    """
    host = new_scene()
    volumes = {phase: add_volume(host.scene, volume, PHASE_NAMES[phase]) for phase, volume in study.volumes.items()}
    nodes = show_run(host.scene, run_folder, volumes)
    _centre_windows(volumes, nodes.findings)
    found = nodes.findings.liver_ml > 0
    if found:
        create_surfaces(nodes.segmentation)
    reference = volumes[nodes.findings.reference_phase]
    centre = view_centre(nodes.findings, reference)
    content = SliceContent(
        background=reference,
        foreground=nodes.probability,
        title=f"{PHASE_NAMES[nodes.findings.reference_phase]} CT, liver and lesions",
        marks=lesion_marks(nodes),
        frame_ras=liver_box(nodes),
    )
    state = rendering_available()
    drawn: dict[str, npt.NDArray[np.uint8]] = {}
    others = [phase for phase in Phase if phase in volumes and phase is not nodes.findings.reference_phase]
    if pictures and state.available:
        for phase in others:
            drawn[f"axial_{phase}"] = render_slice_view(host, "Axial", _plain(content, volumes[phase], phase), centre)
        saliency = nodes.saliency.get(nodes.findings.reference_phase)
        if saliency is not None:
            salient = replace(content, foreground=saliency, title=f"{content.title}, saliency")
            drawn["axial_saliency"] = render_slice_view(host, "Axial", salient, centre)
        for orientation in VIEW_NAMES:
            drawn[orientation.lower()] = render_slice_view(host, orientation, content, centre)
        if found:
            drawn["3d"] = render_3d_view(host, nodes.segmentation, _summary(nodes.findings))
        fourth = drawn.get("3d", np.zeros_like(drawn["axial"]))
        drawn["views"] = np.vstack(
            [np.hstack([drawn["axial"], fourth]), np.hstack([drawn["coronal"], drawn["sagittal"]])]
        )
    else:
        for orientation in VIEW_NAMES:
            set_up_slice(host, orientation, content, centre)
        set_up_3d(host)
    _choose_layout(host)
    scene_path = save_scene(host.scene, out_dir / SCENE_FILE)
    written = tuple(_save_picture(out_dir / f"{name}.png", pixels) for name, pixels in drawn.items())
    return DemoScene(scene_path, written, state.message if pictures else "")


def view_centre(findings: Findings, reference: Any) -> npt.NDArray[np.float64]:
    """The point (RAS, mm) that the slices go through: the largest lesion's centre, else the volume's."""
    if findings.lesions:
        return lps_to_ras(max(findings.lesions, key=lambda lesion: lesion.volume_ml).centre_lps_mm)
    middle = (np.array(node_shape(reference))[::-1] - 1) / 2
    return lps_to_ras((node_affine(reference) @ [*middle, 1.0])[:3])


def liver_box(nodes: RunNodes) -> Box | None:
    """The liver's bounding box (RAS, mm), None if no liver was found."""
    if nodes.findings.liver_ml == 0:
        return None
    low, high = surface_bounds(nodes.segmentation)
    return (low[0], low[1], low[2]), (high[0], high[1], high[2])


def lesion_marks(nodes: RunNodes) -> dict[str, Mark]:
    """Each lesion's number and type beside it, in its colour, by segment id."""
    segmentation = nodes.segmentation.GetSegmentation()
    marks = {}
    for number, lesion in enumerate(nodes.findings.lesions, start=1):
        x, y, z = lps_to_ras(lesion.centre_lps_mm).tolist()
        text = str(number) if lesion.likeliest_type is None else f"{number} {short_type(lesion.likeliest_type)}"
        marks[lesion.id] = Mark(text, (x, y, z), segmentation.GetSegment(lesion.id).GetColor())
    return marks


def _plain(content: SliceContent, volume: Any, phase: Phase) -> SliceContent:
    """The same view of another phase, with outlines only."""
    return replace(content, background=volume, foreground=None, title=f"{PHASE_NAMES[phase]} CT, liver and lesions")


def _summary(findings: Findings) -> str:
    count = len(findings.lesions)
    lesions = "no lesion" if not count else "1 lesion" if count == 1 else f"{count} lesions"
    total = sum(lesion.volume_ml for lesion in findings.lesions)
    return f"Liver {findings.liver_ml:.0f} ml, {lesions}" + (f" ({total:.1f} ml)" if count else "")


def _centre_windows(volumes: Mapping[Phase, Any], findings: Findings) -> None:
    """Centre each phase's window on its liver, within 40 to 120 HU, so that lesions stand out in a bright phase too."""
    for phase, facts in findings.phases.items():
        if facts.liver_hu is not None and phase in volumes:
            set_ct_window(volumes[phase], round(min(max(facts.liver_hu, 40.0), 120.0)))


def _choose_layout(host: HeadlessScene) -> None:
    """Slicer's four-up layout, for when the scene is opened there."""
    logic = slicer.vtkMRMLLayoutLogic()
    logic.SetMRMLScene(host.scene)
    logic.GetLayoutNode().SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)


def _save_picture(path: Path, pixels: npt.NDArray[np.uint8]) -> Path:
    try:
        Image.fromarray(pixels).save(path, compress_level=4)
    except OSError as error:
        raise OutputError(f"{path} can't be written ({error.strerror or error}). Is the disk full?") from error
    return path
