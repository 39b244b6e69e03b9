"""What is fitted on validation data after a training: temperature, the HCC decision and the triage thresholds.

Never on test data, and by patient where a statement is about patients. Each result says on how many it rests.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from LiverAILib.analysis.reading import TriageThresholds

TEMPERATURES = (0.5, 20.0)


@dataclass(frozen=True)
class Calibration:
    """The temperature, and the mean negative log likelihood (nats) at temperature 1 and at this one, of n cases."""

    temperature: float
    nll_before: float
    nll_after: float
    n: int


def fit_temperature(logits: npt.ArrayLike, labels: npt.ArrayLike) -> Calibration:
    """The temperature (Guo et al., ICML 2017) that makes softmax(logits / temperature) most likely; within
    `TEMPERATURES`, so that a small flawless validation set, which asks for 0, does not make certainties of likelihoods.

    logits: (n, classes). labels: (n,) integers. Raises ValueError without cases or for labels that are no class.
    """
    from scipy import optimize, special

    scores, truth = np.asarray(logits, dtype=np.float64), np.asarray(labels)
    if scores.ndim != 2 or len(scores) == 0 or truth.shape != scores.shape[:1] or not np.isfinite(scores).all():
        raise ValueError(
            f"A calibration needs finite logits (n, classes) and n labels, got {scores.shape}, {truth.shape}."
        )
    if truth.min() < 0 or truth.max() >= scores.shape[1]:
        raise ValueError(f"A label is none of the {scores.shape[1]} classes.")

    def nll(log_temperature: float) -> float:
        log_p = special.log_softmax(scores / np.exp(log_temperature), axis=1)
        return float(-log_p[np.arange(len(truth)), truth].mean())

    bounds = (float(np.log(TEMPERATURES[0])), float(np.log(TEMPERATURES[1])))
    best = optimize.minimize_scalar(nll, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return Calibration(float(np.exp(best.x)), nll(0.0), float(best.fun), len(truth))


@dataclass(frozen=True)
class Decision:
    """Positive from `threshold` on, with what that gave on the n cases it was chosen on."""

    threshold: float
    sensitivity: float
    specificity: float
    n: int


def choose_decision(scores: npt.ArrayLike, positive: npt.ArrayLike) -> Decision:
    """The threshold of highest sensitivity + specificity (Youden), halfway between two scores; of equal ones the
    lowest.

    E.g. for HCC from the patients' risk scores. Raises ValueError unless there are positive and negative cases.
    """
    values, truth = np.asarray(scores, dtype=np.float64).ravel(), np.asarray(positive, dtype=bool).ravel()
    if values.shape != truth.shape or not truth.any() or truth.all() or not np.isfinite(values).all():
        raise ValueError("A decision needs finite scores of both positive and negative cases.")
    levels = np.unique(values)
    cuts = np.concatenate([[levels[0]], (levels[:-1] + levels[1:]) / 2])
    called = values[None] >= cuts[:, None]
    sensitivity = (called & truth).sum(axis=1) / truth.sum()
    specificity = (~called & ~truth).sum(axis=1) / (~truth).sum()
    best = int(np.argmax(np.round(sensitivity + specificity, 12)))
    return Decision(float(cuts[best]), float(sensitivity[best]), float(specificity[best]), len(values))


@dataclass(frozen=True)
class TriageChoice:
    """Thresholds and what they gave on the n patients they were chosen on.

    npv: part of the low-risk patients without malignancy. low_share: part of patients at low risk. ppv: part of the
    high-risk patients with malignancy; definite_ppv: of the definitely malignant ones. None where there is no patient.
    """

    thresholds: TriageThresholds
    npv: float
    low_share: float
    ppv: float | None
    definite_ppv: float | None
    n: int


def choose_triage(
    worst: npt.ArrayLike,
    malignant: npt.ArrayLike,
    *,
    npv: float = 0.99,
    definite_ppv: float = 0.95,
    confidence: float | None = None,
) -> TriageChoice:
    """The thresholds that put most patients at low risk while the low-risk group's NPV is at least `npv`.

    worst: (n,) highest probability of malignancy of each validation patient's lesions, NaN for a patient in whom no
    lesion was found (always low risk, so a missed tumour counts against the NPV). malignant: (n,) the truth. The
    definitely malignant are then as many as keep a PPV of `definite_ppv`. confidence: let the one-sided Clopper-Pearson
    bound reach `npv`, not the share itself. Raises ValueError if no threshold reaches it.
    """
    values, truth = np.asarray(worst, dtype=np.float64).ravel(), np.asarray(malignant, dtype=bool).ravel()
    if values.shape != truth.shape or not len(values):
        raise ValueError("A triage needs patients, each with its worst lesion's probability and the truth.")
    if ((values < 0) | (values > 1)).any():
        raise ValueError("A probability of malignancy is not in 0 to 1.")
    values = np.where(np.isnan(values), -1.0, values)
    cuts = _cuts(values[values >= 0])
    reached = []
    for cut in cuts:
        low = values < cut
        if low.any() and _at_least(int((low & ~truth).sum()), int(low.sum()), confidence) >= npv:
            reached.append(float(cut))
    if not reached:
        raise ValueError(
            f"No threshold gives a negative predictive value of {npv} on these {len(values)} patients: "
            "too few of them, too many missed tumours, or too poor a classifier."
        )
    benign_below = max(reached)
    definite = [float(c) for c in cuts if c >= benign_below and _share(truth, values >= c, 0.0) >= definite_ppv]
    thresholds = TriageThresholds(benign_below, min(definite, default=1.0))
    low, sure = values < benign_below, values >= thresholds.malignant_from
    return TriageChoice(
        thresholds,
        npv=_share(~truth, low, 0.0),
        low_share=float(low.mean()),
        ppv=_share(truth, ~low, 0.0) if (~low).any() else None,
        definite_ppv=_share(truth, sure, 0.0) if sure.any() else None,
        n=len(values),
    )


def _cuts(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Thresholds that part the values in every way: halfway between neighbours, and between the ends and 0 or 1."""
    levels = np.unique(np.concatenate([[0.0], values, [1.0]]))
    return np.unique(np.concatenate([[0.0], (levels[:-1] + levels[1:]) / 2, [1.0]]))


def _share(truth: npt.NDArray[np.bool_], group: npt.NDArray[np.bool_], empty: float) -> float:
    return float(truth[group].mean()) if group.any() else empty


def _at_least(hits: int, n: int, confidence: float | None) -> float:
    """The share, or its one-sided lower Clopper-Pearson bound."""
    from scipy import stats

    if confidence is None:
        return hits / n
    return float(stats.beta.ppf(1 - confidence, hits, n - hits + 1)) if hits else 0.0
