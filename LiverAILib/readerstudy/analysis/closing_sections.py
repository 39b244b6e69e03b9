"""The last chapters: adjusted p-values, power of a next study, and how everything was computed."""

from __future__ import annotations

import platform
from functools import partial
from importlib.metadata import version

import numpy as np
import scipy

from LiverAILib import __version__
from LiverAILib.readerstudy.analysis.arms_section import Asked, asked, secondary_tests, two_arms
from LiverAILib.readerstudy.analysis.prepared import Prepared
from LiverAILib.readerstudy.analysis.select import Grid
from LiverAILib.readerstudy.analysis.study_section import is_primary, pair_of
from LiverAILib.readerstudy.analysis.tables import Cell, Content, Plain, Section, Table, attempt
from LiverAILib.readerstudy.analysis.use_section import time_test
from LiverAILib.readerstudy.statistics.estimate import StatisticsError, TestResult
from LiverAILib.readerstudy.statistics.mrmc import Components, components_of
from LiverAILib.readerstudy.statistics.paired import PairedCounts, count_pairs, holm
from LiverAILib.readerstudy.statistics.power import (
    MRMC_FORMULA,
    PAIRED_FORMULA,
    mrmc_cases_needed,
    mrmc_power,
    paired_non_inferiority_cases,
)

#: Numbers of readers and cases that the power tables are for.
READERS = (3, 4, 6, 8, 12)
CASES = (50, 100, 200, 300, 500)


def multiplicity_section(prepared: Prepared) -> Section:
    """Holm's adjusted p-values of the secondary comparisons of the arms."""
    tests = {**secondary_tests(prepared), **time_test(prepared)}
    known = {name: test for name, test in tests.items() if 0 <= test.p_value <= 1}
    adjusted = holm({name: test.p_value for name, test in known.items()})
    cells: list[Cell] = []
    for name, test in known.items():
        cells.append(Cell(row=name, column="p", content=test))
        corrected = TestResult(
            name=test.name,
            statistic=test.statistic,
            p_value=adjusted[name],
            n=test.n,
            unit=test.unit,
            method=f"Holm over {len(known)} tests",
            degrees_of_freedom=test.degrees_of_freedom,
        )
        cells.append(Cell(row=name, column="p, Holm-adjusted", content=corrected))
    of = "all comparisons of the arms" + (" but the primary one" if is_primary(prepared.data.protocol) else "")
    return Section(
        title="Multiplicity",
        text=(
            (
                f"Holm's correction over {of}, readers and cases random, with the active reading time. Tests of single "
                "readers and of the AI against readers are not in this family and are not adjusted."
            ),
        ),
        tables=(Table(key="holm", title="Adjusted p-values", rows_are="comparison", cells=tuple(cells)),)
        if cells
        else (),
    )


def planning_section(prepared: Prepared) -> Section:
    """Power and cases of a next study with this one as the pilot, for the difference that was asked about."""
    effect, alpha = prepared.settings.effect, prepared.data.protocol.alpha
    tables = [table for which in asked(prepared) if which.merit == "AUC" for table in _mrmc(prepared, which)]
    tables += _paired(prepared)
    return Section(
        title="Power of a next study",
        text=(
            (
                f"With this study's variance components as the pilot's, for a true difference of {effect:g}, "
                f"two-sided alpha {alpha:g}. Formula: {MRMC_FORMULA}."
            ),
            f"Paired non-inferiority of accuracy: {PAIRED_FORMULA}.",
            "`liverai study simulate` draws studies of this layout and counts rejections: power and type I error.",
        ),
        tables=tuple(tables),
    )


def _mrmc(prepared: Prepared, which: Asked) -> list[Table]:
    effect, alpha = prepared.settings.effect, prepared.data.protocol.alpha

    def pilot() -> tuple[Components, int]:
        table = two_arms(prepared, which)
        if len(table.arms) < 2 or len(table.readers) < 2:
            raise StatisticsError("A pilot needs two arms and two readers or more.")
        return components_of(table), table.n

    def power(readers: int, cases: int) -> Content:
        parts, n = pilot()
        found = mrmc_power(parts, pilot_cases=n, effect=effect, readers=readers, cases=cases, alpha=alpha)
        return Plain(name="power", value=found.power, n=cases, unit="patients", method="Hillis, from this pilot")

    def needed(readers: int) -> Content:
        parts, n = pilot()
        found = mrmc_cases_needed(parts, pilot_cases=n, effect=effect, readers=readers, alpha=alpha)
        name = "patients for a power of 0.8"
        return Plain(name=name, value=found.cases, n=n, unit="patients in the pilot", method="Hillis, from this pilot")

    cells: list[Cell] = []
    for readers in READERS:
        row = f"{readers} readers"
        cells += [
            Cell(row=row, column=f"{cases} patients", content=attempt(partial(power, readers, cases)))
            for cases in CASES
        ]
        cells.append(Cell(row=row, column="patients for a power of 0.8", content=attempt(partial(needed, readers))))
    name = which.target.name.lower()
    return [Table(key=f"power_{name}", title=f"Power, {which.name}", rows_are="readers", cells=tuple(cells))]


