"""A phantom exam hangs together: anatomy, enhancement, lesions, truth, speed."""

from __future__ import annotations

import time

import numpy as np
import pytest

from LiverAILib.errors import StudyError
from LiverAILib.lesion_types import LesionType
from LiverAILib.phantom import LIVER_TISSUES, Phantom, PhantomOptions, Tissue, generate
from LiverAILib.study import Phase

PORTAL = (Phase.PORTAL_VENOUS,)
SMALL = PhantomOptions(spacing_mm=(5, 4, 4), liver_crop_mm=5)


def mean_hu(exam: Phantom, phase: Phase, tissue: Tissue) -> float:
    return float(exam.study.volumes[phase].array[exam.labels[phase] == tissue].mean())


def test_same_seed_gives_identical_arrays_and_another_seed_others() -> None:
    one, again, other = (generate(seed, phases=PORTAL, options=SMALL) for seed in (5, 5, 6))
    assert np.array_equal(one.study.volumes[PORTAL[0]].array, again.study.volumes[PORTAL[0]].array)
    assert np.array_equal(one.labels[PORTAL[0]], again.labels[PORTAL[0]])
    assert one.truth == again.truth
    assert one.truth != other.truth


def test_aorta_peaks_in_the_arterial_phase_and_fades(exam: Phantom) -> None:
    plain, arterial, portal, delayed = (mean_hu(exam, phase, Tissue.ARTERY) for phase in Phase)
    assert arterial > portal + 20
    assert portal > delayed > plain
    assert 25 < plain < 75  # blood, with its plaques and partial volume


def test_liver_is_brightest_in_the_portal_phase_and_the_spleen_earlier(exam: Phantom) -> None:
    liver = [mean_hu(exam, phase, Tissue.LIVER) for phase in Phase]
    spleen = [mean_hu(exam, phase, Tissue.SPLEEN) for phase in Phase]
    assert int(np.argmax(liver)) == 2
    assert spleen[1] - spleen[0] > liver[1] - liver[0] + 20


@pytest.mark.parametrize(
    ("tissue", "low", "high"),
    [(Tissue.LUNG, -920, -650), (Tissue.FAT, -125, -70), (Tissue.MUSCLE, 30, 80), (Tissue.BONE, 120, 700)],
)
def test_plain_tissues_have_their_usual_hounsfield_values(
    exam: Phantom, tissue: Tissue, low: float, high: float
) -> None:
    assert low < mean_hu(exam, Phase.NON_CONTRAST, tissue) < high


def test_every_tissue_of_the_trunk_is_there(exam: Phantom) -> None:
    present = set(np.unique(exam.labels[Phase.PORTAL_VENOUS]).tolist())
    optional = {Tissue.FLUID, Tissue.GALLBLADDER}  # no ascites in most patients; some gallbladders are out
    assert {int(t) for t in Tissue if t not in optional} <= present


def test_organs_lie_where_they_belong(exam: Phantom) -> None:
    volume, label = exam.study.volumes[Phase.PORTAL_VENOUS], exam.labels[Phase.PORTAL_VENOUS]
    place = {t: volume.to_lps(np.argwhere(label == t).mean(axis=0)) for t in Tissue if (label == t).any()}
    assert place[Tissue.LIVER][0] < 0 < place[Tissue.SPLEEN][0]  # right and left of the patient
    assert place[Tissue.STOMACH][0] > place[Tissue.LIVER][0]
    assert place[Tissue.KIDNEY][2] < place[Tissue.LIVER][2] < place[Tissue.LUNG][2]  # upwards
    assert place[Tissue.ARTERY][1] > place[Tissue.PANCREAS][1]  # backwards


@pytest.mark.parametrize("seed", [21, 22, 23])
def test_liver_volume_is_that_of_an_adult(seed: int) -> None:
    phantom = generate(seed, phases=PORTAL, options=PhantomOptions(spacing_mm=(5, 4, 4), liver_crop_mm=5, lesions=0))
    assert 900 < phantom.truth.liver.volume_ml[Phase.PORTAL_VENOUS] < 2600
    assert phantom.truth.lesions == ()
    assert not phantom.lesion_mask(Phase.PORTAL_VENOUS).any()


