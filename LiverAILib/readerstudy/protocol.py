"""The protocol of a reader study: what is read by whom, how it is asked, and what will be tested.

This part is public within the study and lies in the study file. Cases with their sources and their truth belong to the
coordinator alone (`truth`).
"""

from __future__ import annotations

import hashlib
import json
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from LiverAILib.analysis.boxes3d import MIN_IOM, MIN_IOU
from LiverAILib.readerstudy.dataset import Merit, Sampling, Target

#: Codes and names are printed, stored and typed by people: letters, digits, dot, dash, underscore.
Code = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$")]
Fraction = Annotated[float, Field(gt=0, lt=1)]


class Record(BaseModel):
    """A frozen record in which an unknown key is an error: a misspelt option must not be silently ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class QuestionKind(StrEnum):
    """What may be asked. Every kind but `text` at most once."""

    HCC = "hcc"  # yes or no
    VERDICT = "verdict"  # malignant, benign or no lesion
    TYPE = "type"  # one of the seven types, or no lesion
    MARKS = "marks"  # places of lesions
    TEXT = "text"  # free text


class Question(Record):
    """One question of the form. `ask`: the words that the reader sees.

    confidence: ask 0 to 100 for how sure the reader is of this answer (with marks: of each mark). type, box: ask each
    mark's type, and a box around the lesion beside the click. required: of a free text only; all else must be answered.
    """

    kind: QuestionKind
    id: Code = ""
    ask: str = ""
    confidence: bool = False
    type: bool = False
    box: bool = False
    required: bool = False

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("kind"), str):
            kind = values["kind"]
            return {"id": kind, "ask": _WORDS.get(kind, ""), **values}
        return values

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.kind is not QuestionKind.TEXT and self.id != self.kind:
            raise ValueError(f'only a question of kind text has an id of its own, not "{self.id}"')
        if self.kind is QuestionKind.TEXT and (self.confidence or self.type):
            raise ValueError("a free text has neither confidence nor type")
        if (self.type or self.box) and self.kind is not QuestionKind.MARKS:
            raise ValueError("only marks are asked for a type or a box")
        if self.required and self.kind is not QuestionKind.TEXT:
            raise ValueError("only a free text may be required or not; all else must be answered")
        return self


_WORDS = {
    "hcc": "Does this patient have hepatocellular carcinoma?",
    "verdict": "Malignant, benign, or no lesion?",
    "type": "Which type is the worst lesion?",
    "marks": "Mark every lesion.",
    "text": "Remarks",
}


class ReaderSpec(Record):
    """A reader under a code, which is also what he or she logs in with; never a name."""

    code: Code
    experience_years: float | None = Field(default=None, ge=0, le=70)


class ArmSpec(Record):
    """One way of reading; `assisted` ones show the AI's result."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._+-]{0,39}$")]
    assisted: bool


class PrimarySpec(Record):
    """The primary comparison: `first` minus `second`. margin: of non-inferiority; without one it is superiority."""

    merit: Merit
    target: Target
    first: str
    second: str
    margin: Fraction | None = None
    sampling: Sampling = "random readers, random cases"


class HitRuleSpec(Record):
    """When a mark counts as having found a lesion (see `dataset.HitRule`)."""

    kind: Literal["in lesion", "overlap", "distance"] = "in lesion"
    min_iou: Fraction = MIN_IOU
    min_iom: Fraction = MIN_IOM
    distance_mm: float = Field(default=15.0, gt=0, le=100)


class Protocol(Record):
    """Everything that is fixed before the first reading, but for the cases.

    design: "crossed" has two periods, in which each reader reads every case in either arm; "sequential" asks twice in
    one go, without the AI and then with it. arm_order: in a crossed study the arms of a period are "mixed" at random,
    or come in two "blocks". bundles: model packages that the AI's results must come from, name to SHA-256.
    """

    title: str = Field(min_length=1, max_length=200)
    design: Literal["crossed", "sequential"] = "crossed"
    arms: tuple[ArmSpec, ArmSpec] = (
        ArmSpec(name="unassisted", assisted=False),
        ArmSpec(name="assisted", assisted=True),
    )
    arm_order: Literal["mixed", "blocks"] = "mixed"
    readers: tuple[ReaderSpec, ...] = Field(min_length=1)
    seed: int = Field(ge=0)
    washout_days: float = Field(default=30, ge=0, le=3660)
    idle_seconds: float = Field(default=60, ge=5, le=3600)
    alpha: Fraction = 0.05
    primary: PrimarySpec
    hit_rule: HitRuleSpec = HitRuleSpec()
    questions: tuple[Question, ...] = Field(min_length=1)
    bundles: dict[str, Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]] = {}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _no_twins([reader.code for reader in self.readers], "reader")
        _no_twins([arm.name for arm in self.arms], "arm")
        _no_twins([question.id for question in self.questions], "question")
        if sum(arm.assisted for arm in self.arms) != 1:
            raise ValueError("one arm is assisted by the AI, and the other is not")
        if self.design == "sequential" and self.arms[0].assisted:
            raise ValueError("in the sequential design the arm without the AI comes first")
        names = {arm.name for arm in self.arms}
        if {self.primary.first, self.primary.second} != names:
            raise ValueError(f"primary: first and second must be the two arms {' and '.join(sorted(names))}")
        marks = self.question(QuestionKind.MARKS)
        if marks is not None and not marks.box and self.hit_rule.kind == "overlap":
            raise ValueError("hit_rule: overlap needs boxes (question marks, box: true), or use in lesion or distance")
        self._check_endpoint()
        return self

    def _check_endpoint(self) -> None:
        """Whether the questions give what the primary endpoint is computed from."""
        merit, target = self.primary.merit, self.primary.target
        own = QuestionKind.HCC if target is Target.HCC else QuestionKind.VERDICT
        asked = self.question(own)
        if merit == "wAFROC":
            marks = self.question(QuestionKind.MARKS)
            if marks is None or not marks.confidence:
                raise ValueError("primary: wAFROC needs the question marks, with confidence: true")
        elif merit == "AUC":
            if asked is None or not asked.confidence:
                raise ValueError(f"primary: the AUC of {target} needs the question {own}, with confidence: true")
        elif asked is None and self.question(QuestionKind.TYPE) is None:
            raise ValueError(f"primary: {merit} of {target} needs the question {own} (or type)")

    def question(self, kind: QuestionKind) -> Question | None:
        """The question of this kind, if it is asked; of free texts the first."""
        return next((question for question in self.questions if question.kind is kind), None)

    def arm(self, name: str) -> ArmSpec:
        """The arm of this name."""
        return next(arm for arm in self.arms if arm.name == name)

    def plain(self) -> dict[str, Any]:
        """As JSON keeps it."""
        return self.model_dump(mode="json")

    def sha256(self) -> str:
        """SHA-256 of the protocol's canonical JSON: the seal."""
        return hashlib.sha256(canonical_json(self.plain()).encode()).hexdigest()


def canonical_json(value: Any) -> str:
    """The one JSON text of a value: keys sorted, no spaces, not escaped; NaN and infinity are refused."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _no_twins(names: list[str], what: str) -> None:
    folded = [name.casefold() for name in names]
    for name in names:
        if folded.count(name.casefold()) > 1:
            raise ValueError(f'the {what} "{name}" is there twice')
