"""`liverai study analyze`, `power`, `simulate`, `export` and `import`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from LiverAILib.readerstudy.dataset import Dataset

LAYOUTS = ("long", "imrmc", "mrmcaov", "rjafroc")


def add_parsers(subparsers: Any) -> None:
    """Add the commands of the analysis to those of `liverai study`."""
    _add_analyze(subparsers)
    _add_power(subparsers)
    _add_simulate(subparsers)
    _add_exchange(subparsers)


def _add(subparsers: Any, name: str, run: Any, text: str, description: str = "") -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = subparsers.add_parser(name, help=text, description=description or text)
    parser.add_argument("--verbose", action="store_true", help="tracebacks on stderr")
    parser.set_defaults(run=run)
    return parser


def _add_study(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    parser.add_argument(
        "study",
        type=Path,
        metavar="STUDY",
        nargs="?" if optional else None,
        help="the study file, or a folder that `export` or `import` wrote",
    )
    parser.add_argument("--truth", type=Path, metavar="FILE", help="the coordinator's file (default: beside the study)")


def _add_target(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--target", choices=("HCC", "malignant"), help="the question (default: that of the endpoint)")


def _add_analyze(subparsers: Any) -> None:
    parser = _add(
        subparsers,
        "analyze",
        run_analyze,
        "write the report: HTML, PDF, and every table as CSV",
        "Write report.html, report.pdf and a CSV of every table. Each figure has its n, unit and method; what is not "
        "estimable is refused in words. An endpoint is called primary only if the protocol was sealed with it.",
    )
    _add_study(parser)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="folder, complete or not there")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier report")
    parser.add_argument("--level", type=float, default=0.95, help="of the intervals (default: 0.95)")
    parser.add_argument("--replicates", type=int, default=2000, metavar="N", help="of the bootstrap (default: 2000)")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap (default: 0)")
    parser.add_argument("--covariance", choices=("jackknife", "DeLong", "unbiased"), default="jackknife")
    parser.add_argument("--interval", choices=("Clopper-Pearson", "Wilson"), default="Clopper-Pearson")
    parser.add_argument("--prevalence", type=float, nargs="+", metavar="P", help="of the predictive values (fractions)")
    parser.add_argument("--effect", type=float, default=0.05, help="difference that the power tables are for")


def _add_power(subparsers: Any) -> None:
    parser = _add(
        subparsers,
        "power",
        run_power,
        "power and sample size of a next study, with the formula",
        "Power of the comparison of arms with a study as the pilot, or with --discordant the patients for a paired "
        "non-inferiority comparison. The formula is printed.",
    )
    _add_study(parser, optional=True)
    _add_target(parser)
    parser.add_argument("--merit", choices=("AUC", "accuracy", "sensitivity", "specificity", "wAFROC"), default="AUC")
    parser.add_argument("--effect", type=float, default=0.05, help="true difference of the arms (default: 0.05)")
    parser.add_argument("--readers", type=int, default=6)
    parser.add_argument("--cases", type=int, help="patients; without it, as many as --power needs")
    parser.add_argument("--power", type=float, default=0.8, help="wanted (default: 0.8)")
    parser.add_argument("--alpha", type=float, default=0.05, help="two-sided; paired: half of it, one-sided")
    parser.add_argument("--discordant", type=float, metavar="SHARE", help="patients on whom the two disagree; paired")
    parser.add_argument("--margin", type=float, default=0.05, help="of non-inferiority; paired")


def _add_simulate(subparsers: Any) -> None:
    parser = _add(
        subparsers,
        "simulate",
        run_simulate,
        "power and type I error by simulated studies of this layout",
        "Draw studies from the Roe-Metz model on a study's own layout, or on --readers, --positive, --negative, and "
        "count how often each test rejects: with --effect its power, without an effect its type I error.",
    )
    _add_study(parser, optional=True)
    _add_target(parser)
    parser.add_argument("--readers", type=int, default=6)
    parser.add_argument("--positive", type=int, default=54, help="patients of the class asked for")
    parser.add_argument("--negative", type=int, default=41, help="patients of the other class")
    parser.add_argument("--auc", type=float, default=0.85, help="of the first arm (default: 0.85)")
    parser.add_argument("--effect", type=float, default=0.05, help="added to it in the second arm")
    parser.add_argument("--replicates", type=int, default=600, metavar="N", help="simulated studies")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--alpha", type=float, default=0.05)
    parser.add_argument(
        "--benchmark",
        choices=("type-one", "time"),
        help="type-one: 600 null studies of 95 patients with 3 and with 6 readers; time: one whole study of 6 readers, "
        "2 arms, 300 patients through the report",
    )
    parser.add_argument(
        "--write", type=Path, metavar="FOLDER", help="write one whole simulated study, to try things on"
    )


def _add_exchange(subparsers: Any) -> None:
    export = _add(subparsers, "export", run_export, "write the data for other programs: CSV, iMRMC, MRMCaov, RJafroc")
    _add_study(export)
    _add_target(export)
    export.add_argument("--layout", choices=LAYOUTS, required=True)
    export.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="folder of CSV (long), or file")
    read = _add(subparsers, "import", run_import, "read data of other programs into a folder that analyze takes")
    read.add_argument("file", type=Path, metavar="FILE")
    read.add_argument("--layout", choices=LAYOUTS[1:], required=True)
    read.add_argument("--target", choices=("HCC", "malignant"), default="malignant", help="what the ratings are of")
    read.add_argument("--assisted", nargs="*", default=[], metavar="ARM", help="names of the arms with AI")
    read.add_argument("-o", "--output", type=Path, required=True, metavar="OUT")


def load(path: Path, truth: Path | None) -> Dataset:
    """A study file or an exported folder. Raises LiverAIError."""
    if path.is_dir():
        from LiverAILib.readerstudy.exchange.long_csv import read_long

        return read_long(path)
    from LiverAILib.readerstudy.load import load_dataset

    return load_dataset(path, truth)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


def run_analyze(args: argparse.Namespace) -> int:
    """Write the report."""
    from LiverAILib.readerstudy.analysis.prepared import Settings
    from LiverAILib.readerstudy.analysis.report import make_report
    from LiverAILib.readerstudy.analysis.write import check_plotting, reserve_report
    from LiverAILib.readerstudy.statistics.estimate import StatisticsError, check_level

    check_level(args.level)
    if args.replicates < 100:
        raise StatisticsError(f"{args.replicates} replicates are too few for an interval. Take 100 or more.")
    check_plotting()
    prevalences = {"prevalences": tuple(args.prevalence)} if args.prevalence else {}
    settings = Settings(
        level=args.level,
        replicates=args.replicates,
        seed=args.seed,
        covariance=args.covariance,
        interval=args.interval,
        effect=args.effect,
        **prevalences,
    )
    with reserve_report(args.output, overwrite=args.overwrite) as write:
        report = make_report(load(args.study, args.truth), settings)
        write(report)
    for remark in report.remarks:
        _say(remark)
    _say(f"Report: {args.output / 'report.html'}, {args.output / 'report.pdf'}, and a CSV of every table.")
    return 0


def _target(args: argparse.Namespace, data: Dataset) -> Any:
    from LiverAILib.readerstudy.dataset import Target

    if args.target is not None:
        return Target(args.target)
    return data.protocol.endpoint.target if data.protocol.endpoint is not None else Target.MALIGNANT


def run_power(args: argparse.Namespace) -> int:
    """Print power or sample size with the formula."""
    from LiverAILib.readerstudy.analysis.prepared import Prepared
    from LiverAILib.readerstudy.statistics.estimate import StatisticsError
    from LiverAILib.readerstudy.statistics.mrmc import components_of
    from LiverAILib.readerstudy.statistics.power import mrmc_cases_needed, mrmc_power, paired_non_inferiority_cases

    if args.discordant is not None:
        needed = paired_non_inferiority_cases(
            margin=args.margin, discordant=args.discordant, alpha=args.alpha / 2, power=args.power
        )
        _say(
            f"{needed.cases} patients for paired non-inferiority: margin {needed.margin:g}, {needed.discordant:.1%} "
            f"discordant, no true difference, one-sided alpha {needed.alpha:g}, power {needed.power:g}."
        )
        _say(f"Formula: {needed.formula}.")
        return 0
    if args.study is None:
        raise StatisticsError("Name a study to take as the pilot, or give --discordant for a paired comparison.")
    data = load(args.study, args.truth)
    table = Prepared(data).merits(args.merit, _target(args, data))
    if min(table.values.shape) < 2:
        raise StatisticsError("A pilot needs two arms and two readers or more.")
    pilot = components_of(table)
    common = {"pilot_cases": table.n, "effect": args.effect, "readers": args.readers, "alpha": args.alpha}
    if args.cases is not None:
        found = mrmc_power(pilot, cases=args.cases, **common)
    else:
        found = mrmc_cases_needed(pilot, power=args.power, **common)
    _say(
        f"Power {found.power:.3f} with {found.readers} readers and {found.cases} {table.unit} for a difference of "
        f"{found.effect:g} in {table.name}, two-sided alpha {found.alpha:g} (pilot: {table.n} {table.unit})."
    )
    _say(f"df {found.degrees_of_freedom:.1f}, lambda {found.noncentrality:.2f}. Formula: {found.formula}.")
    return 0


def run_simulate(args: argparse.Namespace) -> int:
    """Print shares of rejections, or measure."""
    from LiverAILib.readerstudy.statistics import simulate as sim

    if args.write is not None:
        return _write_simulated(args)
    if args.benchmark == "time":
        return _measure_time()
    if args.benchmark == "type-one":
        for found in sim.type_one_error_table(replicates=args.replicates, seed=args.seed).values():
            _show(found, "Type I error")
        return 0
    layout = sim.Layout(readers=args.readers, positive=args.positive, negative=args.negative)
    if args.study is not None:
        from LiverAILib.readerstudy.analysis.prepared import Prepared

        data = load(args.study, args.truth)
        layout = sim.layout_of(Prepared(data).grid(_target(args, data)).readings("ratings"))
    options = {"replicates": args.replicates, "seed": args.seed, "alpha": args.alpha}
    _show(sim.simulate_rejections(sim.model_of(args.auc), layout, **options), "Type I error")
    if args.effect:
        _show(sim.simulate_rejections(sim.model_of(args.auc, args.effect), layout, **options), "Power")
    return 0


def _show(found: Any, what: str) -> None:
    from LiverAILib.readerstudy.statistics import simulate as sim

    _say(f"{what} at two-sided alpha {found.alpha:g}. {found.formula}.")
    for name, share in found.rejected.items():
        unused = "" if name in (sim.PRIMARY, sim.PRIMARY_ACCURACY) else "  (not used: too narrow)"
        _say(f"  {share.value:6.1%} ({share.low:.1%} to {share.high:.1%})  {name}{unused}")
    if found.refused:
        _say(f"  {found.refused} tests were refused and count as not rejecting.")


def _write_simulated(args: argparse.Namespace) -> int:
    from LiverAILib.readerstudy.exchange.folder import write_folder
    from LiverAILib.readerstudy.simulated import SimulatedStudy, simulate_study

    cases = args.positive + args.negative
    write_folder(args.write, simulate_study(SimulatedStudy(readers=args.readers, cases=cases, seed=args.seed)))
    _say(f"A simulated study of {args.readers} readers and {cases} patients: {args.write}")
    return 0


def _measure_time() -> int:
    """One whole study through the report, files included."""
    import tempfile

    from LiverAILib.readerstudy.analysis.report import make_report
    from LiverAILib.readerstudy.analysis.write import write_report
    from LiverAILib.readerstudy.simulated import simulate_study

    data = simulate_study()
    with tempfile.TemporaryDirectory() as folder:
        wall, used = perf_counter(), process_time()
        report = make_report(data)
        computed = process_time() - used
        write_report(report, Path(folder) / "report")
        wall, used = perf_counter() - wall, process_time() - used
    _say(
        f"{len(data.readers)} readers, {len(data.protocol.arms)} arms, {len(data.cases)} patients, bootstrap of 2000: "
        f"{wall:.1f} s; {used:.1f} s of processor time, {computed:.1f} s of it for the figures, the rest for the files."
    )
    return 0


def run_export(args: argparse.Namespace) -> int:
    """Write the data in another layout."""
    from LiverAILib.readerstudy.exchange import folder, imrmc, mrmcaov, ratings, rjafroc

    data = load(args.study, args.truth)
    if args.layout == "long":
        folder.write_folder(args.output, data)
        _say(f"Written: {args.output}")
        return 0
    if args.layout == "rjafroc":
        marks = rjafroc.marks_of(data)
        folder.write_file(args.output, lambda path: rjafroc.write_rjafroc(path, marks))
        _say(f"Written: {args.output} (the AI alone is not in it)")
        return 0
    given = ratings.ratings_of(data, _target(args, data))
    if args.layout == "imrmc":
        title = f"{data.protocol.study}; {_target(args, data).positive}"
        folder.write_file(args.output, lambda path: imrmc.write_imrmc(path, given, title=title))
    else:
        folder.write_file(args.output, lambda path: mrmcaov.write_mrmcaov(path, given))
    _say(f"Written: {args.output}, {len(given.ratings)} ratings (the AI alone is not in it)")
    return 0


def run_import(args: argparse.Namespace) -> int:
    """Read another layout into a folder."""
    from LiverAILib.readerstudy.dataset import DatasetError, Target
    from LiverAILib.readerstudy.exchange import folder, imrmc, mrmcaov, ratings, rjafroc

    if not args.file.is_file():
        raise DatasetError(f"{args.file} is not a file. Name the file to read.")
    if args.layout == "rjafroc":
        marks = rjafroc.read_rjafroc(args.file)
        data = rjafroc.dataset_of_marks(marks, study=args.file.stem, assisted=args.assisted)
    else:
        given = (imrmc.read_imrmc if args.layout == "imrmc" else mrmcaov.read_mrmcaov)(args.file)
        data = ratings.dataset_of(given, Target(args.target), study=args.file.stem, assisted=args.assisted)
    folder.write_folder(args.output, data)
    _say(f"Written: {args.output}. Now: liverai study analyze {args.output} -o REPORT")
    return 0
