"""The reader's word on the chosen lesion, and lesions of his own."""

import qt

from LiverAILib.lesion_types import LesionType
from LiverAIPanel.choice import Choice, button, label, row
from LiverAIPanel.words import tr, type_title


class OpinionBox:
    """actions: an object with call(value), retype(type or None), rename(name), add(), measure(), remove()."""

    def __init__(self, actions):
        self._quiet = False
        self._actions = actions
        self.widget = qt.QWidget()
        layout = qt.QVBoxLayout(self.widget)
        layout.setContentsMargins(0, 0, 0, 0)
        self.confirmButton = button(
            tr("Confirm"), lambda: self._call("confirmed"), tr("This is a lesion. Click again to take it back.")
        )
        self.rejectButton = button(
            tr("Reject"), lambda: self._call("rejected"), tr("This is no lesion. Click again to take it back.")
        )
        for made in (self.confirmButton, self.rejectButton):
            made.setCheckable(True)
        kinds = [("", tr("as the program says"))] + [(kind.value, type_title(kind)) for kind in LesionType]
        self.type = Choice(
            kinds, lambda value: actions.retype(LesionType(value) if value else None), tr("Your type of this lesion.")
        )
        self.name = qt.QLineEdit()
        self.name.setToolTip(tr("Your name for this lesion; empty takes it back."))
        self.name.editingFinished.connect(self._renamed)
        self.addButton = button(
            tr("Add lesion..."),
            actions.add,
            tr("Make a new segment and draw it in the Segment Editor; then come back."),
        )
        self.removeButton = button(tr("Remove"), actions.remove, tr("Remove a lesion that you added."))
        form_box = qt.QWidget()
        form = qt.QFormLayout(form_box)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow(tr("Your type"), self.type.widget)
        form.addRow(tr("Your name"), self.name)
        self.note = label(tr("Your opinions are kept beside the program's, in the scene and in every report."))
        for part in (
            row(self.confirmButton, self.rejectButton),
            form_box,
            row(self.addButton, self.removeButton),
            self.note,
        ):
            layout.addWidget(part)

    def show_lesion(self, one, run):
        """The word on a lesion. run: whether findings are shown at all."""
        self._quiet = True
        there = one is not None
        call = one.opinion.call.value if there else ""
        for made, value in ((self.confirmButton, "confirmed"), (self.rejectButton, "rejected")):
            made.enabled = there
            made.checked = call == value
        self.type.widget.enabled = there
        self.type.value = one.opinion.type.value if there and one.opinion.type is not None else ""
        self.name.enabled = there
        self.name.text = (one.opinion.name or "") if there else ""
        self.name.setPlaceholderText(one.lesion.name if there else "")
        self.addButton.enabled = run
        self.removeButton.enabled = there and one.by_reader
        self._quiet = False

    def _call(self, value):
        if not self._quiet:
            self._actions.call(value)

    def _renamed(self):
        if not self._quiet:
            self._actions.rename(self.name.text)
