"""The module's self-test: on a small phantom, without pop-ups, in Slicer itself and on the stand-in of our tests.

Each test takes (logic, an empty folder, the Resources folder) and raises AssertionError.
"""

import logging

import slicer

from LiverAILib.errors import LiverAIError
from LiverAILib.study import ClinicalRecord, Phase
from LiverAIPanel import sample_data
from LiverAIPanel.packages import Packages

log = logging.getLogger("LiverAI")

SHAPE, SPACING_MM = (20, 128, 128), (9.0, 3.0, 3.0)


def check_files(logic, folder, resources):
    """Library and resources are found in this layout."""
    for name in ("Icons/LiverAI.png", "Terminology/LiverAI.term.json", "requirements.txt"):
        assert (resources / name).is_file(), name
    assert len(Packages(resources / "requirements.txt").requirements()) > 2


def check_arguments(logic, folder, resources):
    """The child is asked for the chosen phases only, with the clinical record."""
    record = ClinicalRecord(age=61, hepatitis=True)
    arguments = logic.arguments({Phase.PORTAL_VENOUS: folder / "pv.nrrd"}, folder / "out", record)
    assert "--portal-venous" in arguments
    assert "--arterial" not in arguments
    assert arguments[arguments.index("--hepatitis") + 1] == "yes"


def check_export(logic, folder, resources):
    """A volume is exported, and two phases can't share one."""
    import numpy as np

    node = slicer.util.addVolumeFromArray(np.arange(60, dtype=np.int16).reshape(3, 4, 5))
    paths = logic.exportVolumes({Phase.ARTERIAL: node}, folder)
    assert paths[Phase.ARTERIAL].is_file()
    try:
        logic.analyze({Phase.ARTERIAL: node, Phase.DELAYED: node}, results=folder)
    except LiverAIError as error:
        log.info("Refused as it should be: %s", error)
    else:
        raise AssertionError("One volume was taken for two phases.")


def check_analysis(logic, folder, resources):
    """A small phantom is analysed in a child process, and its findings stand in the scene."""
    packages = Packages(resources / "requirements.txt")
    if packages.missing() or not packages.torch_installed():
        log.warning("The analysis is not tried: packages are missing.")
        return
    nodes = sample_data.make_exam(slicer.mrmlScene, shape=SHAPE, spacing_mm=SPACING_MM, lesions=("cyst",))
    result = logic.analyze({Phase.PORTAL_VENOUS: nodes[Phase.PORTAL_VENOUS]}, wait=True, results=folder)
    assert result.findings.reference_phase is Phase.PORTAL_VENOUS
    assert result.findings.liver_ml > 200
    assert slicer.mrmlScene.IsNodePresent(result.segmentation)


TESTS = (check_files, check_arguments, check_export, check_analysis)
