"""Where the true lesions lie: centre and box from each mask, and whether the hit rule has what it needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from LiverAILib.errors import RunFolderError
from LiverAILib.export.nrrd import read_nrrd
from LiverAILib.readerstudy.errors import ProtocolError
from LiverAILib.readerstudy.truth import CaseSpec, LesionSpec, PointLPS


def place_lesions(case: CaseSpec) -> CaseSpec:
    """The case with centre and box of every lesion that has a mask, or a box but no centre.

    Raises ProtocolError for a mask that can't be read or does not hold the lesion: better now than after the reading.
    """
    if not case.truth.lesions:
        return case
    arrays: dict[Path, tuple[npt.NDArray[Any], npt.NDArray[np.float64]]] = {}
    lesions = tuple(_placed(case.name, lesion, arrays) for lesion in case.truth.lesions)
    return case.model_copy(update={"truth": case.truth.model_copy(update={"lesions": lesions})})


def box_of_voxels(
    first: npt.ArrayLike, past: npt.ArrayLike, affine: npt.NDArray[np.float64]
) -> tuple[PointLPS, PointLPS]:
    """The box in LPS mm around voxels from `first` to before `past` (z, y, x), outer faces included."""
    corners = np.array([first, past], dtype=np.float64)[:, ::-1] - 0.5
    choices = np.array([[corners[bit >> axis & 1, axis] for axis in range(3)] for bit in range(8)])
    placed = choices @ affine[:3, :3].T + affine[:3, 3]
    return _triple(placed.min(axis=0)), _triple(placed.max(axis=0))


def _placed(
    case: str, lesion: LesionSpec, arrays: dict[Path, tuple[npt.NDArray[Any], npt.NDArray[np.float64]]]
) -> LesionSpec:
    centre, box = lesion.centre_lps_mm, lesion.box_lps_mm
    if lesion.mask is not None:
        path, layer = lesion.mask.path, lesion.mask.layer
        if path not in arrays:
            try:
                array, header = read_nrrd(path)
            except (OSError, RunFolderError) as error:
                raise ProtocolError(f'Case "{case}": the mask {path} can\'t be read as NRRD ({error}).') from error
            arrays[path] = array, header.affine
        array, affine = arrays[path]
        if layer >= (array.shape[3] if array.ndim == 4 else 1):
            raise ProtocolError(f'Case "{case}": {path} has no layer {layer}.')
        where = np.argwhere((array if array.ndim == 3 else array[..., layer]) == lesion.mask.label)
        if not len(where):
            raise ProtocolError(
                f'Case "{case}": {path} has no voxel of value {lesion.mask.label}. Check the lesion\'s label.'
            )
        middle = affine[:3, :3] @ where.mean(axis=0)[::-1] + affine[:3, 3]
        centre = centre or _triple(middle)
        box = box or box_of_voxels(where.min(axis=0), where.max(axis=0) + 1, affine)
    elif centre is None and box is not None:
        centre = _triple(np.mean(box, axis=0))
    return lesion.model_copy(update={"centre_lps_mm": centre, "box_lps_mm": box})


def _triple(values: npt.NDArray[np.float64]) -> PointLPS:
    x, y, z = (round(float(value), 3) for value in values)
    return x, y, z
