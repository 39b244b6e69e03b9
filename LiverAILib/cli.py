"""The `liverai` command. Subcommands are imported only when they are asked for, so that `--help` is instant."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence

from LiverAILib import __version__
from LiverAILib.errors import LiverAIError, ResourceLimitError

#: Subcommand: (module, function that adds its parser, one line of help).
COMMANDS = {
    "analyze": (
        "LiverAILib.analysis.command",
        "add_analyze_parser",
        "find liver and lesions, write a run folder",
    ),
    "inspect": ("LiverAILib.analysis.command", "add_inspect_parser", "say what is there and what would be used"),
    "phantom": ("LiverAILib.phantom.command", "add_parser", "write a synthetic exam with known truth"),
    "train": ("LiverAILib.training.command", "add_parser", "train a network"),
    "evaluate": ("LiverAILib.evaluation.command", "add_parser", "measure findings against known truth"),
    "study": (
        "LiverAILib.readerstudy.command",
        "add_parser",
        "a reader study: readings with and without the AI, and their analysis",
    ),
    "demo": ("LiverAILib.demo", "add_parser", "a synthetic exam from DICOM to a Slicer scene"),
}

EXIT_CODES = """\
exit codes:
  0    done
  1    an error that should not happen; --verbose shows where
  2    wrong use of the command
  3    the study (or a run folder) can't be used; the last line says why
  4    the phase of a series is uncertain: say it with --phase SERIES=PHASE
  5    a model package is missing, damaged, or not what it claims to be
  6    the result can't be written: no permission, disk full, or it is there already
  7    not enough memory, or no such device
  130  stopped with Ctrl-C (SIGINT)
  137  killed by the system (SIGKILL), most often for want of memory; the next run tidies up
  143  ended by SIGTERM
After an error the last line on stderr says what is wrong and what to do. No run folder is left half-written.

Research use only. Not for diagnosis."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    return run_command(build_parser(argv).parse_args(argv))


def run_command(args: argparse.Namespace) -> int:
    """Run the parsed command; every error becomes one sentence on stderr and an exit code."""
    from LiverAILib.child import Stopped

    try:
        with _quiet_libraries():
            return int(args.run(args))
    except LiverAIError as error:
        return _fail(error, error.exit_code, args)
    except (KeyboardInterrupt, Stopped) as stop:
        _say("liverai: stopped; nothing is left half-written.")
        return stop.exit_code if isinstance(stop, Stopped) else 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the reader of our output has gone: nothing is left to say
        return 0
    except Exception as error:  # noqa: BLE001  the one place where every error ends: it becomes a sentence
        if _out_of_memory(error):
            shown = ResourceLimitError("Memory ran out. Close other programs, or give fewer phases.")
            return _fail(shown, shown.exit_code, args, error)
        hint = "" if getattr(args, "verbose", False) else " Run it again with --verbose to see where."
        return _fail(LiverAIError(f"Unexpected error ({type(error).__name__}).{hint}"), 1, args, error)


def build_parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    """The parser. Of the subcommands only the one that `argv` asks for has its options."""
    parser = argparse.ArgumentParser(
        prog="liverai",
        description="Liver CT analysis: the liver and its lesions in a multi-phase CT exam.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"liverai {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    wanted = next((argument for argument in argv if not argument.startswith("-")), None)
    for name, (module, function, text) in COMMANDS.items():
        if name == wanted:
            add = getattr(importlib.import_module(module), function)
            if function == "add_parser":
                add(subparsers)
            else:
                raw = argparse.RawDescriptionHelpFormatter
                add(subparsers, name, help=text, epilog=EXIT_CODES, formatter_class=raw)
        else:
            subparsers.add_parser(name, help=text)
    return parser


@contextlib.contextmanager
def _quiet_libraries() -> Iterator[None]:
    """Keep the libraries' warnings off stderr: they quote values of DICOM tags, a patient's name among them."""
    for name in ("pydicom", "highdicom"):
        logger = logging.getLogger(name)
        logger.addHandler(logging.NullHandler())
        logger.propagate = False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _out_of_memory(error: Exception) -> bool:
    """Whether it is Python's, numpy's or torch's (CPU or GPU) way of saying so; torch's CPU one is a RuntimeError."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and "allocate memory" in str(error))
    )


def _fail(error: LiverAIError, code: int, args: argparse.Namespace, cause: BaseException | None = None) -> int:
    if getattr(args, "verbose", False):
        traceback.print_exception(cause or error, file=sys.stderr)
    logging.getLogger("LiverAILib").debug("exit code %d", code)
    _say(f"liverai: {error}")
    return code


def _say(text: str) -> None:
    sys.stderr.write(" ".join(text.split()) + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
