"""From the images of one stack to their order and affine, or the reason why they are not a volume.

highdicom's `get_volume_positions` is the gatekeeper (the check inside its `get_volume_from_series`); the code here
finds out first *what* is wrong, because the gatekeeper only says no.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from LiverAILib.importing.header import Slice

#: Positions are often rounded to 0.1 mm in the file: two neighbours may then be off by this.
ROUNDING_MM = 0.1
#: A stack may lean by this in all (mm) before it counts as tilted.
MAX_LEAN_MM = 0.5

RESEND = "Re-send the series, or choose another."


class StackProblem(Exception):
    """The images are not one volume. `kind` names the defect for the code, the text names it for the user."""

    def __init__(self, kind: str, text: str, remedy: str = RESEND) -> None:
        super().__init__(f"{text} {remedy}")
        self.kind = kind


@dataclass(frozen=True)
class Stack:
    """Images in order along their normal, and the affine from index (x, y, z, 1) to LPS mm."""

    slices: tuple[Slice, ...]
    affine: npt.NDArray[np.float64]

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size (z, y, x)."""
        x, y, z = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(z), float(y), float(x)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels (z, y, x)."""
        return len(self.slices), self.slices[0].rows, self.slices[0].columns


def stack(slices: Sequence[Slice]) -> Stack:
    """Order the images and fit their affine. Raises StackProblem."""
    first = slices[0]
    _check_uniform(slices)
    if len(slices) < 2:
        raise StackProblem("too few", "it has a single image.")
    assert first.orientation is not None
    assert first.pixel_spacing is not None
    row, column = _axes(first.orientation)
    normal = np.cross(row, column)
    positions = np.array([s.position for s in slices], dtype=np.float64)
    along = positions @ normal
    order = np.argsort(along, kind="stable")
    ordered = [slices[i] for i in order]
    _check_lean(positions[order], normal, first)
    step = _check_steps(along[order], ordered)
    _ask_highdicom(positions, first.orientation, step)
    affine = np.eye(4)
    affine[:3, 0] = row * first.pixel_spacing[1]
    affine[:3, 1] = column * first.pixel_spacing[0]
    affine[:3, 2] = normal * step
    affine[:3, 3] = positions[order[0]]
    return Stack(tuple(ordered), affine)


def normal_of(orientation: Sequence[float]) -> npt.NDArray[np.float64]:
    """Unit normal of an image plane, row x column."""
    normal = np.cross(orientation[:3], orientation[3:])
    length = float(np.linalg.norm(normal))
    return np.asarray(normal / length if length > 0 else normal)


def _check_uniform(slices: Sequence[Slice]) -> None:
    """Every image has a place and a size, and all share plane, matrix, pixel spacing and frame of reference."""
    n = len(slices)
    for what, missing in (
        ("position", sum(s.position is None for s in slices)),
        ("orientation", sum(s.orientation is None for s in slices)),
        ("pixel spacing", sum(s.pixel_spacing is None or min(s.pixel_spacing) <= 0 for s in slices)),
    ):
        if missing:
            raise StackProblem(
                f"no {what}",
                f"{missing} of {n} images have no {what} tag, so their geometry is unknown.",
                "Export the original images from the scanner or archive.",
            )
    sizes = sorted({(s.columns, s.rows) for s in slices})
    if len(sizes) > 1:
        raise StackProblem(
            "mixed matrix", "its images differ in size: " + ", ".join(f"{c} x {r}" for c, r in sizes) + "."
        )
    first = slices[0]
    spacings = np.array([s.pixel_spacing for s in slices])
    if np.ptp(spacings, axis=0).max() > 1e-3 * spacings.max():
        low, high = spacings.min(), spacings.max()
        raise StackProblem("mixed pixel spacing", f"its images differ in pixel spacing ({low:.3f} to {high:.3f} mm).")
    if spacings.max() > 10 or spacings.min() < 0.05:
        raise StackProblem("pixel spacing", f"a pixel spacing of {spacings.max():.3g} mm can't be true for a body CT.")
    if len({s.frame_of_reference for s in slices}) > 1:
        raise StackProblem("mixed frame of reference", "its images come from more than one frame of reference.")
    orientations = np.array([s.orientation for s in slices])
    if np.abs(orientations - np.array(first.orientation)).max() > 1e-3:
        raise StackProblem("mixed orientation", "its images lie in different planes.")


def _axes(orientation: Sequence[float]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Unit row and column directions, made exactly perpendicular. Raises StackProblem when they are far from it."""
    row, column = np.asarray(orientation[:3]), np.asarray(orientation[3:])
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if max(abs(length - 1) for length in lengths) > 1e-2 or abs(row @ column) > 1e-2:
        raise StackProblem("bad orientation", "its orientation tag is not a pair of perpendicular directions.")
    row = row / lengths[0]
    column = column - row * (row @ column)
    return row, column / np.linalg.norm(column)


