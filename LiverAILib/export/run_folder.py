"""The run folder: all that an analysis leaves, complete or not there at all. Every front end reads only this."""

from __future__ import annotations

import contextlib
import json
import logging
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydantic

from LiverAILib.analysis.pipeline import Analysis
from LiverAILib.errors import OutputError, RunFolderError
from LiverAILib.export.nrrd import read_header, read_nrrd, same_as_file, write_nrrd
from LiverAILib.export.overview import draw_overview
from LiverAILib.export.place import Place, reserve
from LiverAILib.export.seg_nrrd import LIVER_ID, read_seg_nrrd, read_segments, segment_layers, write_seg_nrrd
from LiverAILib.findings import SCHEMA_VERSION, Findings
from LiverAILib.study import Phase, Study

log = logging.getLogger(__name__)

FINDINGS = "findings.json"
SEGMENTATION = "segmentation.seg.nrrd"
PROBABILITY = "lesion_probability.nrrd"
OVERVIEW = "overview.png"
LOG = "log.txt"
_FINDINGS_LIMIT = 32 << 20


@dataclass(frozen=True)
class RunFolder:
    """A run folder whose files were checked. The arrays are read when asked for.

    saliency: the `saliency_<phase>.nrrd` files that are there.
    """

    path: Path
    findings: Findings
    saliency: Mapping[Phase, Path]

    @property
    def segmentation_path(self) -> Path:
        return self.path / SEGMENTATION

    @property
    def probability_path(self) -> Path:
        return self.path / PROBABILITY

    @property
    def overview_path(self) -> Path:
        return self.path / OVERVIEW

    @property
    def log_path(self) -> Path:
        return self.path / LOG

    def segmentation(self) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.uint16], npt.NDArray[np.float64]]:
        """Liver (lesions included) and lesion labels, (z, y, x), and their LPS affine."""
        return read_seg_nrrd(self.segmentation_path)

    def saliency_of(self, phase: Phase) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
        """NoduleNet's saliency in a phase in [0, 1], (z, y, x) float32 on its own grid, and its LPS affine."""
        array, header = read_nrrd(self.saliency[phase])
        return array, header.affine

    def lesion_probability(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float64]]:
        """The lesion probability in [0, 1], (z, y, x) float32, and its LPS affine."""
        array, header = read_nrrd(self.probability_path)
        return array, header.affine


