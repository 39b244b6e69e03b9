"""The evaluation's plots, each on a given matplotlib canvas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from LiverAILib.evaluation.groups import Groups, area, auc_by_group, draws
from LiverAILib.networks.lesion_classifier import CLASSES
from LiverAILib.readerstudy.analysis.plots import COLOURS, short_name, square, tidy
from LiverAILib.readerstudy.statistics.estimate import Array
from LiverAILib.readerstudy.statistics.lesion_level import FreeResponseCurve
from LiverAILib.readerstudy.statistics.proportions import clopper_pearson
from LiverAILib.readerstudy.statistics.roc import roc_curve

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

#: Colours of the seven types: the malignant ones warm, the benign ones cold.
TYPE_COLOURS = ("#D55E00", "#E69F00", "#B22222", "#0072B2", "#56B4E9", "#009E73", "#7B4FA3")


@dataclass(frozen=True)
class Curve:
    """One ROC curve: truth and scores (n,), and the group that each belongs to."""

    name: str
    truth: npt.NDArray[np.bool_]
    scores: Array
    groups: Groups


def roc_band(curve: Curve, where: Array, replicates: int = 500) -> tuple[Array, Array]:
    """The pointwise 95% band of sensitivity at these false positive fractions, by bootstrap over groups."""
    found = []
    for index in draws(curve.groups, replicates):
        truth = curve.truth[index]
        if truth.all() or not truth.any():
            continue
        drawn = roc_curve(truth, curve.scores[index], positive="yes", negative="no")
        found.append(np.interp(where, drawn.false_positive_fraction, drawn.true_positive_fraction))
    low, high = np.quantile(found, [0.025, 0.975], axis=0)
    return low, high


def draw_roc(canvas: Canvas, curves: Sequence[Curve], title: str, positive: str, negative: str) -> None:
    """Empirical curves with their pointwise 95% bands, and the areas with their intervals."""
    axes, where = square(canvas, positive, negative), np.linspace(0, 1, 201)
    for colour, curve in zip(COLOURS, curves, strict=False):
        if np.ptp(curve.scores) == 0:
            continue
        drawn = roc_curve(curve.truth, curve.scores, positive=positive, negative=negative)
        found = auc_by_group(curve.truth, curve.scores, curve.groups, name="", unit="", grouped_by="")
        label = f"{curve.name}: {found}, n = {len(curve.truth)}"
        axes.plot(drawn.false_positive_fraction, drawn.true_positive_fraction, color=colour, linewidth=1.8, label=label)
        axes.fill_between(where, *roc_band(curve, where), color=colour, alpha=0.18, linewidth=0)
    axes.set_title(title, fontsize=10)
    tidy(axes)
    axes.legend(loc="lower right", fontsize=7.5, frameon=False, title="area (95% interval)", title_fontsize=7.5)


def draw_types_roc(canvas: Canvas, labels: npt.NDArray[np.int64], probability: Array, title: str) -> None:
    """Each type against the rest."""
    axes = square(canvas, "the type", "another")
    for number, (kind, colour) in enumerate(zip(CLASSES, TYPE_COLOURS, strict=True)):
        own = labels == number
        if own.all() or not own.any() or np.ptp(probability[:, number]) == 0:
            continue
        drawn = roc_curve(own, probability[:, number], positive="yes", negative="no")
        label = f"{short_name(kind.full_name)}: {area(own, probability[:, number]):.3f}, n = {int(own.sum())}"
        axes.plot(drawn.false_positive_fraction, drawn.true_positive_fraction, color=colour, linewidth=1.5, label=label)
    axes.set_title(title, fontsize=10)
    tidy(axes)
    axes.legend(loc="lower right", fontsize=7.5, frameon=False)


def draw_froc(
    canvas: Canvas, curves: Sequence[tuple[str, FreeResponseCurve]], point: Sequence[float], title: str
) -> None:
    """Recall against false positives a case. point: (false positives a case, recall) of the first at the package's
    threshold.
    """
    axes = canvas.add_subplot()
    for colour, (name, curve) in zip(COLOURS, curves, strict=False):
        axes.step(curve.abscissa, curve.lesion_fraction, where="post", color=colour, linewidth=1.8, label=name)
    axes.plot(*point, "*", color="#222222", markersize=12, linestyle="none", label="the package's threshold")
    axes.axvline(1, color="#bbbbbb", linewidth=0.8, linestyle=":")
    axes.set(xlim=(0, 6), ylim=(-0.01, 1.02), xlabel="false positives a case", ylabel="fraction of lesions found")
    axes.set_title(title, fontsize=10)
    tidy(axes)
    axes.legend(loc="lower right", fontsize=8, frameon=False)


def draw_reliability(
    canvas: Canvas, rows: Sequence[tuple[str, Array, npt.NDArray[np.bool_]]], title: str, bins: int = 10
) -> None:
    """How often what was called with a probability was so: (name, probability, whether it was so), in bins of equal
    width with Clopper-Pearson's intervals; below, how many.
    """
    upper, lower = canvas.subplots(2, 1, height_ratios=(3, 1), sharex=True)
    upper.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=0.8, linestyle=":")
    edges = np.linspace(0, 1, bins + 1)
    for number, (name, probability, right) in enumerate(rows):
        which = np.minimum((probability * bins).astype(np.int64), bins - 1)
        counts = np.bincount(which, minlength=bins)
        there = np.flatnonzero(counts)
        x = np.array([probability[which == k].mean() for k in there])
        y = np.array([right[which == k].mean() for k in there])
        ends = np.array([clopper_pearson(int(right[which == k].sum()), int(counts[k])) for k in there])
        errors = np.abs(ends.T - y)
        upper.errorbar(x, y, yerr=errors, fmt="o-", color=COLOURS[number], markersize=4, linewidth=1.2, label=name)
        width = 0.4 / bins
        lower.bar(edges[:-1] + width * (number + 0.7), counts, width=width, color=COLOURS[number])
    upper.set(xlim=(0, 1), ylim=(-0.02, 1.02), ylabel="share that was so")
    lower.set(xlabel="predicted probability", ylabel="lesions")
    upper.set_title(title, fontsize=10)
    for axes in (upper, lower):
        tidy(axes)
    upper.legend(loc="upper left", fontsize=8, frameon=False)


def draw_map(canvas: Canvas, places: Array, labels: npt.NDArray[np.int64], title: str) -> None:
    """Lesions by the t-SNE of their image features (n, 2), coloured by type; malignant ones as triangles."""
    axes: Any = canvas.add_subplot()
    for number, (kind, colour) in enumerate(zip(CLASSES, TYPE_COLOURS, strict=True)):
        own = labels == number
        if own.any():
            marker = "^" if kind.malignant else "o"
            name = f"{short_name(kind.full_name)} ({int(own.sum())})"
            axes.scatter(*places[own].T, s=16, marker=marker, color=colour, alpha=0.8, linewidths=0, label=name)
    axes.set(xticks=[], yticks=[], xlabel="t-SNE 1", ylabel="t-SNE 2")
    axes.set_title(title, fontsize=10)
    axes.legend(fontsize=7.5, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
