"""Figures with intervals by bootstrap over groups: what comes from one exam, or one patient, is drawn together."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from LiverAILib.readerstudy.statistics.estimate import Array, Estimate
from LiverAILib.readerstudy.statistics.proportions import clopper_pearson, proportion
from LiverAILib.readerstudy.statistics.roc import newcombe_auc_interval

Index = npt.NDArray[np.int64]
Groups = npt.NDArray[np.int64]

REPLICATES = 1000
#: Bands of the distance of slices in mm; the edges are LiAIDS'.
THICKNESS = (("under 2.5 mm", 0.0, 2.5), ("2.5 to 5 mm", 2.5, 5.0), ("5 mm or more", 5.0, np.inf))
_TAIL = 0.025


def draws(groups: Groups, replicates: int = REPLICATES, seed: int = 0) -> list[Index]:
    """Indices of the replicates: as many groups as there are, drawn with replacement, each with all its members."""
    rng = np.random.default_rng(seed)
    order = np.argsort(groups, kind="stable")
    _, first = np.unique(groups[order], return_index=True)
    members = np.split(order, first[1:])
    return [
        np.concatenate([members[k] for k in rng.integers(len(members), size=len(members))]) for _ in range(replicates)
    ]


def by_group(
    value: Callable[[Index], float],
    groups: Groups,
    *,
    name: str,
    unit: str,
    grouped_by: str,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Estimate:
    """A figure of all members with its percentile interval. value: of the members with these indices; NaN where it
    can't be estimated from them, as when a class is missing: such replicates are left out.
    """
    whole = value(np.arange(len(groups)))
    found = np.array([value(index) for index in draws(groups, replicates, seed)])
    found = found[np.isfinite(found)]
    low, high = np.quantile(found, [_TAIL, 1 - _TAIL]) if len(found) else (np.nan, np.nan)
    return Estimate(
        name=name,
        value=whole,
        low=float(low),
        high=float(high),
        n=len(groups),
        unit=unit,
        method=f"percentile bootstrap over {grouped_by}, {replicates} replicates, seed {seed}",
    )


def share(
    hits: npt.NDArray[np.bool_], groups: Groups, *, name: str, unit: str, grouped_by: str, seed: int = 0
) -> Estimate:
    """The share of hits. Where every group has one member, or all hit or all miss, the interval is Clopper-Pearson's:
    in the latter case with as many trials as groups, for members of a group are not independent.
    """
    count = len(np.unique(groups))
    if count == len(groups):
        return proportion(int(hits.sum()), len(hits), name=name, unit=unit)
    if hits.all() or not hits.any():
        low, high = clopper_pearson(count if hits.all() else 0, count)
        method = f"Clopper-Pearson of {count} {grouped_by} (no variation)"
        return Estimate(name=name, value=float(hits.mean()), low=low, high=high, n=len(hits), unit=unit, method=method)
    return by_group(
        lambda index: float(hits[index].mean()), groups, name=name, unit=unit, grouped_by=grouped_by, seed=seed
    )


def area(truth: npt.NDArray[np.bool_], scores: Array) -> float:
    """Area under the empirical ROC curve, ties a half; NaN without one of the classes. Quick, for many replicates."""
    if truth.all() or not truth.any():
        return float("nan")
    levels, where = np.unique(scores, return_inverse=True)
    positive, negative = (np.bincount(where[own], minlength=len(levels)) for own in (truth, ~truth))
    below = np.cumsum(negative) - negative
    return float((positive * (below + negative / 2)).sum() / (positive.sum() * negative.sum()))


def auc_by_group(
    truth: npt.NDArray[np.bool_],
    scores: Array,
    groups: Groups,
    *,
    name: str,
    unit: str,
    grouped_by: str,
    seed: int = 0,
) -> Estimate:
    """Area under the ROC curve, groups drawn together; at an area of 0 or 1 Newcombe's interval, as no replicate
    differs.
    """
    found = by_group(
        lambda index: area(truth[index], scores[index]),
        groups,
        name=name,
        unit=unit,
        grouped_by=grouped_by,
        seed=seed,
    )
    if found.value in (0.0, 1.0):
        low, high = newcombe_auc_interval(found.value, int(truth.sum()), int((~truth).sum()))
        method = f"Newcombe score interval, {unit} as if independent (no variation)"
        return Estimate(name=name, value=found.value, low=low, high=high, n=found.n, unit=unit, method=method)
    return found


def macro_area(labels: npt.NDArray[np.int64], scores: Array) -> float:
    """Mean area of each class against the rest, of the classes (columns of scores) that are there; NaN without two."""
    areas = [area(labels == k, scores[:, k]) for k in range(scores.shape[1])]
    known = [value for value in areas if np.isfinite(value)]
    return float(np.mean(known)) if known else float("nan")


def calibration_error(confidence: Array, right: npt.NDArray[np.bool_], bins: int = 10) -> float:
    """Expected calibration error (Guo et al., ICML 2017): mean gap between confidence and share of right, over bins of
    equal width, weighted by their members.
    """
    which = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    gaps = [abs(float(confidence[which == k].sum() - right[which == k].sum())) for k in np.unique(which)]
    return float(sum(gaps) / len(confidence))
