"""The last step: an examination into a Study, or the error that says why not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from LiverAILib.errors import PhaseQuestion, StudyError
from LiverAILib.importing.examine import Examination, Progress, examine
from LiverAILib.study import ClinicalRecord, Phase, Study


def study_from(
    paths: Sequence[Path],
    phase_files: Mapping[Phase, Path],
    phase_choices: Mapping[str, Phase],
    clinical: ClinicalRecord | None,
    progress: Progress | None,
) -> Study:
    """See `LiverAILib.importing.load_study`."""
    found = examine(paths, phase_files, phase_choices, progress)
    if found.problems:
        raise StudyError("\n".join(found.problems + found.questions))
    if found.questions:
        raise PhaseQuestion("\n".join(found.questions))
    volumes = {phase: found.volumes[phase] for phase in Phase if phase in found.volumes}
    return Study(volumes, _clinical(found, clinical or ClinicalRecord()), tuple(found.warnings))


def _clinical(found: Examination, record: ClinicalRecord) -> ClinicalRecord:
    """Age and sex from the tags of the used series, where the record leaves them open."""
    firsts = [entry.candidate.first for entry in found.used.values() if entry.candidate is not None]
    age = record.age if record.age is not None else next((f.age for f in firsts if f.age is not None), None)
    sex = record.sex if record.sex is not None else next((f.sex for f in firsts if f.sex is not None), None)
    return replace(record, age=age, sex=sex)
