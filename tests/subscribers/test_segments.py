"""Segments as an editor has them: files, counts, people, reasons."""

from __future__ import annotations

import tomllib
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import Engine, event, insert, select, text, update

from newsletter_bot.delivery.planning.plan_store import PlanStore
from newsletter_bot.errors import DataError
from newsletter_bot.rendering.model import Rendering
from newsletter_bot.settings.tables import TrackingTable
from newsletter_bot.storage.engine import open_engine
from newsletter_bot.storage.tables import events, subscribers
from newsletter_bot.subscribers.address import AddressError, parse_address
from newsletter_bot.subscribers.conditions_store import condition
from newsletter_bot.subscribers.model import NewSubscriber
from newsletter_bot.subscribers.segment_rules import Group, Kind, Tagged, Text
from newsletter_bot.subscribers.segment_table import read_segment
from newsletter_bot.subscribers.segments import Segments
from newsletter_bot.subscribers.store import SubscriberStore
from tests.subscribers.rules import DAY, KNOWN, NOW, PAYING_TOML, now, settings

PAYING = read_segment(tomllib.loads(PAYING_TOML), "paying-ja", KNOWN)
SECRET = b"secret" * 8


@pytest.fixture
def segments(engine: Engine, tmp_path: Path) -> Segments:
    return Segments(settings(tmp_path), lambda: engine, lambda: float(NOW))


@pytest.fixture
def people(engine: Engine) -> SubscriberStore:
    """Four people: ada pays and is a tester, bo pays and is staff, cy pays, di does not."""
    store = SubscriberStore(engine, SECRET, lambda: float(NOW - 10 * DAY))
    who = {"ada": "supporter", "bo": "Supporter", "cy": "supporter", "di": "free"}
    new = [
        NewSubscriber(parse_address(f"{name}@example.com"), name.title(), "ja", {"plan": plan})
        for name, plan in who.items()
    ]
    store.add(new, "weekly", {"source": "test"})
    for name, tags in {"ada": ["beta"], "bo": ["Beta", "staff"]}.items():
        tagged = update(subscribers).where(subscribers.c.address_key == f"{name}@example.com")
        with engine.begin() as connection:
            connection.execute(tagged.values(tags=tags))
    return store


# ── people ───────────────────────────────────────────────────────────────────────────────────


def test_who_matches_is_counted_and_listed(segments: Segments, people: SubscriberStore) -> None:
    found = PAYING
    assert segments.count(found) == 1
    assert [one.address for one in segments.people(found)] == ["ada@example.com"]
    supporters = segments.parse_query("plan=supporter")
    assert [one.name for one in segments.people(supporters)] == ["Ada", "Bo", "Cy"]
    assert [one.name for one in segments.page(supporters, limit=2)] == ["Ada", "Bo"]
    last = segments.page(supporters, limit=2)[-1].id
    assert [one.name for one in segments.page(supporters, after=last, limit=2)] == ["Cy"]


def test_each_rule_is_counted_alone(segments: Segments, people: SubscriberStore) -> None:
    people.suppress("ada@example.com", "complained")
    people.unsubscribe("bo@example.com")
    found = segments.measure(segments.parse_query("plan=supporter&any.tag=beta&any.tag=staff"))
    assert (found.people, found.matching, found.mailable) == (4, 2, 0)
    assert [count for _, count in found.rules] == [3, 2, 1]


def test_who_was_forgotten_is_nobody(
    engine: Engine, segments: Segments, people: SubscriberStore
) -> None:
    with engine.begin() as connection:
        connection.execute(
            update(subscribers).where(subscribers.c.name == "Ada").values(erased_at=1)
        )
    everybody = segments.parse_query("not.tag=nobody")
    assert segments.count(everybody) == 3
    assert segments.measure(everybody).people == 3
    assert len(list(segments.people(everybody))) == len(segments.page(everybody)) == 3
    assert segments.explain(everybody, "ada@example.com") is None


def test_hostile_values_are_values(segments: Segments, people: SubscriberStore) -> None:
    for value in ("' OR 1=1 --", '"; DROP TABLE subscribers; --', "%", "{{ 7*7 }}", "\\"):
        escaped = value.replace("\\", "\\\\")
        for word in ("plan", "plan.contains", "name.starts", "tag", "domain"):
            assert segments.count(segments.parse_query(f"{word}={quote(escaped)}")) == 0


def test_rules_travel_as_parameters_alone(engine: Engine, people: SubscriberStore) -> None:
    statements: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *all_: statements.append(all_[2]))
    rule = Group(Kind.ALL, (Tagged(("s3cret",)), _named("s3cret")))
    met = condition(rule, now(), engine.dialect.name)
    with engine.begin() as connection:
        connection.execute(select(subscribers.c.id).where(met)).all()
    assert statements
    assert not any("s3cret" in one for one in statements)


def _named(value: str) -> Text:
    rule = read_segment({"all": [{"name": value}, {"name": {"contains": value}}]}).rule.rules[0]
    assert isinstance(rule, Text)
    return rule


