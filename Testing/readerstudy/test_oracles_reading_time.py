"""Reading times against mixed models that others fit by REML: lme4 with lmerTest in R, and statsmodels."""

from math import log

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as formulas
from oracle_inputs import ALLOCATED, BALANCED, SECONDS
from r_oracle import run_r, vector

from LiverAILib.readerstudy.statistics.reading_time import ReadingTime, reading_time_ratio

ORDERS = {"balanced": BALANCED, "allocated": ALLOCATED}

SCRIPT = """
fit <- function(order) {
  ratios <- data.frame(y, order, reader, case)
  coef(summary(lmer(y ~ order + (1 | reader) + (1 | case), ratios,
                    control = lmerControl(optCtrl = list(ftol_abs = 1e-14, xtol_abs = 1e-12)))))
}
"""


def log_ratios(order: str) -> pd.DataFrame:
    """Log time with over without, and period with minus without, of every reader-case."""
    y = np.log(SECONDS["with"] / SECONDS["without"])
    reader, case = np.indices(y.shape)
    gap = ORDERS[order]["with"] - ORDERS[order]["without"]
    return pd.DataFrame(
        {"y": y.ravel(), "order": gap.ravel(), "reader": reader.ravel(), "case": case.ravel(), "one": 1}
    )


def script() -> str:
    table = log_ratios("balanced")
    said = f"y <- {vector(table.y)}; reader <- factor({vector(table.reader)}); case <- factor({vector(table.case)})"
    for order in ORDERS:
        said += f'\nsaid <- fit({vector(log_ratios(order).order)}); say("arm_{order}", said[1, ]); '
        said += f'say("period_{order}", said[2, ])'
    return SCRIPT + said


#: Estimate, standard error, Satterthwaite's degrees of freedom, t and p, as lmerTest 3.1.3 on lme4 1.1.31 in R 4.2.2
#: printed them for this script.
PRINTED = {
    "arm_balanced": [-0.472624305626, 0.180613642984, 4.85425037743, -2.61676968482, 0.0486646320509],
    "period_balanced": [-0.054103027639, 0.0301388508779, 32.0000052902, -1.7951257617, 0.0820842891745],
    "arm_allocated": [-0.472624305626, 0.180599872644, 4.85245866707, -2.61696920771, 0.0486706845765],
    "period_allocated": [0.0514675858037, 0.0322696820938, 33.0382372306, 1.59492075733, 0.120252940559],
}


def compare(order: str) -> ReadingTime:
    return reading_time_ratio(SECONDS, ORDERS[order], first="with", second="without")


def of_arm(found: ReadingTime) -> list[float]:
    """The numbers that lmerTest prints for the arm."""
    value, test = log(found.ratio.value), found.test
    return [value, value / test.statistic, test.degrees_of_freedom[0], test.statistic, test.p_value]


def test_the_printed_numbers_are_lmer_tests() -> None:
    said = run_r(script(), ["lmerTest"])
    assert said.keys() == PRINTED.keys()
    for name, values in PRINTED.items():
        assert said[name] == pytest.approx(values, rel=1e-4), name


def test_with_both_orders_equally_often_for_reader_and_case_it_is_the_reml_fit() -> None:
    found = compare("balanced")
    assert of_arm(found) == pytest.approx(PRINTED["arm_balanced"], rel=5e-5)
    value, error, df = PRINTED["period_balanced"][:3]
    assert found.period_ratio is not None
    assert log(found.period_ratio.value) == pytest.approx(value, rel=1e-9)
    assert log(found.period_ratio.high) - value == pytest.approx(error * 2.036933, rel=1e-5)  # t of 0.975 with 32
    assert df == pytest.approx(32, rel=1e-5)


def test_with_orders_as_allocated_it_is_near_the_reml_fit() -> None:
    """The period is then judged within reader and case alone; REML also takes a little from between them."""
    found = compare("allocated")
    assert of_arm(found) == pytest.approx(PRINTED["arm_allocated"], rel=1e-3)
    value, error = PRINTED["period_allocated"][:2]
    assert found.period_ratio is not None
    assert log(found.period_ratio.value) == pytest.approx(value, abs=error / 20)


def test_statsmodels_fits_the_same_model() -> None:
    model = formulas.mixedlm(
        "y ~ order",
        log_ratios("balanced"),
        groups="one",
        vc_formula={"reader": "0 + C(reader)", "case": "0 + C(case)"},
        re_formula="0",
    )
    fit = model.fit(reml=True, method="lbfgs")
    found = of_arm(compare("balanced"))
    assert fit.params["Intercept"] == pytest.approx(found[0], rel=1e-6)
    assert fit.bse["Intercept"] == pytest.approx(found[1], rel=1e-3)
