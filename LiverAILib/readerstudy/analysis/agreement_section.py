"""How far the readers agree with each other, in each arm and each question."""

from __future__ import annotations

from functools import partial

import numpy as np

from LiverAILib.readerstudy.analysis.prepared import Prepared
from LiverAILib.readerstudy.analysis.tables import Cell, Content, Section, Table, attempt
from LiverAILib.readerstudy.analysis.types_section import CLASSES, type_answers
from LiverAILib.readerstudy.statistics.agreement import Answers, fleiss_kappa, krippendorff_alpha, unanimous_share


def agreement_section(prepared: Prepared) -> Section:
    """Fleiss' kappa with z, Krippendorff's alpha (which allows gaps), and the share of unanimous patients."""
    tables = []
    for name, answers, categories in _questions(prepared):
        cells: list[Cell] = []
        for arm, given in answers.items():
            cells += _cells(arm, given, categories, prepared.settings.level)
        tables.append(
            Table(
                key=f"agreement_{name.split()[0].lower()}",
                title=f"Agreement of the readers: {name}",
                rows_are="arm",
                cells=tuple(cells),
            )
        )
    return Section(
        title="Agreement",
        text=("Fleiss' kappa and unanimity need every reader's answer, Krippendorff's alpha does not.",),
        tables=tuple(tables),
    )


def _questions(prepared: Prepared) -> list[tuple[str, dict[str, Answers], tuple[str, ...]]]:
    found: list[tuple[str, dict[str, Answers], tuple[str, ...]]] = []
    for grid in prepared.grids:
        names = (grid.target.negative, grid.target.positive)
        answers: dict[str, Answers] = {
            arm: [[None if np.isnan(value) else names[int(value)] for value in case] for case in grid.decisions[i].T]
            for i, arm in enumerate(grid.arms)
        }
        found.append((f"{grid.target.positive} or not", answers, names))
    types = type_answers(prepared)
    if types is not None:
        by_arm: dict[str, Answers] = {
            arm: list(map(list, zip(*readers.values(), strict=True))) for arm, readers in types.readers.items()
        }
        found.append(("types of the worst lesion", by_arm, CLASSES))
    return found


def _cells(arm: str, given: Answers, categories: tuple[str, ...], level: float) -> list[Cell]:
    def kappa(part: str) -> Content:
        found = fleiss_kappa(given, categories=categories, level=level)
        return found.kappa if part == "kappa" else found.test

    alpha = partial(krippendorff_alpha, given, categories=categories, level=level)
    return [
        Cell(row=arm, column="Fleiss' kappa", content=attempt(partial(kappa, "kappa"))),
        Cell(row=arm, column="test of chance agreement", content=attempt(partial(kappa, "test"))),
        Cell(row=arm, column="Krippendorff's alpha", content=attempt(alpha)),
        Cell(row=arm, column="unanimous", content=attempt(partial(unanimous_share, given, level=level))),
    ]
