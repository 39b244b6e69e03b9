"""Slice scores: NoduleNet on every axial liver slice of a phase, and its saliency as a volume. HCCNet's are in
`stack_slices`.

Source: Wang et al., Br J Cancer 2021: every transaxial slice from the liver's top to its bottom is scored by itself.
The paper does not state the images' size. Ours: slices on the network's grid (see `grid`: fixed pixel size, thin slices
averaged), counted from the liver's lowest slice, of which a square around the liver is taken, the same for all
slices. So a score does not depend on what else was scanned, the field of view or the order in which slices are stored.

Also ours: what lies farther from the liver than a margin is made air. The paper's networks learnt from a hundred
thousand slices where to look; with a few thousand they learn it only if the rest is taken away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from LiverAILib.analysis.grid import MIN_SLICE_MM, NetworkGrid, liver_part, map_on_grid, part_of, to_network
from LiverAILib.analysis.networks import SliceFormat
from LiverAILib.findings import SliceScores
from LiverAILib.networks.resnet34 import ResNet34
from LiverAILib.saliency import SaliencyMix, SaliencyParts, saliency_parts
from LiverAILib.study import Volume

PIXEL_MM = 1.25
SIZE = 256  # pixels: 320 mm hold most livers
MARGIN_MM = SliceFormat().margin_mm  # kept around the liver, since its outline may be wrong where a lesion is
MIN_LIVER_MM2 = 200.0  # a slice with less liver is left aside: the tips are mostly partial volume
SALIENT_FROM = 0.5  # nodule probability of slices that get a saliency map


@dataclass(frozen=True)
class LiverSlices:
    """The liver slices of one phase.

    images: (n, 1, size, size) in [-1, 1]. index: (n,) which slice of the network's grid each is, from feet to head.
    corner: (y, x) of the square's first pixel there; may be negative. plane: (z, y, x) of the image on that grid.
    grid: how the part `cut` of the volume was brought there, None without a liver. shape: of the whole volume.
    slice_mm: from one slice of the network's grid to the next.
    """

    images: Tensor
    index: tuple[int, ...]
    corner: tuple[int, int]
    plane: tuple[int, int, int]
    grid: NetworkGrid | None
    cut: tuple[slice, slice, slice]
    shape: tuple[int, int, int]
    slice_mm: float

    @property
    def spans(self) -> list[tuple[int, int]]:
        """Of each of them the first slice, and one past the last, along the volume's own axial axis."""
        if self.grid is None:
            return []
        axis, flip = self.grid.order[0], self.grid.flips[0]
        start, depth = self.cut[axis].start, self.grid.full[0]
        result = []
        for number in self.index:
            first = number * self.grid.averaged
            last = min(first + self.grid.averaged, depth)
            if flip:
                first, last = depth - last, depth - first
            result.append((start + first, start + last))
        return result


def mask_on_grid(mask: npt.NDArray[np.bool_], grid: NetworkGrid) -> npt.NDArray[np.bool_]:
    """A mask (z, y, x) of the volume's own grid on the network's: where half of a slab's pixel or more is in it."""
    return np.asarray((map_on_grid(mask, grid) >= 0.5).numpy(), dtype=np.bool_)


