"""The stages in the order they run; those after the segmentation are in `stages`. Nothing here writes a file."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from LiverAILib import __version__
from LiverAILib.analysis import lesions, stages
from LiverAILib.analysis.axes import canonical_axes, to_canonical
from LiverAILib.analysis.networks import Networks
from LiverAILib.analysis.places import locate
from LiverAILib.analysis.progress import Progress, silent
from LiverAILib.findings import Findings, Lesion, PhaseFacts, Reading
from LiverAILib.study import ClinicalRecord, Phase, Study, Volume

if TYPE_CHECKING:
    from LiverAILib.analysis.segment import Segmentation, Segmenter

#: Each stage's expected share of the time, for the progress display; those that always run.
WEIGHTS = {"import": 12.0, "model": 8.0, "segment": 62.0, "lesions": 8.0, "write": 10.0}
#: The stages that run where their package is there.
PACKAGE_WEIGHTS = {
    "lesiondetector": ("detect", 14.0),
    "lesionclassifier": ("classify", 4.0),
    "nodulenet": ("slices", 5.0),
    "hccnet": ("slices", 3.0),
}
_ORDER = ("import", "model", "segment", "detect", "lesions", "classify", "slices", "write")

#: The lesion probability is kept in steps of one over this: noise in its last digits would only fill the disk.
PROBABILITY_STEPS = 1024

#: The recall on validation from which a detector finds enough to call a patient low risk.
ENOUGH_RECALL = 0.9

#: More liver than this in the outermost slice, row or column of a scan means that the scan cuts the liver off.
EDGE_CM2 = 2.0


class LesionFinder(Protocol):
    """What `analysis.lesions.find_lesions` does."""

    def __call__(self, study: Study, segmentations: Mapping[Phase, Segmentation]) -> lesions.MeasuredLesions: ...


@dataclass(frozen=True)
class Analysis:
    """The findings, and the arrays they were measured on.

    liver (bool, lesions included), lesion_ids (uint16, 0 outside lesions) and lesion_probability (float32) are
    (z, y, x) on the reference phase's grid, whose LPS affine is `affine`; the probability in `PROBABILITY_STEPS` steps.
    saliency: in [0, 1], (z, y, x) on the own grid of each phase that NoduleNet looked at.
    """

    findings: Findings
    affine: npt.NDArray[np.float64]
    liver: npt.NDArray[np.bool_]
    lesion_ids: npt.NDArray[np.uint16]
    lesion_probability: npt.NDArray[np.float32]
    saliency: Mapping[Phase, npt.NDArray[np.float32]] = field(default_factory=dict)


def stage_weights(packages: Container[str]) -> dict[str, float]:
    """The stages that run with these packages, in their order, and their expected shares of the time."""
    weights = dict(WEIGHTS)
    for name, (stage, weight) in PACKAGE_WEIGHTS.items():
        if name in packages:
            weights[stage] = weights.get(stage, 0.0) + weight
    return {stage: weights[stage] for stage in _ORDER if stage in weights}


def analyze(
    study: Study,
    segmenter: Segmenter,
    *,
    networks: Networks | None = None,
    progress: Progress | None = None,
    lesion_finder: LesionFinder | None = None,
    device: str = "cpu",
    threads: int = 1,
    parameters: Mapping[str, float | int | str | bool] | None = None,
) -> Analysis:
    """Analyse a study with the given segmentation network, and with whatever other networks there are.

    progress: told of each stage, and times it; the times go into the findings together with those it already holds.
    lesion_finder: instead of the comparison of phases and the detector. device, threads, parameters: recorded in the
    findings, the parameters together with those of everything that ran.
    """
    progress = progress or silent()
    networks = networks or Networks()
    if lesion_finder is not None:
        networks = replace(networks, comparison=None, detector=None)
    used = {**segmenter.parameters, **networks.parameters, **(parameters or {})}
    if lesion_finder is None and networks.detector is None:
        used |= lesions.PARAMETERS
    reference = study.reference_phase
    segmentations: dict[Phase, Segmentation] = {}
    facts: dict[Phase, PhaseFacts] = {}
    edges: list[str] = []
    phases = [phase for phase in Phase if phase in study.volumes]
    with progress.stage("segment", "Segmenting") as step:
        for number, phase in enumerate(phases):
            volume = study.volumes[phase]
            label = f"Segmenting the {phase.words} phase ({number + 1} of {len(phases)})"
            part = step.part(number, len(phases), label)
            with progress.timed(f"segment_{phase}"):
                segmentations[phase] = segmenter(volume, part)
            facts[phase] = _phase_facts(phase, volume, segmentations[phase])
            edges += _edge_warnings(phase, volume, segmentations[phase].liver)
    measured = _find(study, segmentations, networks, lesion_finder, progress)
    found = _read(study, segmentations, measured, networks, progress)
    warnings = [
        *study.warnings,
        *networks.notes,
        *missing_phase_warnings(study),
        *_untrained_warnings(study, networks),
        *edges,
        *measured.warnings,
        *found.warnings,
    ]
    findings = Findings(
        software_version=__version__,
        created_utc=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        device=device,
        threads=threads,
        models=[segmenter.model, *networks.models],
        parameters=used,
        seconds=dict(progress.seconds),
        warnings=list(dict.fromkeys(warnings)),
        reference_phase=reference,
        phases=facts,
        clinical=dataclasses.asdict(study.clinical),
        liver_ml=round(int(np.count_nonzero(measured.liver)) * study.volumes[reference].voxel_ml, 3),
        lesions=found.lesions,
        reading=found.reading,
        hcc_risk=found.slices.risk if found.slices else None,
        slice_scores=dict(found.slices.scores) if found.slices else {},
    )
    return Analysis(
        findings,
        study.volumes[reference].affine,
        measured.liver,
        measured.lesion_ids,
        _in_steps(measured.lesion_probability),
        found.slices.saliency if found.slices else {},
    )


def _find(
    study: Study,
    segmentations: Mapping[Phase, Segmentation],
    networks: Networks,
    lesion_finder: LesionFinder | None,
    progress: Progress,
) -> lesions.MeasuredLesions:
    """The measured lesions: by the given finder, from the detector's boxes, or from regions of lesion probability."""
    if lesion_finder is not None or networks.detector is None:
        with progress.stage("lesions", "Finding and measuring lesions"):
            if lesion_finder is not None:
                return lesion_finder(study, segmentations)
            return lesions.lesions_in(study, stages.join(study, segmentations, networks))
    from LiverAILib.analysis.detected import measure_detected

    joint = stages.join(study, segmentations, networks)
    boxes = stages.detect_phases(study, segmentations, joint, networks, progress)
    with progress.stage("lesions", "Matching, delineating and measuring lesions"):
        return measure_detected(study, segmentations, joint, boxes)


