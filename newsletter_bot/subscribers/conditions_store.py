"""A segment's rules as SQL: a condition on people, whose values are parameters alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, assert_never

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    column,
    func,
    or_,
    select,
    true,
)

from newsletter_bot.storage.tables import (
    deliveries,
    events,
    issues,
    subscribers,
    subscription_changes,
    subscriptions,
)
from newsletter_bot.subscribers.consent import By
from newsletter_bot.subscribers.segment_rules import (
    Filled,
    Group,
    Kind,
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

_DAY = 86_400
CONFIRM = By.CONFIRM.value  # a subscription was changed by the link of a confirm mail
ACCEPTED = "accepted"
ISSUE = "issue"
HUMAN = "human"  # who made a visit, as far as can be told
_Condition = ColumnElement[bool]


def condition(rule: Rule, now: Now, dialect: str) -> _Condition:
    """Return a rule as a condition on a row of `subscribers`, true or false and never NULL."""
    return _Compiler(now, dialect).rule(rule)


class _Compiler:
    """Makes conditions for one database at one time."""

    def __init__(self, now: Now, dialect: str) -> None:
        self._now = now
        self._dialect = dialect
        self._happened: dict[Subject, Callable[[Span], _Condition]] = {
            Subject.CONFIRMED: self._confirmed,
            Subject.LAST_RECEIVED: self._accepted,
            Subject.LAST_OPENED: partial(self._visited, Subject.OPENED),
            Subject.LAST_CLICKED: partial(self._visited, Subject.CLICKED),
        }

    def rule(self, rule: Rule) -> _Condition:
        match rule:
            case Group(kind, rules):
                return _joined(kind, [self.rule(one) for one in rules])
            case Text(_, match, values):
                return or_(*self._compared(self._value(rule), match, values))
            case Filled(_, filled):
                empty = self._value(rule) == ""
                return ~empty if filled else empty
            case Tagged(tags):
                return self._tagged([folded(one) for one in tags])
            case OnList():
                return self._on_list(rule)
            case When():
                return self._when(rule)
            case Received():
                return self._received(rule)
            case _:
                assert_never(rule)

    # ── texts ────────────────────────────────────────────────────────────────────────────────

    def _lower(self, text: ColumnElement[str]) -> ColumnElement[str]:
        # PostgreSQL's lower() minds all letters, except in the collation "C"; SQLite's never does.
        plain = text.collate("C") if self._dialect == "postgresql" else text
        return func.lower(plain)

    def _value(self, rule: Text | Filled) -> ColumnElement[str]:
        match rule.subject:
            case Subject.FIELD:
                return func.coalesce(subscribers.c.fields[rule.field].as_string(), "")
            case Subject.NAME:
                return subscribers.c.name
            case Subject.LANGUAGE:
                return subscribers.c.language
            case _:
                return _domain()

    def _compared(
        self, value: ColumnElement[str], match: Match, values: Sequence[str]
    ) -> list[_Condition]:
        text, wanted = self._lower(value), [folded(one) for one in values]
        match match:
            case Match.IS:
                return [text.in_(wanted)]
            case Match.STARTS:
                return [text.startswith(one, autoescape=True) for one in wanted]
            case Match.CONTAINS:
                return [text.contains(one, autoescape=True) for one in wanted]
            case _:
                assert_never(match)

    def _tagged(self, tags: Sequence[str]) -> _Condition:
        if self._dialect == "postgresql":
            each = func.json_array_elements_text(subscribers.c.tags)
        else:
            each = func.json_each(subscribers.c.tags)
        one = each.table_valued(column("value"), name="tag")
        found = select(1).select_from(one).where(self._lower(one.c.value).in_(tags))
        return _exists(found)

    # ── lists, dates, issues ─────────────────────────────────────────────────────────────────

    def _on_list(self, rule: OnList) -> _Condition:
        found = select(1).where(
            subscriptions.c.list == rule.list,
            subscriptions.c.subscriber_id == subscribers.c.id,
            subscriptions.c.state.in_([one.value for one in rule.states]),
            *self._within(subscriptions.c.changed_at, rule.span),
        )
        return _exists(found)

    def _when(self, rule: When) -> _Condition:
        if rule.subject is Subject.ADDED:
            span = rule.span or Span()
            return and_(true(), *self._within(subscribers.c.added_at, span))
        happened = self._happened[rule.subject]
        if rule.span is None:
            return ~happened(Span())
        # The last time lies within a span, when it was since its begin and not since its end.
        conditions = [happened(Span(rule.span.since))]
        if rule.span.before is not None:
            conditions.append(~happened(Span(rule.span.before)))
        return and_(*conditions)

    def _confirmed(self, span: Span) -> _Condition:
        found = select(1).where(
            subscription_changes.c.subscriber_id == subscribers.c.id,
            subscription_changes.c.by == CONFIRM,
            *self._within(subscription_changes.c.at, span),
        )
        return _exists(found)

    def _accepted(self, span: Span, at_least: int = 1) -> _Condition:
        # Looked up by issue and person, which have an index, the newest issues first, and no
        # further than the number asked for: the ledger as a whole is never read.
        found = (
            select(1)
            .select_from(issues)
            .join(deliveries, deliveries.c.issue_id == issues.c.id)
            .where(
                issues.c.kind == ISSUE,
                deliveries.c.subscriber_id == subscribers.c.id,
                deliveries.c.state == ACCEPTED,
                *self._within(deliveries.c.changed_at, span),
            )
            .order_by(issues.c.id.desc())
            .limit(1)
            .offset(at_least - 1)
        )
        if span.since is not None:
            # Nothing of an issue was accepted after it was finished, give or take a clock.
            since = self._now.seconds(span.since) - _DAY
            unfinished = issues.c.finished_at.is_(None)
            found = found.where(or_(unfinished, issues.c.finished_at >= since))
        return _exists(found)

    def _visited(self, subject: Subject, span: Span, at_least: int = 1) -> _Condition:
        # Looked up by person, of whom there are few.
        found = (
            select(events.c.issue_id)
            .where(
                events.c.subscriber_id == subscribers.c.id,
                events.c.kind == subject.value,
                events.c.actor == HUMAN,
                events.c.issue_id.is_not(None),
                *self._within(events.c.at, span),
            )
            .group_by(events.c.issue_id)
            .limit(1)
            .offset(at_least - 1)
        )
        return _exists(found)

    def _received(self, rule: Received) -> _Condition:
        received = rule.subject is Subject.RECEIVED
        happened = self._accepted if received else partial(self._visited, rule.subject)
        conditions: list[_Condition] = [true()]
        if rule.at_least:
            conditions.append(happened(rule.span, rule.at_least))
        if rule.at_most is not None:
            conditions.append(~happened(rule.span, rule.at_most + 1))
        return and_(*conditions)

    def _within(self, at: ColumnElement[int], span: Span) -> list[_Condition]:
        found = []
        if span.since is not None:
            found.append(at >= self._now.seconds(span.since))
        if span.before is not None:
            found.append(at < self._now.seconds(span.before))
        return found


def _exists(found: Select[Any]) -> _Condition:
    # It speaks of one table from outside, whatever else stands there: a plan has subscriptions too.
    existing: _Condition = found.correlate(subscribers).exists()
    return existing


def _joined(kind: Kind, conditions: Sequence[_Condition]) -> _Condition:
    if kind is Kind.ALL:
        return and_(*conditions)
    return ~or_(*conditions) if kind is Kind.NOT else or_(*conditions)


def _domain() -> ColumnElement[str]:
    # What follows the last @, in words that every database has.
    key = subscribers.c.address_key
    before = func.rtrim(key, func.replace(key, "@", ""))
    return func.replace(key, before, "")
