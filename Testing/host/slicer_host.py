"""A stand-in for the Slicer application, not Slicer: PySide6 as `qt`, small stand-ins for ctk and qMRML, real MRML.

What it can't prove: that PythonQt takes the calls in the same way (`Docs/slicer-api.md` lists those that are not tried
here), how Slicer draws its own widgets, its DICOM database, the extensions and the Segment Editor. Where it differs
from Slicer, Slicer is right. One Qt application per process; properties are attributes, as in PythonQt.
"""

from __future__ import annotations

import ctypes
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
from host_application import Application, LayoutManager
from host_parameters import parameterNodeWrapper
from host_widgets import CollapsibleButton, NodeComboBox, PathLineEdit, make_properties
from PySide6 import QtCore, QtGui, QtWidgets

from LiverAILib.scene.headless import HeadlessScene, new_scene


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
    """Its parameter node is a singleton of the scene, as in Slicer."""

    def __init__(self, parent: Any = None) -> None:
        self.moduleName = type(self).__name__.removesuffix("Logic")

    def getParameterNode(self) -> Any:
        node = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
        if node is None:
            node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
            node.UnRegister(None)
            node.SetSingletonTag(self.moduleName)
            node.SetModuleName(self.moduleName)
            node.SetName(self.moduleName)
            node = slicer.mrmlScene.AddNode(node)
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    def runTest(self) -> None:
        pass

    def delayDisplay(self, text: str, *_: Any, **__: Any) -> None:
        pass


class TorchUtilsLogic:
    """PyTorchUtilsLogic of the PyTorch extension, with torch installed."""

    def torchInstalled(self) -> bool:
        return True


#: Scenes and logics crash when they are collected in the wrong order, so every one is kept to the end of the process.
_kept: list[Any] = []


def leave_behind() -> None:
    """At the end of a process: no Python is called back any more, and the scenes are left to the system.

    Taken apart with the interpreter they crash.
    """
    for host, views in _kept:
        host.scene.RemoveAllObservers()
        parts = [host.scene, host.application_logic, *host.logics, *([] if views is None else views.logics())]
        for part in parts:
            part.Register(None)


def _keep_none() -> None:
    """PySide6 6.12 gives back a reference to None that it never took, with each call that returns nothing; before
    Python 3.12 the process ends when there is none left. Enough of them for any test run.
    """
    if sys.version_info < (3, 12):
        ctypes.c_ssize_t.from_address(id(None)).value += 10**12


_keep_none()


def _module(name: str, **content: Any) -> types.ModuleType:
    module = types.ModuleType(name)
    module.__dict__.update(content)
    sys.modules[name] = module
    return module


def start_host(home: Path, *, window: bool = False) -> HeadlessScene:
    """Make `qt`, `ctk`, `slicer.app` and the rest importable, with a fresh scene. home: an empty folder for slicer.app.

    window: with slice views (a layout manager) and a main window. It gets bin/PythonSlicer, which is this interpreter.
    May be called again for another scene.
    """
    if QtWidgets.QApplication.instance() is None:
        start_host.application = QtWidgets.QApplication([])  # type: ignore[attr-defined]
        make_properties()
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
    slicer.parameterNodeWrapper = _module("slicer.parameterNodeWrapper", parameterNodeWrapper=parameterNodeWrapper)
    slicer.i18n = _module("slicer.i18n", translate=QtCore.QCoreApplication.translate)
    host = new_scene()
    slicer.mrmlScene = host.scene
    slicer.app = Application(home, LayoutManager(host) if window else None)
    _kept.append((host, slicer.app.layoutManager()))
    slicer.modules = types.SimpleNamespace()
    slicer.dicomDatabase = None
    slicer.qMRMLNodeComboBox = NodeComboBox
    main = QtWidgets.QMainWindow() if window else None
    slicer.util.mainWindow = lambda: main
    slicer.util.settingsValue = slicer.app.value
    slicer.util.selectModule = slicer.app.modules_selected.append
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
