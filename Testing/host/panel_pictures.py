"""Pictures of the panel beside real slice views, for a person to look at: `python panel_pictures.py OUT`.

The views are drawn by Slicer's own slice pipeline; panel and frame are the stand-in's, so colours and widgets look
otherwise in Slicer. before, running, after: a phantom, analysed by the real child with the weights that ship.
findings: the same phantom with findings made up from its truth, to show what has no weights yet.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent / "scene"), str(HERE.parent / "importing"), str(ROOT)]

import numpy as np
import slicer
from conftest_host import load_module
from PIL import Image, ImageDraw
from PySide6 import QtCore, QtGui, QtWidgets
from scipy import ndimage
from slicer_host import start_host, wait_until

from LiverAILib.analysis.lesions import measure
from LiverAILib.analysis.pipeline import Analysis
from LiverAILib.export.nrrd import write_nrrd
from LiverAILib.export.run_folder import write_run
from LiverAILib.findings import Findings, HCCRisk, Model, PhaseFacts, Reading, SliceScores, Triage, Verdict
from LiverAILib.lesion_types import LesionType
from LiverAILib.phantom import PhantomOptions, generate
from LiverAILib.phantom.generate import Phantom
from LiverAILib.scene.demo import lesion_marks
from LiverAILib.scene.load import RunNodes
from LiverAILib.scene.slice_view import SliceContent, render_slice_view
from LiverAILib.scene.volumes import PHASE_NAMES, add_volume
from LiverAILib.study import Phase

WIDTH, HEIGHT = 400, 1130
VIEW = (520, 560)
SEED = 1_000_001
LESIONS = ("hcc", "haemangioma", "cyst", "metastasis")


def dark_palette() -> QtGui.QPalette:
    """Slicer's dark style, nearly."""
    palette = QtGui.QPalette()
    roles = QtGui.QPalette.ColorRole
    for role, shade in (
        (roles.Window, 53),
        (roles.Base, 35),
        (roles.AlternateBase, 53),
        (roles.Button, 66),
        (roles.Mid, 85),
        (roles.ToolTipBase, 53),
    ):
        palette.setColor(role, QtGui.QColor(shade, shade, shade))
    for role in (roles.WindowText, roles.Text, roles.ButtonText, roles.ToolTipText):
        palette.setColor(role, QtGui.QColor(225, 225, 225))
    palette.setColor(roles.Highlight, QtGui.QColor(42, 130, 218))
    palette.setColor(roles.PlaceholderText, QtGui.QColor(150, 150, 150))
    for role in (roles.WindowText, roles.Text, roles.ButtonText):
        palette.setColor(QtGui.QPalette.ColorGroup.Disabled, role, QtGui.QColor(120, 120, 120))
    return palette


def phantom() -> Phantom:
    """The exam of the pictures."""
    options = PhantomOptions(shape=(30, 208, 208), spacing_mm=(8.0, 1.85, 1.85), lesions=LESIONS)
    return generate(SEED, options=options)


