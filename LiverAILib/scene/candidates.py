"""Which of the scene's volumes is which phase, and what speaks against using it: the importer's opinions on nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

from LiverAILib.errors import StudyError
from LiverAILib.importing.geometry import StackProblem
from LiverAILib.importing.phases import Decision, decide
from LiverAILib.importing.phases_from_tags import from_tags, unwrapped, with_order
from LiverAILib.importing.sanity import check_hu
from LiverAILib.importing.tag_values import moment, seconds_of
from LiverAILib.scene.errors import SceneError
from LiverAILib.scene.provenance import ROLE
from LiverAILib.scene.volumes import node_affine, node_array, node_shape
from LiverAILib.study import ClinicalRecord, Phase, PhaseOpinion, Source, Volume

MIN_SLICES = 8
NO_OPINION = PhaseOpinion(None, 0.0, "not looked at")


class TagReader(Protocol):
    """The value of a DICOM tag ("0008,103e") of the series that a node was loaded from; "" where it is not known."""

    def __call__(self, node: Any, tag: str) -> str: ...


def no_tags(node: Any, tag: str) -> str:  # noqa: ARG001
    """For volumes without a DICOM database."""
    return ""


@dataclass(frozen=True)
class Candidate:
    """A volume of the scene as an input. `problem` says why it can't be used, `notes` what to know of it."""

    node_id: str
    tags: PhaseOpinion
    pixels: PhaseOpinion = NO_OPINION
    taken: datetime | None = None
    problem: str = ""
    notes: tuple[str, ...] = ()
    decision: Decision = field(default_factory=lambda: Decision(None, 0.0, "not looked at"))

    @property
    def text(self) -> str:
        """For a tooltip: the phase, how sure it is, and why; or what is wrong."""
        if self.problem:
            return self.problem
        said = self.decision
        name = said.phase.words if said.phase is not None else "phase uncertain"
        lines = [f"{name}, {100 * said.confidence:.0f}% sure: {said.reason}", *self.notes]
        return "\n".join([*lines, said.warning] if said.warning else lines)


def ct_nodes(scene: Any) -> list[Any]:
    """The scalar volumes that a user loaded: no label maps, nothing of ours."""
    found = scene.GetNodesByClass("vtkMRMLScalarVolumeNode")
    nodes = [found.GetItemAsObject(index) for index in range(found.GetNumberOfItems())]
    return [
        node
        for node in nodes
        if node.GetClassName() == "vtkMRMLScalarVolumeNode"
        and node.GetAttribute(ROLE) is None
        and not node.GetHideFromEditors()
    ]


def examine(node: Any, read_tag: TagReader = no_tags) -> Candidate:
    """What tags, name and header say of a node, and whether it is a CT; quick, pixels are only sampled.

    A node that was loaded from DICOM is judged by its tags, another by its name.
    """
    description = read_tag(node, "0008,103e")
    tags = from_tags(
        description=description or node.GetName() or "",
        protocol=read_tag(node, "0018,1030"),
        comments=read_tag(node, "0020,4000"),
        contrast_agent=read_tag(node, "0018,0010"),
        injected_seconds=seconds_of(read_tag(node, "0018,1042") or "x"),
        acquired_seconds=seconds_of(read_tag(node, "0008,0032") or "x"),
    )
    if not description:
        tags = replace(tags, reason=tags.reason.replace("its description", "its name"))
    taken = moment(read_tag(node, "0008,0022"), read_tag(node, "0008,0032"))
    problem, notes = _check(node, read_tag(node, "0008,0060"))
    return Candidate(node.GetID(), tags, taken=taken, problem=problem, notes=notes)


def look_at_pixels(node: Any, candidate: Candidate) -> Candidate:
    """The same with an opinion from the pixels (0.2 to 0.4 s)."""
    from LiverAILib.importing.phases_from_pixels import from_pixels

    if candidate.problem:
        return candidate
    return replace(candidate, pixels=from_pixels(node_array(node), node_affine(node)))


def weigh(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates with their decisions; the order of acquisition counts as in the importer."""
    ordered = with_order([one.tags for one in candidates], unwrapped([one.taken for one in candidates]))
    return [
        replace(one, tags=tags, decision=decide({"tags": tags, "pixels": one.pixels}))
        for one, tags in zip(candidates, ordered, strict=True)
    ]


def assign(candidates: Sequence[Candidate], taken: Mapping[Phase, str] | None = None) -> dict[Phase, str]:
    """Node id per phase: of usable volumes that say one phase the surest. `taken` is the user's choice and stays."""
    result = dict(taken or {})
    used = set(result.values())
    for one in sorted(candidates, key=lambda item: -item.decision.confidence):
        phase = one.decision.phase
        if phase is not None and not one.problem and phase not in result and one.node_id not in used:
            result[phase] = one.node_id
            used.add(one.node_id)
    return result


def clinical_from_tags(nodes: Sequence[Any], read_tag: TagReader) -> ClinicalRecord:
    """Age and sex as DICOM has them; what it does not say is None."""
    from pydicom.dataset import Dataset

    from LiverAILib.importing.tag_values import age_of

    age, sex = None, None
    for node in nodes:
        header = Dataset()
        for keyword, tag in (
            ("PatientAge", "0010,1010"),
            ("PatientBirthDate", "0010,0030"),
            ("StudyDate", "0008,0020"),
        ):
            setattr(header, keyword, read_tag(node, tag))
        age = age if age is not None else age_of(header)
        sex = sex or {"F": "female", "M": "male"}.get(read_tag(node, "0010,0040").strip().upper())
    return ClinicalRecord(age=None if age is None else round(age, 1), sex=sex)


def _check(node: Any, modality: str) -> tuple[str, tuple[str, ...]]:
    """The problem that forbids a node's use ("" for none), and notes."""
    if modality and modality != "CT":
        return f"This is no CT (modality {modality}). Choose a CT series.", ()
    try:
        shape = node_shape(node)
        array = node_array(node)
        affine = node_affine(node)
        Volume(array[:1, :1, :1].astype("float32"), affine, Source("This volume", "scene"))
        if min(shape) < MIN_SLICES:
            return f"It has only {min(shape)} slices; a liver CT needs {MIN_SLICES} or more.", ()
        notes = [f"{note[0].upper()}{note[1:]}." for note in check_hu(array)]
    except StackProblem as problem:
        text = str(problem)
        return f"{text[0].upper()}{text[1:]}", ()
    except (SceneError, StudyError) as error:
        return str(error), ()
    if node.GetParentTransformNode() is not None:
        notes.append("It is moved by a transform and is analysed where it stands.")
    return "", tuple(notes)
