"""Preparing the cases: resumable, one failure does not stop the others, one AI for all."""

from pathlib import Path
from typing import Any

import pytest
from liverai_fakes import ToySegmenter
from study_builder import TOY_PARTS, SmallStudy, cases, make_study, named_study, protocol, write_protocol

from LiverAILib.analysis.command import Parts
from LiverAILib.errors import StudyError
from LiverAILib.findings import Model
from LiverAILib.readerstudy.coordinate import amend_study
from LiverAILib.readerstudy.errors import ProtocolError, StudyFileError
from LiverAILib.readerstudy.layout import cases_folder, run_folder
from LiverAILib.readerstudy.load import load_dataset
from LiverAILib.readerstudy.prepare import Batch, prepare_study
from LiverAILib.readerstudy.truth import read_truth
from LiverAILib.readerstudy.verify import verify_study
from LiverAILib.study import Study

OPTIONS = ("--progress", "none")


@pytest.fixture
def study(tmp_path: Path) -> SmallStudy:
    """One case and one for training, not prepared."""
    return make_study(tmp_path, count=1, prepare="no")


def prepare(study: SmallStudy, parts: Parts = TOY_PARTS) -> Batch:
    return prepare_study(study.path, study.truth, options=OPTIONS, parts=parts, clock=study.clock)


def test_what_is_ready_is_not_done_again(study: SmallStudy) -> None:
    loads: list[Any] = []

    def load(paths: list[Path], **given: Any) -> Study:
        loads.append(paths[0].name)
        if len(loads) == 2:
            raise KeyboardInterrupt
        return named_study()

    parts = Parts(load=load, segmenter=TOY_PARTS.segmenter, lesion_finder=TOY_PARTS.lesion_finder)
    with pytest.raises(KeyboardInterrupt):
        prepare(study, parts)
    assert prepare(study, parts) == Batch(ready=2, new=1, failed=())
    assert len(loads) == 3
    assert len(set(loads)) == 2
    assert prepare(study, parts).new == 0
    verify_study(study.path, study.truth, files=True)
    assert len(load_dataset(study.path).ai) == 1


def test_a_case_that_fails_is_named_and_the_others_go_on(study: SmallStudy) -> None:
    def load(paths: list[Path], **given: Any) -> Study:
        if "Mueller_1" in paths[0].name:
            raise StudyError("Series 4: 2 of 118 slices are missing.")
        return named_study()

    batch = prepare(study, Parts(load=load, segmenter=TOY_PARTS.segmenter, lesion_finder=TOY_PARTS.lesion_finder))
    assert batch.failed == (("Mueller^Anna 1", "Series 4: 2 of 118 slices are missing."),)
    assert (batch.ready, batch.new) == (1, 1)
    assert prepare(study) == Batch(ready=2, new=1, failed=())


def test_a_source_that_was_wrong_is_put_right_without_doing_the_others_again(study: SmallStudy) -> None:
    def load(paths: list[Path], **given: Any) -> Study:
        if "Mueller_1" in paths[0].name:
            raise StudyError("No CT there.")
        return named_study()

    parts = Parts(load=load, segmenter=TOY_PARTS.segmenter, lesion_finder=TOY_PARTS.lesion_finder)
    assert len(prepare(study, parts).failed) == 1
    listed = cases(1)
    listed[1]["input"] = "archive/the_right_one"
    path = write_protocol(study.path.parent, protocol() | {"cases": listed})
    changes = amend_study(study.path, path, "wrong folder named", clock=study.clock)
    assert changes == {"source of": ["T001"]}
    assert prepare(study, parts) == Batch(ready=2, new=1, failed=())
    study.read_all("R1", most=1)  # T001
    listed[0]["input"], listed[1]["input"] = "archive/another", "archive/the_right_one"
    path = write_protocol(study.path.parent, protocol() | {"cases": listed})
    amend_study(study.path, path, "wrong folder again", clock=study.clock)
    assert prepare(study, parts) == Batch(ready=2, new=1, failed=())  # what was ready came from the former source
    listed[1]["input"] = "archive/yet_another"
    with pytest.raises(ProtocolError, match="T001 was read already"):
        amend_study(
            study.path,
            write_protocol(study.path.parent, protocol() | {"cases": listed}),
            "wrong folder again",
            clock=study.clock,
        )


def test_a_verification_during_the_work_takes_nothing_from_it(study: SmallStudy) -> None:
    """Both write the coordinator's file."""

    def load(paths: list[Path], **given: Any) -> Study:
        verify_study(study.path, study.truth, clock=study.clock)
        return named_study()

    prepare(study, Parts(load=load, segmenter=TOY_PARTS.segmenter, lesion_finder=TOY_PARTS.lesion_finder))
    truth = read_truth(study.truth)
    assert set(truth.ai) == set(truth.notes) == {"C001", "T001"}
    assert len(truth.heads) == 2
    verify_study(study.path, study.truth)


def test_a_lost_folder_is_made_again(study: SmallStudy) -> None:
    prepare(study)
    path = cases_folder(study.path) / "C001" / "volumes" / "arterial.nrrd"
    path.unlink()
    assert prepare(study).new == 1
    verify_study(study.path, study.truth, files=True)


def test_all_cases_come_from_the_same_models(study: SmallStudy) -> None:
    prepare(study)
    (run_folder(cases_folder(study.path), "C001") / "overview.png").unlink()
    other = ToySegmenter()
    other.model = Model(name="toy", version="2", sha256="1" * 64)
    with pytest.raises(StudyFileError, match="C001 was analysed with other model packages than T001"):
        prepare(study, Parts(load=named_study, segmenter=other, lesion_finder=TOY_PARTS.lesion_finder))


def test_a_case_that_was_read_keeps_its_result(study: SmallStudy) -> None:
    prepare(study)
    study.read_all("R1", most=2)
    (run_folder(cases_folder(study.path), "C001") / "overview.png").unlink()

    def fewer(given: Study, segmentations: Any) -> Any:
        from liverai_fakes import toy_lesions

        measured = toy_lesions(given, segmentations)
        measured.lesions.pop()
        measured.lesion_ids[measured.lesion_ids == 2] = 0
        return measured

    with pytest.raises(StudyFileError, match="C001 was read with another result of the AI"):
        prepare(study, Parts(load=named_study, segmenter=TOY_PARTS.segmenter, lesion_finder=fewer))


def test_the_protocols_model_packages_are_insisted_on(tmp_path: Path) -> None:
    study = make_study(tmp_path, count=1, prepare="no", bundles={"liversegnet": "a" * 64})
    with pytest.raises(ProtocolError, match=r"model package liversegnet here \(.*not the protocol's \(aaaaaaaaaaaa"):
        prepare_study(study.path, study.truth, options=OPTIONS, clock=study.clock)
