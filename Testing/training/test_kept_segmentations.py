"""Segmentations that are kept: made once for each volume and package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from stage_exams import SeesLiver

from LiverAILib.findings import Model
from LiverAILib.study import Source, Volume
from LiverAILib.training.kept_segmentations import KeptSegmenter


class Counting(SeesLiver):
    """Counts how often it is asked."""

    asked = 0

    def __call__(self, volume, progress):  # type: ignore[no-untyped-def]
        self.asked += 1
        return super().__call__(volume, progress)


def volume(level: int, step: float = 1.0) -> Volume:
    array = np.full((3, 5, 7), -50, np.int16)
    array[1:, 1:4, 2:6] = 110
    array[1, 2, 3] = level
    return Volume(array, np.diag([step, step, 2.0, 1.0]), Source("a", "file"))


def test_a_volume_is_segmented_once_and_another_on_its_own(tmp_path: Path) -> None:
    segmenter = Counting()
    kept = KeptSegmenter(segmenter, tmp_path / "new")
    first, again = kept(volume(60)), kept(volume(60))
    assert segmenter.asked == 1
    assert np.array_equal(first.liver, volume(60).array > 0)
    assert np.array_equal(first.liver, again.liver)
    assert first.lesion_probability[1, 2, 3] == 0.875
    assert np.array_equal(first.lesion_probability, again.lesion_probability)
    assert not kept(volume(90)).lesion_probability.any()  # a brighter spot
    kept(volume(60, step=1.5))
    assert segmenter.asked == 3
    segmenter.model = Model(name="liversegnet", version="2", sha256="2" * 64)
    KeptSegmenter(segmenter, tmp_path / "new")(volume(60))
    assert segmenter.asked == 4
    assert len(list((tmp_path / "new").iterdir())) == 4
