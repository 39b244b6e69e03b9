"""Reading times against mixed models that others fit by REML: lme4 with lmerTest in R, and statsmodels."""

from math import log

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as formulas
from oracle_inputs import ALLOCATED, BALANCED, SECONDS
from r_oracle import run_r, vector
from scipy import stats

from LiverAILib.readerstudy.statistics.reading_time import ReadingTime, reading_time_ratio

#: Readers of whom each gains the same on average: their variance comes out as 0.
_GAIN = np.log(SECONDS["with"] / SECONDS["without"])
ALIKE = {
    "with": SECONDS["without"] * np.exp(_GAIN - _GAIN.mean(axis=1, keepdims=True) + _GAIN.mean()),
    "without": SECONDS["without"],
}

STUDIES = {"balanced": (SECONDS, BALANCED), "allocated": (SECONDS, ALLOCATED), "alike": (ALIKE, BALANCED)}


def log_ratios(study: str) -> pd.DataFrame:
    """Log time with over without, and period with minus without, of every reader-case."""
    seconds, periods = STUDIES[study]
    y = np.log(seconds["with"] / seconds["without"])
    reader, case = np.indices(y.shape)
    columns = {"y": y, "order": periods["with"] - periods["without"], "reader": reader, "case": case}
    return pd.DataFrame({name: values.ravel() for name, values in columns.items()})


def script() -> str:
    """Fits every study; bobyqa, as lme4's usual optimizer stops at a lower likelihood where a variance is 0."""
    table = log_ratios("balanced")
    said = f"reader <- factor({vector(table.reader)}); case <- factor({vector(table.case)})\n"
    for name in STUDIES:
        table = log_ratios(name)
        said += f"""
            y <- {vector(table.y)}; order <- {vector(table.order)}
            found <- lmer(y ~ order + (1 | reader) + (1 | case), control = lmerControl(optimizer = "bobyqa"))
            say("arm_{name}", coef(summary(found))[1, ]); say("period_{name}", coef(summary(found))[2, ])
        """
    return said


#: Estimate, standard error, Satterthwaite's degrees of freedom, t and p, as lmerTest 3.1.3 on lme4 1.1.31 in R 4.2.2
#: printed them for this script.
PRINTED = {
    "arm_balanced": [-0.472624305626, 0.180613197501, 4.85431086921, -2.61677613909, 0.048663666836],
    "period_balanced": [-0.0541030276389, 0.0301388560356, 31.9999999943, -1.7951254545, 0.0820843406771],
    "arm_allocated": [-0.472624305626, 0.180599951, 4.85245122487, -2.6169680723, 0.0486708230673],
    "period_allocated": [0.0514675861101, 0.0322696781704, 33.0382413015, 1.59492096073, 0.120252893812],
    "arm_alike": [-0.472624305626, 0.0908350985063, 11.0000000045, -5.2031022523, 0.00029306795004],
    "period_alike": [-0.0541030276391, 0.0288182583844, 35.0000000003, -1.8773871383, 0.0688195526815],
}


def compare(study: str) -> ReadingTime:
    return reading_time_ratio(*STUDIES[study], first="with", second="without")


def of_arm(found: ReadingTime) -> list[float]:
    """The numbers that lmerTest prints for the arm."""
    value, test = log(found.ratio.value), found.test
    return [value, value / test.statistic, test.degrees_of_freedom[0], test.statistic, test.p_value]


def test_the_printed_numbers_are_lmer_tests() -> None:
    said = run_r(script(), ["lmerTest"])
    assert said.keys() == PRINTED.keys()
    for name, values in PRINTED.items():
        assert said[name] == pytest.approx(values, rel=1e-5), name


def test_with_both_orders_equally_often_for_reader_and_case_it_is_the_reml_fit() -> None:
    found = compare("balanced")
    assert of_arm(found) == pytest.approx(PRINTED["arm_balanced"], rel=1e-6)
    value, error, df = PRINTED["period_balanced"][:3]
    assert found.period_ratio is not None
    assert log(found.period_ratio.value) == pytest.approx(value, rel=1e-9)
    assert log(found.period_ratio.high) - value == pytest.approx(error * stats.t.ppf(0.975, 32), rel=1e-6)
    assert df == pytest.approx(32, rel=1e-8)


def test_with_orders_as_allocated_it_is_near_the_reml_fit() -> None:
    """The period is then judged within reader and case alone; REML also takes a little from between them."""
    found = compare("allocated")
    assert of_arm(found) == pytest.approx(PRINTED["arm_allocated"], rel=1e-3)
    value, error = PRINTED["period_allocated"][:2]
    assert found.period_ratio is not None
    assert log(found.period_ratio.value) == pytest.approx(value, abs=error / 20)


def test_readers_who_gain_alike_have_no_variance_of_their_own() -> None:
    assert of_arm(compare("alike")) == pytest.approx(PRINTED["arm_alike"], rel=1e-6)


def test_statsmodels_fits_the_same_model() -> None:
    model = formulas.mixedlm(
        "y ~ order",
        log_ratios("balanced").assign(all_of_one=1),
        groups="all_of_one",
        vc_formula={"reader": "0 + C(reader)", "case": "0 + C(case)"},
        re_formula="0",
    )
    fit = model.fit(reml=True, method="lbfgs")
    found = of_arm(compare("balanced"))
    assert fit.params["Intercept"] == pytest.approx(found[0], rel=1e-6)
    assert fit.bse["Intercept"] == pytest.approx(found[1], rel=1e-3)
