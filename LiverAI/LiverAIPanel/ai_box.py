"""The AI's result in the assisted arm: findings and overlay as in the panel, and a note of each overlay opened."""

from types import SimpleNamespace

import ctk
import qt

from LiverAILib.scene.display import Heat, Overlay
from LiverAILib.study import Phase
from LiverAIPanel.findings_box import FindingsBox
from LiverAIPanel.overlay_box import OverlayBox
from LiverAIPanel.session import Session
from LiverAIPanel.words import tr

#: Maps and labels are off at first, so that opening one is the reader's doing.
AT_FIRST = Overlay(heat=Heat.OFF, labels=False)


def overlays_shown(overlay):
    """The names of the overlays that are to be seen, as they are logged."""
    if overlay.hidden:
        return set()
    shown = {"segments"} if overlay.segments.value != "off" else set()
    shown |= {overlay.heat.value} if overlay.heat.value != "off" else set()
    return shown | ({"labels"} if overlay.labels else set())


class AiBox:
    """Made once the scene shows the case's run; then `begin`. views: `Views`."""

    def __init__(self, views):
        self._views = views
        self._log = lambda *_: None
        self._seen = set()
        self.settings = SimpleNamespace(**vars(AT_FIRST))  # what `OverlayBox` sets
        self.session = Session()
        self.session.restore()
        shown = self.session.shown
        self.findings = FindingsBox(self.go_to, self.step_phase, self.session.jump_to_level)
        self.overlay = OverlayBox(lambda: self.settings, self.draw)
        self.overlay.offer(bool(shown.saliency), any(one.type_probabilities for one in shown.findings.lesions))
        self.widget = ctk.ctkCollapsibleButton()
        self.widget.text = tr("The AI's result")
        inner = qt.QVBoxLayout(self.widget)
        inner.addWidget(self.findings.widget)
        inner.addWidget(self.overlay.widget)
        self.findings.show_run(shown.findings, self.session.lesions())
        self._show_chosen()

    def begin(self, log):
        """Draw. log(name, shown): told of each overlay that is opened or closed from now on."""
        self._log = log
        self.draw()

    def close(self):
        """The case is over: nothing of the AI stays."""
        self.session.clear()
        self._log = lambda *_: None

    def draw(self):
        """Draw as chosen, and note what was opened or closed by that."""
        overlay = self.overlay.overlay()
        self.session.draw(overlay)
        shown = overlays_shown(overlay)
        before, self._seen = self._seen, shown
        for name in sorted(shown - before):
            self._log(name, True)
        for name in sorted(before - shown):
            self._log(name, False)

    def go_to(self, lesion_id):
        """Jump to a lesion and put its segment in front."""
        self.findings.select(lesion_id)
        one = self.session.lesion(lesion_id)
        if one is not None:
            self.show_phase(self.session.go_to(one))

    def step_phase(self, step):
        """The next or previous phase: its scores, and its images in a view that is not of one phase."""
        self.show_phase(self.session.following_phase(step))

    def show_phase(self, phase):
        if phase is None:
            return
        self.session.phase = Phase(phase)
        self._views.show_phase(self.session.shown.volumes.get(phase))
        self._show_chosen()
        self.draw()

    def follow(self):
        """Show in the strip which slice is looked at."""
        self.findings.strip.show_level(self.session.level())

    def _chosen(self):
        return self.session.lesion(self.findings.selected())

    def _show_chosen(self):
        self.findings.show_lesion(self._chosen(), self.session.phase)
        self.findings.show_scores(*self.session.scores(), tr("Scores of the slices (feet to head)"))
