"""A whole reader study drawn at random: answers, marks, times and AI results with known causes.

For trying out the report and for measuring it; nothing in it comes from a patient. Probabilities are the softmax of
class scores (seven types and no lesion): the true class is ahead by `separation`, and noise of case, arm and case,
reader and case, and of the single reading is added, as in the model of Roe and Metz.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, sqrt

import numpy as np

from LiverAILib.lesion_types import LesionType
from LiverAILib.readerstudy.dataset import (
    AiResult,
    Answer,
    Arm,
    Box,
    Case,
    Dataset,
    Endpoint,
    Mark,
    ProtocolFacts,
    Reader,
    Target,
    TrueLesion,
    Verdict,
)
from LiverAILib.readerstudy.statistics.estimate import Array

#: The classes of the scores: the types in the paper's order, then no lesion (None).
CLASSES: tuple[LesionType | None, ...] = (*LesionType, None)
#: Shares of the classes among the patients.
SHARES = (0.30, 0.10, 0.15, 0.08, 0.12, 0.09, 0.04, 0.12)
UNASSISTED, ASSISTED = "unassisted", "assisted"
_MALIGNANT = np.array([kind is not None and kind.malignant for kind in CLASSES])


@dataclass(frozen=True, kw_only=True)
class SimulatedStudy:
    """What to draw. gain: what the AI adds to the separation in the assisted arm; time_ratio: assisted over unassisted;
    missing: share of answers that are not there.
    """

    readers: int = 6
    cases: int = 300
    seed: int = 0
    separation: float = 1.7
    gain: float = 0.4
    time_ratio: float = 0.85
    missing: float = 0.0
    margin: float | None = 0.05


def simulate_study(wanted: SimulatedStudy | None = None) -> Dataset:
    """A study of two arms, crossed, the assisted one first for half of each reader's patients."""
    wanted = wanted or SimulatedStudy()
    rng = np.random.default_rng(wanted.seed)
    classes = rng.choice(len(CLASSES), size=wanted.cases, p=SHARES)
    cases = tuple(_case(k, CLASSES[classes[k]], rng) for k in range(wanted.cases))
    readers = tuple(
        Reader(code=f"R{j + 1}", experience_years=float(rng.integers(2, 25))) for j in range(wanted.readers)
    )
    arms = (Arm(name=UNASSISTED, assisted=False), Arm(name=ASSISTED, assisted=True))
    answers = _answers(wanted, cases, readers, classes, rng)
    machine = _probabilities(_scores(classes, (), wanted.separation + wanted.gain, rng))
    return Dataset(
        protocol=ProtocolFacts(
            study=f"simulated study, seed {wanted.seed}",
            arms=arms,
            endpoint=Endpoint(
                merit="AUC", target=Target.MALIGNANT, first=ASSISTED, second=UNASSISTED, margin=wanted.margin
            ),
            washout_days=30,
            seed=wanted.seed,
        ),
        cases=cases,
        readers=readers,
        answers=answers,
        ai=tuple(_ai(case, machine[k], rng) for k, case in enumerate(cases)),
    )


def _case(k: int, kind: LesionType | None, rng: np.random.Generator) -> Case:
    number = 0 if kind is None else min(1 + int(rng.poisson(0.6)), 5)
    others = [other for other in LesionType if kind is not None and (other is kind or not other.malignant)]
    lesions = []
    for m in range(number):
        centre = rng.uniform((-60, -80, -120), (60, 80, 40))
        half = rng.uniform(5, 25)
        low, high = centre - half, centre + half
        lesions.append(
            TrueLesion(
                id=f"lesion_{m + 1}",
                type=kind if m == 0 else others[int(rng.integers(len(others)))],
                centre=_point(centre),
                box=(_point(low), _point(high)),
            )
        )
    verdict = Verdict.NO_LESION if kind is None else Verdict.MALIGNANT if kind.malignant else Verdict.BENIGN
    return Case(id=f"C{k + 1:04d}", hcc=kind is LesionType.HCC, verdict=verdict, type=kind, lesions=tuple(lesions))


def _point(values: Array) -> tuple[float, float, float]:
    z, y, x = (round(float(value), 1) for value in values)
    return z, y, x


def _scores(classes: np.ndarray, shape: tuple[int, ...], separation: float | Array, rng: np.random.Generator) -> Array:
    """Scores (*shape, case, class) with noise of their own."""
    ahead = np.eye(len(CLASSES))[classes]
    return np.asarray(ahead * separation + rng.normal(size=(*shape, *ahead.shape)))


def _probabilities(scores: Array) -> Array:
    grown = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(grown / grown.sum(axis=-1, keepdims=True))


