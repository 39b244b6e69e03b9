"""The report's plots, each on a given matplotlib canvas; colours that colour-blind readers can tell apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from LiverAILib.readerstudy.analysis.select import AI
from LiverAILib.readerstudy.statistics.estimate import Array, Estimate
from LiverAILib.readerstudy.statistics.lesion_level import FreeResponseCurve
from LiverAILib.readerstudy.statistics.multiclass import ConfusionMatrix
from LiverAILib.readerstudy.statistics.roc import RocCurve

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

#: Okabe and Ito's palette: arms in this order; the AI is black.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")
AI_COLOUR = "#222222"
MARKERS = "osD^vP*X<>hpd8"


@dataclass(frozen=True, kw_only=True)
class Move:
    """A reader's point (1 - specificity, sensitivity) before and after; None where it is not estimable."""

    name: str
    before: tuple[float, float] | None
    after: tuple[float, float] | None


def square(canvas: Canvas, positive: str, negative: str) -> Any:
    """Axes for ROC curves and points, with the diagonal."""
    axes = canvas.add_subplot()
    axes.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=0.8, linestyle=":")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.set_xlabel(f"1 - specificity ({negative} called {positive})")
    axes.set_ylabel(f"sensitivity ({positive} called {positive})")
    return axes


def tidy(axes: Any) -> None:
    """A light grid, and no frame above and on the right."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, color="#eeeeee", linewidth=0.6)
    axes.set_axisbelow(True)


def draw_points(
    canvas: Canvas,
    *,
    moves: Sequence[Move],
    arms: tuple[str, str],
    curve: RocCurve | None,
    ai_point: tuple[float, float] | None,
    positive: str,
    negative: str,
) -> None:
    """The AI's curve and point, and each reader's two points joined by a line; arms are (after, before)."""
    axes = square(canvas, positive, negative)
    if curve is not None:
        x, y = curve.false_positive_fraction, curve.true_positive_fraction
        axes.plot(x, y, color=AI_COLOUR, linewidth=1.4, label=AI, zorder=2)
    if ai_point is not None:
        axes.plot(*ai_point, marker="*", markersize=13, color=AI_COLOUR, linestyle="none", label="AI's decisions")
    for j, move in enumerate(moves):
        marker = MARKERS[j % len(MARKERS)]
        if move.before is not None and move.after is not None:
            axes.plot(*zip(move.before, move.after, strict=True), color="#888888", linewidth=0.9, zorder=3)
        if move.before is not None:
            axes.plot(*move.before, marker, markersize=7, markerfacecolor="white", color=COLOURS[0], zorder=4)
        if move.after is not None:
            axes.plot(*move.after, marker, markersize=7, color=COLOURS[1], zorder=5)
        axes.plot([], [], marker, markersize=6, color="#666666", linestyle="none", label=move.name)
    axes.plot([], [], "o", markerfacecolor="white", color=COLOURS[0], linestyle="none", label=f"open: {arms[1]}")
    axes.plot([], [], "o", color=COLOURS[1], linestyle="none", label=f"filled: {arms[0]}")
    tidy(axes)
    axes.legend(loc="lower right", fontsize=8, frameon=False)


def _mean_curve(curves: Iterable[tuple[Array, Array]], where: Array) -> Array:
    """Mean over curves of the height at each abscissa; steps are taken as straight lines."""
    return np.mean([np.interp(where, x, y) for x, y in curves], axis=0)


def draw_curves(
    canvas: Canvas,
    *,
    curves: Mapping[str, Sequence[RocCurve | None]],
    ai: RocCurve | None,
    positive: str,
    negative: str,
) -> None:
    """Each reader's curve by arm, with the readers' mean, and the AI's."""
    axes, where = square(canvas, positive, negative), np.linspace(0, 1, 201)
    for colour, (arm, row) in zip(COLOURS, curves.items(), strict=False):
        points = [(c.false_positive_fraction, c.true_positive_fraction) for c in row if c is not None]
        for x, y in points:
            axes.plot(x, y, color=colour, linewidth=0.6, alpha=0.45)
        if points:
            label = f"{arm} (mean of {len(points)} readers)"
            axes.plot(where, _mean_curve(points, where), color=colour, linewidth=2.2, label=label)
    if ai is not None:
        axes.plot(ai.false_positive_fraction, ai.true_positive_fraction, color=AI_COLOUR, linewidth=1.4, label=AI)
    tidy(axes)
    axes.legend(loc="lower right", fontsize=8, frameon=False)


