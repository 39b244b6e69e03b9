"""Where a reader begins: the study file and the own code. The file is remembered on this computer."""

from pathlib import Path

import ctk
import qt
import slicer

from LiverAIPanel.choice import button, label
from LiverAIPanel.words import tr

SETTING = "LiverAI/StudyFile"


class LoginBox:
    """on_log_in(path, code), on_progress(path): what the buttons do."""

    def __init__(self, on_log_in, on_progress):
        self._on_log_in = on_log_in
        self._on_progress = on_progress
        self.widget = qt.QWidget()
        layout = qt.QVBoxLayout(self.widget)
        layout.setContentsMargins(0, 0, 0, 0)
        self.path = ctk.ctkPathLineEdit()
        self.path.filters = ctk.ctkPathLineEdit.Files
        self.path.nameFilters = [tr("Study files") + " (*.sqlite)", tr("All files") + " (*)"]
        self.path.setMinimumWidth(60)
        self.path.setToolTip(tr("The study file of the coordinator, with the folder of its cases beside it."))
        self.path.currentPath = str(slicer.app.userSettings().value(SETTING, "") or "")
        self.path.currentPathChanged.connect(lambda *_: self.say(""))
        self.code = qt.QLineEdit()
        self.code.setMinimumWidth(60)
        self.code.setToolTip(tr("The code that the coordinator gave you; never your name."))
        self.code.returnPressed.connect(lambda *_: self._log_in())
        fields = qt.QWidget()
        form = qt.QFormLayout(fields)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow(tr("Study file"), self.path)
        form.addRow(tr("Your code"), self.code)
        self.message = label()
        self.loginButton = button(tr("Log in"), self._log_in, tr("Begin to read, or go on where you were."))
        self.loginButton.setMinimumHeight(30)
        self.progressButton = button(
            tr("Progress of the readers"),
            self._progress,
            tr("For the coordinator: who is how far. It shows no answers."),
        )
        for part in (fields, self.message, self.loginButton, self.progressButton):
            layout.addWidget(part)
        self.say("")

    def say(self, text, title=""):
        """Why it can't begin; title: what the button then does."""
        self.message.text = text
        self.message.setVisible(bool(text))
        self.loginButton.text = title or tr("Log in")

    def study(self):
        """The chosen file; None without one, and that is said."""
        text = self.path.currentPath.strip()
        if not text:
            self.say(tr("Choose the study file first."))
            return None
        return Path(text)

    def remember(self):
        """For the next time on this computer."""
        slicer.app.userSettings().setValue(SETTING, self.path.currentPath.strip())

    def _log_in(self):
        code = self.code.text.strip()
        path = self.study()
        if path is not None and not code:
            self.say(tr("Type your code first."))
        elif path is not None:
            self._on_log_in(path, code)

    def _progress(self):
        path = self.study()
        if path is not None:
            self._on_progress(path)
