"""How many messages a domain takes at a time, as it learns from outcomes."""

from __future__ import annotations

from sqlalchemy import Engine

from newsletter_bot.delivery.model import Outcome, accepted, deferred, refused
from newsletter_bot.delivery.relaying.domains import Domains, Limit
from newsletter_bot.delivery.relaying.pacing_store import PacingStore

NOW = 1_800_000_000.0
FINE = accepted("250 ok")
SLOWER = deferred("421 4.7.0 try again later")
FAR_TOO_FAST = deferred("421 4.7.28 unusual rate")


def heard(domains: Domains, *outcomes: Outcome, now: float = NOW) -> Limit:
    """Begin as many messages as there are outcomes, then hear these one by one."""
    limit = domains.limit("main", "example.org")
    limit.under_way += len(outcomes)
    for one in outcomes:
        domains.hear("main", "example.org", one, now)
    return limit


def test_one_more_is_allowed_after_as_many_successes() -> None:
    domains = Domains(20, {})
    assert heard(domains, *[FINE] * 4).connections == 5
    assert heard(domains, FINE).connections == 6
    assert heard(domains, *[FINE] * 6).connections == 7
    assert heard(domains, *[FINE] * 1000).connections == 20


def test_half_remain_after_a_no_but_never_none() -> None:
    domains = Domains(20, {})
    heard(domains, *[FINE] * 1000)
    found = [heard(domains, SLOWER).connections for _ in range(6)]
    assert found == [10, 5, 2, 1, 1, 1]


def test_messages_put_off_together_halve_the_limit_once() -> None:
    domains = Domains(20, {})
    heard(domains, *[FINE] * 1000)
    assert heard(domains, *[SLOWER] * 20).connections == 10
    assert heard(domains, *[SLOWER] * 10).connections == 5


def test_refusals_and_greylisting_do_not_slow_a_domain_down() -> None:
    domains = Domains(20, {})
    heard(domains, refused("550 5.1.1 user unknown"), deferred("450 4.7.1 greylisted"))
    assert domains.limit("main", "example.org").connections == 5


def test_4_7_28_stops_a_domain_for_ten_minutes_and_then_lets_one_through() -> None:
    domains = Domains(20, {})
    heard(domains, FAR_TOO_FAST, *[FINE] * 4)  # the four were on their way already
    limit = domains.limit("main", "example.org")
    assert not limit.admits(NOW + 599)
    assert limit.admits(NOW + 600)
    assert limit.connections == 1
    limit.under_way += 1
    assert not limit.admits(NOW + 600)


def test_a_domain_is_slowed_on_one_relay_alone() -> None:
    domains = Domains(20, {})
    heard(domains, FAR_TOO_FAST)
    assert domains.limit("other", "example.org").admits(NOW)
    assert domains.limit("main", "example.com").admits(NOW)


def test_a_setting_below_the_first_limit_is_kept_to() -> None:
    domains = Domains(2, {})
    assert heard(domains, *[FINE] * 100).connections == 2


def test_a_remembered_limit_is_cut_to_a_lower_setting() -> None:
    domains = Domains(3, {("main", "example.org"): Limit(15, 0.0, "slow down")})
    assert domains.limit("main", "example.org").connections == 3


def test_a_restart_remembers_a_slower_domain_until_it_has_recovered(engine: Engine) -> None:
    store, most = PacingStore(engine), 3

    def run(*outcomes: Outcome, now: float) -> Limit:
        domains = Domains(most, store.limits())
        for one in outcomes:
            domains.limit("main", "example.org").under_way += 1
            changed = domains.hear("main", "example.org", one, now)
            if changed is not None:
                store.limit_changed("main", "example.org", changed, most)
        return domains.limit("main", "example.org")

    run(FAR_TOO_FAST, now=NOW)
    assert not run(now=NOW).admits(NOW + 599)
    assert run(FINE, now=NOW + 600).connections == 2
    assert run(now=NOW).connections == 2
    assert run(FINE, FINE, now=NOW + 700).connections == 3
    assert store.limits() == {}


def test_the_ten_minutes_of_a_domain_that_takes_one_at_a_time_outlive_a_restart(
    engine: Engine,
) -> None:
    store = PacingStore(engine)
    domains = Domains(1, {})
    domains.limit("main", "example.org").under_way += 1
    changed = domains.hear("main", "example.org", FAR_TOO_FAST, NOW)
    assert changed is not None
    store.limit_changed("main", "example.org", changed, 1)
    again = Domains(1, store.limits())
    assert not again.limit("main", "example.org").admits(NOW + 599)
    again.limit("main", "example.org").under_way += 1
    changed = again.hear("main", "example.org", FINE, NOW + 600)
    assert changed is not None
    store.limit_changed("main", "example.org", changed, 1)
    assert store.limits() == {}
