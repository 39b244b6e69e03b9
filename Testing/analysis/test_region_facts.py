"""Facts of regions that are known by construction, and what a region's sureness does to its probability."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import expit, logit

from LiverAILib.analysis.lesions import MIN_PEAK, THRESHOLD
from LiverAILib.analysis.phase_stack import PhaseStack
from LiverAILib.analysis.region_facts import (
    FACTS,
    LEAST_CONTRAST,
    MOST_ML,
    RegionFacts,
    RegionWeights,
    region_facts,
    with_sureness,
)
from LiverAILib.training.region_fit import fit_regions, stricter

SHAPE = (20, 40, 44)


def stack() -> PhaseStack:
    """A box of liver from voxel 2 to 18, 4 to 36, 4 to 40, noisy by 5 HU."""
    rng = np.random.default_rng(0)
    liver = np.zeros(SHAPE, np.float32)
    liver[2:18, 4:36, 4:40] = 1
    hu = rng.normal(100, 5, (3, *SHAPE)).astype(np.float32)
    return PhaseStack(hu, np.array([False, True, True]), liver, np.diag([2.0, 2.0, 4.0, 1.0]))


def ball(middle: tuple[int, int, int], reach: tuple[int, int, int]) -> npt.NDArray[np.bool_]:
    grid = np.indices(SHAPE)
    return np.asarray(sum(((axis - m) / r) ** 2 for axis, m, r in zip(grid, middle, reach, strict=True)) <= 1)


def facts_of(own: npt.NDArray[np.bool_], shown: PhaseStack) -> RegionFacts:
    labels = own.astype(np.uint16)
    (facts,) = region_facts(labels, own * np.float32(0.9), 0.016, labels, own * np.float32(0.7), shown)
    assert facts is not None
    return facts


def test_a_regions_facts_are_what_they_are_called() -> None:
    shown = stack()
    own = ball((10, 20, 22), (3, 6, 6))  # a ball of 12 mm
    shown.hu[1][own] += 30
    shown.hu[2][own] -= 10
    shown.hu[0][own] += 500  # of a phase that is not there
    facts = facts_of(own, shown)
    assert facts.peak == pytest.approx(logit(0.9), abs=1e-4)
    assert facts.compared == pytest.approx(logit(0.7), abs=1e-4)
    assert facts.volume == pytest.approx(np.log(own.sum() * 0.016))
    assert facts.elongation == pytest.approx(0, abs=0.15)
    assert facts.contrast == pytest.approx(np.log(LEAST_CONTRAST + 30 / 5), abs=0.1)
    assert 25 < facts.depth < 32
    edge = ball((10, 6, 22), (3, 6, 6)) & (shown.liver > 0.5)
    assert facts_of(edge, shown).depth < 10


def test_a_vessel_is_longer_than_a_ball() -> None:
    tube = ball((10, 20, 22), (1, 1, 14))
    assert facts_of(tube, stack()).elongation > np.log(20)


def test_the_same_region_on_a_finer_grid_has_the_same_facts() -> None:
    coarse = stack()
    own = ball((10, 20, 22), (3, 6, 9))
    hu, liver = np.repeat(coarse.hu, 2, axis=3), np.repeat(coarse.liver, 2, axis=2)
    fine = PhaseStack(hu, coarse.present, liver, np.diag([1.0, 2.0, 4.0, 1.0]))
    twice = np.repeat(own, 2, axis=2).astype(np.uint16)
    (other,) = region_facts(twice, twice * np.float32(0.9), 0.008, twice, twice * np.float32(0.7), fine)
    assert other is not None
    assert astuple(other) == pytest.approx(astuple(facts_of(own, coarse)), abs=0.05, rel=0.05)


def test_a_region_without_surroundings_has_no_contrast_and_one_that_the_grid_misses_no_facts() -> None:
    shown = stack()
    whole = shown.liver > 0.5
    assert facts_of(whole, shown).contrast == pytest.approx(np.log(LEAST_CONTRAST))
    assert whole.sum() * 0.016 > MOST_ML
    assert facts_of(whole, shown).volume == pytest.approx(np.log(MOST_ML))
    labels = ball((10, 20, 22), (3, 6, 6)).astype(np.uint16)
    labels[4, 8, 8] = 2
    first_only = np.where(labels == 1, labels, 0)
    found = region_facts(labels, labels * np.float32(0.4), 0.016, first_only, labels * np.float32(0.4), shown)
    assert found[0] is not None
    assert found[1] is None
    assert region_facts(0 * labels, 0.0 * labels, 0.016, 0 * labels, 0.0 * labels, shown) == []


def test_a_sure_region_reaches_the_least_peak_and_an_unsure_one_does_not() -> None:
    labels = np.zeros((1, 4, 9), np.uint16)
    labels[:, :, :3], labels[:, :, 3:6], labels[:, :, 6:] = 1, 2, 3
    probability = np.linspace(0.65, 0.95, labels.size, dtype=np.float32).reshape(labels.shape)
    changed = with_sureness(probability, labels, [0.5, -0.5, None])
    assert changed[labels == 1].max() == pytest.approx(expit(logit(MIN_PEAK) + 0.5), abs=1e-5)
    assert THRESHOLD < changed[labels == 2].max() < MIN_PEAK
    assert (changed[labels == 3] == probability[labels == 3]).all()
    assert (changed > THRESHOLD).all()
    for number in (1, 2):
        order = np.argsort(probability[labels == number])
        assert (np.diff(changed[labels == number][order]) >= 0).all()
    hopeless = with_sureness(probability, labels, [-50.0, 50.0, None])
    assert THRESHOLD < hopeless[labels == 1].max() < 0.65
    assert hopeless[labels == 2].max() < 1


def test_the_defaults_say_what_the_peak_says() -> None:
    for peak in (0.7, 0.9):
        facts = RegionFacts(float(logit(peak)), 9.0, 9.0, 9.0, 9.0, 9.0)
        assert (RegionWeights().sureness(facts) >= 0) == (peak >= MIN_PEAK)


def test_the_fit_finds_the_fact_that_tells_lesions_from_others() -> None:
    rng = np.random.default_rng(1)
    facts = [RegionFacts(*row) for row in rng.normal(0, 2, (400, len(FACTS))).tolist()]
    lesion = [one.depth - 0.5 * one.volume + rng.normal(0, 0.5) > 1 for one in facts]
    weights = fit_regions(facts, lesion)
    assert weights is not None
    right = [(weights.sureness(one) >= 0) == truth for one, truth in zip(facts, lesion, strict=True)]
    assert np.mean(right) > 0.93
    assert weights.depth > 0 > weights.volume
    assert max(abs(weights.peak), abs(weights.contrast)) < 0.3 * weights.depth
    assert sum(stricter(weights, 2.0).sureness(one) >= 0 for one in facts) < sum(
        weights.sureness(one) >= 0 for one in facts
    )
    assert fit_regions(facts, [True] * len(facts)) is None
    twice, counted = (
        fit_regions([*facts, *facts[:50]], [*lesion, *lesion[:50]]),
        fit_regions(facts, lesion, [2.0] * 50 + [1.0] * 350),
    )
    assert twice is not None
    assert counted is not None
    assert counted.depth == pytest.approx(twice.depth, rel=0.05)
    assert fit_regions([], []) is None
