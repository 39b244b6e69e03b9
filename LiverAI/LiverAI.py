"""The LiverAI module of 3D Slicer: choose the phases, analyse in a child process, see the result.

Wiring only: the analysis runs in `LiverAILib.cli`, and `LiverAILib.scene` makes the nodes. For research use only.
"""

import contextlib
import importlib.metadata
import json
import logging
import sys
import tempfile
from datetime import datetime
from pathlib import Path

import ctk
import qt
import slicer
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)

# LiverAILib and Resources stand beside this folder in the source tree, beside this file once built or installed.
_HERE = Path(__file__).resolve().parent
ROOT = next(folder for folder in (_HERE, _HERE.parent) if (folder / "LiverAILib" / "__init__.py").is_file())
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))
RESOURCES = ROOT / "Resources"

from LiverAILib.errors import LiverAIError
from LiverAILib.study import Phase

log = logging.getLogger("LiverAI")

KILL_AFTER_MS = 5000
ERROR_CHECK_MS = 200


class LiverAI(ScriptedLoadableModule):
    """What Slicer's module list shows."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = "LiverAI"
        parent.categories = ["Segmentation"]
        parent.dependencies = []
        parent.contributors = ["LiverAI developers"]
        parent.helpText = (
            "Finds the liver and its lesions in one to four contrast phases of a liver CT. For research use only: "
            "this is no medical device, and its results are no diagnosis."
        )
        parent.acknowledgementText = (
            "Methods: LiAIDS (Ying et al., Nat Commun 2024) and HCCNet (Wang et al., Br J Cancer 2021)."
        )
        parent.icon = qt.QIcon(str(RESOURCES / "Icons" / "LiverAI.png"))
        slicer.app.startupCompleted.connect(load_terminology)


def load_terminology():
    """Make the liver's lesion types known to Slicer's terminology selector."""
    terminologies = getattr(slicer.modules, "terminologies", None)
    if terminologies is None:
        return
    path = RESOURCES / "Terminology" / "LiverAI.term.json"
    if not terminologies.logic().LoadTerminologyFromFile(str(path)):
        log.warning("The terminology %s was not loaded.", path.name)


class AnalysisProcess:
    """One analysis in a child process that ends with Slicer, with callbacks for its progress and its end.

    on_progress(fraction, message); on_finished(error): None on success, "" when cancelled, else the text for the user.
    """

    def __init__(self, on_progress, on_finished):
        self._on_progress = on_progress
        self._on_finished = on_finished
        self._process = None
        self._ended = None  # keeps the last process alive: Qt must not lose it inside its own signal
        self._pending = b""
        self._errors = b""
        self._cancelled = False

    @property
    def running(self):
        return self._process is not None

    def start(self, program, arguments):
        """Run `program`; its working folder makes LiverAILib importable."""
        self._pending = self._errors = b""
        self._cancelled = False
        self._process = qt.QProcess()
        self._process.setWorkingDirectory(str(ROOT))
        self._process.readyReadStandardOutput.connect(self._read_output)
        self._process.readyReadStandardError.connect(self._read_errors)
        self._process.finished.connect(lambda *_: self._finish())
        self._process.errorOccurred.connect(lambda *_: qt.QTimer.singleShot(ERROR_CHECK_MS, self._check_started))
        self._process.start(str(program), [str(argument) for argument in arguments])

    def cancel(self):
        """End the child and all it started: it reads the end of its input as the order to stop."""
        if self._process is None:
            return
        self._cancelled = True
        self._process.closeWriteChannel()
        process = self._process
        qt.QTimer.singleShot(KILL_AFTER_MS, lambda: process.kill() if self._process is process else None)

    def abandon(self):
        """End the child and forget it: nobody is called any more."""
        self._on_progress = self._on_finished = lambda *_: None
        self.cancel()

    def _read_output(self):
        if self._process is None:
            return
        self._pending += bytes(self._process.readAllStandardOutput().data())
        *lines, self._pending = self._pending.split(b"\n")
        for line in lines:
            try:
                step = json.loads(line)
                fraction, message = float(step["fraction"]), str(step["message"])
            except (ValueError, TypeError, KeyError):
                log.warning("Not a progress line: %r", line[:200])
                continue
            self._on_progress(fraction, message)

    def _read_errors(self):
        if self._process is not None:
            self._errors += bytes(self._process.readAllStandardError().data())

    def _check_started(self):
        """A program that can't be started emits an error and no end; a started one that fails ends as well."""
        if self._process is not None and self._process.state() == qt.QProcess.NotRunning:
            self._process = None
            self._on_finished("Slicer's Python (PythonSlicer) could not be started. Install Slicer again.")

    def _finish(self):
        if self._process is None:
            return
        self._read_output()
        self._read_errors()
        code = self._process.exitCode()
        crashed = self._process.exitStatus() != qt.QProcess.NormalExit
        self._ended, self._process = self._process, None
        text = self._errors.decode("utf-8", "replace").strip()
        if text:
            log.info("The analysis wrote:\n%s", text)
        if self._cancelled:
            self._on_finished("")
        elif code == 0 and not crashed:
            self._on_finished(None)
        else:
            last = text.splitlines()[-1] if text else ""
            self._on_finished(last or "The analysis ended unexpectedly. See the log for details.")


