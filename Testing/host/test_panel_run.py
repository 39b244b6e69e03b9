"""Analyze on the panel: a real child process, its progress, cancelling, and every bad day."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from conftest_host import ROOT, TOY_COMMAND, analysed, children, choose, finished, load_module, needs_posix, set_child
from slicer_host import wait_until

from LiverAILib.errors import LiverAIError
from LiverAILib.scene.provenance import own_nodes
from LiverAILib.scene.segmentation import segment_ids
from LiverAILib.scene.shown import recall
from LiverAILib.scene.volumes import to_vtk_matrix
from LiverAILib.study import Phase

pytestmark = needs_posix


def run_folders(folder: Path) -> list[Path]:
    results = folder / "results"
    return sorted(results.iterdir()) if results.is_dir() else []


def test_an_analysis_ends_with_segments_table_and_a_run_folder(panel: Any, errors: list, tmp_path: Path) -> None:
    analysed(panel, Phase.ARTERIAL, Phase.PORTAL_VENOUS)
    assert errors == []
    shown = recall(slicer.mrmlScene)
    assert shown is not None
    assert segment_ids(shown.segmentation)[1:] == ["lesion_1", "lesion_2"]
    assert panel.findings.order() == ["lesion_1", "lesion_2"]
    (run_folder,) = run_folders(tmp_path)
    assert (run_folder / "findings.json").is_file()
    assert "2 lesions" in panel.findings.banner.text
    assert panel.run.status.text == "Done."
    assert panel.run.analyzeButton.enabled


def test_a_volume_under_a_transform_is_analysed_where_it_stands(panel: Any, errors: list) -> None:
    nodes = choose(panel, Phase.PORTAL_VENOUS)
    matrix = np.eye(4)
    matrix[:3, 3] = (11, -7, 23)
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(to_vtk_matrix(matrix))
    nodes[Phase.PORTAL_VENOUS].SetAndObserveTransformNodeID(transform.GetID())
    panel.analyze()
    assert finished(panel)
    assert errors == []
    assert recall(slicer.mrmlScene) is not None


def test_a_second_analysis_replaces_the_first_and_keeps_its_folder(panel: Any, tmp_path: Path) -> None:
    analysed(panel, Phase.PORTAL_VENOUS)
    count = len(own_nodes(slicer.mrmlScene))
    panel.analyze()
    assert finished(panel)
    assert len(own_nodes(slicer.mrmlScene)) == count
    assert len(run_folders(tmp_path)) == 2


def test_progress_shows_the_stage_and_the_time(panel: Any, tmp_path: Path) -> None:
    script = tmp_path / "child.py"
    script.write_text(
        "import sys, time\n"
        'sys.stdout.write(\'{"stage": "segment", "frac\'); sys.stdout.flush(); time.sleep(0.2)\n'
        'print(\'tion": 0.42, "message": "Segmenting"}\', flush=True)\n'
        "print('a library chats', flush=True)\n"
        "print('[1, 2]', flush=True)\n"
        "sys.stdin.read()\n"
    )
    set_child(panel, script=script)
    choose(panel, Phase.ARTERIAL)
    panel.analyze()
    assert wait_until(lambda: panel.run.progress.value == 420, 20)
    assert panel.run.status.text.startswith("Segmenting\n")
    assert "so far" in panel.run.status.text
    assert not panel.run.analyzeButton.enabled
    assert panel.run.cancelButton.enabled
    panel.cancel()
    assert finished(panel)


def test_remaining_time_comes_from_the_pace_and_counts_down(module: Any) -> None:
    from LiverAIPanel.process import Remaining

    now = [0.0]
    remaining = Remaining(lambda: now[0])
    now[0] = 5.0
    remaining.step(0.05)
    assert remaining.remaining is None, "too little is known"
    now[0] = 10.0
    remaining.step(0.25)
    assert remaining.remaining == 30.0
    now[0] = 14.0
    assert remaining.remaining == 26.0
    assert remaining.elapsed == 14.0


def test_the_childs_last_line_is_what_the_user_reads_the_rest_is_behind_a_button(
    panel: Any, errors: list, tmp_path: Path
) -> None:
    script = tmp_path / "child.py"
    script.write_text(
        "import sys\nprint('Traceback', file=sys.stderr)\nsys.exit('liverai: The disk is full. Make room.')\n"
    )
    set_child(panel, script=script)
    choose(panel, Phase.ARTERIAL)
    panel.analyze()
    assert finished(panel)
    assert errors == ["The disk is full. Make room."]
    assert panel.run.status.text == "The disk is full. Make room."
    assert "Traceback" in panel.run.details.toPlainText()
    assert own_nodes(slicer.mrmlScene) == []
    assert panel.run.analyzeButton.enabled


def test_cancel_ends_the_whole_tree_and_leaves_nothing(panel: Any, errors: list, tmp_path: Path) -> None:
    set_child(panel, "--real-import", "--fake-seconds", "60", "--fake-child")
    choose(panel, Phase.PORTAL_VENOUS)
    panel.analyze()
    assert wait_until(lambda: len(children()) >= 2, 30), "the child has started its own child"
    panel.run.cancelButton.click()
    assert "Cancelling" in panel.run.status.text
    assert finished(panel)
    assert wait_until(lambda: not children(), 10)
    assert errors == []
    assert panel.run.status.text.startswith("Cancelled")
    assert run_folders(tmp_path) == []
    assert own_nodes(slicer.mrmlScene) == []


def test_cancel_at_once_and_twice(panel: Any, errors: list, tmp_path: Path) -> None:
    choose(panel, Phase.PORTAL_VENOUS)
    panel.analyze()
    panel.cancel()
    assert not panel.running, "the volumes were still being read"
    script = tmp_path / "deaf.py"
    script.write_text(
        "import os, signal, subprocess, sys, time\n"
        "os.setsid(); signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        'print(\'{"fraction": 0.5, "message": "deaf"}\', flush=True)\n'
        "time.sleep(60)\n"
    )
    set_child(panel, script=script)
    panel.analyze()
    assert wait_until(lambda: panel.run.progress.value == 500, 20)
    panel.cancel()
    assert panel.running, "this one does not listen"
    panel.cancel()
    assert wait_until(lambda: not panel.running, 3)
    assert wait_until(lambda: not children(), 3), "its children died with it"
    assert errors == []


def test_analyze_twice_starts_one(panel: Any) -> None:
    set_child(panel, "--real-import", "--fake-seconds", "20")
    choose(panel, Phase.PORTAL_VENOUS)
    panel.analyze()
    job = panel.job
    panel.analyze()
    assert panel.job is job
    assert wait_until(lambda: len(children()) == 1, 20)
    panel.cancel()
    assert finished(panel)


def test_a_second_panel_waits_for_the_first(make_panel: Any, errors: list) -> None:
    first = make_panel()
    set_child(first, "--real-import", "--fake-seconds", "20")
    choose(first, Phase.PORTAL_VENOUS)
    second = make_panel()
    assert second.study.volumes() == first.study.volumes()
    first.analyze()
    second.analyze()
    assert "running already" in errors[0]
    assert not second.running
    first.cancel()
    assert finished(first)


def test_closing_slicer_ends_the_child_without_a_word(panel: Any, errors: list) -> None:
    set_child(panel, "--real-import", "--fake-seconds", "60")
    choose(panel, Phase.PORTAL_VENOUS)
    panel.analyze()
    assert wait_until(lambda: bool(children()), 30)
    panel.close()
    assert wait_until(lambda: not children(), 10)
    assert errors == []


def test_reloading_the_module_ends_the_child_and_works_again(module: Any, errors: list, tmp_path: Path) -> None:
    widget = module.LiverAIWidget()
    widget.setup()
    set_child(widget.panel, "--real-import", "--fake-seconds", "60")
    choose(widget.panel, Phase.PORTAL_VENOUS)
    widget.panel.analyze()
    assert wait_until(lambda: bool(children()), 30)
    widget.cleanup()
    again = load_module().LiverAIWidget()
    again.setup()
    assert wait_until(lambda: not children(), 10)
    assert again.panel.study.volumes()
    assert not again.panel.running
    assert errors == []
    again.cleanup()


def test_closing_the_scene_ends_the_child(panel: Any, errors: list) -> None:
    set_child(panel, "--real-import", "--fake-seconds", "60")
    choose(panel, Phase.PORTAL_VENOUS)
    panel.analyze()
    assert wait_until(lambda: bool(children()), 30)
    slicer.mrmlScene.Clear()
    assert wait_until(lambda: not children(), 10)
    assert errors == []
    assert "scene was closed" in panel.run.status.text
    assert panel.study.volumes() == {}


def test_a_killed_child_is_explained(panel: Any, errors: list) -> None:
    set_child(panel, "--real-import", "--fake-seconds", "60")
    choose(panel, Phase.PORTAL_VENOUS)
    panel.analyze()
    assert wait_until(lambda: bool(children()), 30)
    os.kill(children()[0].pid, signal.SIGKILL)
    assert finished(panel)
    assert "memory ran out" in errors[0]
    assert panel.run.analyzeButton.enabled


def test_a_missing_interpreter_is_said(panel: Any, errors: list, tmp_path: Path) -> None:
    panel.logic.pythonSlicer = lambda: tmp_path / "nowhere" / "PythonSlicer"
    choose(panel, Phase.ARTERIAL)
    panel.analyze()
    assert finished(panel)
    assert len(errors) == 1
    assert "could not be started" in errors[0]


def test_a_volume_removed_meanwhile_is_said_and_the_run_kept(panel: Any, errors: list, tmp_path: Path) -> None:
    set_child(panel, "--real-import", "--fake-seconds", "1")
    nodes = choose(panel, Phase.PORTAL_VENOUS)
    panel.analyze()
    assert wait_until(lambda: bool(children()), 30)
    slicer.mrmlScene.RemoveNode(nodes[Phase.PORTAL_VENOUS])
    assert finished(panel)
    assert "no volume here" in errors[0]
    (folder,) = run_folders(tmp_path)
    assert str(folder) in errors[0]


def test_a_volume_changed_meanwhile_is_said(panel: Any, errors: list) -> None:
    set_child(panel, "--real-import", "--fake-seconds", "1")
    nodes = choose(panel, Phase.ARTERIAL, Phase.PORTAL_VENOUS)
    panel.analyze()
    assert wait_until(lambda: bool(children()), 30)
    nodes[Phase.ARTERIAL].GetImageData().Modified()
    assert finished(panel)
    assert errors == []
    assert "arterial volume was changed" in panel.run.status.text


def test_a_full_disk_at_the_export_is_said(panel: Any, errors: list) -> None:
    choose(panel, Phase.PORTAL_VENOUS)
    real = slicer.app.coreIOManager().exportNodes
    slicer.app.coreIOManager().exportNodes = lambda *_: False
    panel.analyze()
    assert finished(panel)
    slicer.app.coreIOManager().exportNodes = real
    assert "can't be exported. Is the disk for temporary files full?" in errors[0]
    assert children() == []


def test_a_results_folder_that_cant_be_is_said(panel: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    choose(panel, Phase.PORTAL_VENOUS)
    panel.output.currentPath = str(tmp_path / "file" / "results")
    assert panel.run.analyzeButton.enabled is False or panel.guarded(panel._start) is None
    assert not panel.running


def test_the_command_line_understands_the_panels_arguments(module: Any) -> None:
    from LiverAILib.cli import build_parser
    from LiverAILib.study import ClinicalRecord

    paths = {phase: Path(f"{phase}.nrrd") for phase in Phase}
    record = ClinicalRecord(age=61, sex="female", cirrhosis=True, extrahepatic_tumour=False)
    arguments = module.LiverAILogic().arguments(paths, Path("out"), record, "cpu")
    assert arguments[:2] == ["-m", "LiverAILib.cli"]
    parsed = build_parser(arguments[2:]).parse_args(arguments[2:])
    assert parsed.progress == "json"
    assert parsed.die_with_parent
    assert (parsed.age, parsed.sex, parsed.cirrhosis, parsed.extrahepatic_tumour) == (61, "female", "yes", "no")
    assert {getattr(parsed, phase.value) for phase in Phase} == set(paths.values())


def test_the_logic_works_alone_and_without_a_window(module: Any, errors: list, tmp_path: Path) -> None:
    from conftest_host import load_toy

    slicer.app._layout_manager = None
    logic = module.LiverAILogic()
    set_child(type("Holder", (), {"logic": logic}), "--real-import")
    (node,) = load_toy(Phase.PORTAL_VENOUS).values()
    nodes = logic.analyze({"portal_venous": node}, wait=True, results=tmp_path / "results")
    assert len(nodes.findings.lesions) == 2
    assert slicer.mrmlScene.IsNodePresent(nodes.segmentation)
    empty = slicer.util.addVolumeFromArray(np.zeros((9, 9, 9)))
    with pytest.raises(LiverAIError, match="same value"):
        logic.analyze({"portal_venous": empty}, wait=True, results=tmp_path)


def test_the_documented_snippet_runs(module: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from conftest_host import load_toy

    page = (ROOT / "Docs" / "slicer-api.md").read_text(encoding="utf-8")
    snippet = page.split("```python\n")[1].split("```")[0]
    sys.modules["LiverAI"] = module
    load_toy(Phase.PORTAL_VENOUS)
    real = module.LiverAILogic.arguments
    module.LiverAILogic.arguments = lambda self, *given: [TOY_COMMAND, "--real-import", *real(self, *given)[2:]]
    slicer.util.getNode = slicer.mrmlScene.GetFirstNodeByName
    exec(snippet, {"folder": tmp_path / "results"})
    del sys.modules["LiverAI"]
    assert "Lesion 1" in capsys.readouterr().out
