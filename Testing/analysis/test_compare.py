"""The phases beside each other, and their comparison in an analysis."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from network_packages import STATED, write_packages
from stage_exams import (
    ART,
    LIVER_HU,
    PV,
    SeesLiver,
    affine,
    cropped,
    each,
    exam_volume,
    flipped,
    model,
    shifted,
    study_of,
)
from torch import Tensor, nn

from LiverAILib.analysis.compare import JointWeights, PhaseComparer, compare_phases
from LiverAILib.analysis.join import JointMap, join_phases
from LiverAILib.analysis.lesions import MIN_PEAK, THRESHOLD, find_lesions, lesions_in
from LiverAILib.analysis.networks import Networks, Stage
from LiverAILib.analysis.packages import find_packages, load_networks
from LiverAILib.analysis.phase_stack import STACK_PHASES, PhaseStack, StackFormat, stack_phases
from LiverAILib.analysis.pipeline import analyze
from LiverAILib.analysis.region_facts import RegionWeights
from LiverAILib.errors import BundleError
from LiverAILib.networks.phase_comparison import HU_SCALE
from LiverAILib.study import Phase, Source, Study, Volume

CPU = torch.device("cpu")
BRIGHT = ((20.0, 32.0, 30.0), 9.0, 150)  # over the liver's HU: the stand-in for the segmentation does not see it
DARK = ((18.0, 36.0, 50.0), 8.0, 40)
SMALL = ((18.0, 36.0, 54.0), 4.0, 150)
ONLY_COMPARED = JointWeights(0.0, 1.0)


class SeesDifference(nn.Module):
    """In place of the network: lesion where the arterial phase is far over its liver's HU."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.where((x[:, 1] > 0.5) & (x[:, 6] > 0.5), 12.0, -12.0)


def joint_of(study: Study) -> JointMap:
    return join_phases(study, {phase: SeesLiver()(volume, lambda _: None) for phase, volume in study.volumes.items()})  # type: ignore[misc]


def comparer(weights: JointWeights | None = None) -> PhaseComparer:
    return PhaseComparer(SeesDifference(), CPU, weights=weights)  # type: ignore[arg-type]


def stack_of(study: Study, taken: StackFormat | None = None) -> PhaseStack:
    joint = joint_of(study)
    return stack_phases(study.volumes, study.reference_phase, joint.liver, joint.shifts, taken)


def at(stack: PhaseStack, point: np.ndarray) -> tuple[int, int, int]:
    """The voxel of a stack that holds a point (LPS, mm)."""
    x, y, z = np.rint(np.linalg.inv(stack.affine) @ [*point, 1.0])[:3].astype(int)
    return int(z), int(y), int(x)


def test_phases_lie_over_each_other_on_a_grid_around_the_liver() -> None:
    study = study_of(arterial=[BRIGHT], portal_venous=[DARK])
    moved = Study(study.volumes | {ART: shifted(study.volumes[ART], (4.0, -8.0, 12.0))})
    for exam in (study, moved):
        stack = stack_of(exam)
        assert stack.present.tolist() == [False, True, True]
        assert stack.spacing_mm == pytest.approx((4.0, 1.5, 1.5), rel=0.02)
        assert (stack.hu[0] == 0).all()
        bright, dark = (exam.volumes[PV].to_lps(ball[0]) for ball in (BRIGHT, DARK))
        assert stack.hu[1][at(stack, bright)] == pytest.approx(150, abs=1)
        assert stack.hu[2][at(stack, bright)] == pytest.approx(LIVER_HU, abs=1)
        assert stack.hu[1][at(stack, dark)] == pytest.approx(LIVER_HU, abs=1)
        assert stack.hu[2][at(stack, dark)] == pytest.approx(40, abs=1)
        assert stack.liver[at(stack, dark)] == pytest.approx(1, abs=0.01)
        assert stack.liver.shape == stack.hu.shape[1:]


def test_a_stack_is_the_same_however_the_volumes_are_stored_and_whatever_else_was_scanned() -> None:
    study = study_of(arterial=[BRIGHT], portal_venous=[DARK])
    whole = stack_of(study)
    for change in (flipped, lambda volume: cropped(volume, 6), lambda volume: shifted(volume, (10, 20, -30))):
        other = stack_of(each(study, change))
        assert other.hu.shape == whole.hu.shape
        assert np.abs(other.hu - whole.hu).max() < 1e-2
        assert np.abs(other.liver - whole.liver).max() < 1e-4


