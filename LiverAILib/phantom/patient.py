"""Who the patient is: liver state, clinical record, and which lesions there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from LiverAILib.lesion_types import LesionType
from LiverAILib.phantom.enhancement import Enhancement, draw_enhancement, draw_seconds
from LiverAILib.study import ClinicalRecord

L = LesionType

#: Share of exams without a lesion; LiAIDS's training cohort had 2795 of 6901 (Table 1).
NO_LESION = 0.32

#: How often a type is the patient's leading one; closer to balanced than the cohort, so that each can be learnt.
LEADING: Mapping[LesionType, float] = {
    L.HCC: 0.2,
    L.ICC: 0.1,
    L.METASTASIS: 0.22,
    L.FNH: 0.1,
    L.HAEMANGIOMA: 0.14,
    L.CYST: 0.14,
    L.ABSCESS: 0.1,
}

#: Incidental companions, whatever leads.
COMPANIONS: Mapping[LesionType, float] = {L.CYST: 0.22, L.HAEMANGIOMA: 0.1, L.FNH: 0.02}

#: By leading type: age (mean, SD), share of men, rates of hepatitis, cirrhosis, bile duct stones, other tumour.
CLINICAL: Mapping[LesionType | None, tuple[float, float, float, float, float, float, float]] = {
    None: (51, 15, 0.52, 0.09, 0.05, 0.04, 0.05),
    L.HCC: (59, 11, 0.8, 0.72, 0.6, 0.05, 0.05),
    L.ICC: (61, 10, 0.55, 0.22, 0.14, 0.32, 0.06),
    L.METASTASIS: (61, 11, 0.56, 0.1, 0.04, 0.05, 0.8),
    L.FNH: (36, 11, 0.35, 0.08, 0.02, 0.03, 0.05),
    L.HAEMANGIOMA: (49, 12, 0.42, 0.1, 0.04, 0.04, 0.07),
    L.CYST: (58, 13, 0.42, 0.09, 0.04, 0.05, 0.08),
    L.ABSCESS: (58, 13, 0.62, 0.1, 0.05, 0.25, 0.09),
}

#: Share of clinical items that nobody asked for.
UNKNOWN_ITEM = 0.04


@dataclass(frozen=True)
class Patient:
    """One patient before any image is made."""

    clinical: ClinicalRecord
    lesion_types: tuple[LesionType, ...]
    leading: LesionType | None
    fatty: bool
    cirrhotic: bool
    ascites: bool
    liver_unenhanced: float
    enhancement: Enhancement


def draw_types(rng: np.random.Generator, asked: int | Sequence[LesionType] | None) -> tuple[LesionType, ...]:
    """The lesion types of one patient, leading type first."""
    if asked is not None and not isinstance(asked, int):
        return tuple(asked)
    if asked == 0 or (asked is None and rng.random() < NO_LESION):
        return ()
    kinds = list(LEADING)
    weights = np.array([LEADING[kind] for kind in kinds])
    leading = kinds[int(rng.choice(len(kinds), p=weights / weights.sum()))]
    types = [leading] * _count(rng, leading)
    for kind, rate in COMPANIONS.items():
        if kind != leading and rng.random() < rate:
            types += [kind] * int(1 + rng.geometric(0.6) - 1)
    if asked is not None:
        while len(types) < asked:
            types.append(leading)
        types = types[:asked]
    return tuple(types)


def _count(rng: np.random.Generator, kind: LesionType) -> int:
    """Number of lesions of the leading type: metastases and cysts are often many."""
    if kind is L.METASTASIS:
        return int(np.clip(rng.lognormal(1.3, 0.8), 1, 25))
    if kind is L.CYST:
        return int(np.clip(rng.lognormal(0.8, 0.8), 1, 15))
    p = {L.HCC: 0.6, L.ICC: 0.75, L.FNH: 0.8, L.HAEMANGIOMA: 0.5, L.ABSCESS: 0.65}[kind]
    return int(min(rng.geometric(p), 8))


def draw_patient(rng: np.random.Generator, asked: int | Sequence[LesionType] | None) -> Patient:
    """Draw types, then the clinical record that goes with them, then the liver's state."""
    types = draw_types(rng, asked)
    leading = types[0] if types else None
    age, age_sd, men, hepatitis, cirrhosis, stones, tumour = CLINICAL[leading]
    has_cirrhosis = bool(rng.random() < cirrhosis)
    has_hepatitis = bool(rng.random() < (min(1.0, hepatitis * 1.25) if has_cirrhosis else hepatitis))
    items = [has_hepatitis, has_cirrhosis, bool(rng.random() < stones), bool(rng.random() < tumour)]
    known = [value if rng.random() >= UNKNOWN_ITEM else None for value in items]
    clinical = ClinicalRecord(
        age=float(np.round(np.clip(rng.normal(age, age_sd), 16, 90))),
        sex="male" if rng.random() < men else "female",
        hepatitis=known[0],
        cirrhosis=known[1],
        cholangiolithiasis=known[2],
        extrahepatic_tumour=known[3],
    )
    fatty = bool(rng.random() < 0.25)
    unenhanced = float(rng.uniform(15, 45) if fatty else np.clip(rng.normal(58, 5), 46, 72))
    if has_cirrhosis and not fatty:
        unenhanced -= float(rng.uniform(0, 6))
    enhancement = draw_enhancement(rng, unenhanced, cirrhotic=has_cirrhosis, seconds=draw_seconds(rng))
    ascites = bool(rng.random() < (0.3 if has_cirrhosis else 0.03))
    return Patient(clinical, types, leading, fatty, has_cirrhosis, ascites, unenhanced, enhancement)
