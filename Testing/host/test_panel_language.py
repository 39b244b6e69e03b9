"""The panel speaks the application's language, and its source uses only what PythonQt and PySide6 share."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import slicer
from conftest_host import ROOT

SOURCES = sorted([ROOT / "LiverAI" / "LiverAI.py", *(ROOT / "LiverAI" / "LiverAIPanel").glob("*.py")])
TRANSLATIONS = ROOT / "Resources" / "Translations"

#: Idioms that only one of the two has, or that force the panel wider than its dock (pattern, why not).
FOREIGN = {
    r"^\s*(?:from|import) +(?:PySide|PyQt)": "the binding is called qt here",
    r"""\.connect\(["']""": "PythonQt's connect by signature; PySide6 has none",
    r"\.(text|currentText|value|isEnabled|toolTip|currentIndex|width|height|palette|checked|title)\(\)": (
        "properties are attributes in PythonQt"
    ),
    r"\.(currentData|count)\(\)": "raises TypeError in PythonQt",
    r"\bqt\.Signal|\bqt\.Slot|\bQtCore\b|\bQtWidgets\b": "PySide6 only",
    r"qt\.Q\w+\([^)]*\b(parent|text|title)\s*=": "PythonQt's constructors take no keywords",
    r"\bexec_?\(": "a modal dialog stops everything",
    r"\bisinstance\([^,]+,\s*qt\.": "False for PythonQt's objects: use inherits()",
    r"\bimport torch\b|\bfrom torch\b": "torch is never imported in Slicer's process",
}


def strings() -> set[str]:
    """Every text that the source hands to tr()."""
    found = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "tr":
                text = node.args[0]
                assert isinstance(text, ast.Constant), f"{path.name}:{node.lineno}: tr() of something that varies"
                found.add(text.value)
    return found


@pytest.mark.parametrize("pattern", list(FOREIGN))
def test_one_source_for_both_bindings(pattern: str) -> None:
    hits = [
        f"{path.name}:{number}: {line.strip()}"
        for path in SOURCES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if re.search(pattern, line)
    ]
    assert hits == [], FOREIGN[pattern]


def test_every_text_has_its_german_with_the_same_fields() -> None:
    messages = ET.parse(TRANSLATIONS / "LiverAI_de.ts").getroot().iter("message")
    german = {message.findtext("source"): message.findtext("translation") for message in messages}
    assert set(german) == strings()
    for english, text in german.items():
        assert text
        assert english is not None
        assert sorted(re.findall(r"{.*?}", english)) == sorted(re.findall(r"{.*?}", text)), english


def test_the_compiled_translation_is_the_source(tmp_path: Path) -> None:
    lrelease = ROOT / ".venv" / "bin" / "pyside6-lrelease"
    command = shutil.which("pyside6-lrelease") or (str(lrelease) if lrelease.is_file() else None)
    if command is None:
        pytest.skip("lrelease is not installed")
    subprocess.run(
        [command, str(TRANSLATIONS / "LiverAI_de.ts"), "-qm", str(tmp_path / "de.qm")], check=True, capture_output=True
    )
    assert (tmp_path / "de.qm").read_bytes() == (TRANSLATIONS / "LiverAI_de.qm").read_bytes()


def test_the_panel_is_german_in_a_german_slicer(module: Any, make_panel: Any) -> None:
    slicer.app.language = "de-DE"
    shown = module.LiverAI(type("Parent", (), {})())
    try:
        panel = make_panel()
        assert panel.run.analyzeButton.text == "Analysieren"
        assert panel.sections["findings"].text == "Befunde"
        assert "Nur für die Forschung" in shown.parent.helpText
        assert panel.overlay.hiddenButton.text == "KI aus"
    finally:
        slicer.app.removeTranslator(shown.translator)
    assert make_panel().run.analyzeButton.text == "Analyze"


def test_an_unknown_language_is_english(module: Any, make_panel: Any) -> None:
    slicer.app.language = "fr"
    assert module.LiverAI(type("Parent", (), {})()).translator is None
    assert make_panel().run.analyzeButton.text == "Analyze"