class LiverAIWidget(ScriptedLoadableModuleWidget):
    """The panel."""

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        self.logic = LiverAILogic()
        self.process = AnalysisProcess(self.showProgress, self.finish)
        self._files = None
        self._runFolder = None
        self._volumes = {}
        self._lesions = []
        self._buildInputs()
        self._buildRun()
        self._buildResult()
        self.layout.addStretch(1)
        self.updateButtons()

    def _section(self, title):
        section = ctk.ctkCollapsibleButton()
        section.text = title
        self.layout.addWidget(section)
        return section

    def _buildInputs(self):
        self.inputs = self._section("Phases")
        self.inputsLayout = qt.QFormLayout(self.inputs)
        self.selectors = {}
        for phase in Phase:
            selector = slicer.qMRMLNodeComboBox()
            selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
            selector.noneEnabled = True
            selector.addEnabled = False
            selector.removeEnabled = False
            selector.renameEnabled = False
            selector.selectNodeUponCreation = False
            selector.setMRMLScene(slicer.mrmlScene)
            selector.setToolTip(f"The {phase.words} CT of the exam; any subset of phases will do.")
            selector.currentNodeIDChanged.connect(lambda *_: self.updateButtons())
            self.inputsLayout.addRow(phase.words.capitalize(), selector)
            self.selectors[phase] = selector
        self.output = ctk.ctkPathLineEdit()
        self.output.filters = ctk.ctkPathLineEdit.Dirs
        self.output.currentPath = str(Path.home() / "LiverAI")
        self.output.setToolTip("Each analysis writes a folder of its own here.")
        self.inputsLayout.addRow("Results in", self.output)

    def _buildRun(self):
        self.runBox = qt.QWidget()
        self.runLayout = qt.QVBoxLayout(self.runBox)
        self.layout.addWidget(self.runBox)
        self.analyzeButton = qt.QPushButton("Analyze")
        self.analyzeButton.clicked.connect(lambda *_: self.analyze())
        self.cancelButton = qt.QPushButton("Cancel")
        self.cancelButton.clicked.connect(lambda *_: self.process.cancel())
        self.progress = qt.QProgressBar()
        self.progress.setMaximum(1000)
        self.status = qt.QLabel("Research use only. No diagnosis.")
        self.status.setWordWrap(True)
        for widget in (self.analyzeButton, self.cancelButton, self.progress, self.status):
            self.runLayout.addWidget(widget)

    def _buildResult(self):
        self.result = self._section("Lesions")
        self.resultLayout = qt.QVBoxLayout(self.result)
        self.table = qt.QTableWidget()
        self.table.setEditTriggers(qt.QAbstractItemView.NoEditTriggers)
        self.table.setSelectionBehavior(qt.QAbstractItemView.SelectRows)
        self.table.setMinimumHeight(120)
        self.table.setToolTip(
            "Click on a row to go there. Prob.: how sure the network is, on average, that this is a lesion; "
            "it says nothing of malignancy."
        )
        self.table.verticalHeader().setVisible(False)
        self.table.cellClicked.connect(lambda row, *_: self.jumpTo(row))
        self.resultLayout.addWidget(self.table)

    def cleanup(self):
        """Slicer quits or reloads the module: the child must not outlive it."""
        self.process.abandon()
        self._removeFiles()

    def onReload(self):
        for name in [name for name in sys.modules if name.partition(".")[0] == "LiverAILib"]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    def updateButtons(self):
        running = self.process.running
        chosen = any(selector.currentNode() is not None for selector in self.selectors.values())
        self.analyzeButton.enabled = chosen and not running
        self.cancelButton.enabled = running
        self.inputs.enabled = not running
        self.progress.setVisible(running)

    def analyze(self):
        """Export the chosen volumes and start the child."""
        try:
            with slicer.util.tryWithErrorDisplay("The analysis could not be started.", waitCursor=True):
                self._start()
        finally:
            if not self.process.running:
                self._removeFiles()
            self.updateButtons()

    def _start(self):
        chosen = {phase: selector.currentNode() for phase, selector in self.selectors.items()}
        self._volumes = {phase: node for phase, node in chosen.items() if node is not None}
        self.logic.checkVolumes(self._volumes)
        if not self.logic.ensurePackages():
            return
        self._runFolder = self.logic.newRunFolder(Path(self.output.currentPath))
        self._files = tempfile.TemporaryDirectory(prefix="LiverAI-")
        paths = self.logic.exportVolumes(self._volumes, Path(self._files.name))
        self.progress.setValue(0)
        self.status.setText("Starting ...")
        self.process.start(self.logic.pythonSlicer(), self.logic.arguments(paths, self._runFolder))

    def _removeFiles(self):
        """Remove the exported volumes."""
        if self._files is not None:
            with contextlib.suppress(OSError):
                self._files.cleanup()
            self._files = None

    def showProgress(self, fraction, message):
        self.progress.setValue(round(1000 * fraction))
        self.status.setText(message)

    def finish(self, error):
        """The child has ended: show its result, or say why there is none."""
        self._removeFiles()
        self.updateButtons()
        if error is not None:
            self.status.setText(error or "Cancelled. Nothing was written.")
            if error:
                slicer.util.errorDisplay(error)
            return
        with slicer.util.tryWithErrorDisplay("The result can't be shown.", waitCursor=True):
            present = {phase: node for phase, node in self._volumes.items() if slicer.mrmlScene.IsNodePresent(node)}
            nodes = self.logic.show(self._runFolder, present)
            self.fillTable(nodes.findings)
            count = len(nodes.findings.lesions)
            found = "no lesion" if count == 0 else "1 lesion" if count == 1 else f"{count} lesions"
            warnings = "".join(f"\n{warning}" for warning in nodes.findings.warnings)
            self.status.setText(f"Liver {nodes.findings.liver_ml:.0f} ml, {found}. Research use only.{warnings}")

    def fillTable(self, findings):
        """One row per lesion; numbers stay numbers, so that they sort as such."""
        self._lesions = list(findings.lesions)
        titles = ["Lesion", "Vol. (ml)", "Diam. (mm)", "Prob."]
        self.table.setSortingEnabled(False)
        self.table.setColumnCount(len(titles))
        self.table.setHorizontalHeaderLabels(titles)
        self.table.setRowCount(len(self._lesions))
        for row, lesion in enumerate(self._lesions):
            values = (lesion.volume_ml, lesion.diameter_mm, lesion.probability)
            cells = [lesion.name, *(round(float(value), 2) for value in values)]
            for column, value in enumerate(cells):
                item = qt.QTableWidgetItem()
                item.setData(qt.Qt.DisplayRole, value)
                if column == 0:
                    item.setData(qt.Qt.UserRole, row)
                self.table.setItem(row, column, item)
        self.table.resizeColumnsToContents()
        self.table.setSortingEnabled(True)

    def jumpTo(self, row):
        """Show the lesion of a table row in all slice views."""
        item = self.table.item(row, 0)
        if item is None:
            return
        x, y, z = self._lesions[int(item.data(qt.Qt.UserRole))].centre_lps_mm
        offset = slicer.vtkMRMLSliceNode.OffsetJumpSlice
        slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, -x, -y, z, offset)


