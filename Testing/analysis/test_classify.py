"""The classification stage: any lesion, any subset of phases, in order, and the same whatever the batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from LiverAILib.analysis.classify import classify_lesions
from LiverAILib.analysis.crops import Box, CropOptions, lesion_crop
from LiverAILib.analysis.joint_types import count_company, joint_probabilities
from LiverAILib.lesion_types import LesionType
from LiverAILib.networks.densenet3d import DenseNet3dPreset
from LiverAILib.networks.lesion_classifier import ClassifierPreset, LesionClassifier, encode_clinical, stack_phases
from LiverAILib.study import ClinicalRecord, Phase, Source, Volume

TINY = ClassifierPreset(
    DenseNet3dPreset(stem=4, growth=3, layers=(1, 1, 1, 1), bottleneck=2, out=6), features=20, hidden=8
)
SMALL = CropOptions(shape=(4, 32, 32))
RECORD = ClinicalRecord(age=61, hepatitis=True)
BOXES: list[Box] = [((2, 10, 10), (5, 30, 30)), ((4, 40, 50), (6, 44, 56)), ((0, 0, 0), (2, 8, 9))]


@pytest.fixture
def network() -> LesionClassifier:
    torch.manual_seed(1)
    return LesionClassifier(TINY).eval()


@pytest.fixture
def volumes() -> dict[Phase, Volume]:
    rng = np.random.default_rng(0)
    affine = np.diag([0.8, 0.8, 5.0, 1.0])
    return {
        phase: Volume(rng.integers(-40, 160, (8, 64, 70)).astype(np.int16), affine, Source("toy", "phantom"))
        for phase in Phase
    }


def test_each_lesion_gets_the_networks_answer_to_its_own_crops(
    network: LesionClassifier, volumes: dict[Phase, Volume]
) -> None:
    boxes = [{Phase.PORTAL_VENOUS: box, Phase.ARTERIAL: box} for box in BOXES]
    found = classify_lesions(network, volumes, boxes, RECORD, options=SMALL, batch=2)
    for box, probabilities in zip(BOXES, found, strict=True):
        crops = {phase: lesion_crop(volumes[phase], box, SMALL) for phase in (Phase.ARTERIAL, Phase.PORTAL_VENOUS)}
        images, present = stack_phases(crops)
        with torch.inference_mode():
            expected = network.probabilities(images[None], present[None], encode_clinical(RECORD)[None])[0]
        assert probabilities is not None
        assert list(probabilities) == list(LesionType)
        assert list(probabilities.values()) == pytest.approx(expected.tolist(), abs=1e-6)
        assert sum(probabilities.values()) == pytest.approx(1, abs=1e-5)


def test_lesions_seen_in_different_phases_go_in_one_batch(
    network: LesionClassifier, volumes: dict[Phase, Volume]
) -> None:
    boxes = [
        {Phase.PORTAL_VENOUS: BOXES[0], Phase.ARTERIAL: BOXES[0]},
        {Phase.NON_CONTRAST: BOXES[1]},
        {Phase.PORTAL_VENOUS: BOXES[2]},
    ]
    together = classify_lesions(network, volumes, boxes, RECORD, options=SMALL, batch=3)
    alone = [classify_lesions(network, volumes, [lesion], RECORD, options=SMALL)[0] for lesion in boxes]
    for first, second in zip(together, alone, strict=True):
        assert first is not None
        assert first == pytest.approx(second, abs=1e-6)


def test_lesions_are_typed_together_if_it_is_known_which_types_go_with_which(
    network: LesionClassifier, volumes: dict[Phase, Volume]
) -> None:
    company = count_company([[0, 0, 5], [1], [2, 2, 2], [3], [4, 5], [5], [6]], 7, trust=0.6)
    boxes = [{Phase.PORTAL_VENOUS: BOXES[0]}, {Phase.DELAYED: BOXES[0]}, {Phase.PORTAL_VENOUS: BOXES[2]}]
    found = classify_lesions(network, volumes, boxes, RECORD, options=SMALL, company=company)
    by_record = [
        [list((one or {}).values()) for one in classify_lesions(network, volumes, boxes[::2], record, options=SMALL)]
        for record in (RECORD, ClinicalRecord())
    ]
    expected = joint_probabilities(np.array(by_record[0]), np.array(by_record[1]), company)
    assert found[1] is None
    assert found[0] is not None
    assert found[2] is not None
    assert list(found[0].values()) == pytest.approx(expected[0].tolist(), abs=1e-5)
    assert list(found[2].values()) == pytest.approx(expected[1].tolist(), abs=1e-5)
    assert not np.allclose(list(found[0].values()), by_record[0][0], atol=1e-3)
    assert classify_lesions(network, volumes, [{}], RECORD, company=company) == [None]


def test_a_lesion_in_no_usable_phase_gets_none_and_the_others_keep_their_place(
    network: LesionClassifier, volumes: dict[Phase, Volume]
) -> None:
    boxes = [{Phase.DELAYED: BOXES[0]}, {Phase.ARTERIAL: BOXES[0]}, {}]
    found = classify_lesions(network, volumes, boxes, RECORD, options=SMALL)
    assert [probabilities is None for probabilities in found] == [True, False, True]


def test_sixty_lesions_are_done_in_batches_with_progress_and_none_is_fine(
    network: LesionClassifier, volumes: dict[Phase, Volume]
) -> None:
    steps: list[float] = []
    boxes = [{Phase.PORTAL_VENOUS: BOXES[k % 3]} for k in range(60)]
    found = classify_lesions(network, volumes, boxes, RECORD, options=SMALL, batch=16, progress=steps.append)
    assert len(found) == 60
    assert steps == pytest.approx([16 / 60, 32 / 60, 48 / 60, 1])
    assert found[0] == pytest.approx(found[57], abs=1e-6)
    assert classify_lesions(network, volumes, [], RECORD) == []
