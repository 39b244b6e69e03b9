"""The report as one HTML file that needs nothing else: no script, no network, pictures inside."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from html import escape

from LiverAILib.readerstudy.analysis.tables import Cell, Refusal, Report, Section, Table, lines, methods

_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; color: #1c1c1e; background: #fff;
  margin: 0 auto; padding: 1.5rem 2rem 4rem; max-width: 76rem; }
h1 { font-size: 1.6rem; margin: 0 0 .2rem; } h2 { font-size: 1.25rem; margin: 2.6rem 0 .6rem; padding-top: .6rem;
  border-top: 1px solid #ddd; } h3 { font-size: 1rem; margin: 1.6rem 0 .4rem; }
p { margin: .4rem 0; max-width: 60rem; } .sub { color: #555; }
.remarks { background: #fff6e0; border-left: 4px solid #d98c00; padding: .5rem 1rem; margin: 1rem 0; }
.remarks p { margin: .25rem 0; }
nav ol { columns: 2; max-width: 50rem; padding-left: 1.4rem; margin: .5rem 0; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .82rem; }
th, td { border-bottom: 1px solid #e3e3e6; padding: .3rem .6rem; text-align: left; vertical-align: top; }
thead th { border-bottom: 2px solid #888; vertical-align: bottom; background: #f6f6f8; min-width: 6rem; }
tbody th { font-weight: 600; white-space: nowrap; background: #fff; position: sticky; left: 0; }
td { font-variant-numeric: tabular-nums; } td b { font-size: .95rem; font-weight: 600; }
td span { display: block; white-space: nowrap; color: #444; } td .n { color: #777; font-size: .76rem; }
td.refused { color: #8a4b00; font-style: italic; max-width: 22rem; min-width: 9rem; } sup { color: #777; }
.notes { font-size: .8rem; color: #555; } .notes p { margin: .15rem 0; max-width: 70rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; margin: .6rem 0; }
dt { color: #555; } dd { margin: 0; overflow-wrap: anywhere; }
figure { margin: 1.2rem 0; } figure img { max-width: 100%; height: auto; }
figcaption { font-size: .85rem; color: #555; }
footer { margin-top: 3rem; color: #777; font-size: .8rem; }
@media print { body { max-width: none; padding: 0; } .scroll { overflow: visible; } }
"""


def report_html(report: Report, pictures: Mapping[str, bytes]) -> str:
    """The file's text. pictures: PNG by key."""
    numbered = list(enumerate(report.sections, 1))
    contents = "".join(f'<li><a href="#s{k}">{escape(section.title)}</a></li>' for k, section in numbered)
    remarks = "".join(f"<p>{escape(remark)}</p>" for remark in report.remarks)
    body = "".join(_section(k, section, pictures) for k, section in numbered)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(report.title)}</title><style>{_STYLE}</style></head><body>"
        f'<h1>{escape(report.title)}</h1><p class="sub">{escape(report.subtitle)}</p>'
        f'<div class="remarks">{remarks}</div><nav><ol>{contents}</ol></nav>{body}'
        "<footer>LiverAI. Research use only. Not for diagnosis.</footer></body></html>\n"
    )


def _section(number: int, section: Section, pictures: Mapping[str, bytes]) -> str:
    parts = [f'<h2 id="s{number}">{number}. {escape(section.title)}</h2>']
    parts += [f"<p>{escape(text)}</p>" for text in section.text]
    if section.facts:
        rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in section.facts)
        parts.append(f"<dl>{rows}</dl>")
    parts += [_table(table) for table in section.tables]
    for picture in section.pictures:
        data = base64.b64encode(pictures[picture.key]).decode()
        parts.append(
            f'<figure><h3>{escape(picture.title)}</h3><img alt="{escape(picture.title, quote=True)}" '
            f'src="data:image/png;base64,{data}"><figcaption>{escape(picture.caption)}</figcaption></figure>'
        )
    return "\n".join(parts)


def _table(table: Table) -> str:
    known = methods(table.cells)
    letters = {method: str(k) for k, method in enumerate(known, 1)} if len(known) > 1 else {}
    by_place = {(cell.row, cell.column): cell for cell in table.cells}
    head = "".join(f"<th>{escape(column)}</th>" for column in table.columns)
    rows = []
    for row in table.rows:
        cells = [by_place.get((row, column)) for column in table.columns]
        data = "".join(_cell(cell, letters, before) for cell, before in zip(cells, [None, *cells], strict=False))
        rows.append(f"<tr><th>{escape(row)}</th>{data}</tr>")
    notes = [f"<sup>{letters[method]}</sup> {escape(method)}" if letters else escape(method) for method in known]
    notes += [escape(note) for note in table.notes]
    notes.append(f"Table as file: {escape(table.key)}.csv")
    return (
        f"<h3>{escape(table.title)}</h3>"
        f'<div class="scroll"><table><thead><tr><th>{escape(table.rows_are)}</th>{head}</tr></thead>'
        f'<tbody>{"".join(rows)}</tbody></table></div><div class="notes">{"".join(f"<p>{n}</p>" for n in notes)}</div>'
    )


def _cell(cell: Cell | None, letters: Mapping[str, str], before: Cell | None) -> str:
    if cell is None:
        return "<td></td>"
    if isinstance(cell.content, Refusal):
        if before is not None and before.content == cell.content:
            return '<td class="refused">as on the left</td>'
        return f'<td class="refused">{escape(cell.content.text)}</td>'
    first, *middle, last = lines(cell.content)
    letter = letters.get(methods((cell,))[0])
    mark = f"<sup>{letter}</sup>" if letter else ""
    inner = "".join(f"<span>{escape(line)}</span>" for line in middle)
    return f'<td><b>{escape(first)}</b>{mark}{inner}<span class="n">{escape(last)}</span></td>'
