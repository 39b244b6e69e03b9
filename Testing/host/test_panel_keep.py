"""Everything is kept: in the scene, through saving and reopening, and in reports."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from PIL import Image
from PySide6 import QtGui
from rich_run import show_rich
from scene_fixtures import no_vtk_errors
from slicer_host import start_host

from LiverAILib.export.report import report_csv, report_json, report_text
from LiverAILib.export.report_html import report_html
from LiverAILib.findings import Findings
from LiverAILib.lesion_types import LesionType
from LiverAILib.opinions import Call, Opinions, opinions_from_json, read_lesions
from LiverAILib.scene.headless import read_scene
from LiverAILib.scene.load import save_scene
from LiverAILib.study import Phase


@pytest.fixture
def rich(panel: Any, tmp_path: Path) -> Any:
    run, _ = show_rich(panel, tmp_path / "run")
    return run


def test_a_scene_saved_closed_and_opened_again_is_read_on(
    panel: Any, rich: Any, tmp_path: Path, make_panel: Any, errors: list
) -> None:
    panel.clinical.age.text = "61"
    panel.go_to("lesion_2")
    panel.findings.select("lesion_2")
    panel.opinion.rejectButton.click()
    panel.overlay.colours.widget.setCurrentIndex(1)
    panel.overlay.opacity.setValue(55)
    path = save_scene(slicer.mrmlScene, tmp_path / "scene.mrb")
    panel.close()
    for file in sorted((tmp_path / "run").iterdir()):
        file.unlink()  # as on another machine
    host = start_host(tmp_path / "again", window=True)
    again = make_panel()
    with no_vtk_errors():
        read_scene(host, path)
    again.restore()
    assert errors == []
    assert again.session.shown.findings == rich.findings
    assert len(again.session.shown.saliency) == 3
    assert again.session.opinions.of("lesion_2").call is Call.REJECTED
    assert again.findings.order() == ["lesion_1", "lesion_2", "lesion_3"]
    assert again.findings.selected() == "lesion_2"
    assert again.clinical.record().age == 61
    assert again.overlay.overlay().opacity == pytest.approx(0.55)
    assert again.overlay.colours.value == "malignancy"
    assert set(again.study.volumes()) == set(rich.study.volumes)
    again.findings.select("lesion_1")
    again.go_to("lesion_1")
    again.opinion.confirmButton.click()
    assert again.session.opinions.of("lesion_1").call is Call.CONFIRMED


def test_closing_the_scene_empties_the_panel(panel: Any, rich: Any) -> None:
    slicer.mrmlScene.Clear()
    assert panel.session.shown is None
    assert panel.findings.order() == []
    assert "No findings" in panel.findings.banner.text
    assert not panel.run.analyzeButton.enabled


def test_damaged_settings_in_a_scene_are_reset(module: Any, make_panel: Any) -> None:
    node = module.LiverAILogic().getParameterNode()
    node.SetParameter("labels", "perhaps")
    node.SetParameter("opacity", "much")
    panel = make_panel()
    assert panel.parameters().labels is False
    assert panel.parameters().opacity == pytest.approx(0.4)


def test_findings_of_a_newer_version_in_a_scene_are_said_not_shown(panel: Any, rich: Any, errors: list) -> None:
    from LiverAILib.scene.shown import FINDINGS_ROLE, _find

    node = _find(slicer.mrmlScene, FINDINGS_ROLE)
    node.SetText(json.dumps({**json.loads(node.GetText()), "schema_version": 99}))
    panel.restore()
    assert "newer LiverAI" in errors[0]
    assert panel.findings.order() == []


def test_all_four_reports_are_written(panel: Any, rich: Any, tmp_path: Path, errors: list) -> None:
    for made in panel.report.buttons.values():
        assert made.enabled
        made.click()
    assert errors == []
    reports = {path.suffix: path for path in (tmp_path / "results").iterdir()}
    assert set(reports) == {".html", ".pdf", ".csv", ".json"}
    page = reports[".html"].read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64,") == 3
    assert "Research use only" in page
    pdf = reports[".pdf"].read_bytes()
    assert pdf.startswith(b"%PDF")
    assert pdf.count(b"/Subtype /Image") + pdf.count(b"/Subtype/Image") >= 3, "the pictures are in the PDF"
    assert Findings.model_validate(json.loads(reports[".json"].read_text())["findings"]) == rich.findings
    assert str(reports[".json"]) in panel.report.note.text


def test_the_structured_text_goes_to_the_clipboard(panel: Any, rich: Any) -> None:
    panel.report.copyButton.click()
    text = QtGui.QGuiApplication.clipboard().text()
    assert text.startswith("LIVER CT, COMPUTER-ASSISTED READING\nResearch use only")
    assert "program: Hepatocellular carcinoma (82%), malignancy 88%, malignant" in text


def test_a_report_that_cant_be_written_is_said(panel: Any, rich: Any, tmp_path: Path, errors: list) -> None:
    (tmp_path / "file").write_text("")
    panel.output.currentPath = str(tmp_path / "file")
    panel.report.buttons["csv"].click()
    assert "can't be written" in errors[0]


def opinions_on(findings: Findings) -> Opinions:
    opinions = Opinions(run_id="x").with_call("lesion_1", Call.CONFIRMED).with_type("lesion_1", LesionType.ICC)
    return opinions.with_call("lesion_2", Call.REJECTED).with_name("lesion_3", '=cmd|"x" <b>')


def test_reports_keep_program_and_reader_apart(rich: Any) -> None:
    opinions = opinions_on(rich.findings)
    rows = list(csv.DictReader(io.StringIO(report_csv(rich.findings, opinions))))
    assert [(row["ai_type"], row["reader_type"], row["reader_call"]) for row in rows] == [
        ("hcc", "icc", "confirmed"),
        ("cyst", "", "rejected"),
        ("metastasis", "", ""),
    ]
    assert rows[2]["reader_name"].startswith("'="), "no spreadsheet takes it for a formula"
    text = report_text(rich.findings, opinions)
    assert "reader: confirmed, Intrahepatic cholangiocarcinoma" in text
    assert text.index("REJECTED BY THE READER") < text.index("Lesion 2:")
    page = report_html(rich.findings, opinions, {})
    assert "<b>" not in page
    assert "&lt;b&gt;" in page
    assert opinions_from_json(json.dumps(json.loads(report_json(rich.findings, opinions))["opinions"])) == opinions
    assert [one.rejected for one in read_lesions(rich.findings, opinions)] == [False, True, False]


def test_the_picture_of_a_lesion_shows_each_phase_with_its_outline(panel: Any, rich: Any) -> None:
    from LiverAILib.scene.pictures_of_lesions import lesion_pictures

    pictures = lesion_pictures(panel.session.shown, panel.session.lesions())
    assert set(pictures) == {"lesion_1", "lesion_2", "lesion_3"}
    image = Image.open(io.BytesIO(pictures["lesion_1"])).convert("RGB")
    assert image.width == 3 * 204 + 4
    red, green, blue = np.moveaxis(np.asarray(image), -1, 0)
    assert np.count_nonzero((red > 180) & (green > 150) & (blue < 130)) > 60, "the outline in the lesion's colour"


def test_without_the_reference_volume_reports_have_no_pictures(panel: Any, rich: Any) -> None:
    slicer.mrmlScene.RemoveNode(panel.session.shown.volumes[Phase.PORTAL_VENOUS])
    panel.restore()
    panel.report.buttons["html"].click()
    assert "Written" in panel.report.note.text
