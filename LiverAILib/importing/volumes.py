"""The volumes inside one series: checked, freed of copies, and told apart when one series UID holds several."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence

import numpy as np

from LiverAILib.importing.geometry import Stack, StackProblem, stack
from LiverAILib.importing.header import Slice
from LiverAILib.importing.opening import HeaderError, open_dataset, quiet

MIN_SLICES = 8
#: More voxels than any CT of the trunk has (1024 x 1024 x 1000).
MAX_VOXELS = 2**30


def checked(images: Sequence[Slice]) -> Stack:
    """`stack`, and enough images, and not so many voxels that no CT has them, and a known way to HU."""
    if len(images) < MIN_SLICES:
        raise StackProblem("too few", f"it has only {len(images)} images; a liver CT needs {MIN_SLICES} or more.")
    found = stack(images)
    if np.prod(found.shape, dtype=np.int64) > MAX_VOXELS:
        raise StackProblem("too large", f"{found.shape} voxels are more than a CT of the abdomen has.")
    first = images[0]
    if any(s.slope is None or s.intercept is None or s.slope == 0 for s in images):
        raise StackProblem(
            "no rescale",
            "its rescale slope and intercept are missing, so its values can't be turned into Hounsfield units.",
            "Export the original images from the scanner or archive.",
        )
    kinds = {s.rescale_type for s in images} - {"", "HU", "US", "HU_MOD"}
    if kinds:
        raise StackProblem(
            "not HU", f"its values are {kinds.pop()}, not Hounsfield units.", "Choose the plain CT series."
        )
    if first.photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise StackProblem(
            "not grey", f'its pixels are "{first.photometric}", not grey values.', "Choose the plain CT series."
        )
    return found


def without_copies(images: Sequence[Slice]) -> tuple[list[Slice], int]:
    """Without images that repeat another one's place and stored pixels."""
    places: dict[Hashable, list[Slice]] = defaultdict(list)
    for image in images:
        places[image.position].append(image)
    kept: list[Slice] = []
    for same in places.values():
        seen: set[Hashable] = set()
        for image in same:
            mark = image.sop_uid if len(same) == 1 else _pixel_mark(image)
            if mark not in seen:
                seen.add(mark)
                kept.append(image)
    return kept, len(images) - len(kept)


def _pixel_mark(image: Slice) -> Hashable:
    if image.frame is not None:
        return image.sop_uid
    with quiet():
        try:
            dataset, _ = open_dataset(image.path, pixels=True)
        except HeaderError:
            return image.sop_uid
    return hashlib.sha256(dataset.get("PixelData") or b"").digest(), image.slope, image.intercept


def split(images: Sequence[Slice], *, only_if_interleaved: bool) -> tuple[str, list[Stack]] | None:
    """Volumes of one series UID, told apart by the first tag under which each part is a sound volume over the same
    range.

    `only_if_interleaved`: the whole is a volume already; then only tags that mean another scan may split it.
    """
    keys: dict[str, Callable[[Slice], Hashable]] = {
        "acquisition number": lambda s: s.acquisition_number,
        "temporal position": lambda s: s.temporal_position,
        "acquisition time": _time_clusters(images),
    }
    if not only_if_interleaved:
        keys |= {
            "contrast agent": lambda s: s.contrast_agent,
            "reconstruction kernel": lambda s: s.kernel,
            "image type": lambda s: s.image_type,
            "slice thickness": lambda s: s.thickness,
            "description": lambda s: s.description,
        }
    for what, key in keys.items():
        parts: dict[Hashable, list[Slice]] = defaultdict(list)
        for image in images:
            parts[key(image)].append(image)
        if not 2 <= len(parts) <= 8:
            continue
        try:
            stacks = [checked(part) for part in parts.values()]
        except StackProblem:
            continue
        if _same_range(stacks):
            return what, sorted(stacks, key=_started)
    return None


def _started(found: Stack) -> tuple[str, int]:
    times = [s.acquired for s in found.slices if s.acquired]
    return (min(times).isoformat() if times else "", min(s.acquisition_number or 0 for s in found.slices))


def _time_clusters(images: Sequence[Slice]) -> Callable[[Slice], Hashable]:
    """Number of the burst of acquisition that an image belongs to; bursts are apart by more than 10 seconds."""
    times = sorted({s.acquired for s in images if s.acquired})
    burst, number = {}, 0
    for before, now in zip([None, *times], times, strict=False):
        if before is not None and (now - before).total_seconds() > 10:
            number += 1
        burst[now] = number
    return lambda s: burst.get(s.acquired) if s.acquired else None


def _same_range(stacks: Sequence[Stack]) -> bool:
    """Each stack shares at least half of the shorter one's range with the first."""
    ranges = []
    for found in stacks:
        normal = found.affine[:3, 2] / np.linalg.norm(found.affine[:3, 2])
        ends = [float(np.asarray(s.position) @ normal) for s in (found.slices[0], found.slices[-1])]
        ranges.append((min(ends), max(ends)))
    low, high = ranges[0]
    return all(min(high, h) - max(low, lo) >= 0.5 * min(high - low, h - lo) for lo, h in ranges[1:])
