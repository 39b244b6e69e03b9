"""Reader studies drawn from the Roe-Metz model (1997), to know a test's power and type I error on a given layout."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy import stats

from LiverAILib.readerstudy.statistics.estimate import Estimate, Sampling, StatisticsError
from LiverAILib.readerstudy.statistics.merits import CovarianceMethod, Readings, auc_merits, decision_merits
from LiverAILib.readerstudy.statistics.mrmc import obuchowski_rockette
from LiverAILib.readerstudy.statistics.paired import count_pairs, mcnemar
from LiverAILib.readerstudy.statistics.proportions import proportion


@dataclass(frozen=True, kw_only=True)
class RoeMetz:
    """Variances of the latent rating, for either class; those of case, arm_case, reader_case and pure add up to 1.

    separation: distance of the class means in the first arm; gain: what the second arm adds to it. The defaults are Roe
    and Metz' structure HL (ratings highly correlated, readers alike) at an AUC of 0.855.
    """

    separation: float = 1.5
    gain: float = 0.0
    reader: float = 0.0055
    arm_reader: float = 0.0055
    case: float = 0.3
    arm_case: float = 0.3
    reader_case: float = 0.2
    pure: float = 0.2

    def __post_init__(self) -> None:
        parts = (self.case, self.arm_case, self.reader_case, self.pure)
        if min(*parts, self.reader, self.arm_reader) < 0 or abs(sum(parts) - 1) > 1e-9:
            raise StatisticsError(
                "Variances of case, arm_case, reader_case and pure must add up to 1; none is below 0."
            )

    def auc(self, *, second_arm: bool) -> float:
        """The true area of an arm, over readers and cases."""
        distance = self.separation + (self.gain if second_arm else 0.0)
        return float(stats.norm.cdf(distance / sqrt(2 * (1 + self.reader + self.arm_reader))))


def model_of(area: float, effect: float = 0.0) -> RoeMetz:
    """The model with these true areas: `area` in the first arm, `effect` more in the second.

    Raises StatisticsError unless both are between 0.5 and 1.
    """
    for value in (area, area + effect):
        if not 0.5 <= value < 1:
            raise StatisticsError(f"An area of {value:g} can't be simulated. Choose one from 0.5 to below 1.")
    spread = sqrt(2 * (1 + RoeMetz.reader + RoeMetz.arm_reader))
    separation = spread * float(stats.norm.ppf(area))
    return RoeMetz(separation=separation, gain=spread * float(stats.norm.ppf(area + effect)) - separation)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A fully crossed study of two arms; from a study of one's own by `layout_of`."""

    readers: int
    positive: int
    negative: int
    first_arm: str = "unassisted"
    second_arm: str = "assisted"
    positive_class: str = "HCC"
    negative_class: str = "non-HCC"


def layout_of(readings: Readings) -> Layout:
    """The layout of readings with two arms."""
    if len(readings.arms) != 2:
        raise StatisticsError(f"The study has {len(readings.arms)} arms; the simulation knows two.")
    positive = int(np.sum(readings.truth))
    return Layout(
        readers=len(readings.readers),
        positive=positive,
        negative=int(np.size(readings.truth)) - positive,
        first_arm=readings.arms[0],
        second_arm=readings.arms[1],
        positive_class=readings.positive,
        negative_class=readings.negative,
    )


def simulate(model: RoeMetz, layout: Layout, rng: np.random.Generator) -> Readings:
    """One study: continuous ratings, higher for the positive class."""
    n, readers = layout.positive + layout.negative, layout.readers
    truth = np.arange(n) < layout.positive
    by_class = truth.astype(int)

    def normal(variance: float, *shape: int) -> np.ndarray:
        return rng.normal(scale=sqrt(variance), size=shape)

    of_reader = normal(model.reader, 1, readers, 2) + normal(model.arm_reader, 2, readers, 2)
    of_case = normal(model.case, 1, 1, n) + normal(model.arm_case, 2, 1, n)
    rest = normal(model.reader_case, 1, readers, n) + normal(model.pure, 2, readers, n)
    mean = np.array([model.separation, model.separation + model.gain])[:, None, None] * truth
    return Readings(
        arms=(layout.first_arm, layout.second_arm),
        readers=tuple(f"R{j + 1}" for j in range(readers)),
        positive=layout.positive_class,
        negative=layout.negative_class,
        truth=truth,
        values=mean + of_reader[:, :, by_class] + of_case + rest,
    )


