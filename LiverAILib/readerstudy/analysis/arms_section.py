"""The comparison of the arms over readers and cases: the endpoint first, then every other figure of merit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import get_args

from LiverAILib.readerstudy.analysis import plots
from LiverAILib.readerstudy.analysis.prepared import MERITS, Prepared
from LiverAILib.readerstudy.analysis.study_section import endpoint_words, is_primary, not_primary_words, pair_of
from LiverAILib.readerstudy.analysis.tables import (
    Cell,
    Content,
    Picture,
    Plain,
    Refusal,
    Section,
    Table,
    attempt,
    attempt_both,
)
from LiverAILib.readerstudy.dataset import Endpoint, Merit, Target
from LiverAILib.readerstudy.statistics.claims import mrmc_non_inferiority
from LiverAILib.readerstudy.statistics.estimate import Estimate, Sampling, StatisticsError, TestResult
from LiverAILib.readerstudy.statistics.merits import CovarianceMethod, MeritTable
from LiverAILib.readerstudy.statistics.mrmc import MrmcAnalysis, arm_mean, obuchowski_rockette
from LiverAILib.readerstudy.statistics.paired import NonInferiority
from LiverAILib.readerstudy.statistics.roc import PairedDifference

BOTH_RANDOM: Sampling = "random readers, random cases"


@dataclass(frozen=True)
class Asked:
    """A figure of merit of a question; the lesions' wAFROC has none."""

    merit: Merit
    target: Target

    @property
    def name(self) -> str:
        """With the class that it is of."""
        if self.merit == "wAFROC":
            return "wAFROC (lesions)"
        if self.merit == "specificity":
            return f"specificity ({self.target.negative})"
        if self.merit == "accuracy":
            return f"accuracy ({self.target.positive} or not)"
        return f"{self.merit} ({self.target.positive})"


def asked(prepared: Prepared) -> tuple[Asked, ...]:
    """Every figure of every question; wAFROC once."""
    targets = [grid.target for grid in prepared.grids]
    found = [Asked(merit, target) for target in targets for merit in MERITS if merit != "wAFROC"]
    if targets and any(answer.marks is not None for answer in prepared.data.answers):
        found.append(Asked("wAFROC", targets[0]))
    return tuple(found)


def is_endpoint(which: Asked, endpoint: Endpoint | None) -> bool:
    """Whether this is the endpoint's figure."""
    if endpoint is None or which.merit != endpoint.merit:
        return False
    return which.merit == "wAFROC" or which.target is endpoint.target


def two_arms(prepared: Prepared, which: Asked, covariance: CovarianceMethod | None = None) -> MeritTable:
    """The figure's table; raises StatisticsError if it is not estimable."""
    return prepared.merits(which.merit, which.target, covariance=covariance)


def arms_section(prepared: Prepared) -> Section:
    """Primary comparison (if sealed), all figures with random readers and cases, and the narrower questions."""
    protocol = prepared.data.protocol
    pair = pair_of(protocol)
    title = "Primary comparison, and the arms in every other figure" if is_primary(protocol) else "Comparison of arms"
    if pair is None:
        return Section(title=title, text=("There is one arm only: nothing to compare.",))
    tables = [_means(prepared), _overview(prepared, pair), _samplings(prepared, pair), _components(prepared)]
    text = [
        (
            "Obuchowski-Rockette model with Hillis' degrees of freedom; a difference is always "
            f"{pair[0]} minus {pair[1]}. Pooling the readers' answers (McNemar) takes answers to one case for "
            "independent, and a paired t test over readers takes these cases for all there are: both find differences "
            "where there is none (`liverai study simulate` shows how often), so neither is used."
        )
    ]
    if protocol.endpoint is not None:
        tables.insert(0, _endpoint_table(prepared, protocol.endpoint))
        if not is_primary(protocol):
            text.insert(0, f"The {not_primary_words(protocol)} is not primary; it is listed first all the same.")
    return Section(title=title, text=tuple(text), tables=tuple(tables), pictures=_pictures(prepared, pair))


