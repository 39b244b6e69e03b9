"""Imports go one way: science imports neither Slicer nor Qt, scene imports Slicer but never Qt."""

from __future__ import annotations

import ast
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import LiverAILib

ROOT = Path(LiverAILib.__file__).resolve().parent
PACKAGES = sorted(module.name for module in pkgutil.iter_modules([str(ROOT)]))
FRONT_ENDS = ["qt", "ctk", "PySide6", "PyQt5", "PyQt6", "PythonQt"]
SLICER = ["slicer", "slicer_core", "vtk", "vtkmodules", "vtkITK"]


def loaded_after_importing(package: str) -> set[str]:
    """Top-level modules in a fresh process that has imported a package with all its submodules."""
    code = f"""
import importlib, json, pkgutil, sys
module = importlib.import_module("LiverAILib.{package}")
for found in pkgutil.walk_packages(getattr(module, "__path__", []), module.__name__ + "."):
    importlib.import_module(found.name)
print(json.dumps(sorted({{name.partition(".")[0] for name in sys.modules}})))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT.parent, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("package", [name for name in PACKAGES if name != "scene"])
def test_science_imports_neither_slicer_nor_qt(package: str) -> None:
    assert not loaded_after_importing(package) & {*SLICER, *FRONT_ENDS}


def test_scene_imports_slicer_but_neither_qt_nor_torch() -> None:
    """Torch too stays out: the panel shows results where only the child process needs it."""
    pytest.importorskip("slicer")
    loaded = loaded_after_importing("scene")
    assert "slicer" in loaded
    assert not loaded & {*FRONT_ENDS, "torch", "monai"}


def attributes_of_slicer(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "slicer"
    }


@pytest.mark.parametrize("path", sorted((ROOT / "scene").glob("*.py")), ids=lambda path: path.name)
def test_scene_takes_the_scene_and_never_reaches_for_the_application(path: Path) -> None:
    used = attributes_of_slicer(path)
    assert not used & {"app", "modules", "mrmlScene", "util"}
    assert all(name.startswith("vtk") for name in used)


def imports_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    return names | {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}


@pytest.mark.parametrize("package", [name for name in PACKAGES if name not in ("scene", "cli", "demo")])
def test_nothing_below_imports_the_scene(package: str) -> None:
    """Only the command may, and only when it is asked for a scene."""
    folder = ROOT / package
    for path in sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]:
        assert not any(name.startswith("LiverAILib.scene") for name in imports_of(path)), path.name
