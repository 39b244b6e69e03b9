"""The panel, on a stand-in for Slicer's application: choose, analyse in a child process, cancel, see the result."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("PySide6.QtWidgets", reason="PySide6 is not installed", exc_type=ImportError)

import slicer
from liverai_fakes import toy_study
from slicer_host import ScriptedLoadableModuleTest, start_host, wait_until

from LiverAILib.errors import LiverAIError
from LiverAILib.scene.provenance import own_nodes
from LiverAILib.scene.segmentation import segment_ids
from LiverAILib.scene.volumes import add_volume, to_vtk_matrix
from LiverAILib.study import Phase

ROOT = Path(__file__).resolve().parents[2]
TOY_COMMAND = ROOT / "Testing" / "liverai_fakes.py"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-in interpreter is a shell script")


@pytest.fixture
def module(tmp_path: Path) -> Any:
    """LiverAI.py, imported as Slicer does, with a fresh scene."""
    start_host(tmp_path / "slicer")
    spec = importlib.util.spec_from_file_location("LiverAI", ROOT / "LiverAI" / "LiverAI.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
def panel(module: Any, tmp_path: Path, errors: Errors) -> Iterator[Any]:
    """The set-up panel; its child is `liverai` with a toy network and the real import, export and child handling."""
    panel = module.LiverAIWidget()
    panel.setup()
    panel.output.currentPath = str(tmp_path / "results")
    set_child(panel, "--real-import")
    yield panel
    panel.cleanup()
    wait_until(lambda: not children(), 10)


def set_child(panel: Any, *options: str, script: Path = TOY_COMMAND) -> None:
    """Run a script instead of `-m LiverAILib.cli`."""
    real = type(panel.logic).arguments
    panel.logic.arguments = lambda paths, out: [script, *options, *real(panel.logic, paths, out)[2:]]


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children(recursive=True) if child.status() != psutil.STATUS_ZOMBIE]


def choose(panel: Any, *phases: Phase) -> dict[Phase, Any]:
    """Load the toy exam and choose its volumes in the panel."""
    nodes = {}
    for phase, volume in toy_study().volumes.items():
        if phase in phases:
            nodes[phase] = add_volume(slicer.mrmlScene, volume, str(phase))
            panel.selectors[phase].setCurrentNode(nodes[phase])
    return nodes


def finished(panel: Any) -> bool:
    return wait_until(lambda: not panel.process.running, 60)


def test_analyze_needs_a_volume(panel: Any) -> None:
    assert not panel.analyzeButton.enabled
    choose(panel, Phase.ARTERIAL)
    assert panel.analyzeButton.enabled
    assert not panel.cancelButton.enabled


def test_an_analysis_ends_with_segments_table_and_a_run_folder(panel: Any, errors: Errors, tmp_path: Path) -> None:
    choose(panel, Phase.ARTERIAL, Phase.PORTAL_VENOUS)
    panel.analyze()
    assert panel.process.running
    assert not panel.analyzeButton.enabled
    assert panel.cancelButton.enabled
    assert finished(panel)
    assert errors == []
    (segmentation, *_) = own_nodes(slicer.mrmlScene)
    lesions = segment_ids(segmentation)[1:]
    assert lesions == ["lesion_1", "lesion_2"]
    assert panel.table.rowCount() == 2
    assert panel.table.item(0, 0).text() == "Lesion 1"
    (run_folder,) = (tmp_path / "results").iterdir()
    assert (run_folder / "findings.json").is_file()
    assert "2 lesions" in panel.status.text
    assert "Research use only" in panel.status.text
    assert panel.analyzeButton.enabled
    assert panel._files is None


def test_a_volume_under_a_transform_is_analysed_where_it_stands(panel: Any, errors: Errors) -> None:
    nodes = choose(panel, Phase.PORTAL_VENOUS)
    matrix = np.eye(4)
    matrix[:3, 3] = (11, -7, 23)
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(to_vtk_matrix(matrix))
    nodes[Phase.PORTAL_VENOUS].SetAndObserveTransformNodeID(transform.GetID())
    panel.analyze()
    assert finished(panel)
    assert errors == []
    assert len(own_nodes(slicer.mrmlScene)) == 4


def test_a_second_analysis_replaces_the_first_and_keeps_its_folder(panel: Any, tmp_path: Path) -> None:
    choose(panel, Phase.PORTAL_VENOUS)
    for _ in range(2):
        panel.analyze()
        assert finished(panel)
    assert len(own_nodes(slicer.mrmlScene)) == 4
    assert len(list((tmp_path / "results").iterdir())) == 2


def test_progress_moves_and_stray_lines_do_no_harm(panel: Any, tmp_path: Path) -> None:
    script = tmp_path / "child.py"
    script.write_text(
        "import sys, time\n"
        'sys.stdout.write(\'{"stage": "segment", "frac\'); sys.stdout.flush(); time.sleep(0.2)\n'
        'print(\'tion": 0.42, "message": "Segmenting"}\', flush=True)\n'
        "print('a library chats', flush=True)\n"
        "print('[1, 2]', flush=True)\n"
        "sys.exit('The disk is full. Make room.')\n"
    )
    steps = []
    panel.process._on_progress = lambda fraction, message: steps.append((fraction, message))
    set_child(panel, script=script)
    choose(panel, Phase.ARTERIAL)
    panel.analyze()
    assert finished(panel)
    assert steps == [(0.42, "Segmenting")]


def test_the_childs_last_line_is_what_the_user_reads(panel: Any, errors: Errors, tmp_path: Path) -> None:
    script = tmp_path / "child.py"
    script.write_text("import sys\nprint('details', file=sys.stderr)\nsys.exit('The disk is full. Make room.')\n")
    set_child(panel, script=script)
    choose(panel, Phase.ARTERIAL)
    panel.analyze()
    assert finished(panel)
    assert errors == ["The disk is full. Make room."]
    assert panel.status.text == "The disk is full. Make room."
    assert own_nodes(slicer.mrmlScene) == []
    assert panel.analyzeButton.enabled


def test_cancel_ends_the_whole_tree_and_leaves_nothing(panel: Any, errors: Errors, tmp_path: Path) -> None:
    set_child(panel, "--real-import", "--fake-seconds", "60", "--fake-child")
    choose(panel, Phase.PORTAL_VENOUS)
    panel.analyze()
    assert wait_until(lambda: len(children()) >= 2, 30), "the child has started its own child"
    panel.process.cancel()
    assert finished(panel)
    assert wait_until(lambda: not children(), 10)
    assert errors == []
    assert panel.status.text.startswith("Cancelled")
    assert list((tmp_path / "results").iterdir()) == []
    assert own_nodes(slicer.mrmlScene) == []


def test_closing_slicer_ends_the_child_without_a_word(panel: Any, errors: Errors) -> None:
    set_child(panel, "--real-import", "--fake-seconds", "60")
    choose(panel, Phase.PORTAL_VENOUS)
    panel.analyze()
    assert wait_until(lambda: bool(children()), 30)
    panel.cleanup()
    assert wait_until(lambda: not children(), 10)
    assert errors == []


def test_a_missing_interpreter_is_said(panel: Any, errors: Errors, tmp_path: Path) -> None:
    panel.logic.pythonSlicer = lambda: tmp_path / "nowhere" / "PythonSlicer"
    choose(panel, Phase.ARTERIAL)
    panel.analyze()
    assert finished(panel)
    assert len(errors) == 1
    assert "could not be started" in errors[0]


def test_one_volume_for_two_phases_is_refused(panel: Any) -> None:
    (node,) = choose(panel, Phase.ARTERIAL).values()
    panel.selectors[Phase.DELAYED].setCurrentNode(node)
    with pytest.raises(LiverAIError, match="two phases"):
        panel.analyze()
    assert not panel.process.running
    assert panel.analyzeButton.enabled


def test_a_volume_removed_meanwhile_is_said(panel: Any, tmp_path: Path) -> None:
    nodes = choose(panel, Phase.PORTAL_VENOUS)
    panel._runFolder = tmp_path / "results" / "run"
    panel.analyze()
    slicer.mrmlScene.RemoveNode(nodes[Phase.PORTAL_VENOUS])
    shown: list[BaseException] = []
    real = panel.finish

    def finish(error: str | None) -> None:
        try:
            real(error)
        except LiverAIError as raised:  # Slicer shows it, under test it is raised
            shown.append(raised)

    panel.process._on_finished = finish
    assert finished(panel)
    assert wait_until(lambda: bool(shown), 5)
    assert "no volume here" in str(shown[0])


def test_the_command_line_understands_the_panels_arguments(module: Any) -> None:
    from LiverAILib.cli import build_parser

    paths = {phase: Path(f"{phase}.nrrd") for phase in Phase}
    arguments = module.LiverAILogic().arguments(paths, Path("out"))
    assert arguments[:2] == ["-m", "LiverAILib.cli"]
    parsed = build_parser(arguments[2:]).parse_args(arguments[2:])
    assert parsed.progress == "json"
    assert parsed.die_with_parent
    assert {getattr(parsed, phase.value) for phase in Phase} == set(paths.values())


def test_a_click_on_a_row_jumps_to_the_lesion(panel: Any) -> None:
    choose(panel, Phase.PORTAL_VENOUS)
    panel.analyze()
    assert finished(panel)
    view = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSliceNode", "Red")
    view.SetLayoutName("Red")
    lesion = panel._lesions[1]
    panel.jumpTo(1)
    assert view.GetSliceOffset() == pytest.approx(lesion.centre_lps_mm[2], abs=1e-6)


def test_installing_holds_every_version_that_is_there(module: Any) -> None:
    logic = module.LiverAILogic()
    assert logic.missingPackages() == []
    logic.requirements = lambda: ["surely-not-installed>=1", "pydantic>=999"]
    assert logic.missingPackages() == ["surely-not-installed>=1", "pydantic>=999"]
    held = {line.partition("==")[0].lower() for line in logic.installedVersions().splitlines()}
    assert {"numpy", "torch", "simpleitk"} <= held
    assert "pydantic" not in held


def test_the_modules_own_test_passes(module: Any) -> None:
    assert issubclass(module.LiverAITest, ScriptedLoadableModuleTest)
    module.LiverAITest().runTest()


def test_the_module_describes_itself(module: Any) -> None:
    parent = type("Parent", (), {})()
    module.LiverAI(parent)
    assert parent.title == "LiverAI"
    assert "research use only" in parent.helpText.lower()
    assert not parent.icon.isNull()


def test_terminology_is_loaded_when_slicer_has_started(module: Any) -> None:
    loaded = []
    logic = type("Logic", (), {"LoadTerminologyFromFile": lambda self, path: loaded.append(path) or "LiverAI"})()
    slicer.modules.terminologies = type("Module", (), {"logic": lambda self: logic})()
    module.LiverAI(type("Parent", (), {})())
    slicer.app.startupCompleted.emit()
    assert [json.loads(Path(path).read_text())["SegmentationCategoryTypeContextName"] for path in loaded] == ["LiverAI"]
