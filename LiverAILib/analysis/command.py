"""`liverai analyze` and `liverai inspect`."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from LiverAILib import __version__
from LiverAILib.analysis.progress import Progress, Step, reporter
from LiverAILib.errors import ResourceLimitError, StudyError

if TYPE_CHECKING:
    from LiverAILib.analysis.networks import Networks
    from LiverAILib.analysis.packages import Packages
    from LiverAILib.analysis.pipeline import LesionFinder
    from LiverAILib.analysis.segment import Segmenter
    from LiverAILib.export.run_folder import RunFolder
    from LiverAILib.findings import Lesion
    from LiverAILib.study import ClinicalRecord, Phase, Study

    StudyLoader = Callable[..., Study]

log = logging.getLogger(__name__)

_PHASE_FLAGS = {
    "non_contrast": "--non-contrast",
    "arterial": "--arterial",
    "portal_venous": "--portal-venous",
    "delayed": "--delayed",
}
_CLINICAL_FLAGS = {
    "hepatitis": "--hepatitis",
    "cirrhosis": "--cirrhosis",
    "cholangiolithiasis": "--cholangiolithiasis",
    "extrahepatic_tumour": "--extrahepatic-tumour",
}


def add_analyze_parser(subparsers: Any, name: str = "analyze", **options: Any) -> argparse.ArgumentParser:
    """Add `liverai analyze`."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        name, description="Find the liver and its lesions in a CT exam and write a run folder.", **options
    )
    _add_input(parser)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="the run folder to write")
    parser.add_argument("--overwrite", action="store_true", help="replace OUT if it is a run folder")
    clinical = parser.add_argument_group("clinical record (each may be left out: unknown)")
    clinical.add_argument("--age", type=float, metavar="YEARS")
    clinical.add_argument("--sex", choices=("female", "male", "unknown"), default="unknown")
    for item, flag in _CLINICAL_FLAGS.items():
        clinical.add_argument(flag, dest=item, choices=("yes", "no", "unknown"), default="unknown")
    machine = parser.add_argument_group("machine")
    machine.add_argument("--models", type=Path, metavar="DIR", help="folder of model packages (default: bundled)")
    machine.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    machine.add_argument("--threads", type=_positive, metavar="N", help="CPU threads (default: all)")
    machine.add_argument(
        "--progress",
        choices=("auto", "json", "bar", "none"),
        default="auto",
        help="json: one object a line on stdout and nothing else there; auto: a bar if stderr is a terminal",
    )
    machine.add_argument(
        "--die-with-parent", action="store_true", help="end when standard input ends; for programs that start this one"
    )
    machine.add_argument("--verbose", action="store_true", help="log details and tracebacks on stderr")
    parser.set_defaults(run=run_analyze)
    return parser


