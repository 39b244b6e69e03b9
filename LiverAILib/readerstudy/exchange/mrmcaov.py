"""The long data frame of the R package MRMCaov as CSV: reader, treatment, case, truth, rating."""

from __future__ import annotations

import csv
from pathlib import Path

from LiverAILib.readerstudy.dataset import DatasetError
from LiverAILib.readerstudy.exchange.ratings import Rating, Ratings, read_number, read_truth

COLUMNS = ("reader", "treatment", "case", "truth", "rating")


def write_mrmcaov(path: Path, given: Ratings) -> None:
    """Write the CSV. In R: mrmc(empirical_auc(truth, rating), treatment, reader, case, data = read.csv(...))."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for each in given.ratings:
            writer.writerow([each.reader, each.arm, each.case, int(given.truth[each.case]), repr(each.rating)])


def read_mrmcaov(path: Path) -> Ratings:
    """Read such a CSV; other columns are left aside. Raises DatasetError, naming the line, for a damaged one."""
    truth: dict[str, bool] = {}
    ratings: list[Rating] = []
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        lacking = set(COLUMNS) - set(rows.fieldnames or ())
        if lacking:
            raise DatasetError(f"{path.name} lacks the column {min(lacking)}. MRMCaov has {', '.join(COLUMNS)}.")
        for row in rows:
            where = f"{path.name}, line {rows.line_num}"
            if any(row[name] is None for name in COLUMNS):
                raise DatasetError(f"{where}: the line is cut short.")
            known = read_truth(row["truth"], where)
            if truth.setdefault(row["case"], known) != known:
                raise DatasetError(f'{where}: case "{row["case"]}" has another truth than before.')
            rating = read_number(row["rating"], where)
            ratings.append(Rating(reader=row["reader"], arm=row["treatment"], case=row["case"], rating=rating))
    if not ratings:
        raise DatasetError(f"{path.name} holds no ratings.")
    return Ratings(truth=truth, ratings=tuple(ratings))
