"""The whole data set as a folder of CSV files and protocol.json; nothing is lost, so that it reads back equal.

An empty field is "not known" or "not asked". Positions are z, y, x in mm, probabilities fractions, times seconds.
"""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from LiverAILib.lesion_types import LesionType
from LiverAILib.readerstudy.dataset import (
    AiResult,
    Answer,
    Box,
    Case,
    Dataset,
    DatasetError,
    LesionMask,
    Mark,
    Override,
    Point,
    ProtocolFacts,
    Reader,
    TrueLesion,
    Verdict,
)

PROTOCOL = "protocol.json"
_YES_NO = {True: "yes", False: "no", None: ""}
Row = dict[str, str]
T = TypeVar("T")


def write_long(folder: Path, data: Dataset) -> None:
    """Write all files into an existing folder."""
    facts = TypeAdapter(ProtocolFacts).dump_python(data.protocol, mode="json")
    (folder / PROTOCOL).write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    _write(folder, "cases", (_case_row(case) for case in data.cases))
    _write(folder, "lesions", (_lesion_row(case, lesion) for case in data.cases for lesion in case.lesions or ()))
    readers = ({"reader": r.code, "experience_years": _text(r.experience_years)} for r in data.readers)
    _write(folder, "readers", readers)
    _write(folder, "answers", (_answer_row(answer) for answer in data.answers))
    answers = ((_place(answer), mark) for answer in data.answers for mark in answer.marks or ())
    _write(folder, "marks", ({**place, **_mark_row(mark)} for place, mark in answers))
    _write(folder, "ai", (_ai_row(result) for result in data.ai))
    machine = ({"case": result.case, **_mark_row(mark)} for result in data.ai for mark in result.marks or ())
    _write(folder, "ai_marks", machine)
    overrides = (
        {"utc": o.utc, "rule": o.rule, "reader": o.reader, "case": o.case or "", "reason": o.reason}
        for o in data.overrides
    )
    _write(folder, "overrides", overrides)


def read_long(folder: Path) -> Dataset:
    """Read such a folder. Raises DatasetError, naming file and line, for what is missing or damaged."""
    try:
        protocol = TypeAdapter(ProtocolFacts).validate_json((folder / PROTOCOL).read_bytes())
    except FileNotFoundError:
        raise DatasetError(f"{folder} is not an exported study: {PROTOCOL} is missing.") from None
    except ValidationError as error:
        raise DatasetError(f"{PROTOCOL} is damaged: {error.errors()[0]['msg']}.") from None
    lesions, marks = defaultdict(list), defaultdict(list)
    for row in _read(folder, "lesions"):
        lesions[row["case"]].append(_lesion(row))
    for row in _read(folder, "marks"):
        marks[row["reader"], row["arm"], row["case"]].append(_mark(row))
    machine = defaultdict(list)
    for row in _read(folder, "ai_marks"):
        machine[row["case"]].append(_mark(row))
    return Dataset(
        protocol=protocol,
        cases=tuple(_case(row, lesions[row["case"]]) for row in _read(folder, "cases")),
        readers=tuple(
            Reader(code=row["reader"], experience_years=_number(row["experience_years"]))
            for row in _read(folder, "readers")
        ),
        answers=tuple(_answer(row, marks[row["reader"], row["arm"], row["case"]]) for row in _read(folder, "answers")),
        ai=tuple(_ai(row, machine[row["case"]]) for row in _read(folder, "ai")),
        overrides=tuple(
            Override(utc=r["utc"], rule=r["rule"], reader=r["reader"], reason=r["reason"], case=r["case"] or None)
            for r in _read(folder, "overrides")
        ),
    )


_COLUMNS: dict[str, tuple[str, ...]] = {
    "cases": ("case", "hcc", "verdict", "type", "lesions_known"),
    "lesions": ("case", "lesion", "type", *"zyx", "z0", "y0", "x0", "z1", "y1", "x1", "mask", "label", "layer"),
    "readers": ("reader", "experience_years"),
    "answers": (
        *("reader", "arm", "case", "period", "hcc", "verdict", "type", "p_hcc", "p_malignant", "confidence"),
        *("marks_asked", "active_seconds", "wall_seconds", "overlays"),
    ),
    "marks": ("reader", "arm", "case", "confidence", "type", *"zyx", "z0", "y0", "x0", "z1", "y1", "x1"),
    "ai": (
        *("case", "hcc", "verdict", "type", "p_hcc", "p_malignant", "marks_made", "low_risk"),
        *(f"p_type_{kind.value}" for kind in LesionType),
    ),
    "ai_marks": ("case", "confidence", "type", *"zyx", "z0", "y0", "x0", "z1", "y1", "x1"),
    "overrides": ("utc", "rule", "reader", "case", "reason"),
}


def _write(folder: Path, name: str, rows: Iterable[Mapping[str, str]]) -> None:
    with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, _COLUMNS[name], restval="")
        writer.writeheader()
        writer.writerows(rows)


def _read(folder: Path, name: str) -> Iterable[Row]:
    path = folder / f"{name}.csv"
    if not path.is_file():
        raise DatasetError(f"{folder} is not a complete exported study: {path.name} is missing.")
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        lacking = set(_COLUMNS[name]) - set(rows.fieldnames or ())
        if lacking:
            raise DatasetError(f"{path.name} lacks the column {min(lacking)}.")
        for row in rows:
            if any(row[column] is None for column in _COLUMNS[name]):
                raise DatasetError(f"{path.name}, line {rows.line_num}: the line is cut short.")
            yield row


def _text(value: float | None) -> str:
    return "" if value is None else repr(value)


def _number(text: str) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        raise DatasetError(f'"{text}" is no number. Check the tables.') from None


