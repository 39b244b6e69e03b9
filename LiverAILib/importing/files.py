"""A NIfTI, NRRD or MetaImage file as a volume in HU, or the reason why it is none."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from LiverAILib.errors import StudyError
from LiverAILib.importing.decode import AIR_HU
from LiverAILib.importing.geometry import StackProblem
from LiverAILib.importing.nifti import NiftiProblem, check_bytes
from LiverAILib.importing.sanity import check_hu
from LiverAILib.importing.volumes import MAX_VOXELS, MIN_SLICES
from LiverAILib.study import Source, Volume, sitk_affine

_AGAIN = "Export the CT again as a 3D volume in Hounsfield units."


def stem(path: Path) -> str:
    """The file name without its volume suffixes."""
    name = path.name
    for suffix in (".gz", ".nii", ".nrrd", ".mha"):
        if name.lower().endswith(suffix):
            name = name[: -len(suffix)]
    return name


def label_of(path: Path) -> str:
    """`File "arterial.nii.gz"`."""
    return f'File "{path.name}"'


def read_volume_file(path: Path) -> tuple[Volume, list[str]]:
    """The volume and warnings about it. The header is judged before any voxel is read. Raises StackProblem."""
    image = _read(path)
    array = sitk.GetArrayViewFromImage(image)
    notes = check_hu(array)
    hounsfield = np.empty(array.shape, dtype=np.int16)
    for z, plane in enumerate(array):  # plane by plane, to spare memory
        np.copyto(hounsfield[z], np.clip(np.rint(plane), AIR_HU, 32767), casting="unsafe")
    try:
        return Volume(hounsfield, sitk_affine(image), Source(label_of(path), "file")), notes
    except StudyError as error:
        raise StackProblem("geometry", str(error).removeprefix(f"{label_of(path)}: "), "") from error


def _read(path: Path) -> sitk.Image:
    """The image, three-dimensional, of plausible size. Raises StackProblem."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise _unreadable(error) from error
    size = reader.GetSize()
    if len(size) == 4 and size[3] == 1:
        reader.SetExtractSize([*size[:3], 0])
    elif len(size) != 3:
        raise StackProblem("dimensions", f"it has {len(size)} dimensions {size}, a volume has three.", _AGAIN)
    size = size[:3]
    if reader.GetNumberOfComponents() != 1:
        raise StackProblem("colour", f"each voxel has {reader.GetNumberOfComponents()} values, HU is one.", _AGAIN)
    if math.prod(size) > MAX_VOXELS or max(size) > 4096:
        shown = " x ".join(map(str, size))
        raise StackProblem("too large", f"its header claims {shown} voxels: more than a CT of the abdomen has.", _AGAIN)
    spacing = reader.GetSpacing()[:3]
    if min(size) < MIN_SLICES:
        raise StackProblem("too few", f"it has only {min(size)} slices; a liver CT needs {MIN_SLICES} or more.", _AGAIN)
    if not (min(spacing) >= 0.05 and max(spacing) <= 20):
        raise StackProblem(
            "spacing", f"a voxel size of {', '.join(f'{s:.3g}' for s in spacing)} mm can't be true.", _AGAIN
        )
    if ".nii" in path.name.lower():
        try:
            check_bytes(path, MAX_VOXELS)
        except NiftiProblem as problem:
            raise StackProblem("bytes", f"{problem}.", _AGAIN) from problem
    try:
        return reader.Execute()
    except RuntimeError as error:
        raise _unreadable(error) from error


def _unreadable(error: RuntimeError) -> StackProblem:
    text = str(error).lower()
    if "orthonormal" in text or "direction" in text:
        return StackProblem(
            "sheared",
            "its axes are not at right angles (sheared affine).",
            "Resample it to a rectangular grid, or export it again.",
        )
    return StackProblem("unreadable", "it is empty, truncated or not the format that its name says.", _AGAIN)
