"""Everything due is handed out once, whatever domains and relays do; against real ledgers."""

from __future__ import annotations

import random

import pytest
from sqlalchemy import Engine, event

from newsletter_bot.delivery.model import Recipient, refused
from tests.delivery.post import FAR_TOO_FAST, FINE, LATER, NOW, Post, owe, relay

# ── one relay ────────────────────────────────────────────────────────────────────────────────────


def test_a_page_after_the_other_is_handed_out_in_order(engine: Engine) -> None:
    owe(engine, ["example.org"] * 1700)
    main = relay()
    post = Post(engine, [main], most=2000)
    post.domains.limit("main", "example.org").connections = 2000
    assert [one.delivery_id for one in post.take(main)] == [*range(1, 1701)]
    assert not post.backlog.waiting(main)


def test_a_saturated_domain_blocks_no_other_and_fills_no_memory(engine: Engine) -> None:
    small = [f"d{at}.example" for at in range(40)]
    owe(engine, [*["big.example"] * 4000, *small * 4, *["big.example"] * 1000])
    main = relay()
    post = Post(engine, [main])
    slow = found = post.take(main)
    while found:  # big.example never answers
        slow = [one for one in slow if one.domain == "big.example"]
        post.settle([one for one in found if one.domain != "big.example"], FINE)
        found = post.take(main)
        assert post.in_memory() <= 1000
    assert len(slow) == 5
    assert post.tally()["accepted"] == 160
    while post.flying:
        post.settle([one for _, one in [*post.flying.values()]], FINE)
        post.take(main)
        assert post.in_memory() <= 1000
    assert post.tally() == {"accepted": 5160}
    assert set(post.taken.values()) == {1}


def test_sessions_are_opened_for_what_is_set_aside_even_when_none_of_it_is_in_memory(
    engine: Engine,
) -> None:
    owe(engine, ["big.example"] * 3000)
    main = relay()
    post = Post(engine, [main])
    post.take(main)  # five, and the rest is set aside
    for _ in range(599):
        post.settle([one for _, one in [*post.flying.values()]], FINE)
        assert post.backlog.waiting(main)
        assert post.backlog.has_more_than(0, main, post.now)
        post.take(main, 5)
    post.settle([one for _, one in [*post.flying.values()]], FINE)
    assert post.tally() == {"accepted": 3000}
    assert not post.backlog.has_more_than(0, main, post.now)
    assert not post.backlog.waiting(main)


def test_a_cooling_domain_says_so_and_goes_on_when_its_time_has_come(engine: Engine) -> None:
    owe(engine, ["big.example"] * 700)
    main = relay()
    post = Post(engine, [main])
    post.settle(post.take(main, 1), FAR_TOO_FAST)
    assert post.take(main) == []
    assert not post.backlog.has_more_than(0, main, post.now)
    assert post.backlog.waiting(main)
    assert post.backlog.cooling(main, post.now) == ("big.example", NOW + 600)
    post.now += 600
    assert post.backlog.cooling(main, post.now) is None
    assert post.backlog.has_more_than(0, main, post.now)
    assert len(post.take(main)) == 1  # one at a time


def test_a_thousand_domains_with_one_reader_each_are_handed_out_at_once(engine: Engine) -> None:
    owe(engine, [f"d{at % 1000}.example" for at in range(3000)])
    main = relay()
    post = Post(engine, [main], most=1)
    for _ in range(3):
        found = post.take(main)
        assert len({one.domain for one in found}) == len(found) == 1000
        post.settle(found, FINE)
    assert post.tally() == {"accepted": 3000}


def test_put_back_deliveries_come_next(engine: Engine) -> None:
    owe(engine, [f"d{at}.example" for at in range(50)])
    main = relay()
    post = Post(engine, [main])
    first, second, *_ = post.take(main, 4)
    post.give_back([second, first])
    assert post.take(main, 2) == [first, second]


