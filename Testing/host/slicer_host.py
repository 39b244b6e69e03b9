"""A stand-in for the Slicer application: PySide6 as `qt`, small stand-ins for ctk and qMRML, real MRML.

One Qt application per process. Properties are attributes, as in PythonQt. Where it differs from Slicer, Slicer is
right.
"""

from __future__ import annotations

import os
import shutil
import sys
import types
import unittest
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import slicer
import slicer.util
import vtk
from PySide6 import QtCore, QtGui, QtWidgets

from LiverAILib.scene.headless import HeadlessScene, new_scene

#: Qt properties that the panel may use as attributes; the classes keep their setters.
_PROPERTIES = {
    "checked",
    "currentIndex",
    "currentText",
    "enabled",
    "maximum",
    "minimum",
    "text",
    "toolTip",
    "value",
    "visible",
}


def _make_properties() -> None:
    for name in dir(QtWidgets):
        kind = getattr(QtWidgets, name)
        if not (isinstance(kind, type) and issubclass(kind, QtWidgets.QWidget)):
            continue
        meta = kind.staticMetaObject
        for index in range(meta.propertyOffset(), meta.propertyCount()):
            key = meta.property(index).name()
            if key in _PROPERTIES:
                getter = lambda self, key=key: self.property(key)  # noqa: E731
                setter = lambda self, value, key=key: self.setProperty(key, value)  # noqa: E731
                setattr(kind, key, property(getter, setter))


class CollapsibleButton(QtWidgets.QWidget):
    """ctkCollapsibleButton."""

    text = ""


class PathLineEdit(QtWidgets.QWidget):
    """ctkPathLineEdit."""

    Dirs = 1
    filters = 0
    currentPath = ""


class NodeComboBox(QtWidgets.QWidget):
    """qMRMLNodeComboBox: holds a node or none."""

    currentNodeIDChanged = QtCore.Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.nodeTypes: list[str] = []
        self._node: Any = None

    def setMRMLScene(self, scene: Any) -> None:
        self.scene = scene

    def currentNode(self) -> Any:
        return self._node

    def setCurrentNode(self, node: Any) -> None:
        self._node = node
        self.currentNodeIDChanged.emit(node.GetID() if node is not None else "")


class IOManager:
    """slicer.app.coreIOManager() for volumes as NRRD."""

    def extractKnownExtension(self, name: str, _node: Any) -> str:
        return Path(name).suffix

    def fileWriterExtensions(self, _node: Any) -> list[str]:
        return ["NRRD (.nrrd)"]

    def exportNodes(self, ids: list[str], names: list[str], _options: dict, world: bool, _messages: Any) -> bool:
        scene = slicer.mrmlScene
        for node_id, name in zip(ids, names, strict=True):
            node = scene.GetNodeByID(node_id)
            copy = scene.AddNewNodeByClass(node.GetClassName())
            copy.CopyContent(node)
            if world and node.GetParentTransformNode():
                matrix, to_world = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
                node.GetIJKToRASMatrix(matrix)
                node.GetParentTransformNode().GetMatrixTransformToWorld(to_world)
                vtk.vtkMatrix4x4.Multiply4x4(to_world, matrix, matrix)
                copy.SetIJKToRASMatrix(matrix)
            storage = scene.AddNewNodeByClass("vtkMRMLNRRDStorageNode")
            storage.SetFileName(name)
            written = storage.WriteData(copy)
            scene.RemoveNode(storage)
            scene.RemoveNode(copy)
            if not written:
                return False
        return True


class Application(QtCore.QObject):
    """slicer.app, without a window."""

    startupCompleted = QtCore.Signal()

    def __init__(self, home: Path) -> None:
        super().__init__()
        self.slicerHome = str(home)
        self._io = IOManager()

    def coreIOManager(self) -> IOManager:
        return self._io

    def layoutManager(self) -> None:
        return None

    def testingEnabled(self) -> bool:
        return True

    def setOverrideCursor(self, _cursor: Any) -> None:
        pass

    def restoreOverrideCursor(self) -> None:
        pass


class ScriptedLoadableModule:
    def __init__(self, parent: Any) -> None:
        self.parent = parent


class ScriptedLoadableModuleWidget:
    def __init__(self, parent: Any = None) -> None:
        self.parent = parent or QtWidgets.QWidget()
        self.layout = QtWidgets.QVBoxLayout(self.parent)

    def setup(self) -> None:
        pass

    def onReload(self) -> None:
        self.cleanup()
        self.setup()


class ScriptedLoadableModuleLogic:
    pass


class ScriptedLoadableModuleTest(unittest.TestCase):
    def runTest(self) -> None:
        pass


class TorchUtilsLogic:
    """PyTorchUtilsLogic of the PyTorch extension, with torch installed."""

    def torchInstalled(self) -> bool:
        return True


def _module(name: str, **content: Any) -> types.ModuleType:
    module = types.ModuleType(name)
    module.__dict__.update(content)
    sys.modules[name] = module
    return module


def start_host(home: Path) -> HeadlessScene:
    """Make `qt`, `ctk`, `slicer.app` and the rest importable, with a fresh scene. home: an empty folder for slicer.app.

    It gets bin/PythonSlicer, which is this interpreter. May be called again for another scene.
    """
    if QtWidgets.QApplication.instance() is None:
        start_host.application = QtWidgets.QApplication([])  # type: ignore[attr-defined]
        _make_properties()
    qt = {key: getattr(part, key) for part in (QtCore, QtGui, QtWidgets) for key in dir(part) if key[0] == "Q"}
    _module("qt", **qt)
    _module("ctk", ctkCollapsibleButton=CollapsibleButton, ctkPathLineEdit=PathLineEdit)
    _module("PyTorchUtils", PyTorchUtilsLogic=TorchUtilsLogic)
    bases = (
        ScriptedLoadableModule,
        ScriptedLoadableModuleWidget,
        ScriptedLoadableModuleLogic,
        ScriptedLoadableModuleTest,
    )
    slicer.ScriptedLoadableModule = _module("slicer.ScriptedLoadableModule", **{base.__name__: base for base in bases})
    host = new_scene()
    slicer.mrmlScene = host.scene
    slicer.app = Application(home)
    slicer.modules = types.SimpleNamespace()
    slicer.qMRMLNodeComboBox = NodeComboBox
    python = home / "bin" / "PythonSlicer"
    python.parent.mkdir(parents=True, exist_ok=True)
    python.write_text(f'#!/bin/sh\nexec "{shutil.which(sys.executable) or sys.executable}" "$@"\n')
    python.chmod(0o755)
    return host


def wait_until(condition: Any, seconds: float = 30.0) -> bool:
    """Run Qt's event loop until a condition holds."""
    timer = QtCore.QElapsedTimer()
    timer.start()
    while not condition():
        QtWidgets.QApplication.processEvents(QtCore.QEventLoop.ProcessEventsFlag.AllEvents, 20)
        QtCore.QThread.msleep(5)
        if timer.elapsed() > 1000 * seconds:
            return False
    return True
