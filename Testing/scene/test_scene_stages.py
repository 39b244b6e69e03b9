"""A run with types, reading, risk and saliency in a scene: table, second map, attributes; all of it survives saving."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scene_fixtures import Run, add_volumes, make_run

from LiverAILib.analysis.pipeline import Analysis
from LiverAILib.export.drawing import SALIENCY_FROM
from LiverAILib.export.run_folder import write_run
from LiverAILib.findings import HCCRisk, Lesion, Reading, SliceScores, Triage, Verdict
from LiverAILib.lesion_types import LesionType
from LiverAILib.scene.errors import SceneError
from LiverAILib.scene.headless import new_scene, read_scene
from LiverAILib.scene.hierarchy import folder_nodes
from LiverAILib.scene.load import clear_run, save_scene, show_run
from LiverAILib.scene.navigation import shown_scores
from LiverAILib.scene.overlay import heat_colours, saliency_colours
from LiverAILib.scene.provenance import ROLE, Role, own_nodes
from LiverAILib.scene.volumes import node_affine, node_array
from LiverAILib.study import Phase

ART, PV = Phase.ARTERIAL, Phase.PORTAL_VENOUS
REASON = 'High risk: Lesion 1 is definitely malignant (most likely metastasis; probability 0.90: "at least" 0.80).'
RISK = HCCRisk(printed=0.01, unscaled=0.4, images=40, threshold=0.3, hcc=True)


def typed(lesion: Lesion) -> Lesion:
    """Lesion 1 is a metastasis that was found in one phase, lesion 2 was not classified, lesion 3 is a cyst."""
    chances = dict.fromkeys(LesionType, 0.05)
    chances[LesionType.METASTASIS if lesion.label == 1 else LesionType.CYST] = 0.7
    verdict = {1: Verdict.MALIGNANT, 2: Verdict.INDETERMINATE, 3: Verdict.BENIGN}[lesion.label]
    return lesion.model_copy(
        update={
            "type_probabilities": None if lesion.label == 2 else chances,
            "verdict": verdict,
            "found_in": [ART] if lesion.label == 1 else [ART, PV],
            "approximate_in": [PV] if lesion.label == 1 else [],
            "saliency_share": {ART: 0.5 / lesion.label, PV: 0.0},
        }
    )


def saliency(run: Run, phase: Phase) -> np.ndarray:
    values = np.zeros(run.liver.shape, np.float32)
    values[4:9] = 0.25 if phase is ART else 0.75
    return values


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run folder with everything that an analysis can find."""
    folder = tmp_path_factory.mktemp("runs")
    plain = make_run(folder / "plain")
    findings = plain.findings.model_copy(
        update={
            "lesions": [typed(lesion) for lesion in plain.findings.lesions],
            "reading": Reading(
                triage=Triage.HIGH,
                reason=REASON,
                worst="lesion_1",
                verdict=Verdict.MALIGNANT,
                malignancy=0.9,
                malignant=True,
            ),
            "hcc_risk": RISK,
        }
    )
    maps = {phase: saliency(plain, phase) for phase in (ART, PV)}
    analysis = Analysis(findings, plain.reference.affine, plain.liver, plain.lesions, plain.probability, maps)
    write_run(analysis, plain.study, folder / "run")
    return replace(plain, folder=folder / "run", findings=findings)


def value(table: Any, row: int, column: str) -> Any:
    assert table.GetColumnByName(column) is not None, column
    return table.GetValueByName(row, column)


def check_table(table: Any) -> None:
    assert [value(table, row, "Type").ToString() for row in range(3)] == ["Metastasis", "", "Cyst"]
    assert value(table, 0, "Malignancy").ToDouble() == pytest.approx(0.8)
    assert np.isnan(value(table, 1, "Malignancy").ToDouble())
    assert value(table, 2, "Malignancy").ToDouble() == pytest.approx(0.15)
    assert [value(table, row, "Verdict").ToString() for row in range(3)] == ["malignant", "indeterminate", "benign"]
    assert value(table, 2, "Cyst").ToDouble() == pytest.approx(0.7)
    assert value(table, 2, "Focal nodular hyperplasia").ToDouble() == pytest.approx(0.05)
    assert [value(table, row, "Found in").ToString() for row in (0, 1)] == ["arterial", "arterial, portal venous"]
    assert [value(table, row, "Outline a guess in").ToString() for row in (0, 1)] == ["portal venous", ""]
    assert value(table, 1, "Saliency, arterial").ToDouble() == pytest.approx(0.25)


def check_maps(scene: Any, run: Run) -> None:
    by_role = {node.GetAttribute(ROLE): node for node in own_nodes(scene)}
    colours = by_role[Role.SALIENCY_COLOURS.value]
    legends = scene.GetNodesByClass("vtkMRMLColorLegendDisplayNode")
    titles = {
        legend.GetPrimaryDisplayNode().GetDisplayableNode().GetName(): legend.GetTitleText()
        for legend in (legends.GetItemAsObject(index) for index in range(legends.GetNumberOfItems()))
    }
    assert titles == {
        "Lesion probability": "Lesion probability",
        "Saliency, arterial": "Saliency",
        "Saliency, portal venous": "Saliency",
    }
    for phase in (ART, PV):
        node = by_role[Role.saliency(phase).value]
        np.testing.assert_array_equal(node_array(node), saliency(run, phase))
        np.testing.assert_allclose(node_affine(node), run.study.volumes[phase].affine, atol=1e-5)
        display = node.GetVolumeDisplayNode()
        assert display.GetColorNode() is colours
        assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (0, 1)
        assert display.GetLowerThreshold() == pytest.approx(SALIENCY_FROM)


