from __future__ import annotations

import logging
import re
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine, select, update

from newsletter_bot.errors import UsageError
from newsletter_bot.storage.engine import reading
from newsletter_bot.storage.tables import api_keys
from newsletter_bot.storage.writer import Writer
from newsletter_bot.web.api.keys import MEANINGS, ApiKey, Scope, hash_of, make_key
from newsletter_bot.web.api.keys_store import KeyStore
from tests.web.api.api_site import ApiSite, later, problem, settle

HOUR = 3600


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(engine: Engine, clock: Clock) -> KeyStore:
    return KeyStore(engine, Writer(engine), clock)


# ── what is kept ─────────────────────────────────────────────────────────────────────────────


def test_a_key_has_192_random_bits_and_is_kept_as_a_hash_alone(
    keys: KeyStore, engine: Engine
) -> None:
    key = keys.add("shop", [Scope.READ])
    assert re.fullmatch("nbk_[0-9a-f]{48}", key)
    assert key != make_key()
    with reading(engine) as connection:
        row = connection.execute(select(api_keys)).mappings().one()
    assert row["hash"] == hash_of(key)
    assert key[4:] not in str(dict(row))


def test_a_key_is_found_by_its_text(keys: KeyStore) -> None:
    key = keys.add("shop", [Scope.LISTS_READ, Scope.ISSUES_READ])
    found = keys.find(key)
    assert found is not None
    assert found.name == "shop"
    assert found.scopes == {"lists:read", "issues:read"}


@pytest.mark.parametrize(
    "text", ["", "nbk_", "nbk_" + "0" * 48, "nbk_" + "x" * 48, "x" * 100_000, "\x00", "nbk_\udfff"]
)
def test_what_is_no_key_finds_nothing(keys: KeyStore, text: str) -> None:
    keys.add("shop", [Scope.READ])
    assert keys.find(text) is None


def test_a_name_tells_one_key_for_ever(keys: KeyStore) -> None:
    keys.add("shop", [Scope.READ])
    keys.revoke("shop")
    with pytest.raises(UsageError, match="already"):
        keys.add("shop", [Scope.READ])


def test_a_revoked_key_opens_nothing(keys: KeyStore) -> None:
    key = keys.add("shop", [Scope.READ])
    assert keys.revoke("shop") is True
    assert keys.revoke("shop") is False
    assert keys.find(key) is None
    with pytest.raises(UsageError, match="no key"):
        keys.revoke("no-such")


def test_an_expired_key_opens_nothing(keys: KeyStore, clock: Clock) -> None:
    key = keys.add("shop", [Scope.READ], int(clock.now) + 10)
    clock.now += 9
    assert keys.find(key) is not None
    clock.now += 1
    assert keys.find(key) is None


def test_use_is_noted_at_most_hourly(keys: KeyStore, clock: Clock, engine: Engine) -> None:
    key = keys.add("shop", [Scope.READ])
    begun = int(clock.now) // HOUR * HOUR
    for _ in range(3):
        found = keys.find(key)
        assert found is not None
        keys.note_use(found)
    assert [one.used_at for one in keys.all()] == [begun]
    with engine.begin() as connection:  # would be undone by a second write in this hour
        connection.execute(update(api_keys).values(used_at=begun + 1))
    again = keys.find(key)
    assert again is not None
    keys.note_use(again)
    assert [one.used_at for one in keys.all()] == [begun + 1]
    clock.now += HOUR
    keys.note_use(again)
    assert [one.used_at for one in keys.all()] == [begun + HOUR]


# ── scopes ───────────────────────────────────────────────────────────────────────────────────


def test_every_scope_has_a_meaning() -> None:
    assert set(MEANINGS) == set(Scope)


@pytest.mark.parametrize("needed", [one for one in Scope if ":" in one])
@pytest.mark.parametrize("granted", list(Scope))
def test_a_scope_allows_itself_and_nothing_else(granted: Scope, needed: Scope) -> None:
    key = ApiKey(1, "shop", frozenset([granted]), 0)
    wide = granted is Scope.ALL or (granted is Scope.READ and needed.endswith(":read"))
    assert key.allows([needed]) is (granted is needed or wide)


