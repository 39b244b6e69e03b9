"""Answers of several named classes: confusion matrix, one-vs-rest AUC, change of the margins, the worst lesion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from LiverAILib.readerstudy.statistics.estimate import Array, Estimate, StatisticsError, TestResult
from LiverAILib.readerstudy.statistics.proportions import proportion
from LiverAILib.readerstudy.statistics.roc import auc


@dataclass(frozen=True, kw_only=True)
class ConfusionMatrix:
    """counts[true, answered] over `classes`; cases without an answer are in `missing`, never in a class."""

    classes: tuple[str, ...]
    counts: npt.NDArray[np.int64]
    missing: int
    unit: str = "patients"

    @property
    def n(self) -> int:
        """Cases with an answer."""
        return int(self.counts.sum())

    def count(self, *, true: str, answered: str) -> int:
        """Cases of class `true` that were called `answered`."""
        return int(self.counts[self._index(true), self._index(answered)])

    def recall(self, class_name: str) -> Estimate:
        """Share of this class's cases that were called so."""
        row = self.counts[self._index(class_name)]
        return proportion(
            int(row[self._index(class_name)]), int(row.sum()), name=f"recall ({class_name})", unit=self.unit
        )

    def precision(self, class_name: str) -> Estimate:
        """Share of the cases called so that are of this class."""
        column = self.counts[:, self._index(class_name)]
        return proportion(
            int(column[self._index(class_name)]), int(column.sum()), name=f"precision ({class_name})", unit=self.unit
        )

    def accuracy(self) -> Estimate:
        """Share of right answers."""
        return proportion(int(np.trace(self.counts)), self.n, name="accuracy", unit=self.unit)

    def _index(self, class_name: str) -> int:
        if class_name not in self.classes:
            raise StatisticsError(f'"{class_name}" is none of {", ".join(self.classes)}.')
        return self.classes.index(class_name)


def confusion_matrix(
    truth: Sequence[str], answers: Sequence[str | None], *, classes: Sequence[str], unit: str = "patients"
) -> ConfusionMatrix:
    """Count answers against truth, case by case. Raises StatisticsError for a name that is none of `classes`."""
    if len(truth) != len(answers):
        raise StatisticsError(f"{len(truth)} truths and {len(answers)} answers: each case needs both.")
    index = {name: k for k, name in enumerate(classes)}
    strange = {name for name in (*truth, *answers) if name is not None} - set(classes)
    if strange:
        raise StatisticsError(f'"{min(strange)}" is none of {", ".join(classes)}.')
    counts = np.zeros((len(classes), len(classes)), dtype=np.int64)
    for true, answer in zip(truth, answers, strict=True):
        if answer is not None:
            counts[index[true], index[answer]] += 1
    return ConfusionMatrix(
        classes=tuple(classes), counts=counts, missing=sum(answer is None for answer in answers), unit=unit
    )


def one_vs_rest_aucs(
    truth: Sequence[str], scores: Mapping[str, Sequence[float] | Array], *, unit: str = "patients"
) -> dict[str, Estimate]:
    """AUC of each class of `scores` against all others.

    Raises StatisticsError, naming it, for a class without cases.
    """
    names = np.array(truth)
    return {
        name: auc(
            names == name, values, positive=name, negative=f"not {name}", who=f"AUC ({name} against rest)", unit=unit
        )
        for name, values in scores.items()
    }


def macro_auc(
    truth: Sequence[str],
    scores: Mapping[str, Sequence[float] | Array],
    *,
    replicates: int = 2000,
    seed: int = 0,
    unit: str = "patients",
    level: float = 0.95,
) -> Estimate:
    """Mean of the one-vs-rest AUCs, every class with the same weight.

    Percentile interval by bootstrap over cases within each true class, so that no class can vanish.
    """
    value = float(np.mean([each.value for each in one_vs_rest_aucs(truth, scores, unit=unit).values()]))
    names, rng = np.array(truth), np.random.default_rng(seed)
    groups = [np.flatnonzero(names == name) for name in sorted(set(truth))]
    weights = np.zeros((replicates, names.size))
    for group in groups:
        weights[:, group] = rng.multinomial(group.size, np.full(group.size, 1 / group.size), size=replicates)
    total = np.zeros(replicates)
    for name, scored in scores.items():
        ratings, own = np.asarray(scored, dtype=float), names == name
        kernel = (np.sign(ratings[own][:, None] - ratings[~own][None]) + 1) / 2
        total += np.einsum("bi,bi->b", weights[:, own] @ kernel, weights[:, ~own]) / (own.sum() * (~own).sum())
    low, high = np.quantile(total / len(scores), [(1 - level) / 2, (1 + level) / 2])
    return Estimate(
        name="macro AUC (one against rest)",
        value=value,
        low=float(low),
        high=float(high),
        n=names.size,
        unit=unit,
        method=f"percentile bootstrap over {unit} within class, {replicates} replicates, seed {seed}",
        level=level,
    )


def stuart_maxwell(
    first: Sequence[str], second: Sequence[str], *, classes: Sequence[str], unit: str = "patients"
) -> TestResult:
    """Whether two raters, or one with and without AI, use the classes equally often on the same cases (1955, 1970).

    Classes that neither uses on a disagreed case are left out; with two classes it is McNemar's chi-squared test.
    Raises StatisticsError if they never disagree.
    """
    table = confusion_matrix(first, second, classes=classes, unit=unit).counts.astype(float)
    off = table - np.diag(np.diag(table))
    used = (off.sum(axis=0) + off.sum(axis=1)) > 0
    if used.sum() < 2:
        raise StatisticsError("The two never disagree: there is no change of the classes to test.")
    off = off[np.ix_(used, used)]
    gaps = (off.sum(axis=1) - off.sum(axis=0))[:-1]
    covariance = (np.diag(off.sum(axis=1) + off.sum(axis=0)) - off - off.T)[:-1, :-1]
    rank = int(np.linalg.matrix_rank(covariance))
    statistic = float(gaps @ np.linalg.pinv(covariance) @ gaps)
    return TestResult(
        name="marginal homogeneity",
        statistic=statistic,
        p_value=float(stats.chi2.sf(statistic, rank)),
        n=len(first),
        unit=unit,
        method="Stuart-Maxwell, chi-squared",
        degrees_of_freedom=(float(rank),),
    )


def worst_lesion(lesions: Sequence[str], *, worst_first: Sequence[str], without: str) -> str:
    """The patient's class: that of the worst lesion in the order given, or `without` if there is none.

    Raises StatisticsError for a lesion type that the order lacks.
    """
    strange = set(lesions) - set(worst_first)
    if strange:
        raise StatisticsError(f'"{min(strange)}" has no place in the order {", ".join(worst_first)}.')
    return next((name for name in worst_first if name in lesions), without)
