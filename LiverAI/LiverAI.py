"""The LiverAI module of 3D Slicer: choose the phases, analyse in a child process, read the result.

Wiring only: the panel's parts are in `LiverAIPanel`, the analysis runs in `LiverAILib.cli`, and `LiverAILib.scene`
makes the nodes. For research use only.
"""

import logging
import sys
import tempfile
from pathlib import Path

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

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        self.logic = LiverAILogic()
        self.panel = None
        packages = Packages(RESOURCES / "requirements.txt")
        if packages.missing():
            self.setupBox = SetupBox(self.layout, packages, lambda: self.build(packages))
        else:
            self.build(packages)

    def build(self, packages):
        """The panel itself needs the packages too."""
        from LiverAIPanel.panel import Panel

        self.panel = Panel(self.layout, self.logic, packages)

    def enter(self):
        if self.panel is not None:
            self.panel.enter()

    def exit(self):
        if self.panel is not None:
            self.panel.exit()

    def cleanup(self):
        """Slicer quits or reloads the module: the child must not outlive it."""
        if getattr(self, "panel", None) is not None:
            self.panel.close()
            self.panel = None

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