def made_up_run(folder: Path, exam: Phantom) -> Path:
    """A run folder with all fields filled from the phantom's truth; the classes' values are made up."""
    study, reference = exam.study, exam.study.reference_phase
    ids = exam.lesion_ids[reference]
    blurred = ndimage.gaussian_filter((ids > 0).astype(np.float32), (0.5, 2, 2))
    probability = np.clip(1.25 * blurred, 0, 1).astype(np.float32) * (exam.liver_mask(reference))
    labels = np.zeros_like(ids)
    for label, number in enumerate([int(n) for n in np.unique(ids) if n], start=1):
        labels[ids == number] = label
    shifts = {phase: np.zeros(3) for phase in study.volumes}
    types = {one.id: one.type for one in exam.truth.lesions}
    lesions = []
    for lesion, number in zip(
        measure(study, labels, probability, shifts), [n for n in np.unique(ids) if n], strict=True
    ):
        kind = LesionType(types[int(number)])
        shares = {one: 0.79 if one is kind else 0.035 for one in LesionType}
        verdict = Verdict.MALIGNANT if kind.malignant else Verdict.BENIGN
        update = {"type_probabilities": shares, "verdict": verdict, "found_in": list(study.volumes)}
        lesions.append(lesion.model_copy(update=update))
    liver = exam.liver_mask(reference)
    levels = [index for index in range(liver.shape[0]) if liver[index].any()]
    inside = [float((ids[index] > 0).any()) for index in levels]
    wave = ndimage.gaussian_filter1d(np.array(inside), 0.8)
    scores = SliceScores(
        slices=[(index, index + 1) for index in levels],
        nodule=(0.08 + 0.87 * wave).tolist(),
    )
    worst = next(lesion for lesion in lesions if lesion.likeliest_type is LesionType.HCC)
    facts = {
        phase: PhaseFacts(
            source=str(phase),
            shape=volume.array.shape,
            spacing_mm=volume.spacing_mm,
            confidence=1.0,
            reason="given",
            liver_ml=float(exam.liver_mask(phase).sum() * volume.voxel_ml),
            liver_hu=float(volume.array[exam.liver_mask(phase)].mean()),
        )
        for phase, volume in study.volumes.items()
    }
    findings = Findings(
        software_version="0.1.0",
        created_utc="2026-11-21T20:00:00Z",
        device="cpu",
        threads=2,
        models=[Model(name="made-up", version="0", sha256="0" * 64)],
        parameters={},
        seconds={},
        warnings=["Findings made up from the phantom's truth."],
        reference_phase=reference,
        phases=facts,
        clinical={},
        liver_ml=facts[reference].liver_ml,
        lesions=lesions,
        reading=Reading(
            triage=Triage.HIGH,
            reason=f"High risk: {worst.name} is definitely malignant (most likely hepatocellular carcinoma; "
            "probability of malignancy 0.86, at least 0.70).",
            worst=worst.id,
            verdict=Verdict.MALIGNANT,
            malignancy=0.86,
            malignant=True,
        ),
        hcc_risk=HCCRisk(
            printed=0.0061,
            unscaled=0.52,
            images=len(levels),
            threshold=0.4,
            hcc=True,
            slices=scores.slices,
            scores=(0.05 + 0.8 * wave * np.linspace(0.2, 1, len(levels))).tolist(),
        ),
        slice_scores=dict.fromkeys(study.volumes, scores),
    )
    affine = study.volumes[reference].affine
    run = write_run(Analysis(findings, affine, liver, labels, probability), study, folder)
    for phase, volume in study.volumes.items():
        saliency = ndimage.gaussian_filter((exam.lesion_ids[phase] > 0).astype(np.float32), (0.5, 4, 4))
        write_nrrd(run.path / f"saliency_{phase}.nrrd", np.clip(saliency, 0, 1), volume.affine)
    return run.path


