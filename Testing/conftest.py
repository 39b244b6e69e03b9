"""Fixtures that all tests share: the toy exam, its analysis, and the `liverai` command as a real process."""

from __future__ import annotations

import os

if "PYTEST_XDIST_WORKER" in os.environ:  # before numpy and torch come: workers beside each other take one thread each
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from liverai_fakes import ToySegmenter, toy_lesions, toy_study

from LiverAILib.analysis.pipeline import Analysis, analyze
from LiverAILib.study import Study

# A slow moment of the machine is no failure of a property.
settings.register_profile("liverai", deadline=None)
settings.load_profile("liverai")

ROOT = Path(__file__).resolve().parent.parent
START = Path.cwd()
FAKE = Path(__file__).resolve().parent / "liverai_fakes.py"


@pytest.fixture(autouse=True)
def _same_working_folder() -> Iterator[None]:
    """A test that leaves the process in another folder fails, and the later ones do not suffer.

    Slicer's scene reader changes it, and where the folder is then removed, libraries fail far from the cause.
    """
    yield
    try:
        after = Path.cwd()
    except FileNotFoundError:
        after = Path("a folder that is gone")
    os.chdir(START)
    assert after == START, f"the test, or a fixture of its module, left the process in {after}"


@pytest.fixture
def study() -> Study:
    """Three phases, two lesions."""
    return toy_study()


@pytest.fixture
def analysis(study: Study) -> Analysis:
    """What is found in it."""
    return analyze(study, ToySegmenter(), lesion_finder=toy_lesions)


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start `liverai` with the toy parts (see liverai_fakes.py) as a process; killed at the end if still there."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: object, **options: Any) -> subprocess.Popen[str]:
        settings: dict[str, Any] = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
            "env": os.environ | {"PYTHONPATH": str(ROOT)},
        }
        process = subprocess.Popen([sys.executable, str(FAKE), *map(str, arguments)], **(settings | options))
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def liverai(start: Callable[..., subprocess.Popen[str]]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `liverai` with the toy parts to its end."""

    def run(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
        process = start(*arguments, **options)
        stdout, stderr = process.communicate(timeout=60)
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

    return run
