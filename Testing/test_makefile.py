"""What `make` would run, asked with `make --dry-run`."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def dry_run(*arguments: str) -> str:
    """The last command of the dry run."""
    command = ["make", "--dry-run", "--no-print-directory", "--old-file=.venv/installed", *arguments]
    outer = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES"}  # this may itself run under make
    environment = {key: value for key, value in os.environ.items() if key not in outer}
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env=environment)
    return done.stdout.strip().splitlines()[-1].strip()


def test_make_demo_runs_the_synthetic_exam() -> None:
    assert dry_run("demo") == ".venv/bin/liverai demo"


def test_make_demo_takes_ones_own_study_and_options() -> None:
    assert dry_run("demo", "STUDY=my exams/one") == '.venv/bin/liverai demo --study "my exams/one"'
    assert dry_run("demo", "STUDY=one", "ARGS=--phase 4=arterial").endswith('--study "one" --phase 4=arterial')


def test_make_bench_takes_a_folder_of_real_ct() -> None:
    assert dry_run("bench", "DATA=ct") == '.venv/bin/liverai evaluate -o bench --data "ct"'


def test_make_test_ends_with_all_tests() -> None:
    assert dry_run("test") == ".venv/bin/pytest -n 2 --dist loadfile"
    assert dry_run("test", "WORKERS=0") == ".venv/bin/pytest -n 0 --dist loadfile"