def add_inspect_parser(subparsers: Any, name: str = "inspect", **options: Any) -> argparse.ArgumentParser:
    """Add `liverai inspect`."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        name, description="Say what is there and what `analyze` would use. Nothing is written.", **options
    )
    _add_input(parser)
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.add_argument("--progress", choices=("auto", "bar", "none"), default="auto")
    parser.add_argument("--verbose", action="store_true", help="log details and tracebacks on stderr")
    parser.set_defaults(run=run_inspect)
    return parser


def run_inspect(args: argparse.Namespace) -> int:
    """Print what the paths hold."""
    from LiverAILib.importing import inspect

    listener = reporter(args.progress, sys.stdout)
    progress = Progress({"import": 1.0}, listener)
    try:
        with progress.stage("import", "Looking through the files") as step:
            inspection = inspect(
                args.paths, phase_files=phase_files(args), phase_choices=phase_choices(args), progress=step
            )
    finally:
        listener.close()
    text = json.dumps(inspection.as_dict(), indent=2, ensure_ascii=False) if args.json else inspection.text()
    sys.stdout.write(text.rstrip("\n") + "\n")
    return 0


@dataclass(frozen=True)
class Parts:
    """What stands in for `load_study`, the segmentation network, `find_lesions` and the other networks; None is the
    real one, but beside a segmenter that stands in there are no other networks unless given.

    This is how tests run the whole command without a network.
    """

    load: StudyLoader | None = None
    segmenter: Segmenter | None = None
    lesion_finder: LesionFinder | None = None
    networks: Networks | None = None


def run_analyze(args: argparse.Namespace, parts: Parts | None = None) -> int:
    """Read the study, analyse it, write the run folder."""
    from LiverAILib.child import clean_stdout, die_with_parent, stoppable

    tidy: list[Callable[[], None]] = []
    with contextlib.ExitStack() as stack:
        stack.enter_context(stoppable())
        if args.die_with_parent:
            die_with_parent(tidy)
        stdout = stack.enter_context(clean_stdout())
        run, _ = analyze_to_folder(args, stdout=stdout, on_write=tidy.append, parts=parts)
        if args.progress != "json":
            with contextlib.suppress(BrokenPipeError):
                stdout.write(summary(run))
                stdout.flush()
    return 0


def analyze_to_folder(
    args: argparse.Namespace,
    *,
    stdout: IO[str],
    on_write: Callable[[Callable[[], None]], None] = lambda _: None,
    parts: Parts | None = None,
) -> tuple[RunFolder, Study]:
    """From the parsed arguments to a run folder, and the study it came from.

    stdout: where JSON progress goes. on_write: is given the call that removes what is half-written.
    """
    from LiverAILib.analysis.memory import require_memory
    from LiverAILib.analysis.packages import find_packages
    from LiverAILib.analysis.pipeline import analyze, stage_weights
    from LiverAILib.bundles import find_bundle
    from LiverAILib.export.log import run_log
    from LiverAILib.export.run_folder import reserve_run

    parts = parts or Parts()
    listener = reporter(args.progress, stdout)
    with (
        contextlib.closing(listener),
        run_log(args.verbose) as keeper,
        reserve_run(args.output, overwrite=args.overwrite) as writer,
    ):
        on_write(writer.discard)
        packages = None
        if parts.segmenter is None:  # a missing or damaged package is said before the work
            find_bundle("liversegnet", args.models)
            packages = find_packages(args.models) if parts.networks is None else None
        progress = Progress(stage_weights(packages.found if packages else ()), listener)
        with progress.stage("import", "Reading the study") as step:
            study = _load(args, parts.load, step)
            require_memory(study)
            writer.require_space(study)
        with progress.stage("model", "Loading the networks"):
            segmenter, device, threads = _segmenter(args, parts.segmenter)
            networks = _networks(packages, device) if parts.networks is None else parts.networks
        models = [segmenter.model, *(networks.models if networks else [])]
        names = ", ".join(f"{model.name} {model.version} ({model.sha256[:12]})" for model in models)
        log.info("LiverAI %s, %s, %s, %d threads.", __version__, names, device, threads)
        analysis = analyze(
            study,
            segmenter,
            networks=networks,
            progress=progress,
            lesion_finder=parts.lesion_finder,
            device=device,
            threads=threads,
        )
        for warning in analysis.findings.warnings:
            log.warning("%s", warning)
        log.info("%s.", _count(analysis.findings.lesions))
        for name, seconds in analysis.findings.seconds.items():
            log.info("Wall time of %s: %.1f s.", name, seconds)
        with progress.stage("write", "Writing the run folder"):
            run = writer.write(analysis, study, keeper.text())
        progress.done(_count(run.findings.lesions))
        return run, study


def _load(args: argparse.Namespace, load: StudyLoader | None, step: Step) -> Study:
    if load is None:
        from LiverAILib.importing import load_study

        load = load_study
    study = load(
        args.paths,
        phase_files=phase_files(args),
        phase_choices=phase_choices(args),
        clinical=clinical_record(args),
        progress=step,
    )
    log.info("Phases: %s.", ", ".join(f"{phase} ({volume.source.label})" for phase, volume in study.volumes.items()))
    return study


def _segmenter(args: argparse.Namespace, given: Segmenter | None) -> tuple[Segmenter, str, int]:
    """The segmenter, the device's name, and the number of CPU threads in use."""
    import os

    if given is not None:
        return given, "cpu", args.threads or os.cpu_count() or 1
    import torch

    from LiverAILib.analysis.segment import load_segmenter

    use_gpu = args.device != "cpu" and torch.cuda.is_available()
    if args.device == "cuda" and not use_gpu:
        raise ResourceLimitError("--device cuda: torch finds no usable GPU here. Use --device cpu.")
    segmenter = load_segmenter(args.models, "cuda" if use_gpu else "cpu", args.threads)
    device = f"cuda ({torch.cuda.get_device_name()})" if use_gpu else "cpu"
    return segmenter, device, torch.get_num_threads()


