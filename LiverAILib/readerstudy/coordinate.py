"""What the coordinator does to a study: create, seal, amend, override, reopen."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from LiverAILib import __version__
from LiverAILib.errors import OutputError
from LiverAILib.readerstudy.allocation import allocate, pseudonyms
from LiverAILib.readerstudy.errors import ProtocolError, StudyFileError
from LiverAILib.readerstudy.protocol import Protocol
from LiverAILib.readerstudy.protocol_file import read_protocol
from LiverAILib.readerstudy.schema import Kind
from LiverAILib.readerstudy.state import CLOCK, WASHOUT, StudyState, replay
from LiverAILib.readerstudy.store import Clock, StudyFile
from LiverAILib.readerstudy.truth import CaseSpec, TruthFile, truth_path, write_truth
from LiverAILib.readerstudy.verify import own_truth, pending_truth

#: What an amendment may change. All else would change what was read by whom, or how it was asked: that is a new study.
AMENDABLE = ("title", "washout_days", "idle_seconds", "alpha", "primary", "hit_rule", "bundles")


@dataclass(frozen=True, kw_only=True)
class Created:
    """A study that was just made."""

    study: Path
    truth: Path
    cases: int
    training: int
    readings: int


def create_study(protocol_path: Path, out: Path, truth_out: Path | None = None, clock: Clock | None = None) -> Created:
    """Make a study file and the coordinator's file of a protocol. Nothing that is there already is overwritten."""
    whole = read_protocol(protocol_path)
    protocol = whole.protocol
    out, truth_out = out.absolute(), (truth_out or truth_path(out)).absolute()
    if out.suffix == ".json" or out == truth_out:
        raise OutputError(f"{out.name} can't be the study file's name. Choose one that ends with .sqlite.")
    for path in (out, truth_out):
        if path.exists():
            raise OutputError(f"{path} is there already and is not overwritten. Choose another name.")
    ids = pseudonyms([(case.name, case.training) for case in whole.cases], protocol.seed)
    cases = dict(sorted((ids[case.name], case) for case in whole.cases))
    strata = {case_id: case.truth.stratum for case_id, case in cases.items() if not case.training}
    training = [case_id for case_id, case in cases.items() if case.training]
    allocation = allocate(protocol, strata, training)
    truth = TruthFile(study_id=secrets.token_hex(8), salt=secrets.token_hex(32), cases=cases, strata=strata)
    with StudyFile.create(out, clock) as file:
        write_truth(truth_out, truth, new=True)
        file.append(
            Kind.CREATED,
            {
                "study_id": truth.study_id,
                "software_version": __version__,
                "protocol": protocol.plain(),
                "truth_sha256": truth.sha256(),
                "allocation": {code: [slot.plain() for slot in slots] for code, slots in allocation.items()},
            },
        )
    readings = sum(not slot.training for slots in allocation.values() for slot in slots)
    return Created(study=out, truth=truth_out, cases=len(strata), training=len(training), readings=readings)


def seal_study(path: Path, clock: Clock | None = None) -> str:
    """Fix the protocol and the truth; returns the protocol's SHA-256. Only before the first answer that counts."""
    with StudyFile.open(path, clock) as file:
        state = replay(file.history)
        if state.sealed is not None:
            raise ProtocolError(f"The protocol was sealed on {state.sealed:%Y-%m-%d}. Changes are amendments now.")
        if state.answers:
            raise ProtocolError(
                f"There are {state.answers} answers already: what was read before the protocol is sealed is a pilot. "
                "Create the study anew and seal it before the first reading."
            )
        sha256 = state.protocol.sha256()
        file.append(Kind.SEALED, {"protocol_sha256": sha256, "truth_sha256": state.truth_sha256})
    return sha256


