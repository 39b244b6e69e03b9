"""Segmentations kept in a folder, so that a volume that several networks learn from or are held against is segmented
once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from LiverAILib.analysis.segment import Segmentation, Segmenter
from LiverAILib.files import replacing
from LiverAILib.study import Volume


class KeptSegmenter:
    """A segmenter that keeps what it finds as `segmentation_KEY.npz`, KEY from its package, HU and places.

    Lesion probabilities are rounded to half precision, whether they were kept before or not.
    """

    def __init__(self, segmenter: Segmenter, folder: Path) -> None:
        self.model = segmenter.model
        self.parameters = segmenter.parameters
        self._segmenter = segmenter
        self._folder = folder

    def __call__(self, volume: Volume, progress: Callable[[float], None] = lambda _: None) -> Segmentation:
        """Segment one volume on its own grid, or read what was found in it before."""
        path = self._folder / f"segmentation_{self._key(volume)}.npz"
        shape = volume.array.shape
        if not path.is_file():
            found = self._segmenter(volume, progress)
            self._folder.mkdir(parents=True, exist_ok=True)
            with replacing(path) as temporary:
                np.savez_compressed(
                    temporary, liver=np.packbits(found.liver), probability=found.lesion_probability.astype(np.float16)
                )
        with np.load(path, allow_pickle=False) as data:
            liver = np.unpackbits(data["liver"], count=int(np.prod(shape))).reshape(shape).astype(bool)
            return Segmentation(liver, data["probability"].astype(np.float32))

    def _key(self, volume: Volume) -> str:
        known = hashlib.sha256(f"{self.model.sha256} {volume.array.dtype} {volume.array.shape}".encode())
        known.update(volume.affine.tobytes())
        known.update(np.ascontiguousarray(volume.array))
        return known.hexdigest()[:24]
