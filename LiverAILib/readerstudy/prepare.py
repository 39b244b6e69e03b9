"""Before the reading: every case imported, analysed and stored under neutral names, so that nothing computes later.

Work that is done stays done: cut off at any point, it goes on with the next case. The images are stored anew without
anything that names them; the run folder is made from those by the same machinery as `liverai analyze`. What the import
had to say of the originals goes into the coordinator's file.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from LiverAILib.errors import BundleError, LiverAIError, OutputError, ResourceLimitError
from LiverAILib.readerstudy.case_files import sha256_of
from LiverAILib.readerstudy.errors import ProtocolError, StudyFileError
from LiverAILib.readerstudy.layout import cases_folder, run_folder, volumes_folder
from LiverAILib.readerstudy.schema import Kind
from LiverAILib.readerstudy.state import Prepared, StudyState, replay
from LiverAILib.readerstudy.store import Clock, StudyFile
from LiverAILib.readerstudy.truth import AiOpinion, CaseSpec, TruthFile, write_truth
from LiverAILib.readerstudy.verify import own_truth
from LiverAILib.study import ClinicalRecord, Phase, Source, Study

if TYPE_CHECKING:
    from LiverAILib.analysis.command import Parts
    from LiverAILib.export.run_folder import RunFolder


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What a run of `prepare` did. failed: the coordinator's name of the case, and why."""

    ready: int
    new: int
    failed: tuple[tuple[str, str], ...]


def prepare_study(
    path: Path,
    truth_file: Path,
    *,
    options: tuple[str, ...] = (),
    parts: Parts | None = None,
    say: Callable[[str], None] = lambda _: None,
    clock: Clock | None = None,
) -> Batch:
    """Prepare all cases that are not ready. A case that fails is told of, and the others go on.

    options: of `liverai analyze` (--models, --device, --threads, --progress). parts: for tests. Raises StudyFileError
    or ProtocolError for what concerns all cases.
    """
    path = path.absolute()
    with StudyFile.open(path, clock) as file, file.alone():
        state = replay(file.history)
        truth = own_truth(state, truth_file)
    if parts is None:
        _check_bundles(state, options)
    failed: list[tuple[str, str]] = []
    new = ready = 0
    for number, (case_id, case) in enumerate(truth.cases.items(), start=1):
        if _is_ready(path, state, case_id):
            ready += 1
            continue
        say(f"{case_id} ({number} of {len(truth.cases)})")
        try:
            made = _prepare_case(path, case_id, case, options, parts)
            _record(path, truth_file, case_id, made, clock)
        except (BundleError, ResourceLimitError, ProtocolError, StudyFileError):
            raise
        except LiverAIError as error:
            failed.append((case.name, str(error)))
            say(f"  failed: {error}")
        else:
            new += 1
    return Batch(ready=ready + new, new=new, failed=tuple(failed))


def _is_ready(path: Path, state: StudyState, case_id: str) -> bool:
    prepared = state.prepared.get(case_id)
    return prepared is not None and all((cases_folder(path) / name).is_file() for name in prepared.files)


def _check_bundles(state: StudyState, options: tuple[str, ...]) -> None:
    """Whether the packages at hand are those that the protocol states."""
    from LiverAILib.bundles import find_bundle

    models = Path(options[options.index("--models") + 1]) if "--models" in options else None
    for name, sha256 in state.protocol.bundles.items():
        found = find_bundle(name, models).metadata.sha256
        if found != sha256:
            raise ProtocolError(
                f"The model package {name} here ({found[:12]}…) is not the protocol's ({sha256[:12]}…). "
                "Point --models at the right one, or amend the protocol."
            )


@dataclass(frozen=True, kw_only=True)
class _Made:
    """A case's run, the SHA-256 of all its files by name within the cases folder, and what the import had to say."""

    run: RunFolder
    files: dict[str, str]
    notes: list[str]


