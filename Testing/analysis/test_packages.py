"""Model packages to networks: what is there runs, what is missing is said once, what is damaged is refused."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import torch
from liverai_fakes import PACKAGE, toy_study
from network_packages import INPUT, STATED, write_packages

from LiverAILib.analysis.command import Parts, analyze_to_folder, summary
from LiverAILib.analysis.packages import find_packages, load_networks
from LiverAILib.analysis.pipeline import stage_weights
from LiverAILib.analysis.reading import TriageThresholds
from LiverAILib.bundles import NETWORKS, WEIGHTS, write_bundle
from LiverAILib.cli import build_parser
from LiverAILib.errors import BundleError
from LiverAILib.saliency import SaliencyMix
from LiverAILib.study import Phase, Study

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all packages, the segmentation's too; of the detector's random boxes few pass."""
    few = {"operating_point": {"least_mean_score": 0.509, "recall": 0.75, "region_peak": 0.9}}
    folder = write_packages(tmp_path_factory.mktemp("models"), lesiondetector=few)
    torch.manual_seed(1)
    write_bundle(folder / "liversegnet", NETWORKS["LiverSegNet"]("compact").state_dict(), PACKAGE)
    return folder


def test_every_package_becomes_a_network_with_what_its_metadata_says(models: Path) -> None:
    networks = load_networks(find_packages(models), CPU)
    assert [model.name for model in networks.models] == list(STATED)
    assert networks.triage == TriageThresholds(0.2, 0.8, 0.5)
    assert networks.hcc_threshold == 0.25
    assert networks.salient_from == 0.0
    assert networks.saliency == SaliencyMix((0, 2, 3, 4, 0), cam=True)
    assert networks.slice_format.size == 96
    assert networks.slice_format.smoothing_mm == networks.parameters["slice_smoothing_mm"] == 4.0
    assert networks.detector is not None
    assert networks.detector.phases == {Phase.NON_CONTRAST, Phase.ARTERIAL, Phase.PORTAL_VENOUS}
    assert networks.detector.parameters["detector_least_mean_score"] == 0.509
    assert networks.detector_recall == 0.75
    assert networks.region_peak == networks.parameters["lesion_min_peak"] == 0.9
    assert networks.parameters["triage_benign_below"] == 0.2
    assert networks.parameters["other_lesions_trust"] == 0.5
    assert networks.notes == ()


def test_a_weak_risk_score_is_called_a_hint(tmp_path: Path) -> None:
    for auroc, hints in ((0.6, 1), (0.95, 0)):
        stated = STATED["hccnet"] | {"hcc_auroc": auroc}
        notes = load_networks(
            find_packages(write_packages(tmp_path / f"{auroc}", ["hccnet"], hccnet=stated)), CPU
        ).notes
        assert len([note for note in notes if "higher in 60% of pairs" in note]) == hints


def test_what_is_missing_is_said_in_one_sentence(tmp_path: Path) -> None:
    networks = load_networks(find_packages(tmp_path), CPU)
    assert networks.models == []
    (note,) = networks.notes
    for words in ("lesion detector", "lesion classifier", "NoduleNet", "HCC risk score"):
        assert words in note
    write_packages(tmp_path, ["hccnet"])
    (note,) = load_networks(find_packages(tmp_path), CPU).notes
    assert "NoduleNet" in note
    assert "HCCNet" not in note


def test_a_damaged_package_is_refused_and_not_left_out(tmp_path: Path) -> None:
    write_packages(tmp_path, ["hccnet"])
    weights = tmp_path / "hccnet" / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(BundleError, match="SHA-256 differs"):
        find_packages(tmp_path)
    weights.unlink()
    with pytest.raises(BundleError, match="hccnet"):
        find_packages(tmp_path)


