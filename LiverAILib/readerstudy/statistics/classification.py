"""Two-class answers against the truth: accuracy, sensitivity, specificity, predictive values, F1 and Cohen's kappa.

Both classes are named, and every figure names the class that it is of. A published table of this field carries the
sensitivities under "specificity" and the other way round: here no class is first, so none can be taken for the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log, sqrt

import numpy as np
from scipy import stats

from LiverAILib.readerstudy.statistics.estimate import Estimate, StatisticsError, check_level
from LiverAILib.readerstudy.statistics.proportions import IntervalMethod, clopper_pearson, proportion


@dataclass(frozen=True, kw_only=True)
class TwoClassCounts:
    """Counts of one reader (or the AI) in one arm. `positive` and `negative` are the names of the classes.

    missing: cases without an answer; they are in no figure, and never count as negative.
    """

    positive: str
    negative: str
    true_positive: int
    false_negative: int
    true_negative: int
    false_positive: int
    missing: int = 0
    unit: str = "patients"

    def __post_init__(self) -> None:
        if self.positive == self.negative:
            raise StatisticsError(f'Both classes are called "{self.positive}". Give each its own name.')
        if min(self.true_positive, self.false_negative, self.true_negative, self.false_positive, self.missing) < 0:
            raise StatisticsError("A count below 0 is none. Check the counts.")

    @property
    def n(self) -> int:
        """Cases with an answer."""
        return self.true_positive + self.false_negative + self.true_negative + self.false_positive

    def is_positive(self, class_name: str) -> bool:
        """Whether this is the positive class's name; raises StatisticsError for a name that is neither's."""
        if class_name not in (self.positive, self.negative):
            raise StatisticsError(f'"{class_name}" is neither "{self.positive}" nor "{self.negative}".')
        return class_name == self.positive

    def cells_of(self, class_name: str) -> tuple[int, int, int]:
        """(hit, missed, falsely called) of this class."""
        if self.is_positive(class_name):
            return self.true_positive, self.false_negative, self.false_positive
        return self.true_negative, self.false_positive, self.false_negative


def count_answers(
    truth: Sequence[str],
    answers: Sequence[str | None],
    *,
    positive: str,
    negative: str,
    unit: str = "patients",
) -> TwoClassCounts:
    """Count named answers against named truth, case by case; None is a missing answer.

    Raises StatisticsError for unequal lengths and for any name that is neither `positive` nor `negative`.
    """
    if len(truth) != len(answers):
        raise StatisticsError(f"{len(truth)} truths and {len(answers)} answers: each case needs both.")
    strange = {name for name in (*truth, *answers) if name is not None} - {positive, negative}
    if strange:
        raise StatisticsError(f'"{min(strange)}" is neither "{positive}" nor "{negative}". Name the classes as asked.')
    pairs = list(zip(truth, answers, strict=True))
    return TwoClassCounts(
        positive=positive,
        negative=negative,
        true_positive=pairs.count((positive, positive)),
        false_negative=pairs.count((positive, negative)),
        true_negative=pairs.count((negative, negative)),
        false_positive=pairs.count((negative, positive)),
        missing=sum(answer is None for answer in answers),
        unit=unit,
    )


def accuracy(counts: TwoClassCounts, method: IntervalMethod = "Clopper-Pearson", level: float = 0.95) -> Estimate:
    """Share of right answers."""
    right = counts.true_positive + counts.true_negative
    return proportion(right, counts.n, name="accuracy", unit=counts.unit, method=method, level=level)


def recall_of(
    class_name: str, counts: TwoClassCounts, method: IntervalMethod = "Clopper-Pearson", level: float = 0.95
) -> Estimate:
    """Share of the class's cases that were called so: of the positive class the sensitivity, else the specificity."""
    hit, missed, _ = counts.cells_of(class_name)
    name = "sensitivity" if counts.is_positive(class_name) else "specificity"
    return proportion(hit, hit + missed, name=f"{name} ({class_name})", unit=counts.unit, method=method, level=level)


def predictive_value_of(
    class_name: str, counts: TwoClassCounts, method: IntervalMethod = "Clopper-Pearson", level: float = 0.95
) -> Estimate:
    """Share of the cases called so that are: of the positive class the PPV (precision), else the NPV."""
    hit, _, false = counts.cells_of(class_name)
    name = "positive" if counts.is_positive(class_name) else "negative"
    label = f"{name} predictive value ({class_name})"
    return proportion(hit, hit + false, name=label, unit=counts.unit, method=method, level=level)


def f1_of(class_name: str, counts: TwoClassCounts, level: float = 0.95) -> Estimate:
    """F1 of one class: 2 hit / (2 hit + missed + false).

    Of all cases that are the class or are called so, the hits are a binomial share J, and F1 = 2J / (1 + J): the
    interval is the Clopper-Pearson interval of J, transformed. n is the number of those cases.
    """
    hit, missed, false = counts.cells_of(class_name)
    n = hit + missed + false
    if n == 0:
        raise StatisticsError(f"F1 ({class_name}) is not estimable: no case is {class_name} and none is called so.")
    low, high = clopper_pearson(hit, n, level)
    return Estimate(
        name=f"F1 ({class_name})",
        value=2 * hit / (n + hit),
        low=2 * low / (1 + low),
        high=2 * high / (1 + high),
        n=n,
        unit=counts.unit,
        method="Clopper-Pearson of hit / (hit + missed + false), transformed",
        level=level,
    )


