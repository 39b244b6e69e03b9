"""Pixels of a stack as int16 Hounsfield units (z, y, x).

What only pydicom 3 has is imported where it is used: in Slicer 5.10, which has pydicom 2.4, volumes come as files and
this module must still be importable.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.uid import UID, RLELossless

from LiverAILib.importing.codestream import claimed_size
from LiverAILib.importing.geometry import StackProblem
from LiverAILib.importing.header import Slice
from LiverAILib.importing.opening import HeaderError, open_dataset, quiet

AIR_HU = -1024
_INT16 = npt.NDArray[np.int16]


def decode(
    slices: Sequence[Slice],
    indices: Sequence[int],
    known: Mapping[int, _INT16] | None = None,
    progress: Callable[[float], None] | None = None,
) -> Iterator[tuple[int, _INT16]]:
    """Each index with its image as HU, (y, x), several files at a time; those in `known` are not decoded again.

    Raises StackProblem when an image can't be decoded or is not what its header says.
    """
    by_file: dict[object, list[int]] = defaultdict(list)
    for index in indices:
        if known and index in known:
            yield index, known[index]
        else:
            by_file[slices[index].path].append(index)
    jobs = list(by_file.values())
    with quiet(), ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        for done, result in enumerate(pool.map(lambda job: _file(slices, job), jobs), start=1):
            yield from result.items()
            if progress and done % 20 == 0:
                progress(done / len(jobs))


def _file(slices: Sequence[Slice], indices: Sequence[int]) -> dict[int, _INT16]:
    """The wanted images of one file."""
    try:
        dataset, _ = open_dataset(slices[indices[0]].path, pixels=True)
    except HeaderError as error:
        raise StackProblem("undecodable", f"{_name(slices[indices[0]])} can't be read again: {error.kind}.") from error
    return {i: to_hu(_stored(dataset, slices[i]), slices[i]) for i in indices}


def _name(image: Slice) -> str:
    return "an image" if image.instance_number is None else f"image {image.instance_number}"


def _stored(dataset: Dataset, image: Slice) -> npt.NDArray[np.integer]:
    """Stored values of one frame. Raises StackProblem."""
    from pydicom.pixels import pixel_array

    shape = (image.rows, image.columns)
    try:
        _check_claim(dataset, image)
        stored = pixel_array(dataset, index=image.frame or 0)
    except (StackProblem, MemoryError):
        raise
    except Exception as error:  # decoders raise whatever damaged data provokes
        how = UID(image.transfer_syntax).name
        raise StackProblem(
            "undecodable", f"{_name(image)} can't be decoded ({how}): its pixel data are damaged or truncated."
        ) from error
    if stored.shape != shape or stored.dtype.kind not in "iu":
        raise StackProblem("undecodable", f"{_name(image)} decodes to {stored.shape}, its tags say {shape}.")
    return stored


def _check_claim(dataset: Dataset, image: Slice) -> None:
    """The compressed data claim the size that the tags do. Raises StackProblem."""
    from pydicom.encaps import get_frame

    syntax = UID(image.transfer_syntax)
    if not syntax.is_compressed or syntax == RLELossless:
        return
    claimed = claimed_size(get_frame(dataset.PixelData, image.frame or 0, number_of_frames=image.frames))
    if claimed is not None and claimed != (image.rows, image.columns):
        tags, data = f"{image.columns} x {image.rows}", f"{claimed[1]} x {claimed[0]}"
        raise StackProblem("undecodable", f"{_name(image)} has {tags} pixels by its tags and {data} by its data.")


def to_hu(stored: npt.NDArray[np.integer], image: Slice) -> _INT16:
    """Stored values to HU by the image's own rescale; padding and all below air become -1024 HU.

    A padding value that would mean tissue (above -500 HU; zero is sometimes written by mistake) is not treated as
    padding.
    """
    assert image.slope is not None
    assert image.intercept is not None
    padding = _padding(stored, image)
    bits = image.bits_stored
    if 0 < bits < image.bits_allocated:  # high bits may hold overlays
        if image.signed:
            shift = stored.dtype.itemsize * 8 - bits
            stored = (stored << shift) >> shift
        else:
            stored = stored & ((1 << bits) - 1)
    slope, intercept = image.slope, image.intercept
    if slope.is_integer() and intercept.is_integer():
        hu = stored.astype(np.int32) * int(slope) + int(intercept)
    else:
        hu = np.rint(stored * np.float64(slope) + intercept).astype(np.int64)
    hounsfield = np.clip(hu, AIR_HU, np.iinfo(np.int16).max).astype(np.int16)
    if padding is not None:
        hounsfield[padding] = AIR_HU
    return hounsfield


def _padding(stored: npt.NDArray[np.integer], image: Slice) -> npt.NDArray[np.bool_] | None:
    if image.padding is None or image.slope is None or image.intercept is None:
        return None
    low, high = sorted((image.padding, image.padding if image.padding_limit is None else image.padding_limit))
    if not image.signed and low < 0:  # written as a signed number into unsigned pixels
        low, high = (value % (1 << image.bits_allocated) for value in (low, high))
    if -500 < low * image.slope + image.intercept < 3000:
        return None
    return (stored >= low) & (stored <= high)
