"""A folder or files -> Study, or a clear refusal.

`load_study` gives the study; `inspect` only says what is there and what would be used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from LiverAILib.importing.inspection import Inspection, SeriesReport, Use
from LiverAILib.study import ClinicalRecord, Phase, Study

__all__ = ["Inspection", "SeriesReport", "Use", "inspect", "load_study"]

_NONE_FILES: Mapping[Phase, Path] = {}
_NONE_CHOICES: Mapping[str, Phase] = {}


def inspect(
    paths: Sequence[Path],
    *,
    phase_files: Mapping[Phase, Path] = _NONE_FILES,
    phase_choices: Mapping[str, Phase] = _NONE_CHOICES,
    progress: Callable[[float, str], None] | None = None,
) -> Inspection:
    """What the paths hold and what would be used; broken series are reported, never raised.

    Raises StudyError only for a path that does not exist.
    """
    from LiverAILib.importing.examine import examine

    return examine(list(paths), phase_files, phase_choices, progress).inspection()


def load_study(
    paths: Sequence[Path],
    *,
    phase_files: Mapping[Phase, Path] = _NONE_FILES,
    phase_choices: Mapping[str, Phase] = _NONE_CHOICES,
    clinical: ClinicalRecord | None = None,
    progress: Callable[[float, str], None] | None = None,
) -> Study:
    """The study that the paths hold.

    paths: folders of DICOM, DICOM files, or NIfTI/NRRD/MetaImage files whose phase is found out. phase_files: files
    (or folders with one series) whose phase the user states. phase_choices: series (number, description, file name or
    end of the UID) -> phase. Age and sex are taken from the DICOM tags where `clinical` leaves them open.

    Raises StudyError naming everything that prevents a study, or PhaseQuestion when only the user can tell a phase. A
    series that is not needed is left out, with the reason in the study's warnings; a broken series is an error when it
    may have been a phase that no other series fills (its tags say so, the user named it, or nothing else is there),
    else a warning.
    """
    from LiverAILib.importing.study_from import study_from

    return study_from(list(paths), phase_files, phase_choices, clinical, progress)
