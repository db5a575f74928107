r"""A segment as a query string: `plan=supporter&language=ja&not.tag=staff`, exact both ways.

A key is the groups a rule stands in, its subject, and what of it is said: `any.received.within`.
A field of the newsletter's own is its own subject. A word that comes again means the same group or
rule, unless what is said was said of it already: then another rule begins, so `tag=a&tag=b` are
two. `any~2`, `received~3` tell apart what would else be taken for one. Several values stand with
commas between; a comma of a value's own is written `\,`, a backslash `\\`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote

from newsletter_bot.subscribers.segment_rules import (
    MOST_RULES,
    TRACKED,
    Group,
    Kind,
    Match,
    Segment,
    Subject,
)
from newsletter_bot.subscribers.segment_table import (
    COUNT_WORDS,
    COUNTED,
    RULE_WORDS,
    SET,
    WHEN,
    Vocabulary,
    not_counted,
    read_segment,
    rule_table,
)
from newsletter_bot.subscribers.segment_values import SPAN_WORDS, SegmentError, nearest

LONGEST = 8000  # characters
_MOST_PAIRS = 5 * MOST_RULES
_LABEL = re.compile(r"([a-z][a-z0-9_]*)(~[1-9][0-9]{0,2})?")
_SPLIT = re.compile(r"((?:[^,\\]|\\[,\\])*)(,|\Z)")
_SHOWN = 60  # characters of a key in a message
_NUMBER = re.compile(r"[0-9]{1,9}")
# Subjects of which something is said in braces of their own, all but what they are.
_BRACED = frozenset({*WHEN, *COUNTED})
_TEXTS = frozenset({Subject.NAME, Subject.LANGUAGE, Subject.DOMAIN, Subject.FIELD})
# What needs `field.` before it, where a field of the newsletter's own is called so.
_TAKEN = frozenset(RULE_WORDS)


def parse_query(text: str, known: Vocabulary) -> Segment:
    """Read a query string, as it stands behind the question mark; raises SegmentError."""
    if len(text) > LONGEST:
        raise SegmentError(f"A query of more than {LONGEST:,} characters.")
    root = _Branch(Kind.ALL)
    for key, value in _pairs(text):
        _Key(key, known).put(root, value)
    if not root.children:
        raise SegmentError("A query without a rule.", "Write one like tag=beta.")
    return read_segment(root.table(), "", known)


def to_query(segment: Segment) -> str:
    """Write a segment's rules so that `parse_query` reads the same ones."""
    pairs = _written(segment.rule, "")
    return "&".join(f"{quote(key, safe='~')}={quote(value, safe=',')}" for key, value in pairs)


def _pairs(text: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            text,
            keep_blank_values=True,
            strict_parsing=bool(text),
            encoding="utf-8",
            errors="strict",
            max_num_fields=_MOST_PAIRS,
        )
    except (ValueError, UnicodeError) as error:
        raise SegmentError(f"No query like tag=beta&language=ja: {error}.") from error


# ── reading ──────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class _Twig:
    """A rule that is being read: what was said of it."""

    subject: Subject
    own: str  # which field, of a rule about one
    said: dict[str, Any] = field(default_factory=dict)

    def table(self) -> dict[str, Any]:
        if self.subject is Subject.FIELD:
            return {self.subject.value: self.own, **self.said}
        if self.subject in _BRACED or self.subject in _TEXTS:
            return {self.subject.value: self.said[""] if [*self.said] == [""] else self.said}
        rest = {word: value for word, value in self.said.items() if word}
        return {self.subject.value: self.said.get("", ""), **rest}


@dataclass(slots=True)
class _Branch:
    """A group that is being read; children by label, the last rule of a label being open."""

    kind: Kind
    children: list[_Twig | _Branch] = field(default_factory=list)
    open: dict[str, _Twig | _Branch] = field(default_factory=dict)

    def table(self) -> dict[str, Any]:
        return {self.kind.value: [one.table() for one in self.children]}

    def add(self, label: str, child: _Twig | _Branch) -> None:
        self.children.append(child)
        self.open[label] = child


