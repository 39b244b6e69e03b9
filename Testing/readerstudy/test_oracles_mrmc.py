"""The primary comparison against a linear model of others: Dorfman, Berbaum and Metz' analysis of variance.

With jackknife covariances the Obuchowski-Rockette test is the same as an arm x reader x case analysis of variance of
the areas' pseudovalues (Hillis et al. 2005), which statsmodels computes from the ratings without any of our parts.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as formulas
from scipy import stats
from statsmodels.stats.anova import anova_lm
from van_dyke import van_dyke

from LiverAILib.readerstudy.statistics.estimate import Sampling
from LiverAILib.readerstudy.statistics.merits import Readings, auc_merits
from LiverAILib.readerstudy.statistics.mrmc import MrmcAnalysis, arm_mean, obuchowski_rockette

ARMS, READERS, POSITIVE, NEGATIVE = 2, 4, 9, 11
N = POSITIVE + NEGATIVE


def readings() -> Readings:
    """Ratings on seven levels with case, reader and arm effects."""
    rng = np.random.default_rng(8)
    truth = np.arange(N) < POSITIVE
    shared = rng.normal(size=(ARMS, 1, N)) * 0.6 + rng.normal(size=(1, READERS, 1)) * 0.4 * truth
    latent = truth * (0.6 + 0.7 * np.arange(ARMS)[:, None, None]) + shared + rng.normal(size=(ARMS, READERS, N))
    return Readings(
        arms=("unassisted", "assisted"),
        readers=("R1", "R2", "R3", "R4"),
        positive="HCC",
        negative="non-HCC",
        truth=truth,
        values=np.clip(np.round(latent * 1.5), -3, 3),
    )


def area(truth: np.ndarray, values: np.ndarray) -> float:
    u = stats.mannwhitneyu(values[truth], values[~truth]).statistic
    return float(u) / (int(truth.sum()) * int((~truth).sum()))


@pytest.fixture(scope="module")
def squares() -> dict[str, float]:
    """Mean squares of the pseudovalues by effect ("arm", "arm:case", ..., "Residual" for all three)."""
    given = readings()
    rows = []
    for arm in range(ARMS):
        for reader in range(READERS):
            values = given.values[arm, reader]
            whole = area(given.truth, values)
            for case in range(N):
                kept = np.arange(N) != case
                pseudo = N * whole - (N - 1) * area(given.truth[kept], values[kept])
                rows.append((f"a{arm}", f"r{reader}", f"c{case}", pseudo))
    table = pd.DataFrame(rows, columns=["arm", "reader", "case", "y"])
    found = anova_lm(formulas.ols("y ~ arm * reader + arm * case + reader * case", table).fit())
    return dict(found["sum_sq"] / found["df"])


def analysed(sampling: Sampling) -> MrmcAnalysis:
    return obuchowski_rockette(auc_merits(readings(), "jackknife"), sampling)


def test_random_readers_and_cases(squares: dict[str, float]) -> None:
    found = analysed("random readers, random cases")
    own, cases = squares["arm:reader"], squares["arm:case"] - squares["Residual"]
    assert cases > 0
    below = own + cases
    df = (ARMS - 1) * (READERS - 1) * (below / own) ** 2  # Hillis 2007
    assert found.test.statistic == pytest.approx(squares["arm"] / below, rel=1e-8)
    assert found.test.degrees_of_freedom == pytest.approx((ARMS - 1, df), rel=1e-8)
    assert found.test.p_value == pytest.approx(stats.f.sf(squares["arm"] / below, ARMS - 1, df), rel=1e-8)
    error = (2 * below / (READERS * N)) ** 0.5
    change = found.difference("assisted", "unassisted").difference
    assert (change.high - change.value) / stats.t.ppf(0.975, df) == pytest.approx(error, rel=1e-8)


def test_fixed_readers_and_fixed_cases(squares: dict[str, float]) -> None:
    readers = analysed("fixed readers, random cases")
    assert readers.test.statistic == pytest.approx(squares["arm"] / squares["arm:case"], rel=1e-8)
    cases = analysed("random readers, fixed cases")
    assert cases.test.statistic == pytest.approx(squares["arm"] / squares["arm:reader"], rel=1e-8)


def test_the_covariances_are_the_variance_components(squares: dict[str, float]) -> None:
    parts = analysed("random readers, random cases").components
    arm_case, reader_case, rest = (squares[name] for name in ("arm:case", "reader:case", "Residual"))
    both = (squares["case"] - arm_case - reader_case + rest) / (ARMS * READERS)  # of cases alone
    assert parts.neither * N == pytest.approx(both, rel=1e-8)
    assert (parts.same_arm - parts.neither) * N == pytest.approx((arm_case - rest) / READERS, rel=1e-8)
    assert (parts.same_reader - parts.neither) * N == pytest.approx((reader_case - rest) / ARMS, rel=1e-8)
    own = parts.error - parts.same_reader - parts.same_arm + parts.neither
    assert own * N == pytest.approx(rest, rel=1e-8)


@pytest.mark.parametrize(
    ("sampling", "of_spin_echo", "of_cine"),
    [
        ("random readers, random cases", (0.82522360, 0.96885048), (0.89413783, 0.98753689)),
        ("fixed readers, random cases", (0.84943008, 0.94464399), (0.90795637, 0.97371835)),
        ("random readers, fixed cases", (0.82809808, 0.96597599), (0.89598936, 0.98568536)),
    ],
)
def test_single_arms_as_or_dbm_mrmc_prints_them(
    sampling: Sampling, of_spin_echo: tuple[float, float], of_cine: tuple[float, float]
) -> None:
    """Van Dyke's study in the programme OR-DBM MRMC 2.51 of the University of Iowa (jackknife, trapezoidal areas)."""
    covariance = van_dyke().covariance.copy()
    for arm, (error, same_arm) in enumerate([(0.00101410, 0.00048396), (0.00059047, 0.00020419)]):
        covariance[arm, :, arm, :] = np.where(np.eye(5), error, same_arm)
    merits = replace(van_dyke(), covariance=covariance)
    for arm, (low, high) in (("spin echo", of_spin_echo), ("cine", of_cine)):
        found = arm_mean(merits, arm, sampling)
        assert (found.low, found.high) == pytest.approx((low, high), abs=5e-7)
