"""Lesions from probability maps: labels, measures, and the joining of phases."""

from __future__ import annotations

import numpy as np
import pytest

from LiverAILib.analysis.lesions import MIN_LESION_ML, axial_diameters, find_lesions, label_lesions
from LiverAILib.analysis.segment import Segmentation
from LiverAILib.study import Phase, Source, Study, Volume

SHAPE = (24, 80, 80)
SPACING = (4.0, 1.5, 1.5)


def volume(
    shift_mm: tuple[float, float, float] = (0, 0, 0), hu: int = 100, direction: np.ndarray | None = None
) -> Volume:
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3) if direction is None else direction) * np.array(SPACING[::-1])
    affine[:3, 3] = shift_mm
    return Volume(np.full(SHAPE, hu, np.int16), affine, Source("test", "phantom"))


def ball(centre_zyx: tuple[float, float, float], radius_mm: float) -> np.ndarray:
    z, y, x = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    square = sum(((g - c) * s) ** 2 for g, c, s in zip((z, y, x), centre_zyx, SPACING, strict=True))
    return square <= radius_mm**2


def segmentation(liver: np.ndarray, *lesions: np.ndarray) -> Segmentation:
    probability = np.zeros(SHAPE, np.float32)
    for lesion in lesions:
        probability[lesion] = 0.9
    return Segmentation(liver, probability * liver)


LIVER = ball((12, 40, 40), 40)


def test_a_ball_is_measured_to_the_pixel() -> None:
    lesion = ball((12, 40, 40), 15)
    found = find_lesions(
        Study({Phase.PORTAL_VENOUS: volume()}), {Phase.PORTAL_VENOUS: segmentation(LIVER, lesion)}
    ).lesions
    assert len(found) == 1
    assert found[0].diameter_mm == pytest.approx(30, abs=2)
    assert found[0].perpendicular_mm == pytest.approx(30, abs=2)
    assert found[0].volume_ml == pytest.approx(lesion.sum() * np.prod(SPACING) / 1000, abs=1e-3)
    assert found[0].centre_lps_mm == pytest.approx((60, 60, 48), abs=0.1)
    assert found[0].mean_hu == {Phase.PORTAL_VENOUS: 100}


def test_the_diameters_of_a_slanted_box_are_its_diagonal_and_the_width_across() -> None:
    mask = np.zeros(SHAPE, bool)
    mask[5, 10:30, 10:50] = True
    longest, across = axial_diameters(mask, volume())
    assert longest == pytest.approx(np.hypot(30, 60), abs=2)
    assert across == pytest.approx(2 * 30 * 60 / np.hypot(30, 60), abs=3)


def test_diameters_are_axial_in_whatever_order_the_axes_are_stored() -> None:
    mask = np.zeros(SHAPE, bool)
    mask[5:15, 10:30, 10:20] = True
    direction = np.array([[0, 0, 1.0], [0, 1, 0], [-1, 0, 0]])  # the array's first axis runs to the left
    longest, across = axial_diameters(mask, volume(direction=direction))
    assert longest == pytest.approx(np.hypot(40, 30), abs=4)
    assert across <= longest


def test_one_pixel_has_the_pixels_side_as_diameter() -> None:
    mask = np.zeros(SHAPE, bool)
    mask[3, 4, 5] = True
    assert axial_diameters(mask, volume()) == pytest.approx((1.5, 1.5))


def test_touching_corners_make_one_lesion_and_specks_make_none() -> None:
    probability = np.zeros(SHAPE, np.float32)
    probability[4:8, 4:10, 4:10] = 0.8
    probability[8:10, 10:14, 10:14] = 0.8
    probability[20, 70, 70] = 0.95
    ids = label_lesions(probability, voxel_ml=MIN_LESION_ML / 2)
    assert ids.max() == 1
    assert ids[5, 5, 5] == ids[9, 11, 11] == 1
    assert ids[20, 70, 70] == 0


def test_sixty_metastases_are_numbered_by_size() -> None:
    probability = np.zeros((24, 120, 120), np.float32)
    for number in range(60):
        y, x = divmod(number, 8)
        probability[2 : 4 + number % 3, 14 * y : 14 * y + 6, 14 * x : 14 * x + 6] = 0.9
    ids = label_lesions(probability, voxel_ml=0.01)
    sizes = np.bincount(ids.ravel())[1:]
    assert len(sizes) == 60
    assert (np.diff(sizes) <= 0).all()


def test_a_region_that_nowhere_convinces_is_dropped() -> None:
    probability = np.zeros(SHAPE, np.float32)
    probability[4:8, 4:10, 4:10] = 0.4
    assert label_lesions(probability, 0.01).max() == 0


