"""Lesion probability and saliency as coloured volumes: each with its own colour table, threshold and legend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import slicer

from LiverAILib.errors import RunFolderError
from LiverAILib.export.drawing import SALIENCY, SALIENCY_FROM
from LiverAILib.export.nrrd import read_nrrd
from LiverAILib.scene.errors import SceneError
from LiverAILib.scene.volumes import fill_volume_node, node_affine, node_shape

#: Foreground opacity in slice views.
OPACITY = 0.4
#: Probabilities under this are not drawn.
THRESHOLD = 0.1
COLOURS = 256

#: Position and colour (r, g, b), dark violet over red and orange to pale yellow: lightness only rises, so it reads in
#: grey and by the colour-blind too.
_ANCHORS: tuple[tuple[float, tuple[float, float, float]], ...] = (
    (0.00, (0.08, 0.03, 0.22)),
    (0.25, (0.42, 0.06, 0.45)),
    (0.50, (0.80, 0.18, 0.33)),
    (0.75, (0.98, 0.50, 0.10)),
    (1.00, (0.99, 0.96, 0.60)),
)


def heat_colours() -> npt.NDArray[np.float64]:
    """The 256 colours (256, 3), in [0, 1]."""
    at = np.array([position for position, _ in _ANCHORS])
    colours = np.array([colour for _, colour in _ANCHORS])
    position = np.linspace(0.0, 1.0, COLOURS)
    return np.stack([np.interp(position, at, colours[:, channel]) for channel in range(3)], axis=-1)


def saliency_colours() -> npt.NDArray[np.float64]:
    """The 256 colours (256, 3) of saliency, in [0, 1]; the same as in the overview."""
    position = np.linspace(0.0, 1.0, COLOURS)
    return np.stack([np.interp(position, SALIENCY[:, 0], SALIENCY[:, part] / 255) for part in (1, 2, 3)], axis=-1)


def add_colour_table(scene: Any, name: str, colours: npt.NDArray[np.float64] | None = None) -> Any:
    """A new user colour table over [0, 1]: of the heat colours, or of others (256, 3)."""
    chosen = heat_colours() if colours is None else colours
    node = slicer.vtkMRMLColorTableNode()
    node.SetTypeToUser()
    node.SetName(name)
    node.SetNumberOfColors(COLOURS)
    for index, (red, green, blue) in enumerate(chosen.tolist()):
        node.SetColor(index, f"{index / (COLOURS - 1):.3f}", red, green, blue, 1.0)
    node.GetLookupTable().SetRange(0.0, 1.0)
    node.SetSaveWithScene(True)
    scene.AddNode(node)
    return node


def read_probability(path: Path) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
    """The probabilities (z, y, x) in [0, 1] and the LPS affine of a file; raises RunFolderError if they are none."""
    array, header = read_nrrd(path)
    if array.ndim != 3 or not np.issubdtype(array.dtype, np.floating):
        raise RunFolderError(
            f"{path.name} holds {array.dtype} {array.shape}, not probabilities. Run the analysis again."
        )
    if not (np.isfinite(array).all() and array.min() >= 0 and array.max() <= 1):
        raise RunFolderError(f"{path.name} holds values outside 0 to 1. Run the analysis again.")
    return array.astype(np.float32, copy=False), header.affine


def add_probability(scene: Any, path: Path, reference: Any, colours: Any, name: str) -> Any:
    """A new scalar volume node of the lesion probability, coloured by `colours`, on the reference volume node's grid.

    Raises SceneError if the file's grid is not the reference's in the world.
    """
    return _add_map(scene, path, reference, colours, name, THRESHOLD)


def add_saliency(scene: Any, path: Path, volume: Any | None, colours: Any, name: str) -> Any:
    """A new scalar volume node of a phase's saliency, coloured by `colours`, on the grid of that phase's volume node;
    None if the scene has none.

    Raises SceneError if the file's grid is not that volume's in the world.
    """
    return _add_map(scene, path, volume, colours, name, SALIENCY_FROM)


def _add_map(scene: Any, path: Path, volume: Any | None, colours: Any, name: str, threshold: float) -> Any:
    array, affine = read_probability(path)
    if volume is not None:
        check_same_grid(path.name, array.shape, affine, volume)
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    node.CreateDefaultDisplayNodes()  # before the voxels come: else it makes their histogram, for a second
    display = node.GetDisplayNode()
    display.SetAndObserveColorNodeID(colours.GetID())
    display.SetAutoWindowLevel(False)
    display.SetWindowLevelMinMax(0.0, 1.0)
    display.SetInterpolate(True)
    display.SetThreshold(threshold, 10.0)
    display.SetApplyThreshold(True)
    fill_volume_node(node, array, affine)
    return node


def check_same_grid(
    what: str, shape: tuple[int, ...], affine_lps: npt.NDArray[np.float64], reference: Any, tolerance_mm: float = 0.05
) -> None:
    """Raise SceneError unless a grid is that of the reference volume node (in the world, to a part of a voxel)."""
    there = node_affine(reference)
    corners = np.array([[0, 0, 0, 1], [shape[2], 0, 0, 1], [0, shape[1], 0, 1], [0, 0, shape[0], 1]], dtype=np.float64)
    gap = float(np.abs(corners @ (affine_lps - there).T).max())
    if tuple(shape) != node_shape(reference) or gap > tolerance_mm:
        raise SceneError(
            f"{what} does not fit the chosen volume: shape {tuple(shape)} against {node_shape(reference)}, up to "
            f"{gap:.1f} mm apart. Choose the volume that was analysed, or analyse this one."
        )


def add_legend(volume: Any, title: str = "Lesion probability") -> Any:
    """A colour legend display node for a map, in the lower right corner of the slice views that show it."""
    legend = slicer.vtkSlicerColorLogic.AddDefaultColorLegendDisplayNode(volume)
    legend.SetTitleText(title)
    legend.SetUseColorNamesForLabels(False)
    legend.SetNumberOfLabels(6)
    legend.SetLabelFormat("%.1f")
    legend.SetSize(0.05, 0.28)  # the bare libraries fit the text to this, the application keeps the font size
    legend.SetPosition(0.98, 0.03)
    legend.SetVisibility3D(False)
    for style, size in ((legend.GetTitleTextProperty(), 14), (legend.GetLabelTextProperty(), 14)):
        style.SetFontFamilyToArial()
        style.SetBold(True)  # legible over bright tissue
        style.SetFontSize(size)
    return legend
