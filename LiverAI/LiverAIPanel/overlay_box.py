"""The overlay: how segments, heat map, colours and labels lie over the images; the views' layout; all of it off."""

import qt

from LiverAILib.lesion_types import LesionType
from LiverAILib.scene.display import BY_LESION, BY_MALIGNANCY, Heat, Overlay, Segments
from LiverAIPanel.choice import Choice, button, row
from LiverAIPanel.layouts import FOUR, ONE, THREE_D, TWO
from LiverAIPanel.words import tr, type_title


class OverlayBox:
    """parameters(): the panel's settings. on_change(): draw again. on_layout(name). on_surfaces(): for the 3D view.

    Without the last two the views are somebody else's, and there is no row for them.
    """

    def __init__(self, parameters, on_change, on_layout=None, on_surfaces=None):
        self._parameters = parameters
        self._on_change = on_change
        self._quiet = False
        self.widget = qt.QWidget()
        form = qt.QFormLayout(self.widget)
        form.setContentsMargins(0, 0, 0, 0)
        self.hiddenButton = button(tr("AI off"), self.toggle, tr("Look at the bare images (key A)."))
        self.hiddenButton.setCheckable(True)
        form.addRow(self.hiddenButton)
        self.segments = Choice(
            [
                (Segments.OUTLINE.value, tr("Outline")),
                (Segments.FILL.value, tr("Fill")),
                (Segments.OFF.value, tr("Off")),
            ],
            lambda value: self._keep("segments", value),
            tr("How liver and lesions are drawn in slice views."),
        )
        form.addRow(tr("Segments"), self.segments.widget)
        self.heat = Choice(self._heats(False), lambda value: self._keep("heat", value), tr("The map over the images."))
        form.addRow(tr("Map"), self.heat.widget)
        self.opacity = self._slider("opacity", tr("Opacity of map and fill."))
        form.addRow(tr("Opacity"), self.opacity)
        self.threshold = self._slider("threshold", tr("What is lower in the map is not drawn."))
        form.addRow(tr("Threshold"), self.threshold)
        self.colours = Choice(
            self._colours(False), lambda value: self._keep("colours", value), tr("What the lesions' colours mean.")
        )
        form.addRow(tr("Colour lesions by"), self.colours.widget)
        self.labels = self._check(
            "labels", tr("Labels"), tr("Name, type and probability at each lesion in slice views.")
        )
        self.legend = self._check("legend", tr("Colour legend"), tr("The map's colours and values in slice views."))
        form.addRow(row(self.labels, self.legend))
        self.layout = None
        if on_layout is not None:
            self._add_views(form, on_layout, on_surfaces)

    def _add_views(self, form, on_layout, on_surfaces):
        layouts = [
            ("", tr("Leave as it is")),
            (ONE, tr("1 view")),
            (TWO, tr("2 phases")),
            (FOUR, tr("4 phases")),
            (THREE_D, tr("3D and slices")),
        ]
        self.layout = Choice(layouts, on_layout, tr("Phases side by side are linked and share one window."))
        form.addRow(tr("Views"), self.layout.widget)
        self.surfacesButton = button(
            tr("Show in 3D"), on_surfaces, tr("Make surfaces of liver and lesions; takes some seconds.")
        )
        form.addRow(self.surfacesButton)

    def _heats(self, saliency):
        heats = [(Heat.PROBABILITY.value, tr("Lesion probability"))]
        heats += [(Heat.SALIENCY.value, tr("Saliency of the phase"))] if saliency else []
        return [*heats, (Heat.OFF.value, tr("Off"))]

    def _colours(self, classified):
        colours = [(BY_LESION, tr("lesion"))]
        if classified:
            colours.append((BY_MALIGNANCY, tr("malignancy")))
            colours += [(kind.value, type_title(kind)) for kind in LesionType]
        return colours

    def offer(self, saliency, classified):
        """Offer only what this run has."""
        self.heat.set_options(self._heats(saliency))
        self.colours.set_options(self._colours(classified))
        self.restore()

    def _slider(self, name, tooltip):
        slider = qt.QSlider(qt.Qt.Horizontal)
        slider.setRange(0, 100)
        slider.setMinimumWidth(40)
        slider.setToolTip(tooltip)
        slider.valueChanged.connect(lambda value: self._keep(name, value / 100.0))
        return slider

    def _check(self, name, title, tooltip):
        box = qt.QCheckBox(title)
        box.setToolTip(tooltip)
        box.toggled.connect(lambda on: self._keep(name, bool(on)))
        return box

    def _keep(self, name, value):
        if not self._quiet:
            setattr(self._parameters(), name, value)
            self._on_change()

    def toggle(self):
        """All AI off, or on again."""
        self._parameters().hidden = not self._parameters().hidden
        self.restore()
        self._on_change()

    def restore(self):
        """From the scene."""
        parameters = self._parameters()
        self._quiet = True
        self.segments.value, self.heat.value = parameters.segments, parameters.heat
        self.colours.value = parameters.colours
        if self.layout is not None:
            self.layout.value = parameters.layout
        self.opacity.setValue(round(100 * parameters.opacity))
        self.threshold.setValue(round(100 * parameters.threshold))
        self.labels.setChecked(parameters.labels)
        self.legend.setChecked(parameters.legend)
        self.hiddenButton.setChecked(parameters.hidden)
        self.hiddenButton.text = tr("AI is off: show it") if parameters.hidden else tr("AI off")
        self._quiet = False

    def overlay(self):
        """The choices; what this run does not have is the default."""
        parameters = self._parameters()
        return Overlay(
            segments=Segments(self.segments.value),
            heat=Heat(self.heat.value),
            opacity=parameters.opacity,
            threshold=parameters.threshold,
            legend=parameters.legend,
            colours=self.colours.value,
            labels=parameters.labels,
            hidden=parameters.hidden,
        )