class Stage:
    """A panel of 400 px on a stand-in, and the views of its scene."""

    def __init__(self, folder: Path) -> None:
        self.host = start_host(folder / "slicer", window=True)
        self.widget = load_module().LiverAIWidget()
        self.widget.setup()
        self.panel = self.widget.panel
        self.panel.output.currentPath = str(folder / "results")
        self.window = QtWidgets.QScrollArea()  # as in Slicer, the panel scrolls in its dock
        self.window.setWidget(self.widget.parent)
        self.window.setWidgetResizable(True)
        self.window.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.window.resize(WIDTH, HEIGHT)
        self.window.show()

    def load(self, exam: Phantom) -> dict[Phase, Any]:
        nodes = {
            phase: add_volume(slicer.mrmlScene, one, f"CT {phase.words}") for phase, one in exam.study.volumes.items()
        }
        panel = self.panel
        assert wait_until(lambda: len(panel.study.volumes()) == len(nodes) and not panel.study.looking(), 60)
        return nodes

    def picture(self, path: Path) -> Path:
        """The panel at the left, four slice views at the right."""
        wait_until(lambda: False, 0.3)
        grab = self.window.grab()
        with tempfile.TemporaryDirectory() as folder:
            grab.save(f"{folder}/panel.png")
            panel = Image.open(f"{folder}/panel.png").convert("RGB")
        whole = Image.new("RGB", (panel.width + 2 * VIEW[0] + 8, HEIGHT), (20, 22, 26))
        whole.paste(panel, (0, 0))
        for number, pixels in enumerate(self._views()):
            left = panel.width + 4 + (number % 2) * (VIEW[0] + 4)
            whole.paste(Image.fromarray(pixels), (left, (number // 2) * (VIEW[1] + 4)))
        draw = ImageDraw.Draw(whole)
        draw.line([(panel.width + 1, 0), (panel.width + 1, HEIGHT)], (90, 90, 90), 2)
        path.parent.mkdir(parents=True, exist_ok=True)
        small = whole.resize((whole.width * 3 // 4, whole.height * 3 // 4), Image.Resampling.LANCZOS)
        small.save(path, quality=85, optimize=True)
        return path

    def _views(self) -> list[Any]:
        shown, volumes = self.panel.session.shown, self.panel.study.volumes()
        hidden = self.panel.parameters().hidden
        centre = self._centre(volumes)
        pictures = []
        phases = [phase for phase in Phase if phase in volumes]
        main = self.panel.session.phase or phases[-1]
        for orientation, phase in [("Axial", phase) for phase in [main, *[p for p in phases if p is not main]]] + [
            ("Coronal", main)
        ]:
            content = SliceContent(background=volumes[phase], title=PHASE_NAMES[phase])
            if shown is not None:
                heat = shown.probability if phase is shown.findings.reference_phase and not hidden else None
                run = RunNodes(shown.findings, None, shown.segmentation, shown.probability, None, None, None, 0)
                marks = lesion_marks(run)
                content = SliceContent(
                    background=volumes[phase], foreground=heat, opacity=0.35, title=PHASE_NAMES[phase], marks=marks
                )
            pictures.append(render_slice_view(self.host, orientation, content, centre, VIEW))
        return pictures[:4]

    def _centre(self, volumes: dict[Phase, Any]) -> Any:
        one = self.panel.chosen() if self.panel.session.shown is not None else None
        if one is not None:
            x, y, z = one.lesion.centre_lps_mm
            return (-x, -y, z)
        bounds = [0.0] * 6
        next(iter(volumes.values())).GetRASBounds(bounds)
        return [(bounds[2 * axis] + bounds[2 * axis + 1]) / 2 for axis in range(3)]


def picture_a_run(out: Path, exam: Phantom, folder: Path) -> list[Path]:
    """Before, while and after the real child analyses the phantom."""
    stage = Stage(folder)
    stage.load(exam)
    written = [stage.picture(out / "panel-before.jpg")]
    stage.panel.run.analyzeButton.click()
    assert wait_until(lambda: stage.panel.run.progress.value > 250, 300)
    written.append(stage.picture(out / "panel-running.jpg"))
    assert wait_until(lambda: not stage.panel.running, 500)
    stage.panel.step_lesion(1)
    written.append(stage.picture(out / "panel-after.jpg"))
    stage.widget.cleanup()
    return written


def picture_findings(out: Path, exam: Phantom, folder: Path, style: str) -> Path:
    """All that findings can hold, made up from the phantom's truth."""
    stage = Stage(folder)
    QtWidgets.QApplication.setPalette(dark_palette() if style == "dark" else QtGui.QPalette())
    nodes = stage.load(exam)
    stage.panel.logic.show(made_up_run(folder / "run", exam), nodes)
    stage.panel.restore()
    stage.panel.sections["study"].collapsed = True
    stage.panel.step_lesion(1)
    stage.panel.sections["opinion"].collapsed = style == "dark"
    stage.panel.sections["overlay"].collapsed = style != "dark"
    stage.panel.sections["report"].collapsed = style != "dark"
    written = stage.picture(out / f"panel-findings-{style}.jpg")
    stage.widget.cleanup()
    QtWidgets.QApplication.setPalette(QtGui.QPalette())
    return written


def write_all(out: Path, *, run: bool = True) -> list[Path]:
    """All pictures; `run`: also those of a real analysis, which takes minutes."""
    exam = phantom()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        written = [picture_findings(out, exam, Path(name) / style, style) for style in ("light", "dark")]
        return (picture_a_run(out, exam, Path(name) / "run") if run else []) + written


if __name__ == "__main__":
    for picture in write_all(Path(sys.argv[1]), run="--no-run" not in sys.argv):
        print(picture, picture.stat().st_size // 1000, "kB")
    sys.stdout.flush()
    os._exit(0)  # the kept scenes crash when Python takes them apart
