"""Which relay carries what: shares, lists and domains, failure and return."""

from __future__ import annotations

from collections import Counter
from datetime import date
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, create_engine

from newsletter_bot.delivery.composing.composer import Composer
from newsletter_bot.delivery.means import lanes_of, relays_of, router_of
from newsletter_bot.delivery.model import Recipient
from newsletter_bot.delivery.relaying.pacing import Limits, Pace
from newsletter_bot.delivery.relaying.pacing_store import PacingStore
from newsletter_bot.delivery.relaying.relays import PAUSES, Relay, Router
from newsletter_bot.delivery.transports.maildir import Maildir
from newsletter_bot.errors import ConfigurationError
from newsletter_bot.rendering.model import Rendering
from newsletter_bot.settings import Settings

UNUSED = PacingStore(create_engine("sqlite://"))  # a relay without limits never asks it


def relay(name: str, weight: int = 1, lists: str = "", domains: str = "") -> Relay:
    return Relay(
        name=name,
        transport=Maildir(Path(name)),
        connections=2,
        pace=Pace(name, Limits(), UNUSED),
        weight=weight,
        lists=frozenset(lists.split()),
        domains=frozenset(domains.split()),
    )


def reader(number: int = 1, on: str = "weekly", tried: str = "") -> Recipient:
    return Recipient(number, number, f"r{number}@example.org", "", on, {}, relay=tried)


def carriers(router: Router, count: int, on: str = "weekly") -> list[str]:
    found = [router.route(reader(one, on)) for one in range(count)]
    return [one.name for one in found if one is not None]


@given(st.lists(st.integers(1, 50), min_size=1, max_size=6), st.integers(1, 3))
def test_shares_are_exact_after_each_round(weights: list[int], rounds: int) -> None:
    relays = [relay(str(at), weight) for at, weight in enumerate(weights)]
    shares = Counter(carriers(Router(relays, {}), sum(weights) * rounds))
    assert shares == {str(at): weight * rounds for at, weight in enumerate(weights)}


@given(st.lists(st.integers(1, 50), min_size=2, max_size=5))
def test_a_share_is_never_off_by_more_than_one_per_relay(weights: list[int]) -> None:
    relays = [relay(str(at), weight) for at, weight in enumerate(weights)]
    found, seen = carriers(Router(relays, {}), 2 * sum(weights)), Counter[str]()
    for at, name in enumerate(found, 1):
        seen[name] += 1
        for one in relays:
            owed = at * one.weight / sum(weights)
            assert abs(seen[one.name] - owed) < len(weights)


def test_shares_do_not_come_in_bursts() -> None:
    found = carriers(Router([relay("big", 3), relay("small", 1)], {}), 40)
    assert all("big" in pair for pair in pairwise(found))


def test_lists_and_sender_domains_say_who_may_carry() -> None:
    relays = [
        relay("weekly", lists="weekly"),
        relay("ours", domains="example.com"),
        relay("both", lists="daily", domains="example.net"),
    ]
    router = Router(relays, {"weekly": "example.org", "daily": "example.net", "hot": "example.com"})
    assert set(carriers(router, 10, "weekly")) == {"weekly"}
    assert set(carriers(router, 10, "daily")) == {"both"}
    assert set(carriers(router, 10, "hot")) == {"ours"}
    assert router.unroutable(["weekly", "daily", "hot"]) is None
    assert Router(relays[1:], {}).unroutable(["weekly", "daily"]) == "weekly"


def test_a_delivery_tried_before_goes_to_the_same_relay_and_costs_no_share() -> None:
    router = Router([relay("one"), relay("two")], {})
    for _ in range(5):
        again = router.route(reader(tried="two"))
        assert again is not None
        assert again.name == "two"
    assert Counter(carriers(router, 10)) == {"one": 5, "two": 5}
    assert router.route(reader(tried="a relay of last year")) is not None