def test_no_rule_reads_the_ledger_once_for_each_person(tmp_path: Path) -> None:
    engine = open_engine("sqlite:///plans.db", tmp_path)
    rules = [{"received": {"at_least": 3, "within": "90d"}}, {"last_received": {"before": "30d"}}]
    met = condition(read_segment({"all": rules}).rule, now(), "sqlite")
    whole = {"literal_binds": True}
    query = select(subscribers.c.id).where(met).compile(engine, compile_kwargs=whole)
    with engine.begin() as connection:
        steps = [row[3] for row in connection.execute(text(f"EXPLAIN QUERY PLAN {query}"))]
    engine.dispose()
    looked_up = [one for one in steps if "deliveries" in one]
    assert looked_up
    assert all("(issue_id=? AND subscriber_id=?)" in one for one in looked_up), steps


# ── reasons ──────────────────────────────────────────────────────────────────────────────────


def test_why_somebody_does_not_match_is_told_rule_by_rule(
    segments: Segments, people: SubscriberStore
) -> None:
    told = segments.explain(PAYING, "BO@example.com")
    assert told is not None
    assert (told.met, told.why) == (False, "3 of 4 hold")
    assert [(one.rule, one.met, one.why) for one in told.parts] == [
        ("plan is “supporter”", True, "plan is “Supporter”"),
        ("language is “ja” or “en”", True, "language is “ja”"),
        ("any of these", True, "1 of 2 hold"),
        ("none of these", False, "1 of 1 hold"),
    ]
    inner = told.parts[2].parts
    assert [(one.rule, one.why) for one in inner] == [
        ("tagged “beta”", "tagged Beta, staff"),
        ("active on monthly before 2026-10-01", "never on monthly"),
    ]
    since = segments.explain(segments.parse_query("list=weekly&list.within=3d"), "bo@example.com")
    assert since is not None
    assert since.parts[0].rule == "active on weekly within 3d"
    assert since.parts[0].why == "active on weekly since 2026-09-11 23:13"


def test_nobody_and_no_address_are_told_apart(segments: Segments) -> None:
    found = segments.parse_query("tag=beta")
    assert segments.explain(found, "nobody@example.com") is None
    with pytest.raises(AddressError):
        segments.explain(found, "nobody")


def test_a_day_begins_in_the_newsletters_own_zone(
    engine: Engine, segments: Segments, people: SubscriberStore
) -> None:
    midnight = 1_788_188_400  # 2026-09-01 00:00 in Tokyo
    for at, expected in ((midnight - 1, 0), (midnight, 4)):
        with engine.begin() as connection:
            connection.execute(update(subscribers).values(added_at=at))
        assert segments.count(segments.parse_query("added.since=2026-09-01")) == expected
        assert segments.count(segments.parse_query("added.before=2026-09-01")) == 4 - expected


def test_who_clicked_as_a_human_is_found_where_readers_are_counted(
    engine: Engine, people: SubscriberStore, tmp_path: Path
) -> None:
    table = TrackingTable(clicks="individual", opens="aggregate")
    counting = settings(tmp_path).model_copy(update={"tracking": table})
    segments = Segments(counting, lambda: engine, lambda: float(NOW))
    issue = PlanStore(engine).plan(Rendering("x", ((),), (), (), "en"), "T", ["weekly"]).id
    visits = [(1, "clicked", "human"), (1, "clicked", "human"), (2, "clicked", "machine")]
    visits += [(3, "clicked", "unknown"), (4, "opened", "human")]
    with engine.begin() as connection:
        for at, (who, kind, actor) in enumerate(visits):
            row: dict[str, object] = {"source": "link", "key": str(at), "kind": kind}
            row |= {"actor": actor, "issue_id": issue, "subscriber_id": who}
            row |= {"at": NOW - DAY, "received_at": NOW}
            connection.execute(insert(events).values(row))
    once = segments.parse_query("clicked.at_least=1&clicked.within=7d")
    assert [one.name for one in segments.people(once)] == ["Ada"]
    assert segments.count(segments.parse_query("clicked.at_least=2")) == 0  # issues, not clicks
    assert segments.count(segments.parse_query("last_clicked=never")) == 3
    told = segments.explain(once, "ada@example.com")
    assert told is not None
    assert told.parts[0].rule == "clicked in at least 1 issues within 7d"
    assert told.parts[0].why == "clicked in 1 within 7d"
    with pytest.raises(DataError, match="opens are not counted for each reader"):
        segments.parse_query("opened.at_least=1")


def test_a_rule_about_opens_warns_of_them(
    engine: Engine, people: SubscriberStore, tmp_path: Path
) -> None:
    counting = settings(tmp_path).model_copy(update={"tracking": TrackingTable(opens="individual")})
    segments = Segments(counting, lambda: engine, lambda: float(NOW))
    for query in ("opened.at_most=0", "last_opened=never"):
        told = segments.explain(segments.parse_query(query), "ada@example.com")
        assert told is not None
        assert told.parts[0].why.endswith("(opens are unreliable)")
