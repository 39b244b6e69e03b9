"""The study: which volume is which phase, guessed and changeable, with what is wrong said before anything runs."""

import qt
import slicer

from LiverAILib.scene.candidates import assign, ct_nodes, examine, look_at_pixels, weigh
from LiverAILib.study import Phase
from LiverAIPanel.choice import button, label
from LiverAIPanel.parameters import chosen_phases
from LiverAIPanel.words import phase_title, tr

LOOK_AFTER_MS = 200


class StudyBox:
    """The rows of phases. parameters(): the panel's settings. read_tag: see `candidates.TagReader`. on_change(): told
    when the choice changed. busy(): while an analysis runs, nothing is looked at.
    """

    def __init__(self, parameters, read_tag, on_change, on_load, busy):
        self._parameters = parameters
        self._read_tag = read_tag
        self._on_change = on_change
        self._busy = busy
        self._candidates = {}  # by node id
        self._steps = []
        self._last = {}  # node id by phase
        self._timer_on = False
        self._alive = True
        self._quiet = False
        self.widget = qt.QWidget()
        grid = qt.QGridLayout(self.widget)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setColumnStretch(1, 1)
        self.selectors, self.marks = {}, {}
        for number, phase in enumerate(Phase):
            selector = self._selector(phase)
            mark = label(wrap=False)
            mark.setMinimumWidth(36)
            grid.addWidget(qt.QLabel(phase_title(phase)), number, 0)
            grid.addWidget(selector, number, 1)
            grid.addWidget(mark, number, 2)
            self.selectors[phase], self.marks[phase] = selector, mark
        self.problems = label()
        grid.addWidget(self.problems, len(Phase), 0, 1, 3)
        self.loadButton = button(
            tr("Load study..."), on_load, tr("Load the CT series of a folder of DICOM files into the scene.")
        )
        self.guessButton = button(
            tr("Guess phases"), self.guess_again, tr("Forget your own choices and put the volumes into phases again.")
        )
        grid.addWidget(self.loadButton, len(Phase) + 1, 0, 1, 1)
        grid.addWidget(self.guessButton, len(Phase) + 1, 1, 1, 2)

    def _selector(self, phase):
        selector = slicer.qMRMLNodeComboBox()
        selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
        selector.noneEnabled = True
        selector.addEnabled = False
        selector.removeEnabled = False
        selector.renameEnabled = False
        selector.selectNodeUponCreation = False
        selector.setMinimumWidth(60)
        selector.setSizePolicy(qt.QSizePolicy.Ignored, qt.QSizePolicy.Fixed)
        selector.setMRMLScene(slicer.mrmlScene)
        selector.currentNodeIDChanged.connect(lambda *_: self._user_chose(phase))
        return selector

    def close(self):
        """Nothing is looked at any more."""
        self._alive = False

    def volumes(self):
        """The chosen nodes by phase."""
        chosen = {phase: self.selectors[phase].currentNode() for phase in Phase}
        return {phase: node for phase, node in chosen.items() if node is not None}

    def candidate(self, phase):
        """What is known of a phase's volume, None if nothing is."""
        node = self.selectors[phase].currentNode()
        return self._candidates.get(node.GetID()) if node is not None else None

    def look(self):
        """Look at the scene's volumes soon, one at a time, so that nothing stands still meanwhile."""
        here = {node.GetID() for node in ct_nodes(slicer.mrmlScene)}
        self._candidates = {key: value for key, value in self._candidates.items() if key in here}
        new = [key for key in here if key not in self._candidates and ("quick", key) not in self._steps]
        self._steps = [("quick", key) for key in sorted(new)] + [step for step in self._steps if step[1] in here]
        self._wake()
        self.show()

    def looking(self):
        """Whether volumes are still to be looked at."""
        return bool(self._steps)

    def guess_again(self):
        """Forget the user's choices and what was found."""
        self._parameters().chosen = ""
        self._candidates = {}
        for selector in self.selectors.values():
            self._choose(selector, None)
        self.look()

    def _wake(self):
        if self._steps and not self._timer_on:
            self._timer_on = True
            qt.QTimer.singleShot(LOOK_AFTER_MS if self._steps[0][0] == "quick" else 10, self._step)

    def _step(self):
        self._timer_on = False
        if not self._alive or not self._steps:
            return
        if not self._busy():
            kind, key = self._steps.pop(0)
            node = slicer.mrmlScene.GetNodeByID(key)
            if node is not None and node.GetImageData() is not None:
                if kind == "quick":
                    self._candidates[key] = examine(node, self._read_tag)
                    if not self._candidates[key].problem:
                        self._steps.append(("pixels", key))
                else:
                    self._candidates[key] = look_at_pixels(node, self._candidates[key])
            if not any(step[0] == "quick" for step in self._steps):
                self._guess()
        self._wake()

    def _guess(self):
        keys = list(self._candidates)
        weighed = weigh([self._candidates[key] for key in keys])
        self._candidates = dict(zip(keys, weighed, strict=True))
        kept = chosen_phases(self._parameters())
        taken = {phase: node.GetID() for phase, node in self.volumes().items() if phase in kept}
        found = assign(weighed, taken)
        for phase in Phase:
            if phase not in kept:
                self._choose(
                    self.selectors[phase], slicer.mrmlScene.GetNodeByID(found[phase]) if phase in found else None
                )
        self.keep()
        self.show()
        self._on_change()

    def _choose(self, selector, node):
        self._quiet = True
        selector.setCurrentNode(node)
        self._last = {phase: one.currentNode().GetID() for phase, one in self.selectors.items() if one.currentNode()}
        self._quiet = False

    def _user_chose(self, phase):
        if self._quiet or not self._alive or slicer.mrmlScene.IsBatchProcessing():
            return
        before, now = self._last.get(phase), self.selectors[phase].currentNode()
        removed = now is None and before is not None and slicer.mrmlScene.GetNodeByID(before) is None
        self._last[phase] = now.GetID() if now is not None else None
        chosen = chosen_phases(self._parameters())
        chosen = chosen - {phase} if removed else chosen | {phase}
        self._parameters().chosen = " ".join(sorted(one.value for one in chosen))
        self.keep()
        self.show()
        self._on_change()

    def keep(self):
        """Into the scene."""
        for phase in Phase:
            setattr(self._parameters(), phase.value, self.selectors[phase].currentNode())

    def restore(self):
        """From the scene."""
        for phase in Phase:
            self._choose(self.selectors[phase], getattr(self._parameters(), phase.value))
        self.look()

    def show(self):
        """Confidence beside each phase, its reason in the tooltip, problems below."""
        problems = []
        chosen = chosen_phases(self._parameters())
        nodes = [node.GetID() for node in self.volumes().values()]
        for phase in Phase:
            known, mark, text = self.candidate(phase), self.marks[phase], ""
            if known is not None and known.problem:
                text = "!"
                problems.append(f"{phase_title(phase)}: {known.problem}")
            elif known is not None and phase in chosen:
                text = tr("yours")
            elif known is not None and known.decision.phase is phase:
                text = f"{100 * known.decision.confidence:.0f}%"
            tip = known.text if known is not None else tr("Any subset of phases will do; one is enough.")
            self.selectors[phase].setToolTip(tip)
            mark.text = text
            mark.setToolTip(tip)
            if known is not None and not known.problem:
                problems += [f"{phase_title(phase)}: {note}" for note in known.notes]
                if phase in chosen and known.decision.phase not in (None, phase) and known.decision.confidence >= 0.85:
                    other = phase_title(known.decision.phase)
                    problems.append(
                        f"{phase_title(phase)}: " + tr("it looks {phase} to the program.").format(phase=other)
                    )
        if len(set(nodes)) < len(nodes):
            problems.append(tr("One volume is chosen for two phases. Choose another, or none, for one of them."))
        left = [key for key, one in self._candidates.items() if key not in nodes and not one.problem]
        if left and not nodes and not self._steps:
            problems.append(tr("The phase of the volumes is uncertain. Choose it yourself."))
        self.problems.text = "\n".join(problems)
        self.problems.setVisible(bool(problems))