def test_a_relay_that_fails_leaves_its_share_to_the_others_until_it_works() -> None:
    one, two = relay("one"), relay("two")
    router = Router([one, two], {})
    one.fail("no route", 100.0, lasting=False, patient=False)
    assert set(carriers(router, 10)) == {"two"}
    sticky = router.route(reader(tried="one"))
    assert sticky is two
    assert one.works()
    assert not one.works()
    assert Counter(carriers(router, 10)) == {"one": 5, "two": 5}


def test_when_all_fail_all_are_asked_and_when_all_are_down_none_is() -> None:
    one, two = relay("one"), relay("two")
    router = Router([one, two], {})
    one.fail("no route", 100.0, lasting=False, patient=False)
    two.fail("no route", 100.0, lasting=False, patient=False)
    assert set(carriers(router, 10)) == {"one", "two"}
    one.fail("login refused", 101.0, lasting=True, patient=True)
    assert set(carriers(router, 10)) == {"two"}
    two.fail("login refused", 101.0, lasting=True, patient=True)
    assert router.route(reader()) is None


def test_pauses_grow_and_a_relay_is_down_after_the_last_unless_it_is_waited_for() -> None:
    hasty, patient = relay("hasty"), relay("patient")
    rests = []
    for _ in range(10):
        hasty.fail("no route", 100.0, lasting=False, patient=False)
        patient.fail("no route", 100.0, lasting=False, patient=True)
        rests.append(patient.rests_until - 100.0)
        assert hasty.down is (hasty.failures > len(PAUSES))
    assert rests == pytest.approx([0.2, 1, 3, 30, 60, 120, 300, 600, 600, 600])
    assert not patient.down
    assert patient.given_up
    patient.works()
    assert not patient.given_up


NEWSLETTER = {
    "name": "Weekly ML News",
    "url": "https://news.example.com",
    "from": "Weekly ML News <news@news.example.com>",
}
RELAYS = [
    {"name": "main", "kind": "maildir", "weight": 3, "from_domains": ["News.Example.COM"]},
    {
        "name": "spare",
        "kind": "maildir",
        "connections": 2,
        "lists": ["daily"],
        "rate": "14/s",
        "windows": ["500/h"],
        "warmup": {"begin": date(2026, 11, 23), "daily": [10]},
    },
]
LISTS = [{"id": "weekly", "name": "Weekly"}, {"id": "daily", "name": "Daily"}]


def test_a_relay_that_asks_for_a_long_wait_gets_it_or_is_given_up() -> None:
    hasty, patient, short = relay("hasty"), relay("patient"), relay("short")
    hasty.fail("429", 100.0, lasting=False, patient=False, wait=3600.0)
    patient.fail("429", 100.0, lasting=False, patient=True, wait=3600.0)
    short.fail("429", 100.0, lasting=False, patient=False, wait=30.0)
    assert (hasty.down, patient.down, short.down) == (True, False, False)
    assert (patient.rests_until, short.rests_until) == (3700.0, 130.0)
    assert hasty.asked_until == 3700.0


def test_settings_become_relays_and_last_times_failures_count(
    engine: Engine, tmp_path: Path
) -> None:
    settings = Settings(folder=tmp_path, newsletter=NEWSLETTER, relays=RELAYS, lists=LISTS)
    pacing = PacingStore(engine)
    pacing.relay_failed("main", 7, 0.0, "no route")
    main, spare = relays_of(settings, pacing)
    assert (main.name, main.weight, main.failures, main.reason) == ("main", 3, 3, "no route")
    assert (spare.connections, spare.failures, spare.down) == (2, 0, False)
    assert len(lanes_of([main, spare], 1)) == 2
    assert len(lanes_of([main, spare], 1000)) == 10
    composer = Composer(Rendering("2026-W01", ((),), (), (), "en"), settings, b"secret")
    assert router_of([main, spare], ["weekly"], composer).route(reader()) is main
    with pytest.raises(ConfigurationError, match="no relay carries the list 'weekly'"):
        router_of([spare], ["weekly"], composer)
