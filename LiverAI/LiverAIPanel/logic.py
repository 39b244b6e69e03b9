"""An analysis without the panel: volumes out of the scene, a child process, its result back into the scene."""

import contextlib
import logging
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

import qt
import slicer
import vtk

from LiverAILib.errors import LiverAIError
from LiverAILib.study import ClinicalRecord, Phase
from LiverAIPanel.process import AnalysisProcess
from LiverAIPanel.tags import read_tag
from LiverAIPanel.words import phase_title, tr

log = logging.getLogger("LiverAI")


class Job:
    """One analysis from the scene's volumes to the scene's findings. Make it with `AnalysisLogic.analyze`.

    The volumes are checked and exported one by one between the application's events, so that nothing stands still.
    on_progress(fraction, message); on_finished(error, details, nodes): error is None on success, "" when cancelled.
    """

    current = None  # the one that runs, of all panels in this application

    def __init__(self, logic, volumes, run_folder, on_progress, on_finished):
        self.run_folder = run_folder
        self.warnings = []
        self.nodes = None
        self.error = None
        self._logic = logic
        self._volumes = volumes
        self._on_progress = on_progress
        self._on_finished = on_finished
        self._files = tempfile.TemporaryDirectory(prefix="LiverAI-")
        self._stamps = {phase: stamp(node) for phase, node in volumes.items()}
        self._steps = []
        self._paths = {}
        self.process = AnalysisProcess(self._progress, self._finish, logic.root)

    def start(self, clinical, device):
        """Check and export the volumes, then start the child."""
        Job.current = self
        for phase in self._volumes:
            self._steps += [lambda phase=phase: self._check(phase), lambda phase=phase: self._export(phase)]
        self._steps.append(lambda: self._launch(clinical, device))
        self._on_progress(0.0, tr("Reading the volumes"))
        qt.QTimer.singleShot(0, self._next)

    @property
    def running(self):
        return bool(self._steps) or self.process.running

    def cancel(self):
        """Once: the child ends itself and tidies up. Again: it is killed."""
        if self._steps:
            self._steps = []
            self._finish("", "")
        else:
            self.process.cancel()

    def abandon(self):
        """End it, and nobody is told."""
        self._steps = []
        self._on_progress = self._on_finished = lambda *_: None
        self.process.abandon()
        self._release()

    def _next(self):
        if not self._steps:
            return
        try:
            self._steps[0]()
        except LiverAIError as error:
            self._steps = []
            self._finish(str(error), "")
        else:
            self._steps = self._steps[1:]
            qt.QTimer.singleShot(0, self._next)

    def _progress(self, fraction, message):
        self._on_progress(fraction, message)

    def _node(self, phase):
        node = self._volumes[phase]
        if not slicer.mrmlScene.IsNodePresent(node):
            raise LiverAIError(tr("The {phase} volume was removed.").format(phase=phase_title(phase).lower()))
        return node

    def _check(self, phase):
        from LiverAILib.scene.candidates import examine

        problem = examine(self._node(phase), read_tag).problem
        if problem:
            raise LiverAIError(f"{phase_title(phase)}: {problem}")

    def _export(self, phase):
        self._paths |= self._logic.exportVolumes({phase: self._node(phase)}, Path(self._files.name))

    def _launch(self, clinical, device):
        arguments = self._logic.arguments(self._paths, self.run_folder, clinical, device)
        self.process.start(self._logic.pythonSlicer(), arguments)

    def _release(self):
        if Job.current is self:
            Job.current = None
        with contextlib.suppress(OSError):
            self._files.cleanup()

    def _finish(self, error, details):
        self._release()
        if error is None:
            try:
                self._show()
            except LiverAIError as problem:
                log.exception("The result can't be shown.")
                error = tr("The result can't be shown: {problem} It is kept in {folder}.").format(
                    problem=problem, folder=self.run_folder
                )
        self.error = error
        self._on_finished(error, details, self.nodes)

    def _show(self):
        here = {phase: node for phase, node in self._volumes.items() if slicer.mrmlScene.IsNodePresent(node)}
        for phase in self._volumes:
            if phase not in here:
                text = tr("The {phase} volume was removed during the analysis.")
                self.warnings.append(text.format(phase=phase_title(phase).lower()))
            elif stamp(here[phase]) != self._stamps[phase]:
                text = tr("The {phase} volume was changed during the analysis; the findings are of how it was before.")
                self.warnings.append(text.format(phase=phase_title(phase).lower()))
        self.nodes = self._logic.show(self.run_folder, here)


def check_volumes(volumes):
    """Raise LiverAIError unless there is a volume and each is used for one phase."""
    if not volumes:
        raise LiverAIError(tr("No volume is chosen. Choose at least one phase."))
    if len({node.GetID() for node in volumes.values()}) < len(volumes):
        raise LiverAIError(tr("One volume is chosen for two phases. Choose another, or none, for one of them."))