@dataclass(frozen=True)
class _Read:
    lesions: list[Lesion]
    reading: Reading | None = None
    slices: stages.SliceFindings | None = None
    warnings: tuple[str, ...] = ()


def _read(
    study: Study,
    segmentations: Mapping[Phase, Segmentation],
    measured: lesions.MeasuredLesions,
    networks: Networks,
    progress: Progress,
) -> _Read:
    """Types, reading, slice scores and saliency, as far as there are networks."""
    if networks.classifier is None and networks.nodules is None and networks.hcc is None:
        return _Read(measured.lesions)
    places = locate(study, measured)
    found = measured.lesions
    warnings: list[str] = []
    reading = slices = None
    if networks.classifier is not None:
        found, warnings = stages.classify(study, found, places, networks, progress)
        if networks.triage is not None:
            there = bool(measured.liver.any())
            reading = stages.read(
                found,
                networks.triage,
                liver_found=there,
                unread=measured.unmeasured,
                search_gap=search_gap(networks),
            )
        if found and study.clinical == ClinicalRecord():
            warnings.append("There is no clinical record; without it the lesion types are less sure.")
    if networks.nodules is not None or networks.hcc is not None:
        slices = stages.read_slices(study, segmentations, measured, places, networks, progress)
        found = stages.with_shares(found, slices.shares)
    return _Read(found, reading, slices, tuple(warnings))


