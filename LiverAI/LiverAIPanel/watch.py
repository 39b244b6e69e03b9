"""Whether the reader does something, and whether Slicer is in front: looked at twice a second."""

import qt
import slicer

INTERVAL_MS = 500


def look():
    """(in front, what changes when the reader does something): the pointer's place and the state of the views."""
    application = getattr(qt, "QGuiApplication", qt.QApplication)
    in_front = application.applicationState() == qt.Qt.ApplicationActive
    pointer = qt.QCursor.pos()
    views = slicer.mrmlScene.GetNodesByClass("vtkMRMLSliceNode")
    stamps = [views.GetItemAsObject(index).GetMTime() for index in range(views.GetNumberOfItems())]
    return in_front, (pointer.x(), pointer.y(), *stamps)


class Watch:
    """on_input(): the reader moved the mouse or a view since the last look. on_focus(in front). look: for tests."""

    def __init__(self, on_input, on_focus, look=look):
        self._on_input = on_input
        self._on_focus = on_focus
        self._look = look
        self._timer = qt.QTimer()
        self._timer.setInterval(INTERVAL_MS)
        self._timer.timeout.connect(self.tick)
        self._in_front, self._state = True, None
        self._running = False

    def start(self):
        """From now on; the application counts as in front until it is seen not to be."""
        if not self._running:
            self._running = True
            self._in_front, self._state = True, self._look()[1]
            self._timer.start()
            self.tick()

    def stop(self):
        self._running = False
        self._timer.stop()

    def tick(self):
        """Look."""
        in_front, state = self._look()
        if in_front != self._in_front:
            self._in_front = in_front
            self._on_focus(in_front)
        if state != self._state:
            self._state = state
            if in_front:
                self._on_input()
