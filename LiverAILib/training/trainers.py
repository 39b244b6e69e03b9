"""`liverai train NETWORK`: pools, recipe, training and package of each network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from LiverAILib.analysis.segment import load_segmenter
from LiverAILib.bundles import Bundle
from LiverAILib.few_bits import from_stored, to_stored
from LiverAILib.study import Phase
from LiverAILib.training.cases import CaseFiles, Split, TrainingCase, training_case
from LiverAILib.training.exams import ExamSource
from LiverAILib.training.exams_truth import ExamTruth
from LiverAILib.training.kept_segmentations import KeptSegmenter
from LiverAILib.training.lesion_samples import TUMOUR, LesionSamples
from LiverAILib.training.packages import Described, Provenance, result, write_package
from LiverAILib.training.pools import (
    LEARNT_SEEDS,
    Kind,
    PoolOptions,
    load_lesions,
    load_slices,
    load_stacks,
    load_synthetic,
    make_pools,
    training_phantom,
)
from LiverAILib.training.typed_exam import TypedExam

Say = Callable[[str], None]
Weights = Mapping[str, Tensor]

HCCNET_PAPER = "HCCNet (Wang et al., Br J Cancer 2021)"
LIAIDS_PAPER = "LiAIDS (Ying et al., Nat Commun 2024)"
CROP_MM = 48.0 / 112.0  # the finest pixel of the classifier's crops
READ_EXAMS = 40  # for NoduleNet: six thousand slices or so


@dataclass(frozen=True)
class Asked:
    """What the command line asks for. recipe: options that stand in for the recipe's own. segmenter: folder of the
    LiverSegNet that the detector and the comparison go on from, None for the one that ships. start: weights to begin
    with. package: where to write the package and what to say in it; None trains only.
    """

    split: Split
    pool: Path
    work: Path
    recipe: Mapping[str, Any]
    minutes: float | None
    exams: int
    phantoms: int
    validation_exams: int
    first_seed: int
    segmenter: Path | None
    start: Weights | None
    package: tuple[Path, Provenance] | None
    say: Say

    @cached_property
    def kept_segmenter(self) -> KeptSegmenter:
        """That LiverSegNet; what it finds is kept with the pool."""
        return KeptSegmenter(load_segmenter(self.segmenter), self.pool / "segmentations")

    @property
    def steps(self) -> int | None:
        """How many were asked for; the schedule of the learning rate is fitted to them."""
        return self.recipe.get("steps")

    def fill(self, *kinds: Kind, validation: bool = True) -> None:
        """Make what the pool lacks, for validation too unless that is not wanted."""
        segmenter = self.kept_segmenter if "stack" in kinds else None
        make_pools(
            self.pool,
            self.split.train,
            self.split.validation,
            exams=self.exams,
            phantoms=self.phantoms,
            validation_exams=self.validation_exams,
            options=PoolOptions(kinds=kinds, validation=validation, segmenter=segmenter),
            first_seed=self.first_seed,
            say=self.say,
        )

    def provenance(self, kind: Kind) -> tuple[Path, Provenance] | None:
        """Where to write and what to say, completed with the exams of the pool."""
        if self.package is None:
            return None
        folder, known = self.package
        exams = {
            side: {
                name: len({path.stem.split("_")[2] for path in (self.pool / side).glob(f"{kind}_{name}_*.npz")})
                for name in ("exam", "phantom", "real")
            }
            for side in ("train", "validation")
        }
        return folder, replace(known, exams=exams)


def _begin(network: nn.Module, start: Weights | None) -> None:
    if start is not None:
        network.load_state_dict(dict(start))


def _as_kept(weights: Weights, package: tuple[Path, Provenance]) -> Weights:
    """The weights as the package will keep them, so that its results are those of what it holds."""
    return from_stored(to_stored(weights, package[1].weight_bits))


def validation_exams(
    asked: Asked, kind: Kind, most: int | None = None, *, phantoms: bool = True
) -> Iterator[TypedExam]:
    """The exams, and phantoms, of which the pool's validation side keeps parts, whole again; no more than `most` of
    each.
    """

    def seeds(of: str) -> list[int]:
        paths = (asked.pool / "validation").glob(f"{kind}_{of}_*.npz")
        return sorted({int(path.stem.split("_")[2]) for path in paths})[:most]

    if made := seeds("exam"):
        source = ExamSource(asked.split.validation, "validation")
        yield from (source.exam(seed) for seed in made)
    if phantoms:
        yield from (training_phantom(seed) for seed in seeds("phantom"))


def _read_exams(asked: Asked) -> Iterator[tuple[str, TypedExam]]:
    """What `validated_comparison.ComparedExam` calls sides, and exams: those of the pool's validation side, and as many
    with new lesions on the training patients' anatomy.
    """
    count = 0
    for exam in validation_exams(asked, "stack"):
        side = "exam" if isinstance(exam.truth, ExamTruth) else "phantom"
        count += side == "exam"
        yield side, exam
    learnt = ExamSource(asked.split.train, "train")
    for seed in range(LEARNT_SEEDS, LEARNT_SEEDS + count):
        yield "learnt", learnt.exam(seed)


def _without_steps(asked: Asked) -> dict[str, Any]:
    return {key: value for key, value in asked.recipe.items() if key != "steps"}


def _epochs(steps: int | None, per_epoch: int, recipe: Any) -> Any:
    """The recipe with as many epochs as make the steps that were asked for, and warmed up over a twentieth at most."""
    if not steps:
        return recipe
    epochs = steps / per_epoch
    return replace(recipe, epochs=epochs, warmup_epochs=min(recipe.warmup_epochs, 0.05 * epochs))


def train_nodulenet(asked: Asked) -> Bundle | None:
    """NoduleNet."""
    from LiverAILib.analysis.grid import MIN_SLICE_MM
    from LiverAILib.analysis.networks import SliceFormat
    from LiverAILib.analysis.slices import MARGIN_MM, PIXEL_MM, SIZE
    from LiverAILib.training.slices import SliceRecipe, SliceTraining
    from LiverAILib.training.validated_slices import MIXES, nodulenet_results, read_exam, read_real

    asked.fill("slices")
    train, held = load_slices(asked.pool / "train"), load_slices(asked.pool / "validation")
    recipe = SliceRecipe(**_without_steps(asked))
    recipe = _epochs(asked.steps, max(1, len(train) // recipe.batch), recipe)
    training = SliceTraining(train, held, recipe)
    _begin(training.network.network, asked.start)
    positive = int(training.train.labels.sum())
    asked.say(f"{len(training.train)} slices, {positive} with a lesion; {len(training.validation)} for validation")
    weights, loop = training.run(asked.work, minutes=asked.minutes, say=asked.say)
    package = asked.provenance("slices")
    if package is None:
        return None
    training.network.network.load_state_dict(_as_kept(weights, package))
    network, device = training.network.network.eval(), training.device
    size = SIZE // recipe.shrink
    taken = SliceFormat(PIXEL_MM * recipe.shrink, size, MIN_SLICE_MM, MARGIN_MM, recipe.smoothing_mm)
    asked.say("reading validation exams whole")
    read = [read_real(network, files, taken, MIXES, device) for files in asked.split.validation]
    for exam in validation_exams(asked, "slices", READ_EXAMS):
        read += read_exam(network, exam, taken, MIXES, device)
    extra, rows = nodulenet_results(read)
    described = Described(
        network="NoduleNet",
        task="Which axial CT slices of the liver show a lesion",
        paper=HCCNET_PAPER,
        labels=["no lesion", "lesion"],
        in_plane_mm=PIXEL_MM * recipe.shrink,
        shape=(1, size, size),
        output="logits",
        extra={"size": size, "liver_margin_mm": MARGIN_MM, "smoothing_mm": recipe.smoothing_mm, **extra},
        results=rows,
    )
    return write_package(package[0], weights, described, recipe, loop, package[1])


def train_hccnet(asked: Asked) -> Bundle | None:
    """HCCNet."""
    from LiverAILib.analysis.phase_stack import STACK_PHASES, StackFormat
    from LiverAILib.analysis.stack_slices import StackReader
    from LiverAILib.networks.resnet34 import for_phases
    from LiverAILib.training.hccnet import HccRecipe, HccTraining
    from LiverAILib.training.validated_risk import hccnet_results, read_exam_risk

    fill_pool(asked, "hccnet")
    train, held = load_stacks(asked.pool / "train"), load_stacks(asked.pool / "validation")
    recipe = HccRecipe(**_without_steps(asked))
    training = HccTraining(train, held, recipe)
    training.recipe = recipe = _epochs(asked.steps, training.steps_per_epoch, recipe)
    _begin(training.network.network, None if asked.start is None else for_phases(asked.start))
    training.hold()
    asked.say(f"{len(training.samples)} exams and phantoms to put lesions in; {len(held)} for validation")
    weights, loop = training.run(asked.work, minutes=asked.minutes, say=asked.say)
    package = asked.provenance("stack")
    if package is None:
        return None
    training.network.network.load_state_dict(_as_kept(weights, package))
    network, taken = training.network.network.eval(), StackFormat()
    reader = StackReader(network, training.device, taken, recipe.smoothing_mm)
    asked.say("reading validation exams whole")
    read = [read_exam_risk(reader, exam) for exam in validation_exams(asked, "stack")]
    extra, rows = hccnet_results([one for one in read if one is not None])
    described = Described(
        network="HCCNet",
        task="Which axial CT slices of the liver show a hepatocellular carcinoma, seen in all contrast phases",
        paper=HCCNET_PAPER,
        labels=["no HCC", "HCC"],
        in_plane_mm=taken.in_plane_mm,
        shape=(network.inputs, "n", "n"),
        channels=[*(f"{phase}, HU over the liver's" for phase in STACK_PHASES), "liver"],
        output="logits",
        extra={"smoothing_mm": recipe.smoothing_mm, **extra},
        results=rows,
        phases=STACK_PHASES,
    )
    return write_package(package[0], weights, described, recipe, loop, package[1])


def train_classifier(asked: Asked) -> Bundle | None:
    """The lesion classifier."""
    from LiverAILib.networks.lesion_classifier import CLASSES, CLASSIFIER_PHASES, CROP_SHAPE
    from LiverAILib.training.classifier import ClassifierRecipe, ClassifierTraining
    from LiverAILib.training.validated import classifier_results, drawn_company

    asked.fill("lesions")
    train, held = load_lesions(asked.pool / "train"), load_lesions(asked.pool / "validation")
    recipe = ClassifierRecipe(**_without_steps(asked))
    if asked.steps:
        epochs = asked.steps / max(1, len(train) // recipe.batch)
        recipe = replace(recipe, epochs=epochs, decay_epochs=epochs * recipe.decay_epochs / recipe.epochs)
    training = ClassifierTraining(train, held, recipe)
    _begin(training.network, asked.start)
    tumours = int((training.train.labels == TUMOUR).sum())
    asked.say(
        f"{len(training.train)} lesions, {tumours} of them real tumours; {len(training.validation)} for validation"
    )
    weights, calibration, loop = training.run(asked.work, minutes=asked.minutes, say=asked.say)
    package = asked.provenance("lesions")
    if package is None:
        return None
    extra: dict[str, Any] = {}
    rows: list[dict[str, Any]] = []
    if calibration is not None:
        training.network.load_state_dict(_as_kept(weights, package))
        logits = training.validation_logits(training.network.eval())
        free = _lesion_free(asked.pool)
        extra, rows = classifier_results(*logits, held.labels, held.exams, free, calibration, drawn_company())
    described = Described(
        network="LesionClassifier",
        task="Seven types of focal liver lesions in CT of up to three phases, with the clinical record",
        paper=LIAIDS_PAPER,
        labels=[str(kind) for kind in CLASSES],
        in_plane_mm=CROP_MM,
        shape=(len(CLASSIFIER_PHASES), *CROP_SHAPE),
        channels=[str(phase) for phase in CLASSIFIER_PHASES],
        output="logits",
        extra=extra,
        results=rows,
    )
    return write_package(package[0], weights, described, recipe, loop, package[1])


def _lesion_free(pool: Path) -> int:
    """Validation phantoms without a lesion; real anatomy may hold lesions of unknown type."""
    paths = sorted((pool / "validation").glob("lesions_phantom_*.npz"))
    return sum(len(LesionSamples.load(path)) == 0 for path in paths)


def _volumes(asked: Asked, in_plane_mm: float) -> tuple[list[TrainingCase], list[TrainingCase]]:
    """The real scans and the synthetic volumes to train on; the pool is filled."""
    real = [training_case(files, in_plane_mm) for files in asked.split.train]
    made = load_synthetic(asked.pool / "train", in_plane_mm)
    asked.say(
        f"{len(real)} scans and {len(made)} synthetic volumes; {len(asked.split.validation)} scans for validation"
    )
    return real, made


def train_detector(asked: Asked) -> Bundle | None:
    """The lesion detector."""
    from LiverAILib.analysis.detect import DetectOptions, PhaseDetector
    from LiverAILib.networks.detector import PRESETS, LesionDetector
    from LiverAILib.training.detector import DetectorRecipe, DetectorTask, find_in_exams
    from LiverAILib.training.detector import train_detector as run
    from LiverAILib.training.lesion_probability import with_lesion_probability
    from LiverAILib.training.validated import detector_results

    recipe = DetectorRecipe(**asked.recipe)
    fill_pool(asked, "detector")
    real, made = _volumes(asked, recipe.in_plane_mm)
    held = [training_case(files, recipe.in_plane_mm) for files in asked.split.validation]
    held += load_synthetic(asked.pool / "validation", recipe.in_plane_mm)
    segmenter = asked.kept_segmenter
    shown: dict[str, Any] = {}
    if PRESETS[recipe.preset].backbone.inputs > 1:
        real, made, held = (with_lesion_probability(side, segmenter, asked.say) for side in (real, made, held))
        shown = {"shown": {segmenter.model.name: segmenter.model.sha256}}
    task = DetectorTask(real, made, held, recipe)
    _begin(task.network, asked.start)
    weights, loop = run(task, asked.work, minutes=asked.minutes, say=asked.say)
    package = asked.provenance("volume")
    if package is None:
        return None
    task.network.load_state_dict(_as_kept(weights, package))
    assert isinstance(task.network, LesionDetector)
    detector = PhaseDetector(task.network, task.device, DetectOptions(in_plane_mm=recipe.in_plane_mm))
    found = find_in_exams(detector, validation_exams(asked, "volume", phantoms=False), segmenter)
    extra, rows = detector_results(found, "exams of three phases on validation patients")
    described = Described(
        network="LesionDetector",
        task="Boxes of liver lesions in the slices of a CT of any contrast phase",
        paper=LIAIDS_PAPER,
        labels=["lesion"],
        in_plane_mm=recipe.in_plane_mm,
        shape=(task.network.inputs, "n + 10", "32*n", "32*n"),
        channels=("image", "lesion probability p as 2 sqrt(p) - 1")[: task.network.inputs],
        output="boxes",
        kind="detection",
        extra={**shown, **extra},
        results=rows,
    )
    return write_package(package[0], weights, described, recipe, loop, package[1])


def train_phase_comparison(asked: Asked) -> Bundle | None:
    """The comparison of phases."""
    from LiverAILib.analysis.compare import PhaseComparer
    from LiverAILib.analysis.phase_stack import STACK_PHASES, StackFormat
    from LiverAILib.networks.phase_comparison import PhaseComparisonNet
    from LiverAILib.training.phase_comparison import ComparisonRecipe, ComparisonTask, train_comparison
    from LiverAILib.training.validated_comparison import compare_exam, comparison_results

    fill_pool(asked, "comparison")
    recipe = ComparisonRecipe(**asked.recipe)
    train, held = load_stacks(asked.pool / "train"), load_stacks(asked.pool / "validation")
    task = ComparisonTask(train, held, recipe)
    _begin(task.network, asked.start)
    lesions = sum(len(sample.lesions) for sample in train)
    asked.say(f"{len(train)} exams and phantoms, {lesions} lesions; {len(held)} for validation")
    weights, loop = train_comparison(task, asked.work, minutes=asked.minutes, say=asked.say)
    package = asked.provenance("stack")
    if package is None:
        return None
    task.network.load_state_dict(_as_kept(weights, package))
    assert isinstance(task.network, PhaseComparisonNet)
    segmenter = asked.kept_segmenter
    comparer = PhaseComparer(task.network, task.device)
    asked.say("reading exams whole")
    read = [compare_exam(comparer, exam, segmenter, side) for side, exam in _read_exams(asked)]
    extra, rows = comparison_results(exam for exam in read if exam is not None)
    described = Described(
        network="PhaseComparisonNet",
        task="Lesions of the liver in the contrast phases of a CT exam, compared with each other",
        paper="LiverAI",
        labels=["lesion"],
        in_plane_mm=StackFormat().in_plane_mm,
        shape=(7, "n", "n", "n"),
        channels=[
            *(f"{phase}, HU over the liver's" for phase in STACK_PHASES),
            *(f"{phase}, whether there" for phase in STACK_PHASES),
            "liver",
        ],
        output="logits",
        kind="segmentation",
        extra={"joined_with": {segmenter.model.name: segmenter.model.sha256}, **extra},
        results=rows,
        phases=STACK_PHASES,
    )
    return write_package(package[0], weights, described, recipe, loop, package[1])


def train_liversegnet(asked: Asked) -> Bundle | None:
    """Liver and lesion segmentation."""
    from LiverAILib.training.liversegnet import SegmentationRecipe, SegmentationTask, train_segmentation

    recipe = SegmentationRecipe(**asked.recipe)
    held = asked.split.validation
    fill_pool(asked, "liversegnet")
    task = SegmentationTask(*_volumes(asked, recipe.in_plane_mm), held, recipe)
    weights, loop = train_segmentation(task, asked.work, minutes=asked.minutes, start=asked.start, say=asked.say)
    package = asked.provenance("volume")
    if package is None:
        return None
    last = loop.validations[-1] if loop.validations else {}
    described = Described(
        network="LiverSegNet",
        task="Liver and liver lesion segmentation in CT of any contrast phase",
        paper=LIAIDS_PAPER,
        labels=["liver", "lesion"],
        in_plane_mm=recipe.in_plane_mm,
        shape=(1, "8*n", "32*n", "32*n"),
        output="logits",
        kind="segmentation",
        results=[
            result(f"{name}, mean", "validation patients", len(held), value)
            for name, value in last.items()
            if name != "step"
        ],
        phases=tuple(Phase),
    )
    return write_package(package[0], weights, described, recipe, loop, package[1])


#: By the name that `liverai train` takes: the package's name, and what trains it.
TRAINERS: Mapping[str, tuple[str, Callable[[Asked], Bundle | None]]] = {
    "liversegnet": ("liversegnet", train_liversegnet),
    "comparison": ("phasecomparison", train_phase_comparison),
    "detector": ("lesiondetector", train_detector),
    "classifier": ("lesionclassifier", train_classifier),
    "nodulenet": ("nodulenet", train_nodulenet),
    "hccnet": ("hccnet", train_hccnet),
}


def fill_pool(asked: Asked, network: str) -> None:
    """What `--pool-only` makes: what the network learns from; crops and slices together, since they cost little beside
    the exam itself. LiverSegNet is validated on real scans alone.
    """
    if network in ("liversegnet", "detector"):
        asked.fill("volume", validation=network == "detector")
    elif network in ("comparison", "hccnet"):
        asked.fill("stack")
    else:
        asked.fill("lesions", "slices")


def side_patients(split: Split) -> dict[str, list[str]]:
    """Patients by side of a split."""

    def names(cases: list[CaseFiles]) -> list[str]:
        return sorted({files.patient for files in cases})

    return {"train": names(split.train), "validation": names(split.validation), "test": names(split.test)}
