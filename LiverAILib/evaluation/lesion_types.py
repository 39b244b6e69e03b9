"""The lesion classifier on lesions with known type: accuracy, areas, calibration, the papers' ablations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from LiverAILib.analysis.crops import CropOptions, lesion_crop
from LiverAILib.analysis.joint_types import TypeCompany, joint_by_patient, joint_probabilities
from LiverAILib.evaluation.figures import Figure, figure_of
from LiverAILib.evaluation.groups import THICKNESS, auc_by_group, by_group, calibration_error, macro_area, share
from LiverAILib.evaluation.part import Picture
from LiverAILib.evaluation.plots import Curve, draw_map, draw_reliability, draw_roc, draw_types_roc
from LiverAILib.evaluation.pool import PooledExam
from LiverAILib.evaluation.tsne import tsne
from LiverAILib.lesion_types import LesionType
from LiverAILib.networks.lesion_classifier import (
    CLASSES,
    CLASSIFIER_PHASES,
    CLINICAL_LENGTH,
    LesionClassifier,
    encode_clinical,
    stack_phases,
)
from LiverAILib.readerstudy.analysis.plots import draw_confusion
from LiverAILib.readerstudy.statistics.estimate import Array, Estimate
from LiverAILib.readerstudy.statistics.multiclass import confusion_matrix
from LiverAILib.study import ClinicalRecord, Phase
from LiverAILib.training.lesion_samples import LesionSamples, exam_lesions
from LiverAILib.training.pixels import from_bytes
from LiverAILib.training.real_scans import RealScan, boxes_of

MOST_LESIONS = 8  # of one exam, so that one with 25 metastases does not outweigh others
MALIGNANT = np.array([kind.malignant for kind in CLASSES])
_BATCH = 8
_EXAMS = "exams"
ALONE = "each lesion by itself"
PORTAL_ONLY = "portal venous phase only"


@dataclass(frozen=True)
class TypedLesions:
    """Lesions of the pool as the classifier takes them. slice_mm: of each lesion's exam."""

    samples: LesionSamples
    slice_mm: Array

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """Index into `CLASSES`."""
        return np.asarray(self.samples.labels.numpy(), dtype=np.int64)

    @property
    def exams(self) -> npt.NDArray[np.int64]:
        """The seed of each lesion's exam."""
        return np.asarray(self.samples.exams.numpy(), dtype=np.int64)


def typed_lesions(exams: Iterable[PooledExam], options: CropOptions, most: int | None = MOST_LESIONS) -> TypedLesions:
    """The lesions of known type in their true boxes."""
    parts, slice_mm = [], []
    for exam in exams:
        parts.append(exam_lesions(exam, options, most=most, check=False))
        slice_mm += [exam.slice_mm] * len(parts[-1])
    if not parts:
        parts = [_no_lesions(options)]
    return TypedLesions(LesionSamples.joined(parts), np.asarray(slice_mm))


def _no_lesions(options: CropOptions) -> LesionSamples:
    phases = len(CLASSIFIER_PHASES)
    none = torch.zeros(0, dtype=torch.long)
    images = torch.zeros((0, phases, 1, *options.shape), dtype=torch.uint8)
    return LesionSamples(
        images, torch.zeros((0, phases), dtype=torch.bool), torch.zeros((0, CLINICAL_LENGTH)), none, none, none
    )


@dataclass(frozen=True)
class Answers:
    """What the classifier says of lesions: probability (n, 7), calibrated, and features (n, 588) of the images."""

    probability: Array
    features: Array

    @property
    def malignancy(self) -> Array:
        """Probability of malignancy, (n,)."""
        return np.asarray(self.probability[:, MALIGNANT].sum(axis=1).clip(0, 1))

    @property
    def likeliest(self) -> npt.NDArray[np.int64]:
        """Index into `CLASSES`."""
        return np.asarray(self.probability.argmax(axis=1))


