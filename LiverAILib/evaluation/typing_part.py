"""The part of the evaluation about the lesion classifier: types, ablations, calibration, real lesions, triage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from LiverAILib.analysis.crops import CropOptions
from LiverAILib.analysis.joint_types import TypeCompany
from LiverAILib.analysis.reading import TriageThresholds
from LiverAILib.evaluation.lesion_types import (
    MALIGNANT,
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
from LiverAILib.evaluation.part import Part, Picture, Say
from LiverAILib.evaluation.pool import PooledExam
from LiverAILib.evaluation.triage import triage_exams, triage_figures, triage_rows
from LiverAILib.networks.lesion_classifier import CLASSES, LesionClassifier
from LiverAILib.training.real_scans import RealScan


def classifier_part(
    network: LesionClassifier,
    company: TypeCompany | None,
    exams: Iterable[PooledExam],
    benign: Iterable[PooledExam],
    scans: Iterable[RealScan],
    options: CropOptions,
    triage: TriageThresholds | None,
    cohort: int,
    say: Say,
) -> tuple[Part, list[Picture]]:
    """Everything about types on true boxes. company: which types go with which, as the package says. benign: further
    exams for the screening cohort; cohort: its size.
    """
    lesions = typed_lesions(exams, options)
    if not len(lesions.labels):
        return Part("classifier", [], [], ["Lesion types: the exams hold no lesion. Make more of them (--exams)."]), []
    say(f"classifier: {len(lesions.labels)} lesions in their true boxes")
    answers = ask(network, lesions.samples, company=company)
    names = len(np.unique(lesions.samples.patients.numpy()))
    on = f"synthetic lesions in true boxes, anatomy of {names} held-out patients, all three phases and record"
    figures = type_figures(lesions, answers, on)
    decision = triage.decision if triage is not None else 0.5
    figures += two_way_figures(lesions.labels, answers, lesions.exams, decision, on)
    figures += thickness_figures(lesions, answers, on)
    figures += patient_figures(lesions.labels, answers, lesions.exams, on)
    say("classifier: with parts of the input taken away")
    more, ablated = ablation_figures(network, lesions, answers, on, company)
    figures += more
    real = ask_real(network, scans, options, company)
    say(f"classifier: {len(real)} real lesions of known kind")
    named, notes = real_figures(real, decision)
    figures += named
    rows: list[Mapping[str, Any]] = _lesion_rows(lesions, answers.probability)
    rows += [asdict(one) for one in real]
    if triage is None:
        notes.append("Triage: the classifier's package states no thresholds.")
    else:
        screened = typed_lesions(benign, options)
        more_answers = ask(network, screened.samples, company=company)
        read = triage_exams(lesions.labels, answers, lesions.exams, triage)
        read += triage_exams(screened.labels, more_answers, screened.exams, triage)
        found_figures, found_notes = triage_figures(read, cohort)
        figures += found_figures
        notes += found_notes
        rows += triage_rows(read)
    return Part("classifier", figures, rows, notes), type_pictures(lesions, answers, ablated)


def _lesion_rows(lesions: TypedLesions, probability: Any) -> list[Mapping[str, Any]]:
    return [
        {
            "exam": int(exam),
            "type": str(CLASSES[label]),
            "malignant": bool(MALIGNANT[label]),
            "slice_mm": round(float(slice_mm), 2),
            "probability": {str(kind): round(float(v), 4) for kind, v in zip(CLASSES, values, strict=True)},
        }
        for exam, label, slice_mm, values in zip(
            lesions.exams, lesions.labels, lesions.slice_mm, probability, strict=True
        )
    ]
