"""slicer.app and its layout manager, without Slicer's windows: real slice nodes, real layouts, nothing drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer
import vtk
from PySide6 import QtCore, QtWidgets


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
            copy = slicer.vtkMRMLScalarVolumeNode()
            copy.SetAndObserveImageData(node.GetImageData())
            matrix = vtk.vtkMatrix4x4()
            node.GetIJKToRASMatrix(matrix)
            if world and node.GetParentTransformNode():
                to_world = vtk.vtkMatrix4x4()
                node.GetParentTransformNode().GetMatrixTransformToWorld(to_world)
                vtk.vtkMatrix4x4.Multiply4x4(to_world, matrix, matrix)
            copy.SetIJKToRASMatrix(matrix)
            storage = slicer.vtkMRMLNRRDStorageNode()
            storage.SetFileName(name)
            storage.SetUseCompression(False)
            if not storage.WriteData(copy):
                return False
        return True


class SliceWidget:
    """One slice view: its nodes and its logic."""

    def __init__(self, logic: Any) -> None:
        self._logic = logic

    def sliceLogic(self) -> Any:
        return self._logic

    def mrmlSliceNode(self) -> Any:
        return self._logic.GetSliceNode()


class LayoutManager:
    """Makes a slice logic for each slice view that the layout asks for, as Slicer's own does."""

    def __init__(self, host: Any) -> None:
        self._host = host
        self._layout = slicer.vtkMRMLLayoutLogic()
        self._layout.SetMRMLApplicationLogic(host.application_logic)
        self._layout.SetMRMLScene(host.scene)
        self._widgets: dict[str, SliceWidget] = {}
        self._made: list[Any] = []
        host.scene.AddObserver(slicer.vtkMRMLScene.EndCloseEvent, lambda *_: self._widgets.clear())
        self.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)

    def logics(self) -> list[Any]:
        """All logics that were made for views, also those whose scene was closed."""
        return [self._layout, *self._made]

    def layoutLogic(self) -> Any:
        return self._layout

    @property
    def layout(self) -> int:
        return self._layout.GetLayoutNode().GetViewArrangement()

    def setLayout(self, number: int) -> None:
        self._layout.GetLayoutNode().SetViewArrangement(number)
        self.sliceViewNames()

    def sliceViewNames(self) -> list[str]:
        shown = self._layout.GetViewNodes()
        names = []
        for index in range(shown.GetNumberOfItems()):
            node = shown.GetItemAsObject(index)
            if node.IsA("vtkMRMLSliceNode"):
                name = node.GetLayoutName()
                names.append(name)
                if name not in self._widgets:
                    logic = slicer.vtkMRMLSliceLogic()
                    logic.SetMRMLApplicationLogic(self._host.application_logic)
                    logic.SetMRMLScene(self._host.scene)
                    logic.SetSliceNode(node)
                    self._widgets[name] = SliceWidget(logic)
                    self._made.append(logic)
        return names

    def sliceWidget(self, name: str) -> SliceWidget:
        return self._widgets[name]

    def resetSliceViews(self) -> None:
        pass


class Application(QtCore.QObject):
    """slicer.app."""

    startupCompleted = QtCore.Signal()

    def __init__(self, home: Path, layout_manager: LayoutManager | None = None) -> None:
        super().__init__()
        self.slicerHome = str(home)
        self.temporaryPath = str(home)
        self.modules_selected: list[str] = []
        self.language = ""
        self._io = IOManager()
        self._settings = QtCore.QSettings(str(home / "settings.ini"), QtCore.QSettings.Format.IniFormat)
        self._layout_manager = layout_manager

    def coreIOManager(self) -> IOManager:
        return self._io

    def layoutManager(self) -> LayoutManager | None:
        return self._layout_manager

    def userSettings(self) -> QtCore.QSettings:
        return self._settings

    def testingEnabled(self) -> bool:
        return True

    def processEvents(self) -> None:
        QtWidgets.QApplication.processEvents()

    def value(self, key: str, default: Any = None) -> Any:
        """slicer.util.settingsValue."""
        return {"language": self.language, "Internationalization/Enabled": bool(self.language)}.get(key, default)

    def installTranslator(self, translator: Any) -> bool:
        return QtCore.QCoreApplication.installTranslator(translator)

    def removeTranslator(self, translator: Any) -> bool:
        return QtCore.QCoreApplication.removeTranslator(translator)

    def setOverrideCursor(self, _cursor: Any) -> None:
        pass

    def restoreOverrideCursor(self) -> None:
        pass
