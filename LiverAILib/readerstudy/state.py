"""What a study file says, replayed from its entries: the protocol as it stands, who read what, what was overridden."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from LiverAILib.readerstudy.allocation import Slot
from LiverAILib.readerstudy.errors import StudyFileError
from LiverAILib.readerstudy.protocol import Protocol
from LiverAILib.readerstudy.schema import Entry, Kind

#: What `override` can set aside.
WASHOUT, CLOCK = "washout", "clock"


@dataclass(kw_only=True)
class ReaderState:
    """One reader's part: what is to be read, and what was done of it; never an answer.

    washout_days: None in a sequential study. answered: (case, arm) -> answers given; seen: when each (case, arm) was
    last open.
    """

    slots: list[Slot]
    washout_days: float | None
    answered: Counter[tuple[str, str]] = field(default_factory=Counter)
    reopened: Counter[tuple[str, str]] = field(default_factory=Counter)
    seen: dict[tuple[str, str], dt.datetime] = field(default_factory=dict)
    waived: set[str | None] = field(default_factory=set)  # cases whose washout was overridden; None: all
    open_sessions: list[int] = field(default_factory=list)
    sessions: int = 0
    last: dt.datetime | None = None

    def done(self, slot: Slot) -> bool:
        """Whether this reading is answered and was not reopened since."""
        key = (slot.case, slot.arm)
        return self.answered[key] > self.reopened[key]

    def remaining(self) -> list[Slot]:
        """What is still to be read, in order; reopened cases first."""
        left = [slot for slot in self.slots if not self.done(slot)]
        left.sort(key=lambda slot: not self.reopened[slot.case, slot.arm])
        return left

    def due(self, slot: Slot) -> dt.datetime | None:
        """When this reading may be done for the washout's sake; None: at any time.

        In the crossed design a case may be read `washout_days` after the reader last had it open in the other arm.
        """
        if self.washout_days is None or slot.training or self.reopened[slot.case, slot.arm]:
            return None
        if self.waived & {None, slot.case}:
            return None
        others = [when for (case, arm), when in self.seen.items() if case == slot.case and arm != slot.arm]
        return max(others) + dt.timedelta(days=self.washout_days) if others else None


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A case that is ready to be read: its files under the cases folder, with SHA-256."""

    files: dict[str, str]
    models: dict[str, str]
    opinion_sha256: str


@dataclass(kw_only=True)
class StudyState:
    """The study as it stands."""

    study_id: str
    protocol: Protocol
    truth_sha256: str
    allocation: dict[str, list[Slot]]
    created: dt.datetime
    cases: list[str]  # pseudonyms of the cases to read, in order
    training: list[str]  # and of the training cases
    sealed: dt.datetime | None = None
    sealed_sha256: str | None = None
    amendments: list[tuple[str, str, dict[str, Any]]] = field(
        default_factory=list
    )  # after the seal: UTC, reason, changes
    prepared: dict[str, Prepared] = field(default_factory=dict)
    readers: dict[str, ReaderState] = field(default_factory=dict)
    overrides: list[Entry] = field(default_factory=list)
    answers: int = 0  # to cases that are not for training

    @property
    def seen_cases(self) -> set[str]:
        """Cases that some reader had open."""
        return {case for reader in self.readers.values() for case, _ in reader.seen}


def replay(entries: Iterable[Entry]) -> StudyState:
    """The state that a verified study file is in."""
    state: StudyState | None = None
    for entry in entries:
        if entry.kind is Kind.CREATED:
            state = _created(entry)
        elif state is None:
            raise StudyFileError("The study file does not begin with a protocol. Take your last good copy.")
        else:
            _apply(state, entry)
    if state is None:
        raise StudyFileError("The study file is empty: its making was cut off. Delete it and create it again.")
    return state


def _created(entry: Entry) -> StudyState:
    content = entry.content
    protocol = Protocol.model_validate(content["protocol"])
    allocation = {code: [Slot.from_plain(slot) for slot in slots] for code, slots in content["allocation"].items()}
    return StudyState(
        study_id=content["study_id"],
        protocol=protocol,
        truth_sha256=content["truth_sha256"],
        allocation=allocation,
        created=dt.datetime.fromisoformat(entry.utc),
        readers={code: ReaderState(slots=slots, washout_days=_washout(protocol)) for code, slots in allocation.items()},
        cases=sorted({slot.case for slots in allocation.values() for slot in slots if not slot.training}),
        training=sorted({slot.case for slots in allocation.values() for slot in slots if slot.training}),
    )


def _apply(state: StudyState, entry: Entry) -> None:
    content, when = entry.content, dt.datetime.fromisoformat(entry.utc)
    if entry.kind is Kind.SEALED:
        state.sealed, state.sealed_sha256 = when, content["protocol_sha256"]
    elif entry.kind is Kind.AMENDED:
        state.protocol = Protocol.model_validate(content["protocol"])
        state.truth_sha256 = content["truth_sha256"]
        if state.sealed is not None:  # before that it is a draft
            state.amendments.append((entry.utc, content["reason"], content["changes"]))
        for reader in state.readers.values():
            reader.washout_days = _washout(state.protocol)
        for case in content["changes"].get("source of", []):
            state.prepared.pop(case, None)
    elif entry.kind is Kind.PREPARED and entry.case_id is not None:
        state.prepared[entry.case_id] = Prepared(**content)
    elif entry.kind in (Kind.OVERRIDE, Kind.REOPENED):
        state.overrides.append(entry)
    if entry.reader is not None:
        _apply_to_reader(state, state.readers[entry.reader], entry, when)


def _apply_to_reader(state: StudyState, reader: ReaderState, entry: Entry, when: dt.datetime) -> None:
    key = (entry.case_id or "", entry.arm or "")
    if entry.kind is Kind.SESSION_START:
        reader.open_sessions.append(entry.number)
        reader.sessions += 1
    elif entry.kind is Kind.SESSION_END and entry.session in reader.open_sessions:
        reader.open_sessions.remove(entry.session)
    elif entry.kind is Kind.OVERRIDE and entry.content["rule"] == WASHOUT:
        reader.waived.add(entry.case_id)
    elif entry.kind is Kind.REOPENED:
        reader.reopened[key] += 1
    if entry.kind is Kind.ANSWER:
        reader.answered[key] += 1
        state.answers += entry.case_id not in state.training
    if entry.kind in (Kind.BEGIN, Kind.EVENT, Kind.ANSWER):
        reader.seen[key] = when
    if entry.session is not None:
        reader.last = when


def _washout(protocol: Protocol) -> float | None:
    return protocol.washout_days if protocol.design == "crossed" else None
