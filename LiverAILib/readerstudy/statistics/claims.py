"""Two claims made with the multi-reader model: the AI against the readers, and an arm that is not worse by a margin."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import numpy as np
from scipy import stats

from LiverAILib.readerstudy.statistics.estimate import Sampling, StatisticsError, TestResult
from LiverAILib.readerstudy.statistics.merits import MeritTable
from LiverAILib.readerstudy.statistics.mrmc import obuchowski_rockette, own_covariance, t_quantile
from LiverAILib.readerstudy.statistics.paired import NonInferiority, check_margin
from LiverAILib.readerstudy.statistics.roc import PairedDifference


def mrmc_non_inferiority(
    merits: MeritTable,
    *,
    first: str,
    second: str,
    margin: float,
    alpha: float = 0.025,
    sampling: Sampling = "random readers, random cases",
) -> NonInferiority:
    """`first` not worse than `second` by `margin` or more: one-sided t test with the model's variance."""
    check_margin(margin, alpha)
    found = obuchowski_rockette(merits, sampling, 1 - 2 * alpha).difference(first, second)
    df = found.test.degrees_of_freedom[0]
    error = (found.difference.high - found.difference.value) / t_quantile(1 - alpha, df)
    statistic = (found.difference.value + margin) / error
    p = float(stats.norm.sf(statistic) if df == inf else stats.t.sf(statistic, df))
    return NonInferiority(
        first=first,
        second=second,
        margin=margin,
        alpha=alpha,
        difference=found.difference,
        test=TestResult(
            name=f"{merits.name}, {first} worse than {second} by {margin:g}",
            statistic=statistic,
            p_value=p,
            n=merits.n,
            unit=merits.unit,
            method=f"{found.test.method}, one-sided t",
            degrees_of_freedom=(df,),
        ),
    )


def ai_against_readers(
    merits: MeritTable,
    *,
    ai: str,
    arm: str,
    sampling: Sampling = "random readers, random cases",
    level: float = 0.95,
    own_cases: bool = False,
) -> PairedDifference:
    """The AI's figure minus the mean of the readers in one arm (Hillis' model of one row of differences).

    merits: from `Readings.with_ai`, so that the arm `ai` is the same for every reader. For non-inferiority use
    `mrmc_non_inferiority` with first=ai. own_cases: where readings are missing, the AI's figure beside each reader's is
    of that reader's cases. Raises StatisticsError if the arm `ai` differs between readers otherwise.
    """
    for name in (ai, arm):
        own_covariance(merits, name)
    one, two = merits.arms.index(ai), merits.arms.index(arm)
    if not own_cases and np.ptp(merits.values[one]) > 1e-12:
        raise StatisticsError(f'"{ai}" differs between readers: it is an arm of readings, not the AI alone.')
    chosen = [one, two]
    pair = replace(
        merits, arms=(ai, arm), values=merits.values[chosen], covariance=merits.covariance[chosen][:, :, chosen]
    )
    return obuchowski_rockette(pair, sampling, level).difference(ai, arm)
