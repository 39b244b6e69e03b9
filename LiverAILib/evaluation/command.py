"""`liverai evaluate`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any


def add_parser(subparsers: Any, name: str = "evaluate", **options: Any) -> argparse.ArgumentParser:
    """Add `liverai evaluate`."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        name,
        description="Measure the figures of the README: on phantoms with unseen seeds, and with --data on real CT "
        "that was held out of training. Writes figures.md and cases.json.",
        **options,
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("bench"), metavar="OUT", help="default: bench")
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="real CT: portal_ct/train/, samples/portal_dicom/, samples/plain_dicom/; what is missing is left out",
    )
    parser.add_argument("--phantoms", type=int, default=10, metavar="N", help="phantom exams (default: 10)")
    parser.add_argument("--no-large", action="store_true", help="leave out the exam of 3 x 300 slices")
    parser.add_argument("--models", type=Path, metavar="DIR", help="folder of model packages (default: bundled)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Measure and print the table."""
    from LiverAILib.analysis.segment import load_segmenter
    from LiverAILib.bundles import find_bundle
    from LiverAILib.errors import StudyError
    from LiverAILib.evaluation.bench import run_bench, table

    if args.data is not None and not args.data.is_dir():
        raise StudyError(f"{args.data} is not a folder. Name the folder of real CT, or leave --data out.")
    segmenter = load_segmenter(args.models, args.device)
    trained_on = find_bundle("liversegnet", args.models).metadata.patients_seen

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    options = ["--device", args.device] + (["--models", str(args.models)] if args.models else [])
    figures = run_bench(
        args.data, args.output, args.phantoms, segmenter, say, options, trained_on, large=not args.no_large
    )
    print(table(figures), end="")
    return 0
