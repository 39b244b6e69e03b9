"""The types of a patient's lesions together, held against the sum over every way the types could be."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from LiverAILib.analysis.joint_types import TypeCompany, count_company, joint_by_patient, joint_probabilities
from LiverAILib.errors import BundleError

COMPANY = TypeCompany(
    (0.5, 0.3, 0.2),
    ((0.8, 0.15, 0.05), (0.1, 0.6, 0.3), (0.02, 0.08, 0.9)),
    trust=1.0,
)
IMAGES = np.array([[0.5, 0.3, 0.2], [0.2, 0.5, 0.3], [0.1, 0.1, 0.8]])


def every_way(images: np.ndarray, record: np.ndarray, company: TypeCompany) -> np.ndarray:
    """The same by counting out all types of all lesions; record: what it says of each leading type."""
    result = np.zeros_like(images)
    for lead, share in enumerate(company.leading):
        for types in product(range(images.shape[1]), repeat=len(images)):
            chance = share * record[lead]
            for lesion, kind in enumerate(types):
                chance *= company.found_with[lead][kind] * images[lesion, kind]
            for lesion, kind in enumerate(types):
                result[lesion, kind] += chance
    return result / result.sum(axis=1, keepdims=True)


def test_with_full_trust_it_is_the_sum_over_every_way_the_types_could_be() -> None:
    found = joint_probabilities(IMAGES, IMAGES, COMPANY)
    assert found == pytest.approx(every_way(IMAGES, np.ones(3), COMPANY))
    assert found.sum(axis=1) == pytest.approx(np.ones(3))


def test_the_record_counts_once_however_many_lesions_there_are() -> None:
    says = np.array([4.0, 1.0, 1.0])
    known = IMAGES * says
    known /= known.sum(axis=1, keepdims=True)
    found = joint_probabilities(known, IMAGES, COMPANY)
    assert found == pytest.approx(every_way(IMAGES, says, COMPANY))


def test_without_trust_each_lesion_stands_by_itself() -> None:
    alone = replace(COMPANY, trust=0.0)
    found = joint_probabilities(IMAGES, IMAGES, alone)
    for lesion in range(3):
        single = IMAGES[lesion : lesion + 1]
        assert found[lesion] == pytest.approx(joint_probabilities(single, single, alone)[0])
        assert found[lesion] == pytest.approx(every_way(single, np.ones(3), COMPANY)[0])


def test_a_doubtful_lesion_is_taken_for_what_the_sure_ones_are() -> None:
    doubtful = np.array([[0.4, 0.2, 0.4], [0.01, 0.01, 0.98], [0.01, 0.01, 0.98]])
    more = joint_probabilities(doubtful, doubtful, COMPANY)[0, 2]
    some = joint_probabilities(doubtful, doubtful, replace(COMPANY, trust=0.3))[0, 2]
    none = joint_probabilities(doubtful, doubtful, replace(COMPANY, trust=0.0))[0, 2]
    assert none < some < more
    assert more > 0.8


def test_the_order_of_lesions_and_patients_changes_nothing() -> None:
    patients = np.array([7, 3, 7])
    found = joint_by_patient(IMAGES, IMAGES, patients, COMPANY)
    turned = joint_by_patient(IMAGES[::-1], IMAGES[::-1], patients[::-1], COMPANY)
    assert found == pytest.approx(turned[::-1])
    assert found[[0, 2]] == pytest.approx(joint_probabilities(IMAGES[[0, 2]], IMAGES[[0, 2]], COMPANY))
    assert found[1] == pytest.approx(joint_probabilities(IMAGES[[1]], IMAGES[[1]], COMPANY)[0])


def test_certainties_and_sixty_lesions_stay_numbers() -> None:
    sure = np.tile([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], (30, 1))
    found = joint_probabilities(sure, sure, COMPANY)
    assert np.isfinite(found).all()
    assert found.sum(axis=1) == pytest.approx(np.ones(60))
    assert (found.argmax(axis=1) == sure.argmax(axis=1)).all()  # plain evidence of its own outweighs the company
    assert joint_probabilities(np.zeros((0, 3)), np.zeros((0, 3)), COMPANY).shape == (0, 3)


def test_company_is_counted_by_patient_and_nothing_is_impossible() -> None:
    counted = count_company([[0, 0, 0, 1], [0], [2], []], 3, trust=0.5, unseen=0.01)
    assert counted.leading == pytest.approx(np.array([2.01, 0.01, 1.01]) / 3.03)
    assert counted.found_with[0] == pytest.approx(np.array([1.75 / 2 + 0.01, 0.25 / 2 + 0.01, 0.01]) / 1.03)
    assert counted.found_with[1] == pytest.approx((1 / 3, 1 / 3, 1 / 3))  # never seen leading: nothing is known
    again = TypeCompany.from_metadata(counted.metadata(), 3)
    assert np.allclose(again.found_with, counted.found_with, atol=1e-4)
    assert again.trust == 0.5


@pytest.mark.parametrize(
    "change",
    [
        {"leading": [0.5, 0.5]},
        {"leading": [0.5, 0.6, 0.2]},
        {"leading": [1.0, 0.0, 0.0]},
        {"leading": "abc"},
        {"found_with": [[0.8, 0.15, 0.05]]},
        {"found_with": None},
        {"trust": 1.5},
        {"trust": float("nan")},
    ],
)
def test_company_that_makes_no_sense_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(BundleError, match="Install the package again"):
        TypeCompany.from_metadata({**COMPANY.metadata(), **change}, 3)


def test_company_of_another_number_of_types_is_refused() -> None:
    with pytest.raises(BundleError):
        TypeCompany.from_metadata(COMPANY.metadata(), 7)
