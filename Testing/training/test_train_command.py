"""`liverai train`: pools, trainings and packages from a folder of cases."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from test_cases import write_case

from LiverAILib.analysis.packages import find_packages, load_networks
from LiverAILib.analysis.segment import load_segmenter
from LiverAILib.bundles import find_bundle
from LiverAILib.cli import main
from LiverAILib.errors import StudyError
from LiverAILib.networks.lesion_classifier import CLASSES
from LiverAILib.saliency import SaliencyMix
from LiverAILib.study import Phase
from LiverAILib.training.cases import find_cases, split_cases
from LiverAILib.training.pools import VALIDATION_SEEDS, PoolOptions, load_synthetic, make_pools, training_phantom
from LiverAILib.training.validated_slices import MIXES

TEXTS = ("--trained-on", "toy cases", "--data-licence", "none")
SIDES = ("--hold-out", "1", "--validation-patients", "1", "--phantoms", "0", "--threads", "1")


@pytest.fixture(autouse=True)
def _same_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for name in ("a", "b", "c", "d"):
        write_case(folder, name, lesion=name != "d")
    return folder


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pool")


def train(network: str, data: Path, pool: Path, work: Path, *options: str) -> int:
    return main(["train", network, "--data", str(data), "--pool", str(pool), "--work", str(work), *SIDES, *options])


def test_nodulenet_is_trained_and_packed_and_hccnet_goes_on_from_it(data: Path, pool: Path, tmp_path: Path) -> None:
    small = ("--exams", "4", "--validation-exams", "2", "--batch", "4", "--steps", "3", "-o", str(tmp_path), *TEXTS)
    assert train("nodulenet", data, pool, tmp_path / "n", "--shrink", "4", *small) == 0
    before = {path: path.stat().st_mtime_ns for path in pool.rglob("*.npz")}
    assert len(before) >= 6
    start = ("--start-from", str(tmp_path / "nodulenet"), "--frozen", "layer3.*.conv*,layer4.*.conv*")
    assert train("hccnet", data, pool, tmp_path / "h", *small, *start) == 0
    assert before.items() <= {path: path.stat().st_mtime_ns for path in pool.rglob("*.npz")}.items()
    assert (tmp_path / "n" / "curves.png").is_file()
    networks = load_networks(find_packages(tmp_path), torch.device("cpu"))
    assert networks.nodules is not None
    assert networks.hcc is not None
    metadata = json.loads((tmp_path / "nodulenet" / "configs" / "metadata.json").read_text())
    sides = metadata["training"]["patients"]
    assert sorted(name for names in sides.values() for name in names) == ["a", "b", "c", "d"]
    assert metadata["training"]["exams"]["train"]["exam"] == 4
    assert metadata["input"]["phases"] == ["non_contrast", "arterial", "portal_venous"]
    assert metadata["size"] == 64
    assert metadata["input"]["in_plane_mm"] == 5.0
    assert any(row["what"].startswith("AUROC") for row in metadata["results"])
    assert 0 <= metadata["salient_from"] <= 1
    assert SaliencyMix(tuple(metadata["saliency"]["weights"]), metadata["saliency"]["cam"]) in MIXES


def test_classifier_is_trained_and_packed(data: Path, pool: Path, tmp_path: Path) -> None:
    small = ("--exams", "8", "--validation-exams", "6", "--batch", "2", "--steps", "1", "-o", str(tmp_path), *TEXTS)
    assert train("classifier", data, pool, tmp_path / "work", *small) == 0
    bundle = find_bundle("lesionclassifier", tmp_path)
    assert bundle.metadata.labels == [str(kind) for kind in CLASSES]
    extra = bundle.metadata.model_extra or {}
    assert float(bundle.load().state_dict()["temperature"]) == pytest.approx(extra["temperature"], rel=1e-2)
    assert {row["what"] for row in bundle.metadata.results} >= {"seven-class accuracy", "macro AUC, one against rest"}


def test_detector_is_trained_and_packed(data: Path, tmp_path: Path) -> None:
    made = ("--exams", "1", "--validation-exams", "1", "--steps", "1", "--batch", "1", "-o", str(tmp_path), *TEXTS)
    assert train("detector", data, tmp_path / "pool", tmp_path / "work", *made) == 0
    bundle = find_bundle("lesiondetector", tmp_path)
    assert bundle.metadata.network == "LesionDetector"
    exams = (bundle.metadata.model_extra or {})["training"]["exams"]
    assert exams["train"] == {"exam": 1, "phantom": 0, "real": 0}
    assert load_networks(find_packages(tmp_path), torch.device("cpu")).detector is not None


def test_comparison_is_trained_and_packed(data: Path, tmp_path: Path) -> None:
    made = ("--exams", "2", "--validation-exams", "2", "--steps", "1", "--batch", "1", "-o", str(tmp_path), *TEXTS)
    assert train("comparison", data, tmp_path / "pool", tmp_path / "work", *made, "--weight-bits", "7") == 0
    metadata = find_bundle("phasecomparison", tmp_path).metadata
    assert metadata.network == "PhaseComparisonNet"
    assert metadata.input.phases == ["non_contrast", "arterial", "portal_venous"]
    assert (metadata.model_extra or {})["training"]["exams"]["train"] == {"exam": 2, "phantom": 0, "real": 0}
    assert "liversegnet" in (metadata.model_extra or {})["joined_with"]
    assert load_networks(find_packages(tmp_path), torch.device("cpu")).comparison is not None


def test_liversegnet_is_trained_and_packed(data: Path, tmp_path: Path) -> None:
    made = (
        "--exams",
        "1",
        "--validation-exams",
        "1",
        "--minutes",
        "0.001",
        "--batch",
        "1",
        "-o",
        str(tmp_path),
        *TEXTS,
    )
    assert train("liversegnet", data, tmp_path / "pool", tmp_path / "work", *made) == 0
    bundle = find_bundle("liversegnet", tmp_path)
    assert bundle.metadata.input.phases == [str(phase) for phase in Phase]
    assert [row["what"] for row in bundle.metadata.results] == ["liver Dice, mean", "lesion Dice, mean"]
    assert bundle.metadata.patients_seen
    load_segmenter(tmp_path, "cpu")
    assert not (tmp_path / "pool" / "validation").exists()  # it is validated on real scans


def test_a_pool_alone_is_what_its_network_needs(data: Path, tmp_path: Path) -> None:
    made = ("--exams", "1", "--validation-exams", "1", "--pool-only")
    assert train("liversegnet", data, tmp_path, tmp_path / "work", *made) == 0
    assert {path.parent.name for path in tmp_path.rglob("volume_*.npz")} == {"train"}
    assert train("detector", data, tmp_path, tmp_path / "work", *made) == 0
    assert {path.parent.name for path in tmp_path.rglob("volume_*.npz")} == {"train", "validation"}


def test_a_pool_goes_on_where_it_was_stopped_and_keeps_sides_apart(data: Path, tmp_path: Path) -> None:
    split = split_cases(find_cases(data), test=1, validation=1)
    counts = {"exams": 2, "phantoms": 0, "validation_exams": 1}
    said: list[str] = []
    kinds = PoolOptions(kinds=("volume",), in_plane_mm=1.25)
    make_pools(tmp_path, split.train, split.validation, **counts, options=kinds, say=said.append)  # type: ignore[arg-type]
    assert len(said) == 3
    make_pools(tmp_path, split.train, split.validation, **counts, options=kinds, say=said.append)  # type: ignore[arg-type]
    assert len(said) == 3
    cases = load_synthetic(tmp_path / "train", 1.25)
    assert len(cases) == 2 * 3
    assert all(case.image.shape == case.codes.shape and not case.looks for case in cases)
    assert (tmp_path / "validation" / f"volume_exam_{VALIDATION_SEEDS}_{Phase.ARTERIAL}.npz").is_file()
    with pytest.raises(StudyError, match="are for validation"):
        make_pools(
            tmp_path,
            split.train,
            [],
            exams=1,
            phantoms=0,
            validation_exams=0,
            options=kinds,
            first_seed=VALIDATION_SEEDS,
        )
    with pytest.raises(StudyError, match="for evaluation only"):
        training_phantom(1_000_000)


def test_wrong_use_is_said_before_anything_is_made(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("classifier", data, tmp_path, tmp_path, "--shrink", "4") != 0
    assert "--shrink is not for classifier" in capsys.readouterr().err
    assert train("liversegnet", data, tmp_path, tmp_path, "--frozen", "bottom1") != 0
    assert "name them by --start-from" in capsys.readouterr().err
    assert train("hccnet", data, tmp_path, tmp_path, "-o", str(tmp_path)) != 0
    assert "--trained-on" in capsys.readouterr().err
    assert train("hccnet", tmp_path / "nowhere", tmp_path, tmp_path) != 0
    assert "is not a folder" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_labels_that_are_none_are_refused(tmp_path: Path) -> None:
    import SimpleITK as sitk

    write_case(tmp_path, "a")
    path = tmp_path / "a_label.nii.gz"
    image = sitk.ReadImage(str(path))
    wrong = sitk.GetImageFromArray(np.where(sitk.GetArrayFromImage(image) == 2, 7, 1).astype(np.uint8))
    wrong.CopyInformation(image)
    sitk.WriteImage(wrong, str(path))
    with pytest.raises(StudyError, match="7"):
        find_cases(tmp_path)[0].labels()
    (tmp_path / "cases.json").write_text('[{"name": "a"}]')
    with pytest.raises(StudyError, match=r"cases\.json"):
        find_cases(tmp_path)
