"""What is chosen and measured on validation data when a training has ended: thresholds, and the package's results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from LiverAILib.analysis.calibrate import Calibration, choose_decision, choose_triage
from LiverAILib.analysis.risk import hcc_risk
from LiverAILib.analysis.slices import PIXEL_MM
from LiverAILib.networks.lesion_classifier import CLASSES
from LiverAILib.saliency import WEIGHTS, SaliencyMix, saliency_parts
from LiverAILib.training.packages import result
from LiverAILib.training.slice_samples import LEFT_OUT, PLACE_SHARE, LabelledSlices
from LiverAILib.training.slices import SliceTraining, auroc

Rows = list[dict[str, Any]]

SALIENT_MM2 = 79.0  # a disc of 1 cm

#: What validation chooses saliency's mix from: all five layers as published, and without the first (edges), the last
#: (a place of it is 4 cm wide), or both.
MIXES = tuple(
    SaliencyMix(weights, cam)
    for weights in (WEIGHTS, (0.0, 2.0, 3.0, 4.0, 5.0), (1.0, 2.0, 3.0, 4.0, 0.0), (0.0, 2.0, 3.0, 4.0, 0.0))
    for cam in (False, True)
)


def nodulenet_results(training: SliceTraining) -> tuple[dict[str, Any], Rows]:
    """`salient_from` (Youden's threshold of the slice probability), `saliency` (the mix of `MIXES` that is oftenest
    highest in a lesion, the first of equals) and the results, with the trained network's weights in `training.network`.
    Without validation slices of both kinds nothing is stated.
    """
    samples = training.validation
    labels = samples.labels.bool()
    if not labels.any() or labels.all():
        return {}, []
    margins = training.scores(training.network.eval(), samples)
    decision = choose_decision(torch.sigmoid(margins).numpy(), labels.numpy())
    on = "slices of validation patients and phantoms"
    rows = [
        result("AUROC, slices with a lesion", on, len(labels), auroc(margins, labels)),
        result(f"sensitivity from {decision.threshold:.2f} on", on, int(labels.sum()), decision.sensitivity),
        result(f"specificity below {decision.threshold:.2f}", on, int((~labels).sum()), decision.specificity),
    ]
    real = samples.real
    if labels[real].any() and not labels[real].all():
        where = "real slices of validation patients"
        rows.append(result("AUROC, slices with a lesion", where, int(real.sum()), auroc(margins[real], labels[real])))
    extra: dict[str, Any] = {"salient_from": round(decision.threshold, 4)}
    hits = peaks_in_lesions(training)
    if hits.shape[1]:
        shares = hits.float().mean(dim=1).tolist()
        best = MIXES[shares.index(max(shares))]
        extra["saliency"] = asdict(best)
        on = f"validation slices with {SALIENT_MM2:g} mm2 or more of lesions"
        rows += [
            result(f"highest {words(mix)} in a lesion", on, hits.shape[1], share)
            for mix, share in zip(MIXES, shares, strict=True)
            if mix in (SaliencyMix(), best)
        ]
    return extra, rows


def words(mix: SaliencyMix) -> str:
    """Of the results: SMOE and its weights."""
    smoe = f"SMOE ({', '.join(f'{weight:g}' for weight in mix.weights)})"
    return f"{smoe} x Grad-CAM" if mix.cam else smoe


def peaks_in_lesions(training: SliceTraining) -> Tensor:
    """Bool (mixes, n): whether the highest saliency of each of `MIXES` lies in a lesion, of the validation slices that
    show `SALIENT_MM2` of them.
    """
    samples = training.validation
    cell_mm2 = (PIXEL_MM * PLACE_SHARE) ** 2
    large = samples.places.float().sum(dim=(1, 2, 3)) / 255 * cell_mm2 >= SALIENT_MM2
    network = training.network.network.eval()
    hits = [torch.zeros((len(MIXES), 0), dtype=torch.bool)]
    for images, places in zip(samples.images[large].split(32), samples.places[large].split(32), strict=True):
        shown = training.shown(images).to(training.device)
        parts = saliency_parts(network, shown, MIXES)
        found = []
        for mix in MIXES:
            maps = parts.mixed(mix, (shown.shape[2], shown.shape[3])).cpu()
            cells = F.adaptive_max_pool2d(maps.unsqueeze(1), places.shape[2:]).flatten(1).argmax(dim=1, keepdim=True)
            found.append(places.flatten(1).gather(1, cells).squeeze(1) > 0)
        hits.append(torch.stack(found))
    return torch.cat(hits, dim=1)


def hccnet_results(training: SliceTraining, slices: LabelledSlices) -> tuple[dict[str, Any], Rows]:
    """`hcc_threshold` (Youden's threshold of the unscaled risk score of an exam), `hcc_auroc` and the results.

    slices: of the validation exams with both networks' labels. An exam's score is over its slices but those with
    lesions of unknown type.
    """
    samples = training.validation
    labels = samples.labels.bool()
    if not labels.any() or labels.all():
        return {}, []
    network = training.network.eval()
    rows = [
        result(
            "AUROC, slices with an HCC",
            "slices of validation patients and phantoms",
            len(labels),
            auroc(training.scores(network, samples), labels),
        )
    ]
    usable = (slices.hcc != LEFT_OUT) | (slices.nodule == 0)
    kept = slices.where(usable)
    probability = torch.sigmoid(training.scores(network, kept.of_all())).double().numpy()
    scores, truth = [], []
    for exam in kept.exams.unique().tolist():
        own = (kept.exams == exam).numpy()
        known = kept.hcc[kept.exams == exam]
        if (known == LEFT_OUT).all():
            continue
        risk = hcc_risk(probability[own])
        if risk is not None:
            scores.append(risk.unscaled)
            truth.append(bool((known == 1).any()))
    if len(set(truth)) < 2:
        return {}, rows
    decision = choose_decision(scores, truth)
    on = "exams of validation patients and phantoms"
    found = auroc(torch.tensor(scores), torch.tensor(truth))
    rows += [
        result("AUROC, exams with an HCC, unscaled risk score", on, len(truth), found),
        result(f"sensitivity from a score of {decision.threshold:.3f} on", on, sum(truth), decision.sensitivity),
        result(
            f"specificity below a score of {decision.threshold:.3f}",
            on,
            len(truth) - sum(truth),
            decision.specificity,
        ),
    ]
    return {"hcc_threshold": round(decision.threshold, 5), "hcc_auroc": round(found, 4)}, rows


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
