"""Keys of the reading: they work while the module is shown, and not while one types."""

import qt
import slicer


class Keys:
    """actions: key -> what it does."""

    def __init__(self, actions):
        self._shortcuts = []
        window = slicer.util.mainWindow()
        if window is None:
            return
        for key, action in actions.items():
            shortcut = qt.QShortcut(qt.QKeySequence(key), window)
            shortcut.activated.connect(lambda action=action: action())
            shortcut.setEnabled(False)
            self._shortcuts.append(shortcut)

    def enable(self, on):
        for shortcut in self._shortcuts:
            shortcut.setEnabled(on)

    def close(self):
        for shortcut in self._shortcuts:
            try:
                shortcut.setEnabled(False)
                shortcut.setParent(None)
                shortcut.deleteLater()
            except (RuntimeError, ValueError):  # the main window is gone, and its shortcuts with it
                pass
        self._shortcuts = []
