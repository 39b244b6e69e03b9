"""What an analysis of a reader study needs, and nothing else: facts of the protocol, truth, answers, AI results.

A plain value without a file behind it: made from a study file, from exported tables, or by simulation. What is missing
stays missing: an answer that was not given is not in `answers`, a question that was not asked is None.
Probabilities are fractions from 0 to 1, positions are (z, y, x) in mm of the patient (LPS), times are seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from math import isfinite
from pathlib import Path
from typing import Literal

from LiverAILib.analysis.boxes3d import MIN_IOM, MIN_IOU
from LiverAILib.lesion_types import LesionType
from LiverAILib.readerstudy.statistics.estimate import Sampling, StatisticsError

Point = tuple[float, float, float]
Box = tuple[Point, Point]  # lower and upper corner

Merit = Literal["AUC", "accuracy", "sensitivity", "specificity", "wAFROC"]


class DatasetError(StatisticsError):
    """A data set contradicts itself: the text names the reader, the case and what is wrong."""


class Verdict(StrEnum):
    """The three-way answer for a patient."""

    MALIGNANT = "malignant"
    BENIGN = "benign"
    NO_LESION = "no lesion"


class Target(StrEnum):
    """A two-class question. Its classes have names, and every figure of the report names the class that it is of."""

    HCC = "HCC"
    MALIGNANT = "malignant"

    @property
    def positive(self) -> str:
        """Name of the class asked for."""
        return self.value

    @property
    def negative(self) -> str:
        """Name of the other class."""
        return f"not {self.value}"


@dataclass(frozen=True, kw_only=True)
class HitRule:
    """When a mark finds a lesion. "in lesion": the click lies in the lesion's mask, or without a mask in its box;
    "overlap": IoU or intersection over the smaller box above these; "distance": no farther from the centre than this.
    """

    kind: Literal["in lesion", "overlap", "distance"] = "in lesion"
    min_iou: float = MIN_IOU
    min_iom: float = MIN_IOM
    distance_mm: float = 15.0

    @property
    def words(self) -> str:
        """The rule in a sentence."""
        if self.kind == "in lesion":
            return "the mark lies in the lesion"
        if self.kind == "overlap":
            return f"IoU > {self.min_iou:g} or IoM > {self.min_iom:g}"
        return f"the mark is at most {self.distance_mm:g} mm from the lesion's centre"


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One way of reading, `assisted` by the AI or not."""

    name: str
    assisted: bool


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """The comparison `first` minus `second` that the study is about; `margin` makes it one of non-inferiority."""

    merit: Merit
    target: Target
    first: str
    second: str
    margin: float | None = None
    sampling: Sampling = "random readers, random cases"


@dataclass(frozen=True, kw_only=True)
class Amendment:
    """A dated change of the protocol after it was sealed. endpoint: it changed the endpoint or alpha."""

    utc: str
    text: str
    endpoint: bool = False


@dataclass(frozen=True, kw_only=True)
class ProtocolFacts:
    """Of the protocol. sealed_sha256: None while it is not sealed; then no endpoint may be called primary."""

    study: str
    arms: tuple[Arm, ...]
    sealed_sha256: str | None = None
    sealed_utc: str | None = None
    endpoint: Endpoint | None = None
    alpha: float = 0.05
    hit_rule: HitRule = field(default_factory=HitRule)
    amendments: tuple[Amendment, ...] = ()
    design: Literal["crossed", "sequential", "split-plot"] = "crossed"
    washout_days: float | None = None
    seed: int = 0
    models: dict[str, str] = field(default_factory=dict)  # name of a model package: its SHA-256

    def arm(self, name: str) -> Arm:
        """The arm of this name."""
        for arm in self.arms:
            if arm.name == name:
                return arm
        raise DatasetError(f'"{name}" is none of the arms {", ".join(arm.name for arm in self.arms)}.')


@dataclass(frozen=True, kw_only=True)
class LesionMask:
    """Where a true lesion's outline is: voxels of value `label` in layer `layer` of an NRRD file."""

    path: Path
    label: int
    layer: int = 0


@dataclass(frozen=True, kw_only=True)
class TrueLesion:
    """A lesion that is there."""

    id: str
    type: LesionType | None = None
    centre: Point | None = None
    box: Box | None = None
    mask: LesionMask | None = None


@dataclass(frozen=True, kw_only=True)
class Case:
    """A patient with the truth: of the two questions and of the lesions; None where it is not known.

    type: of the worst lesion, None without one or if it is not known. lesions: None if their places are not known.
    """

    id: str
    hcc: bool | None = None
    verdict: Verdict | None = None
    type: LesionType | None = None
    lesions: tuple[TrueLesion, ...] | None = None

    def truth(self, target: Target) -> bool | None:
        """Whether the patient is of the target's positive class; None if that is not known."""
        if target is Target.HCC:
            return self.hcc
        return None if self.verdict is None else self.verdict is Verdict.MALIGNANT