# ── deferred ─────────────────────────────────────────────────────────────────────────────────────


def test_deferred_deliveries_come_back_when_they_are_due_and_not_before(engine: Engine) -> None:
    owe(engine, [f"d{at}.example" for at in range(1200)])
    main = relay()
    post = Post(engine, [main])
    post.settle(post.take(main), LATER)
    post.now += 299
    assert post.take(main) == []
    post.now += 6
    found = post.take(main)
    assert sorted(one.delivery_id for one in found) == [*range(1, 1201)]
    post.now += 60
    assert post.take(main) == []  # they are on their way
    post.settle(found, FINE)
    assert post.tally() == {"accepted": 1200}


def test_a_look_is_taken_when_it_is_asked_for(engine: Engine) -> None:
    owe(engine, ["example.org"])
    main = relay()
    post = Post(engine, [main])
    post.settle(post.take(main), LATER, wait=1)
    post.now += 1
    assert post.take(main) == []
    post.backlog.look_again()
    assert len(post.take(main)) == 1


def test_deferred_readers_of_a_cooling_domain_do_not_hide_those_of_others(engine: Engine) -> None:
    owe(engine, [*["big.example"] * 2000, *[f"d{at}.example" for at in range(300)]], (), "deferred")
    main = relay()
    post = Post(engine, [main])
    big = post.domains.limit("main", "big.example")
    big.connections, big.not_before = 1, NOW + 600
    found = post.take(main)
    assert len(found) == 300
    assert post.in_memory() <= 1000
    post.settle(found, FINE)
    big.connections = 20
    post.now += 601
    while post.take(main):
        post.settle([one for _, one in [*post.flying.values()]], FINE)
    assert post.tally() == {"accepted": 2300}
    assert set(post.taken.values()) == {1}


# ── several relays ───────────────────────────────────────────────────────────────────────────────


def test_a_relay_that_waits_for_its_limit_holds_up_nobody_and_keeps_its_share(
    engine: Engine,
) -> None:
    owe(engine, [f"d{at}.example" for at in range(4000)])
    held, free = relay("held"), relay("free", 3)
    post = Post(engine, [held, free])
    assert len(post.take(free)) == 3000
    assert post.in_memory() <= 1000
    found = post.take(held)
    assert len(found) == 1000
    assert [one.delivery_id for one in found] == sorted(one.delivery_id for one in found)


def test_a_list_behind_another_relays_long_one_is_reached(engine: Engine) -> None:
    owe(engine, [f"d{at}.example" for at in range(5100)], ["long"] * 5000 + ["short"] * 100)
    slow, quick = relay("slow", lists=["long"]), relay("quick", lists=["short"])
    post = Post(engine, [slow, quick])
    assert len(post.take(slow, 1)) == 1
    found: list[Recipient] = []
    for _ in range(20):
        found += post.take(quick)
    assert len(found) == 100
    assert post.in_memory() <= 1000
    assert len(post.take(slow)) == 4999
    assert set(post.taken.values()) == {1}


def test_what_only_a_broken_relay_may_carry_goes_no_other_way(engine: Engine) -> None:
    owe(engine, [f"d{at}.example" for at in range(900)], ["ours", "theirs", "ours"] * 300)
    broken, well = relay("broken", lists=["ours"]), relay("well", lists=["theirs"])
    post = Post(engine, [broken, well])
    broken.fail("login refused", 0.0, lasting=True, patient=True)
    found: list[Recipient] = []
    for _ in range(10):
        post.backlog.reroute(broken)
        found += post.take(well)
    assert {one.list for one in found} == {"theirs"}
    assert len(found) == 300
    assert post.backlog.waiting(broken)
    assert not post.backlog.waiting(well)


