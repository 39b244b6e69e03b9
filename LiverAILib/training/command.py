"""`liverai train`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from LiverAILib.errors import StudyError

DEFAULT_WORK = Path(".cache") / "training"


def add_parser(subparsers: Any, name: str = "train", **options: Any) -> argparse.ArgumentParser:
    """Add `liverai train`."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        name,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Train a network and write its model package.\n\n"
        "The data folder holds NAME_ct.nii.gz (HU) and NAME_label.nii.gz (1 liver, 2 lesion) for each case,\n"
        "optionally NAME_organs.nii.gz, and cases.json with each case's patient. Patients are split by --split-seed;\n"
        "test patients are never trained on. A stopped training goes on where it was.",
        **options,
    )
    parser.add_argument("network", choices=("liversegnet",))
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="labelled cases")
    parser.add_argument("--work", type=Path, metavar="DIR", help=f"checkpoints (default: {DEFAULT_WORK}/NETWORK)")
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="where to write the model package NETWORK/")
    parser.add_argument(
        "--start-from", type=Path, metavar="MODELS", help="begin with the package NETWORK/ in this folder"
    )
    parser.add_argument("--preset", choices=("compact", "paper"), default="compact")
    parser.add_argument("--phantoms", type=int, default=40, metavar="N", help="synthetic exams to add (default: 40)")
    budget = parser.add_argument_group("recipe (defaults: the paper's)")
    budget.add_argument("--steps", type=int, default=240_000)
    budget.add_argument("--minutes", type=float, help="end after this time, if sooner than the steps")
    budget.add_argument("--batch", type=int, default=4)
    budget.add_argument("--learning-rate", type=float, default=0.005)
    budget.add_argument("--seed", type=int, default=7)
    budget.add_argument("--split-seed", type=int, default=2024)
    description = parser.add_argument_group("for the model package")
    description.add_argument("--trained-on", metavar="TEXT", help="what the data are (required with -o)")
    description.add_argument("--data-licence", metavar="TEXT", help="the licence of the data (required with -o)")
    description.add_argument("--version", default="0.1.0")
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Train, and with -o write the package."""
    if args.output and not (args.trained_on and args.data_licence):
        raise StudyError("A model package must say what it was trained on: give --trained-on and --data-licence.")
    if not args.data.is_dir():
        raise StudyError(f"{args.data} is not a folder. Name the folder of labelled cases.")
    from LiverAILib.bundles import find_bundle
    from LiverAILib.training.cases import find_cases, split_cases
    from LiverAILib.training.liversegnet import Recipe, Training, write_package
    from LiverAILib.training.phantoms import make_pool

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    work = args.work or DEFAULT_WORK / args.network
    split = split_cases(find_cases(args.data), seed=args.split_seed)
    recipe = Recipe(
        preset=args.preset,
        steps=args.steps,
        minutes=args.minutes,
        batch=args.batch,
        learning_rate=args.learning_rate,
        seed=args.seed,
        phantom_share=Recipe.phantom_share if args.phantoms else 0.0,
    )
    if args.phantoms:
        make_pool(work / "pool", args.phantoms, recipe.in_plane_mm, say=say)
    start = None
    if args.start_from:
        bundle = find_bundle(args.network, args.start_from)
        if bundle.metadata.preset != args.preset:
            raise StudyError(f"The package in {args.start_from} is of preset {bundle.metadata.preset}: say --preset.")
        if seen := sorted({case.patient for case in split.test} & set(bundle.metadata.patients_seen)):
            raise StudyError(f"That package was trained on {', '.join(seen)}, held out here: use its --split-seed.")
        start = bundle.load().state_dict()
    training = Training(split, work, recipe, say, start)
    training.run()
    if args.output:
        bundle = write_package(training, args.output / "liversegnet", args.trained_on, args.data_licence, args.version)
        print(f"wrote {bundle.folder}")
    return 0
