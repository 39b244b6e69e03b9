"""`liverai study`: everything that a coordinator does with a reader study."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from LiverAILib.readerstudy.analysis_command import add_parsers


def add_parser(subparsers: Any, name: str = "study", **options: Any) -> argparse.ArgumentParser:
    """Add `liverai study` and its own commands."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        name,
        help="a reader study: readings with and without the AI, and their analysis",
        description="A reader study, from the protocol to the report. In this order: new, create, prepare, seal; "
        "then the readers read; status and verify meanwhile; analyze at the end.",
        **options,
    )
    own = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_making(own)
    _add_running(own)
    add_parsers(own)
    return parser


def _add(own: Any, name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = own.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
    parser.add_argument("--verbose", action="store_true", help="tracebacks on stderr")
    parser.set_defaults(run=run)
    return parser


def _add_making(own: Any) -> None:
    new = _add(own, "new", run_new, "write a commented protocol to fill in")
    new.add_argument("protocol", type=Path, metavar="PROTOCOL.yaml")
    create = _add(own, "create", run_create, "make the study file, and the coordinator's file with the truth")
    create.add_argument("protocol", type=Path, metavar="PROTOCOL.yaml")
    create.add_argument("-o", "--output", type=Path, default=Path("study.sqlite"), metavar="FILE")
    _add_truth(create)
    prepare = _add(own, "prepare", run_prepare, "import and analyse all cases; goes on where it was cut off")
    _add_study(prepare, truth=True)
    prepare.add_argument("--models", type=Path, metavar="DIR", help="folder of model packages (default: bundled)")
    prepare.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    prepare.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: all)")
    prepare.add_argument("--progress", choices=("auto", "bar", "none"), default="auto")
    seal = _add(own, "seal", run_seal, "fix the protocol; from then on only dated amendments change it")
    _add_study(seal)
    amend = _add(own, "amend", run_amend, "change the protocol, a truth or a source that was wrong, with a reason")
    _add_study(amend, truth=True)
    amend.add_argument("protocol", type=Path, metavar="PROTOCOL.yaml", help="the whole protocol with the change in it")
    amend.add_argument("--reason", required=True)


def _add_running(own: Any) -> None:
    status = _add(own, "status", run_status, "how far each reader is; shows no answers")
    _add_study(status)
    verify = _add(own, "verify", run_verify, "check that nothing was changed or damaged")
    _add_study(verify, truth=True)
    verify.add_argument("--no-truth", action="store_true", help="check the study file alone")
    verify.add_argument("--files", action="store_true", help="also hash all prepared files")
    reopen = _add(own, "reopen", run_reopen, "let a reader answer a case again; the earlier answer is kept")
    _add_study(reopen)
    reopen.add_argument("--reader", required=True, metavar="CODE")
    reopen.add_argument("--case", required=True, metavar="C001")
    reopen.add_argument("--arm", required=True)
    reopen.add_argument("--reason", required=True, help="printed in the report")
    override = _add(own, "override", run_override, "set the washout or the clock check aside; it is in the report")
    _add_study(override)
    override.add_argument("--rule", choices=("washout", "clock"), default="washout")
    override.add_argument("--reader", metavar="CODE")
    override.add_argument("--case", metavar="C001", help="default: all cases of the reader")
    override.add_argument("--reason", required=True, help="printed in the report")


def _add_study(parser: argparse.ArgumentParser, *, truth: bool = False) -> None:
    parser.add_argument("study", type=Path, metavar="STUDY.sqlite")
    if truth:
        _add_truth(parser)


def _add_truth(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--truth", type=Path, metavar="FILE", help="the coordinator's file (default: STUDY.truth.json beside it)"
    )


def _truth(args: argparse.Namespace) -> Path:
    from LiverAILib.readerstudy.truth import truth_path

    return args.truth if args.truth is not None else truth_path(args.study.absolute())


def run_new(args: argparse.Namespace) -> int:
    """Write the template."""
    from LiverAILib.readerstudy.protocol_file import write_template

    write_template(args.protocol)
    print(f"Written: {args.protocol}. Fill it in, then: liverai study create {args.protocol} -o study.sqlite")
    return 0


def run_create(args: argparse.Namespace) -> int:
    """Make the study."""
    from LiverAILib.readerstudy.coordinate import create_study

    made = create_study(args.protocol, args.output, args.truth)
    print(f"Study file: {made.study}")
    print(f"Truth, for the coordinator alone: {made.truth}")
    print(f"{made.cases} cases, {made.training} for training, {made.readings} readings. Not sealed yet.")
    return 0


def run_prepare(args: argparse.Namespace) -> int:
    """Prepare all cases; ends with 3 if some failed."""
    from LiverAILib.child import stoppable
    from LiverAILib.readerstudy.prepare import prepare_study

    options = ["--device", args.device, "--progress", args.progress]
    options += ["--models", str(args.models)] if args.models else []
    options += ["--threads", str(args.threads)] if args.threads else []

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    with stoppable():
        batch = prepare_study(args.study, _truth(args), options=tuple(options), say=say)
    for name, reason in batch.failed:
        print(f"Not prepared: {name}: {reason}")
    if any("--phase" in reason for _, reason in batch.failed):
        print('In a study such words stand in the protocol, at the case: phases: {"4": arterial}.')
        print("Add them, then: liverai study amend STUDY PROTOCOL --reason ..., and prepare again.")
    print(f"{batch.ready} cases are ready ({batch.new} new), {len(batch.failed)} failed.")
    return 3 if batch.failed else 0


def run_seal(args: argparse.Namespace) -> int:
    """Seal the protocol; says so if cases are not prepared, as nobody can read then."""
    from LiverAILib.readerstudy.coordinate import seal_study
    from LiverAILib.readerstudy.standing import study_progress

    print(f"Sealed. SHA-256 of the protocol: {seal_study(args.study)}")
    ready, total = study_progress(args.study).prepared
    if ready < total:
        print(f"{total - ready} of {total} cases are not prepared yet: liverai study prepare {args.study}")
    return 0


def run_amend(args: argparse.Namespace) -> int:
    """Amend a sealed protocol."""
    from LiverAILib.readerstudy.coordinate import amend_study

    changes = amend_study(args.study, args.protocol, args.reason, _truth(args))
    words = (f"{key} {', '.join(value)}" if key.endswith(" of") else key for key, value in sorted(changes.items()))
    print(f"Amended: {'; '.join(words)}.")
    return 0


def run_status(args: argparse.Namespace) -> int:
    """Print the progress."""
    from LiverAILib.readerstudy.standing import study_progress

    print(study_progress(args.study).text(), end="")
    return 0


def run_verify(args: argparse.Namespace) -> int:
    """Verify the files."""
    from LiverAILib.readerstudy.verify import verify_study

    verified = verify_study(args.study, None if args.no_truth else _truth(args), files=args.files)
    for line in verified.checked:
        print(f"As written: {line}")
    print(f"Last entry: {verified.head.number} {verified.head.hash}")
    return 0


def run_reopen(args: argparse.Namespace) -> int:
    """Reopen an answer."""
    from LiverAILib.readerstudy.coordinate import reopen

    reopen(args.study, args.reader, args.case, args.arm, args.reason)
    print(f"{args.case} ({args.arm}) comes first at the next login of {args.reader}.")
    return 0


def run_override(args: argparse.Namespace) -> int:
    """Override a rule."""
    from LiverAILib.readerstudy.coordinate import override

    override(args.study, args.rule, args.reason, args.reader, args.case)
    print(f"The rule {args.rule} is set aside; the report says so with the reason.")
    return 0
