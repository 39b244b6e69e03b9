"""What the scene shows of a run, kept in the scene itself: findings and the reader's opinions as text nodes.

So a scene that is saved, closed and opened again, also on another machine without the run folder, can be read on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pydantic
import slicer

from LiverAILib.errors import LiverAIError
from LiverAILib.findings import SCHEMA_VERSION, Findings
from LiverAILib.opinions import Opinions, opinions_from_json
from LiverAILib.scene.errors import SceneError
from LiverAILib.scene.load import RunNodes
from LiverAILib.scene.provenance import PREFIX, ROLE, Role, own_nodes
from LiverAILib.study import Phase

FINDINGS_ROLE = "findings"
OPINIONS_ROLE = "opinions"


@dataclass(frozen=True)
class ShownRun:
    """A run in the scene. volumes: the analysed volume nodes that are still there, by phase."""

    findings: Findings
    run_id: str
    segmentation: Any
    probability: Any
    saliency: Mapping[Phase, Any]
    volumes: Mapping[Phase, Any]

    @property
    def reference(self) -> Any:
        """The volume node of the reference phase, None if it was removed."""
        return self.volumes.get(self.findings.reference_phase)


def remember(scene: Any, nodes: RunNodes, volumes: Mapping[Phase, Any]) -> ShownRun:
    """Keep the findings and the volumes' references in the scene, and begin with no opinions."""
    text = _text_node(scene, FINDINGS_ROLE, "LiverAI findings", nodes.findings.model_dump_json())
    for phase, volume in volumes.items():
        text.SetNodeReferenceID(f"{PREFIX}{phase}", volume.GetID())
    for name, value in nodes.provenance.attributes().items():
        text.SetAttribute(name, value)
    keep_opinions(scene, Opinions(run_id=nodes.provenance.run_id))
    shown = recall(scene)
    assert shown is not None
    return shown


def recall(scene: Any) -> ShownRun | None:
    """What a scene shows; None if it shows no run. Raises SceneError if what it holds is damaged or too new."""
    by_role = {node.GetAttribute(ROLE): node for node in own_nodes(scene)}
    text = by_role.get(FINDINGS_ROLE)
    if text is None:
        return None
    segmentation, probability = by_role.get(Role.SEGMENTATION.value), by_role.get(Role.PROBABILITY.value)
    if segmentation is None or probability is None:
        raise SceneError("The findings' segmentation or map was removed from the scene. Run the analysis again.")
    try:
        findings = Findings.model_validate_json(text.GetText() or "")
    except pydantic.ValidationError as error:
        raise SceneError(
            "The findings in this scene are damaged or of another version of LiverAI. Run the analysis again."
        ) from error
    if findings.schema_version > SCHEMA_VERSION:
        raise SceneError("The findings in this scene are of a newer LiverAI. Update LiverAI.")
    volumes = {phase: text.GetNodeReference(f"{PREFIX}{phase}") for phase in Phase}
    saliency = {phase: by_role.get(f"saliency_{phase}") for phase in Phase}
    return ShownRun(
        findings,
        text.GetAttribute(PREFIX + "RunId") or "",
        segmentation,
        probability,
        {phase: node for phase, node in saliency.items() if node is not None},
        {phase: node for phase, node in volumes.items() if node is not None},
    )


def keep_opinions(scene: Any, opinions: Opinions) -> None:
    """Save the reader's opinions in the scene."""
    _text_node(scene, OPINIONS_ROLE, "LiverAI opinions", opinions.model_dump_json())


def recall_opinions(scene: Any, run_id: str) -> Opinions:
    """The reader's opinions on a run; none if they are missing or on another. Raises SceneError if damaged."""
    node = _find(scene, OPINIONS_ROLE)
    if node is None or not node.GetText():
        return Opinions(run_id=run_id)
    try:
        found = opinions_from_json(node.GetText())
    except LiverAIError as error:
        raise SceneError(str(error)) from error
    return found if found.run_id == run_id else Opinions(run_id=run_id)


def _find(scene: Any, role: str) -> Any:
    return next((node for node in own_nodes(scene) if node.GetAttribute(ROLE) == role), None)


def _text_node(scene: Any, role: str, name: str, text: str) -> Any:
    node = _find(scene, role)
    if node is None:
        node = scene.AddNewNodeByClass("vtkMRMLTextNode", name)
        node.SetAttribute(ROLE, role)
        node.SetForceCreateStorageNode(slicer.vtkMRMLTextNode.CreateStorageNodeAlways)  # short texts are lost otherwise
    node.SetText(text)
    return node
