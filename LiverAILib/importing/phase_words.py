"""The words for contrast phases in series descriptions: English, German, French, Chinese, and Japanese in kanji.

Regular expressions over text as `phases_from_tags.normalised` leaves it: lower case, no accents, little punctuation.
"""

from __future__ import annotations

import re

from LiverAILib.study import Phase

_LATE_ARTERIAL = (r"late art\w*", r"spatart\w*", r"art\w* tardi\w*", "动脉晚期", "动脉期晚期", "晚动脉")
_LATE_VENOUS = (r"late (?:portal|ven)\w*", r"spat ?ven\w*", r"veineu\w* tardi\w*")
_NON_CONTRAST = (
    r"non ?-? ?contrast\w*", r"non ?-?enh\w*", r"non ?cont?\b", "no contrast", r"no iv\b", r"w ?/ ?o\b", r"\bwo\b",
    "without", r"unenh\w*", r"plain\b", r"pre ?-?contrast\w*", r"precon\w*", r"\bnect\b", r"\bncct\b", r"\bnc\b",
    r"\bc ?-(?!\w)", r"\bc minus\b", r"\biv ?-(?!\w)",
    r"nativ\w*", r"ohne (?:km|kontrast\w*)", r"\bkm ?-(?!\w)",
    r"sans (?:iv|inj|contraste|produit|pc)\w*", r"\bspc\b",
    "平扫", "平掃", "非增强", "单纯", "単純", "造影前",
)  # fmt: skip
_ARTERIAL = (r"arter\w*", r"\bart\b", r"\bart(?=[ _\d+.-])", r"\bartph\w*", r"\bhap\b", "动脉", "動脈")
_PORTAL = (
    r"porto ?-?\w*", r"portal\w*", r"\bpvp?\b", r"\bpvp?(?=[ \d])", r"\bhvp\b", "门静脉", "門靜脈", "门脉", "門脈",
)  # fmt: skip
_VENOUS = (
    r"\bven\b", r"\bven(?=[ _\d+.-])", r"venous\w*", r"\bvenos\w*", r"\bvenoes\w*", r"veineu\w*", r"\bvp\b",
    "静脉期", "靜脈期", "静脉", "静脈相",
)  # fmt: skip
_DELAYED = (
    r"delay\w*", r"\bdel\b", r"\bdly\b", r"equilib\w*", r"\blate\b", r"excret\w*",
    r"gleichgew\w*", r"aequilibr\w*", r"\bspat\w*", r"\bspaet\w*", r"tardi\w*",
    "延迟", "延遲", "延时", "平衡", "排泄", "遅延", "晚期",
)  # fmt: skip
_ENHANCED = (
    r"post ?-?contrast", "post ?iv", r"\bpost\b", r"\bc ?\+", "with contrast", r"\bcect\b", r"\bce\b", "contrasted",
    r"\bkm ?\+",    r"\bmit km\b", r"avec (?:iv|inj|contraste|pc)", r"\bapc\b", "增强", "增強", "造影后",
)  # fmt: skip

#: (pattern, phase, weight), tried in this order: what one matches is gone for the next. None: enhanced, phase not said.
RULES: tuple[tuple[re.Pattern[str], Phase | None, float], ...] = tuple(
    (re.compile("|".join(words)), phase, weight)
    for words, phase, weight in (
        (_LATE_ARTERIAL, Phase.ARTERIAL, 0.9),
        (_LATE_VENOUS, Phase.DELAYED, 0.6),
        (_NON_CONTRAST, Phase.NON_CONTRAST, 0.9),
        (_ARTERIAL, Phase.ARTERIAL, 0.9),
        (_PORTAL, Phase.PORTAL_VENOUS, 0.9),
        (_VENOUS, Phase.PORTAL_VENOUS, 0.85),
        (_DELAYED, Phase.DELAYED, 0.85),
        (_ENHANCED, None, 0.0),
        ((r"\bcta\b",), Phase.ARTERIAL, 0.6),
        ((r"^pre\b", r"\bpre$"), Phase.NON_CONTRAST, 0.6),
    )
)
SECONDS = re.compile(r"(?<![\d.])(\d{2,3}) ?(?:s|sec|secs|sek|seconds?|秒)(?![a-z])")
MINUTES = re.compile(r"(?<![\d.])(\d{1,2}) ?(?:min|mins|minutes?|mn|分钟|分)(?![a-z])")
