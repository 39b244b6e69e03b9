"""overview.png: outlines where the lesions are, seen from the feet, for any orientation of the volume."""

import numpy as np
import pytest
from liverai_fakes import ToySegmenter, toy_lesions, toy_study

from LiverAILib.analysis.pipeline import analyze
from LiverAILib.export.overview import PANEL, draw_overview
from LiverAILib.export.seg_nrrd import LIVER_COLOUR, lesion_colour
from LiverAILib.study import Phase, Study, Volume


def picture(study: Study) -> np.ndarray:
    return np.asarray(draw_overview(analyze(study, ToySegmenter(), lesion_finder=toy_lesions), study))


def centre_of(pixels: np.ndarray, colour: tuple[float, float, float]) -> np.ndarray:
    """Mean (row, column) of one colour in the first column of CT panels, the labels' smoothed edges aside."""
    wanted = np.round(255 * np.array(colour))
    where = np.argwhere((pixels[: PANEL + 100, : PANEL + 6] == wanted).all(axis=-1))
    assert len(where) > 20
    return where.mean(axis=0)


def reoriented(volume: Volume, order: tuple[int, int, int], flips: tuple[bool, bool, bool]) -> Volume:
    """The same volume stored otherwise: axes permuted and flipped, affine to match."""
    array = np.transpose(volume.array, order)
    to_old = np.zeros((4, 4))
    to_old[3, 3] = 1
    for new, old in enumerate(order):  # in array order; the affine is in x, y, z order
        size = array.shape[new]
        to_old[2 - old, 2 - new] = -1 if flips[new] else 1
        to_old[2 - old, 3] = size - 1 if flips[new] else 0
    array = np.flip(array, [axis for axis in range(3) if flips[axis]])
    return Volume(np.ascontiguousarray(array), volume.affine @ to_old, volume.source)


def test_the_patients_right_is_on_the_left_and_the_front_is_up() -> None:
    pixels = picture(toy_study((Phase.PORTAL_VENOUS,)))
    first, second = centre_of(pixels, lesion_colour(1)), centre_of(pixels, lesion_colour(2))
    assert first[1] < second[1]  # lesion 1 has the smaller x, and x runs to the patient's left
    assert first[0] < second[0]  # and the smaller y, which runs to the back


@pytest.mark.parametrize(
    ("order", "flips"),
    [((0, 1, 2), (True, False, False)), ((2, 0, 1), (False, True, False)), ((1, 2, 0), (True, True, True))],
)
def test_the_picture_does_not_depend_on_how_the_volume_is_stored(
    order: tuple[int, int, int], flips: tuple[bool, bool, bool]
) -> None:
    study = toy_study((Phase.PORTAL_VENOUS,))
    other = Study({Phase.PORTAL_VENOUS: reoriented(study.volumes[Phase.PORTAL_VENOUS], order, flips)})
    one, two = picture(study), picture(other)
    for colour in (lesion_colour(1), lesion_colour(2), LIVER_COLOUR):
        np.testing.assert_allclose(centre_of(one, colour), centre_of(two, colour), atol=3)


def test_each_phase_has_a_column() -> None:
    for count in (2, 3, 4):
        assert picture(toy_study(tuple(Phase)[:count])).shape[1] == count * (PANEL + 6) + 6


def test_heat_is_drawn_where_the_probability_is() -> None:
    pixels = picture(toy_study((Phase.PORTAL_VENOUS,))).astype(int)
    beside = pixels[:, PANEL + 12 :][: PANEL + 80]
    warm = np.argwhere(beside[..., 0] - beside[..., 2] > 60)
    above = centre_of(pixels, lesion_colour(1))
    assert abs(warm - (above - [0, 6])).max(axis=1).min() < 12  # the heat stands beside its outline
    cold = picture(toy_study((Phase.PORTAL_VENOUS,), lesions=0)).astype(int)[90 : PANEL + 80, PANEL + 12 :]
    assert (cold[..., 0] - cold[..., 2]).max() < 10


def test_no_liver_and_a_phase_elsewhere_still_give_a_picture() -> None:
    study = toy_study((Phase.ARTERIAL, Phase.PORTAL_VENOUS))
    far = study.volumes[Phase.ARTERIAL]
    affine = far.affine.copy()
    affine[2, 3] += 5000
    moved = Study(dict(study.volumes) | {Phase.ARTERIAL: Volume(far.array, affine, far.source)})
    assert picture(moved).shape == picture(study).shape
    air = Volume(np.full((6, 8, 8), -900, np.int16), np.eye(4), far.source)
    assert picture(Study({Phase.ARTERIAL: air})).shape[1] > 2 * PANEL
