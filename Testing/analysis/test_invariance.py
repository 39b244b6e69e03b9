"""Where a scan lies, how its slices are stored and what else was scanned change nothing in the patient.

With random networks: these know no symmetry that could hide a difference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from network_packages import write_packages
from stage_exams import PV, SeesLiver, cropped, each, exam_volume, flipped, shifted, upwards

from LiverAILib.analysis.networks import Networks
from LiverAILib.analysis.packages import find_packages, load_networks
from LiverAILib.analysis.pipeline import Analysis, analyze
from LiverAILib.study import ClinicalRecord, Phase, Study, Volume

PELVIS = 11  # slices below the liver that may go


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Networks:
    few = {"operating_point": {"least_mean_score": 0.45}}
    models = write_packages(tmp_path_factory.mktemp("models"), lesiondetector=few)
    return load_networks(find_packages(models), torch.device("cpu"))


def exam(spacing: Sequence[float]) -> Study:
    """A noisy liver with two lesions in the arterial and the portal venous phase, and a pelvis below it."""
    rng = np.random.default_rng(3)
    volumes = {}
    for phase, level in ((Phase.ARTERIAL, 60), (PV, 30)):
        balls = [((20, 28, 24), 11.0, level), ((21, 40, 52), 7.0, 20)]
        still = exam_volume(balls, shape=(32, 64, 72), spacing=spacing, top=28)
        noise = rng.normal(0, 4, still.array.shape).round().astype(np.int16)
        volumes[phase] = still.with_array(still.array + noise)
    return Study(volumes, ClinicalRecord(age=70, hepatitis=True))


@pytest.fixture(scope="module", params=[(4.0, 1.5, 1.5), (1.3, 1.5, 1.5)], ids=["thick slices", "averaged slices"])
def study(request: pytest.FixtureRequest) -> Study:
    return exam(request.param)


@pytest.fixture(scope="module")
def whole(study: Study, networks: Networks) -> Analysis:
    found = analyze(study, SeesLiver(), networks=networks)
    assert found.findings.lesions, "the random detector has to find something to compare"
    return found


def in_patient(analysis: Analysis, study: Study, move: Sequence[float] = (0, 0, 0)) -> list[Any]:
    """All numbers of an analysis that are about the patient, moved back."""
    findings = analysis.findings
    numbers: list[Any] = []
    for lesion in findings.lesions:
        numbers += [*(np.array(lesion.centre_lps_mm) - move), lesion.volume_ml, lesion.diameter_mm]
        numbers += [lesion.perpendicular_mm, lesion.probability, *lesion.mean_hu.values()]
        assert lesion.type_probabilities is not None
        numbers += [*lesion.type_probabilities.values(), *lesion.saliency_share.values()]
    assert findings.hcc_risk is not None
    assert findings.reading is not None
    numbers += [findings.hcc_risk.unscaled, findings.hcc_risk.images, findings.reading.malignancy, findings.liver_ml]
    for phase, scores in findings.slice_scores.items():
        axis = study.volumes[phase]
        levels = [axis.to_lps([(first + last - 1) / 2, 0, 0])[2] - move[2] for first, last in scores.slices]
        numbers += [*levels, *scores.nodule]
    reference = study.volumes[study.reference_phase]
    spans = findings.hcc_risk.slices
    levels = [reference.to_lps([(first + last - 1) / 2, 0, 0])[2] - move[2] for first, last in spans]
    return [*numbers, *levels, *findings.hcc_risk.scores]


def words(analysis: Analysis) -> list[Any]:
    """All that is said and not counted."""
    said = [(lesion.id, lesion.found_in, lesion.approximate_in, lesion.verdict) for lesion in analysis.findings.lesions]
    assert analysis.findings.reading is not None
    return [*said, analysis.findings.reading.triage, analysis.findings.reading.worst]


MOVE = (13.7, -8.2, 101.3)
CHANGES: dict[str, tuple[Callable[[Volume], Volume], int, Sequence[float]]] = {
    "moved": (lambda volume: shifted(volume, MOVE), 0, MOVE),
    "stored from head to feet": (flipped, 0, (0, 0, 0)),
    "without the pelvis": (lambda volume: cropped(volume, 5), 5, (0, 0, 0)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_the_same_patient_gives_the_same_findings(
    study: Study, whole: Analysis, networks: Networks, change: tuple[Callable[[Volume], Volume], int, Sequence[float]]
) -> None:
    alter, gone, move = change
    other = each(study, alter)
    found = analyze(other, SeesLiver(), networks=networks)
    assert words(found) == words(whole)
    np.testing.assert_allclose(in_patient(found, other, move), in_patient(whole, study), atol=0.11, rtol=1e-4)
    for lesion, before in zip(found.findings.lesions, whole.findings.lesions, strict=True):
        # where nearly nothing surrounds a lesion, as in these toys, its contrast rests on a few voxels of the rim
        assert lesion.type_probabilities == pytest.approx(before.type_probabilities, abs=5e-3)
    reference = other.volumes[PV]
    np.testing.assert_array_equal(upwards(reference, found.lesion_ids), whole.lesion_ids[gone:])
    for phase, volume in other.volumes.items():
        same = upwards(volume, found.saliency[phase])
        np.testing.assert_allclose(same, whole.saliency[phase][gone:], atol=2 / 256)


def test_one_phase_stored_otherwise_than_the_other_changes_nothing(
    study: Study, whole: Analysis, networks: Networks
) -> None:
    other = replace(study, volumes={**study.volumes, Phase.ARTERIAL: flipped(study.volumes[Phase.ARTERIAL])})
    found = analyze(other, SeesLiver(), networks=networks)
    assert words(found) == words(whole)
    np.testing.assert_allclose(in_patient(found, other), in_patient(whole, study), atol=0.11, rtol=1e-4)
