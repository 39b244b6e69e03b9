"""What a reader says of the findings, kept apart from what the program says: both are saved, neither overwrites."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from LiverAILib.errors import LiverAIError
from LiverAILib.findings import Findings, Lesion
from LiverAILib.lesion_types import LesionType

#: Raised when fields come, go or change their meaning.
SCHEMA_VERSION = 1
READER_PREFIX = "reader_"


class Call(StrEnum):
    """A reader's word on whether there is a lesion."""

    OPEN = "open"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Opinion(_Record):
    """A reader's word on one of the program's lesions; None and OPEN say nothing."""

    call: Call = Call.OPEN
    type: LesionType | None = Field(default=None, description="the reader's type; None leaves the program's")
    name: str | None = Field(default=None, description="the reader's name; None leaves the program's")

    @property
    def empty(self) -> bool:
        return self == Opinion()


class Opinions(_Record):
    """All of a reader's words on one run. Every change gives a new object.

    opinions: by lesion id. added: lesions that the reader drew, measured as the program's are; their ids begin with
    `reader_`.
    """

    schema_version: int = SCHEMA_VERSION
    run_id: str = ""
    opinions: dict[str, Opinion] = {}
    added: list[Lesion] = []

    def of(self, lesion_id: str) -> Opinion:
        """The word on a lesion; an empty one if there is none."""
        return self.opinions.get(lesion_id, Opinion())

    def with_call(self, lesion_id: str, call: Call) -> Opinions:
        """Confirm, reject, or take either back with OPEN."""
        return self._with(lesion_id, self.of(lesion_id).model_copy(update={"call": call}))

    def with_type(self, lesion_id: str, kind: LesionType | None) -> Opinions:
        """Another type; None takes it back."""
        return self._with(lesion_id, self.of(lesion_id).model_copy(update={"type": kind}))

    def with_name(self, lesion_id: str, name: str) -> Opinions:
        """Another name; an empty one takes it back."""
        return self._with(lesion_id, self.of(lesion_id).model_copy(update={"name": name.strip() or None}))

    def with_added(self, lesion: Lesion) -> Opinions:
        """With a lesion that the reader drew; one of the same id is replaced."""
        kept = [one for one in self.added if one.id != lesion.id]
        return self.model_copy(update={"added": [*kept, lesion]})

    def without_added(self, lesion_id: str) -> Opinions:
        """Without a lesion of the reader's, and without what was said of it."""
        rest = {key: value for key, value in self.opinions.items() if key != lesion_id}
        return self.model_copy(update={"added": [one for one in self.added if one.id != lesion_id], "opinions": rest})

    def _with(self, lesion_id: str, opinion: Opinion) -> Opinions:
        rest = {key: value for key, value in self.opinions.items() if key != lesion_id}
        return self.model_copy(update={"opinions": rest if opinion.empty else {**rest, lesion_id: opinion}})


class ReadLesion(_Record):
    """A lesion with both words on it, for tables and reports."""

    lesion: Lesion
    opinion: Opinion
    by_reader: bool

    @property
    def name(self) -> str:
        return self.opinion.name or self.lesion.name

    @property
    def program_type(self) -> LesionType | None:
        return self.lesion.likeliest_type

    @property
    def type(self) -> LesionType | None:
        """The reader's type, else the program's likeliest."""
        return self.opinion.type or self.program_type

    @property
    def rejected(self) -> bool:
        return self.opinion.call is Call.REJECTED


def read_lesions(findings: Findings, opinions: Opinions) -> list[ReadLesion]:
    """The program's lesions in its order, then the reader's."""
    ours = [ReadLesion(lesion=one, opinion=opinions.of(one.id), by_reader=False) for one in findings.lesions]
    theirs = [ReadLesion(lesion=one, opinion=opinions.of(one.id), by_reader=True) for one in opinions.added]
    return ours + theirs


def next_reader_id(taken: Sequence[str]) -> str:
    """A segment id for a lesion that a reader is about to draw."""
    number = 1
    while f"{READER_PREFIX}{number}" in taken:
        number += 1
    return f"{READER_PREFIX}{number}"


def opinions_from_json(text: str) -> Opinions:
    """Read what was saved; raises LiverAIError if it is damaged or of a newer LiverAI."""
    try:
        found = Opinions.model_validate_json(text)
    except ValueError as error:
        raise LiverAIError("The reader's opinions in this scene are damaged and can't be read.") from error
    if found.schema_version > SCHEMA_VERSION:
        raise LiverAIError("The reader's opinions in this scene are of a newer LiverAI. Update LiverAI.")
    return found