def test_thin_slices_are_averaged_and_small_pixels_too() -> None:
    fine = exam_volume([DARK], shape=(60, 128, 144), spacing=(1.0, 0.75, 0.75), top=52)
    stack = stack_of(Study({PV: fine}), StackFormat(1.5, 2.0))
    assert stack.spacing_mm == pytest.approx((2.0, 1.5, 1.5), rel=0.03)
    ends = np.array([(0, 0, 0), np.array(stack.liver.shape) - 1])
    reach = np.ptp(Volume(stack.liver, stack.affine, Source("", "file")).to_lps(ends), axis=0)
    assert reach == pytest.approx(np.array([60, 54, 56]), abs=5)


def test_what_only_the_comparison_sees_becomes_a_lesion_and_what_it_does_not_see_stays() -> None:
    study = study_of(arterial=[BRIGHT], portal_venous=[DARK])
    found = {phase: SeesLiver()(volume, lambda _: None) for phase, volume in study.volumes.items()}
    assert len(find_lesions(study, found).lesions) == 1  # type: ignore[arg-type]
    compare = comparer(JointWeights(0.6, 1.0, 5.0))
    lesions = lesions_in(study, compare(study, joint_of(study))).lesions
    assert len(lesions) == 1
    assert lesions[0].mean_hu[ART] == pytest.approx(150, abs=12)
    both = comparer(JointWeights(1.0, 0.1, 3.0))
    lesions = lesions_in(study, both(study, joint_of(study))).lesions
    assert [lesion.mean_hu[PV] for lesion in lesions] == [pytest.approx(40, abs=5)]


def test_one_phase_alone_and_an_exam_without_a_liver_stay_as_they_are() -> None:
    for study in (
        study_of(portal_venous=[DARK]),
        study_of(portal_venous=[DARK], delayed=[DARK]),
        Study({ART: Volume(np.full((4, 8, 8), -90, np.int16), affine(), Source("a", "file"))}),
    ):
        joint = joint_of(study)
        assert comparer()(study, joint) is joint
        assert comparer().look(study, joint) is None


