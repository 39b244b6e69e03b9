"""The reader study's part of the panel: log in, read case after case, log out; and the coordinator's view."""

import logging

import ctk
import qt
import slicer

from LiverAILib.errors import LiverAIError
from LiverAIPanel.case_box import CaseBox
from LiverAIPanel.keys import Keys
from LiverAIPanel.login_box import LoginBox
from LiverAIPanel.progress_box import ProgressBox
from LiverAIPanel.reading_room import ReadingRoom
from LiverAIPanel.watch import Watch
from LiverAIPanel.words import tr

log = logging.getLogger("LiverAI")


class ReadingPanel:
    """on_begin(): make way for a session; raises LiverAIError if that can't be. on_end(): it is over.

    clock, look: of the study and of `Watch`, for tests.
    """

    def __init__(self, layout, on_begin, on_end, clock=None, **watch):
        self._on_begin, self._on_end = on_begin, on_end
        self._clock = clock
        self._may_close_scene = False
        self._in_session = False
        self.keys = None
        self.room = ReadingRoom(self.loading, self.show_case, self.say, self.leave, clock)
        self.watch = Watch(self._input, self._focus, **watch)
        self.section = ctk.ctkCollapsibleButton()
        self.section.text = tr("Reader study")
        pages = qt.QWidget()  # the section shows and hides what lies in it directly
        qt.QVBoxLayout(self.section).addWidget(pages)
        inner = qt.QVBoxLayout(pages)
        inner.setContentsMargins(0, 0, 0, 0)
        self.login = LoginBox(self.log_in, self.show_progress)
        self.progress = ProgressBox()
        self.case = CaseBox(self)
        for part in (self.login.widget, self.progress.widget, self.case.widget):
            inner.addWidget(part)
        self.section.collapsed = True
        self.case.widget.setVisible(False)
        layout.addWidget(self.section)

    def close(self):
        """Slicer quits or reloads the module: the session ends as by a log out."""
        self._end()

    def enter(self):
        if self.keys is not None:
            self.keys.enable(True)

    def exit(self):
        if self.keys is not None:
            self.keys.enable(False)

    # --- before a session

    def show_progress(self, path):
        """The coordinator's view."""
        from LiverAILib.readerstudy.standing import study_progress

        self.progress.clear()
        try:
            self.progress.show(study_progress(path, self._clock))
        except LiverAIError as error:
            self.login.say(str(error))
        except OSError as error:
            self.login.say(tr("The study file can't be read ({reason}).").format(reason=error.strerror))
        else:
            self.login.say("")
            self.login.remember()

    def log_in(self, path, code):
        """Begin a session, once the scene may be closed."""
        from LiverAILib.scene.reading import holds_work

        if holds_work(slicer.mrmlScene) and not self._may_close_scene:
            self._may_close_scene = True
            text = tr("A reading closes the scene, and something is loaded. Save what you need, then click again.")
            self.login.say(text, tr("Close the scene and log in"))
            return
        self._may_close_scene = False
        try:
            self._on_begin()
        except LiverAIError as error:
            self.login.say(str(error))
            return
        problem = self._begin(path, code)
        if problem:
            self._on_end()
            self.login.say(problem)
            return
        self._in_session = True
        self.login.say("")
        self.login.code.text = ""
        self.login.remember()
        self.progress.clear()
        self.login.widget.setVisible(False)
        self.case.widget.setVisible(True)
        self.keys = Keys(
            {
                "M": self.case.mark_here,
                "N": lambda: self.case.step_lesion(1),
                "P": lambda: self.case.step_lesion(-1),
                "A": self.case.toggle_ai,
                "Ctrl+Return": self.submit,
            }
        )
        self.keys.enable(True)
        session = self.room.session
        self.case.begin(session.standing, session.pilot, session.replaced)

    def _begin(self, path, code):
        """Open the session; returns why it can't be, or nothing."""
        try:
            self.room.log_in(path, code)
        except LiverAIError as error:
            log.warning("No session: %s", error)
            return str(error)
        except Exception as error:  # Qt would only print it
            log.exception("No session.")
            return tr("Unexpected error ({kind}). The log has the details.").format(kind=type(error).__name__)
        return ""

    # --- a session (what CaseBox calls)

    def next_case(self):
        """Open the next case, and no other."""
        self.case.say("")
        opened = self.room.open_next()
        if opened:
            self.case.open(self.room.case)
        elif opened is False:
            self.leave(tr("You have read all your cases. Thank you; you are logged out."))

    def loading(self, text):
        self.case.loading(text)

    def show_case(self):
        """The images are there: ask."""
        self.case.show(self.room)
        self.watch.start()

    def say(self, text):
        """Something failed; the reader can try again."""
        self.case.say(text, stuck=self.room.loading)

    def submit(self):
        """Store the answer; it is final."""
        if self.room.case is None or self.room.loading:
            return
        self.case.say("")
        if not self.room.submit(self.case.answer()):
            return
        self.watch.stop()
        self.case.answered(self.room.session.standing)
        if self.room.session.goes_on:
            self.next_case()

    def changed(self):
        """The reader types or clicks in the form."""
        self.room.touch()

    def _input(self):
        self.room.touch()
        self.case.follow()

    def _focus(self, in_front):
        from LiverAILib.readerstudy.timing import Event

        self.room.note(Event.FOCUS_GAINED if in_front else Event.FOCUS_LOST)

    def leave(self, text=""):
        """The session is over: by the reader's wish, at the last case, or elsewhere."""
        if self._end():
            self._on_end()
        self.login.say(text)

    def _end(self):
        self.watch.stop()
        if self.keys is not None:
            self.keys.close()
            self.keys = None
        was_open, self._in_session = self._in_session, False
        self.case.clear()
        self.room.close()
        self.case.widget.setVisible(False)
        self.login.widget.setVisible(True)
        return was_open
