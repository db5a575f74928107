"""A segment as tables, texts and numbers (what TOML and JSON hold) → Segment, and back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from newsletter_bot.subscribers.model import SubscriptionState
from newsletter_bot.subscribers.segment_rules import (
    CLICKS,
    DEEPEST,
    MOST_RULES,
    TRACKED,
    Filled,
    Group,
    Kind,
    Leaf,
    Match,
    OnList,
    Received,
    Rule,
    Segment,
    Span,
    Subject,
    Tagged,
    Text,
    When,
)
from newsletter_bot.subscribers.segment_values import (
    SPAN_WORDS,
    SegmentError,
    below,
    moment_text,
    nearest,
    read_number,
    read_span,
    read_text,
    read_texts,
    refuse_unknown,
    unknown,
    wrong,
)

NEVER = "never"
SET = "set"
COUNT_WORDS = ("at_least", "at_most")
TEXT_WORDS = (*(one.value for one in Match), SET)
RULE_WORDS = (*(one.value for one in Kind), *(one.value for one in Subject))
# Subjects of which something happened at times, and those that are counted.
WHEN = (
    Subject.ADDED,
    Subject.CONFIRMED,
    Subject.LAST_RECEIVED,
    Subject.LAST_OPENED,
    Subject.LAST_CLICKED,
)
COUNTED = (Subject.RECEIVED, Subject.OPENED, Subject.CLICKED)
HEAD_WORDS = ("title", "description")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The names that rules of a newsletter may use."""

    fields: Collection[str]
    lists: Collection[str]
    tracked: Collection[str] = ()  # words of `TRACKED` for what is counted individually


def read_segment(
    table: Mapping[str, Any], name: str = "", known: Vocabulary | None = None
) -> Segment:
    """Read a segment; raises SegmentError, with the rule's place within the table.

    Without `known`, any field and list will do: a ledger outlives them.
    """
    rest = {key: value for key, value in table.items() if key not in HEAD_WORDS}
    head = {key: read_text(table.get(key, ""), key) for key in HEAD_WORDS}
    kinds = [one.value for one in Kind]
    refuse_unknown(rest, kinds, "", [*kinds, *HEAD_WORDS])
    if len(rest) != 1:
        raise SegmentError(f"Write one of {', '.join(kinds)}, and the others within it.")
    wrapped = Kind.ALL not in rest
    rule = _Reader(known, int(wrapped)).rule(rest, "", int(wrapped))
    assert isinstance(rule, Group), "only their words were let through"
    return Segment(Group(Kind.ALL, (rule,)) if wrapped else rule, name, **head)


def not_counted(word: str) -> str:
    """Say why a word of `TRACKED` cannot be used."""
    what = "clicks" if word in CLICKS else "opens"
    return f'{word}: {what} are not counted for each reader: see tracking.{what} = "individual".'


def to_table(segment: Segment) -> dict[str, Any]:
    """Write a segment as `read_segment` reads it."""
    head = {key: getattr(segment, key) for key in HEAD_WORDS if getattr(segment, key)}
    return {**head, **rule_table(segment.rule)}


def rule_table(rule: Rule) -> dict[str, Any]:
    """Write a rule as a table."""
    match rule:
        case Group(kind, rules):
            return {kind.value: [rule_table(one) for one in rules]}
        case Text(subject, match, values, field):
            return _about(subject, field, match.value, _few(values))
        case Filled(subject, filled, field):
            return _about(subject, field, SET, filled)
        case Tagged(tags):
            return {Subject.TAG.value: _few(tags)}
        case OnList(name, states, span):
            usual = states == (SubscriptionState.ACTIVE,)
            state = {} if usual else {"state": _few([one.value for one in states])}
            return {Subject.LIST.value: name, **state, **_span_table(span)}
        case When(subject, span):
            return {subject.value: NEVER if span is None else _span_table(span)}
        case Received(at_least, at_most, span, subject):
            counts = {"at_least": at_least, "at_most": at_most}
            said = {key: value for key, value in counts.items() if value is not None}
            return {subject.value: {**said, **_span_table(span)}}


def _about(subject: Subject, field: str, word: str, value: Any) -> dict[str, Any]:
    if subject is Subject.FIELD:
        return {subject.value: field, word: value}
    return {subject.value: value if word == Match.IS else {word: value}}


def _few(values: Iterable[str]) -> str | list[str]:
    found = list(values)
    return found[0] if len(found) == 1 else found


def _span_table(span: Span) -> dict[str, str]:
    found = {}
    if span.since is not None:
        word = "within" if isinstance(span.since, int) else "since"
        found[word] = moment_text(span.since)
    if span.before is not None:
        found["before"] = moment_text(span.before)
    return found


