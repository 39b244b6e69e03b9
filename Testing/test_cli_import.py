"""The command with the real importer: DICOM and files in, no patient's name out."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import SimpleITK as sitk
from ct_builder import anatomy, write_series
from liverai_fakes import everything_in, toy_affine

from LiverAILib.export.run_folder import read_run
from LiverAILib.study import Phase, array_to_sitk

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def exam(tmp_path: Path) -> Path:
    """Three phases as DICOM of a patient called Secret; a birth date that makes pydicom complain, and quote it."""
    folder = tmp_path / "exam"
    for number, look in enumerate(("plain", "arterial", "portal"), start=2):
        for path in write_series(folder / str(number), look=look, description=f"{look} 5mm", number=number):
            path.write_bytes(path.read_bytes().replace(b"19600102", b"SecretDa"))
    return folder


def test_an_exam_is_analysed_and_the_patients_name_is_nowhere(liverai: Run, exam: Path, tmp_path: Path) -> None:
    done = liverai("--real-import", "analyze", exam, "-o", tmp_path / "run", "--verbose")
    assert done.returncode == 0, done.stderr
    run = read_run(tmp_path / "run")
    assert list(run.findings.phases) == [Phase.NON_CONTRAST, Phase.ARTERIAL, Phase.PORTAL_VENOUS]
    assert run.findings.clinical["sex"] == "female"
    texts = [done.stdout, done.stderr, *everything_in(run.path)]
    texts += [path.read_bytes().decode("latin-1") for path in run.path.iterdir()]
    assert not any("secret" in text.lower() for text in texts)


def test_files_per_phase(liverai: Run, tmp_path: Path) -> None:
    for look in ("arterial", "portal"):
        sitk.WriteImage(array_to_sitk(anatomy(look), toy_affine()), tmp_path / f"{look}.nii.gz")
    done = liverai(
        *["--real-import", "analyze", "--arterial", tmp_path / "arterial.nii.gz"],
        *["--portal-venous", tmp_path / "portal.nii.gz", "-o", tmp_path / "run", "--age", 58],
    )
    assert done.returncode == 0, done.stderr
    findings = read_run(tmp_path / "run").findings
    assert list(findings.phases) == [Phase.ARTERIAL, Phase.PORTAL_VENOUS]
    assert findings.phases[Phase.ARTERIAL].confidence == 1.0
    assert findings.clinical["age"] == 58


def test_a_study_that_is_none_ends_with_3(liverai: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = liverai("--real-import", "analyze", tmp_path / "empty", "-o", tmp_path / "run")
    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1
    assert everything_in(tmp_path) == ["empty"]


def test_a_phase_that_only_the_user_can_tell_ends_with_4(liverai: Run, tmp_path: Path) -> None:
    write_series(tmp_path / "exam", look="portal", description="arterial", number=5)
    arguments = ["--real-import", "analyze", tmp_path / "exam", "-o", tmp_path / "run"]
    asked = liverai(*arguments)
    assert asked.returncode == 4
    assert "--phase" in asked.stderr.splitlines()[-1]
    told = liverai(*arguments, "--phase", "5=portal_venous")
    assert told.returncode == 0, told.stderr
    assert list(read_run(tmp_path / "run").findings.phases) == [Phase.PORTAL_VENOUS]


def test_inspect_only_says_what_is_there(exam: Path, tmp_path: Path) -> None:
    def inspect(*options: str) -> str:
        command = [sys.executable, "-m", "LiverAILib.cli", "inspect", str(exam), *options]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    text = inspect()
    assert "arterial" in text
    assert json.loads(inspect("--json"))["ready"] is True
    assert "secret" not in text.lower()
    assert everything_in(tmp_path) == ["exam"]
