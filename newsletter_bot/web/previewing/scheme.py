"""Light or dark on demand: HTML that no longer asks which of the two the operator's desktop is."""

from __future__ import annotations

import re
from enum import StrEnum

_STYLE = re.compile(r"(<style\b[^>]*>)(.*?)(</style>)", re.DOTALL | re.IGNORECASE)
_QUESTION = re.compile(r"\(\s*prefers-color-scheme\s*:\s*(light|dark)\s*\)", re.IGNORECASE)
_HEAD_END = re.compile(r"</head\s*>", re.IGNORECASE)
# Answers that may stand wherever the question stood, `@media screen and (…)` included.
_YES, _NO = "(min-width: 0px)", "(max-width: 0px)"


class Scheme(StrEnum):
    """The two sets of colours a reader's device may ask for."""

    LIGHT = "light"
    DARK = "dark"


def in_scheme(html: str, scheme: Scheme) -> str:
    """Answer every `prefers-color-scheme` in the style sheets of a page as `scheme` would."""
    answered = _STYLE.sub(lambda sheet: sheet[1] + _answered(sheet[2], scheme) + sheet[3], html)
    # The canvas behind the page and its scroll bars follow `color-scheme`, not media queries.
    forced = f"<style>:root {{ color-scheme: {scheme} !important; }}</style>"
    return _HEAD_END.sub(lambda end: forced + end[0], answered, count=1)


def _answered(css: str, scheme: Scheme) -> str:
    return _QUESTION.sub(lambda asked: _YES if asked[1].lower() == scheme else _NO, css)
