"""From a seed to an exam: patient, anatomy, lesions, then every phase through the scanner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from LiverAILib.errors import StudyError
from LiverAILib.phantom.acquisition import Detector, Grid, Scanner, bounding_box, draw_grid
from LiverAILib.phantom.anatomy import abdomen, liver, torso, vessels
from LiverAILib.phantom.anatomy.frame import Frame
from LiverAILib.phantom.lesions import Mimic, PlacedLesion, add_lesions, add_mimics, place_lesions
from LiverAILib.phantom.model import Scene
from LiverAILib.phantom.options import EVALUATION_SEEDS, LIVER_TISSUES, PhantomOptions
from LiverAILib.phantom.patient import Patient, draw_patient
from LiverAILib.phantom.render import Breath, Painter, Slab
from LiverAILib.phantom.truth import LesionTruth, LiverTruth, MimicTruth, PhantomTruth
from LiverAILib.study import Phase, Source, Study, Volume

DEFAULT_PHASES = (Phase.NON_CONTRAST, Phase.ARTERIAL, Phase.PORTAL_VENOUS)
_SLAB_VOXELS = 4_000_000


@dataclass(frozen=True)
class Phantom:
    """A synthetic exam with what is true of it.

    study: volumes in int16 HU. labels: `Tissue` values (z, y, x) per phase. lesion_ids: instance numbers, 0 for none.
    """

    study: Study
    labels: Mapping[Phase, npt.NDArray[np.uint8]]
    lesion_ids: Mapping[Phase, npt.NDArray[np.uint16]]
    truth: PhantomTruth

    def liver_mask(self, phase: Phase) -> npt.NDArray[np.bool_]:
        """The liver with its lesions and the vessels inside it."""
        return np.isin(self.labels[phase], LIVER_TISSUES)

    def lesion_mask(self, phase: Phase) -> npt.NDArray[np.bool_]:
        """All lesions."""
        return np.asarray(self.lesion_ids[phase] > 0)


def generate(seed: int, *, phases: Sequence[Phase] = DEFAULT_PHASES, options: PhantomOptions | None = None) -> Phantom:
    """Make the exam of one patient.

    The same seed, phases and options give identical arrays. Seeds from 1,000,000 on are for evaluation only.
    Raises StudyError for a negative seed or no phase.
    """
    options = options or PhantomOptions()
    if seed < 0:
        raise StudyError(f"Phantom seed {seed} is negative. Give a whole number from 0 on.")
    if not phases:
        raise StudyError("A phantom needs one phase or more.")
    ordered = [phase for phase in Phase if phase in set(phases)]
    streams = {name: np.random.default_rng([seed, k]) for k, name in enumerate(_STREAMS)}
    patient = draw_patient(streams["patient"], _asked(options))
    whole_body = options.whole_body
    drawn_whole = bool(streams["protocol"].random() < 0.08)
    if whole_body is None:
        whole_body = drawn_whole and options.shape is None and options.liver_crop_mm is None
    scene, body = _build(streams, patient, whole_body=whole_body)
    scanner = Scanner.draw(streams["scanner"], artefacts=options.artefacts)
    limits = (body.frame.z_range[0] + 20, body.frame.z_range[1] - 20)
    grid = draw_grid(
        streams["protocol"], options, bounding_box(body.shape.liver), body.half_width, limits, whole_body=whole_body
    )
    breaths = _breaths(streams["breath"], options)
    seconds = patient.enhancement.seconds
    taken = {phase: _expose(seed, phase, scene, patient, breaths[phase], grid, scanner, options) for phase in ordered}
    volumes = {
        phase: Volume(exam.hu, grid.affine, Source(f"phantom {phase}", "phantom")) for phase, exam in taken.items()
    }
    warnings = ("Synthetic exam (phantom): not a patient.",)
    truth = PhantomTruth(
        seed=seed,
        evaluation_only=seed >= EVALUATION_SEEDS,
        clinical=patient.clinical,
        liver=LiverTruth(
            fatty=patient.fatty,
            cirrhotic=patient.cirrhotic,
            ascites=patient.ascites,
            unenhanced_hu=round(patient.liver_unenhanced, 1),
            volume_ml={phase: round(exam.liver_ml, 1) for phase, exam in taken.items()},
        ),
        lesions=tuple(_lesion_truth(lesion, breaths, taken) for lesion in body.lesions),
        mimics=tuple(
            MimicTruth(
                kind=mimic.kind,
                diameter_mm=round(mimic.diameter_mm, 1),
                centre_lps={phase: _lps(breaths[phase], mimic.centre) for phase in taken},
            )
            for mimic in body.mimics
        ),
        seconds_after_injection={phase: round(seconds[phase], 1) for phase in taken},
        breathing_shift_mm={phase: _rounded(breaths[phase].shift) for phase in taken},
        noise_hu=round(scanner.noise_hu, 1),
        slice_thickness_mm=grid.thickness,
        artefacts=("streaks",) if scanner.streaks else (),
    )
    study = Study(volumes, patient.clinical, warnings)
    return Phantom(
        study, {p: exam.label for p, exam in taken.items()}, {p: exam.lesion for p, exam in taken.items()}, truth
    )


_STREAMS = ("patient", "protocol", "body", "organs", "liver", "vessels", "lesions", "mimics", "scanner", "breath")


@dataclass(frozen=True)
class _Body:
    frame: Frame
    shape: liver.LiverShape
    lesions: list[PlacedLesion]
    mimics: list[Mimic]
    half_width: float


@dataclass(frozen=True)
class _Exam:
    hu: npt.NDArray[np.int16]
    label: npt.NDArray[np.uint8]
    lesion: npt.NDArray[np.uint16]
    true_hu: dict[int, float]
    liver_ml: float


def _asked(options: PhantomOptions) -> Any:
    return options.lesions


def _build(streams: dict[str, np.random.Generator], patient: Patient, *, whole_body: bool) -> tuple[Scene, _Body]:
    """The patient's scene, independent of phase and grid."""
    rng = streams["body"]
    frame = Frame.draw(rng, (-250.0, 255.0) if whole_body else (-190.0, 175.0))
    trunk = torso.TorsoShape.draw(rng)
    scene = Scene()
    torso.add_lungs_and_heart(scene, frame, trunk, rng)
    organs = streams["organs"]
    abdomen.add_kidneys(scene, frame, organs)
    stomach = abdomen.stomach_course(organs)
    abdomen.add_gut(scene, frame, trunk, organs)
    abdomen.add_spleen(scene, frame, trunk, organs, enlarged=patient.cirrhotic and organs.random() < 0.7)
    abdomen.add_stomach(scene, frame, trunk, stomach, organs)
    abdomen.add_pancreas(scene, frame, organs)
    shape = liver.draw_liver(frame, trunk, patient, stomach, streams["liver"])
    lesions, shape = place_lesions(shape, patient, streams["lesions"])
    liver.add_liver(scene, shape, patient, streams["liver"])
    mimics = add_mimics(scene, shape, patient, lesions, streams["mimics"])
    age = patient.clinical.age
    abdomen.add_great_vessels(scene, frame, organs, 55.0 if age is None else age)
    vessels.add_vessels(scene, frame, shape.liver, streams["vessels"], cirrhotic=patient.cirrhotic)
    add_lesions(scene, lesions, streams["vessels"])
    torso.add_wall(scene, frame, trunk, rng)
    half = (torso.CAVITY[0] + trunk.wall_mm + trunk.fat_mm + 8) * float(frame.scale[2])
    return scene, _Body(frame, shape, lesions, mimics, half)


