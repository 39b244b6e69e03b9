"""Detection in a phase: linking over slices, the liver's part, grids, and the network on a stack of slices."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from LiverAILib.analysis.boxes3d import box_slices, boxes_from_canonical, boxes_to_canonical, finds
from LiverAILib.analysis.detect import DetectOptions, PhaseDetector, boxes_to_volume, detect_slices
from LiverAILib.analysis.grid import to_network
from LiverAILib.analysis.link import LinkOptions, SliceBoxes, link_slices, liver_share
from LiverAILib.analysis.segment import Segmentation
from LiverAILib.networks.detector import Detections
from LiverAILib.study import Source, Volume

CPU = torch.device("cpu")


def slice_boxes(*rows: tuple[float, float, float, float, float]) -> SliceBoxes:
    """Rows of y1, x1, y2, x2, score."""
    table = np.array(rows, dtype=np.float64).reshape(-1, 5)
    return SliceBoxes(table[:, :4], table[:, 4])


class DarkSpots(nn.Module):
    """Stands in for the detector: finds the dark region of each target slice, as one box a row-connected region."""

    neighbours = 5
    multiple = 32
    inputs = 1

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, x: Tensor) -> list[Detections]:
        from scipy import ndimage

        self.shapes.append(tuple(x.shape))
        found = []
        for plane in x[0, 0, 5:-5]:
            labels, _ = ndimage.label((plane > -0.9).numpy() & (plane < -0.4).numpy())
            boxes = [[p[0].start, p[1].start, p[0].stop, p[1].stop] for p in ndimage.find_objects(labels)]
            found.append(Detections(torch.tensor(boxes).reshape(-1, 4).float(), torch.full((len(boxes),), 0.9)))
        return found


def test_boxes_of_neighbouring_slices_become_one_lesion_with_their_mean_score() -> None:
    found = link_slices({4: slice_boxes((10, 10, 20, 20, 0.9)), 5: slice_boxes((8, 11, 19, 22, 0.5))})
    assert found.boxes.tolist() == [[4, 8, 10, 6, 20, 22]]
    assert found.scores.tolist() == pytest.approx([0.7])
    assert found.slices.tolist() == [2]


def test_a_gap_of_two_slices_is_bridged_and_one_of_three_is_not() -> None:
    box = (10, 10, 20, 20, 0.9)
    assert len(link_slices({4: slice_boxes(box), 7: slice_boxes(box)})) == 1
    assert len(link_slices({4: slice_boxes(box), 8: slice_boxes(box)})) == 2


def test_two_touching_lesions_stay_two() -> None:
    pair = slice_boxes((10, 10, 20, 20, 0.9), (10, 18, 20, 28, 0.8))
    found = link_slices({3: pair, 4: pair})
    assert found.boxes.tolist() == [[3, 10, 10, 5, 20, 20], [3, 10, 18, 5, 20, 28]]


def test_faint_boxes_are_left_out_and_faint_lesions_dropped() -> None:
    strong, faint, noise = (10, 10, 20, 20, 0.9), (40, 40, 50, 50, 0.3), (10, 10, 20, 20, 0.04)
    found = link_slices({1: slice_boxes(strong, faint), 2: slice_boxes(noise)})
    assert found.boxes.tolist() == [[1, 10, 10, 2, 20, 20]]
    assert found.scores.tolist() == [0.9]
    assert len(link_slices({1: slice_boxes(strong)}, LinkOptions(least_slices=2))) == 0


def test_sixty_metastases_stay_sixty_and_no_box_gives_none() -> None:
    places = [
        (12.0 * row, 12.0 * column, 12.0 * row + 8, 12.0 * column + 8, 0.8) for row in range(6) for column in range(10)
    ]
    every = slice_boxes(*places)
    assert len(link_slices(dict.fromkeys(range(5), every))) == 60
    assert len(link_slices({z: slice_boxes() for z in range(5)})) == 0
    assert len(link_slices({})) == 0


def test_the_published_linking_thresholds_are_the_defaults() -> None:
    assert LinkOptions() == LinkOptions(0.05, 0.5, 3, 0.384565, 1)


def test_the_liver_share_counts_the_boxes_voxels() -> None:
    liver = np.zeros((4, 10, 10), dtype=bool)
    liver[:, :, 5:] = True
    boxes = np.array([[0.0, 0, 3, 2, 4, 7], [0, 0, 0, 4, 4, 4]])
    assert liver_share(boxes, liver).tolist() == [0.5, 0]
    assert liver_share(np.zeros((0, 6)), liver).shape == (0,)


def test_a_box_finds_a_lesion_by_the_papers_rule_unless_it_is_far_too_large() -> None:
    true = np.array([[1.0, 2, 2, 4, 8, 8], [4, 12, 12, 6, 18, 18]])
    found = np.array([[1.0, 2, 2, 4, 6, 8], [0, 0, 12, 2, 4, 16], [0, 0, 0, 20, 40, 40]])
    assert finds(found, true).tolist() == [[True, False], [False, False], [False, False]]
    within = np.array([[1.0, 2, 2, 3, 4, 6]])  # a sixth of the first, all of it inside
    assert finds(within, true[:1]).all()
    assert finds(np.zeros((0, 6)), true).shape == (0, 2)


def test_a_box_has_at_least_one_voxel_of_the_volume() -> None:
    assert box_slices(np.array([1.0, 2.2, 3, 2, 2.4, 5]), (4, 5, 6)) == (slice(1, 2), slice(2, 3), slice(3, 5))
    assert box_slices(np.array([-3.0, 0, 9, -1, 5, 12]), (4, 5, 6)) == (slice(0, 1), slice(0, 5), slice(5, 6))


def test_turning_boxes_to_canonical_axes_agrees_with_turning_the_array_and_back() -> None:
    shape, order, flips = (4, 5, 6), (1, 2, 0), (True, False, True)
    array = np.zeros(shape)
    array[1:3, 0:2, 4:6] = 1
    box = np.array([[1.0, 0, 4, 3, 2, 6]])
    turned = boxes_to_canonical(box, shape, order, flips)
    view = np.flip(np.transpose(array, order), [0, 2])
    assert view[box_slices(turned[0], view.shape)].all()
    assert view.sum() == np.prod(turned[0, 3:] - turned[0, :3])
    assert np.array_equal(boxes_from_canonical(turned, shape, order, flips), box)


def test_only_liver_slices_and_the_region_around_the_liver_are_looked_at() -> None:
    image = torch.full((12, 96, 128), 0.5)
    image[5:7, 40:48, 60:72] = -0.6
    image[5:7, 4:8, 4:8] = -0.6  # far from the liver: never seen
    liver = np.zeros(image.shape, dtype=bool)
    liver[4:9, 32:64, 48:80] = True
    network = DarkSpots()
    found = detect_slices(network, image[None], liver, CPU)  # type: ignore[arg-type]
    assert network.shapes == [(1, 1, 15, 64, 64)]
    assert list(found) == [4, 5, 6, 7, 8]
    assert found[5].boxes.tolist() == [[40, 60, 48, 72]]
    assert [len(s.scores) for s in found.values()] == [0, 1, 1, 0, 0]


def test_a_long_liver_is_worked_on_in_parts_and_every_slice_is_there_once() -> None:
    image = torch.full((45, 32, 32), 0.5)
    network = DarkSpots()
    done: list[float] = []
    found = detect_slices(network, image[None], np.ones(image.shape, dtype=bool), CPU, done.append)  # type: ignore[arg-type]
    assert list(found) == list(range(45))
    assert [shape[2] for shape in network.shapes] == [30, 30, 15]
    assert done == pytest.approx([20 / 45, 40 / 45, 1])


def ct(array: np.ndarray, affine: np.ndarray) -> Volume:
    return Volume(array.astype(np.int16), affine, Source("test", "file"))


def segmented(liver: np.ndarray) -> Segmentation:
    """A liver in which the segmentation suspects nothing."""
    return Segmentation(liver, np.zeros(liver.shape, np.float32))


def dark_lesions() -> tuple[Volume, np.ndarray]:
    """A bright liver with one dark lesion at its dome, cut by the volume's end, and one dark spot outside it."""
    array = np.full((16, 60, 70), -10)
    liver = np.zeros(array.shape, dtype=bool)
    liver[4:, 10:50, 10:40] = True
    array[liver] = 110
    array[12:, 20:30, 20:30] = 10
    array[8:12, 20:30, 52:60] = 10
    array[~liver & (array != 10)] = 120
    return ct(array, np.diag([1.0, 1.0, 4.0, 1.0])), liver


