"""The types of a patient's lesions together: what one lesion is says something about the others.

Ours; the paper types each lesion by itself. Most lesions of a patient are of one kind, the leading one, and the others
are what a liver often has besides, mostly cysts and haemangiomas. With p_i(t) the probability of type t from lesion i's
images alone (of a network that learnt from all types alike, so it is their likelihood but for a factor), pi(L) the
share of patients led by type L, and q(t | L) the share of a patient's lesions that are of type t if L leads, lesion
i's images speak for L by Z_i(L) = sum over t of q(t | L) p_i(t), and

    P(type of i is t) = sum over L of P_i(L) q(t | L) p_i(t) / Z_i(L),
    log P_i(L) = log pi(L) + log r(L) + log Z_i(L) + trust * sum over the other lesions j of log Z_j(L) + a constant.

r(L) is what the record says of the leading type, once for the patient: the ratio of the answers with and without it,
averaged (of the logarithms) over the lesions. With a trust below 1 the others count less than if their images were
independent evidence, since lesions of one scan are misjudged alike, and a finding may be none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from LiverAILib.errors import BundleError

Array = npt.NDArray[np.float64]

#: Below it a probability says nothing more: the network's certainty is worth no more than this.
_LEAST = 1e-6


@dataclass(frozen=True)
class TypeCompany:
    """Which types go with which, in the order of the classifier's labels: leading (k,), pi above; found_with (k, k), q
    above, a row for each leading type; trust above, in [0, 1].

    Raises ValueError unless pi and each row of q are positive and add up to 1.
    """

    leading: tuple[float, ...]
    found_with: tuple[tuple[float, ...], ...]
    trust: float

    def __post_init__(self) -> None:
        rows = [self.leading, *self.found_with]
        kinds = len(self.leading)
        fits = len(self.found_with) == kinds > 0 and all(len(row) == kinds for row in rows)
        if not (fits and all(min(row) > 0 and abs(sum(row) - 1) < 1e-3 for row in rows) and 0 <= self.trust <= 1):
            raise ValueError("These are not shares of lesion types, of each leading type, that add up to 1.")

    def metadata(self) -> dict[str, Any]:
        """As a model package's metadata keep them."""
        return {
            "leading": [round(share, 5) for share in self.leading],
            "found_with": [[round(share, 5) for share in row] for row in self.found_with],
            "trust": self.trust,
        }

    @classmethod
    def from_metadata(cls, values: Mapping[str, Any], kinds: int) -> TypeCompany:
        """From a model package's metadata; raises BundleError if they are not of `kinds` types or make no sense."""
        try:
            rows = tuple(tuple(float(share) for share in row) for row in values["found_with"])
            company = cls(tuple(float(share) for share in values["leading"]), rows, float(values["trust"]))
        except (KeyError, TypeError, ValueError) as error:
            raise _refused() from error
        if len(company.leading) != kinds:
            raise _refused()
        return company


def _refused() -> BundleError:
    return BundleError(
        "What the classifier's model package says of types found together is not valid. Install the package again."
    )


def joint_probabilities(with_record: npt.ArrayLike, without_record: npt.ArrayLike, company: TypeCompany) -> Array:
    """The probabilities (n, k) of all of one patient's lesions, from those of each lesion by itself, with the patient's
    record and without it. The order of the lesions does not matter.
    """
    from scipy import special

    known, unknown = (np.clip(np.asarray(p, dtype=np.float64), _LEAST, 1) for p in (with_record, without_record))
    if not len(known):
        return known
    joined = unknown[:, None] * np.asarray(company.found_with)  # lesion, leading type, type
    speaks = joined.sum(axis=2)
    evidence = np.log(speaks)
    patient = np.log(company.leading) + np.log(known / unknown).mean(axis=0)
    others = evidence.sum(axis=0) - evidence
    weights = special.softmax(patient + evidence + company.trust * others, axis=1)
    return np.asarray(((weights / speaks)[:, :, None] * joined).sum(axis=1))


def joint_by_patient(with_record: Array, without_record: Array, patients: npt.ArrayLike, company: TypeCompany) -> Array:
    """`joint_probabilities` of the lesions (n, k) of several patients, by whose they are (n,)."""
    result, numbers = np.empty_like(with_record), np.asarray(patients)
    for patient in np.unique(numbers):
        own = numbers == patient
        result[own] = joint_probabilities(with_record[own], without_record[own], company)
    return result


def count_company(patients: Sequence[Sequence[int]], kinds: int, trust: float, *, unseen: float = 0.005) -> TypeCompany:
    """The shares in patients with lesions, given their types (indices below `kinds`), the leading one first. Each
    patient counts alike, however many lesions; unseen: added to every share, so that nothing is impossible.
    """
    leading, together = np.full(kinds, unseen), np.zeros((kinds, kinds))
    for types in patients:
        if types:
            leading[types[0]] += 1
            together[types[0]] += np.bincount(types, minlength=kinds) / len(types)
    rows = together / np.maximum(together.sum(axis=1, keepdims=True), 1) + unseen
    rows /= rows.sum(axis=1, keepdims=True)
    shares = leading / leading.sum()
    return TypeCompany(tuple(shares.tolist()), tuple(tuple(row) for row in rows.tolist()), trust)
