"""A reader's session: the next case, its images, what happened, the answer; and nothing that a reader must not know.

What a session can reach: the reader's own order of cases, the images of the open case, and in the assisted arm its run
folder. Its connection to the study file can add entries but read no content (see `connection.reader_connection`). To
the reader a case is a number in the reader's own order.
"""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from LiverAILib import __version__
from LiverAILib.readerstudy.allocation import Slot
from LiverAILib.readerstudy.answers import agreement, checked_answer
from LiverAILib.readerstudy.case_files import CaseFiles, Grid
from LiverAILib.readerstudy.connection import reader_connection
from LiverAILib.readerstudy.errors import NotYetError, SessionEndedError, SessionError
from LiverAILib.readerstudy.protocol import ArmSpec, Question
from LiverAILib.readerstudy.schema import Kind
from LiverAILib.readerstudy.state import ReaderState, replay
from LiverAILib.readerstudy.store import Clock, StudyFile, SystemClock, append_entry
from LiverAILib.readerstudy.timing import OF_THE_ENGINE, Event
from LiverAILib.readerstudy.truth import AiOpinion
from LiverAILib.study import Phase, Volume


@dataclass(frozen=True, kw_only=True)
class ReadingCase:
    """What the reader may know of the open case. again: the images are those of the answer just given (sequential)."""

    title: str
    number: int
    total: int
    training: bool
    assisted: bool
    arm: str
    again: bool
    phases: tuple[Phase, ...]
    questions: tuple[Question, ...]


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How far the reader is: cases answered and to be read, training left out."""

    done: int
    total: int


def open_session(path: Path, code: str, clock: Clock | None = None) -> ReaderSession:
    """Log a reader in: verify the study file, close what a crash left open, and go on where the reader was.

    A session of the same code that is still open elsewhere ends by this. Raises SessionError for a code that is not of
    the study or cases that are not prepared, StudyFileError for a file that is not as it was written.
    """
    clock = clock or SystemClock()
    path = path.absolute()
    with StudyFile.open(path, clock) as file:
        state = replay(file.history)
        names = {name.casefold(): name for name in state.readers}
        reader_code = names.get(code.strip().casefold())
        if reader_code is None:
            raise SessionError("This code is not one of the study. Check it, or ask the coordinator.")
        reader = state.readers[reader_code]
        missing = {slot.case for slot in reader.slots} - set(state.prepared)
        if missing:
            raise SessionError(
                f"{len(missing)} cases are not prepared yet. The coordinator runs `liverai study prepare` first."
            )
        for number in reader.open_sessions:
            file.append(Kind.SESSION_END, {"why": "not logged out"}, reader=reader_code, session=number)
        begin = {"software_version": __version__, "sealed": state.sealed is not None}
        session = file.append(Kind.SESSION_START, begin, reader=reader_code, opens_session=True)
        own = {slot.case for slot in reader.slots}
        files = CaseFiles(path, {case: ready.files for case, ready in state.prepared.items() if case in own})
        protocol = state.protocol
    return ReaderSession(
        path,
        reader_code,
        session,
        reader,
        files,
        questions=protocol.questions,
        arms=protocol.arms,
        idle_seconds=protocol.idle_seconds,
        pilot=state.sealed is None,
        replaced=bool(reader.open_sessions),
        clock=clock,
    )


class ReaderSession:
    """The engine behind the reading panel. Made by `open_session`; use it from one thread.

    `next_case`, then `log` what happens (at least FIRST_VIEW), then `submit`; after a crash log in again. pilot: the
    protocol is not sealed, so that nothing read now counts for a primary endpoint. replaced: an earlier session of this
    code had not been logged out of, by a crash or because it was open elsewhere; it has ended.
    """

    def __init__(
        self,
        path: Path,
        code: str,
        number: int,
        reader: ReaderState,
        files: CaseFiles,
        *,
        questions: tuple[Question, ...],
        arms: Sequence[ArmSpec],
        idle_seconds: float,
        pilot: bool,
        replaced: bool,
        clock: Clock,
    ) -> None:
        self.code = code
        self.pilot = pilot
        self.replaced = replaced
        self._path = path
        self._number = number
        self._reader = reader
        self._files = files
        self._questions = questions
        self._assisted = {arm.name: arm.assisted for arm in arms}
        self._idle_seconds = idle_seconds
        self._clock = clock
        self._queue = deque(reader.remaining())
        self._connection: sqlite3.Connection | None = reader_connection(path)
        self._open: _OpenCase | None = None
        self._last_case: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def standing(self) -> Standing:
        """How far the reader is."""
        slots = [slot for slot in self._reader.slots if not slot.training]
        return Standing(done=sum(self._reader.done(slot) for slot in slots), total=len(slots))

    @property
    def goes_on(self) -> bool:
        """Whether the next reading is of the images just answered, at once (sequential design)."""
        return bool(self._queue) and self._queue[0].case == self._last_case

    def next_case(self) -> ReadingCase | None:
        """Open the next case of the reader's own order; None when all is read.

        Raises SessionError while a case is open, NotYetError with the date if the washout is not over, and
        CaseFileError if the case's files are not those that were prepared.
        """
        if self._open is not None:
            raise SessionError("A case is open. Submit its answer first; there is no way to skip it.")
        if not self._queue:
            return None
        slot = self._queue[0]
        self._check_due(slot)
        grids = self._files.grids(slot.case)
        opinion = self._files.opinion(slot.case) if self._assisted[slot.arm] else None
        self._append(Kind.BEGIN, {}, slot)
        self._reader.seen[slot.case, slot.arm] = self._clock.utc()
        again = slot.case == self._last_case
        self._open = _OpenCase(slot, self._handle(slot, tuple(grids), again), grids, opinion, self._clock.monotonic())
        return self._open.handle

    def volumes(self) -> dict[Phase, Volume]:
        """The images of the open case, under neutral names."""
        return {phase: self.volume(phase) for phase in self._case().grids}

    def volume(self, phase: Phase) -> Volume:
        """The images of one phase of the open case, so that a panel can load them one by one."""
        return self._files.volume(self._case().slot.case, phase)

    def ai_run(self) -> Path:
        """The AI's run folder of the open case. Logs that it was shown. Raises SessionError in the unassisted arm."""
        case = self._case()
        if not case.handle.assisted:
            raise SessionError("This case is read without the AI.")
        self._event(Event.AI_SHOWN, None)
        return self._files.run(case.slot.case)

    def log(self, event: Event, detail: str | None = None) -> None:
        """Log what happens to the open case. detail: of an overlay its name.

        Raises SessionError without an open case, and for an overlay of the AI in the unassisted arm.
        """
        if event in OF_THE_ENGINE:
            raise ValueError(f"{event} is logged by the session itself")
        overlay = event in (Event.OVERLAY_SHOWN, Event.OVERLAY_HIDDEN)
        if overlay and not self._case().handle.assisted:
            raise SessionError("This case is read without the AI; it has no overlays.")
        if overlay != (detail is not None):
            raise ValueError("an overlay has a name, and nothing else has")
        self.touch()
        self._event(event, detail)
        if event is Event.FIRST_VIEW:
            self._case().viewed = True

    def touch(self) -> None:
        """The reader does something (mouse, keyboard). A pause that this ends is logged if it was long enough."""
        case = self._case()
        now = self._seconds()
        if now - case.active_at > self._idle_seconds:
            self._event(Event.IDLE, round(case.active_at, 3))
        case.active_at = now

    def submit(self, form: Mapping[str, Any]) -> None:
        """Store the answer (see `answers`); when this returns it is on the disk, final, and the case is closed.

        Raises AnswerError if something is missing or contradicts itself: nothing is stored then, the case stays open.
        """
        case = self._case()
        if not case.viewed:
            raise SessionError("The images were not shown yet. Look at them before you answer.")
        answer = checked_answer(self._questions, form, case.inside)
        self.touch()
        content: dict[str, Any] = {"seconds": self._seconds(), "answer": answer}
        if case.opinion is not None:
            content["agrees_with_ai"] = agreement(answer, case.opinion)
        slot = case.slot
        revision = self._reader.reopened[slot.case, slot.arm]
        self._append(Kind.ANSWER, content, slot, revision=revision)
        self._reader.answered[slot.case, slot.arm] += 1
        self._reader.seen[slot.case, slot.arm] = self._clock.utc()
        self._queue.popleft()
        self._last_case = slot.case
        self._open = None

    def close(self) -> None:
        """Log out: the session is locked. A case that is open is begun anew at the next login."""
        if self._connection is None:
            return
        try:
            self._append(Kind.SESSION_END, {"why": "logged out"}, None)
        except SessionError:
            pass  # it was ended by a login elsewhere
        finally:
            self._connection.close()
            self._connection = None
            self._open = None

    def _check_due(self, slot: Slot) -> None:
        due, now = self._reader.due(slot), self._clock.utc()
        if due is not None and now < due:
            raise NotYetError(
                f"The next case may be read from {due.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC on: so much time has to "
                "pass since you last read it. Come back then, or ask the coordinator."
            )

    def _handle(self, slot: Slot, phases: tuple[Phase, ...], again: bool) -> ReadingCase:
        same = [other for other in self._reader.slots if (other.training, other.period) == (slot.training, slot.period)]
        number, total = same.index(slot) + 1, len(same)
        return ReadingCase(
            title=f"{'Training case' if slot.training else 'Case'} {number} of {total}",
            number=number,
            total=total,
            training=slot.training,
            assisted=self._assisted[slot.arm],
            arm=slot.arm,
            again=again,
            phases=phases,
            questions=self._questions,
        )

    def _case(self) -> _OpenCase:
        if self._connection is None:
            raise SessionEndedError("This session has ended. Log in again.")
        if self._open is None:
            raise SessionError("No case is open. Ask for the next one.")
        return self._open

    def _seconds(self) -> float:
        """Since the case was opened, by the clock that is never set."""
        return round(self._clock.monotonic() - self._case().began, 3)

    def _event(self, event: Event, detail: float | str | None) -> None:
        content: dict[str, Any] = {"event": str(event), "seconds": self._seconds()}
        if detail is not None:
            content["detail"] = detail
        self._append(Kind.EVENT, content, self._case().slot)

    def _append(self, kind: Kind, content: Mapping[str, Any], slot: Slot | None, revision: int | None = None) -> None:
        if self._connection is None:
            raise SessionEndedError("This session has ended. Log in again.")
        append_entry(
            self._connection,
            self._path,
            self._clock,
            kind,
            content,
            reader=self.code,
            session=self._number,
            case_id=slot.case if slot else None,
            arm=slot.arm if slot else None,
            period=slot.period if slot else None,
            revision=revision,
        )


@dataclass
class _OpenCase:
    slot: Slot
    handle: ReadingCase
    grids: dict[Phase, Grid]
    opinion: AiOpinion | None  # only in the assisted arm
    began: float
    active_at: float = 0.0
    viewed: bool = False

    def inside(self, point: Sequence[float]) -> bool:
        return any(grid.holds(point) for grid in self.grids.values())
