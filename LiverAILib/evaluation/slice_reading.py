"""NoduleNet on slices of real patients held out of training, with its saliency; HCCNet on exams, patient by patient.

Both as an analysis runs them, but in the true liver; NoduleNet also in the liver that is found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from LiverAILib.analysis.axes import canonical_axes
from LiverAILib.analysis.networks import ReadRisk, SliceFormat
from LiverAILib.analysis.slices import score_phase
from LiverAILib.evaluation.figures import Figure, figure_of
from LiverAILib.evaluation.groups import THICKNESS, auc_by_group, share
from LiverAILib.evaluation.part import Part, Picture, Say
from LiverAILib.evaluation.plots import Curve, draw_roc
from LiverAILib.readerstudy.statistics.estimate import Array
from LiverAILib.saliency import SaliencyMix, peak_inside
from LiverAILib.study import Volume
from LiverAILib.training.real_scans import RealScan
from LiverAILib.training.slice_samples import SHOWN_MM2
from LiverAILib.training.typed_exam import TypedExam
from LiverAILib.training.validated_risk import ReadPatient, read_exam_risk

Mask = npt.NDArray[np.bool_]

LARGE_MM = 10.0  # longest side of a lesion's region in a slice


@dataclass(frozen=True)
class ReadSlices:
    """The slices of one real scan. shown_mm2: area of lesion in each; large: whether one region of it is at least
    `LARGE_MM` long; peak, peak_in_liver: whether the highest saliency of the slice, and of the liver in it, lies in a
    lesion; None where there is no saliency.
    """

    case: str
    patient: str
    probability: Array
    shown_mm2: Array
    large: Mask
    peak: Sequence[bool | None]
    peak_in_liver: Sequence[bool | None]


def longest_mm(plane: Mask, pixel_mm: tuple[float, float]) -> float:
    """The longest side of the boxes around a slice's regions, in mm; 0 without any."""
    from scipy import ndimage

    labels, _ = ndimage.label(plane, np.ones((3, 3)))
    return max(
        (
            (part.stop - part.start) * step
            for box in ndimage.find_objects(labels)
            for part, step in zip(box, pixel_mm, strict=True)
        ),
        default=0.0,
    )


def read_scan_slices(
    network: nn.Module, scan: RealScan, taken: SliceFormat, device: str = "cpu", *, mix: SaliencyMix | None = None
) -> ReadSlices:
    """NoduleNet on every liver slice of a real scan. Where thin slices are averaged, their masks and saliency are."""
    scores, found = score_phase(scan.volume, scan.liver, network, taken, salient_from=-1.0, mix=mix, device=device)
    order, _ = canonical_axes(scan.volume.affine)
    axis = order[0]
    spacing = [step for number, step in enumerate(scan.volume.spacing_mm) if number != axis]
    pixel_mm = spacing[0], spacing[1]

    def slab(array: npt.NDArray[Any], span: tuple[int, int]) -> Array:
        return np.asarray(np.moveaxis(array, axis, 0)[span[0] : span[1]].mean(axis=0, dtype=np.float64))

    shown, large, peaks, peaks_in_liver = [], [], [], []
    for span in scores.slices:
        lesion, liver, saliency = (slab(array, span) for array in (scan.ids > 0, scan.liver, found))
        shown.append(float(lesion.sum()) * pixel_mm[0] * pixel_mm[1])
        large.append(longest_mm(lesion >= 0.5, pixel_mm) >= LARGE_MM)
        peaks.append(peak_inside(saliency, lesion > 0))
        peaks_in_liver.append(peak_inside(np.where(liver > 0, saliency, 0), lesion > 0))
    return ReadSlices(
        scan.name,
        scan.patient,
        np.asarray(scores.nodule),
        np.asarray(shown),
        np.asarray(large, dtype=np.bool_),
        peaks,
        peaks_in_liver,
    )


