"""Data for other programs and back: nothing is lost, gaps stay gaps, damaged files are named."""

from dataclasses import replace
from pathlib import Path

import pytest

from LiverAILib.errors import OutputError
from LiverAILib.readerstudy.analysis.prepared import Prepared
from LiverAILib.readerstudy.dataset import Amendment, Dataset, DatasetError, LesionMask, Override, Target
from LiverAILib.readerstudy.exchange.folder import write_file, write_folder
from LiverAILib.readerstudy.exchange.imrmc import read_imrmc, write_imrmc
from LiverAILib.readerstudy.exchange.long_csv import read_long
from LiverAILib.readerstudy.exchange.mrmcaov import read_mrmcaov, write_mrmcaov
from LiverAILib.readerstudy.exchange.ratings import Ratings, dataset_of, ratings_of
from LiverAILib.readerstudy.exchange.rjafroc import dataset_of_marks, marks_of, read_rjafroc, write_rjafroc
from LiverAILib.readerstudy.simulated import SimulatedStudy, simulate_study


@pytest.fixture(scope="module")
def data() -> Dataset:
    """A small study with gaps, an override, an amendment, a mask, and questions that were not asked."""
    made = simulate_study(SimulatedStudy(readers=3, cases=24, seed=5, missing=0.1))
    first, *others = made.cases
    lesion = replace(made.cases[1].lesions[0], mask=LesionMask(path=Path("truth/C0002.nrrd"), label=2, layer=1))
    second = replace(made.cases[1], lesions=(lesion, *made.cases[1].lesions[1:]))
    return replace(
        made,
        protocol=replace(
            made.protocol,
            sealed_sha256="ab" * 32,
            sealed_utc="2026-01-02T03:04:05Z",
            amendments=(Amendment(utc="2026-02-01T00:00:00Z", text='a "quoted", long\nreason; ü'),),
            models={"liversegnet": "cd" * 32},
        ),
        cases=(replace(first, lesions=None, hcc=None), second, *others[1:]),
        answers=(replace(made.answers[0], marks=None, p_hcc=None, overlays=("a", "b")), *made.answers[1:]),
        ai=(replace(made.ai[0], type_probabilities=None, marks=None, low_risk=None), *made.ai[1:-1]),
        overrides=(Override(utc="2026-03-01T00:00:00Z", rule="washout", reader="R1", reason="on leave, comma"),),
    )


@pytest.fixture(scope="module")
def whole() -> Dataset:
    return simulate_study(SimulatedStudy(readers=3, cases=24, seed=6))


def test_long_csv_reads_back_equal(data: Dataset, tmp_path: Path) -> None:
    write_folder(tmp_path / "study", data)
    assert read_long(tmp_path / "study") == data
    assert not list(tmp_path.glob(".liverai-*tmp*"))


def test_a_missing_answer_is_a_missing_line(data: Dataset, tmp_path: Path) -> None:
    write_folder(tmp_path / "study", data)
    lines = (tmp_path / "study" / "answers.csv").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + len(data.answers) < 1 + data.expected_answers


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        ("cases.csv", "yes", "perhaps", '"perhaps" is neither yes nor no'),
        ("answers.csv", "R1,", "R9,", "R9"),
        ("answers.csv", "p_hcc", "phcc", "lacks the column p_hcc"),
        ("ai.csv", "hcc,", "hcc,x", "lacks the column"),
        ("protocol.json", '"arms"', '"harms"', "protocol.json is damaged"),
        ("cases.csv", "malignant", "awful", '"awful" is no Verdict'),
    ],
)
def test_damaged_tables_are_named(whole: Dataset, tmp_path: Path, file: str, old: str, new: str, words: str) -> None:
    write_folder(tmp_path / "study", whole)
    path = tmp_path / "study" / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(DatasetError, match=words):
        read_long(tmp_path / "study")


def test_a_missing_table_and_a_strange_folder_are_refused(whole: Dataset, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"protocol\.json is missing"):
        read_long(tmp_path)
    write_folder(tmp_path / "study", whole)
    (tmp_path / "study" / "marks.csv").unlink()
    with pytest.raises(DatasetError, match=r"marks\.csv is missing"):
        read_long(tmp_path / "study")
    with pytest.raises(OutputError, match="is there already"):
        write_folder(tmp_path / "study", whole)


@pytest.mark.parametrize("target", list(Target))
@pytest.mark.parametrize("layout", ["imrmc", "mrmcaov"])
def test_ratings_go_out_and_come_back(data: Dataset, tmp_path: Path, target: Target, layout: str) -> None:
    given = ratings_of(data, target)
    path = tmp_path / f"data.{layout}"
    if layout == "imrmc":
        write_imrmc(path, given, title="a study")
        back = read_imrmc(path)
        assert back.truth == given.truth
    else:
        write_mrmcaov(path, given)
        back = read_mrmcaov(path)
        assert back.truth.items() <= given.truth.items()
    assert back.ratings == given.ratings
    again = dataset_of(back, target, study="back", assisted=["assisted"])
    assert set(ratings_of(again, target).ratings) == set(back.ratings)
    one = Prepared(data).merits("AUC", target)
    other = Prepared(again).merits("AUC", target)
    assert other.values == pytest.approx(one.values)
    assert other.covariance == pytest.approx(one.covariance)


