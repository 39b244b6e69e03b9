"""The patient reading: from the lesions' class probabilities to one statement, with its reason in words.

Source: Ying et al., Nat Commun 2024, "Clinical application in patient triage": low risk is a patient without a lesion
or with definitely benign ones only, high risk one with a definitely malignant or an indeterminate lesion. The worst
lesion decides. The paper does not say where "definitely" begins: here two thresholds on a lesion's probability of
malignancy (HCC, ICC and metastasis together) bound the indeterminate zone; they are chosen on validation data (see
`calibrate`) and live in the classifier's model package. What could not be read is never low risk, and where the search
for lesions misses too many, nobody is: the triage then stays open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from LiverAILib.errors import BundleError
from LiverAILib.findings import Triage, Verdict
from LiverAILib.lesion_types import LesionType


@dataclass(frozen=True)
class TriageThresholds:
    """On a lesion's probability of malignancy: definitely benign below `benign_below`, definitely malignant from
    `malignant_from` on, indeterminate between; `decision` is where the two-way call malignant or benign changes.

    Raises ValueError unless 0 <= benign_below <= malignant_from <= 1 and 0 < decision < 1.
    """

    benign_below: float
    malignant_from: float
    decision: float = 0.5

    def __post_init__(self) -> None:
        if not (0 <= self.benign_below <= self.malignant_from <= 1 and 0 < self.decision < 1):
            raise ValueError(f"These are not thresholds of a triage: {self}")

    def metadata(self) -> dict[str, float]:
        """As a model package's metadata keep them."""
        return asdict(self)

    @classmethod
    def from_metadata(cls, values: Mapping[str, Any]) -> TriageThresholds:
        """From a model package's metadata; raises BundleError if they are incomplete or make no sense."""
        try:
            return cls(**{key: float(value) for key, value in values.items()})
        except (TypeError, ValueError) as error:
            raise BundleError(
                "The triage thresholds in the classifier's model package are not valid. Install the package again."
            ) from error


@dataclass(frozen=True)
class ClassifiedLesion:
    """A lesion and its seven class probabilities; None if it could not be classified (no phase that the network takes).

    Raises ValueError unless the probabilities are those of all types and add up to 1.
    """

    id: str
    name: str
    probabilities: Mapping[LesionType, float] | None

    def __post_init__(self) -> None:
        if self.probabilities is None:
            return
        values = [self.probabilities.get(kind, -1.0) for kind in LesionType]
        if not (all(0 <= value <= 1 + 1e-6 for value in values) and abs(sum(values) - 1) < 1e-3):
            raise ValueError(
                f"{self.name}: its probabilities are not those of {len(LesionType)} types that add up to 1."
            )

    @property
    def malignancy(self) -> float | None:
        """The probability that it is HCC, ICC or metastasis."""
        if self.probabilities is None:
            return None
        return min(sum(self.probabilities[kind] for kind in LesionType if kind.malignant), 1.0)

    @property
    def likeliest(self) -> LesionType | None:
        """The type with the highest probability; the paper's order decides a tie."""
        if self.probabilities is None:
            return None
        return max(LesionType, key=self.probabilities.__getitem__)

    def verdict(self, thresholds: TriageThresholds) -> Verdict:
        """What the thresholds say of it; a lesion that could not be classified is indeterminate."""
        if self.malignancy is None:
            return Verdict.INDETERMINATE
        if self.malignancy >= thresholds.malignant_from:
            return Verdict.MALIGNANT
        return Verdict.BENIGN if self.malignancy < thresholds.benign_below else Verdict.INDETERMINATE


@dataclass(frozen=True)
class PatientReading:
    """triage, None if it stays open, and the reason in words. worst: id of the lesion that decides, None without one.
    verdict: of it, or None. malignancy: its probability, 0 without a lesion, None if unknown. malignant: the two-way
    call, None if unknown.
    """

    triage: Triage | None
    reason: str
    worst: str | None
    verdict: Verdict | None
    malignancy: float | None
    malignant: bool | None


_SEVERITY = (Verdict.BENIGN, Verdict.INDETERMINATE, Verdict.MALIGNANT)


def read_patient(
    lesions: Sequence[ClassifiedLesion],
    thresholds: TriageThresholds,
    *,
    liver_found: bool = True,
    unread: Sequence[str] = (),
    search_gap: str = "",
) -> PatientReading:
    """The reading of one patient. Of lesions that are equally bad the first counts, so give the largest first. unread:
    in whole sentences, what was found and could not be measured. search_gap: in a whole sentence, why finding nothing
    malignant does not mean low risk, if so; the triage is then high or stays open.

    Among indeterminate lesions one that could not be classified is the worst, as nothing speaks for it.
    """
    if not liver_found:
        reason = "High risk: no liver was found, so the exam could not be read. A radiologist has to look at it."
        return PatientReading(Triage.HIGH, reason, None, None, None, None)
    if unread and all(lesion.verdict(thresholds) is Verdict.BENIGN for lesion in lesions):
        return PatientReading(Triage.HIGH, f"High risk: {unread[0]}", None, None, None, None)
    if not lesions:
        triage, said = _not_high(search_gap)
        return PatientReading(triage, f"{said}no lesion was found.", None, None, 0.0, False)

    def badness(lesion: ClassifiedLesion) -> tuple[int, float]:
        unknown = lesion.malignancy is None
        return _SEVERITY.index(lesion.verdict(thresholds)), 1.0 if unknown else float(lesion.malignancy or 0)

    worst = max(lesions, key=badness)
    verdict = worst.verdict(thresholds)
    triage, said = _not_high(search_gap) if verdict is Verdict.BENIGN else (Triage.HIGH, "High risk: ")
    return PatientReading(
        triage=triage,
        reason=said + _reason(worst, verdict, len(lesions), thresholds),
        worst=worst.id,
        verdict=verdict,
        malignancy=worst.malignancy,
        malignant=None if worst.malignancy is None else worst.malignancy >= thresholds.decision,
    )


def _not_high(search_gap: str) -> tuple[Triage | None, str]:
    """The triage where nothing that was found makes it high, and how its reason begins."""
    return (None, f"Not triaged: {search_gap} Here ") if search_gap else (Triage.LOW, "Low risk: ")


def _reason(worst: ClassifiedLesion, verdict: Verdict, count: int, thresholds: TriageThresholds) -> str:
    if worst.malignancy is None or worst.likeliest is None:
        return f"{worst.name} could not be classified."
    probability, low, high = _apart(worst.malignancy, thresholds.benign_below, thresholds.malignant_from)
    kind = worst.likeliest.full_name
    likely = f"most likely {kind[0].lower() + kind[1:]}; probability of malignancy {probability}"
    if verdict is Verdict.MALIGNANT:
        return f"{worst.name} is definitely malignant ({likely}, at least {high})."
    if verdict is Verdict.INDETERMINATE:
        return f"{worst.name} is indeterminate ({likely}, not below {low} and not at least {high})."
    if count == 1:
        return f"the only lesion is definitely benign ({likely}, below {low})."
    return f"all {count} lesions are definitely benign (worst: {worst.name}, {likely}, below {low})."


def _apart(*values: float) -> list[str]:
    """Numbers with two decimals, or as many as it takes to tell different ones apart."""
    texts: list[str] = []
    for digits in range(2, 9):
        texts = [f"{value:.{digits}f}" for value in values]
        if len(set(texts)) == len(set(values)):
            break
    return texts