def ask(
    network: LesionClassifier,
    samples: LesionSamples,
    phases: Iterable[Phase] = CLASSIFIER_PHASES,
    *,
    record: bool = True,
    company: TypeCompany | None = None,
    features: Array | None = None,
) -> Answers:
    """The answers when only these phases are there, and with the clinical record or without. A lesion that none of the
    phases shows has NaN. company: as in `classify_lesions`; the lesions of an exam are a patient's. features: of the
    same phases, where they are known already: the images are then not read.
    """
    device = network.temperature.device
    wanted = torch.tensor([phase in set(phases) for phase in CLASSIFIER_PHASES])
    present = samples.present & wanted
    unknown = torch.zeros(len(samples), CLINICAL_LENGTH)
    clinical = samples.clinical if record else unknown
    probability = np.full((len(samples), len(CLASSES)), np.nan)
    by_images = probability.copy()
    width = network.preset.features if network.preset.inputs != "clinical" else 0
    known = np.full((len(samples), width), np.nan) if features is None else features
    shown = torch.nonzero(present.any(dim=1)).flatten()
    with torch.inference_mode():
        for index in shown.split(_BATCH):
            seen: Tensor | None = None
            if width and features is None:
                images = from_bytes(samples.images[index]).to(device)
                known[index.numpy()] = network.image_features(images, present[index].to(device)).cpu().numpy()
            if width:
                seen = torch.from_numpy(known[index.numpy()]).float().to(device)
            for answers, items in ((probability, clinical), (by_images, unknown)):
                answers[index.numpy()] = network.calibrated(network.types(seen, items[index].to(device))).cpu().numpy()
    if company is not None:
        own = shown.numpy()
        probability[own] = joint_by_patient(probability[own], by_images[own], samples.exams.numpy()[own], company)
    return Answers(probability, known)


def type_figures(lesions: TypedLesions, answers: Answers, on: str) -> list[Figure]:
    """Accuracy, areas, two-way figures and calibration with everything there."""
    labels, exams = lesions.labels, lesions.exams
    malignant = MALIGNANT[labels]
    right = answers.likeliest == labels
    confidence = answers.probability.max(axis=1)
    accuracy = share(right, exams, name="accuracy", unit="lesions", grouped_by=_EXAMS)
    units = f"{len(labels)} lesions of {len(np.unique(exams))} exams"
    figures = [
        figure_of(accuracy, "seven-class accuracy", on, goal=">= 0.85", papers="0.805-0.880", units=units),
        figure_of(_macro(labels, answers, exams), "macro AUC, seven classes", on, goal=">= 0.96", papers="0.958-0.982"),
        figure_of(
            _binary(malignant, answers, exams), "malignant vs benign AUC", on, goal=">= 0.97", papers="0.971-0.989"
        ),
    ]
    for what, confident, so in (
        ("calibration error (ECE, 10 bins), the likeliest type", confidence, right),
        ("calibration error (ECE, 10 bins), malignancy", answers.malignancy, malignant),
    ):
        error = by_group(
            lambda index, c=confident, s=so: calibration_error(c[index], s[index]),  # type: ignore[misc]
            exams,
            name=what,
            unit="lesions",
            grouped_by=_EXAMS,
        )
        figures.append(figure_of(error, what, on))
    for number, kind in enumerate(CLASSES):
        own = labels == number
        if own.any():
            found = share(right[own], exams[own], name="recall", unit="lesions", grouped_by=_EXAMS)
            figures.append(figure_of(found, f"recall, {kind.full_name}", on))
    return figures


def two_way_figures(
    labels: npt.NDArray[np.int64], answers: Answers, exams: Any, threshold: float, on: str
) -> list[Figure]:
    """Malignant against benign at a threshold."""
    malignant, called = MALIGNANT[labels], answers.malignancy >= threshold
    figures = []
    for what, chosen, hits in (
        ("accuracy", np.ones_like(malignant), called == malignant),
        ("sensitivity", malignant, called),
        ("specificity", ~malignant, ~called),
        ("precision", called, malignant),
    ):
        if chosen.any():
            found = share(hits[chosen], exams[chosen], name=what, unit="lesions", grouped_by=_EXAMS)
            figures.append(figure_of(found, f"malignant or benign, {what} (threshold {threshold:.3g})", on))
    return figures


def _macro(labels: npt.NDArray[np.int64], answers: Answers, exams: npt.NDArray[np.int64]) -> Estimate:
    return by_group(
        lambda index: macro_area(labels[index], answers.probability[index]),
        exams,
        name="macro AUC",
        unit="lesions",
        grouped_by=_EXAMS,
        replicates=400,
    )


def _binary(malignant: npt.NDArray[np.bool_], answers: Answers, exams: npt.NDArray[np.int64]) -> Estimate:
    return auc_by_group(malignant, answers.malignancy, exams, name="AUC", unit="lesions", grouped_by=_EXAMS)