def cohen_kappa(counts: TwoClassCounts, level: float = 0.95) -> Estimate:
    """Cohen's kappa of the answers with the truth; large-sample interval (Fleiss, Cohen and Everitt 1969)."""
    check_level(level)
    if counts.n == 0:
        raise StatisticsError("Cohen's kappa is not estimable: there is no answer.")
    table = np.array(
        [[counts.true_positive, counts.false_negative], [counts.false_positive, counts.true_negative]], dtype=float
    )
    table /= counts.n
    truth, answers = table.sum(axis=1), table.sum(axis=0)
    observed, chance = float(np.trace(table)), float(truth @ answers)
    if chance == 1:
        raise StatisticsError("Cohen's kappa is not estimable: all truths and answers are of one class.")
    kappa = (observed - chance) / (1 - chance)
    mixed = answers[:, None] + truth[None, :]  # for cell (i, j): the share answered i plus the share that is j
    diagonal = sum(table[i, i] * (1 - mixed[i, i] * (1 - kappa)) ** 2 for i in range(2))
    off = (1 - kappa) ** 2 * sum(table[i, j] * mixed[i, j] ** 2 for i in range(2) for j in range(2) if i != j)
    variance = float(diagonal + off - (kappa - chance * (1 - kappa)) ** 2) / ((1 - chance) ** 2 * counts.n)
    half = float(stats.norm.ppf((1 + level) / 2)) * sqrt(max(variance, 0.0))
    return Estimate(
        name="Cohen's kappa",
        value=kappa,
        low=max(kappa - half, -1.0),
        high=min(kappa + half, 1.0),
        n=counts.n,
        unit=counts.unit,
        method="Fleiss-Cohen-Everitt",
        level=level,
    )


def predictive_value_at(class_name: str, prevalence: float, counts: TwoClassCounts, level: float = 0.95) -> Estimate:
    """PPV or NPV that this sensitivity and specificity give where `prevalence` of the cases are of the positive class.

    Interval on the logit scale (Mercaldo, Lau and Zhou 2007); where a cell is 0, with z^2/2 added to each (their
    adjusted logit method). Raises StatisticsError for a prevalence outside (0, 1) or a class without cases.
    """
    check_level(level)
    if not 0 < prevalence < 1:
        raise StatisticsError(f"A prevalence of {prevalence:g} is not between 0 and 1. Give a fraction such as 0.1.")
    hit, missed, _ = counts.cells_of(class_name)
    other = counts.negative if counts.is_positive(class_name) else counts.positive
    other_hit, other_missed, _ = counts.cells_of(other)
    for name, size in ((class_name, hit + missed), (other, other_hit + other_missed)):
        if size == 0:
            raise StatisticsError(f'There is no case of class "{name}": the predictive value is not estimable.')
    share = prevalence if counts.is_positive(class_name) else 1 - prevalence
    called = share * hit / (hit + missed) + (1 - share) * other_missed / (other_hit + other_missed)
    if called == 0:
        raise StatisticsError(f'No case is called "{class_name}": the predictive value is not estimable.')
    z = float(stats.norm.ppf((1 + level) / 2))
    added = z * z / 2 if 0 in (hit, missed, other_hit, other_missed) else 0.0
    n_class, n_other = hit + missed + 2 * added, other_hit + other_missed + 2 * added
    recall, other_recall = (hit + added) / n_class, (other_hit + added) / n_other
    logit = log(share * recall) - log((1 - share) * (1 - other_recall))
    spread = z * sqrt((1 - recall) / (recall * n_class) + other_recall / ((1 - other_recall) * n_other))
    value = share * hit / (hit + missed) / called
    kind = "PPV" if counts.is_positive(class_name) else "NPV"
    return Estimate(
        name=f"{kind} ({class_name}) at {prevalence:g} {counts.positive}",
        value=value,
        low=min(1 / (1 + exp(spread - logit)), value),
        high=max(1 / (1 + exp(-spread - logit)), value),
        n=counts.n,
        unit=counts.unit,
        method="Bayes; logit interval" + (", z^2/2 added to each cell" if added else ""),
        level=level,
    )


def classification_table(
    counts: TwoClassCounts, method: IntervalMethod = "Clopper-Pearson", level: float = 0.95
) -> dict[str, Estimate | str]:
    """Every figure of this module by name; where one is not estimable, the reason stands in its place."""
    wanted = {
        "accuracy": lambda: accuracy(counts, method, level),
        "sensitivity": lambda: recall_of(counts.positive, counts, method, level),
        "specificity": lambda: recall_of(counts.negative, counts, method, level),
        "positive predictive value": lambda: predictive_value_of(counts.positive, counts, method, level),
        "negative predictive value": lambda: predictive_value_of(counts.negative, counts, method, level),
        f"F1 ({counts.positive})": lambda: f1_of(counts.positive, counts, level),
        f"F1 ({counts.negative})": lambda: f1_of(counts.negative, counts, level),
        "Cohen's kappa": lambda: cohen_kappa(counts, level),
    }
    table: dict[str, Estimate | str] = {}
    for name, compute in wanted.items():
        try:
            table[name] = compute()
        except StatisticsError as refusal:
            table[name] = str(refusal)
    return table
