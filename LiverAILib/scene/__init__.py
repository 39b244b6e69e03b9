"""MRML nodes from a run folder, and pictures of them. Takes the scene as an argument; needs slicer and vtk, never qt.

Start at `load.show_run`. Modules: `volumes` (LPS meets RAS here and only here), `segmentation`, `overlay`, `table`,
`hierarchy`, `provenance`, `load`, and without the application `headless`, `views`, `demo`.
"""
