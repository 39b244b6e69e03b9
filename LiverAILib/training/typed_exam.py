"""What trainings and evaluations ask of an exam with known truth: a phantom, or a real scan made into an exam."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from LiverAILib.lesion_types import LesionType
from LiverAILib.study import ClinicalRecord, Phase, Study


class LesionFacts(Protocol):
    """One lesion. id: its number in `lesion_ids`. type: None where nobody knows it (a real lesion)."""

    @property
    def id(self) -> int: ...

    @property
    def type(self) -> LesionType | None: ...

    @property
    def diameter_mm(self) -> float: ...

    @property
    def volume_ml(self) -> float: ...


class ExamFacts(Protocol):
    """What is true of an exam. evaluation_only: nothing may be trained on it."""

    @property
    def seed(self) -> int: ...

    @property
    def evaluation_only(self) -> bool: ...

    @property
    def clinical(self) -> ClinicalRecord: ...

    @property
    def lesions(self) -> Sequence[LesionFacts]: ...


class TypedExam(Protocol):
    """A multi-phase exam with its liver, its lesions and their types; `Phantom` and `SyntheticExam` are such."""

    @property
    def study(self) -> Study: ...

    @property
    def lesion_ids(self) -> Mapping[Phase, npt.NDArray[np.uint16]]: ...

    @property
    def truth(self) -> ExamFacts: ...

    def liver_mask(self, phase: Phase) -> npt.NDArray[np.bool_]:
        """The liver with its lesions, (z, y, x) on the phase's grid."""
        ...

    def lesion_mask(self, phase: Phase) -> npt.NDArray[np.bool_]:
        """All lesions."""
        ...
