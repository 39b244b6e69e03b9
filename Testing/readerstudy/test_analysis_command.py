"""`liverai study analyze`, `power`, `simulate`, `export`, `import` as a coordinator runs them."""

from pathlib import Path

import pytest

from LiverAILib.cli import main
from LiverAILib.readerstudy.dataset import Dataset, DatasetError, ProtocolFacts
from LiverAILib.readerstudy.exchange.long_csv import read_long
from LiverAILib.readerstudy.statistics.power import MRMC_FORMULA, PAIRED_FORMULA


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated study of 3 readers and 40 patients as a folder."""
    folder = tmp_path_factory.mktemp("simulated") / "study"
    size = ["--readers", "3", "--positive", "20", "--negative", "20", "--seed", "2"]
    assert main(["study", "simulate", "--write", str(folder), *size]) == 0
    return folder


def test_analyze_writes_the_report_of_a_folder(study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "report"
    assert main(["study", "analyze", str(study), "-o", str(out), "--replicates", "100", "--prevalence", "0.03"]) == 0
    said = capsys.readouterr()
    assert "not sealed: no endpoint of this report is primary" in said.out
    assert said.err == ""
    assert (out / "report.pdf").stat().st_size > 10_000
    assert "at 3% HCC" in (out / "report.html").read_text(encoding="utf-8")
    assert main(["study", "analyze", str(study), "-o", str(out)]) == 6
    assert "there already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--level", "95"], "confidence level"),
        (["--replicates", "5"], "too few"),
    ],
)
def test_impossible_options_are_refused_before_anything_is_written(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], words: str
) -> None:
    assert main(["study", "analyze", str(study), "-o", str(tmp_path / "out"), *options]) == 3
    assert words in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_no_study_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert main(["study", "analyze", str(tmp_path / "empty"), "-o", str(tmp_path / "out")]) == 3
    assert "not an exported study" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"empty"}


def test_power_prints_the_formula(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "power", str(study), "--effect", "0.1", "--readers", "8", "--cases", "150"]) == 0
    said = capsys.readouterr().out
    assert "8 readers and 150 patients" in said
    assert MRMC_FORMULA in said
    assert main(["study", "power", "--discordant", "0.2", "--margin", "0.1"]) == 0
    said = capsys.readouterr().out
    assert PAIRED_FORMULA in said
    assert "157 patients" in said  # (1.95996 + 0.84162)^2 * 0.2 / 0.01
    assert main(["study", "power"]) == 3
    assert "pilot" in capsys.readouterr().err


def test_simulate_gives_power_and_type_one_error_on_the_studys_own_layout(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["study", "simulate", str(study), "--replicates", "20", "--target", "HCC"]) == 0
    said = capsys.readouterr().out
    truth = [case.hcc for case in read_long(study).cases]
    assert f"3 readers, {sum(truth)} HCC and {40 - sum(truth)} not HCC; 20 studies" in said
    for words in ("Type I error", "Power", "Roe-Metz", "Obuchowski-Rockette-Hillis, AUC", "not used"):
        assert words in said
    assert main(["study", "simulate", "--auc", "0.97", "--effect", "0.05", "--replicates", "5"]) == 3
    assert "can't be simulated" in capsys.readouterr().err


@pytest.mark.parametrize(("layout", "name"), [("imrmc", "a.imrmc"), ("mrmcaov", "a.csv"), ("rjafroc", "a.xlsx")])
def test_export_and_import_and_analyze_again(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], layout: str, name: str
) -> None:
    file, folder = tmp_path / name, tmp_path / "back"
    assert main(["study", "export", str(study), "--layout", layout, "-o", str(file)]) == 0
    assert "AI alone is not in it" in capsys.readouterr().out
    arms = ["--assisted", "assisted"]
    assert main(["study", "import", str(file), "--layout", layout, "-o", str(folder), *arms]) == 0
    back = read_long(folder)
    assert len(back.answers) == len(read_long(study).answers)
    assert [(arm.name, arm.assisted) for arm in back.protocol.arms] == [("unassisted", False), ("assisted", True)]
    assert main(["study", "export", str(study), "--layout", layout, "-o", str(file)]) == 6


def test_the_long_layout_is_the_whole_study(study: Path, tmp_path: Path) -> None:
    assert main(["study", "export", str(study), "--layout", "long", "-o", str(tmp_path / "again")]) == 0
    assert read_long(tmp_path / "again") == read_long(study)


def test_a_study_that_contradicts_itself_is_refused(study: Path) -> None:
    data = read_long(study)
    facts: ProtocolFacts = data.protocol
    with pytest.raises(DatasetError, match="two answers"):
        Dataset(protocol=facts, cases=data.cases, readers=data.readers, answers=(*data.answers, data.answers[0]))
    with pytest.raises(DatasetError, match="does not have"):
        Dataset(protocol=facts, cases=data.cases[1:], readers=data.readers, answers=data.answers)
    with pytest.raises(DatasetError, match='case "C0001" is there twice'):
        Dataset(protocol=facts, cases=(*data.cases, data.cases[0]), readers=data.readers, answers=data.answers)
