"""What a low-risk / high-risk triage means at other prevalences, and what the AI's opinion did to readers' answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from scipy import stats

from LiverAILib.readerstudy.statistics.classification import TwoClassCounts, predictive_value_at
from LiverAILib.readerstudy.statistics.estimate import Estimate, StatisticsError, check_level
from LiverAILib.readerstudy.statistics.proportions import proportion


@dataclass(frozen=True, kw_only=True)
class TriageRow:
    """One prevalence: share of patients called low risk, and the predictive values; a refusal stands as its text."""

    prevalence: float
    low_risk_share: Estimate
    negative_predictive_value: Estimate | str
    positive_predictive_value: Estimate | str


def triage_table(counts: TwoClassCounts, prevalences: Sequence[float], level: float = 0.95) -> tuple[TriageRow, ...]:
    """NPV, PPV and the share of low risk against prevalence of `counts.positive` (the disease; called so = high risk).

    The share's interval is a normal one from the two independent samples. Raises StatisticsError for a class without
    cases or a prevalence outside (0, 1).
    """
    check_level(level)
    sick = counts.true_positive + counts.false_negative
    well = counts.true_negative + counts.false_positive
    for name, size in ((counts.positive, sick), (counts.negative, well)):
        if size == 0:
            raise StatisticsError(f'There is no case of class "{name}": the triage table is not estimable.')
    missed, cleared = counts.false_negative / sick, counts.true_negative / well
    z, rows = float(stats.norm.ppf((1 + level) / 2)), []
    for p in prevalences:
        if not 0 < p < 1:
            raise StatisticsError(f"A prevalence of {p:g} is not between 0 and 1. Give a fraction such as 0.1.")
        share = p * missed + (1 - p) * cleared
        half = z * sqrt(p**2 * missed * (1 - missed) / sick + (1 - p) ** 2 * cleared * (1 - cleared) / well)
        rows.append(
            TriageRow(
                prevalence=p,
                low_risk_share=Estimate(
                    name=f"share of low risk at {p:g} {counts.positive}",
                    value=share,
                    low=max(share - half, 0.0),
                    high=min(share + half, 1.0),
                    n=counts.n,
                    unit=counts.unit,
                    method="weighted by prevalence, normal interval",
                    level=level,
                ),
                negative_predictive_value=_or_refusal(counts.negative, p, counts, level),
                positive_predictive_value=_or_refusal(counts.positive, p, counts, level),
            )
        )
    return tuple(rows)


def _or_refusal(class_name: str, prevalence: float, counts: TwoClassCounts, level: float) -> Estimate | str:
    try:
        return predictive_value_at(class_name, prevalence, counts, level)
    except StatisticsError as refusal:
        return str(refusal)


@dataclass(frozen=True, kw_only=True)
class DecisionChanges:
    """Reader-cases in which reader and AI first disagreed, by whether the AI was right and the reader then followed it.

    agreed: reader-cases in which they agreed from the start; agreed_then_changed: of these, those changed all the same.
    """

    ai_right_followed: int
    ai_right_not_followed: int
    ai_wrong_followed: int
    ai_wrong_not_followed: int
    agreed: int
    agreed_then_changed: int
    missing: int

    def followed(self, *, ai_right: bool, level: float = 0.95) -> Estimate:
        """Share of disagreements in which the reader went over to the AI, when it was right or when it was wrong.

        The interval takes reader-cases for independent, which they are not: it is too narrow, and `method` says so.
        """
        yes, no = (
            (self.ai_right_followed, self.ai_right_not_followed)
            if ai_right
            else (self.ai_wrong_followed, self.ai_wrong_not_followed)
        )
        name = f"AI {'right' if ai_right else 'wrong'} and followed"
        found = proportion(yes, yes + no, name=name, unit="reader-cases", level=level)
        return Estimate(
            name=name,
            value=found.value,
            low=found.low,
            high=found.high,
            n=found.n,
            unit=found.unit,
            method="Clopper-Pearson, reader-cases as if independent (too narrow)",
            level=level,
        )


def decision_changes(
    *,
    truth: Sequence[str],
    ai: Sequence[str],
    before: Sequence[str | None],
    after: Sequence[str | None],
) -> DecisionChanges:
    """Count reader-cases: truth, the AI's answer, the reader's answer without and with it, one item each."""
    if not len(truth) == len(ai) == len(before) == len(after):
        raise StatisticsError("Truth, AI, and the answers before and after need one item for each reader-case.")
    tally = {(right, followed): 0 for right in (True, False) for followed in (True, False)}
    agreed = changed = missing = 0
    for true, machine, first, second in zip(truth, ai, before, after, strict=True):
        if first is None or second is None:
            missing += 1
        elif first == machine:
            agreed += 1
            changed += second != machine
        else:
            tally[machine == true, second == machine] += 1
    return DecisionChanges(
        ai_right_followed=tally[True, True],
        ai_right_not_followed=tally[True, False],
        ai_wrong_followed=tally[False, True],
        ai_wrong_not_followed=tally[False, False],
        agreed=agreed,
        agreed_then_changed=changed,
        missing=missing,
    )