def _paired(prepared: Prepared) -> list[Table]:
    endpoint, pair = prepared.data.protocol.endpoint, pair_of(prepared.data.protocol)
    if endpoint is None or endpoint.margin is None or pair is None:
        return []
    margin, cells = endpoint.margin, []
    for grid in prepared.grids:
        for reader in grid.readers:

            def needed(grid: Grid = grid, reader: str = reader) -> Content:
                counts = _discordant(grid, reader, pair)
                share = (counts.only_first + counts.only_second) / counts.n
                alpha = prepared.data.protocol.alpha / 2
                found = paired_non_inferiority_cases(margin=margin, discordant=share, alpha=alpha)
                method = f"{share:.1%} discordant as here, no true difference, power 0.8"
                return Plain(
                    name="patients", value=found.cases, n=counts.n, unit="patients in the pilot", method=method
                )

            column = f"patients needed, {grid.target.positive} or not"
            cells.append(Cell(row=reader, column=column, content=attempt(needed)))
    title = f"Patients for paired non-inferiority of one reader's accuracy, margin {margin:g}"
    return [Table(key="power_paired", title=title, rows_are="reader", cells=tuple(cells))]


def _discordant(grid: Grid, reader: str, pair: tuple[str, str]) -> PairedCounts:
    rows = [grid.row(reader, arm, "decisions") for arm in pair]
    both = np.isfinite(rows[0]) & np.isfinite(rows[1])
    right = {arm: (row == grid.truth)[both] for arm, row in zip(pair, rows, strict=True)}
    return count_pairs(right, first=pair[0], second=pair[1])


def methods_section(prepared: Prepared) -> Section:
    """Definitions, seeds and versions."""
    chosen = prepared.settings
    facts = (
        ("intervals", f"{chosen.level:.0%} unless a table says otherwise"),
        ("covariance of AUC and wAFROC", f"{chosen.covariance}, over cases; unless a table names another"),
        ("bootstrap", f"{chosen.replicates} replicates over patients, seed {chosen.seed}"),
        ("software", f"LiverAI {__version__}, numpy {np.__version__}, scipy {scipy.__version__}"),
        ("plots", f"matplotlib {version('matplotlib')}, Python {platform.python_version()}"),
    )
    return Section(
        title="Methods",
        text=_METHODS,
        facts=facts,
    )


_METHODS = (
    (
        "Proportions: exact intervals (Clopper and Pearson 1934), or Wilson's where a table names them. F1: the "
        "exact interval of hit / (hit + missed + false), transformed. Cohen's kappa: Fleiss, Cohen and Everitt 1969."
        " Predictive values at other prevalences: Mercaldo, Lau and Zhou 2007."
    ),
    (
        "AUC: empirical, DeLong, DeLong and Clarke-Pearson 1988; where all cases are ranked right, Newcombe 2006. "
        "Readers and cases: Obuchowski and Rockette 1995, degrees of freedom by Hillis 2007 and 2014; covariance by "
        "jackknife, DeLong or unbiased U-statistics (Gallas 2006). Where not every reader read every case: each "
        "reader's own cases, covariance over shared cases."
    ),
    (
        "Paired proportions: McNemar exact and mid-p, Tango 1998, Newcombe 1998 (method 10). Agreement: Fleiss 1971 "
        "with Fleiss, Nee and Landis 1979, Krippendorff's alpha, jackknife intervals. Types: Stuart 1955, Maxwell "
        "1970. Several tests: Holm 1979. wAFROC: Chakraborty's weighted figure."
    ),
    (
        "A figure that can't be estimated is replaced by the reason. Missing answers are left out and counted, never"
        " taken for negative."
    ),
)
