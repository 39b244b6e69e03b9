"""The study file: opened with care, added to in one transaction an entry, verified from end to end."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, Self

from LiverAILib.errors import OutputError
from LiverAILib.readerstudy.errors import NotYetError, SessionError, StudyFileBusyError, StudyFileError
from LiverAILib.readerstudy.protocol import canonical_json
from LiverAILib.readerstudy.schema import (
    APPLICATION_ID,
    COLUMNS,
    GENESIS,
    OBJECTS,
    READABLE_IN_SESSION,
    SCHEMA_VERSION,
    Entry,
    Kind,
    chain_hash,
)

#: How long a program waits for another one that is writing.
BUSY_SECONDS = 10.0
#: Clocks of one workplace differ by less; a clock that is further back was set back.
CLOCK_TOLERANCE = dt.timedelta(minutes=2)

_ALL = ", ".join((*COLUMNS, "previous", "hash"))
_SELECT = f"SELECT {_ALL} FROM entry ORDER BY number"  # noqa: S608  fixed names
_INSERT = f"INSERT INTO entry ({_ALL}) VALUES ({', '.join('?' * 12)})"  # noqa: S608  fixed names


class Clock(Protocol):
    """Where the time comes from."""

    def utc(self) -> dt.datetime:
        """The time of day, aware, in UTC."""

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never set."""


class SystemClock:
    """The computer's clock."""

    def utc(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC)

    def monotonic(self) -> float:
        return time.monotonic()


class StudyFile:
    """An open study file. `append` is the only way to write; use it as a context manager.

    history: the entries that were there, and were verified, when the file was opened.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, clock: Clock) -> None:
        self.path = path
        self.history: tuple[Entry, ...] = ()
        self._connection = connection
        self._clock = clock

    @classmethod
    def create(cls, path: Path, clock: Clock | None = None) -> Self:
        """A new, empty study file. Raises OutputError if something is there already or it can't be written."""
        path = path.absolute()
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666))
        except FileExistsError:
            raise OutputError(f"{path} is there already and is not overwritten. Choose another name.") from None
        except OSError as error:
            raise OutputError(f"{path} can't be written ({error.strerror}). Choose another folder.") from error
        with _in_words(path):
            connection = _connect(path, BUSY_SECONDS)
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            for sql in OBJECTS.values():
                connection.execute(sql)
            connection.execute("COMMIT")
        return cls(path, connection, clock or SystemClock())

    @classmethod
    def open(cls, path: Path, clock: Clock | None = None, busy_seconds: float = BUSY_SECONDS) -> Self:
        """Open a study file and verify it. Raises StudyFileError, naming what is wrong."""
        file = cls._open(path, clock, busy_seconds)
        try:
            file.history = tuple(file.verify())
        except BaseException:
            file.close()
            raise
        return file

    @classmethod
    def _open(cls, path: Path, clock: Clock | None, busy_seconds: float) -> Self:
        path = path.absolute()
        if not path.is_file():
            raise StudyFileError(f"{path} is not there. `liverai study create` makes a study file.")
        with _in_words(path):
            connection = _connect(path, busy_seconds)
            application = connection.execute("PRAGMA application_id").fetchone()[0]
            version = connection.execute("PRAGMA user_version").fetchone()[0]
        if application != APPLICATION_ID:
            connection.close()
            raise StudyFileError(f"{path.name} is not a study file of LiverAI. Choose the one that was created.")
        if version > SCHEMA_VERSION:
            connection.close()
            raise StudyFileError(f"{path.name} was made by a newer LiverAI (schema {version}). Update LiverAI.")
        return cls(path, connection, clock or SystemClock())

    def close(self) -> None:
        """Close it; the last program to do so folds the write-ahead log into the file."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def entries(self) -> Iterator[Entry]:
        """All entries in order, as one consistent view."""
        with _in_words(self.path):
            rows = self._connection.execute(_SELECT)
            for row in rows:
                yield _entry(self.path, row)

    def append(self, kind: Kind, content: Mapping[str, Any], **columns: Any) -> int:
        """Add an entry; returns its number once it is on the disk. See `append_entry`."""
        return append_entry(self._connection, self.path, self._clock, kind, content, **columns)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the study: until the block ends nobody else adds to it, nor, by agreement, writes the truth file.

        What is appended in the block is stored at its end, or not at all.
        """
        with _in_words(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        with _in_words(self.path):
            self._connection.execute("COMMIT")

    def verify(self) -> list[Entry]:
        """Check the file from end to end; returns its entries, at least one.

        Raises StudyFileError that names the first entry, or the part of the file, that is not as it was written.
        """
        with _in_words(self.path):
            problem = self._connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
            if problem != "ok":
                raise _damaged(self.path, f"SQLite finds: {str(problem)[:200]}")
            found = dict(self._connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))
        for name, sql in OBJECTS.items():
            if found.pop(name, None) != sql:
                raise _changed(self.path, f'its safeguard "{name}" was removed or changed')
        if found:
            raise _changed(self.path, f'it holds "{min(found)}", which no study file has')
        entries: list[Entry] = []
        last = GENESIS
        for number, entry in enumerate(self.entries(), start=1):
            if entry.number != number:
                raise _changed(self.path, f"entry {number} was removed")
            if entry.previous != last:
                raise _changed(self.path, f"{entry.words} does not follow the one before it")
            last = entry.hash
            entries.append(entry)
        if not entries:
            raise StudyFileError(
                f"{self.path.name} is empty: its making was cut off. Delete it and its truth file, and create it again."
            )
        return entries


