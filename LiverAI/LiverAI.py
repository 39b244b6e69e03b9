"""The LiverAI module of 3D Slicer: choose the phases, analyse in a child process, read the result.

Wiring only: the panel's parts are in `LiverAIPanel`, the analysis runs in `LiverAILib.cli`, and `LiverAILib.scene`
makes the nodes. For research use only.
"""

import logging
import sys
import tempfile
from pathlib import Path
from types import MappingProxyType

import qt
import slicer
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)

# LiverAILib and Resources stand beside this folder in the source tree, beside this file once built or installed.
HERE = Path(__file__).resolve().parent
ROOT = next(folder for folder in (HERE, HERE.parent) if (folder / "LiverAILib" / "__init__.py").is_file())
for folder in (HERE, ROOT):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
RESOURCES = ROOT / "Resources"

from LiverAIPanel import language, layouts, sample_data
from LiverAIPanel.logic import AnalysisLogic
from LiverAIPanel.packages import Packages
from LiverAIPanel.setup_box import SetupBox
from LiverAIPanel.words import tr

from LiverAILib.errors import LiverAIError

log = logging.getLogger("LiverAI")


class LiverAI(ScriptedLoadableModule):
    """What Slicer's module list shows."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.translator = language.install(RESOURCES / "Translations")
        parent.title = "LiverAI"
        parent.categories = ["Segmentation"]
        parent.dependencies = []
        parent.contributors = ["LiverAI developers"]
        parent.helpText = tr(
            "Finds the liver and its lesions in one to four contrast phases of a liver CT. For research use only: "
            "this is no medical device, and its results are no diagnosis. Load the volumes, check their phases, click "
            "Analyze. Keys while the module is shown: N and P next and previous lesion, K and J next and previous "
            "phase, A all AI off and on."
        )
        parent.acknowledgementText = tr(
            "Methods: LiAIDS (Ying H. et al., A multicenter clinical AI system study for detection and diagnosis of "
            "focal liver lesions, Nat Commun 2024) and HCCNet (Wang M. et al., Development of an AI system for "
            "accurately diagnose hepatocellular carcinoma from computed tomography imaging data, Br J Cancer 2021)."
        )
        parent.icon = qt.QIcon(str(RESOURCES / "Icons" / "LiverAI.png"))
        slicer.app.startupCompleted.connect(at_startup)


def at_startup():
    """What needs the whole application: terminology, layouts, sample data."""
    load_terminology()
    layouts.register_layouts()
    sample_data.register(RESOURCES / "Icons" / "LiverAI.png")


def load_terminology():
    """Make the liver's lesion types known to Slicer's terminology selector."""
    terminologies = getattr(slicer.modules, "terminologies", None)
    if terminologies is None:
        return
    path = RESOURCES / "Terminology" / "LiverAI.term.json"
    if not terminologies.logic().LoadTerminologyFromFile(str(path)):
        log.warning("The terminology %s was not loaded.", path.name)


class LiverAIWidget(ScriptedLoadableModuleWidget):
    """The panel's place in Slicer."""

    readingOptions = MappingProxyType({})  # of ReadingPanel, for tests

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        self.logic = LiverAILogic()
        self.panel = self.reading = None
        self.entered = False
        packages = Packages(RESOURCES / "requirements.txt")
        if packages.missing():
            self.setupBox = SetupBox(self.layout, packages, lambda: self.build(packages))
        else:
            self.build(packages)

    def build(self, packages):
        """The panel itself needs the packages too."""
        from LiverAIPanel.reading_panel import ReadingPanel

        self.packages = packages
        self.place = qt.QWidget()
        qt.QVBoxLayout(self.place).setContentsMargins(0, 0, 0, 0)
        self.layout.addWidget(self.place)
        self.openAnalysis()
        self.reading = ReadingPanel(self.layout, self.closeAnalysis, self.openAnalysis, **self.readingOptions)
        self.layout.addStretch(1)

    def openAnalysis(self):
        """The analysis's part of the panel, on what the scene holds."""
        from LiverAIPanel.panel import Panel

        AnalysisLogic.locked = False
        self.analysis = qt.QWidget()
        inner = qt.QVBoxLayout(self.analysis)
        inner.setContentsMargins(0, 0, 0, 0)
        self.place.layout().addWidget(self.analysis)
        self.panel = Panel(inner, self.logic, self.packages)
        if self.entered:
            self.panel.enter()

    def closeAnalysis(self):
        """For a reading session: nothing of the analysis can be seen, reached or begun until it is over."""
        if self.panel.running:
            raise LiverAIError(tr("An analysis is running. Wait for it, or cancel it; then log in."))
        AnalysisLogic.locked = True
        self.panel.exit()
        self.panel.close()
        self.panel = None
        self.place.layout().removeWidget(self.analysis)
        self.analysis.setParent(None)
        self.analysis.deleteLater()
        self.analysis = None

    def enter(self):
        self.entered = True
        for part in (self.panel, self.reading):
            if part is not None:
                part.enter()

    def exit(self):
        self.entered = False
        for part in (self.panel, self.reading):
            if part is not None:
                part.exit()

    def cleanup(self):
        """Slicer quits or reloads the module: the child must not outlive it."""
        for part in (getattr(self, "reading", None), getattr(self, "panel", None)):
            if part is not None:
                part.close()
        self.reading = self.panel = None
        AnalysisLogic.locked = False

    def onReload(self):
        for name in [name for name in sys.modules if name.partition(".")[0] in ("LiverAILib", "LiverAIPanel")]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)


class LiverAILogic(AnalysisLogic, ScriptedLoadableModuleLogic):
    """What the panel does, without the panel: `LiverAILogic().analyze({"portal_venous": node}, wait=True)`."""

    root = ROOT

    def __init__(self, parent=None):
        ScriptedLoadableModuleLogic.__init__(self, parent)


class LiverAITest(ScriptedLoadableModuleTest):
    """Run by Slicer's own test runner, also without a window, torch or the other packages."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        from LiverAIPanel import self_test

        for test in self_test.TESTS:
            self.setUp()
            with tempfile.TemporaryDirectory(prefix="LiverAI-") as folder:
                test(LiverAILogic(), Path(folder), RESOURCES)
