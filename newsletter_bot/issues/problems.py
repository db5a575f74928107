"""The rules of checking, by name, and the list in which a file's problems are gathered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from newsletter_bot.errors import Problem, Severity


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of problem: how bad it is, and what it means in a sentence."""

    severity: Severity
    sentence: str


def _error(sentence: str) -> Rule:
    return Rule(Severity.ERROR, sentence)


def _warning(sentence: str) -> Rule:
    return Rule(Severity.WARNING, sentence)


RULES: dict[str, Rule] = {
    # found while reading the file
    "too-large": _error("The file, a paragraph, or the number of items is over the limit."),
    "not-text": _error("The file is not UTF-8 text, or holds a control character."),
    "deep-nesting": _error("Quotes and lists are nested deeper than 20 levels, or HTML than 48."),
    "front-matter": _error("The front matter cannot be read, or a value in it is wrong."),
    "unknown-key": _error("A key of the front matter that we do not know."),
    "no-items": _error("The issue has no items."),
    "unknown-slot": _error("A `{{ slot }}` whose field no subscriber has."),
    "only-block": _error("An `::: only` block that is not written as it must be."),
    "image-outside": _error("A picture whose path leaves the issue's folder."),
    "cards-file": _error("The .cards.json file beside the issue cannot be read."),
    "cut-comment": _warning("YAML drops everything after ` #`; quote the value."),
    "not-a-slot": _warning("Double braces that are no slot are printed as written."),
    "unknown-field": _warning("An `only` block asks for a field that no subscriber has."),
    "unclosed-html": _error("HTML that is never closed and hides everything after it."),
    "removed-html": _warning("HTML that is not allowed in mail was removed."),
    # found in what the file says
    "segment": _error("The issue names a segment that does not exist or cannot be read."),
    "missing-image": _error("A picture's file does not exist or is no picture."),
    "malformed-url": _error("An address that no browser could open as written."),
    "id-mismatch": _error("The caption names another paper than the item's link."),
    "duplicate-caption": _error("Two items have the same caption."),
    "missing-link": _warning("An item's headline has no link."),
    "shortener": _warning("A shortened link hides where it leads and is often filtered."),
    "link-text-mismatch": _warning("A link's text is an address of another site."),
    "no-alt": _warning("A picture without a description for those who do not see it."),
    "duplicate-url": _warning("Two items have the same link."),
    "insecure-link": _warning("A link that begins with http://."),
    "preheader-length": _warning("A preheader should be 40 to 140 characters long."),
    "subject-length": _warning("A subject is cut off after about 60 characters."),
    "subject-shouting": _warning("A subject in capitals or with !!! is taken for spam."),
    "image-too-large": _warning("A picture of more than 200 KB."),
    "image-too-wide": _warning("A picture more than 2208 pixels wide, four times its place."),
    "image-format": _warning("A picture format that some mail programs do not show."),
    "card-without-data": _warning("A card of which nothing but the link is known."),
    "long-issue": _warning("More than 35 items: Gmail will cut the mail short."),
}


@dataclass
class Problems:
    """Gathers what is wrong, so that all of it is said at once."""

    found: list[Problem] = field(default_factory=list)

    def add(self, rule: str, line: int, message: str) -> None:
        """Note a problem under one of `RULES`."""
        self.found.append(Problem(line, rule, RULES[rule].severity, message))

    def reword(self, change: Callable[[str], str]) -> None:
        """Change what every message says."""
        self.found = [replace(one, message=change(one.message)) for one in self.found]

    @property
    def errors(self) -> bool:
        """True when one of them is an error."""
        return any(problem.severity is Severity.ERROR for problem in self.found)

    def all(self) -> tuple[Problem, ...]:
        """Return them by line, each once."""
        return tuple(sorted(set(self.found)))
