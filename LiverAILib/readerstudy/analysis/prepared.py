"""A data set made ready: its questions as arrays, its marks scored, and every figure of merit on demand."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np

from LiverAILib.readerstudy.analysis.hits import Scored, score_study
from LiverAILib.readerstudy.analysis.select import AI, Grid, Index, grid_of, same_cases
from LiverAILib.readerstudy.dataset import Dataset, HitRule, Merit, Target
from LiverAILib.readerstudy.statistics.estimate import StatisticsError
from LiverAILib.readerstudy.statistics.incomplete import (
    available_auc_merits,
    available_decision_merits,
    available_wafroc_merits,
)
from LiverAILib.readerstudy.statistics.lesion_level import wafroc_merits
from LiverAILib.readerstudy.statistics.marks import CaseMarks
from LiverAILib.readerstudy.statistics.merits import (
    CovarianceMethod,
    MeritTable,
    Readings,
    auc_merits,
    decision_merits,
)
from LiverAILib.readerstudy.statistics.proportions import IntervalMethod

MERITS: tuple[Merit, ...] = ("AUC", "accuracy", "sensitivity", "specificity", "wAFROC")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What may be chosen for a report. interval: of readers' proportions; effect: what the power tables are for."""

    level: float = 0.95
    replicates: int = 2000
    seed: int = 0
    covariance: CovarianceMethod = "jackknife"
    interval: IntervalMethod = "Clopper-Pearson"
    prevalences: tuple[float, ...] = (0.05, 0.1, 0.2, 0.4)
    effect: float = 0.05


@dataclass
class Prepared:
    """Computed once, used by every section."""

    data: Dataset
    settings: Settings = field(default_factory=Settings)

    @cached_property
    def index(self) -> Index:
        """The answers by reader, case and arm."""
        return Index(self.data)

    @cached_property
    def _grids(self) -> dict[Target, Grid | str]:
        endpoint = self.data.protocol.endpoint
        found: dict[Target, Grid | str] = {}
        for target in sorted(Target, key=lambda target: endpoint is None or target is not endpoint.target):
            try:
                found[target] = grid_of(self.index, target)
            except StatisticsError as refusal:
                found[target] = str(refusal)
        return found

    @property
    def grids(self) -> tuple[Grid, ...]:
        """The two-class questions that were asked and have a truth; the endpoint's comes first."""
        return tuple(grid for grid in self._grids.values() if isinstance(grid, Grid))

    @property
    def not_asked(self) -> tuple[str, ...]:
        """Why a question is not in the report."""
        return tuple(reason for reason in self._grids.values() if isinstance(reason, str))

    def grid(self, target: Target) -> Grid:
        """The arrays of one question. Raises StatisticsError, in words, if it was not asked or has no truth."""
        found = self._grids[target]
        if isinstance(found, str):
            raise StatisticsError(found)
        return found

    def scored(self, rule: HitRule | None = None) -> Scored:
        """All marks, scored by the protocol's rule or another. Raises StatisticsError if there are none."""
        rule = rule or self.data.protocol.hit_rule
        if rule not in self._scored:
            try:
                self._scored[rule] = score_study(self.index, rule)[0]
            except StatisticsError as refusal:
                self._scored[rule] = str(refusal)
        found = self._scored[rule]
        if isinstance(found, str):
            raise StatisticsError(found)
        return found

    _scored: dict[HitRule, Scored | str] = field(default_factory=dict, init=False, repr=False)

    def merits(
        self, merit: Merit, target: Target, *, with_ai: bool = False, covariance: CovarianceMethod | None = None
    ) -> MeritTable:
        """A figure of merit of every arm and reader with its covariance; `with_ai` adds the AI as an arm.

        Where readings are missing, each reader's figure is of the cases read in all arms. Raises StatisticsError.
        """
        key = (merit, target, with_ai, covariance or self.settings.covariance)
        if key not in self._merits:
            try:
                self._merits[key] = self._compute(*key)
            except StatisticsError as refusal:
                self._merits[key] = str(refusal)
        found = self._merits[key]
        if isinstance(found, str):
            raise StatisticsError(found)
        return found

    _merits: dict[tuple[Merit, Target, bool, CovarianceMethod], MeritTable | str] = field(
        default_factory=dict, init=False, repr=False
    )

    def _compute(self, merit: Merit, target: Target, with_ai: bool, covariance: CovarianceMethod) -> MeritTable:
        if merit == "wAFROC":
            return self._wafroc(with_ai, covariance)
        readings = self.readings(merit, target, with_ai=with_ai)
        whole = bool(np.isfinite(readings.values).all())
        if merit == "AUC":
            return auc_merits(readings, covariance) if whole else available_auc_merits(readings)
        return decision_merits(readings, merit) if whole else available_decision_merits(readings, merit)

    def readings(self, merit: Merit, target: Target, *, with_ai: bool = False) -> Readings:
        """The readings that a figure is made of, each reader's cases the same in all arms.

        With the AI, cases without its result are left out.
        """
        grid = self.grid(target)
        kind: Literal["ratings", "decisions"] = "ratings" if merit == "AUC" else "decisions"
        readings, _ = same_cases(grid.readings(kind))
        if not np.isfinite(readings.values).any():
            raise StatisticsError(f"There are no {kind} in all arms for {target.positive}: {merit} is not estimable.")
        if not with_ai:
            return readings
        machine = grid.ai_ratings if kind == "ratings" else grid.ai_decisions
        there = np.isfinite(machine)
        if not there.any():
            raise StatisticsError(f"The AI gave no {kind} for {target.positive}: it can't be compared.")
        kept = Readings(
            arms=readings.arms,
            readers=readings.readers,
            positive=readings.positive,
            negative=readings.negative,
            truth=readings.truth[there],
            values=readings.values[..., there],
            unit=readings.unit,
        )
        return same_cases(kept.with_ai(AI, machine[there]))[0]

    def _wafroc(self, with_ai: bool, covariance: CovarianceMethod) -> MeritTable:
        scored = self.scored()
        arms, readers = self.data.arm_names, self.data.reader_codes
        size = len(scored[arms[0]][readers[0]])
        kept = [k for k in range(size) if not with_ai or (AI in scored and scored[AI][AI][k] is not None)]
        if not kept:
            raise StatisticsError("The AI marked no case: it can't be compared by wAFROC.")
        marks: dict[str, dict[str, list[CaseMarks | None]]] = {arm: {} for arm in arms}
        for reader in readers:
            everywhere = [all(scored[arm][reader][k] is not None for arm in arms) for k in kept]
            for arm in arms:
                cells = scored[arm][reader]
                marks[arm][reader] = [
                    cells[k] if all_there else None for k, all_there in zip(kept, everywhere, strict=True)
                ]
        if with_ai:
            machine = [scored[AI][AI][k] for k in kept]
            marks[AI] = {
                reader: [None if read is None else own for read, own in zip(cells, machine, strict=True)]
                for reader, cells in marks[arms[0]].items()
            }
        whole = all(case is not None for cells in marks.values() for cell in cells.values() for case in cell)
        return wafroc_merits(marks, covariance=covariance) if whole else _available(marks)


def _available(marks: dict[str, dict[str, list[CaseMarks | None]]]) -> MeritTable:
    for reader, cell in next(iter(marks.values())).items():
        if all(case is None for case in cell):
            raise StatisticsError(f"{reader} marked no case in all arms: wAFROC is not estimable.")
    return available_wafroc_merits(marks)
