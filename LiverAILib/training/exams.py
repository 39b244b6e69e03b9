"""Synthetic exams on real anatomy: a real portal-venous scan becomes a multi-phase exam with typed lesions.

Nobody publishes multi-phase liver CT with typed lesions, so it is made: the scan is taken apart into structure and
noise; the structure gets the HU of each phase tissue by tissue, with one patient's enhancement from the phantom's model
(`phantom.enhancement`), fitted so that the portal phase keeps the liver that was scanned; lesions of the seven types
are drawn by the phantom's rules (`phantom.lesions`, `phantom.appearance`) into the room of the real liver, push vessels
aside or overgrow them, and take over blur and noise; each phase but the portal one gets noise of its own and, if
wanted, another breath. In the portal phase everything but the lesions is the scan itself.

The scan's own lesions stay lesions, of unknown type unless the organ map calls them cysts.
Seeds from `EVALUATION_SEEDS` on are for evaluation on held-out patients only, smaller ones for all others:
`ExamSource` keeps them apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from LiverAILib.errors import StudyError
from LiverAILib.lesion_types import LesionType
from LiverAILib.phantom import DEFAULT_PHASES, EVALUATION_SEEDS
from LiverAILib.phantom.enhancement import Enhancement, draw_enhancement, draw_seconds
from LiverAILib.phantom.lesions import add_mimics, place_lesions
from LiverAILib.phantom.model import Patch, Scene
from LiverAILib.phantom.options import PhantomOptions
from LiverAILib.phantom.patient import Patient, draw_patient
from LiverAILib.study import Phase, Source, Study, Volume
from LiverAILib.training.cases import CaseFiles
from LiverAILib.training.exams_anatomy import Anatomy, read_anatomy
from LiverAILib.training.exams_lesions import SOFT_EDGE_MM, Canvas, paint_lesion, paint_patch, push_aside
from LiverAILib.training.exams_motion import draw_shift, moved, moved_labels
from LiverAILib.training.exams_tissues import phase_offset, real_lesion_offset
from LiverAILib.training.exams_truth import ExamTruth, mimic_truth, real_truth, synthetic_truth

Side = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class ExamOptions:
    """lesions: a number, or the types, as for the phantom; None draws them. between: draw the number evenly from one
    to the other, for trainings that want many lesions of one exam. misregistration: another breath in each
    phase but the portal one. mimics: focal fat, sparing and perfusion differences. thickest_mm: slices are averaged in
    groups drawn up to this thickness. scale: the patient's size is drawn between these.
    """

    lesions: int | Sequence[LesionType] | None = None
    between: tuple[int, int] | None = None
    misregistration: bool = True
    mimics: bool = True
    thickest_mm: float = 6.0
    scale: tuple[float, float] = (0.92, 1.08)

    def __post_init__(self) -> None:
        PhantomOptions(lesions=self.lesions)  # the same checks, the same errors


@dataclass(frozen=True)
class SyntheticExam:
    """A synthetic exam on real anatomy, see `TypedExam`. livers: (z, y, x) per phase, lesions included."""

    study: Study
    livers: Mapping[Phase, npt.NDArray[np.bool_]]
    lesion_ids: Mapping[Phase, npt.NDArray[np.uint16]]
    truth: ExamTruth

    def liver_mask(self, phase: Phase) -> npt.NDArray[np.bool_]:
        """The liver with its lesions and the vessels inside it."""
        return self.livers[phase]

    def lesion_mask(self, phase: Phase) -> npt.NDArray[np.bool_]:
        """All lesions, real and synthetic."""
        return np.asarray(self.lesion_ids[phase] > 0)


class ExamSource:
    """Exams from the cases of one side of a split; the seed gives the case and all else."""

    def __init__(self, cases: Sequence[CaseFiles], side: Side, options: ExamOptions | None = None) -> None:
        """Raises StudyError without a case."""
        if not cases:
            raise StudyError(f"The {side} side holds no case to make exams from. Add cases, or hold out fewer.")
        self.cases = sorted(cases, key=lambda files: files.name)
        self.side = side
        self.options = options or ExamOptions()

    def exam(self, seed: int, phases: Sequence[Phase] = DEFAULT_PHASES) -> SyntheticExam:
        """The exam of a seed. Raises ValueError if the seed does not belong to this side."""
        if (seed >= EVALUATION_SEEDS) != (self.side == "test"):
            raise ValueError(
                f"Seed {seed} on {self.side} patients: seeds from {EVALUATION_SEEDS} on belong to test patients, "
                "smaller ones to the others."
            )
        files = self.cases[seed % len(self.cases)]
        rng = np.random.default_rng([seed, 70])
        spacing = files.volume().spacing_mm
        most = max(1, int(self.options.thickest_mm / max(spacing)))  # slices are the thickest side
        return make_exam(read_anatomy(files, int(rng.integers(1, most + 1))), seed, phases, self.options)


def make_exam(
    anatomy: Anatomy, seed: int, phases: Sequence[Phase] = DEFAULT_PHASES, options: ExamOptions | None = None
) -> SyntheticExam:
    """One exam on a scan's anatomy: the same seed, phases and options give identical arrays.

    The caller keeps evaluation seeds and patients together (see `ExamSource`). Raises StudyError for a negative seed
    or no phase.
    """
    options = options or ExamOptions()
    if seed < 0 or not phases:
        raise StudyError(f"An exam needs a seed from 0 on and a phase, not seed {seed} with {len(phases)} phases.")
    ordered = [phase for phase in Phase if phase in set(phases)]
    streams = {name: np.random.default_rng([seed, 80 + k]) for k, name in enumerate(_STREAMS)}
    anatomy = replace(anatomy, spacing_mm=_scaled(anatomy.spacing_mm, streams["scale"], options))
    asked = options.lesions
    if options.between and asked is None:
        asked = int(streams["scale"].integers(options.between[0], options.between[1] + 1))
    patient = _fitted(draw_patient(streams["patient"], asked), anatomy.liver_hu, seed)
    shape = anatomy.shape_for_lesions()
    placed, _ = place_lesions(shape, patient, streams["lesions"])
    scene = Scene()
    mimics = add_mimics(scene, shape, patient, placed, streams["mimics"]) if options.mimics else []
    canvas = _canvas(anatomy, patient.enhancement, ordered, streams["tissues"])
    before = canvas.hu[Phase.PORTAL_VENOUS].copy() if Phase.PORTAL_VENOUS in canvas.hu else None
    rng = streams["painting"]
    for lesion in placed:
        if not lesion.kind.malignant or rng.random() < 0.5:
            lean = rng.normal(0, 0.3, 3).clip(-0.6, 0.6)
            push_aside(canvas, lesion, shape.liver, float(rng.uniform(0.2, 0.9)), (lean[0], lean[1], lean[2]))
    for item in scene.items:
        if isinstance(item, Patch):
            paint_patch(canvas, item)
    first = len(anatomy.real) + 1
    own_blur = float(np.clip(anatomy.noise.blur_pixels, 0.4, 1.1)) * canvas.pixel
    for number, lesion in enumerate(placed, start=first):
        soft = float(rng.uniform(0, min(SOFT_EDGE_MM[lesion.kind], 0.12 * lesion.diameter_mm)))
        paint_lesion(canvas, lesion, number, float(np.hypot(own_blur, soft)))
    volumes, livers, ids, shifts = {}, {}, {}, {}
    for phase in ordered:
        noise_rng = np.random.default_rng([seed, 200 + list(Phase).index(phase)])
        shift = draw_shift(streams["breath"], phase, anatomy.spacing_mm, wanted=options.misregistration)
        hu = canvas.hu[phase]
        if phase is Phase.PORTAL_VENOUS and before is not None:
            missing = float(np.sqrt(anatomy.noise.sd**2 - (anatomy.noise.sd - anatomy.left_hu) ** 2))
            hu = anatomy.hu + (hu - before) + canvas.weight * anatomy.noise.draw(noise_rng, len(hu), missing)
        else:
            loud = anatomy.noise.sd * float(noise_rng.uniform(0.8, 1.1))
            hu = hu + canvas.weight * anatomy.noise.draw(noise_rng, len(hu), anatomy.left_hu)
            hu = moved(hu, shift, anatomy.spacing_mm) + anatomy.noise.draw(noise_rng, len(hu), loud)
        array = np.clip(np.rint(hu), *anatomy.window).astype(np.int16)
        affine = np.diag([*anatomy.spacing_mm[::-1], 1.0])
        volumes[phase] = Volume(array, affine, Source(f"synthetic {phase}", "synthetic"))
        livers[phase] = moved_labels(canvas.liver, shift, anatomy.spacing_mm)
        ids[phase] = moved_labels(canvas.ids, shift, anatomy.spacing_mm)
        shifts[phase] = shift
    truth = ExamTruth(
        seed=seed,
        evaluation_only=seed >= EVALUATION_SEEDS,
        case=anatomy.case,
        patient=anatomy.patient,
        clinical=patient.clinical,
        lesions=(*real_truth(anatomy, shifts), *synthetic_truth(placed, first, shifts)),
        mimics=mimic_truth(mimics, shifts),
        liver_unenhanced_hu=round(patient.liver_unenhanced, 1),
        seconds_after_injection={phase: round(patient.enhancement.seconds[phase], 1) for phase in ordered},
        shift_mm=shifts,
        noise_hu=round(anatomy.noise.sd, 1),
        slice_thickness_mm=anatomy.spacing_mm[0],
    )
    warning = "Synthetic exam: lesions and phases were made on a real portal-venous scan."
    return SyntheticExam(Study(volumes, patient.clinical, (warning,)), livers, ids, truth)


_STREAMS = ("scale", "patient", "lesions", "mimics", "tissues", "painting", "breath")


def _scaled(
    spacing: tuple[float, float, float], rng: np.random.Generator, options: ExamOptions
) -> tuple[float, float, float]:
    factor = float(rng.uniform(*options.scale))
    return spacing[0] * factor, spacing[1] * factor, spacing[2] * factor


def _fitted(patient: Patient, liver_hu: float, seed: int) -> Patient:
    """The patient with an enhancement that gives the scanned liver its HU in the portal phase. Of a few draws the one
    whose liver has the most usual HU without contrast is taken.
    """
    drawn: list[tuple[float, float, Enhancement]] = []
    for attempt in range(8):
        key = [seed, 150, attempt]
        cirrhotic = patient.cirrhotic

        def enhancement(base: float, key: list[int] = key, cirrhotic: bool = cirrhotic) -> Enhancement:
            rng = np.random.default_rng(key)
            return draw_enhancement(rng, base, cirrhotic=cirrhotic, seconds=draw_seconds(rng))

        base = liver_hu - enhancement(0.0).rise("liver", Phase.PORTAL_VENOUS)
        usual = 0.0 if 46 <= base <= 68 else min(abs(base - 46), abs(base - 68))
        drawn.append((usual, base, enhancement(base)))
        if usual == 0.0:
            break
    _, base, fitted = min(drawn, key=lambda item: item[0])
    return replace(patient, fatty=base < 42, liver_unenhanced=base, enhancement=fitted)


def _canvas(anatomy: Anatomy, enhancement: Enhancement, phases: Sequence[Phase], rng: np.random.Generator) -> Canvas:
    """The scan's structure in each phase, before synthetic lesions."""
    plain = anatomy.liver & (anatomy.real_ids == 0)
    draws = [(bool(rng.random() < 0.3), float(rng.normal(40, 5))) for _ in anatomy.real]
    hu: dict[Phase, npt.NDArray[np.float32]] = {}
    for phase in phases:
        if phase is Phase.PORTAL_VENOUS:
            hu[phase] = anatomy.smooth.copy()
            continue
        changes = [
            (
                anatomy.real_ids == lesion.id,
                real_lesion_offset(
                    lesion.mean_hu,
                    fluid=lesion.known == "cyst" or lesion.mean_hu < 25,
                    enhancement=enhancement,
                    phase=phase,
                    hypervascular=hypervascular,
                    base=base,
                ),
            )
            for lesion, (hypervascular, base) in zip(anatomy.real, draws, strict=True)
        ]
        offset = phase_offset(
            anatomy.smooth, anatomy.organs, plain, anatomy.vessel_hu, anatomy.liver_hu, changes, enhancement, phase
        )
        hu[phase] = _unclipped(anatomy) + offset
    z, y, x = (
        np.arange(n, dtype=np.float64) * step for n, step in zip(anatomy.hu.shape, anatomy.spacing_mm, strict=True)
    )
    weight = np.zeros(anatomy.hu.shape, np.float32)
    closed = anatomy.real_ids > 0
    return Canvas(hu, (z, y, x), anatomy.spacing_mm[0], anatomy.liver.copy(), closed, anatomy.real_ids.copy(), weight)


def _unclipped(anatomy: Anatomy) -> npt.NDArray[np.float32]:
    """The structure, with what lies at the ends of the scan's window well outside it, so that no noise shows there. The
    liver stays as it is: in a very bright one the vessels lie at the upper end.
    """
    low, high = anatomy.window
    smooth = anatomy.smooth.copy()
    if low > -200:
        smooth[smooth < low + 1.5] = low - 60
    if high < 1000:
        smooth[(smooth > high - 1.5) & ~anatomy.liver] += 40
    return smooth
