"""The importer's course: discover, sort into series, look at the pixels, decide phases, decode what is used."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from LiverAILib.importing.discover import Found, discover, is_volume_file
from LiverAILib.importing.entry import SHORT_RANGE_MM, Entry
from LiverAILib.importing.geometry import StackProblem
from LiverAILib.importing.inspection import Inspection, Use
from LiverAILib.importing.phases import question, quoted
from LiverAILib.importing.phases_from_tags import unwrapped, with_order
from LiverAILib.importing.preference import preferred, why_preferred
from LiverAILib.importing.series import NOT_CT, Candidate, sort_into_series
from LiverAILib.study import Phase, PhaseOpinion, Volume

Progress = Callable[[float, str], None]


@dataclass
class Examination:
    """Everything that was found, and what came of it. `volumes` are decoded."""

    entries: list[Entry] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    volumes: dict[Phase, Volume] = field(default_factory=dict)
    used: dict[Phase, Entry] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def inspection(self) -> Inspection:
        """The report."""
        return Inspection(
            tuple(entry.report() for entry in self.entries),
            dict(self.skipped),
            tuple(self.problems),
            tuple(self.questions),
            tuple(self.warnings),
        )


def examine(
    paths: Sequence[Path],
    phase_files: Mapping[Phase, Path],
    phase_choices: Mapping[str, Phase],
    progress: Progress | None,
) -> Examination:
    """Find out what the paths hold and decode the series of each phase.

    Raises StudyError only for a path that is not there.
    """
    tell = progress or _silent
    result = Examination()
    found = discover(paths, lambda fraction, message: tell(0.3 * fraction, message))
    result.skipped = found.skipped
    result.entries = _entries(found)
    for phase, path in phase_files.items():
        _add_phase_file(result, phase, path)
    _apply_choices(result, phase_choices)
    if not _one_exam(result):
        return result
    open_entries = [entry for entry in result.entries if entry.use is None]
    for index, entry in enumerate(open_entries):
        tell(0.3 + 0.3 * index / len(open_entries), f"Looking at {entry.label}")
        entry.look_at_pixels()
    _weigh(result.entries)
    _assign(result, tell)
    _conclude(result)
    tell(1.0, "Study read")
    return result


def _silent(_fraction: float, _message: str) -> None:
    """Progress for nobody."""


def _entries(found: Found) -> list[Entry]:
    entries = [Entry.of_series(candidate) for candidate in sort_into_series(found.slices)]
    return entries + [Entry.of_file(path) for path in found.volume_files]


def _add_phase_file(result: Examination, phase: Phase, path: Path) -> None:
    """A file, or a folder with one series, that the user named as a phase."""
    if path.is_file() and is_volume_file(path):
        entry = Entry.of_file(path)
        entry.name_phase(phase)
        result.entries.append(entry)
        return
    found = discover([path])
    result.skipped.update(found.skipped)
    entries = _entries(found)
    fitting = [entry for entry in entries if entry.use is None]
    plain = [entry for entry in fitting if not entry.on_request] or fitting
    if len(plain) == 1:
        plain[0].name_phase(phase)
        plain[0].on_request = False
    elif not plain:
        why = "; ".join(f"{entry.label}: {entry.detail}" for entry in entries) or "it is not a CT volume or series"
        result.problems.append(f'"{path.name}", given as {phase.words}, can\'t be used: {why}.')
    else:
        labels = ", ".join(entry.label for entry in plain)
        result.problems.append(
            f'"{path.name}", given as {phase.words}, holds several series: {labels}. Give the folder of one.'
        )
    result.entries.extend(entries)


def _apply_choices(result: Examination, phase_choices: Mapping[str, Phase]) -> None:
    """The user's `--phase NAME=PHASE`; a name that fits no series, or several, is a problem."""
    for name, phase in phase_choices.items():
        ranks = [(entry.matches(name), entry) for entry in result.entries if entry.use is not Use.LEFT_OUT]
        best = max((rank for rank, _ in ranks), default=0)
        fitting = [entry for rank, entry in ranks if rank == best and rank > 0]
        known = ", ".join(f"{quoted(entry.key)} ({entry.label})" for _, entry in ranks) or "none"
        if not fitting:
            result.problems.append(f'No series is called "{name}". There are: {known}.')
        elif len(fitting) > 1:
            keys = ", ".join(quoted(entry.key) for entry in fitting)
            result.problems.append(f'"{name}" means several series: {keys}. Name one of these.')
        else:
            fitting[0].name_phase(phase)
            fitting[0].on_request = False
    for entry in result.entries:
        if entry.on_request and entry.use is None:
            entry.leave_out(f"{entry.detail}; to use it all the same: --phase {quoted(entry.key)}=PHASE")
        elif entry.use is None and entry.candidate is not None and "user" in entry.opinions and entry.detail:
            entry.notes.append(f"used at the user's word, though it is {entry.detail}")


def _one_exam(result: Examination) -> bool:
    """All volumes come from one patient and one study; else that is a problem and nothing is decoded."""
    entries = [entry for entry in result.entries if entry.use is None and entry.candidate is not None]
    named = [entry for entry in entries if "user" in entry.opinions]
    if named and not (_spread(named) or "").endswith("patients"):
        if _spread(named):
            result.warnings.append(f"The series named by the user come from {_spread(named)} of one patient.")
        keep = {(e.candidate.first.patient, e.candidate.first.study_uid) for e in named if e.candidate}
        for entry in entries:
            assert entry.candidate is not None
            if (entry.candidate.first.patient, entry.candidate.first.study_uid) not in keep:
                entry.leave_out("it belongs to another exam than the series named by the user")
        return True
    what = _spread(entries)
    if what is None:
        return True
    groups: dict[object, list[str]] = defaultdict(list)
    for entry in entries:
        assert entry.candidate is not None
        first = entry.candidate.first
        groups[(first.patient, first.study_uid)].append(entry.label)
    listed = "; ".join(", ".join(labels) for labels in groups.values())
    text = f"The input holds exams of {what} ({listed}). Give the folder of one exam."
    result.problems.append(text)
    for entry in entries:
        entry.use, entry.detail = Use.REFUSED, f"the input holds exams of {what}"
    return False


