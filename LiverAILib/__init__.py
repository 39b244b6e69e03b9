"""LiverAI: liver CT analysis for 3D Slicer and the command line. Research use only."""

__version__ = "0.1.0"
