"""Liver and lesion segmentation measured on cases with known truth, through the same stages that an analysis runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from LiverAILib.analysis.lesions import find_lesions
from LiverAILib.analysis.segment import Segmenter
from LiverAILib.evaluation.overlap import LesionMatch, dice, label_regions, match_lesions
from LiverAILib.readerstudy.statistics.proportions import clopper_pearson
from LiverAILib.study import Phase, Study, Volume

LARGE_LESION_ML = 1.0


@dataclass(frozen=True)
class CaseResult:
    """One volume against its truth."""

    name: str
    patient: str
    phase: Phase
    liver_dice: float
    lesion_dice: float
    lesions: LesionMatch

    def row(self) -> dict[str, Any]:
        """The result as plain values."""
        found, total = self.lesions.recall(LARGE_LESION_ML)
        return {
            "case": self.name,
            "phase": str(self.phase),
            "liver_dice": round(self.liver_dice, 4),
            "lesion_dice": round(self.lesion_dice, 4),
            "large_lesions": total,
            "large_lesions_found": found,
            "false_positives": len(self.lesions.false_positive_ml),
            **{key: [round(v, 3) for v in value] for key, value in asdict(self.lesions).items()},
        }


def evaluate_volume(
    name: str,
    patient: str,
    phase: Phase,
    volume: Volume,
    liver: npt.NDArray[np.bool_],
    lesion_ids: npt.NDArray[np.integer] | None,
    segmenter: Segmenter,
) -> CaseResult:
    """Analyse one volume alone and compare it with its true liver and labelled lesions (None: not known)."""
    study = Study({phase: volume})
    segmentation = segmenter(volume, lambda _: None)
    measured = find_lesions(study, {phase: segmentation})
    true = np.zeros(volume.array.shape, np.int32) if lesion_ids is None else lesion_ids
    return CaseResult(
        name,
        patient,
        phase,
        dice(measured.liver, liver),
        dice(measured.lesion_ids > 0, true > 0),
        match_lesions(measured.lesion_ids, true, volume.voxel_ml),
    )


@dataclass(frozen=True)
class Summary:
    """Several cases together; liver Dice averaged by patient first."""

    cases: int
    patients: int
    mean_liver_dice: float
    worst_liver_dice: float
    large_lesions: int
    large_lesions_found: int
    recall_interval: tuple[float, float]
    false_positives_per_case: float


def summarise(results: Sequence[CaseResult]) -> Summary:
    """Mean and worst liver Dice over patients, recall of lesions >= 1 ml with its 95% interval, false positives a
    case.
    """
    by_patient: dict[str, list[float]] = {}
    for result in results:
        by_patient.setdefault(result.patient, []).append(result.liver_dice)
    patients = [float(np.mean(values)) for values in by_patient.values()]
    counts = [result.lesions.recall(LARGE_LESION_ML) for result in results]
    found, total = sum(c[0] for c in counts), sum(c[1] for c in counts)
    return Summary(
        cases=len(results),
        patients=len(patients),
        mean_liver_dice=float(np.mean(patients)),
        worst_liver_dice=min(result.liver_dice for result in results),
        large_lesions=total,
        large_lesions_found=found,
        recall_interval=clopper_pearson(found, total) if total else (math.nan, math.nan),
        false_positives_per_case=float(np.mean([len(result.lesions.false_positive_ml) for result in results])),
    )


def evaluate_phantoms(
    seeds: Iterable[int], phases: Sequence[Phase], segmenter: Segmenter, say: Callable[[str], None]
) -> list[CaseResult]:
    """Each phase of the phantoms with these seeds, analysed alone, as taken in practice (slice thickness and all
    drawn).
    """
    from LiverAILib.phantom import generate

    results = []
    for seed in seeds:
        phantom = generate(seed, phases=phases)
        for phase in phases:
            volume = phantom.study.volumes[phase]
            result = evaluate_volume(
                f"phantom {seed}",
                str(seed),
                phase,
                volume,
                phantom.liver_mask(phase),
                phantom.lesion_ids[phase],
                segmenter,
            )
            results.append(result)
            say(f"{result.name} {phase}: liver Dice {result.liver_dice:.3f}")
    return results


def evaluate_cases(cases: Iterable[Any], segmenter: Segmenter, say: Callable[[str], None]) -> list[CaseResult]:
    """Labelled cases (`training.cases.CaseFiles`), portal venous."""
    results = []
    for case in cases:
        label = case.labels()
        result = evaluate_volume(
            case.name,
            case.patient,
            Phase.PORTAL_VENOUS,
            case.volume(),
            label >= 1,
            label_regions(label == 2),
            segmenter,
        )
        results.append(result)
        found, total = result.lesions.recall(LARGE_LESION_ML)
        wrong = len(result.lesions.false_positive_ml)
        say(f"{case.name}: liver Dice {result.liver_dice:.3f}, {found} of {total} lesions >= 1 ml, {wrong} false")
    return results