def _where(ordered: Sequence[Slice], indices: Sequence[int]) -> str:
    """`z = -112.5 mm, z = -90 mm and 3 more` for the images at the indices."""
    shown = [f"z = {ordered[i].position[2]:g} mm" for i in indices[:3]]  # type: ignore[index]
    more = len(indices) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _check_steps(along: npt.NDArray[np.float64], ordered: Sequence[Slice]) -> float:
    """The slice spacing in mm, the same between all neighbours.

    Raises StackProblem for copies, gaps and irregular steps.
    """
    steps = np.diff(along)
    same = np.flatnonzero(steps < 1e-3)
    if len(same):
        raise StackProblem(
            "duplicates",
            f"{len(same)} of its {len(along)} images lie at the place of another with other pixels "
            f"({_where(ordered, same.tolist())}), and no tag tells which belong together.",
            "Export each reconstruction or phase as a series of its own.",
        )
    step = float(np.median(steps))
    # Two in three neighbours may be missing before the median is a multiple of the true step.
    ratios = steps / step
    tolerance = ROUNDING_MM + 0.01 * step
    gaps = np.flatnonzero(np.rint(ratios) >= 2)
    if len(gaps) and np.abs(steps - np.rint(ratios) * step).max() <= tolerance * np.rint(ratios).max():
        missing = int((np.rint(ratios[gaps]) - 1).sum())
        raise StackProblem(
            "missing slices",
            f"{missing} of {len(along) + missing} slices are missing (after {_where(ordered, gaps.tolist())}).",
        )
    mean = float((along[-1] - along[0]) / (len(along) - 1))
    if np.abs(steps - mean).max() > tolerance:
        raise StackProblem(
            "irregular spacing",
            f"its slices are unevenly spaced ({steps.min():.2f} to {steps.max():.2f} mm).",
            "Choose a series with even spacing, or have it reconstructed so.",
        )
    if mean > 20:
        raise StackProblem(
            "irregular spacing", f"its slices are {mean:.0f} mm apart.", "Choose a series with thinner slices."
        )
    return mean


def _check_lean(positions: npt.NDArray[np.float64], normal: npt.NDArray[np.float64], first: Slice) -> None:
    """The images are stacked along their normal, or the gantry was tilted."""
    offsets = positions - positions[0]
    lateral = offsets - np.outer(offsets @ normal, normal)
    lean = float(np.linalg.norm(lateral, axis=1).max())
    if lean <= MAX_LEAN_MM:
        return
    end = offsets[-1]
    angle = float(np.degrees(np.arctan2(np.linalg.norm(end - (end @ normal) * normal), abs(end @ normal))))
    height = float(end @ normal)
    straight = np.outer(offsets @ normal / height, end) if height > 0 else offsets * np.inf
    if not np.linalg.norm(offsets - straight, axis=1).max() <= 2 * MAX_LEAN_MM:
        raise StackProblem("shifted", f"its images are shifted against each other by up to {lean:.1f} mm.")
    said = f" (the tag says {first.tilt_deg:g})" if first.tilt_deg else ""
    raise StackProblem(
        "gantry tilt",
        f"the gantry was tilted: the stack leans by {angle:.1f} degrees{said}.",
        "Resample it to an upright grid (Slicer does so when it loads the series), or choose another.",
    )


def _ask_highdicom(positions: npt.NDArray[np.float64], orientation: Sequence[float], step: float) -> None:
    """The last word is the gatekeeper's."""
    from highdicom.spatial import get_volume_positions

    spacing, _ = get_volume_positions(
        positions,
        orientation,
        atol=2 * (ROUNDING_MM + 0.01 * step),
        perpendicular_tol=min(0.5, 2 * (MAX_LEAN_MM / step) ** 2),
    )
    if spacing is None:
        raise StackProblem("not a volume", "its images do not form a regular volume.")
