"""Synthetic multi-phase liver CT with known truth: a seed gives an exam."""

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
