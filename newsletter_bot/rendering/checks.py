"""What can only be seen in the finished mail: its size, its slots, its footer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import assert_never

from newsletter_bot.errors import Problem, Severity
from newsletter_bot.issues.problems import Rule
from newsletter_bot.rendering.model import Hole, Only, Pieces, Rendering, Static
from newsletter_bot.rendering.tracked import READER, Visits, as_sent
from newsletter_bot.rendering.tracking import Detail
from newsletter_bot.settings import Settings

RULES: dict[str, Rule] = {
    "no-unsubscribe": Rule(Severity.ERROR, "The mail has no unsubscribe link."),
    "no-postal-address": Rule(Severity.ERROR, "The newsletter has no postal address."),
    "mail-too-large": Rule(Severity.ERROR, "The mail is over Gmail's limit of 102,400 bytes."),
    "mail-large": Rule(Severity.WARNING, "The mail is near Gmail's limit of 102,400 bytes."),
    "subject-test": Rule(
        Severity.WARNING, "Several subjects that cannot be tested; they are shared out evenly."
    ),
    "leftover": Rule(Severity.ERROR, "The theme left something in the mail that is no text."),
}
_LARGEST = 102_400  # bytes, where Gmail clips (2026-11)
_LARGE = 92_160
NOT_COUNTED = 'clicks are not counted by reader (tracking.clicks = "individual")'
_TOKEN, _MAC = "0" * 46, "0" * 16  # what stands in addresses that are counted
_LEFTOVER = re.compile(r"zq9[a-z]\d+x[0-9a-f]{4}9qz")


def check_rendering(rendering: Rendering, settings: Settings) -> tuple[Problem, ...]:
    """Return what is wrong with the finished mail; it has no line of its own, so line 1."""
    found = []

    def add(rule: str, message: str) -> None:
        found.append(Problem(1, rule, RULES[rule].severity, message))

    for name, part in (("HTML", rendering.html), ("plain text", rendering.text)):
        if not _has_slot(part, "unsubscribe_url"):
            add("no-unsubscribe", f"The theme's {name} part has no slot unsubscribe_url.")
    if not settings.newsletter.postal_address.strip():
        add("no-postal-address", "newsletter.toml: set newsletter.postal_address; the law asks it.")
    html = "".join(_texts(_as_sent(rendering, settings)))
    size = len(html.encode())
    if size >= _LARGEST:
        add("mail-too-large", f"The mail has {size:,} bytes; Gmail cuts it at {_LARGEST:,}.")
    elif size > _LARGE:
        add("mail-large", f"The mail has {size:,} bytes; Gmail cuts it at {_LARGEST:,}.")
    for name, whole in (("HTML", html), ("plain text", "".join(_texts(rendering.text)))):
        if leftover := _LEFTOVER.search(whole):
            add("leftover", f"The marker {leftover[0]} stands in the {name} part.")
    if len(rendering.subjects) > 1 and rendering.tracking.clicks is not Detail.INDIVIDUAL:
        add("subject-test", f"No test of the subjects is held, for {NOT_COUNTED}.")
    return tuple(found)


def _has_slot(pieces: Pieces, name: str) -> bool:
    return any(isinstance(piece, Hole) and piece.name == name for piece in pieces)


def _as_sent(rendering: Rendering, settings: Settings) -> Pieces:
    """Return the HTML with addresses of counted links as long as they will be."""
    numbers = {one.url: at for at, one in enumerate(rendering.tracking.links, 1)}
    visits = Visits(settings.newsletter.url, rendering.issue, numbers, lambda _number: _MAC)
    return as_sent(rendering, visits)


def _texts(pieces: Pieces) -> Iterator[str]:
    """Yield what the reader who sees every `only` block gets: the largest mail."""
    for piece in pieces:
        match piece:
            case Static(text):
                yield text
            case Hole():
                yield _TOKEN if piece.name == READER else piece.fallback
            case Only():
                yield from _texts(piece.pieces)
            case _:
                assert_never(piece)
