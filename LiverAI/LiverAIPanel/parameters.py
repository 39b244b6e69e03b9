"""What the panel remembers, in the scene's parameter node: saved and opened again with the scene."""

import logging

from slicer import vtkMRMLScalarVolumeNode
from slicer.parameterNodeWrapper import parameterNodeWrapper

from LiverAILib.study import Phase

log = logging.getLogger("LiverAI")


@parameterNodeWrapper
class PanelParameters:
    """chosen: the phases that the user chose, which no guess changes. Whatever may be empty is text."""

    non_contrast: vtkMRMLScalarVolumeNode
    arterial: vtkMRMLScalarVolumeNode
    portal_venous: vtkMRMLScalarVolumeNode
    delayed: vtkMRMLScalarVolumeNode
    chosen: str = ""
    age: str = ""
    sex: str = "unknown"
    hepatitis: str = "unknown"
    cirrhosis: str = "unknown"
    cholangiolithiasis: str = "unknown"
    extrahepatic_tumour: str = "unknown"
    results_folder: str = ""
    device: str = "auto"
    run_folder: str = ""
    lesion: str = ""
    phase: str = ""
    segments: str = "outline"
    heat: str = "probability"
    opacity: float = 0.4
    threshold: float = 0.1
    legend: bool = True
    colours: str = "lesion"
    labels: bool = False
    hidden: bool = False
    layout: str = ""


def parameters_of(node):
    """The parameters in a node; a damaged one is emptied, and that is logged."""
    try:
        return PanelParameters(node)
    except Exception:
        log.exception("The panel's settings in this scene are damaged and were reset.")
        node.UnsetAllParameters()
        return PanelParameters(node)


def chosen_phases(parameters):
    """The phases that the user chose himself."""
    names = {phase.value for phase in Phase}
    return {Phase(name) for name in parameters.chosen.split() if name in names}
