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
import torch.nn.functional as F
from torch import Tensor

from LiverAILib.analysis.calibrate import Calibration, choose_decision, choose_triage
from LiverAILib.analysis.joint_types import TypeCompany, count_company, joint_by_patient
from LiverAILib.networks.lesion_classifier import CLASSES
from LiverAILib.phantom.patient import draw_types
from LiverAILib.training.packages import result
from LiverAILib.training.slices import auroc

Rows = list[dict[str, Any]]

MALIGNANT = torch.tensor([kind.malignant for kind in CLASSES])
DRAWN_PATIENTS = 20_000
#: How much the patient's other lesions may count (`TypeCompany`).
TRUSTS = (0.0, 0.25, 0.5, 0.75, 1.0)


def drawn_company() -> TypeCompany:
    """Which types go with which in patients as the phantom draws them, and exams with them."""
    rng = np.random.default_rng(0)
    patients = [[CLASSES.index(kind) for kind in draw_types(rng, None)] for _ in range(DRAWN_PATIENTS)]
    return count_company(patients, len(CLASSES), trust=1.0)


def classifier_results(
    with_record: Tensor,
    without_record: Tensor,
    labels: Tensor,
    exams: Tensor,
    lesion_free: int,
    calibration: Calibration,
    company: TypeCompany,
) -> tuple[dict[str, Any], Rows]:
    """`temperature`, `company` with the trust of the lowest log loss, `triage` and the results. with_record,
    without_record: logits (n, 7) of the validation lesions. lesion_free: how many validation exams have no lesion.
    """
    on = "lesions of validation patients and phantoms"
    alone, by_images = (
        torch.softmax(logits / calibration.temperature, dim=1).double() for logits in (with_record, without_record)
    )
    tried = {}
    for trust in TRUSTS:
        joint = joint_by_patient(alone.numpy(), by_images.numpy(), exams.numpy(), replace(company, trust=trust))
        tried[trust] = torch.from_numpy(joint)
    losses = {trust: float(F.nll_loss(joint.log(), labels)) for trust, joint in tried.items()}
    trust = min(losses, key=losses.__getitem__)
    extra, rows = _type_results(tried[trust], labels, exams, lesion_free, on)
    by_itself = f"{on}, each by itself"
    rows += [
        result("log loss", on, len(labels), losses[trust]),
        *_type_rows(alone, labels, by_itself),
        result("log loss before calibration", by_itself, calibration.n, calibration.nll_before),
        result("log loss after calibration", by_itself, calibration.n, calibration.nll_after),
    ]
    own = {"temperature": calibration.temperature, "company": replace(company, trust=trust).metadata()}
    return own | extra, rows


def _type_rows(probability: Tensor, labels: Tensor, on: str) -> Rows:
    """Accuracy and areas of (n, 7) probabilities."""
    aucs = [
        auroc(probability[:, number], labels == number)
        for number in range(len(CLASSES))
        if (labels == number).any() and not (labels == number).all()
    ]
    rows = [
        result("seven-class accuracy", on, len(labels), float((probability.argmax(dim=1) == labels).float().mean())),
        result("macro AUC, one against rest", on, len(labels), float(np.mean(aucs)) if aucs else float("nan")),
    ]
    malignant = MALIGNANT[labels]
    if malignant.any() and not malignant.all():
        area = auroc(probability[:, MALIGNANT].sum(dim=1), malignant)
        rows.append(result("AUC, malignant against benign", on, len(labels), area))
    return rows


def _type_results(
    probability: Tensor, labels: Tensor, exams: Tensor, lesion_free: int, on: str
) -> tuple[dict[str, Any], Rows]:
    """`triage`, if these probabilities allow for one, and the results."""
    malignancy = probability[:, MALIGNANT].sum(dim=1).clamp(0, 1)
    malignant, rows = MALIGNANT[labels], _type_rows(probability, labels, on)
    if not malignant.any() or malignant.all():
        return {}, rows
    numbers = exams.unique()
    worst = [float(malignancy[exams == number].max()) for number in numbers] + [float("nan")] * lesion_free
    truth = [bool(malignant[exams == number].any()) for number in numbers] + [False] * lesion_free
    try:
        choice = choose_triage(worst, truth)
    except ValueError:  # no threshold reaches the wanted NPV: then there is no triage
        return {}, rows
    decision = choose_decision(malignancy.numpy(), malignant.numpy())
    two_way = float(np.clip(decision.threshold, 1e-3, 1 - 1e-3))
    exam_words = "validation exams with a typed lesion or none"
    rows += [
        result("triage: NPV of low risk", exam_words, choice.n, choice.npv),
        result("triage: share of low risk", exam_words, choice.n, choice.low_share),
    ]
    return {"triage": replace(choice.thresholds, decision=two_way).metadata()}, rows


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