#: The ablations that one network shows: the phases, and whether the record, that it gets at inference.
ABLATIONS: Mapping[str, tuple[tuple[Phase, ...], bool]] = {
    ALONE: (CLASSIFIER_PHASES, True),
    "all phases, no record (images only)": (CLASSIFIER_PHASES, False),
    "portal venous phase only": ((Phase.PORTAL_VENOUS,), True),
    "portal venous phase only, no record": ((Phase.PORTAL_VENOUS,), False),
    "arterial phase only": ((Phase.ARTERIAL,), True),
    "non-contrast phase only": ((Phase.NON_CONTRAST,), True),
    "arterial and portal venous phase": ((Phase.ARTERIAL, Phase.PORTAL_VENOUS), True),
}


def ablation_figures(
    network: LesionClassifier, lesions: TypedLesions, answers: Answers, on: str, company: TypeCompany | None
) -> tuple[list[Figure], dict[str, tuple[npt.NDArray[np.bool_], Answers]]]:
    """Accuracy and areas with parts of the input taken away, or the patient's other lesions; and the answers, of the
    lesions that the rest shows.

    answers: with everything there. company: see `ask`. Images of the same phases are read once.
    """
    figures, found = [], {}
    features: dict[tuple[Phase, ...], Array] = {CLASSIFIER_PHASES: answers.features}
    for name, (phases, record) in ABLATIONS.items():
        together = None if name == ALONE else company
        known = features.get(phases)
        answers = ask(network, lesions.samples, phases, record=record, company=together, features=known)
        features[phases] = answers.features
        shown = np.isfinite(answers.probability[:, 0])
        if not shown.any():
            continue
        labels, exams = lesions.labels[shown], lesions.exams[shown]
        kept = Answers(answers.probability[shown], answers.features[shown])
        where = f"{on.removesuffix(', all three phases and record')}; {name}"
        right = share(kept.likeliest == labels, exams, name="accuracy", unit="lesions", grouped_by=_EXAMS)
        goal, papers = (">= 0.90", "") if name == PORTAL_ONLY else ("", "")
        figures += [
            figure_of(
                _binary(MALIGNANT[labels], kept, exams), "malignant vs benign AUC", where, goal=goal, papers=papers
            ),
            figure_of(right, "seven-class accuracy", where),
            figure_of(_macro(labels, kept, exams), "macro AUC, seven classes", where),
        ]
        found[name] = shown, kept
    return figures, found


def thickness_figures(lesions: TypedLesions, answers: Answers, on: str) -> list[Figure]:
    """Accuracy and the two-way area by the distance of the slices."""
    figures = []
    for words, low, high in THICKNESS:
        own = (lesions.slice_mm >= low) & (lesions.slice_mm < high)
        malignant, exams = MALIGNANT[lesions.labels[own]], lesions.exams[own]
        if not malignant.any() or malignant.all():
            continue
        kept = Answers(answers.probability[own], answers.features[own])
        right = share(kept.likeliest == lesions.labels[own], exams, name="accuracy", unit="lesions", grouped_by=_EXAMS)
        figures += [
            figure_of(right, f"seven-class accuracy, slices of {words}", on),
            figure_of(_binary(malignant, kept, exams), f"malignant vs benign AUC, slices of {words}", on),
        ]
    return figures


def type_pictures(
    lesions: TypedLesions, answers: Answers, ablated: Mapping[str, tuple[npt.NDArray[np.bool_], Answers]]
) -> list[Picture]:
    """ROC curves, confusion matrix, reliability and the map of the features."""
    labels, exams = lesions.labels, lesions.exams
    malignant = MALIGNANT[labels]
    curves = [Curve("all phases and record", malignant, answers.malignancy, exams)]
    if PORTAL_ONLY in ablated:
        shown, kept = ablated[PORTAL_ONLY]
        curves.append(Curve("portal venous phase only", malignant[shown], kept.malignancy, exams[shown]))
    names = [kind.full_name for kind in CLASSES]
    matrix = confusion_matrix(
        [names[k] for k in labels], [names[k] for k in answers.likeliest], classes=names, unit="lesions"
    )
    reliable = [
        ("the likeliest type", answers.probability.max(axis=1), answers.likeliest == labels),
        ("malignancy", answers.malignancy, malignant),
    ]
    title = f"{len(labels)} synthetic lesions, anatomy of held-out patients"
    pictures = [
        Picture("roc_malignancy", lambda canvas: draw_roc(canvas, curves, title, "malignant", "benign")),
        Picture("roc_types", lambda canvas: draw_types_roc(canvas, labels, answers.probability, title)),
        Picture("confusion", lambda canvas: draw_confusion(canvas, matrix=matrix), (6.4, 5.4)),
        Picture("reliability", lambda canvas: draw_reliability(canvas, reliable, title)),
    ]
    if answers.features.shape[1] and len(labels) > 30:
        places = tsne(answers.features)
        of_map = f"{title}: t-SNE of {answers.features.shape[1]} image features"
        pictures.append(Picture("tsne", lambda canvas: draw_map(canvas, places, labels, of_map), (7.0, 4.8)))
    return pictures


