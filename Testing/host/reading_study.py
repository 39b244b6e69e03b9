"""A reader study for the panel's tests, prepared by the real machinery from an archive full of names; and a reader."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import slicer
from conftest_host import ROOT
from slicer_host import wait_until

sys.path.insert(0, str(ROOT / "Testing" / "readerstudy"))

from study_builder import FORM, FakeClock, SmallStudy, make_study

#: All that a protocol can ask.
QUESTIONS = [
    {"kind": "hcc", "confidence": True},
    {"kind": "verdict", "confidence": True},
    {"kind": "type"},
    {"kind": "marks", "confidence": True, "type": True},
    {"kind": "text", "id": "remarks"},
]
FULL_FORM = {
    **FORM,
    "type": {"answer": "haemangioma"},
    "marks": [{"point_lps_mm": list(FORM["marks"][0]["point_lps_mm"]), "confidence": 70, "type": "cyst"}],
}


class Screen:
    """What `Watch` sees; tests set it."""

    def __init__(self) -> None:
        self.in_front, self.state = True, 0

    def __call__(self) -> tuple[bool, int]:
        return self.in_front, self.state


class Station:
    """A reading station: the module's widget with a study, driven as a person does."""

    def __init__(self, module: Any, study: SmallStudy) -> None:
        self.study, self.screen = study, Screen()
        self.window = slicer.util.mainWindow()  # lives as long as its panel
        kind = type("Widget", (module.LiverAIWidget,), {"readingOptions": {"clock": study.clock, "look": self.screen}})
        self.widget = kind()
        self.widget.setup()
        self.widget.enter()
        self.reading.section.collapsed = False

    @property
    def reading(self) -> Any:
        return self.widget.reading

    @property
    def page(self) -> Any:
        """The page of a session."""
        return self.reading.case

    @property
    def message(self) -> str:
        """What is said where the person looks."""
        login = self.reading.login
        return str(login.message.text if login.widget.isVisibleTo(self.reading.section) else self.page.message.text)

    def log_in(self, code: str = "R1") -> None:
        """Type and click."""
        self.reading.login.path.currentPath = str(self.study.path)
        self.reading.login.code.text = code
        self.reading.login.loginButton.click()

    def next(self) -> Any:
        """Click on Next case and wait for the images. Returns what the page may know of the case."""
        self.page.nextButton.click()
        return self.wait()

    def wait(self) -> Any:
        """Until the images are there, or something is said."""
        room = self.reading.room
        assert wait_until(lambda: bool(self.message) or (room.case is not None and self.page.form is not None), 20)
        wait_until(lambda: room._first_view_logged or bool(self.message), 5)
        return room.case

    def fill(self, *, hcc: str = "no", verdict: str = "benign", kind: str = "haemangioma", sure: int = 90) -> None:
        """Answer each question that is asked."""
        form = self.page.form
        for name, value in (("hcc", hcc), ("verdict", verdict), ("type", kind)):
            if name in form.fields:
                form.fields[name].buttons[value].click()
            if name in form.confidences:
                form.confidences[name].number.setValue(sure)
        if form.marks is not None and verdict != "no lesion" and not form.marks.rows:
            self.mark()

    def mark(self, point: tuple[float, float, float] = (-10.0, 0.0, -100.0), sure: int = 70) -> str:
        """As a click into a view does: a control point appears at LPS mm."""
        before = set(self.page.form.marks.rows)
        x, y, z = point
        marks_node().AddControlPoint(-x, -y, z)
        (key,) = set(self.page.form.marks.rows) - before
        row = self.page.form.marks.rows[key]
        if row.type is not None:
            row.type.widget.setCurrentIndex(5)
        if row.confidence is not None:
            row.confidence.setValue(sure)
        return str(key)

    def submit(self, seconds: float = 30) -> None:
        """Look for so long, then click."""
        self.study.clock.go_on(seconds)
        self.page.submitButton.click()

    def read(self, **answers: Any) -> Any:
        """One whole case; None when there is none."""
        case = self.next()
        if case is not None:
            self.fill(**answers)
            self.submit()
        return case

    def read_until(self, assisted: bool) -> Any:
        """Read on until a case of this arm is open."""
        while True:
            case = self.next()
            assert case is not None, self.message
            if case.assisted is assisted:
                return case
            self.fill()
            self.submit()


def marks_node() -> Any:
    """The node that a click into a view adds to."""
    selection = slicer.mrmlScene.GetNodeByID("vtkMRMLSelectionNodeSingleton")
    found = slicer.mrmlScene.GetNodeByID(selection.GetActivePlaceNodeID() or "")
    return found or slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLMarkupsFiducialNode")


def copied(study: SmallStudy, folder: Path) -> SmallStudy:
    """A copy to write into, with a clock of its own."""
    shutil.copytree(study.path.parent, folder)
    clock = FakeClock()
    clock.now = study.clock.now
    return SmallStudy(folder / study.path.name, folder / study.truth.name, clock)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> SmallStudy:
    """Crossed, two cases and two for training, all questions; sealed."""
    folder = tmp_path_factory.mktemp("prepared")
    return make_study(folder, prepare="real", count=2, training=2, questions=QUESTIONS)


@pytest.fixture
def study(prepared: SmallStudy, tmp_path: Path) -> SmallStudy:
    return copied(prepared, tmp_path / "study")


@pytest.fixture
def make_station(module: Any, errors: Any) -> Iterator[Callable[[SmallStudy], Station]]:
    """Makes reading stations."""
    made: list[Station] = []

    def make(study: SmallStudy) -> Station:
        made.append(Station(module, study))
        return made[-1]

    yield make
    for station in made:
        station.widget.cleanup()


@pytest.fixture
def station(make_station: Any, study: SmallStudy) -> Station:
    made: Station = make_station(study)
    return made
