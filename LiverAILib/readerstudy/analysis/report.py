"""The whole report of a data set."""

from __future__ import annotations

from LiverAILib.readerstudy.analysis.agreement_section import agreement_section
from LiverAILib.readerstudy.analysis.ai_section import ai_section
from LiverAILib.readerstudy.analysis.arms_section import arms_section
from LiverAILib.readerstudy.analysis.closing_sections import methods_section, multiplicity_section, planning_section
from LiverAILib.readerstudy.analysis.lesion_section import lesion_section
from LiverAILib.readerstudy.analysis.prepared import Prepared, Settings
from LiverAILib.readerstudy.analysis.reader_section import reader_section
from LiverAILib.readerstudy.analysis.roc_section import roc_section
from LiverAILib.readerstudy.analysis.study_section import remarks, study_section
from LiverAILib.readerstudy.analysis.tables import Report
from LiverAILib.readerstudy.analysis.types_section import types_section
from LiverAILib.readerstudy.analysis.use_section import use_section
from LiverAILib.readerstudy.dataset import Dataset

SECTIONS = (
    study_section,
    arms_section,
    reader_section,
    roc_section,
    ai_section,
    lesion_section,
    agreement_section,
    types_section,
    use_section,
    multiplicity_section,
    planning_section,
    methods_section,
)


def make_report(data: Dataset, settings: Settings | None = None) -> Report:
    """Compute every section. What is not estimable is refused in its place; nothing here raises for thin data."""
    prepared = Prepared(data, settings or Settings())
    return Report(
        title=f"Reader study: {data.protocol.study}",
        subtitle=f"{len(data.readers)} readers, {len(data.protocol.arms)} arms, {len(data.cases)} patients",
        remarks=remarks(prepared),
        sections=tuple(make(prepared) for make in SECTIONS),
    )
