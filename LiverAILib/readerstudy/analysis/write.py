"""The report's folder: complete or not there at all."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

from LiverAILib.errors import OutputError
from LiverAILib.export.place import reserve
from LiverAILib.readerstudy.analysis.csv_tables import write_table
from LiverAILib.readerstudy.analysis.html import report_html
from LiverAILib.readerstudy.analysis.pdf import write_pdf
from LiverAILib.readerstudy.analysis.tables import Picture, Report

HTML, PDF = "report.html", "report.pdf"
_SPACE = 64 << 20
_DPI = 110


def check_plotting() -> None:
    """Raise OutputError if matplotlib is not installed."""
    if find_spec("matplotlib") is None:
        raise OutputError("The report's plots need matplotlib, which is not installed. Say: pip install matplotlib")


def draw_png(picture: Picture) -> bytes:
    """The plot as PNG."""
    from matplotlib.figure import Figure

    canvas = Figure(figsize=picture.inches, layout="constrained")
    picture.draw(canvas)
    file = io.BytesIO()
    canvas.savefig(file, format="png", dpi=_DPI)
    return file.getvalue()


def is_report(folder: Path) -> bool:
    """Whether a folder holds a report and nothing else, so that it may be replaced."""
    names = {entry.name for entry in folder.iterdir()}
    return HTML in names and all(name in (HTML, PDF) or name.endswith(".csv") for name in names)


@contextlib.contextmanager
def reserve_report(out: Path, *, overwrite: bool = False) -> Iterator[Callable[[Report], None]]:
    """Hold the report's place while it is computed; yields what writes it there.

    Raises OutputError if the folder is there already (unless it is a report and `overwrite`), the disk is full, or
    matplotlib is missing.
    """
    check_plotting()
    with reserve(out, overwrite=overwrite, replaceable=is_report) as place:
        place.require_space(_SPACE)
        yield lambda report: place.fill(lambda folder: _fill(folder, report), overwrite)


def write_report(report: Report, out: Path, *, overwrite: bool = False) -> None:
    """Write report.html, report.pdf and a CSV for each table; see `reserve_report` for what it raises."""
    with reserve_report(out, overwrite=overwrite) as write:
        write(report)


def _fill(folder: Path, report: Report) -> None:
    pictures = {p.key: draw_png(p) for section in report.sections for p in section.pictures}
    (folder / HTML).write_text(report_html(report, pictures), encoding="utf-8")
    write_pdf(folder / PDF, report)
    for section in report.sections:
        for table in section.tables:
            write_table(folder / f"{table.key}.csv", table)
