"""Slicer's views as the panel uses them: layouts with phases side by side, linked, and one window for all phases."""

import slicer

from LiverAILib.scene.navigation import phases_here, show_phase
from LiverAIPanel.layouts import FOUR, LAYOUT_IDS, ONE, THREE_D, TWO, register_layouts


class Views:
    """The slice views. Without a layout manager (no main window) everything here does nothing."""

    def __init__(self):
        self._before = None
        self._observed = []
        self._guard = False

    def manager(self):
        return slicer.app.layoutManager()

    def arrange(self, name, volumes, phase):
        """Show a layout: "" leaves it, ONE, TWO, FOUR phases, THREE_D. volumes: nodes by phase; phase: the main one."""
        manager = self.manager()
        if manager is None or not name:
            return
        register_layouts()
        if self._before is None:
            self._before = manager.layout
        layouts = slicer.vtkMRMLLayoutNode
        number = {ONE: layouts.SlicerLayoutOneUpRedSliceView, THREE_D: layouts.SlicerLayoutFourUpView}
        manager.setLayout(LAYOUT_IDS.get(name) or number[name])
        if name in LAYOUT_IDS:
            self._fill(manager, int(name), volumes, phase)

    def hang(self, volumes):
        """A case as its reading begins: all phases side by side, axial, each fitted in, with one window for all."""
        manager = self.manager()
        phases = phases_here(volumes)
        if manager is None or not phases:
            return
        name = {1: ONE, 2: TWO}.get(len(phases), FOUR)
        self.arrange(name, volumes, phases[-1])
        self.show_phase(volumes[phases[-1]])
        self.share_window(volumes.values())
        views = [f"LiverAI{number + 1}" for number in range(int(name))] if name in LAYOUT_IDS else ["Red"]
        for view in views:
            widget = manager.sliceWidget(view)
            widget.mrmlSliceNode().SetOrientation("Axial")
            widget.sliceLogic().FitSliceToBackground()

    def _fill(self, manager, count, volumes, phase):
        phases = phases_here(volumes)
        if count == 2 and len(phases) > 2:  # the chosen one, and the one before it
            at = max(phases.index(phase) if phase in phases else 0, 1)
            phases = phases[at - 1 : at + 1]
        offset = self._level(manager)
        for number in range(count):
            view = manager.sliceWidget(f"LiverAI{number + 1}")
            composite = view.sliceLogic().GetSliceCompositeNode()
            node = volumes[phases[number]] if number < len(phases) else None
            composite.SetBackgroundVolumeID(node.GetID() if node is not None else None)
            composite.SetLinkedControl(True)
            composite.SetHotLinkedControl(True)
            if node is not None:
                view.sliceLogic().FitSliceToBackground()
                if offset is not None:
                    view.mrmlSliceNode().SetSliceOffset(offset)

    def _level(self, manager):
        try:
            return manager.sliceWidget("Red").mrmlSliceNode().GetSliceOffset()
        except (AttributeError, KeyError):
            return None

    def shown(self):
        """The slice nodes of the layout, in its order."""
        manager = self.manager()
        if manager is None:
            return []
        views = manager.layoutLogic().GetViewNodes()
        every = [views.GetItemAsObject(index) for index in range(views.GetNumberOfItems())]
        return [node for node in every if node.IsA("vtkMRMLSliceNode")]

    def restore(self):
        """The layout from before we changed it."""
        manager = self.manager()
        if manager is not None and self._before is not None:
            manager.setLayout(self._before)
        self._before = None

    def show_phase(self, volume):
        """A phase into the views that are not of one phase."""
        if volume is not None:
            show_phase(slicer.mrmlScene, volume)

    def share_window(self, volumes):
        """From now on a changed window of one phase is that of all phases."""
        self.stop_sharing()
        for node in volumes:
            display = node.GetDisplayNode()
            if display is not None:
                tag = display.AddObserver("ModifiedEvent", lambda caller, _event: self._share(caller))
                self._observed.append((display, tag))

    def _share(self, display):
        if self._guard:
            return
        self._guard = True
        try:
            for other, _ in self._observed:
                same = other.GetWindow() == display.GetWindow() and other.GetLevel() == display.GetLevel()
                if other is not display and not same:
                    other.SetAutoWindowLevel(False)
                    other.SetWindowLevel(display.GetWindow(), display.GetLevel())
        finally:
            self._guard = False

    def stop_sharing(self):
        for display, tag in self._observed:
            display.RemoveObserver(tag)
        self._observed = []
