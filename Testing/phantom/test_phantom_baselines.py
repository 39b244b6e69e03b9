"""The phantom can't be solved by a threshold or by mean HU, even with the true outlines given.

Run `python -m pytest -s` on this file to see the figures.
"""

from __future__ import annotations

import numpy as np
import pytest

from LiverAILib.lesion_types import LesionType
from LiverAILib.phantom import Phantom, PhantomOptions, generate
from LiverAILib.phantom.baselines import lesion_features, nearest_mean_accuracy, score_finder
from LiverAILib.study import Phase

PHASES = (Phase.ARTERIAL, Phase.PORTAL_VENOUS)


@pytest.fixture(scope="module")
def exams() -> list[Phantom]:
    """Four livers with one lesion of each type."""
    options = PhantomOptions(spacing_mm=(5, 2, 2), liver_crop_mm=4, lesions=tuple(LesionType))
    return [generate(1_000_200 + k, phases=PHASES, options=options) for k in range(4)]


def test_no_threshold_finds_the_lesions_at_three_false_findings_an_exam(exams: list[Phantom]) -> None:
    scores = score_finder(exams, Phase.PORTAL_VENOUS)
    for score in scores:
        print(
            f"threshold {score.threshold_hu:.0f} HU: recall {score.recall:.2f} of {score.lesions} lesions, "
            f"{score.false_per_exam:.1f} false an exam, Dice {score.dice:.2f}"
        )
    assert scores[0].lesions >= 20
    assert max((s.recall for s in scores if s.false_per_exam <= 3), default=0.0) < 0.5
    assert max(s.dice for s in scores) < 0.7


def test_mean_hu_of_the_phases_does_not_tell_the_types_apart(exams: list[Phantom]) -> None:
    rows, kinds = [], []
    for phantom in exams:
        features, found = lesion_features(phantom, PHASES)
        rows.append(features)
        kinds += found
    accuracy = nearest_mean_accuracy(np.vstack(rows), kinds)
    print(f"nearest mean: mean recall {accuracy:.2f} over {len(set(kinds))} types, {len(kinds)} lesions")
    assert len(set(kinds)) == 7
    assert accuracy < 0.75
