"""A reading session and its scene: one case at a time, loaded between the application's events, gone when answered.

No widgets. The scene belongs to the reading: it is emptied at the beginning, after each answer and at the end, so that
nothing of another case, another reader or another program lies in it.
"""

import logging

import qt
import slicer

from LiverAILib.errors import LiverAIError, OutputError
from LiverAIPanel.views import Views
from LiverAIPanel.words import phase_title, tr

log = logging.getLogger("LiverAI")


class ReadingRoom:
    """on_loading(text): how far the images are. on_ready(): they are shown. on_problem(text): something failed.

    on_closed(text): the session is over, by itself or elsewhere. clock: of the study, for tests.
    """

    def __init__(self, on_loading, on_ready, on_problem, on_closed, clock=None):
        self._on_loading, self._on_ready = on_loading, on_ready
        self._on_problem, self._on_closed = on_problem, on_closed
        self._clock = clock
        self._steps = []
        self._observers = []
        self._own_doing = False
        self._first_view_logged = False
        self.session = None
        self.case = None
        self.volumes = {}
        self.marks = None
        self.views = Views()

    # --- the session

    def log_in(self, path, code):
        """Open the session, on an empty scene. Raises LiverAIError with the reason when it can't be."""
        from LiverAILib.readerstudy.session import open_session

        self.session = open_session(path, code, self._clock)
        self._empty_scene()
        kind = slicer.vtkMRMLScene
        for event, action in ((kind.StartCloseEvent, self._scene_closing), (kind.EndCloseEvent, self._scene_closed)):
            tag = slicer.mrmlScene.AddObserver(event, lambda *_, action=action: action())
            self._observers.append((slicer.mrmlScene, tag))

    def close(self):
        """Log out; a case that is open is begun anew at the next login."""
        session, self.session = self.session, None
        self._steps = []
        self.case = None
        for scene, tag in self._observers:
            scene.RemoveObserver(tag)
        self._observers = []
        if session is None:
            return
        try:
            session.close()
        except LiverAIError as error:
            log.warning("The end of the session was not stored: %s", error)
        finally:
            self._empty_scene()
            self.views.restore()

    @property
    def loading(self):
        return bool(self._steps)

    # --- one case

    def open_next(self):
        """Open the next case and begin to load it; False when there is none, None when it can't be opened now."""
        opened, case = self.attempt(self.session.next_case)
        if not opened:
            return None
        if case is None:
            return False
        self.case = case
        self._load(case.phases if not case.again else ())
        return True

    def _load(self, phases):
        """Load these phases step by step, then what else the case shows."""
        from LiverAILib.readerstudy.timing import Event

        self._first_view_logged = False
        self._steps = [lambda: self.session.log(Event.LOADING)]
        for number, phase in enumerate(phases, start=1):
            text = tr("Loading the images: {phase} ({number} of {total})").format(
                phase=phase_title(phase), number=number, total=len(phases)
            )
            self._steps += [lambda text=text: self._on_loading(text), lambda phase=phase: self._add(phase)]
        if self.case.assisted:
            self._steps += [lambda: self._on_loading(tr("Loading the AI's result")), self._show_ai]
        self._steps += [self.hang, self._draw_marks, lambda: self.session.log(Event.LOADED)]
        self._on_loading(tr("Loading the images"))
        qt.QTimer.singleShot(0, self._next)

    def go_on(self):
        """Try again what failed while loading."""
        if self._steps:
            self._next()

    def _next(self):
        if not self._steps or self.session is None:
            return
        step = self._steps[0]
        done, _ = self.attempt(step)
        if not done or not self._steps or self._steps[0] is not step:
            return  # it is tried again when the reader says so; or the session ended meanwhile
        del self._steps[0]
        if self._steps:
            qt.QTimer.singleShot(0, self._next)
        else:
            self._on_ready()
            qt.QTimer.singleShot(0, self.first_view)

    def _add(self, phase):
        from LiverAILib.scene.reading import add_images

        volume = self.session.volume(phase)
        if phase not in self.volumes:
            self.volumes[phase] = add_images(slicer.mrmlScene, phase, volume)

    def _show_ai(self):
        from LiverAILib.scene.load import show_run
        from LiverAILib.scene.shown import remember

        nodes = show_run(slicer.mrmlScene, self.session.ai_run(), self.volumes)
        remember(slicer.mrmlScene, nodes, self.volumes)

    def hang(self):
        """The images as at the beginning: views, window, place."""
        from LiverAILib.scene.volumes import set_ct_window

        for node in self.volumes.values():
            set_ct_window(node)
        self.views.hang(self.volumes)

    def _draw_marks(self):
        if self.marks is not None:
            self.marks.draw()

    def start_marks(self, boxes, on_change):
        """The marks of this case, to be drawn into its images."""
        from LiverAILib.scene.marks import Marks

        self.marks = Marks(slicer.mrmlScene, boxes=boxes, on_change=on_change)
        return self.marks

    def first_view(self):
        """The reader sees the images: the time begins."""
        from LiverAILib.readerstudy.timing import Event

        if self.case is not None and not self.loading and not self._first_view_logged:
            self._first_view_logged, _ = self.attempt(self.session.log, Event.FIRST_VIEW)

    def note(self, event, detail=None):
        """Log an event of the open case, when its images are there."""
        if self.case is not None and not self.loading:
            self.attempt(self.session.log, event, detail)

    def touch(self):
        """The reader does something."""
        if self.case is not None and not self.loading and self._first_view_logged:
            self.attempt(self.session.touch)

    def submit(self, answer):
        """Store the answer; True if it is on the disk. Then the images go, unless they are read again at once."""
        self.first_view()
        if not self._first_view_logged:
            return False
        stored, _ = self.attempt(self.session.submit, answer)
        if stored:
            self.case = None
            if self.session.goes_on:
                self._drop_marks()
            else:
                self._empty_scene()
        return stored

    # --- the scene

    def _empty_scene(self):
        from LiverAILib.scene.reading import empty_scene

        self._drop_marks()
        self.views.stop_sharing()
        self.volumes = {}
        self._own_doing = True
        try:
            empty_scene(slicer.mrmlScene)
        finally:
            self._own_doing = False

    def _drop_marks(self):
        marks, self.marks = self.marks, None
        if marks is not None:
            marks.close()

    def _scene_closing(self):
        """Somebody closes the scene: keep what was marked."""
        if self._own_doing:
            return
        self.views.stop_sharing()
        self.volumes = {}
        if self.marks is not None:
            self.marks.keep()

    def _scene_closed(self):
        """Somebody closed the scene while a case is open: show the case again."""
        if not self._own_doing and self.case is not None:
            self._load(self.case.phases)

    # --- what may fail

    def attempt(self, action, *arguments):
        """Do something that may fail, and say so. Returns (done, result)."""
        from LiverAILib.readerstudy.errors import CaseFileError, ReaderStudyError, SessionEndedError

        try:
            return True, action(*arguments)
        except SessionEndedError as error:
            log.warning("%s", error)
            self.close()
            self._on_closed(str(error))
        except CaseFileError:
            log.warning("Files of the next case are missing or were changed.")
            self._on_problem(
                tr(
                    "The files of this case are missing or were changed, so it can't be read. Ask the coordinator, who "
                    "finds them with `liverai study verify --files`."
                )
            )
        except (ReaderStudyError, OutputError) as error:
            log.warning("%s", error)
            self._on_problem(str(error))
        except LiverAIError as error:  # its text may name a file of the case
            log.warning("%s in a reading.", type(error).__name__)
            self._on_problem(tr("This case can't be shown. Try again, or ask the coordinator."))
        except Exception as error:  # Qt would only print it, and the reader would see nothing happen
            log.exception("Unexpected error in a reading.")
            text = tr("Unexpected error ({kind}). The log has the details.").format(kind=type(error).__name__)
            self._on_problem(text)
        return False, None
