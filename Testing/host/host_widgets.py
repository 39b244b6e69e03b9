"""Stand-ins for the widgets that Slicer adds to Qt, and Qt's properties as attributes."""

from __future__ import annotations

from typing import Any

import slicer
import vtk
from PySide6 import QtCore, QtGui, QtWidgets

#: Virtual functions that are properties too, and what Python objects use themselves.
_NOT_PROPERTIES = {"sizeHint", "minimumSizeHint", "objectName", "singleShot"}


def make_properties() -> None:
    """Turn each Q_PROPERTY into a Python property, so that the panel's code reads as in PythonQt, and only so."""
    setattr(QtGui.QTextDocument, "print", QtGui.QTextDocument.print_)  # noqa: B010 - as PythonQt names it
    for part in (QtWidgets, QtGui, QtCore):
        for name in dir(part):
            kind = getattr(part, name)
            if isinstance(kind, type) and issubclass(
                kind, (QtWidgets.QWidget, QtWidgets.QLayout, QtGui.QAction, QtGui.QShortcut, QtCore.QTimer)
            ):
                _of_class(kind)


def _of_class(kind: Any) -> None:
    meta = kind.staticMetaObject
    for index in range(meta.propertyOffset(), meta.propertyCount()):
        key = meta.property(index).name()
        virtual = key == "text" and kind is QtWidgets.QProgressBar  # Qt itself would call the property, for ever
        if key not in _NOT_PROPERTIES and not virtual:
            getter = lambda self, key=key: self.property(key)  # noqa: E731
            setter = lambda self, value, key=key: self.setProperty(key, value)  # noqa: E731
            setattr(kind, key, property(getter, setter))


class CollapsibleButton(QtWidgets.QWidget):
    """ctkCollapsibleButton: a title that folds what is below it."""

    _TITLE = 26

    def __init__(self) -> None:
        super().__init__()
        self._text, self._collapsed = "", False
        self.setContentsMargins(0, self._TITLE, 0, 4)

    @property
    def text(self) -> str:
        return self._text

    @text.setter
    def text(self, text: str) -> None:
        self._text = text
        self.update()

    @property
    def collapsed(self) -> bool:
        return self._collapsed

    @collapsed.setter
    def collapsed(self, collapsed: bool) -> None:
        self._collapsed = collapsed
        for child in self.children():
            if isinstance(child, QtWidgets.QWidget):
                child.setVisible(not collapsed)
        self.setMaximumHeight(self._TITLE + 4 if collapsed else 16777215)
        self.update()

    def mousePressEvent(self, event: Any) -> None:
        if event.position().y() < self._TITLE:
            self.collapsed = not self._collapsed

    def paintEvent(self, _event: Any) -> None:
        painter = QtGui.QPainter(self)
        box = QtCore.QRect(0, 1, self.width, self._TITLE - 4)
        painter.fillRect(box, self.palette.color(QtGui.QPalette.ColorRole.Button))
        painter.setPen(self.palette.color(QtGui.QPalette.ColorRole.ButtonText))
        font = QtGui.QFont(self.font)
        font.setBold(True)
        painter.setFont(font)
        mark = "▸" if self._collapsed else "▾"
        painter.drawText(box.adjusted(6, 0, -6, 0), QtCore.Qt.AlignmentFlag.AlignVCenter, f"{mark} {self._text}")


class PathLineEdit(QtWidgets.QWidget):
    """ctkPathLineEdit."""

    Files, Dirs = 2, 1
    currentPathChanged = QtCore.Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.filters = 0
        self.nameFilters: list[str] = []
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._edit = QtWidgets.QLineEdit()
        self._edit.textChanged.connect(self.currentPathChanged)
        layout.addWidget(self._edit)
        layout.addWidget(QtWidgets.QToolButton())

    @property
    def currentPath(self) -> str:
        return self._edit.text

    @currentPath.setter
    def currentPath(self, path: str) -> None:
        self._edit.text = path


class NodeComboBox(QtWidgets.QComboBox):
    """qMRMLNodeComboBox: None or a node of the scene; it follows the scene."""

    currentNodeIDChanged = QtCore.Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.nodeTypes: list[str] = []
        self.noneEnabled = self.addEnabled = self.removeEnabled = self.renameEnabled = False
        self.selectNodeUponCreation = True
        self._ids: list[str] = [""]
        self._scene: Any = None
        self.currentIndexChanged.connect(lambda index: self.currentNodeIDChanged.emit(self._ids[index]))

    def setMRMLScene(self, scene: Any) -> None:
        self._scene = scene
        for event in (slicer.vtkMRMLScene.NodeAddedEvent, slicer.vtkMRMLScene.NodeRemovedEvent):
            scene.AddObserver(event, self._update)
        scene.AddObserver(slicer.vtkMRMLScene.EndImportEvent, self._update)
        scene.AddObserver(slicer.vtkMRMLScene.EndCloseEvent, self._update)
        self._update()

    def _nodes(self) -> list[Any]:
        found = self._scene.GetNodesByClass(self.nodeTypes[0])
        every = [found.GetItemAsObject(index) for index in range(found.GetNumberOfItems())]
        return [node for node in every if node is not None and not node.GetHideFromEditors()]

    def _update(self, *_: Any) -> None:
        chosen = self._ids[self.currentIndex] if self.currentIndex >= 0 else ""
        nodes = self._nodes()
        self.blockSignals(True)
        self.clear()
        self._ids = ["", *(node.GetID() for node in nodes)]
        self.addItems(["None", *(node.GetName() or "" for node in nodes)])
        self.setCurrentIndex(self._ids.index(chosen) if chosen in self._ids else 0)
        self.blockSignals(False)
        if chosen not in self._ids:
            self.currentNodeIDChanged.emit("")

    def currentNode(self) -> Any:
        chosen = self._ids[self.currentIndex] if self.currentIndex >= 0 else ""
        return self._scene.GetNodeByID(chosen) if chosen else None

    def setCurrentNode(self, node: Any) -> None:
        if node is not None and node.GetID() not in self._ids:
            self._update()
        self.setCurrentIndex(self._ids.index(node.GetID()) if node is not None else 0)

    def setCurrentNodeID(self, node_id: str) -> None:
        self.setCurrentNode(self._scene.GetNodeByID(node_id) if node_id else None)


assert vtk  # observers need VTK's Python layer loaded
