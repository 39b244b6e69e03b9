"""The patient reading: the worst lesion decides, the zones have the right borders, and the words say why."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from LiverAILib.analysis.reading import ClassifiedLesion, TriageThresholds, read_patient
from LiverAILib.errors import BundleError
from LiverAILib.findings import Triage, Verdict
from LiverAILib.lesion_types import LesionType

ZONES = TriageThresholds(benign_below=0.1, malignant_from=0.8)


def lesion(number: int, **probabilities: float) -> ClassifiedLesion:
    """The named types' probabilities; the rest goes to cyst."""
    given = {LesionType(name): value for name, value in probabilities.items()}
    rest = 1 - sum(given.values())
    full = {kind: given.get(kind, 0.0) for kind in LesionType}
    full[LesionType.CYST] += rest
    return ClassifiedLesion(f"lesion_{number}", f"Lesion {number}", full)


def unclassified(number: int) -> ClassifiedLesion:
    return ClassifiedLesion(f"lesion_{number}", f"Lesion {number}", None)


def test_no_lesion_is_low_risk() -> None:
    reading = read_patient([], ZONES)
    assert (reading.triage, reading.worst, reading.malignancy, reading.malignant) == (Triage.LOW, None, 0.0, False)
    assert reading.reason == "Low risk: no lesion was found."


def test_definitely_benign_lesions_are_low_risk() -> None:
    reading = read_patient([lesion(1), lesion(2, hcc=0.04, icc=0.03, haemangioma=0.9), lesion(3, fnh=1.0)], ZONES)
    assert reading.triage is Triage.LOW
    assert (reading.worst, reading.verdict) == ("lesion_2", Verdict.BENIGN)
    assert reading.malignancy == pytest.approx(0.07)
    assert reading.reason == (
        "Low risk: all 3 lesions are definitely benign "
        "(worst: Lesion 2, most likely haemangioma; probability of malignancy 0.07, below 0.10)."
    )


def test_a_single_benign_lesion_has_its_own_words() -> None:
    reason = read_patient([lesion(1)], ZONES).reason
    assert reason == (
        "Low risk: the only lesion is definitely benign (most likely cyst; probability of malignancy 0.00, below 0.10)."
    )


@pytest.mark.parametrize("found", [[], [lesion(1)], [lesion(1), lesion(2, fnh=1.0)]])
def test_without_a_good_search_nothing_malignant_leaves_the_triage_open(found: list[ClassifiedLesion]) -> None:
    full, reading = read_patient(found, ZONES), read_patient(found, ZONES, search_gap="Few were sought.")
    assert full.triage is Triage.LOW
    assert reading.triage is None
    assert replace(reading, triage=full.triage, reason=full.reason) == full
    assert reading.reason.startswith("Not triaged: Few were sought. Here ")
    assert reading.reason.endswith(full.reason.removeprefix("Low risk: "))


def test_without_a_good_search_malignant_or_unknown_is_still_high_risk() -> None:
    for found in ([lesion(1, hcc=0.9)], [lesion(1, icc=0.3)], [unclassified(1)]):
        assert read_patient(found, ZONES, search_gap="Few were sought.") == read_patient(found, ZONES)
    assert read_patient([], ZONES, liver_found=False, search_gap="Few were sought.").triage is Triage.HIGH


def test_one_definitely_malignant_lesion_among_many_benign_is_high_risk() -> None:
    reading = read_patient([*(lesion(n) for n in range(1, 60)), lesion(60, metastasis=0.5, hcc=0.4)], ZONES)
    assert (reading.triage, reading.worst, reading.verdict) == (Triage.HIGH, "lesion_60", Verdict.MALIGNANT)
    assert reading.malignant is True
    assert reading.reason == (
        "High risk: Lesion 60 is definitely malignant "
        "(most likely metastasis; probability of malignancy 0.90, at least 0.80)."
    )


def test_an_indeterminate_lesion_is_high_risk_though_called_benign() -> None:
    reading = read_patient([lesion(1), lesion(2, icc=0.3)], ZONES)
    assert (reading.triage, reading.verdict, reading.malignant) == (Triage.HIGH, Verdict.INDETERMINATE, False)
    assert "Lesion 2 is indeterminate" in reading.reason
    assert "0.30, not below 0.10 and not at least 0.80" in reading.reason


@pytest.mark.parametrize(
    ("malignancy", "verdict"),
    [
        (0.0, Verdict.BENIGN),
        (0.0999, Verdict.BENIGN),
        (0.1, Verdict.INDETERMINATE),
        (0.7999, Verdict.INDETERMINATE),
        (0.8, Verdict.MALIGNANT),
        (1.0, Verdict.MALIGNANT),
    ],
)
def test_the_borders_of_the_zones(malignancy: float, verdict: Verdict) -> None:
    found = lesion(1, hcc=malignancy)
    assert found.verdict(ZONES) is verdict
    assert read_patient([found], ZONES).triage is (Triage.LOW if verdict is Verdict.BENIGN else Triage.HIGH)


def test_malignancy_adds_up_the_three_malignant_types_even_if_a_benign_one_is_likeliest() -> None:
    mixed = lesion(1, hcc=0.25, icc=0.2, metastasis=0.15, fnh=0.4)
    assert mixed.malignancy == pytest.approx(0.6)
    assert mixed.likeliest is LesionType.FNH
    assert read_patient([mixed], ZONES).malignant is True


def test_without_a_liver_nothing_is_low_risk() -> None:
    reading = read_patient([], ZONES, liver_found=False)
    assert reading.triage is Triage.HIGH
    assert reading.malignant is None
    assert "no liver was found" in reading.reason


def test_a_lesion_that_could_not_be_classified_is_high_risk_unless_another_is_worse() -> None:
    reading = read_patient([lesion(1), lesion(2, hcc=0.5), unclassified(3)], ZONES)
    assert (reading.triage, reading.worst, reading.malignant) == (Triage.HIGH, "lesion_3", None)
    assert reading.reason == "High risk: Lesion 3 could not be classified."
    assert read_patient([unclassified(1), lesion(2, hcc=0.9)], ZONES).worst == "lesion_2"


def test_of_equally_bad_lesions_the_first_counts() -> None:
    assert read_patient([lesion(1, hcc=0.9), lesion(2, icc=0.9)], ZONES).worst == "lesion_1"


def test_words_never_contradict_themselves_by_rounding() -> None:
    reason = read_patient([lesion(1, hcc=0.0996)], ZONES).reason
    assert "0.0996, below 0.1000" in reason


def test_thresholds_live_in_a_packages_metadata() -> None:
    stored = json.loads(json.dumps(ZONES.metadata()))
    assert TriageThresholds.from_metadata(stored) == ZONES


@pytest.mark.parametrize(
    "wrong", [{}, {"benign_below": 0.9, "malignant_from": 0.1}, {"low": 1}, {"benign_below": None}]
)
def test_wrong_metadata_are_told(wrong: dict[str, float]) -> None:
    with pytest.raises(BundleError, match="Install the package again"):
        TriageThresholds.from_metadata(wrong)


def test_probabilities_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="Lesion 1: its probabilities"):
        ClassifiedLesion("lesion_1", "Lesion 1", {LesionType.HCC: 1.0})
    with pytest.raises(ValueError, match="add up to 1"):
        ClassifiedLesion("lesion_1", "Lesion 1", dict.fromkeys(LesionType, 0.5))