def _answers(
    wanted: SimulatedStudy,
    cases: tuple[Case, ...],
    readers: tuple[Reader, ...],
    classes: np.ndarray,
    rng: np.random.Generator,
) -> tuple[Answer, ...]:
    n, r, size = len(cases), len(readers), len(CLASSES)

    def noise(variance: float, *shape: int) -> Array:
        return rng.normal(scale=sqrt(variance), size=(*shape, size))

    separation = np.array([wanted.separation, wanted.separation + wanted.gain])[:, None, None, None]
    skill = 1 + rng.normal(0, 0.12, (1, r, 1, 1))
    scores = np.eye(size)[classes] * separation * skill
    scores = scores + noise(0.3, 1, 1, n) + noise(0.2, 2, 1, n) + noise(0.3, 1, r, n) + noise(0.2, 2, r, n)
    probabilities = np.round(_probabilities(scores), 2)
    first = np.stack([rng.permutation(np.arange(n) % 2) for _ in readers])  # 1: assisted in the first period
    pace, length = rng.normal(0, 0.25, r), rng.normal(4.2, 0.35, n)
    gone = rng.random((2, r, n)) < wanted.missing
    answers = []
    for j, reader in enumerate(readers):
        for k, case in enumerate(cases):
            for i, arm in enumerate((UNASSISTED, ASSISTED)):
                if gone[i, j, k]:
                    continue
                period = 1 if bool(first[j, k]) == bool(i) else 2
                seconds = exp(length[k] + pace[j] + rng.normal(0, 0.25)) * (wanted.time_ratio if i else 1.0)
                seconds *= 0.95 if period == 2 else 1.0
                opinion = _opinion(probabilities[i, j, k])
                asked = opinion.p_malignant if opinion.verdict is Verdict.MALIGNANT else 1 - opinion.p_malignant
                answers.append(
                    Answer(
                        reader=reader.code,
                        case=case.id,
                        arm=arm,
                        period=period,
                        hcc=opinion.hcc,
                        verdict=opinion.verdict,
                        type=opinion.type,
                        p_hcc=opinion.p_hcc,
                        p_malignant=opinion.p_malignant,
                        confidence=asked,
                        marks=_marks(case, 0.75 + 0.1 * i, rng),
                        active_seconds=round(seconds, 2),
                        wall_seconds=round(seconds * (1 + abs(rng.normal(0.1, 0.1))), 2),
                        overlays=("lesions",) if i and rng.random() < 0.7 else (),
                    )
                )
    return tuple(answers)


@dataclass(frozen=True)
class _Said:
    hcc: bool
    verdict: Verdict
    type: LesionType | None
    p_hcc: float
    p_malignant: float


def _opinion(probabilities: Array) -> _Said:
    """The answers that agree with the probabilities of the classes."""
    p_hcc = float(probabilities[0])
    p_malignant = min(round(float(probabilities[_MALIGNANT].sum()), 2), 1.0)
    malignant = p_malignant >= 0.5
    likely = CLASSES[int(np.where(malignant == _MALIGNANT, probabilities, -1.0).argmax())]
    hcc = p_hcc >= 0.5
    verdict = Verdict.MALIGNANT if malignant else Verdict.NO_LESION if likely is None else Verdict.BENIGN
    return _Said(hcc, verdict, LesionType.HCC if hcc else likely, p_hcc, p_malignant)


def _marks(case: Case, sensitivity: float, rng: np.random.Generator) -> tuple[Mark, ...]:
    marks = []
    for lesion in case.lesions or ():
        if lesion.box is not None and rng.random() < sensitivity:
            shift = rng.normal(0, 1.5, 3)
            box: Box = (_point(np.array(lesion.box[0]) + shift), _point(np.array(lesion.box[1]) + shift))
            sure = round(float(rng.beta(5, 2)), 2)
            marks.append(Mark(confidence=sure, point=_middle(box), box=box, type=lesion.type))
    for _ in range(int(rng.poisson(0.15))):
        centre = rng.uniform((-60, -80, -120), (60, 80, 40))
        box = (_point(centre - 8), _point(centre + 8))
        marks.append(Mark(confidence=round(float(rng.beta(2, 3)), 2), point=_middle(box), box=box))
    return tuple(marks)


def _middle(box: Box) -> tuple[float, float, float]:
    return _point((np.array(box[0]) + np.array(box[1])) / 2)


def _ai(case: Case, probabilities: Array, rng: np.random.Generator) -> AiResult:
    said = _opinion(probabilities)
    of_types = probabilities[:-1] / probabilities[:-1].sum()
    return AiResult(
        case=case.id,
        hcc=said.hcc,
        verdict=said.verdict,
        type=said.type,
        p_hcc=said.p_hcc,
        p_malignant=said.p_malignant,
        marks=_marks(case, 0.85, rng),
        low_risk=said.p_malignant < 0.1,
        type_probabilities=dict(zip(LesionType, of_types.tolist(), strict=True)),
    )
