"""Rules and people as hypothesis draws them: few words, so that they often meet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

from hypothesis import strategies as st
from sqlalchemy import Connection, insert

from newsletter_bot.settings import Settings
from newsletter_bot.storage.tables import (
    deliveries,
    events,
    issues,
    renderings,
    subscribers,
    subscription_changes,
    subscriptions,
)
from newsletter_bot.subscribers.model import SubscriptionState
from newsletter_bot.subscribers.segment_rules import (
    TRACKED,
    Filled,
    Group,
    Kind,
    Match,
    Now,
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
from newsletter_bot.subscribers.segment_table import Vocabulary

DAY = 86_400
NOW = 1_790_000_000
ZONE = ZoneInfo("Asia/Tokyo")
FIELDS = ("plan", "city", "tag", "any")
LISTS = ("weekly", "monthly", "other")
PAYING_TOML = """\
title = "Paying readers in Japan"
description = "For the letter from Tokyo."
all = [
  {field = "plan", is = "supporter"},
  {language = ["ja", "en"]},
  {any = [{tag = "beta"}, {list = "monthly", before = 2026-10-01}]},
  {not = {tag = "staff"}},
]
"""

KNOWN = Vocabulary(FIELDS, LISTS, TRACKED)
_TEXT_SUBJECTS = (Subject.FIELD, Subject.NAME, Subject.LANGUAGE, Subject.DOMAIN)
_ISSUES = 5
_LAST = (Subject.LAST_RECEIVED, Subject.LAST_OPENED, Subject.LAST_CLICKED)
_COUNTED = (Subject.RECEIVED, Subject.OPENED, Subject.CLICKED)

# What databases and query strings could stumble over: case, wildcards, escapes, other alphabets.
_ODD = ["", "A", "a", "aB", "Ab,c", "a%", "a_", "/a", "\\", "ß", "SS", "İ", "é", "É", "か\u3099"]
WORDS = st.sampled_from(_ODD) | st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), max_size=4
)
DOMAINS = st.sampled_from(["example.com", "mail.example.com", "ample.com", "xn--mnchen-3ya.de"])
_FULL = WORDS.filter(bool)


def settings(folder: Path) -> Settings:
    newsletter = {
        "name": "News",
        "url": "https://news.example.com",
        "from": "News <news@news.example.com>",
        "timezone": "Asia/Tokyo",
    }
    lists = tuple({"id": name, "name": name} for name in LISTS)
    own = {"fields": FIELDS}
    return Settings(folder=folder, newsletter=newsletter, lists=lists, subscribers=own)


def now() -> Now:
    return Now(NOW, ZONE)


def _several(words: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(words, min_size=1, max_size=3).map(tuple)


_days = st.dates(date(2026, 8, 1), date(2026, 10, 15))
_ago = st.integers(1, 60).map(lambda days: days * DAY) | st.integers(1, 60 * DAY)
_spans = st.builds(Span, st.none() | _days | _ago, st.none() | _days | _ago)
_bounded = _spans.filter(lambda one: one != Span())


@st.composite
def _texts(draw: st.DrawFn) -> Rule:
    subject = draw(st.sampled_from(_TEXT_SUBJECTS))
    field = draw(st.sampled_from(FIELDS)) if subject is Subject.FIELD else ""
    if draw(st.booleans()):
        return Filled(subject, draw(st.booleans()), field)
    match = draw(st.sampled_from(Match))
    words = DOMAINS | WORDS if subject is Subject.DOMAIN else WORDS
    return Text(
        subject, match, draw(_several(words if match is Match.IS else words.filter(bool))), field
    )


_on_list = st.builds(
    OnList,
    st.sampled_from(LISTS),
    st.lists(st.sampled_from(SubscriptionState), min_size=1, max_size=3, unique=True).map(tuple),
    _spans,
)
_when = st.builds(When, st.just(Subject.ADDED), _bounded) | st.builds(
    When, st.sampled_from([Subject.CONFIRMED, *_LAST]), st.none() | _bounded
)


@st.composite
def _received(draw: st.DrawFn) -> Rule:
    least = draw(st.none() | st.integers(0, 3))
    some = st.integers(least or 0, 4)
    most = draw(some if least is None else st.none() | some)
    return Received(least, most, draw(_spans), draw(st.sampled_from(_COUNTED)))


_leaves: st.SearchStrategy[Rule] = st.one_of(
    _texts(), st.builds(Tagged, _several(_FULL)), _on_list, _when, _received()
)


def _grouped(inner: st.SearchStrategy[Rule]) -> st.SearchStrategy[Rule]:
    rules = st.lists(inner, min_size=1, max_size=4).map(tuple)
    return st.builds(Group, st.sampled_from(Kind), rules)


RULES = st.recursive(_leaves, _grouped, max_leaves=12)
SEGMENTS = st.lists(RULES, min_size=1, max_size=4).map(
    lambda rules: Segment(Group(Kind.ALL, tuple(rules)))
)


@dataclass(frozen=True)
class Reader:
    """A person as they stand in the database."""

    name: str
    language: str
    domain: str
    fields: dict[str, str]
    tags: list[str]
    added_at: int
    lists: dict[str, tuple[str, int]]
    confirmed: list[int]
    received: dict[int, tuple[str, int]]  # issue → state and when; the last is a sequence message
    visits: list[tuple[int, str, str, int]]  # issue, what it was, by whom, and when


_times = st.integers(NOW - 60 * DAY, NOW)
READERS = st.lists(
    st.builds(
        Reader,
        WORDS,
        WORDS,
        DOMAINS,
        st.dictionaries(st.sampled_from(FIELDS), WORDS, max_size=3),
        st.lists(_FULL, max_size=3, unique=True),
        _times,
        st.dictionaries(
            st.sampled_from(LISTS),
            st.tuples(st.sampled_from([one.value for one in SubscriptionState]), _times),
        ),
        st.lists(_times, max_size=2),
        st.dictionaries(
            st.integers(1, _ISSUES),
            st.tuples(st.sampled_from(["accepted", "accepted", "refused", "planned"]), _times),
        ),
        st.lists(
            st.tuples(
                st.integers(1, _ISSUES),
                st.sampled_from(["opened", "clicked", "clicked", "bounced"]),
                st.sampled_from(["human", "human", "machine", "unknown", ""]),
                _times,
            ),
            max_size=5,
        ),
    ),
    min_size=1,
    max_size=4,
)


def key(at: int, domain: str) -> str:
    return f'"r@{at}"@{domain}'  # an @ that is not the one before the domain


def store(connection: Connection, readers: list[Reader]) -> None:
    """Write people in place of those who were there."""
    for table in (
        events,
        deliveries,
        subscription_changes,
        subscriptions,
        issues,
        renderings,
        subscribers,
    ):
        connection.execute(table.delete())
    connection.execute(insert(renderings).values(hash="h", content="", made_at=NOW))
    for at in range(1, _ISSUES + 1):
        finished = max((one.received.get(at, ("", 0))[1] for one in readers), default=0)
        row = {"id": at, "identity": f"i{at}", "title": "", "state": "sent", "rendering": "h"}
        row |= {"kind": "sequence" if at == _ISSUES else "issue", "lists": []}
        row |= {"planned_at": NOW - 60 * DAY, "finished_at": finished}
        connection.execute(insert(issues).values(row))
    for at, one in enumerate(readers, 1):
        _store_one(connection, at, one)


def _store_one(connection: Connection, at: int, one: Reader) -> None:
    person = {"id": at, "address": f"r{at}@example.com", "address_key": key(at, one.domain)}
    person |= {"suppression_key": b"%d" % at, "name": one.name, "language": one.language}
    person |= {"fields": one.fields, "tags": sorted(one.tags), "added_at": one.added_at}
    connection.execute(insert(subscribers).values(person))
    for name, (state, since) in one.lists.items():
        row = {"list": name, "subscriber_id": at, "state": state, "changed_at": since}
        connection.execute(insert(subscriptions).values(consent={}, **row))
    for when in one.confirmed:
        change = {"subscriber_id": at, "list": "weekly", "by": "confirm", "at": when}
        connection.execute(insert(subscription_changes).values(state="active", **change))
    for issue, (state, when) in one.received.items():
        row = {"issue_id": issue, "subscriber_id": at, "list": "weekly", "state": state}
        connection.execute(insert(deliveries).values(attempts=1, reason="", changed_at=when, **row))
    for number, (issue, kind, actor, when) in enumerate(one.visits):
        row = {"source": "link", "key": f"{at}:{number}", "kind": kind, "actor": actor}
        row |= {"issue_id": issue, "subscriber_id": at, "at": when, "received_at": when}
        connection.execute(insert(events).values(row))
