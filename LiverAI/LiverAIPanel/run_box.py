"""Analyze, and what becomes of it: whether all is ready, how far it is, and what went wrong."""

import qt

from LiverAIPanel.choice import Choice, button, label
from LiverAIPanel.process import Remaining
from LiverAIPanel.words import duration, tr

TICK_MS = 500


class RunBox:
    """on_analyze(), on_cancel(), on_remedy(name), on_device(value): what the buttons do."""

    def __init__(self, on_analyze, on_cancel, on_remedy, on_device):
        self._remedy = ""
        self._on_remedy = on_remedy
        self._remaining = None
        self._message = ""
        self.widget = qt.QWidget()
        layout = qt.QVBoxLayout(self.widget)
        layout.setContentsMargins(0, 4, 0, 4)
        self.ready = label()
        self.remedyButton = button("", lambda: self._on_remedy(self._remedy))
        devices = [("auto", tr("Automatic")), ("cpu", tr("CPU")), ("cuda", tr("GPU"))]
        self.device = Choice(devices, on_device, tr("Where the networks run. Automatic: the GPU if there is one."))
        device_row = qt.QWidget()
        form = qt.QFormLayout(device_row)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow(tr("Run on"), self.device.widget)
        self.analyzeButton = button(
            tr("Analyze"), on_analyze, tr("Find the liver and its lesions in the chosen volumes.")
        )
        self.analyzeButton.setMinimumHeight(34)
        self.cancelButton = button(tr("Cancel"), on_cancel, tr("End the analysis; click again to end it at once."))
        buttons = qt.QWidget()
        line = qt.QHBoxLayout(buttons)
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(self.analyzeButton, 3)
        line.addWidget(self.cancelButton, 1)
        self.progress = qt.QProgressBar()
        self.progress.setMaximum(1000)
        self.status = label()
        self.detailsButton = button(
            tr("Details..."), self._toggle_details, tr("What the analysis wrote; it is in the log too.")
        )
        self.details = qt.QPlainTextEdit()
        self.details.setReadOnly(True)
        self.details.setMaximumHeight(120)
        self.details.setMinimumWidth(20)
        for widget in (self.ready, self.remedyButton, device_row, buttons, self.progress, self.status):
            layout.addWidget(widget)
        layout.addWidget(self.detailsButton)
        layout.addWidget(self.details)
        self._timer = qt.QTimer()
        self._timer.setInterval(TICK_MS)
        self._timer.timeout.connect(self._tick)
        self.show_details("")
        self._say("")

    def close(self):
        self._timer.stop()

    def show_state(self, state, running):
        """Whether an analysis can begin, and the button that mends what is in the way."""
        self._remedy = state.remedy
        self.ready.text = state.text
        self.ready.setVisible(not running)
        self.remedyButton.text = state.remedy_title
        self.remedyButton.setVisible(bool(state.remedy) and not running)
        self.analyzeButton.enabled = state.ready and not running
        self.cancelButton.enabled = running
        self.cancelButton.setVisible(running)
        self.device.widget.enabled = not running
        self.progress.setVisible(running)

    def begin(self):
        """The child was started."""
        self._remaining = Remaining()
        self._message = tr("Starting ...")
        self.progress.setValue(0)
        self.show_details("")
        self._timer.start()
        self._tick()

    def step(self, fraction, message):
        """How far the child is."""
        if self._remaining is not None:
            self._remaining.step(fraction)
        self.progress.setValue(round(1000 * fraction))
        self._message = message
        self._tick()

    def cancelling(self):
        self._message = tr("Cancelling ... Click again to end it at once.")
        self._tick()

    def end(self, text, details=""):
        """The child has ended."""
        self._timer.stop()
        self._remaining = None
        self._say(text)
        self.show_details(details)

    def show_details(self, details):
        self.details.setPlainText(details)
        self.details.setVisible(False)
        self.detailsButton.setVisible(bool(details))

    def _toggle_details(self):
        self.details.setVisible(not self.details.isVisible())

    def _tick(self):
        if self._remaining is None:
            return
        times = tr("{time} so far").format(time=duration(self._remaining.elapsed))
        left = self._remaining.remaining
        if left is not None:
            times += ", " + tr("about {time} left").format(time=duration(left))
        self._say(f"{self._message}\n{times}")

    def _say(self, text):
        self.status.text = text
        self.status.setVisible(bool(text))
