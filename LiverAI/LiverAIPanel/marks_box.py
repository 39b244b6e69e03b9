"""The reader's marks as a list: set by a click, each with what the study asks of it; a place to go to; taken back."""

import qt

from LiverAILib.lesion_types import LesionType
from LiverAIPanel.answer_fields import NOT_SAID, spin_box
from LiverAIPanel.choice import Choice, button, label, row
from LiverAIPanel.words import tr, type_title


class MarkRow:
    """One mark's line. question: what is asked of it."""

    def __init__(self, question, on_change, on_go, on_remove):
        self.goButton = button("", on_go, tr("Go to this mark."))
        self.goButton.setMaximumWidth(34)
        parts = [self.goButton]
        self.type = None
        if question.type:
            kinds = [("", tr("Type?"))] + [(kind.value, type_title(kind)) for kind in LesionType]
            self.type = Choice(kinds, lambda _: on_change(), tr("The type of this lesion."))
            parts.append(self.type.widget)
        self.confidence = None
        if not question.type:
            parts.append(label())
        if question.confidence:
            self.confidence = spin_box(on_change, tr("How sure are you that this is a lesion? 0 to 100."))
            parts += [fixed(tr("Sure")), self.confidence]
        self.removeButton = button("✕", on_remove, tr("Remove this mark."))
        self.removeButton.setMaximumWidth(34)
        self.widget = row(*parts, self.removeButton)
        self.widget.layout().setStretch(1, 1)  # the type, or the gap

    def said(self):
        """What was said of the mark, as the answer has it."""
        said = {}
        if self.type is not None and self.type.value:
            said["type"] = self.type.value
        if self.confidence is not None and self.confidence.value != NOT_SAID:
            said["confidence"] = self.confidence.value
        return said


def fixed(text):
    """A label that takes no more room than its text."""
    made = label(text, False)
    made.setSizePolicy(qt.QSizePolicy.Fixed, qt.QSizePolicy.Preferred)
    return made


class MarksBox:
    """marks: `scene.marks.Marks` of the open case. place(): the next click marks; here(): mark where the pointer is.

    go(point in LPS mm): show a place. on_change(): told when anything changed.
    """

    def __init__(self, question, marks, *, place, here, go, on_change):
        self._question = question
        self._marks = marks
        self._go = go
        self._on_change = on_change
        self.rows = {}
        self.widget = qt.QWidget()
        layout = qt.QVBoxLayout(self.widget)
        layout.setContentsMargins(0, 0, 0, 0)
        self.placeButton = button(
            tr("Mark by a click"), place, tr("Then click on the lesion in an image. A mark can be dragged.")
        )
        self.hereButton = button(
            tr("Mark here (M)"),
            here,
            tr("Marks where the mouse pointer is, or the middle of the first image if it is in none (key M)."),
        )
        layout.addWidget(row(self.placeButton, self.hereButton))
        self.none = label()
        layout.addWidget(self.none)
        self._list = qt.QVBoxLayout()
        self._list.setSpacing(2)
        layout.addLayout(self._list)
        self.refresh()

    def refresh(self):
        """Follow the marks in the images."""
        points = self._marks.points
        for key in [key for key in self.rows if key not in points]:
            gone = self.rows.pop(key)
            self._list.removeWidget(gone.widget)
            gone.widget.setVisible(False)
            gone.widget.setParent(None)
            gone.widget.deleteLater()
        for number, key in enumerate(points, start=1):
            if key not in self.rows:
                self.rows[key] = MarkRow(
                    self._question,
                    self._on_change,
                    lambda key=key: self._go(self._marks.points[key]),
                    lambda key=key: self._marks.remove(key),
                )
                self._list.addWidget(self.rows[key].widget)
            self.rows[key].goButton.text = str(number)
        self.none.text = tr("Drag the box's handles around each lesion.") if self._question.box else ""
        if not points:
            self.none.text = tr("Nothing is marked.")
        self.none.setVisible(bool(self.none.text))

    @property
    def value(self):
        """The marks as the answer has them."""
        marks = []
        for key, point in self._marks.points.items():
            mark = {"point_lps_mm": list(point), **self.rows[key].said()}
            if self._question.box:
                mark["box_lps_mm"] = self._marks.box(key)
            marks.append(mark)
        return marks
