"""Our layouts: phases side by side. Registered when Slicer has started, so nothing of the library is needed here."""

import slicer

ONE, TWO, FOUR, THREE_D = "1", "2", "4", "3d"
#: Numbers of our layouts, far from Slicer's own.
LAYOUT_IDS = {TWO: 7302, FOUR: 7304}
_VIEW = (
    '<item><view class="vtkMRMLSliceNode" singletontag="LiverAI{n}">'
    '<property name="orientation" action="default">Axial</property>'
    '<property name="viewlabel" action="default">{n}</property>'
    '<property name="viewcolor" action="default">#7A8CA5</property></view></item>'
)


def layout_xml(name):
    """The description of one of our layouts."""
    views = [_VIEW.format(n=number) for number in range(1, 5)]
    if name == TWO:
        return f'<layout type="horizontal" split="true">{"".join(views[:2])}</layout>'
    rows = "".join(
        f'<item><layout type="horizontal" split="true">{"".join(pair)}</layout></item>'
        for pair in (views[:2], views[2:])
    )
    return f'<layout type="vertical" split="true">{rows}</layout>'


def register_layouts():
    """Make our layouts known, before any scene is loaded: a scene saved in one needs it."""
    manager = slicer.app.layoutManager()
    if manager is None:
        return
    node = manager.layoutLogic().GetLayoutNode()
    for name, number in LAYOUT_IDS.items():
        if not node.IsLayoutDescription(number):
            node.AddLayoutDescription(number, layout_xml(name))
