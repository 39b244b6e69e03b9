"""The `liverai phantom` command."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from LiverAILib.errors import StudyError
from LiverAILib.phantom.generate import DEFAULT_PHASES, generate
from LiverAILib.phantom.options import EVALUATION_SEEDS, PhantomOptions
from LiverAILib.phantom.write import write_dicom, write_image, write_nifti, write_truth
from LiverAILib.study import Phase


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the `liverai` parser."""
    parser = subparsers.add_parser(
        "phantom",
        help="make synthetic multi-phase liver CT with known truth",
        description="Make synthetic multi-phase liver CT with known truth. DICOM goes to OUT/dicom beside OUT/labels "
        "and OUT/truth.json, NIfTI straight into OUT; with --count, into OUT/<seed>. "
        f"Seeds from {EVALUATION_SEEDS} on are for evaluation only: train on none of them.",
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="a folder that does not exist yet or is empty")
    parser.add_argument("--seed", type=int, default=0, help="which patient (default 0)")
    parser.add_argument("--count", type=int, default=1, help="how many exams, with seeds from --seed on")
    parser.add_argument("--format", choices=("dicom", "nifti"), default="dicom")
    parser.add_argument("--phases", nargs="+", type=Phase, choices=list(Phase), default=list(DEFAULT_PHASES))
    parser.add_argument("--slices", type=int, help="number of slices (default: drawn)")
    parser.add_argument("--matrix", type=int, default=512, help="pixels a side, with --slices (default 512)")
    parser.add_argument(
        "--spacing", nargs=3, type=float, metavar=("Z", "Y", "X"), help="voxel size in mm (default: drawn)"
    )
    parser.add_argument(
        "--lesions",
        nargs="*",
        metavar="TYPE",
        help="a number, or one type per lesion; nothing for none (default: drawn)",
    )
    parser.add_argument("--no-breathing", action="store_true", help="no movement between the phases")
    parser.add_argument("--no-artefacts", action="store_true", help="no streaks")
    parser.set_defaults(run=run)


def lesions_asked(words: list[str] | None) -> int | tuple[str, ...] | None:
    """What --lesions means: None drawn, a number, or types."""
    if words is None:
        return None
    if len(words) == 1 and words[0].isdigit():
        return int(words[0])
    return tuple(words)


def run(args: argparse.Namespace) -> int:
    """Make and write the exams. Returns the exit code; raises StudyError or OutputError."""
    if args.count < 1:
        raise StudyError(f"--count {args.count}: ask for one exam or more.")
    options = PhantomOptions(
        shape=None if args.slices is None else (args.slices, args.matrix, args.matrix),
        spacing_mm=None if args.spacing is None else tuple(args.spacing),
        lesions=lesions_asked(args.lesions),
        breathing=not args.no_breathing,
        artefacts=not args.no_artefacts,
    )
    for seed in range(args.seed, args.seed + args.count):
        folder = args.out if args.count == 1 else args.out / str(seed)
        phantom = generate(seed, phases=args.phases, options=options)
        if args.format == "nifti":
            write_nifti(phantom, folder)
        else:
            write_dicom(phantom, folder / "dicom")
            (folder / "labels").mkdir(exist_ok=True)
            for phase, volume in phantom.study.volumes.items():
                write_image(phantom.labels[phase], volume, folder / "labels" / f"{phase}.nii.gz")
            write_truth(phantom, folder / "truth.json")
        found = (
            ", ".join(f"{lesion.type} {lesion.diameter_mm:.0f} mm" for lesion in phantom.truth.lesions) or "no lesion"
        )
        shape = "x".join(str(n) for n in next(iter(phantom.study.volumes.values())).array.shape)
        sys.stdout.write(f"{folder}: seed {seed}, {len(phantom.study.volumes)} phases of {shape}, {found}\n")
    return 0
