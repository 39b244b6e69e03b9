"""The prepared files of the cases, each used only if it is the one that was prepared."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from LiverAILib.export.nrrd import read_header, read_nrrd
from LiverAILib.readerstudy.errors import CaseFileError
from LiverAILib.readerstudy.layout import cases_folder, run_folder, volumes_folder
from LiverAILib.study import Phase, Source, Volume

if TYPE_CHECKING:
    from LiverAILib.readerstudy.truth import AiOpinion


@dataclass(frozen=True)
class Grid:
    """Where a volume lies. affine: voxel index (x, y, z, 1) to LPS mm; shape: (z, y, x)."""

    affine: npt.NDArray[np.float64]
    shape: tuple[int, ...]

    def holds(self, point: Sequence[float]) -> bool:
        """Whether a point (x, y, z) in LPS mm lies in the volume."""
        index = np.linalg.solve(self.affine, [*point, 1.0])[:3]
        return bool(((index >= -0.5) & (index <= np.array(self.shape[::-1]) - 0.5)).all())


class CaseFiles:
    """The files of some cases. files: by case, name within the cases folder to SHA-256."""

    def __init__(self, study: Path, files: Mapping[str, Mapping[str, str]]) -> None:
        self._folder = cases_folder(study)
        self._files = files

    def checked(self, case: str, name: Path) -> Path:
        """The path of a file. Raises CaseFileError unless it is the one that was prepared."""
        path = self._folder / name
        try:
            found = sha256_of(path)
        except OSError as error:
            raise CaseFileError(
                f"{path} can't be read ({error.strerror}). Put the study's case folder beside the study file again."
            ) from error
        if found != self._files[case][name.as_posix()]:
            raise CaseFileError(f"{path} is not the file that was prepared. Prepare the case again.")
        return path

    def check_all(self, case: str) -> int:
        """Check every file of a case; returns their number."""
        for name in self._files[case]:
            self.checked(case, Path(name))
        return len(self._files[case])

    def grids(self, case: str) -> dict[Phase, Grid]:
        """The phases of a case and where they lie."""
        grids = {}
        for phase in Phase:
            name = _volume(case, phase)
            if name.as_posix() in self._files[case]:
                header = read_header(self.checked(case, name))
                grids[phase] = Grid(header.affine, header.shape)
        return grids

    def volume(self, case: str, phase: Phase) -> Volume:
        """The images of one phase, under a neutral name."""
        array, header = read_nrrd(self.checked(case, _volume(case, phase)))
        return Volume(array, header.affine, Source(phase.words, "file"))

    def run(self, case: str) -> Path:
        """The AI's run folder."""
        return run_folder(self._folder, case)

    def opinion(self, case: str) -> AiOpinion:
        """What the AI says of a case, after a check of all files of its run folder."""
        from LiverAILib.readerstudy.ai_opinion import read_opinion

        run = run_folder(Path(), case)
        for name in self._files[case]:
            if Path(name).is_relative_to(run):
                self.checked(case, Path(name))
        return read_opinion(self.run(case))


def sha256_of(path: Path) -> str:
    """SHA-256 of a file. Raises OSError if it can't be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _volume(case: str, phase: Phase) -> Path:
    return volumes_folder(Path(), case) / f"{phase}.nrrd"
