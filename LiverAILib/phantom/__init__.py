"""Synthetic multi-phase liver CT with known truth: a seed gives an exam.

`generate(seed)` makes one patient's exam; `write_dicom` and `write_nifti` (in `write`) and `liverai phantom` put it on
disk. Inside, a patient is drawn (`patient`: clinical record, liver state, lesion types; `enhancement`: HU of tissues
by phase), then the anatomy as smooth shapes in patient space (`anatomy`, `lesions`, `appearance`); then every phase is
painted on its grid with its breath (`render`) and goes through the scanner (`acquisition`: blur, noise, artefacts).

Seeds from `EVALUATION_SEEDS` (1,000,000) on are for evaluation only: nothing may be trained on them.
The liver mask is liver tissue, the vessels inside the liver and the lesions; vena cava and portal trunk are outside it.
A lesion that bulges from the liver's surface is part of the liver.
"""

from LiverAILib.phantom.generate import DEFAULT_PHASES, Phantom, generate
from LiverAILib.phantom.options import EVALUATION_SEEDS, LIVER_TISSUES, PhantomOptions, Tissue
from LiverAILib.phantom.truth import LesionTruth, LiverTruth, MimicTruth, PhantomTruth

__all__ = [
    "DEFAULT_PHASES",
    "EVALUATION_SEEDS",
    "LIVER_TISSUES",
    "LesionTruth",
    "LiverTruth",
    "MimicTruth",
    "Phantom",
    "PhantomOptions",
    "PhantomTruth",
    "Tissue",
    "generate",
]
