"""Where the files of a study lie: all beside the study file `NAME.sqlite`, in `NAME.cases`.

NAME.cases/C001/volumes/arterial.nrrd    the images, under neutral names
NAME.cases/C001/run/                     the AI's run folder
"""

from __future__ import annotations

from pathlib import Path


def cases_folder(study: Path) -> Path:
    """The folder of all prepared cases of a study file."""
    return study.with_name(f"{study.stem}.cases")


def volumes_folder(cases: Path, case: str) -> Path:
    """The folder of a case's images."""
    return cases / case / "volumes"


def run_folder(cases: Path, case: str) -> Path:
    """A case's run folder."""
    return cases / case / "run"