def nodulenet_part(
    network: nn.Module,
    scans: Iterable[RealScan],
    taken: SliceFormat,
    threshold: float,
    say: Say,
    device: str = "cpu",
    *,
    mix: SaliencyMix | None = None,
    find_liver: Callable[[Volume], Mask] | None = None,
) -> tuple[Part, list[Picture]]:
    """Area under the ROC curve over slices, the threshold's sensitivity and specificity, and where saliency peaks.

    mix: what the saliency is made of, as published if None. find_liver: as an analysis finds it, for the area under
    the curve in that liver too.
    """
    read, in_found = [], []
    for scan in scans:
        read.append(read_scan_slices(network, scan, taken, device, mix=mix))
        if find_liver is not None:
            own = replace(scan, liver=find_liver(scan.volume))
            in_found.append(read_scan_slices(network, own, taken, device, mix=mix))
        say(f"NoduleNet: {scan.name}, {len(read[-1].probability)} slices")
    names = sorted({single.patient for single in read})
    truth, scores, group = _known_slices(read, names)
    on = "held-out patients, real portal-venous CT, in the expert's liver"
    figures: list[Figure] = []
    notes: list[str] = []
    rows = [_slice_row(single) for single in read]
    figures += _saliency_figures(read, names, threshold, "SMOE x Grad-CAM" if mix and mix.cam else "SMOE", notes)
    if not truth.any() or truth.all():
        notes.append("NoduleNet: the held-out slices are all with or all without a lesion, so there is no AUROC.")
        return Part("nodulenet", figures, rows, notes), []
    n = f"{len(truth)} slices ({int(truth.sum())} with a lesion) of {len(names)} patients"
    found = auc_by_group(truth, scores, group, name="AUROC", unit="slices", grouped_by="patients")
    figures.insert(0, figure_of(found, "NoduleNet AUROC, slices", on, goal=">= 0.93", papers="0.901", units=n))
    if in_found:
        figures.append(_area_in_found(in_found, names, int(truth.sum())))
    for what, chosen, hits in (
        ("sensitivity", truth, scores >= threshold),
        ("specificity", ~truth, scores < threshold),
    ):
        rate = share(hits[chosen], group[chosen], name=what, unit="slices", grouped_by="patients")
        figures.append(figure_of(rate, f"NoduleNet {what}, threshold {threshold:g}", on))
    curve = Curve("slices", truth, scores, group)
    title = f"NoduleNet: real slices of {len(names)} held-out patients"
    picture = Picture("roc_nodulenet", lambda canvas: draw_roc(canvas, [curve], title, "lesion", "no lesion"))
    return Part("nodulenet", figures, rows, notes), [picture]


def _known_slices(
    read: Sequence[ReadSlices], names: Sequence[str]
) -> tuple[npt.NDArray[np.bool_], Array, npt.NDArray[np.int64]]:
    """Of the slices with no lesion and with enough of one: whether they have one, their scores and their patients."""
    groups = np.concatenate([np.full(len(r.probability), names.index(r.patient)) for r in read])
    scores = np.concatenate([r.probability for r in read])
    area_mm2 = np.concatenate([r.shown_mm2 for r in read])
    known = (area_mm2 == 0) | (area_mm2 >= SHOWN_MM2)
    return (area_mm2 >= SHOWN_MM2)[known], scores[known], groups[known]


def _area_in_found(read: Sequence[ReadSlices], names: Sequence[str], with_lesion: int) -> Figure:
    """The area under the curve in livers that were found; NaN where a class is missing. with_lesion: how many slices
    with a lesion the experts' livers have.
    """
    truth, scores, group = _known_slices(read, names)
    found = auc_by_group(truth, scores, group, name="AUROC", unit="slices", grouped_by="patients")
    n = f"{len(truth)} slices ({int(truth.sum())} with a lesion, {with_lesion} in the expert's liver)"
    on = "held-out patients, real portal-venous CT, in the liver that LiverSegNet finds"
    return figure_of(found, "NoduleNet AUROC, slices, found liver", on, units=n)


