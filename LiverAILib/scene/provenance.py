"""Which nodes are ours and which run they show, as node attributes, which survive saving and loading a scene."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from LiverAILib.export.run_folder import FINDINGS
from LiverAILib.findings import Findings
from LiverAILib.study import Phase

PREFIX = "LiverAI."
ROLE = PREFIX + "Role"


class Role(StrEnum):
    """What one of our nodes is for."""

    SEGMENTATION = "segmentation"
    PROBABILITY = "lesion_probability"
    COLOURS = "lesion_probability_colours"
    TABLE = "lesion_table"
    SALIENCY_COLOURS = "saliency_colours"
    SALIENCY_NON_CONTRAST = "saliency_non_contrast"
    SALIENCY_ARTERIAL = "saliency_arterial"
    SALIENCY_PORTAL_VENOUS = "saliency_portal_venous"
    SALIENCY_DELAYED = "saliency_delayed"

    @classmethod
    def saliency(cls, phase: Phase) -> Role:
        """The role of a phase's saliency."""
        return cls(f"saliency_{phase}")


@dataclass(frozen=True)
class Provenance:
    """Where shown findings come from, and what they say of the patient ("" where they say nothing)."""

    run_id: str
    software_version: str
    created_utc: str
    reference_phase: str
    models: str  # JSON, name -> {"version", "sha256"}
    triage: str = ""
    reading: str = ""  # the triage's reason in words
    malignancy: str = ""  # of the worst lesion
    hcc_risk: str = ""  # JSON, the fields of findings.HCCRisk but those of slices

    @classmethod
    def of(cls, findings: Findings, run_folder: Path) -> Provenance:
        """The provenance of a run; its id is taken from the content of findings.json."""
        digest = hashlib.sha256((run_folder / FINDINGS).read_bytes()).hexdigest()
        models = {model.name: {"version": model.version, "sha256": model.sha256} for model in findings.models}
        risk = findings.hcc_risk
        return cls(
            run_id=digest[:16],
            software_version=findings.software_version,
            created_utc=findings.created_utc,
            reference_phase=str(findings.reference_phase),
            models=json.dumps(models, sort_keys=True),
            triage="" if findings.reading is None else findings.reading.triage or "",
            reading="" if findings.reading is None else findings.reading.reason,
            malignancy=""
            if findings.reading is None or findings.reading.malignancy is None
            else f"{findings.reading.malignancy:.4f}",
            hcc_risk="" if risk is None else risk.model_dump_json(exclude={"slices", "scores"}),
        )

    def attributes(self) -> dict[str, str]:
        """Attribute names and values, as they are set on each node and on the folder."""
        always = {
            PREFIX + "RunId": self.run_id,
            PREFIX + "SoftwareVersion": self.software_version,
            PREFIX + "CreatedUtc": self.created_utc,
            PREFIX + "ReferencePhase": self.reference_phase,
            PREFIX + "Models": self.models,
        }
        said = {
            PREFIX + "Triage": self.triage,
            PREFIX + "Reading": self.reading,
            PREFIX + "Malignancy": self.malignancy,
            PREFIX + "HCCRisk": self.hcc_risk,
        }
        return always | {name: value for name, value in said.items() if value}

    def mark(self, node: Any, role: Role) -> None:
        """Set the attributes on a node."""
        node.SetAttribute(ROLE, role.value)
        for name, value in self.attributes().items():
            node.SetAttribute(name, value)


def own_nodes(scene: Any) -> list[Any]:
    """Every node of the scene that carries a role of ours, in the scene's order."""
    nodes = scene.GetNodes()
    every = (nodes.GetItemAsObject(i) for i in range(nodes.GetNumberOfItems()))
    return [node for node in every if node.GetAttribute(ROLE)]
