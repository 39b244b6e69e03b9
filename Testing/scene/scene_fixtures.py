"""Small exams with known liver and lesions, and their run folders, on any grid."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from LiverAILib.analysis.pipeline import Analysis
from LiverAILib.export.run_folder import write_run
from LiverAILib.findings import Findings, Lesion, Model, PhaseFacts
from LiverAILib.study import Phase, Source, Study, Volume


@dataclass(frozen=True)
class Run:
    """A run folder and what went into it. Masks are (z, y, x)."""

    folder: Path
    study: Study
    findings: Findings
    liver: npt.NDArray[np.bool_]
    lesions: npt.NDArray[np.uint16]
    probability: npt.NDArray[np.float32]

    @property
    def reference(self) -> Volume:
        return self.study.volumes[self.study.reference_phase]


def axis_aligned(
    spacing_xyz: tuple[float, float, float], origin: tuple[float, float, float]
) -> npt.NDArray[np.float64]:
    """An LPS affine without rotation."""
    affine = np.diag([*spacing_xyz, 1.0])
    affine[:3, 3] = origin
    return affine


AFFINE = axis_aligned((1.5, 1.5, 4.0), (-60.0, -40.0, 900.0))


def ball(shape: tuple[int, int, int], centre: npt.ArrayLike, radius: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """An ellipsoid of voxels."""
    parts = zip(
        np.ogrid[tuple(slice(size) for size in shape)],
        np.broadcast_to(centre, 3),
        np.broadcast_to(radius, 3),
        strict=True,
    )
    z, y, x = (((axis - middle) / reach) ** 2 for axis, middle, reach in parts)
    return np.asarray(z + y + x <= 1)


def make_run(
    folder: Path,
    *,
    shape: tuple[int, int, int] = (16, 48, 56),
    affine: npt.NDArray[np.float64] = AFFINE,
    lesions: int = 3,
    phases: tuple[Phase, ...] = (Phase.ARTERIAL, Phase.PORTAL_VENOUS),
    version: str = "0.1.0",
    seed: int = 0,
    liver: bool = True,
) -> Run:
    """Write a run folder of an ellipsoid liver with `lesions` balls in it; everything is known exactly."""
    size = np.array(shape)
    rng = np.random.default_rng(seed)
    inside_liver = ball(shape, size * 0.5, size * 0.42) & liver
    labels = np.zeros(shape, dtype=np.uint16)
    records: list[Lesion] = []
    for number in range(1, lesions + 1):
        angle = 2 * np.pi * number / max(lesions, 1)
        centre = size * (0.5 + 0.24 * np.array([np.cos(3 * angle), np.sin(angle), np.cos(angle)]) * [0.6, 1, 1])
        mask = ball(shape, centre.round(), np.maximum(size * 0.06, 1.01)) & inside_liver & (labels == 0)
        labels[mask] = number
        inside = np.argwhere(mask)
        here = inside.mean(0)[::-1] @ affine[:3, :3].T + affine[:3, 3]
        records.append(
            Lesion(
                id=f"lesion_{number}",
                name=f"Lesion {number}",
                label=number,
                centre_lps_mm=tuple(here.tolist()),
                box_zyx=(tuple(inside.min(0).tolist()), tuple((inside.max(0) + 1).tolist())),
                volume_ml=float(mask.sum() * abs(np.linalg.det(affine[:3, :3])) / 1000),
                diameter_mm=12.5 + number,
                perpendicular_mm=10.0 + number,
                probability=0.9 - 0.01 * number,
                mean_hu={phases[-1]: 55.0 + number},
            )
        )
    probability = np.where(labels > 0, 0.9, np.where(inside_liver, 0.05, 0.0)).astype(np.float32)
    hu = np.where(inside_liver, 105, -90) - 45 * (labels > 0)
    volumes = {
        phase: Volume((hu + rng.normal(0, 8, shape)).astype(np.int16), affine, Source(f"{phase} series", "phantom"))
        for phase in phases
    }
    study = Study(volumes)
    findings = Findings(
        software_version=version,
        created_utc="2026-11-21T20:00:00Z",
        device="cpu",
        threads=1,
        models=[Model(name="liversegnet-compact", version="1.0.0", sha256="ab" * 32)],
        parameters={},
        seconds={"segment": 1.0},
        warnings=[],
        reference_phase=study.reference_phase,
        phases={
            phase: PhaseFacts(
                source=volume.source.label,
                shape=shape,
                spacing_mm=volume.spacing_mm,
                confidence=1.0,
                reason="given by the user",
                liver_ml=float(inside_liver.sum() * volume.voxel_ml),
                liver_hu=105.0,
            )
            for phase, volume in volumes.items()
        },
        clinical={},
        liver_ml=float(inside_liver.sum() * study.volumes[study.reference_phase].voxel_ml),
        lesions=records,
    )
    folder.parent.mkdir(parents=True, exist_ok=True)
    write_run(Analysis(findings, affine, inside_liver, labels, probability), study, folder, overwrite=True)
    return Run(folder, study, findings, inside_liver, labels, probability)


@contextlib.contextmanager
def no_vtk_errors() -> Iterator[None]:
    """Collect what VTK prints; raise AssertionError at the end if there was an error."""
    import vtk

    before = vtk.vtkOutputWindow.GetInstance()
    window = vtk.vtkStringOutputWindow()
    vtk.vtkOutputWindow.SetInstance(window)
    try:
        yield
    finally:
        vtk.vtkOutputWindow.SetInstance(before)
    text = window.GetOutput()
    assert "ERROR" not in text, text


def add_volumes(scene: Any, run: Run) -> dict[Phase, Any]:
    """The exam's volumes as nodes."""
    from LiverAILib.scene.volumes import PHASE_NAMES, add_volume

    return {phase: add_volume(scene, volume, PHASE_NAMES[phase]) for phase, volume in run.study.volumes.items()}
