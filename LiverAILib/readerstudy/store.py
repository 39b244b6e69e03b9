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
from LiverAILib.readerstudy.connection import BUSY_SECONDS, changed, check_header, connect, damaged, in_words
from LiverAILib.readerstudy.errors import NotYetError, StudyFileError
from LiverAILib.readerstudy.protocol import canonical_json
from LiverAILib.readerstudy.schema import (
    APPLICATION_ID,
    COLUMNS,
    GENESIS,
    OBJECTS,
    SCHEMA_VERSION,
    Entry,
    Kind,
    chain_hash,
)

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
        with in_words(path):
            with contextlib.closing(sqlite3.connect(path)) as plain:  # into the file's header, before any log is used
                plain.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection = connect(path, BUSY_SECONDS)
            connection.execute("BEGIN IMMEDIATE")
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
        check_header(path)
        with in_words(path):
            connection = connect(path, busy_seconds)
            version = connection.execute("PRAGMA user_version").fetchone()[0]
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
        with in_words(self.path):
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
        with in_words(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        with in_words(self.path):
            self._connection.execute("COMMIT")

    def verify(self) -> list[Entry]:
        """Check the file from end to end; returns its entries, at least one.

        Raises StudyFileError that names the first entry, or the part of the file, that is not as it was written.
        """
        with in_words(self.path):
            problem = self._connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
            if problem != "ok":
                raise damaged(self.path, f"SQLite finds: {str(problem)[:200]}")
            found = dict(self._connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))
        for name, sql in OBJECTS.items():
            if found.pop(name, None) != sql:
                raise changed(self.path, f'its safeguard "{name}" was removed or changed')
        if found:
            raise changed(self.path, f'it holds "{min(found)}", which no study file has')
        entries: list[Entry] = []
        last = GENESIS
        for number, entry in enumerate(self.entries(), start=1):
            if entry.number != number:
                raise changed(self.path, f"entry {number} was removed")
            if entry.previous != last:
                raise changed(self.path, f"{entry.words} does not follow the one before it")
            last = entry.hash
            entries.append(entry)
        if not entries:
            raise StudyFileError(
                f"{self.path.name} is empty: its making was cut off. Delete it and its truth file, and create it again."
            )
        return entries


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
    with in_words(path):
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
        raise changed(path, f"entry {named['number']} can't be read") from error
    if chain_hash(previous, tuple(values)) != stored:
        raise changed(path, f"{entry.words} is not as it was written")
    return entry
