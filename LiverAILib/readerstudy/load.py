"""From the study file and the coordinator's file to the plain `Dataset` that is analysed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from LiverAILib.lesion_types import LesionType
from LiverAILib.readerstudy.answers import decisions
from LiverAILib.readerstudy.dataset import (
    AiResult,
    Amendment,
    Answer,
    Arm,
    Case,
    Dataset,
    Endpoint,
    HitRule,
    LesionMask,
    Mark,
    Override,
    Point,
    ProtocolFacts,
    Reader,
    TrueLesion,
)
from LiverAILib.readerstudy.schema import Entry, Kind
from LiverAILib.readerstudy.state import StudyState
from LiverAILib.readerstudy.timing import Event, Moment, Times, reading_times
from LiverAILib.readerstudy.truth import AiOpinion, CaseSpec, PointLPS, truth_path
from LiverAILib.readerstudy.verify import verify_study

Key = tuple[str, str, str]  # reader, case, arm

#: An amendment of these changes the endpoint, which is then no longer the sealed one.
_ENDPOINT = frozenset({"primary", "alpha"})


def load_dataset(path: Path, truth_file: Path | None = None) -> Dataset:
    """Verify both files and read what an analysis needs. Training is left out; of a reopened case the last answer
    counts.

    Raises StudyFileError if either file is not as it was written.
    """
    truth_file = truth_file or truth_path(path.absolute())
    verified = verify_study(path, truth_file)
    entries, state, truth = verified.entries, verified.state, verified.truth
    assert truth is not None
    return Dataset(
        protocol=_facts(state),
        cases=tuple(_case(case_id, truth.cases[case_id]) for case_id in state.cases),
        readers=tuple(
            Reader(code=reader.code, experience_years=reader.experience_years) for reader in state.protocol.readers
        ),
        answers=_answers(state, entries),
        ai=tuple(_ai(case_id, truth.ai[case_id]) for case_id in state.cases if case_id in truth.ai),
        overrides=tuple(
            Override(
                utc=entry.utc,
                rule=entry.content["rule"],
                reader=entry.reader or "all",
                reason=entry.content["reason"],
                case=entry.case_id,
            )
            for entry in state.overrides
        ),
    )


def _facts(state: StudyState) -> ProtocolFacts:
    protocol, primary = state.protocol, state.protocol.primary
    models: dict[str, str] = {}
    for prepared in state.prepared.values():
        models |= prepared.models
    return ProtocolFacts(
        study=protocol.title,
        arms=tuple(Arm(name=arm.name, assisted=arm.assisted) for arm in protocol.arms),
        sealed_sha256=state.sealed_sha256,
        sealed_utc=state.sealed.isoformat(timespec="seconds") if state.sealed else None,
        endpoint=Endpoint(**primary.model_dump()),
        alpha=protocol.alpha,
        hit_rule=HitRule(**protocol.hit_rule.model_dump()),
        amendments=tuple(
            Amendment(
                utc=utc,
                text=f"{reason} (changed: {', '.join(sorted(changes))})",
                endpoint=bool(changes.keys() & _ENDPOINT) or (primary.merit == "wAFROC" and "hit_rule" in changes),
            )
            for utc, reason, changes in state.amendments
        ),
        design=protocol.design,
        washout_days=protocol.washout_days if protocol.design == "crossed" else None,
        seed=protocol.seed,
        models=models or dict(protocol.bundles),
    )


def _case(case_id: str, case: CaseSpec) -> Case:
    truth = case.truth
    lesions = None
    if truth.lesions is not None:
        lesions = tuple(
            TrueLesion(
                id=f"{case_id}-{number}",
                type=lesion.type,
                centre=_zyx(lesion.centre_lps_mm) if lesion.centre_lps_mm else None,
                box=_box(lesion.box_lps_mm) if lesion.box_lps_mm else None,
                mask=LesionMask(path=lesion.mask.path, label=lesion.mask.label, layer=lesion.mask.layer)
                if lesion.mask
                else None,
            )
            for number, lesion in enumerate(truth.lesions, start=1)
        )
    return Case(id=case_id, hcc=truth.hcc, verdict=truth.verdict, type=truth.type, lesions=lesions)


def _answers(state: StudyState, entries: tuple[Entry, ...]) -> tuple[Answer, ...]:
    last: dict[Key, Entry] = {}
    attempts: dict[Key, list[list[Moment]]] = defaultdict(list)
    shown: dict[Key, list[str]] = defaultdict(list)
    for entry in entries:
        key = (entry.reader or "", entry.case_id or "", entry.arm or "")
        if entry.kind is Kind.BEGIN:
            attempts[key].append([Moment(Event.LOADING, 0.0)])
        elif entry.kind is Kind.EVENT:
            moment = Moment(Event(entry.content["event"]), entry.content["seconds"], entry.content.get("detail"))
            attempts[key][-1].append(moment)
            if moment.event is Event.OVERLAY_SHOWN and moment.detail not in shown[key]:
                shown[key].append(str(moment.detail))
        elif entry.kind is Kind.ANSWER:
            attempts[key][-1].append(Moment(Event.SUBMIT, entry.content["seconds"]))
            last[key] = entry
    times = {key: reading_times(_viewed(parts)) for key, parts in attempts.items()}
    return tuple(
        _answer(state, key, entry, times, tuple(shown[key]))
        for key, entry in last.items()
        if entry.case_id not in state.training
    )


def _viewed(attempts: list[list[Moment]]) -> list[list[Moment]]:
    """The attempts; loading ends with the first view at the latest, though nobody said so."""
    result = []
    for moments in attempts:
        seen = next((at for at, moment in enumerate(moments) if moment.event is Event.FIRST_VIEW), None)
        loaded = any(moment.event is Event.LOADED for moment in moments[:seen])
        if seen is not None and not loaded:
            moments = [*moments[:seen], Moment(Event.LOADED, moments[seen].seconds), *moments[seen:]]
        result.append(moments)
    return result


def _answer(state: StudyState, key: Key, entry: Entry, times: Mapping[Key, Times], overlays: tuple[str, ...]) -> Answer:
    """One answer. In the sequential design the time of the second one includes that of the first."""
    reader, case, arm = key
    answer = entry.content["answer"]
    own = [times[key]]
    if state.protocol.design == "sequential" and entry.period == 2:
        own.append(times[reader, case, state.protocol.arms[0].name])
    hcc, verdict, kind = decisions(answer)
    marks = answer.get("marks")
    return Answer(
        reader=reader,
        case=case,
        arm=arm,
        period=entry.period or 1,
        hcc=hcc,
        verdict=verdict,
        type=kind,
        p_hcc=_fraction(answer.get("p_hcc")),
        p_malignant=_fraction(answer.get("p_malignant")),
        marks=None if marks is None else tuple(_mark(mark) for mark in marks),
        confidence=_confidence(state, answer),
        active_seconds=round(sum(part.active for part in own), 3),
        wall_seconds=round(sum(part.wall for part in own), 3),
        overlays=overlays,
    )


def _confidence(state: StudyState, answer: Mapping[str, Any]) -> float | None:
    """As it was asked: with the question of the primary endpoint, else with the first that has one."""
    first = "hcc" if state.protocol.primary.target == "HCC" else "verdict"
    for item in (first, "hcc", "verdict", "type"):
        given = answer.get(item)
        if given is not None and "confidence" in given:
            return _fraction(given["confidence"])
    return None


def _mark(mark: Mapping[str, Any]) -> Mark:
    """A mark without a confidence of its own counts as a sure one: all marks are then alike."""
    return Mark(
        confidence=mark.get("confidence", 100) / 100,
        point=_zyx(mark["point_lps_mm"]),
        box=_box(mark["box_lps_mm"]) if "box_lps_mm" in mark else None,
        type=LesionType(mark["type"]) if "type" in mark else None,
    )


def _ai(case_id: str, opinion: AiOpinion) -> AiResult:
    return AiResult(
        case=case_id,
        hcc=opinion.hcc,
        verdict=opinion.verdict,
        type=opinion.type,
        p_hcc=opinion.p_hcc,
        p_malignant=opinion.p_malignant,
        marks=tuple(
            Mark(
                confidence=mark.confidence,
                point=_zyx(mark.centre_lps_mm),
                box=_box(mark.box_lps_mm),
                type=mark.type,
            )
            for mark in opinion.marks
        ),
        low_risk=opinion.low_risk,
        type_probabilities=opinion.type_probabilities,
    )


def _fraction(percent: float | None) -> float | None:
    return None if percent is None else percent / 100


def _zyx(point: PointLPS | list[float]) -> Point:
    x, y, z = point
    return float(z), float(y), float(x)


def _box(corners: tuple[PointLPS, PointLPS] | list[list[float]]) -> tuple[Point, Point]:
    low, high = corners
    return _zyx(low), _zyx(high)