def _networks(packages: Packages | None, device: str) -> Networks | None:
    """The networks of the packages; None beside a segmenter that stands in for the real one."""
    if packages is None:
        return None
    from LiverAILib.analysis.packages import load_networks
    from LiverAILib.analysis.segment import choose_device

    return load_networks(packages, choose_device(device.split()[0]))


def summary(run: RunFolder) -> str:
    """What the command prints at its end."""
    from LiverAILib.export.words import risk_words, type_words

    findings = run.findings
    lines = [f"Liver {findings.liver_ml:.0f} ml, {_count(findings.lesions)}. Written to {run.path}"]
    if findings.reading is not None:
        lines.append(findings.reading.reason)
    if findings.hcc_risk is not None:
        lines.append(risk_words(findings.hcc_risk))
    for lesion in findings.lesions:
        lines.append(
            f"  {lesion.name}: {lesion.diameter_mm:.0f} x {lesion.perpendicular_mm:.0f} mm, {lesion.volume_ml:.1f} ml, "
            f"lesion probability {lesion.probability:.2f}"
        )
        if lesion.likeliest_type is not None:
            lines.append(f"    {type_words(lesion)}")
    lines += [f"Note: {warning}" for warning in findings.warnings]
    lines.append("Research use only. Not for diagnosis.")
    return "\n".join(lines) + "\n"


def _count(lesions: Sequence[Lesion]) -> str:
    return "1 lesion" if len(lesions) == 1 else f"{len(lesions)} lesions"


def phase_files(args: argparse.Namespace) -> dict[Phase, Path]:
    """The files given per phase."""
    from LiverAILib.study import Phase

    return {Phase(name): path for name in _PHASE_FLAGS if (path := getattr(args, name)) is not None}


def phase_choices(args: argparse.Namespace) -> dict[str, Phase]:
    """The user's word on the phase of a series, from `--phase SERIES=PHASE`."""
    from LiverAILib.study import Phase

    choices: dict[str, Phase] = {}
    for text in args.phase:
        series, _, name = text.rpartition("=")
        try:
            phase = Phase(name.strip().lower().replace("-", "_"))
        except ValueError:
            names = ", ".join(phase.value for phase in Phase)
            raise StudyError(f'--phase "{text}": "{name}" is no phase. Use SERIES=PHASE with one of {names}.') from None
        if not series:
            raise StudyError(f'--phase "{text}" names no series. Use SERIES=PHASE; `liverai inspect` lists the series.')
        choices[series.strip()] = phase
    return choices


def clinical_record(args: argparse.Namespace) -> ClinicalRecord:
    """The clinical record as given; "unknown" is None."""
    from LiverAILib.study import ClinicalRecord

    known = {"yes": True, "no": False, "unknown": None}
    return ClinicalRecord(
        age=args.age,
        sex=None if args.sex == "unknown" else args.sex,
        **{item: known[getattr(args, item)] for item in _CLINICAL_FLAGS},
    )


def _add_input(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="folder of DICOM files, or single files")
    files = parser.add_argument_group("one file per phase (NIfTI, NRRD), instead of or beside PATH")
    for name, flag in _PHASE_FLAGS.items():
        files.add_argument(flag, dest=name, type=Path, metavar="FILE")
    parser.add_argument(
        "--phase",
        action="append",
        default=[],
        metavar="SERIES=PHASE",
        help="your word on the phase of a series, as `liverai inspect` numbers it; may be repeated",
    )


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number
