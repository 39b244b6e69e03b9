"""What was studied: the protocol, its seal and amendments, the cases, and how complete the answers are."""

from __future__ import annotations

from LiverAILib.readerstudy.analysis.prepared import Prepared
from LiverAILib.readerstudy.analysis.tables import Cell, Plain, Section, Table
from LiverAILib.readerstudy.dataset import Endpoint, ProtocolFacts, Target


def pair_of(protocol: ProtocolFacts) -> tuple[str, str] | None:
    """The two arms to compare, as first minus second: the endpoint's, else assisted minus unassisted."""
    if protocol.endpoint is not None:
        return protocol.endpoint.first, protocol.endpoint.second
    helped = [arm.name for arm in protocol.arms if arm.assisted]
    alone = [arm.name for arm in protocol.arms if not arm.assisted]
    if helped and alone:
        return helped[0], alone[0]
    names = [arm.name for arm in protocol.arms]
    return (names[1], names[0]) if len(names) > 1 else None


def is_primary(protocol: ProtocolFacts) -> bool:
    """Whether the endpoint may be called primary: it was sealed with the protocol and is still that one."""
    sealed = protocol.endpoint is not None and protocol.sealed_sha256 is not None
    return sealed and not any(change.endpoint for change in protocol.amendments)


def not_primary_words(protocol: ProtocolFacts) -> str:
    """What to call an endpoint that is not primary."""
    if protocol.sealed_sha256 is None:
        return "endpoint of the unsealed protocol"
    return "endpoint that was amended after sealing"


def endpoint_words(endpoint: Endpoint) -> str:
    """The endpoint in a sentence."""
    aim = "superiority" if endpoint.margin is None else f"non-inferiority, margin {endpoint.margin:g}"
    what = "lesions (wAFROC)" if endpoint.merit == "wAFROC" else f"{endpoint.merit} for {endpoint.target.positive}"
    return f"{what}, {endpoint.first} minus {endpoint.second}, {endpoint.sampling}, {aim}"


def remarks(prepared: Prepared) -> tuple[str, ...]:
    """What has to be known before any figure."""
    data, protocol = prepared.data, prepared.data.protocol
    found = ["Research use only. Not for diagnosis."]
    if protocol.sealed_sha256 is None:
        found.append("The protocol is not sealed: no endpoint of this report is primary, every figure is exploratory.")
    elif protocol.endpoint is None:
        found.append("The protocol states no primary endpoint: every figure is exploratory.")
    elif not is_primary(protocol):
        found.append("The endpoint was changed after the protocol was sealed: it is not primary.")
    if protocol.amendments:
        found.append(f"The protocol was amended {len(protocol.amendments)} times after it was sealed; see section 1.")
    missing = data.expected_answers - len(data.answers)
    if missing and protocol.design != "split-plot":
        found.append(
            f"{missing} of {data.expected_answers} answers are missing. They count as missing, never as negative; "
            "figures of several readers use, for each reader, the cases that this reader answered in all arms."
        )
    if data.overrides:
        found.append(f"{len(data.overrides)} rules were overridden by the coordinator; see section 1.")
    return (*found, *prepared.not_asked)


def study_section(prepared: Prepared) -> Section:
    """Protocol, cases, answers."""
    data, protocol = prepared.data, prepared.data.protocol
    sealed = "not sealed"
    if protocol.sealed_sha256 is not None:
        sealed = f"sealed {protocol.sealed_utc or ''}, SHA-256 {protocol.sealed_sha256}".replace(" ,", ",")
    facts = [
        ("protocol", sealed),
        ("design", f"{protocol.design}; washout {_days(protocol)}; seed {protocol.seed}"),
        ("arms", "; ".join(f"{arm.name} ({'with' if arm.assisted else 'without'} AI)" for arm in protocol.arms)),
        ("readers", f"{len(data.readers)}: {', '.join(data.reader_codes)}"),
        ("cases", f"{len(data.cases)} patients"),
        ("hit rule", protocol.hit_rule.words),
        ("alpha", f"{protocol.alpha:g}, two-sided"),
    ]
    if protocol.endpoint is not None:
        label = "primary endpoint" if is_primary(protocol) else f"{not_primary_words(protocol)} (not primary)"
        facts.append((label, endpoint_words(protocol.endpoint)))
    facts += [(f"model {name}", f"SHA-256 {sha}") for name, sha in protocol.models.items()]
    facts += [(f"amendment {change.utc}", change.text) for change in protocol.amendments]
    facts += [
        (
            f"override {each.utc}",
            f"{each.rule}: reader {each.reader}" + (f", case {each.case}" if each.case else "") + f". {each.reason}",
        )
        for each in data.overrides
    ]
    return Section(
        title="The study",
        facts=tuple(facts),
        tables=tuple(table for table in (_cases(prepared), _answers(prepared)) if table.cells),
    )


def _days(protocol: ProtocolFacts) -> str:
    return "not stated" if protocol.washout_days is None else f"{protocol.washout_days:g} days"


def _cases(prepared: Prepared) -> Table:
    cases, cells = prepared.data.cases, []
    for target in Target:
        known = [case.truth(target) for case in cases]
        for name, wanted in ((target.positive, True), (target.negative, False), ("truth not known", None)):
            count = Plain(name=name, value=float(known.count(wanted)), n=len(cases), unit="patients")
            cells.append(Cell(row=f"{target.positive} or not", column=_column(name, target), content=count))
    return Table(key="cases", title="Patients by truth", rows_are="question", cells=tuple(cells))


def _column(name: str, target: Target) -> str:
    if name == target.positive:
        return "of the class asked for"
    return "of the other class" if name == target.negative else name


def _answers(prepared: Prepared) -> Table:
    data, cells = prepared.data, []
    for reader in data.reader_codes:
        for arm in data.arm_names:
            given = sum(answer.reader == reader and answer.arm == arm for answer in data.answers)
            for column, value in (("given", given), ("missing", len(data.cases) - given)):
                count = Plain(name=column, value=float(value), n=len(data.cases), unit="patients")
                cells.append(Cell(row=f"{reader}, {arm}", column=column, content=count))
    return Table(key="answers", title="Answers", rows_are="reader, arm", cells=tuple(cells))
