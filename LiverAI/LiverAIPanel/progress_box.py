"""The coordinator's view: who is how far, and what was overridden; never what was answered."""

import datetime as dt

import qt

from LiverAIPanel.choice import label
from LiverAIPanel.words import tr

ROW = 22


class ProgressBox:
    """Hidden until there is something to show, and emptied when a session begins."""

    def __init__(self):
        self.widget = qt.QWidget()
        layout = qt.QVBoxLayout(self.widget)
        layout.setContentsMargins(0, 4, 0, 0)
        self.summary = label()
        self.table = qt.QTableWidget()
        self.table.setEditTriggers(qt.QAbstractItemView.NoEditTriggers)
        self.table.setSelectionBehavior(qt.QAbstractItemView.SelectRows)
        self.table.setMinimumWidth(60)
        self.table.setToolTip(tr("Answered cases of all; counted anew with each click on the button above."))
        self.table.verticalHeader().setVisible(False)
        self.table.verticalHeader().setDefaultSectionSize(ROW)
        layout.addWidget(self.summary)
        layout.addWidget(self.table)
        self.clear()

    def clear(self):
        """Show nothing."""
        self.summary.text = ""
        self.table.setRowCount(0)
        self.widget.setVisible(False)

    def show(self, progress):
        """progress: `standing.StudyProgress`."""
        seal = (
            tr("sealed on {date}").format(date=f"{progress.sealed:%Y-%m-%d}")
            if progress.sealed
            else tr("not sealed: a pilot")
        )
        prepared = tr("Prepared cases: {ready} of {total}.").format(
            ready=progress.prepared[0], total=progress.prepared[1]
        )
        self.summary.text = f"{progress.title} ({seal}). {prepared}"
        titles = [tr("Reader"), tr("Training"), tr("First"), tr("Second"), tr("Next"), tr("Last"), tr("Sessions")]
        titles.append(tr("Overrides"))
        self.table.setColumnCount(len(titles))
        self.table.setHorizontalHeaderLabels(titles)
        self.table.setRowCount(len(progress.readers))
        for number, reader in enumerate(progress.readers):
            for column, text in enumerate(cells(reader)):
                self.table.setItem(number, column, qt.QTableWidgetItem(text))
        self.table.resizeColumnsToContents()
        self.table.setFixedHeight(ROW * (min(max(len(progress.readers), 2), 12) + 2))
        self.widget.setVisible(True)


def cells(reader):
    """One reader's row. Times are local."""
    counts = [f"{done}/{of}" for done, of in (reader.training, *reader.periods)]
    following = tr("finished") if reader.finished else tr("may read")
    if reader.next_from is not None:
        following = tr("from {time}").format(time=local(reader.next_from))
    if reader.logged_in:
        following = tr("logged in")
    last = tr("never") if reader.last is None else local(reader.last)
    return [reader.code, *counts, following, last, str(reader.sessions), str(reader.overrides)]


def local(when):
    """A moment in this computer's time zone."""
    return f"{when.astimezone(dt.datetime.now().astimezone().tzinfo):%Y-%m-%d %H:%M}"