class SaysWhatItSees(nn.Module):
    """In place of the network: the arterial phase itself as logits."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, 1]


def test_what_is_seen_mirrored_and_enlarged_lies_where_it_was() -> None:
    z, y, x = np.indices((6, 25, 31), dtype=np.float32)
    hu = np.stack([0 * z, 100 + 2 * x - 3 * y + 5 * z, 0 * z]).astype(np.float32)
    stack = PhaseStack(hu, np.ones(3, np.bool_), np.ones(z.shape, np.float32), np.diag([1.5, 1.5, 4.0, 1.0]))
    found = compare_phases(SaysWhatItSees(), stack, CPU)  # type: ignore[arg-type]
    true = (hu[1] - stack.liver_hu[1]) / HU_SCALE
    inside = (slice(None), slice(2, -2), slice(2, -2))  # enlarging rounds the image's edge off
    assert np.abs(np.log(found / (1 - found)) - true)[inside].max() < 0.06  # bfloat16 where that is fast


def test_long_stacks_in_parts_are_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from LiverAILib.analysis import compare
    from LiverAILib.networks.phase_comparison import PhaseComparisonNet

    torch.manual_seed(0)
    network = PhaseComparisonNet().eval()
    rng = np.random.default_rng(0)
    shape = (41, 24, 24)
    stack = PhaseStack(
        rng.normal(60, 20, (3, *shape)).astype(np.float32),
        np.ones(3, np.bool_),
        np.ones(shape, np.float32),
        np.diag([1.5, 1.5, 4.0, 1.0]),
    )
    torch.nn.init.normal_(network.head.weight)
    whole = compare_phases(network, stack, CPU)
    assert np.ptp(whole) > 1e-3
    monkeypatch.setattr(compare, "PART_SLICES", 9)
    assert np.abs(compare_phases(network, stack, CPU) - whole).max() < 0.01 * np.ptp(whole)


def test_the_joint_probability_is_a_weighted_mean_of_logits() -> None:
    p, q = np.array([0.0, 0.9, 0.5], np.float32), np.array([0.0, 0.5, 0.2], np.float32)
    assert JointWeights(1.0, 0.0).joint(p, q) == pytest.approx([0, 0.9, 0.5], abs=1e-5)
    assert JointWeights(0.5, 0.5).joint(p, q)[1] == pytest.approx(0.75, abs=1e-5)
    assert JointWeights(0.5, 0.5, 1.0).joint(p, q)[2] == pytest.approx(1 / (1 + np.exp(-1) * 2), abs=1e-5)
    for wrong in ((-0.1, 1.0), (0.0, 0.0)):
        with pytest.raises(ValueError, match="can't be negative"):
            JointWeights(*wrong)


def test_an_analysis_states_the_comparison_and_leaves_it_out_with_another_finder() -> None:
    study = study_of(arterial=[BRIGHT], portal_venous=[DARK])
    stage = Stage(comparer(JointWeights(0.0, 1.0)), model("phasecomparison"), parameters={"joint_offset": 0.0})
    analysis = analyze(study, SeesLiver(), networks=Networks(comparison=stage))  # type: ignore[arg-type]
    assert [one.name for one in analysis.findings.models] == ["liversegnet", "phasecomparison"]
    assert analysis.findings.parameters["joint_offset"] == 0
    assert analysis.lesion_probability[~analysis.liver].max() == 0
    assert [lesion.mean_hu[ART] > 140 for lesion in analysis.findings.lesions] == [True]
    plain = analyze(study, SeesLiver(), networks=Networks(comparison=stage), lesion_finder=find_lesions)  # type: ignore[arg-type]
    assert [one.name for one in plain.findings.models] == ["liversegnet"]


def test_a_package_is_loaded_with_what_it_states(tmp_path) -> None:  # type: ignore[no-untyped-def]
    models = write_packages(tmp_path, ["phasecomparison"])
    networks = load_networks(find_packages(models), CPU)
    assert networks.comparison is not None
    run = networks.comparison.run
    assert isinstance(run, PhaseComparer)
    assert run.weights == JointWeights(0.25, 0.75, 1.0)
    assert run.taken == StackFormat(1.5, 2.0)
    assert run.phases == frozenset(STACK_PHASES)
    assert networks.parameters["joint_comparison"] == 0.75
    study = study_of(non_contrast=[DARK], arterial=[BRIGHT], portal_venous=[DARK])
    joint = joint_of(study)
    changed = run(study, joint)
    assert changed.probability.shape == joint.probability.shape
    assert not np.array_equal(changed.probability, joint.probability)
    only = PhaseComparer(run.network, CPU, phases=frozenset({Phase.PORTAL_VENOUS}))
    assert only(study, joint) is joint
    assert replace(joint, warnings=[]).liver.any()


def test_regions_are_lesions_as_their_facts_say_and_keep_their_outline() -> None:
    study = study_of(arterial=[BRIGHT, SMALL], portal_venous=[])
    joint = joint_of(study)
    plain = PhaseComparer(SeesDifference(), CPU, weights=ONLY_COMPARED)(study, joint)  # type: ignore[arg-type]
    found = lesions_in(study, plain).lesions
    assert len(found) == 2
    large, small = (lesion.volume_ml for lesion in found)
    middle = float(np.log(large * small) / 2)
    for sign, kept in ((1.0, large), (-1.0, small)):
        regions = RegionWeights(peak=0.0, volume=sign, bias=-sign * middle)
        compare = PhaseComparer(SeesDifference(), CPU, weights=ONLY_COMPARED, regions=regions)  # type: ignore[arg-type]
        sure = compare(study, joint)
        assert [lesion.volume_ml for lesion in lesions_in(study, sure).lesions] == [kept]
        assert ((sure.probability > THRESHOLD) == (plain.probability > THRESHOLD)).all()
        assert sure.probability.max() >= MIN_PEAK


def test_a_package_states_what_its_regions_count_by(tmp_path) -> None:  # type: ignore[no-untyped-def]
    stated = STATED["phasecomparison"] | {"regions": {"peak": 2.0, "bias": -1.5}}
    networks = load_networks(find_packages(write_packages(tmp_path, ["phasecomparison"], phasecomparison=stated)), CPU)
    assert networks.comparison is not None
    run = networks.comparison.run
    assert isinstance(run, PhaseComparer)
    assert run.regions == RegionWeights(peak=2.0, bias=-1.5)
    assert networks.parameters["region_peak"] == 2.0
    wrong = STATED["phasecomparison"] | {"regions": {"size": 2.0}}
    models = write_packages(tmp_path / "wrong", ["phasecomparison"], phasecomparison=wrong)
    with pytest.raises(BundleError, match=r"at regions\.size"):
        load_networks(find_packages(models), CPU)
