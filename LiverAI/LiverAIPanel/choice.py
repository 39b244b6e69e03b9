"""A combo box of values with titles, the same on PythonQt and PySide6."""

import qt


class Choice:
    """One of several values. options: (value, title) pairs; on_change(value) is called when the user chooses."""

    def __init__(self, options, on_change, tooltip=""):
        self.widget = qt.QComboBox()
        self.widget.setToolTip(tooltip)
        self.widget.setMinimumContentsLength(6)
        self.widget.setSizeAdjustPolicy(qt.QComboBox.AdjustToMinimumContentsLengthWithIcon)
        self._values = []
        self._quiet = False
        self._on_change = on_change
        self.set_options(options)
        self.widget.currentTextChanged.connect(lambda *_: self._changed())

    def set_options(self, options):
        """Other values; the chosen one stays where it is still there."""
        before = self.value if self._values else None
        self._quiet = True
        self._values = [value for value, _ in options]
        self.widget.clear()
        for _, title in options:
            self.widget.addItem(title)
        self._quiet = False
        if before in self._values:
            self.value = before

    @property
    def value(self):
        index = self.widget.currentIndex
        return self._values[index] if 0 <= index < len(self._values) else None

    @value.setter
    def value(self, value):
        self._quiet = True
        if value in self._values:
            self.widget.setCurrentIndex(self._values.index(value))
        self._quiet = False

    def _changed(self):
        if not self._quiet and self.value is not None:
            self._on_change(self.value)


def label(text="", wrap=True):
    """A label that never makes the panel wider."""
    made = qt.QLabel(text)
    made.setWordWrap(wrap)
    made.setTextInteractionFlags(qt.Qt.TextSelectableByMouse)
    made.setMinimumWidth(10)
    return made


def heading(text="", larger=0):
    """A bold label, by so many points larger; its colour follows the application's style."""
    made = label(text)
    font = qt.QFont()
    font.setBold(True)
    if font.pointSize() > 0:  # else its size is in pixels
        font.setPointSize(font.pointSize() + larger)
    made.setFont(font)
    return made


def button(title, on_click, tooltip=""):
    """A push button that may become narrow."""
    made = qt.QPushButton(title)
    made.setToolTip(tooltip)
    made.setMinimumWidth(20)
    made.clicked.connect(lambda *_: on_click())
    return made


def row(*widgets):
    """Widgets side by side in a widget of their own."""
    holder = qt.QWidget()
    layout = qt.QHBoxLayout(holder)
    layout.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        layout.addWidget(widget)
    return holder
