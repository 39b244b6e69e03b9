"""Intervals of proportions, McNemar's test and Holm's correction against statsmodels and R."""

import pytest
from r_oracle import run_r, vector
from statsmodels.stats.contingency_tables import mcnemar as their_mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from LiverAILib.readerstudy.statistics.paired import PairedCounts, holm, mcnemar, tango_z
from LiverAILib.readerstudy.statistics.proportions import clopper_pearson, wilson

COUNTS = [(171, 218), (141, 167), (0, 12), (12, 12), (1, 30)]
TABLES = [(50, 2, 8, 5), (9, 0, 3, 1), (40, 6, 6, 4)]
P_VALUES = [0.03, 0.01, 0.04, 0.005, 0.6, 0.01]

SCRIPT = f"""
for (n in list({",".join(vector(counts) for counts in COUNTS)})) {{
  say(paste0("exact_", n[1], "_", n[2]), binom.test(n[1], n[2])$conf.int)
  say(paste0("wilson_", n[1], "_", n[2]), suppressWarnings(prop.test(n[1], n[2], correct = FALSE))$conf.int)
}}
for (n in list({",".join(vector(table) for table in TABLES)})) {{
  said <- c(binom.test(n[2], n[2] + n[3])$p.value, mcnemar.test(matrix(n, 2), correct = FALSE)$statistic)
  say(paste(c("pair", n), collapse = "_"), said)
}}
say("holm", p.adjust({vector(P_VALUES)}, "holm"))
"""


def named(kind: str, cells: tuple[int, ...]) -> str:
    return "_".join([kind, *map(str, cells)])


def pair(cells: tuple[int, int, int, int]) -> PairedCounts:
    both, only_first, only_second, neither = cells
    return PairedCounts(
        first="AI", second="readers", both=both, only_first=only_first, only_second=only_second, neither=neither
    )


#: What R 4.2.2 printed for this script.
PRINTED = {
    "exact_171_218": [0.723821500559, 0.837077099761],
    "wilson_171_218": [0.725140291614, 0.83381744631],
    "exact_141_167": [0.780260422184, 0.895707849894],
    "wilson_141_167": [0.781654395688, 0.891484318965],
    "exact_0_12": [0.0, 0.264648469397],
    "wilson_0_12": [0.0, 0.242494006655],
    "exact_12_12": [0.735351530603, 1.0],
    "wilson_12_12": [0.757505993345, 1.0],
    "exact_1_30": [0.00084357092663, 0.172169455633],
    "wilson_1_30": [0.00590859038161, 0.166703909914],
    "pair_50_2_8_5": [0.109375, 3.6],
    "pair_9_0_3_1": [0.25, 3.0],
    "pair_40_6_6_4": [1.0, 0.0],
    "holm": [0.09, 0.05, 0.09, 0.03, 0.6, 0.05],
}


def test_the_printed_numbers_are_rs() -> None:
    said = run_r(SCRIPT, ["stats"])
    assert said.keys() == PRINTED.keys()
    for name, values in PRINTED.items():
        assert said[name] == pytest.approx(values, rel=1e-9, abs=1e-12), name


@pytest.mark.parametrize("counts", COUNTS)
def test_clopper_pearson_and_wilson(counts: tuple[int, int]) -> None:
    assert clopper_pearson(*counts) == pytest.approx(PRINTED[named("exact", counts)], rel=1e-9)
    assert wilson(*counts) == pytest.approx(PRINTED[named("wilson", counts)], rel=1e-9)
    for level in (0.9, 0.99):
        assert clopper_pearson(*counts, level) == pytest.approx(proportion_confint(*counts, 1 - level, "beta"))
        assert wilson(*counts, level) == pytest.approx(proportion_confint(*counts, 1 - level, "wilson"), abs=1e-12)


@pytest.mark.parametrize("cells", TABLES)
def test_mcnemar_exact_and_the_score_without_difference(cells: tuple[int, int, int, int]) -> None:
    exact, chi_squared = PRINTED[named("pair", cells)]
    assert mcnemar(pair(cells)).p_value == pytest.approx(exact, rel=1e-9)
    assert tango_z(pair(cells), 0.0) ** 2 == pytest.approx(chi_squared, rel=1e-9, abs=1e-12)
    both, only_first, only_second, neither = cells
    theirs = their_mcnemar([[both, only_first], [only_second, neither]], exact=True)
    assert mcnemar(pair(cells)).p_value == pytest.approx(theirs.pvalue, rel=1e-9)


def test_holm() -> None:
    found = holm({str(k): p for k, p in enumerate(P_VALUES)})
    assert [found[str(k)] for k in range(len(P_VALUES))] == pytest.approx(PRINTED["holm"], rel=1e-9)
    assert [found[str(k)] for k in range(len(P_VALUES))] == pytest.approx(multipletests(P_VALUES, method="holm")[1])
