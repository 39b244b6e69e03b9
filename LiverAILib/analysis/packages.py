"""Model packages to networks: one place that knows their names and what their metadata has to say.

Beside the keys that every package has (`bundles.Metadata`: `input` with pixel size, least slice thickness, window and
the phases the network was trained for), these may stand in `configs/metadata.json`:

| package | key | value |
| --- | --- | --- |
| phasecomparison | `joint` | fields of `JointWeights` that differ from its defaults |
| phasecomparison | `regions` | fields of `RegionWeights`; if not there, a region's peak decides alone |
| lesiondetector | `operating_point` | `{"least_score": ..., "least_mean_score": ...}`: of slices' boxes, of lesions |
| lesiondetector | `operating_point` | `{"region_peak": ...}`: of regions without a box; if not there, none counts |
| lesiondetector | `operating_point` | `{"recall": ...}`: the share of validation lesions that is then found |
| lesionclassifier | `triage` | `{"benign_below": ..., "malignant_from": ..., "decision": ...}` (`TriageThresholds`) |
| lesionclassifier | `company` | which types go with which (`TypeCompany`); if not there, each lesion stands by itself |
| lesionclassifier | `crop` | fields of `CropOptions` that differ from its defaults |
| nodulenet | `size` | side of the square in pixels, 256 |
| nodulenet, hccnet | `smoothing_mm` | over which neighbouring slices are averaged, 0 (`neighbour_shares`) |
| nodulenet | `salient_from` | least nodule probability of a slice with a saliency map, 0.5 |
| nodulenet | `saliency` | `{"weights": [1, 2, 3, 4, 5], "cam": false}`, also the defaults (`SaliencyMix`) |
| hccnet | `hcc_threshold` | HCC from this unscaled risk score on |
| hccnet | `hcc_auroc` | of the score on validation exams; under `SURE_AUROC` the notes call it a hint |

A package that is not there is left out and said once; one that is damaged, or says what makes no sense, is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from LiverAILib.analysis.joint_types import TypeCompany
from LiverAILib.analysis.lesions import PARAMETERS, IndexBox
from LiverAILib.analysis.networks import Classify, Compare, Detect, Networks, ReadRisk, SliceFormat, Stage
from LiverAILib.analysis.reading import TriageThresholds
from LiverAILib.bundles import Bundle, find_bundle
from LiverAILib.errors import BundleError
from LiverAILib.lesion_types import LesionType
from LiverAILib.resources import resource
from LiverAILib.study import ClinicalRecord, Phase, Volume

if TYPE_CHECKING:
    import torch
    from _typeshed import DataclassInstance

    from LiverAILib.analysis.crops import CropOptions
    from LiverAILib.networks.lesion_classifier import LesionClassifier
    from LiverAILib.saliency import SaliencyMix

StatedT = TypeVar("StatedT", bound="DataclassInstance")

#: What the paper's HCCNet reaches for patients, 0.887, or so.
SURE_AUROC = 0.88

#: The package of each stage, the network it has to hold, and what is missing without it.
STAGE_PACKAGES: Mapping[str, tuple[str, str]] = {
    "phasecomparison": ("PhaseComparisonNet", "the comparison of phases (each is searched for lesions by itself)"),
    "lesiondetector": ("LesionDetector", "the lesion detector (lesions are regions of high lesion probability)"),
    "lesionclassifier": ("LesionClassifier", "the lesion classifier (no lesion types and no reading of the patient)"),
    "nodulenet": ("NoduleNet", "NoduleNet (no nodule scores of slices and no saliency)"),
    "hccnet": ("HCCNet", "HCCNet (no HCC risk score)"),
}


@dataclass(frozen=True)
class Packages:
    """The verified packages of the stages beside the segmentation, by name."""

    found: Mapping[str, Bundle]

    def __contains__(self, name: str) -> bool:
        return name in self.found

    @property
    def note(self) -> tuple[str, ...]:
        """One sentence on all that is missing, or none."""
        missing = [words for name, (_, words) in STAGE_PACKAGES.items() if name not in self.found]
        return (f"Not installed, so left out: {', '.join(missing)}.",) if missing else ()


def find_packages(models: Path | None = None) -> Packages:
    """The packages that are in the folder `models`, or among those that ship.

    Raises BundleError for one that is there and is incomplete, damaged, of another network or takes another window.
    """
    from LiverAILib.analysis.grid import WINDOW_HU

    root = models if models is not None else resource("Models")
    found = {}
    for name, (network, _) in STAGE_PACKAGES.items():
        if not (root / name).exists():
            continue
        bundle = find_bundle(name, models)
        if bundle.metadata.network != network:
            raise BundleError(
                f"Model package {name} holds a {bundle.metadata.network}, not a {network}. Install the package again."
            )
        if tuple(bundle.metadata.input.window_hu) != WINDOW_HU:
            raise BundleError(
                f"Model package {name} takes a window of {bundle.metadata.input.window_hu} HU, not the {WINDOW_HU} "
                "of this program. Update LiverAI, or choose another package."
            )
        found[name] = bundle
    return Packages(found)


def load_networks(packages: Packages, device: torch.device) -> Networks:
    """The networks of the packages, on a device. Raises BundleError if weights or metadata do not fit."""
    found = packages.found
    networks = Networks(device=str(device), notes=packages.note)
    if "phasecomparison" in found:
        networks = replace(networks, comparison=_comparison(found["phasecomparison"], device))
    if "lesiondetector" in found:
        detector, recall, peak = _detector(found["lesiondetector"], device)
        networks = replace(networks, detector=detector, detector_recall=recall, region_peak=peak)
    if "lesionclassifier" in found:
        stage, triage = _classifier(found["lesionclassifier"], device)
        networks = replace(networks, classifier=stage, triage=triage)
        if triage is None:
            note = "The lesion classifier's package states no triage thresholds, so there is no reading of the patient."
            networks = replace(networks, notes=(*networks.notes, note))
    if "nodulenet" in found:
        bundle = found["nodulenet"]
        taken, mix = _slice_format(bundle), _saliency(bundle)
        salient = _number(bundle, "salient_from", networks.salient_from, 0, 1)
        stated: dict[str, float | str | bool] = {
            "slice_smoothing_mm": taken.smoothing_mm,
            "salient_from": salient,
            "saliency_cam": mix.cam,
            "saliency_weights": ", ".join(f"{weight:g}" for weight in mix.weights),
        }
        nodules = Stage(bundle.load().to(device), bundle.model, _phases(bundle), stated)
        networks = replace(networks, nodules=nodules, slice_format=taken, salient_from=salient, saliency=mix)
    if "hccnet" in found:
        bundle = found["hccnet"]
        given = (bundle.metadata.model_extra or {}).get("hcc_threshold")
        threshold = None if given is None else _number(bundle, "hcc_threshold", 0.0, 0, 10)
        networks = replace(networks, hcc=_hcc(bundle, device, threshold), hcc_threshold=threshold)
        known = _number(bundle, "hcc_auroc", 1.0, 0, 1)
        if known < SURE_AUROC:
            note = (
                f"The HCC risk score is a weak hint: on its validation exams it was higher in {known:.0%} of "
                "pairs of an exam with an HCC and one without (50% is chance)."
            )
            networks = replace(networks, notes=(*networks.notes, note))
    return networks


def _comparison(bundle: Bundle, device: torch.device) -> Stage[Compare]:
    from LiverAILib.analysis.compare import JointWeights, PhaseComparer
    from LiverAILib.analysis.phase_stack import StackFormat
    from LiverAILib.analysis.region_facts import RegionWeights
    from LiverAILib.networks.phase_comparison import PhaseComparisonNet

    weights = _stated(bundle, "joint", JointWeights())
    stated = "regions" in (bundle.metadata.model_extra or {})
    regions = _stated(bundle, "regions", RegionWeights()) if stated else None
    taken = StackFormat(bundle.metadata.input.in_plane_mm, bundle.metadata.input.min_slice_mm)
    network, phases = bundle.load(), _phases(bundle)
    assert isinstance(network, PhaseComparisonNet)
    parameters = {"comparison_in_plane_mm": taken.in_plane_mm}
    parameters |= {f"joint_{key}": value for key, value in weights.metadata().items()}
    parameters |= {f"region_{key}": value for key, value in (regions.metadata() if regions else {}).items()}
    return Stage(PhaseComparer(network, device, taken, weights, regions, phases), bundle.model, phases, parameters)


def _detector(bundle: Bundle, device: torch.device) -> tuple[Stage[Detect], float | None, float | None]:
    """The stage, its recall and its `region_peak` as `Networks` takes them."""
    from LiverAILib.analysis.detect import DetectOptions, PhaseDetector
    from LiverAILib.analysis.link import LinkOptions
    from LiverAILib.networks.detector import LesionDetector

    link, recall, peak = LinkOptions(), None, None
    if "operating_point" in (bundle.metadata.model_extra or {}):
        point = _mapping(bundle, "operating_point")
        link = replace(
            link,
            least_score=_number(bundle, "least_score", link.least_score, 0, 1, point),
            least_mean_score=_number(bundle, "least_mean_score", link.least_mean_score, 0, 1, point),
        )
        recall = _number(bundle, "recall", 0.0, 0, 1, point) if "recall" in point else None
        peak = _number(bundle, "region_peak", 1.0, 0, 1, point) if "region_peak" in point else None
    given = bundle.metadata.input
    options = DetectOptions(given.in_plane_mm, given.min_slice_mm, link=link)
    network = bundle.load()
    assert isinstance(network, LesionDetector)
    parameters = {
        "detector_in_plane_mm": given.in_plane_mm,
        "detector_least_score": link.least_score,
        "detector_least_mean_score": link.least_mean_score,
        "detector_least_liver": options.least_liver,
    }
    if peak is not None:
        parameters |= {**PARAMETERS, "lesion_min_peak": max(peak, PARAMETERS["lesion_min_peak"])}
    return Stage(PhaseDetector(network, device, options), bundle.model, _phases(bundle), parameters), recall, peak


def _classifier(bundle: Bundle, device: torch.device) -> tuple[Stage[Classify], TriageThresholds | None]:
    from LiverAILib.networks.lesion_classifier import CLASSIFIER_PHASES, LesionClassifier

    options, company = stated_crops(bundle), stated_company(bundle)
    parameters: dict[str, float | int | str | bool] = {}
    triage = None
    if "triage" in (bundle.metadata.model_extra or {}):
        triage = TriageThresholds.from_metadata(_mapping(bundle, "triage"))
        parameters |= {f"triage_{key}": value for key, value in triage.metadata().items()}
    if company is not None:
        parameters["other_lesions_trust"] = company.trust
    network = bundle.load().to(device)
    assert isinstance(network, LesionClassifier)
    phases = _phases(bundle) & frozenset(CLASSIFIER_PHASES)
    run = partial(_classify, network=network, phases=phases, options=options, company=company)
    return Stage(run, bundle.model, phases, parameters), triage


def stated_crops(bundle: Bundle) -> CropOptions:
    """The crops that a classifier's package takes; raises BundleError if what it says makes no sense."""
    from LiverAILib.analysis.crops import CropOptions

    return _stated(bundle, "crop", CropOptions())


