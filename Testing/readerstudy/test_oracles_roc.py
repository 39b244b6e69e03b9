"""ROC areas, their intervals and the paired test against pROC, on ratings with ties."""

import numpy as np
import pytest
from oracle_inputs import RATINGS, TRUTH
from r_oracle import run_r, vector

from LiverAILib.readerstudy.statistics.roc import auc, compare_aucs, delong_covariance, placements, roc_curve

NAMES = {"positive": "HCC", "negative": "non-HCC"}

SCRIPT = f"""
truth <- {vector(TRUTH.astype(int))}
one <- roc(truth, {vector(RATINGS["with"])}, levels = c(0, 1), direction = "<")
two <- roc(truth, {vector(RATINGS["without"])}, levels = c(0, 1), direction = "<")
say("with", c(auc(one), ci.auc(one, method = "delong")[c(1, 3)], var(one, method = "delong")))
say("without", c(auc(two), ci.auc(two, method = "delong")[c(1, 3)], var(two, method = "delong")))
say("at_90", ci.auc(one, conf.level = 0.9, method = "delong")[c(1, 3)])
say("covariance", cov(one, two, method = "delong"))
test <- roc.test(one, two, method = "delong", paired = TRUE)
say("paired", c(test$statistic, test$p.value))
say("paired_90", roc.test(one, two, method = "delong", paired = TRUE, conf.level = 0.9)$conf.int)
say("sensitivities", coords(one, c(35, 60, 95), input = "threshold", ret = "sensitivity", transpose = TRUE))
say("specificities", coords(one, c(35, 60, 95), input = "threshold", ret = "specificity", transpose = TRUE))
"""

#: What pROC 1.18.0 in R 4.2.2 printed for this script.
PRINTED = {
    "with": [0.923177083333, 0.842931340294, 1.0, 0.00167628486375],
    "without": [0.822916666667, 0.690749014447, 0.955084318886, 0.00454730588265],
    "at_90": [0.855832732863, 0.990521433804],
    "covariance": [0.00107099499295],
    "paired": [1.56932988097, 0.116571093184],
    "paired_90": [-0.00482501629043, 0.205345849624],
    "sensitivities": [1.0, 1.0, 0.3125],
    "specificities": [0.125, 0.791666666667, 1.0],
}


def test_the_printed_numbers_are_procs() -> None:
    said = run_r(SCRIPT, ["pROC"])
    assert said.keys() == PRINTED.keys()
    for name, values in PRINTED.items():
        assert said[name] == pytest.approx(values, rel=1e-9), name


@pytest.mark.parametrize("arm", RATINGS)
def test_area_and_delong_interval(arm: str) -> None:
    found = auc(TRUTH, RATINGS[arm], **NAMES)
    assert [found.value, found.low, found.high] == pytest.approx(PRINTED[arm][:3], rel=1e-9)


def test_interval_at_another_level() -> None:
    found = auc(TRUTH, RATINGS["with"], **NAMES, level=0.9)
    assert [found.low, found.high] == pytest.approx(PRINTED["at_90"], rel=1e-9)


def test_delong_variances_and_covariance() -> None:
    ratings = np.array([RATINGS["with"], RATINGS["without"]], dtype=float)
    covariance = delong_covariance(*placements(ratings[:, TRUTH], ratings[:, ~TRUTH]))
    assert np.diag(covariance) == pytest.approx([PRINTED["with"][3], PRINTED["without"][3]], rel=1e-9)
    assert covariance[0, 1] == pytest.approx(PRINTED["covariance"][0], rel=1e-9)


def test_paired_delong_test_and_interval() -> None:
    found = compare_aucs(TRUTH, RATINGS, first="with", second="without", **NAMES, level=0.9)
    assert [found.test.statistic, found.test.p_value] == pytest.approx(PRINTED["paired"], rel=1e-9)
    assert [found.difference.low, found.difference.high] == pytest.approx(PRINTED["paired_90"], rel=1e-9)


def test_operating_points() -> None:
    curve = roc_curve(TRUTH, RATINGS["with"], **NAMES)
    at = [list(curve.thresholds).index(threshold) for threshold in (35, 60, 95)]
    assert list(curve.true_positive_fraction[at]) == pytest.approx(PRINTED["sensitivities"])
    assert list(1 - curve.false_positive_fraction[at]) == pytest.approx(PRINTED["specificities"])
