"""`{{ field | fallback }}` and `::: only` conditions: read once, carried as markers."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from newsletter_bot.issues.model import Condition, Slot
from newsletter_bot.issues.problems import Problems

_SLOT = re.compile(r"(?<!\\)\{\{[ \t]*([a-z][a-z0-9_]*)[ \t]*(?:\|[ \t]*([^{}\n]*?)[ \t]*)?\}\}")
_BRACES = re.compile(r"\{\{(?:[^{}\n]*\}\})?")
_CONDITION = re.compile(r"([a-z][a-z0-9_]*)(!?=)([^\s=,]+(?:,[^\s=,]+)*)")
_MARKER = re.compile(r"zq9[a-z]\d+x[0-9a-f]{4}9qz")


@dataclass
class Slots:
    """The slots of one file: replaced by markers that no Markdown, URL or HTML step changes."""

    known_fields: frozenset[str]
    infix: str
    found: dict[str, Slot] = field(default_factory=dict)
    written: dict[str, str] = field(default_factory=dict)  # marker → the text it replaced
    dropped: set[str] = field(default_factory=set)  # markers that stood in code

    @classmethod
    def of(cls, text: str, known_fields: frozenset[str]) -> Slots:
        """Choose markers that do not occur in the text: they hold a part of its hash."""
        digest = hashlib.sha256(text.encode()).hexdigest()
        start = next(at for at in range(60) if digest[at : at + 4] + "9qz" not in text)
        return cls(known_fields, digest[start : start + 4])

    def marker(self, kind: str) -> str:
        """Make the next marker: letters and digits only."""
        number = len(self.written)
        made = f"zq9{kind}{number}x{self.infix}9qz"
        self.written[made] = ""
        return made

    def mark(self, text: str, first_line: int = 1) -> str:
        """Replace each slot in a text that begins on `first_line` by a marker."""
        line, counted = first_line, 0

        def replace(match: re.Match[str]) -> str:
            nonlocal line, counted
            made = self.marker("s")
            line += text.count("\n", counted, match.start())
            counted = match.start()
            self.found[made] = Slot(match[1], match[2] or "", made, line)
            self.written[made] = match[0]
            return made

        return _SLOT.sub(replace, text)

    def as_written(self, text: str) -> str:
        """Put back what stood in the file: code is printed, not filled."""
        self.dropped.update(_MARKER.findall(text))
        return self.shown(text)

    def shown(self, text: str) -> str:
        """Return a text as its editor wrote it, for a message: the slots stay slots."""
        return _MARKER.sub(lambda found: self.written.get(found[0], found[0]), text)

    def with_fallbacks(self, text: str) -> str:
        """Return a text as somebody reads it of whom nothing is known."""
        return _MARKER.sub(
            lambda found: self.found[found[0]].fallback if found[0] in self.found else found[0],
            text,
        )

    def kept(self, problems: Problems) -> tuple[Slot, ...]:
        """Return the slots outside code, noting those whose field nobody has."""
        kept = tuple(slot for marker, slot in self.found.items() if marker not in self.dropped)
        known = ", ".join(sorted(self.known_fields))
        for slot in kept:
            if slot.name not in self.known_fields:
                message = f"Unknown slot {{{{ {slot.name} }}}}. Known fields: {known}."
                problems.add("unknown-slot", slot.line, message)
        return kept


def in_words(text: str, slots: Iterable[Slot]) -> str:
    """Return a text with slots for their markers, for a message."""
    written = {slot.marker: f"{{{{ {slot.name} }}}}" for slot in slots}
    return _MARKER.sub(lambda found: written.get(found[0], ""), text)


def holds_slot(text: str) -> bool:
    """Tell whether what a text says is known only for a reader."""
    return _MARKER.search(text) is not None


def warn_of_braces(text: str, line: int, problems: Problems) -> None:
    """Note double braces that are no slot: they are printed as they are, never evaluated."""
    for match in _BRACES.finditer(text):
        at = match.start()
        seen = match[0][:40] if match[0] != "{{" else text[at : at + 20]
        message = f"{seen!r} is no slot and is printed as written."
        problems.add("not-a-slot", line, message)


def read_conditions(
    text: str, line: int, known_fields: frozenset[str], problems: Problems
) -> tuple[Condition, ...]:
    """Read `plan=supporter,patron language!=ja`: all must hold, commas mean or."""
    conditions = []
    for word in text.split():
        match = _CONDITION.fullmatch(word)
        if match is None:
            message = f"{word!r} is no condition like plan=supporter or plan!=free."
            problems.add("only-block", line, message)
            continue
        if match[1] not in known_fields:
            message = (
                f"No subscriber has the field {match[1]!r}: name it in [subscribers] fields"
                " of newsletter.toml."
            )
            problems.add("unknown-field", line, message)
        conditions.append(Condition(match[1], tuple(match[3].split(",")), match[2] == "!="))
    if not text.split():
        problems.add("only-block", line, "`::: only` needs a condition like plan=supporter.")
    return tuple(conditions)
