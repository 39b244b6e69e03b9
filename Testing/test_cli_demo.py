"""The demo: its exam is written once, and its table tells found from missed. No network needed."""

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from ct_builder import write_series
from liverai_fakes import ToySegmenter, everything_in, toy_affine, toy_lesions, toy_study, toy_truth

from LiverAILib.analysis.command import Parts
from LiverAILib.analysis.pipeline import analyze
from LiverAILib.cli import build_parser
from LiverAILib.demo import LESIONS, SEED, compare_lesions, found_against_true, run_demo, synthetic_exam
from LiverAILib.errors import StudyError
from LiverAILib.export.nrrd import write_nrrd
from LiverAILib.export.run_folder import RunFolder, read_run, write_run
from LiverAILib.importing import load_study
from LiverAILib.phantom import EVALUATION_SEEDS, PhantomOptions, generate
from LiverAILib.study import Phase


def cube(shape: tuple[int, int, int], *corners: tuple[int, int, int], side: int = 4) -> np.ndarray:
    labels = np.zeros(shape, np.uint16)
    for number, (z, y, x) in enumerate(corners, start=1):
        labels[z : z + side, y : y + side, x : x + side] = number
    return labels


def test_the_demos_lesions_are_large_enough_to_be_found_fairly() -> None:
    options = PhantomOptions(shape=(20, 64, 64), spacing_mm=(15.0, 6.0, 6.0), lesions=LESIONS)  # a coarse scan of it
    truth = generate(SEED, phases=[Phase.PORTAL_VENOUS], options=options).truth
    assert SEED >= EVALUATION_SEEDS
    assert sorted(lesion.type for lesion in truth.lesions) == sorted(LESIONS)
    assert min(lesion.volume_ml for lesion in truth.lesions) >= 1
    assert not any(lesion.atypical for lesion in truth.lesions)
    assert not truth.artefacts


def test_each_true_lesion_is_given_its_best_found_one() -> None:
    true = cube((20, 20, 20), (1, 1, 1), (10, 10, 10), (1, 12, 12))
    found = np.zeros_like(true)
    found[1:5, 1:5, 1:4] = 2  # three quarters of the first
    found[10, 10, 10] = 1  # a speck in the second: its smaller part is inside, so it is the same lesion
    rows = compare_lesions(
        found, true, {1: "Lesion 1", 2: "Lesion 2"}, [(1, "Cyst", 4.0), (2, "HCC", 5.0), (3, "FNH", 6.0)], 0.5
    )
    assert [(row.title, row.found) for row in rows] == [("Cyst", "Lesion 2"), ("HCC", "Lesion 1"), ("FNH", None)]
    assert [row.dice for row in rows] == pytest.approx([2 * 48 / (48 + 64), 2 / 65, 0])
    assert rows[0].volume_ml == 32


def test_a_lesion_that_only_touches_is_not_found() -> None:
    true, found = cube((20, 20, 20), (5, 5, 5)), cube((20, 20, 20), (8, 5, 5))
    (row,) = compare_lesions(found, true, {}, [(1, "Cyst", 4.0)], 1.0)
    assert row.found is None


def toy_run(tmp_path: Path, oblique: bool = False) -> RunFolder:
    study = toy_study(oblique=oblique)
    return write_run(analyze(study, ToySegmenter(), lesion_finder=toy_lesions), study, tmp_path / "run")


def toy_exam(folder: Path) -> Path:
    """A demo exam with three true lesions, of which the toy run finds two."""
    liver, labels = toy_truth(2)
    labels[2:4, 50:53, 60:63] = 3
    folder.mkdir()
    write_nrrd(folder / "liver.nrrd", liver.astype(np.uint8), toy_affine())
    write_nrrd(folder / "lesions.nrrd", labels, toy_affine())
    nowhere: dict[str, object] = {"centre_lps": {}, "true_hu": {}}
    lesions = [
        {"id": number, "type": kind, "atypical": False, "diameter_mm": 9 + number, "volume_ml": 1.0} | nowhere
        for number, kind in enumerate(("hcc", "cyst", "fnh"), start=1)
    ]
    truth = {
        "seed": 1_000_003,
        "evaluation_only": True,
        "clinical": {},
        "liver": {"fatty": False, "cirrhotic": False, "ascites": False, "unenhanced_hu": 55, "volume_ml": {}},
        "lesions": lesions,
        "mimics": [],
        "seconds_after_injection": {},
        "breathing_shift_mm": {},
        "noise_hu": 10,
        "slice_thickness_mm": 2.5,
    }
    (folder / "truth.json").write_text(json.dumps(truth))
    return folder