def _saliency_figures(
    read: Sequence[ReadSlices], names: Sequence[str], threshold: float, saliency: str, notes: list[str]
) -> list[Figure]:
    """Where the saliency peaks in slices with a large lesion."""
    figures = []
    everywhere = [np.ones(len(r.probability), dtype=np.bool_) for r in read]
    called = [r.probability > threshold for r in read]
    for what, peaks, chosen, goal in (
        (f"{saliency}: maximum inside a lesion", [r.peak for r in read], everywhere, ">= 0.90"),
        (f"{saliency}: maximum of the liver inside a lesion", [r.peak_in_liver for r in read], everywhere, ""),
        (f"{saliency}: maximum inside a lesion, slices called", [r.peak for r in read], called, ""),
    ):
        hits, group = [], []
        for single, values, own in zip(read, peaks, chosen, strict=True):
            for value, large, kept in zip(values, single.large, own, strict=True):
                if large and kept:
                    hits.append(value is True)
                    group.append(names.index(single.patient))
        if not hits:
            notes.append(f"{what}: no such slice shows a lesion of {LARGE_MM:g} mm or more.")
            continue
        found = share(np.array(hits), np.array(group), name=what, unit="slices", grouped_by="patients")
        on = "held-out real slices with a lesion >= 1 cm"
        units = f"{len(hits)} slices of {len(set(group))} patients"
        papers = "0.921 (by eye)" if goal else ""
        figures.append(figure_of(found, what, on, goal=goal, papers=papers, units=units))
    return figures


def _slice_row(read: ReadSlices) -> dict[str, Any]:
    return {
        "case": read.case,
        "patient": read.patient,
        "nodule": np.round(read.probability, 4).tolist(),
        "lesion_mm2": np.round(read.shown_mm2, 1).tolist(),
        "large": read.large.tolist(),
        "peak_in_lesion": list(read.peak),
        "liver_peak_in_lesion": list(read.peak_in_liver),
    }


def hccnet_part(
    reader: ReadRisk,
    exams: Iterable[TypedExam],
    threshold: float | None,
    say: Say,
) -> tuple[Part, list[Picture]]:
    """Area under the ROC curve over exams, and the package's decision."""
    read: list[ReadPatient] = []
    for number, exam in enumerate(exams, start=1):
        found = read_exam_risk(reader, exam)
        if found is not None:
            read.append(found)
        if number % 20 == 0:
            say(f"HCCNet: {number} exams")
    rows = [asdict(single) for single in read]
    truth = np.array([single.hcc for single in read], dtype=np.bool_)
    if not truth.any() or truth.all():
        return Part("hccnet", [], rows, ["HCCNet: the exams are all with or all without an HCC: no AUROC."]), []
    risk, seeds = np.array([single.risk for single in read]), np.arange(len(read))
    names = len({single.patient for single in read})
    on = f"synthetic exams on the anatomy of {names} held-out patients, all phases"
    n = f"{len(read)} exams ({int(truth.sum())} with an HCC)"
    figures = []
    for what, scores, goal in (
        ("HCCNet AUROC, patients", risk, ">= 0.90"),
        ("HCCNet AUROC, patients, risk score as printed", np.array([single.printed for single in read]), ""),
    ):
        area = auc_by_group(truth, scores, seeds, name="AUROC", unit="exams", grouped_by="exams")
        figures.append(figure_of(area, what, on, goal=goal, papers="0.887" if goal else "", units=n))
    if threshold is not None:
        sides = (("sensitivity", truth, risk >= threshold), ("specificity", ~truth, risk < threshold))
        for what, chosen, hits in sides:
            rate = share(hits[chosen], seeds[chosen], name=what, unit="exams", grouped_by="exams")
            figures.append(figure_of(rate, f"HCCNet {what}, threshold {threshold:g}", on))
    slice_mm = np.array([single.slice_mm for single in read])
    for words, low, high in THICKNESS:
        own = (slice_mm >= low) & (slice_mm < high)
        if truth[own].any() and not truth[own].all():
            area = auc_by_group(truth[own], risk[own], seeds[own], name="AUROC", unit="exams", grouped_by="exams")
            figures.append(figure_of(area, f"HCCNet AUROC, patients, slices of {words}", on))
    curve = Curve("exams, unscaled risk score", truth, risk, seeds)
    title = f"HCCNet: exams on {names} held-out patients"
    picture = Picture("roc_hccnet", lambda canvas: draw_roc(canvas, [curve], title, "HCC", "no HCC"))
    return Part("hccnet", figures, rows), [picture]
