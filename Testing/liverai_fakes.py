"""Small stand-ins at the project's seams: a toy exam with known truth, and a segmenter that needs no network.

Run as a script it is the `liverai` command with these in place, for tests that need a real process:
`python liverai_fakes.py [options of main] analyze ...`.
"""

from __future__ import annotations

import argparse
import functools
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from LiverAILib.findings import Lesion, Model
from LiverAILib.study import ClinicalRecord, Phase, PhaseOpinion, Source, Study, Volume

SHAPE = (20, 64, 72)
#: The metadata of a model package, but for its hash.
PACKAGE: dict[str, Any] = {
    "name": "liversegnet",
    "version": "0.0.1",
    "network": "LiverSegNet",
    "preset": "compact",
    "labels": ["liver", "lesion"],
    "input": {"in_plane_mm": 1.25, "min_slice_mm": 2.0, "window_hu": [-40, 160], "phases": ["portal_venous"]},
    "trained_on": "nothing",
    "data_licence": "none",
    "results": [],
}

LIVER_HU, LESION_HU, OUTSIDE_HU = 110, 45, -100


def toy_truth(lesions: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Liver (lesions included) and lesion labels of the toy exam: an ellipsoid with spheres in it."""
    z, y, x = np.indices(SHAPE, dtype=float)
    liver = ((z - 10) / 8) ** 2 + ((y - 32) / 22) ** 2 + ((x - 34) / 26) ** 2 < 1
    labels = np.zeros(SHAPE, dtype=np.uint16)
    for number in range(lesions):
        centre = (8 + number, 26 + 9 * number, 24 + 16 * number)
        radius = 6 - number
        inside = (2.5 * (z - centre[0])) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2 < radius**2
        labels[inside] = number + 1
    return liver | (labels > 0), labels


def toy_affine(oblique: bool = False) -> np.ndarray:
    """2.5 mm slices of 1.2 mm pixels; `oblique` turns the axes about z and x."""
    affine = np.eye(4)
    turn = np.eye(3)
    if oblique:
        a, b = np.deg2rad(20), np.deg2rad(10)
        turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]]) @ np.array(
            [[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]]
        )
    affine[:3, :3] = turn @ np.diag([1.2, 1.2, 2.5])
    affine[:3, 3] = [-40.5, -38.0, -120.25]
    return affine


def toy_study(
    phases: tuple[Phase, ...] = (Phase.NON_CONTRAST, Phase.ARTERIAL, Phase.PORTAL_VENOUS),
    lesions: int = 2,
    oblique: bool = False,
) -> Study:
    """The toy exam; every phase looks alike."""
    liver, labels = toy_truth(lesions)
    noise = np.random.default_rng(7).normal(0, 5, SHAPE)
    hu = np.where(labels > 0, LESION_HU, np.where(liver, LIVER_HU, OUTSIDE_HU)) + noise
    volumes = {}
    for phase in phases:
        source = Source(f"toy {phase}", "phantom", opinions={"tags": PhaseOpinion(phase, 0.9, "the toy says so")})
        volumes[phase] = Volume(hu.astype(np.int16), toy_affine(oblique), source)
    return Study(volumes, ClinicalRecord(age=61, sex="female"))


@dataclass(frozen=True)
class ToySegmentation:
    liver: np.ndarray
    lesion_probability: np.ndarray


@dataclass(frozen=True)
class ToyMeasured:
    liver: np.ndarray
    lesion_ids: np.ndarray
    lesion_probability: np.ndarray
    lesions: list[Lesion]
    warnings: list[str] = field(default_factory=list)


class ToySegmenter:
    """Liver above 0 HU; lesion below 80 HU in it. `seconds`: how long it takes per phase. `child`: starts a process."""

    model = Model(name="toy", version="1", sha256="0" * 64)
    parameters: Mapping[str, Any] = {"threshold_hu": 80}

    def __init__(self, seconds: float = 0.0, child: bool = False) -> None:
        self.seconds = seconds
        self.child = child

    def __call__(self, volume: Volume, progress: Callable[[float], None]) -> ToySegmentation:
        if self.child:
            worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], stdin=subprocess.DEVNULL)
            print(f"worker {worker.pid}", file=sys.stderr, flush=True)
        print("a library prints to stdout")
        for step in range(10):
            progress(step / 10)
            time.sleep(self.seconds / 10)
        liver = volume.array > 0
        lesion = liver & (volume.array < 80)
        return ToySegmentation(liver, np.where(lesion, 0.875, 0.0).astype(np.float32))


def toy_lesions(study: Study, segmentations: Mapping[Phase, Any]) -> Any:
    """Connected components of the reference phase, largest first, roughly measured."""
    reference = study.volumes[study.reference_phase]
    found = segmentations[study.reference_phase]
    parts, count = ndimage.label(found.lesion_probability > 0.5)
    order = np.argsort(-np.bincount(parts.ravel(), minlength=count + 1)[1:], kind="stable") + 1
    ids = np.zeros(parts.shape, dtype=np.uint16)
    lesions = []
    for label, part in enumerate(order, start=1):
        where = np.argwhere(parts == part)
        ids[parts == part] = label
        low, high = where.min(axis=0), where.max(axis=0) + 1
        centre = reference.to_lps(where.mean(axis=0))
        lesions.append(
            Lesion(
                id=f"lesion_{label}",
                name=f"Lesion {label}",
                label=label,
                centre_lps_mm=tuple(float(v) for v in centre),
                box_zyx=(tuple(map(int, low)), tuple(map(int, high))),
                volume_ml=len(where) * reference.voxel_ml,
                diameter_mm=float((high - low)[2] * reference.spacing_mm[2]),
                perpendicular_mm=float((high - low)[1] * reference.spacing_mm[1]),
                probability=float(found.lesion_probability[parts == part].mean()),
                mean_hu={phase: float(v.array[parts == part].mean()) for phase, v in study.volumes.items()},
            )
        )
    return ToyMeasured(found.liver, ids, found.lesion_probability, lesions)


def everything_in(folder: Path) -> list[str]:
    """All names in a folder, hidden ones too."""
    return sorted(path.name for path in folder.iterdir())


def main() -> int:
    """The `liverai` command with the toy parts."""
    from LiverAILib.analysis.command import Parts, run_analyze
    from LiverAILib.cli import build_parser, run_command

    fakes = argparse.ArgumentParser(add_help=False)
    fakes.add_argument("--fake-seconds", type=float, default=0.0)
    fakes.add_argument("--fake-child", action="store_true")
    fakes.add_argument("--fake-phases", type=int, default=3)
    fakes.add_argument("--real-import", action="store_true")
    fakes.add_argument("--real-network", action="store_true")
    options, rest = fakes.parse_known_args()
    args = build_parser(rest).parse_args(rest)

    def load(paths: Any, **given: Any) -> Study:
        return toy_study(tuple(Phase)[3 - options.fake_phases : 3])

    args.run = functools.partial(
        run_analyze,
        parts=Parts(
            load=None if options.real_import else load,
            segmenter=None if options.real_network else ToySegmenter(options.fake_seconds, options.fake_child),
            lesion_finder=toy_lesions,
        ),
    )
    return run_command(args)


if __name__ == "__main__":
    sys.exit(main())