def stamp(node):
    """Changes when a volume's voxels or place do."""
    image = node.GetImageData()
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    place = tuple(matrix.GetElement(line, column) for line in range(3) for column in range(4))
    return (image.GetMTime() if image is not None else 0, place, node.GetTransformNodeID())


class AnalysisLogic:
    """What `LiverAILogic` can do. root: the folder that holds LiverAILib."""

    root = None
    locked = False  # by a reading session, in which nothing computes and nothing of the AI is shown but by the study

    def analyze(
        self, volumes, clinical=None, *, wait=False, results=None, device="auto", on_progress=None, on_finished=None
    ):
        """Analyse volume nodes by phase, e.g. {"portal_venous": node}, and show the findings in the scene.

        wait=True returns what the scene then holds (`LiverAILib.scene.load.RunNodes`); wait=False returns a `Job` at
        once. clinical: a `ClinicalRecord`. results: a folder for the run folder, by default LiverAI in the user's home.
        Raises LiverAIError, with a sentence for the user, when the volumes can't be used or the analysis fails.
        """
        self._check_unlocked()
        chosen = {Phase(str(phase)): node for phase, node in volumes.items() if node is not None}
        check_volumes(chosen)
        if Job.current is not None:
            raise LiverAIError(tr("An analysis is running already. Wait for it, or cancel it."))
        job = Job(
            self,
            chosen,
            self.newRunFolder(Path(results) if results else Path.home() / "LiverAI"),
            on_progress or (lambda *_: None),
            on_finished or (lambda *_: None),
        )
        job.start(clinical or ClinicalRecord(), device)
        if not wait:
            return job
        try:
            while job.running:
                slicer.app.processEvents()
                time.sleep(0.02)
        finally:
            if job.running:
                job.abandon()
        if job.error is not None:
            raise LiverAIError(job.error or tr("Cancelled. Nothing was written."))
        return job.nodes

    def _check_unlocked(self):
        if AnalysisLogic.locked:
            raise LiverAIError(tr("A reading session is open. Log out of it first."))

    def newRunFolder(self, parent):
        """A run folder that is not there yet, in a folder that is made if it has to be."""
        try:
            parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            text = tr("{folder} can't be used ({reason}). Choose another folder for results.")
            raise LiverAIError(text.format(folder=parent, reason=error.strerror)) from error
        now = datetime.now().astimezone().strftime("%Y-%m-%d-%H%M%S")
        names = (f"run-{now}" + (f"-{number}" if number else "") for number in range(1000))
        return next(parent / name for name in names if not (parent / name).exists())

    def exportVolumes(self, volumes, folder):
        """Write each volume, moved by its transform, as an uncompressed NRRD. Returns the paths by phase."""
        paths = {}
        for phase, node in volumes.items():
            path = folder / f"{phase}.nrrd"
            if not slicer.util.exportNode(node, str(path), {"useCompression": 0}, world=True) or not path.is_file():
                text = tr("The {phase} volume can't be exported. Is the disk for temporary files full?")
                raise LiverAIError(text.format(phase=phase_title(phase).lower()))
            paths[phase] = path
        return paths

    def pythonSlicer(self):
        """Slicer's Python interpreter for child processes."""
        name = "PythonSlicer.exe" if sys.platform == "win32" else "PythonSlicer"
        return Path(slicer.app.slicerHome) / "bin" / name

    def arguments(self, paths, runFolder, clinical=None, device="auto"):
        """The child's arguments: `-m LiverAILib.cli analyze ...`."""
        files = [part for phase, path in paths.items() for part in (f"--{phase.value.replace('_', '-')}", str(path))]
        options = ["--progress", "json", "--die-with-parent", "--verbose", "--device", device]
        return ["-m", "LiverAILib.cli", "analyze", *files, *words_of(clinical), "-o", str(runFolder), *options]

    def show(self, runFolder, volumes):
        """Put a run's findings into the scene and the lesion probability over the slices."""
        self._check_unlocked()
        from LiverAILib.scene.load import show_run
        from LiverAILib.scene.overlay import OPACITY
        from LiverAILib.scene.shown import remember

        nodes = show_run(slicer.mrmlScene, Path(runFolder), volumes)
        remember(slicer.mrmlScene, nodes, volumes)
        if slicer.app.layoutManager() is not None:
            slicer.util.setSliceViewerLayers(
                background=volumes[nodes.findings.reference_phase],
                foreground=nodes.probability,
                foregroundOpacity=OPACITY,
            )
        return nodes


def words_of(clinical):
    """A clinical record as the command line's options."""
    if clinical is None:
        return []
    words = [] if clinical.age is None else ["--age", f"{clinical.age:g}"]
    words += [] if clinical.sex is None else ["--sex", clinical.sex]
    for name in ("hepatitis", "cirrhosis", "cholangiolithiasis", "extrahepatic_tumour"):
        known = getattr(clinical, name)
        words += [] if known is None else [f"--{name.replace('_', '-')}", "yes" if known else "no"]
    return words
