"""The extension's files work in the source, build and install tree. CMake runs with a stand-in for Slicer's macros."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
STAND_IN = Path(__file__).resolve().parent / "slicer_stand_in"
MODULES = Path("lib/Slicer-5.12/qt-scripted-modules")
SLICERS_OWN = {"torch", "numpy", "scipy", "simpleitk", "pydicom", "pillow", "vtk"}

needs_cmake = pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not installed")


def expected_files(source: Path) -> set[str]:
    """What has to stand in every tree: the module, the library, the resources."""
    library = {path.relative_to(source).as_posix() for path in (source / "LiverAILib").rglob("*.py")}
    resources = {
        path.relative_to(source).as_posix()
        for path in (source / "Resources").rglob("*")
        if path.is_file() and path.suffix != ".py" and not path.name.startswith(".") and "__pycache__" not in path.parts
    }
    panel = {path.relative_to(source / "LiverAI").as_posix() for path in (source / "LiverAI").rglob("*.py")}
    return library | resources | panel


def cmake(*arguments: object) -> None:
    """Run cmake; its complaint is the test's."""
    done = subprocess.run(["cmake", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the source tree, so that nobody edits it meanwhile."""
    folder = tmp_path_factory.mktemp("source")
    shutil.copy(ROOT / "CMakeLists.txt", folder)
    for name in ("LiverAI", "LiverAILib", "Resources"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture(scope="module")
def build(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configured build tree."""
    folder = tmp_path_factory.mktemp("build")
    options = [f"-DSlicer_DIR={STAND_IN}", "-DBUILD_TESTING=ON"]
    cmake("-S", source, "-B", folder, *options)
    return folder


@pytest.fixture(scope="module")
def installed(build: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The install tree."""
    folder = tmp_path_factory.mktemp("install")
    cmake("--install", build, "--prefix", folder)
    return folder


@needs_cmake
def test_every_script_and_resource_is_built_and_installed(source: Path, build: Path, installed: Path) -> None:
    expected = expected_files(source)
    assert files_below(build / MODULES) == expected
    assert files_below(installed / MODULES) == expected


@needs_cmake
def test_module_metadata_and_unit_test_are_declared(build: Path) -> None:
    assert (build / "modules.txt").read_text().split() == ["LiverAI", "LiverAILib"]
    assert (build / "unittests.txt").read_text().split() == ["LiverAI.py"]
    metadata = dict(line.split("=", 1) for line in (build / "metadata.txt").read_text().splitlines())
    assert metadata["DEPENDS"] == "PyTorch"
    assert "research use only" in metadata["DESCRIPTION"].lower()


@needs_cmake
@pytest.mark.parametrize("tree", ["build", "installed"])
def test_the_library_finds_its_resources_in_the_tree(tree: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(tree) / MODULES
    code = "from LiverAILib.resources import resource; print(resource('Terminology', 'LiverAI.term.json'))"
    done = subprocess.run(
        [sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, {str(folder)!r}); {code}"],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
    )
    path = Path(done.stdout.strip())
    assert path.is_file()
    assert path.is_relative_to(folder)


@needs_cmake
def test_a_new_file_is_picked_up_without_touching_cmake(tmp_path: Path) -> None:
    """CONFIGURE_DEPENDS and the globs: a script that was not there yesterday is installed."""
    source = tmp_path / "source"
    for name in ("CMakeLists.txt", "LiverAI", "Resources"):
        target = source / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns("Models", "__pycache__"))
        else:
            shutil.copy(ROOT / name, target)
    (source / "LiverAILib" / "later").mkdir(parents=True)
    (source / "LiverAILib" / "__init__.py").write_text("")
    (source / "LiverAILib" / "later" / "added.py").write_text("")
    (source / "LiverAILib" / "__pycache__").mkdir()
    (source / "LiverAILib" / "__pycache__" / "x.py").write_text("")
    build = tmp_path / "build"
    cmake("-S", source, "-B", build, f"-DSlicer_DIR={STAND_IN}")
    cmake("--install", build, "--prefix", tmp_path / "out")
    files = files_below(tmp_path / "out" / MODULES)
    assert "LiverAILib/later/added.py" in files
    assert not any("__pycache__" in name for name in files)


def test_the_module_file_has_slicers_four_classes() -> None:
    tree = ast.parse((ROOT / "LiverAI" / "LiverAI.py").read_text(encoding="utf-8"))
    classes = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    assert {"LiverAI", "LiverAIWidget", "LiverAILogic", "LiverAITest"} <= classes


def test_icons_are_128_pixels_square() -> None:
    for path in (ROOT / "LiverAI.png", ROOT / "Resources" / "Icons" / "LiverAI.png"):
        assert Image.open(path).size == (128, 128)
    assert (ROOT / "LiverAI.png").read_bytes() == (ROOT / "Resources" / "Icons" / "LiverAI.png").read_bytes()


def requirement_lines() -> list[str]:
    lines = (ROOT / "Resources" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_requirements_never_touch_what_slicer_brings() -> None:
    names = {re.split(r"[<>=\[ ]", line)[0].lower() for line in requirement_lines()}
    assert names
    assert not names & SLICERS_OWN


def test_requirements_agree_with_the_package() -> None:
    """Each line stands in pyproject.toml word for word."""
    import tomllib

    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    assert set(requirement_lines()) <= set(dependencies)


def test_a_volume_file_is_analysed_without_the_packages_that_slicer_lacks() -> None:
    """What the panel's child needs of LiverAILib imports neither a DICOM reader nor a library that is not listed."""
    blocked = ["highdicom", "pyjpegls", "pylibjpeg", "openjpeg", "libjpeg", "matplotlib", "nibabel", "rich"]
    code = (
        f"import sys\nfor name in {blocked!r}: sys.modules[name] = None\n"
        "import LiverAILib.cli, LiverAILib.analysis.pipeline, LiverAILib.analysis.command\n"
        "import LiverAILib.export.run_folder, LiverAILib.findings\n"
        "LiverAILib.cli.build_parser(['analyze'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