class LiverAILogic(ScriptedLoadableModuleLogic):
    """What the panel does, without the panel."""

    def checkVolumes(self, volumes):
        """Raise LiverAIError unless there is a volume and each is used for one phase."""
        if not volumes:
            raise LiverAIError("No volume is chosen. Choose at least one phase.")
        if len({node.GetID() for node in volumes.values()}) < len(volumes):
            raise LiverAIError("One volume is chosen for two phases. Choose another, or none, for one of them.")

    def newRunFolder(self, parent):
        """A run folder that is not there yet, in a folder that is made if it has to be."""
        try:
            parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LiverAIError(
                f"{parent} can't be used ({error.strerror}). Choose another folder for results."
            ) from error
        stamp = datetime.now().astimezone().strftime("%Y-%m-%d-%H%M%S")
        names = (f"run-{stamp}" + (f"-{number}" if number else "") for number in range(1000))
        return next(parent / name for name in names if not (parent / name).exists())

    def exportVolumes(self, volumes, folder):
        """Write each volume, moved by its transform, as an uncompressed NRRD. Returns the paths by phase."""
        paths = {}
        for phase, node in volumes.items():
            path = folder / f"{phase}.nrrd"
            if not slicer.util.exportNode(node, str(path), {"useCompression": 0}, world=True) or not path.is_file():
                raise LiverAIError(f"The {phase.words} volume can't be exported. Is the disk full?")
            paths[phase] = path
        return paths

    def pythonSlicer(self):
        """Slicer's Python interpreter for child processes."""
        name = "PythonSlicer.exe" if sys.platform == "win32" else "PythonSlicer"
        return Path(slicer.app.slicerHome) / "bin" / name

    def arguments(self, paths, runFolder):
        """The child's arguments: `-m LiverAILib.cli analyze ...`."""
        files = [part for phase, path in paths.items() for part in (f"--{phase.value.replace('_', '-')}", str(path))]
        options = ["--progress", "json", "--die-with-parent"]
        return ["-m", "LiverAILib.cli", "analyze", *files, "-o", str(runFolder), *options]

    def show(self, runFolder, volumes):
        """Put a run's findings into the scene and the lesion probability over the slices."""
        from LiverAILib.scene.load import show_run
        from LiverAILib.scene.overlay import OPACITY

        nodes = show_run(slicer.mrmlScene, Path(runFolder), volumes)
        if slicer.app.layoutManager() is not None:
            slicer.util.setSliceViewerLayers(
                background=volumes[nodes.findings.reference_phase],
                foreground=nodes.probability,
                foregroundOpacity=OPACITY,
            )
        return nodes

    def requirements(self):
        """The lines of Resources/requirements.txt, without comments."""
        lines = (RESOURCES / "requirements.txt").read_text(encoding="utf-8").splitlines()
        return [line.strip() for line in lines if line.strip() and not line.startswith("#")]

    def missingPackages(self):
        """The requirements that Slicer's Python does not fulfil."""
        from packaging.requirements import Requirement

        missing = []
        for line in self.requirements():
            requirement = Requirement(line)
            try:
                version = importlib.metadata.version(requirement.name)
            except importlib.metadata.PackageNotFoundError:
                missing.append(line)
                continue
            if not requirement.specifier.contains(version, prereleases=True):
                missing.append(line)
        return missing

    def ensurePackages(self):
        """Install what is missing, after asking, and change nothing that is there. False if the user declines."""
        try:
            import PyTorchUtils
        except ImportError:
            raise LiverAIError(
                "The PyTorch extension is missing. Install it in the Extensions Manager and restart Slicer."
            ) from None
        torch = PyTorchUtils.PyTorchUtilsLogic()
        if not torch.torchInstalled() and torch.installTorch(askConfirmation=True) is None:
            return False
        missing = self.missingPackages()
        if not missing:
            return True
        names = ", ".join(missing)
        if not slicer.util.confirmOkCancelDisplay(f"LiverAI needs these Python packages: {names}. Install them now?"):
            return False
        with tempfile.TemporaryDirectory(prefix="LiverAI-") as folder:
            constraints = Path(folder) / "constraints.txt"
            constraints.write_text(self.installedVersions(), encoding="utf-8")
            slicer.util.pip_install(["--constraint", str(constraints), *missing])
        importlib.invalidate_caches()
        return True

    def installedVersions(self):
        """Pip constraints that hold what is installed at its version, but for the packages that are wanted."""
        from packaging.requirements import Requirement
        from packaging.version import InvalidVersion, Version

        def valid(version):
            try:
                return bool(Version(version))
            except InvalidVersion:
                return False  # pip would refuse the whole file

        wanted = {Requirement(line).name.lower() for line in self.missingPackages()}
        found = {dist.metadata["Name"]: dist.version for dist in importlib.metadata.distributions()}
        held = (
            f"{name}=={version}"
            for name, version in found.items()
            if name and name.lower() not in wanted and valid(version)
        )
        return "\n".join(sorted(held)) + "\n"


