"""`liverai train`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from LiverAILib.errors import StudyError
from LiverAILib.few_bits import BITS

if TYPE_CHECKING:
    from torch import Tensor

    from LiverAILib.bundles import Bundle
    from LiverAILib.training.cases import Split

DEFAULT_WORK = Path(".cache") / "training"
NETWORKS = ("liversegnet", "comparison", "detector", "classifier", "nodulenet", "hccnet")

#: Options of the recipes that the command may change, and the networks that have them (all, where none is named).
RECIPE_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "steps": (),
    "batch": (),
    "learning_rate": (),
    "seed": (),
    "start_share": ("liversegnet",),
    "frozen": ("liversegnet", "comparison", "hccnet"),
    "shrink": ("nodulenet",),
    "crop": ("nodulenet", "hccnet"),
    "cosine": ("classifier",),
    "adamw": ("hccnet",),
}

PRESETS = ("compact", "paper")
#: Presets of networks that have others: for the papers' ablations, or as they are in no paper.
OWN_PRESETS: Mapping[str, tuple[str, ...]] = {
    "comparison": ("compact", "wide"),
    "detector": (*PRESETS, "compact-2d", "compact-image"),
    "classifier": (*PRESETS, "compact-without-interaction", "compact-images", "compact-clinical"),
}


def add_parser(subparsers: Any, name: str = "train", **options: Any) -> argparse.ArgumentParser:
    """Add `liverai train`."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        name,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Train a network and write its model package.\n\n"
        "The data folder holds NAME_ct.nii.gz (HU) and NAME_label.nii.gz (1 liver, 2 lesion) for each case,\n"
        "optionally NAME_organs.nii.gz, and cases.json with each case's patient. Patients are split by --split-seed;\n"
        "test patients are never trained on. A stopped training goes on where it was.\n\n"
        "All networks also learn from synthetic exams on the cases' anatomy and from phantoms, which are made once\n"
        "and kept in --pool; --pool-only makes them and does not train.",
        **options,
    )
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="labelled cases")
    parser.add_argument("--work", type=Path, metavar="DIR", help=f"checkpoints (default: {DEFAULT_WORK}/NETWORK)")
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="where to write the model package")
    parser.add_argument(
        "--start-from", type=Path, metavar="MODELS", help="begin with the network's package in this folder, or with "
        "this package (HCCNet may start from NoduleNet's)"
    )  # fmt: skip
    parser.add_argument(
        "--segmenter",
        type=Path,
        metavar="MODELS",
        help="the folder with the LiverSegNet (default: the one that ships) whose lesion probability the detector is "
        "shown; or whose livers the comparison and HCCNet are shown, and whose lesion probability the comparison's is "
        "joined with",
    )
    parser.add_argument(
        "--preset",
        default="compact",
        help="compact (default) or paper; "
        + "; ".join(f"{network}: {', '.join(names)}" for network, names in OWN_PRESETS.items()),
    )
    parser.add_argument("--threads", type=int, help="processor cores to use (default: all)")
    sides = parser.add_argument_group("sides")
    sides.add_argument("--split-seed", type=int, default=2024)
    sides.add_argument("--hold-out", type=int, default=6, metavar="N", help="test patients (default: 6)")
    sides.add_argument("--validation-patients", type=int, default=2, metavar="N", help="(default: 2)")
    made = parser.add_argument_group("synthetic exams")
    made.add_argument("--phantoms", type=int, default=40, metavar="N", help="phantom exams to add (default: 40)")
    made.add_argument("--exams", type=int, default=200, metavar="N", help="on the cases' anatomy (default: 200)")
    made.add_argument(
        "--first-seed", type=int, default=1, metavar="N", help="of the exams; to make a pool by several processes"
    )
    made.add_argument("--validation-exams", type=int, default=16, metavar="N", help="on validation patients")
    made.add_argument("--pool", type=Path, metavar="DIR", help=f"where they are kept (default: {DEFAULT_WORK}/pool)")
    made.add_argument("--pool-only", action="store_true", help="make them and end")
    budget = parser.add_argument_group("recipe (defaults: the paper's, see Docs/training.md)")
    budget.add_argument("--steps", type=int)
    budget.add_argument("--minutes", type=float, help="end after this time, if sooner than the steps")
    budget.add_argument("--batch", type=int)
    budget.add_argument("--learning-rate", type=float)
    budget.add_argument(
        "--shrink", type=int, choices=(1, 2, 4), help="NoduleNet: average slices over N x N pixels (default: 1)"
    )
    budget.add_argument(
        "--crop",
        type=int,
        choices=(96, 128, 160, 192, 224),
        metavar="N",
        help="NoduleNet, HCCNet: train on parts of N x N pixels, 96 to 224 in steps of 32 (default: whole slices; "
        "HCCNet: 128)",
    )
    budget.add_argument(
        "--cosine", action="store_true", default=None, help="classifier: the rate falls along a cosine, for short runs"
    )
    budget.add_argument(
        "--adamw", action="store_true", default=None, help="hccnet: AdamW, and images are not mixed, for short runs"
    )
    budget.add_argument(
        "--start-share",
        type=float,
        metavar="P",
        help="liversegnet: part that --start-from's weights keep in the final ones",
    )
    budget.add_argument(
        "--frozen",
        type=lambda text: tuple(text.split(",")),
        metavar="PARTS",
        help="liversegnet, comparison, hccnet: parts of the network that stay as they begin, such as "
        "bottom1,bottom_up, or patterns, such as '*.convolution'",
    )
    budget.add_argument("--seed", type=int)
    description = parser.add_argument_group("for the model package")
    description.add_argument("--trained-on", metavar="TEXT", help="what the data are (required with -o)")
    description.add_argument("--data-licence", metavar="TEXT", help="the licence of the data (required with -o)")
    description.add_argument("--version", default="0.1.0")
    description.add_argument(
        "--weight-bits",
        type=int,
        choices=BITS,
        metavar="N",
        help=f"keep weights in N bits, {BITS[0]} to {BITS[-1]}, for a smaller package (default: half precision)",
    )
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Train, and with -o write the package."""
    if args.output and not (args.trained_on and args.data_licence):
        raise StudyError("A model package must say what it was trained on: give --trained-on and --data-licence.")
    if not args.data.is_dir():
        raise StudyError(f"{args.data} is not a folder. Name the folder of labelled cases.")
    recipe = _recipe(args)
    from LiverAILib.training.cases import find_cases, split_cases

    split = split_cases(
        find_cases(args.data), test=args.hold_out, validation=args.validation_patients, seed=args.split_seed
    )
    if args.threads:
        import torch

        torch.set_num_threads(args.threads)
    return _train(args, split, args.work or DEFAULT_WORK / args.network, recipe)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _recipe(args: argparse.Namespace) -> dict[str, Any]:
    """The recipe's options that were given. Raises StudyError for one that the network's recipe lacks."""
    presets = OWN_PRESETS.get(args.network, PRESETS)
    if args.preset not in presets:
        raise StudyError(f'{args.network} has no preset "{args.preset}". Choose from {", ".join(presets)}.')
    given: dict[str, Any] = {"preset": args.preset}
    for option, networks in RECIPE_OPTIONS.items():
        value = getattr(args, option)
        if value is None:
            continue
        if networks and args.network not in networks:
            raise StudyError(f"--{option.replace('_', '-')} is not for {args.network}. Leave it out.")
        if option in ("start_share", "frozen") and not args.start_from:
            raise StudyError(f"--{option.replace('_', '-')} is of weights to begin with: name them by --start-from.")
        given[option] = value
    return given


def _start(args: argparse.Namespace, split: Split, package: str) -> Mapping[str, Tensor] | None:
    """The weights to begin with. Raises StudyError if they are of another preset or saw a held-out patient."""
    if not args.start_from:
        return None
    from LiverAILib.bundles import METADATA, find_bundle

    itself = (args.start_from / METADATA).is_file()
    bundle = (
        find_bundle(args.start_from.name, args.start_from.parent) if itself else find_bundle(package, args.start_from)
    )
    if bundle.metadata.preset != args.preset:
        raise StudyError(f"The package in {args.start_from} is of preset {bundle.metadata.preset}: say --preset.")
    _check_unseen(bundle, split)
    return bundle.load().state_dict()


def _check_unseen(bundle: Bundle, split: Split) -> None:
    """Raises StudyError if a package learnt from a held-out patient."""
    if seen := sorted({case.patient for case in split.test} & set(bundle.metadata.patients_seen)):
        raise StudyError(
            f"The {bundle.metadata.network} package was trained on {', '.join(seen)}, held out here: use its "
            "--split-seed."
        )


def _train(args: argparse.Namespace, split: Split, work: Path, recipe: Mapping[str, Any]) -> int:
    from LiverAILib.training.packages import Provenance
    from LiverAILib.training.trainers import TRAINERS, Asked, fill_pool, side_patients

    package, train = TRAINERS[args.network]
    if args.network in ("detector", "comparison", "hccnet"):
        from LiverAILib.bundles import find_bundle

        _check_unseen(find_bundle("liversegnet", args.segmenter), split)
    target = None
    if args.output:
        words = Provenance(
            args.trained_on, args.data_licence, args.version, side_patients(split), weight_bits=args.weight_bits
        )
        target = (args.output / package, words)
    asked = Asked(
        split=split,
        pool=args.pool or DEFAULT_WORK / "pool",
        work=work,
        recipe=recipe,
        minutes=args.minutes,
        exams=args.exams,
        phantoms=args.phantoms,
        validation_exams=args.validation_exams,
        first_seed=args.first_seed,
        segmenter=args.segmenter,
        start=_start(args, split, package),
        package=target,
        say=_say,
    )
    if args.pool_only:
        fill_pool(asked, args.network)
        return 0
    bundle = train(asked)
    if bundle:
        print(f"wrote {bundle.folder}")
    return 0