def stated_company(bundle: Bundle) -> TypeCompany | None:
    """Which types go with which, if a classifier's package says so; raises BundleError if that makes no sense."""
    if "company" not in (bundle.metadata.model_extra or {}):
        return None
    return TypeCompany.from_metadata(_mapping(bundle, "company"), len(bundle.metadata.labels))


def _classify(
    volumes: Mapping[Phase, Volume],
    boxes: Sequence[Mapping[Phase, IndexBox]],
    clinical: ClinicalRecord,
    progress: Callable[[float], None],
    *,
    network: LesionClassifier,
    phases: frozenset[Phase],
    options: CropOptions,
    company: TypeCompany | None,
) -> list[dict[LesionType, float] | None]:
    from LiverAILib.analysis.classify import classify_lesions

    usable = [{phase: box for phase, box in lesion.items() if phase in phases} for lesion in boxes]
    return classify_lesions(network, volumes, usable, clinical, options=options, company=company, progress=progress)


def _hcc(bundle: Bundle, device: torch.device, threshold: float | None) -> Stage[ReadRisk]:
    from LiverAILib.analysis.phase_stack import StackFormat
    from LiverAILib.analysis.stack_slices import StackReader

    network, phases = bundle.load(), _phases(bundle)
    taken = StackFormat(bundle.metadata.input.in_plane_mm, bundle.metadata.input.min_slice_mm)
    smoothing = _number(bundle, "smoothing_mm", 0.0, 0, 50)
    reader = StackReader(network.to(device), device, taken, smoothing, phases)
    parameters = {"hcc_in_plane_mm": taken.in_plane_mm, "hcc_smoothing_mm": smoothing}
    if threshold is not None:
        parameters["hcc_threshold"] = threshold
    return Stage(reader, bundle.model, phases, parameters)


