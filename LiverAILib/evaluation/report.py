"""`figures.md`: all figures that were measured, those with a goal first, and what was left out."""

from __future__ import annotations

from collections.abc import Sequence

from LiverAILib.evaluation.figures import Figure, table
from LiverAILib.evaluation.part import Part

TITLES = {
    "nodulenet": "NoduleNet and saliency",
    "hccnet": "HCCNet",
    "classifier": "Lesion types and triage",
    "detector": "Detection",
    "whole": "The whole analysis",
    "segmentation": "Segmentation",
    "cost": "Cost",
}

_INTRODUCTION = """Measured on data that nothing was trained on: real patients held out of training, exams made on their
anatomy with seeds from 1,000,000 on, and phantoms. A figure on synthetic lesions says how well a network knows the
rules that made them on anatomy that it has not seen, not how it does in a clinic. Intervals are at 95%: where lesions
or slices of one exam or patient count, exams or patients were drawn. The papers' figures come from thousands of
patients (LiAIDS: trained on 6,901) and are not on the same data."""


def with_goal(parts: Sequence[Part]) -> list[Figure]:
    """The figures that have a goal."""
    return [figure for part in parts for figure in part.figures if figure.goal]


def figures_page(parts: Sequence[Part], notes: Sequence[str]) -> str:
    """The page as Markdown."""
    lines = [
        "# Figures",
        "",
        _INTRODUCTION,
        "",
        table(with_goal(parts)),
    ]
    for part in parts:
        rest = [figure for figure in part.figures if not figure.goal]
        if rest:
            lines += [f"## {TITLES[part.name]}", "", table(rest)]
    left_out = [*notes, *(note for part in parts for note in part.notes)]
    if left_out:
        lines += ["## Left out", "", *(f"- {note}" for note in left_out), ""]
    if parts:
        times = ", ".join(f"{part.name} {part.seconds:.0f} s" for part in parts)
        lines += [f"Wall time, without the making of the pool where that was there: {times}.", ""]
    return "\n".join(lines)
