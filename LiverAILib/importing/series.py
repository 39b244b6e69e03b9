"""Images sorted into series, and each series judged: a volume, left out for a stated reason, or refused."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

import numpy as np

from LiverAILib.importing.geometry import Stack, StackProblem, normal_of
from LiverAILib.importing.header import Slice
from LiverAILib.importing.volumes import MIN_SLICES, checked, split, without_copies

_CT_CLASSES = {"1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2"}
#: How the reason begins for what is not CT at all.
NOT_CT = "not a CT image series"
_MONITORING = re.compile(
    r"monitor|smart\s?prep|bolus\s?track|test\s?bolus|care\s?bolus|timing|locator|surestart|追踪|监测|示踪",
    re.IGNORECASE,
)
_REFORMATS = {"MPR", "REFORMATTED", "CPR", "CURVED_MPR", "CSA MPR", "MPR THICK", "MPR RANGE", "OBLIQUE"}
_RENDERINGS = {
    "MIP", "MINIP", "MIN_IP", "MAX_IP", "MAX IP", "MIN IP", "PROJECTION IMAGE", "VRT", "3D", "SSD", "RENDERING",
    "SUBTRACTION", "COLOR", "IODINE", "VNC", "Z_EFF", "CSA RESAMPLED MIP",
}  # fmt: skip


class Verdict(Enum):
    """What the importer makes of a series before its phase is asked for."""

    VOLUME = "volume"
    ON_REQUEST = "on request"  # a reformat: a volume, but only used when the user names it
    LEFT_OUT = "left out"
    REFUSED = "refused"


@dataclass(frozen=True)
class Candidate:
    """One series, or one part of a series that holds several volumes.

    key: what `--phase KEY=...` takes. label: safe to print. stack is there when the verdict is VOLUME or ON_REQUEST.
    """

    key: str
    label: str
    slices: tuple[Slice, ...]
    verdict: Verdict
    reason: str = ""
    stack: Stack | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def images(self) -> int:
        """Number of images (frames)."""
        return len(self.slices)

    @property
    def first(self) -> Slice:
        """An image to read series-wide tags from."""
        return self.slices[0]


def sort_into_series(slices: Iterable[Slice]) -> list[Candidate]:
    """Group by series UID (without one: by folder) and judge each group. In the order of series number."""
    groups: dict[str, list[Slice]] = defaultdict(list)
    for image in slices:
        groups[image.series_uid or f"folder {image.path.parent}"].append(image)
    ordered = sorted(
        groups.values(), key=lambda g: (g[0].series_number is None, g[0].series_number or 0, g[0].series_uid)
    )
    keys = _keys([group[0] for group in ordered])
    candidates: list[Candidate] = []
    for key, group in zip(keys, ordered, strict=True):
        candidates.extend(_judge(key, label_of(group[0], key), group))
    return candidates


def label_of(image: Slice, key: str) -> str:
    """`Series 4 "ART 1.5"`, without anything that names the patient."""
    return f"Series {key}" + (f' "{image.title}"' if image.title else "")


def _keys(firsts: Sequence[Slice]) -> list[str]:
    """A unique name for each series: its number, else the end of its UID, else its rank."""
    choices = [
        (
            "" if s.series_number is None else str(s.series_number),
            f"...{s.series_uid[-8:]}" if s.series_uid else "",
            f"#{rank}",
        )
        for rank, s in enumerate(firsts, start=1)
    ]
    counts = [Counter(column) for column in zip(*choices, strict=True)]
    return [
        next(name for name, count in zip(names, counts, strict=True) if name and count[name] == 1) for names in choices
    ]


def _judge(key: str, label: str, group: Sequence[Slice]) -> list[Candidate]:
    def left_out(reason: str, slices: Sequence[Slice] = group) -> list[Candidate]:
        return [Candidate(key, label, tuple(slices), Verdict.LEFT_OUT, reason)]

    def refused(reason: str, slices: Sequence[Slice] = group) -> list[Candidate]:
        return [Candidate(key, label, tuple(slices), Verdict.REFUSED, reason)]

    images = [s for s in group if s.modality == "CT" and s.sop_class in _CT_CLASSES]
    if not images:
        first = group[0]
        return left_out(NOT_CT + (f" ({first.modality})" if first.modality not in ("", "CT") else ""))
    notes = (
        [] if len(images) == len(group) else [f"{len(group) - len(images)} objects inside are not CT images: left out"]
    )
    if len({s.patient for s in images}) > 1:
        return refused("it mixes images of two patients. Export the exam of one patient.")
    if len({s.study_uid for s in images}) > 1:
        return refused("it mixes images of two studies. Export one study.")
    kept = [s for s in images if not _is_localizer(s) and not _is_report(s)]
    if not kept:
        return left_out("localizer" if any(map(_is_localizer, images)) else "dose report or screenshot")
    kept = _without_scouts(kept)
    dropped = len(images) - len(kept)
    if dropped:
        notes.append(f"{dropped} localizer or report images inside: left out")
    if problems := Counter(s.problem for s in kept if s.problem):
        if set(problems) == {"a colour picture"}:
            return left_out("colour pictures, not CT values")
        said = ", ".join(f"{count} of {len(kept)} images: {what}" for what, count in problems.items())
        return refused(f"{said}. Re-send the series, or choose another.")
    places = {s.position for s in kept}
    monitoring = _MONITORING.search(f"{kept[0].description} {kept[0].comments}") and len(places) < MIN_SLICES
    if monitoring or (len(kept) > 2 and None not in places and len(places) <= 2):
        return left_out("bolus tracking, not a scan of the liver")
    return [replace(c, notes=(*notes, *c.notes)) for c in _volumes(key, label, kept)]


def _is_localizer(image: Slice) -> bool:
    return any(word in ("LOCALIZER", "SCOUT", "TOPOGRAM") for word in image.image_type)


def _is_report(image: Slice) -> bool:
    words = " ".join(image.image_type)
    return any(mark in words for mark in ("SCREEN SAVE", "DOSE", "REPORT", "PROTOCOL"))


def _without_scouts(images: list[Slice]) -> list[Slice]:
    """Without the one or two images that lie across the plane of all the others: scouts that are not marked as such."""
    planes: dict[tuple[float, ...], list[Slice]] = defaultdict(list)
    for image in images:
        if image.orientation is not None:
            planes[tuple(np.round(np.abs(normal_of(image.orientation)), 1))].append(image)
    if len(planes) < 2:
        return images
    largest = max(planes.values(), key=len)
    odd = [image for plane in planes.values() if plane is not largest for image in plane]
    if len(odd) > 2 or len(largest) < MIN_SLICES:
        return images
    return [image for image in images if image not in odd]


def _volumes(key: str, label: str, images: list[Slice]) -> list[Candidate]:
    """The series as one volume, as several when tags tell them apart, or refused."""
    notes: list[str] = []
    problem: StackProblem | None = None
    whole: Stack | None = None
    try:
        whole = checked(images)
    except StackProblem as error:
        problem = error
        if error.kind == "duplicates":
            images, copies = without_copies(images)
            if copies:
                notes.append(f"{copies} exact copies of images inside: left out")
                try:
                    whole = checked(images)
                except StackProblem as again:
                    problem = again
    parts = split(images, only_if_interleaved=whole is not None)
    if parts:
        what, stacks = parts
        return [
            Candidate(
                f"{key}.{i}",
                f"{label}, part {i} of {len(stacks)}",
                part.slices,
                *_use(part),
                part,
                (*notes, f"this series UID holds {len(stacks)} volumes, told apart by {what}"),
            )
            for i, part in enumerate(stacks, start=1)
        ]
    if whole is not None:
        return [Candidate(key, label, whole.slices, *_use(whole), whole, tuple(notes))]
    return [Candidate(key, label, tuple(images), Verdict.REFUSED, str(problem))]


def _use(found: Stack) -> tuple[Verdict, str]:
    """Reformats and renderings are volumes too, but not what should be analysed unasked."""
    first = found.slices[0]
    words = set(first.image_type)
    assert first.orientation is not None
    if words & _RENDERINGS:
        return Verdict.ON_REQUEST, "a projection, rendering or material map"
    if abs(normal_of(first.orientation)[2]) < 0.9:
        return Verdict.ON_REQUEST, "a reformat in another plane than axial"
    if words & _REFORMATS:
        return Verdict.ON_REQUEST, "a derived reformat (MPR)"
    return Verdict.VOLUME, ""
