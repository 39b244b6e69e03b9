"""R as a second opinion: runs a script and reads the numbers that it prints. R is no part of LiverAI.

Where R and the script's packages are there (Debian: `make oracles`) a test runs the script and holds it against the
numbers stored beside it; elsewhere that test is skipped, and the stored numbers alone are what our results must meet.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Sequence
from functools import cache

import pytest

PRINT = 'say <- function(name, values) cat(name, sprintf("%.12g", values), "\\n")\n'


def vector(values: Iterable[object]) -> str:
    """An R vector of numbers, or of strings; None becomes NA."""
    said = ("NA" if v is None else f'"{v}"' if isinstance(v, str) else f"{float(str(v)):.12g}" for v in values)
    return f"c({','.join(said)})"


@cache
def _missing(packages: tuple[str, ...]) -> str:
    """Why R can't run scripts with these packages; empty if it can."""
    if shutil.which("Rscript") is None:
        return "R is not installed"
    wanted = vector(packages)
    asked = subprocess.run(
        ["Rscript", "--vanilla", "-e", f"cat(setdiff({wanted}, rownames(installed.packages())))"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return f"R lacks {asked.stdout}" if asked.stdout.strip() else ""


def run_r(script: str, packages: Sequence[str]) -> dict[str, list[float]]:
    """What the script printed with `say`, by name. Skips the test where R or a package is missing."""
    missing = _missing(tuple(packages))
    if missing:
        pytest.skip(f"{missing}; the stored numbers were checked")
    loaded = "".join(f"suppressPackageStartupMessages(library({package}))\n" for package in packages)
    done = subprocess.run(
        ["Rscript", "--vanilla", "-"],
        check=False,
        input=loaded + PRINT + script,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    lines = (line.split() for line in done.stdout.splitlines() if line.strip())
    return {name: [float(v) for v in values] for name, *values in lines}
