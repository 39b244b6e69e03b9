"""The protocol as the coordinator writes it: a YAML file, with the cases in it or in a CSV table beside it.

YAML 1.2 is read: `yes`, `no` and `on` are words, and a key that is there twice is an error.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_validator

from LiverAILib.errors import OutputError
from LiverAILib.readerstudy.dataset import Target
from LiverAILib.readerstudy.errors import ProtocolError
from LiverAILib.readerstudy.lesion_places import place_lesions
from LiverAILib.readerstudy.protocol import Protocol
from LiverAILib.readerstudy.truth import CaseSpec, first_problem
from LiverAILib.study import Phase

_LIMIT = 16 << 20
#: Columns of the table of cases; all but name may be empty or missing.
COLUMNS = ("name", "input", *(phase.value for phase in Phase), "training", "hcc", "verdict", "type", "mask", "types")


class ProtocolFile(Protocol):
    """The whole file: the protocol and the cases."""

    cases: tuple[CaseSpec, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _cases_fit(self) -> ProtocolFile:
        names = [case.name.casefold() for case in self.cases]
        for case in self.cases:
            if names.count(case.name.casefold()) > 1:
                raise ValueError(f'the case "{case.name}" is there twice')
        if not any(not case.training for case in self.cases):
            raise ValueError("all cases are training cases; a study needs cases to read")
        for case in self.cases:
            if not case.training:
                self._check_truth(case)
        return self

    def _check_truth(self, case: CaseSpec) -> None:
        """Whether the truth holds what the primary endpoint and the hit rule need."""
        truth, primary = case.truth, self.primary
        if primary.merit == "wAFROC":
            if truth.lesions is None:
                raise ValueError(f'case "{case.name}": wAFROC needs the places of its lesions, or lesions: []')
        elif (truth.hcc if primary.target is Target.HCC else truth.verdict) is None:
            item = "hcc" if primary.target is Target.HCC else "verdict"
            raise ValueError(f'case "{case.name}": the primary endpoint needs its truth of {item}')
        for lesion in truth.lesions or ():
            outlined = lesion.mask is not None or lesion.box_lps_mm is not None
            if self.hit_rule.kind != "distance" and not outlined:
                raise ValueError(f'case "{case.name}": the hit rule needs a mask or a box of each lesion, or distance')

    @property
    def protocol(self) -> Protocol:
        """The part without the cases."""
        return Protocol.model_validate(self.model_dump(exclude={"cases"}))


def read_protocol(path: Path, *, inputs: bool = True) -> ProtocolFile:
    """Read a protocol; paths in it are relative to its own folder. Lesions with a mask get centre and box from it.

    inputs: also check that the exams are there. Raises ProtocolError that names the line or the item.
    """
    protocol = parse_protocol(path)
    for case in protocol.cases if inputs else ():
        for source in case.paths:
            if not source.exists():
                raise ProtocolError(f'{path.name}: case "{case.name}": {source} is not there. Correct its input.')
    return protocol.model_copy(update={"cases": tuple(place_lesions(case) for case in protocol.cases)})


def parse_protocol(path: Path) -> ProtocolFile:
    """As `read_protocol`, but no file that it names is looked at."""
    values = _yaml(path)
    if isinstance(values.get("cases"), str):
        values["cases"] = _table(path.parent / values["cases"])
    try:
        protocol = ProtocolFile.model_validate(values)
    except ValidationError as error:
        raise ProtocolError(f"{path.name}: {first_problem(error)}.") from error
    folder = path.parent.resolve()
    return protocol.model_copy(update={"cases": tuple(_placed(case, folder) for case in protocol.cases)})


def write_template(path: Path) -> None:
    """Write the commented template. Raises OutputError if something is there already."""
    from LiverAILib.readerstudy.template import TEMPLATE

    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(TEMPLATE)
    except FileExistsError:
        raise OutputError(f"{path} is there already and is not overwritten. Choose another name.") from None
    except OSError as error:
        raise OutputError(f"{path} can't be written ({error.strerror}). Choose another folder.") from error


def _yaml(path: Path) -> dict[str, Any]:
    try:
        from ruamel.yaml import YAML
        from ruamel.yaml.error import MarkedYAMLError, YAMLError
    except ModuleNotFoundError as error:
        raise ProtocolError(
            "Reading a YAML protocol needs the package ruamel.yaml: pip install ruamel.yaml. "
            "A study file that exists already needs it no more."
        ) from error
    try:
        text = _text(path)
        values = YAML(typ="safe", pure=True).load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None else ""
        raise ProtocolError(f"{path.name}: {where}{error.problem or 'this is not YAML'}.") from error
    except (YAMLError, ValueError, RecursionError) as error:
        raise ProtocolError(f"{path.name} is not a YAML file ({type(error).__name__}).") from error
    if not isinstance(values, dict):
        raise ProtocolError(f"{path.name} holds no protocol. `liverai study new` writes one to fill in.")
    return values


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _LIMIT:
            raise ProtocolError(f"{path.name} is larger than 16 MB and is not read. Is it the right file?")
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ProtocolError(f"{path} can't be read ({error.strerror}). Check the path.") from error
    except UnicodeDecodeError as error:
        raise ProtocolError(f"{path.name} is not UTF-8 text. Save it as UTF-8.") from error


def _table(path: Path) -> list[dict[str, Any]]:
    """The cases of a CSV table: one row a case. `mask` with `types` (by `;`): lesions are its labels 1, 2, ..."""
    rows = csv.DictReader(_text(path).splitlines())
    strange = [str(name) for name in rows.fieldnames or () if name not in COLUMNS]
    if strange or "name" not in (rows.fieldnames or ()):
        wrong = f'the column "{strange[0]}" is unknown' if strange else "the column name is missing"
        raise ProtocolError(f"{path.name}: {wrong}. Columns: {', '.join(COLUMNS)}.")
    return [_row(row, f"{path.name}, line {rows.line_num}") for row in rows]


def _row(row: dict[str, Any], where: str) -> dict[str, Any]:
    if None in row or None in row.values():
        raise ProtocolError(f"{where}: the row has not as many fields as there are columns.")
    given = {key: value.strip() for key, value in row.items() if value.strip()}
    case: dict[str, Any] = {"name": given.get("name", ""), "truth": {}}
    phases = {phase.value: given[phase.value] for phase in Phase if phase.value in given}
    if phases and "input" in given:
        raise ProtocolError(f"{where}: give either input or a file per phase.")
    case["input"] = phases or given.get("input", "")
    if not case["input"]:
        raise ProtocolError(f"{where}: there is neither input nor a file of any phase.")
    for item, target in (("training", case), ("hcc", case["truth"])):
        if item in given:
            words = {"yes": True, "no": False, "true": True, "false": False, "1": True, "0": False}
            if given[item].lower() not in words:
                raise ProtocolError(f'{where}: {item} is yes or no, not "{given[item]}".')
            target[item] = words[given[item].lower()]
    case["truth"] |= {item: given[item] for item in ("verdict", "type") if item in given}
    types = [kind.strip() for kind in given.get("types", "").split(";") if kind.strip()]
    if bool(types) != ("mask" in given):
        raise ProtocolError(f"{where}: mask and types go together, one type for each label, by semicolons.")
    if types:
        case["truth"]["lesions"] = [
            {"mask": {"path": given["mask"], "label": label}, **({} if kind == "?" else {"type": kind})}
            for label, kind in enumerate(types, start=1)
        ]
    elif given.get("verdict") == "no lesion":
        case["truth"]["lesions"] = []
    return case


def _placed(case: CaseSpec, folder: Path) -> CaseSpec:
    """The case with absolute paths."""
    if isinstance(case.input, Path):
        source: Path | dict[Phase, Path] = folder / case.input
    else:
        source = {phase: folder / path for phase, path in case.input.items()}
    lesions = case.truth.lesions
    if lesions is not None:
        lesions = tuple(
            lesion
            if lesion.mask is None
            else lesion.model_copy(update={"mask": lesion.mask.model_copy(update={"path": folder / lesion.mask.path})})
            for lesion in lesions
        )
    truth = case.truth.model_copy(update={"lesions": lesions})
    return case.model_copy(update={"input": source, "truth": truth})