def _contents(
    table: MeritTable, pair: tuple[str, str], sampling: Sampling, level: float
) -> tuple[MrmcAnalysis, Estimate, TestResult]:
    found = obuchowski_rockette(table, sampling, level)
    between = found.difference(*pair)
    return found, between.difference, between.test


def _endpoint_table(prepared: Prepared, endpoint: Endpoint) -> Table:
    """The endpoint's test, and with a margin the one-sided claim."""
    which, level = Asked(endpoint.merit, endpoint.target), 1 - prepared.data.protocol.alpha
    pair = (endpoint.first, endpoint.second)
    protocol = prepared.data.protocol
    kind = "primary endpoint" if is_primary(protocol) else not_primary_words(protocol)
    cells: list[Cell] = []
    notes = [f"{kind}: {endpoint_words(endpoint)}."]

    def add(column: str, content: Content) -> None:
        cells.append(Cell(row=which.name, column=column, content=content))

    try:
        table = two_arms(prepared, which)
        for arm in (endpoint.first, endpoint.second):
            add(f"mean, {arm}", attempt(partial(arm_mean, table, arm, endpoint.sampling, level)))
        found, difference, test = _contents(table, pair, endpoint.sampling, level)
        add(f"{pair[0]} minus {pair[1]}", difference)
        add("test of no difference", test)
        notes += found.notes
        if endpoint.margin is not None:
            claim = mrmc_non_inferiority(
                table,
                first=pair[0],
                second=pair[1],
                margin=endpoint.margin,
                alpha=prepared.data.protocol.alpha / 2,
                sampling=endpoint.sampling,
            )
            add(f"test against -{endpoint.margin:g}, one-sided", claim.test)
            notes.append(claim_words(claim))
    except StatisticsError as refusal:
        add(f"{pair[0]} minus {pair[1]}", Refusal(str(refusal)))
    return Table(
        key="endpoint",
        title=kind[0].upper() + kind[1:],
        rows_are="figure",
        cells=tuple(cells),
        notes=tuple(notes),
    )


def claim_words(claim: NonInferiority, against: str | None = None) -> str:
    """The outcome of a non-inferiority test in a sentence; `against` is what to call the second."""
    low = f"the interval's lower end is {claim.difference.low:.3f}, the margin -{claim.margin:g}"
    second = against or claim.second
    if claim.superior:
        return f"{claim.first} is not inferior to {second}, and superior ({low})."
    verdict = "is not inferior to" if claim.shown else "is not shown to be non-inferior to"
    return f"{claim.first} {verdict} {second} ({low})."


def _means(prepared: Prepared) -> Table:
    cells = []
    for which in asked(prepared):
        for arm in prepared.data.arm_names:

            def mean(which: Asked = which, arm: str = arm) -> Content:
                return arm_mean(two_arms(prepared, which), arm, BOTH_RANDOM, prepared.settings.level)

            cells.append(Cell(row=which.name, column=f"mean, {arm}", content=attempt(mean)))
    return Table(key="arm_means", title="Readers' means in each arm", rows_are="figure", cells=tuple(cells))


def secondary_tests(prepared: Prepared) -> dict[str, TestResult]:
    """The tests of all figures but the endpoint's, by name; those that are refused are left out."""
    pair = pair_of(prepared.data.protocol)
    found: dict[str, TestResult] = {}
    for which in asked(prepared):
        if pair is None or (is_primary(prepared.data.protocol) and is_endpoint(which, prepared.data.protocol.endpoint)):
            continue
        content = attempt(partial(_test, prepared, which, pair))
        if isinstance(content, TestResult):
            found[which.name] = content
    return found


def _test(prepared: Prepared, which: Asked, pair: tuple[str, str]) -> Content:
    return _contents(two_arms(prepared, which), pair, BOTH_RANDOM, prepared.settings.level)[2]


