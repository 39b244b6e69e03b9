"""Who reads what, when and in which arm: counterbalanced, stratified by truth, and reproducible from the seed.

Crossed design. Every reader reads every case in both arms, one in each of two periods. For each reader the cases of a
stratum (the truth, as far as it is known) are halved: one half begins in the first arm, the other in the second. So
for every reader and stratum the two orders differ by at most one case, over all strata by at most one, too. A second
reader of a pair gets the opposite halves, so that every case is begun in either arm by as many readers (plus or minus
one if their number is odd). The order within a period is each reader's own; arms that come in blocks come in the
opposite order in the other period and for the other reader of the pair.

Sequential design. One pass: each case without the AI, then with it; only the order is drawn.

Order at random means order by SHA-256 of "seed/purpose/item": the same with every language and version.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from LiverAILib.readerstudy.protocol import Protocol


@dataclass(frozen=True, kw_only=True)
class Slot:
    """One reading to be done. period: 1 or 2 (in the sequential design of the first and the second answer)."""

    case: str
    arm: str
    period: int
    training: bool

    def plain(self) -> list[Any]:
        """As JSON keeps it."""
        return [self.case, self.arm, self.period, self.training]

    @classmethod
    def from_plain(cls, values: list[Any]) -> Slot:
        case, arm, period, training = values
        return cls(case=str(case), arm=str(arm), period=int(period), training=bool(training))


def pseudonyms(names: Iterable[tuple[str, bool]], seed: int) -> dict[str, str]:
    """name -> "C001", or "T001" for training cases, given (name, training): numbered in random order."""
    result: dict[str, str] = {}
    listed = list(names)
    for letter, training in (("C", False), ("T", True)):
        chosen = shuffled([name for name, is_training in listed if is_training is training], seed, "pseudonyms")
        result |= {name: f"{letter}{number:03d}" for number, name in enumerate(chosen, start=1)}
    return result


def shuffled(items: Iterable[str], seed: int, purpose: str) -> list[str]:
    """The items in the random order that seed and purpose give."""
    return sorted(items, key=lambda item: hashlib.sha256(f"{seed}/{purpose}/{item}".encode()).digest())


def allocate(protocol: Protocol, strata: Mapping[str, str], training: Iterable[str]) -> dict[str, list[Slot]]:
    """Each reader's readings in the order in which they are done, training cases first.

    strata: pseudonym -> stratum of the cases to read; training: pseudonyms of the training cases.
    """
    seed, arms = protocol.seed, tuple(arm.name for arm in protocol.arms)
    practice = list(training)
    plan: dict[str, list[Slot]] = {}
    first_half: frozenset[str] = frozenset()
    codes = shuffled((reader.code for reader in protocol.readers), seed, "pairs of readers")
    for number, code in enumerate(codes):
        slots = _training_slots(shuffled(practice, seed, f"training {code}"), arms, protocol.design)
        if protocol.design == "sequential":
            for case in shuffled(strata, seed, f"order {code}"):
                slots += [Slot(case=case, arm=arm, period=at, training=False) for at, arm in enumerate(arms, start=1)]
        else:
            first_half = frozenset(strata) - first_half if number % 2 else _half(strata, seed, code)
            for period in (1, 2):
                slots += _period(protocol, list(strata), first_half, code, period, begins=(number + period) % 2)
        plan[code] = slots
    return {reader.code: plan[reader.code] for reader in protocol.readers}


def _half(strata: Mapping[str, str], seed: int, code: str) -> frozenset[str]:
    """Half of every stratum; odd ones give and take their odd case in turn, so that the whole is halved as well."""
    half: list[str] = []
    generous = False
    for stratum in shuffled(set(strata.values()), seed, f"strata {code}"):
        cases = shuffled((case for case in strata if strata[case] == stratum), seed, f"halves {code}")
        if len(cases) % 2:
            generous = not generous
        half += cases[: (len(cases) + (len(cases) % 2 and generous)) // 2]
    return frozenset(half)


def _period(
    protocol: Protocol, cases: list[str], first_half: frozenset[str], code: str, period: int, begins: int
) -> list[Slot]:
    """One period: cases of the first half in the first arm in period 1, the others in the second; then swapped.

    begins: index of the arm that comes first if the arms come in blocks.
    """
    arms = tuple(arm.name for arm in protocol.arms)
    slots = [
        Slot(case=case, arm=arms[(case not in first_half) ^ (period == 2)], period=period, training=False)
        for case in shuffled(cases, protocol.seed, f"order {code} period {period}")
    ]
    if protocol.arm_order == "blocks":
        slots.sort(key=lambda slot: slot.arm != arms[begins])
    return slots


def _training_slots(cases: list[str], arms: tuple[str, ...], design: Literal["crossed", "sequential"]) -> list[Slot]:
    """Training: in turn without and with the AI, or in a sequential study one after the other."""
    if design == "sequential":
        return [Slot(case=case, arm=arm, period=at, training=True) for case in cases for at, arm in enumerate(arms, 1)]
    return [Slot(case=case, arm=arms[at % 2], period=1, training=True) for at, case in enumerate(cases)]
