"""A small reader study in a folder: protocol, study file, truth, prepared cases, and a clock that tests set."""

from __future__ import annotations

import datetime as dt
import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from liverai_fakes import ToySegmenter, toy_affine, toy_lesions, toy_study
from ruamel.yaml import YAML

from LiverAILib.analysis.command import Parts
from LiverAILib.export.nrrd import write_nrrd
from LiverAILib.findings import Findings, Lesion, Reading, Triage, Verdict
from LiverAILib.lesion_types import LesionType
from LiverAILib.readerstudy.ai_opinion import opinion_of
from LiverAILib.readerstudy.coordinate import create_study, seal_study
from LiverAILib.readerstudy.layout import cases_folder
from LiverAILib.readerstudy.prepare import prepare_study
from LiverAILib.readerstudy.schema import Kind
from LiverAILib.readerstudy.session import ReaderSession, open_session
from LiverAILib.readerstudy.store import StudyFile
from LiverAILib.readerstudy.timing import Event
from LiverAILib.readerstudy.truth import read_truth, truth_path, write_truth
from LiverAILib.study import Phase, PhaseOpinion, Source, Study, Volume

#: A point inside the toy exam's images, and one beside them (LPS mm).
INSIDE, OUTSIDE = (-10.0, 0.0, -100.0), (900.0, 0.0, -100.0)

FORM: Mapping[str, Any] = {
    "hcc": {"answer": "no", "confidence": 90},
    "verdict": {"answer": "benign", "confidence": 80},
    "marks": [{"point_lps_mm": list(INSIDE), "confidence": 70}],
}


class FakeClock:
    """Stands still unless it is told to go on."""

    def __init__(self) -> None:
        self.now = dt.datetime(2026, 3, 1, 8, 0, tzinfo=dt.UTC)
        self.seconds = 1000.0

    def utc(self) -> dt.datetime:
        return self.now

    def monotonic(self) -> float:
        return self.seconds

    def go_on(self, seconds: float = 0, days: float = 0) -> None:
        """Time passes."""
        self.seconds += seconds + days * 86400
        self.now += dt.timedelta(seconds=seconds, days=days)

    def set_back(self, hours: float) -> None:
        """Somebody sets the time of day back."""
        self.now -= dt.timedelta(hours=hours)


def protocol(**changes: Any) -> dict[str, Any]:
    """The values of a small protocol file without cases."""
    return {
        "title": "A small study",
        "seed": 7,
        "readers": [{"code": "R1", "experience_years": 4}, {"code": "R2"}],
        "primary": {"merit": "AUC", "target": "HCC", "first": "assisted", "second": "unassisted"},
        "questions": [
            {"kind": "hcc", "confidence": True},
            {"kind": "verdict", "confidence": True},
            {"kind": "marks", "confidence": True},
            {"kind": "text", "id": "remarks"},
        ],
        **changes,
    }


def cases(count: int = 4, training: int = 1) -> list[dict[str, Any]]:
    """Cases of which every second is an HCC; their names, folders and types are what readers must not see."""
    result = []
    for number in range(count + training):
        truth = {"type": "hcc"} if number % 2 else {"type": "haemangioma"}
        result.append(
            {
                "name": f"Mueller^Anna {number}",
                "input": f"archive/Mueller_{number}_secretfolder",
                "training": number >= count,
                "truth": truth,
            }
        )
    return result


def write_protocol(folder: Path, values: Mapping[str, Any]) -> Path:
    """protocol.yaml in a folder, with the inputs that it names."""
    for case in values["cases"]:
        (folder / str(case["input"])).mkdir(parents=True, exist_ok=True)
    path = folder / "protocol.yaml"
    with path.open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(dict(values), file)
    return path


def named_study(*_: Any, **__: Any) -> Study:
    """The toy exam as an archive gives it: with names in labels and warnings."""
    study = toy_study((Phase.ARTERIAL, Phase.PORTAL_VENOUS))
    volumes = {
        phase: Volume(
            volume.array,
            volume.affine,
            Source("Series 4 ART Mueller secretseries", "dicom", "1.2.3.4.555", {"tags": PhaseOpinion(phase, 1, "x")}),
        )
        for phase, volume in study.volumes.items()
    }
    return Study(volumes, study.clinical, ("Series 9 secretwarning was left out.",))


TOY_PARTS = Parts(load=named_study, segmenter=ToySegmenter(), lesion_finder=toy_lesions)


