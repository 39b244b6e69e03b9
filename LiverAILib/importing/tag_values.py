"""Values of DICOM tags that may be absent or unreadable: each reader gives a plain value or None."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from pydicom.dataset import Dataset


def value(dataset: Dataset, keyword: str) -> Any:
    """The value as pydicom gives it."""
    try:
        return dataset.get(keyword)
    except RecursionError:  # a nested bomb is the caller's business
        raise
    except Exception:  # noqa: BLE001  an unreadable value counts as absent
        return None


def text(dataset: Dataset, keyword: str) -> str:
    """Text on one line, without control characters, at most 64 characters (DICOM's own limit for descriptions)."""
    found = value(dataset, keyword)
    if found is None:
        return ""
    joined = "/".join(map(str, found)) if _is_list(found) else str(found)
    return " ".join("".join(c if c.isprintable() else " " for c in joined).split())[:64]


def number(dataset: Dataset, keyword: str) -> float | None:
    """One finite number."""
    found = value(dataset, keyword)
    if found is None or _is_list(found):
        return None
    try:
        result = float(found)
    except (TypeError, ValueError):
        return None
    return result if math.isfinite(result) else None


def integer(dataset: Dataset, keyword: str) -> int | None:
    """One whole number."""
    found = number(dataset, keyword)
    return None if found is None else int(found)


def numbers(dataset: Dataset, keyword: str, count: int) -> tuple[float, ...] | None:
    """Exactly so many finite numbers."""
    try:
        found = tuple(float(v) for v in value(dataset, keyword))
    except (TypeError, ValueError):
        return None
    return found if len(found) == count and all(map(math.isfinite, found)) else None


def seconds_of(time: str) -> float | None:
    """Seconds since midnight of a DICOM time, with or without colons."""
    digits = time.replace(":", "").strip()
    try:
        result = int(digits[:2]) * 3600 + int(digits[2:4] or 0) * 60 + float(digits[4:] or 0)
    except ValueError:
        return None
    return result if 0 <= result < 86401 else None


def moment(date: str, time: str) -> datetime | None:
    """Date and time of the scanner's clock; without a readable date in the year 1900."""
    seconds = seconds_of(time)
    if seconds is None:
        return None
    try:
        day = datetime.strptime(date.replace(".", "")[:8], "%Y%m%d")  # noqa: DTZ007  the scanner's local time is meant
    except ValueError:
        day = datetime(1900, 1, 1)  # noqa: DTZ001
    return day + timedelta(seconds=seconds)


def moment_of(stamp: str) -> datetime | None:
    """A DICOM date-time such as `20260102030405.678+0100`; the time zone is dropped."""
    return moment(stamp[:8], stamp[8:].split("+")[0].split("-")[0]) if len(stamp) >= 14 else None


def acquired(dataset: Dataset) -> datetime | None:
    """When the image was acquired, as well as the tags can tell."""
    if found := moment_of(text(dataset, "AcquisitionDateTime")):
        return found
    for prefix in ("Acquisition", "Content", "Series"):
        date = text(dataset, f"{prefix}Date") or text(dataset, "StudyDate")
        if found := moment(date, text(dataset, f"{prefix}Time")):
            return found
    return None


def age_of(dataset: Dataset) -> float | None:
    """Years, from the age tag, else from the birth date (not when it is the study date, as anonymisers write it)."""
    said = text(dataset, "PatientAge")
    units = {"Y": 1.0, "M": 1 / 12, "W": 1 / 52.18, "D": 1 / 365.25}
    if len(said) >= 2 and said[-1] in units and said[:-1].isdigit():
        age = int(said[:-1]) * units[said[-1]]
    else:
        birth, study = moment(text(dataset, "PatientBirthDate"), "0"), moment(text(dataset, "StudyDate"), "0")
        if birth is None or study is None or birth.year <= 1900 or (study - birth).days < 365:
            return None
        age = (study - birth).days / 365.25
    return age if 0 <= age <= 120 else None


def _is_list(found: Any) -> bool:
    return isinstance(found, Sequence) and not isinstance(found, (str, bytes))
