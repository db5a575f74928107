"""Why one person matches a segment or does not: each rule, whether it holds, and a sentence."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, assert_never

from newsletter_bot.subscribers.model import SubscriptionState
from newsletter_bot.subscribers.segment_rules import (
    OPENS,
    Filled,
    Group,
    Kind,
    Leaf,
    Match,
    Now,
    OnList,
    Received,
    Rule,
    Span,
    Subject,
    Tagged,
    Text,
    When,
    folded,
)
from newsletter_bot.subscribers.segment_values import moment_text

_JOINED = {Kind.ALL: "all of these", Kind.ANY: "any of these", Kind.NOT: "none of these"}
_COMPARED = {Match.IS: "is", Match.STARTS: "starts with", Match.CONTAINS: "contains"}
_EVENTS = {
    Subject.ADDED: "added",
    Subject.CONFIRMED: "confirmed",
    Subject.LAST_RECEIVED: "last received an issue",
    Subject.LAST_OPENED: "last opened an issue",
    Subject.LAST_CLICKED: "last clicked",
}
_COUNTED = {
    Subject.RECEIVED: "received",
    Subject.OPENED: "opened",
    Subject.CLICKED: "clicked in",
}
_UNRELIABLE = " (opens are unreliable)"


Visited = tuple[int, int]  # an issue's id, and when


@dataclass(frozen=True, slots=True)
class Facts:
    """What rules may ask of one person; times are seconds since 1970 UTC."""

    name: str
    language: str
    domain: str
    fields: Mapping[str, str]
    tags: Collection[str]
    lists: Mapping[str, tuple[SubscriptionState, int]]  # state, and since when
    added_at: int
    confirmed_at: int | None  # the last time
    received: Collection[int]  # when each issue was accepted
    opened: Collection[Visited] = ()  # as humans do, as far as can be told
    clicked: Collection[Visited] = ()


@dataclass(frozen=True, slots=True)
class Told:
    """A rule in words, whether it holds for the person, and why."""

    rule: str
    met: bool
    why: str
    parts: tuple[Told, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it as `segments explain --json` prints it."""
        said = {"rule": self.rule, "met": self.met, "why": self.why}
        return {**said, "parts": [one.to_json() for one in self.parts]} if self.parts else said


def explain(rule: Rule, facts: Facts, now: Now) -> Told:
    """Ask every rule of one person."""
    if not isinstance(rule, Group):
        met, why = _answer(rule, facts, now)
        return Told(in_words(rule), met, why)
    parts = tuple(explain(one, facts, now) for one in rule.rules)
    held = sum(one.met for one in parts)
    enough = {Kind.ALL: held == len(parts), Kind.ANY: held > 0, Kind.NOT: held == 0}
    return Told(in_words(rule), enough[rule.kind], f"{held} of {len(parts)} hold", parts)


def in_words(rule: Rule) -> str:
    """Say a rule as people read it; of a group, how it joins its rules."""
    match rule:
        case Group(kind):
            return _JOINED[kind]
        case Text(subject, match, values, field):
            return f"{field or subject} {_COMPARED[match]} {_either(values)}"
        case Filled(subject, filled, field):
            return f"{field or subject} is {'set' if filled else 'empty'}"
        case Tagged(tags):
            return f"tagged {_either(tags)}"
        case OnList(name, states, span):
            return f"{' or '.join(states)} on {name}{_span_words(span)}"
        case When(subject, span):
            return _never(subject) if span is None else f"{_EVENTS[subject]}{_span_words(span)}"
        case Received():
            done = _COUNTED[rule.subject]
            return f"{done} {_count_words(rule)} issues{_span_words(rule.span)}"
        case _:
            assert_never(rule)


def _answer(rule: Leaf, facts: Facts, now: Now) -> tuple[bool, str]:
    match rule:
        case Text() | Filled():
            return _text(rule, facts)
        case Tagged(tags):
            wanted = {folded(one) for one in tags}
            met = any(folded(one) in wanted for one in facts.tags)
            return met, f"tagged {', '.join(sorted(facts.tags))}" if facts.tags else "no tags"
        case OnList():
            return _on_list(rule, facts, now)
        case When(subject, span):
            return _when(subject, span, facts, now)
        case Received():
            return _counted(rule, facts, now)
        case _:
            assert_never(rule)


