"""The wheel carries its resources, and finds them where it is installed."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy of the sources, so that nothing is left in the tree."""
    pytest.importorskip("hatchling")
    source = tmp_path_factory.mktemp("source")
    out = tmp_path_factory.mktemp("wheel")
    for name in ("LiverAILib", "Resources"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE.txt"):
        shutil.copy(ROOT / name, source / name)
    (source / "Resources" / "Models" / "probe" / "models").mkdir(parents=True)
    (source / "Resources" / "Models" / "probe" / "models" / "model.safetensors").write_bytes(b"weights")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, source],
        check=True,
        capture_output=True,
    )
    (wheel,) = out.glob("*.whl")
    return wheel


def test_every_resource_is_in_the_wheel(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        f"LiverAILib/{path.relative_to(ROOT).as_posix()}"
        for path in (ROOT / "Resources").rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }
    assert wanted
    assert wanted <= names
    assert "LiverAILib/Resources/Models/probe/models/model.safetensors" in names
    assert not [
        name for name in names if name.startswith(("Testing", "Resources", "LiverAI/")) or "__pycache__" in name
    ]


def test_an_installed_wheel_finds_its_models_and_has_the_command(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    script = (
        "import LiverAILib; from LiverAILib.resources import resource; print(LiverAILib.__file__);"
        "print(resource('Models', 'probe', 'models', 'model.safetensors').read_text())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )
    where, content = done.stdout.splitlines()
    assert Path(where).parent == tmp_path / "LiverAILib"
    assert content == "weights"
    (entry_points,) = tmp_path.glob("*.dist-info/entry_points.txt")
    assert "liverai = LiverAILib.cli:main" in entry_points.read_text()
