"""How much of each voxel lies in a set of round tubes: vessels and bones."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from LiverAILib.phantom.fields import Array, Vector

Box = tuple[slice, slice, slice]
_CHUNK = 1_500_000  # pairs of voxel and segment that are worked on at a time


def sub_planes(z: Vector, thickness: float, count: int) -> Vector:
    """`count` planes spread over every slice, (len(z) * count,)."""
    offsets = ((np.arange(count) + 0.5) / count - 0.5) * thickness
    return np.asarray((z[:, None] + offsets).ravel())


def tube_coverage(
    start: Array,
    end: Array,
    start_radius: Array,
    end_radius: Array,
    z: Vector,
    y: Vector,
    x: Vector,
    thickness: float,
) -> tuple[Box, Array] | None:
    """Coverage 0..1 of the voxels of a grid by round cones from start to end (n, 3).

    Returns the box of voxels that are touched and their coverage, averaged over planes of the slice; None if none is.
    All voxels around all segments are worked on as one long list of pairs, as most segments are a few voxels long.
    """
    pixel = float(x[1] - x[0]) if len(x) > 1 else 1.0
    widest = np.maximum(start_radius, end_radius) + np.float32(pixel)
    low, high = np.minimum(start, end) - widest[:, None], np.maximum(start, end) + widest[:, None]
    low[:, 0] -= thickness / 2
    high[:, 0] += thickness / 2
    first = np.stack([np.searchsorted(axis, low[:, a]) for a, axis in enumerate((z, y, x))], axis=1)
    last = np.stack([np.searchsorted(axis, high[:, a], side="right") for a, axis in enumerate((z, y, x))], axis=1)
    size = np.maximum(last - first, 0)
    pairs = size.prod(axis=1)
    used = np.flatnonzero(pairs)
    if not used.size:
        return None
    corner, opposite = first[used].min(axis=0), last[used].max(axis=0)
    total = np.zeros(opposite - corner, np.float32)
    planes = int(np.clip(np.ceil(thickness / max(0.7 * float(np.median(widest[used])), 0.8)), 1, 6))
    grid = tuple(np.asarray(axis, np.float32) for axis in (z, y, x))
    ends = np.cumsum(pairs[used])
    begin = 0
    while begin < len(used):
        done = ends[begin - 1] if begin else 0
        stop = max(int(np.searchsorted(ends, done + _CHUNK, side="right")), begin + 1)
        part = used[begin:stop]
        index, alpha = _pairs(
            start[part],
            end[part],
            start_radius[part],
            end_radius[part],
            first[part],
            size[part],
            grid,
            thickness,
            planes,
        )
        flat = np.ravel_multi_index(tuple(index[a] - corner[a] for a in range(3)), total.shape)
        np.maximum.at(total.reshape(-1), flat, alpha)
        begin = stop
    box = tuple(slice(int(a), int(b)) for a, b in zip(corner, opposite, strict=True))
    return (box[0], box[1], box[2]), total


def _pairs(
    start: Array,
    end: Array,
    start_radius: Array,
    end_radius: Array,
    first: npt.NDArray[np.intp],
    size: npt.NDArray[np.intp],
    grid: tuple[Array, ...],
    thickness: float,
    planes: int,
) -> tuple[list[npt.NDArray[np.intp]], Array]:
    """Indices (z, y, x) of the voxels around each segment that it touches, and their coverage by it."""
    counts = size.prod(axis=1)
    segment = np.repeat(np.arange(len(counts)), counts)
    local = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
    local, ix = np.divmod(local, size[segment, 2])
    iz, iy = np.divmod(local, size[segment, 1])
    index = [iz + first[segment, 0], iy + first[segment, 1], ix + first[segment, 2]]
    pixel = np.float32(grid[2][1] - grid[2][0]) if len(grid[2]) > 1 else np.float32(1)
    way = end - start
    length2 = np.maximum((way**2).sum(axis=1), 1e-6)
    step = (way / length2[:, None])[segment]
    way = way[segment]
    at_y = grid[1][index[1]] - start[segment, 1]
    at_x = grid[2][index[2]] - start[segment, 2]
    centre = grid[0][index[0]] - start[segment, 0]
    across = at_y * step[:, 1] + at_x * step[:, 2]
    thin, grow = start_radius[segment], (end_radius - start_radius)[segment]
    alpha = np.zeros(len(segment), np.float32)
    for offset in sub_planes(np.zeros(1), thickness, planes):
        at_z = centre + np.float32(offset)
        t = np.clip(at_z * step[:, 0] + across, 0, 1)
        gap = np.sqrt((at_z - t * way[:, 0]) ** 2 + (at_y - t * way[:, 1]) ** 2 + (at_x - t * way[:, 2]) ** 2)
        alpha += np.clip(0.5 - (gap - thin - t * grow) / pixel, 0, 1)
    alpha /= np.float32(planes)
    hit = np.flatnonzero(alpha)
    return [axis[hit] for axis in index], alpha[hit]