def test_lesions_are_part_of_the_liver_and_of_the_truth(exam: Phantom) -> None:
    assert {lesion.type for lesion in exam.truth.lesions} == {LesionType.HCC, LesionType.CYST, LesionType.HAEMANGIOMA}
    for phase in Phase:
        lesions = exam.lesion_mask(phase)
        assert np.array_equal(lesions, exam.labels[phase] == Tissue.LESION)
        assert not (lesions & ~exam.liver_mask(phase)).any()
        assert set(np.unique(exam.lesion_ids[phase])) - {0} <= {lesion.id for lesion in exam.truth.lesions}
    assert np.array_equal(exam.liver_mask(Phase.ARTERIAL), np.isin(exam.labels[Phase.ARTERIAL], LIVER_TISSUES))


def test_truth_gives_each_lesions_place_and_volume(exam: Phantom) -> None:
    for lesion in exam.truth.lesions:
        for phase, volume in exam.study.volumes.items():
            voxels = np.argwhere(exam.lesion_ids[phase] == lesion.id)
            if len(voxels) * volume.voxel_ml < 2:
                continue  # a few voxels only
            middle = volume.to_lps(voxels.mean(axis=0))
            assert np.abs(middle - lesion.centre_lps[phase]).max() < 0.3 * lesion.diameter_mm + 3
            assert len(voxels) * volume.voxel_ml == pytest.approx(lesion.volume_ml, rel=0.25)


def test_liver_moves_between_phases_as_the_truth_says(exam: Phantom) -> None:
    centre = {}
    for phase, volume in exam.study.volumes.items():
        centre[phase] = volume.to_lps(np.argwhere(exam.liver_mask(phase)).mean(axis=0))
    for phase in Phase:
        z, y, x = exam.truth.breathing_shift_mm[phase]
        moved = centre[phase] - centre[Phase.PORTAL_VENOUS]
        assert np.abs(moved - [x, y, z]).max() < 3.0
    assert any(abs(exam.truth.breathing_shift_mm[phase][0]) > 0.3 for phase in Phase)


def test_breathing_can_be_switched_off_and_phases_come_in_order_of_acquisition() -> None:
    options = PhantomOptions(spacing_mm=(5, 4, 4), liver_crop_mm=5, breathing=False)
    still = generate(3, phases=(Phase.PORTAL_VENOUS, Phase.ARTERIAL), options=options)
    assert list(still.study.volumes) == [Phase.ARTERIAL, Phase.PORTAL_VENOUS]
    assert np.array_equal(still.liver_mask(Phase.ARTERIAL), still.liver_mask(Phase.PORTAL_VENOUS))


def test_shape_and_spacing_are_as_asked(exam: Phantom) -> None:
    volume = exam.study.volumes[Phase.ARTERIAL]
    assert volume.array.shape == (52, 200, 200)
    assert volume.array.dtype == np.int16
    assert volume.spacing_mm == pytest.approx((5, 2, 2))


@pytest.mark.parametrize(
    "wrong",
    [
        {"shape": (0, 4, 4)},
        {"spacing_mm": (1, 0, 1)},
        {"lesions": 61},
        {"lesions": ("hcc", "wart")},
        {"lesions": "hcc"},
    ],
)
def test_senseless_options_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(StudyError):
        PhantomOptions(**wrong)  # type: ignore[arg-type]


def test_negative_seed_and_no_phase_are_refused() -> None:
    with pytest.raises(StudyError, match="seed"):
        generate(-1)
    with pytest.raises(StudyError, match="phase"):
        generate(1, phases=())


def test_three_phases_of_five_full_slices_are_quick() -> None:
    """60 slices must take less than 20 s on 2 cores: 40 core seconds. Measured in these, as the machine may be busy."""
    before = time.process_time()
    generate(2, options=PhantomOptions(shape=(5, 512, 512)))
    assert time.process_time() - before < 5
