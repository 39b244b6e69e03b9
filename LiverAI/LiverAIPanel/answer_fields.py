"""What a question is answered with: one of a few choices, and how sure the reader is. Nothing is chosen beforehand."""

import qt

from LiverAIPanel.choice import label, row
from LiverAIPanel.words import tr

NOT_SAID = -1


class Options:
    """Radio buttons of which none is chosen at first. options: (value, title) pairs. on_change(): told of a choice."""

    def __init__(self, options, columns, on_change):
        self.widget = qt.QWidget()
        grid = qt.QGridLayout(self.widget)
        grid.setContentsMargins(0, 0, 0, 0)
        self.buttons = {}
        for number, (value, title) in enumerate(options):
            made = qt.QRadioButton(title)
            made.setMinimumWidth(20)
            made.toggled.connect(lambda *_: on_change())
            grid.addWidget(made, number // columns, number % columns)
            self.buttons[value] = made

    @property
    def value(self):
        return next((value for value, made in self.buttons.items() if made.checked), None)


class Confidence:
    """0 to 100, by slider or number; None until the reader says it."""

    def __init__(self, on_change, tooltip=""):
        self._on_change = on_change
        self._quiet = False
        self.slider = qt.QSlider(qt.Qt.Horizontal)
        self.slider.setRange(0, 100)
        self.slider.setMinimumWidth(40)
        self.slider.setFocusPolicy(qt.Qt.ClickFocus)  # the number beside it is for the keyboard
        self.slider.setToolTip(tooltip)
        self.slider.setValue(50)
        self.number = spin_box(self._typed, tooltip)
        self.slider.valueChanged.connect(lambda *_: self._slid())
        self.slider.sliderReleased.connect(lambda *_: self._slid())
        self.widget = row(label(tr("Sure (0 to 100)"), False), self.slider, self.number)

    @property
    def value(self):
        return None if self.number.value == NOT_SAID else self.number.value

    def _slid(self):
        if not self._quiet:
            self.number.setValue(self.slider.value)

    def _typed(self):
        self._quiet = True
        self.slider.setValue(50 if self.value is None else self.value)
        self._quiet = False
        self._on_change()


def spin_box(on_change, tooltip=""):
    """A number from 0 to 100 that shows a dash until it is said."""
    made = qt.QSpinBox()
    made.setRange(NOT_SAID, 100)
    made.setSpecialValueText("–")
    made.setValue(NOT_SAID)
    made.setMinimumWidth(48)
    made.setToolTip(tooltip)
    made.valueChanged.connect(lambda *_: on_change())
    return made
