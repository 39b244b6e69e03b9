"""A reading process that is killed at any moment loses at most the answer being typed."""

import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from study_builder import SmallStudy, make_study

from LiverAILib.readerstudy.schema import Kind
from LiverAILib.readerstudy.store import StudyFile
from LiverAILib.readerstudy.verify import verify_study

#: Reads with the real clock, fast, but not done before it can be killed; says each answer only after `submit` has
#: returned.
READER = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path
    from LiverAILib.readerstudy.session import open_session
    from LiverAILib.readerstudy.timing import Event
    form = {"hcc": {"answer": "no", "confidence": 90}, "marks": []}
    form["verdict"] = {"answer": "no lesion", "confidence": 80}
    session = open_session(Path(sys.argv[1]), "R1")
    print("logged in", flush=True)
    while (case := session.next_case()) is not None:
        session.log(Event.FIRST_VIEW)
        time.sleep(0.02)
        session.submit({**form, "remarks": case.title})
        print(case.title, flush=True)
    print("done", flush=True)
    """
)


@pytest.fixture
def study(tmp_path: Path) -> SmallStudy:
    """10 cases, both periods at once."""
    return make_study(tmp_path, count=10, training=0, washout_days=0)


def read_until_killed(study: SmallStudy, answers: int, seconds: float) -> list[str]:
    """Kill the reading process so long after this many answers; returns those that it had said are stored."""
    process = subprocess.Popen([sys.executable, "-c", READER, study.path], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "logged in\n"
    said = [process.stdout.readline() for _ in range(answers)]
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    said += process.stdout.readlines()
    process.stdout.close()
    assert process.wait(30) == -signal.SIGKILL
    return [line.rstrip("\n") for line in said]


def stored(study: SmallStudy) -> list[str]:
    with StudyFile.open(study.path) as file:
        return [entry.content["answer"]["remarks"] for entry in file.entries() if entry.kind is Kind.ANSWER]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_kill_9_loses_at_most_the_answer_being_typed(study: SmallStudy) -> None:
    draw = random.Random(5)
    said: list[str] = []
    for at in (0, 3, 1):
        said += read_until_killed(study, at, draw.uniform(0, 0.05))
        answers = stored(study)  # opens and verifies the whole file
        assert answers[: len(said)] == said
        assert len(answers) - len(said) <= 1  # stored, and killed before it could be said
        said = answers
    assert 4 <= len(said) < 20
    verify_study(study.path, study.truth)
    done = subprocess.run(
        [sys.executable, "-c", READER, study.path], stdout=subprocess.PIPE, text=True, check=True, timeout=120
    )
    assert done.stdout.endswith("done\n")
    answers = stored(study)
    assert answers == [f"Case {number} of 10" for number in range(1, 11)] * 2  # none twice, none left out
