"""The report: every figure with n, unit and method, refusals in words, and never a primary endpoint without a seal."""

import csv
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from LiverAILib.errors import OutputError
from LiverAILib.lesion_types import LesionType
from LiverAILib.readerstudy.analysis.html import report_html
from LiverAILib.readerstudy.analysis.pdf import HEIGHT, pages_of
from LiverAILib.readerstudy.analysis.prepared import Settings
from LiverAILib.readerstudy.analysis.report import make_report
from LiverAILib.readerstudy.analysis.tables import Cell, Content, Plain, Refusal, Report, Table
from LiverAILib.readerstudy.analysis.write import draw_png, write_report
from LiverAILib.readerstudy.dataset import Amendment, Dataset, Override, Verdict
from LiverAILib.readerstudy.simulated import SimulatedStudy, simulate_study
from LiverAILib.readerstudy.statistics.estimate import Estimate, TestResult

QUICK = Settings(replicates=200)


@pytest.fixture(scope="module")
def data() -> Dataset:
    return simulate_study(SimulatedStudy(readers=4, cases=60, seed=3))


@pytest.fixture(scope="module")
def report(data: Dataset) -> Report:
    return make_report(data, QUICK)


def sealed(data: Dataset) -> Dataset:
    return replace(data, protocol=replace(data.protocol, sealed_sha256="ab" * 32, sealed_utc="2026-01-01T00:00:00Z"))


def tables(report: Report) -> dict[str, Table]:
    return {table.key: table for section in report.sections for table in section.tables}


def cell(report: Report, key: str, row: str, column: str) -> Content:
    found = [c.content for c in tables(report)[key].cells if (c.row, c.column) == (row, column)]
    assert len(found) == 1, f"{key}, {row}, {column}: {len(found)} cells"
    return found[0]


def all_cells(report: Report) -> list[Cell]:
    return [found for table in tables(report).values() for found in table.cells]


def all_words(report: Report) -> str:
    words = [report.title, report.subtitle, *report.remarks]
    for section in report.sections:
        words += [section.title, *section.text, *(word for fact in section.facts for word in fact)]
        for table in section.tables:
            words += [table.title, *table.notes]
    return "\n".join(words)


def test_every_number_has_its_n_its_unit_and_its_method(report: Report) -> None:
    cells = all_cells(report)
    assert len(cells) > 800
    for found in cells:
        content = found.content
        if isinstance(content, Refusal):
            assert len(content.text) > 20
            continue
        assert content.n >= 0
        assert content.unit
        assert content.method
        if isinstance(content, Estimate):
            assert math.isfinite(content.value)
            assert content.low <= content.value + 1e-12
            assert content.value <= content.high + 1e-12


def test_keys_and_places_are_unique(report: Report) -> None:
    keys = [table.key for section in report.sections for table in section.tables]
    assert len(set(keys)) == len(keys)
    for table in tables(report).values():
        places = [(found.row, found.column) for found in table.cells]
        assert len(set(places)) == len(places), table.key


def test_all_eight_parts_are_there(report: Report) -> None:
    wanted = {
        *("counts_hcc", "readers_hcc", "readers_malignant", "prevalence_hcc"),  # 1
        *("auc_hcc", "auc_paired_malignant"),  # 2
        *("endpoint", "arm_means", "arms_all_figures", "arms_other_samplings", "components"),  # 3
        *("ai_against_readers", "ai_paired_hcc", "arms_paired_malignant"),  # 4
        *("lesions", "lesions_overlap"),  # 5
        *("agreement_hcc", "agreement_types", "types", "types_change", "types_auc", "confusion_ai"),  # 6
        *("triage", "followed_hcc", "active_time_ratio", "wall_time_ratio", "holm"),  # 7
        *("power_hcc", "power_malignant", "power_paired"),  # 8
    }
    assert wanted <= set(tables(report))
    pictures = {picture.key for section in report.sections for picture in section.pictures}
    assert {"roc_points_hcc", "roc_curves_malignant", "froc", "afroc", "wafroc", "arms_differences"} <= pictures


def test_figures_are_those_of_the_answers_counted_by_hand(data: Dataset, report: Report) -> None:
    truth = {case.id: case.hcc for case in data.cases}
    given = {a.case: a.hcc for a in data.answers if (a.reader, a.arm) == ("R2", "assisted")}
    hits = sum(given[case] and known for case, known in truth.items())
    sick = sum(truth.values())
    found = cell(report, "readers_hcc", "R2, assisted", "sensitivity (HCC)")
    assert isinstance(found, Estimate)
    assert found.value == hits / sick
    assert (found.n, found.unit) == (sick, "patients")
    right = sum(given[case] == known for case, known in truth.items())
    accuracy = cell(report, "readers_hcc", "R2, assisted", "accuracy")
    assert isinstance(accuracy, Estimate)
    assert accuracy.value == right / 60