@dataclass(frozen=True, kw_only=True)
class Reader:
    """A reader under a code, never a name."""

    code: str
    experience_years: float | None = None


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A lesion as a reader or the AI marked it; confidence is a fraction, higher for surer."""

    confidence: float
    point: Point | None = None
    box: Box | None = None
    type: LesionType | None = None


@dataclass(frozen=True, kw_only=True)
class Opinion:
    """What a reader or the AI says of a case. None: not asked or not answered. marks: () is "nothing there"."""

    hcc: bool | None = None
    verdict: Verdict | None = None
    type: LesionType | None = None
    p_hcc: float | None = None
    p_malignant: float | None = None
    marks: tuple[Mark, ...] | None = None

    def decision(self, target: Target) -> bool | None:
        """Whether the case is called the target's positive class."""
        if target is Target.HCC:
            return self.hcc
        return None if self.verdict is None else self.verdict is Verdict.MALIGNANT

    def rating(self, target: Target) -> float | None:
        """The probability given to the target's positive class."""
        return self.p_hcc if target is Target.HCC else self.p_malignant


@dataclass(frozen=True, kw_only=True)
class Answer(Opinion):
    """One reader's answer to one case in one arm.

    confidence: in the answer, as it was asked (0 to 1). period: 1 or 2. overlays: the AI's that were opened.
    """

    reader: str
    case: str
    arm: str
    period: int
    confidence: float | None = None
    active_seconds: float | None = None
    wall_seconds: float | None = None
    overlays: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class AiResult(Opinion):
    """The AI's result for one case. low_risk: its triage. type_probabilities: of the worst lesion."""

    case: str
    low_risk: bool | None = None
    type_probabilities: dict[LesionType, float] | None = None


@dataclass(frozen=True, kw_only=True)
class Override:
    """A rule that was overridden by the coordinator, with the reason: a washout cut short, a case reopened."""

    utc: str
    rule: str
    reader: str
    reason: str
    case: str | None = None


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A reader study, ready to be analysed. Raises DatasetError if it contradicts itself."""

    protocol: ProtocolFacts
    cases: tuple[Case, ...]
    readers: tuple[Reader, ...]
    answers: tuple[Answer, ...]
    ai: tuple[AiResult, ...] = ()
    overrides: tuple[Override, ...] = ()

    def __post_init__(self) -> None:
        for names, what in (
            (self.arm_names, "arm"),
            (self.case_ids, "case"),
            (self.reader_codes, "reader"),
            (tuple(result.case for result in self.ai), "case of an AI result"),
        ):
            twice = {name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else set()
            if twice:
                raise DatasetError(f'The {what} "{min(twice)}" is there twice. Give each its own name.')
        self._check_answers()
        strange = {result.case for result in self.ai} - set(self.case_ids)
        if strange:
            raise DatasetError(f'There is an AI result for "{min(strange)}", which is no case of the study.')
        endpoint = self.protocol.endpoint
        if endpoint is not None:
            if endpoint.first == endpoint.second:
                raise DatasetError(f'The endpoint compares the arm "{endpoint.first}" with itself. Name two arms.')
            for name in (endpoint.first, endpoint.second):
                self.protocol.arm(name)

    def _check_answers(self) -> None:
        arms, cases, readers = set(self.arm_names), set(self.case_ids), set(self.reader_codes)
        seen = set()
        for answer in self.answers:
            who = f"Reader {answer.reader}, case {answer.case}, {answer.arm}"
            if answer.arm not in arms or answer.case not in cases or answer.reader not in readers:
                raise DatasetError(f"{who}: this answer is of an arm, a case or a reader that the study does not have.")
            key = (answer.reader, answer.case, answer.arm)
            if key in seen:
                raise DatasetError(f"{who}: there are two answers. Keep the one that counts.")
            seen.add(key)
            _check_fractions(who, answer)
            for seconds in (answer.active_seconds, answer.wall_seconds):
                if seconds is not None and not (isfinite(seconds) and seconds >= 0):
                    raise DatasetError(f"{who}: a time of {seconds:g} s is none. Check the clock's log.")
        for result in self.ai:
            _check_fractions(f"AI, case {result.case}", result)

    @property
    def arm_names(self) -> tuple[str, ...]:
        """Names of the arms, in the protocol's order."""
        return tuple(arm.name for arm in self.protocol.arms)

    @property
    def case_ids(self) -> tuple[str, ...]:
        """Pseudonymous ids of the cases."""
        return tuple(case.id for case in self.cases)

    @property
    def reader_codes(self) -> tuple[str, ...]:
        """Codes of the readers."""
        return tuple(reader.code for reader in self.readers)

    @property
    def expected_answers(self) -> int:
        """Reader-cases of a complete study."""
        return len(self.readers) * len(self.cases) * len(self.protocol.arms)


def _check_fractions(who: str, opinion: Opinion) -> None:
    asked = [opinion.p_hcc, opinion.p_malignant, *(mark.confidence for mark in opinion.marks or ())]
    if isinstance(opinion, Answer):
        asked.append(opinion.confidence)
    for value in asked:
        if value is not None and not 0 <= value <= 1:
            raise DatasetError(f"{who}: {value:g} is no probability. Give a fraction from 0 to 1 (0.9 for 90%).")
