"""The HCCNet paper's tables from their integer counts, and what must never be swapped."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from LiverAILib.errors import LiverAIError
from LiverAILib.readerstudy.statistics import classification as cl
from LiverAILib.readerstudy.statistics.estimate import Estimate, StatisticsError
from LiverAILib.readerstudy.statistics.proportions import clopper_pearson, proportion, wilson


def hcc(tp: int, fn: int, tn: int, fp: int) -> cl.TwoClassCounts:
    return cl.TwoClassCounts(
        positive="HCC", negative="non-HCC", true_positive=tp, false_negative=fn, true_negative=tn, false_positive=fp
    )


# (TP, FN, TN, FP) and, as printed: accuracy, sensitivity, specificity, precision, NPV with intervals; kappa; F1.
PRINTED = {
    "Table 2, internal": (
        (171, 47, 141, 26),
        ".810 .768 .848  .784 .724 .837  .844 .780 .896  .868 .813 .912  .750 .682 .810  .620 .824",
    ),
    "Table 2, external": (
        (236, 28, 216, 76),
        ".813 .778 .845  .894 .850 .928  .740 .685 .789  .756 .705 .803  .885 .838 .922  .628 .819",
    ),
    "Table 4, internal, radiologist 1": (
        (39, 15, 38, 3),
        ".811 .717 .884  .722 .584 .835  .927 .801 .985  .929 .805 .985  .717 .577 .832  .627 .813",
    ),
    "Table 4, internal, radiologist 2": (
        (42, 12, 38, 3),
        ".842 .753 .909  .778 .644 .880  .927 .801 .985  .933 .817 .986  .760 .618 .869  .686 .848",
    ),
    "Table 4, internal, radiologist 3": (
        (41, 13, 35, 6),
        ".800 .705 .875  .759 .624 .865  .854 .708 .944  .872 .743 .952  .729 .582 .847  .601 .812",
    ),
    "Table 4, internal, AI": (
        (44, 10, 37, 4),
        ".853 .765 .917  .815 .686 .907  .902 .769 .973  .917 .800 .977  .787 .643 .893  .705 .863",
    ),
    "Table 4, external, radiologist 1": (
        (35, 11, 26, 10),
        ".744 .636 .834  .761 .612 .874  .722 .548 .858  .778 .629 .888  .703 .530 .841  .482 .769",
    ),
    "Table 4, external, radiologist 2": (
        (39, 7, 28, 8),
        ".817 .716 .894  .848 .711 .937  .778 .608 .899  .830 .692 .924  .800 .631 .916  .627 .839",
    ),
    "Table 4, external, radiologist 3": (
        (38, 8, 29, 7),
        ".817 .716 .894  .826 .686 .922  .806 .640 .918  .844 .705 .935  .784 .618 .902  .630 .835",
    ),
    "Table 4, external, AI": (
        (34, 12, 32, 4),
        ".805 .703 .884  .739 .589 .857  .889 .739 .969  .895 .752 .971  .727 .572 .850  .613 .810",
    ),
}


@pytest.mark.parametrize("table", PRINTED)
def test_every_figure_of_the_papers_tables_2_and_4(table: str) -> None:
    cells, text = PRINTED[table]
    counts = hcc(*cells)
    estimates = (
        cl.accuracy(counts),
        cl.recall_of("HCC", counts),
        cl.recall_of("non-HCC", counts),
        cl.predictive_value_of("HCC", counts),
        cl.predictive_value_of("non-HCC", counts),
    )
    found = [number for e in estimates for number in (e.value, e.low, e.high)]
    found += [cl.cohen_kappa(counts).value, cl.f1_of("HCC", counts).value]
    # half a unit of the last printed digit, and a hair for ties in rounding
    assert found == pytest.approx([float(word) for word in text.split()], abs=0.000501)
    assert estimates[1].n == cells[0] + cells[1]
    assert all(e.method == "Clopper-Pearson" for e in estimates)
    assert all(e.unit == "patients" for e in estimates)


# Table 5 (with AI): cells, and as printed under sensitivity, specificity, precision, NPV, F1: point, low, high.
TABLE_5 = [
    ((44, 10, 38, 3), ".927 .686 .907  .815 .801 .985  .792 .825 .987  .936 .650 .895", 0.854),
    ((46, 8, 38, 3), ".927 .729 .934  .852 .801 .985  .826 .831 .987  .939 .686 .922", 0.874),
    ((48, 6, 35, 6), ".854 .774 .958  .889 .708 .944  .854 .774 .958  .889 .708 .944", 0.854),
    ((38, 8, 27, 9), ".750 .686 .922  .826 .578 .879  .771 .667 .909  .809 .599 .896", 0.761),
    ((42, 4, 30, 6), ".833 .792 .976  .913 .672 .936  .882 .748 .953  .875 .725 .967", 0.857),
    ((41, 5, 32, 4), ".889 .764 .964  .891 .739 .969  .865 .788 .975  .911 .712 .955", 0.877),
]


@pytest.mark.parametrize(("cells", "text", "f1"), TABLE_5)
def test_table_5_prints_the_points_of_the_swapped_class_beside_the_right_intervals(
    cells: tuple[int, int, int, int], text: str, f1: float
) -> None:
    """In the paper's Table 5 the points under sensitivity and precision are those of non-HCC, and the other way round,
    and F1 is non-HCC's, while the intervals are of the class that the row names.
    """
    counts, numbers = hcc(*cells), [float(word) for word in text.split()]
    points, intervals = numbers[0::3], list(zip(numbers[1::3], numbers[2::3], strict=True))
    right = [cl.recall_of("HCC", counts), cl.recall_of("non-HCC", counts)]
    right += [cl.predictive_value_of("HCC", counts), cl.predictive_value_of("non-HCC", counts)]
    swapped = [right[1], right[0], right[3], right[2]]
    assert points == pytest.approx([e.value for e in swapped], abs=0.000501)
    assert [pair for e in right for pair in (e.low, e.high)] == pytest.approx(
        [end for pair in intervals for end in pair], abs=0.000501
    )
    assert f1 == pytest.approx(cl.f1_of("non-HCC", counts).value, abs=0.000501)


def test_the_order_of_the_answers_names_cannot_swap_the_classes() -> None:
    truth = ["HCC"] * 4 + ["non-HCC"] * 6
    answers = ["HCC", "HCC", "HCC", "non-HCC"] + ["non-HCC"] * 5 + ["HCC"]
    one = cl.count_answers(truth, answers, positive="HCC", negative="non-HCC")
    other = cl.count_answers(truth[::-1], answers[::-1], negative="non-HCC", positive="HCC")
    assert one == other
    assert cl.recall_of("HCC", one).value == 3 / 4
    assert cl.recall_of("HCC", one).name == "sensitivity (HCC)"
    turned = cl.count_answers(truth, answers, positive="non-HCC", negative="HCC")
    assert cl.recall_of("HCC", turned).value == 3 / 4  # the class keeps its figure, whatever it is called
    assert cl.recall_of("HCC", turned).name == "specificity (HCC)"
    with pytest.raises(TypeError):
        cl.TwoClassCounts("HCC", "non-HCC", 1, 2, 3, 4)  # type: ignore[misc]
    with pytest.raises(StatisticsError, match="neither"):
        cl.recall_of("hcc", one)


def test_a_missing_answer_is_never_a_negative() -> None:
    counts = cl.count_answers(["HCC", "HCC", "no"], ["HCC", None, "no"], positive="HCC", negative="no")
    assert counts.missing == 1
    assert counts.n == 2
    assert cl.recall_of("HCC", counts).value == 1


def test_refusals_name_the_figure_and_the_class() -> None:
    empty_class = hcc(0, 0, 5, 1)
    with pytest.raises(LiverAIError, match=r"sensitivity \(HCC\) is not estimable"):
        cl.recall_of("HCC", empty_class)
    with pytest.raises(StatisticsError, match='no case of class "HCC"'):
        cl.predictive_value_at("HCC", 0.1, empty_class)
    with pytest.raises(StatisticsError, match="one class"):
        cl.cohen_kappa(hcc(5, 0, 0, 0))
    with pytest.raises(StatisticsError, match="no answer"):
        cl.cohen_kappa(hcc(0, 0, 0, 0))
    with pytest.raises(StatisticsError, match="prevalence"):
        cl.predictive_value_at("HCC", 1.0, hcc(1, 1, 1, 1))
    with pytest.raises(StatisticsError, match='"maybe" is neither'):
        cl.count_answers(["HCC"], ["maybe"], positive="HCC", negative="no")
    table = cl.classification_table(empty_class)
    assert isinstance(table["sensitivity"], str)
    assert isinstance(table["specificity"], Estimate)


@given(st.integers(0, 60), st.integers(1, 60))
def test_intervals_agree_with_scipy(successes: int, more: int) -> None:
    n = successes + more
    for ours, name in ((clopper_pearson, "exact"), (wilson, "wilson")):
        theirs = stats.binomtest(successes, n).proportion_ci(0.9, method=name)
        assert ours(successes, n, 0.9) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_wilson_as_hand_worked_by_newcombe_1998() -> None:
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert proportion(81, 263, name="x", method="Wilson").method == "Wilson"


@given(st.integers(1, 80), st.integers(0, 80), st.integers(1, 80), st.integers(0, 80))
def test_at_the_studys_own_prevalence_predictive_values_are_the_counted_ones(
    tp: int, fn: int, tn: int, fp: int
) -> None:
    counts = hcc(tp, fn, tn, fp)
    own = (tp + fn) / counts.n
    for name in ("HCC", "non-HCC"):
        adjusted = cl.predictive_value_at(name, own, counts)
        assert adjusted.value == pytest.approx(cl.predictive_value_of(name, counts).value)
        assert 0 <= adjusted.low <= adjusted.value <= adjusted.high <= 1


def test_a_rarer_disease_lowers_ppv_and_raises_npv() -> None:
    counts = hcc(171, 47, 141, 26)
    rare, common = (cl.predictive_value_at("HCC", p, counts).value for p in (0.05, 0.5))
    assert rare == pytest.approx(0.05 * 171 / 218 / (0.05 * 171 / 218 + 0.95 * 26 / 167))
    assert rare < common
    rare, common = (cl.predictive_value_at("non-HCC", p, counts).value for p in (0.05, 0.5))
    assert rare > common


def test_kappas_interval_agrees_with_the_jackknife() -> None:
    cells = [171, 47, 141, 26]
    n, full = sum(cells), cl.cohen_kappa(hcc(*cells))
    values = []
    for k in range(4):
        less = cells.copy()
        less[k] -= 1
        values += [cl.cohen_kappa(hcc(*less)).value] * cells[k]
    mean = sum(values) / n
    error = ((n - 1) / n * sum((v - mean) ** 2 for v in values)) ** 0.5
    assert (full.high - full.low) / 2 / 1.959964 == pytest.approx(error, rel=0.01)