def test_classes_are_named_in_every_column_that_depends_on_one(report: Report) -> None:
    for table in tables(report).values():
        for column in table.columns:
            if re.search(r"sensitivity|specificity|predictive|F1|NPV|PPV", column):
                assert re.search(r"\((not )?(HCC|malignant)", column), f"{table.key}: {column}"
    for row in tables(report)["arms_all_figures"].rows:
        assert re.search(r"\((not )?(HCC|malignant)|\(lesions\)", row)


def test_an_unsealed_endpoint_is_never_called_primary(data: Dataset, report: Report) -> None:
    words = all_words(report)
    allowed = ("no endpoint of this report is primary", "(not primary)", "is not primary", "other than a primary one")
    for phrase in allowed:
        words = words.replace(phrase, "")
    assert "primary" not in words.lower()
    assert tables(report)["endpoint"].title == "Endpoint of the unsealed protocol"


def test_a_sealed_endpoint_is_primary_and_outside_holms_family(data: Dataset, report: Report) -> None:
    found = make_report(sealed(data), QUICK)
    assert tables(found)["endpoint"].title == "Primary endpoint"
    assert "ab" * 32 in all_words(found)
    assert "AUC (malignant)" not in tables(found)["holm"].rows
    assert "AUC (malignant)" in tables(report)["holm"].rows
    changed = (Amendment(utc="2026-02-02", text="another margin", endpoint=True),)
    amended = make_report(replace(data, protocol=replace(sealed(data).protocol, amendments=changed)), QUICK)
    assert tables(amended)["endpoint"].title == "Endpoint that was amended after sealing"
    assert any("it is not primary" in remark for remark in amended.remarks)
    without = replace(data, protocol=replace(sealed(data).protocol, endpoint=None))
    none = make_report(without, QUICK)
    assert any("states no primary endpoint" in remark for remark in none.remarks)
    assert "endpoint" not in tables(none)


def test_amendments_and_overrides_are_in_the_report(data: Dataset) -> None:
    changed = replace(
        sealed(data),
        protocol=replace(sealed(data).protocol, amendments=(Amendment(utc="2026-02-02", text="two readers more"),)),
        overrides=(Override(utc="2026-03-03", rule="washout", reader="R1", case="C0004", reason="left the hospital"),),
    )
    found = make_report(changed, QUICK)
    words = all_words(found)
    assert "two readers more" in words
    assert "left the hospital" in words
    assert any("amended 1 times" in remark for remark in found.remarks)
    assert any("1 rules were overridden" in remark for remark in found.remarks)


def test_missing_answers_are_counted_and_never_negative(data: Dataset) -> None:
    positives = {case.id for case in data.cases if case.hcc}
    gone = sorted(positives)[:5]
    kept = tuple(a for a in data.answers if not (a.reader == "R1" and a.arm == "assisted" and a.case in gone))
    found = make_report(replace(data, answers=kept), QUICK)
    assert any("5 of 480 answers are missing" in remark for remark in found.remarks)
    missing = cell(found, "counts_hcc", "R1, assisted", "without an answer")
    assert isinstance(missing, Plain)
    assert missing.value == 5
    sensitivity = cell(found, "readers_hcc", "R1, assisted", "sensitivity (HCC)")
    assert isinstance(sensitivity, Estimate)
    assert sensitivity.n == len(positives) - 5
    compared = cell(found, "arms_all_figures", "AUC (HCC)", "assisted minus unassisted")
    assert isinstance(compared, Estimate)
    assert "shared cases" in compared.method
    agreement = cell(found, "agreement_hcc", "assisted", "Fleiss' kappa")
    assert isinstance(agreement, Refusal)
    assert isinstance(cell(found, "agreement_hcc", "assisted", "Krippendorff's alpha"), Estimate)


def test_two_readers_get_no_random_reader_inference_but_the_narrower_one(data: Dataset) -> None:
    two = replace(
        data,
        readers=data.readers[:2],
        answers=tuple(answer for answer in data.answers if answer.reader in ("R1", "R2")),
    )
    found = make_report(two, QUICK)
    refused = cell(found, "endpoint", "AUC (malignant)", "assisted minus unassisted")
    assert isinstance(refused, Refusal)
    assert "fewer than 3" in refused.text
    narrower = cell(found, "arms_other_samplings", "AUC (malignant)", "fixed readers, random cases")
    assert isinstance(narrower, Estimate)


