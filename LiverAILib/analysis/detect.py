"""Stage 2a: lesions of one phase as 3D boxes, from the lesion detector.

Only the slices that show liver are targets, and only the region around the liver is looked at; boxes of neighbouring
slices are linked (`link`), and a box with too little liver in it is dropped. The paper drops lesions "detected outside
the liver region", and its code those without a single liver voxel; here a tenth of the box has to be liver (0 as in the
code), so that a box of a neighbour that only touches the liver goes too.

A detector with two input channels is also shown the segmentation's lesion probability (see `networks.detector`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from LiverAILib.analysis.boxes3d import Boxes, FoundBoxes, boxes_from_canonical, no_boxes
from LiverAILib.analysis.grid import MIN_SLICE_MM, NetworkGrid, liver_part, map_on_grid, part_of, to_network
from LiverAILib.analysis.link import LinkOptions, SliceBoxes, link_slices, liver_share
from LiverAILib.analysis.segment import Segmentation, bfloat16_is_fast
from LiverAILib.analysis.slices import mask_on_grid
from LiverAILib.networks.detector import LesionDetector, suspicion
from LiverAILib.study import Volume

MARGIN_PIXELS = 16
CHUNK = 20  # target slices in one pass; ten more are read


@dataclass(frozen=True)
class DetectOptions:
    """in_plane_mm: pixel size the network works at. min_slice_mm: thinner slices are averaged. least_liver: share of a
    box that has to be liver.
    """

    in_plane_mm: float = 1.25
    min_slice_mm: float = MIN_SLICE_MM
    least_liver: float = 0.1
    link: LinkOptions = field(default_factory=LinkOptions)


def _region(lines: npt.NDArray[np.bool_], multiple: int) -> tuple[int, int]:
    """First and one past the last line around the marked ones, a multiple long; may reach beyond the image."""
    marked = np.flatnonzero(lines)
    low, high = int(marked[0]) - MARGIN_PIXELS, int(marked[-1]) + 1 + MARGIN_PIXELS
    spare = -(high - low) % multiple
    return low - spare // 2, high + spare - spare // 2


def detect_slices(
    network: LesionDetector,
    image: Tensor,
    liver: npt.NDArray[np.bool_],
    device: torch.device,
    progress: Callable[[float], None] = lambda _: None,
) -> dict[int, SliceBoxes]:
    """Boxes in each slice from the liver's first to its last.

    network: in evaluation mode on `device`. image: (channel, z, y, x) in [-1, 1], canonical axes. liver: (z, y, x), the
    same grid. Beyond the volume the end slices are repeated, and -1 is put beside it.
    """
    if not liver.any():
        return {}
    depth, height, width = image.shape[1:]
    shown = np.flatnonzero(liver.any(axis=(1, 2)))
    top, bottom = _region(np.asarray(liver.any(axis=(0, 2))), network.multiple)
    left, right = _region(np.asarray(liver.any(axis=(0, 1))), network.multiple)
    region = F.pad(image, (-left, right - width, -top, bottom - height), value=-1.0)  # negative numbers crop
    offset = np.array([top, left, top, left], dtype=np.float64)
    found = {}
    targets = range(int(shown[0]), int(shown[-1]) + 1)
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bfloat16_is_fast(device)):
        for start in targets[::CHUNK]:
            part = range(start, min(start + CHUNK, targets.stop))
            read = torch.arange(part.start - network.neighbours, part.stop + network.neighbours).clamp(0, depth - 1)
            for z, boxes in zip(part, network(region[None, :, read].to(device)), strict=True):
                placed = boxes.boxes.double().cpu().numpy() + offset
                found[z] = SliceBoxes(placed, boxes.scores.double().cpu().numpy())
            progress((part.stop - targets.start) / len(targets))
    return found


def boxes_to_volume(boxes: Boxes, grid: NetworkGrid) -> Boxes:
    """Boxes (n, 6) on the network's grid as boxes on the volume's own grid, cut to it."""
    in_plane = [full / size for full, size in zip(grid.full[1:], grid.resampled[1:], strict=True)]
    scale = np.array([grid.averaged, *in_plane])
    offset = np.array([0, grid.crop[0].start, grid.crop[1].start])
    placed = (boxes.reshape(-1, 2, 3) + offset) * scale
    placed = np.clip(placed, 0, grid.full).reshape(-1, 6)
    shape = [0, 0, 0]
    for axis, source in enumerate(grid.order):
        shape[source] = grid.full[axis]
    return boxes_from_canonical(placed, tuple(shape), grid.order, grid.flips)


@dataclass(frozen=True)
class Looked:
    """What was found in each slice of a volume. cut: the part that was looked at, on the volume's own grid. liver: (z,
    y, x) on the network's.
    """

    slices: dict[int, SliceBoxes]
    cut: tuple[slice, slice, slice]
    grid: NetworkGrid
    liver: npt.NDArray[np.bool_]


class PhaseDetector:
    """The lesion detector on one volume at a time."""

    def __init__(self, network: LesionDetector, device: torch.device, options: DetectOptions | None = None) -> None:
        self.options = options or DetectOptions()
        self.device = device
        self._network = network.to(device).eval()

    def __call__(
        self, volume: Volume, segmentation: Segmentation, progress: Callable[[float], None] = lambda _: None
    ) -> FoundBoxes:
        """Lesions as boxes on the volume's own grid, best first."""
        looked = self.look(volume, segmentation, progress)
        return no_boxes() if looked is None else self.join(looked, self.options.link)

    def look(
        self, volume: Volume, segmentation: Segmentation, progress: Callable[[float], None] = lambda _: None
    ) -> Looked | None:
        """The boxes of each slice; None without a liver."""
        liver = segmentation.liver
        cut = liver_part(volume, liver, self.options.min_slice_mm, self._network.neighbours)
        if cut is None:
            return None
        image, grid = to_network(part_of(volume, cut), self.options.in_plane_mm, self.options.min_slice_mm)
        on_grid = mask_on_grid(liver[cut], grid)
        channels = [image]
        if self._network.inputs > 1:
            channels.append(suspicion(map_on_grid(segmentation.lesion_probability[cut], grid)))
        slices = detect_slices(self._network, torch.stack(channels), on_grid, self.device, progress)
        return Looked(slices, cut, grid, on_grid)

    def join(self, looked: Looked, link: LinkOptions) -> FoundBoxes:
        """The boxes of slices linked to lesions on the volume's own grid, best first."""
        linked = link_slices(looked.slices, link)
        share = liver_share(linked.boxes, looked.liver)
        kept = linked.where((share > 0) & (share >= self.options.least_liver))
        place = np.array([axis.start for axis in looked.cut] * 2, dtype=np.float64)
        return FoundBoxes(boxes_to_volume(kept.boxes, looked.grid) + place, kept.scores, kept.slices)
