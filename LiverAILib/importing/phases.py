"""From the opinions on a series' phase to a decision, or a question to the user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from LiverAILib.study import Phase, PhaseOpinion

#: Below this confidence nobody's word but the user's will do.
ASK_BELOW = 0.6
#: Where tags and pixels disagree, one wins only when it is this sure ...
SURE = 0.85
#: ... and the other is no surer than this.
UNSURE = 0.6


@dataclass(frozen=True)
class Decision:
    """The phase (None: ask the user), how sure that is, why, and what the user should be told all the same."""

    phase: Phase | None
    confidence: float
    reason: str
    warning: str = ""


def decide(opinions: Mapping[str, PhaseOpinion]) -> Decision:
    """Weigh the opinions "user", "tags" and "pixels" on one series; any may be absent or say None.

    The user's word decides. Agreement adds up; where tags and pixels disagree, one wins only when it is sure and the
    other unsure, else the phase is None.
    """
    none = PhaseOpinion(None, 0.0, "no opinion")
    user, tags, pixels = (opinions.get(source, none) for source in ("user", "tags", "pixels"))
    if user.phase is not None:
        return Decision(user.phase, 1.0, user.reason, _objection(user, pixels))
    if tags.phase is None and pixels.phase is None:
        return Decision(None, 0.0, f"{tags.reason}; {pixels.reason}")
    if tags.phase is None or pixels.phase is None:
        only = pixels if tags.phase is None else tags
        return Decision(only.phase if only.confidence >= ASK_BELOW else None, only.confidence, only.reason)
    if tags.phase is pixels.phase:
        both = 1 - (1 - tags.confidence) * (1 - pixels.confidence)
        return Decision(tags.phase if both >= ASK_BELOW else None, both, f"{tags.reason}; {pixels.reason}")
    winner, loser = (tags, pixels) if tags.confidence >= pixels.confidence else (pixels, tags)
    reason = f"{tags.reason} ({_sure(tags)}), but {pixels.reason} ({_sure(pixels)})"
    if winner.confidence >= SURE and loser.confidence < UNSURE:
        assert winner.phase is not None
        return Decision(
            winner.phase,
            winner.confidence - loser.confidence / 2,
            winner.reason,
            f"{reason}; taken as {winner.phase.words}",
        )
    return Decision(None, winner.confidence - loser.confidence / 2, reason)


def _sure(opinion: PhaseOpinion) -> str:
    name = opinion.phase.words if opinion.phase else "no phase"
    return f"{name}, {100 * opinion.confidence:.0f}%"


def _objection(user: PhaseOpinion, pixels: PhaseOpinion) -> str:
    """What speaks against the user's word, when it is strong."""
    if pixels.phase in (None, user.phase) or pixels.confidence < SURE:
        return ""
    assert user.phase is not None
    return f"named {user.phase.words} by the user, but {pixels.reason} ({_sure(pixels)})"


def question(key: str, label: str, decision: Decision) -> str:
    """What the user is asked about one series."""
    choices = ", ".join(str(phase) for phase in Phase)
    remedy = f"Say which it is: --phase {quoted(key)}=PHASE, one of {choices}."
    return f"{label}: its phase is uncertain: {decision.reason}. {remedy}"


def quoted(key: str) -> str:
    """The key as one word of a shell command."""
    return f'"{key}"' if " " in key or "#" in key else key
