"""What is chosen and measured on validation data when a training of the classifier or of the detector has ended:
thresholds, and the package's results. Those of NoduleNet and HCCNet are in `validated_slices`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from LiverAILib.analysis.calibrate import Calibration, choose_decision, choose_triage
from LiverAILib.networks.lesion_classifier import CLASSES
from LiverAILib.training.packages import result
from LiverAILib.training.slices import auroc

Rows = list[dict[str, Any]]


def classifier_results(
    logits: Tensor, labels: Tensor, exams: Tensor, lesion_free: int, calibration: Calibration
) -> tuple[dict[str, Any], Rows]:
    """`temperature`, `triage` and the results. logits: (n, 7) of the validation lesions. lesion_free: how many
    validation exams have no lesion.
    """
    probability = torch.softmax(logits / calibration.temperature, dim=1)
    malignant_class = torch.tensor([kind.malignant for kind in CLASSES])
    malignancy = probability[:, malignant_class].sum(dim=1).clamp(0, 1)
    malignant = malignant_class[labels]
    on = "lesions of validation patients and phantoms"
    aucs = [
        auroc(probability[:, number], labels == number)
        for number in range(len(CLASSES))
        if (labels == number).any() and not (labels == number).all()
    ]
    rows = [
        result("seven-class accuracy", on, len(labels), float((logits.argmax(dim=1) == labels).float().mean())),
        result("macro AUC, one against rest", on, len(labels), float(np.mean(aucs)) if aucs else float("nan")),
        result("log loss before calibration", on, calibration.n, calibration.nll_before),
        result("log loss after calibration", on, calibration.n, calibration.nll_after),
    ]
    extra: dict[str, Any] = {"temperature": calibration.temperature}
    if not malignant.any() or malignant.all():
        return extra, rows
    rows.append(result("AUC, malignant against benign", on, len(labels), auroc(malignancy, malignant)))
    numbers = exams.unique()
    worst = [float(malignancy[exams == number].max()) for number in numbers] + [float("nan")] * lesion_free
    truth = [bool(malignant[exams == number].any()) for number in numbers] + [False] * lesion_free
    try:
        choice = choose_triage(worst, truth)
    except ValueError:  # no threshold reaches the wanted NPV: then there is no triage
        return extra, rows
    decision = choose_decision(malignancy.numpy(), malignant.numpy())
    two_way = float(np.clip(decision.threshold, 1e-3, 1 - 1e-3))
    extra["triage"] = replace(choice.thresholds, decision=two_way).metadata()
    exam_words = "validation exams with a typed lesion or none"
    rows += [
        result("triage: NPV of low risk", exam_words, choice.n, choice.npv),
        result("triage: share of low risk", exam_words, choice.n, choice.low_share),
    ]
    return extra, rows


@dataclass(frozen=True)
class FoundInCase:
    """Boxes found in one volume. scores: (n,). hits: bool (n, m), which box finds which of its m lesions."""

    scores: npt.NDArray[np.float64]
    hits: npt.NDArray[np.bool_]


@dataclass(frozen=True, order=True)
class ScoreChoice:
    """Least scores of a lesion (`threshold`), of a slice's box and of a region without a box, and what they give; the
    greater is the better.
    """

    recall: float
    fewer: float  # false positives a case, negative
    threshold: float
    slice_score: float
    region_peak: float

    @property
    def false_a_case(self) -> float:
        """False positives a case."""
        return -self.fewer


def choose_score(
    found: Mapping[tuple[float, float], Sequence[FoundInCase]], *, false_a_case: float = 1.0
) -> ScoreChoice | None:
    """The scores that give the highest recall at no more than `false_a_case` false boxes a case; of equal ones with the
    fewest. found: in the same cases, by the least scores of a slice's box and of a region without a box. None without a
    lesion.
    """
    best = None
    for (slice_score, peak), cases in found.items():
        lesions = sum(case.hits.shape[1] for case in cases)
        if not lesions:
            return None
        for threshold in np.unique(np.concatenate([[0.99], *(case.scores for case in cases)])):
            kept = [case.hits[case.scores >= threshold] for case in cases]
            wrong = sum(int((~hits.any(axis=1)).sum()) for hits in kept) / len(cases)
            recall = sum(int(hits.any(axis=0).sum()) for hits in kept) / lesions
            if wrong <= false_a_case:
                choice = ScoreChoice(recall, -wrong, min(float(threshold), 1.0), slice_score, peak)
                best = choice if best is None else max(best, choice)
    return best


def detector_results(
    found: Mapping[tuple[float, float], Sequence[FoundInCase]], on: str
) -> tuple[dict[str, Any], Rows]:
    """`operating_point` (see `choose_score`) and the results."""
    choice = choose_score(found)
    if choice is None:
        return {}, []
    cases = found[choice.slice_score, choice.region_peak]
    lesions = sum(case.hits.shape[1] for case in cases)
    point = {
        "least_score": choice.slice_score,
        "least_mean_score": round(choice.threshold, 4),
        "recall": round(choice.recall, 4),
    }
    if choice.region_peak <= 1:
        point["region_peak"] = max(choice.region_peak, point["least_mean_score"])
    extra = {"operating_point": point}
    rows = [
        result("recall", on, lesions, choice.recall),
        result("false positives a case", on, len(cases), choice.false_a_case),
    ]
    return extra, rows
