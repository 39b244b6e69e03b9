"""The table of figures: what is measured on what, and whether a goal is reached."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import SimpleITK as sitk
from liverai_fakes import PACKAGE, toy_affine

from LiverAILib.analysis.segment import Segmentation
from LiverAILib.bundles import write_bundle
from LiverAILib.errors import LiverAIError, StudyError
from LiverAILib.evaluation.bench import held_out_figures
from LiverAILib.evaluation.cost import analyze_command
from LiverAILib.evaluation.figures import Figure, table
from LiverAILib.evaluation.overlap import LesionMatch
from LiverAILib.evaluation.segmentation import CaseResult, summarise
from LiverAILib.findings import Model
from LiverAILib.networks.liversegnet import LiverSegNet
from LiverAILib.study import Phase, Volume, array_to_sitk
from LiverAILib.training.cases import find_cases, split_cases


def silent(_: str) -> None:
    """Says nothing."""


class Bright:
    """Stands in for the network: liver from 80 HU, lesion under 100 HU in it."""

    model = Model(name="bright", version="0", sha256="0" * 64)
    parameters: ClassVar[dict[str, float]] = {}

    def __call__(self, volume: Volume, progress: Callable[[float], None]) -> Segmentation:
        liver = volume.array >= 80
        return Segmentation(liver, np.where(liver & (volume.array < 100), 0.9, 0).astype(np.float32))


def write_case(folder: Path, number: int) -> None:
    """A block of liver; from the second case on with a lesion of 3 ml, which in every other case can't be seen."""
    hu, label = np.full((12, 40, 40), 0, np.int16), np.zeros((12, 40, 40), np.uint8)
    hu[2:10, 5:35, 5:35], label[2:10, 5:35, 5:35] = 110, 1
    if number:
        hu[4:7, 10:20, 10:20] = 90 if number % 2 else 110
        label[4:7, 10:20, 10:20] = 2
    for kind, array in (("ct", hu), ("label", label)):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing((1.0, 1.0, 10.0))
        sitk.WriteImage(image, folder / f"case{number:02}_{kind}.nii.gz")


def test_held_out_patients_give_dice_recall_and_false_positives(tmp_path: Path) -> None:
    for number in range(12):
        write_case(tmp_path, number)
    figures, cases = held_out_figures(tmp_path, Bright(), silent)
    values = {figure.what: figure.value for figure in figures}
    assert len(cases) in (6, 7)  # one without a lesion may have been added
    assert values["liver Dice, mean"] == values["liver Dice, worst"] == 1.0
    seen = [int(case.name[-2:]) % 2 for case in cases if case.name != "case00"]
    assert values["recall, lesions >= 1 ml"] == pytest.approx(np.mean(seen))
    assert values["false positives a case"] == 0
    assert cases[0].row()["phase"] == "portal_venous"


def test_a_patient_of_the_training_is_never_counted_as_held_out(tmp_path: Path) -> None:
    for number in range(12):
        write_case(tmp_path, number)
    patient = split_cases(find_cases(tmp_path)).test[0].patient
    with pytest.raises(StudyError, match=f"was trained on {patient} of"):
        held_out_figures(tmp_path, Bright(), silent, trained_on=[patient, "another"])


def result(name: str, patient: str, dice: float) -> CaseResult:
    return CaseResult(name, patient, Phase.ARTERIAL, dice, 0.5, LesionMatch((2.0, 0.5), (True, False), (0.2,)))


def test_two_scans_of_one_patient_count_once_in_the_mean() -> None:
    total = summarise([result("a", "p1", 0.8), result("b", "p1", 1.0), result("c", "p2", 0.96)])
    assert (total.cases, total.patients) == (3, 2)
    assert total.mean_liver_dice == pytest.approx((0.9 + 0.96) / 2)
    assert total.worst_liver_dice == 0.8
    assert (total.large_lesions_found, total.large_lesions) == (3, 3)  # the one of 0.5 ml doesn't count
    assert total.false_positives_per_case == 1


@pytest.mark.parametrize(
    ("value", "goal", "reached"),
    [(0.94, ">= 0.94", True), (0.93, ">= 0.94", False), (45, "<= 45", True), (46, "<= 45", False)],
)
def test_a_goal_is_reached_or_not(value: float, goal: str, reached: bool) -> None:
    figure = Figure("liver Dice", "a phantom", "1", value, goal)
    assert figure.reached is reached
    assert ("| not reached |" in table([figure])) is not reached


def test_what_could_not_be_counted_is_not_reached() -> None:
    assert not Figure("recall", "no lesion at all", "0", math.nan, ">= 0.75").reached


def test_the_command_is_measured_in_a_process_of_its_own(tmp_path: Path) -> None:
    write_bundle(tmp_path / "models" / "liversegnet", LiverSegNet("compact").state_dict(), PACKAGE)
    hu = np.full((12, 60, 60), -1000, np.int16)
    hu[:, 10:50, 10:50] = 50
    sitk.WriteImage(array_to_sitk(hu, toy_affine()), tmp_path / "ct.nrrd")
    arguments = ["--arterial", tmp_path / "ct.nrrd", "--models", tmp_path / "models", "--threads", "1"]
    held = np.ones(2_000_000_000, np.uint8)  # by whoever measures: no part of the cost
    cost = analyze_command(arguments, tmp_path / "run")
    assert cost.seconds > 0
    assert 0.1 < cost.peak_gb < held.nbytes / 1e9
    del held
    assert list(cost.run.findings.phases) == [Phase.ARTERIAL]
    with pytest.raises(LiverAIError, match=r"ended with 6: liverai: .* is there already"):
        analyze_command(arguments, tmp_path / "run")


def test_rounding_never_hides_a_missed_goal() -> None:
    missed = Figure("liver Dice", "a scan", "1", 0.93958, ">= 0.94")
    assert not missed.reached
    assert missed.words == "0.9396"
    assert Figure("liver Dice", "a scan", "1", 0.9402, ">= 0.94").words == "0.940"
    assert Figure("wall time, s", "a scan", "1 run", 45.04, "<= 45").words == "45.04"
