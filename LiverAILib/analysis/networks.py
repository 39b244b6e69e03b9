"""The networks beside the segmentation, as the pipeline takes them; one that is missing leaves its stage out.

Real ones come from model packages (see `packages`); tests put stand-ins here. Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from LiverAILib.analysis.boxes3d import FoundBoxes
from LiverAILib.analysis.lesions import IndexBox
from LiverAILib.analysis.reading import TriageThresholds
from LiverAILib.findings import Model
from LiverAILib.lesion_types import LesionType
from LiverAILib.study import ClinicalRecord, Phase, Study, Volume

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import nn

    from LiverAILib.analysis.join import JointMap
    from LiverAILib.analysis.resample import Mask
    from LiverAILib.analysis.segment import Segmentation
    from LiverAILib.saliency import SaliencyMix

Parameters = Mapping[str, float | int | str | bool]
Run = TypeVar("Run")


class Compare(Protocol):
    """What `compare.PhaseComparer` does: the phases' joint lesion probability with what a comparison of them says."""

    def __call__(self, study: Study, joint: JointMap) -> JointMap: ...


class Detect(Protocol):
    """What `detect.PhaseDetector` does: the lesions of one volume as boxes on its own grid."""

    def __call__(self, volume: Volume, segmentation: Segmentation, progress: Callable[[float], None]) -> FoundBoxes: ...


class Classify(Protocol):
    """What `classify.classify_lesions` does with a network: each lesion's probabilities from its boxes by phase, None
    where none of them can be used.
    """

    def __call__(
        self,
        volumes: Mapping[Phase, Volume],
        boxes: Sequence[Mapping[Phase, IndexBox]],
        clinical: ClinicalRecord,
        progress: Callable[[float], None],
    ) -> list[dict[LesionType, float] | None]: ...


@dataclass(frozen=True)
class SliceRisks:
    """HCCNet's probability of each liver slice of the reference phase, feet to head. slices: the first slice of each,
    and one past the last, along the volume's axial axis.
    """

    slices: list[tuple[int, int]]
    probability: list[float]


class ReadRisk(Protocol):
    """What `stack_slices.StackReader` does: HCCNet on the liver slices of the reference phase, the other phases laid
    over it.
    """

    def __call__(
        self, study: Study, liver: Mask, shifts: Mapping[Phase, npt.NDArray[np.float64]]
    ) -> SliceRisks | None: ...


@dataclass(frozen=True)
class SliceFormat:
    """What NoduleNet sees: pixels of `pixel_mm`, a square of `size` of them, slices of `min_slice_mm` or
    more, in plane no more than `margin_mm` around the liver. smoothing_mm: SD of the Gaussian over which what it says
    of neighbouring slices is averaged; 0 leaves each slice to itself, as in the paper.
    """

    pixel_mm: float = 1.25
    size: int = 256
    min_slice_mm: float = 2.0
    margin_mm: float = 10.0
    smoothing_mm: float = 0.0


@dataclass(frozen=True)
class Stage(Generic[Run]):
    """One network and what its package says: the phases it was trained for, and parameters for the findings."""

    run: Run
    model: Model
    phases: frozenset[Phase] = frozenset(Phase)
    parameters: Parameters = field(default_factory=dict)

    def unseen(self, study: Study, name: str) -> list[str]:
        """Words on the phases of a study that the network was not trained for."""
        rest = [phase.words for phase in study.volumes if phase not in self.phases]
        return (
            [f"{name} was not trained for the {' and the '.join(rest)} phase and does not look at it."] if rest else []
        )


@dataclass(frozen=True)
class Networks:
    """What is there of phase comparison, detector, classifier, NoduleNet (`nodules`) and HCCNet (`hcc`); None is left
    out.

    detector_recall: share of its validation's lesions that the detector found, None if its package says none.
    region_peak: the lesion probability from which a region without a box of the detector's is a lesion too (see
    `sure_regions`), None for none. triage: the classifier's thresholds, None if its package has none. hcc_threshold: of
    the unscaled risk score. salient_from: nodule probability over which a slice gets a saliency map. saliency: what the
    map is made of, as published if None. device: where NoduleNet is.
    notes: on what is missing, for the findings' warnings.
    """

    comparison: Stage[Compare] | None = None
    detector: Stage[Detect] | None = None
    detector_recall: float | None = None
    region_peak: float | None = None
    classifier: Stage[Classify] | None = None
    triage: TriageThresholds | None = None
    nodules: Stage[nn.Module] | None = None
    hcc: Stage[ReadRisk] | None = None
    hcc_threshold: float | None = None
    slice_format: SliceFormat = SliceFormat()
    salient_from: float = 0.5
    saliency: SaliencyMix | None = None
    device: str = "cpu"
    notes: tuple[str, ...] = ()

    @property
    def models(self) -> list[Model]:
        """What is there, in the order it runs."""
        return [stage.model for stage in self._stages if stage is not None]

    @property
    def parameters(self) -> Parameters:
        """Of everything that is there."""
        return {key: value for stage in self._stages if stage is not None for key, value in stage.parameters.items()}

    @property
    def _stages(
        self,
    ) -> tuple[
        Stage[Compare] | None,
        Stage[Detect] | None,
        Stage[Classify] | None,
        Stage[nn.Module] | None,
        Stage[ReadRisk] | None,
    ]:
        return self.comparison, self.detector, self.classifier, self.nodules, self.hcc
