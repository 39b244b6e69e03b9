"""The evaluation's exams, made once and kept in a folder, so that every network is measured on the same.

    exam_SEED.npz      typed lesions as they come, on the anatomy of a patient held out of training
    benign_SEED.npz    the same with benign lesions only: patients of a screening cohort
    phantom_SEED.npz   a phantom without a lesion
    pool.json          whose anatomy it is

A file is what the stages take: the study, the true liver and the labelled lesions of each phase, and the truth. What is
there already is not made again, so making a pool may be stopped, or done by several processes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from LiverAILib.errors import StudyError
from LiverAILib.files import replacing
from LiverAILib.lesion_types import LesionType
from LiverAILib.phantom import EVALUATION_SEEDS, PhantomOptions, PhantomTruth, generate
from LiverAILib.phantom.patient import draw_types
from LiverAILib.study import Phase, Source, Study, Volume
from LiverAILib.training.cases import CaseFiles
from LiverAILib.training.exams import ExamOptions, ExamSource
from LiverAILib.training.exams_truth import ExamTruth
from LiverAILib.training.typed_exam import TypedExam

Kind = Literal["exam", "benign", "phantom"]

#: The first seed of each kind.
FIRST_SEEDS: Mapping[Kind, int] = {
    "exam": EVALUATION_SEEDS,
    "benign": EVALUATION_SEEDS + 500_000,
    "phantom": EVALUATION_SEEDS + 700,
}
_TABLE = "pool.json"


@dataclass(frozen=True)
class PooledExam:
    """An exam of the pool, a `TypedExam`. livers: (z, y, x) per phase, lesions included."""

    study: Study
    livers: Mapping[Phase, npt.NDArray[np.bool_]]
    lesion_ids: Mapping[Phase, npt.NDArray[np.uint16]]
    truth: ExamTruth | PhantomTruth

    def liver_mask(self, phase: Phase) -> npt.NDArray[np.bool_]:
        """The liver with its lesions."""
        return self.livers[phase]

    def lesion_mask(self, phase: Phase) -> npt.NDArray[np.bool_]:
        """All lesions."""
        return np.asarray(self.lesion_ids[phase] > 0)

    @property
    def slice_mm(self) -> float:
        """Distance of its slices."""
        return max(self.study.volumes[self.study.reference_phase].spacing_mm)


@dataclass(frozen=True)
class PoolPlan:
    """How many exams of each kind."""

    exams: int = 220
    benign: int = 90
    phantoms: int = 8

    def seeds(self, kind: Kind) -> range:
        """The seeds of a kind."""
        count = {"exam": self.exams, "benign": self.benign, "phantom": self.phantoms}[kind]
        return range(FIRST_SEEDS[kind], FIRST_SEEDS[kind] + count)

    def names(self) -> list[tuple[Kind, int]]:
        """Kind and seed of all of them."""
        return [(kind, seed) for kind in FIRST_SEEDS for seed in self.seeds(kind)]


def benign_types(seed: int) -> tuple[LesionType, ...]:
    """The lesions of a patient as they come, of those who have benign ones only."""
    rng = np.random.default_rng([seed, 71])
    while True:
        types = draw_types(rng, None)
        if types and not any(kind.malignant for kind in types):
            return types


def make_exam_of(kind: Kind, seed: int, cases: Sequence[CaseFiles]) -> TypedExam:
    """One exam. cases: of the test side."""
    if kind == "phantom":
        chooser = np.random.default_rng([seed, 53])
        spacing = (float(chooser.uniform(2.5, 5.0)), 1.25, 1.25)
        shape = (round(240 / spacing[0]), 280, 336)
        return generate(seed, options=PhantomOptions(shape=shape, spacing_mm=spacing, lesions=0))
    options = ExamOptions(lesions=benign_types(seed)) if kind == "benign" else None
    return ExamSource(cases, "test", options).exam(seed)


def save_exam(path: Path, exam: TypedExam, truth: ExamTruth | PhantomTruth) -> None:
    """One exam as one .npz file. HU are kept in a byte where they fit."""
    arrays: dict[str, npt.NDArray[np.generic]] = {}
    for phase, volume in exam.study.volumes.items():
        low, high = int(volume.array.min()), int(volume.array.max())
        fits = high - low < 256
        arrays[f"{phase}/hu"] = (volume.array.astype(np.int32) - low).astype(np.uint8 if fits else np.int16)
        arrays[f"{phase}/low"] = np.array(low)
        arrays[f"{phase}/affine"] = volume.affine
        arrays[f"{phase}/liver"] = np.packbits(exam.liver_mask(phase))
        ids = exam.lesion_ids[phase].ravel()
        where = np.flatnonzero(ids)
        arrays[f"{phase}/where"], arrays[f"{phase}/ids"] = where.astype(np.uint32), ids[where]
    arrays["truth"] = np.frombuffer(truth.model_dump_json().encode(), dtype=np.uint8)
    with replacing(path) as temporary:
        np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type]  # the stubs don't know names from a mapping


def load_exam(path: Path) -> PooledExam:
    """What `save_exam` wrote. Raises StudyError if it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as data:
            text = data["truth"].tobytes()
            kind = path.name.split("_")[0]
            truth = (PhantomTruth if kind == "phantom" else ExamTruth).model_validate_json(text)
            volumes, livers, ids = {}, {}, {}
            for phase in (phase for phase in Phase if f"{phase}/hu" in data.files):
                hu = data[f"{phase}/hu"].astype(np.int16) + np.int16(data[f"{phase}/low"])
                volumes[phase] = Volume(
                    hu, data[f"{phase}/affine"], Source(f"{kind} {truth.seed} {phase}", "synthetic")
                )
                livers[phase] = np.unpackbits(data[f"{phase}/liver"], count=hu.size).astype(bool).reshape(hu.shape)
                labels = np.zeros(hu.size, np.uint16)
                labels[data[f"{phase}/where"]] = data[f"{phase}/ids"]
                ids[phase] = labels.reshape(hu.shape)
    except (OSError, KeyError, ValueError) as error:
        raise StudyError(f"{path.name} is no exam of this program. Delete it: it is then made again.") from error
    return PooledExam(Study(volumes, truth.clinical), livers, ids, truth)


