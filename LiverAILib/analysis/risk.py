"""The HCC risk score of one patient from HCCNet's slice probabilities.

Source: Wang et al., Br J Cancer 2021, Methods, "Calculation of HCC risk score":
-(1/n) * sum_i w_i * log10(1 - p_i) with w_i = p_i / sum(p), over all n images of the patient. The weights already sum
to 1, so the printed 1/n makes the score fall with the number of images: both forms are given, and comparisons between
patients should use the one without 1/n.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

#: Probabilities are cut here, since log10(1 - 1) is minus infinity: no score exceeds 6.
MAX_PROBABILITY = 1 - 1e-6


@dataclass(frozen=True)
class RiskScore:
    """printed: as the paper prints it, divided by the number of images. unscaled: without that. images: how many."""

    printed: float
    unscaled: float
    images: int


def hcc_risk(probabilities: npt.ArrayLike) -> RiskScore | None:
    """The score of a patient's slices (n,), all phases together, in any order.

    No slice: None, for there is no score. All probabilities zero: the weights are 0/0, and the score is its limit, 0.
    Raises ValueError for a probability that is not in [0, 1].
    """
    p = np.asarray(probabilities, dtype=np.float64).ravel()
    if p.size == 0:
        return None
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError("A slice probability is not in 0 to 1.")
    p = np.minimum(p, MAX_PROBABILITY)
    total = p.sum()
    unscaled = float(-(p * np.log1p(-p)).sum() / (total * np.log(10))) if total > 0 else 0.0
    return RiskScore(unscaled / p.size, unscaled, int(p.size))