@pytest.mark.parametrize(
    ("name", "metadata", "words"),
    [
        ("hccnet", {"hcc_threshold": "high"}, "at hcc_threshold"),
        ("hccnet", {"hcc_auroc": 7}, "at hcc_auroc"),
        ("hccnet", {"network": "NoduleNet"}, "holds a NoduleNet, not a HCCNet"),
        ("nodulenet", {"size": 4}, "at size"),
        ("nodulenet", {"saliency": {"cam": "perhaps"}}, "at saliency"),
        ("nodulenet", {"saliency": {"layers": 5}}, "at saliency.layers"),
        ("nodulenet", {"saliency": {"weights": [0, 0, 0, 0, 0]}}, "at saliency"),
        ("nodulenet", {"saliency": {"weights": [1, 2, 3]}}, "at saliency"),
        ("nodulenet", {"input": INPUT | {"phases": ["early"]}}, "at input.phases"),
        ("nodulenet", {"input": INPUT | {"window_hu": [0, 100]}}, "takes a window"),
        ("lesionclassifier", {"triage": {"benign_below": 0.9, "malignant_from": 0.1}}, "triage thresholds"),
        ("lesionclassifier", {"triage": 0.5}, "at triage"),
        ("lesionclassifier", {"company": "any"}, "at company"),
        (
            "lesionclassifier",
            {"company": {"leading": [1.0], "found_with": [[1.0]], "trust": 1}},
            "types found together",
        ),
        ("lesionclassifier", {"crop": {"zoom": 2}}, "at crop.zoom"),
        ("lesionclassifier", {"crop": {"enlarge": "much"}}, "at crop"),
        ("phasecomparison", {"joint": {"segmentation": -1}}, "at joint"),
        ("phasecomparison", {"joint": {"segmentation": "some"}}, "at joint"),
        ("phasecomparison", {"joint": {"both": 1}}, "at joint.both"),
        ("phasecomparison", {"joint": 1}, "at joint"),
        ("lesiondetector", {"operating_point": {"least_mean_score": 2}}, "at least_mean_score"),
        ("lesiondetector", {"operating_point": {"recall": -1}}, "at recall"),
    ],
)
def test_metadata_that_make_no_sense_are_refused(
    tmp_path: Path, name: str, metadata: dict[str, Any], words: str
) -> None:
    write_packages(tmp_path, [name], **{name: metadata})
    with pytest.raises(BundleError, match=words):
        load_networks(find_packages(tmp_path), CPU)


def test_a_classifier_without_thresholds_gives_types_and_says_that_there_is_no_reading(tmp_path: Path) -> None:
    write_packages(tmp_path, ["lesionclassifier"])
    metadata = tmp_path / "lesionclassifier" / "configs" / "metadata.json"
    metadata.write_text(metadata.read_text().replace('"triage"', '"other"'))
    networks = load_networks(find_packages(tmp_path), CPU)
    assert networks.triage is None
    assert "no reading of the patient" in networks.notes[-1]


def test_progress_has_the_stages_that_run_in_their_order() -> None:
    assert list(stage_weights(())) == ["import", "model", "segment", "lesions", "write"]
    assert list(stage_weights(STATED)) == [
        "import",
        "model",
        "segment",
        "detect",
        "lesions",
        "classify",
        "slices",
        "write",
    ]


def arguments(*words: object) -> Any:
    command = ["analyze", "exam", "--threads", "1", "--device", "cpu", "--progress", "json", *map(str, words)]
    return build_parser(command).parse_args(command)


def toy(paths: object, **given: object) -> Study:
    return toy_study((Phase.PORTAL_VENOUS,))


def test_analyze_runs_every_package_in_the_folder(models: Path, tmp_path: Path) -> None:
    told = io.StringIO()
    run, _ = analyze_to_folder(
        arguments("-o", tmp_path / "run", "--models", models), stdout=told, parts=Parts(load=toy)
    )
    findings = run.findings
    assert [model.name for model in findings.models] == ["liversegnet", *STATED]
    assert set(findings.seconds) >= {"segment", "detect", "detect_portal_venous", "lesions", "classify", "slices"}
    assert findings.reading is not None
    assert not any("Not installed" in warning for warning in findings.warnings)
    assert findings.reading.reason in summary(run)
    log = run.log_path.read_text()
    assert "hccnet 0.0.1" in log
    assert "Wall time of detect_portal_venous" in log
    for stage in ("detect", "classify", "slices", "write"):
        assert f'"stage": "{stage}"' in told.getvalue()


def test_a_damaged_package_is_refused_before_the_exam_is_read(models: Path, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "models"
    shutil.copytree(models, folder)
    (folder / "nodulenet" / WEIGHTS).write_bytes(b"other")

    def load(*args: object, **given: object) -> Study:
        raise AssertionError("the exam was read")

    with pytest.raises(BundleError, match="nodulenet"):
        analyze_to_folder(
            arguments("-o", tmp_path / "run", "--models", folder), stdout=io.StringIO(), parts=Parts(load=load)
        )
    assert not (tmp_path / "run").exists()
