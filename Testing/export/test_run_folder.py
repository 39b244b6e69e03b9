"""The run folder: complete or not there, and read with suspicion."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from liverai_fakes import ToySegmenter, everything_in, toy_lesions, toy_study

from LiverAILib.analysis.pipeline import Analysis, analyze
from LiverAILib.errors import OutputError, RunFolderError
from LiverAILib.export.place import Place, reserve
from LiverAILib.export.run_folder import read_run, reserve_run, write_run
from LiverAILib.study import Study

FILES = ["findings.json", "lesion_probability.nrrd", "log.txt", "overview.png", "segmentation.seg.nrrd"]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template") / "run"
    study = toy_study()
    write_run(analyze(study, ToySegmenter(), lesion_finder=toy_lesions), study, folder)
    return folder


@pytest.fixture
def run(template: Path, tmp_path: Path) -> Path:
    """A run folder of the test's own, to be spoiled."""
    return Path(shutil.copytree(template, tmp_path / "run"))


def test_what_is_written_is_what_was_found(tmp_path: Path, analysis: Analysis, study: Study) -> None:
    write_run(analysis, study, tmp_path / "run", log_text="a line\n")
    assert everything_in(tmp_path) == ["run"]
    assert everything_in(tmp_path / "run") == FILES
    run = read_run(tmp_path / "run")
    assert run.findings == analysis.findings
    assert len(run.findings.lesions) == 2
    liver, ids, affine = run.segmentation()
    np.testing.assert_array_equal(liver, analysis.liver)
    np.testing.assert_array_equal(ids, analysis.lesion_ids)
    np.testing.assert_array_equal(affine, analysis.affine)
    probability, _ = run.lesion_probability()
    np.testing.assert_array_equal(probability, analysis.lesion_probability)
    assert run.log_path.read_text() == "a line\n"


def test_a_study_without_lesions_is_written_too(tmp_path: Path) -> None:
    study = toy_study(lesions=0)
    run = write_run(analyze(study, ToySegmenter(), lesion_finder=toy_lesions), study, tmp_path / "run")
    assert run.findings.lesions == []
    assert run.segmentation()[1].max() == 0


def test_missing_parent_folders_are_made(tmp_path: Path, analysis: Analysis, study: Study) -> None:
    write_run(analysis, study, tmp_path / "a" / "b" / "run")
    assert read_run(tmp_path / "a" / "b" / "run").findings == analysis.findings


def test_missing_parent_folders_are_not_left_after_a_failure(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), reserve_run(tmp_path / "a" / "b" / "run"):
        raise ZeroDivisionError
    assert everything_in(tmp_path) == []


def test_an_existing_run_is_kept_unless_asked(tmp_path: Path, analysis: Analysis, study: Study) -> None:
    write_run(analysis, study, tmp_path / "run", log_text="first")
    with pytest.raises(OutputError, match="--overwrite"):
        write_run(analysis, study, tmp_path / "run", log_text="second")
    assert (tmp_path / "run" / "log.txt").read_text() == "first"
    write_run(analysis, study, tmp_path / "run", log_text="second", overwrite=True)
    assert (tmp_path / "run" / "log.txt").read_text() == "second"
    assert everything_in(tmp_path) == ["run"]


def test_an_empty_folder_may_be_taken(tmp_path: Path, analysis: Analysis, study: Study) -> None:
    (tmp_path / "run").mkdir()
    write_run(analysis, study, tmp_path / "run")
    assert everything_in(tmp_path / "run") == FILES


@pytest.mark.parametrize("extra", ["thesis.doc", "findings.json"])
def test_overwrite_never_replaces_what_is_not_a_run(
    tmp_path: Path, analysis: Analysis, study: Study, extra: str
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / extra).write_text("mine")
    with pytest.raises(OutputError, match="not a LiverAI run folder"):
        write_run(analysis, study, tmp_path / "run", overwrite=True)
    assert (tmp_path / "run" / extra).read_text() == "mine"


def test_overwrite_never_replaces_a_run_with_something_of_the_users_in_it(
    tmp_path: Path, analysis: Analysis, study: Study
) -> None:
    write_run(analysis, study, tmp_path / "run")
    (tmp_path / "run" / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="not a LiverAI run folder"):
        write_run(analysis, study, tmp_path / "run", overwrite=True)
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"


def test_a_file_in_the_way_is_kept(tmp_path: Path, analysis: Analysis, study: Study) -> None:
    (tmp_path / "run").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(OutputError):
            write_run(analysis, study, tmp_path / "run", overwrite=overwrite)
    assert (tmp_path / "run").read_text() == "mine"


