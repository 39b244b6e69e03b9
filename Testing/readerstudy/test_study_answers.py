"""A reader's answer: what is stored of it, and in which words it is refused."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from LiverAILib.readerstudy.answers import checked_answer, decisions
from LiverAILib.readerstudy.errors import AnswerError
from LiverAILib.readerstudy.protocol import Question

QUESTIONS = tuple(
    Question.model_validate(values)
    for values in (
        {"kind": "hcc", "confidence": True},
        {"kind": "verdict", "confidence": True},
        {"kind": "type"},
        {"kind": "marks", "confidence": True, "type": True},
        {"kind": "text", "id": "remarks"},
        {"kind": "text", "id": "quality", "required": True},
    )
)
MARK = {"point_lps_mm": [1, 2.00049, -3], "confidence": 60, "type": "cyst"}
GOOD: dict[str, Any] = {
    "hcc": {"answer": "no", "confidence": 90},
    "verdict": {"answer": "benign", "confidence": 75},
    "type": {"answer": "cyst"},
    "marks": [MARK],
    "quality": " good ",
}


def test_a_complete_answer_is_kept_with_the_probabilities_that_follow() -> None:
    answer = checked_answer(QUESTIONS, GOOD)
    assert answer["hcc"] == {"answer": "no", "confidence": 90}
    assert answer["p_hcc"] == 10
    assert answer["p_malignant"] == 25
    assert answer["marks"] == [{"point_lps_mm": [1, 2, -3], "confidence": 60, "type": "cyst"}]
    assert answer["quality"] == "good"
    assert "remarks" not in answer


@settings(deadline=None)
@given(st.sampled_from(["yes", "no"]), st.integers(0, 100))
def test_confidence_in_no_is_the_rest_for_hcc(word: str, confidence: int) -> None:
    (question,) = (question for question in QUESTIONS if question.id == "hcc")
    answer = checked_answer((question,), {"hcc": {"answer": word, "confidence": confidence}})
    assert answer["p_hcc"] == (confidence if word == "yes" else 100 - confidence)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"hcc": None}, "hepatocellular carcinoma.* is not answered yet"),
        ({"hcc": {"answer": "perhaps", "confidence": 5}}, "one of: yes, no"),
        ({"hcc": {"answer": "no"}}, "how sure you are, from 0 to 100"),
        ({"hcc": {"answer": "no", "confidence": 101}}, "0 to 100, not 101"),
        ({"hcc": {"answer": "no", "confidence": True}}, "0 to 100"),
        ({"hcc": {"answer": "no", "confidence": float("nan")}}, "0 to 100"),
        ({"hcc": {"answer": "no", "confidence": 50, "sure": 1}}, '"sure" is not asked'),
        ({"hcc": {"answer": "yes", "confidence": 50}}, 'yes contradicts "benign"'),
        ({"verdict": {"answer": "malignant", "confidence": 50}}, 'type "cyst" contradicts "malignant"'),
        ({"type": {"answer": "no lesion"}}, "contradicts"),
        ({"type": {"answer": "cyst", "confidence": 4}}, "a confidence is not asked"),
        ({"type": {"answer": "carcinoid"}}, "one of: hcc, icc"),
        ({"marks": []}, "No lesion is marked"),
        ({"marks": "none"}, "marks are a list"),
        ({"marks": [MARK | {"point_lps_mm": [1, 2]}]}, "Mark 1 has no place"),
        ({"marks": [MARK, MARK | {"type": None}]}, "Mark 2 needs a type"),
        ({"marks": [MARK | {"confidence": None}]}, "Mark 1: say how sure"),
        ({"marks": [MARK | {"point_lps_mm": [1000, 0, 0]}]}, "Mark 1 lies outside the images"),
        ({"quality": "  "}, "is not answered yet"),
        ({"remarks": 5}, "with a text"),
        ({"mood": "fine"}, '"mood" is not asked'),
    ],
)
def test_what_is_missing_or_contradicts_is_said(change: dict[str, Any], words: str) -> None:
    form = {key: value for key, value in (GOOD | change).items() if value is not None}
    with pytest.raises(AnswerError, match=words):
        checked_answer(QUESTIONS, form, inside=lambda point: max(point) < 500)


def test_no_lesion_goes_with_no_marks() -> None:
    form = GOOD | {"verdict": {"answer": "no lesion", "confidence": 60}, "type": {"answer": "no lesion"}}
    with pytest.raises(AnswerError, match='"No lesion" contradicts 1 marked'):
        checked_answer(QUESTIONS, form)
    assert checked_answer(QUESTIONS, form | {"marks": []})["p_malignant"] == 40


def test_boxes_are_asked_only_where_the_protocol_says_so() -> None:
    question = Question.model_validate({"kind": "marks", "box": True})
    mark = {"point_lps_mm": [0, 0, 0], "box_lps_mm": [[-1, -1, -1], [1, 1, 1]]}
    assert checked_answer((question,), {"marks": [mark]})["marks"][0]["box_lps_mm"] == [[-1, -1, -1], [1, 1, 1]]
    with pytest.raises(AnswerError, match="has no volume"):
        checked_answer((question,), {"marks": [mark | {"box_lps_mm": [[1, 1, 1], [-1, 1, 1]]}]})
    with pytest.raises(AnswerError, match="needs a box"):
        checked_answer((question,), {"marks": [{"point_lps_mm": [0, 0, 0]}]})


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"hcc": {"answer": "yes"}}, (True, "malignant", None)),
        ({"hcc": {"answer": "no"}}, (False, None, None)),
        ({"verdict": {"answer": "benign"}}, (False, "benign", None)),
        ({"verdict": {"answer": "malignant"}}, (None, "malignant", None)),
        ({"type": {"answer": "icc"}}, (False, "malignant", "icc")),
        ({"type": {"answer": "no lesion"}}, (False, "no lesion", None)),
        ({}, (None, None, None)),
    ],
)
def test_what_was_not_asked_follows_where_it_can(answer: dict[str, Any], expected: tuple[Any, ...]) -> None:
    assert decisions(answer) == expected
