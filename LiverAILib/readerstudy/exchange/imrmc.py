"""The text format of iMRMC (`.imrmc`): a header, then reader, case, modality and score on each line.

The program wants whole numbers for cases; their ids, and the question, stand in the header, which it takes for remarks.
"""

from __future__ import annotations

from pathlib import Path

from LiverAILib.readerstudy.dataset import DatasetError
from LiverAILib.readerstudy.exchange.ratings import Rating, Ratings, read_number, read_truth

_BEGIN = "BEGIN DATA:"
_CASE = "case "
_IS = " is "


def write_imrmc(path: Path, given: Ratings, *, title: str) -> None:
    """Write the file. Raises DatasetError for a reader or an arm with a comma in its name."""
    for name in (*given.readers, *given.arms):
        if "," in name:
            raise DatasetError(f'"{name}" has a comma in it, which iMRMC can\'t hold. Rename it.')
    numbers = {case: k for k, case in enumerate(given.truth, 1)}
    positive = sum(given.truth.values())
    lines = [
        f"reader study: {' '.join(title.split())}",
        *(f"{_CASE}{number}{_IS}{case}" for case, number in numbers.items()),
        f"N0: {len(given.truth) - positive}",
        f"N1: {positive}",
        f"NR: {len(given.readers)}",
        f"NM: {len(given.arms)}",
        "",
        _BEGIN,
        *(f"-1,{numbers[case]},0,{int(known)}" for case, known in given.truth.items()),
        *(f"{each.reader},{numbers[each.case]},{each.arm},{each.rating!r}" for each in given.ratings),
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_imrmc(path: Path) -> Ratings:
    """Read a file of this or of iMRMC's own making. Raises DatasetError, naming the line, for a damaged one."""
    lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    if _BEGIN not in lines:
        raise DatasetError(f'{path.name} is not an iMRMC file: the line "{_BEGIN}" is missing.')
    start = lines.index(_BEGIN)
    names = dict(
        line.removeprefix(_CASE).split(_IS, 1)
        for line in lines[:start]
        if line.startswith(_CASE) and _IS in line and line.removeprefix(_CASE).split(_IS, 1)[0].isdigit()
    )
    truth: dict[str, bool] = {}
    ratings: list[Rating] = []
    for number, line in enumerate(lines[start + 1 :], start + 2):
        if not line:
            continue
        where = f"{path.name}, line {number}"
        parts = [part.strip() for part in line.split(",")]
        if len(parts) != 4:
            raise DatasetError(f"{where}: there must be reader, case, modality and score, parted by commas.")
        reader, case, arm, score = parts
        case = names.get(case, case)
        if reader in ("-1", "truth"):
            truth[case] = read_truth(score, where)
        else:
            ratings.append(Rating(reader=reader, arm=arm, case=case, rating=read_number(score, where)))
    if not ratings or not truth:
        raise DatasetError(f"{path.name} holds no scores, or no truth.")
    return Ratings(truth=truth, ratings=tuple(ratings))