def test_what_appears_during_the_analysis_is_not_overwritten(tmp_path: Path, analysis: Analysis, study: Study) -> None:
    with reserve_run(tmp_path / "run") as writer:
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "notes.txt").write_text("mine")
        with pytest.raises(OutputError, match="there already"):
            writer.write(analysis, study)
    assert everything_in(tmp_path) == ["run"]
    assert everything_in(tmp_path / "run") == ["notes.txt"]


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt(), RuntimeError("x")])
def test_whatever_goes_wrong_while_writing_nothing_stays(tmp_path: Path, failure: BaseException) -> None:
    def write(folder: Path) -> None:
        (folder / "half").write_bytes(b"x" * 1000)
        raise failure

    expected = OutputError if isinstance(failure, OSError) else type(failure)
    with pytest.raises(expected), reserve(tmp_path / "run", overwrite=False, replaceable=lambda _: True) as place:
        place.fill(write, overwrite=False)
    assert everything_in(tmp_path) == []


def test_a_failed_replacement_keeps_the_old_run(tmp_path: Path, analysis: Analysis, study: Study) -> None:
    write_run(analysis, study, tmp_path / "run", log_text="first")
    broken = Analysis(
        analysis.findings.model_copy(update={"liver_ml": float("nan")}),  # NaN does not survive JSON
        analysis.affine,
        analysis.liver,
        analysis.lesion_ids,
        analysis.lesion_probability,
    )
    with pytest.raises(OutputError, match="read back"):
        write_run(broken, study, tmp_path / "run", overwrite=True)
    assert everything_in(tmp_path) == ["run"]
    assert read_run(tmp_path / "run").log_path.read_text() == "first"


def test_a_replacement_cut_off_between_its_renames_is_undone(tmp_path: Path, analysis: Analysis, study: Study) -> None:
    write_run(analysis, study, tmp_path / "run", log_text="first")
    key = Place(tmp_path / "run", lambda _: True).lock_path.name.removesuffix(".lock")
    (tmp_path / "run").rename(tmp_path / f"{key}.old-abc")
    (tmp_path / f"{key}.tmp-abc").mkdir()
    with pytest.raises(OutputError, match="there already"):
        write_run(analysis, study, tmp_path / "run")
    assert everything_in(tmp_path) == ["run"]
    assert read_run(tmp_path / "run").log_path.read_text() == "first"


def test_no_space_is_said_before_the_work(tmp_path: Path) -> None:
    with (
        reserve(tmp_path / "run", overwrite=False, replaceable=lambda _: True) as place,
        pytest.raises(OutputError, match=r"only \d+ MB are free .* about 1000000000 MB are needed"),
    ):
        place.require_space(10**15)


def test_a_long_name_and_a_link_work(tmp_path: Path, analysis: Analysis, study: Study) -> None:
    write_run(analysis, study, tmp_path / ("r" * 250))
    (tmp_path / "link").symlink_to(tmp_path / "target")
    write_run(analysis, study, tmp_path / "link")
    assert read_run(tmp_path / "target").findings == analysis.findings
    assert (tmp_path / "link").is_symlink()


def test_the_folder_is_as_open_as_the_umask_says(tmp_path: Path, analysis: Analysis, study: Study) -> None:
    before = os.umask(0o027)
    try:
        write_run(analysis, study, tmp_path / "run")
    finally:
        os.umask(before)
    assert (tmp_path / "run").stat().st_mode & 0o777 == 0o750


@pytest.mark.parametrize("name", FILES)
def test_a_run_with_a_missing_file_is_refused(run: Path, name: str) -> None:
    (run / name).unlink()
    with pytest.raises(RunFolderError, match=f"{name} is missing"):
        read_run(run)


@pytest.mark.parametrize("name", FILES)
def test_a_link_out_of_the_folder_is_refused(tmp_path: Path, run: Path, name: str) -> None:
    (run / name).rename(tmp_path / "elsewhere")
    (run / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunFolderError, match="not a plain file"):
        read_run(run)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 99, "software_version": "9.1"}, r"newer LiverAI \(9\.1, schema 99"),
        ({"liver_ml": "much"}, "liver_ml"),
        ({"unheard_of": 1}, "unheard_of"),
        ({"reference_phase": "delayed"}, "reference phase"),
        ({"lesions": []}, "does not fit"),
    ],
)
def test_findings_that_do_not_fit_are_refused(run: Path, change: dict[str, object], message: str) -> None:
    path = run / "findings.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(RunFolderError, match=message):
        read_run(run)


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, '{"schema_version": 1}', "\x00\xff"])
def test_findings_that_are_junk_are_refused(run: Path, text: str) -> None:
    (run / "findings.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(RunFolderError, match=r"findings\.json"):
        read_run(run)


def test_files_of_two_runs_do_not_mix(tmp_path: Path, run: Path) -> None:
    other = toy_study(oblique=True)
    write_run(analyze(other, ToySegmenter(), lesion_finder=toy_lesions), other, tmp_path / "other")
    (tmp_path / "other" / "lesion_probability.nrrd").replace(run / "lesion_probability.nrrd")
    with pytest.raises(RunFolderError, match="different places"):
        read_run(run)


def test_something_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="not a run folder"):
        read_run(tmp_path / "nothing")
