"""Two small drawings: the seven class probabilities as bars, and the slice scores as a strip along the body."""

import qt

_RIGHT = int(qt.Qt.AlignRight) | int(qt.Qt.AlignVCenter)
_LEFT = int(qt.Qt.AlignLeft) | int(qt.Qt.AlignVCenter)
MALIGNANT, BENIGN = (214, 84, 70), (70, 150, 190)
NODULE, HCC = (230, 160, 40), (200, 70, 90)


def colour(rgb):
    return qt.QColor(rgb[0], rgb[1], rgb[2])


class Bars(qt.QWidget):
    """Titled bars with their values in percent. rows: (title, value in [0, 1], malignant, chosen by the reader)."""

    ROW = 18

    def __init__(self):
        qt.QWidget.__init__(self)
        self.rows = []
        self.setMinimumWidth(60)

    def show_rows(self, rows):
        """Draw other values; none draws nothing and takes no room."""
        self.rows = list(rows)
        self.setFixedHeight(self.ROW * len(self.rows) + 2 if self.rows else 0)
        self.setToolTip("\n".join(f"{title}: {100 * value:.1f}%" for title, value, _, _ in self.rows))
        self.update()

    def paintEvent(self, _event):
        painter = qt.QPainter()
        painter.begin(self)
        try:
            text = self.palette.color(qt.QPalette.WindowText)
            ground = self.palette.color(qt.QPalette.Mid)
            names, numbers = 92, 46
            width = max(10, self.width - names - numbers - 8)
            for number, (title, value, malignant, chosen) in enumerate(self.rows):
                top = number * self.ROW
                painter.setPen(text)
                painter.drawText(0, top, names, self.ROW, _LEFT, ("✓ " if chosen else "") + title)
                painter.fillRect(names, top + 4, width, self.ROW - 8, ground)
                long = round(width * min(max(value, 0.0), 1.0))
                painter.fillRect(names, top + 4, long, self.ROW - 8, colour(MALIGNANT if malignant else BENIGN))
                painter.drawText(names + width + 4, top, numbers, self.ROW, _RIGHT, f"{100 * value:.0f}%")
        finally:
            painter.end()


class Strip(qt.QWidget):
    """Scores over the height of the body, feet left, head right; a click goes there.

    on_click(level in mm) is called with the height of the slice that was clicked.
    """

    def __init__(self, on_click):
        qt.QWidget.__init__(self)
        self._on_click = on_click
        self.levels, self.curves, self._level = [], [], None
        self.setMinimumWidth(60)
        self.setFocusPolicy(qt.Qt.StrongFocus)

    def show_scores(self, levels, curves):
        """levels: mm, rising, one a slice. curves: (title, rgb, values in [0, 1]), one value a slice each."""
        self.levels = list(levels)
        self.curves = [curve for curve in curves if len(curve[2]) == len(self.levels)]
        self.setFixedHeight(46 if self.levels and self.curves else 0)
        self.update()

    def show_level(self, level):
        """Mark the slice that the views show."""
        if level != self._level:
            self._level = level
            self.update()

    def nearest(self, x):
        """Index of the slice at a position in the widget."""
        if not self.levels:
            return None
        place = min(max(x / max(1, self.width), 0.0), 1.0)
        level = self.levels[0] + place * (self.levels[-1] - self.levels[0])
        return min(range(len(self.levels)), key=lambda index: abs(self.levels[index] - level))

    def mousePressEvent(self, event):
        self._go(event.pos().x())

    def mouseMoveEvent(self, event):
        self._go(event.pos().x())

    def _go(self, x):
        index = self.nearest(x)
        if index is not None:
            self._on_click(self.levels[index])

    def keyPressEvent(self, event):
        step = {int(qt.Qt.Key_Left): -1, int(qt.Qt.Key_Right): 1}.get(int(event.key()))
        if step is None or not self.levels or self._level is None:
            event.ignore()
            return
        here = min(range(len(self.levels)), key=lambda index: abs(self.levels[index] - self._level))
        self._on_click(self.levels[min(max(here + step, 0), len(self.levels) - 1)])

    def paintEvent(self, _event):
        if not self.levels or not self.curves:
            return
        painter = qt.QPainter()
        painter.begin(self)
        try:
            self._draw(painter)
        finally:
            painter.end()

    def _draw(self, painter):
        width, height = self.width, self.height - 14
        painter.fillRect(0, 0, width, height, self.palette.color(qt.QPalette.Base))
        count = len(self.levels)
        half = height // len(self.curves)
        for row, (title, rgb, values) in enumerate(self.curves):
            for index, value in enumerate(values):
                left, right = width * index // count, width * (index + 1) // count
                shade = colour(rgb)
                shade.setAlpha(round(255 * min(max(value, 0.0), 1.0)))
                painter.fillRect(left, row * half, max(1, right - left), half - 1, shade)
            painter.setPen(self.palette.color(qt.QPalette.WindowText))
            painter.drawText(4, row * half, width, half - 1, _LEFT, title)
        if self._level is not None and self.levels[-1] > self.levels[0]:
            place = (self._level - self.levels[0]) / (self.levels[-1] - self.levels[0])
            if -0.01 <= place <= 1.01:
                x = round(place * (width - 2))
                painter.fillRect(x, 0, 2, height, self.palette.color(qt.QPalette.WindowText))
        painter.setPen(self.palette.color(qt.QPalette.WindowText))
        painter.drawText(0, height, width, 14, _LEFT, f"{self.levels[0]:.0f} mm")
        painter.drawText(0, height, width, 14, _RIGHT, f"{self.levels[-1]:.0f} mm")
