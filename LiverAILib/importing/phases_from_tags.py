"""A series' contrast phase from its tags: description, contrast tags, time since injection, order of acquisition."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from datetime import datetime

from LiverAILib.importing.phase_words import MINUTES, RULES, SECONDS
from LiverAILib.study import Phase, PhaseOpinion

NC, ART, PV, DEL = Phase.NON_CONTRAST, Phase.ARTERIAL, Phase.PORTAL_VENOUS, Phase.DELAYED


def normalised(text: str) -> str:
    """Lower case, no accents, underscores and commas as blanks."""
    flat = unicodedata.normalize("NFKD", text.replace("ß", "ss")).lower()
    flat = "".join(c for c in flat if not unicodedata.combining(c))
    return " ".join(re.sub(r"[_,;:()\[\]|]", " ", unicodedata.normalize("NFC", flat)).split())


def phase_at(seconds: float) -> tuple[Phase, float]:
    """The phase of a scan so long after the injection began, with a confidence.

    Usual windows of liver protocols: arterial 20 to 45 s, portal-venous 60 to 90 s, delayed from 2 minutes; in between
    it is anybody's guess.
    """
    if seconds < 12:
        return NC, 0.6
    if seconds < 48:
        return ART, 0.85
    if seconds < 58:
        return PV, 0.5
    if seconds < 105:
        return PV, 0.85
    if seconds < 140:
        return DEL, 0.5
    return DEL, 0.85


def from_description(text: str) -> PhaseOpinion:
    """The phase that a series description names, in any of the languages; None when it names none or several."""
    rest, hits, enhanced = normalised(text), [], False
    for pattern, phase, weight in RULES:
        found = pattern.search(rest)
        if found is None:
            continue
        if phase is None:
            enhanced = True
        else:
            hits.append((phase, weight, found.group().strip()))
        rest = pattern.sub(" ", rest)
    phases = {phase for phase, _, _ in hits}
    if phases == {PV, DEL} and "portal" not in normalised(text):
        phases, hits = {DEL}, [hit for hit in hits if hit[0] is DEL]  # "venous late"
    if len(phases) == 1:
        phase, weight, word = max(hits, key=lambda hit: hit[1])
        return PhaseOpinion(phase, weight, f'its description says "{word}"')
    if len(phases) > 1:
        return PhaseOpinion(
            None, 0.0, "its description names several phases: " + ", ".join(f'"{hit[2]}"' for hit in hits)
        )
    seconds = _seconds(normalised(text))
    if seconds is not None:
        phase, confidence = phase_at(seconds)
        return PhaseOpinion(phase, min(confidence, 0.75), f"its description gives a delay of {seconds:g} s")
    if enhanced:
        return PhaseOpinion(None, 0.0, "its description says that contrast was given, not which phase")
    return PhaseOpinion(None, 0.0, "its description does not name a phase")


def _seconds(text: str) -> float | None:
    if found := MINUTES.search(text):
        minutes = float(found.group(1))
        return minutes * 60 if 1 <= minutes <= 20 else None
    if found := SECONDS.search(text):
        seconds = float(found.group(1))
        return seconds if 15 <= seconds <= 900 else None
    return None


def from_timing(injected_seconds: float | None, acquired_seconds: float | None) -> PhaseOpinion:
    """The phase from the time between injection and acquisition (seconds of the day; midnight may lie between)."""
    if injected_seconds is None or acquired_seconds is None:
        return PhaseOpinion(None, 0.0, "no injection time")
    delay = acquired_seconds - injected_seconds
    if delay < -43200:
        delay += 86400
    elif delay > 43200:
        delay -= 86400
    if not -600 <= delay <= 1800:
        return PhaseOpinion(None, 0.0, f"its injection time is {abs(delay) / 60:.0f} min away: not believed")
    phase, confidence = phase_at(delay)
    when = f"{delay:.0f} s after the injection" if delay >= 0 else "before the injection"
    return PhaseOpinion(phase, confidence, f"it was acquired {when}")


def from_tags(
    *, description: str, protocol: str = "", comments: str = "", contrast_agent: str = "",
    injected_seconds: float | None = None, acquired_seconds: float | None = None,
) -> PhaseOpinion:  # fmt: skip
    """One opinion from all tags of a series. The protocol name counts little: it often names the whole exam."""
    said = from_description(description)
    timed = from_timing(injected_seconds, acquired_seconds)
    agent = normalised(contrast_agent)
    with_agent = (
        bool(agent) and agent not in ("no", "none", "nein", "non", "0", "ohne", "without") and "oral" not in agent
    )
    if said.phase is not None:
        if timed.phase is said.phase:
            return PhaseOpinion(
                said.phase, _together(said.confidence, timed.confidence), f"{said.reason} and {timed.reason}"
            )
        if timed.phase is not None and timed.confidence >= 0.85:
            return PhaseOpinion(said.phase, 0.5, f"{said.reason}, but {timed.reason}")
        if said.phase is NC and with_agent:
            return PhaseOpinion(NC, said.confidence - 0.15, f"{said.reason}, though a contrast agent is tagged")
        return said
    if timed.phase is not None:
        return timed
    for source, text in (("image comment", comments), ("contrast tag", contrast_agent), ("protocol name", protocol)):
        hint = from_description(text)
        if hint.phase is not None:
            return PhaseOpinion(
                hint.phase, min(hint.confidence, 0.4), hint.reason.replace("its description", f"its {source}")
            )
    if with_agent:
        return PhaseOpinion(None, 0.0, f"{said.reason}; a contrast agent is tagged")
    return said


def _together(a: float, b: float) -> float:
    return 1 - (1 - a) * (1 - b)


def unwrapped(times: Sequence[datetime | None]) -> list[float | None]:
    """Seconds since the first acquisition, when the date tag may not have moved on at midnight.

    A series that seems to lie more than 12 hours before another of the same exam was acquired after midnight.
    """
    known = [t for t in times if t is not None]
    if not known:
        return [None] * len(times)
    latest = max(known)
    shifted = [None if t is None else (t - latest).total_seconds() for t in times]
    seconds = [None if s is None else s + 86400 if -86400 <= s < -43200 else s for s in shifted]
    first = min(s for s in seconds if s is not None)
    return [None if s is None else s - first for s in seconds]


def with_order(opinions: Sequence[PhaseOpinion], seconds: Sequence[float | None]) -> list[PhaseOpinion]:
    """The opinions of one exam's series, checked against and completed by the order of acquisition.

    Phases only move forward in time. A series between two known ones gets the phase that alone fits between them; one
    that contradicts the order loses confidence. Series acquired within 5 s of each other are reconstructions of one
    scan.
    """
    phases = list(Phase)
    result = list(opinions)
    for i, opinion in enumerate(opinions):
        here = seconds[i]
        if here is None:
            continue
        others = [
            (seconds[j], other)
            for j, other in enumerate(opinions)
            if j != i and other.phase is not None and other.confidence >= 0.6 and seconds[j] is not None
        ]
        low, high, same = 0, len(phases) - 1, None
        for there, other in others:
            assert there is not None
            assert other.phase is not None
            rank = phases.index(other.phase)
            if abs(there - here) <= 5:
                same = other.phase
            elif there < here:
                low = max(low, rank + 1)
            else:
                high = min(high, rank - 1)
        if opinion.phase is None and same is not None:
            result[i] = PhaseOpinion(same, 0.75, "it was acquired together with a series of that phase")
        elif opinion.phase is None and low == high and others:
            result[i] = PhaseOpinion(
                phases[low], 0.6, f"{opinion.reason}; by the order of acquisition only this phase fits"
            )
        elif opinion.phase is not None and not low <= phases.index(opinion.phase) <= high and opinion.phase is not same:
            if _repeats(opinion, seconds[i], others):
                continue
            lowered = PhaseOpinion(
                opinion.phase, opinion.confidence * 0.6, f"{opinion.reason}, against the order of acquisition"
            )
            result[i] = lowered
    return result


def _repeats(opinion: PhaseOpinion, here: float | None, others: Sequence[tuple[float | None, PhaseOpinion]]) -> bool:
    """Whether only series of the very same phase stand in the way: a second scan (or reconstruction) in one phase."""
    phases = list(Phase)
    rank = phases.index(opinion.phase) if opinion.phase else 0
    return all(
        (there <= here and phases.index(other.phase) <= rank) or (there >= here and phases.index(other.phase) >= rank)
        for there, other in others
        if there is not None and here is not None and other.phase is not None
    )
