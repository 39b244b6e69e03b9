"""The `liverai` command: quick help, sentences for errors, JSON alone on stdout."""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from liverai_fakes import everything_in, toy_study

from LiverAILib.analysis.command import clinical_record, phase_choices, phase_files
from LiverAILib.analysis.memory import needed_bytes, require_memory
from LiverAILib.cli import COMMANDS, EXIT_CODES, build_parser, main, run_command
from LiverAILib.errors import BundleError, LiverAIError, OutputError, ResourceLimitError, StudyError
from LiverAILib.export.run_folder import read_run
from LiverAILib.study import Phase

Run = Callable[..., subprocess.CompletedProcess[str]]


def parse(*arguments: str) -> argparse.Namespace:
    return build_parser(["analyze"]).parse_args(["analyze", *arguments])


def test_help_is_instant() -> None:
    """In seconds of the processor, as the machine may be busy; test_layers sees that nothing heavy is imported."""

    def once() -> float:
        before = os.times()
        subprocess.run([sys.executable, "-m", "LiverAILib.cli", "--help"], check=True, stdout=subprocess.DEVNULL)
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    assert min(once() for _ in range(3)) < 0.3


def test_help_names_every_command_and_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert all(name in text for name in COMMANDS)
    assert "Research use only" in text
    codes = {line.split()[0] for line in EXIT_CODES.splitlines() if line.startswith("  ")}
    families = [LiverAIError]
    while families:
        family = families.pop()
        assert str(family.exit_code) in codes, family
        families += family.__subclasses__()


def test_wrong_use_ends_with_2() -> None:
    for arguments in (["analyze"], ["nonsense"], [], ["analyze", "x", "-o", "y", "--threads", "0"]):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 2


def test_a_run_writes_the_folder_and_says_what_it_found(liverai: Run, tmp_path: Path) -> None:
    done = liverai("analyze", "x", "-o", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert "2 lesions" in done.stdout
    assert "Research use only" in done.stdout
    run = read_run(tmp_path / "run")
    assert set(run.findings.phases) == {Phase.NON_CONTRAST, Phase.ARTERIAL, Phase.PORTAL_VENOUS}
    assert run.findings.parameters == {"threshold_hu": 80}
    assert {"import", "segment", "lesions"} <= set(run.findings.seconds)
    assert str(tmp_path) not in run.log_path.read_text()


def test_json_lines_are_all_that_stdout_holds(liverai: Run, tmp_path: Path) -> None:
    done = liverai("analyze", "x", "-o", tmp_path / "run", "--progress", "json")
    assert done.returncode == 0
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(set(line) == {"stage", "fraction", "message"} for line in lines)
    fractions = [line["fraction"] for line in lines]
    assert fractions == sorted(fractions)
    assert lines[-1]["stage"] == "done"
    assert lines[-1]["fraction"] == 1.0
    stages = list(dict.fromkeys(line["stage"] for line in lines))
    assert stages == ["import", "model", "segment", "lesions", "write", "done"]
    assert "a library prints to stdout" in done.stderr


def test_the_bar_goes_to_stderr(liverai: Run, tmp_path: Path) -> None:
    done = liverai("analyze", "x", "-o", tmp_path / "run", "--progress", "bar")
    assert done.returncode == 0
    assert done.stdout.startswith("Liver ")


def test_work_goes_on_when_the_reader_of_the_progress_has_gone(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    process = start("--fake-seconds", 0.3, "analyze", "x", "-o", tmp_path / "run", "--progress", "json")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    process.stdout = None
    assert process.wait(30) == 0
    read_run(tmp_path / "run")


def test_an_error_is_told_although_the_reader_of_the_progress_has_gone(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    process = start("--fake-seconds", 0.3, "analyze", "x", "-o", tmp_path / "run", "--progress", "json")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    process.stdout = None
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine").touch()
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 6
    assert "there already" in stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("error", "code"),
    [(StudyError("a."), 3), (BundleError("b."), 5), (OutputError("c."), 6), (MemoryError(), 7), (KeyError("d"), 1)],
)
@pytest.mark.parametrize("verbose", [False, True])
def test_an_error_is_one_sentence_and_a_code(
    capsys: pytest.CaptureFixture[str], error: Exception, code: int, verbose: bool
) -> None:
    def fail(_: argparse.Namespace) -> int:
        raise error

    assert run_command(argparse.Namespace(run=fail, verbose=verbose)) == code
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("liverai: ")
    assert lines[-1].endswith(".")
    assert ("Traceback" in "".join(lines)) == verbose
    assert verbose or len(lines) == 1


def test_torchs_out_of_memory_is_said_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(_: argparse.Namespace) -> int:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99999 bytes.")

    assert run_command(argparse.Namespace(run=fail, verbose=False)) == 7
    assert "Memory ran out" in capsys.readouterr().err


def test_a_study_that_clearly_does_not_fit_is_refused() -> None:
    study = toy_study()
    require_memory(study, available=needed_bytes(study))
    with pytest.raises(ResourceLimitError, match=r"at least 0\.6 GB of memory and 0\.1 GB are free"):
        require_memory(study, available=100_000_000)


def test_files_phases_and_clinical_items_reach_the_importer() -> None:
    args = parse(
        *["folder", "-o", "out", "--arterial", "a.nii.gz", "--portal-venous", "b.nrrd"],
        *["--phase", "4=non-contrast", "--phase", "ART=1.5=arterial"],
        *["--age", "61", "--sex", "male", "--hepatitis", "yes", "--cirrhosis", "no"],
    )
    assert args.paths == [Path("folder")]
    assert phase_files(args) == {Phase.ARTERIAL: Path("a.nii.gz"), Phase.PORTAL_VENOUS: Path("b.nrrd")}
    assert phase_choices(args) == {"4": Phase.NON_CONTRAST, "ART=1.5": Phase.ARTERIAL}
    clinical = clinical_record(args)
    assert (clinical.age, clinical.sex, clinical.hepatitis, clinical.cirrhosis) == (61, "male", True, False)
    assert clinical.cholangiolithiasis is None
    assert clinical.extrahepatic_tumour is None


@pytest.mark.parametrize("text", ["4=early", "arterial", "=arterial"])
def test_a_phase_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(StudyError, match="SERIES=PHASE"):
        phase_choices(parse("x", "-o", "y", "--phase", text))


def test_what_can_not_be_written_is_refused_before_the_study_is_read(liverai: Run, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine").touch()
    done = liverai("--fake-seconds", 20, "analyze", "x", "-o", tmp_path / "run")
    assert done.returncode == 6
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert everything_in(tmp_path / "run") == ["mine"]


@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_command_says_how_it_is_used(capsys: pytest.CaptureFixture[str], command: str) -> None:
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    assert f"liverai {command}" in capsys.readouterr().out