class LiverAITest(ScriptedLoadableModuleTest):
    """Run by Slicer's own test runner, also without a window, torch or the other packages."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        for test in (self.test_files, self.test_arguments, self.test_export):
            self.setUp()
            test()

    def test_files(self):
        """Library and resources are found in this layout."""
        for name in ("Icons/LiverAI.png", "Terminology/LiverAI.term.json", "requirements.txt"):
            assert (RESOURCES / name).is_file(), name
        assert len(LiverAILogic().requirements()) > 2

    def test_arguments(self):
        """The child is asked for the chosen phases only."""
        arguments = LiverAILogic().arguments({Phase.PORTAL_VENOUS: Path("pv.nrrd")}, Path("out"))
        assert "--portal-venous" in arguments
        assert "--arterial" not in arguments

    def test_export(self):
        """A volume is exported where it stands in the world, and two phases can't share one."""
        import numpy as np

        logic = LiverAILogic()
        node = slicer.util.addVolumeFromArray(np.arange(60, dtype=np.int16).reshape(3, 4, 5))
        with tempfile.TemporaryDirectory() as folder:
            paths = logic.exportVolumes({Phase.ARTERIAL: node}, Path(folder))
            assert paths[Phase.ARTERIAL].is_file()
        try:
            logic.checkVolumes({Phase.ARTERIAL: node, Phase.DELAYED: node})
        except LiverAIError as error:
            log.info("Refused as it should be: %s", error)
        else:
            raise AssertionError("One volume was taken for two phases.")