def test_a_lesion_seen_only_in_the_arterial_phase_is_found_at_its_place_on_the_reference_grid() -> None:
    moved_liver, moved_lesion = ball((15, 40, 40), 40), ball((15, 48, 40), 9)
    origin = (3.0, -6.0, 10.0)  # the arterial scan has another origin too
    study = Study({Phase.ARTERIAL: volume(origin, hu=70), Phase.PORTAL_VENOUS: volume(hu=110)})
    measured = find_lesions(
        study,
        {Phase.ARTERIAL: segmentation(moved_liver, moved_lesion), Phase.PORTAL_VENOUS: segmentation(LIVER)},
    )
    assert len(measured.lesions) == 1
    assert measured.lesions[0].centre_lps_mm == pytest.approx((60, 72, 48), abs=2.5)
    assert measured.lesions[0].mean_hu == {Phase.ARTERIAL: 70, Phase.PORTAL_VENOUS: 110}


def test_a_phase_that_does_not_cover_the_lesion_has_no_mean_hu() -> None:
    lesion = ball((20, 40, 40), 9)
    far = volume((0, 0, -70), hu=50)  # ends below the lesion
    study = Study({Phase.ARTERIAL: far, Phase.PORTAL_VENOUS: volume()})
    measured = find_lesions(
        study, {Phase.ARTERIAL: segmentation(np.zeros(SHAPE, bool)), Phase.PORTAL_VENOUS: segmentation(LIVER, lesion)}
    )
    assert measured.lesions[0].mean_hu == {Phase.PORTAL_VENOUS: 100}
    assert any("arterial" in warning for warning in measured.warnings)


def test_no_liver_gives_no_lesion_and_says_so() -> None:
    empty = segmentation(np.zeros(SHAPE, bool))
    measured = find_lesions(Study({Phase.PORTAL_VENOUS: volume()}), {Phase.PORTAL_VENOUS: empty})
    assert measured.lesions == []
    assert "No liver" in measured.warnings[0]


def test_a_liver_near_the_end_of_the_networks_window_is_said() -> None:
    study = Study({Phase.ARTERIAL: volume(hu=80), Phase.PORTAL_VENOUS: volume(hu=155)})
    measured = find_lesions(study, {Phase.ARTERIAL: segmentation(LIVER), Phase.PORTAL_VENOUS: segmentation(LIVER)})
    assert [warning for warning in measured.warnings if "155 HU" in warning] == measured.warnings
    assert "portal venous" in measured.warnings[0]


def test_a_phase_in_which_the_whole_liver_looks_like_lesion_is_not_believed_against_another() -> None:
    liver, lesion = ball((12, 40, 40), 30), ball((12, 40, 40), 8)
    volumes = {Phase.ARTERIAL: volume(), Phase.PORTAL_VENOUS: volume()}
    fatty, plain = segmentation(liver, liver), segmentation(liver, lesion)
    measured = find_lesions(Study(volumes), {Phase.ARTERIAL: fatty, Phase.PORTAL_VENOUS: plain})
    assert np.array_equal(measured.lesion_ids > 0, lesion)
    assert "arterial phase 100% of the liver looks like lesion" in measured.warnings[0]
    turned = find_lesions(Study(volumes), {Phase.ARTERIAL: plain, Phase.PORTAL_VENOUS: fatty})
    assert np.array_equal(turned.lesion_ids > 0, lesion)
    both = find_lesions(Study(volumes), {Phase.ARTERIAL: fatty, Phase.PORTAL_VENOUS: fatty})
    assert np.array_equal(both.lesion_ids > 0, liver)
    assert len(both.warnings) == 2
    assert "Check whether it is a lesion" in both.warnings[0]


def test_the_non_contrast_phase_counts_where_no_other_does() -> None:
    liver, lesion, false = ball((12, 40, 40), 36), ball((12, 46, 40), 9), ball((12, 28, 40), 9)
    found = {
        Phase.NON_CONTRAST: segmentation(liver, false),
        Phase.ARTERIAL: segmentation(liver),
        Phase.PORTAL_VENOUS: segmentation(liver, lesion),
    }
    for wanted, phases in ((lesion, list(found)), (false, [Phase.NON_CONTRAST])):
        study = Study({phase: volume() for phase in phases})
        measured = find_lesions(study, {phase: found[phase] for phase in phases})
        assert np.array_equal(measured.lesion_ids > 0, wanted)
    flooded = found | {phase: segmentation(liver, liver) for phase in (Phase.ARTERIAL, Phase.PORTAL_VENOUS)}
    measured = find_lesions(Study({phase: volume() for phase in flooded}), flooded)
    assert np.array_equal(measured.lesion_ids > 0, false)
