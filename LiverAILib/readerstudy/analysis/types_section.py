"""The seven lesion types, patient by patient: the worst lesion's type, or no lesion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from LiverAILib.lesion_types import LesionType
from LiverAILib.readerstudy.analysis import plots
from LiverAILib.readerstudy.analysis.prepared import Prepared
from LiverAILib.readerstudy.analysis.select import AI
from LiverAILib.readerstudy.analysis.study_section import pair_of
from LiverAILib.readerstudy.analysis.tables import Cell, Content, Picture, Plain, Section, Table, attempt
from LiverAILib.readerstudy.dataset import Case, Opinion, Verdict
from LiverAILib.readerstudy.statistics.estimate import Estimate, StatisticsError
from LiverAILib.readerstudy.statistics.multiclass import (
    ConfusionMatrix,
    confusion_matrix,
    macro_auc,
    one_vs_rest_aucs,
    stuart_maxwell,
)

NO_LESION = Verdict.NO_LESION.value
CLASSES = (*(kind.full_name for kind in LesionType), NO_LESION)


def class_of(opinion: Opinion | Case) -> str | None:
    """The type's name, "no lesion", or None if neither is known."""
    if opinion.type is not None:
        return opinion.type.full_name
    return NO_LESION if opinion.verdict is Verdict.NO_LESION else None


@dataclass(frozen=True, kw_only=True)
class TypeAnswers:
    """Of the patients whose type is known: readers[arm][reader] (case,), and the AI's, each with gaps."""

    cases: tuple[str, ...]
    truth: tuple[str, ...]
    readers: dict[str, dict[str, list[str | None]]]
    ai: list[str | None]


def type_answers(prepared: Prepared) -> TypeAnswers | None:
    """None if types were not asked or their truth is not known."""
    data, index = prepared.data, prepared.index
    if not any(answer.type is not None for answer in data.answers):
        return None
    known = [(case.id, name) for case in data.cases if (name := class_of(case)) is not None]
    if not any(case.type is not None for case in data.cases):
        return None
    ids = tuple(case for case, _ in known)

    def given(opinion: Opinion | None) -> str | None:
        return None if opinion is None else class_of(opinion)

    return TypeAnswers(
        cases=ids,
        truth=tuple(name for _, name in known),
        readers={
            arm: {reader: [given(index.answer(arm, reader, case)) for case in ids] for reader in data.reader_codes}
            for arm in data.arm_names
        },
        ai=[given(index.ai(case)) for case in ids],
    )


def types_section(prepared: Prepared) -> Section:
    """Confusion matrices, recall and precision by type, macro AUC of the AI, change of the types between arms."""
    answers = type_answers(prepared)
    title = "Lesion types"
    if answers is None:
        return Section(title=title, text=("Types were not asked, or their truth is not known.",))
    matrices: dict[str, ConfusionMatrix] = {}
    for arm, readers in answers.readers.items():
        pooled = [name for given in readers.values() for name in given]
        matrices[arm] = confusion_matrix(answers.truth * len(readers), pooled, classes=CLASSES, unit="reader-cases")
    if any(name is not None for name in answers.ai):
        matrices[AI] = confusion_matrix(answers.truth, answers.ai, classes=CLASSES)
    tables = [_accuracy(matrices), _by_class(matrices), *(_counts(arm, matrix) for arm, matrix in matrices.items())]
    tables += [_change(answers, prepared), _aucs(prepared)]
    return Section(
        title=title,
        text=(
            (
                "A patient counts as the type of the worst lesion (malignant before benign), or as having none. "
                "Readers are pooled: intervals over reader-cases take them for independent and are too narrow."
            ),
        ),
        tables=tuple(table for table in tables if table.cells),
        pictures=tuple(
            Picture(
                key=f"types_{k + 1}",
                title=f"Types: {name}",
                caption=f"Share of each true type (row) called so (column), with counts; n = {matrix.n} {matrix.unit}.",
                draw=partial(plots.draw_confusion, matrix=matrix),
                inches=(6.6, 5.4),
            )
            for k, (name, matrix) in enumerate(matrices.items())
        ),
    )


