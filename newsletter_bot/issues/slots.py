"""`{{ field | fallback }}` and `::: only` conditions: read once, carried as markers."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field

from newsletter_bot.issues.model import Condition, Slot
from newsletter_bot.issues.problems import Problems

_SLOT = re.compile(r"\{\{[ \t]*([a-z][a-z0-9_]*)[ \t]*(?:\|[ \t]*([^{}\n]*?)[ \t]*)?\}\}")
_BRACES = re.compile(r"\{\{[^{}\n]*\}\}")
_CONDITION = re.compile(r"([a-z][a-z0-9_]*)(!?=)([^\s=]+)")


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

        def replace(match: re.Match[str]) -> str:
            made = self.marker("s")
            line = first_line + text.count("\n", 0, match.start())
            self.found[made] = Slot(match[1], match[2] or "", made, line)
            self.written[made] = match[0]
            return made

        return _SLOT.sub(replace, text)

    def as_written(self, text: str) -> str:
        """Put back what stood in the file: code is printed, not filled."""
        for marker, slot_text in self.written.items():
            if marker in text:
                self.dropped.add(marker)
                text = text.replace(marker, slot_text)
        return text

    def kept(self, problems: Problems) -> tuple[Slot, ...]:
        """Return the slots outside code, noting those whose field nobody has."""
        kept = tuple(slot for marker, slot in self.found.items() if marker not in self.dropped)
        for slot in kept:
            if slot.name not in self.known_fields:
                known = ", ".join(sorted(self.known_fields))
                message = f"Unknown slot {{{{ {slot.name} }}}}. Known fields: {known}."
                problems.add("unknown-slot", slot.line, message)
        return kept


def warn_of_braces(text: str, line: int, problems: Problems) -> None:
    """Note double braces that are no slot: they are printed as they are, never evaluated."""
    for match in _BRACES.finditer(text):
        message = f"{match[0][:40]!r} is no slot and is printed as written."
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
