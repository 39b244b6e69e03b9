"""`liverai evaluate`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

DEFAULT_POOL = Path(".cache") / "evaluation"


def add_parser(subparsers: Any, name: str = "evaluate", **options: Any) -> argparse.ArgumentParser:
    """Add `liverai evaluate`."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        name,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Measure the figures of the README: on phantoms with unseen seeds, and with --data on real CT\n"
        "held out of training and on synthetic exams on its anatomy. Writes figures.md, cases.json, plots, and a\n"
        "card of every model package.\n\n"
        "Parts: nodulenet, hccnet, classifier (types and triage), detector, whole (all stages on a few exams),\n"
        "segmentation, cost (wall time and memory). Each part's result is kept in OUTPUT/parts; those measured with\n"
        "other weights are left out of figures.md. A part whose package is not there is left out and said so.",
        **options,
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("bench"), metavar="OUT", help="default: bench")
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="real CT: portal_ct/train/, samples/portal_dicom/, samples/plain_dicom/; what is missing is left out",
    )
    parser.add_argument("--models", type=Path, metavar="DIR", help="folder of model packages (default: bundled)")
    parser.add_argument("--only", metavar="PARTS", help="parts to measure, joined by commas (default: all)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--threads", type=int, help="processor cores to use (default: all)")
    parser.add_argument("--phantoms", type=int, default=10, metavar="N", help="of the segmentation (default: 10)")
    parser.add_argument("--no-large", action="store_true", help="cost: leave out the exam of 3 x 300 slices")
    made = parser.add_argument_group("synthetic exams")
    made.add_argument("--pool", type=Path, default=DEFAULT_POOL, metavar="DIR", help=f"default: {DEFAULT_POOL}")
    made.add_argument("--pool-only", action="store_true", help="make the exams and end")
    made.add_argument("--exams", type=int, default=220, metavar="N", help="with lesions as they come (default: 220)")
    made.add_argument(
        "--benign-exams", type=int, default=90, metavar="N", help="with benign ones only, for the triage (default: 90)"
    )
    made.add_argument("--empty-phantoms", type=int, default=24, metavar="N", help="without a lesion (default: 24)")
    made.add_argument(
        "--detector-lesions", type=int, default=315, metavar="N", help="that the detector is asked for (default: 315)"
    )
    made.add_argument(
        "--whole-exams", type=int, default=6, metavar="N", help="exams that go through all stages (default: 6)"
    )
    made.add_argument("--cohort", type=int, default=400, metavar="N", help="patients of the triage (default: 400)")
    made.add_argument("--workers", type=int, default=1, metavar="N", help="processes that make exams (default: 1)")
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Measure and print the table of the figures that have a goal."""
    from LiverAILib.errors import StudyError
    from LiverAILib.evaluation.part import PARTS

    if args.data is not None and not args.data.is_dir():
        raise StudyError(f"{args.data} is not a folder. Name the folder of real CT, or leave --data out.")
    only = tuple(PARTS) if args.only is None else tuple(part.strip() for part in args.only.split(","))
    if unknown := [part for part in only if part not in PARTS]:
        raise StudyError(f'"{unknown[0]}" is no part of the evaluation. Choose from {", ".join(PARTS)}.')
    if args.threads:
        import torch

        torch.set_num_threads(args.threads)
    from LiverAILib.evaluation.cards import write_cards
    from LiverAILib.evaluation.figures import table
    from LiverAILib.evaluation.measure import Evaluation, Request, measured_parts, write_cases
    from LiverAILib.evaluation.pool import PoolPlan
    from LiverAILib.evaluation.report import figures_page, with_goal

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    request = Request(
        out=args.output,
        data=args.data,
        models=args.models,
        pool=args.pool,
        plan=PoolPlan(args.exams, args.benign_exams, args.empty_phantoms),
        detector_lesions=args.detector_lesions,
        whole_exams=args.whole_exams,
        phantoms=args.phantoms,
        cohort=args.cohort,
        only=[part for part in PARTS if part in only],
        device=args.device,
        workers=args.workers,
        large=not args.no_large,
    )
    evaluation = Evaluation(request, say)
    if args.pool_only:
        if not evaluation.cases:
            raise StudyError("The exams are made on real anatomy: give --data with portal_ct/train/.")
        say(f"The exams are in {evaluation.pool.folder}.")
        return 0
    args.output.mkdir(parents=True, exist_ok=True)
    evaluation.measure()
    parts, notes = measured_parts(evaluation)
    (args.output / "figures.md").write_text(figures_page(parts, notes), encoding="utf-8")
    write_cases(parts, args.output / "cases.json")
    write_cards(evaluation, parts, args.output / "cards")
    print(table(with_goal(parts)), end="")
    return 0
