"""The pipeline: stages in order, every phase used, what is missing said. No network needed."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from liverai_fakes import ToySegmentation, ToySegmenter, toy_lesions, toy_study, toy_truth

from LiverAILib.analysis.lesions import THRESHOLD
from LiverAILib.analysis.pipeline import WEIGHTS, analyze
from LiverAILib.analysis.progress import Progress
from LiverAILib.study import Phase, PhaseOpinion, Source, Study, Volume


def test_the_findings_are_those_of_the_toy() -> None:
    study = toy_study()
    analysis = analyze(study, ToySegmenter(), lesion_finder=toy_lesions, device="cpu", threads=2)
    liver, labels = toy_truth()
    findings = analysis.findings
    voxel_ml = 1.2 * 1.2 * 2.5 / 1000
    assert findings.reference_phase is Phase.PORTAL_VENOUS
    assert findings.liver_ml == pytest.approx(liver.sum() * voxel_ml, abs=1e-3)
    assert [lesion.volume_ml for lesion in findings.lesions] == pytest.approx(
        [(labels == label).sum() * voxel_ml for label in (1, 2)]
    )
    for facts in findings.phases.values():
        assert facts.liver_hu == pytest.approx(110, abs=1)  # lesions are left out
        assert facts.liver_ml == findings.liver_ml
        assert facts.shape == liver.shape
        assert facts.spacing_mm == pytest.approx((2.5, 1.2, 1.2))
    assert findings.models[0].name == "toy"
    assert (findings.device, findings.threads) == ("cpu", 2)
    assert findings.clinical["age"] == 61
    assert findings.clinical["cirrhosis"] is None
    np.testing.assert_array_equal(analysis.lesion_ids, labels)


def test_the_same_study_gives_the_same_findings_twice() -> None:
    def once() -> dict[str, object]:
        findings = analyze(toy_study(), ToySegmenter(), lesion_finder=toy_lesions).findings
        return findings.model_dump(exclude={"seconds", "created_utc"})

    assert once() == once()


@pytest.mark.parametrize(
    ("phases", "reference", "missing"),
    [
        (tuple(Phase), Phase.PORTAL_VENOUS, []),
        ((Phase.DELAYED, Phase.ARTERIAL), Phase.DELAYED, ["non-contrast", "portal venous"]),
        ((Phase.ARTERIAL, Phase.NON_CONTRAST), Phase.ARTERIAL, ["portal venous"]),
        ((Phase.NON_CONTRAST,), Phase.NON_CONTRAST, ["arterial", "portal venous"]),
    ],
)
def test_any_subset_of_phases_is_a_study(phases: tuple[Phase, ...], reference: Phase, missing: list[str]) -> None:
    findings = analyze(toy_study(phases), ToySegmenter(), lesion_finder=toy_lesions).findings
    assert findings.reference_phase is reference
    assert set(findings.phases) == set(phases)
    assert [text.split(" phase")[0].removeprefix("There is no ") for text in findings.warnings] == missing


def test_a_study_without_a_liver_has_findings_without_numbers() -> None:
    empty = Volume(np.full((6, 8, 8), -900, np.int16), np.eye(4), Source("air", "file"))
    findings = analyze(Study({Phase.ARTERIAL: empty}), ToySegmenter(), lesion_finder=toy_lesions).findings
    assert findings.liver_ml == 0
    assert findings.lesions == []
    assert findings.phases[Phase.ARTERIAL].liver_hu is None


def edge_warnings(volume: Volume) -> list[str]:
    findings = analyze(Study({Phase.ARTERIAL: volume}), ToySegmenter(), lesion_finder=toy_lesions).findings
    return [text for text in findings.warnings if "lower bound" in text]


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (np.s_[9:], "the lower edge"),
        (np.s_[:12], "the upper edge"),
        (np.s_[5:14], "the lower and the upper edge"),
        (np.s_[:, 20:], "the front edge"),
        (np.s_[:, :40], "the back edge"),
        (np.s_[:, :, 20:], "the right edge"),
        (np.s_[:, :, :50], "the left edge"),
    ],
)
def test_a_liver_cut_off_by_the_edge_of_the_scan_is_said_so(part: tuple[slice, ...], words: str) -> None:
    whole = toy_study((Phase.ARTERIAL,)).volumes[Phase.ARTERIAL]
    (text,) = edge_warnings(whole.with_array(whole.array[part]))
    assert f"liver reaches {words} of the scan" in text


def test_the_cut_off_edge_is_named_in_whatever_order_the_axes_are_stored() -> None:
    whole = toy_study((Phase.ARTERIAL,)).volumes[Phase.ARTERIAL]
    cut = whole.array[9:].transpose(1, 2, 0)[:, :, ::-1]  # array axes y, x, z: x runs to the feet now
    affine = whole.affine[:, [2, 0, 1, 3]] * [-1, 1, 1, 1]
    (text,) = edge_warnings(Volume(np.ascontiguousarray(cut), affine, whole.source))
    assert "liver reaches the lower edge of the scan" in text


def test_a_whole_liver_is_not_called_cut_off() -> None:
    assert edge_warnings(toy_study((Phase.ARTERIAL,)).volumes[Phase.ARTERIAL]) == []


def test_the_findings_state_the_parameters_of_every_stage() -> None:
    findings = analyze(toy_study(), ToySegmenter()).findings
    assert findings.parameters["threshold_hu"] == 80  # the toy's own
    assert findings.parameters["lesion_threshold"] == THRESHOLD
    assert findings.parameters["lesion_min_ml"] == 0.05


@pytest.mark.parametrize(
    ("opinions", "confidence", "reason"),
    [
        ({}, 1.0, "given with the volume"),
        ({"user": PhaseOpinion(Phase.ARTERIAL, 1.0, "--arterial")}, 1.0, "--arterial"),
        (
            {"tags": PhaseOpinion(Phase.ARTERIAL, 0.6, "ART"), "pixels": PhaseOpinion(Phase.ARTERIAL, 0.8, "bright")},
            0.8,
            "pixels: bright; tags: ART",
        ),
    ],
)
def test_why_a_series_is_that_phase_is_kept(opinions: dict[str, PhaseOpinion], confidence: float, reason: str) -> None:
    volume = toy_study((Phase.ARTERIAL,)).volumes[Phase.ARTERIAL]
    study = Study({Phase.ARTERIAL: replace(volume, source=Source("series 4", "dicom", opinions=opinions))})
    facts = analyze(study, ToySegmenter(), lesion_finder=toy_lesions).findings.phases[Phase.ARTERIAL]
    assert (facts.confidence, facts.reason, facts.source) == (confidence, reason, "series 4")


def test_what_the_importer_and_the_lesion_finder_warn_of_reaches_the_findings() -> None:
    study = replace(toy_study(), warnings=("Series 4 is a derived one.",))

    def finder(study: Study, segmentations: object) -> object:
        return replace(toy_lesions(study, segmentations), warnings=["Lesion 2 is small."])  # type: ignore[arg-type]

    findings = analyze(study, ToySegmenter(), lesion_finder=finder).findings  # type: ignore[arg-type]
    assert findings.warnings == ["Series 4 is a derived one.", "Lesion 2 is small."]


def test_progress_rises_through_all_stages_and_times_them() -> None:
    told: list[tuple[str, float, str]] = []

    class Listener:
        def __call__(self, stage: str, fraction: float, message: str) -> None:
            told.append((stage, fraction, message))

        def close(self) -> None: ...

    ticks = iter(range(1000))
    progress = Progress(WEIGHTS, Listener(), clock=lambda: float(next(ticks)))
    analysis = analyze(toy_study(), ToySegmenter(), lesion_finder=toy_lesions, progress=progress)
    fractions = [fraction for _, fraction, _ in told]
    assert fractions == sorted(fractions)
    assert list(dict.fromkeys(stage for stage, _, _ in told)) == ["segment", "lesions"]
    assert any(message == "Segmenting the arterial phase (2 of 3)" for _, _, message in told)
    assert analysis.findings.seconds["segment_arterial"] == 1
    assert analysis.findings.seconds["segment"] == 7
    assert told[-1][1] == pytest.approx(0.9)


def test_a_segmenter_that_fails_is_not_covered_up() -> None:
    class Broken(ToySegmenter):
        def __call__(self, volume: Volume, progress: Callable[[float], None]) -> ToySegmentation:
            raise FloatingPointError

    with pytest.raises(FloatingPointError):
        analyze(toy_study(), Broken(), lesion_finder=toy_lesions)
