"""Kappas, alpha and the change of margins against statsmodels, the package krippendorff, and the formula of R's irr.

Debian has no irr; its formula was evaluated in R 4.2.2.
"""

import krippendorff
import numpy as np
import pytest
from oracle_inputs import ANSWERS, ANSWERS_WITH_GAPS
from statsmodels.stats.contingency_tables import SquareTable
from statsmodels.stats.inter_rater import aggregate_raters, cohens_kappa
from statsmodels.stats.inter_rater import fleiss_kappa as their_fleiss_kappa

from LiverAILib.readerstudy.statistics.agreement import (
    Scale,
    count_categories,
    fleiss_from_counts,
    fleiss_kappa,
    krippendorff_alpha,
)
from LiverAILib.readerstudy.statistics.classification import TwoClassCounts, cohen_kappa
from LiverAILib.readerstudy.statistics.multiclass import stuart_maxwell

CATEGORIES = ["benign", "other", "HCC"]
CODES = {None: np.nan, "benign": 1.0, "other": 2.0, "HCC": 3.0}


def test_fleiss_kappa_of_statsmodels_and_irr() -> None:
    found = fleiss_kappa(ANSWERS, categories=CATEGORIES)
    table, _ = aggregate_raters(np.array([[CODES[a] for a in case] for case in ANSWERS], dtype=int))
    assert found.kappa.value == pytest.approx(their_fleiss_kappa(table), rel=1e-12)
    assert found.kappa.value == pytest.approx(0.5130665, rel=1e-6)  # the formula of irr's kappam.fleiss, in R 4.2.2


def z_spread(shares: list[float], raters: int, cases: int, studies: int = 800) -> tuple[float, float]:
    """Standard deviation over simulated studies without agreement of our z, and of kappa over Fleiss' error of 1971."""
    rng = np.random.default_rng(3)
    ours, of_1971 = [], []
    for _ in range(studies):
        counts = rng.multinomial(raters, shares, size=cases).astype(float)
        found = fleiss_from_counts(counts)
        p = counts.sum(axis=0) / counts.sum()
        squares, cubes = float((p**2).sum()), float((p**3).sum())
        inner = squares - (2 * raters - 3) * squares**2 + 2 * (raters - 2) * cubes
        error = (2 * inner / (cases * raters * (raters - 1))) ** 0.5 / (1 - squares)
        ours.append(found.test.statistic)
        of_1971.append(found.kappa.value / error)
    return float(np.std(ours)), float(np.std(of_1971))


def test_fleiss_z_is_not_irrs_because_the_error_of_1971_is_wrong() -> None:
    """R's irr takes the standard error of Fleiss 1971, which Fleiss, Nee and Landis withdrew in 1979; ours is theirs.

    Its kappam.fleiss comes to z = 8.227455 for these answers. Without agreement z must scatter by 1: ours does, and the
    older one, where classes are unequal as HCC and the rest are, by about half.
    """
    assert fleiss_kappa(ANSWERS, categories=CATEGORIES).test.statistic == pytest.approx(8.651179, rel=1e-6)
    ours, of_1971 = z_spread([0.8, 0.2], raters=3, cases=95)
    assert ours == pytest.approx(1, abs=0.08)
    assert of_1971 < 0.7


@pytest.mark.parametrize("scale", ["nominal", "ordinal", "interval"])
@pytest.mark.parametrize("answers", [ANSWERS, ANSWERS_WITH_GAPS], ids=["complete", "with gaps"])
def test_krippendorffs_alpha(answers: list[list[str | None]], scale: Scale) -> None:
    theirs = krippendorff.alpha([[CODES[a] for a in rater] for rater in zip(*answers, strict=True)], None, None, scale)
    assert krippendorff_alpha(answers, categories=CATEGORIES, scale=scale).value == pytest.approx(theirs, rel=1e-12)


@pytest.mark.parametrize("cells", [(171, 47, 141, 26), (236, 28, 216, 76), (3, 1, 5, 0), (0, 4, 9, 2)])
def test_cohens_kappa_and_its_interval(cells: tuple[int, int, int, int]) -> None:
    """The first two are HCCNet's printed counts."""
    tp, fn, tn, fp = cells
    found = cohen_kappa(
        TwoClassCounts(
            positive="HCC", negative="other", true_positive=tp, false_negative=fn, true_negative=tn, false_positive=fp
        )
    )
    theirs = cohens_kappa(np.array([[tp, fn], [fp, tn]]))
    assert found.value == pytest.approx(theirs.kappa, rel=1e-12)
    assert [found.low, found.high] == pytest.approx([theirs.kappa_low, min(theirs.kappa_upp, 1)], rel=1e-9)


@pytest.mark.parametrize(("one", "two"), [(0, 1), (1, 2), (2, 3)])
def test_stuart_maxwell(one: int, two: int) -> None:
    first, second = ([case[rater] for case in ANSWERS] for rater in (one, two))
    table = sum(
        np.outer(row, column)
        for row, column in zip(*(count_categories([[a] for a in r], CATEGORIES) for r in (first, second)), strict=True)
    )
    theirs = SquareTable(table, shift_zeros=False).homogeneity(method="stuart_maxwell")
    found = stuart_maxwell(first, second, classes=CATEGORIES)
    assert found.statistic == pytest.approx(theirs.statistic, rel=1e-9)
    assert found.degrees_of_freedom == (theirs.df,)
    assert found.p_value == pytest.approx(theirs.pvalue, rel=1e-9)
