"""The layers point one way: the science knows neither Slicer nor VTK nor Qt, and the scene layer knows no Qt."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def modules(*, scene: bool) -> list[str]:
    paths = (path.relative_to(ROOT).with_suffix("") for path in (ROOT / "LiverAILib").rglob("*.py"))
    names = sorted(".".join(path.parts).removesuffix(".__init__") for path in paths)
    return [name for name in names if name.startswith("LiverAILib.scene") == scene]


def loaded_by(names: list[str]) -> set[str]:
    """Top-level names in sys.modules after importing these in a fresh process."""
    script = (
        "import importlib, sys\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split())


def test_the_science_imports_neither_slicer_nor_vtk_nor_qt() -> None:
    names = modules(scene=False)
    assert len(names) > 20
    found = loaded_by(names)
    assert "torch" in found  # so the modules really were imported
    assert not found & {"slicer", "vtk", "vtkmodules", "qt", "ctk", "PySide6", "PyQt5"}


def test_the_scene_layer_imports_no_qt() -> None:
    pytest.importorskip("slicer", reason="slicer-core is not installed")
    found = loaded_by(modules(scene=True))
    assert "slicer" in found
    assert not found & {"qt", "ctk", "PySide6", "PyQt5"}
    assert "torch" not in found  # Slicer shows a result without the seconds that torch takes to import


def test_help_needs_no_heavy_library() -> None:
    assert not loaded_by(["LiverAILib.cli"]) & {"torch", "numpy", "SimpleITK", "pydicom", "monai"}