def reader_connection(path: Path, busy_seconds: float = BUSY_SECONDS) -> sqlite3.Connection:
    """A connection that can add entries but read no content: SQLite itself refuses (authorizer)."""
    with _in_words(path):
        connection = _connect(path, busy_seconds)
        connection.set_authorizer(_authorize_reader)
    return connection


def _authorize_reader(action: int, one: str | None, two: str | None, _db: str | None, _inner: str | None) -> int:
    if action == sqlite3.SQLITE_READ:
        allowed = one == "entry" and (two in READABLE_IN_SESSION or two == "previous" or not two)
        return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY
    if action == sqlite3.SQLITE_INSERT:
        return sqlite3.SQLITE_OK if one == "entry" else sqlite3.SQLITE_DENY
    allowed_actions = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_TRANSACTION, sqlite3.SQLITE_FUNCTION)
    return sqlite3.SQLITE_OK if action in allowed_actions else sqlite3.SQLITE_DENY


def append_entry(
    connection: sqlite3.Connection,
    path: Path,
    clock: Clock,
    kind: Kind,
    content: Mapping[str, Any],
    *,
    reader: str | None = None,
    session: int | None = None,
    case_id: str | None = None,
    arm: str | None = None,
    period: int | None = None,
    revision: int | None = None,
    opens_session: bool = False,
    clock_checked: bool = True,
) -> int:
    """Add an entry in one transaction; returns its number once it is on the disk.

    opens_session: the entry is the first of a session, which gets its number. clock_checked: refuse an entry that would
    lie before the last one by more than `CLOCK_TOLERANCE`. Raises NotYetError (clock), SessionError (session ended,
    case answered already), StudyFileBusyError, StudyFileError.
    """
    text = canonical_json(dict(content))
    nested = connection.in_transaction  # within `StudyFile.alone`
    with _in_words(path):
        if not nested:
            connection.execute("BEGIN IMMEDIATE")
        try:
            row = connection.execute("SELECT number, hash, utc FROM entry ORDER BY number DESC LIMIT 1").fetchone()
            last, previous, last_utc = row or (0, GENESIS, None)
            now = clock.utc()
            if clock_checked and last_utc is not None:
                check_clock(now, dt.datetime.fromisoformat(last_utc))
            number = last + 1
            utc = now.astimezone(dt.UTC).isoformat(timespec="milliseconds")
            begun = number if opens_session else session
            values = (number, utc, str(kind), reader, begun, case_id, arm, period, revision, text)
            connection.execute(
                _INSERT,
                (*values, previous, chain_hash(previous, values)),
            )
            if not nested:
                connection.execute("COMMIT")
        except BaseException:
            if not nested:
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
            raise
    return number


def check_clock(now: dt.datetime, last: dt.datetime) -> None:
    """Raise NotYetError if the clock is behind the last entry."""
    if now < last - CLOCK_TOLERANCE:
        raise NotYetError(
            f"This computer's clock says {now:%Y-%m-%d %H:%M} UTC, but the study was last written at "
            f"{last:%Y-%m-%d %H:%M} UTC. Set the clock right. If it was wrong before, the coordinator can say so with "
            "`liverai study override --rule clock`."
        )


def _connect(path: Path, busy_seconds: float) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None, check_same_thread=True)
    try:
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
        mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA fullfsync = ON")  # macOS: through the disk's own cache
    except BaseException:
        connection.close()
        raise
    if mode != "wal":
        connection.close()
        raise StudyFileError(
            f"{path.name} lies on a disk that does not allow safe writing (no write-ahead log; a network disk?). "
            "Put it on a disk of this computer."
        )
    return connection


def _entry(path: Path, row: tuple[Any, ...]) -> Entry:
    *values, previous, stored = row
    named = dict(zip(COLUMNS, values, strict=True))
    try:
        entry = Entry(
            **(named | {"kind": Kind(named["kind"]), "content": json.loads(named["content"])}),
            previous=previous,
            hash=stored,
        )
    except (ValueError, TypeError) as error:
        raise _changed(path, f"entry {named['number']} can't be read") from error
    if chain_hash(previous, tuple(values)) != stored:
        raise _changed(path, f"{entry.words} is not as it was written")
    return entry


@contextlib.contextmanager
def _in_words(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into sentences."""
    try:
        yield
    except sqlite3.IntegrityError as error:
        text = str(error)
        if "session ended" in text:
            raise SessionError("This session has ended: the same code logged in elsewhere. Log in again.") from error
        if "answered already" in text or "entry.reader" in text:
            raise SessionError("This case was answered already; an answer is final.") from error
        raise StudyFileError(f"{path.name}: the entry is not allowed: {text}.") from error
    except sqlite3.OperationalError as error:
        text = str(error)
        if "locked" in text or "busy" in text:
            raise StudyFileBusyError(
                f"{path.name} is being written by another program for too long. Close the other one, then try again; "
                "nothing was lost."
            ) from error
        if "full" in text:
            raise OutputError(f"The disk is full: {path.name} was not written. Free some space.") from error
        if "readonly" in text or "unable to open" in text:
            raise OutputError(
                f"{path.name} can't be written. Check the permissions of the file and of its folder."
            ) from error
        raise _damaged(path, f"SQLite finds: {text[:200]}") from error
    except sqlite3.DatabaseError as error:
        raise _damaged(path, f"SQLite finds: {str(error)[:200]}") from error


def _damaged(path: Path, what: str) -> StudyFileError:
    return StudyFileError(f"{path.name} is damaged ({what}). Work on with your last copy of it, and keep this one.")


def _changed(path: Path, what: str) -> StudyFileError:
    return StudyFileError(
        f"{path.name} was changed by another hand or is damaged: {what}. Work on with your last good copy, "
        "and keep this one."
    )
