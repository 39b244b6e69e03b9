"""The tables of the study file: one append-only, hash-chained list of everything that happened.

Each entry's hash is SHA-256 of the previous hash, a line feed, and the JSON list of its other columns in the order of
`COLUMNS` (UTF-8, no spaces, not escaped). Triggers refuse what no program of good will does; the chain shows what
somebody did who removed them.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

#: "LvRS": written into the file's header, so that it is told from other SQLite files.
APPLICATION_ID = 0x4C765253
SCHEMA_VERSION = 1

COLUMNS = (
    "number",
    "utc",
    "kind",
    "reader",
    "session",
    "case_id",
    "arm",
    "period",
    "revision",
    "content",
)
#: The columns that a reader's own connection may read: what the chain and the triggers need, never a content.
READABLE_IN_SESSION = (*(name for name in COLUMNS if name != "content"), "hash")

#: The hash before the first entry.
GENESIS = "0" * 64


class Kind(StrEnum):
    """What an entry is."""

    CREATED = "created"
    SEALED = "sealed"
    AMENDED = "amended"
    PREPARED = "prepared"
    SESSION_START = "session start"
    BEGIN = "begin"
    EVENT = "event"
    ANSWER = "answer"
    SESSION_END = "session end"
    OVERRIDE = "override"
    REOPENED = "reopened"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One row. session: number of the session's first entry. revision: of an answer, 0 unless a case was reopened."""

    number: int
    utc: str
    kind: Kind
    reader: str | None
    session: int | None
    case_id: str | None
    arm: str | None
    period: int | None
    revision: int | None
    content: dict[str, Any]
    previous: str
    hash: str

    @property
    def words(self) -> str:
        """What it is, for messages: no content."""
        parts = [f"reader {self.reader}" if self.reader else "", f"case {self.case_id}" if self.case_id else ""]
        parts += [self.arm or "", self.utc]
        return f"entry {self.number} ({self.kind}: {', '.join(part for part in parts if part)})"


def chain_hash(previous: str, values: tuple[Any, ...]) -> str:
    """The hash of an entry. values: in the order of `COLUMNS`, the content as its stored text."""
    text = json.dumps(list(values), separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(f"{previous}\n{text}".encode()).hexdigest()


_KINDS = ", ".join(f"'{kind}'" for kind in Kind)

#: name -> SQL, in the order in which they are made. `verify` compares them with what the file holds.
OBJECTS = {
    "entry": f"""CREATE TABLE entry (
    number INTEGER PRIMARY KEY CHECK (number > 0),
    utc TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ({_KINDS})),
    reader TEXT,
    session INTEGER,
    case_id TEXT,
    arm TEXT,
    period INTEGER,
    revision INTEGER,
    content TEXT NOT NULL,
    previous TEXT NOT NULL,
    hash TEXT NOT NULL UNIQUE
) STRICT""",
    "entry_session": "CREATE INDEX entry_session ON entry (session, kind)",
    "entry_answer": """CREATE UNIQUE INDEX entry_answer ON entry (reader, case_id, arm, revision)
    WHERE kind = 'answer'""",
    "entry_reopened": "CREATE INDEX entry_reopened ON entry (reader, case_id, arm) WHERE kind = 'reopened'",
    "entry_login": "CREATE INDEX entry_login ON entry (reader, number) WHERE kind = 'session start'",
    "no_update": """CREATE TRIGGER no_update BEFORE UPDATE ON entry
    BEGIN SELECT RAISE(ABORT, 'a study file is only added to'); END""",
    "no_delete": """CREATE TRIGGER no_delete BEFORE DELETE ON entry
    BEGIN SELECT RAISE(ABORT, 'a study file is only added to'); END""",
    "chained": """CREATE TRIGGER chained BEFORE INSERT ON entry
    WHEN NEW.number <> (SELECT coalesce(max(number), 0) + 1 FROM entry)
        OR NEW.previous <> coalesce((SELECT hash FROM entry ORDER BY number DESC LIMIT 1), printf('%064d', 0))
    BEGIN SELECT RAISE(ABORT, 'an entry must follow the last one'); END""",
    "locked": """CREATE TRIGGER locked BEFORE INSERT ON entry
    WHEN NEW.session IS NOT NULL AND NEW.session <> NEW.number
        AND EXISTS (SELECT 1 FROM entry WHERE session = NEW.session AND kind = 'session end')
    BEGIN SELECT RAISE(ABORT, 'session ended'); END""",
    "superseded": """CREATE TRIGGER superseded BEFORE INSERT ON entry
    WHEN NEW.session IS NOT NULL AND NEW.kind <> 'session end' AND EXISTS (SELECT 1 FROM entry
        WHERE kind = 'session start' AND reader = NEW.reader AND number > NEW.session)
    BEGIN SELECT RAISE(ABORT, 'session ended'); END""",
    "final": """CREATE TRIGGER final BEFORE INSERT ON entry
    WHEN NEW.kind = 'answer' AND coalesce(NEW.revision, -1) NOT BETWEEN 0 AND (SELECT count(*) FROM entry
        WHERE kind = 'reopened' AND reader = NEW.reader AND case_id = NEW.case_id AND arm = NEW.arm)
    BEGIN SELECT RAISE(ABORT, 'answered already'); END""",
}