@dataclass(frozen=True)
class Pool:
    """A folder of exams."""

    folder: Path
    plan: PoolPlan

    def exams(self, kind: Kind, most: int | None = None) -> Iterator[PooledExam]:
        """The exams of a kind by seed, one at a time, at most so many."""
        for seed in self.plan.seeds(kind)[:most]:
            yield load_exam(_path(self.folder, kind, seed))

    def with_lesions(self, lesions: int, empty: int) -> Iterator[PooledExam]:
        """Exams as they come until they hold so many synthetic lesions; after the first `empty` ones without any, only
        those with some.
        """
        count = free = 0
        for exam in self.exams("exam"):
            own = sum(not getattr(lesion, "real", False) for lesion in exam.truth.lesions)
            free += own == 0
            if own or free <= empty:
                yield exam
            count += own
            if count >= lesions:
                return


def _path(folder: Path, kind: Kind, seed: int) -> Path:
    return folder / f"{kind}_{seed}.npz"


def make_pool(
    folder: Path, cases: Sequence[CaseFiles], plan: PoolPlan, *, workers: int = 1, say: Callable[[str], None] = print
) -> Pool:
    """Make what is missing of a pool. cases: of the patients held out of training; workers: processes.

    Raises StudyError if the folder holds exams on other patients.
    """
    folder.mkdir(parents=True, exist_ok=True)
    patients = sorted({files.patient for files in cases})
    table = folder / _TABLE
    if table.is_file():
        known = json.loads(table.read_text(encoding="utf-8")).get("patients")
        if known != patients:
            raise StudyError(
                f"{folder} holds exams on other patients than those held out of {cases[0].ct.parent}. Choose another "
                "--pool, or delete this one."
            )
    else:
        table.write_text(json.dumps({"patients": patients}) + "\n", encoding="utf-8")
    wanted = [(kind, seed) for kind, seed in plan.names() if not _path(folder, kind, seed).is_file()]
    jobs = [(folder, kind, seed, tuple(cases)) for kind, seed in wanted]
    if workers <= 1:
        for number, job in enumerate(jobs, start=1):
            say(f"{_make(*job)} ({number} of {len(jobs)})")
        return Pool(folder, plan)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_one_thread) as executor:
        futures = [executor.submit(_make, *job) for job in jobs]
        for number, future in enumerate(as_completed(futures), start=1):
            say(f"{future.result()} ({number} of {len(jobs)})")
    return Pool(folder, plan)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _make(folder: Path, kind: Kind, seed: int, cases: Sequence[CaseFiles]) -> str:
    exam = make_exam_of(kind, seed, cases)
    truth = exam.truth
    assert isinstance(truth, ExamTruth | PhantomTruth)
    save_exam(_path(folder, kind, seed), exam, truth)
    return f"{kind} {seed}"