def _breaths(rng: np.random.Generator, options: PhantomOptions) -> dict[Phase, Breath]:
    """Depth of breath in each phase; zero in the portal phase, on which the anatomy is written."""
    breaths = {}
    for phase in Phase:
        deep = rng.normal(0, 9) if rng.random() < 0.2 else rng.normal(0, 3.5)
        sideways = rng.normal(0, 0.8, 2)
        shift = np.array([deep, 0.18 * deep + sideways[0], sideways[1]])
        still = phase is Phase.PORTAL_VENOUS or not options.breathing
        breaths[phase] = Breath(np.zeros(3)) if still else Breath(shift, float(deep * 0.0006))
    return breaths


def _expose(
    seed: int,
    phase: Phase,
    scene: Scene,
    patient: Patient,
    breath: Breath,
    grid: Grid,
    scanner: Scanner,
    options: PhantomOptions,
) -> _Exam:
    """Paint one phase slab by slab and put it through the scanner."""
    shape = (len(grid.z), len(grid.y), len(grid.x))
    hu16 = np.empty(shape, np.int16)
    label = np.zeros(shape, np.uint8)
    lesion = np.zeros(shape, np.uint16)
    painter = Painter(phase, patient.enhancement, breath)
    detector = Detector(grid, scanner)
    count = max(2, _SLAB_VOXELS // (shape[1] * shape[2]) // 2 * 2)
    key = (seed, 1000 + list(Phase).index(phase))

    def slab(first: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        part = slice(first, min(first + count, shape[0]))
        hu = np.full((part.stop - part.start, *shape[1:]), -1000, np.float32)
        piece = Slab(grid.z[part], grid.y, grid.x, grid.thickness, hu, label[part], lesion[part])
        painter.paint(scene, piece)
        ids = lesion[part].ravel()
        found = ids > 0
        sums = np.bincount(ids[found], hu.ravel()[found], minlength=_MAX_ID).astype(np.float64)
        counts = np.bincount(ids[found], minlength=_MAX_ID).astype(np.float64)
        if options.noise:
            detector.add_table(hu)
            detector.expose(hu, first, key)
        hu16[part] = np.clip(np.rint(hu), -1024, 3071).astype(np.int16)
        return sums, counts

    with ThreadPoolExecutor(max_workers=2) as pool:
        results = list(pool.map(slab, range(0, shape[0], count)))
    total = sum((r[0] for r in results), np.zeros(_MAX_ID))
    number = sum((r[1] for r in results), np.zeros(_MAX_ID))
    true_hu = {int(i): float(total[i] / number[i]) for i in np.flatnonzero(number)}
    voxel_ml = float(np.prod(grid.spacing)) / 1000
    liver_ml = float(np.isin(label, LIVER_TISSUES).sum()) * voxel_ml
    return _Exam(hu16, label, lesion, true_hu, liver_ml)


_MAX_ID = 64


def _lesion_truth(lesion: PlacedLesion, breaths: dict[Phase, Breath], taken: dict[Phase, _Exam]) -> LesionTruth:
    return LesionTruth(
        id=lesion.id,
        type=lesion.kind,
        atypical=lesion.atypical,
        diameter_mm=round(lesion.diameter_mm, 1),
        volume_ml=round(lesion.volume_ml, 3),
        centre_lps={phase: _lps(breaths[phase], lesion.centre) for phase in taken},
        true_hu={
            phase: round(exam.true_hu[lesion.id], 1) for phase, exam in taken.items() if lesion.id in exam.true_hu
        },
        features=lesion.features,
    )


def _lps(breath: Breath, centre: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    z, y, x = breath.to_phase(centre)
    return round(float(x), 2), round(float(y), 2), round(float(z), 2)


def _rounded(shift: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    z, y, x = (round(float(v), 2) for v in shift)
    return z, y, x
