"""Agreement and several classes: published examples and hand-worked tables."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from LiverAILib.readerstudy.statistics.agreement import (
    fleiss_from_counts,
    fleiss_kappa,
    fleiss_of_three_raters_from_totals,
    krippendorff_alpha,
    unanimous_share,
)
from LiverAILib.readerstudy.statistics.estimate import StatisticsError
from LiverAILib.readerstudy.statistics.multiclass import (
    confusion_matrix,
    macro_auc,
    one_vs_rest_aucs,
    stuart_maxwell,
    worst_lesion,
)

# Fleiss 1971: 14 raters put 10 subjects into 5 categories, the textbook's worked example (kappa 0.210).
TEXTBOOK = np.array(
    [
        [0, 0, 0, 0, 14],
        [0, 2, 6, 4, 2],
        [0, 0, 3, 5, 6],
        [0, 3, 9, 2, 0],
        [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0],
        [3, 2, 6, 3, 0],
        [2, 5, 3, 2, 2],
        [6, 5, 2, 1, 0],
        [0, 2, 2, 3, 7],
    ],
    dtype=float,
)

# Krippendorff's example: four observers, twelve units, values 1-5, gaps.
OBSERVERS = [
    "1 2 3 3 2 1 4 1 2 . . .",
    "1 2 3 3 2 2 4 1 2 5 . 3",
    ". 3 3 3 2 3 4 2 2 5 1 .",
    "1 2 3 3 2 4 4 1 2 5 1 .",
]
UNITS = [[None if v == "." else v for v in case] for case in zip(*(line.split() for line in OBSERVERS), strict=True)]


def test_fleiss_textbook_example() -> None:
    found = fleiss_from_counts(TEXTBOOK)
    assert found.kappa.value == pytest.approx(0.210, abs=5e-4)
    assert found.kappa.low < found.kappa.value < found.kappa.high
    assert found.test.p_value < 0.001


@pytest.mark.parametrize(
    # the three radiologists' answers "HCC" are 3 TP + 3 FP from the paper's Table 4
    ("unanimous", "n", "answered_hcc", "printed"),
    [(78, 95, 39 + 42 + 41 + 3 + 3 + 6, 0.761), (51, 82, 35 + 39 + 38 + 10 + 8 + 7, 0.489)],
)
def test_fleiss_kappa_of_the_hccnet_paper_from_its_unanimous_cases(
    unanimous: int, n: int, answered_hcc: int, printed: float
) -> None:
    assert fleiss_of_three_raters_from_totals(
        unanimous=unanimous, n=n, answers_of_one_class=answered_hcc
    ) == pytest.approx(printed, abs=5e-4)
    # the same from answers that have these totals: k of the split cases with two of three for HCC
    split = n - unanimous
    two = next(k for k in range(split + 1) if (answered_hcc - split - k) % 3 == 0)
    all_hcc = (answered_hcc - split - two) // 3
    counts = [[3, 0]] * all_hcc + [[0, 3]] * (unanimous - all_hcc) + [[2, 1]] * two + [[1, 2]] * (split - two)
    found = fleiss_from_counts(np.array(counts, dtype=float))
    assert found.kappa.value == pytest.approx(printed, abs=5e-4)
    assert found.test.p_value < 0.001
    answers = [["HCC"] * int(row[0]) + ["no"] * int(row[1]) for row in counts]
    share = unanimous_share(answers)
    assert share.value == unanimous / n
    assert f"{share.value:.1%}" in ("82.1%", "62.2%")
    assert fleiss_kappa(answers, categories=["no", "HCC"]).kappa.value == pytest.approx(found.kappa.value)


@pytest.mark.parametrize(("scale", "published"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_krippendorffs_published_example(scale: str, published: float) -> None:
    found = krippendorff_alpha(UNITS, categories=list("12345"), scale=scale)
    assert found.value == pytest.approx(published, abs=6e-4)
    assert found.n == 11  # one unit has a single value
    assert found.low < found.value < found.high <= 1


@given(st.lists(st.lists(st.sampled_from("abc"), min_size=3, max_size=3), min_size=4, max_size=12), st.randoms())
def test_order_of_cases_raters_and_categories_changes_nothing(answers: list[list[str]], rng: object) -> None:
    if len({a for case in answers for a in case}) < 2:
        with pytest.raises(StatisticsError, match="one category"):
            fleiss_kappa(answers, categories=["a", "b", "c"])
        return
    shuffled = [case[::-1] for case in answers[::-1]]
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    for statistic in (
        lambda a, c: fleiss_kappa(a, categories=c).kappa,
        lambda a, c: krippendorff_alpha(a, categories=c),
    ):
        one, other = statistic(answers, ["a", "b", "c"]), statistic(shuffled, ["c", "a", "b"])
        assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high))
    assert fleiss_kappa(answers, categories=["a", "b", "c"]).kappa.value <= 1


def test_agreement_is_refused_in_words() -> None:
    with pytest.raises(StatisticsError, match="every rater's answer"):
        fleiss_kappa([["a", None], ["a", "b"], ["b", "b"]], categories=["a", "b"])
    with pytest.raises(StatisticsError, match="needs three cases"):
        fleiss_kappa([["a", "b"]], categories=["a", "b"])
    with pytest.raises(StatisticsError, match='Case 2: "c" is none'):
        fleiss_kappa([["a", "b"], ["c", "b"], ["a", "b"]], categories=["a", "b"])
    with pytest.raises(StatisticsError, match="missing"):
        unanimous_share([["a", None]])
    with pytest.raises(StatisticsError, match="needs three"):
        krippendorff_alpha([["a", None], ["a", "b"]], categories=["a", "b"])


def test_confusion_matrix_by_name() -> None:
    found = confusion_matrix(
        ["HCC", "HCC", "cyst", "FNH", "FNH"], ["HCC", "FNH", "cyst", None, "FNH"], classes=["cyst", "FNH", "HCC"]
    )
    assert (found.n, found.missing) == (4, 1)
    assert found.count(true="HCC", answered="FNH") == 1
    assert found.recall("HCC").value == 1 / 2
    assert found.precision("FNH").value == 1 / 2
    assert found.accuracy().value == 3 / 4
    with pytest.raises(StatisticsError, match="none of"):
        found.recall("ICC")
    with pytest.raises(StatisticsError, match="none of"):
        confusion_matrix(["HCC"], ["lymphoma"], classes=["HCC"])


def test_macro_auc_is_the_mean_over_classes() -> None:
    rng = np.random.default_rng(0)
    truth = ["a"] * 15 + ["b"] * 10 + ["c"] * 8
    scores = {name: np.round(rng.normal(size=33) + [t == name for t in truth], 1) for name in "abc"}
    each = one_vs_rest_aucs(truth, scores)
    found = macro_auc(truth, scores, replicates=500)
    assert found.value == pytest.approx(np.mean([e.value for e in each.values()]))
    assert found.low < found.value < found.high
    with pytest.raises(StatisticsError, match='no case of class "d"'):
        one_vs_rest_aucs(truth, {"d": np.arange(33.0)})


def test_stuart_maxwell_by_hand() -> None:
    # rows first, columns second: a 20 10 5 / b 3 30 15 / c 0 5 40; d = (12, 3), S = [[18, -13], [-13, 33]]
    first = ["a"] * 35 + ["b"] * 48 + ["c"] * 45
    second = ["a"] * 20 + ["b"] * 10 + ["c"] * 5 + ["a"] * 3 + ["b"] * 30 + ["c"] * 15 + ["b"] * 5 + ["c"] * 40
    found = stuart_maxwell(first, second, classes=["a", "b", "c", "d"])
    d, s = np.array([12.0, 3.0]), np.array([[18.0, -13.0], [-13.0, 33.0]])
    assert found.statistic == pytest.approx(d @ np.linalg.solve(s, d))
    assert found.degrees_of_freedom == (2,)
    assert stuart_maxwell(second, first, classes=["c", "b", "a"]).statistic == pytest.approx(found.statistic)
    two = stuart_maxwell(["a"] * 10 + ["b"] * 4, ["b"] * 10 + ["a"] * 4, classes=["a", "b"])
    assert two.statistic == pytest.approx((10 - 4) ** 2 / 14)  # McNemar
    with pytest.raises(StatisticsError, match="never disagree"):
        stuart_maxwell(["a", "b"], ["a", "b"], classes=["a", "b"])


def test_the_worst_lesion_names_the_patient() -> None:
    order = ["HCC", "ICC", "metastasis", "cyst"]
    assert worst_lesion(["cyst", "ICC"], worst_first=order, without="no lesion") == "ICC"
    assert worst_lesion([], worst_first=order, without="no lesion") == "no lesion"
    with pytest.raises(StatisticsError, match="no place"):
        worst_lesion(["bruise"], worst_first=order, without="no lesion")
