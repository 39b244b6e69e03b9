"""The set-up panel on the stand-in application, driven as a person does, with a real child process."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtWidgets", reason="PySide6 is not installed", exc_type=ImportError)

import slicer
from liverai_fakes import toy_study
from slicer_host import start_host, wait_until

from LiverAILib.scene.volumes import add_volume
from LiverAILib.study import Phase

ROOT = Path(__file__).resolve().parents[2]
TOY_COMMAND = ROOT / "Testing" / "liverai_fakes.py"


def load_module() -> Any:
    """LiverAI.py, imported as Slicer does."""
    spec = importlib.util.spec_from_file_location("LiverAI", ROOT / "LiverAI" / "LiverAI.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def module(tmp_path: Path) -> Any:
    """The module, with a fresh scene and slice views."""
    start_host(tmp_path / "slicer", window=True)
    return load_module()


class Errors(list):
    """What the user was shown."""

    def __call__(self, text: str, *_: Any, **__: Any) -> None:
        self.append(text)


@pytest.fixture
def errors(monkeypatch: pytest.MonkeyPatch) -> Errors:
    shown = Errors()
    monkeypatch.setattr(slicer.util, "errorDisplay", shown)
    return shown


@pytest.fixture
def make_panel(module: Any, tmp_path: Path, errors: Errors) -> Iterator[Callable[[], Any]]:
    """Makes panels; their child is `liverai` with a toy network and the real import, export and child handling."""
    made = []

    def make() -> Any:
        widget = module.LiverAIWidget()
        widget.setup()
        made.append(widget)
        widget.panel.output.currentPath = str(tmp_path / "results")
        set_child(widget.panel, "--real-import")
        return widget.panel

    yield make
    for widget in made:
        widget.cleanup()
    wait_until(lambda: not children(), 10)


@pytest.fixture
def panel(make_panel: Callable[[], Any]) -> Any:
    return make_panel()


def set_child(panel: Any, *options: str, script: Path = TOY_COMMAND) -> None:
    """Run a script instead of `-m LiverAILib.cli`."""
    real = type(panel.logic).arguments

    def arguments(*given: Any) -> list[Any]:
        return [script, *options, *real(panel.logic, *given)[2:]]

    panel.logic.arguments = arguments


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children(recursive=True) if child.status() != psutil.STATUS_ZOMBIE]


def load_toy(*phases: Phase) -> dict[Phase, Any]:
    """The toy exam's volumes in the scene."""
    return {
        phase: add_volume(slicer.mrmlScene, volume, f"CT {phase.words}")
        for phase, volume in toy_study().volumes.items()
        if phase in phases
    }


def choose(panel: Any, *phases: Phase) -> dict[Phase, Any]:
    """Load the toy exam and wait until the panel has put its volumes into their phases."""
    nodes = load_toy(*phases)
    assert wait_until(lambda: len(panel.study.volumes()) == len(phases) and not panel.study.looking(), 20)
    return nodes


def finished(panel: Any) -> bool:
    return wait_until(lambda: not panel.running, 60)


def analysed(panel: Any, *phases: Phase) -> dict[Phase, Any]:
    """Choose, click Analyze, wait."""
    nodes = choose(panel, *phases)
    panel.run.analyzeButton.click()
    assert panel.running
    assert finished(panel)
    return nodes


needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="the stand-in interpreter is a shell script")
