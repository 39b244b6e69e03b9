"""Which real scans are held out of training."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from LiverAILib.errors import StudyError
from LiverAILib.training.cases import CaseFiles, find_cases, split_cases


def held_out(folder: Path, trained_on: Collection[str] = ()) -> list[CaseFiles]:
    """The cases of a folder whose patients are held out of training.

    trained_on: patients that a network has seen. Raises StudyError if one of them was drawn for the test.
    """
    cases = split_cases(find_cases(folder)).test
    if seen := {case.patient for case in cases} & set(trained_on):
        raise StudyError(
            f"The network was trained on {', '.join(sorted(seen))} of {folder}: a figure on them would say nothing. "
            "Give the folder that it was trained on, unchanged, or one of other patients."
        )
    return cases