def amend_study(
    path: Path, protocol_path: Path, reason: str, truth_file: Path | None = None, clock: Clock | None = None
) -> dict[str, Any]:
    """Change the protocol, a truth that was wrong, or a case's source, with date and reason; returns what changed.

    After the seal it is an amendment that the report tells of. A changed source makes the case be prepared again.
    Raises ProtocolError for a change that none can make (readers, cases, arms, design, questions, seed; the source of
    a case that was read).
    """
    reason = _reason(reason)
    new = read_protocol(protocol_path, inputs=False)
    truth_file = truth_file or truth_path(path.absolute())
    with StudyFile.open(path, clock) as file, file.alone():
        state = replay(file.history)
        truth = own_truth(state, truth_file)
        changes = _changes(state.protocol, new.protocol)
        names = {case.name: case_id for case_id, case in truth.cases.items()}
        if {case.name: case.training for case in new.cases} != {
            case.name: case.training for case in truth.cases.values()
        }:
            raise ProtocolError("The cases are not those of the study. An amendment can't change them.")
        cases = dict(sorted((names[case.name], case) for case in new.cases))
        corrected = [case_id for case_id in cases if cases[case_id].truth != truth.cases[case_id].truth]
        moved = [case_id for case_id in cases if _source(cases[case_id]) != _source(truth.cases[case_id])]
        read = sorted(set(moved) & state.seen_cases)
        if read:
            raise ProtocolError(f"{read[0]} was read already; its source can't be changed any more.")
        changes |= {key: ids for key, ids in (("truth of", corrected), ("source of", moved)) if ids}
        amended = truth.model_copy(update={"cases": cases})
        if not changes:
            raise ProtocolError("This protocol is the same as the study's. Change it first.")
        protocol = new.protocol
        # The truth takes its place after the entry is stored; were this cut off between, `own_truth` finishes it.
        write_truth(pending_truth(truth_file), amended)
        file.append(
            Kind.AMENDED,
            {
                "reason": reason,
                "changes": changes,
                "protocol": protocol.plain(),
                "protocol_sha256": protocol.sha256(),
                "truth_sha256": amended.sha256(),
            },
        )
    with StudyFile.open(path, clock) as file, file.alone():
        own_truth(replay(file.history), truth_file)
    return changes


def override(
    path: Path,
    rule: str,
    reason: str,
    reader: str | None = None,
    case: str | None = None,
    clock: Clock | None = None,
) -> None:
    """Set a rule aside, with a reason that the report prints.

    "washout": the reader may read the case (or all) before the washout is over. "clock": the last entries were written
    with a wrong clock, and today's is right.
    """
    reason = _reason(reason)
    with StudyFile.open(path, clock) as file:
        state = replay(file.history)
        if rule == WASHOUT:
            _known(state, reader, case)
            file.append(Kind.OVERRIDE, {"rule": WASHOUT, "reason": reason}, reader=reader, case_id=case)
        elif rule == CLOCK:
            if reader or case:
                raise StudyFileError("The clock is everybody's: override it without a reader and a case.")
            file.append(Kind.OVERRIDE, {"rule": CLOCK, "reason": reason}, clock_checked=False)
        else:
            raise StudyFileError(f'"{rule}" is no rule that can be overridden. Rules: {WASHOUT}, {CLOCK}.')


def reopen(path: Path, reader: str, case: str, arm: str, reason: str, clock: Clock | None = None) -> None:
    """Let a reader answer a case again. The earlier answer stays in the file; the later one counts."""
    reason = _reason(reason)
    with StudyFile.open(path, clock) as file:
        state = replay(file.history)
        _known(state, reader, case)
        own = state.readers[reader]
        slot = next((slot for slot in own.slots if (slot.case, slot.arm) == (case, arm)), None)
        if slot is None or not own.done(slot):
            raise StudyFileError(f"Reader {reader} has no answer to {case} ({arm}) that could be reopened.")
        file.append(
            Kind.REOPENED, {"rule": "final answer", "reason": reason}, reader=reader, case_id=case, arm=arm,
            period=slot.period,
        )  # fmt: skip


def _source(case: CaseSpec) -> dict[str, Any]:
    return case.model_dump(exclude={"truth"})


def _changes(old: Protocol, new: Protocol) -> dict[str, Any]:
    before, after = old.plain(), new.plain()
    changed = {key: [before[key], after[key]] for key in before if before[key] != after[key]}
    fixed = sorted(set(changed) - set(AMENDABLE))
    if fixed:
        raise ProtocolError(
            f"An amendment can't change {', '.join(fixed)}: that would be another study. It can change: "
            f"{', '.join(AMENDABLE)}, and a case's truth."
        )
    return changed


def _reason(reason: str) -> str:
    if len(reason.split()) < 2:
        raise ProtocolError("Give the reason in words: it is printed in the report.")
    return " ".join(reason.split())


def _known(state: StudyState, reader: str | None, case: str | None) -> None:
    if reader not in state.readers:
        what = f'"{reader}" is no reader of this study' if reader else "Name the reader"
        raise StudyFileError(f"{what}. Readers: {', '.join(state.readers)}.")
    if case is not None and case not in state.cases:
        raise StudyFileError(f'"{case}" is no case of this study. Cases are called C001 and so on.')
