"""Tiny model packages of the stages, with random weights, in a folder of a test."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from liverai_fakes import PACKAGE

from LiverAILib.bundles import NETWORKS, write_bundle

INPUT = PACKAGE["input"] | {"phases": ["non_contrast", "arterial", "portal_venous"]}
LABELS = {
    "phasecomparison": ["lesion"],
    "lesiondetector": ["lesion"],
    "lesionclassifier": ["hcc", "icc", "metastasis", "fnh", "haemangioma", "cyst", "abscess"],
    "nodulenet": ["no nodule", "nodule"],
    "hccnet": ["no HCC", "HCC"],
}
#: What each package states beside the common keys.
STATED: dict[str, dict[str, Any]] = {
    "phasecomparison": {
        "network": "PhaseComparisonNet",
        "input": INPUT | {"in_plane_mm": 1.5},
        "joint": {"segmentation": 0.25, "comparison": 0.75, "offset": 1.0},
    },
    "lesiondetector": {"network": "LesionDetector", "operating_point": {"least_mean_score": 0.5}},
    "lesionclassifier": {
        "network": "LesionClassifier",
        "triage": {"benign_below": 0.2, "malignant_from": 0.8, "decision": 0.5},
        "company": {"leading": [1 / 7] * 7, "found_with": [[1 / 7] * 7] * 7, "trust": 0.5},
    },
    "nodulenet": {
        "network": "NoduleNet",
        "salient_from": 0.0,
        "saliency": {"weights": [0, 2, 3, 4, 0], "cam": True},
        "size": 96,
        "smoothing_mm": 4.0,
    },
    "hccnet": {
        "network": "HCCNet",
        "input": INPUT | {"in_plane_mm": 1.5},
        "hcc_threshold": 0.25,
        "smoothing_mm": 2.0,
    },
}


def write_packages(models: Path, names: Iterable[str] = tuple(STATED), **changed: dict[str, Any]) -> Path:
    """Write packages with random weights of fixed seeds. changed: metadata of a package to replace, by its name."""
    for name in names:
        torch.manual_seed(sum(map(ord, name)))
        metadata = PACKAGE | {"name": name, "labels": LABELS[name], "input": INPUT} | STATED[name]
        metadata |= changed.get(name, {})
        network = NETWORKS[metadata["network"]](metadata["preset"])
        write_bundle(models / name, network.state_dict(), metadata)
    return models