class RunWriter:
    """The reserved place of one run folder: nobody else can write it meanwhile. Made by `reserve_run`."""

    def __init__(self, place: Place, overwrite: bool) -> None:
        self._place = place
        self._overwrite = overwrite

    @property
    def path(self) -> Path:
        return self._place.out

    def require_space(self, study: Study) -> None:
        """Raise OutputError early when the disk clearly can't hold what this study's run folder may take."""
        voxels = sum(volume.array.size for volume in study.volumes.values())
        self._place.require_space(4_000_000 + voxels // 4)

    def write(self, analysis: Analysis, study: Study, log_text: str = "") -> RunFolder:
        """Write everything, check it by reading it back, and put it in its place."""
        maps = [analysis.lesion_probability, *analysis.saliency.values()]
        nonzero = sum(int(np.count_nonzero(single)) for single in maps)
        self._place.require_space(3_000_000 + 4 * nonzero + analysis.liver.size // 20)
        self._place.fill(lambda folder: _write_files(folder, analysis, study, log_text), self._overwrite)
        return read_run(self.path)

    def discard(self) -> None:
        """Remove what is half-written; for the way out of a process that is being stopped."""
        self._place.discard()


@contextlib.contextmanager
def reserve_run(out: Path, *, overwrite: bool = False) -> Iterator[RunWriter]:
    """Hold a run folder's place during the analysis, so that what can't be written is refused before the work.

    Raises OutputError when OUT exists (with `overwrite`: when it is not a run folder), another run holds it, or there
    is no permission. What killed runs left beside it is removed.
    """
    with reserve(out, overwrite=overwrite, replaceable=looks_like_run) as place:
        yield RunWriter(place, overwrite)


def write_run(analysis: Analysis, study: Study, out: Path, *, overwrite: bool = False, log_text: str = "") -> RunFolder:
    """Write a run folder. The study gives the overview's pictures. Raises OutputError; then nothing new is there."""
    with reserve_run(out, overwrite=overwrite) as writer:
        return writer.write(analysis, study, log_text)


def saliency_path(folder: Path, phase: Phase) -> Path:
    """Where a run folder keeps a phase's saliency."""
    return folder / f"saliency_{phase}.nrrd"


def looks_like_run(folder: Path) -> bool:
    """Whether the folder holds a run's findings and nothing that a run does not write; it may be overwritten then."""
    known = {FINDINGS, SEGMENTATION, PROBABILITY, OVERVIEW, LOG} | {saliency_path(folder, p).name for p in Phase}
    names = {path.name for path in folder.iterdir()}
    if FINDINGS not in names or names - known:
        return False
    try:
        return "schema_version" in _read_json(folder / FINDINGS)
    except RunFolderError:
        return False


def read_run(folder: Path) -> RunFolder:
    """Read and check a run folder: its findings, that its files are there, and that they fit together.

    Raises RunFolderError, naming the file, when one is missing or damaged or was written by a newer LiverAI.
    """
    if not folder.is_dir():
        raise RunFolderError(f"{folder} is not a run folder: it is not there, or not a folder. Run the analysis first.")
    content = _read_json(folder / FINDINGS)
    version = content.get("schema_version")
    if isinstance(version, int) and version > SCHEMA_VERSION:
        newer = str(content.get("software_version"))[:20]
        raise RunFolderError(
            f"{folder.name} was written by a newer LiverAI ({newer}, schema {version}; "
            f"this one reads up to {SCHEMA_VERSION}). Update LiverAI, or run the analysis again."
        )
    try:
        findings = Findings.model_validate_json(json.dumps(content))
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RunFolderError(
            f"{folder.name}/{FINDINGS}: {where[:80]}: {str(first['msg'])[:120]}. Run the analysis again."
        ) from error
    if findings.reference_phase not in findings.phases:
        raise RunFolderError(f"{folder.name}/{FINDINGS} lacks its reference phase. Run the analysis again.")
    for name in (SEGMENTATION, PROBABILITY, OVERVIEW, LOG):
        _require_file(folder / name)
    _check_grids(folder, findings)
    saliency = {phase: path for phase in Phase if (path := saliency_path(folder, phase)).exists()}
    _check_saliency(findings, saliency)
    return RunFolder(folder, findings, saliency)


def _write_files(folder: Path, analysis: Analysis, study: Study, log_text: str) -> None:
    findings = analysis.findings
    layers = segment_layers(analysis.liver, analysis.lesion_ids, findings.lesions)
    probability = np.ascontiguousarray(analysis.lesion_probability, dtype=np.float32)
    text = findings.model_dump_json(indent=2) + "\n"
    write_seg_nrrd(folder / SEGMENTATION, layers, analysis.affine, findings.lesions)
    write_nrrd(folder / PROBABILITY, probability, analysis.affine)
    for phase, saliency in analysis.saliency.items():
        write_nrrd(saliency_path(folder, phase), saliency, study.volumes[phase].affine)
    picture = draw_overview(analysis, study)
    picture.save(folder / OVERVIEW, compress_level=3)
    (folder / LOG).write_text(log_text, encoding="utf-8")
    (folder / FINDINGS).write_text(text, encoding="utf-8")
    # A full disk may cut a file short without an error: only what reads back as it was meant is kept.
    try:
        run = read_run(folder)
        intact = (
            run.findings == findings
            and same_as_file(run.segmentation_path, layers)
            and same_as_file(run.probability_path, probability)
            and set(run.saliency) == set(analysis.saliency)
            and all(same_as_file(path, analysis.saliency[phase]) for phase, path in run.saliency.items())
            and run.log_path.read_text(encoding="utf-8") == log_text
            and _same_picture(run.overview_path, picture)
        )
    except RunFolderError as error:
        raise OutputError(f"The written result can't be read back ({error}). Is the disk full or failing?") from error
    if not intact:
        raise OutputError("The written result differs from what was found. Is the disk full or failing?")


def _same_picture(path: Path, picture: Any) -> bool:
    from PIL import Image

    try:
        with Image.open(path) as stored:
            return bool(np.array_equal(np.asarray(stored), np.asarray(picture)))
    except (OSError, SyntaxError):
        return False


def _read_json(path: Path) -> dict[str, Any]:
    _require_file(path)
    if path.stat().st_size > _FINDINGS_LIMIT:
        raise RunFolderError(f"{path.name} is larger than any findings ({path.stat().st_size / 1e6:.0f} MB).")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise RunFolderError(f"{path.name} is damaged: it is not JSON. Run the analysis again.") from error
    if not isinstance(content, dict):
        raise RunFolderError(f"{path.name} holds no findings. Run the analysis again.")
    return content


def _require_file(path: Path) -> None:
    """Raise unless it is a plain file; a link could lead anywhere."""
    try:
        mode = path.lstat().st_mode
    except OSError as error:
        reason = "is missing" if isinstance(error, FileNotFoundError) else f"can't be read ({error.strerror})"
        raise RunFolderError(f"{path.parent.name}/{path.name} {reason}. Run the analysis again.") from error
    if not stat.S_ISREG(mode):
        raise RunFolderError(f"{path.parent.name}/{path.name} is not a plain file. Run the analysis again.")


def _check_grids(folder: Path, findings: Findings) -> None:
    """Raise unless the NRRD headers, the segments and the findings speak of one grid and the same lesions."""
    shape = findings.phases[findings.reference_phase].shape
    segmentation = read_header(folder / SEGMENTATION)
    probability = read_header(folder / PROBABILITY)
    layers = (2,) if findings.lesions else ()
    if segmentation.shape != (*shape, *layers) or probability.shape != shape or probability.dtype != np.float32:
        raise RunFolderError(
            f"{folder.name}: {SEGMENTATION} {segmentation.shape} or {PROBABILITY} {probability.shape} does not fit "
            f"the findings {shape}. Run the analysis again."
        )
    if not np.array_equal(segmentation.affine, probability.affine):
        raise RunFolderError(f"{folder.name}: {SEGMENTATION} and {PROBABILITY} lie in different places.")
    segments = [(segment.id, segment.label) for segment in read_segments(segmentation.fields, SEGMENTATION)]
    if segments != [(LIVER_ID, 1), *((lesion.id, lesion.label) for lesion in findings.lesions)]:
        raise RunFolderError(f"{folder.name}: the segments of {SEGMENTATION} are not the findings' lesions.")


def _check_saliency(findings: Findings, saliency: Mapping[Phase, Path]) -> None:
    """Raise unless each saliency file is on its phase's grid, and those are there that the findings speak of."""
    for phase, path in saliency.items():
        _require_file(path)
        header = read_header(path)
        shape = findings.phases[phase].shape if phase in findings.phases else None
        if header.shape != shape or header.dtype != np.float32:
            raise RunFolderError(
                f"{path.parent.name}: {path.name} {header.shape} does not fit the findings {shape}. "
                "Run the analysis again."
            )
    for lesion in findings.lesions:
        if missing := [phase for phase in lesion.saliency_share if phase not in saliency]:
            raise RunFolderError(f"saliency_{missing[0]}.nrrd is missing. Run the analysis again.")