def test_a_class_without_cases_is_refused_by_name_and_the_rest_goes_on(data: Dataset) -> None:
    cases = tuple(replace(case, verdict=Verdict.MALIGNANT) for case in data.cases)
    found = make_report(replace(data, cases=cases), QUICK)
    refused = cell(found, "readers_malignant", "R1, assisted", "specificity (not malignant)")
    assert isinstance(refused, Refusal)
    assert "specificity (not malignant) is not estimable" in refused.text
    auc = cell(found, "auc_malignant", "R1, assisted", "AUC (malignant)")
    assert isinstance(auc, Refusal)
    assert "not malignant" in auc.text
    assert isinstance(cell(found, "auc_hcc", "R1, assisted", "AUC (HCC)"), Estimate)


@pytest.mark.parametrize("kept", ["no answers", "one arm", "no truth", "no AI", "one question", "one case"])
def test_thin_studies_give_a_report_and_no_error(data: Dataset, kept: str) -> None:
    thin = {
        "no answers": lambda: replace(data, answers=()),
        "one arm": lambda: replace(
            data,
            protocol=replace(data.protocol, arms=data.protocol.arms[:1], endpoint=None),
            answers=tuple(a for a in data.answers if a.arm == "unassisted"),
        ),
        "no truth": lambda: replace(
            data, cases=tuple(replace(c, hcc=None, verdict=None, type=None, lesions=None) for c in data.cases)
        ),
        "no AI": lambda: replace(data, ai=()),
        "one question": lambda: replace(
            data,
            answers=tuple(replace(a, hcc=None, p_hcc=None, type=None, marks=None) for a in data.answers),
        ),
        "one case": lambda: replace(
            data,
            cases=data.cases[:1],
            answers=tuple(a for a in data.answers if a.case == data.cases[0].id),
            ai=data.ai[:1],
        ),
    }[kept]()
    found = make_report(thin, QUICK)
    assert len(found.sections) == 12
    assert report_html(found, {p.key: b"" for s in found.sections for p in s.pictures})
    pictures = [picture for section in found.sections for picture in section.pictures]
    for picture in pictures:
        picture.draw(Figure(figsize=picture.inches))
    if kept == "one case":
        assert all(draw_png(picture).startswith(b"\x89PNG") for picture in pictures)
    assert list(pages_of(found))


def test_swapping_the_arms_turns_every_sign(data: Dataset, report: Report) -> None:
    endpoint = data.protocol.endpoint
    assert endpoint is not None
    turned = replace(endpoint, first=endpoint.second, second=endpoint.first)
    found = make_report(replace(data, protocol=replace(data.protocol, endpoint=turned)), QUICK)
    for row in tables(report)["arms_all_figures"].rows:
        one = cell(report, "arms_all_figures", row, "assisted minus unassisted")
        other = cell(found, "arms_all_figures", row, "unassisted minus assisted")
        if isinstance(one, Refusal):
            assert isinstance(other, Refusal)
            continue
        assert isinstance(one, Estimate)
        assert isinstance(other, Estimate)
        assert (other.value, other.low, other.high) == pytest.approx((-one.value, -one.high, -one.low))


def test_order_of_readers_cases_and_answers_changes_nothing(data: Dataset, report: Report) -> None:
    shuffled = replace(
        data, cases=data.cases[::-1], readers=data.readers[::-1], answers=data.answers[::-1], ai=data.ai[::-1]
    )
    found = make_report(shuffled, QUICK)
    drawn = ("lesions", "lesions_overlap", "types_auc")  # their bootstrap draws patients by their place
    for key, table in tables(report).items():
        if key in drawn:
            continue
        other = {(c.row, c.column): c.content for c in tables(found)[key].cells}
        for each in table.cells:
            again = other[each.row, each.column]
            assert type(again) is type(each.content)
            if isinstance(each.content, Estimate):
                assert isinstance(again, Estimate)
                numbers = (each.content.value, each.content.low, each.content.high)
                assert (again.value, again.low, again.high) == pytest.approx(numbers, abs=1e-9), (key, each.row)
            elif isinstance(each.content, TestResult):
                assert isinstance(again, TestResult)
                assert again.p_value == pytest.approx(each.content.p_value, abs=1e-9)


