"""One language, asked twice: what SQL answers for everybody, Python explains for one."""

from __future__ import annotations

from hypothesis import HealthCheck, example, given, settings
from sqlalchemy import Engine, select

from newsletter_bot.storage.tables import deliveries, issues, subscribers, subscriptions
from newsletter_bot.subscribers.conditions_store import condition
from newsletter_bot.subscribers.segment_explain import explain
from newsletter_bot.subscribers.segment_rules import (
    Group,
    Kind,
    Match,
    Segment,
    Subject,
    Text,
    leaves,
)
from newsletter_bot.subscribers.segments_store import SegmentsStore
from tests.subscribers.rules import READERS, SEGMENTS, Reader, key, now, store

_ODD = Reader("ÀB", "", "example.com", {}, [], 1, {}, [], {}, [])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(SEGMENTS, READERS)
@example(Segment(Group(Kind.ALL, (Text(Subject.NAME, Match.IS, ("àb",)),))), [_ODD])
@example(Segment(Group(Kind.ALL, (Text(Subject.NAME, Match.CONTAINS, ("_",)),))), [_ODD])
def test_both_ways_of_asking_agree(engine: Engine, segment: Segment, readers: list[Reader]) -> None:
    with engine.begin() as connection:
        store(connection, readers)
    people = SegmentsStore(engine)
    facts = {at: people.facts(key(at, one.domain)) for at, one in enumerate(readers, 1)}
    explained = {at for at, one in facts.items() if one and explain(segment.rule, one, now()).met}
    assert None not in facts.values()
    met = condition(segment.rule, now(), engine.dialect.name)
    neither = condition(Group(Kind.NOT, (segment.rule,)), now(), engine.dialect.name)
    with engine.begin() as connection:
        found = set(connection.execute(select(subscribers.c.id).where(met)).scalars())
        others = set(connection.execute(select(subscribers.c.id).where(neither)).scalars())
        # Tables that rules ask may stand outside as well, as they do in a plan.
        wide = select(subscribers.c.id).outerjoin(
            subscriptions, subscriptions.c.subscriber_id == subscribers.c.id
        )
        wide = wide.outerjoin(deliveries, deliveries.c.subscriber_id == subscribers.c.id)
        wide = wide.outerjoin(issues, issues.c.id == deliveries.c.issue_id)
        assert set(connection.execute(wide.where(met)).scalars()) == found
    assert found == explained
    assert others == set(facts) - explained  # never NULL, which is neither
    assert {one.id for one in people.people(segment.rule, now())} == explained
    inner = tuple(leaves(segment.rule))
    measured = people.measure(segment.rule, inner, now())
    assert (measured.people, measured.matching) == (len(readers), len(explained))
    alone = [sum(explain(one, f, now()).met for f in facts.values() if f) for one in inner]
    assert list(measured.alone) == alone