def test_a_lesion_at_the_dome_is_found_where_it_is_and_one_outside_the_liver_is_not() -> None:
    volume, liver = dark_lesions()
    detector = PhaseDetector(DarkSpots(), CPU, DetectOptions(in_plane_mm=1.0))  # type: ignore[arg-type]
    found = detector(volume, segmented(liver))
    assert found.boxes.tolist() == [[12, 20, 20, 16, 30, 30]]
    assert found.slices.tolist() == [4]


def test_a_network_of_two_channels_is_shown_the_lesion_probability_where_it_is() -> None:
    volume, liver = dark_lesions()
    probability = np.zeros(liver.shape, np.float32)
    probability[12:, 20:30, 20:30] = 0.25
    shown: list[Tensor] = []

    class Watching(DarkSpots):
        inputs = 2

        def forward(self, x: Tensor) -> list[Detections]:
            shown.append(x)
            return super().forward(x[:, :1])

    detector = PhaseDetector(Watching(), CPU, DetectOptions(in_plane_mm=1.0))  # type: ignore[arg-type]
    assert len(detector(volume, Segmentation(liver, probability))) == 1
    image, suspected = shown[0][0]
    assert suspected.unique().tolist() == [-1, 0]  # 2 sqrt(p) - 1
    assert image[suspected == 0].unique().tolist() == [-0.5]  # 10 HU