def liver_slices(
    volume: Volume,
    liver: npt.NDArray[np.bool_],
    *,
    pixel_mm: float = PIXEL_MM,
    size: int = SIZE,
    min_slice_mm: float = MIN_SLICE_MM,
    margin_mm: float = MARGIN_MM,
) -> LiverSlices:
    """Cut the slices that show liver from a volume; none without a liver. liver: (z, y, x) on the volume's grid.

    margin_mm: what is farther from the liver along a row or a column of its slice is air, -1.
    """
    shape = (volume.array.shape[0], volume.array.shape[1], volume.array.shape[2])
    none = LiverSlices(torch.zeros((0, 1, size, size)), (), (0, 0), (0, 0, 0), None, (slice(0, 0),) * 3, shape, 1.0)
    cut = liver_part(volume, liver, min_slice_mm)
    if cut is None:
        return none
    image, grid = to_network(part_of(volume, cut), pixel_mm, min_slice_mm)
    plane = (image.shape[0], image.shape[1], image.shape[2])
    mask = mask_on_grid(liver[cut], grid)
    areas = mask.sum(axis=(1, 2)) * pixel_mm**2
    index = tuple(int(i) for i in np.flatnonzero(areas >= MIN_LIVER_MM2))
    if not index:
        return none
    shown = mask[list(index)]
    rows, columns = np.flatnonzero(shown.any(axis=(0, 2))), np.flatnonzero(shown.any(axis=(0, 1)))
    top, left = ((int(lines[0]) + int(lines[-1]) + 1 - size) // 2 for lines in (rows, columns))
    pad = (-left, left + size - plane[2], -top, top + size - plane[1])  # negative numbers crop
    reach = min(round(margin_mm / pixel_mm), size)
    near = F.pad(torch.from_numpy(shown).float().unsqueeze(1), pad)
    for kernel, padding in (((2 * reach + 1, 1), (reach, 0)), ((1, 2 * reach + 1), (0, reach))):
        near = F.max_pool2d(near, kernel, stride=1, padding=padding)
    images = F.pad(image[list(index)].unsqueeze(1), pad, value=-1.0).masked_fill(near == 0, -1.0)
    slice_mm = volume.spacing_mm[grid.order[0]] * grid.averaged
    return LiverSlices(images, index, (top, left), plane, grid, cut, shape, slice_mm)


def slices_as(volume: Volume, liver: npt.NDArray[np.bool_], taken: SliceFormat) -> LiverSlices:
    """`liver_slices` in the format that a package states."""
    return liver_slices(
        volume,
        liver,
        pixel_mm=taken.pixel_mm,
        size=taken.size,
        min_slice_mm=taken.min_slice_mm,
        margin_mm=taken.margin_mm,
    )


def neighbour_shares(index: Sequence[int], slice_mm: float, smoothing_mm: float) -> Tensor:
    """How much each slice (n, n; rows sum to 1) counts for each: by a Gaussian of their distance; 0: itself alone.
    index: (n,) which of slices that lie `slice_mm` apart they are.

    Ours: a lesion shows in several slices, noise and a vessel seen end-on in one.
    """
    places = torch.tensor(index, dtype=torch.float64) * slice_mm
    if smoothing_mm <= 0:
        return torch.eye(len(places), dtype=torch.float64)
    shares = torch.exp(-0.5 * ((places[:, None] - places[None]) / smoothing_mm).square())
    return shares / shares.sum(dim=1, keepdim=True)


def slice_scores(
    network: nn.Module,
    images: Tensor,
    shares: Tensor,
    *,
    views: Sequence[tuple[int, ...]] = ((),),
    batch: int = 16,
    device: torch.device | str = "cpu",
) -> npt.NDArray[np.float64]:
    """The finding's probability in each of the images (n, channels, y, x), (n,), of logits averaged over them by
    `shares` (see `neighbour_shares`), and over views that are mirrored along these axes. The network is in evaluation
    mode on `device` and gives two logits.
    """
    margins = [torch.zeros(0)]
    with torch.inference_mode():
        for part in images.split(batch):
            shown = part.to(device)
            logits = torch.stack([network(shown.flip(axes)) for axes in views]).float().mean(dim=0).cpu()
            margins.append(logits[:, 1] - logits[:, 0])
    return np.asarray(torch.sigmoid(shares @ torch.cat(margins).double()).numpy())


def averaged_parts(
    network: ResNet34,
    slices: LiverSlices,
    mixes: Sequence[SaliencyMix],
    smoothing_mm: float,
    *,
    batch: int = 16,
    device: torch.device | str = "cpu",
) -> SaliencyParts:
    """What these mixes need of the slices (one at least), averaged over neighbouring ones (see `neighbour_shares`)."""
    each = [saliency_parts(network, images.to(device), mixes) for images in slices.images.split(batch)]
    shares = neighbour_shares(slices.index, slices.slice_mm, smoothing_mm)
    return SaliencyParts.joined(each).averaged(shares.to(device))


def saliency_volume(
    network: ResNet34,
    slices: LiverSlices,
    *,
    threshold: float = SALIENT_FROM,
    mix: SaliencyMix | None = None,
    smoothing_mm: float = 0.0,
    batch: int = 16,
    device: torch.device | str = "cpu",
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    """NoduleNet's saliency on the volume's own grid, (z, y, x) in [0, 1], and the slice scores (n,). Slices of 0 take
    no memory.

    Both are averaged over neighbouring slices (see `neighbour_shares`), saliency as SMOE scales of each layer. Zero in
    slices without liver, in those whose nodule probability does not exceed `threshold`, and outside the square; where
    thin slices were averaged, it is interpolated between the averages.
    """
    volume = np.zeros(slices.shape, np.float32)
    if slices.grid is None:
        return volume, np.zeros(0)
    mix = mix or SaliencyMix()
    parts = averaged_parts(network, slices, [mix], smoothing_mm, batch=batch, device=device)
    scores = torch.sigmoid(parts.margin.double()).cpu().numpy()
    maps = torch.zeros(slices.plane)
    size = slices.images.shape[-1]
    top, left = slices.corner
    rows = slice(max(top, 0), min(top + size, slices.plane[1]))
    columns = slice(max(left, 0), min(left + size, slices.plane[2]))
    for chosen in torch.from_numpy(np.flatnonzero(scores > threshold)).split(batch):
        found = parts.where(chosen.to(device)).mixed(mix, (size, size)).cpu()
        for number, single in zip(chosen.tolist(), found, strict=True):
            maps[slices.index[number], rows, columns] = single[
                rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
            ]
    part = volume[slices.cut]
    for own, plane in zip(part, slices.grid.back(maps.unsqueeze(0))[0], strict=True):
        if plane.any():
            own[:] = plane
    return volume, scores


def score_phase(
    volume: Volume,
    liver: npt.NDArray[np.bool_],
    network: nn.Module,
    taken: SliceFormat,
    *,
    salient_from: float = SALIENT_FROM,
    mix: SaliencyMix | None = None,
    device: torch.device | str = "cpu",
) -> tuple[SliceScores, npt.NDArray[np.float32]]:
    """NoduleNet's scores of the slices of one phase, and its saliency (see `saliency_volume`). liver: (z, y, x) on the
    volume's grid.

    salient_from: see `threshold` of `saliency_volume`. mix: what saliency is made of, as published if None.
    """
    slices = slices_as(volume, liver, taken)
    saliency, nodule = saliency_volume(
        cast("ResNet34", network),
        slices,
        threshold=salient_from,
        mix=mix,
        smoothing_mm=taken.smoothing_mm,
        device=device,
    )
    return SliceScores(slices=slices.spans, nodule=np.round(nodule, 6).tolist()), saliency