def _prepare_case(path: Path, case_id: str, case: CaseSpec, options: tuple[str, ...], parts: Parts | None) -> _Made:
    """Import, store the images, analyse."""
    from LiverAILib.analysis.command import Parts, analyze_to_folder
    from LiverAILib.cli import build_parser
    from LiverAILib.importing import load_study

    load = parts.load if parts is not None and parts.load is not None else load_study
    by_phase = {} if isinstance(case.input, Path) else case.input
    study = load(
        [case.input] if isinstance(case.input, Path) else [],
        phase_files=by_phase,
        phase_choices=case.phases,
        clinical=ClinicalRecord(**case.clinical.model_dump()),
        progress=None,
    )
    blinded = _blinded(study)
    folder = cases_folder(path)
    _store_volumes(blinded, volumes_folder(folder, case_id))
    out = run_folder(folder, case_id)
    command = ["analyze", "-o", str(out), "--overwrite", *options]
    given = dataclasses.replace(parts or Parts(), load=lambda *_, **__: blinded)
    run, _ = analyze_to_folder(build_parser(command).parse_args(command), stdout=sys.stdout, parts=given)
    written = sorted([*volumes_folder(folder, case_id).iterdir(), *out.iterdir()])
    files = {file.relative_to(folder).as_posix(): sha256_of(file) for file in written}
    return _Made(run=run, files=files, notes=list(study.warnings))


def _blinded(study: Study) -> Study:
    """The study with nothing that names it: neither labels, identifiers nor the importer's words."""
    volumes = {
        phase: dataclasses.replace(volume, source=Source(phase.words, "file"))
        for phase, volume in study.volumes.items()
    }
    return Study(volumes, study.clinical)


def _store_volumes(study: Study, out: Path) -> None:
    """Write each phase as `<phase>.nrrd`; the folder is complete or not there."""
    from LiverAILib.export.nrrd import write_nrrd
    from LiverAILib.export.place import reserve

    def write(folder: Path) -> None:
        for phase, volume in study.volumes.items():
            write_nrrd(folder / f"{phase}.nrrd", volume.array, volume.affine)
            if not _reads_back(folder / f"{phase}.nrrd", volume.array):
                raise OutputError(f"{phase}.nrrd did not read back as it was written. Check the disk.")

    names = {f"{phase}.nrrd" for phase in Phase}
    with reserve(out, overwrite=True, replaceable=lambda old: {file.name for file in old.iterdir()} <= names) as place:
        place.fill(write, overwrite=True)


def _reads_back(path: Path, array: Any) -> bool:
    from LiverAILib.export.nrrd import same_as_file

    return same_as_file(path, array)


def _record(path: Path, truth_file: Path, case_id: str, made: _Made, clock: Clock | None) -> None:
    """Enter the case as ready, the AI's opinion into the coordinator's file first."""
    from LiverAILib.readerstudy.ai_opinion import read_opinion

    opinion = read_opinion(made.run.path)
    models = {model.name: model.sha256 for model in made.run.findings.models}
    with StudyFile.open(path, clock) as file, file.alone():
        state = replay(file.history)
        truth = own_truth(state, truth_file)
        _check_same_ai(state, truth, case_id, opinion, models)
        update = {"ai": {**truth.ai, case_id: opinion}, "notes": {**truth.notes, case_id: made.notes}}
        truth = truth.model_copy(update=update)
        write_truth(truth_file, truth)
        prepared = Prepared(files=made.files, models=models, opinion_sha256=truth.opinion_sha256(case_id))
        file.append(Kind.PREPARED, dataclasses.asdict(prepared), case_id=case_id)


def _check_same_ai(
    state: StudyState, truth: TruthFile, case_id: str, opinion: AiOpinion, models: dict[str, str]
) -> None:
    """All cases come from the same models, and a case that was read already keeps its result."""
    for other, prepared in state.prepared.items():
        if other != case_id and prepared.models != models:
            raise StudyFileError(
                f"{case_id} was analysed with other model packages than {other}. Use the same for all cases."
            )
    before = truth.ai.get(case_id)
    if case_id in state.seen_cases and before is not None:
        blank = {"findings_sha256": ""}
        if before.model_copy(update=blank) != opinion.model_copy(update=blank):
            raise StudyFileError(
                f"{case_id} was read with another result of the AI than the one just made. Restore its folder from "
                "your copy."
            )
