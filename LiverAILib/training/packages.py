"""Model packages: what their metadata say.

Which keys the analysis reads, and under which names, is listed in `analysis.packages`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from LiverAILib.analysis.grid import MIN_SLICE_MM, WINDOW_HU
from LiverAILib.bundles import Bundle, write_bundle
from LiverAILib.phantom import DEFAULT_PHASES
from LiverAILib.study import Phase
from LiverAILib.training.loop import Loop


@dataclass(frozen=True)
class Provenance:
    """Where a package comes from. patients: by side of the split. exams: how many of which kind, by side.
    weight_bits: of large tensors, see `few_bits`; None for half precision.
    """

    trained_on: str
    data_licence: str
    version: str
    patients: Mapping[str, Sequence[str]] = field(default_factory=dict)
    exams: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    weight_bits: int | None = None


@dataclass(frozen=True)
class Described:
    """What differs between the packages. shape: of the input (channel first), in words where it may vary. channels:
    their names. kind: the output's, as MONAI names it. extra: keys of `analysis.packages`. results: rows of what, on,
    n and value.
    """

    network: str
    task: str
    paper: str
    labels: Sequence[str]
    in_plane_mm: float
    shape: Sequence[int | str]
    output: str
    results: Sequence[Mapping[str, Any]]
    channels: Sequence[str] = ("image",)
    kind: str = "classification"
    extra: Mapping[str, Any] = field(default_factory=dict)
    phases: Sequence[Phase] = DEFAULT_PHASES


def result(what: str, on: str, n: int, value: float) -> dict[str, Any]:
    """A row of a package's results."""
    return {"what": what, "on": on, "n": n, "value": round(float(value), 4)}


def write_package(
    folder: Path, weights: Mapping[str, Tensor], described: Described, recipe: Any, loop: Loop, provenance: Provenance
) -> Bundle:
    """Write the weights with all that is known of them. recipe: a dataclass with a `preset`."""
    space = described.shape[1:]
    metadata = {
        "name": folder.name,
        "version": provenance.version,
        "task": described.task,
        "description": f"{described.network} of {described.paper}. Research use only, not for diagnosis.",
        "authors": "LiverAI developers",
        "copyright": "Weights: non-commercial research use, as their training data.",
        "network": described.network,
        "preset": recipe.preset,
        "labels": list(described.labels),
        "input": {
            "in_plane_mm": described.in_plane_mm,
            "min_slice_mm": MIN_SLICE_MM,
            "window_hu": WINDOW_HU,
            "phases": [str(phase) for phase in described.phases],
        },
        "trained_on": provenance.trained_on,
        "data_licence": provenance.data_licence,
        "results": [dict(row) for row in described.results],
        **described.extra,
        "training": {
            "recipe": asdict(recipe),
            "steps": loop.step,
            "kept_step": loop.kept_step,
            "minutes": round(loop.spent_minutes, 1),
            "patients": {side: sorted(names) for side, names in provenance.patients.items()},
            "exams": {side: dict(kinds) for side, kinds in provenance.exams.items()},
            "loss_by_50_steps": [
                round(float(np.mean(loop.losses[i : i + 50])), 4) for i in range(0, len(loop.losses), 50)
            ],
            "validations": loop.validations,
        },
        "network_data_format": {
            "inputs": {
                "image": {
                    "type": "image",
                    "format": "hounsfield",
                    "modality": "CT",
                    "num_channels": len(described.channels),
                    "spatial_shape": list(space),
                    "dtype": "float32",
                    "value_range": [-1, 1],
                    "is_patch_data": described.kind != "segmentation",
                    "channel_def": {str(number): name for number, name in enumerate(described.channels)},
                }
            },
            "outputs": {
                "pred": {
                    "type": described.output,
                    "format": described.kind,
                    "num_channels": len(described.labels),
                    "spatial_shape": list(space) if described.kind == "segmentation" else [],
                    "dtype": "float32",
                    "value_range": [],
                    "is_patch_data": False,
                    "channel_def": {str(number): name for number, name in enumerate(described.labels)},
                }
            },
        },
    }
    return write_bundle(folder, weights, metadata, provenance.weight_bits)
