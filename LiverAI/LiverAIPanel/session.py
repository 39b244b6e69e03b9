"""The reading of one run: what is shown, the reader's opinions, where the views are. No widgets."""

import slicer

from LiverAIPanel.words import tr


class Session:
    """shown: the run in the scene (`scene.shown.ShownRun`) or None. opinions: the reader's. phase: the shown one.

    Whatever needs the packages that Slicer lacks is imported when it is used, so that the panel opens without them.
    """

    def __init__(self):
        self.clear()

    def clear(self):
        self.shown, self.opinions, self.phase = None, None, None

    def restore(self):
        """Take up what the scene holds."""
        self.clear()
        if not holds_run(slicer.mrmlScene):
            return
        from LiverAILib.scene.shown import recall, recall_opinions

        shown = recall(slicer.mrmlScene)
        if shown is not None:
            self.opinions = recall_opinions(slicer.mrmlScene, shown.run_id)
            self.shown = shown
            self.phase = shown.findings.reference_phase

    def lesions(self):
        """The program's and the reader's lesions, with both words on each."""
        if self.shown is None:
            return []
        from LiverAILib.opinions import read_lesions

        return read_lesions(self.shown.findings, self.opinions)

    def lesion(self, lesion_id):
        """The one with this id, or None."""
        return next((one for one in self.lesions() if one.lesion.id == lesion_id), None)

    def phases(self):
        """The phases whose volumes are here."""
        from LiverAILib.scene.navigation import phases_here

        return phases_here(self.shown.volumes) if self.shown is not None else []

    def following_phase(self, step):
        """The phase so many after the shown one, round and round; None without any."""
        phases = self.phases()
        if not phases:
            return None
        at = phases.index(self.phase) if self.phase in phases else 0
        return phases[(at + step) % len(phases)]

    # --- going places

    def go_to(self, one):
        """Jump all slice views to a lesion and highlight it. Returns its best phase."""
        from LiverAILib.scene.navigation import best_phase, highlight, jump_to

        jump_to(slicer.mrmlScene, one.lesion.centre_lps_mm)
        highlight(self.shown.segmentation, one.lesion.id)
        return best_phase(one.lesion, self.shown.findings, self.phases())

    def jump_to_level(self, level):
        from LiverAILib.scene.navigation import jump_to_level

        jump_to_level(slicer.mrmlScene, float(level))

    def level(self):
        """The height of the axial view, mm; None without one."""
        from LiverAILib.scene.navigation import level_shown

        return level_shown(slicer.mrmlScene)

    def scores(self):
        """Heights of the shown phase's scored slices, NoduleNet's scores and HCCNet's; empty without."""
        if self.shown is None or self.shown.volumes.get(self.phase) is None:
            return [], [], []
        from LiverAILib.scene.navigation import shown_scores

        return shown_scores(self.shown.findings, self.phase, self.shown.volumes)

    # --- the reader's word

    def _keep(self, opinions):
        from LiverAILib.scene.shown import keep_opinions

        self.opinions = opinions
        keep_opinions(slicer.mrmlScene, opinions)

    def call(self, one, value):
        """Confirm or reject; the same again takes it back."""
        from LiverAILib.opinions import Call

        call = Call.OPEN if one.opinion.call is Call(value) else Call(value)
        self._keep(self.opinions.with_call(one.lesion.id, call))

    def retype(self, one, kind):
        self._keep(self.opinions.with_type(one.lesion.id, kind))

    def rename(self, one, name):
        self._keep(self.opinions.with_name(one.lesion.id, name))

    def add(self):
        """A new segment, opened in the Segment Editor; it is measured when the panel is shown again."""
        if self.shown is None:
            return
        from LiverAILib.scene.reader import add_reader_segment

        segment = add_reader_segment(self.shown, tr("Reader's lesion"))
        slicer.util.selectModule("SegmentEditor")
        editor_module = getattr(slicer.modules, "segmenteditor", None)
        if editor_module is not None:
            editor = editor_module.widgetRepresentation().self().editor
            editor.setSegmentationNode(self.shown.segmentation)
            if self.shown.reference is not None:
                editor.setSourceVolumeNode(self.shown.reference)
            editor.setCurrentSegmentID(segment)

    def measure_drawn(self):
        """Measure every segment of the reader's that is drawn; an empty one is left alone. True if there is any."""
        if self.shown is None or self.shown.reference is None:
            return False
        from LiverAILib.opinions import READER_PREFIX
        from LiverAILib.scene.errors import SceneError
        from LiverAILib.scene.reader import measure_segment
        from LiverAILib.scene.segmentation import segment_ids

        found = [name for name in segment_ids(self.shown.segmentation) if name.startswith(READER_PREFIX)]
        opinions = self.opinions
        for segment in found:
            name = self.shown.segmentation.GetSegmentation().GetSegment(segment).GetName()
            try:
                opinions = opinions.with_added(measure_segment(self.shown, segment, name))
            except SceneError:
                continue  # nothing is drawn yet
        if opinions == self.opinions:
            return False
        self._keep(opinions)
        return True

    def remove(self, one):
        """Take a lesion of the reader's out of the scene."""
        self.shown.segmentation.GetSegmentation().RemoveSegment(one.lesion.id)
        self._keep(self.opinions.without_added(one.lesion.id))

    # --- drawing

    def draw(self, overlay):
        """Overlay, colours and labels."""
        if self.shown is None:
            return
        from LiverAILib.scene.display import apply_overlay
        from LiverAILib.scene.labels import show_labels

        lesions = self.lesions()
        apply_overlay(slicer.mrmlScene, self.shown, lesions, overlay, self.phase)
        show_labels(slicer.mrmlScene, lesions, overlay.colours, overlay.labels and not overlay.hidden)

    def make_surfaces(self):
        from LiverAILib.scene.segmentation import create_surfaces

        create_surfaces(self.shown.segmentation)


def holds_run(scene):
    """Whether a scene holds findings of ours; needs none of the packages that Slicer lacks."""
    found = scene.GetNodesByClass("vtkMRMLTextNode")
    nodes = [found.GetItemAsObject(index) for index in range(found.GetNumberOfItems())]
    return any(node.GetAttribute("LiverAI.Role") == "findings" for node in nodes)