@dataclass
class SmallStudy:
    """A study on the disk."""

    path: Path
    truth: Path
    clock: FakeClock

    def log_in(self, code: str = "R1") -> ReaderSession:
        """A session of a reader."""
        return open_session(self.path, code, self.clock)

    def read(self, session: ReaderSession, form: Mapping[str, Any] = FORM, seconds: float = 30) -> None:
        """Open the next case, look at it so long, and answer."""
        assert session.next_case() is not None
        session.log(Event.FIRST_VIEW)
        self.clock.go_on(seconds)
        session.submit(form)

    def read_all(self, code: str, form: Mapping[str, Any] = FORM, most: int = 10_000) -> int:
        """Read until nothing is left, or `most` cases; returns how many."""
        with self.log_in(code) as session:
            for number in range(most):
                if session.next_case() is None:
                    return number
                session.log(Event.FIRST_VIEW)
                self.clock.go_on(20)
                session.submit(form)
        return most


def make_study(
    folder: Path, *, count: int = 4, training: int = 1, sealed: bool = True, prepare: str = "toy", **changes: Any
) -> SmallStudy:
    """A study ready to be read. prepare: "real" (the machinery with the toy parts), "toy" (quickly), or "no"."""
    listed = changes.pop("cases", None) or cases(count, training)
    path = write_protocol(folder, protocol(**changes) | {"cases": listed})
    clock = FakeClock()
    made = create_study(path, folder / "study.sqlite", clock=clock)
    study = SmallStudy(made.study, made.truth, clock)
    if prepare == "real":
        prepare_study(study.path, study.truth, options=("--progress", "none"), parts=TOY_PARTS, clock=clock)
    elif prepare == "toy":
        quick_prepare(study)
    if sealed:
        seal_study(study.path, clock)
    return study


def quick_prepare(study: SmallStudy) -> None:
    """One tiny volume a case and a stand-in for the run folder, entered as `prepare` does."""
    truth = read_truth(truth_path(study.path))
    with StudyFile.open(study.path, study.clock) as file:
        for case_id in truth.cases:
            folder = cases_folder(study.path) / case_id
            (folder / "volumes").mkdir(parents=True)
            (folder / "run").mkdir()
            write_nrrd(folder / "volumes" / "portal_venous.nrrd", np.zeros((20, 64, 72), np.int16), toy_affine())
            write_nrrd(folder / "run" / "lesion_probability.nrrd", np.zeros((20, 64, 72), np.float32), toy_affine())
            (folder / "run" / "findings.json").write_text(toy_findings().model_dump_json())
            opinion = opinion_of(toy_findings(), "0" * 64, toy_affine())
            truth = truth.model_copy(update={"ai": {**truth.ai, case_id: opinion}})
            files = {
                path.relative_to(cases_folder(study.path)).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
                for path in folder.rglob("*.*")
            }
            content = {"files": files, "models": {"toy": "0" * 64}, "opinion_sha256": truth.opinion_sha256(case_id)}
            file.append(Kind.PREPARED, content, case_id=case_id)
    write_truth(study.truth, truth)


def toy_findings() -> Findings:
    """One lesion, a haemangioma with 0.7 and an HCC with 0.3; read as benign."""
    lesion = Lesion(
        id="lesion_1",
        name="Secretfinding 1",
        label=1,
        centre_lps_mm=INSIDE,
        box_zyx=((2, 20, 20), (6, 30, 30)),
        volume_ml=1,
        diameter_mm=12,
        perpendicular_mm=10,
        probability=0.875,
        mean_hu={},
        type_probabilities={kind: {"hcc": 0.3, "haemangioma": 0.7}.get(kind, 0.0) for kind in LesionType},
    )
    return Findings(
        software_version="0",
        created_utc="2026-01-01T00:00:00+00:00",
        device="cpu",
        threads=1,
        models=[],
        parameters={},
        seconds={},
        warnings=["secretfinding"],
        reference_phase=Phase.PORTAL_VENOUS,
        phases={},
        clinical={},
        liver_ml=1400,
        lesions=[lesion],
        reading=Reading(
            triage=Triage.LOW, reason="x", worst="lesion_1", verdict=Verdict.BENIGN, malignancy=0.3, malignant=False
        ),
    )


def copy_study(study: SmallStudy, folder: Path) -> SmallStudy:
    """A copy in another folder, with the same clock."""
    shutil.copytree(study.path.parent, folder)
    return SmallStudy(folder / study.path.name, folder / study.truth.name, study.clock)