class _Reader:
    """Reads rules, counting them."""

    def __init__(self, known: Vocabulary | None, count: int) -> None:
        self._known = known
        self._count = count
        # What a rule about each subject is read by.
        self._readers: dict[str, Callable[[Mapping[str, Any], Subject, str], Leaf]] = {
            **dict.fromkeys((Subject.NAME, Subject.LANGUAGE, Subject.DOMAIN), self._own_text),
            **dict.fromkeys(WHEN, self._when),
            **dict.fromkeys(COUNTED, self._counted),
            Subject.FIELD: self._field,
            Subject.TAG: self._tagged,
            Subject.LIST: self._on_list,
        }

    def rule(self, table: object, place: str, depth: int) -> Rule:
        if not isinstance(table, Mapping):
            raise wrong(place, 'a rule in braces is needed, like {tag = "beta"}.')
        self._count += 1
        if self._count > MOST_RULES + 1:  # the outermost group is none of them
            raise SegmentError(f"More than {MOST_RULES} rules.")
        about = [word for word in table if word in RULE_WORDS]
        if len(about) > 1:
            words = " and ".join(map(repr, about))
            raise wrong(place, f"{words} are two rules: give each its own braces.")
        if not about:
            raise _nothing_known(table, place)
        word = about[0]
        if word in list(Kind):
            return self._group(table, Kind(word), place, depth)
        if self._known is not None and word in TRACKED and word not in self._known.tracked:
            raise wrong(place, not_counted(word))
        return self._readers[word](table, Subject(word), place)

    def _group(self, table: Mapping[str, Any], kind: Kind, place: str, depth: int) -> Group:
        refuse_unknown(table, [kind], place)
        if depth > DEEPEST:
            raise wrong(place, f"groups are nested deeper than {DEEPEST}.")
        inner = f"{place}.{kind}" if place else kind.value
        rules = table[kind]
        if kind is Kind.NOT and isinstance(rules, Mapping):
            return Group(kind, (self.rule(rules, inner, depth + 1),))
        if not isinstance(rules, list) or not rules:
            raise wrong(inner, 'a list of rules is needed, like [{tag = "beta"}].')
        found = (self.rule(one, f"{inner}[{at}]", depth + 1) for at, one in enumerate(rules))
        return Group(kind, tuple(found))

    # ── texts ────────────────────────────────────────────────────────────────────────────────

    def _field(self, table: Mapping[str, Any], subject: Subject, place: str) -> Leaf:
        name = read_text(table[subject], below(place, subject))
        if self._known is not None and name not in self._known.fields:
            hint = nearest(name, self._known.fields)
            raise wrong(below(place, subject), f"there is no field {name!r}. {hint}")
        said = {key: value for key, value in table.items() if key != subject}
        return _compared(said, subject, place, name)

    def _own_text(self, table: Mapping[str, Any], subject: Subject, place: str) -> Leaf:
        refuse_unknown(table, [subject], place)
        said = table[subject]
        inner = below(place, subject)
        return _compared(said if isinstance(said, Mapping) else {Match.IS: said}, subject, inner)

    def _tagged(self, table: Mapping[str, Any], subject: Subject, place: str) -> Leaf:
        refuse_unknown(table, [subject], place)
        return Tagged(read_texts(table[subject], below(place, subject), empty=False))

    # ── lists, dates, issues ─────────────────────────────────────────────────────────────────

    def _on_list(self, table: Mapping[str, Any], subject: Subject, place: str) -> Leaf:
        refuse_unknown(table, [subject, "state", *SPAN_WORDS], place)
        name = read_text(table[subject], below(place, subject))
        if self._known is not None and name not in self._known.lists:
            hint = nearest(name, self._known.lists)
            raise wrong(below(place, subject), f"there is no list {name!r}. {hint}")
        written = read_texts(
            table.get("state", SubscriptionState.ACTIVE.value), below(place, "state")
        )
        for one in written:
            if one not in list(SubscriptionState):
                hint = nearest(one, SubscriptionState)
                raise wrong(below(place, "state"), f"{one!r} is no state. {hint}")
        return OnList(name, tuple(map(SubscriptionState, written)), read_span(table, place))

    def _when(self, table: Mapping[str, Any], subject: Subject, place: str) -> Leaf:
        refuse_unknown(table, [subject], place)
        said, inner = table[subject], below(place, subject)
        if said == NEVER and subject is not Subject.ADDED:
            return When(subject, None)
        if not isinstance(said, Mapping) or not said:
            never = "" if subject is Subject.ADDED else ', or "never"'
            raise wrong(inner, f'say when, like {{since = "2026-01-01"}}{never}.')
        refuse_unknown(said, SPAN_WORDS, inner)
        return When(subject, read_span(said, inner))

    def _counted(self, table: Mapping[str, Any], subject: Subject, place: str) -> Leaf:
        refuse_unknown(table, [subject], place)
        said, inner = table[subject], below(place, subject)
        if not isinstance(said, Mapping):
            raise wrong(inner, "say how many, like {at_least = 3}.")
        refuse_unknown(said, [*COUNT_WORDS, *SPAN_WORDS], inner)
        least, most = (read_number(said.get(word), below(inner, word)) for word in COUNT_WORDS)
        if least is None and most is None:
            raise wrong(inner, "say how many, with at_least or at_most.")
        if least is not None and most is not None and least > most:
            raise wrong(inner, "at_least is more than at_most.")
        return Received(least, most, read_span(said, inner), subject)


def _compared(
    said: Mapping[str, Any], subject: Subject, place: str, field: str = ""
) -> Text | Filled:
    refuse_unknown(said, TEXT_WORDS, place)
    if len(said) != 1:
        raise wrong(place, f"compare it with one of {', '.join(TEXT_WORDS)}.")
    word, value = next(iter(said.items()))
    if word == SET:
        if not isinstance(value, bool):
            raise wrong(below(place, word), "true or false is needed.")
        return Filled(subject, value, field)
    match = Match(word)
    values = read_texts(value, below(place, word), empty=match is Match.IS)
    return Text(subject, match, values, field)


def _nothing_known(table: Mapping[str, Any], place: str) -> SegmentError:
    if not table:
        return wrong(place, "an empty rule.")
    word = next(iter(table))
    return wrong(place, f"{unknown(word)} {nearest(word, RULE_WORDS)}")
