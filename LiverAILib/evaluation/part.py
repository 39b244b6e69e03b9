"""What one part of the evaluation gives, kept as a file, so that the parts may be measured one by one."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from LiverAILib.evaluation.figures import Figure
from LiverAILib.files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Canvas

PartName = Literal["segmentation", "cost", "detector", "classifier", "nodulenet", "hccnet", "whole"]

#: All parts, in the order in which they are measured and reported, and the package that each can't go without.
PARTS: Mapping[PartName, str] = {
    "nodulenet": "nodulenet",
    "hccnet": "hccnet",
    "classifier": "lesionclassifier",
    "detector": "lesiondetector",
    "whole": "liversegnet",
    "segmentation": "liversegnet",
    "cost": "liversegnet",
}
_DPI = 110

Say = Callable[[str], None]


@dataclass(frozen=True)
class Picture:
    """A plot of the part. draw: on an empty matplotlib figure."""

    name: str
    draw: Callable[[Canvas], None]
    inches: tuple[float, float] = (5.6, 5.2)


@dataclass(frozen=True)
class Part:
    """The figures of one part, what they rest on case by case, and what could not be measured, in words.

    models: SHA-256 of the packages that were measured, by name. seconds: wall time it took.
    """

    name: PartName
    figures: Sequence[Figure]
    cases: Sequence[Mapping[str, Any]] = ()
    notes: Sequence[str] = ()
    models: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    def save(self, folder: Path) -> None:
        """As `NAME.json`."""
        rows = {
            "name": self.name,
            "figures": [figure.row() for figure in self.figures],
            "cases": list(self.cases),
            "notes": list(self.notes),
            "models": dict(self.models),
            "seconds": round(self.seconds, 1),
        }
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(rows, indent=1, ensure_ascii=False, default=_plain)
        with replacing(folder / f"{self.name}.json") as temporary:
            temporary.write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Part:
        """What `save` wrote."""
        rows = json.loads(path.read_text(encoding="utf-8"))
        return cls(**rows | {"figures": [Figure.from_row(row) for row in rows["figures"]]})


def _plain(value: object) -> object:
    """numpy's numbers as Python's."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} can't be written as JSON.")


def draw_pictures(pictures: Sequence[Picture], folder: Path) -> None:
    """Each as NAME.png."""
    from matplotlib.figure import Figure as Canvas

    folder.mkdir(parents=True, exist_ok=True)
    for picture in pictures:
        canvas = Canvas(figsize=picture.inches, layout="constrained")
        picture.draw(canvas)
        canvas.savefig(folder / f"{picture.name}.png", dpi=_DPI)