def _honest(compute: Callable[[], Estimate], unit: str) -> Callable[[], Content]:
    """The share with a method that says so where readers are pooled."""
    if unit == "patients":
        return compute

    def pooled() -> Content:
        found = compute()
        return replace(found, method=f"{found.method}, {unit} as if independent (too narrow)")

    return pooled


def _row(name: str) -> str:
    return name if name == AI else f"all readers, {name}"


def _accuracy(matrices: dict[str, ConfusionMatrix]) -> Table:
    cells = [
        Cell(row=_row(name), column="accuracy, all types", content=attempt(_honest(matrix.accuracy, matrix.unit)))
        for name, matrix in matrices.items()
    ]
    return Table(key="types_accuracy", title="Accuracy over all types", rows_are="who, arm", cells=tuple(cells))


def _by_class(matrices: dict[str, ConfusionMatrix]) -> Table:
    cells = []
    for kind in CLASSES:
        for name, matrix in matrices.items():
            row = f"{kind}: {_row(name)}"
            recall, precision = (partial(each, kind) for each in (matrix.recall, matrix.precision))
            cells.append(Cell(row=row, column="recall", content=attempt(_honest(recall, matrix.unit))))
            cells.append(Cell(row=row, column="precision", content=attempt(_honest(precision, matrix.unit))))
    return Table(key="types", title="Recall and precision of each type", rows_are="type: who, arm", cells=tuple(cells))


def _counts(name: str, matrix: ConfusionMatrix) -> Table:
    cells = []
    for true in CLASSES:
        for answered in CLASSES:
            count = matrix.count(true=true, answered=answered)
            content = Plain(name=f"{true} called {answered}", value=count, n=matrix.n, unit=matrix.unit)
            cells.append(Cell(row=f"true {true}", column=f"called {answered}", content=content))
    slug = "ai" if name == AI else "_".join(name.lower().split())
    notes = (f"{matrix.missing} {matrix.unit} without an answer are in no cell.",) if matrix.missing else ()
    return Table(
        key=f"confusion_{slug}",
        title=f"Confusion matrix: {_row(name)}",
        rows_are="truth",
        cells=tuple(cells),
        notes=notes,
    )


def _change(answers: TypeAnswers, prepared: Prepared) -> Table:
    pair = pair_of(prepared.data.protocol)
    cells = []
    for reader in prepared.data.reader_codes if pair is not None else ():
        rows = [answers.readers[arm][reader] for arm in pair or ()]

        def test(rows: list[list[str | None]] = rows) -> Content:
            both = [(one, two) for one, two in zip(*rows, strict=True) if one is not None and two is not None]
            if not both:
                raise StatisticsError("No patient was typed in both arms.")
            return stuart_maxwell([one for one, _ in both], [two for _, two in both], classes=CLASSES)

        cells.append(Cell(row=reader, column="types used as often in both arms", content=attempt(test)))
    return Table(
        key="types_change", title="Change of the types between the arms", rows_are="reader", cells=tuple(cells)
    )


def _aucs(prepared: Prepared) -> Table:
    """One-vs-rest areas of the AI's probabilities, over the patients with a lesion."""
    scored = [
        (case.type, result.type_probabilities)
        for case in prepared.data.cases
        if case.type is not None
        and (result := prepared.index.ai(case.id)) is not None
        and result.type_probabilities is not None
    ]
    if not scored:
        return Table(key="types_auc", title="", rows_are="", cells=())
    truth = [kind.full_name for kind, _ in scored]
    scores = {kind.full_name: np.array([given.get(kind, 0.0) for _, given in scored]) for kind in LesionType}
    chosen = prepared.settings

    def one(name: str) -> Callable[[], Content]:
        return lambda: one_vs_rest_aucs(truth, {name: scores[name]})[name]

    cells = [Cell(row=AI, column=f"AUC ({name} against rest)", content=attempt(one(name))) for name in scores]
    macro = partial(macro_auc, truth, scores, replicates=chosen.replicates, seed=chosen.seed, level=chosen.level)
    cells.insert(0, Cell(row=AI, column="macro AUC", content=attempt(macro)))
    return Table(
        key="types_auc",
        title="The AI's type probabilities, each type against the rest (patients with a lesion)",
        rows_are="who",
        cells=tuple(cells),
    )
