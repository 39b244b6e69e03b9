"""The logistic regression that tells regions of joint lesion probability which are lesions from the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, replace

import numpy as np
import numpy.typing as npt

from LiverAILib.analysis.region_facts import FACTS, RegionFacts, RegionWeights

RIDGE = 3.0  # on the weights of standardised facts, against a sum of losses over all regions


def fit_regions(
    facts: Sequence[RegionFacts], lesion: Sequence[bool], counts: Sequence[float] | None = None
) -> RegionWeights | None:
    """Of regions with known answers; None unless there are some of both kinds. counts: how much each counts, 1 without
    it.
    """
    from scipy import optimize
    from scipy.special import expit

    truth = np.asarray(lesion, dtype=np.float64)
    weight = np.ones(len(truth)) if counts is None else np.asarray(counts, dtype=np.float64)
    if not 0 < truth.sum() < len(truth):
        return None
    values = np.array([astuple(one) for one in facts], dtype=np.float64)
    mean, spread = values.mean(axis=0), values.std(axis=0).clip(min=1e-6)
    scaled = np.column_stack([(values - mean) / spread, np.ones(len(values))])
    held = np.r_[np.full(len(FACTS), RIDGE), 0.0]  # the bias is free

    def loss(weights: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        score = scaled @ weights
        value = weight @ (np.logaddexp(0, score) - truth * score) + 0.5 * (held * weights**2).sum()
        return float(value), scaled.T @ (weight * (expit(score) - truth)) + held * weights

    found = optimize.minimize(loss, np.zeros(len(FACTS) + 1), jac=True, method="L-BFGS-B").x
    weights = found[:-1] / spread
    return RegionWeights(**dict(zip(FACTS, weights.tolist(), strict=True)), bias=float(found[-1] - weights @ mean))


def stricter(weights: RegionWeights, least: float) -> RegionWeights:
    """The weights by which a region counts from a higher sureness on, which then is 0."""
    return replace(weights, bias=weights.bias - least)
