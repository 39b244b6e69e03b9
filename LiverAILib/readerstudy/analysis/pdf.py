"""The report as PDF: text and tables in a fixed-width face on A4 pages, plots as vectors."""

from __future__ import annotations

import contextlib
import logging
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from LiverAILib.readerstudy.analysis.tables import Cell, Refusal, Report, Section, Table, lines, methods

PAGE_INCHES = (11.69, 8.27)
#: Characters in a line and lines on a page at the size of the text.
WIDTH, HEIGHT = 168, 76
_TEXT_SIZE = 7.4
_LEFT, _TOP = 0.045, 0.955
_GAP = 2
_CELL = 22
_LEAST_ROOM = 8
#: The fonts that every PDF reader has: nothing is embedded, and the text is drawn 20 times as fast.
_FONTS = {
    "pdf.use14corefonts": True,
    "font.family": "Helvetica",
    "font.weight": "medium",
    "axes.labelweight": "medium",
    "axes.titleweight": "medium",
    "axes.unicode_minus": False,
}


def _latin(text: str) -> str:
    """The text with what those fonts lack as question marks."""
    return text.encode("latin-1", "replace").decode("latin-1")


def _wrapped(text: str, width: int = WIDTH, indent: str = "") -> list[str]:
    return textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=indent) or [""]


def _cell_lines(cell: Cell | None, width: int, letters: dict[str, str]) -> list[str]:
    if cell is None:
        return []
    if isinstance(cell.content, Refusal):
        return textwrap.wrap(cell.content.text, width)
    first, *rest = lines(cell.content)
    letter = letters.get(methods((cell,))[0], "")
    found = [f"{first} [{letter}]" if letter else first]
    for line in rest:
        found += textwrap.wrap(line, width)
    return found


def _blocks(table: Table) -> Iterator[list[str]]:
    """The table's head and rows as blocks of lines; columns that don't fit beside each other come below."""
    known = methods(table.cells)
    letters = {method: str(k) for k, method in enumerate(known, 1)} if len(known) > 1 else {}
    by_place = {(cell.row, cell.column): cell for cell in table.cells}
    first = max(14, min(40, max(len(name) for name in (*table.rows, table.rows_are))))
    columns = list(table.columns)
    at_once = max(1, (WIDTH - first) // (_CELL + _GAP))
    for start in range(0, len(columns), at_once):
        chosen = columns[start : start + at_once]
        yield ["", *_rows(table.rows_are, [textwrap.wrap(name, _CELL) for name in chosen], first), "-" * WIDTH]
        for row in table.rows:
            cells = [by_place.get((row, name)) for name in chosen]
            if any(cells):
                yield [*_rows(row, [_cell_lines(cell, _CELL, letters) for cell in cells], first), ""]
    notes = [f"[{letters[method]}] {method}" if letters else method for method in known]
    yield [*(line for note in (*notes, *table.notes) for line in _wrapped(note, indent="  "))]


def _rows(name: str, cells: Sequence[list[str]], first: int) -> list[str]:
    names = textwrap.wrap(name, first)
    found = []
    for k in range(max(len(names), *(len(cell) for cell in cells), 1)):
        parts = [(names[k] if k < len(names) else "").ljust(first)]
        parts += [(cell[k] if k < len(cell) else "").ljust(_CELL) for cell in cells]
        found.append((" " * _GAP).join(parts).rstrip())
    return found


def _section_blocks(number: int, section: Section) -> Iterator[list[str]]:
    yield ["", f"{number}. {section.title}".upper(), "=" * WIDTH]
    for text in section.text:
        yield [*_wrapped(text), ""]
    for name, value in section.facts:
        yield textwrap.wrap(f"{name}: {value}", WIDTH, subsequent_indent="    ")
    for table in section.tables:
        head, *rest = _blocks(table)
        yield ["", *_wrapped(table.title), *head]
        yield from rest


def pages_of(report: Report) -> Iterator[list[str]]:
    """The report's text by pages of at most HEIGHT lines; a block is only cut if it is longer than a page."""
    page: list[str] = [report.title, report.subtitle, ""]
    for remark in report.remarks:
        page += _wrapped(f"! {remark}")
    for number, section in enumerate(report.sections, 1):
        for block in _section_blocks(number, section):
            title = len(block) > 1 and block[1].startswith(f"{number}. ") and HEIGHT - len(page) < _LEAST_ROOM
            if page and (title or len(page) + len(block) > HEIGHT):
                yield page
                page = []
            while len(block) > HEIGHT:
                yield block[:HEIGHT]
                block = block[HEIGHT:]
            page += block
    if page:
        yield page


@contextlib.contextmanager
def _quiet_fonts() -> Iterator[None]:
    """matplotlib warns that a font for formulas, of which there are none here, comes in one weight only."""
    log = logging.getLogger("matplotlib.font_manager")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


def write_pdf(path: Path, report: Report) -> None:
    """Write all text pages, then the plots, one a page."""
    import matplotlib as mpl
    from matplotlib.backends.backend_pdf import PdfPages
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    pages = list(pages_of(report))
    pictures = [picture for section in report.sections for picture in section.pictures]
    total = len(pages) + len(pictures)
    with (
        _quiet_fonts(),
        mpl.rc_context(_FONTS),
        PdfPages(path, metadata={"Title": report.title, "Creator": "LiverAI", "CreationDate": None}) as file,
    ):
        for number, page in enumerate(pages, 1):
            sheet = Figure(figsize=PAGE_INCHES)
            sheet.text(
                _LEFT, _TOP, _latin("\n".join(page)), family="Courier", size=_TEXT_SIZE, va="top", linespacing=1.2
            )
            sheet.text(_LEFT, 0.02, f"Research use only. Not for diagnosis.   {number} / {total}", size=6.5)
            file.savefig(sheet)
        for number, picture in enumerate(pictures, len(pages) + 1):
            width, height = picture.inches
            scale = min(1.0, 9.5 / width, 6.4 / height)
            across, up = width * scale / PAGE_INCHES[0], height * scale / PAGE_INCHES[1]
            place = ConstrainedLayoutEngine(rect=(0.5 - across / 2, 0.52 - up / 2, across, up))
            sheet = Figure(figsize=PAGE_INCHES, layout=place)
            picture.draw(sheet)
            sheet.text(_LEFT, 0.94, picture.title, size=11, weight="bold")
            sheet.text(_LEFT, 0.06, "\n".join(textwrap.wrap(picture.caption, 150)), size=8, va="bottom")
            sheet.text(_LEFT, 0.02, f"Research use only. Not for diagnosis.   {number} / {total}", size=6.5)
            file.savefig(sheet)
