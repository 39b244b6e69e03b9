"""The page of a session: which case it is, the AI's result where it is shown, the questions, and how to go on."""

import qt

from LiverAIPanel.ai_box import AiBox
from LiverAIPanel.choice import button, heading, label, row
from LiverAIPanel.marks_box import MarksBox
from LiverAIPanel.question_form import QuestionForm
from LiverAIPanel.words import tr


class CaseBox:
    """actions: an object with next_case(), submit(), leave(), changed() and room."""

    def __init__(self, actions):
        self._actions = actions
        self._sure = False
        self._room = None
        self.form = None
        self.ai = None
        self.widget = qt.QWidget()
        layout = qt.QVBoxLayout(self.widget)
        layout.setContentsMargins(0, 0, 0, 0)
        self.title = heading(larger=2)
        self.notice = label()
        self.answeredBar = qt.QProgressBar()
        self.answeredBar.setFormat(tr("%v of %m readings done"))
        self.place = qt.QWidget()
        self._inner = qt.QVBoxLayout(self.place)
        self._inner.setContentsMargins(0, 0, 0, 0)
        self.status = label()
        self.message = label()
        self.message.setStyleSheet("font-weight: bold; color: #c2570c;")
        self.submitButton = button(
            tr("Submit: the answer is final"),
            actions.submit,
            tr("Store the answer and close the case (Ctrl+Return). It can't be changed or seen again."),
        )
        self.nextButton = button(tr("Next case"), actions.next_case, tr("Open your next case; time counts from then."))
        self.retryButton = button(tr("Try again"), self._retry, tr("Go on loading this case."))
        for made in (self.submitButton, self.nextButton, self.retryButton):
            made.setMinimumHeight(34)
        self.hangButton = button(
            tr("Arrange images"), self._hang, tr("Views, window and place as when the case was opened.")
        )
        self.leaveButton = button(
            tr("Log out"), self._leave, tr("Ends the session. A case that is open is begun anew at your next login.")
        )
        buttons = (self.submitButton, self.nextButton, self.retryButton, row(self.hangButton, self.leaveButton))
        for part in (self.title, self.notice, self.status, self.place, self.message, *buttons, self.answeredBar):
            layout.addWidget(part)

    # --- the states of the page

    def begin(self, standing, pilot, replaced):
        """A session has begun; no case is open."""
        notes = []
        if replaced:
            notes.append(tr("Your last session was not logged out, or was open elsewhere; it has ended."))
        if pilot:
            notes.append(tr("The protocol is not sealed: this is a pilot."))
        notes.append(tr("Cases come one by one; an answer is final. You may stop after any case."))
        self._between(tr("Welcome"), " ".join(notes), standing)

    def answered(self, standing):
        """An answer was stored; no case is open."""
        self.clear()
        self._between(tr("Stored."), tr("The answer is stored. You may pause here; no time counts."), standing)

    def _between(self, title, notice, standing):
        self.title.text, self.notice.text = title, notice
        self.answeredBar.setMaximum(max(standing.total, 1))
        self.answeredBar.setValue(standing.done)
        self.say("")
        self._buttons(next_one=True)
        self.nextButton.setFocus()

    def open(self, case):
        """A case was opened and is being loaded."""
        self.title.text = case_title(case)
        lines = [tr("With the AI's result.") if case.assisted else tr("Without the AI.")]
        if case.again:
            lines.append(tr("The same images as just now, read again; your first answer stays as it is."))
        if case.training:
            lines.append(tr("For practice: it does not count."))
        self.notice.text = " ".join(lines)
        self._buttons()

    def loading(self, text):
        """How far the loading is."""
        self.place.enabled = False
        self._buttons()
        self.say("")
        self.status.text = text
        self.status.setVisible(True)

    def show(self, room):
        """The images are shown: the AI's result, if it is to be seen, and the questions."""
        self._room = room
        self._drop_ai()
        self.status.setVisible(False)
        if room.case.assisted:
            self.ai = AiBox(room.views)
            self._inner.insertWidget(0, self.ai.widget)
        if self.form is None:
            self.form = QuestionForm(room.case.questions, self._marks_box, self._actions.changed)
            self._inner.addWidget(self.form.widget)
            self.form.focus()
        elif self.form.marks is not None:
            self.form.marks.refresh()
        self.place.enabled = True
        self.say("")
        self._buttons(reading=True)
        if self.ai is not None:
            self.ai.begin(self._overlay)

    def clear(self):
        """Nothing of a case stays."""
        self._drop_ai()
        form, self.form = self.form, None
        if form is not None:
            drop(self._inner, form.widget)
        self._room = None
        self._sure = False
        self.title.text = self.notice.text = self.status.text = ""
        self.status.setVisible(False)
        self.say("")

    def say(self, text, stuck=False):
        """What went wrong, or how far it is. stuck: the loading failed and can be tried again."""
        self.message.text = text
        self.message.setVisible(bool(text))
        if stuck:
            self._buttons(retry=True)

    def _buttons(self, *, reading=False, next_one=False, retry=False):
        self.submitButton.setVisible(reading)
        self.nextButton.setVisible(next_one)
        self.retryButton.setVisible(retry)
        self.hangButton.enabled = reading
        self._sure = False

    def _drop_ai(self):
        ai, self.ai = self.ai, None
        if ai is not None:
            ai.close()
            drop(self._inner, ai.widget)

    # --- what the reader does

    def answer(self):
        """What was said so far."""
        return self.form.answer() if self.form is not None else {}

    def mark_here(self):
        """A mark where the pointer is."""
        import slicer

        from LiverAILib.scene.marks import pointer_place

        if self.form is None or self.form.marks is None or self._room.loading:
            return
        point = pointer_place(slicer.mrmlScene, self._room.views.shown())
        if point is not None:
            self._room.marks.add(point)

    def step_lesion(self, step):
        if self.ai is not None:
            self.ai.findings.step(step)

    def toggle_ai(self):
        if self.ai is not None:
            self.ai.overlay.toggle()

    def follow(self):
        """The reader scrolls."""
        if self.ai is not None:
            self.ai.follow()

    def _marks_box(self, question):
        marks = self._room.start_marks(question.box, self._marks_changed)
        return MarksBox(
            question,
            marks,
            place=marks.place,
            here=self.mark_here,
            go=self._go,
            on_change=self._actions.changed,
        )

    def _marks_changed(self):
        if self.form is not None and self.form.marks is not None:
            self.form.marks.refresh()
        self._actions.changed()

    def _go(self, point):
        import slicer

        from LiverAILib.scene.navigation import jump_to

        jump_to(slicer.mrmlScene, point)
        self._actions.changed()

    def _overlay(self, name, shown):
        from LiverAILib.readerstudy.timing import Event

        self._room.note(Event.OVERLAY_SHOWN if shown else Event.OVERLAY_HIDDEN, name)

    def _hang(self):
        if self._room is not None:
            self._room.hang()

    def _retry(self):
        self.say("")
        self._actions.room.go_on()

    def _leave(self):
        if self.form is not None and not self._sure:
            self._sure = True
            self.say(tr("This case is not submitted and will be begun anew. Click again to log out."))
            return
        self._actions.leave()


def case_title(case):
    """The case as the reader's own number."""
    text = tr("Training case {number} of {total}") if case.training else tr("Case {number} of {total}")
    return text.format(number=case.number, total=case.total)


def drop(layout, widget):
    """Take a widget away for good."""
    layout.removeWidget(widget)
    widget.setVisible(False)
    widget.setParent(None)
    widget.deleteLater()
