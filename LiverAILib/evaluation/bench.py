"""Segmentation and cost: liver and lesions against the experts', and wall time and memory of whole analyses.

Real CT is not part of the project. `--data` names a folder with any of:

    portal_ct/train/       labelled cases (layout: `LiverAILib.training.cases`); only its held-out patients are used
    samples/portal_dicom/  a portal-venous CT as DICOM, with samples/portal_labels/liver.nii.gz
    samples/plain_dicom/   a non-contrast CT as DICOM, with samples/plain_labels/totalseg_labels.nii.gz and labels.json

What is not there is left out and said so.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from LiverAILib.analysis.segment import Segmenter
from LiverAILib.evaluation.cost import analyze_command
from LiverAILib.evaluation.figures import Figure
from LiverAILib.evaluation.overlap import dice
from LiverAILib.evaluation.part import Say
from LiverAILib.evaluation.real import held_out
from LiverAILib.evaluation.segmentation import CaseResult, evaluate_cases, evaluate_phantoms, summarise
from LiverAILib.export.run_folder import RunFolder
from LiverAILib.phantom import DEFAULT_PHASES, EVALUATION_SEEDS, PhantomOptions, generate

COST_SHAPE = (60, 512, 512)
COST_SPACING_MM = (5.0, 0.75, 0.75)
LARGE_SHAPE = (300, 512, 512)
LARGE_SPACING_MM = (1.0, 0.75, 0.75)


def held_out_figures(
    folder: Path, segmenter: Segmenter, say: Say, trained_on: Collection[str] = ()
) -> tuple[list[Figure], list[CaseResult]]:
    """Liver Dice, recall of lesions >= 1 ml and false positives on the patients held out of training.

    trained_on: the patients that the network has seen. Raises StudyError if one of them was drawn for the test.
    """
    cases = held_out(folder, trained_on)
    results = evaluate_cases(cases, segmenter, say)
    total = summarise(results)
    on = "held-out patients, real portal-venous CT"
    n = f"{total.patients} patients"
    low, high = total.recall_interval
    recall = total.large_lesions_found / total.large_lesions if total.large_lesions else float("nan")
    lesions = f"{total.large_lesions} lesions, {n}"
    return [
        Figure("liver Dice, mean", on, n, total.mean_liver_dice, ">= 0.94"),
        Figure("liver Dice, worst", on, n, total.worst_liver_dice, ">= 0.88"),
        Figure("recall, lesions >= 1 ml", on, lesions, recall, ">= 0.75", low=low, high=high, method="Clopper-Pearson"),
        Figure("false positives a case", on, f"{total.cases} cases", total.false_positives_per_case, "<= 3"),
    ], results


def phantom_figures(count: int, segmenter: Segmenter, say: Say) -> tuple[list[Figure], list[CaseResult]]:
    """Liver Dice on phantoms with evaluation seeds, each phase alone."""
    seeds = range(EVALUATION_SEEDS, EVALUATION_SEEDS + count)
    results = evaluate_phantoms(seeds, DEFAULT_PHASES, segmenter, say)
    figures = []
    for phase in DEFAULT_PHASES:
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


def cost_figures(
    work: Path, say: Say, options: Sequence[str] = (), *, large: bool = True, most_seconds: float = 45
) -> list[Figure]:
    """Wall time and memory of a three-phase exam from DICOM, and memory of one with 300 slices a phase.

    options: of `liverai analyze`, such as --models. most_seconds: the goal.
    """
    from LiverAILib.phantom.write import write_dicom

    figures = []
    exams = [("3 x 512x512x60 at 5 mm", COST_SHAPE, COST_SPACING_MM)]
    if large:
        exams.append(("3 x 512x512x300 at 1 mm", LARGE_SHAPE, LARGE_SPACING_MM))
    for number, (on, shape, spacing) in enumerate(exams):
        say(f"making the phantom exam of {on}")
        asked = PhantomOptions(shape=shape, spacing_mm=spacing, lesions=5)
        phantom = generate(EVALUATION_SEEDS + 500 + number, options=asked)
        folder = work / f"exam_{number}"
        write_dicom(phantom, folder)
        del phantom
        cost = analyze_command([folder, *options], work / f"run_{number}")
        say(f"{on}: {cost.seconds:.1f} s, {cost.peak_gb:.2f} GB")
        if number == 0:
            figures.append(
                Figure("wall time, s", f"phantom exam, {on}, from DICOM", "1 run", cost.seconds, f"<= {most_seconds:g}")
            )
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
