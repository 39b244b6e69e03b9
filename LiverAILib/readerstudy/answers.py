"""A reader's answer to one case: checked against the questions, and with the probabilities that follow from it.

The form is a plain dict, one item per question id:

    {"hcc": {"answer": "no", "confidence": 90},
     "verdict": {"answer": "benign", "confidence": 80},
     "type": {"answer": "haemangioma", "confidence": 70},
     "marks": [{"point_lps_mm": [x, y, z], "confidence": 85, "type": "haemangioma",
                "box_lps_mm": [[x, y, z], [x, y, z]]}],
     "remarks": "free text"}

Confidences are those in the answer as it was given, 0 to 100. "No, 90" to HCC is stored as P(HCC) = 10 as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any

from LiverAILib.lesion_types import LesionType
from LiverAILib.readerstudy.dataset import Verdict
from LiverAILib.readerstudy.errors import AnswerError
from LiverAILib.readerstudy.protocol import Question, QuestionKind
from LiverAILib.readerstudy.truth import AiOpinion

#: What each closed question may be answered with.
CHOICES: Mapping[QuestionKind, tuple[str, ...]] = {
    QuestionKind.HCC: ("yes", "no"),
    QuestionKind.VERDICT: tuple(verdict.value for verdict in Verdict),
    QuestionKind.TYPE: (*(kind.value for kind in LesionType), Verdict.NO_LESION.value),
}
MAX_MARKS = 200
MAX_TEXT = 10_000


def checked_answer(
    questions: Sequence[Question], form: Mapping[str, Any], inside: Callable[[Sequence[float]], bool] = lambda _: True
) -> dict[str, Any]:
    """The answer as it is stored: the form, checked, with `p_hcc` and `p_malignant` in percent where they follow.

    inside: whether a point (LPS mm) lies in the images of the case. Raises AnswerError that names the question, says
    what is missing or contradicts what, and stores nothing.
    """
    strange = set(form) - {question.id for question in questions}
    if strange:
        raise AnswerError(f'"{min(strange)}" is not asked in this study. Leave it out.')
    answer = {
        question.id: _checked(question, form.get(question.id), inside)
        for question in questions
        if question.id in form or question.kind is not QuestionKind.TEXT or question.required
    }
    _check_contradictions(answer)
    hcc, verdict = answer.get("hcc"), answer.get("verdict")
    if hcc is not None and "confidence" in hcc:
        answer["p_hcc"] = _probability(hcc["answer"] == "yes", hcc["confidence"])
    if verdict is not None and "confidence" in verdict:
        answer["p_malignant"] = _probability(verdict["answer"] == Verdict.MALIGNANT, verdict["confidence"])
    return answer


def decisions(answer: Mapping[str, Any]) -> tuple[bool | None, Verdict | None, LesionType | None]:
    """HCC, verdict and type as answered; what was not asked follows from the others where it can, else it is None."""
    hcc = {"yes": True, "no": False, None: None}[(answer.get("hcc") or {}).get("answer")]
    verdict_word = (answer.get("verdict") or {}).get("answer")
    verdict = Verdict(verdict_word) if verdict_word else None
    type_word = (answer.get("type") or {}).get("answer")
    kind = LesionType(type_word) if type_word in list(LesionType) else None
    if type_word is not None:
        hcc = (kind is LesionType.HCC) if hcc is None else hcc
        if verdict is None:
            verdict = Verdict.NO_LESION if kind is None else Verdict.MALIGNANT if kind.malignant else Verdict.BENIGN
    elif hcc is None and verdict in (Verdict.BENIGN, Verdict.NO_LESION):
        hcc = False
    if hcc and verdict is None:
        verdict = Verdict.MALIGNANT
    return hcc, verdict, kind


def agreement(answer: Mapping[str, Any], opinion: AiOpinion) -> dict[str, bool]:
    """For each of hcc, verdict and type that both speak of: whether reader and AI say the same."""
    hcc, verdict, kind = decisions(answer)
    pairs = {"hcc": (hcc, opinion.hcc), "verdict": (verdict, opinion.verdict), "type": (kind, opinion.type)}
    return {item: said == ai for item, (said, ai) in pairs.items() if said is not None and ai is not None}


def _probability(positive: bool, confidence: float) -> float:
    return confidence if positive else 100 - confidence


def _checked(question: Question, given: Any, inside: Callable[[Sequence[float]], bool]) -> Any:
    if question.kind is QuestionKind.TEXT:
        return _text(question, given)
    if given is None:
        raise AnswerError(f'"{question.ask}" is not answered yet.')
    if question.kind is QuestionKind.MARKS:
        if not isinstance(given, list | tuple) or len(given) > MAX_MARKS:
            raise AnswerError(f"The marks are a list of at most {MAX_MARKS}.")
        return [_mark(question, mark, f"Mark {number}", inside) for number, mark in enumerate(given, start=1)]
    if not isinstance(given, Mapping):
        raise AnswerError(f'"{question.ask}" needs an answer, not {given!r}.')
    allowed = CHOICES[question.kind]
    if given.get("answer") not in allowed:
        raise AnswerError(f'"{question.ask}" is answered with one of: {", ".join(allowed)}.')
    return {"answer": given["answer"], **_confidence(question, given, f'"{question.ask}"')} | _nothing_else(
        given, {"answer", "confidence"}, f'"{question.ask}"'
    )


def _text(question: Question, given: Any) -> str:
    text = given if given is not None else ""
    if not isinstance(text, str) or len(text) > MAX_TEXT:
        raise AnswerError(f'"{question.ask}" is answered with a text of at most {MAX_TEXT} characters.')
    if question.required and not text.strip():
        raise AnswerError(f'"{question.ask}" is not answered yet.')
    return text.strip()


def _mark(question: Question, given: Any, what: str, inside: Callable[[Sequence[float]], bool]) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise AnswerError(f"{what} has no place. Click on the lesion again.")
    point = _point(given.get("point_lps_mm"), what)
    if not inside(point):
        raise AnswerError(f"{what} lies outside the images. Remove it, or click on the lesion.")
    mark: dict[str, Any] = {"point_lps_mm": point, **_confidence(question, given, what)}
    if question.type:
        if given.get("type") not in list(LesionType):
            raise AnswerError(f"{what} needs a type: {', '.join(LesionType)}.")
        mark["type"] = str(given["type"])
    if question.box:
        corners = given.get("box_lps_mm")
        if not isinstance(corners, list | tuple) or len(corners) != 2:
            raise AnswerError(f"{what} needs a box around the lesion.")
        low, high = (_point(corner, what) for corner in corners)
        if any(a >= b for a, b in zip(low, high, strict=True)):
            raise AnswerError(f"{what}: its box has no volume. Draw it again.")
        mark["box_lps_mm"] = [low, high]
    return mark | _nothing_else(given, {"point_lps_mm", "confidence", "type", "box_lps_mm"}, what)


def _point(given: Any, what: str) -> list[float]:
    if not isinstance(given, list | tuple) or len(given) != 3 or not all(_is_number(value) for value in given):
        raise AnswerError(f"{what} has no place. Click on the lesion again.")
    return [round(float(value), 3) for value in given]


def _confidence(question: Question, given: Mapping[str, Any], what: str) -> dict[str, float]:
    confidence = given.get("confidence")
    if not question.confidence:
        if confidence is not None:
            raise AnswerError(f"{what}: a confidence is not asked here. Leave it out.")
        return {}
    if confidence is None:
        raise AnswerError(f"{what}: say how sure you are, from 0 to 100.")
    if not _is_number(confidence) or not 0 <= confidence <= 100:
        raise AnswerError(f"{what}: the confidence is a number from 0 to 100, not {confidence!r}.")
    return {"confidence": float(confidence)}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _nothing_else(given: Mapping[str, Any], known: set[str], what: str) -> dict[str, Any]:
    if set(given) - known:
        raise AnswerError(f'{what}: "{min(set(given) - known)}" is not asked. Leave it out.')
    return {}


def _check_contradictions(answer: Mapping[str, Any]) -> None:
    hcc = (answer.get("hcc") or {}).get("answer")
    verdict = (answer.get("verdict") or {}).get("answer")
    kind = (answer.get("type") or {}).get("answer")
    marks = answer.get("marks")
    if hcc == "yes" and verdict in (Verdict.BENIGN, Verdict.NO_LESION):
        raise AnswerError(f'HCC: yes contradicts "{verdict}". Correct one of the two.')
    if hcc == "yes" and kind == Verdict.NO_LESION:
        raise AnswerError('HCC: yes contradicts "no lesion". Correct one of the two.')
    if hcc == "yes" and kind is not None and not LesionType(kind).malignant:
        raise AnswerError(f'HCC: yes contradicts the type "{kind}" of the worst lesion. Correct one of the two.')
    if hcc == "no" and kind == LesionType.HCC:
        raise AnswerError('The type "hcc" contradicts HCC: no. Correct one of the two.')
    if verdict is not None and kind is not None:
        means = Verdict.NO_LESION
        if kind != Verdict.NO_LESION:
            means = Verdict.MALIGNANT if LesionType(kind).malignant else Verdict.BENIGN
        if verdict != means:
            raise AnswerError(f'The type "{kind}" contradicts "{verdict}". Correct one of the two.')
    if marks is not None and (verdict or kind) is not None:
        none = Verdict.NO_LESION in (verdict, kind)
        if none and marks:
            raise AnswerError(f'"No lesion" contradicts {len(marks)} marked. Remove the marks, or change the answer.')
        if not none and not marks:
            raise AnswerError('No lesion is marked. Mark what you see, or answer "no lesion".')
