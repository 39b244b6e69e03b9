"""The study file: it only grows, two programs may use it at once, and whoever changes or damages it is found out."""

import random
import shutil
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from study_builder import FakeClock

from LiverAILib.errors import OutputError
from LiverAILib.readerstudy.connection import reader_connection
from LiverAILib.readerstudy.errors import NotYetError, SessionError, StudyFileBusyError, StudyFileError
from LiverAILib.readerstudy.schema import GENESIS, Kind, chain_hash
from LiverAILib.readerstudy.store import StudyFile, SystemClock, append_entry


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with a session of R1, one answer in it, and an event after it."""
    path = tmp_path / "study.sqlite"
    with StudyFile.create(path, FakeClock()) as file:
        file.append(Kind.CREATED, {"title": "Käse"})
        session = file.append(Kind.SESSION_START, {}, reader="R1", opens_session=True)
        where = {"reader": "R1", "session": session, "case_id": "C001", "arm": "assisted", "period": 1}
        file.append(Kind.ANSWER, {"answer": {"hcc": "yes", "p": 0.1}}, revision=0, **where)
        file.append(Kind.EVENT, {"event": "loaded", "seconds": 1.5}, **where)
    return path


def by_force(path: Path, *statements: str, safeguards: bool = False) -> None:
    """What somebody with a SQLite tool does; the safeguards are put back afterwards unless they are the target."""
    connection = sqlite3.connect(path, isolation_level=None)
    kept = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
    if not safeguards:
        for name, _ in kept:
            connection.execute(f"DROP TRIGGER {name}")
    for statement in statements:
        connection.execute(statement)
    if not safeguards:
        for _, sql in kept:
            connection.execute(sql)
    connection.close()


def test_the_chain_is_what_the_manual_says(path: Path) -> None:
    import hashlib

    with StudyFile.open(path) as file:
        first = next(iter(file.entries()))
    text = f'[1,"{first.utc}","created",null,null,null,null,null,null,"{{\\"title\\":\\"Käse\\"}}"]'
    assert first.hash == hashlib.sha256(f"{GENESIS}\n{text}".encode()).hexdigest()


def test_writing_is_safe_against_a_power_cut(path: Path) -> None:
    for connection in (reader_connection(path), StudyFile.open(path)._connection):
        connection.set_authorizer(None)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
        connection.close()


@pytest.mark.parametrize("statement", ["UPDATE entry SET content = '{}' WHERE number = 3", "DELETE FROM entry"])
def test_nothing_is_changed_or_removed(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    with pytest.raises(sqlite3.IntegrityError, match="only added to"):
        connection.execute(statement)
    connection.close()


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        (
            """UPDATE entry SET content = '{"answer":{"hcc":"no","p":0.1}}' WHERE number = 3""",
            r"entry 3 \(answer: reader R1, case C001, assisted, 2026-03-01.* is not as it was written",
        ),
        ("UPDATE entry SET reader = 'R2' WHERE number = 3", "entry 3 .* is not as it was written"),
        ("UPDATE entry SET utc = '2025-01-01T00:00:00.000+00:00' WHERE number = 2", "entry 2 .* is not as it was"),
        ("UPDATE entry SET content = 'x' WHERE number = 3", "entry 3 can't be read"),
        ("DELETE FROM entry WHERE number = 3", "entry 3 was removed"),
        ("UPDATE entry SET hash = 'ff' WHERE number = 4", "entry 4 .* is not as it was written"),
        ("DELETE FROM entry", "is empty"),
        ("CREATE TABLE notes (x)", 'holds "notes"'),
    ],
)
def test_what_was_changed_by_force_is_named(path: Path, statement: str, words: str) -> None:
    by_force(path, statement)
    with pytest.raises(StudyFileError, match=words):
        StudyFile.open(path)


def test_a_rewritten_entry_with_a_hash_of_its_own_breaks_the_chain(path: Path) -> None:
    with StudyFile.open(path) as file:
        entry = list(file.entries())[2]
    content = '{"answer":{"hcc":"no","p":0.1}}'
    values = (3, entry.utc, "answer", "R1", 2, "C001", "assisted", 1, 0, content)
    forged = chain_hash(entry.previous, values)
    by_force(path, f"UPDATE entry SET content = '{content}', hash = '{forged}' WHERE number = 3")
    with pytest.raises(StudyFileError, match=r"entry 4 .* does not follow the one before"):
        StudyFile.open(path)


def test_a_removed_safeguard_is_named(path: Path) -> None:
    by_force(path, "DROP TRIGGER no_update", safeguards=True)
    with pytest.raises(StudyFileError, match='safeguard "no_update" was removed'):
        StudyFile.open(path)


def damage_in_the_middle(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 3 : len(data) // 3 + 3000] = b"\xff" * 3000
    path.write_bytes(data)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def another_file(path: Path) -> None:
    path.write_bytes(b"not a database, but long enough to look like one " * 100)


def another_database(path: Path) -> None:
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE x (y)")
    connection.close()


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (damage_in_the_middle, "is damaged|was changed by another hand or is damaged"),
        (cut_short, "is damaged"),
        (another_file, "is not a study file of LiverAI, or it is damaged"),
        (another_database, "is not a study file"),
        (lambda path: path.unlink(), "is not there"),
    ],
)
def test_a_damaged_file_is_refused_in_words(path: Path, harm: Callable[[Path], None], words: str) -> None:
    harm(path)
    with pytest.raises(StudyFileError, match=words):
        StudyFile.open(path)


def test_no_flipped_byte_changes_what_is_read(path: Path) -> None:
    """Each of 60 single bytes, drawn at random: the file is refused, or says what it said (the byte meant nothing)."""
    with StudyFile.open(path) as file:
        whole = list(file.history)
    data = path.read_bytes()
    used = [at for at, value in enumerate(data) if value]  # most of the rest is empty space within pages
    refused = 0
    for at in random.Random(3).sample(used, 60):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x04]) + data[at + 1 :])
        for leftover in ("-wal", "-shm"):
            path.with_name(path.name + leftover).unlink(missing_ok=True)
        try:
            with StudyFile.open(path) as file:
                assert list(file.history) == whole
        except StudyFileError:
            refused += 1
    assert refused > 40


def test_a_file_of_another_program_is_left_as_it_is(path: Path) -> None:
    another_database(path)
    before = path.read_bytes()
    with pytest.raises(StudyFileError, match="is not a study file"):
        StudyFile.open(path)
    assert path.read_bytes() == before
    assert sorted(file.name for file in path.parent.iterdir()) == ["study.sqlite"]


def test_a_newer_file_is_not_touched(path: Path) -> None:
    by_force(path, "PRAGMA user_version = 99", safeguards=True)
    with pytest.raises(StudyFileError, match="newer LiverAI"):
        StudyFile.open(path)


def test_an_existing_file_is_not_overwritten(path: Path) -> None:
    with pytest.raises(OutputError, match="there already"):
        StudyFile.create(path)


def test_a_second_program_waits_and_then_says_who_is_in_the_way(path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with StudyFile.open(path, FakeClock(), busy_seconds=0.2) as file:
        with pytest.raises(StudyFileBusyError, match=r"written by another program for too long.*nothing was lost"):
            file.append(Kind.EVENT, {})
        other.execute("ROLLBACK")
        assert file.append(Kind.EVENT, {}) == 5
    other.close()


def test_two_programs_add_at_once_and_nothing_is_lost(path: Path) -> None:
    script = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from LiverAILib.readerstudy.schema import Kind
        from LiverAILib.readerstudy.store import StudyFile
        with StudyFile.open(Path(sys.argv[1])) as file:
            for number in range(40):
                file.append(Kind.EVENT, {"by": sys.argv[2], "number": number})
        """
    )
    both = [subprocess.Popen([sys.executable, "-c", script, path, name]) for name in "ab"]
    assert [process.wait(120) for process in both] == [0, 0]
    with StudyFile.open(path) as file:
        added = [entry.content for entry in file.entries()][4:]
    for name in "ab":
        assert [content["number"] for content in added if content["by"] == name] == list(range(40))


