"""Stage 1: liver and lesion probability in each phase, with LiverSegNet.

LiverSegNet looks twice: at the whole volume, and at the surroundings of the liver found there, with nothing beyond.
The real scans that it was trained on end shortly beyond the liver, so that is what it knows best, and the closer look
counts. If it shows more liver than was seen before, another follows.

Post-processing, all of it: a voxel is liver as surely as it is liver or lesion, since lesions are part of the liver;
the liver is the largest connected region of that over `LIVER_THRESHOLD`, its holes filled slice by slice; lesion
probability outside the liver is set to zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from LiverAILib.analysis.grid import MIN_SLICE_MM, WINDOW_HU, to_network
from LiverAILib.errors import BundleError
from LiverAILib.findings import Model
from LiverAILib.study import Volume

CHUNK = 64  # at most so many slices in one pass of the network
OVERLAP = 8
LIVER_THRESHOLD = 0.45  # see Docs/decisions.md
CLOSER_LOOK_MM = 25.0  # around the liver that was found before
CLOSER_LOOK_MOST = 0.9  # of the volume: a look at nearly the same would show nothing new
REACHES_ON_MM = 20.0  # surroundings that grow by more, so a liver 5 mm from their edge, call for another look
MOST_CLOSER_LOOKS = 3

Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Segmentation:
    """One phase on its own grid. liver: bool (z, y, x), lesions included. lesion_probability: float32 (z, y, x), 0
    outside the liver.
    """

    liver: npt.NDArray[np.bool_]
    lesion_probability: npt.NDArray[np.float32]


class Segmenter(Protocol):
    """What the pipeline needs of a segmentation model; `parameters` are recorded in the findings."""

    model: Model
    parameters: Mapping[str, float | int | str | bool]

    def __call__(self, volume: Volume, progress: Callable[[float], None]) -> Segmentation:
        """Segment one volume; `progress` is called with the fraction done."""
        ...


def bfloat16_is_fast(device: torch.device) -> bool:
    """Whether bfloat16 arithmetic has hardware behind it there."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    return device.type == "cpu" and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def predict(
    network: nn.Module, image: Tensor, device: torch.device, progress: Callable[[float], None] | None = None
) -> Tensor:
    """Probabilities (2, z, y, x) on the CPU, liver and lesion, of a windowed image (z, y, x) of any size.

    The image is worked on in overlapping groups of slices, blended linearly where they overlap.
    """
    depth, height, width = image.shape
    steps = cast("tuple[int, int, int]", network.multiple)
    least = cast("tuple[int, int, int]", network.least)
    count = max(1, -(-(depth - OVERLAP) // (CHUNK - OVERLAP)))  # as many passes as needed, of one length
    length = -(-(depth + (count - 1) * OVERLAP) // count)
    sizes = (length, height, width)
    chunk, rows, columns = (max(-(-n // k) * k, m) for n, k, m in zip(sizes, steps, least, strict=True))
    padded_depth = max(depth, chunk)
    pad = (0, columns - width, 0, rows - height, 0, padded_depth - depth)
    padded = F.pad(image[None], pad, value=-1.0)[0]
    starts = [(padded_depth - chunk) * number // max(count - 1, 1) for number in range(count)]
    total = torch.zeros((2, padded_depth, height, width))
    weights = torch.zeros(padded_depth, 1, 1)
    ramp = torch.arange(1, chunk + 1).minimum(torch.arange(chunk, 0, -1)).clamp(max=OVERLAP).float().view(-1, 1, 1)
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bfloat16_is_fast(device)):
        for number, start in enumerate(starts):
            batch = padded[None, None, start : start + chunk].to(device)
            probability = network(batch)[0, :, :, :height, :width].float().sigmoid().cpu()
            total[:, start : start + chunk] += probability * ramp
            weights[start : start + chunk] += ramp
            if progress:
                progress((number + 1) / len(starts))
    return (total / weights)[:, :depth]


def predict_closer(
    network: nn.Module,
    image: Tensor,
    spacing_mm: tuple[float, float, float],
    device: torch.device,
    progress: Callable[[float], None] = lambda _: None,
) -> Tensor:
    """`predict` on the image, then on the surroundings of the liver found there, where the closer look counts alone.

    Where the closer look shows that the liver reaches on, another follows, at the surroundings of what is liver now.
    spacing_mm: (z, y, x) of the image.
    """
    found = predict(network, image, device, lambda done: progress(0.6 * done))
    box = _liver_box(found, (slice(None),) * 3, spacing_mm)
    for number in range(MOST_CLOSER_LOOKS):
        if box is None or image[box].numel() > CLOSER_LOOK_MOST * image.numel():
            break
        found[(slice(None), *box)] = predict(network, image[box], device, _closer_progress(progress, number))
        wider = _liver_box(found, box, spacing_mm)
        if wider is None or not _reaches_beyond(wider, box, spacing_mm):
            break
        box = wider
    progress(1.0)
    return found


def _closer_progress(progress: Callable[[float], None], number: int) -> Callable[[float], None]:
    """Progress of one closer look: three quarters of what is left, as most often no other follows."""
    left = 0.4 * 0.25**number
    return lambda done: progress(1 - left * (1 - 0.75 * done))


def _liver_box(probability: Tensor, within: Box, spacing_mm: tuple[float, float, float]) -> Box | None:
    """The surroundings of the liver in a part of the image."""
    liver = np.zeros(probability.shape[1:], dtype=bool)
    liver[within] = largest_region((probability[(slice(None), *within)].amax(dim=0) > LIVER_THRESHOLD).numpy())
    return surroundings(liver, spacing_mm)


def _reaches_beyond(box: Box, other: Box, spacing_mm: tuple[float, float, float]) -> bool:
    """Whether a box goes more than `REACHES_ON_MM` beyond another on any side."""
    return any(
        max(own.stop - its.stop, its.start - own.start) * step > REACHES_ON_MM
        for own, its, step in zip(box, other, spacing_mm, strict=True)
    )


def surroundings(liver: npt.NDArray[np.bool_], spacing_mm: tuple[float, float, float]) -> Box | None:
    """The box around a mask and `CLOSER_LOOK_MM` on each side; None for an empty mask."""
    sides = []
    for axis, step in enumerate(spacing_mm):
        lines = np.flatnonzero(liver.any(axis=tuple(other for other in range(3) if other != axis)))
        if not len(lines):
            return None
        margin = round(CLOSER_LOOK_MM / step)
        sides.append(slice(max(int(lines[0]) - margin, 0), int(lines[-1]) + 1 + margin))
    return sides[0], sides[1], sides[2]


def largest_region(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The largest 6-connected region of a mask (empty stays empty)."""
    from scipy import ndimage

    labels, count = ndimage.label(mask)
    if count <= 1:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(labels == sizes.argmax())


def clean(probability: Tensor) -> Tensor:
    """Post-processing on the network's grid: liver to its largest region, holes filled, lesion only near it. (2, z,
    y, x).
    """
    from scipy import ndimage

    either = probability.amax(dim=0)
    liver = largest_region((either > LIVER_THRESHOLD).numpy())
    for plane in liver:
        if plane.any():
            plane |= ndimage.binary_fill_holes(plane)
    near = F.max_pool2d(torch.from_numpy(liver).float().unsqueeze(1), 3, stride=1, padding=1).squeeze(1) > 0
    filled = torch.where(torch.from_numpy(liver), either.clamp(min=LIVER_THRESHOLD + 0.001), either)
    return torch.stack([filled, probability[1]]) * near


def segment(
    network: nn.Module,
    volume: Volume,
    in_plane_mm: float,
    device: torch.device,
    *,
    min_slice_mm: float = MIN_SLICE_MM,
    progress: Callable[[float], None] = lambda _: None,
) -> Segmentation:
    """One volume on its own grid; the network works at `in_plane_mm`, on slices of `min_slice_mm` or more."""
    image, grid = to_network(volume, in_plane_mm, min_slice_mm)
    spacing = (grid.slice_mm(volume), in_plane_mm, in_plane_mm)
    probability = clean(predict_closer(network, image, spacing, device, lambda done: progress(0.9 * done)))
    # one map at a time: on a volume of 300 slices each takes 0.3 GB
    liver: npt.NDArray[Any] = grid.back(probability[:1])[0] > LIVER_THRESHOLD
    lesion = grid.back(probability[1:])[0]
    for plane, inside in zip(lesion, liver, strict=True):
        if plane.any():
            plane[~inside] = 0
    progress(1.0)
    return Segmentation(liver, lesion)


class LiverSegmenter:
    """LiverSegNet with its bundle's settings, as the pipeline's Segmenter."""

    def __init__(
        self,
        network: nn.Module,
        model: Model,
        in_plane_mm: float,
        device: torch.device,
        min_slice_mm: float = MIN_SLICE_MM,
    ) -> None:
        self.model = model
        self.device = device
        self.parameters: Mapping[str, float | int | str | bool] = {
            "in_plane_mm": in_plane_mm,
            "min_slice_mm": min_slice_mm,
            "window_low_hu": WINDOW_HU[0],
            "window_high_hu": WINDOW_HU[1],
            "liver_threshold": LIVER_THRESHOLD,
            "closer_look_mm": CLOSER_LOOK_MM,
            "bfloat16": bfloat16_is_fast(device),
        }
        self._network = network.to(device).eval()
        self._in_plane_mm = in_plane_mm
        self._min_slice_mm = min_slice_mm

    def __call__(self, volume: Volume, progress: Callable[[float], None] = lambda _: None) -> Segmentation:
        """Segment one volume on its own grid."""
        sizes = (self._in_plane_mm, self.device)
        return segment(self._network, volume, *sizes, min_slice_mm=self._min_slice_mm, progress=progress)


def choose_device(device: str) -> torch.device:
    """`auto` takes a GPU if there is one; any other text is torch's own name of a device."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(device)


def load_segmenter(models: Path | None = None, device: str = "auto", threads: int | None = None) -> LiverSegmenter:
    """The segmenter of the bundle "liversegnet".

    models: a folder of bundles to use instead of the ones that ship. threads: CPU threads, all cores if None.
    Raises BundleError if the bundle is missing, damaged, of another kind, or was trained on another window.
    """
    from LiverAILib.bundles import find_bundle

    if threads:
        torch.set_num_threads(threads)
    bundle = find_bundle("liversegnet", models)
    given = bundle.metadata.input
    if tuple(given.window_hu) != WINDOW_HU:
        raise BundleError(
            f"Model package {bundle.folder.name} takes a window of {given.window_hu} HU, not the {WINDOW_HU} "
            "of this program. Update LiverAI, or choose another package."
        )
    network = bundle.load()
    return LiverSegmenter(network, bundle.model, given.in_plane_mm, choose_device(device), given.min_slice_mm)
