"""All that can be checked of a study: the file, its seal, truth, allocation, the AI's opinions, prepared files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from LiverAILib.readerstudy.allocation import allocate
from LiverAILib.readerstudy.case_files import CaseFiles
from LiverAILib.readerstudy.errors import StudyFileError
from LiverAILib.readerstudy.protocol import Protocol
from LiverAILib.readerstudy.schema import Entry, Kind
from LiverAILib.readerstudy.state import StudyState, replay
from LiverAILib.readerstudy.store import Clock, StudyFile
from LiverAILib.readerstudy.truth import Head, TruthFile, read_truth, write_truth


@dataclass(frozen=True, kw_only=True)
class Verified:
    """A study that is as it was written. checked: what was looked at, in words; truth: None if it was left out."""

    head: Head
    checked: tuple[str, ...]
    entries: tuple[Entry, ...]
    state: StudyState
    truth: TruthFile | None


def verify_study(
    path: Path, truth_file: Path | None = None, *, files: bool = False, clock: Clock | None = None
) -> Verified:
    """Check all there is to check; raises StudyFileError that names the first thing that is wrong.

    truth_file: also check the truth, the allocation, the AI's opinions, and that the file still holds what it held at
    every earlier verification (whoever rewrites the whole chain, or cuts off its end, is found by that). files: also
    hash all prepared files.
    """
    with StudyFile.open(path, clock) as file:
        entries = file.history
        state = replay(entries)
        truth = None
        if truth_file is not None:
            with file.alone():  # another program may be about to write the truth file
                truth = _checked_truth(path, entries, state, truth_file)
    head = _head(entries)
    checked = [f"{head.number} entries, each chained to the one before"]
    _check_seal(path, entries)
    if state.sealed:
        checked.append(f"protocol sealed on {state.sealed:%Y-%m-%d}, {len(state.amendments)} amendments")
    if truth is not None:
        checked.append(f"truth of {len(truth.cases)} cases, allocation, {len(truth.heads)} verifications so far")
    if files:
        prepared = CaseFiles(path.absolute(), {case: ready.files for case, ready in state.prepared.items()})
        checked.append(f"{sum(prepared.check_all(case) for case in state.prepared)} prepared files")
    return Verified(head=head, checked=tuple(checked), entries=entries, state=state, truth=truth)


def own_truth(state: StudyState, truth_file: Path) -> TruthFile:
    """The coordinator's file, if it is this study's and as it was. Call it while the study is held (`alone`).

    An amendment leaves the new truth beside it: it takes its place if its entry was stored, else it is dropped.
    """
    pending = pending_truth(truth_file)
    if pending.exists():
        amended = read_truth(pending)
        if amended.sha256() == state.truth_sha256:
            pending.replace(truth_file)
        else:
            pending.unlink()
    truth = read_truth(truth_file)
    if truth.study_id != state.study_id:
        raise StudyFileError(f"{truth_file.name} is the truth of another study. Name the right one with --truth.")
    if truth.sha256() != state.truth_sha256:
        raise StudyFileError(
            f"{truth_file.name} was changed: its cases or their truth are not those of the study. Take your copy of "
            "it; a truth that was wrong is corrected with `liverai study amend`."
        )
    return truth


def _checked_truth(path: Path, entries: tuple[Entry, ...], state: StudyState, truth_file: Path) -> TruthFile:
    """The truth, checked against the study file and that against it; remembers where the study file ends now."""
    truth = own_truth(state, truth_file)
    _check_heads(path, entries, truth)
    if state.allocation != allocate(state.protocol, truth.strata, state.training):
        raise StudyFileError(f"{path.name}: the allocation is not the one that follows from the seed.")
    for case, ready in state.prepared.items():
        if case not in truth.ai or truth.opinion_sha256(case) != ready.opinion_sha256:
            raise StudyFileError(f"{truth_file.name}: the AI's opinion of {case} is not the prepared one.")
    head = _head(entries)
    if head not in truth.heads:
        truth = truth.model_copy(update={"heads": [*truth.heads, head]})
        write_truth(truth_file, truth)
    return truth


def _head(entries: tuple[Entry, ...]) -> Head:
    return Head(number=entries[-1].number, hash=entries[-1].hash)


def _check_seal(path: Path, entries: tuple[Entry, ...]) -> None:
    """Whether every hash of a protocol that the file states is that of the protocol which it holds."""
    protocol: Protocol | None = None
    for entry in entries:
        if entry.kind in (Kind.CREATED, Kind.AMENDED):
            protocol = Protocol.model_validate(entry.content["protocol"])
        stated = entry.content.get("protocol_sha256")
        if stated is not None and (protocol is None or stated != protocol.sha256()):
            raise StudyFileError(f"{path.name}: the hash in {entry.words} is not that of the protocol.")


def pending_truth(truth_file: Path) -> Path:
    """Where an amended truth waits for its entry."""
    return truth_file.with_suffix(".amended")


def _check_heads(path: Path, entries: tuple[Entry, ...], truth: TruthFile) -> None:
    for known in truth.heads:
        if known.number > len(entries) or entries[known.number - 1].hash != known.hash:
            raise StudyFileError(
                f"{path.name} is not what it was: entry {known.number} differs from the one seen at an earlier "
                "verification, or is gone. Take your last good copy, and keep this one."
            )
