"""Reports: HTML, PDF, CSV and JSON into a folder, and the structured text onto the clipboard."""

import logging
from datetime import datetime
from pathlib import Path

import qt

from LiverAILib.errors import OutputError
from LiverAIPanel.choice import button, label, row
from LiverAIPanel.words import tr

log = logging.getLogger("LiverAI")


class ReportBox:
    """content(): (shown run, opinions, lesions), or None without findings. folder(): where reports go."""

    def __init__(self, content, folder, guarded):
        self._content = content
        self._folder = folder
        self.widget = qt.QWidget()
        layout = qt.QVBoxLayout(self.widget)
        layout.setContentsMargins(0, 0, 0, 0)
        self.buttons = {
            "html": button("HTML", lambda: guarded(self.write, "html"), tr("A page with a picture of each lesion.")),
            "pdf": button("PDF", lambda: guarded(self.write, "pdf"), tr("The same as a PDF.")),
            "csv": button("CSV", lambda: guarded(self.write, "csv"), tr("One line per lesion.")),
            "json": button("JSON", lambda: guarded(self.write, "json"), tr("All findings and opinions, for programs.")),
        }
        self.copyButton = button(
            tr("Copy text"), lambda: guarded(self.copy), tr("A structured report in plain text, onto the clipboard.")
        )
        self.note = label()
        layout.addWidget(row(*self.buttons.values()))
        layout.addWidget(self.copyButton)
        layout.addWidget(self.note)

    def show(self, there):
        """Whether there are findings to report."""
        for made in (*self.buttons.values(), self.copyButton):
            made.enabled = there

    def copy(self):
        """The structured text onto the clipboard."""
        from LiverAILib.export.report import report_text

        shown, opinions, _ = self._content()
        qt.QApplication.clipboard().setText(report_text(shown.findings, opinions))
        self.note.text = tr("The report is on the clipboard.")

    def write(self, kind):
        """Write one report; the name holds the time and nothing of the patient. Returns its path."""
        from LiverAILib.export.report import report_csv, report_json

        shown, opinions, lesions = self._content()
        now = datetime.now().astimezone().strftime("%Y-%m-%d-%H%M%S")
        path = Path(self._folder()) / f"report-{now}.{kind}"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if kind == "csv":
                path.write_text(report_csv(shown.findings, opinions), encoding="utf-8")
            elif kind == "json":
                path.write_text(report_json(shown.findings, opinions), encoding="utf-8")
            else:
                page = html_page(shown, opinions, lesions)
                if kind == "html":
                    path.write_text(page, encoding="utf-8")
                else:
                    write_pdf(page, path)
            if path.stat().st_size == 0:
                raise OutputError(tr("{name} is empty. Is the disk full?").format(name=path))
        except OSError as error:
            text = tr("{name} can't be written ({reason}). Choose another folder for results.")
            raise OutputError(text.format(name=path, reason=error.strerror)) from error
        self.note.text = tr("Written: {path}").format(path=path)
        return path


def html_page(shown, opinions, lesions):
    """The report as HTML with pictures."""
    from LiverAILib.export.report_html import report_html
    from LiverAILib.scene.pictures_of_lesions import lesion_pictures

    return report_html(shown.findings, opinions, lesion_pictures(shown, lesions))


def write_pdf(page, path):
    """Print a simple HTML page to a PDF file."""
    writer = qt.QPdfWriter(str(path))
    writer.setTitle("LiverAI report")
    document = qt.QTextDocument()
    document.setHtml(page)
    getattr(document, "print")(writer)  # noqa: B009 - in PythonQt it is only there as a name in a string