@dataclass(frozen=True)
class RealAnswer:
    """A real lesion of known kind, from its portal-venous scan alone and without a record."""

    case: str
    patient: str
    known: str
    volume_ml: float
    malignancy: float
    likeliest: LesionType


def ask_real(
    network: LesionClassifier, scans: Iterable[RealScan], options: CropOptions, company: TypeCompany | None = None
) -> list[RealAnswer]:
    """The real tumours and cysts that the organ maps name. company: see `ask`."""
    found = []
    device = network.temperature.device
    record = encode_clinical(ClinicalRecord())[None].to(device)
    for scan in scans:
        named = [lesion for lesion in scan.lesions if lesion.known in ("tumour", "cyst")]
        answers = []
        for box in boxes_of(scan.ids, [one.id for one in named]):
            z1, y1, x1, z2, y2, x2 = (int(value) for value in box)
            crop = lesion_crop(scan.volume, ((z1, y1, x1), (z2, y2, x2)), options)
            images, present = stack_phases({Phase.PORTAL_VENOUS: crop})
            with torch.inference_mode():
                answers.append(network.probabilities(images[None].to(device), present[None].to(device), record)[0])
        if not named:
            continue
        probability = np.asarray(torch.stack(answers).cpu().double().numpy())
        if company is not None:
            probability = joint_probabilities(probability, probability, company)
        for lesion, values in zip(named, probability, strict=True):
            volume_ml, malignancy = round(lesion.volume_ml, 3), float(values[MALIGNANT].sum())
            likeliest = CLASSES[int(values.argmax())]
            found.append(RealAnswer(scan.name, scan.patient, str(lesion.known), volume_ml, malignancy, likeliest))
    return found


def real_figures(answers: Sequence[RealAnswer], threshold: float) -> tuple[list[Figure], list[str]]:
    """Real tumours called malignant, real cysts called cyst; and what could not be counted."""
    figures, notes = [], []
    for what, known, hits in (
        ("real tumours called malignant", "tumour", [one.malignancy >= threshold for one in answers]),
        ("real cysts called cyst", "cyst", [one.likeliest is LesionType.CYST for one in answers]),
    ):
        own = [number for number, one in enumerate(answers) if one.known == known]
        if not own:
            notes.append(f"{what}: the held-out scans hold no lesion that an organ map calls a {known}.")
            continue
        names = sorted({answers[number].patient for number in own})
        group = np.array([names.index(answers[number].patient) for number in own])
        found = share(np.array([hits[n] for n in own]), group, name=what, unit="lesions", grouped_by="patients")
        units = f"{len(own)} lesions of {len(names)} patients"
        on = "held-out real lesions in their expert outline, portal venous phase only, no record"
        figures.append(figure_of(found, what, on, goal=">= 0.80", units=units))
    return figures, notes


def patient_figures(
    labels: npt.NDArray[np.int64], answers: Answers, exams: npt.NDArray[np.int64], on: str
) -> list[Figure]:
    """Areas of patients by the lesion that is likeliest what is looked for: malignant, HCC."""
    seeds, hcc = np.unique(exams), CLASSES.index(LesionType.HCC)
    figures = []
    for what, is_so, scores in (
        ("malignant vs benign AUC, patients by their worst lesion", MALIGNANT[labels], answers.malignancy),
        ("HCC vs others AUC, patients by their likeliest lesion", labels == hcc, answers.probability[:, hcc]),
    ):
        truth = np.array([bool(is_so[exams == seed].any()) for seed in seeds])
        highest = np.array([scores[exams == seed].max() for seed in seeds])
        if truth.any() and not truth.all():
            area = auc_by_group(truth, highest, np.arange(len(truth)), name="AUC", unit="exams", grouped_by="exams")
            units = f"{len(truth)} exams with a lesion ({int(truth.sum())} positive)"
            figures.append(figure_of(area, what, on, units=units))
    return figures
