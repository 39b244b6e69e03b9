"""A run folder with all that findings can hold: types, verdicts, reading, risk, slice scores, saliency."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scene_fixtures import AFFINE, Run, add_volumes, make_run

from LiverAILib.export.nrrd import write_nrrd
from LiverAILib.export.run_folder import FINDINGS
from LiverAILib.findings import Findings, HCCRisk, Reading, SliceScores, Triage, Verdict
from LiverAILib.lesion_types import LesionType
from LiverAILib.study import Phase

PHASES = (Phase.NON_CONTRAST, Phase.ARTERIAL, Phase.PORTAL_VENOUS)
#: HCC, cyst, metastasis in turn; the first stands out most in the arterial phase.
TURN = (LesionType.HCC, LesionType.CYST, LesionType.METASTASIS)


def probabilities(kind: LesionType, top: float = 0.82) -> dict[LesionType, float]:
    """`top` for one type, the rest shared."""
    return {one: top if one is kind else round((1 - top) / 6, 6) for one in LesionType}


def make_rich_run(
    folder: Path, *, lesions: int = 3, shape: tuple[int, int, int] = (16, 48, 56), affine: Any = AFFINE
) -> Run:
    """A run folder of `make_run` with everything in its findings, and saliency of each phase."""
    run = make_run(folder, shape=shape, affine=affine, lesions=lesions, phases=PHASES)
    rich = []
    for number, lesion in enumerate(run.findings.lesions):
        kind = TURN[number % 3]
        hu = {Phase.NON_CONTRAST: 80.0, Phase.ARTERIAL: 160.0 if number == 0 else 100.0, Phase.PORTAL_VENOUS: 60.0}
        update = {
            "type_probabilities": probabilities(kind),
            "verdict": Verdict.MALIGNANT if kind.malignant else Verdict.BENIGN,
            "found_in": list(PHASES) if number == 0 else [Phase.PORTAL_VENOUS],
            "approximate_in": [Phase.NON_CONTRAST] if number == 1 else [],
            "mean_hu": hu,
            "saliency_share": {Phase.ARTERIAL: 0.4},
        }
        rich.append(lesion.model_copy(update=update))
    scores = SliceScores(
        slices=[(index, index + 1) for index in range(2, shape[0] - 2)],
        nodule=np.linspace(0, 1, shape[0] - 4).tolist(),
    )
    reading = Reading(
        triage=Triage.HIGH,
        reason="High risk: Lesion 1 is definitely malignant (most likely hepatocellular carcinoma).",
        worst="lesion_1",
        verdict=Verdict.MALIGNANT,
        malignancy=0.88,
        malignant=True,
    )
    findings = run.findings.model_copy(
        update={
            "lesions": rich,
            "reading": reading,
            "hcc_risk": HCCRisk(
                printed=0.0125,
                unscaled=0.45,
                images=36,
                threshold=0.4,
                hcc=True,
                slices=scores.slices[1:],
                scores=np.linspace(1, 0, shape[0] - 5).tolist(),
            ),
            "slice_scores": dict.fromkeys(PHASES, scores),
            "warnings": ["There is no delayed phase."],
        }
    )
    findings = Findings.model_validate(findings.model_dump())
    (folder / FINDINGS).write_text(findings.model_dump_json(), encoding="utf-8")
    for phase in PHASES:
        saliency = np.where(run.lesions > 0, 0.9, 0.0).astype(np.float32)
        write_nrrd(folder / f"saliency_{phase}.nrrd", saliency, affine)
    return Run(run.folder, run.study, findings, run.liver, run.lesions, run.probability)


def show_rich(panel: Any, folder: Path, **options: Any) -> tuple[Run, dict[Phase, Any]]:
    """Such a run in the scene and on the panel, as after an analysis."""
    import slicer

    run = make_rich_run(folder, **options)
    volumes = add_volumes(slicer.mrmlScene, run)
    for phase, node in volumes.items():
        panel.study.selectors[phase].setCurrentNode(node)
    panel.logic.show(run.folder, volumes)
    panel.restore()
    return run, volumes
