"""The parts of the panel, one file each. They run on PythonQt and on PySide6 alike, so they use only what both have."""
