"""The triage of a synthetic screening cohort: the classifier on true boxes, then the rules of the patient's reading.

LiAIDS' consecutive patients had 7.5% malignancy among 13,192 (their NPV, PPV and share of low risk). Of those without
malignancy 39% had benign lesions in its prospective cohort (Table 1: 420 of 1,079), which is taken over here. Patients
without a lesion need no image, as nothing is found in their true boxes: they are at low risk by the rules. What a
detector adds by false findings or takes away by misses is measured with the detector.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from LiverAILib.analysis.reading import ClassifiedLesion, TriageThresholds, read_patient
from LiverAILib.evaluation.figures import Figure, figure_of
from LiverAILib.evaluation.lesion_types import MALIGNANT, Answers
from LiverAILib.findings import Triage
from LiverAILib.networks.lesion_classifier import CLASSES
from LiverAILib.readerstudy.statistics.estimate import Estimate
from LiverAILib.readerstudy.statistics.proportions import proportion

MALIGNANT_SHARE = 0.075
BENIGN_SHARE = 0.925 * 420 / 1079


@dataclass(frozen=True)
class TriagedExam:
    """One patient. malignant: the truth; triage: what the rules say."""

    seed: int
    malignant: bool
    lesions: int
    low_risk: bool


def triage_exams(
    labels: npt.NDArray[np.int64], answers: Answers, exams: npt.NDArray[np.int64], thresholds: TriageThresholds
) -> list[TriagedExam]:
    """The reading of each exam from the answers to its lesions."""
    found = []
    for seed in np.unique(exams):
        own = np.flatnonzero(exams == seed)
        lesions = [
            ClassifiedLesion(
                str(number), f"Lesion {number}", dict(zip(CLASSES, answers.probability[number].tolist(), strict=True))
            )
            for number in own
        ]
        reading = read_patient(lesions, thresholds)
        found.append(TriagedExam(int(seed), bool(MALIGNANT[labels[own]].any()), len(own), reading.triage is Triage.LOW))
    return found


def draw_cohort(exams: Sequence[TriagedExam], n: int, seed: int = 0) -> list[TriagedExam]:
    """n patients at the shares above, or as many as the exams allow; each exam once. Those without a lesion have a
    negative seed.
    """
    sick = [exam for exam in exams if exam.malignant]
    well = [exam for exam in exams if not exam.malignant]
    n = min(n, int(len(sick) / MALIGNANT_SHARE), int(len(well) / BENIGN_SHARE))
    rng = np.random.default_rng(seed)
    chosen: list[TriagedExam] = []
    for group, share in ((sick, MALIGNANT_SHARE), (well, BENIGN_SHARE)):
        chosen += [group[k] for k in rng.choice(len(group), round(n * share), replace=False)]
    return chosen + [TriagedExam(-1 - k, False, 0, True) for k in range(n - len(chosen))]


def weighted_rates(exams: Sequence[TriagedExam]) -> tuple[float, float, float]:
    """NPV, PPV and share of low risk at the shares above, from the rates in all exams of each kind."""
    sick = np.mean([exam.low_risk for exam in exams if exam.malignant])
    well = np.mean([exam.low_risk for exam in exams if not exam.malignant])
    missed, cleared = MALIGNANT_SHARE * sick, BENIGN_SHARE * well + 1 - MALIGNANT_SHARE - BENIGN_SHARE
    low = missed + cleared
    return (
        float(cleared / low) if low else float("nan"),
        float((MALIGNANT_SHARE - missed) / (1 - low)) if low < 1 else float("nan"),
        float(low),
    )


def triage_figures(exams: Sequence[TriagedExam], n: int) -> tuple[list[Figure], list[str]]:
    """NPV, PPV and the share of low risk of a cohort; and the share of patients with malignancy at high risk."""
    if not any(exam.malignant for exam in exams) or all(exam.malignant for exam in exams):
        return [], ["Triage: the pool holds no exam with, or none without, a malignant lesion."]
    cohort = draw_cohort(exams, n)
    notes = []
    if len(cohort) < n:
        notes.append(f"Triage: the pool has exams for a cohort of {len(cohort)}, not of {n}. Make more with --exams.")
    low = [exam for exam in cohort if exam.low_risk]
    high = [exam for exam in cohort if not exam.low_risk]
    sick = sum(exam.malignant for exam in cohort)
    benign = sum(exam.lesions > 0 and not exam.malignant for exam in cohort)
    on = (
        f"synthetic screening cohort, true boxes: {sick} of {len(cohort)} malignant, {benign} with benign lesions, the "
        "others without a lesion"
    )
    npv, ppv, share = weighted_rates(exams)
    rows: list[tuple[str, Estimate, str, float, str]] = [
        ("share of low risk", _rate(len(low), len(cohort), "share of low risk"), ">= 0.75", share, "0.765"),
    ]
    if low:
        hits = sum(not exam.malignant for exam in low)
        rows.insert(0, ("NPV", _rate(hits, len(low), "NPV"), ">= 0.990", npv, "0.990"))
    if high:
        rows.append(("PPV", _rate(sum(exam.malignant for exam in high), len(high), "PPV"), "", ppv, "0.287"))
    figures = [
        figure_of(estimate, f"triage: {what}", on, goal=goal, papers=papers, detail=f"{all_:.3f} from all exams' rates")
        for what, estimate, goal, all_, papers in rows
    ]
    every = [exam for exam in exams if exam.malignant]
    caught = _rate(sum(not exam.low_risk for exam in every), len(every), "sensitivity")
    where = "all exams with a malignant lesion, true boxes"
    figures.append(figure_of(caught, "triage: patients with malignancy at high risk", where))
    clear = [exam for exam in exams if not exam.malignant]
    cleared = _rate(sum(exam.low_risk for exam in clear), len(clear), "specificity")
    where = "all exams with benign lesions only, true boxes"
    figures.append(figure_of(cleared, "triage: patients with benign lesions at low risk", where))
    return figures, notes


def _rate(hits: int, n: int, name: str) -> Estimate:
    return proportion(hits, n, name=name, unit="patients")


def triage_rows(exams: Sequence[TriagedExam]) -> list[dict[str, Any]]:
    """As plain values."""
    return [vars(exam) for exam in exams]