def test_the_table_tells_found_from_missed(tmp_path: Path) -> None:
    text = found_against_true(toy_run(tmp_path), toy_exam(tmp_path / "exam"))
    lines = text.splitlines()
    assert "synthetic" in lines[0]
    assert lines[2].split() == ["Hepatocellular", "carcinoma", "10", "1.4", "Lesion", "1", "1.00"]
    assert "Lesion 2" in lines[3]
    assert lines[4].split()[:3] == ["Focal", "nodular", "hyperplasia"]
    assert lines[4].endswith("not found")
    assert lines[-1] == "  Liver Dice 1.000"


def test_a_run_of_another_exam_is_not_compared(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="not on the grid"):
        found_against_true(toy_run(tmp_path, oblique=True), toy_exam(tmp_path / "exam"))


def test_the_exam_is_written_once_and_never_by_halves(tmp_path: Path) -> None:
    calls: list[int] = []

    def write(folder: Path, seed: int) -> None:
        calls.append(seed)
        (folder / "dicom").mkdir()
        if len(calls) == 1:
            raise KeyboardInterrupt
        (folder / "truth.json").write_text("{}")

    with pytest.raises(KeyboardInterrupt):
        synthetic_exam(tmp_path, 7, write)
    assert everything_in(tmp_path) == []
    first = synthetic_exam(tmp_path, 7, write)
    assert synthetic_exam(tmp_path, 7, write) == first
    assert synthetic_exam(tmp_path, 8, write) != first
    assert calls == [7, 7, 8]


def test_the_demo_says_how_it_is_used() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "LiverAILib.cli", "demo", "--help"], capture_output=True, text=True, check=True
    )
    assert "--study" in done.stdout


def small_exam(folder: Path, seed: int) -> None:
    """Stands in for `write_exam`: a coarse trunk in three phases, and a made-up truth."""
    for number, look in enumerate(("plain", "arterial", "portal"), start=2):
        write_series(folder / "dicom", look=look, description=look, number=number)
    volume = load_study([folder / "dicom"]).volumes[Phase.PORTAL_VENOUS]
    toy_exam(folder / "toy")
    (folder / "toy" / "truth.json").rename(folder / "truth.json")
    shutil.rmtree(folder / "toy")
    write_nrrd(folder / "liver.nrrd", (volume.array > 0).astype(np.uint8), volume.affine)
    write_nrrd(folder / "lesions.nrrd", cube(volume.array.shape, (4, 30, 30), (12, 40, 20)), volume.affine)


def test_the_demo_from_dicom_to_scene(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("slicer", reason="slicer-core is not installed")
    args = build_parser(["demo"]).parse_args(["demo", "--out", str(tmp_path / "demo"), "--no-pictures"])
    parts = Parts(segmenter=ToySegmenter(), lesion_finder=toy_lesions)
    assert run_demo(args, write=small_exam, parts=parts) == 0
    text = capsys.readouterr().out
    assert "Found against true" in text
    assert "Liver Dice 1.000" in text
    assert "Research use only" in text
    assert read_run(tmp_path / "demo" / "run").findings.lesions
    assert zipfile.is_zipfile(tmp_path / "demo" / "scene" / "scene.mrb")
    assert run_demo(args, write=small_exam, parts=parts) == 0
    assert "already in" in capsys.readouterr().out
    assert len(everything_in(tmp_path / "demo")) == 3  # exam, run, scene


def test_the_demo_of_ones_own_study_has_no_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("slicer", reason="slicer-core is not installed")
    write_series(tmp_path / "mine", look="portal", description="pv")
    args = build_parser(["demo"]).parse_args(
        ["demo", "--out", str(tmp_path / "demo"), "--no-pictures", "--study", str(tmp_path / "mine")]
    )
    assert run_demo(args, parts=Parts(segmenter=ToySegmenter(), lesion_finder=toy_lesions)) == 0
    assert "Found against true" not in capsys.readouterr().out
    assert everything_in(tmp_path / "demo") == ["run", "scene"]


def test_without_slicer_core_the_demo_says_what_to_install(tmp_path: Path) -> None:
    run = toy_run(tmp_path)
    script = f"""
import sys
sys.modules["slicer"] = None  # as if it were not installed
from pathlib import Path
from LiverAILib.demo import make_scene_if_possible
from LiverAILib.export.run_folder import read_run
make_scene_if_possible(read_run(Path({str(run.path)!r})), None, Path("nowhere"), pictures=True)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "pip install 'LiverAILib[scene]'" in done.stdout
