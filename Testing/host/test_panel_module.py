"""The module in Slicer: it loads without its packages, says what it is, and passes its own self-test."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import slicer
from conftest_host import ROOT, needs_posix
from slicer_host import ScriptedLoadableModuleTest, wait_until

#: Loads and opens the module in a Python that has only what Slicer brings, then lets the packages come.
WITHOUT_PACKAGES = """
import importlib, importlib.metadata, sys, tempfile
from pathlib import Path
root = Path(sys.argv[1])
sys.path[:0] = [str(root / "Testing" / "host"), str(root)]
from slicer_host import start_host
start_host(Path(tempfile.mkdtemp()))
hidden = {"pydantic", "psutil", "safetensors", "torch", "monai"}
for name in [name for name in sys.modules if name.partition(".")[0] in hidden | {"LiverAILib"}]:
    del sys.modules[name]
for name in hidden:
    sys.modules[name] = None
real = importlib.metadata.version
def version(name):
    if name.lower() in hidden:
        raise importlib.metadata.PackageNotFoundError(name)
    return real(name)
importlib.metadata.version = version
spec = importlib.util.spec_from_file_location("LiverAI", root / "LiverAI" / "LiverAI.py")
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
module.LiverAI(type("Parent", (), {})())
widget = module.LiverAIWidget()
widget.setup()
widget.enter(); widget.exit()
assert widget.panel is None
print(widget.setupBox.text.text)
importlib.metadata.version = real
for name in hidden:
    del sys.modules[name]
widget.setupBox.installButton.click()
assert widget.panel is not None
widget.cleanup()
assert "torch" not in sys.modules
"""


def test_the_module_opens_without_its_packages_and_builds_the_panel_once_they_are_there() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_PACKAGES, str(ROOT)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "psutil" in done.stdout
    assert "pydantic" in done.stdout


def test_installing_holds_every_version_that_is_there(module: Any) -> None:
    packages = module.Packages(module.RESOURCES / "requirements.txt")
    assert packages.missing() == []
    packages.requirements = lambda: ["surely-not-installed>=1", "pydantic>=999"]
    assert packages.missing() == ["surely-not-installed>=1", "pydantic>=999"]
    held = {line.partition("==")[0].lower() for line in packages.held().splitlines()}
    assert {"numpy", "torch", "simpleitk"} <= held
    assert "pydantic" not in held


def test_a_failed_installation_is_said_and_can_be_tried_again(module: Any, errors: list) -> None:
    from LiverAIPanel.setup_box import SetupBox
    from PySide6 import QtWidgets

    class Offline:
        def missing(self) -> list[str]:
            return ["pydantic>=2.8"]

        def install_missing(self) -> None:
            raise RuntimeError("no network")

    window = QtWidgets.QWidget()
    box = SetupBox(QtWidgets.QVBoxLayout(window), Offline(), lambda: None)
    assert "pydantic" in box.text.text
    box.installButton.click()
    assert "internet connection" in errors[0]
    assert "Installing failed (RuntimeError)" in box.text.text


@needs_posix
def test_the_modules_own_test_passes(module: Any) -> None:
    assert issubclass(module.LiverAITest, ScriptedLoadableModuleTest)
    module.LiverAITest().runTest()
    wait_until(lambda: True, 1)


def test_the_module_describes_itself(module: Any) -> None:
    parent = type("Parent", (), {})()
    module.LiverAI(parent)
    assert parent.title == "LiverAI"
    assert "research use only" in parent.helpText.lower()
    assert "Nat Commun 2024" in parent.acknowledgementText
    assert "Br J Cancer 2021" in parent.acknowledgementText
    assert not parent.icon.isNull()


def test_terminology_layouts_and_sample_data_are_there_when_slicer_has_started(module: Any) -> None:
    loaded = []
    logic = type("Logic", (), {"LoadTerminologyFromFile": lambda self, path: loaded.append(path) or "LiverAI"})()
    slicer.modules.terminologies = type("Module", (), {"logic": lambda self: logic})()
    slicer.modules.sampledata = object()
    slicer.modules.sampleDataSources = {}
    sys.modules["SampleData"] = type(sys)("SampleData")
    sys.modules["SampleData"].SampleDataSource = lambda **fields: type("Source", (), fields)()
    module.LiverAI(type("Parent", (), {})())
    slicer.app.startupCompleted.emit()
    assert [json.loads(Path(path).read_text())["SegmentationCategoryTypeContextName"] for path in loaded] == ["LiverAI"]
    node = slicer.app.layoutManager().layoutLogic().GetLayoutNode()
    assert node.IsLayoutDescription(7302)
    assert node.IsLayoutDescription(7304)
    (source,) = slicer.modules.sampleDataSources["LiverAI"]
    assert Path(source.thumbnailFileName).is_file()
    del sys.modules["SampleData"]
