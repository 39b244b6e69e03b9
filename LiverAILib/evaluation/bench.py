"""The figures that the README reports, measured on data that no network was trained on.

Real CT is not part of the project. `--data` names a folder with any of:

    portal_ct/train/       labelled cases (layout: `LiverAILib.training.cases`); only its held-out patients are used
    samples/portal_dicom/  a portal-venous CT as DICOM, with samples/portal_labels/liver.nii.gz
    samples/plain_dicom/   a non-contrast CT as DICOM, with samples/plain_labels/totalseg_labels.nii.gz and labels.json

What is not there is left out and said so.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from LiverAILib.analysis.segment import Segmenter
from LiverAILib.errors import StudyError
from LiverAILib.evaluation.cost import analyze_command
from LiverAILib.evaluation.overlap import dice
from LiverAILib.evaluation.segmentation import CaseResult, evaluate_cases, evaluate_phantoms, summarise
from LiverAILib.export.run_folder import RunFolder
from LiverAILib.study import Phase

PHASES = (Phase.NON_CONTRAST, Phase.ARTERIAL, Phase.PORTAL_VENOUS)
COST_SHAPE = (60, 512, 512)
COST_SPACING_MM = (5.0, 0.75, 0.75)
LARGE_SHAPE = (300, 512, 512)
LARGE_SPACING_MM = (1.0, 0.75, 0.75)

Say = Callable[[str], None]


@dataclass(frozen=True)
class Figure:
    """One row of the table. goal: least (>=) or most (<=) value asked for."""

    what: str
    on: str
    n: str
    value: float
    goal: str
    detail: str = ""

    @property
    def reached(self) -> bool:
        """Whether the value meets the goal."""
        sign, bound = self.goal.split()
        return self.value >= float(bound) if sign == ">=" else self.value <= float(bound)


def held_out_figures(
    folder: Path, segmenter: Segmenter, say: Say, trained_on: Collection[str] = ()
) -> tuple[list[Figure], list[CaseResult]]:
    """Liver Dice, recall of lesions >= 1 ml and false positives on the patients held out of training.

    trained_on: the patients that the network has seen. Raises StudyError if one of them was drawn for the test.
    """
    from LiverAILib.training.cases import find_cases, split_cases

    cases = split_cases(find_cases(folder)).test
    if seen := {case.patient for case in cases} & set(trained_on):
        raise StudyError(
            f"The network was trained on {', '.join(sorted(seen))} of {folder}: a figure on them would say nothing. "
            "Give the folder that it was trained on, unchanged, or one of other patients."
        )
    results = evaluate_cases(cases, segmenter, say)
    total = summarise(results)
    on = "held-out patients, real portal-venous CT"
    n = f"{total.patients} patients"
    low, high = total.recall_interval
    recall = total.large_lesions_found / total.large_lesions if total.large_lesions else float("nan")
    lesions = f"{total.large_lesions} lesions, {n}"
    interval = f"95% interval {low:.2f} to {high:.2f}"
    return [
        Figure("liver Dice, mean", on, n, total.mean_liver_dice, ">= 0.94"),
        Figure("liver Dice, worst", on, n, total.worst_liver_dice, ">= 0.88"),
        Figure("recall, lesions >= 1 ml", on, lesions, recall, ">= 0.75", interval),
        Figure("false positives a case", on, f"{total.cases} cases", total.false_positives_per_case, "<= 3"),
    ], results


def phantom_figures(count: int, segmenter: Segmenter, say: Say) -> tuple[list[Figure], list[CaseResult]]:
    """Liver Dice on phantoms with evaluation seeds, each phase alone."""
    from LiverAILib.phantom import EVALUATION_SEEDS

    seeds = range(EVALUATION_SEEDS, EVALUATION_SEEDS + count)
    results = evaluate_phantoms(seeds, PHASES, segmenter, say)
    figures = []
    for phase in PHASES:
        of_phase = [result for result in results if result.phase is phase]
        total = summarise(of_phase)
        on = f"phantoms, unseen seeds, {phase.words}"
        detail = (
            f"worst {total.worst_liver_dice:.3f}; lesions >= 1 ml found "
            f"{total.large_lesions_found} of {total.large_lesions}, {total.false_positives_per_case:.1f} false a case"
        )
        figures.append(Figure("liver Dice, mean", on, f"{total.cases}", total.mean_liver_dice, ">= 0.93", detail))
    return figures, results


def sample_figures(samples: Path, work: Path, say: Say, options: Sequence[str] = ()) -> list[Figure]:
    """The two full-resolution DICOM samples through the command line: Dice, and for the large one time and memory.

    options: of `liverai analyze`, such as --models.
    """
    figures = []
    if (samples / "portal_dicom").is_dir():
        cost = analyze_command([samples / "portal_dicom", *options], work / "portal")
        true = _nifti(samples / "portal_labels" / "liver.nii.gz") > 0
        on = "a full-resolution portal-venous CT (124 slices of 4 mm), from DICOM"
        value = dice(cost.run.segmentation()[0], true)
        say(f"{on}: liver Dice {value:.3f}, {cost.seconds:.1f} s, {cost.peak_gb:.2f} GB")
        figures += [
            Figure("liver Dice", on, "1", value, ">= 0.94"),
            Figure("wall time, s", on, "1 run", cost.seconds, "<= 25"),
            Figure("peak memory, GB", on, "1 run", cost.peak_gb, "<= 4"),
        ]
    if (samples / "plain_dicom").is_dir():
        cost = analyze_command([samples / "plain_dicom", *options], work / "plain")
        names = json.loads((samples / "plain_labels" / "labels.json").read_text())
        code = next(int(key) for key, name in names.items() if name == "liver")
        true = _nifti(samples / "plain_labels" / "totalseg_labels.nii.gz") == code
        on = "a non-contrast CT (40 slices of 5 mm), against automatic labels"
        value = dice(cost.run.segmentation()[0], true)
        say(f"{on}: liver Dice {value:.3f}")
        figures.append(Figure("liver Dice", on, "1", value, ">= 0.88"))
    return figures


def _nifti(path: Path) -> npt.NDArray[Any]:
    import SimpleITK as sitk

    return np.asarray(sitk.GetArrayFromImage(sitk.ReadImage(str(path))))


def cost_figures(work: Path, say: Say, options: Sequence[str] = (), *, large: bool = True) -> list[Figure]:
    """Wall time and memory of a three-phase exam from DICOM, and memory of one with 300 slices a phase.

    options: of `liverai analyze`, such as --models.
    """
    from LiverAILib.phantom import EVALUATION_SEEDS, PhantomOptions, generate
    from LiverAILib.phantom.write import write_dicom

    figures = []
    exams = [("3 x 512x512x60 at 5 mm", COST_SHAPE, COST_SPACING_MM)]
    if large:
        exams.append(("3 x 512x512x300 at 1 mm", LARGE_SHAPE, LARGE_SPACING_MM))
    for number, (on, shape, spacing) in enumerate(exams):
        say(f"making the phantom exam of {on}")
        asked = PhantomOptions(shape=shape, spacing_mm=spacing, lesions=5)
        phantom = generate(EVALUATION_SEEDS + 500 + number, phases=PHASES, options=asked)
        folder = work / f"exam_{number}"
        write_dicom(phantom, folder)
        del phantom
        cost = analyze_command([folder, *options], work / f"run_{number}")
        say(f"{on}: {cost.seconds:.1f} s, {cost.peak_gb:.2f} GB")
        if number == 0:
            figures.append(Figure("wall time, s", f"phantom exam, {on}, from DICOM", "1 run", cost.seconds, "<= 45"))
        goal = "<= 4" if number == 0 else "<= 8"
        figures.append(Figure("peak memory, GB", f"phantom exam, {on}", "1 run", cost.peak_gb, goal))
        if number == 0:
            figures += _repeat_figures(cost.run, folder, work, options, f"phantom exam, {on}")
    return figures


def _repeat_figures(first: RunFolder, folder: Path, work: Path, options: Sequence[str], on: str) -> list[Figure]:
    """The same analysis again, and with one and two threads: the largest change of any voxel's lesion probability."""
    probability = first.lesion_probability()[0]
    figures = []
    two = analyze_command([folder, *options, "--threads", "2"], work / "again").run
    one = analyze_command([folder, *options, "--threads", "1"], work / "one_thread").run
    for what, before, after, goal in (
        ("second run, change of probability", probability, two, "<= 0.05"),
        ("1 against 2 threads, change of probability", two.lesion_probability()[0], one, "<= 0.05"),
    ):
        change = float(np.abs(after.lesion_probability()[0] - before).max())
        sizes = [run.findings.liver_ml for run in (first, after)]
        lesions = [len(run.findings.lesions) for run in (first, after)]
        detail = f"liver {sizes[0]:.1f} and {sizes[1]:.1f} ml, lesions {lesions[0]} and {lesions[1]}"
        figures.append(Figure(what, on, "1 exam", change, goal, detail))
    return figures


