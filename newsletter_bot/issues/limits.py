"""What is refused before it is parsed: the parser takes the square of some lengths to read them."""

from __future__ import annotations

import re

from markdown_it.rules_core import StateCore

from newsletter_bot.issues.problems import Problems

DEEPEST = 20  # levels of quotes and lists
_LONGEST = 10_000  # characters of a paragraph
_MOST_OPEN = 40  # brackets at one time
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_MOST_DEFINITIONS = 1000
_LONGEST_RUN = 200  # of them without an empty line between
_DEFINITION = re.compile(r"[\s>*+-]*\[[^\]]*\]:")
_QUOTES = re.compile(r"(?: {0,3}>)+")


def too_deep(text: str) -> int | None:
    """Return the first line whose quotes are nested too deeply, before any parser sees it."""
    for number, line in enumerate(text.split("\n"), 1):
        match = _QUOTES.match(line)
        if match and match[0].count(">") > DEEPEST:
            return number
    return None


def too_many_definitions(text: str) -> int | None:
    """Return the line at which lines like `[name]: address` become too many to read."""
    count = run = 0
    for number, line in enumerate(text.split("\n"), 1):
        run = run + 1 if _DEFINITION.match(line) else 0
        count += run > 0
        if run > _LONGEST_RUN or count > _MOST_DEFINITIONS:
            return number
    return None


def refuse_unprintable(text: str, problems: Problems) -> None:
    """Note the lines with characters that HTML and XML have no place for."""
    for number, line in enumerate(text.split("\n"), 1):
        if found := UNPRINTABLE.search(line):
            message = f"A character that cannot be shown (U+{ord(found[0]):04X})."
            problems.add("not-text", number, message)


def refuse_long(state: StateCore, problems: Problems) -> None:
    """Note paragraphs too long or too tangled to read, and empty them."""
    for token in state.tokens:
        if token.type != "inline":
            continue
        line = (token.map or [0])[0] + 1
        if len(token.content) > _LONGEST:
            message = f"{len(token.content):,} characters without an empty line; {_LONGEST:,}"
            problems.add("too-large", line, f"{message} are the most.")
            token.content = ""
        elif _open_brackets(token.content) > _MOST_OPEN:
            problems.add("deep-nesting", line, f"More than {_MOST_OPEN} brackets are open at once.")
            token.content = ""


def _open_brackets(text: str) -> int:
    depth = deepest = 0
    for bracket in re.findall(r"[\[\]]", text):
        depth = depth + 1 if bracket == "[" else max(depth - 1, 0)
        deepest = max(deepest, depth)
    return deepest