def test_what_is_added_while_a_program_holds_the_study_is_stored_as_a_whole_or_not_at_all(path: Path) -> None:
    with StudyFile.open(path, FakeClock()) as file, StudyFile.open(path, FakeClock(), busy_seconds=0.1) as other:
        with file.alone():
            file.append(Kind.EVENT, {"number": 1})
            file.append(Kind.EVENT, {"number": 2})
            with pytest.raises(StudyFileBusyError):
                other.append(Kind.EVENT, {})
        with pytest.raises(TypeError), file.alone():  # the second can't be stored
            [file.append(Kind.EVENT, content) for content in ({"number": 3}, {"number": Path()})]
        assert other.append(Kind.EVENT, {"number": 4}) == 7
        assert [entry.content.get("number") for entry in file.verify()[4:]] == [1, 2, 4]


def test_an_answer_is_final_and_a_session_that_ended_is_locked(path: Path) -> None:
    where = {"reader": "R1", "session": 2, "case_id": "C001", "arm": "assisted", "period": 1}
    with StudyFile.open(path, FakeClock()) as file:
        for revision in (0, 1):
            with pytest.raises(SessionError, match="answered already"):
                file.append(Kind.ANSWER, {}, revision=revision, **where)
        file.append(Kind.REOPENED, {}, reader="R1", case_id="C001", arm="assisted")
        file.append(Kind.ANSWER, {}, revision=1, **where)
        file.append(Kind.SESSION_END, {}, reader="R1", session=2)
        for kind in (Kind.EVENT, Kind.BEGIN, Kind.SESSION_END):
            with pytest.raises(SessionError, match="session has ended"):
                file.append(kind, {}, **where)
        file.verify()


