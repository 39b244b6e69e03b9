"""Which of several series of one phase to use: soft kernel, whole range, original, fitting slice spacing."""

from __future__ import annotations

import math
import re

from LiverAILib.importing.entry import Entry

#: Slices of this spacing (mm) are best: thin enough for small lesions, thick enough to be quiet and quick.
BEST_SPACING_MM = 2.5
_SHARP = re.compile(r"lung|bone|edge|sharp|detail|chst|thorax hart|knochen|lunge|poumon|\bos\b|肺|骨", re.IGNORECASE)
_KERNEL_NUMBER = re.compile(r"[A-Z][a-z]?(\d\d)", re.IGNORECASE)


def is_sharp(kernel: str, description: str = "") -> bool:
    """Whether a reconstruction is meant for lung or bone: by name, or a Siemens-style number from 60 (B70f, Br64)."""
    number = _KERNEL_NUMBER.match(kernel.strip())
    return bool(_SHARP.search(kernel) or _SHARP.search(description)) or (
        number is not None and int(number.group(1)) >= 60
    )


def preferred(entry: Entry) -> tuple[bool, bool, int, bool, float, str]:
    """Sort key: the best first."""
    named = "user" in entry.opinions
    spacing = entry.spacing_mm[0] if entry.spacing_mm else BEST_SPACING_MM
    derived = entry.candidate is not None and "DERIVED" in entry.candidate.first.image_type
    whole = -min(3, int(entry.range_mm // 60))  # beyond 180 mm more is no better
    return not named, _sharp(entry), whole, derived, abs(math.log(spacing / BEST_SPACING_MM)), entry.key


def why_preferred(best: Entry, other: Entry) -> str:
    """The first criterion in which the two differ, in words."""
    reasons = (
        "the user named it",
        "it has a soft kernel",
        "it covers more",
        "it is an original",
        "its slice spacing fits better",
        "it comes first",
    )
    for reason, a, b in zip(reasons, preferred(best), preferred(other), strict=True):
        if a != b:
            return reason
    return "it comes first"


def _sharp(entry: Entry) -> bool:
    if entry.candidate is None:
        return False
    first = entry.candidate.first
    return is_sharp(first.kernel, first.description)
