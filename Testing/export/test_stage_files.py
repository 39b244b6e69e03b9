"""What the later stages leave in the run folder and in the overview: saliency files, types, reading; and older runs."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from stage_exams import ART, PV, SeesLiver, each, flipped, stand_ins, study_of

from LiverAILib.analysis.command import summary
from LiverAILib.analysis.pipeline import Analysis, analyze
from LiverAILib.errors import RunFolderError
from LiverAILib.export.drawing import SALIENCY, wrapped
from LiverAILib.export.lesion_cards import ROWS, cards_height
from LiverAILib.export.overview import PANEL, draw_overview
from LiverAILib.export.report import reading_lines
from LiverAILib.export.run_folder import looks_like_run, read_run, write_run
from LiverAILib.export.words import found_words, risk_words, type_words
from LiverAILib.findings import HCCRisk
from LiverAILib.lesion_types import LesionType
from LiverAILib.readerstudy.ai_opinion import opinion_of, read_opinion
from LiverAILib.readerstudy.dataset import Verdict as StudyVerdict
from LiverAILib.study import Study


@pytest.fixture(scope="module")
def study() -> Study:
    metastasis, cyst = ((18, 28, 24), 12.0, 20), ((18, 38, 50), 8.0, 50)
    return each(study_of(arterial=[metastasis], portal_venous=[metastasis, cyst]), flipped)


@pytest.fixture(scope="module")
def analysis(study: Study) -> Analysis:
    return analyze(study, SeesLiver(), networks=stand_ins())


@pytest.fixture(scope="module")
def template(analysis: Analysis, study: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template") / "run"
    write_run(analysis, study, folder)
    return folder


@pytest.fixture
def folder(template: Path, tmp_path: Path) -> Path:
    """A run folder of the test's own, to be spoiled."""
    return Path(shutil.copytree(template, tmp_path / "run"))


def test_everything_that_was_found_reads_back(folder: Path, analysis: Analysis, study: Study) -> None:
    run = read_run(folder)
    assert run.findings == analysis.findings
    assert list(run.saliency) == [ART, PV]
    for phase in (ART, PV):
        array, affine = run.saliency_of(phase)
        np.testing.assert_array_equal(array, analysis.saliency[phase])
        np.testing.assert_allclose(affine, study.volumes[phase].affine)
    assert analysis.saliency[PV].max() > 0.9


def test_a_run_with_saliency_may_be_replaced_by_one_without(folder: Path, study: Study) -> None:
    assert looks_like_run(folder)
    write_run(analyze(study, SeesLiver()), study, folder, overwrite=True)
    assert read_run(folder).saliency == {}
    assert not (folder / "saliency_arterial.nrrd").exists()


def test_a_saliency_file_that_is_missing_damaged_or_of_another_grid_is_refused(folder: Path) -> None:
    path = folder / "saliency_arterial.nrrd"
    content = path.read_bytes()
    path.unlink()
    with pytest.raises(RunFolderError, match=r"saliency_arterial\.nrrd is missing"):
        read_run(folder)
    path.write_bytes(content.replace(b"sizes: 72 64 30", b"sizes: 72 64 29"))
    with pytest.raises(RunFolderError, match=r"saliency_arterial\.nrrd .* does not fit"):
        read_run(folder)
    path.write_bytes(content[:-20])
    with pytest.raises(RunFolderError, match=r"saliency_arterial\.nrrd"):
        read_run(folder).saliency_of(ART)
    path.unlink()
    path.symlink_to(folder / "saliency_portal_venous.nrrd")
    with pytest.raises(RunFolderError, match="not a plain file"):
        read_run(folder)


def test_a_run_of_the_first_schema_is_read_as_before(folder: Path) -> None:
    for path in folder.glob("saliency_*"):
        path.unlink()
    content = json.loads((folder / "findings.json").read_text())
    content["schema_version"] = 1
    for key in ("reading", "hcc_risk", "slice_scores"):
        del content[key]
    for lesion in content["lesions"]:
        for key in ("found_in", "approximate_in", "type_probabilities", "verdict", "saliency_share"):
            del lesion[key]
    (folder / "findings.json").write_text(json.dumps(content))
    run = read_run(folder)
    assert run.findings.reading is None
    assert run.findings.lesions[0].type_probabilities is None
    assert run.saliency == {}
    assert "Lesion 1" in summary(run)


def test_the_summary_says_reading_risk_and_types(folder: Path) -> None:
    lines = summary(read_run(folder)).splitlines()
    assert lines[0].startswith("Liver ")
    assert lines[1].startswith("High risk: Lesion 1 is definitely malignant (most likely metastasis")
    assert lines[2].startswith("HCC risk score ")
    assert lines[4] == "    Metastasis 0.94, malignancy 0.96 (malignant)"
    assert lines[6] == "    Cyst 0.94, malignancy 0.03 (benign)"
    assert lines[-1] == "Research use only. Not for diagnosis."


def test_findings_in_words(analysis: Analysis) -> None:
    metastasis, cyst = analysis.findings.lesions
    assert found_words(cyst) == "found in portal venous"
    assert found_words(metastasis) == "found in arterial, portal venous"
    assert type_words(cyst.model_copy(update={"type_probabilities": None})) == ""
    risk = HCCRisk(printed=0.01, unscaled=0.4, images=40, threshold=0.5, hcc=False)
    assert risk_words(risk) == "HCC risk score 0.40 from 40 images, below 0.50, the threshold for HCC."
    assert risk_words(risk.model_copy(update={"threshold": None, "hcc": None})).endswith("from 40 images.")


