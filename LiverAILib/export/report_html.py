"""The report as one HTML page with its pictures inside; simple enough for Qt to print it as a PDF."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping

from LiverAILib.export.report import NOTICE, reader_words, reading_lines
from LiverAILib.findings import Findings
from LiverAILib.lesion_types import LesionType
from LiverAILib.opinions import Opinions, ReadLesion, read_lesions
from LiverAILib.study import Phase

_STYLE = """
body { font-family: sans-serif; font-size: 10pt; color: #1c2127; background: #ffffff; max-width: 60em; }
h1 { font-size: 16pt; } h2 { font-size: 12pt; margin-top: 14pt; } h3 { font-size: 11pt; margin-bottom: 2pt; }
table { border-collapse: collapse; } th, td { padding: 2pt 7pt; text-align: left; border-bottom: 1px solid #c9ced6; }
.notice { color: #9a3412; font-weight: bold; } .faint { color: #5b6472; font-size: 9pt; }
"""


def report_html(findings: Findings, opinions: Opinions, pictures: Mapping[str, bytes]) -> str:
    """pictures: a JPEG by lesion id; a lesion without one is described in words."""
    lesions = read_lesions(findings, opinions)
    phases = [phase for phase in Phase if phase in findings.phases]
    basis = f"Liver {findings.liver_ml:.0f} ml. Phases: {', '.join(phase.words for phase in phases)}; measured on the "
    parts = [
        f'<html><head><meta charset="utf-8"><title>LiverAI report</title><style>{_STYLE}</style></head><body>',
        "<h1>Liver CT, computer-assisted reading</h1>",
        f'<p class="notice">{NOTICE}</p>',
        "<h2>Reading</h2>",
        *(f"<p>{html.escape(line)}</p>" for line in reading_lines(findings)),
        f"<p>{basis}{findings.reference_phase.words} phase.</p>",
        "<h2>Lesions</h2>",
        _table(lesions, phases),
        *(_lesion(one, pictures.get(one.lesion.id)) for one in lesions),
    ]
    if findings.warnings:
        parts.append("<h2>Limitations</h2><ul>")
        parts += [f"<li>{html.escape(warning)}</li>" for warning in findings.warnings]
        parts.append("</ul>")
    models = ", ".join(f"{model.name} {model.version} ({model.sha256[:12]})" for model in findings.models)
    parts.append(
        f'<p class="faint">LiverAI {html.escape(findings.software_version)}, {html.escape(models)}, '
        f"{html.escape(findings.device)}, {html.escape(findings.created_utc)}. {NOTICE}</p></body></html>"
    )
    return "\n".join(parts)


def _table(lesions: list[ReadLesion], phases: list[Phase]) -> str:
    if not lesions:
        return "<p>None.</p>"
    titles = ["Lesion", "Type", "Malignancy", "ml", "mm", *(f"{phase.words} HU" for phase in phases), "Reader"]
    rows = ["<tr>" + "".join(f"<th>{title}</th>" for title in titles) + "</tr>"]
    for one in lesions:
        lesion = one.lesion
        malignancy = "" if lesion.malignancy is None else f"{100 * lesion.malignancy:.0f}%"
        values = [
            html.escape(one.name),
            one.program_type.full_name if one.program_type is not None else "",
            malignancy,
            f"{lesion.volume_ml:.1f}",
            f"{lesion.diameter_mm:.0f} x {lesion.perpendicular_mm:.0f}",
            *(f"{lesion.mean_hu[phase]:.0f}" if phase in lesion.mean_hu else "" for phase in phases),
            html.escape(reader_words(one)),
        ]
        rows.append("<tr>" + "".join(f"<td>{value}</td>" for value in values) + "</tr>")
    return "<table>" + "".join(rows) + "</table>"


def _lesion(one: ReadLesion, picture: bytes | None) -> str:
    lesion = one.lesion
    parts = [f"<h3>{html.escape(one.name)}</h3>"]
    if picture is not None:
        data = base64.b64encode(picture).decode("ascii")
        parts.append(f'<p><img src="data:image/jpeg;base64,{data}"></p>')
    if lesion.type_probabilities is not None:
        shares = ", ".join(
            f"{kind.full_name} {100 * lesion.type_probabilities[kind]:.0f}%"
            for kind in sorted(LesionType, key=lambda kind: -(lesion.type_probabilities or {})[kind])
        )
        parts.append(f"<p>Program: {shares}.</p>")
    if lesion.approximate_in:
        phases = ", ".join(phase.words for phase in lesion.approximate_in)
        parts.append(f'<p class="faint">Its outline is a guess in: {phases}.</p>')
    reader = reader_words(one)
    if reader:
        parts.append(f"<p>Reader: {html.escape(reader)}.</p>")
    return "".join(parts)
