"""The study's questions as a form, in the protocol's order and words."""

import qt

from LiverAILib.lesion_types import LesionType
from LiverAIPanel.answer_fields import Confidence, Options
from LiverAIPanel.choice import heading
from LiverAIPanel.marks_box import MarksBox
from LiverAIPanel.words import tr, type_title

TEXT_HEIGHT = 56
SPACE = 6


def choices(kind):
    """The answers to a closed question with their titles, and in how many columns they stand; None of an open one."""
    none = ("no lesion", tr("No lesion"))
    return {
        "hcc": ([("yes", tr("Yes")), ("no", tr("No"))], 2),
        "verdict": ([("malignant", tr("Malignant")), ("benign", tr("Benign")), none], 3),
        "type": ([*((one.value, type_title(one)) for one in LesionType), none], 2),
    }.get(kind)


class QuestionForm:
    """questions: of the protocol. make_marks(question): a `MarksBox`. on_change(): told of every change."""

    def __init__(self, questions, make_marks, on_change):
        self.fields = {}
        self.confidences = {}
        self.widget = qt.QWidget()
        layout = qt.QVBoxLayout(self.widget)
        layout.setContentsMargins(0, 0, 0, 0)
        for question in questions:
            layout.addSpacing(SPACE)
            layout.addWidget(heading(question.ask))
            kind = str(question.kind.value)
            if kind == "marks":
                field = make_marks(question)
            elif kind == "text":
                field = FreeText(on_change)
            else:
                field = Options(*choices(kind), on_change)
                if question.confidence:
                    tooltip = tr("How sure are you of this answer? 0 is a guess, 100 is certain.")
                    self.confidences[question.id] = Confidence(on_change, tooltip)
            self.fields[question.id] = field
            layout.addWidget(field.widget)
            if question.id in self.confidences:
                layout.addWidget(self.confidences[question.id].widget)

    def focus(self):
        """The keyboard to the first question."""
        field = next(iter(self.fields.values()))
        first = next(iter(field.buttons.values())) if isinstance(field, Options) else field.widget
        first.setFocus()

    @property
    def marks(self):
        """The box of the marks, None if none are asked for."""
        return next((field for field in self.fields.values() if isinstance(field, MarksBox)), None)

    def answer(self):
        """What was said so far, as the study keeps it; what was not said is left out."""
        said = {}
        for name, field in self.fields.items():
            if isinstance(field, MarksBox | FreeText):
                said[name] = field.value
            elif field.value is not None:
                said[name] = {"answer": field.value}
                if name in self.confidences and self.confidences[name].value is not None:
                    said[name]["confidence"] = self.confidences[name].value
        return said


class FreeText:
    """A few lines of text; the tabulator goes on to the next field."""

    def __init__(self, on_change):
        self.widget = qt.QPlainTextEdit()
        self.widget.setTabChangesFocus(True)
        self.widget.setFixedHeight(TEXT_HEIGHT)
        self.widget.setMinimumWidth(40)
        self.widget.textChanged.connect(lambda *_: on_change())

    @property
    def value(self):
        return self.widget.toPlainText()
