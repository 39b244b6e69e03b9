"""Small fixed inputs on which other programs' results are known: two rated arms, four raters, times of four readers."""

from __future__ import annotations

import numpy as np

#: Forty cases, the first two of every five with HCC.
TRUTH = np.arange(40) % 5 < 2

#: Confidence from 0 to 100 in steps of 5, with ties within and between the classes.
RATINGS = {
    "with": np.array(
        [
            [60, 100, 50, 75, 20, 95, 80, 35, 45, 40, 60, 75, 55, 40, 35, 85, 65, 50, 50, 35],
            [85, 95, 45, 50, 70, 100, 85, 60, 80, 40, 75, 75, 45, 45, 90, 100, 60, 55, 15, 20],
        ]
    ).ravel(),
    "without": np.array(
        [
            [35, 70, 45, 45, 30, 60, 65, 40, 45, 15, 50, 55, 80, 40, 45, 75, 75, 30, 30, 30],
            [55, 70, 25, 70, 55, 80, 60, 45, 75, 55, 60, 85, 40, 55, 60, 85, 60, 65, 45, 15],
        ]
    ).ravel(),
}

_NAMES = {"B": "benign", "H": "HCC", "O": "other"}
_LETTERS = """
    OOOO HOOO BBBB OOOH HBBB HOHH HBBB OBBB HHBH HBBB HHHH BBBB
    OHHH OOOO HHHH HHHB HOHH OOOB OBOB HHHH BHBB HHHH OOOO HBHH
"""

#: Answers (case, rater) of four raters to 24 cases.
ANSWERS = [[_NAMES[letter] for letter in case] for case in _LETTERS.split()]

#: The same answers with every seventh missing, as None; one case has a single answer left.
ANSWERS_WITH_GAPS = [
    [None if (4 * i + j) % 7 == 3 or (i == 5 and j != 1) else answer for j, answer in enumerate(case)]
    for i, case in enumerate(ANSWERS)
]

#: Seconds (reader, case) of four readers on twelve cases.
SECONDS = {
    "with": np.array(
        [
            [107, 37, 65, 51, 91, 47, 24, 52, 57, 116, 44, 60],
            [50, 20, 27, 15, 35, 30, 12, 24, 24, 55, 22, 36],
            [140, 40, 67, 42, 105, 51, 27, 63, 62, 101, 48, 67],
            [97, 36, 59, 37, 76, 62, 24, 44, 48, 100, 38, 85],
        ]
    ),
    "without": np.array(
        [
            [146, 52, 56, 36, 127, 163, 43, 79, 80, 159, 95, 114],
            [101, 33, 51, 29, 125, 114, 55, 69, 67, 98, 58, 91],
            [103, 45, 66, 39, 137, 136, 59, 92, 71, 168, 103, 141],
            [80, 52, 46, 36, 102, 116, 47, 64, 72, 89, 52, 81],
        ]
    ),
}


def periods(assisted_first: np.ndarray) -> dict[str, np.ndarray]:
    """Periods (reader, case) by arm where `assisted_first` (reader, case) tells the order."""
    return {"with": np.where(assisted_first, 1, 2), "without": np.where(assisted_first, 2, 1)}


#: Half of each reader's cases and half of each case's readers assisted first.
BALANCED = periods((np.arange(4)[:, None] + np.arange(12)[None]) % 2 == 0)

_DRAWN = ["110010011010", "001101101001", "101001100110", "110100101001"]

#: Half of each reader's cases assisted first, drawn anew for each reader, as a study allocates them.
ALLOCATED = periods(np.array([[letter == "1" for letter in row] for row in _DRAWN]))
