"""Pools: exams and phantoms made once, kept as what the networks take, in small files in a folder.

    lesions_KIND_SEED.npz    crops for the lesion classifier
    slices_KIND_SEED.npz     slices for NoduleNet
    stack_KIND_SEED.npz      the phases beside each other, for PhaseComparisonNet and HCCNet
    volume_KIND_SEED_PHASE.npz   volumes for LiverSegNet and the lesion detector

KIND is `exam` (on real anatomy), `phantom`, or `real` (a scan as it is: its slices, and for training the lesions that
its organ map calls tumours; its name for the seed). Making a pool goes on where it was stopped; what is there already
is not made again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from LiverAILib.analysis.resample import Mask
from LiverAILib.analysis.segment import Segmenter
from LiverAILib.errors import StudyError
from LiverAILib.phantom import EVALUATION_SEEDS, PhantomOptions, generate
from LiverAILib.study import Phase
from LiverAILib.training.cases import CaseFiles, TrainingCase
from LiverAILib.training.exams import ExamOptions, ExamSource
from LiverAILib.training.lesion_samples import LesionSamples, exam_lesions, real_tumours
from LiverAILib.training.slice_samples import SliceSamples, exam_slices, real_slices
from LiverAILib.training.stacks import StackSample, exam_stack
from LiverAILib.training.typed_exam import TypedExam
from LiverAILib.training.volumes import load_volumes, save_volume

Kind = Literal["lesions", "slices", "volume", "stack"]

#: Exams on validation patients have seeds from here on, so that no seed is used twice; before them come those with new
#: lesions on anatomy that was learnt from, which are not learnt from.
VALIDATION_SEEDS = 500_000
LEARNT_SEEDS = 400_000
MOST_LESIONS = 6
TRAINING_LESIONS = (0, 6)  # in an exam to train on; validation exams have as many as in practice
MOST_SLICES = 16
BOX_ERROR = 0.06


@dataclass(frozen=True)
class PoolOptions:
    """kinds: what is kept of each exam. in_plane_mm: of volumes. most_slices: of a phase, None for all. validation:
    whether that side is made too. segmenter: finds the livers of stacks, as an analysis does; None for the true ones.
    """

    kinds: tuple[Kind, ...] = ("lesions", "slices")
    in_plane_mm: float = 1.25
    most_slices: int | None = MOST_SLICES
    validation: bool = True
    segmenter: Segmenter | None = None


def training_phantom(seed: int, in_plane_mm: float = 1.25) -> TypedExam:
    """The phantom of a training seed, at the spacing that networks work at. Raises StudyError for evaluation seeds."""
    if seed >= EVALUATION_SEEDS:
        raise StudyError(f"Seeds from {EVALUATION_SEEDS} up are for evaluation only. Choose a smaller one.")
    chooser = np.random.default_rng([seed, 52])
    slice_mm = float(chooser.uniform(2.0, 6.0))
    tall = chooser.random() < 0.15  # down to the pelvis
    reach_mm = float(chooser.uniform(380, 480) if tall else chooser.uniform(200, 290))
    shape = (round(reach_mm / slice_mm), round(350 / in_plane_mm), round(420 / in_plane_mm))
    return generate(seed, options=PhantomOptions(shape=shape, spacing_mm=(slice_mm, in_plane_mm, in_plane_mm)))


def fill_with_exams(
    folder: Path,
    make: Callable[[int], TypedExam],
    kind: str,
    seeds: Sequence[int],
    options: PoolOptions,
    say: Callable[[str], None] = print,
) -> None:
    """Make what is missing of the exams with these seeds."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds, start=1):
        wanted = [part for part in options.kinds if not _there(folder, part, kind, seed)]
        if not wanted:
            continue
        exam = make(seed)
        if "lesions" in wanted:
            exam_lesions(exam, most=MOST_LESIONS, box_error=BOX_ERROR).save(folder / f"lesions_{kind}_{seed}.npz")
        if "slices" in wanted:
            exam_slices(exam, most=options.most_slices).save(folder / f"slices_{kind}_{seed}.npz")
        if "stack" in wanted:
            exam_stack(exam, _livers(exam, options.segmenter)).save(folder / f"stack_{kind}_{seed}.npz")
        if "volume" in wanted:
            for phase in exam.study.volumes:
                save_volume(folder / f"volume_{kind}_{seed}_{phase}.npz", exam, phase, options.in_plane_mm)
        say(f"{kind} {seed} ({number} of {len(seeds)})")


