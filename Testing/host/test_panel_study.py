"""The panel's study part: phases guessed and changeable, problems said before anything runs, the clinical record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import slicer
from conftest_host import choose, load_toy
from liverai_fakes import toy_study
from slicer_host import wait_until

from LiverAILib.scene.volumes import add_volume, to_vtk_matrix
from LiverAILib.study import Phase


def looked(panel: Any) -> bool:
    return wait_until(lambda: not panel.study.looking(), 20)


def test_analyze_needs_a_volume(panel: Any) -> None:
    assert not panel.run.analyzeButton.enabled
    assert "at least one phase" in panel.run.ready.text
    choose(panel, Phase.ARTERIAL)
    assert panel.run.analyzeButton.enabled
    assert panel.run.ready.text.startswith("Ready")


def test_loaded_volumes_go_to_their_phases_with_the_reason(panel: Any) -> None:
    nodes = choose(panel, Phase.NON_CONTRAST, Phase.ARTERIAL, Phase.PORTAL_VENOUS)
    assert panel.study.volumes() == nodes
    assert panel.study.marks[Phase.ARTERIAL].text == "90%"
    assert 'its name says "arterial"' in panel.study.selectors[Phase.ARTERIAL].toolTip


def test_the_users_choice_stays_when_more_is_loaded(panel: Any) -> None:
    nodes = choose(panel, Phase.ARTERIAL)
    panel.study.selectors[Phase.ARTERIAL].setCurrentNode(None)
    panel.study.selectors[Phase.DELAYED].setCurrentNode(nodes[Phase.ARTERIAL])
    assert panel.study.marks[Phase.DELAYED].text == "yours"
    later = load_toy(Phase.PORTAL_VENOUS)
    assert wait_until(lambda: Phase.PORTAL_VENOUS in panel.study.volumes(), 20)
    assert panel.study.volumes() == {Phase.DELAYED: nodes[Phase.ARTERIAL], **later}
    panel.study.guessButton.click()
    assert wait_until(lambda: Phase.ARTERIAL in panel.study.volumes(), 20)
    assert Phase.DELAYED not in panel.study.volumes()


def test_tags_of_the_dicom_database_count_more_than_the_name(make_panel: Any) -> None:
    panel = make_panel()
    tags = {"0008,103e": "Abdomen venous 3.0", "0010,1010": "061Y", "0010,0040": "F", "0008,0060": "CT"}
    panel.study._read_tag = panel._tags = lambda node, tag: tags.get(tag, "")
    add_volume(slicer.mrmlScene, toy_study().volumes[Phase.ARTERIAL], "4: unnamed")
    assert wait_until(lambda: Phase.PORTAL_VENOUS in panel.study.volumes(), 20)
    assert panel.clinical.record().age == 61
    assert panel.clinical.record().sex == "female"


def test_mr_and_pictures_are_named_before_anything_runs(panel: Any) -> None:
    rng = np.random.default_rng(0)
    node = slicer.util.addVolumeFromArray(rng.integers(0, 900, (16, 32, 32)).astype(np.int16), name="T2 arterial")
    assert looked(panel)
    assert panel.study.volumes() == {}
    panel.study.selectors[Phase.ARTERIAL].setCurrentNode(node)
    assert panel.study.marks[Phase.ARTERIAL].text == "!"
    assert "not HU" in panel.study.problems.text


def test_a_modality_that_is_no_ct_is_named(panel: Any) -> None:
    panel.study._read_tag = lambda node, tag: "US" if tag == "0008,0060" else ""
    (node,) = load_toy(Phase.ARTERIAL).values()
    assert looked(panel)
    panel.study.selectors[Phase.ARTERIAL].setCurrentNode(node)
    assert "no CT (modality US)" in panel.study.problems.text


def test_one_volume_for_two_phases_is_said_and_refused(panel: Any, errors: list[str]) -> None:
    (node,) = choose(panel, Phase.ARTERIAL).values()
    panel.study.selectors[Phase.DELAYED].setCurrentNode(node)
    assert "two phases" in panel.study.problems.text
    panel.analyze()
    assert not panel.running
    assert "two phases" in errors[0]


def test_transforms_are_said_and_curved_ones_refused(panel: Any) -> None:
    (node,) = choose(panel, Phase.PORTAL_VENOUS).values()
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = np.eye(4)
    matrix[:3, 3] = (11, -7, 23)
    transform.SetMatrixTransformToParent(to_vtk_matrix(matrix))
    node.SetAndObserveTransformNodeID(transform.GetID())
    panel.study.guess_again()
    assert wait_until(lambda: "analysed where it stands" in panel.study.problems.text, 20)
    bent = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLBSplineTransformNode")
    node.SetAndObserveTransformNodeID(bent.GetID())
    panel.study.guess_again()
    assert looked(panel)
    panel.study.selectors[Phase.PORTAL_VENOUS].setCurrentNode(node)
    assert "Harden it" in panel.study.problems.text


def test_a_removed_volume_leaves_its_phase(panel: Any) -> None:
    nodes = choose(panel, Phase.ARTERIAL, Phase.PORTAL_VENOUS)
    slicer.mrmlScene.RemoveNode(nodes[Phase.ARTERIAL])
    assert wait_until(lambda: Phase.ARTERIAL not in panel.study.volumes(), 5)


def test_a_removed_volume_was_not_the_users_choice(panel: Any) -> None:
    nodes = choose(panel, Phase.ARTERIAL, Phase.PORTAL_VENOUS)
    slicer.mrmlScene.RemoveNode(nodes[Phase.ARTERIAL])
    assert wait_until(lambda: Phase.ARTERIAL not in panel.study.volumes(), 5)
    assert panel.parameters().chosen == ""
    later = load_toy(Phase.ARTERIAL)
    assert wait_until(lambda: panel.study.volumes().get(Phase.ARTERIAL) is later[Phase.ARTERIAL], 20)


def test_the_next_scene_is_guessed_anew(panel: Any) -> None:
    choose(panel, Phase.ARTERIAL)
    slicer.mrmlScene.Clear()
    assert panel.parameters().chosen == ""
    choose(panel, Phase.ARTERIAL, Phase.PORTAL_VENOUS)


def test_the_clinical_record_reaches_the_child(panel: Any) -> None:
    panel.clinical.age.text = "61"
    panel.clinical.choices["hepatitis"].widget.setCurrentIndex(1)
    arguments = type(panel.logic).arguments(panel.logic, {}, Path("out"), panel.clinical.record())
    assert arguments[arguments.index("--age") + 1] == "61"
    assert arguments[arguments.index("--hepatitis") + 1] == "yes"
    assert "--cirrhosis" not in arguments


def test_an_age_that_is_none_is_said(panel: Any, errors: list[str]) -> None:
    choose(panel, Phase.ARTERIAL)
    panel.clinical.age.text = "sixty"
    panel.analyze()
    assert "age is not a number" in errors[0]
    assert not panel.running


def test_load_study_opens_a_folder(panel: Any, monkeypatch: Any) -> None:
    import qt

    asked: list[str] = []
    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *_: "/exam")
    panel._load = lambda folder: (asked.append(folder), load_toy(Phase.ARTERIAL))
    panel.study.loadButton.click()
    assert asked == ["/exam"]
    assert wait_until(lambda: Phase.ARTERIAL in panel.study.volumes(), 20)