def test_a_clock_that_was_set_back_is_noticed(path: Path) -> None:
    clock = FakeClock()
    with StudyFile.open(path, clock) as file:
        clock.set_back(hours=0.02)
        file.append(Kind.EVENT, {})
        clock.set_back(hours=1)
        with pytest.raises(NotYetError, match=r"clock says 2026-03-01 06:58 UTC, .* last written at 2026-03-01 07:58"):
            file.append(Kind.EVENT, {})


def test_a_readers_connection_can_add_but_not_read(path: Path) -> None:
    connection = reader_connection(path)
    where = {"reader": "R1", "session": 2, "case_id": "C002", "arm": "assisted", "period": 1}
    append_entry(connection, path, SystemClock(), Kind.ANSWER, {"answer": 1}, revision=0, **where)
    for statement in (
        "SELECT content FROM entry",
        "SELECT * FROM entry",
        "SELECT count(*) FROM entry WHERE content LIKE '%yes%'",
        "SELECT sql FROM sqlite_master",
        "ATTACH ':memory:' AS other",
        "DROP TRIGGER no_update",
        "DELETE FROM entry",
        "UPDATE entry SET reader = 'R2'",
        "PRAGMA writable_schema = ON",
    ):
        with pytest.raises(sqlite3.DatabaseError, match=r"prohibited|not authorized"):
            connection.execute(statement).fetchall()
    connection.close()
    StudyFile.open(path).close()


def test_a_copy_of_the_closed_file_is_complete(path: Path, tmp_path: Path) -> None:
    shutil.copy(path, tmp_path / "copy.sqlite")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["copy.sqlite", "study.sqlite"]
    with StudyFile.open(tmp_path / "copy.sqlite") as file:
        assert len(list(file.entries())) == 4