class _Key:
    """One key of a query, taken apart."""

    def __init__(self, key: str, known: Vocabulary) -> None:
        self._key = key[:_SHOWN]
        words = key.split(".")
        self._groups: list[str] = []
        while words and _bare(words[0]) in list(Kind):
            self._groups.append(words.pop(0))
        self._label = words.pop(0) if words else ""
        found = _LABEL.fullmatch(self._label)
        if found is None or not all(map(_LABEL.fullmatch, self._groups)):
            raise SegmentError(
                f"{self._key!r}: a rule is called like tag, not.tag or received.within."
            )
        self._subject, self._field = self._meaning(found[1], words, known)
        self._word = ".".join(words)

    def _meaning(self, word: str, rest: list[str], known: Vocabulary) -> tuple[Subject, str]:
        if word == Subject.FIELD:
            if not rest:
                raise SegmentError(f"{self._key!r}: say which field, like field.plan=supporter.")
            return Subject.FIELD, rest.pop(0)
        if word in TRACKED and word not in known.tracked:
            raise SegmentError(f"{self._key!r}: {not_counted(word)}")
        if word in list(Subject):
            return Subject(word), ""
        if word in known.fields:
            return Subject.FIELD, word
        hint = nearest(word, [*RULE_WORDS, *known.fields])
        raise SegmentError(f"{self._key!r}: unknown word {word!r}. {hint}")

    def put(self, root: _Branch, value: str) -> None:
        """Say it of the rule it is about."""
        branch = root
        for label in self._groups:
            inner = branch.open.get(label)
            if inner is None:
                inner = _Branch(Kind(_bare(label)))
                branch.add(label, inner)
            assert isinstance(inner, _Branch), "labels of groups and rules are different words"
            branch = inner
        word = self._word or _head(self._subject)
        label = f"{self._label}.{self._field}" if self._field else self._label
        twig = branch.open.get(label)
        if not isinstance(twig, _Twig) or word in twig.said:
            twig = _Twig(self._subject, self._field)
            branch.add(label, twig)
        twig.said[word] = self._typed(word, value)

    def _typed(self, word: str, value: str) -> Any:
        """Read a value as TOML has it; what is none of its kind stays a text and is refused."""
        if word in COUNT_WORDS:
            return int(value) if _NUMBER.fullmatch(value) else value
        if word == SET:
            return {"true": True, "false": False}.get(value, value)
        if self._subject in _TEXTS or self._subject is Subject.TAG or word == "state":
            return self._several(value)
        return value

    def _several(self, value: str) -> list[str]:
        found, at, more = [], 0, True
        while more:
            part = _SPLIT.match(value, at)
            if part is None:
                raise SegmentError(f"{self._key!r}: write a backslash as \\\\.")
            found.append(re.sub(r"\\(.)", r"\1", part[1]))
            at, more = part.end(), bool(part[2])
        return found


def _bare(label: str) -> str:
    return label.partition("~")[0]


def _head(subject: Subject) -> str:
    """Return under which word a subject keeps what is said of it without one."""
    return Match.IS.value if subject in _TEXTS else ""


# ── writing ──────────────────────────────────────────────────────────────────────────────────────


def _written(group: Group, place: str) -> Iterator[tuple[str, str]]:
    labels: dict[str, list[frozenset[str]]] = {}
    for rule in group.rules:
        if isinstance(rule, Group):
            known = labels.setdefault(rule.kind, [])
            known.append(frozenset())
            yield from _written(rule, f"{place}{_numbered(rule.kind, len(known))}.")
        else:
            yield from _rule_pairs(rule_table(rule), place, labels)


def _rule_pairs(
    table: dict[str, Any], place: str, labels: dict[str, list[frozenset[str]]]
) -> Iterator[tuple[str, str]]:
    subject, head = next(iter(table.items()))
    said = {key: value for key, value in table.items() if key != subject}
    if subject == Subject.FIELD:
        name, tail = (subject, f".{head}") if head in _TAKEN else (head, "")
    else:
        name, tail = subject, ""
        said = head if isinstance(head, dict) else {"": head, **said}
    said = {"" if key == Match.IS else key: value for key, value in said.items()}
    known = labels.setdefault(name + tail, [])
    # The first word of a rule begins another one where it was said of the one before.
    if not known or next(iter(said)) in known[-1]:
        known[-1:] = [frozenset(said)]
    else:
        known.append(frozenset(said))
    label = f"{place}{_numbered(name, len(known))}{tail}"
    for key, value in said.items():
        yield f"{label}.{key}" if key else label, _value_text(key, value, subject)


def _numbered(word: str, number: int) -> str:
    return f"{word}~{number}" if number > 1 else str(word)


def _value_text(key: str, value: Any, subject: str) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    several = subject in _TEXTS or subject == Subject.TAG or key == "state"
    if key in (*SPAN_WORDS, *COUNT_WORDS) or not several:
        return str(value)
    values = value if isinstance(value, list) else [value]
    return ",".join(re.sub(r"([\\,])", r"\\\1", one) for one in values)
