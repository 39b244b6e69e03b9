"""The coordinator's view of a running study: who is how far, never what was answered."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

from LiverAILib.readerstudy.state import ReaderState, StudyState, replay
from LiverAILib.readerstudy.store import Clock, StudyFile, SystemClock


@dataclass(frozen=True, kw_only=True)
class ReaderProgress:
    """One reader's progress. periods: (done, of) of period 1 and 2. next_from: when the next case may be read."""

    code: str
    training: tuple[int, int]
    periods: tuple[tuple[int, int], tuple[int, int]]
    next_from: dt.datetime | None
    last: dt.datetime | None
    sessions: int
    logged_in: bool
    overrides: int

    @property
    def finished(self) -> bool:
        """Whether everything is answered."""
        return all(done == of for done, of in (self.training, *self.periods))


@dataclass(frozen=True, kw_only=True)
class StudyProgress:
    """The study's progress; nothing in it depends on any answer or truth."""

    title: str
    sealed: dt.datetime | None
    amendments: int
    prepared: tuple[int, int]
    readers: tuple[ReaderProgress, ...]

    def text(self) -> str:
        """As `liverai study status` prints it."""
        seal = f"sealed {self.sealed:%Y-%m-%d}" if self.sealed else "not sealed: a pilot"
        lines = [
            f"{self.title} ({seal}, {self.amendments} amendments)",
            f"Prepared cases: {self.prepared[0]} of {self.prepared[1]}",
            f"{'reader':<12}{'training':>10}{'first':>10}{'second':>10}{'sessions':>10}  last                 next",
        ]
        for reader in self.readers:
            counts = [f"{done}/{of}" for done, of in (reader.training, *reader.periods)]
            last = f"{reader.last:%Y-%m-%d %H:%M} UTC" if reader.last else "never"
            following = "finished" if reader.finished else "may read"
            if reader.next_from is not None:
                following = f"from {reader.next_from:%Y-%m-%d %H:%M} UTC"
            if reader.logged_in:
                following += ", logged in"
            if reader.overrides:
                following += f", {reader.overrides} overrides"
            lines.append(
                f"{reader.code:<12}{counts[0]:>10}{counts[1]:>10}{counts[2]:>10}{reader.sessions:>10}  "
                f"{last:<21}{following}"
            )
        return "\n".join(lines) + "\n"


def study_progress(path: Path, clock: Clock | None = None) -> StudyProgress:
    """Verify the study file and count."""
    clock = clock or SystemClock()
    with StudyFile.open(path, clock) as file:
        state = replay(file.history)
    return StudyProgress(
        title=state.protocol.title,
        sealed=state.sealed,
        amendments=len(state.amendments),
        prepared=(len(state.prepared), len(state.cases) + len(state.training)),
        readers=tuple(_progress(state, code, reader, clock.utc()) for code, reader in state.readers.items()),
    )


def _progress(state: StudyState, code: str, reader: ReaderState, now: dt.datetime) -> ReaderProgress:
    def count(training: bool, period: int | None) -> tuple[int, int]:
        slots = [slot for slot in reader.slots if slot.training is training and period in (None, slot.period)]
        return sum(reader.done(slot) for slot in slots), len(slots)

    remaining = reader.remaining()
    due = reader.due(remaining[0]) if remaining else None
    return ReaderProgress(
        code=code,
        training=count(True, None),
        periods=(count(False, 1), count(False, 2)),
        next_from=due if due is not None and due > now else None,
        last=reader.last,
        sessions=reader.sessions,
        logged_in=bool(reader.open_sessions),
        overrides=sum(entry.reader == code for entry in state.overrides),
    )