def test_the_table_says_type_malignancy_verdict_and_where_it_was_found(scene: Any, run: Run) -> None:
    check_table(show_run(scene, run.folder, add_volumes(scene, run)).table.GetTable())


def test_the_saliency_of_each_phase_is_a_map_of_its_own_with_colours_and_legend(scene: Any, run: Run) -> None:
    nodes = show_run(scene, run.folder, add_volumes(scene, run))
    assert list(nodes.saliency) == [ART, PV]
    assert nodes.saliency_legends[PV].GetPrimaryDisplayNode() is nodes.saliency[PV].GetDisplayNode()
    check_maps(scene, run)
    assert np.abs(saliency_colours() - heat_colours()).max(axis=1).mean() > 0.2  # not to be taken for each other
    assert folder_nodes(scene, nodes.folder) == [
        nodes.segmentation,
        nodes.probability,
        nodes.saliency[ART],
        nodes.saliency[PV],
        nodes.table,
    ]


def test_reading_and_risk_are_attributes_of_every_node_and_survive_saving(scene: Any, run: Run, tmp_path: Path) -> None:
    show_run(scene, run.folder, add_volumes(scene, run))
    other = new_scene()
    read_scene(other, save_scene(scene, tmp_path / "case.mrb"))
    for there in (scene, other.scene):
        nodes = own_nodes(there)
        assert len(nodes) == 7
        for node in nodes:
            assert node.GetAttribute("LiverAI.Triage") == "high"
            assert node.GetAttribute("LiverAI.Reading") == REASON
            assert float(node.GetAttribute("LiverAI.Malignancy")) == pytest.approx(0.9)
            assert json.loads(node.GetAttribute("LiverAI.HCCRisk")) == RISK.model_dump(exclude={"slices", "scores"})
    check_maps(other.scene, run)
    (table,) = [node for node in own_nodes(other.scene) if node.GetAttribute(ROLE) == Role.TABLE.value]
    check_table(table.GetTable())


def test_showing_it_again_or_a_run_without_all_this_leaves_nothing_behind(scene: Any, run: Run, tmp_path: Path) -> None:
    volumes = add_volumes(scene, run)
    before = scene.GetNumberOfNodes()
    show_run(scene, run.folder, volumes)
    count = scene.GetNumberOfNodes()
    show_run(scene, run.folder, volumes)
    assert scene.GetNumberOfNodes() == count
    plain = make_run(tmp_path / "plain")
    nodes = show_run(scene, plain.folder, volumes)
    assert nodes.saliency == {}
    assert len(own_nodes(scene)) == 4
    assert scene.GetNumberOfNodesByClass("vtkMRMLColorLegendDisplayNode") == 1
    assert nodes.table.GetTable().GetColumnByName("Type") is None
    assert nodes.segmentation.GetAttribute("LiverAI.Triage") is None
    clear_run(scene)
    assert scene.GetNumberOfNodes() == before


def test_saliency_of_a_phase_that_has_no_volume_here_is_shown_where_it_lies(scene: Any, run: Run) -> None:
    volumes = add_volumes(scene, run)
    nodes = show_run(scene, run.folder, {PV: volumes[PV]})
    np.testing.assert_allclose(node_affine(nodes.saliency[ART]), run.study.volumes[ART].affine, atol=1e-6)


def test_saliency_on_another_grid_than_its_phase_is_refused_and_leaves_nothing(scene: Any, run: Run) -> None:
    volumes = add_volumes(scene, run)
    before = scene.GetNumberOfNodes()
    matrix = np.eye(4)
    matrix[0, 3] = 30.0
    from LiverAILib.scene.volumes import to_vtk_matrix

    volumes[ART].SetIJKToRASMatrix(to_vtk_matrix(matrix))
    with pytest.raises(SceneError, match=r"saliency_arterial\.nrrd does not fit"):
        show_run(scene, run.folder, volumes)
    assert scene.GetNumberOfNodes() == before


def test_hccs_scores_stand_beside_every_phases_and_older_files_have_their_own(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    volumes = add_volumes(new_scene().scene, run)
    risk = RISK.model_copy(update={"slices": [(3, 5), (5, 7)], "scores": [0.2, 0.9]})
    own = SliceScores(slices=[(number, number + 1) for number in range(3, 7)], nodule=[0.1, 0.2, 0.3, 0.4])
    update = {"reference_phase": PV, "hcc_risk": risk, "slice_scores": {PV: own, ART: own}}
    findings = run.findings.model_copy(update=update)
    for phase in (PV, ART):
        heights, nodule, hcc = shown_scores(findings, phase, volumes)
        assert len(heights) == 4
        assert nodule == own.nodule
        assert hcc == [0.2, 0.2, 0.9, 0.9]
    alone = findings.model_copy(update={"slice_scores": {}})
    assert shown_scores(alone, PV, volumes)[1:] == ([], risk.scores)
    assert shown_scores(alone.model_copy(update={"hcc_risk": None}), PV, volumes) == ([], [], [])
    assert shown_scores(findings, ART, {ART: volumes[ART]})[1:] == (own.nodule, [])
    old = own.model_copy(update={"hcc": [0.5] * 4})
    before = findings.model_copy(update={"hcc_risk": RISK, "slice_scores": {ART: old}})
    assert shown_scores(before, ART, volumes)[1:] == (own.nodule, old.hcc)