def test_perfect_readers_have_intervals_with_a_width_and_refused_tests(data: Dataset) -> None:
    cases = {case.id: case for case in data.cases}
    answers = tuple(
        replace(
            a,
            hcc=cases[a.case].hcc,
            verdict=cases[a.case].verdict,
            type=cases[a.case].type,
            p_hcc=float(cases[a.case].hcc or False),
            p_malignant=float(cases[a.case].verdict is Verdict.MALIGNANT),
        )
        for a in data.answers
    )
    found = make_report(replace(data, answers=answers), QUICK)
    area = cell(found, "arm_means", "AUC (HCC)", "mean, assisted")
    assert isinstance(area, Estimate)
    assert (area.value, area.high) == (1, 1)
    assert area.low < 1
    test = cell(found, "arms_all_figures", "AUC (HCC)", "test of no difference")
    assert isinstance(test, Refusal)
    assert "no test" in test.text
    recall = cell(found, "types", f"{LesionType.CYST.full_name}: all readers, assisted", "recall")
    assert isinstance(recall, Estimate)
    assert recall.low < recall.value == 1


def test_split_plot_studies_are_analysed_on_each_readers_own_cases(data: Dataset) -> None:
    half = {case.id for case in data.cases[:30]}
    kept = tuple(a for a in data.answers if (a.case in half) == (a.reader in ("R1", "R2")))
    found = make_report(replace(data, protocol=replace(data.protocol, design="split-plot"), answers=kept), QUICK)
    compared = cell(found, "endpoint", "AUC (malignant)", "assisted minus unassisted")
    assert isinstance(compared, Estimate)
    assert "each reader's own cases" in compared.method
    assert not any("missing" in remark for remark in found.remarks)


def test_the_folder_holds_html_pdf_and_a_csv_of_every_table(report: Report, tmp_path: Path) -> None:
    out, roc = tmp_path / "report", report.sections[2:4]
    report = replace(report, sections=roc)
    write_report(report, out)
    names = {path.name for path in out.iterdir()}
    assert names == {"report.html", "report.pdf", *(f"{key}.csv" for key in tables(report))}
    html = (out / "report.html").read_text(encoding="utf-8")
    assert "<script" not in html
    assert not re.search(r'(src|href)="(?!data:|#)', html)
    assert "http" not in re.sub(r"base64,[^\"]*", "", html)
    assert html.count("<img") == sum(len(section.pictures) for section in report.sections)
    assert (out / "report.pdf").read_bytes().startswith(b"%PDF")
    with (out / "readers_hcc.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(tables(report)["readers_hcc"].cells)
    assert all(row["refused"] or (row["n"] and row["unit"] and row["method"]) for row in rows)
    with pytest.raises(OutputError, match="is there already"):
        write_report(report, out)
    write_report(replace(report, sections=roc[:1]), out, overwrite=True)
    assert not (out / "auc_hcc.csv").exists()
    (out / "mine.txt").write_text("not a report's")
    with pytest.raises(OutputError, match="is not overwritten"):
        write_report(report, out, overwrite=True)
    assert {path.name for path in tmp_path.iterdir()} == {"report"}


def test_names_with_markup_stay_text(data: Dataset) -> None:
    odd = replace(data, protocol=replace(data.protocol, study='<script>alert("x")</script> & more'))
    made = make_report(odd, QUICK)
    html = report_html(made, {picture.key: b"" for section in made.sections for picture in section.pictures})
    assert "<script" not in html
    assert "&lt;script&gt;" in html


def test_pages_of_the_pdf_hold_everything_and_no_line_is_too_long(report: Report) -> None:
    pages = list(pages_of(report))
    assert all(len(page) <= HEIGHT for page in pages)
    assert all(len(line) <= 170 for page in pages for line in page)
    text = "\n".join(line for page in pages for line in page)
    for section in report.sections:
        assert section.title.upper() in text


def test_pooled_shares_say_that_they_are_too_narrow(report: Report) -> None:
    pooled = cell(report, "types_accuracy", "all readers, assisted", "accuracy, all types")
    alone = cell(report, "types_accuracy", "AI alone", "accuracy, all types")
    assert isinstance(pooled, Estimate)
    assert isinstance(alone, Estimate)
    assert "too narrow" in pooled.method
    assert "too narrow" not in alone.method


def test_wilson_intervals_may_be_chosen(data: Dataset, report: Report) -> None:
    place = ("readers_hcc", "R1, assisted", "accuracy")
    exact, wilson = cell(report, *place), cell(make_report(data, replace(QUICK, interval="Wilson")), *place)
    assert isinstance(exact, Estimate)
    assert isinstance(wilson, Estimate)
    assert (exact.method, wilson.method) == ("Clopper-Pearson", "Wilson")
    assert exact.low < wilson.low < wilson.value == exact.value
