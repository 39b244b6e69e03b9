"""Model cards: of each package what it is for, what it was trained on, what was measured, and its limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from LiverAILib.bundles import Bundle
from LiverAILib.evaluation.figures import Figure, table
from LiverAILib.evaluation.measure import Evaluation
from LiverAILib.evaluation.part import Part, PartName
from LiverAILib.study import Phase

#: The parts whose figures speak of a package.
PARTS_OF: Mapping[str, tuple[PartName, ...]] = {
    "liversegnet": ("segmentation", "cost"),
    "phasecomparison": ("whole",),
    "lesiondetector": ("detector", "whole"),
    "lesionclassifier": ("classifier", "whole"),
    "nodulenet": ("nodulenet",),
    "hccnet": ("hccnet",),
}
#: What a reader should know of its limits.
LIMITS: Mapping[str, str] = {
    "liversegnet": """Livers after surgery, with large or diffuse disease, or in phases other than portal venous may be
outlined wrongly; small lesions are missed; of fatty and very bright livers large parts may be called lesion.""",
    "phasecomparison": """It needs two of three contrast phases, and the liver that LiverSegNet finds: what lies outside
that liver is not found. It learnt from synthetic exams alone how a lesion looks beside its other phases; vessels and
uneven enhancement of real exams may deceive it. A delayed phase is not compared.""",
    "lesiondetector": """It looks at the liver that LiverSegNet finds, and goes on from its lesion probability: what
lies outside that liver is not found, and what LiverSegNet does not suspect rarely is. Boxes that touch may be linked to
one lesion.""",
    "lesionclassifier": """It knows seven types and calls every lesion one of them, whatever it is. Types were learnt
from synthetic lesions and real cysts; of real tumours only that they are malignant. It leans on the clinical record, on
several phases and on the patient's other lesions: from one phase and without a record it is often wrong, and a wrong
finding may mislead it about the others.""",
    "nodulenet": """It scores slices, not lesions. Saliency shows where the network's activations are sparse and strong,
which does not prove why it decided.""",
    "hccnet": """It sees a slice in all phases at once; fewer phases tell it less. The risk score was learnt from
synthetic HCC beside six other synthetic types. Slices with lesions of unknown type took no part.""",
}
_ALL_LIMITS = """Multi-phase exams with typed lesions are synthetic, made on real portal-venous anatomy: figures on them
show how well the network knows the rules that made them, not clinical performance. No figure was measured in clinical
use. Real CT came from few hospitals; other scanners, children and treated livers were not seen."""
_PAPERS = """The papers' networks were trained on thousands of patients (LiAIDS: 6,901). These weights were not: read
the figures below with that in mind."""
_MEASURED = """On data that nothing was trained on; 95% intervals. Lesions and slices of one exam or patient are not
independent, so intervals were drawn by exam or patient."""


def write_cards(evaluation: Evaluation, parts: Sequence[Part], folder: Path) -> None:
    """NAME.md for every package that is there."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in PARTS_OF:
        bundle = evaluation.bundle(name)
        if bundle is not None:
            (folder / f"{name}.md").write_text(card(bundle, parts), encoding="utf-8")


def card(bundle: Bundle, parts: Sequence[Part]) -> str:
    """One package's card as Markdown."""
    metadata = bundle.metadata
    extra: Mapping[str, Any] = metadata.model_extra or {}
    training: Mapping[str, Any] = extra.get("training") or {}
    measured = [part for part in parts if part.name in PARTS_OF[metadata.name]]
    figures: list[Figure] = [figure for part in measured for figure in part.figures]
    patients: Mapping[str, Sequence[str]] = training.get("patients") or {}
    phases = ", ".join(Phase(phase).words for phase in metadata.input.phases)
    described = str(extra.get("description", "")).removesuffix("Research use only, not for diagnosis.")
    low, high = metadata.input.window_hu
    slices = f"slices of at least {metadata.input.min_slice_mm:g} mm"
    lines = [
        f"# {metadata.network} ({metadata.preset}), package {metadata.name} {metadata.version}",
        "",
        f"{described}**Research use only. Not for diagnosis.**",
        "",
        f"- Task: {extra.get('task', metadata.network)}",
        f"- Classes: {', '.join(metadata.labels)}",
        f"- Input: CT clipped to [{low:g}, {high:g}] HU, {metadata.input.in_plane_mm:g} mm pixels, {slices}",
        f"- Phases: {phases}",
        f"- SHA-256 of the weights: `{metadata.sha256}`",
        f"- Licence of the training data: {metadata.data_licence}",
        "",
        "## Trained on",
        "",
        metadata.trained_on,
        "",
        _training_words(training, patients),
        _PAPERS,
        "",
    ]
    if figures:
        lines += [
            "## Measured",
            "",
            _MEASURED,
            "",
            table(figures),
        ]
    notes = [note for part in measured for note in part.notes]
    if notes:
        lines += [*(f"- {note}" for note in notes), ""]
    if metadata.results:
        lines += ["## Measured when it was trained", "", "| what | on | n | value |", "| --- | --- | --- | --- |"]
        lines += [f"| {r.get('what')} | {r.get('on')} | {r.get('n')} | {r.get('value')} |" for r in metadata.results]
        lines.append("")
    lines += ["## Limits", "", LIMITS[metadata.name], _ALL_LIMITS, ""]
    return "\n".join(lines)


def _training_words(training: Mapping[str, Any], patients: Mapping[str, Sequence[str]]) -> str:
    words = []
    if patients:
        counts = ", ".join(f"{len(names)} {side}" for side, names in patients.items())
        words.append(f"Real patients by side of the split: {counts}.")
    exams: Mapping[str, Mapping[str, int]] = training.get("exams") or {}
    for side, kinds in exams.items():
        if kinds:
            words.append(f"Of the {side} side: {', '.join(f'{n} {kind}' for kind, n in kinds.items())}.")
    if "steps" in training:
        words.append(f"{training['steps']:,} steps in {training.get('minutes', '?')} minutes.")
    return " ".join(words)