def _text(rule: Text | Filled, facts: Facts) -> tuple[bool, str]:
    value = _value(rule, facts)
    why = f"{rule.field or rule.subject} is {f'“{value}”' if value else 'empty'}"
    if isinstance(rule, Filled):
        return bool(value) == rule.filled, why
    text = folded(value)
    wanted = (folded(one) for one in rule.values)
    match rule.match:
        case Match.IS:
            return text in wanted, why
        case Match.STARTS:
            return any(map(text.startswith, wanted)), why
        case Match.CONTAINS:
            return any(one in text for one in wanted), why
        case _:
            assert_never(rule.match)


def _value(rule: Text | Filled, facts: Facts) -> str:
    if rule.subject is Subject.FIELD:
        return facts.fields.get(rule.field, "")
    own = {Subject.NAME: facts.name, Subject.LANGUAGE: facts.language}
    return own.get(rule.subject, facts.domain)


def _on_list(rule: OnList, facts: Facts, now: Now) -> tuple[bool, str]:
    found = facts.lists.get(rule.list)
    if found is None:
        return False, f"never on {rule.list}"
    state, since = found
    met = state in rule.states and _within(since, rule.span, now)
    return met, f"{state} on {rule.list} since {_time(since, now)}"


def _when(subject: Subject, span: Span | None, facts: Facts, now: Now) -> tuple[bool, str]:
    last = {
        Subject.ADDED: facts.added_at,
        Subject.CONFIRMED: facts.confirmed_at,
        Subject.LAST_RECEIVED: max(facts.received, default=None),
        Subject.LAST_OPENED: max((at for _, at in facts.opened), default=None),
        Subject.LAST_CLICKED: max((at for _, at in facts.clicked), default=None),
    }[subject]
    doubt = _UNRELIABLE if subject in OPENS else ""
    if last is None:
        return span is None, f"{_never(subject)}{doubt}"
    met = span is not None and _within(last, span, now)
    return met, f"{_EVENTS[subject]} {_time(last, now)}{doubt}"


def _counted(rule: Received, facts: Facts, now: Now) -> tuple[bool, str]:
    if rule.subject is Subject.RECEIVED:
        found = sum(_within(one, rule.span, now) for one in facts.received)
    else:
        visits = facts.opened if rule.subject is Subject.OPENED else facts.clicked
        found = len({issue for issue, at in visits if _within(at, rule.span, now)})
    least, most = rule.at_least, rule.at_most
    met = (least is None or found >= least) and (most is None or found <= most)
    doubt = _UNRELIABLE if rule.subject in OPENS else ""
    return met, f"{_COUNTED[rule.subject]} {found}{_span_words(rule.span)}{doubt}"


def _within(at: int, span: Span, now: Now) -> bool:
    begun = span.since is None or at >= now.seconds(span.since)
    return begun and (span.before is None or at < now.seconds(span.before))


def _time(at: int, now: Now) -> str:
    return f"{datetime.fromtimestamp(at, now.zone):%Y-%m-%d %H:%M}"


def _either(values: Collection[str]) -> str:
    return " or ".join(f"“{one}”" for one in values)


def _never(subject: Subject) -> str:
    return f"never {_EVENTS[subject].removeprefix('last ')}"


def _count_words(rule: Received) -> str:
    if rule.at_least == rule.at_most:
        return f"exactly {rule.at_least}"
    least = [] if rule.at_least is None else [f"at least {rule.at_least}"]
    most = [] if rule.at_most is None else [f"at most {rule.at_most}"]
    return " and ".join([*least, *most])


def _span_words(span: Span) -> str:
    return "".join(f" {one}" for one in _spans(span))


def _spans(span: Span) -> Iterator[str]:
    if span.since is not None:
        word = "within" if isinstance(span.since, int) else "since"
        yield f"{word} {moment_text(span.since)}"
    if span.before is not None:
        ago = " ago" if isinstance(span.before, int) else ""
        yield f"before {moment_text(span.before)}{ago}"