def test_the_order_in_which_slices_and_axes_are_stored_changes_nothing_in_the_patient() -> None:
    volume, liver = dark_lesions()
    detector = PhaseDetector(DarkSpots(), CPU, DetectOptions(in_plane_mm=1.0))  # type: ignore[arg-type]
    corners = volume.to_lps(detector(volume, segmented(liver)).boxes.reshape(-1, 3) - 0.5)
    affine = volume.affine.copy()
    affine[:3, 3] = volume.to_lps([15, 59, 0])
    affine[:3, 1:3] *= -1
    turned = ct(np.ascontiguousarray(volume.array[::-1, ::-1]), affine)
    boxes = detector(turned, segmented(np.ascontiguousarray(liver[::-1, ::-1]))).boxes
    again = turned.to_lps(boxes.reshape(-1, 3) - 0.5)
    assert np.allclose(np.sort(corners, axis=0), np.sort(again, axis=0))


def test_boxes_come_back_from_another_spacing_averaged_slices_and_the_crop() -> None:
    array = np.full((20, 80, 80), -1000)
    array[:, 20:70, 16:72] = 50
    volume = ct(array, np.diag([0.8, 0.8, 1.0, 1.0]))
    image, grid = to_network(volume, 1.6)
    assert grid.averaged == 2
    assert image.shape[1] < 40
    inside = np.array([[2.0, 4, 4, 5, 10, 12]])
    back = boxes_to_volume(inside, grid)
    top, left = grid.crop[0].start, grid.crop[1].start
    assert np.allclose(back, [[4, 2 * (4 + top), 2 * (4 + left), 10, 2 * (10 + top), 2 * (12 + left)]])


def test_without_a_liver_nothing_is_found_and_another_grid_is_refused() -> None:
    volume, liver = dark_lesions()
    detector = PhaseDetector(DarkSpots(), CPU)  # type: ignore[arg-type]
    assert len(detector(volume, segmented(np.zeros_like(liver)))) == 0
    with pytest.raises(ValueError, match="not on the volume's grid"):
        detector(volume, segmented(liver[1:]))