@pytest.mark.parametrize("patient", [False, True])
def test_what_waits_for_a_relay_that_is_given_up_goes_another_way(
    engine: Engine, *, patient: bool
) -> None:
    owe(engine, ["big.example"] * 2000)
    broken, well = relay("broken"), relay("well")
    post = Post(engine, [broken, well])
    post.settle(post.take(well, 600), FINE)
    for _ in range(4):
        broken.fail("no route", 0.0, lasting=False, patient=patient)
    for _ in range(3000):
        if broken.down:
            post.backlog.reroute(broken)
        post.settle(post.take(well), FINE)
    assert post.tally() == {"accepted": 2000}
    assert not post.backlog.waiting(broken)


@pytest.mark.parametrize("order", [1, -1])
def test_a_relay_that_failed_last_time_gets_something_to_try(engine: Engine, order: int) -> None:
    owe(engine, [f"d{at}.example" for at in range(1000)])
    mended, well = relay("mended"), relay("well")
    mended.failures = 3
    post = Post(engine, [mended, well][::order])
    post.take(well, 10)
    assert post.backlog.has_more_than(0, mended, post.now)
    assert not post.backlog.has_more_than(1, mended, post.now)
    (tried,) = post.take(mended, 1)
    mended.works()
    post.settle([tried], FINE)
    post.take(well)
    assert len(post.take(mended)) > 200


@pytest.mark.parametrize("seed", range(3))
def test_everything_is_handed_out_once_whatever_happens(engine: Engine, seed: int) -> None:
    chance = random.Random(seed)
    names = ["big.example"] * 60 + ["mid.example"] * 20 + [f"d{at}.example" for at in range(20)]
    owe(
        engine,
        [chance.choice(names) for _ in range(1500)],
        [chance.choice(["weekly", "weekly", "daily"]) for _ in range(1500)],
    )
    relays = [relay("one", 3), relay("two"), relay("three", 2, ["daily"])]
    post = Post(engine, relays)
    for _ in range(4000):
        _something_happens(post, chance)
        if not post.flying and not {"planned", "deferred"} & set(post.tally()):
            break
    assert set(post.tally()) <= {"accepted", "refused"}
    assert sum(post.tally().values()) == 1500
    assert not any(post.backlog.waiting(one) for one in relays)


def _something_happens(post: Post, chance: random.Random) -> None:
    post.now += chance.choice([0.1, 1, 30])
    for one in post.relays:
        if chance.random() < 0.02:
            one.fail("no route", 0.0, lasting=False, patient=True)
        elif chance.random() < 0.1:
            one.works()
        if post.backlog.has_more_than(0, one, post.now) and chance.random() < 0.8:
            post.take(one, chance.randrange(1, 60))
    if chance.random() < 0.05:
        post.backlog.look_again()
    flying = [one for _, one in post.flying.values()]
    found = [one for one in flying if chance.random() < 0.7]
    if chance.random() < 0.1:
        post.give_back(found)
        return
    at = [chance.random() for _ in found]
    post.settle([one for one, x in zip(found, at, strict=True) if x < 0.1], LATER, 60)
    post.settle([one for one, x in zip(found, at, strict=True) if 0.1 <= x < 0.12], FAR_TOO_FAST)
    gone = refused("550 5.1.1 no such user")
    post.settle([one for one, x in zip(found, at, strict=True) if 0.12 <= x < 0.2], gone)
    post.settle([one for one, x in zip(found, at, strict=True) if x >= 0.2], FINE)


# ── the price ────────────────────────────────────────────────────────────────────────────────────


def test_asking_again_and_again_does_not_ask_the_database_each_time(engine: Engine) -> None:
    owe(engine, ["big.example"] * 1000 + ["small.example"])
    main = relay()
    post = Post(engine, [main])
    post.settle(post.take(main, 1), FAR_TOO_FAST)
    post.take(main)
    asked: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *words: asked.append(words[2]))
    for _ in range(1000):
        assert not post.backlog.has_more_than(0, main, post.now)
        assert post.backlog.take(main, post.now) is None
    assert len(asked) <= 4
