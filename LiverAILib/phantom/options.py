"""What can be asked of the phantom, and the names of its tissues."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from LiverAILib.errors import StudyError
from LiverAILib.lesion_types import LesionType


class Tissue(IntEnum):
    """Values of the phantom's label maps. The liver is LIVER, HEPATIC_VESSEL and LESION together."""

    AIR = 0
    FAT = 1
    MUSCLE = 2
    BONE = 3
    LUNG = 4
    LIVER = 5
    HEPATIC_VESSEL = 6
    LESION = 7
    SPLEEN = 8
    KIDNEY = 9
    STOMACH = 10
    GALLBLADDER = 11
    PANCREAS = 12
    ARTERY = 13
    VENA_CAVA = 14
    PORTAL_VEIN = 15
    BOWEL = 16
    ADRENAL = 17
    HEART = 18
    FLUID = 19
    OTHER = 20


#: Label values that make up the liver mask.
LIVER_TISSUES = (Tissue.LIVER, Tissue.HEPATIC_VESSEL, Tissue.LESION)

#: Seeds from here on are for evaluation only: nothing may be trained on them.
EVALUATION_SEEDS = 1_000_000


@dataclass(frozen=True)
class PhantomOptions:
    """How an exam is taken, and what is asked of its lesions. None means: drawn from the seed, as in practice.

    shape: voxels (z, y, x). spacing_mm: voxel size (z, y, x); drawn as 1-10 mm slices of 0.6-0.9 mm pixels.
    lesions: a number, or the types to place, one name per lesion; () or 0 for a liver without any.
    breathing: liver and its neighbours move between the phases. artefacts: arms-down streaks now and then.
    whole_body: from the chest to the pelvis (True), the liver with its margins (False), or drawn.
    margin_mm: above and below the liver. liver_crop_mm: crop all sides to the liver plus this margin.
    noise: False leaves out noise, point spread and artefacts.
    Raises StudyError for sizes that make no sense.
    """

    shape: tuple[int, int, int] | None = None
    spacing_mm: tuple[float, float, float] | None = None
    lesions: int | Sequence[LesionType | str] | None = None
    breathing: bool = True
    artefacts: bool = True
    whole_body: bool | None = None
    margin_mm: float | None = None
    liver_crop_mm: float | None = None
    noise: bool = True

    def __post_init__(self) -> None:
        if self.shape is not None and (len(self.shape) != 3 or min(self.shape) < 1):
            raise StudyError(f"Phantom shape {self.shape}: give three positive voxel counts (z, y, x).")
        if self.spacing_mm is not None and (len(self.spacing_mm) != 3 or min(self.spacing_mm) <= 0):
            raise StudyError(f"Phantom spacing {self.spacing_mm}: give three positive sizes in mm (z, y, x).")
        if isinstance(self.lesions, int) and not 0 <= self.lesions <= 60:
            raise StudyError(f"A phantom liver holds 0 to 60 lesions, not {self.lesions}.")
        if isinstance(self.lesions, str):
            raise StudyError(f'Lesions "{self.lesions}": give a number or a list of type names.')
        if self.lesions is not None and not isinstance(self.lesions, int):
            known = [str(kind) for kind in LesionType]
            for name in self.lesions:
                if str(name) not in known:
                    raise StudyError(f'Lesion type "{name}" is unknown. Choose from {", ".join(known)}.')
            object.__setattr__(self, "lesions", tuple(LesionType(str(name)) for name in self.lesions))
