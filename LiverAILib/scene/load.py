"""A run folder into a scene, out of it again, and a scene into an `.mrb` file."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from LiverAILib.errors import OutputError
from LiverAILib.export.run_folder import RunFolder, read_run
from LiverAILib.findings import Findings
from LiverAILib.scene.errors import SceneError
from LiverAILib.scene.hierarchy import add_folder, remove_folders, remove_item
from LiverAILib.scene.overlay import add_colour_table, add_legend, add_probability, add_saliency, saliency_colours
from LiverAILib.scene.provenance import ROLE, Provenance, Role, own_nodes
from LiverAILib.scene.segmentation import add_segmentation
from LiverAILib.scene.table import add_lesion_table
from LiverAILib.study import Phase


@dataclass(frozen=True)
class RunNodes:
    """The nodes that show one run."""

    findings: Findings
    provenance: Provenance
    segmentation: Any  # vtkMRMLSegmentationNode
    probability: Any  # vtkMRMLScalarVolumeNode
    colours: Any  # vtkMRMLColorTableNode
    legend: Any  # vtkMRMLColorLegendDisplayNode
    table: Any  # vtkMRMLTableNode
    folder: int  # subject-hierarchy item
    saliency: Mapping[Phase, Any] = field(default_factory=dict)  # vtkMRMLScalarVolumeNode
    saliency_legends: Mapping[Phase, Any] = field(default_factory=dict)  # vtkMRMLColorLegendDisplayNode


def show_run(scene: Any, run_folder: Path, volumes: Mapping[Phase, Any]) -> RunNodes:
    """Show a run's findings in a scene; whatever an earlier call put there is replaced.

    volumes: the analysed volume nodes, which are not changed; the findings' reference phase must be among them.
    Raises RunFolderError (incomplete or damaged run folder) or SceneError (it does not fit the volumes); the scene is
    then as it was before.
    """
    run = read_run(run_folder)
    findings = run.findings
    provenance = Provenance.of(findings, run_folder)
    reference = volumes.get(findings.reference_phase)
    if reference is None:
        raise SceneError(
            f"The findings lie on the {findings.reference_phase.words} phase, which has no volume here. "
            "Choose that phase's volume."
        )
    earlier = own_nodes(scene)
    try:
        nodes = _add_nodes(scene, run, provenance, volumes)
    except Exception:
        _remove(scene, [node for node in own_nodes(scene) if node not in earlier])
        raise
    _remove(scene, earlier)
    remove_folders(scene)
    saliency = {phase: nodes[Role.saliency(phase)] for phase in Phase if Role.saliency(phase) in nodes}
    shown = [nodes[Role.SEGMENTATION], nodes[Role.PROBABILITY], *saliency.values(), nodes[Role.TABLE]]
    return RunNodes(
        findings=findings,
        provenance=provenance,
        segmentation=nodes[Role.SEGMENTATION],
        probability=nodes[Role.PROBABILITY],
        colours=nodes[Role.COLOURS],
        legend=add_legend(nodes[Role.PROBABILITY]),
        table=nodes[Role.TABLE],
        folder=add_folder(scene, "LiverAI findings", provenance, shown),
        saliency=saliency,
        saliency_legends={phase: add_legend(node, "Saliency") for phase, node in saliency.items()},
    )


def clear_run(scene: Any) -> None:
    """Remove everything that `show_run` put into the scene, also in a session before this one."""
    _remove(scene, own_nodes(scene))
    remove_folders(scene)


def save_scene(scene: Any, path: Path) -> Path:
    """Save the scene as an `.mrb` bundle that Slicer opens; an existing file is replaced only by a complete one.

    Raises OutputError if it can't be written.
    """
    if path.suffix != ".mrb":
        raise OutputError(f'A scene is saved as .mrb, not as "{path.name}". Choose another name.')
    path = path.absolute()  # WriteToMRB refuses relative ones
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".scene-") as folder:
            bundle = Path(folder) / path.name
            if not scene.WriteToMRB(str(bundle)) or not bundle.is_file():
                raise OutputError(f"{path.name} can't be written. Check that the disk is not full.")
            bundle.replace(path)
    except OSError as error:
        raise OutputError(f"{path} can't be written ({error.strerror}). Choose another folder.") from error
    return path


def _add_nodes(scene: Any, run: RunFolder, provenance: Provenance, volumes: Mapping[Phase, Any]) -> dict[Role, Any]:
    reference = volumes[run.findings.reference_phase]
    nodes: dict[Role, Any] = {}

    def keep(role: Role, node: Any) -> Any:
        provenance.mark(node, role)
        nodes[role] = node
        return node

    keep(
        Role.SEGMENTATION,
        add_segmentation(scene, run.segmentation_path, run.findings, reference, "Liver and lesions"),
    )
    colours = keep(Role.COLOURS, add_colour_table(scene, "Lesion probability colours"))
    keep(
        Role.PROBABILITY,
        add_probability(scene, run.probability_path, reference, colours, "Lesion probability"),
    )
    if run.saliency:
        table = keep(Role.SALIENCY_COLOURS, add_colour_table(scene, "Saliency colours", saliency_colours()))
    for phase, path in run.saliency.items():
        name = f"Saliency, {phase.words}"
        keep(Role.saliency(phase), add_saliency(scene, path, volumes.get(phase), table, name))
    keep(Role.TABLE, add_lesion_table(scene, run.findings, "Lesions"))
    return nodes


def _remove(scene: Any, nodes: list[Any]) -> None:
    """Remove nodes with their display and storage nodes."""
    for node in nodes:
        helpers = [node.GetStorageNode()] if hasattr(node, "GetStorageNode") else []
        if hasattr(node, "GetNumberOfDisplayNodes"):
            helpers += [node.GetNthDisplayNode(index) for index in range(node.GetNumberOfDisplayNodes())]
        remove_item(scene, node)
        scene.RemoveNode(node)
        for helper in helpers:
            if helper is not None and scene.IsNodePresent(helper) and helper.GetAttribute(ROLE) is None:
                scene.RemoveNode(helper)