def draw_intervals(canvas: Canvas, *, bars: Sequence[tuple[str, Estimate]], label: str) -> None:
    """Differences with their intervals, one below the other."""
    axes = canvas.add_subplot()
    for row, (_, estimate) in enumerate(bars):
        axes.plot([estimate.low, estimate.high], [row, row], color=COLOURS[0], linewidth=2)
        axes.plot(estimate.value, row, "o", color=COLOURS[0], markersize=6)
    axes.axvline(0, color="#888888", linewidth=0.9)
    axes.set_yticks(range(len(bars)), [name for name, _ in bars])
    axes.set_ylim(len(bars) - 0.5, -0.5)
    axes.set_xlabel(label)
    tidy(axes)


def draw_free_response(canvas: Canvas, *, curves: Mapping[str, Sequence[FreeResponseCurve]], kind: str) -> None:
    """Curves of every reader by arm, with the mean of the readers, and the AI's."""
    axes = canvas.add_subplot()
    ends = [float(curve.abscissa.max()) for row in curves.values() for curve in row]
    right = max(*ends, 0.1) if kind == "FROC" else 1.0
    where = np.linspace(0, right, 201)
    human = [arm for arm in curves if arm != AI]
    for arm, row in curves.items():
        colour = AI_COLOUR if arm == AI else COLOURS[human.index(arm) % len(COLOURS)]
        points = [(curve.abscissa, curve.lesion_fraction) for curve in row]
        if arm == AI:
            axes.plot(*points[0], color=colour, linewidth=1.6, label=AI)
            continue
        for x, y in points:
            axes.plot(x, y, color=colour, linewidth=0.6, alpha=0.45)
        end = min(x.max() for x, _ in points)  # beyond the shortest curve there is no mean
        kept = where[where <= end + 1e-12]
        label = f"{arm} (mean of {len(points)} readers)"
        axes.plot(kept, _mean_curve(points, kept), color=colour, linewidth=2.2, label=label)
    axes.set(xlim=(-0.01 * right, 1.02 * right), ylim=(-0.01, 1.02))
    axes.set_xlabel(
        "false marks per patient" if kind == "FROC" else "fraction of lesion-free patients with a false mark"
    )
    axes.set_ylabel("fraction of lesions found" + (", weighted" if kind == "wAFROC" else ""))
    tidy(axes)
    axes.legend(loc="lower right", fontsize=8, frameon=False)


def draw_confusion(canvas: Canvas, *, matrix: ConfusionMatrix) -> None:
    """Shares of each true class as shades, counts as numbers; a class without cases stays blank."""
    axes = canvas.add_subplot()
    rows = matrix.counts.sum(axis=1, keepdims=True)
    shares = np.divide(matrix.counts, rows, out=np.full(matrix.counts.shape, np.nan), where=rows > 0)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for i, row in enumerate(matrix.counts):
        for j, count in enumerate(row):
            colour = "white" if shares[i, j] > 0.55 else "#333333"
            axes.text(j, i, str(count), ha="center", va="center", fontsize=8, color=colour)
    names = [short_name(name) for name in matrix.classes]
    axes.set_xticks(range(len(names)), names, rotation=35, ha="right", fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_xlabel("called")
    axes.set_ylabel("truth")
    canvas.colorbar(image, ax=axes, shrink=0.8, label="share of the true class")


def short_name(name: str) -> str:
    """A lesion type's name as it fits an axis."""
    known = {
        "Hepatocellular carcinoma": "HCC",
        "Intrahepatic cholangiocarcinoma": "ICC",
        "Focal nodular hyperplasia": "FNH",
    }
    return known.get(name, name)


def draw_times(canvas: Canvas, *, boxes: Mapping[tuple[str, str], Array], arms: Sequence[str]) -> None:
    """Boxes of the times (reader, arm) on a log scale."""
    axes = canvas.add_subplot()
    readers = list(dict.fromkeys(reader for reader, _ in boxes))
    width = 0.8 / len(arms)
    for i, arm in enumerate(arms):
        colour = COLOURS[i % len(COLOURS)]
        shown = [j for j, reader in enumerate(readers) if boxes[reader, arm].size]
        if not shown:
            continue
        axes.boxplot(
            [boxes[readers[j], arm] for j in shown],
            positions=[j + (i - (len(arms) - 1) / 2) * width for j in shown],
            widths=width * 0.8,
            whis=(5, 95),
            showfliers=False,
            manage_ticks=False,
            patch_artist=True,
            boxprops={"facecolor": colour, "alpha": 0.35, "edgecolor": colour},
            medianprops={"color": colour, "linewidth": 2},
            whiskerprops={"color": colour},
            capprops={"color": colour},
        )
        axes.plot([], [], color=colour, linewidth=6, alpha=0.5, label=arm)
    axes.set_xticks(range(len(readers)), readers)
    axes.set_yscale("log")
    axes.set_ylabel("active time (s, log scale)")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")
    axes.tick_params(axis="y", which="minor", labelsize=7)
    tidy(axes)
    axes.legend(fontsize=8, frameon=False)