def run_bench(
    data: Path | None,
    out: Path,
    phantoms: int,
    segmenter: Segmenter,
    say: Say,
    options: Sequence[str] = (),
    trained_on: Collection[str] = (),
    *,
    large: bool,
) -> list[Figure]:
    """Measure everything that can be measured here; write `figures.md` and `cases.json` to `out`.

    segmenter: for the cases that are analysed in this process. options: of `liverai analyze`, for those that go through
    the command line; they have to mean the same network and device. trained_on: see `held_out_figures`.
    """
    out.mkdir(parents=True, exist_ok=True)
    figures: list[Figure] = []
    cases: list[CaseResult] = []
    with tempfile.TemporaryDirectory(prefix="liverai-bench-") as temporary:
        work = Path(temporary)
        if data is not None and (data / "samples").is_dir():
            figures += sample_figures(data / "samples", work, say, options)
        else:
            say("no samples/ in the data folder: the figures on full-resolution CT are left out")
        figures += cost_figures(work, say, options, large=large)
        if data is not None and (data / "portal_ct" / "train").is_dir():
            more, results = held_out_figures(data / "portal_ct" / "train", segmenter, say, trained_on)
            figures += more
            cases += results
        else:
            say("no portal_ct/train/ in the data folder: the figures on held-out patients are left out")
        more, results = phantom_figures(phantoms, segmenter, say) if phantoms else ([], [])
        figures += more
        cases += results
    (out / "figures.md").write_text(table(figures), encoding="utf-8")
    (out / "cases.json").write_text(json.dumps([case.row() for case in cases], indent=1), encoding="utf-8")
    return figures


def table(figures: list[Figure]) -> str:
    """The figures as a Markdown table."""
    lines = ["| what | on | n | value | goal | |", "| --- | --- | --- | --- | --- | --- |"]
    for figure in figures:
        verdict = "reached" if figure.reached else "not reached"
        note = f"{verdict}; {figure.detail}" if figure.detail else verdict
        value = f"{figure.value:.1f}" if "time" in figure.what else f"{figure.value:.3f}"
        lines.append(f"| {figure.what} | {figure.on} | {figure.n} | {value} | {figure.goal} | {note} |")
    return "\n".join(lines) + "\n"
