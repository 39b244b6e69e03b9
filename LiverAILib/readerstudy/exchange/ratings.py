"""What iMRMC and MRMCaov exchange: one rating for each reader, arm and case, and the truth of one question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from LiverAILib.readerstudy.dataset import (
    Answer,
    Arm,
    Case,
    Dataset,
    DatasetError,
    ProtocolFacts,
    Reader,
    Target,
    Verdict,
)


@dataclass(frozen=True, kw_only=True)
class Rating:
    """One reader's rating of one case in one arm; higher for the class asked for."""

    reader: str
    arm: str
    case: str
    rating: float


@dataclass(frozen=True, kw_only=True)
class Ratings:
    """All ratings of one question; truth is by case. What is not there was not read."""

    truth: dict[str, bool]
    ratings: tuple[Rating, ...]

    @property
    def readers(self) -> tuple[str, ...]:
        """In the order in which they come."""
        return tuple(dict.fromkeys(each.reader for each in self.ratings))

    @property
    def arms(self) -> tuple[str, ...]:
        """In the order in which they come."""
        return tuple(dict.fromkeys(each.arm for each in self.ratings))


def ratings_of(data: Dataset, target: Target) -> Ratings:
    """The stated probabilities of a question. Raises DatasetError if there are none with a known truth."""
    truth = {case.id: known for case in data.cases if (known := case.truth(target)) is not None}
    order = {arm: k for k, arm in enumerate(data.arm_names)}
    found = [
        Rating(reader=answer.reader, arm=answer.arm, case=answer.case, rating=rating)
        for answer in data.answers
        if answer.case in truth and (rating := answer.rating(target)) is not None
    ]
    if not found:
        raise DatasetError(f"There are no ratings of {target.positive} in cases whose truth is known.")
    readers = {reader: k for k, reader in enumerate(data.reader_codes)}
    cases = {case: k for k, case in enumerate(truth)}
    found.sort(key=lambda each: (order[each.arm], readers[each.reader], cases[each.case]))
    return Ratings(truth=truth, ratings=tuple(found))


def dataset_of(given: Ratings, target: Target, *, study: str, assisted: Sequence[str] = ()) -> Dataset:
    """A data set of these ratings, with no decisions.

    Ratings on another scale than 0 to 1 are stretched to it, which changes no ROC figure. assisted: names of the arms
    with AI. Raises DatasetError for a case without truth or an unknown arm.
    """
    strange = set(assisted) - set(given.arms)
    if strange:
        raise DatasetError(f'"{min(strange)}" is none of the arms {", ".join(given.arms)}.')
    unknown = {each.case for each in given.ratings} - set(given.truth)
    if unknown:
        raise DatasetError(f'The truth of case "{min(unknown)}" is not given.')
    values = [each.rating for each in given.ratings]
    low, high = (0.0, 1.0) if all(0 <= value <= 1 for value in values) else (min(values), max(values))

    def fraction(rating: float) -> float:
        return (rating - low) / (high - low)

    def case(name: str, known: bool) -> Case:
        if target is Target.HCC:
            return Case(id=name, hcc=known)
        return Case(id=name, verdict=Verdict.MALIGNANT if known else Verdict.BENIGN)

    def answer(each: Rating) -> Answer:
        p = fraction(each.rating)
        return Answer(
            reader=each.reader,
            case=each.case,
            arm=each.arm,
            period=1,
            p_hcc=p if target is Target.HCC else None,
            p_malignant=p if target is Target.MALIGNANT else None,
        )

    return Dataset(
        protocol=ProtocolFacts(study=study, arms=tuple(Arm(name=arm, assisted=arm in assisted) for arm in given.arms)),
        cases=tuple(case(name, known) for name, known in given.truth.items()),
        readers=tuple(Reader(code=reader) for reader in given.readers),
        answers=tuple(answer(each) for each in given.ratings),
    )


def read_number(text: str, where: str) -> float:
    """A number, or a refusal that says where."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if value != value or value in (float("inf"), float("-inf")):
        raise DatasetError(f'{where}: "{text}" is no number.')
    return value


def read_truth(text: str, where: str) -> bool:
    """0 or 1, or a refusal that says where."""
    if text.strip() not in ("0", "1"):
        raise DatasetError(f'{where}: the truth "{text}" is neither 0 nor 1.')
    return text.strip() == "1"