def _livers(exam: TypedExam, segmenter: Segmenter | None) -> dict[Phase, Mask]:
    """The livers that a segmenter finds; the true ones without it, or if it finds none in the reference phase."""
    true = {phase: exam.liver_mask(phase) for phase in exam.study.volumes}
    if segmenter is None:
        return true
    found = {phase: segmenter(volume, lambda _: None).liver for phase, volume in exam.study.volumes.items()}
    return found if found[exam.study.reference_phase].any() else true


def _there(folder: Path, part: Kind, kind: str, seed: int) -> bool:
    if part == "volume":  # the last phase is written last
        return (folder / f"volume_{kind}_{seed}_{Phase.PORTAL_VENOUS}.npz").is_file()
    return (folder / f"{part}_{kind}_{seed}.npz").is_file()


def fill_with_real(
    folder: Path, cases: Sequence[CaseFiles], kinds: Sequence[Kind], say: Callable[[str], None] = print
) -> None:
    """The slices and the tumours of real scans."""
    folder.mkdir(parents=True, exist_ok=True)
    for files in cases:
        paths = {kind: folder / f"{kind}_real_{files.name}.npz" for kind in ("slices", "lesions") if kind in kinds}
        missing = [kind for kind, path in paths.items() if not path.is_file()]
        if "slices" in missing:
            real_slices(files).save(paths["slices"])
        if "lesions" in missing:
            real_tumours(files, box_error=BOX_ERROR).save(paths["lesions"])
        if missing:
            say(f"{' and '.join(missing)} of {files.name}")


def make_pools(
    folder: Path,
    train: Sequence[CaseFiles],
    validation: Sequence[CaseFiles],
    *,
    exams: int,
    phantoms: int,
    validation_exams: int,
    options: PoolOptions,
    first_seed: int = 1,
    say: Callable[[str], None] = print,
) -> None:
    """The pools of a training: `folder/train` and `folder/validation`.

    A third as many phantoms as the training side has are made for validation (each seed is a patient of its own).
    Raises StudyError if training seeds would reach those that are kept for validation.
    """
    if first_seed + max(exams, phantoms) > LEARNT_SEEDS:
        raise StudyError(f"Seeds from {LEARNT_SEEDS} up are for validation. Choose fewer exams or a smaller seed.")
    seeds = range(first_seed, first_seed + exams)
    fill_with_real(folder / "train", train, options.kinds, say)
    if options.validation:
        held = folder / "validation"
        # a type is validated against a known one
        fill_with_real(held, validation, [kind for kind in options.kinds if kind != "lesions"], say)
        if validation and validation_exams:
            own = range(VALIDATION_SEEDS, VALIDATION_SEEDS + validation_exams)
            fill_with_exams(held, ExamSource(validation, "validation").exam, "exam", own, options, say)
        spare = range(VALIDATION_SEEDS, VALIDATION_SEEDS + phantoms // 3)
        fill_with_exams(held, training_phantom, "phantom", spare, options, say)
    if exams:
        crowded = ExamOptions(between=TRAINING_LESIONS)
        fill_with_exams(folder / "train", ExamSource(train, "train", crowded).exam, "exam", seeds, options, say)
    fill_with_exams(
        folder / "train", training_phantom, "phantom", range(first_seed, first_seed + phantoms), options, say
    )


def load_lesions(folder: Path) -> LesionSamples:
    """All lesions of a pool. Raises StudyError if there is none."""
    parts = [LesionSamples.load(path) for path in sorted(folder.glob("lesions_*.npz"))]
    if not any(len(part) for part in parts):
        raise StudyError(f"{folder} holds no lesions of known type. Make exams or phantoms first.")
    return LesionSamples.joined(parts)


def load_slices(folder: Path) -> SliceSamples:
    """All slices of a pool. Raises StudyError if there is none."""
    parts = [SliceSamples.load(path) for path in sorted(folder.glob("slices_*.npz"))]
    if not any(len(part) for part in parts):
        raise StudyError(f"{folder} holds no slices. Make exams or phantoms first.")
    return SliceSamples.joined(parts)


def load_stacks(folder: Path) -> list[StackSample]:
    """All stacks of a pool; about 5 MB of memory each. Raises StudyError if there is none."""
    stacks = [StackSample.load(path) for path in sorted(folder.glob("stack_*.npz"))]
    if not stacks:
        raise StudyError(f"{folder} holds no stacks of phases. Make exams or phantoms first.")
    return stacks


def load_synthetic(folder: Path, in_plane_mm: float) -> list[TrainingCase]:
    """All volumes of a pool; about 15 MB of memory each."""
    return load_volumes(sorted(folder.glob("volume_*.npz")), in_plane_mm)
