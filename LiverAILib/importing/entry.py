"""One thing that may become a phase, a DICOM series (or part of one) or a volume file, and what is known of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from LiverAILib.importing.decode import decode
from LiverAILib.importing.files import label_of, read_volume_file, stem
from LiverAILib.importing.geometry import StackProblem
from LiverAILib.importing.inspection import SeriesReport, Use
from LiverAILib.importing.phases import Decision, decide
from LiverAILib.importing.phases_from_pixels import from_pixels
from LiverAILib.importing.phases_from_tags import from_description, from_tags
from LiverAILib.importing.sanity import check_hu
from LiverAILib.importing.series import Candidate, Verdict
from LiverAILib.study import Phase, PhaseOpinion, Source, Volume

#: Slices no closer than this (mm) are enough to tell the phase.
SAMPLE_STEP_MM = 4.0
#: A scan that covers less than this (mm) holds no whole liver.
SHORT_RANGE_MM = 100.0


@dataclass
class Entry:
    """A series or file on its way to a decision. `use` is None while it may still be used."""

    key: str
    label: str
    candidate: Candidate | None = None
    path: Path | None = None
    volume: Volume | None = None
    use: Use | None = None
    detail: str = ""
    opinions: dict[str, PhaseOpinion] = field(default_factory=dict)
    decision: Decision = field(default_factory=lambda: Decision(None, 0.0, ""))
    notes: list[str] = field(default_factory=list)
    on_request: bool = False
    _sample: dict[int, npt.NDArray[np.int16]] = field(default_factory=dict, repr=False)

    @classmethod
    def of_series(cls, candidate: Candidate) -> Entry:
        """An entry with the opinion of the tags."""
        first = candidate.first
        entry = cls(
            candidate.key, candidate.label, candidate=candidate, detail=candidate.reason, notes=list(candidate.notes)
        )
        entry.use = {Verdict.LEFT_OUT: Use.LEFT_OUT, Verdict.REFUSED: Use.REFUSED}.get(candidate.verdict)
        entry.on_request = candidate.verdict is Verdict.ON_REQUEST
        if entry.use is not Use.LEFT_OUT:
            entry.opinions["tags"] = from_tags(
                description=first.description,
                protocol=first.protocol,
                comments=first.comments,
                contrast_agent=first.contrast_agent,
                injected_seconds=first.injected_seconds,
                acquired_seconds=first.acquired_seconds,
            )
        if any(s.lossy for s in candidate.slices):
            entry.notes.append("its images were compressed with loss")
        if first.photometric == "MONOCHROME1" and entry.use is None:
            entry.notes.append(
                "MONOCHROME1 (shown inverted); its values are taken as HU by their rescale, as they pass for HU"
            )
        return entry

    @classmethod
    def of_file(cls, path: Path) -> Entry:
        """An entry with the opinion of the file's name; the file is read at once."""
        entry = cls(path.name, label_of(path), path=path)
        said = from_description(stem(path).replace(".", " "))
        entry.opinions["tags"] = replace(said, reason=said.reason.replace("its description", "its name"))
        try:
            entry.volume, notes = read_volume_file(path)
            entry.notes.extend(notes)
        except StackProblem as problem:
            entry.refuse(problem)
        return entry

    def refuse(self, problem: StackProblem) -> None:
        """The entry can't be used."""
        self.use, self.detail, self.volume = Use.REFUSED, str(problem).strip(), None
        self._sample.clear()

    def leave_out(self, reason: str) -> None:
        """The entry is not needed."""
        self.use, self.detail, self.volume = Use.LEFT_OUT, reason, None
        self._sample.clear()

    def name_phase(self, phase: Phase) -> None:
        """The user's word."""
        self.opinions["user"] = PhaseOpinion(phase, 1.0, "named by the user")

    def look_at_pixels(self) -> None:
        """Decode a sample of the slices, check that it is HU, and form the pixels' opinion."""
        try:
            if self.volume is not None:
                self.opinions["pixels"] = from_pixels(self.volume.array, self.volume.affine)
                return
            assert self.candidate is not None
            assert self.candidate.stack is not None
            found = self.candidate.stack
            step = max(1, int(SAMPLE_STEP_MM / found.spacing_mm[0]))
            indices = list(range(0, len(found.slices), step))
            self._sample = dict(decode(found.slices, indices))
            array = np.stack([self._sample[i] for i in indices])
            self.notes.extend(check_hu(array))
            affine = found.affine.copy()
            affine[:3, 2] *= step
            self.opinions["pixels"] = from_pixels(array, affine)
        except StackProblem as problem:
            self.refuse(problem)

    def read(self, progress: Callable[[float], None] | None = None) -> None:
        """Decode all slices into `volume`."""
        if self.volume is None:
            assert self.candidate is not None
            assert self.candidate.stack is not None
            found = self.candidate.stack
            array = np.empty(found.shape, dtype=np.int16)
            for index, image in decode(found.slices, range(len(found.slices)), self._sample, progress):
                array[index] = image
            self._sample.clear()
            uid = self.candidate.first.series_uid or None
            self.volume = Volume(array, found.affine, Source(self.label, "dicom", uid))
        source = self.volume.source
        self.volume = Volume(
            self.volume.array,
            self.volume.affine,
            Source(source.label, source.kind, source.series_uid, dict(self.opinions)),
        )

    def weigh(self) -> None:
        """Turn the opinions into a decision."""
        self.decision = decide(self.opinions)

    @property
    def shape(self) -> tuple[int, int, int] | None:
        """Voxels (z, y, x), when the entry is a volume."""
        if self.candidate is not None and self.candidate.stack is not None:
            return self.candidate.stack.shape
        return None if self.volume is None else self.volume.array.shape

    @property
    def spacing_mm(self) -> tuple[float, float, float] | None:
        """Voxel size (z, y, x) in mm, when the entry is a volume."""
        if self.candidate is not None and self.candidate.stack is not None:
            return self.candidate.stack.spacing_mm
        return None if self.volume is None else self.volume.spacing_mm

    @property
    def range_mm(self) -> float:
        """How much the stack covers along its slices."""
        return self.shape[0] * self.spacing_mm[0] if self.shape and self.spacing_mm else 0.0

    def report(self) -> SeriesReport:
        """What the user is told."""
        return SeriesReport(
            key=self.key,
            label=self.label,
            images=self.candidate.images if self.candidate else 1,
            shape=self.shape,
            spacing_mm=self.spacing_mm,
            opinions=dict(self.opinions),
            phase=self.decision.phase if self.use is Use.USED else None,
            confidence=self.decision.confidence,
            use=self.use or Use.LEFT_OUT,
            detail=self.detail,
            notes=tuple(self.notes),
        )

    def matches(self, name: str) -> int:
        """How well `--phase NAME=...` means this entry: 2 key, description or file name, 1 end of its UID, 0 not."""
        wanted = name.strip().lower()
        if wanted in (self.key.lower(), self.label.lower()):
            return 2
        if self.path is not None:
            return 2 if wanted in (stem(self.path).lower(), str(self.path).lower()) else 0
        assert self.candidate is not None
        first = self.candidate.first
        if wanted and wanted == first.description.lower():
            return 2
        uid_end = wanted.lstrip(".")
        return int(len(uid_end) >= 4 and bool(first.series_uid) and first.series_uid.endswith(uid_end))