def _spread(entries: Sequence[Entry]) -> str | None:
    """`2 patients` or `2 studies`, when the entries come from more than one."""
    firsts = [entry.candidate.first for entry in entries if entry.candidate is not None]
    patients, studies = {f.patient for f in firsts}, {f.study_uid for f in firsts}
    if len(patients) > 1:
        return f"{len(patients)} patients"
    return f"{len(studies)} studies" if len(studies) > 1 else None


def _weigh(entries: Sequence[Entry]) -> None:
    """Check the tags against the order of acquisition, then decide; what is still open the order may settle."""
    dicom = [entry for entry in entries if entry.candidate is not None and "tags" in entry.opinions]
    seconds = unwrapped([_started(entry.candidate) for entry in dicom if entry.candidate])
    ordered = with_order([entry.opinions["tags"] for entry in dicom], seconds)
    for entry, opinion in zip(dicom, ordered, strict=True):
        entry.opinions["tags"] = opinion
    for entry in entries:
        entry.weigh()
    decided = [PhaseOpinion(e.decision.phase, e.decision.confidence, "its phase is unclear by itself") for e in dicom]
    for entry, opinion in zip(dicom, with_order(decided, seconds), strict=True):
        if entry.decision.phase is None and entry.opinions["tags"].phase is None and opinion.phase is not None:
            entry.opinions["tags"] = opinion
            entry.weigh()


def _started(candidate: Candidate) -> datetime | None:
    return min((s.acquired for s in candidate.slices if s.acquired), default=None)


def _assign(result: Examination, tell: Progress) -> None:
    """Decode the best series of each phase; the next best when it turns out to be damaged."""
    for step, phase in enumerate(Phase):
        rivals = [e for e in result.entries if e.use is None and e.decision.phase is phase]
        for entry in sorted(rivals, key=preferred):
            tell(0.6 + 0.1 * step, f"Reading {entry.label}")
            try:
                entry.read(lambda f, s=step, label=entry.label: tell(0.6 + 0.1 * (s + f), f"Reading {label}"))  # type: ignore[misc]
            except StackProblem as problem:
                entry.refuse(problem)
                continue
            assert entry.volume is not None
            result.used[phase], result.volumes[phase] = entry, entry.volume
            entry.use, entry.detail = Use.USED, entry.decision.reason
            break
        for entry in rivals:
            if entry.use is None:
                best = result.used[phase]
                entry.leave_out(f"{best.label} is used for the {phase.words} phase: {why_preferred(best, entry)}")


def _conclude(result: Examination) -> None:
    """Say what stands in the way of a study, what has to be asked, and what the user should know."""
    missing = [phase for phase in Phase if phase not in result.used]
    uncertain = [entry for entry in result.entries if entry.use is None]
    for entry in uncertain:
        thought = {o.phase for o in entry.opinions.values() if o.phase is not None}
        text = question(entry.key, entry.label, entry.decision)
        if (thought & set(missing)) or not (thought or result.used):
            entry.use, entry.detail = Use.QUESTION, text
            result.questions.append(text)
        else:
            entry.leave_out(f"its phase is uncertain and not needed: {entry.decision.reason}")
            result.warnings.append(f"{entry.label} was left out: {entry.detail}.")
    for entry in result.entries:
        if entry.use is Use.REFUSED:
            text = f"{entry.label}: {entry.detail}"
            thought = {o.phase for o in entry.opinions.values() if o.phase is not None and o.confidence >= 0.5}
            if "user" in entry.opinions or thought & set(missing) or not (result.used or result.questions):
                result.problems.append(text)
            else:
                result.warnings.append(f"Left out: {text}")
    for entry in result.used.values():
        if entry.decision.warning:
            result.warnings.append(f"{entry.label}: {entry.decision.warning}.")
        result.warnings.extend(f"{entry.label}: {note}." for note in entry.notes)
        if entry.range_mm < SHORT_RANGE_MM:
            result.warnings.append(
                f"{entry.label} covers only {entry.range_mm:.0f} mm: the liver can't be complete in it."
            )
    others = 0
    for entry in result.entries:
        if entry.use is Use.LEFT_OUT and entry not in uncertain:
            if entry.detail.startswith(NOT_CT):
                others += 1
            else:
                result.warnings.append(f"{entry.label} was left out: {entry.detail}.")
    if others:
        result.warnings.append(f"{others} series that {'is' if others == 1 else 'are'} not CT left out.")
    damaged = {
        kind: n
        for kind, n in result.skipped.items()
        if "damaged" in kind or "empty" in kind or "expands" in kind or "deeply" in kind
    }
    if damaged:
        result.warnings.append("Skipped files: " + ", ".join(f"{n} x {kind}" for kind, n in damaged.items()) + ".")
    if not result.used and not result.problems and not result.questions:
        seen = "; ".join(f"{entry.label}: {entry.detail}" for entry in result.entries)
        skipped = ", ".join(f"{n} x {kind}" for kind, n in result.skipped.items())
        held = "; ".join(part for part in (seen, skipped and f"skipped: {skipped}") if part) or "it is empty"
        result.problems.append(f"No usable CT series in the input ({held}). Give the folder of a liver CT.")
