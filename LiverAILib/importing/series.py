"""Images sorted into series, and each series judged: a volume, left out for a stated reason, or refused."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

import numpy as np

from LiverAILib.importing.geometry import Stack, StackProblem, normal_of, stack
from LiverAILib.importing.header import HeaderError, Slice, open_dataset, quiet

MIN_SLICES = 8
#: More voxels than any CT of the trunk has (1024 x 1024 x 1000).
MAX_VOXELS = 2**30
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
    return f"Series {key}" + (f' "{image.description}"' if image.description else "")


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
    if _MONITORING.search(f"{kept[0].description} {kept[0].comments}") or (
        len(kept) > 2 and None not in places and len(places) <= 2
    ):
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
        whole = _checked(images)
    except StackProblem as error:
        problem = error
        if error.kind == "duplicates":
            images, copies = _without_copies(images)
            if copies:
                notes.append(f"{copies} exact copies of images inside: left out")
                try:
                    whole = _checked(images)
                except StackProblem as again:
                    problem = again
    parts = _split(images, only_if_interleaved=whole is not None)
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


def _checked(images: Sequence[Slice]) -> Stack:
    """`stack`, and enough images, and not so many voxels that no CT has them, and a known way to HU."""
    if len(images) < MIN_SLICES:
        raise StackProblem("too few", f"it has only {len(images)} images; a liver CT needs {MIN_SLICES} or more.")
    found = stack(images)
    if np.prod(found.shape, dtype=np.int64) > MAX_VOXELS:
        raise StackProblem("too large", f"{found.shape} voxels are more than a CT of the abdomen has.")
    first = images[0]
    if any(s.slope is None or s.intercept is None or s.slope == 0 for s in images):
        raise StackProblem(
            "no rescale",
            "its rescale slope and intercept are missing, so its values can't be turned into Hounsfield units.",
            "Export the original images from the scanner or archive.",
        )
    kinds = {s.rescale_type for s in images} - {"", "HU", "US", "HU_MOD"}
    if kinds:
        raise StackProblem(
            "not HU", f"its values are {kinds.pop()}, not Hounsfield units.", "Choose the plain CT series."
        )
    if first.photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise StackProblem(
            "not grey", f'its pixels are "{first.photometric}", not grey values.', "Choose the plain CT series."
        )
    return found


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


def _without_copies(images: Sequence[Slice]) -> tuple[list[Slice], int]:
    """Without images that repeat another one's place and stored pixels."""
    places: dict[Hashable, list[Slice]] = defaultdict(list)
    for image in images:
        places[image.position].append(image)
    kept: list[Slice] = []
    for same in places.values():
        seen: set[Hashable] = set()
        for image in same:
            mark = image.sop_uid if len(same) == 1 else _pixel_mark(image)
            if mark not in seen:
                seen.add(mark)
                kept.append(image)
    return kept, len(images) - len(kept)


def _pixel_mark(image: Slice) -> Hashable:
    if image.frame is not None:
        return image.sop_uid
    with quiet():
        try:
            dataset, _ = open_dataset(image.path, pixels=True)
        except HeaderError:
            return image.sop_uid
    return hashlib.sha256(dataset.get("PixelData") or b"").digest(), image.slope, image.intercept


def _split(images: Sequence[Slice], *, only_if_interleaved: bool) -> tuple[str, list[Stack]] | None:
    """Volumes of one series UID, told apart by the first tag under which each part is a sound volume over the same
    range.

    `only_if_interleaved`: the whole is a volume already; then only tags that mean another scan may split it.
    """
    keys: dict[str, Callable[[Slice], Hashable]] = {
        "acquisition number": lambda s: s.acquisition_number,
        "temporal position": lambda s: s.temporal_position,
        "acquisition time": _time_clusters(images),
    }
    if not only_if_interleaved:
        keys |= {
            "contrast agent": lambda s: s.contrast_agent,
            "reconstruction kernel": lambda s: s.kernel,
            "image type": lambda s: s.image_type,
            "slice thickness": lambda s: s.thickness,
            "description": lambda s: s.description,
        }
    for what, key in keys.items():
        parts: dict[Hashable, list[Slice]] = defaultdict(list)
        for image in images:
            parts[key(image)].append(image)
        if not 2 <= len(parts) <= 8:
            continue
        try:
            stacks = [_checked(part) for part in parts.values()]
        except StackProblem:
            continue
        if _same_range(stacks):
            return what, sorted(stacks, key=_started)
    return None


def _started(found: Stack) -> tuple[str, int]:
    times = [s.acquired for s in found.slices if s.acquired]
    return (min(times).isoformat() if times else "", min(s.acquisition_number or 0 for s in found.slices))


def _time_clusters(images: Sequence[Slice]) -> Callable[[Slice], Hashable]:
    """Number of the burst of acquisition that an image belongs to; bursts are apart by more than 10 seconds."""
    times = sorted({s.acquired for s in images if s.acquired})
    burst, number = {}, 0
    for before, now in zip([None, *times], times, strict=False):
        if before is not None and (now - before).total_seconds() > 10:
            number += 1
        burst[now] = number
    return lambda s: burst.get(s.acquired) if s.acquired else None


def _same_range(stacks: Sequence[Stack]) -> bool:
    """Each stack shares at least half of the shorter one's range with the first."""
    ranges = []
    for found in stacks:
        normal = found.affine[:3, 2] / np.linalg.norm(found.affine[:3, 2])
        ends = [float(np.asarray(s.position) @ normal) for s in (found.slices[0], found.slices[-1])]
        ranges.append((min(ends), max(ends)))
    low, high = ranges[0]
    return all(min(high, h) - max(low, lo) >= 0.5 * min(high - low, h - lo) for lo, h in ranges[1:])
