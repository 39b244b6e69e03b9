"""Connections to a study file: how it is opened, what a reader's connection may do, and SQLite's errors in words."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from LiverAILib.errors import OutputError
from LiverAILib.readerstudy.errors import SessionEndedError, SessionError, StudyFileBusyError, StudyFileError
from LiverAILib.readerstudy.schema import APPLICATION_ID, READABLE_IN_SESSION

#: How long a program waits for another one that is writing.
BUSY_SECONDS = 10.0


def reader_connection(path: Path, busy_seconds: float = BUSY_SECONDS) -> sqlite3.Connection:
    """A connection that can add entries but read no content: SQLite itself refuses (authorizer)."""
    with in_words(path):
        connection = connect(path, busy_seconds)
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


def check_header(path: Path) -> None:
    """Refuse other files before SQLite opens them: it may write to what it opens."""
    try:
        with path.open("rb") as file:
            header = file.read(100)
    except OSError as error:
        raise StudyFileError(f"{path} can't be read ({error.strerror}). Check its permissions.") from error
    if not header.startswith(b"SQLite format 3\0") or int.from_bytes(header[68:72], "big") != APPLICATION_ID:
        raise StudyFileError(
            f"{path.name} is not a study file of LiverAI, or it is damaged at its beginning. Choose the file that "
            "`liverai study create` made, or your last copy of it."
        )


def connect(path: Path, busy_seconds: float = BUSY_SECONDS) -> sqlite3.Connection:
    """A connection that loses nothing: write-ahead log, full sync. Raises StudyFileError where the disk has none."""
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


@contextlib.contextmanager
def in_words(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into sentences."""
    try:
        yield
    except sqlite3.IntegrityError as error:
        text = str(error)
        if "session ended" in text:
            raise SessionEndedError(
                "This session has ended: the same code logged in elsewhere. Log in again."
            ) from error
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
        raise damaged(path, f"SQLite finds: {text[:200]}") from error
    except sqlite3.DatabaseError as error:
        raise damaged(path, f"SQLite finds: {str(error)[:200]}") from error


def damaged(path: Path, what: str) -> StudyFileError:
    """The error of a file that SQLite can't read."""
    return StudyFileError(f"{path.name} is damaged ({what}). Work on with your last copy of it, and keep this one.")


def changed(path: Path, what: str) -> StudyFileError:
    """The error of a file that is not as it was written."""
    return StudyFileError(
        f"{path.name} was changed by another hand or is damaged: {what}. Work on with your last good copy, "
        "and keep this one."
    )
