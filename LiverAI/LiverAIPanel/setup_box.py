"""What stands in the panel's place until its Python packages are there. Nothing is installed without a click."""

import logging

import qt
import slicer

from LiverAIPanel.choice import button, label
from LiverAIPanel.words import tr

log = logging.getLogger("LiverAI")


class SetupBox:
    """One line and one button. on_ready(): called once the packages are there."""

    def __init__(self, layout, packages, on_ready):
        self._packages = packages
        self._on_ready = on_ready
        self.widget = qt.QWidget()
        inner = qt.QVBoxLayout(self.widget)
        self.text = label()
        self.installButton = button(
            tr("Install packages"),
            self.install,
            tr("Installs these packages into Slicer's Python; nothing that is there is changed."),
        )
        inner.addWidget(self.text)
        inner.addWidget(self.installButton)
        inner.addStretch(1)
        layout.addWidget(self.widget)
        self._show()

    def _show(self, note=""):
        text = tr("LiverAI needs these Python packages: {names}. They are small and come from the internet (PyPI).")
        self.text.text = (note + "\n" if note else "") + text.format(names=", ".join(self._packages.missing()))

    def install(self):
        """Install what is missing, then make way for the panel."""
        try:
            self._packages.install_missing()
        except Exception as error:
            log.exception("Installing failed.")
            slicer.util.errorDisplay(tr("The packages could not be installed. Is there an internet connection?"))
            self._show(tr("Installing failed ({kind}); see the log.").format(kind=type(error).__name__))
            return
        if self._packages.missing():
            self._show(tr("Some packages are still missing; restart Slicer."))
            return
        self.widget.setVisible(False)
        self._on_ready()