def _overview(prepared: Prepared, pair: tuple[str, str]) -> Table:
    cells: list[Cell] = []
    notes: list[str] = []
    for which in asked(prepared):
        columns = (f"{pair[0]} minus {pair[1]}", "test of no difference")
        try:
            found, difference, test = _contents(two_arms(prepared, which), pair, BOTH_RANDOM, prepared.settings.level)
            contents: list[Content] = [difference, test]
            notes += [f"{which.name}: {note}" for note in found.notes]
        except StatisticsError as refusal:
            contents = [Refusal(str(refusal))] * 2
        cells += [Cell(row=which.name, column=c, content=each) for c, each in zip(columns, contents, strict=True)]
    return Table(
        key="arms_all_figures",
        title=f"{pair[0]} minus {pair[1]} in every figure, readers and cases random",
        rows_are="figure",
        cells=tuple(cells),
        notes=(*notes, "Tests other than a primary one are secondary: see the Holm-adjusted p-values below."),
    )


def _samplings(prepared: Prepared, pair: tuple[str, str]) -> Table:
    cells = []
    for which in asked(prepared):
        for sampling in get_args(Sampling)[1:]:

            def compute(which: Asked = which, sampling: Sampling = sampling) -> PairedDifference:
                found = obuchowski_rockette(two_arms(prepared, which), sampling, prepared.settings.level)
                return found.difference(*pair)

            difference, test = attempt_both(compute)
            cells.append(Cell(row=which.name, column=sampling, content=difference))
            cells.append(Cell(row=which.name, column=f"test, {sampling}", content=test))
        if which.merit == "AUC":
            for covariance in get_args(CovarianceMethod):
                if covariance == prepared.settings.covariance:
                    continue

                def other(which: Asked = which, covariance: CovarianceMethod = covariance) -> Content:
                    table = two_arms(prepared, which, covariance)
                    return _contents(table, pair, BOTH_RANDOM, prepared.settings.level)[2]

                column = f"test, readers and cases random, {covariance} covariance"
                cells.append(Cell(row=which.name, column=column, content=attempt(other)))
    return Table(
        key="arms_other_samplings",
        title=f"{pair[0]} minus {pair[1]}: narrower questions, and other estimates of the covariance",
        rows_are="figure",
        cells=tuple(cells),
        notes=("Fixed readers: for these readers and other patients. Fixed cases: for other readers, these patients.",),
    )


def _components(prepared: Prepared) -> Table:
    names = {
        "ms_arm": "mean square of arms",
        "ms_reader": "mean square of readers",
        "ms_arm_reader": "mean square of arm by reader",
        "error": "error variance",
        "same_reader": "Cov1 (same reader)",
        "same_arm": "Cov2 (same arm)",
        "neither": "Cov3 (neither)",
    }
    cells = []
    for which in asked(prepared):
        try:
            table = two_arms(prepared, which)
            parts = obuchowski_rockette(table, "fixed readers, random cases").components
        except StatisticsError as refusal:
            cells.append(Cell(row=which.name, column=names["ms_arm"], content=Refusal(str(refusal))))
            continue
        for key, name in names.items():
            value = Plain(name=name, value=getattr(parts, key), n=table.n, unit=table.unit, method=table.method)
            cells.append(Cell(row=which.name, column=name, content=value))
    return Table(key="components", title="Variance components", rows_are="figure", cells=tuple(cells))


def _pictures(prepared: Prepared, pair: tuple[str, str]) -> tuple[Picture, ...]:
    bars = []
    for which in asked(prepared):
        try:
            _, difference, _ = _contents(two_arms(prepared, which), pair, BOTH_RANDOM, prepared.settings.level)
        except StatisticsError:
            continue
        bars.append((which.name, difference))
    if not bars:
        return ()
    return (
        Picture(
            key="arms_differences",
            title=f"{pair[0]} minus {pair[1]}",
            caption=f"{prepared.settings.level:.0%} intervals, readers and cases random; right of 0 is for {pair[0]}.",
            draw=partial(plots.draw_intervals, bars=bars, label=f"{pair[0]} minus {pair[1]}"),
            inches=(7.0, 0.9 + 0.38 * len(bars)),
        ),
    )