def test_saliency_has_a_row_of_its_own_in_its_own_colours(analysis: Analysis, study: Study) -> None:
    with_saliency = np.asarray(draw_overview(analysis, study)).astype(int)
    plain = analyze(study, SeesLiver())
    without = np.asarray(draw_overview(plain, study)).astype(int)
    assert with_saliency.shape[1] == without.shape[1]
    assert with_saliency.shape[0] > without.shape[0] + PANEL

    def greenish(pixels: np.ndarray) -> int:
        rows = pixels[100 : 100 + 3 * PANEL, : 2 * PANEL]
        return int(((rows[..., 1] - rows[..., 0] > 25) & (rows[..., 1] - rows[..., 2] > 25)).sum())

    assert greenish(with_saliency) > greenish(without) + 200
    assert (np.diff(SALIENCY[:, 1:] @ [0.2126, 0.7152, 0.0722]) > 0).all()  # it reads in grey too


def test_the_reading_stands_above_the_pictures_in_the_colour_of_its_triage(analysis: Analysis, study: Study) -> None:
    def coloured(picture: Image.Image, colour: tuple[int, int, int]) -> int:
        return int((np.asarray(picture)[:90] == colour).all(axis=-1).sum())

    high, low = (255, 150, 110), (140, 220, 140)
    benign = analyze(study_of(portal_venous=[]), SeesLiver(), networks=stand_ins())
    assert coloured(draw_overview(analysis, study), high) > 50
    assert coloured(draw_overview(analysis, study), low) == 0
    assert coloured(draw_overview(benign, study_of(portal_venous=[])), low) > 50


def test_the_report_says_that_lesions_were_typed_together(analysis: Analysis) -> None:
    words = "Lesions were typed together: what one seems to be counts for the others."
    findings = analysis.findings
    assert sum(lesion.type_probabilities is not None for lesion in findings.lesions) > 1
    assert words not in reading_lines(findings)
    together = findings.model_copy(update={"parameters": {**findings.parameters, "other_lesions_trust": 0.75}})
    assert words in reading_lines(together)
    assert words not in reading_lines(together.model_copy(update={"lesions": findings.lesions[:1]}))
    alone = {**findings.parameters, "other_lesions_trust": 0.0}
    assert words not in reading_lines(findings.model_copy(update={"parameters": alone}))


def test_the_lesions_types_make_the_hcc_call_and_the_risk_score_only_without_them(analysis: Analysis) -> None:
    def call(**changes: object) -> bool | None:
        return opinion_of(analysis.findings.model_copy(update=changes), "0" * 64, analysis.affine).hcc

    risks = [HCCRisk(printed=0.01, unscaled=0.4, images=40, threshold=0.5, hcc=said) for said in (True, False)]
    cyst = {kind: float(kind is LesionType.CYST) for kind in LesionType}
    tumour = {kind: float(kind is LesionType.HCC) for kind in LesionType}
    lesion = analysis.findings.lesions[0]
    for risk in risks:
        for types, said in ((cyst, False), (tumour, True)):
            assert call(hcc_risk=risk, lesions=[lesion.model_copy(update={"type_probabilities": types})]) is said
        assert call(hcc_risk=risk, reading=None) is risk.hcc
    assert call(hcc_risk=None, reading=None) is None


def test_an_open_triage_is_said_in_words_and_reads_back(tmp_path: Path) -> None:
    study = study_of(portal_venous=[])
    analysis = analyze(study, SeesLiver(), networks=replace(stand_ins(), detector=None))
    write_run(analysis, study, tmp_path / "open")
    run = read_run(tmp_path / "open")
    assert run.findings.reading is not None
    assert run.findings.reading.triage is None
    assert summary(run).splitlines()[1].startswith("Not triaged: ")
    assert reading_lines(run.findings)[0].endswith("Here no lesion was found.")
    opinion = read_opinion(tmp_path / "open")
    assert (opinion.low_risk, opinion.verdict, opinion.p_malignant) == (None, StudyVerdict.NO_LESION, 0.0)


def test_each_lesion_has_a_card_and_sixty_have_room_for_the_largest() -> None:
    assert cards_height(0, 3) == 0
    assert cards_height(1, 3) == cards_height(3, 3) < cards_height(4, 3) < cards_height(9, 3) < cards_height(10, 3)
    assert cards_height(60, 3) == cards_height(3 * ROWS + 1, 3)
    balls = [((14 + 2.5 * k, 14 + 6 * j, 14 + 9 * i), 2.9, 20) for i in range(6) for j in range(5) for k in range(2)]
    study = study_of(portal_venous=balls)
    picture = draw_overview(analyze(study, SeesLiver(), networks=stand_ins()), study)
    assert picture.height < 3 * PANEL


def test_a_long_reason_is_broken_into_lines_that_fit() -> None:
    text = "High risk: a reason of many words that goes on and on until no line of this width could ever hold it all."
    lines = wrapped(text, 200, 16)
    assert len(lines) > 2
    assert " ".join(lines) == text