def _saliency(bundle: Bundle) -> SaliencyMix:
    from LiverAILib.saliency import SaliencyMix

    return _stated(bundle, "saliency", SaliencyMix())


def _slice_format(bundle: Bundle) -> SliceFormat:
    given = bundle.metadata.input
    size = int(_number(bundle, "size", SliceFormat().size, 32, 2048))
    margin = _number(bundle, "liver_margin_mm", SliceFormat().margin_mm, 0, 1000)
    smoothing = _number(bundle, "smoothing_mm", SliceFormat().smoothing_mm, 0, 50)
    return SliceFormat(given.in_plane_mm, size, given.min_slice_mm, margin, smoothing)


def _phases(bundle: Bundle) -> frozenset[Phase]:
    try:
        return frozenset(Phase(name) for name in bundle.metadata.input.phases)
    except ValueError as error:
        raise _refused(bundle, "input.phases") from error


def _stated(bundle: Bundle, key: str, default: StatedT) -> StatedT:
    """A dataclass with the fields that the metadata state under this key, the default's where they state none."""
    if key not in (bundle.metadata.model_extra or {}):
        return default
    given, known = _mapping(bundle, key), {field.name: getattr(default, field.name) for field in fields(default)}
    if unknown := set(given) - set(known):
        raise _refused(bundle, f"{key}.{sorted(unknown)[0]}")
    try:
        return TypeAdapter(type(default)).validate_python({**known, **given})
    except ValidationError as error:
        raise _refused(bundle, key) from error


def _mapping(bundle: Bundle, key: str) -> Mapping[str, Any]:
    value = (bundle.metadata.model_extra or {})[key]
    if not isinstance(value, Mapping):
        raise _refused(bundle, key)
    return value


def _number(
    bundle: Bundle, key: str, default: float, low: float, high: float, values: Mapping[str, Any] | None = None
) -> float:
    """A number between two bounds, from the metadata or a part of it."""
    value = ((bundle.metadata.model_extra or {}) if values is None else values).get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise _refused(bundle, key)
    return float(value)


def _refused(bundle: Bundle, key: str) -> BundleError:
    return BundleError(
        f"Model package {bundle.folder.name}: metadata.json is not valid (at {key}). Install the package again."
    )
