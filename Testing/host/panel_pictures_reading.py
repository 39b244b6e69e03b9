"""Pictures of the reader study's panel, for a person to look at: `python panel_pictures_reading.py OUT`.

A phantom is read without and then with the AI (findings made up from its truth), in light and dark; and the
coordinator's view. As in `panel_pictures`, panel and frame are the stand-in's, the views Slicer's own.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import panel_pictures  # sets the import path
from panel_pictures import VIEW, WIDTH, dark_palette, made_up_run, phantom

# isort: split
import slicer
from conftest_host import load_module
from PIL import Image
from PySide6 import QtCore, QtGui, QtWidgets
from reading_study import QUESTIONS, Station
from slicer_host import start_host, wait_until
from study_builder import FORM, SmallStudy, make_study

from LiverAILib.export.nrrd import write_nrrd
from LiverAILib.phantom.generate import Phantom
from LiverAILib.readerstudy.ai_opinion import read_opinion
from LiverAILib.readerstudy.coordinate import seal_study
from LiverAILib.readerstudy.layout import cases_folder, run_folder, volumes_folder
from LiverAILib.readerstudy.schema import Kind
from LiverAILib.readerstudy.store import StudyFile
from LiverAILib.readerstudy.truth import read_truth, write_truth
from LiverAILib.scene.demo import lesion_marks
from LiverAILib.scene.load import RunNodes
from LiverAILib.scene.slice_view import SliceContent, render_slice_view

HEIGHTS = {"unassisted": 1130, "assisted": 1560, "coordinator": 420}


def phantom_study(folder: Path, exam: Phantom) -> SmallStudy:
    """A sequential study whose cases are all this phantom; R2 has read, R1 has not."""
    readers = [{"code": code} for code in ("R1", "R2", "R3")]
    study = make_study(
        folder,
        prepare="no",
        sealed=False,
        count=4,
        training=0,
        design="sequential",
        questions=QUESTIONS,
        readers=readers,
        title="Liver lesions with and without the AI",
    )
    truth = read_truth(study.truth)
    cases = cases_folder(study.path)
    with StudyFile.open(study.path, study.clock) as file:
        for case in truth.cases:
            volumes_folder(cases, case).mkdir(parents=True)
            for phase, volume in exam.study.volumes.items():
                write_nrrd(volumes_folder(cases, case) / f"{phase}.nrrd", volume.array, volume.affine)
            opinion = read_opinion(made_up_run(run_folder(cases, case), exam))
            truth = truth.model_copy(update={"ai": {**truth.ai, case: opinion}})
            files = {
                path.relative_to(cases).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
                for path in (cases / case).rglob("*.*")
            }
            content = {"files": files, "models": {"toy": "0" * 64}, "opinion_sha256": truth.opinion_sha256(case)}
            file.append(Kind.PREPARED, content, case_id=case)
    write_truth(study.truth, truth)
    seal_study(study.path, study.clock)
    form = {**FORM, "type": {"answer": "cyst"}, "marks": [{**FORM["marks"][0], "type": "cyst"}]}
    study.read_all("R2", form, most=5)
    return study


class Room:
    """The panel of a reading station in a dock of 400 px, and the views of its scene."""

    def __init__(self, folder: Path, study: SmallStudy) -> None:
        self.host = start_host(folder / "slicer", window=True)
        self.station = Station(load_module(), study)
        self.window = QtWidgets.QScrollArea()
        self.window.setWidget(self.station.widget.parent)
        self.window.setWidgetResizable(True)
        self.window.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.window.show()

    def picture(self, path: Path, height: int) -> Path:
        """The panel at the left, the case's phases at the right."""
        self.window.resize(WIDTH, height)
        wait_until(lambda: False, 0.3)
        with tempfile.TemporaryDirectory() as folder:
            self.window.grab().save(f"{folder}/panel.png")
            panel = Image.open(f"{folder}/panel.png").convert("RGB")
        views = self._views()
        columns = 0 if not views else 2
        whole = Image.new("RGB", (panel.width + columns * (VIEW[0] + 4), height), (20, 22, 26))
        whole.paste(panel, (0, 0))
        for number, pixels in enumerate(views):
            left = panel.width + 4 + (number % 2) * (VIEW[0] + 4)
            whole.paste(Image.fromarray(pixels), (left, (number // 2) * (VIEW[1] + 4)))
        path.parent.mkdir(parents=True, exist_ok=True)
        small = whole.resize((whole.width * 3 // 4, whole.height * 3 // 4), Image.Resampling.LANCZOS)
        small.save(path, quality=85, optimize=True)
        return path

    def _views(self) -> list[Any]:
        ai = self.station.page.ai
        pictures = []
        for node in self.station.reading.room.volumes.values():
            content = SliceContent(background=node, title=node.GetName())
            centre = self._centre(node)
            if ai is not None:
                shown = ai.session.shown
                marks = lesion_marks(
                    RunNodes(shown.findings, None, shown.segmentation, shown.probability, None, None, None, 0)
                )
                heat = shown.probability if node is shown.reference else None
                content = SliceContent(
                    background=node, foreground=heat, opacity=0.35, title=node.GetName(), marks=marks
                )
            pictures.append(render_slice_view(self.host, "Axial", content, centre, VIEW))
        return pictures[:4]

    def _centre(self, node: Any) -> Any:
        view = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceNodeLiverAI1")
        bounds = [0.0] * 6
        node.GetRASBounds(bounds)
        return [(bounds[0] + bounds[1]) / 2, (bounds[2] + bounds[3]) / 2, view.GetSliceOffset()]


def answer(room: Room, exam: Phantom) -> None:
    """Answers as of a reader who found two lesions."""
    station = room.station
    station.fill(hcc="yes", verdict="malignant", kind="hcc", sure=85)
    marks = station.page.form.marks
    for key in list(marks.rows):
        marks.rows[key].removeButton.click()
    for lesion, kind, sure in zip(exam.truth.lesions[:2], (1, 5), (90, 60), strict=True):
        key = station.mark(lesion.centre_lps[exam.study.reference_phase], sure)
        marks.rows[key].type.widget.setCurrentIndex(kind)
    station.page.form.fields["remarks"].widget.setPlainText("Motion in the arterial phase.")
    marks.rows[key].goButton.click()


def picture_style(out: Path, exam: Phantom, folder: Path, style: str) -> list[Path]:
    """The three pages in one style."""
    study = phantom_study(folder / "study", exam)
    room = Room(folder, study)
    QtWidgets.QApplication.setPalette(dark_palette() if style == "dark" else QtGui.QPalette())
    station = room.station
    for section in station.widget.panel.sections.values():
        section.collapsed = True
    station.reading.section.collapsed = False
    station.reading.login.path.currentPath = str(study.path)
    station.reading.login.progressButton.click()
    station.widget.place.setVisible(False)  # the analysis above it has pictures of its own
    written = [room.picture(out / f"reading-coordinator-{style}.jpg", HEIGHTS["coordinator"])]
    station.widget.place.setVisible(True)
    station.log_in("R1")
    station.next()
    answer(room, exam)
    written.append(room.picture(out / f"reading-unassisted-{style}.jpg", HEIGHTS["unassisted"]))
    station.submit()
    station.wait()
    station.page.ai.overlay.heat.widget.setCurrentIndex(0)
    station.page.step_lesion(1)
    station.fill(hcc="yes", verdict="malignant", kind="hcc", sure=95)
    written.append(room.picture(out / f"reading-assisted-{style}.jpg", HEIGHTS["assisted"]))
    station.widget.cleanup()
    QtWidgets.QApplication.setPalette(QtGui.QPalette())
    return written


def write_all(out: Path) -> list[Path]:
    """All pictures."""
    exam = phantom()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        return [path for style in ("light", "dark") for path in picture_style(out, exam, Path(name) / style, style)]


if __name__ == "__main__":
    assert panel_pictures
    for picture in write_all(Path(sys.argv[1])):
        print(picture, picture.stat().st_size // 1000, "kB")
    sys.stdout.flush()
    os._exit(0)  # the kept scenes crash when Python takes them apart