def _truth(text: str) -> bool | None:
    if text not in ("yes", "no", ""):
        raise DatasetError(f'"{text}" is neither yes nor no nor empty. Check the tables.')
    return {"yes": True, "no": False}.get(text)


def _named(kind: type[T], text: str) -> T | None:
    try:
        return kind(text) if text else None  # type: ignore[call-arg]
    except ValueError:
        raise DatasetError(f'"{text}" is no {kind.__name__}. Check the tables.') from None


def _point_row(point: Point | None, suffix: str = "") -> Row:
    return {} if point is None else {f"{axis}{suffix}": repr(v) for axis, v in zip("zyx", point, strict=True)}


def _box_row(box: Box | None) -> Row:
    return {} if box is None else {**_point_row(box[0], "0"), **_point_row(box[1], "1")}


def _point(row: Row, suffix: str = "") -> Point | None:
    z, y, x = (_number(row[f"{axis}{suffix}"]) for axis in "zyx")
    return None if z is None or y is None or x is None else (z, y, x)


def _box(row: Row) -> Box | None:
    low, high = _point(row, "0"), _point(row, "1")
    return None if low is None or high is None else (low, high)


def _case_row(case: Case) -> Row:
    return {
        "case": case.id,
        "hcc": _YES_NO[case.hcc],
        "verdict": case.verdict or "",
        "type": case.type or "",
        "lesions_known": _YES_NO[case.lesions is not None],
    }


def _case(row: Row, lesions: list[TrueLesion]) -> Case:
    return Case(
        id=row["case"],
        hcc=_truth(row["hcc"]),
        verdict=_named(Verdict, row["verdict"]),
        type=_named(LesionType, row["type"]),
        lesions=tuple(lesions) if _truth(row["lesions_known"]) else None,
    )


def _lesion_row(case: Case, lesion: TrueLesion) -> Row:
    row = {"case": case.id, "lesion": lesion.id, "type": lesion.type or ""}
    row |= {**_point_row(lesion.centre), **_box_row(lesion.box)}
    if lesion.mask is not None:
        row |= {"mask": str(lesion.mask.path), "label": str(lesion.mask.label), "layer": str(lesion.mask.layer)}
    return row


def _lesion(row: Row) -> TrueLesion:
    mask = None
    if row["mask"]:
        label, layer = _number(row["label"]) or 0, _number(row["layer"]) or 0
        mask = LesionMask(path=Path(row["mask"]), label=int(label), layer=int(layer))
    return TrueLesion(
        id=row["lesion"], type=_named(LesionType, row["type"]), centre=_point(row), box=_box(row), mask=mask
    )


def _place(answer: Answer) -> Row:
    return {"reader": answer.reader, "arm": answer.arm, "case": answer.case}


def _mark_row(mark: Mark) -> Row:
    row = {"confidence": repr(mark.confidence), "type": mark.type or ""}
    return {**row, **_point_row(mark.point), **_box_row(mark.box)}


def _mark(row: Row) -> Mark:
    confidence = _number(row["confidence"])
    if confidence is None:
        raise DatasetError("A mark has no confidence. Check the tables.")
    return Mark(confidence=confidence, point=_point(row), box=_box(row), type=_named(LesionType, row["type"]))


def _answer_row(answer: Answer) -> Row:
    return {
        **_place(answer),
        "period": str(answer.period),
        "hcc": _YES_NO[answer.hcc],
        "verdict": answer.verdict or "",
        "type": answer.type or "",
        "p_hcc": _text(answer.p_hcc),
        "p_malignant": _text(answer.p_malignant),
        "confidence": _text(answer.confidence),
        "marks_asked": _YES_NO[answer.marks is not None],
        "active_seconds": _text(answer.active_seconds),
        "wall_seconds": _text(answer.wall_seconds),
        "overlays": ";".join(answer.overlays),
    }


def _answer(row: Row, marks: list[Mark]) -> Answer:
    return Answer(
        reader=row["reader"],
        arm=row["arm"],
        case=row["case"],
        period=int(_number(row["period"]) or 1),
        hcc=_truth(row["hcc"]),
        verdict=_named(Verdict, row["verdict"]),
        type=_named(LesionType, row["type"]),
        p_hcc=_number(row["p_hcc"]),
        p_malignant=_number(row["p_malignant"]),
        confidence=_number(row["confidence"]),
        marks=tuple(marks) if _truth(row["marks_asked"]) else None,
        active_seconds=_number(row["active_seconds"]),
        wall_seconds=_number(row["wall_seconds"]),
        overlays=tuple(row["overlays"].split(";")) if row["overlays"] else (),
    )


def _ai_row(result: AiResult) -> Row:
    given: Mapping[Any, float] = result.type_probabilities or {}
    return {
        "case": result.case,
        "hcc": _YES_NO[result.hcc],
        "verdict": result.verdict or "",
        "type": result.type or "",
        "p_hcc": _text(result.p_hcc),
        "p_malignant": _text(result.p_malignant),
        "marks_made": _YES_NO[result.marks is not None],
        "low_risk": _YES_NO[result.low_risk],
        **{f"p_type_{kind.value}": _text(given.get(kind)) for kind in LesionType},
    }


def _ai(row: Row, marks: list[Mark]) -> AiResult:
    given = {kind: p for kind in LesionType if (p := _number(row[f"p_type_{kind.value}"])) is not None}
    return AiResult(
        case=row["case"],
        hcc=_truth(row["hcc"]),
        verdict=_named(Verdict, row["verdict"]),
        type=_named(LesionType, row["type"]),
        p_hcc=_number(row["p_hcc"]),
        p_malignant=_number(row["p_malignant"]),
        marks=tuple(marks) if _truth(row["marks_made"]) else None,
        low_risk=_truth(row["low_risk"]),
        type_probabilities=given or None,
    )
