"""The stages after the segmentation, as the pipeline runs them: detect, classify, read the slices, read the patient.

Each takes what earlier ones found and returns what it found; what it could not do is said in words. Nothing here
imports torch until a network is there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from LiverAILib.analysis.boxes3d import FoundBoxes
from LiverAILib.analysis.join import JointMap, join_phases
from LiverAILib.analysis.networks import Networks, SliceRisks
from LiverAILib.analysis.places import Places
from LiverAILib.analysis.progress import Progress
from LiverAILib.analysis.reading import ClassifiedLesion, TriageThresholds, read_patient
from LiverAILib.analysis.resample import bounding_box
from LiverAILib.analysis.sure_regions import regions_of, with_regions
from LiverAILib.findings import HCCRisk, Lesion, Reading, SliceScores
from LiverAILib.study import Phase, Study

if TYPE_CHECKING:
    from LiverAILib.analysis.lesions import MeasuredLesions
    from LiverAILib.analysis.segment import Segmentation

#: Saliency is kept in steps of one over this: it is looked at, not computed with.
SALIENCY_STEPS = 256


def join(study: Study, segmentations: Mapping[Phase, Segmentation], networks: Networks) -> JointMap:
    """The phases' joint lesion probability, with what their comparison says where there is one."""
    joint = join_phases(study, segmentations)
    return joint if networks.comparison is None else networks.comparison.run(study, joint)


def detect_phases(
    study: Study,
    segmentations: Mapping[Phase, Segmentation],
    joint: JointMap,
    networks: Networks,
    progress: Progress,
) -> dict[Phase, FoundBoxes]:
    """The detector's boxes in each phase that it was trained for, on that phase's own grid; and in the reference phase,
    where `region_peak` is given, the sure regions without one.
    """
    assert networks.detector is not None
    phases = [phase for phase in Phase if phase in study.volumes and phase in networks.detector.phases]
    found = {}
    with progress.stage("detect", "Detecting lesions") as step:
        for number, phase in enumerate(phases):
            label = f"Detecting lesions in the {phase.words} phase ({number + 1} of {len(phases)})"
            part = step.part(number, len(phases), label)
            with progress.timed(f"detect_{phase}"):
                found[phase] = networks.detector.run(study.volumes[phase], segmentations[phase], part)
    if networks.region_peak is None:
        return found
    return with_regions(found, regions_of(joint, study.volumes[study.reference_phase]), study, networks.region_peak)


def classify(
    study: Study, lesions: Sequence[Lesion], places: Places, networks: Networks, progress: Progress
) -> tuple[list[Lesion], list[str]]:
    """The lesions with their types, and with a verdict where the classifier states its thresholds; and warnings."""
    assert networks.classifier is not None
    with progress.stage("classify", "Classifying lesions") as step:
        boxes = [places.boxes[lesion.label] for lesion in lesions]
        found = networks.classifier.run(study.volumes, boxes, study.clinical, step)
    result, unread = [], []
    for lesion, probabilities in zip(lesions, found, strict=True):
        rounded = None if probabilities is None else {kind: round(value, 6) for kind, value in probabilities.items()}
        typed = lesion.model_copy(update={"type_probabilities": rounded})
        if networks.triage is not None:
            typed = typed.model_copy(update={"verdict": _classified(typed).verdict(networks.triage)})
        if probabilities is None:
            unread.append(lesion.name)
        result.append(typed)
    words = f"Not classified, as they lie in no phase that the classifier takes: {', '.join(unread)}."
    return result, [words] if unread else []


def read(
    lesions: Sequence[Lesion],
    thresholds: TriageThresholds,
    *,
    liver_found: bool,
    unread: Sequence[str],
    search_gap: str,
) -> Reading:
    """The patient's reading from the classified lesions, largest first; the rest as `read_patient` takes it."""
    reading = read_patient(
        [_classified(lesion) for lesion in lesions],
        thresholds,
        liver_found=liver_found,
        unread=unread,
        search_gap=search_gap,
    )
    return Reading(**asdict(reading))


def _classified(lesion: Lesion) -> ClassifiedLesion:
    return ClassifiedLesion(lesion.id, lesion.name, lesion.type_probabilities)


