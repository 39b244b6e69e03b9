"""NoduleNet on whole validation exams, read as an analysis reads them: its threshold, the mix of saliency, and the
package's results.

A pool keeps some slices of each phase, half of them with a lesion if there are as many. Of these what neighbouring
slices say can't be told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from LiverAILib.analysis.calibrate import choose_decision
from LiverAILib.analysis.networks import SliceFormat
from LiverAILib.analysis.slices import averaged_parts, slices_as
from LiverAILib.networks.resnet34 import ResNet34
from LiverAILib.saliency import WEIGHTS, SaliencyMix
from LiverAILib.study import Volume
from LiverAILib.training.cases import CaseFiles
from LiverAILib.training.packages import result
from LiverAILib.training.real_scans import read_scan
from LiverAILib.training.slice_samples import SHOWN_MM2, lesion_areas
from LiverAILib.training.slices import auroc
from LiverAILib.training.typed_exam import TypedExam

Rows = list[dict[str, Any]]

SALIENT_MM2 = 79.0  # a disc of 1 cm

#: What validation chooses saliency's mix from: all five layers as published, and without the first (edges), the last
#: (a place of it is 4 cm wide), or both.
MIXES = tuple(
    SaliencyMix(weights, cam)
    for weights in (WEIGHTS, (0.0, 2.0, 3.0, 4.0, 5.0), (1.0, 2.0, 3.0, 4.0, 0.0), (0.0, 2.0, 3.0, 4.0, 0.0))
    for cam in (False, True)
)


@dataclass(frozen=True)
class ReadSlices:
    """The liver slices of one volume. real: whether nothing in it was made.

    probability: (n,) of a lesion. lesion_mm2: (n,) what each shows of lesions. peaks: bool (mixes, m), whether the
    highest saliency of each mix lies in a lesion, of the slices that show `SALIENT_MM2` of lesions.
    """

    real: bool
    probability: Tensor
    lesion_mm2: Tensor
    peaks: Tensor


def read_volume(
    network: ResNet34,
    volume: Volume,
    liver: npt.NDArray[np.bool_],
    ids: npt.NDArray[np.integer],
    taken: SliceFormat,
    *,
    real: bool = False,
    mixes: Sequence[SaliencyMix] = (),
    device: torch.device | str = "cpu",
) -> ReadSlices:
    """One volume in its true liver. network: in evaluation mode on `device`. ids: (z, y, x) of lesions, 0 for none.
    mixes: whose peaks are asked for.
    """
    slices = slices_as(volume, liver, taken)
    areas, places = lesion_areas(slices, ids > 0, taken.pixel_mm)
    peaks = torch.zeros((len(mixes), 0), dtype=torch.bool)
    margin = torch.zeros(0)
    if slices.index:
        parts = averaged_parts(network, slices, mixes, taken.smoothing_mm, device=device)
        margin = parts.margin.cpu()
        large = torch.nonzero(areas >= SALIENT_MM2).flatten()
        if mixes and len(large):
            found, chosen = [], parts.where(large.to(device))
            for mix in mixes:
                maps = chosen.mixed(mix, (taken.size, taken.size)).cpu()
                cells = F.adaptive_max_pool2d(maps.unsqueeze(1), places.shape[2:]).flatten(1).argmax(1, keepdim=True)
                found.append(places[large].flatten(1).gather(1, cells).squeeze(1) > 0)
            peaks = torch.stack(found)
    return ReadSlices(real, torch.sigmoid(margin.double()), areas, peaks)


def read_exam(
    network: ResNet34,
    exam: TypedExam,
    taken: SliceFormat,
    mixes: Sequence[SaliencyMix] = (),
    device: torch.device | str = "cpu",
) -> list[ReadSlices]:
    """Every phase of an exam; the rest as `read_volume` takes it."""
    return [
        read_volume(network, volume, exam.liver_mask(phase), exam.lesion_ids[phase], taken, mixes=mixes, device=device)
        for phase, volume in exam.study.volumes.items()
    ]


def read_real(
    network: ResNet34,
    files: CaseFiles,
    taken: SliceFormat,
    mixes: Sequence[SaliencyMix] = (),
    device: torch.device | str = "cpu",
) -> ReadSlices:
    """A real scan; the rest as `read_volume` takes it."""
    scan = read_scan(files)
    return read_volume(network, scan.volume, scan.liver, scan.ids, taken, real=True, mixes=mixes, device=device)


def nodulenet_results(read: Sequence[ReadSlices]) -> tuple[dict[str, Any], Rows]:
    """`salient_from` (Youden's threshold of the slice probability), `saliency` (the mix of `MIXES` that is oftenest
    highest in a lesion, the first of equals) and the results. read: with the peaks of `MIXES`. Without slices of both
    kinds nothing is stated.
    """
    probability, area = (torch.cat([getattr(one, name) for one in read]) for name in ("probability", "lesion_mm2"))
    real = torch.cat([torch.full((len(one.probability),), one.real) for one in read])
    known = (area == 0) | (area >= SHOWN_MM2)
    probability, real, labels = probability[known], real[known], (area >= SHOWN_MM2)[known]
    if not labels.any() or labels.all():
        return {}, []
    decision = choose_decision(probability.numpy(), labels.numpy())
    on = "all liver slices of validation exams and scans"
    rows = [
        result("AUROC, slices with a lesion", on, len(labels), auroc(probability, labels)),
        result(f"sensitivity from {decision.threshold:.2f} on", on, int(labels.sum()), decision.sensitivity),
        result(f"specificity below {decision.threshold:.2f}", on, int((~labels).sum()), decision.specificity),
    ]
    if labels[real].any() and not labels[real].all():
        found = auroc(probability[real], labels[real])
        rows.append(result("AUROC, slices with a lesion", "real scans of validation patients", int(real.sum()), found))
    extra: dict[str, Any] = {"salient_from": round(decision.threshold, 4)}
    hits = torch.cat([one.peaks for one in read], dim=1)
    if hits.shape[1]:
        shares = hits.float().mean(dim=1).tolist()
        best = MIXES[shares.index(max(shares))]
        extra["saliency"] = asdict(best)
        on = f"validation slices with {SALIENT_MM2:g} mm2 or more of lesions"
        rows += [
            result(f"highest {words(mix)} in a lesion", on, hits.shape[1], share)
            for mix, share in zip(MIXES, shares, strict=True)
            if mix in (SaliencyMix(), best)
        ]
    return extra, rows


def words(mix: SaliencyMix) -> str:
    """Of the results: SMOE and its weights."""
    smoe = f"SMOE ({', '.join(f'{weight:g}' for weight in mix.weights)})"
    return f"{smoe} x Grad-CAM" if mix.cam else smoe
