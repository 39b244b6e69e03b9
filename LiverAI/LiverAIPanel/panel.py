"""The panel put together: the sections, what happens between them, and the scene's comings and goings."""

import logging
import traceback
from pathlib import Path

import ctk
import qt
import slicer

from LiverAILib.errors import LiverAIError
from LiverAILib.lesion_types import LesionType
from LiverAILib.scene.candidates import clinical_from_tags
from LiverAILib.study import Phase
from LiverAIPanel.choice import label
from LiverAIPanel.clinical_box import ClinicalBox
from LiverAIPanel.findings_box import FindingsBox
from LiverAIPanel.keys import Keys
from LiverAIPanel.opinion_box import OpinionBox
from LiverAIPanel.overlay_box import OverlayBox
from LiverAIPanel.parameters import parameters_of
from LiverAIPanel.preflight import Machine, Preflight
from LiverAIPanel.report_box import ReportBox
from LiverAIPanel.run_box import RunBox
from LiverAIPanel.session import Session
from LiverAIPanel.study_box import StudyBox
from LiverAIPanel.tags import load_folder, read_tag
from LiverAIPanel.views import Views
from LiverAIPanel.words import phase_title, tr

log = logging.getLogger("LiverAI")

LEVEL_MS = 200


class Panel:
    """All widgets in a layout. logic: `AnalysisLogic`. packages: `Packages`. machine, tags, load: for tests."""

    def __init__(self, layout, logic, packages, machine=None, tags=read_tag, load=load_folder):
        self.logic = logic
        self.packages = packages
        self.preflight = Preflight(packages, machine or Machine())
        self.session = Session()
        self.views = Views()
        self.job = None
        self._tags = tags
        self._load = load
        self._parameters = None
        self._observers = []
        self._build(layout)
        self._observe()
        self.keys = Keys(
            {
                "N": lambda: self.step_lesion(1),
                "P": lambda: self.step_lesion(-1),
                "K": lambda: self.step_phase(1),
                "J": lambda: self.step_phase(-1),
                "A": self.overlay.toggle,
            }
        )
        self._timer = qt.QTimer()
        self._timer.setInterval(LEVEL_MS)
        self._timer.timeout.connect(self._follow_level)
        self.restore()

    # --- building

    def _build(self, layout):
        notice = label(tr("Research use only. Not for diagnosis."))
        notice.setStyleSheet("font-weight: bold; color: #c2570c;")
        layout.addWidget(notice)
        self.study = StudyBox(self.parameters, self._tags, self.study_changed, self.load_study, lambda: self.running)
        self.clinical = ClinicalBox(self.parameters, lambda: None)
        self.run = RunBox(self.analyze, self.cancel, self.remedy, self._set_device)
        self.findings = FindingsBox(self.go_to, self.step_phase, self.session.jump_to_level)
        self.opinion = OpinionBox(self)
        self.overlay = OverlayBox(self.parameters, self.draw, self.set_layout, self.make_surfaces)
        self.report = ReportBox(self._report_content, self.results_folder, self.guarded)
        self.output = ctk.ctkPathLineEdit()
        self.output.filters = ctk.ctkPathLineEdit.Dirs
        self.output.setMinimumWidth(60)
        self.output.setToolTip(tr("Each analysis writes a folder of its own here; reports go here too."))
        self.output.currentPathChanged.connect(lambda *_: self._set_results())
        place = qt.QWidget()
        form = qt.QFormLayout(place)
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow(tr("Results in"), self.output)
        self.sections = {
            "study": self._section(layout, tr("Study"), [self.study.widget]),
            "clinical": self._section(layout, tr("Clinical record"), [self.clinical.widget], collapsed=True),
        }
        layout.addWidget(self.run.widget)
        self.sections["findings"] = self._section(layout, tr("Findings"), [self.findings.widget])
        self.sections["opinion"] = self._section(layout, tr("Your opinion"), [self.opinion.widget], collapsed=True)
        self.sections["overlay"] = self._section(layout, tr("Overlay and views"), [self.overlay.widget], collapsed=True)
        self.sections["report"] = self._section(layout, tr("Report"), [self.report.widget, place], collapsed=True)

    def _section(self, layout, title, widgets, collapsed=False):
        section = ctk.ctkCollapsibleButton()
        section.text = title
        inner = qt.QVBoxLayout(section)
        for widget in widgets:
            inner.addWidget(widget)
        section.collapsed = collapsed
        layout.addWidget(section)
        return section

    def _observe(self):
        scene = slicer.mrmlScene
        kind = slicer.vtkMRMLScene
        for event, action in (
            (kind.StartCloseEvent, self.scene_closing),
            (kind.EndCloseEvent, self.restore),
            (kind.EndImportEvent, self.restore),
            (kind.NodeAddedEvent, self._nodes_changed),
            (kind.NodeRemovedEvent, self._nodes_changed),
        ):
            self._observers.append((scene, scene.AddObserver(event, lambda *_, action=action: action())))

    def close(self):
        """Slicer quits or reloads the module: nothing of ours outlives it."""
        for scene, tag in self._observers:
            scene.RemoveObserver(tag)
        self._observers = []
        if self.job is not None:
            self.job.abandon()
        self._timer.stop()
        self.run.close()
        self.study.close()
        self.keys.close()
        self.views.stop_sharing()

    def enter(self):
        self.keys.enable(True)
        self.refresh_preflight()
        if self.session.shown is not None:
            self.views.arrange(self.parameters().layout, self.session.shown.volumes, self.session.phase)
        self.guarded(self.measure_drawn)

    def exit(self):
        self.keys.enable(False)
        self.views.restore()

    # --- state

    def parameters(self):
        """The settings in the scene's parameter node; made when the scene is new."""
        node = self.logic.getParameterNode()
        if self._parameters is None or self._parameters.parameterNode is not node:
            self._parameters = parameters_of(node)
        return self._parameters

    @property
    def running(self):
        return self.job is not None and self.job.running

    def guarded(self, action, *arguments):
        """Do something that may fail, and say so in a sentence."""
        try:
            return action(*arguments)
        except LiverAIError as error:
            log.warning("%s", error)
            self.run.end(str(error))
            slicer.util.errorDisplay(str(error))
            return None
        except Exception as error:  # Qt would only print it, and the user would see nothing happen
            log.exception("Unexpected error.")
            text = tr("Unexpected error ({kind}). The log has the details.").format(kind=type(error).__name__)
            self.run.end(text, traceback.format_exc())
            slicer.util.errorDisplay(text)
            return None

    def restore(self):
        """Show what the scene holds: after it was closed, loaded, or when the panel is made."""
        self._parameters = None
        parameters = self.parameters()
        if not parameters.results_folder:
            parameters.results_folder = str(Path.home() / "LiverAI")
        self.output.currentPath = parameters.results_folder
        self.run.device.value = parameters.device
        self.study.restore()
        self.clinical.restore()
        self.guarded(self._restore_run)

    def _restore_run(self):
        try:
            self.session.restore()
        finally:
            self.show_run()

    def scene_closing(self):
        """The scene goes, and with it what is analysed."""
        self.views.stop_sharing()
        if self.running:
            self.job.abandon()
            self.job = None
            self.run.end(tr("The scene was closed, so the analysis was cancelled."))
        self.session.clear()
        self.refresh_preflight()

    def _nodes_changed(self):
        if slicer.mrmlScene.IsBatchProcessing():
            return
        if not self.running:
            self.study.look()

    def _set_results(self):
        self.parameters().results_folder = self.output.currentPath
        self.refresh_preflight()

    def _set_device(self, value):
        self.parameters().device = value
        self.refresh_preflight()

    def results_folder(self):
        return self.parameters().results_folder

    # --- study and preflight

    def study_changed(self):
        self.clinical.fill(clinical_from_tags(list(self.study.volumes().values()), self._tags))
        self.refresh_preflight()

    def load_study(self):
        """Load the CT series of a folder that the user chooses."""
        folder = qt.QFileDialog.getExistingDirectory(None, tr("Folder of a DICOM study"))
        if isinstance(folder, str) and folder:
            self.guarded(self._load, folder)
            self.study.look()

    def refresh_preflight(self):
        """Look again whether all is there."""
        shapes = []
        for node in self.study.volumes().values():
            image = node.GetImageData()
            shapes.append(image.GetDimensions()[::-1] if image is not None else (0, 0, 0))
        state = self.preflight.check(shapes, self.results_folder(), self.parameters().device)
        self.run.show_state(state, self.running)
        self.sections["study"].enabled = not self.running

    def remedy(self, name):
        """What the button beside the preflight line does; nothing is installed without this click."""
        remedies = {
            "torch": self.packages.install_torch,
            "packages": self.packages.install_missing,
            "extensions": self._open_extensions,
            "folder": self._choose_folder,
        }
        if name in remedies:
            self.guarded(remedies[name])
        self.preflight.forget()
        self.refresh_preflight()

    def _open_extensions(self):
        opened = getattr(slicer.app, "openExtensionsManagerDialog", None)
        if opened is not None:
            opened()

    def _choose_folder(self):
        folder = qt.QFileDialog.getExistingDirectory(None, tr("Folder for results"))
        if isinstance(folder, str) and folder:
            self.output.currentPath = folder

    # --- analysis

    def analyze(self):
        """Start the child on the chosen volumes; a second click while it runs does nothing."""
        if not self.running:
            self.guarded(self._start)
        self.refresh_preflight()

    def _start(self):
        self.study.keep()
        job = self.logic.analyze(
            self.study.volumes(),
            self.clinical.record(),
            results=self.results_folder(),
            device=self.parameters().device,
            on_progress=self.run.step,
            on_finished=self.finish,
        )
        self.job = job
        self.run.begin()

    def cancel(self):
        if self.running:
            self.run.cancelling()
            self.job.cancel()
            self.refresh_preflight()

    def finish(self, error, details, _nodes):
        """The child has ended: show its result, or say why there is none."""
        job, self.job = self.job, None
        if error is not None:
            self.run.end(error or tr("Cancelled. Nothing was written."), details if error else "")
            if error:
                slicer.util.errorDisplay(error)
        else:
            self.parameters().run_folder = str(job.run_folder)
            warnings = "".join(f"\n{warning}" for warning in job.warnings)
            self.run.end(tr("Done.") + warnings)
            self.sections["findings"].collapsed = False
            self.guarded(self._restore_run)
        self.refresh_preflight()

    # --- reading

    def show_run(self):
        """Fill everything with the run that the scene holds, or empty it."""
        shown = self.session.shown
        self.report.show(shown is not None)
        self.views.stop_sharing()
        if shown is None:
            self._timer.stop()
            self.findings.clear()
            self.opinion.show_lesion(None, False)
            self.overlay.offer(False, False)
            self.refresh_preflight()
            return
        classified = any(one.type_probabilities is not None for one in shown.findings.lesions)
        self.overlay.offer(bool(shown.saliency), classified)
        names = [phase.value for phase in shown.volumes]
        phase = self.parameters().phase
        self.session.phase = Phase(phase) if phase in names else shown.findings.reference_phase
        self.views.share_window(shown.volumes.values())
        self.views.arrange(self.parameters().layout, shown.volumes, self.session.phase)
        self.show_lesions()
        self.draw()
        self._timer.start()
        self.refresh_preflight()

    def show_lesions(self):
        """The table and the chosen lesion, after an opinion changed too."""
        if self.session.shown is None:
            return
        self.findings.show_run(self.session.shown.findings, self.session.lesions())
        if self.parameters().lesion:
            self.findings.select(self.parameters().lesion)
        self._show_chosen()

    def chosen(self):
        """The chosen lesion, None without one."""
        return self.session.lesion(self.findings.selected())

    def _show_chosen(self):
        one = self.chosen()
        self.findings.show_lesion(one, self.session.phase)
        self.opinion.show_lesion(one, self.session.shown is not None)
        self._show_scores()

    def _show_scores(self):
        title = tr("Scores of the slices, {phase} phase (feet to head)")
        phase = phase_title(self.session.phase).lower() if self.session.phase is not None else ""
        self.findings.show_scores(*self.session.scores(), title.format(phase=phase))

    def _follow_level(self):
        self.findings.strip.show_level(self.session.level())

    def go_to(self, lesion_id):
        """Jump to a lesion in the phase where it stands out most, and put its segment in front."""
        self.parameters().lesion = lesion_id
        self.findings.select(lesion_id)
        one = self.session.lesion(lesion_id)
        if one is not None:
            self.show_phase(self.session.go_to(one))

    def show_phase(self, phase):
        """A phase into the views, with its own map and scores."""
        if phase is None or self.session.shown is None:
            return
        changed = phase is not self.session.phase
        self.session.phase = phase
        self.parameters().phase = phase.value
        self.views.show_phase(self.session.shown.volumes.get(phase))
        self._show_chosen()
        if changed:
            self.draw()

    def step_lesion(self, step):
        """The next (+1) or previous (-1) lesion of the table."""
        self.findings.step(step)

    def step_phase(self, step):
        """The next or previous phase into the views."""
        self.show_phase(self.session.following_phase(step))

    # --- the reader's word (what OpinionBox calls)

    def _changed(self, lesion_changed=True):
        self.show_lesions()
        if lesion_changed:
            self.draw()

    def call(self, value):
        one = self.chosen()
        if one is not None:
            self.session.call(one, value)
            self._changed()

    def retype(self, kind):
        one = self.chosen()
        if one is not None and one.opinion.type is not kind:
            self.session.retype(one, LesionType(kind) if kind is not None else None)
            self._changed()

    def rename(self, name):
        one = self.chosen()
        if one is not None and (one.opinion.name or "") != name.strip():
            self.session.rename(one, name)
            self._changed()

    def add(self):
        """A new segment for a lesion of the reader's, in the Segment Editor."""
        self.guarded(self.session.add)

    def measure_drawn(self):
        """Measure what the reader drew since, when the panel is shown again."""
        if self.session.measure_drawn():
            self._changed()

    def remove(self):
        one = self.chosen()
        if one is not None and one.by_reader:
            self.session.remove(one)
            self._changed()

    # --- drawing

    def draw(self):
        """Overlay, colours and labels as chosen."""
        self.session.draw(self.overlay.overlay())

    def set_layout(self, name):
        self.parameters().layout = name
        if self.session.shown is not None:
            self.views.arrange(name, self.session.shown.volumes, self.session.phase)
            self.draw()

    def make_surfaces(self):
        """Surfaces for the 3D view, when asked for."""
        if self.session.shown is not None:
            self.guarded(self.session.make_surfaces)

    def _report_content(self):
        return self.session.shown, self.session.opinions, self.session.lesions()