def search_gap(networks: Networks) -> str:
    """Why finding nothing does not make a patient low risk, as the reading says it; empty if it does."""
    if networks.detector is None:
        return (
            "lesions were looked for as regions of lesion probability, without the lesion detector; too many are "
            "missed to call a patient low risk."
        )
    recall = networks.detector_recall
    if recall is None:
        return "the lesion detector's package does not state how many lesions it finds."
    if recall < ENOUGH_RECALL:
        return (
            f"the lesion detector found {recall:.0%} of its validation's lesions, too few to call a patient low risk."
        )
    return ""


def _untrained_warnings(study: Study, networks: Networks) -> list[str]:
    """What networks do not look at; the classifier has no branch for a delayed phase, so that goes without saying."""
    parts = ((networks.detector, "The lesion detector"), (networks.nodules, "NoduleNet"), (networks.hcc, "HCCNet"))
    return [text for stage, name in parts if stage is not None for text in stage.unseen(study, name)]


def missing_phase_warnings(study: Study) -> list[str]:
    """What can't be seen for want of a phase; the delayed phase is optional."""
    return [
        f"There is no {phase.words} phase; the findings rest on the other phases alone."
        for phase in (Phase.NON_CONTRAST, Phase.ARTERIAL, Phase.PORTAL_VENOUS)
        if phase not in study.volumes
    ]


def _phase_facts(phase: Phase, volume: Volume, segmentation: Segmentation) -> PhaseFacts:
    confidence, reason = _phase_opinion(phase, volume)
    normal = volume.array[segmentation.liver & (segmentation.lesion_probability < lesions.THRESHOLD)]
    z, y, x = volume.array.shape
    return PhaseFacts(
        source=volume.source.label,
        shape=(z, y, x),
        spacing_mm=volume.spacing_mm,
        confidence=confidence,
        reason=reason,
        liver_ml=round(int(np.count_nonzero(segmentation.liver)) * volume.voxel_ml, 3),
        liver_hu=round(float(normal.mean(dtype=np.float64)), 2) if normal.size else None,
    )


def _phase_opinion(phase: Phase, volume: Volume) -> tuple[float, str]:
    """How sure the phase is, and why: the user's word, else the surest opinion that says so, else it was given."""
    opinions = volume.source.opinions
    if "user" in opinions:
        return 1.0, opinions["user"].reason
    if not opinions:
        return 1.0, "given with the volume"
    ranked = sorted(opinions.items(), key=lambda item: item[1].confidence, reverse=True)
    confidence = max((opinion.confidence for _, opinion in ranked if opinion.phase is phase), default=0.0)
    return confidence, "; ".join(f"{source}: {opinion.reason}" for source, opinion in ranked)


def _in_steps(probability: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The probability in `PROBABILITY_STEPS` steps; slices of 0 take no memory."""
    result = np.zeros(probability.shape, np.float32)
    for number, plane in enumerate(probability):
        if plane.any():
            result[number] = np.round(plane * PROBABILITY_STEPS) / np.float32(PROBABILITY_STEPS)
    return result


def _edge_warnings(phase: Phase, volume: Volume, liver: npt.NDArray[np.bool_]) -> list[str]:
    """Words for a liver that the edge of the scan cuts off, on any of its six sides."""
    order, flips = canonical_axes(volume.affine)
    spacing = np.asarray(volume.spacing_mm)[list(order)]
    view = to_canonical(liver, order, flips)
    cut = []
    for axis, sides in enumerate((("lower", "upper"), ("front", "back"), ("right", "left"))):
        pixel_cm2 = float(spacing.prod() / spacing[axis]) / 100
        for side, at in zip(sides, (0, -1), strict=True):
            if np.count_nonzero(view.take(at, axis)) * pixel_cm2 > EDGE_CM2:
                cut.append(side)
    if not cut:
        return []
    where = f"In the {phase.words} phase the liver reaches the {' and the '.join(cut)} edge of the scan"
    return [f"{where}: part of it may lie outside, and its volume is a lower bound."]