def called(readings: Readings, threshold: float) -> Readings:
    """The decisions that these ratings make at a threshold."""
    return Readings(
        arms=readings.arms,
        readers=readings.readers,
        positive=readings.positive,
        negative=readings.negative,
        truth=readings.truth,
        values=(readings.values >= threshold).astype(np.float64),
        unit=readings.unit,
    )


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """Share of simulated studies in which each test rejects at `alpha`: power, or with gain 0 the type I error.

    refused: how many studies the primary test refused (they count as not rejected). `formula` says what was simulated.
    """

    alpha: float
    rejected: dict[str, Estimate]
    refused: int
    formula: str


#: Names of the tests in `simulate_rejections`.
PRIMARY = "Obuchowski-Rockette-Hillis, AUC"
PRIMARY_ACCURACY = "Obuchowski-Rockette-Hillis, accuracy"
POOLED_MCNEMAR = "McNemar, all readers' answers pooled"
PAIRED_T = "paired t test of the readers' AUCs"


def simulate_rejections(
    model: RoeMetz,
    layout: Layout,
    *,
    replicates: int = 600,
    seed: int = 0,
    alpha: float = 0.05,
    covariance: CovarianceMethod = "jackknife",
    sampling: Sampling = "random readers, random cases",
) -> Simulation:
    """How often the primary test rejects, on AUC and on accuracy at the midway threshold.

    Beside it stand two tests that are not used: pooled McNemar takes the readers' answers to one case for independent,
    and the paired t test of readers' AUCs takes these cases for all there are. Both find differences where none is.
    """
    counted = dict.fromkeys((PRIMARY, PRIMARY_ACCURACY, POOLED_MCNEMAR, PAIRED_T), 0)
    rng, refused = np.random.default_rng(seed), 0
    for _ in range(replicates):
        readings = simulate(model, layout, rng)
        calls = called(readings, (model.separation + model.gain / 2) / 2)
        areas = auc_merits(readings, covariance)
        try:
            counted[PRIMARY] += obuchowski_rockette(areas, sampling).test.p_value < alpha
        except StatisticsError:
            refused += 1
        try:
            found = obuchowski_rockette(decision_merits(calls, "accuracy"), sampling)
            counted[PRIMARY_ACCURACY] += found.test.p_value < alpha
        except StatisticsError:
            refused += 1
        right = calls.values == readings.truth
        pooled = {arm: right[i].ravel() for i, arm in enumerate(readings.arms)}
        pairs = count_pairs(pooled, first=layout.first_arm, second=layout.second_arm, unit="reader-cases")
        counted[POOLED_MCNEMAR] += mcnemar(pairs, "mid-p").p_value < alpha
        counted[PAIRED_T] += float(stats.ttest_rel(areas.values[0], areas.values[1]).pvalue) < alpha
    return Simulation(
        alpha=alpha,
        rejected={
            name: proportion(int(times), replicates, name=f"rejected by {name}", unit="simulated studies")
            for name, times in counted.items()
        },
        refused=refused,
        formula=(
            f"Roe-Metz: mean {model.separation:.4g} (+{model.gain:.4g} in {layout.second_arm}) between the classes; "
            f"variances: reader {model.reader:g}, arm-reader {model.arm_reader:g}, case {model.case:g}, arm-case "
            f"{model.arm_case:g}, reader-case {model.reader_case:g}, pure {model.pure:g}; {layout.readers} readers, "
            f"{layout.positive} {layout.positive_class} and {layout.negative} {layout.negative_class}; {replicates} "
            f"studies, seed {seed}"
        ),
    )


def type_one_error_table(
    *, readers: tuple[int, ...] = (3, 6), positive: int = 54, negative: int = 41, replicates: int = 600, seed: int = 0
) -> dict[int, Simulation]:
    """The benchmark: null studies of the HCCNet paper's size (95 cases) by number of readers."""
    return {
        count: simulate_rejections(
            RoeMetz(), Layout(readers=count, positive=positive, negative=negative), replicates=replicates, seed=seed
        )
        for count in readers
    }
