"""Lesion types: figures of constructed answers, what is taken away in an ablation, and the screening cohort."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_pool import PV, toy_exam, toy_scan

from LiverAILib.analysis.crops import CropOptions
from LiverAILib.analysis.joint_types import count_company, joint_probabilities
from LiverAILib.analysis.reading import TriageThresholds
from LiverAILib.evaluation.lesion_types import (
    ALONE,
    Answers,
    RealAnswer,
    TypedLesions,
    ablation_figures,
    ask,
    ask_real,
    patient_figures,
    real_figures,
    thickness_figures,
    two_way_figures,
    type_figures,
    type_pictures,
    typed_lesions,
)
from LiverAILib.evaluation.part import draw_pictures
from LiverAILib.evaluation.triage import (
    BENIGN_SHARE,
    MALIGNANT_SHARE,
    TriagedExam,
    draw_cohort,
    triage_exams,
    triage_figures,
    weighted_rates,
)
from LiverAILib.lesion_types import LesionType
from LiverAILib.networks.lesion_classifier import CLASSES, CLASSIFIER_PHASES, LesionClassifier
from LiverAILib.study import Phase
from LiverAILib.training.lesion_samples import LesionSamples

BALL = ((19.0, 28.0, 36.0), 12.0, 40)
OTHER = ((19.0, 44.0, 20.0), 7.0, 40)
SMALL_CROPS = CropOptions(shape=(8, 32, 32))
HCC, CYST = CLASSES.index(LesionType.HCC), CLASSES.index(LesionType.CYST)


@pytest.fixture(scope="module")
def network() -> LesionClassifier:
    torch.manual_seed(0)
    return LesionClassifier("compact").eval()


@pytest.fixture(scope="module")
def lesions() -> TypedLesions:
    exams = [
        toy_exam(1, [BALL, OTHER], [LesionType.HCC, LesionType.CYST], CLASSIFIER_PHASES),
        toy_exam(2, [BALL], [LesionType.ICC], (Phase.ARTERIAL,)),
        toy_exam(3, [BALL], [None], CLASSIFIER_PHASES),
    ]
    return typed_lesions(exams, SMALL_CROPS)


def answers(labels: list[int], said: list[int], sure: float = 0.94) -> Answers:
    probability = np.full((len(labels), 7), (1 - sure) / 6)
    probability[np.arange(len(labels)), said] = sure
    return Answers(probability, np.random.default_rng(0).normal(size=(len(labels), 588)))


def fake(labels: list[int], exams: list[int], slice_mm: float = 2.0) -> TypedLesions:
    count = len(labels)
    samples = LesionSamples(
        torch.zeros((count, 3, 1, 1, 1, 1), dtype=torch.uint8),
        torch.ones((count, 3), dtype=torch.bool),
        torch.zeros((count, 12)),
        torch.tensor(labels),
        torch.tensor(exams),
        torch.tensor(exams),
    )
    return TypedLesions(samples, np.full(count, slice_mm))


def test_only_lesions_of_known_type_are_asked(lesions: TypedLesions) -> None:
    assert [str(CLASSES[k]) for k in lesions.labels] == ["hcc", "cyst", "icc"]
    assert lesions.exams.tolist() == [1, 1, 2]
    assert lesions.slice_mm.tolist() == [4.0] * 3


def test_what_is_taken_away_is_not_looked_at(network: LesionClassifier, lesions: TypedLesions) -> None:
    everything = ask(network, lesions.samples)
    assert everything.probability.sum(axis=1) == pytest.approx(np.ones(3), abs=1e-5)
    assert everything.features.shape == (3, 588)
    portal = ask(network, lesions.samples, (PV,))
    assert np.isnan(portal.probability[2]).all()  # its exam has the arterial phase only
    assert not np.allclose(portal.probability[:2], everything.probability[:2])
    images = ask(network, lesions.samples, record=False)
    again = ask(network, lesions.samples, record=False, features=everything.features)
    assert again.probability == pytest.approx(images.probability, abs=1e-6)
    blank = replace(lesions.samples, clinical=torch.zeros_like(lesions.samples.clinical))
    assert images.probability == pytest.approx(ask(network, blank).probability)
    with torch.inference_mode():
        direct = network.probabilities(
            lesions.samples.images.float() / 127.5 - 1, lesions.samples.present, lesions.samples.clinical
        )
    assert everything.probability == pytest.approx(direct.numpy(), abs=1e-5)


def test_lesions_of_an_exam_are_judged_together_if_it_is_known_which_types_go_with_which(
    network: LesionClassifier, lesions: TypedLesions
) -> None:
    company = count_company([[CYST, CYST], [HCC], [1], [2], [3], [4], [6]], 7, trust=0.7)
    known, unknown = (ask(network, lesions.samples, record=record).probability for record in (True, False))
    together = ask(network, lesions.samples, company=company)
    assert together.probability[:2] == pytest.approx(joint_probabilities(known[:2], unknown[:2], company))
    assert together.probability[2:] == pytest.approx(joint_probabilities(known[2:], unknown[2:], company))
    assert not np.allclose(together.probability, known, atol=1e-3)
    portal = ask(network, lesions.samples, (PV,), company=company)
    assert np.isnan(portal.probability[2]).all()  # its exam has the arterial phase only
    figures, found = ablation_figures(network, lesions, together, "toys", company)
    assert found[ALONE][1].probability == pytest.approx(known)
    assert any(ALONE in figure.on for figure in figures)


@pytest.mark.parametrize("inputs", ["images", "clinical"])
def test_networks_that_look_at_one_input_only_can_be_measured_too(inputs: str, lesions: TypedLesions) -> None:
    found = ask(LesionClassifier("compact", inputs=inputs).eval(), lesions.samples)
    assert found.probability.sum(axis=1) == pytest.approx(np.ones(3), abs=1e-5)
    assert found.features.shape[1] == (588 if inputs == "images" else 0)


def test_figures_of_known_answers(tmp_path: Path) -> None:
    labels = [HCC, HCC, CYST, CYST] * 10
    said = [HCC, CYST, CYST, CYST] * 10
    exams = list(np.repeat(np.arange(20), 2))
    known, found = fake(labels, exams), answers(labels, said)
    values = {figure.what: figure for figure in type_figures(known, found, "toys")}
    assert values["seven-class accuracy"].value == 0.75
    assert values["seven-class accuracy"].n == "40 lesions of 20 exams"
    assert values["malignant vs benign AUC"].value == 0.75
    assert values["recall, Hepatocellular carcinoma"].value == 0.5
    assert values["calibration error (ECE, 10 bins), the likeliest type"].value == pytest.approx(0.94 - 0.75)
    two = {
        f.what.split(",")[1].split()[0]: f.value for f in two_way_figures(known.labels, found, known.exams, 0.5, "t")
    }
    assert two == {"accuracy": 0.75, "sensitivity": 0.5, "specificity": 1.0, "precision": 1.0}
    patients = patient_figures(known.labels, found, known.exams, "toys")
    assert [figure.value for figure in patients] == [1, 1]  # the worst, the likeliest lesion of each exam decides
    assert patients[0].n == "20 exams with a lesion (10 positive)"
    assert {figure.what for figure in thickness_figures(known, found, "t")} == {
        "seven-class accuracy, slices of under 2.5 mm",
        "malignant vs benign AUC, slices of under 2.5 mm",
    }
    ablated = {"portal venous phase only": (np.arange(40) < 20, answers(labels[:20], said[:20]))}
    pictures = type_pictures(known, found, ablated)
    draw_pictures([picture for picture in pictures if picture.name != "roc_malignancy"], tmp_path)
    assert sorted(path.stem for path in tmp_path.glob("*.png")) == ["confusion", "reliability", "roc_types", "tsne"]


def test_real_tumours_and_cysts_are_asked_in_the_portal_phase(network: LesionClassifier) -> None:
    scans = [toy_scan("a", [BALL, OTHER], ["tumour", "cyst"]), toy_scan("b", [BALL], ["lesion"])]
    found = ask_real(network, scans, SMALL_CROPS)
    assert [one.known for one in found] == ["tumour", "cyst"]  # "lesion": nobody knows what it is
    cysts = count_company([[CYST, CYST]] * 50 + [[HCC]], 7, trust=1.0)
    together = ask_real(network, scans, SMALL_CROPS, cysts)
    assert [one.likeliest for one in together] == [LesionType.CYST] * 2
    assert together[0].malignancy < found[0].malignancy
    made = [
        RealAnswer("a", "a", "tumour", 2.0, 0.7, LesionType.HCC),
        RealAnswer("a", "a", "tumour", 2.0, 0.2, LesionType.CYST),
        RealAnswer("b", "b", "tumour", 2.0, 0.9, LesionType.FNH),
    ]
    figures, notes = real_figures(made, 0.5)
    assert figures[0].value == pytest.approx(2 / 3)
    assert figures[0].n == "3 lesions of 2 patients"
    assert notes == ["real cysts called cyst: the held-out scans hold no lesion that an organ map calls a cyst."]


def test_the_worst_lesion_decides_the_triage() -> None:
    labels = np.array([CYST, HCC, CYST, CYST])
    found = answers([0] * 4, [CYST, HCC, CYST, HCC])
    read = triage_exams(labels, found, np.array([5, 5, 6, 7]), TriageThresholds(0.2, 0.8))
    assert [(exam.seed, exam.malignant, exam.low_risk) for exam in read] == [
        (5, True, False),
        (6, False, True),
        (7, False, False),
    ]


def exams(malignant_low: int, benign_low: int) -> list[TriagedExam]:
    sick = [TriagedExam(k, True, 1, k < malignant_low) for k in range(100)]
    return sick + [TriagedExam(1000 + k, False, 1, k < benign_low) for k in range(200)]


def test_the_cohort_has_the_prevalence_and_each_exam_once() -> None:
    cohort = draw_cohort(exams(0, 200), 400)
    assert len(cohort) == 400
    assert sum(exam.malignant for exam in cohort) == 30 == round(400 * MALIGNANT_SHARE)
    assert sum(exam.lesions == 0 for exam in cohort) == 400 - 30 - round(400 * BENIGN_SHARE)
    assert len({exam.seed for exam in cohort}) == 400
    assert len(draw_cohort(exams(0, 200), 10_000)) == int(200 / BENIGN_SHARE)


def test_triage_figures_of_a_known_cohort() -> None:
    figures, notes = triage_figures(exams(10, 150), 400)
    assert not notes
    npv, ppv, low = weighted_rates(exams(10, 150))
    cleared = BENIGN_SHARE * 0.75 + 1 - MALIGNANT_SHARE - BENIGN_SHARE
    assert low == pytest.approx(cleared + 0.1 * MALIGNANT_SHARE)
    assert npv == pytest.approx(cleared / low)
    assert ppv == pytest.approx(0.9 * MALIGNANT_SHARE / (1 - low))
    values = {figure.what: figure.value for figure in figures}
    assert values["triage: NPV"] == pytest.approx(npv, abs=0.02)
    assert values["triage: share of low risk"] == pytest.approx(low, abs=0.05)
    assert values["triage: patients with malignancy at high risk"] == 0.9
    assert triage_figures(exams(10, 150)[:100], 400)[0] == []
