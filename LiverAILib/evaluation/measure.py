"""All parts of the evaluation in their order: what is there is measured, and each part's result is kept at once."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch

from LiverAILib.analysis.networks import Networks
from LiverAILib.analysis.packages import Packages, find_packages, load_networks, stated_company, stated_crops
from LiverAILib.analysis.segment import Segmenter, load_segmenter
from LiverAILib.bundles import METADATA, WEIGHTS, Bundle, find_bundle
from LiverAILib.errors import BundleError
from LiverAILib.evaluation import bench
from LiverAILib.evaluation.detecting_part import detector_part
from LiverAILib.evaluation.figures import Figure
from LiverAILib.evaluation.part import PARTS, Part, PartName, Picture, Say, draw_pictures
from LiverAILib.evaluation.pool import Pool, PoolPlan, make_pool
from LiverAILib.evaluation.real import held_out
from LiverAILib.evaluation.segmentation import CaseResult
from LiverAILib.evaluation.slice_reading import hccnet_part, nodulenet_part
from LiverAILib.evaluation.typing_part import classifier_part
from LiverAILib.evaluation.whole import whole_part
from LiverAILib.networks.lesion_classifier import LesionClassifier
from LiverAILib.training.cases import CaseFiles
from LiverAILib.training.kept_segmentations import KeptSegmenter
from LiverAILib.training.real_scans import RealScan, read_scan

#: The packages beside its own that a part uses where they are there.
ALSO_USED: dict[PartName, tuple[str, ...]] = {
    "nodulenet": ("liversegnet",),
    "detector": ("phasecomparison", "lesionclassifier", "liversegnet"),
    "whole": ("phasecomparison", "lesiondetector", "lesionclassifier", "nodulenet", "hccnet"),
    "cost": ("phasecomparison", "lesiondetector", "lesionclassifier", "nodulenet", "hccnet"),
}
PARTS_FOLDER = "parts"
#: Exams without a synthetic lesion that the detector reads.
EMPTY_EXAMS = 20


@dataclass(frozen=True)
class Request:
    """What to measure. data: real CT (see `bench`), None without any. models: folder of packages, None for those that
    ship. pool: folder of the exams. detector_lesions: how many the detector is asked for. whole_exams: how many go
    through all stages. phantoms: of the segmentation. cohort: patients of the triage. only: parts.
    """

    out: Path
    data: Path | None = None
    models: Path | None = None
    pool: Path = Path(".cache") / "evaluation"
    plan: PoolPlan = field(default_factory=PoolPlan)
    detector_lesions: int = 315
    whole_exams: int = 6
    phantoms: int = 10
    cohort: int = 400
    only: Sequence[PartName] = tuple(PARTS)
    device: str = "auto"
    workers: int = 1
    large: bool = True

    @property
    def cases_folder(self) -> Path | None:
        """The labelled cases, if there are any."""
        folder = None if self.data is None else self.data / "portal_ct" / "train"
        return folder if folder is not None and folder.is_dir() else None


class Evaluation:
    """The parts of one request."""

    def __init__(self, request: Request, say: Say) -> None:
        """Raises BundleError for a damaged package, and StudyError if one has seen a patient of the test side."""
        self.request, self.say = request, say
        self.packages: Packages = find_packages(request.models)
        seen = {patient for bundle in self.packages.found.values() for patient in bundle.metadata.patients_seen} | set(
            find_bundle("liversegnet", request.models).metadata.patients_seen
        )
        folder = request.cases_folder
        self.cases: list[CaseFiles] = held_out(folder, seen) if folder is not None else []
        self.trained_on = sorted(seen)

    @cached_property
    def device(self) -> torch.device:
        """Where the networks run."""
        wanted = self.request.device
        if wanted == "auto":
            wanted = "cuda" if torch.cuda.is_available() else "cpu"
        return torch.device(wanted)

    @cached_property
    def segmenter(self) -> Segmenter:
        """LiverSegNet."""
        return load_segmenter(self.request.models, self.request.device)

    @cached_property
    def kept_segmenter(self) -> KeptSegmenter:
        """LiverSegNet; what it finds in the pool's exams is kept with them."""
        return KeptSegmenter(self.segmenter, self.request.pool / "segmentations")

    @cached_property
    def networks(self) -> Networks:
        """All others that are there."""
        return load_networks(self.packages, self.device)

    @cached_property
    def pool(self) -> Pool:
        """The exams; what is missing is made."""
        request = self.request
        return make_pool(request.pool, self.cases, request.plan, workers=request.workers, say=self.say)

    def bundle(self, name: str) -> Bundle | None:
        """The package of a name, or None."""
        if name == "liversegnet":
            return find_bundle(name, self.request.models)
        return self.packages.found.get(name)

    def used(self, part: PartName) -> dict[str, str]:
        """SHA-256 of the packages that a part measures."""
        names = (PARTS[part], *ALSO_USED.get(part, ()))
        found = {name: self.bundle(name) for name in names}
        return {name: bundle.metadata.sha256 for name, bundle in found.items() if bundle is not None}

    def scans(self) -> Iterator[RealScan]:
        """The real scans held out of training."""
        return (read_scan(files) for files in self.cases)

    def measure(self) -> None:
        """Each part that can be measured; its result is written before the next one begins."""
        for name in self.request.only:
            missing = self._missing(name)
            if missing:
                self.say(f"{name}: left out, {missing}")
                continue
            started = time.perf_counter()
            part, pictures = getattr(self, f"_{name}")()
            done = Part(name, part.figures, part.cases, part.notes, self.used(name), time.perf_counter() - started)
            done.save(self.request.out / PARTS_FOLDER)
            draw_pictures(pictures, self.request.out)
            self.say(f"{name}: {done.seconds:.0f} s")

    def _missing(self, name: PartName) -> str:
        """Why a part can't be measured, or nothing."""
        if self.bundle(PARTS[name]) is None:
            return f"as there is no package {PARTS[name]}"
        if name not in ("segmentation", "cost") and not self.cases:
            return "as no real anatomy was given (--data with portal_ct/train/)"
        return ""

    def _nodulenet(self) -> tuple[Part, list[Picture]]:
        networks = self.networks
        assert networks.nodules is not None
        return nodulenet_part(
            networks.nodules.run,
            self.scans(),
            networks.slice_format,
            networks.salient_from,
            self.say,
            networks.device,
            mix=networks.saliency,
            find_liver=None if self.bundle("liversegnet") is None else lambda scan: self.kept_segmenter(scan).liver,
        )

    def _hccnet(self) -> tuple[Part, list[Picture]]:
        networks = self.networks
        assert networks.hcc is not None
        return hccnet_part(
            networks.hcc.run,
            self.pool.exams("exam"),
            networks.hcc_threshold,
            self.say,
        )

    def _classifier(self) -> tuple[Part, list[Picture]]:
        bundle = self.packages.found["lesionclassifier"]
        network = bundle.load().to(self.device)
        assert isinstance(network, LesionClassifier)
        return classifier_part(
            network,
            stated_company(bundle),
            self.pool.exams("exam"),
            self.pool.exams("benign"),
            self.scans(),
            stated_crops(bundle),
            self.networks.triage,
            self.request.cohort,
            self.say,
        )

    def _detector(self) -> tuple[Part, list[Picture]]:
        return detector_part(
            self.networks,
            self.kept_segmenter,
            self.pool.with_lesions(self.request.detector_lesions, EMPTY_EXAMS),
            self.pool.exams("phantom"),
            self.scans(),
            self.say,
        )

    def _whole(self) -> tuple[Part, list[Picture]]:
        exams = self.pool.exams("exam", self.request.whole_exams)
        return whole_part(exams, self.pool.exams("phantom"), self.kept_segmenter, self.networks, self.say)

    def _segmentation(self) -> tuple[Part, list[Picture]]:
        request = self.request
        notes: list[str] = []
        figures: list[Figure] = []
        cases: list[CaseResult] = []
        with tempfile.TemporaryDirectory(prefix="liverai-bench-") as work:
            if request.data is not None and (request.data / "samples").is_dir():
                figures += bench.sample_figures(request.data / "samples", Path(work), self.say, self._options)
            else:
                notes.append("No samples/ in the data folder: no figures on full-resolution CT.")
        if request.cases_folder is not None:
            more, cases = bench.held_out_figures(request.cases_folder, self.segmenter, self.say, self.trained_on)
            figures += more
        else:
            notes.append("No portal_ct/train/ in the data folder: no figures on held-out patients.")
        if request.phantoms:
            more, results = bench.phantom_figures(request.phantoms, self.segmenter, self.say)
            figures += more
            cases += results
        return Part("segmentation", figures, [case.row() for case in cases], notes), []

    def _cost(self) -> tuple[Part, list[Picture]]:
        with tempfile.TemporaryDirectory(prefix="liverai-bench-") as work:
            figures = bench.cost_figures(
                Path(work),
                self.say,
                self._options,
                large=self.request.large,
                most_seconds=60 if all(self.bundle(name) for name in PARTS.values()) else 45,
            )
        there = {name: bundle for name in self.used("cost") if (bundle := self.bundle(name)) is not None}
        size = sum((bundle.folder / part).stat().st_size for bundle in there.values() for part in (METADATA, WEIGHTS))
        words = ", ".join(sorted(there))
        figures.append(Figure("size of the packages, MB", words, f"{len(there)} packages", size / 1e6, "<= 60"))
        return Part("cost", figures), []

    @property
    def _options(self) -> list[str]:
        """The same networks and device, as options of `liverai analyze`."""
        models = ["--models", str(self.request.models)] if self.request.models else []
        return ["--device", self.request.device, *models]


def measured_parts(evaluation: Evaluation) -> tuple[list[Part], list[str]]:
    """The parts that are in the output folder and hold for the present packages; and what is not there, in words."""
    parts, notes = [], []
    for name in PARTS:
        path = evaluation.request.out / PARTS_FOLDER / f"{name}.json"
        if not path.is_file():
            words = evaluation._missing(name) or "it was not asked for"
            notes.append(f"{name}: not measured, {words}.")
            continue
        try:
            part = Part.load(path)
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(f"{path} is damaged. Delete it and measure {name} again.") from error
        if part.models != evaluation.used(name):
            notes.append(f"{name}: measured with other weights, so left out. Measure it again (--only {name}).")
            continue
        parts.append(part)
    return parts, notes


def write_cases(parts: Sequence[Part], path: Path) -> None:
    """What the figures rest on, case by case."""
    path.write_text(
        json.dumps({part.name: list(part.cases) for part in parts}, indent=1, ensure_ascii=False), encoding="utf-8"
    )