def test_imrmc_has_the_header_that_the_program_looks_for(whole: Dataset, tmp_path: Path) -> None:
    given = ratings_of(whole, Target.MALIGNANT)
    write_imrmc(tmp_path / "x.imrmc", given, title="t")
    lines = (tmp_path / "x.imrmc").read_text().splitlines()
    positive = sum(given.truth.values())
    for wanted in (f"N0: {24 - positive}", f"N1: {positive}", "NR: 3", "NM: 2", "BEGIN DATA:"):
        assert wanted in lines
    body = lines[lines.index("BEGIN DATA:") + 1 :]
    assert body[0].split(",")[0] == "-1"
    assert len(body) == 24 + 3 * 2 * 24
    assert all(line.split(",")[1].isdigit() for line in body)


def test_files_of_imrmc_itself_are_read(tmp_path: Path) -> None:
    text = "demo\nN0: 1\nN1: 1\nNR: 1\nNM: 1\n\nBEGIN DATA:\n-1,1,0,0\n-1,2,0,1\n1,1,1,2.5\n1,2,1,4\n"
    (tmp_path / "a.imrmc").write_text(text)
    found = read_imrmc(tmp_path / "a.imrmc")
    assert found.truth == {"1": False, "2": True}
    made = dataset_of(found, Target.HCC, study="a")
    assert [answer.p_hcc for answer in made.answers] == [0, 1]  # stretched from 2.5 to 4
    (tmp_path / "b.imrmc").write_text(text.replace("1,2,1,4", "1,2,1"))
    with pytest.raises(DatasetError, match=r"b\.imrmc, line 11"):
        read_imrmc(tmp_path / "b.imrmc")
    (tmp_path / "c.imrmc").write_text(text.replace("-1,2,0,1\n", ""))
    with pytest.raises(DatasetError, match='truth of case "2"'):
        dataset_of(read_imrmc(tmp_path / "c.imrmc"), Target.HCC, study="c")
    (tmp_path / "d.imrmc").write_text("nothing")
    with pytest.raises(DatasetError, match="BEGIN DATA"):
        read_imrmc(tmp_path / "d.imrmc")


def test_damaged_mrmcaov_tables_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("reader,treatment,case,truth,rating\nA,with,1,1,0.5\nA,with,1,0,0.5\n")
    with pytest.raises(DatasetError, match='line 3: case "1" has another truth'):
        read_mrmcaov(path)
    path.write_text("reader,treatment,case,truth,rating\nA,with,1,1,high\n")
    with pytest.raises(DatasetError, match='line 2: "high" is no number'):
        read_mrmcaov(path)
    path.write_text("reader,case\n")
    with pytest.raises(DatasetError, match="lacks the column"):
        read_mrmcaov(path)


def test_marks_go_to_rjafroc_and_come_back(whole: Dataset, tmp_path: Path) -> None:
    marks = marks_of(whole)
    write_rjafroc(tmp_path / "a.xlsx", marks)
    back = read_rjafroc(tmp_path / "a.xlsx")
    assert {arm: set(cells) for arm, cells in back.items()} == {arm: set(cells) for arm, cells in marks.items()}
    for arm, cells in marks.items():
        for reader, cell in cells.items():
            for case, scored in cell.items():
                found = back[arm][reader][case]
                assert found.lesion_ratings == scored.lesion_ratings
                assert sorted(found.false_ratings) == sorted(scored.false_ratings)
    again = dataset_of_marks(back, study="back", assisted=["assisted"])
    one = Prepared(whole).merits("wAFROC", Target.MALIGNANT)
    other = Prepared(again).merits("wAFROC", Target.MALIGNANT)
    assert other.values == pytest.approx(one.values)
    assert other.covariance == pytest.approx(one.covariance)


def test_rjafrocs_layout_refuses_gaps_and_strange_files(whole: Dataset, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="did not read all cases"):
        write_rjafroc(tmp_path / "a.xlsx", marks_of(replace(whole, answers=whole.answers[1:])))
    (tmp_path / "b.xlsx").write_bytes(b"no workbook")
    with pytest.raises(DatasetError, match="not an Excel workbook"):
        read_rjafroc(tmp_path / "b.xlsx")


def test_a_file_is_complete_or_not_there(tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        path.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="No space left"):
        write_file(tmp_path / "out.csv", fail)
    assert list(tmp_path.iterdir()) == []
    write_file(tmp_path / "out.csv", lambda path: path.write_text("all") and None)
    with pytest.raises(OutputError, match="there already"):
        write_file(tmp_path / "out.csv", lambda path: path.write_text("again") and None)
    assert (tmp_path / "out.csv").read_text() == "all"


def test_no_ratings_and_unknown_arms_are_refused(whole: Dataset) -> None:
    silent = replace(whole, answers=tuple(replace(answer, p_hcc=None) for answer in whole.answers))
    with pytest.raises(DatasetError, match="no ratings of HCC"):
        ratings_of(silent, Target.HCC)
    given: Ratings = ratings_of(whole, Target.HCC)
    with pytest.raises(DatasetError, match='"other" is none of the arms'):
        dataset_of(given, Target.HCC, study="x", assisted=["other"])
