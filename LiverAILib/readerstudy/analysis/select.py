"""From a data set to arrays: decisions and ratings of one question by arm, reader and case, gaps as NaN."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from LiverAILib.readerstudy.dataset import AiResult, Answer, Dataset, Opinion, Target
from LiverAILib.readerstudy.statistics.classification import TwoClassCounts
from LiverAILib.readerstudy.statistics.estimate import Array, StatisticsError
from LiverAILib.readerstudy.statistics.merits import Readings

#: The AI's name in tables, as if it were a reader.
AI = "AI alone"


class Index:
    """The answers of a data set by reader, case and arm."""

    def __init__(self, data: Dataset) -> None:
        self.data = data
        self._answers = {(answer.arm, answer.reader, answer.case): answer for answer in data.answers}
        self._ai = {result.case: result for result in data.ai}

    def answer(self, arm: str, reader: str, case: str) -> Answer | None:
        """The answer, None if it is missing."""
        return self._answers.get((arm, reader, case))

    def ai(self, case: str) -> AiResult | None:
        """The AI's result, None if there is none."""
        return self._ai.get(case)

    def values(self, get: Callable[[Answer], float | bool | None], cases: Sequence[str]) -> Array:
        """One value of every answer: (arm, reader, case), NaN where it is missing."""
        data = self.data
        found = np.full((len(data.arm_names), len(data.reader_codes), len(cases)), np.nan)
        for i, arm in enumerate(data.arm_names):
            for j, reader in enumerate(data.reader_codes):
                for k, case in enumerate(cases):
                    answer = self._answers.get((arm, reader, case))
                    value = None if answer is None else get(answer)
                    if value is not None:
                        found[i, j, k] = value
        return found

    def ai_values(self, get: Callable[[AiResult], float | bool | None], cases: Sequence[str]) -> Array:
        """One value of every AI result: (case,), NaN where it is missing."""
        found = np.full(len(cases), np.nan)
        for k, case in enumerate(cases):
            result = self._ai.get(case)
            value = None if result is None else get(result)
            if value is not None:
                found[k] = value
        return found


@dataclass(frozen=True, kw_only=True)
class Grid:
    """One two-class question over the cases whose truth is known.

    decisions (1 for called positive) and ratings are (arm, reader, case), those of the AI (case,); NaN is missing.
    """

    target: Target
    arms: tuple[str, ...]
    readers: tuple[str, ...]
    cases: tuple[str, ...]
    truth: npt.NDArray[np.bool_]
    decisions: Array
    ratings: Array
    ai_decisions: Array
    ai_ratings: Array

    @property
    def has_ai(self) -> bool:
        """Whether the AI decided any case."""
        return bool(np.isfinite(self.ai_decisions).any())

    def readings(self, kind: Literal["decisions", "ratings"], *, with_ai: bool = False) -> Readings:
        """As the multi-reader methods take them; `with_ai` adds the AI as an arm."""
        found = Readings(
            arms=self.arms,
            readers=self.readers,
            positive=self.target.positive,
            negative=self.target.negative,
            truth=self.truth,
            values=self.decisions if kind == "decisions" else self.ratings,
        )
        if not with_ai:
            return found
        return found.with_ai(AI, self.ai_decisions if kind == "decisions" else self.ai_ratings)

    def row(self, who: str, arm: str | None, kind: Literal["decisions", "ratings"]) -> Array:
        """Values (case,) of a reader in an arm, or of the AI (`arm` None)."""
        if arm is None:
            return self.ai_decisions if kind == "decisions" else self.ai_ratings
        table = self.decisions if kind == "decisions" else self.ratings
        return np.asarray(table[self.arms.index(arm), self.readers.index(who)])

    def counts(self, who: str, arm: str | None) -> TwoClassCounts:
        """A reader's decisions in an arm, or the AI's, against the truth."""
        return count_decisions(self.row(who, arm, "decisions"), self.truth, self.target)

    @cached_property
    def raters(self) -> tuple[tuple[str, str | None], ...]:
        """Every reader in every arm, and the AI if there is one."""
        people: list[tuple[str, str | None]] = [(reader, arm) for reader in self.readers for arm in self.arms]
        return (*people, (AI, None)) if self.has_ai else tuple(people)


def rater_name(who: str, arm: str | None) -> str:
    """How a reader in an arm is called in tables."""
    return who if arm is None else f"{who}, {arm}"


def count_decisions(decisions: Array, truth: npt.NDArray[np.bool_], target: Target) -> TwoClassCounts:
    """Counts of decisions (case,) with NaN as missing."""
    given = np.isfinite(decisions)
    called = decisions == 1
    return TwoClassCounts(
        positive=target.positive,
        negative=target.negative,
        true_positive=int((truth & called).sum()),
        false_negative=int((truth & ~called & given).sum()),
        true_negative=int((~truth & ~called & given).sum()),
        false_positive=int((~truth & called).sum()),
        missing=int((~given).sum()),
    )


def _decision(target: Target) -> Callable[[Opinion], bool | None]:
    return lambda opinion: opinion.decision(target)


def _rating(target: Target) -> Callable[[Opinion], float | None]:
    return lambda opinion: opinion.rating(target)


def grid_of(index: Index, target: Target) -> Grid:
    """The arrays of one question. Raises StatisticsError if no truth is known or no reader answered it."""
    data = index.data
    known = [case for case in data.cases if case.truth(target) is not None]
    if not known:
        raise StatisticsError(f'The truth of "{target.positive}" is not known for any case.')
    ids = tuple(case.id for case in known)
    grid = Grid(
        target=target,
        arms=data.arm_names,
        readers=data.reader_codes,
        cases=ids,
        truth=np.array([case.truth(target) for case in known], dtype=bool),
        decisions=index.values(_decision(target), ids),
        ratings=index.values(_rating(target), ids),
        ai_decisions=index.ai_values(_decision(target), ids),
        ai_ratings=index.ai_values(_rating(target), ids),
    )
    if not (np.isfinite(grid.decisions).any() or np.isfinite(grid.ratings).any()):
        raise StatisticsError(f'No reader answered "{target.positive} or not".')
    return grid


def grids_of(index: Index) -> tuple[Grid, ...]:
    """The questions that were asked and have a truth, that of the endpoint first."""
    endpoint = index.data.protocol.endpoint
    order = sorted(Target, key=lambda target: endpoint is None or target is not endpoint.target)
    grids = []
    for target in order:
        try:
            grids.append(grid_of(index, target))
        except StatisticsError:
            continue
    return tuple(grids)


def same_cases(readings: Readings) -> tuple[Readings, int]:
    """With each reader's case missing in all arms if it is missing in one; and how many reader-cases that drops."""
    read = np.isfinite(readings.values)
    everywhere = read.all(axis=0)
    values = np.where(everywhere, readings.values, np.nan)
    return replace(readings, values=values), int((read.any(axis=0) & ~everywhere).sum())