@dataclass(frozen=True)
class SliceFindings:
    """What the slice networks say. scores, and saliency in [0, 1] (z, y, x) on the phase's own grid, of each phase that
    was looked at; shares: of that saliency in each lesion, by phase and label; risk: None without HCCNet or slices.
    """

    scores: Mapping[Phase, SliceScores]
    saliency: Mapping[Phase, npt.NDArray[np.float32]]
    shares: Mapping[Phase, Mapping[int, float]]
    risk: HCCRisk | None


def read_slices(
    study: Study,
    segmentations: Mapping[Phase, Segmentation],
    measured: MeasuredLesions,
    places: Places,
    networks: Networks,
    progress: Progress,
) -> SliceFindings:
    """NoduleNet on each phase that it was trained for, and HCCNet on these phases laid over each other."""
    from LiverAILib.analysis.slices import score_phase

    nodules, hcc = networks.nodules, networks.hcc
    phases = [phase for phase in Phase if nodules is not None and phase in study.volumes and phase in nodules.phases]
    scores, saliency, shares, risk = {}, {}, {}, None
    parts = len(phases) + (hcc is not None)
    with progress.stage("slices", "Reading the liver slices") as step:
        for number, phase in enumerate(phases):
            assert nodules is not None
            label = f"Reading the liver slices of the {phase.words} phase ({number + 1} of {len(phases)})"
            step.part(number, parts, label)
            liver = segmentations[phase].liver
            with progress.timed(f"slices_{phase}"):
                scores[phase], found = score_phase(
                    study.volumes[phase],
                    liver,
                    nodules.run,
                    networks.slice_format,
                    salient_from=networks.salient_from,
                    mix=networks.saliency,
                    device=networks.device,
                )
                saliency[phase] = _in_steps(found)
                shares[phase] = _shares(saliency[phase], places.labels[phase], liver)
        if hcc is not None:
            step.part(parts - 1, parts, "Reading the liver slices for HCC")
            with progress.timed("hcc_risk"):
                shifts = {study.reference_phase: np.zeros(3), **measured.shifts}
                risk = _risk(hcc.run(study, measured.liver, shifts), networks.hcc_threshold)
    return SliceFindings(scores, saliency, shares, risk)


def _risk(read: SliceRisks | None, threshold: float | None) -> HCCRisk | None:
    """The risk score of HCCNet's slices, None without a slice."""
    from LiverAILib.analysis.risk import hcc_risk

    score = None if read is None else hcc_risk(read.probability)
    if read is None or score is None:
        return None
    return HCCRisk(
        printed=score.printed,
        unscaled=score.unscaled,
        images=score.images,
        threshold=threshold,
        hcc=None if threshold is None else score.unscaled >= threshold,
        slices=read.slices,
        scores=read.probability,
    )


def with_shares(lesions: Sequence[Lesion], shares: Mapping[Phase, Mapping[int, float]]) -> list[Lesion]:
    """The lesions with the share of each phase's saliency that lies in them."""
    return [
        lesion.model_copy(
            update={"saliency_share": {phase: round(own.get(lesion.label, 0.0), 4) for phase, own in shares.items()}}
        )
        for lesion in lesions
    ]


def _shares(
    saliency: npt.NDArray[np.float32], labels: npt.NDArray[np.uint16], liver: npt.NDArray[np.bool_]
) -> dict[int, float]:
    """The share of the saliency in the liver, lesions included, that lies in each lesion."""
    from LiverAILib.saliency import share_inside

    if not liver.any():
        return {}
    box = bounding_box(liver)
    found = labels > 0
    if found.any():  # a lesion may reach beyond the liver
        other = bounding_box(found)
        first, second, third = (
            slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(box, other, strict=True)
        )
        box = first, second, third
    return share_inside(saliency[box], labels[box], liver[box] | found[box])


def _in_steps(saliency: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The saliency in `SALIENCY_STEPS` steps, in place; slices of 0 are not touched."""
    for plane in saliency:
        if plane.any():
            np.round(plane * SALIENCY_STEPS, out=plane)
            plane /= SALIENCY_STEPS
    return saliency
