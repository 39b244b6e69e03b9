"""The recipe of PhaseComparisonNet: stacks of exams, lesions put in, what is drawn, what validation chooses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from liverai_fakes import ToySegmentation
from stage_exams import ART, LIVER_HU, PV, SeesLiver, toy_stack

from LiverAILib.analysis.compare import Compared, JointWeights
from LiverAILib.analysis.phase_stack import PhaseStack
from LiverAILib.analysis.region_facts import RegionWeights
from LiverAILib.errors import StudyError
from LiverAILib.networks import phase_comparison as network_module
from LiverAILib.networks.phase_comparison import HU_SCALE, PhaseComparisonPreset
from LiverAILib.study import Phase, Source, Volume
from LiverAILib.training.phase_comparison import (
    ComparisonRecipe,
    ComparisonTask,
    found_regions,
    train_comparison,
)
from LiverAILib.training.pools import PoolOptions, fill_with_exams, training_phantom
from LiverAILib.training.stack_implants import implant_in_stack
from LiverAILib.training.stack_parts import PORTAL
from LiverAILib.training.stacks import MOST_WEIGHT, StackSample, exam_stack, lesion_weights
from LiverAILib.training.validated_comparison import (
    ALONE,
    ComparedExam,
    alone_of,
    choose_joint,
    choose_regions,
    comparison_results,
    outcome_of,
    regions_in,
)

SPACING = (4.0, 1.5, 1.5)
RECIPE = ComparisonRecipe(preset="tiny", steps=4, batch=2, size=(8, 32, 32), warmup=2)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def task(monkeypatch: pytest.MonkeyPatch) -> ComparisonTask:
    monkeypatch.setitem(network_module.PRESETS, "tiny", PhaseComparisonPreset((4, 6, 8)))
    return ComparisonTask([toy_stack(lesion=True), toy_stack(lesion=False)], [toy_stack(lesion=True)], RECIPE)


def test_a_phantoms_stack_shows_its_lesions_in_their_places_and_comes_back_from_its_file(tmp_path: Path) -> None:
    phantom = next(exam for exam in map(training_phantom, range(20)) if len(exam.truth.lesions))
    stack = exam_stack(phantom, {phase: phantom.liver_mask(phase) for phase in phantom.study.volumes})
    stack.save(tmp_path / "stack.npz")
    again = StackSample.load(tmp_path / "stack.npz")
    assert again.spacing_mm == stack.spacing_mm
    for key in ("hu", "present", "liver", "ids", "real"):
        assert torch.equal(getattr(again, key), getattr(stack, key))
    assert stack.present.all()
    assert stack.hu.shape[1:] == stack.ids.shape == stack.liver.shape
    reference = phantom.lesion_ids[PV]
    voxel_ml = phantom.study.volumes[PV].voxel_ml
    for lesion in phantom.truth.lesions:
        true = np.count_nonzero(reference == lesion.id) * voxel_ml
        assert float((stack.ids == lesion.id).sum()) * stack.voxel_ml == pytest.approx(true, rel=0.2, abs=0.1)
    assert float((stack.liver > 127).sum()) * stack.voxel_ml == pytest.approx(
        np.count_nonzero(phantom.liver_mask(PV)) * voxel_ml, rel=0.05
    )
    assert not stack.real.any()


def test_the_smaller_a_lesion_the_more_its_voxels_count() -> None:
    ids = torch.zeros((10, 40, 40), dtype=torch.uint8)
    ids[:5] = 1
    ids[6, :10, :10] = 2
    ids[8, 0, 0] = 3
    weights = lesion_weights(ids, 0.02)
    assert weights[[0, 1]].tolist() == [1, 1]
    assert 1 < weights[2] < weights[3] <= MOST_WEIGHT


def test_implants_lie_in_the_liver_look_different_and_leave_the_rest_alone() -> None:
    plain = toy_stack(lesion=False)
    hu = torch.full((3, *plain.ids.shape), float(LIVER_HU)) + 3 * torch.randn(
        3, *plain.ids.shape, generator=generator()
    )
    liver, ids = plain.liver.float() / 255, plain.ids.long()
    put = 0
    for seed in range(12):
        level = torch.tensor([55.0, 75.0, 110.0])
        changed, more, placed = implant_in_stack(hu, liver, ids, level, SPACING, [None] * 3, generator(seed))
        assert len(placed) == int(more.max())
        lesions = more > 0
        put += int(more.max())
        assert not (lesions & (liver < 0.5)).any()
        assert torch.equal(changed[:, liver == 0], hu[:, liver == 0])
        assert lesions.any()
        again = implant_in_stack(hu, liver, ids, level, SPACING, [None] * 3, generator(seed))
        assert torch.equal(again[0], changed)
        assert float((changed - hu).abs().mean(dim=0)[lesions].mean()) > 5
    assert put > 18
    assert torch.equal(implant_in_stack(hu, 0 * liver, ids, level, SPACING, [None], generator())[0], hu)


def test_implants_are_numbered_on_and_do_not_touch_what_is_there() -> None:
    there = toy_stack(lesion=True)
    hu = torch.full((3, *there.ids.shape), float(LIVER_HU))
    for seed in range(8):
        liver, ids = there.liver.float() / 255, there.ids.long()
        changed, more, _ = implant_in_stack(
            hu, liver, ids, torch.full((3,), 110.0), SPACING, [None] * 4, generator(seed)
        )
        assert torch.equal(more == 1, ids == 1)
        assert torch.equal(changed[:, ids == 1], hu[:, ids == 1])
        assert set(more.unique().tolist()) <= set(range(6))


def test_a_step_draws_parts_of_one_size_with_lesions_that_weigh_more(task: ComparisonTask) -> None:
    shown, target, weight = task.draw(generator(1))
    assert shown.shape == (2, 7, 8, 32, 32)
    assert target.shape == weight.shape == (2, 8, 32, 32)
    again = task.draw(generator(1))
    assert all(torch.equal(a, b) for a, b in zip((shown, target, weight), again, strict=True))
    every = [task.draw(generator(seed)) for seed in range(30)]
    assert all(w[t > 0].min() >= 1 for _, t, w in every if t.any())
    beside = torch.cat([w[t == 0] for _, t, w in every]).unique().tolist()
    assert beside == pytest.approx([RECIPE.outside, 1.0])
    present = torch.cat([x[:, 3:6].amax(dim=(2, 3, 4)) for x, _, _ in every])
    assert (present[:, PORTAL] == 1).float().mean() > 0.9
    alone = present.sum(dim=1) == 1
    assert 0 < alone.float().mean() < 0.3
    assert (present[alone][:, PORTAL] == 1).all()


def test_without_variation_a_part_is_what_the_analysis_shows(task: ComparisonTask) -> None:
    still = replace(
        RECIPE, gain=0.0, shift_hu=0.0, noise_hu=0.0, misplaced=0.0, outlined=0.0, lost=0.0, implants=0.0, at_lesion=1.0
    )
    quiet = ComparisonTask([toy_stack(lesion=True)], [], still)
    shown, target, _ = quiet.draw(generator())
    lesion = target > 0
    assert lesion.any()
    assert shown[:, PORTAL][lesion].mean() == pytest.approx((60 - LIVER_HU) / HU_SCALE, abs=0.01)
    assert shown[:, 6][lesion].mean() == pytest.approx(1, abs=0.01)


def test_regions_are_held_against_lesions(task: ComparisonTask) -> None:
    one = toy_stack(lesion=True)
    probability = np.where(one.ids.numpy() > 0, 0.9, 0.0).astype(np.float32)
    probability[14:16, 20:24, 20:24] = 0.7
    found = found_regions(probability, one)
    assert sorted(found.scores.tolist()) == pytest.approx([0.7, 0.9])
    assert found.hits[found.scores > 0.8].tolist() == [[True]]
    assert found_regions(0 * probability, one).hits.shape == (0, 1)
    assert set(task.validate(task.network.eval())) == {"recall", "false positives a case"}


def test_a_training_goes_on_where_it_was_stopped(task: ComparisonTask, tmp_path: Path) -> None:
    whole, _ = train_comparison(task, tmp_path / "whole", say=lambda _: None)
    first = ComparisonTask(task.samples, task.validation, replace(RECIPE, steps=2))
    train_comparison(first, tmp_path / "parts", say=lambda _: None)
    second = ComparisonTask(task.samples, task.validation, RECIPE)
    parts, loop = train_comparison(second, tmp_path / "parts", say=lambda _: None)
    assert loop.step == 4
    assert parts.keys() == whole.keys()
    with pytest.raises(ValueError, match="needs exams or phantoms"):
        ComparisonTask([], [], RECIPE)


def test_a_pools_stacks_show_the_livers_that_an_analysis_would_find(tmp_path: Path) -> None:
    exam = training_phantom(3)

    class OneSliceLess(SeesLiver):
        def __call__(self, volume: Volume, progress: Callable[[float], None]) -> ToySegmentation:
            liver = next(exam.liver_mask(p) for p, known in exam.study.volumes.items() if known is volume).copy()
            liver[np.flatnonzero(liver.any(axis=(1, 2)))[0]] = False
            return ToySegmentation(liver, np.zeros(liver.shape, np.float32))

    class SeesNothing(SeesLiver):
        def __call__(self, volume: Volume, progress: Callable[[float], None]) -> ToySegmentation:
            nothing = np.zeros(volume.array.shape, np.float32)
            return ToySegmentation(nothing > 0, nothing)

    shown = {}
    for name, segmenter in (("true", None), ("found", OneSliceLess()), ("none", SeesNothing())):
        options = PoolOptions(kinds=("stack",), segmenter=segmenter)  # type: ignore[arg-type]
        fill_with_exams(tmp_path / name, lambda _: exam, "phantom", [3], options, say=lambda _: None)
        stack = StackSample.load(tmp_path / name / "stack_phantom_3.npz")
        shown[name] = float((stack.liver.float() / 255).sum()) * stack.voxel_ml
    assert 0.8 * shown["true"] < shown["found"] < shown["true"]
    assert shown["none"] == shown["true"]


def test_frozen_parts_and_statistics_stay_to_the_bit_as_they_began(task: ComparisonTask, tmp_path: Path) -> None:
    kept = ("encoders.*convolution", "decoders.0")
    training = ComparisonTask(task.samples, task.validation, replace(RECIPE, frozen=kept))
    start = {key: value.clone() for key, value in training.network.state_dict().items()}
    weights, _ = train_comparison(training, tmp_path, say=lambda _: None)
    changed = {key for key, value in weights.items() if not torch.equal(value, start[key])}
    assert {"encoders.0.first.normal.bias", "decoders.1.unit.convolution.weight", "head.weight"} <= changed
    assert not [key for key in changed if "running" in key or key.startswith("decoders.0")]
    assert not [key for key in changed if key.startswith("encoders") and "convolution" in key]
    with pytest.raises(StudyError, match=r'no part "sideways" to freeze. Choose from encoders'):
        ComparisonTask(task.samples, [], replace(RECIPE, frozen=("sideways",)))


def compared(*, only_compared: bool = True, side: str = "exam") -> ComparedExam:
    """A small lesion that the segmentations do not see, a large one that they see, and a false one of theirs."""
    ids = np.zeros((10, 40, 40), np.uint8)
    ids[4:6, 5:12, 5:12], ids[2:8, 20:32, 20:32] = 1, 2
    segmented = np.where(ids == 2, 0.95, 0).astype(np.float32)
    segmented[4:6, 34:39, 5:10] = 0.9
    seen = np.where(ids > 0, 0.98, 0.01).astype(np.float32)
    return exam_of(ids, segmented, seen if only_compared else 0 * seen, (1, 2), side)


def exam_of(ids: np.ndarray, segmented: np.ndarray, seen: np.ndarray, made: tuple[int, ...], side: str) -> ComparedExam:
    probability = Volume(seen, np.diag([2.0, 2.0, 5.0, 1.0]), Source("toy", "phantom"))
    hu, liver = np.full((3, *ids.shape), 100, np.float32), np.ones(ids.shape, np.float32)
    stack = PhaseStack(hu, np.ones(3, np.bool_), liver, probability.affine)
    return ComparedExam(side, segmented, Compared(probability, seen, stack), ids, made, 0)


def test_the_weights_are_those_that_find_most_with_few_false_lesions() -> None:
    exams = [compared()] * 3
    alone = alone_of(exams)
    assert (alone.recall, alone.false) == (0.5, {"exam": 1.0})
    chosen = choose_joint(exams, alone_of(exams))
    assert (chosen.recall, chosen.false) == (1.0, {"exam": 0.0})
    assert chosen.dice == pytest.approx(1.0)
    extra, rows = comparison_results(exams)
    assert JointWeights(**extra["joint"]) == chosen.weights
    assert "regions" not in extra  # no region is a false one
    assert [(row["what"], row["value"]) for row in rows][:2] == [("recall", 1.0), ("false positives an exam", 0.0)]
    assert comparison_results([]) == ({}, [])
    nothing = [compared(only_compared=False)]
    assert choose_joint(nothing, alone_of(nothing)).recall == 0.5


def test_lesions_outside_the_liver_that_was_found_count_as_missed() -> None:
    assert alone_of([replace(compared(), missed=2)]).recall == 0.25


def spots(side: str, *, false_peak: float) -> ComparedExam:
    """Four small lesions of which all are sure, and four large regions that are none."""
    ids, seen = np.zeros((10, 60, 60), np.uint8), np.full((10, 60, 60), 0.01, np.float32)
    for k in range(4):
        ids[4:6, 3:6, 4 + 14 * k : 7 + 14 * k] = k + 1
        seen[2:8, 20:32, 2 + 14 * k : 12 + 14 * k] = false_peak
    seen[ids > 0] = 0.93
    return exam_of(ids, seen.copy(), seen, (1, 2, 3, 4), side)


def test_regions_are_told_apart_where_peaks_are_not_and_each_side_has_few_false_ones() -> None:
    exams = [spots("exam", false_peak=0.95), spots("phantom", false_peak=0.95), spots("learnt", false_peak=0.99)] * 3
    assert alone_of(exams).false == {"exam": 4.0, "phantom": 4.0}
    chosen = choose_joint(exams, alone_of(exams))
    assert chosen.regions is not None
    assert (chosen.recall, chosen.false) == (1.0, {"exam": 0.0, "phantom": 0.0})
    extra, rows = comparison_results(exams)
    assert RegionWeights(**extra["regions"]).volume < 0
    assert [(row["on"], row["n"]) for row in rows if row["what"] == "false positives an exam"][:2] == [
        ("exams of three phases on validation patients", 3),
        ("phantoms", 3),
    ]


def test_a_side_that_can_not_be_told_apart_decides_how_sure_a_region_has_to_be() -> None:
    good = [regions_in(spots("exam", false_peak=0.7), JointWeights(0.0, 1.0))] * 3
    assert all(not one.false.any() for one in good)  # 0.7 is under the least peak
    bad = regions_in(replace(compared(only_compared=False), side="phantom"), JointWeights(1.0, 0.0))
    assert bad.false.sum() == 1
    weights = choose_regions([*good, bad])
    assert weights is not None
    assert not (bad.sureness(weights)[bad.false] >= 0).any()
    assert outcome_of([*good, bad], ALONE, weights).false == {"exam": 0.0, "phantom": 0.0}


def test_stacks_have_the_phases_that_the_network_takes() -> None:
    assert network_module.PHASES == 3
    assert (Phase.NON_CONTRAST, ART, PV)[PORTAL] is PV