# ── at the gate ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Basic bmJrOg==", "Bearer nbk_{}", "Bearer x y", "nbk_{}"],
)
def test_without_a_good_key_there_is_nothing_to_see(
    site: ApiSite, authorization: str | None
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization.format("0" * 48)}
    for path in ("/lists", "/no/such/thing", "/subscribers/1"):
        answer = httpx.get(f"{site.base}{path}", headers=headers)
        problem(answer, 401, "unauthorised")
        assert answer.headers["www-authenticate"] == "Bearer"


def test_the_scheme_may_be_written_in_any_case(site: ApiSite) -> None:
    key = site.keys.add("shop", [Scope.READ])
    answer = httpx.get(f"{site.base}/lists", headers={"authorization": f"bEARER {key}"})
    assert answer.status_code == 200


def test_a_key_ends_while_it_is_used(site: ApiSite) -> None:
    program = site.client(Scope.READ)
    assert program.get("/lists").status_code == 200
    site.keys.revoke("key-1")
    problem(program.get("/lists"), 401, "unauthorised")
    expired = site.client(key=site.keys.add("old", [Scope.READ], later(-1)))
    problem(expired.get("/lists"), 401, "unauthorised")


def test_what_a_key_does_not_allow_is_refused_before_anything_is_looked_at(site: ApiSite) -> None:
    program = site.client(Scope.LISTS_READ)
    answer = program.get("/subscribers/1")
    body = problem(answer, 403, "forbidden")
    assert "subscribers:read" in body["detail"]
    assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]
    problem(program.post("/suppressions", json={"nonsense": 1}), 403, "forbidden")


def test_a_rate_holds_for_each_key_by_itself(newsletter: Path) -> None:
    settle(newsletter, more='\n[api]\nrate = "3/h"\n')
    site = ApiSite(newsletter)
    try:
        one, other = site.client(Scope.READ), site.client(Scope.READ)
        answers = [one.get("/lists") for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
        problem(answers[-1], 429, "limited")
        wait = int(answers[-1].headers["retry-after"])
        assert 3590 <= wait <= 3600
        assert answers[-1].headers["ratelimit"] == f'"key";r=0;t={wait}'
        assert answers[0].headers["ratelimit-policy"] == '"key";q=3;w=3600'
        assert other.get("/lists").status_code == 200
    finally:
        site.close()


def test_wrong_keys_are_limited_for_a_network_and_good_ones_are_not(site: ApiSite) -> None:
    good = site.client(Scope.READ)
    stranger = site.client(key="")
    statuses = [stranger.get("/lists").status_code for _ in range(40)]
    assert set(statuses) == {401, 429}
    assert statuses == sorted(statuses)
    answer = stranger.get("/lists")
    problem(answer, 429, "limited")
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert good.get("/lists").status_code == 200


def test_no_key_comes_into_a_log(site: ApiSite, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    key = site.keys.add("shop", [Scope.READ])
    site.client(key=key).get("/lists")
    site.client(key=key.replace("nbk_", "nbk_0")).get("/lists")
    ours = [one for one in caplog.records if one.name.startswith("newsletter_bot")]
    assert ours
    assert key not in "".join(str(vars(one)) for one in ours)


def test_who_changed_what_is_logged_without_addresses(
    site: ApiSite, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "newsletter_bot")
    program = site.client(Scope.ALL)
    program.get("/lists")
    program.post("/suppressions", json={"address": "ada@example.com", "reason": "complained"})
    program.delete("/subscribers/4711")
    ours = [vars(one)["facts"] for one in caplog.records if one.getMessage() == "api.write"]
    assert ours == [
        {"key": "key-1", "method": "POST", "path": "/api/v1/suppressions", "status": 204},
        {"key": "key-1", "method": "DELETE", "path": "/api/v1/subscribers/4711", "status": 404},
    ]
