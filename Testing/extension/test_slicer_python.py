"""The analysis that the module starts runs on what Slicer 5.10 has and what Resources/requirements.txt adds to it."""

import re
import subprocess
import sys
from pathlib import Path

import SimpleITK as sitk
from ct_builder import anatomy
from liverai_fakes import PACKAGE, toy_affine

from LiverAILib.bundles import write_bundle
from LiverAILib.export.run_folder import read_run
from LiverAILib.networks.liversegnet import LiverSegNet
from LiverAILib.study import Phase, array_to_sitk

ROOT = Path(__file__).resolve().parent.parent.parent

# Hides what our own Python has and Slicer's has not: most packages, and the parts of pydicom that came with version 3.
AS_IN_SLICER = """
import sys
for name in ("monai", "highdicom", "rich", "pylibjpeg", "libjpeg", "openjpeg", "jpeg_ls", "slicer", "matplotlib"):
    sys.modules[name] = None
import pydicom, pydicom.encaps
sys.modules["pydicom.pixels"] = None
del pydicom.encaps.get_frame
from LiverAILib.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_an_analysis_needs_nothing_else(tmp_path: Path) -> None:
    write_bundle(tmp_path / "models" / "liversegnet", LiverSegNet("compact").state_dict(), PACKAGE)
    sitk.WriteImage(array_to_sitk(anatomy("portal"), toy_affine()), tmp_path / "portal.nrrd")
    command = ["analyze", "--portal-venous", tmp_path / "portal.nrrd", "-o", tmp_path / "run"]
    options = ["--models", tmp_path / "models", "--progress", "json", "--threads", "1", "--verbose"]
    whole = [sys.executable, "-c", AS_IN_SLICER, *map(str, command + options)]
    done = subprocess.run(whole, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert list(read_run(tmp_path / "run").findings.phases) == [Phase.PORTAL_VENOUS]


def test_what_slicer_ships_is_not_installed_over() -> None:
    lines = (ROOT / "Resources" / "requirements.txt").read_text().splitlines()
    names = {re.split(r"[<>=~!\[ ]", line)[0].lower() for line in lines if line and not line.startswith("#")}
    assert names
    assert not names & {"torch", "numpy", "scipy", "simpleitk", "pydicom", "pillow", "vtk", "requests"}
