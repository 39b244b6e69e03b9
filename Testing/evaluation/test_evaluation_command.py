"""From a folder of cases and packages with random weights to the page of figures, through the command."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from network_packages import write_packages
from toy_pool import toy_exam

from LiverAILib.analysis.detect import PhaseDetector
from LiverAILib.analysis.packages import find_packages, load_networks
from LiverAILib.bundles import METADATA, find_bundle
from LiverAILib.cli import main
from LiverAILib.errors import StudyError
from LiverAILib.evaluation.cards import card
from LiverAILib.evaluation.detection import open_detector
from LiverAILib.evaluation.figures import Figure, table
from LiverAILib.evaluation.part import Part
from LiverAILib.evaluation.pool import FIRST_SEEDS, Pool, PoolPlan, benign_types, load_exam, make_pool, save_exam
from LiverAILib.evaluation.real import held_out
from LiverAILib.evaluation.report import figures_page
from LiverAILib.lesion_types import LesionType
from LiverAILib.phantom import EVALUATION_SEEDS, PhantomOptions, generate
from LiverAILib.resources import resource
from LiverAILib.study import Phase, array_to_sitk
from LiverAILib.training.cases import Organ
from LiverAILib.training.exams_truth import ExamTruth
from LiverAILib.training.real_scans import read_scan

PV = Phase.PORTAL_VENOUS
SIZE = {
    "size": 96,
    "input": {"in_plane_mm": 2.5, "min_slice_mm": 2.0, "window_hu": [-40.0, 160.0], "phases": [str(PV)]},
}

CROPS = {"crop": {"shape": [8, 32, 32]}}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten patients with one anatomy; all but one with a ball of a tumour, and a cyst in its organ map."""
    folder = tmp_path_factory.mktemp("data") / "portal_ct" / "train"
    folder.mkdir(parents=True)
    phantom = generate(5, phases=(PV,), options=PhantomOptions(spacing_mm=(10, 4, 4), liver_crop_mm=18, lesions=0))
    volume, liver = phantom.study.volumes[PV], phantom.liver_mask(PV)
    label = liver.astype(np.uint8)
    middle = np.argwhere(liver)[len(np.argwhere(liver)) // 2]
    grid = np.indices(label.shape)
    organs = np.where(liver, Organ.LIVER, Organ.BODY).astype(np.uint8)
    for offset, code in ((-8, Organ.TUMOUR), (8, Organ.CYST)):
        gap = [
            (axis - c) * s
            for axis, c, s in zip(grid, [middle[0], middle[1], middle[2] + offset], (10, 4, 4), strict=True)
        ]
        ball = (sum(g**2 for g in gap) < 13**2) & liver
        label[ball], organs[ball] = 2, code
    for number in range(10):
        own = label if number else np.minimum(label, 1)
        for kind, array in (("ct", volume.array.clip(-40, 160)), ("label", own), ("organs", organs)):
            if kind == "organs" and not number:
                continue
            sitk.WriteImage(array_to_sitk(array, volume.affine), str(folder / f"case{number:02}_{kind}.nii.gz"))
    return folder.parent.parent


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_packages(tmp_path_factory.mktemp("models"), nodulenet=SIZE, lesionclassifier=CROPS)
    shutil.copytree(resource("Models") / "liversegnet", folder / "liversegnet")
    forget_patients(folder / "liversegnet")
    return folder


def forget_patients(package: Path) -> None:
    metadata = json.loads((package / METADATA).read_text())
    metadata["training"].pop("patients")
    (package / METADATA).write_text(json.dumps(metadata))


def test_every_part_is_measured_and_the_page_says_what_is_missing(
    data: Path, models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "bench"
    command = [
        "evaluate",
        "--data",
        str(data),
        "--models",
        str(models),
        "--pool",
        str(tmp_path / "pool"),
        "-o",
        str(out),
    ]
    command += ["--exams", "3", "--benign-exams", "1", "--empty-phantoms", "0"]
    command += ["--device", "cpu", "--only", "nodulenet,hccnet,classifier"]
    assert main(command) == 0
    assert sorted(path.stem for path in (out / "parts").glob("*.json")) == ["classifier", "hccnet", "nodulenet"]
    page = (out / "figures.md").read_text()
    assert "| NoduleNet AUROC, slices | held-out patients, real portal-venous CT" in page
    assert "| seven-class accuracy | synthetic lesions in true boxes" in page
    assert "| real cysts called cyst |" in page
    assert "- whole: not measured, it was not asked for." in page
    assert "| real tumours called malignant |" in capsys.readouterr().out
    assert sorted(path.stem for path in (out / "cards").glob("*.md")) == sorted(
        ["liversegnet", "phasecomparison", "lesiondetector", "lesionclassifier", "nodulenet", "hccnet"]
    )
    assert (out / "roc_nodulenet.png").stat().st_size > 5000
    cases = json.loads((out / "cases.json").read_text())
    assert {row["exam"] for row in cases["classifier"] if "type" in row} <= set(range(10**6, 10**6 + 3))

    # of other weights nothing is taken over into the page
    kept = json.loads((out / "parts" / "nodulenet.json").read_text())
    (out / "parts" / "nodulenet.json").write_text(json.dumps(kept | {"models": {"nodulenet": "1" * 64}}))
    assert main([*command[:-1], "hccnet"]) == 0
    page = (out / "figures.md").read_text()
    assert "- nodulenet: measured with other weights, so left out." in page
    assert "NoduleNet AUROC" not in page
    assert "HCCNet" in page


def test_a_patient_that_a_network_was_trained_on_is_refused(data: Path, tmp_path: Path) -> None:
    patient = held_out(data / "portal_ct" / "train")[0].patient
    seen = {"training": {"patients": {"train": [patient], "validation": []}}}
    models = write_packages(tmp_path / "models", ["nodulenet"], nodulenet=SIZE | seen)
    shutil.copytree(resource("Models") / "liversegnet", models / "liversegnet")
    with pytest.raises(StudyError, match=f"was trained on {patient} of"):
        run(
            ["evaluate", "--data", str(data), "--models", str(models), "-o", str(tmp_path / "b"), "--only", "nodulenet"]
        )


def run(arguments: list[str]) -> int:
    """The command without its handling of errors."""
    from LiverAILib.cli import build_parser

    args = build_parser(arguments).parse_args(arguments)
    return int(args.run(args))


def test_wrong_parts_and_a_pool_without_anatomy_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match='"detectors" is no part'):
        run(["evaluate", "--only", "detectors", "-o", str(tmp_path / "b")])
    with pytest.raises(StudyError, match="made on real anatomy"):
        run(["evaluate", "--pool-only", "-o", str(tmp_path / "b"), "--pool", str(tmp_path / "pool")])


def test_a_pool_is_made_once_and_holds_what_the_seed_gives(data: Path, tmp_path: Path) -> None:
    cases = held_out(data / "portal_ct" / "train")
    said: list[str] = []
    pool = make_pool(tmp_path, cases, PoolPlan(1, 1, 0), say=said.append)
    assert said == [f"exam {EVALUATION_SEEDS} (1 of 2)", f"benign {FIRST_SEEDS['benign']} (2 of 2)"]
    exam = next(iter(pool.exams("exam")))
    from LiverAILib.training.exams import ExamSource

    made = ExamSource(cases, "test").exam(EVALUATION_SEEDS)
    assert exam.truth == made.truth
    for phase, volume in made.study.volumes.items():
        assert np.array_equal(exam.study.volumes[phase].array, volume.array)
        assert np.array_equal(exam.study.volumes[phase].affine, volume.affine)
        assert np.array_equal(exam.liver_mask(phase), made.liver_mask(phase))
        assert np.array_equal(exam.lesion_ids[phase], made.lesion_ids[phase])
    benign = next(iter(pool.exams("benign"))).truth
    types = [lesion.type for lesion in benign.lesions if not getattr(lesion, "real", False)]
    assert not any(kind is not None and kind.malignant for kind in types)
    said.clear()
    make_pool(tmp_path, cases, PoolPlan(1, 1, 0), say=said.append)
    assert not said
    with pytest.raises(StudyError, match="exams on other patients"):
        make_pool(tmp_path, cases[:1], PoolPlan(1, 1, 0))
    (tmp_path / "exam_1.npz").write_bytes(b"no exam")
    with pytest.raises(StudyError, match=r"exam_1\.npz is no exam"):
        load_exam(tmp_path / "exam_1.npz")


def test_the_detector_reads_exams_until_there_are_enough_lesions(tmp_path: Path) -> None:
    ball = ((19.0, 28.0, 36.0), 9.0, 40)
    kinds: list[list[LesionType | None]] = [[], [LesionType.HCC], [], [None], [LesionType.CYST], [LesionType.FNH]]
    for seed, kind in enumerate(kinds, start=EVALUATION_SEEDS):
        exam = toy_exam(seed, [ball] * len(kind), kind)
        assert isinstance(exam.truth, ExamTruth)
        save_exam(tmp_path / f"exam_{seed}.npz", exam, exam.truth)
    pool = Pool(tmp_path, PoolPlan(6, 0, 0))
    read = [exam.truth.seed - EVALUATION_SEEDS for exam in pool.with_lesions(2, 1)]
    assert read == [0, 1, 4]  # of those without a synthetic lesion the first only
    assert [exam.truth.seed - EVALUATION_SEEDS for exam in pool.with_lesions(1, 9)] == [0, 1]
    found = next(iter(pool.exams("exam", 1)))
    assert found.slice_mm == 4


def test_benign_patients_have_no_malignant_lesion() -> None:
    for seed in range(50):
        types = benign_types(seed)
        assert types
        assert not any(kind.malignant for kind in types)


def test_the_organ_map_names_the_real_lesions(data: Path) -> None:
    scan = next(scan for scan in map(read_scan, held_out(data / "portal_ct" / "train")) if scan.lesions)
    assert sorted(lesion.known for lesion in scan.lesions) == ["cyst", "tumour"]
    assert set(np.unique(scan.ids)) == {0, 1, 2}
    assert all(lesion.volume_ml > 1 for lesion in scan.lesions)


def part(figures: list[Figure], **more: Any) -> Part:
    return Part("hccnet", figures, **more)


def test_a_part_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    figures = [
        Figure("recall", "toys", "3", float("nan"), ">= 0.9"),
        Figure("recall", "toys", "3", 0.5, ">= 0.9", "why", 0.1, 0.9, "Wilson", "0.95"),
    ]
    saved = part(figures, cases=[{"a": np.float64(0.5), "b": np.int64(2)}], notes=["missing"], models={"hccnet": "0"})
    saved.save(tmp_path)
    loaded = Part.load(tmp_path / "hccnet.json")
    assert loaded.figures[1] == figures[1]
    assert np.isnan(loaded.figures[0].value)
    assert loaded.cases == [{"a": 0.5, "b": 2}]
    assert (loaded.notes, loaded.models) == (["missing"], {"hccnet": "0"})


def test_the_page_puts_figures_with_a_goal_first() -> None:
    figures = [Figure("further", "toys", "3", 0.25), Figure("asked", "toys", "9", 0.95, ">= 0.9", low=0.9, high=0.99)]
    page = figures_page([part(figures, notes=["no phantoms"])], ["whole: not measured."])
    assert "| asked | toys | 9 | 0.950 (0.900-0.990) | >= 0.9 | reached |  |" in page
    assert page.index("| asked |") < page.index("## HCCNet") < page.index("| further |")
    assert "- whole: not measured.\n- no phantoms" in page
    assert "| further | toys | 3 | 0.250 |  |  |  |" in table(figures)


def test_a_card_says_data_figures_limits_and_licence(models: Path) -> None:
    bundle = find_bundle("hccnet", models)
    measured = part([Figure("HCCNet AUROC", "toys", "200 exams", 0.9, ">= 0.9", low=0.8, high=0.95)])
    text = card(bundle, [measured])
    stated: Mapping[str, str] = {"data": bundle.metadata.trained_on, "licence": bundle.metadata.data_licence}
    for words in (*stated.values(), "Not for diagnosis", "0.900 (0.800-0.950)", "200 exams", "## Limits", "6,901"):
        assert words in text
    assert bundle.metadata.sha256 in text


def test_the_detector_is_asked_below_its_threshold_for_the_curve(models: Path) -> None:
    networks = load_networks(find_packages(models), torch.device("cpu"))
    opened, threshold = open_detector(networks)
    assert threshold == 0.5
    assert opened.detector is not None
    assert networks.detector is not None
    kept, lowered = networks.detector.run, opened.detector.run
    assert isinstance(kept, PhaseDetector)
    assert isinstance(lowered, PhaseDetector)
    assert (kept.options.link.least_mean_score, lowered.options.link.least_mean_score) == (0.5, 0.0)
