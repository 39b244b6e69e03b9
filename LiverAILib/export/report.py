"""What a reader takes away: the program's findings and the reader's opinions, side by side, as text, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json

from LiverAILib.findings import Findings
from LiverAILib.lesion_types import LesionType
from LiverAILib.opinions import Call, Opinions, ReadLesion, read_lesions
from LiverAILib.study import Phase

NOTICE = "Research use only. Not for diagnosis."
REPORT_SCHEMA = 1


def report_json(findings: Findings, opinions: Opinions) -> str:
    """Everything, for programs: {"report_schema", "notice", "findings", "opinions"}."""
    content = {
        "report_schema": REPORT_SCHEMA,
        "notice": NOTICE,
        "findings": findings.model_dump(mode="json"),
        "opinions": opinions.model_dump(mode="json"),
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def report_csv(findings: Findings, opinions: Opinions) -> str:
    """One line per lesion, the program's and the reader's words in columns of their own; empty cells are unknown."""
    phases = [phase for phase in Phase if phase in findings.phases]
    columns = ["id", "name", "drawn_by", "volume_ml", "diameter_mm", "perpendicular_mm"]
    columns += [f"hu_{phase}" for phase in phases]
    columns += [
        "centre_l_mm",
        "centre_p_mm",
        "centre_s_mm",
        "found_in",
        "lesion_probability",
        "ai_type",
        "ai_malignancy",
    ]
    columns += ["ai_verdict", *(f"ai_{kind}" for kind in LesionType), "reader_call", "reader_type", "reader_name"]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    for one in read_lesions(findings, opinions):
        lesion, known = one.lesion, one.lesion.type_probabilities or {}
        writer.writerow(
            [
                lesion.id,
                _safe(lesion.name),
                "reader" if one.by_reader else "ai",
                round(lesion.volume_ml, 3),
                lesion.diameter_mm,
                lesion.perpendicular_mm,
                *(lesion.mean_hu.get(phase, "") for phase in phases),
                *lesion.centre_lps_mm,
                " ".join(lesion.found_in),
                "" if one.by_reader else lesion.probability,
                lesion.likeliest_type or "",
                _number(lesion.malignancy),
                lesion.verdict or "",
                *(_number(known.get(kind)) for kind in LesionType),
                "" if one.opinion.call is Call.OPEN else one.opinion.call,
                one.opinion.type or "",
                _safe(one.opinion.name or ""),
            ]
        )
    return stream.getvalue()


def report_text(findings: Findings, opinions: Opinions) -> str:
    """A structured report in plain text, to be pasted where reports are written."""
    lesions = read_lesions(findings, opinions)
    phases = [phase.words for phase in Phase if phase in findings.phases]
    lines = ["LIVER CT, COMPUTER-ASSISTED READING", NOTICE, "", "TECHNIQUE"]
    lines.append(
        f"CT of the liver, phases: {', '.join(phases)}. Measured on the {findings.reference_phase.words} phase."
    )
    lines += ["", "LIVER", f"Volume {findings.liver_ml:.0f} ml.", "", "LESIONS"]
    kept = [one for one in lesions if not one.rejected]
    lines += [f"{number}. {lesion_sentence(one)}" for number, one in enumerate(kept, start=1)] or ["None."]
    rejected = [one for one in lesions if one.rejected]
    if rejected:
        lines += ["", "REJECTED BY THE READER", *(f"- {lesion_sentence(one)}" for one in rejected)]
    lines += ["", "READING", *reading_lines(findings)]
    if findings.warnings:
        lines += ["", "LIMITATIONS", *(f"- {warning}" for warning in findings.warnings)]
    models = ", ".join(f"{model.name} {model.version}" for model in findings.models)
    lines += ["", f"LiverAI {findings.software_version}, {models}, {findings.created_utc}."]
    return "\n".join(lines) + "\n"


def lesion_sentence(one: ReadLesion) -> str:
    """A lesion in one line: size, HU, what the program says, what the reader says."""
    lesion = one.lesion
    parts = [f"{lesion.diameter_mm:.0f} x {lesion.perpendicular_mm:.0f} mm, {lesion.volume_ml:.1f} ml"]
    if lesion.mean_hu:
        parts.append(", ".join(f"{phase.words} {hu:.0f} HU" for phase, hu in lesion.mean_hu.items()))
    kind = lesion.likeliest_type
    if kind is not None and lesion.type_probabilities is not None and lesion.malignancy is not None:
        said = f"program: {kind.full_name} ({100 * lesion.type_probabilities[kind]:.0f}%), "
        said += f"malignancy {100 * lesion.malignancy:.0f}%"
        parts.append(said if lesion.verdict is None else f"{said}, {lesion.verdict}")
    reader = reader_words(one)
    if reader:
        parts.append(f"reader: {reader}")
    return f"{one.name}: {'; '.join(parts)}."


def reader_words(one: ReadLesion) -> str:
    """What the reader said of a lesion; empty if nothing."""
    words = ["drawn by the reader"] if one.by_reader else []
    words += [] if one.opinion.call is Call.OPEN else [str(one.opinion.call)]
    words += [] if one.opinion.type is None else [one.opinion.type.full_name]
    words += [f"named {one.opinion.name}"] if one.opinion.name else []
    return ", ".join(words)


def reading_lines(findings: Findings) -> list[str]:
    """The patient's reading and the risk score; what is missing is said."""
    if findings.reading is not None:
        lines = [findings.reading.reason]
    elif any(lesion.type_probabilities for lesion in findings.lesions):
        lines = ["No reading of the patient; the notes say why."]
    else:
        lines = ["Lesions were not classified."]
    if findings.typed_together:
        lines.append("Lesions were typed together: what one seems to be counts for the others.")
    risk = findings.hcc_risk
    if risk is None:
        return [*lines, "No HCC risk score."]
    score = f"HCC risk score {risk.unscaled:.3f} ({risk.printed:.5f} as printed in the paper; {risk.images} images)"
    if risk.hcc is not None:
        score += f", {'at or over' if risk.hcc else 'under'} the threshold of {risk.threshold:.3f}"
    return [*lines, f"{score}."]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _safe(text: str) -> str:
    """Text that a spreadsheet does not take for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
