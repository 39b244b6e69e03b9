"""The Excel layout of the R package RJafroc: sheets TRUTH, TP and FP of a free-response study, and KEY with our ids.

Read it there with DfReadDataFile(file, newExcelFileFormat = TRUE). It knows no places: marks are scored by the hit rule
before they are written. A case without a mark and one that was not read look alike in it, so gaps are refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from LiverAILib.readerstudy.analysis.hits import score_study
from LiverAILib.readerstudy.analysis.select import Index
from LiverAILib.readerstudy.dataset import (
    Answer,
    Arm,
    Case,
    Dataset,
    DatasetError,
    HitRule,
    Mark,
    Point,
    ProtocolFacts,
    Reader,
    TrueLesion,
)
from LiverAILib.readerstudy.exchange.ratings import read_number
from LiverAILib.readerstudy.statistics.marks import NOT_MARKED, CaseMarks

#: arm, reader, case id: the scored marks.
Marks = Mapping[str, Mapping[str, Mapping[str, CaseMarks]]]

_TRUTH = ("CaseID", "LesionID", "Weight", "ReaderID", "ModalityID", "Paradigm")
_TP = ("ReaderID", "ModalityID", "CaseID", "LesionID", "TP_Rating")
_FP = ("ReaderID", "ModalityID", "CaseID", "FP_Rating")
_KEY = ("CaseID", "case")


#: Where imported lesions are put, since the layout knows no places: this far apart, false marks on the other side.
_APART_MM = 1000.0


def marks_of(data: Dataset) -> dict[str, dict[str, dict[str, CaseMarks]]]:
    """The readers' marks, scored by the protocol's hit rule. Raises StatisticsError without marks or places."""
    scored, cases = score_study(Index(data), data.protocol.hit_rule)
    return {
        arm: {
            reader: {case.id: m for case, m in zip(cases, scored[arm][reader], strict=True) if m is not None}
            for reader in data.reader_codes
        }
        for arm in data.arm_names
    }


def dataset_of_marks(marks: Marks, *, study: str, assisted: Sequence[str] = ()) -> Dataset:
    """A data set of scored marks. Their places are made up, with a hit rule by distance that gives the same scores.

    Ratings on another scale than 0 to 1 are stretched to it, which changes no figure.
    """
    arms = tuple(marks)
    readers = tuple(marks[arms[0]])
    first = marks[arms[0]][readers[0]]
    values = [
        rating
        for cells in marks.values()
        for cell in cells.values()
        for scored in cell.values()
        for rating in (*scored.lesion_ratings, *scored.false_ratings)
        if rating > NOT_MARKED
    ]
    low, high = (0.0, 1.0) if all(0 <= value <= 1 for value in values) else (min(values), max(values))

    def mark(rating: float, number: int) -> Mark:
        return Mark(confidence=(rating - low) / (high - low), point=_made_up(number))

    def answer(arm: str, reader: str, case: str, scored: CaseMarks) -> Answer:
        hits = [mark(r, k) for k, r in enumerate(scored.lesion_ratings, 1) if r > NOT_MARKED]
        misses = [mark(rating, -1) for rating in scored.false_ratings]
        return Answer(reader=reader, case=case, arm=arm, period=1, marks=(*hits, *misses))

    def lesions(scored: CaseMarks) -> tuple[TrueLesion, ...]:
        return tuple(TrueLesion(id=str(k), centre=_made_up(k)) for k, _ in enumerate(scored.lesion_ratings, 1))

    return Dataset(
        protocol=ProtocolFacts(
            study=study,
            arms=tuple(Arm(name=arm, assisted=arm in assisted) for arm in arms),
            hit_rule=HitRule(kind="distance", distance_mm=1.0),
        ),
        cases=tuple(Case(id=case, lesions=lesions(scored)) for case, scored in first.items()),
        readers=tuple(Reader(code=reader) for reader in readers),
        answers=tuple(
            answer(arm, reader, case, scored)
            for arm, cells in marks.items()
            for reader, cell in cells.items()
            for case, scored in cell.items()
        ),
    )


def _made_up(number: int) -> Point:
    return (number * _APART_MM, 0.0, 0.0)


def write_rjafroc(path: Path, marks: Marks) -> None:
    """Write the workbook. Raises DatasetError if arms, readers or cases are not crossed."""
    from openpyxl import Workbook

    arms = tuple(marks)
    readers = tuple(marks[arms[0]]) if arms else ()
    if not readers:
        raise DatasetError("There are no marks to write.")
    first = marks[arms[0]][readers[0]]
    numbers = {case: k for k, case in enumerate(first, 1)}
    for arm in arms:
        for reader in readers:
            if reader not in marks[arm] or set(marks[arm][reader]) != set(first):
                raise DatasetError(f"{reader} did not read all cases in {arm}; RJafroc's layout can't say so.")
    for name in (*arms, *readers):
        if "," in name:
            raise DatasetError(f'"{name}" has a comma in it, which this layout can\'t hold. Rename it.')
    book = Workbook()
    sheets: dict[str, Any] = {"TRUTH": book.active}
    sheets["TRUTH"].title = "TRUTH"
    for name, columns in (("TRUTH", _TRUTH), ("TP", _TP), ("FP", _FP), ("KEY", _KEY)):
        sheet = sheets.setdefault(name, None) or book.create_sheet(name)
        sheets[name] = sheet
        sheet.append(columns)
    paradigm = iter(("FROC", "FCTRL"))
    for case, number in numbers.items():
        lesions = len(first[case].lesion_ratings)
        for lesion in range(1, lesions + 1) if lesions else (0,):
            row = (number, lesion, 0, ", ".join(readers), ", ".join(arms), next(paradigm, None))
            sheets["TRUTH"].append(row)
        sheets["KEY"].append((number, case))
    for arm in arms:
        for reader in readers:
            for case, number in numbers.items():
                scored = marks[arm][reader][case]
                for lesion, rating in enumerate(scored.lesion_ratings, 1):
                    if rating > NOT_MARKED:
                        sheets["TP"].append((reader, arm, number, lesion, rating))
                for rating in scored.false_ratings:
                    sheets["FP"].append((reader, arm, number, rating))
    book.save(path)


def read_rjafroc(path: Path) -> dict[str, dict[str, dict[str, CaseMarks]]]:
    """Marks by arm, reader and case. Raises DatasetError for a workbook that is not in this layout."""
    from openpyxl import load_workbook

    try:
        book = load_workbook(path, read_only=True, data_only=True)
    except Exception as error:  # openpyxl lets the errors of zip and XML through
        raise DatasetError(f"{path.name} is not an Excel workbook, or it is damaged.") from error
    try:
        sheets = {sheet.title.upper(): [row for row in sheet.iter_rows(values_only=True) if any(row)] for sheet in book}
    finally:
        book.close()
    truth = _rows(path, sheets, ("TRUTH",), _TRUTH[:5])
    found_lesions = _rows(path, sheets, ("TP", "LL"), _TP[:4])
    false_marks = _rows(path, sheets, ("FP", "NL"), _FP[:3])
    if not truth:
        raise DatasetError(f"{path.name}: the sheet TRUTH has no case.")
    key = {str(row[0]): str(row[1]) for row in sheets.get("KEY", [])[1:]}
    lesions: dict[str, list[str]] = {}
    for row in truth:
        known = lesions.setdefault(str(row[0]), [])
        if str(row[1]) != "0":
            known.append(str(row[1]))
    readers, arms = ([name.strip() for name in str(truth[0][k]).split(",")] for k in (3, 4))
    ratings: dict[tuple[str, str, str, str], float] = {}
    false: dict[tuple[str, str, str], list[float]] = {}
    for row in found_lesions:
        place = (str(row[1]), str(row[0]), str(row[2]))
        _check_place(path, place, arms, readers, lesions)
        if str(row[3]) not in lesions[place[2]]:
            raise DatasetError(f"{path.name}, TP: case {place[2]} has no lesion {row[3]}.")
        where = (*place, str(row[3]))
        ratings[where] = max(ratings.get(where, NOT_MARKED), read_number(str(row[4]), f"{path.name}, TP"))
    for row in false_marks:
        place = (str(row[1]), str(row[0]), str(row[2]))
        _check_place(path, place, arms, readers, lesions)
        false.setdefault(place, []).append(read_number(str(row[3]), f"{path.name}, FP"))
    return {
        arm: {
            reader: {
                key.get(case, case): CaseMarks(
                    lesion_ratings=tuple(ratings.get((arm, reader, case, lesion), NOT_MARKED) for lesion in own),
                    false_ratings=tuple(false.get((arm, reader, case), ())),
                )
                for case, own in lesions.items()
            }
            for reader in readers
        }
        for arm in arms
    }


def _rows(path: Path, sheets: Mapping[str, list[Any]], names: tuple[str, ...], columns: tuple[str, ...]) -> list[Any]:
    """The rows of a sheet after checking its head."""
    rows = next((sheets[name] for name in names if name in sheets), None)
    if not rows or [str(name).lower() for name in rows[0][: len(columns)]] != [name.lower() for name in columns]:
        raise DatasetError(f"{path.name}: the sheet {names[0]} is missing or lacks {', '.join(columns)}.")
    return rows[1:]


def _check_place(
    path: Path, place: tuple[str, str, str], arms: list[str], readers: list[str], lesions: Mapping[str, list[str]]
) -> None:
    arm, reader, case = place
    if arm not in arms or reader not in readers or case not in lesions:
        raise DatasetError(f"{path.name}: a mark is of {reader}, {arm}, case {case}, which the sheet TRUTH lacks.")
