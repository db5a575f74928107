from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import textwrap
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, func, select, update

from newsletter_bot.storage.engine import reading
from newsletter_bot.storage.tables import challenges, idempotency, signups, subscribers
from newsletter_bot.storage.writer import Writer
from newsletter_bot.web.api.idempotency_store import (
    KEPT,
    IdempotencyStore,
    Kept,
    OtherRequestError,
    Request,
    UnderWayError,
)
from newsletter_bot.web.api.keys import Scope
from newsletter_bot.web.api.keys_store import KeyStore
from tests.web.api.api_site import CONSENT, ApiSite, later, problem

ADA = "ada@example.com"
ASKED = {"address": ADA, "lists": ["weekly"], "confirm": True}
ADDED = {"address": ADA, "lists": ["weekly"], "confirm": False, "consent": CONSENT}
KEY = {"Idempotency-Key": '"8e03978e-40d5-43dd-bc93-6894a57f9324"'}


def count(engine: Engine, table: Any) -> int:
    with reading(engine) as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()


# ── over HTTP ────────────────────────────────────────────────────────────────────────────────


def test_a_request_sent_again_is_answered_again_and_done_once(each_site: ApiSite) -> None:
    program = each_site.client(Scope.ALL)
    first = program.post("/subscribers", json=ADDED, headers=KEY)
    again = program.post("/subscribers", json=ADDED, headers=KEY)
    assert (first.status_code, again.status_code) == (201, 201)
    assert (again.json(), again.headers["location"]) == (first.json(), first.headers["location"])
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    without = program.post("/subscribers", json=ADDED)
    assert (without.status_code, without.json()["outcome"]) == (200, "unchanged")


def test_requests_without_a_key_are_each_done(site: ApiSite, program: httpx.Client) -> None:
    for _ in range(2):
        program.post("/subscribers", json=ASKED)
    assert count(site.bot.engine, signups) == 2
    assert count(site.bot.engine, idempotency) == 0


def test_quotes_around_a_key_are_no_part_of_it(site: ApiSite, program: httpx.Client) -> None:
    for key in ('"abc"', "abc"):
        program.post("/subscribers", json=ASKED, headers={"Idempotency-Key": key})
    assert count(site.bot.engine, signups) == 1


@pytest.mark.parametrize(
    "other",
    [
        ("POST", "/subscribers", {**ASKED, "name": "Ada"}),
        ("POST", "/suppressions", {"address": ADA, "reason": "x"}),
        ("DELETE", "/suppressions", {"address": ADA}),
        ("POST", "/subscribers?x=1", ASKED),
    ],
    ids=str,
)
def test_a_key_is_for_one_request(
    site: ApiSite, program: httpx.Client, other: tuple[str, str, Any]
) -> None:
    program.post("/subscribers", json=ASKED, headers=KEY)
    method, path, body = other
    problem(program.request(method, path, json=body, headers=KEY), 422, "reused")
    assert site.bot.subscribers.suppression_of(ADA) is None
    assert count(site.bot.engine, signups) == 1


def test_programs_do_not_share_keys(site: ApiSite) -> None:
    for _ in range(2):
        program = site.client(Scope.ALL)
        answer = program.post("/subscribers", json=ASKED, headers=KEY)
        assert "idempotency-replayed" not in answer.headers
    assert count(site.bot.engine, signups) == 2


def test_what_was_refused_changed_nothing_and_may_be_asked_again(each_site: ApiSite) -> None:
    program = each_site.client(Scope.ALL)
    each_site.bot.people.suppress(ADA, "by mistake")
    problem(program.post("/subscribers", json=ADDED, headers=KEY), 409, "suppressed")
    assert count(each_site.bot.engine, idempotency) == 0
    each_site.bot.people.unsuppress(ADA)
    assert program.post("/subscribers", json=ADDED, headers=KEY).status_code == 201


@pytest.mark.parametrize("key", ["", '"', '"a', "a b", "a" * 129, "é", "a\\b"])
def test_a_key_that_cannot_be_is_refused(site: ApiSite, program: httpx.Client, key: str) -> None:
    headers = {b"Idempotency-Key": key.encode()}
    answer = program.post("/subscribers", json=ASKED, headers=headers)
    body = problem(answer, 422, "invalid")
    assert body["errors"][0]["parameter"] == "Idempotency-Key"
    assert count(site.bot.engine, signups) == 0


def test_a_request_that_is_being_answered_waits(site: ApiSite, program: httpx.Client) -> None:
    program.post("/subscribers", json=ASKED, headers=KEY)
    with site.bot.engine.begin() as connection:  # as it was before its answer
        connection.execute(update(idempotency).values(status=None, response=""))
    answer = program.post("/subscribers", json=ASKED, headers=KEY)
    problem(answer, 409, "under-way")
    assert answer.headers["retry-after"] == "1"


def test_in_parallel_one_change_is_made(each_site: ApiSite) -> None:
    key = each_site.keys.add("shop", [Scope.ALL])
    programs = [each_site.client(key=key) for _ in range(12)]
    start = Barrier(len(programs))

    def send(program: httpx.Client) -> httpx.Response:
        start.wait()
        return program.post("/subscribers", json=ASKED, headers=KEY)

    with ThreadPoolExecutor(len(programs)) as pool:
        answers = list(pool.map(send, programs))
    assert {one.status_code for one in answers} <= {202, 409}
    done = [one for one in answers if one.status_code == 202]
    assert sum("idempotency-replayed" not in one.headers for one in done) == 1
    assert count(each_site.bot.engine, signups) == 1


def test_forgetting_somebody_can_be_repeated(each_site: ApiSite) -> None:
    program = each_site.client(Scope.ALL)
    path = f"/subscribers/{each_site.add(ADA)}"
    answers = [program.delete(path, headers=KEY) for _ in range(2)]
    assert [one.status_code for one in answers] == [204, 204]
    assert answers[1].headers["idempotency-replayed"] == "true"
    problem(program.delete(path), 404, "not-found")


def test_kept_answers_are_purged_after_a_day(each_site: ApiSite) -> None:
    program = each_site.client(Scope.ALL)
    engine = each_site.bot.engine
    for name, age in (("old", KEPT + 5), ("young", KEPT - 60)):
        program.post("/subscribers", json=ASKED, headers={"Idempotency-Key": name})
        row = update(idempotency).where(idempotency.c.key == name)
        with engine.begin() as connection:
            connection.execute(row.values(at=later(-age)))
    assert each_site.bot.people.purge()["idempotency"] == 1
    with reading(engine) as connection:
        assert connection.execute(select(idempotency.c.key)).scalars().all() == ["young"]


# ── crashes and slowness ─────────────────────────────────────────────────────────────────────


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def writer(engine: Engine) -> Writer:
    return Writer(engine)


@pytest.fixture
def once(writer: Writer, engine: Engine, clock: Clock) -> IdempotencyStore:
    KeyStore(engine, writer).add("shop", [Scope.ALL])
    return IdempotencyStore(writer, clock)


def a_request(fingerprint: bytes = b"one") -> Request:
    return Request(1, "key", fingerprint)


def change(writer: Writer, name: str) -> Callable[[], Kept]:
    def made() -> Kept:
        row = challenges.insert().values(key=name, expires_at=1)
        writer.run(lambda connection: connection.execute(row))
        return Kept(200, name)

    return made


def test_an_answer_is_kept_for_a_day(once: IdempotencyStore, writer: Writer, clock: Clock) -> None:
    assert once.once(a_request(), change(writer, "a")) == (Kept(200, "a"), False)
    clock.now += KEPT
    assert once.once(a_request(), change(writer, "b")) == (Kept(200, "a"), True)
    with pytest.raises(OtherRequestError):
        once.once(a_request(b"two"), change(writer, "b"))
    clock.now += 1
    assert once.once(a_request(b"two"), change(writer, "b")) == (Kept(200, "b"), False)


def test_what_breaks_frees_the_key_and_undoes_the_change(
    once: IdempotencyStore, writer: Writer, engine: Engine
) -> None:
    def broken() -> Kept:
        change(writer, "a")()
        raise LookupError

    with pytest.raises(LookupError):
        once.once(a_request(), broken)
    assert count(engine, challenges) == 0
    assert once.once(a_request(), change(writer, "b")) == (Kept(200, "b"), False)


def test_who_was_slow_and_not_dead_finds_the_claim_taken(
    once: IdempotencyStore, writer: Writer, engine: Engine, clock: Clock
) -> None:
    mine = select(idempotency.c.at)

    def slow() -> Kept:
        change(writer, "slow")()
        # As another process would, that thinks this one dead and takes its claim over.
        writer.run(lambda connection: connection.execute(update(idempotency).values(at=1)))
        return Kept(200, "slow")

    with pytest.raises(UnderWayError):
        once.once(a_request(), slow)
    assert count(engine, challenges) == 0
    with reading(engine) as connection:
        assert connection.execute(mine).scalar() in {1, int(clock.now), None}


def test_for_a_minute_after_a_crash_the_key_is_under_way_and_then_it_is_done_once(
    engine: Engine, database_url: str, tmp_path: Path
) -> None:
    script = textwrap.dedent("""
        import os, sys
        from pathlib import Path
        from newsletter_bot.storage.engine import open_engine
        from newsletter_bot.storage.tables import challenges
        from newsletter_bot.storage.writer import Writer
        from newsletter_bot.web.api.idempotency_store import IdempotencyStore, Request

        writer = Writer(open_engine(sys.argv[1], Path(sys.argv[2])))

        def killed():
            row = challenges.insert().values(key="half", expires_at=1)
            writer.run(lambda connection: connection.execute(row))
            os._exit(9)

        IdempotencyStore(writer, lambda: 1_800_000_000.0).once(Request(1, "key", b"one"), killed)
    """)
    writer, clock = Writer(engine), Clock()
    KeyStore(engine, writer).add("shop", [Scope.ALL])
    command = [sys.executable, "-c", script, database_url, str(tmp_path)]
    assert subprocess.run(command, check=False).returncode == 9
    assert count(engine, challenges) == 0
    once = IdempotencyStore(writer, clock)
    clock.now += 59
    with pytest.raises(UnderWayError):
        once.once(a_request(), change(writer, "whole"))
    clock.now += 1
    assert once.once(a_request(), change(writer, "whole")) == (Kept(200, "whole"), False)
    assert once.once(a_request(), change(writer, "again")) == (Kept(200, "whole"), True)
    assert count(engine, challenges) == 1


def test_after_a_crash_one_of_many_takes_over(
    once: IdempotencyStore, writer: Writer, engine: Engine, clock: Clock
) -> None:
    once.once(a_request(), change(writer, "before"))
    old = {"status": None, "response": "", "at": int(clock.now) - 100}
    writer.run(lambda connection: connection.execute(update(idempotency).values(old)))
    start = Barrier(8)

    def take(number: int) -> bool:
        start.wait()
        try:
            return not once.once(a_request(), change(writer, f"take-{number}"))[1]
        except UnderWayError:
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(take, range(8))) == 1
    assert count(engine, challenges) == 2


def test_nothing_personal_is_in_the_fingerprint(site: ApiSite, program: httpx.Client) -> None:
    body = json.dumps(ASKED).encode()
    headers = {**KEY, "Content-Type": "application/json"}
    program.post("/subscribers", content=body, headers=headers)
    with reading(site.bot.engine) as connection:
        row = connection.execute(select(idempotency)).mappings().one()
    guesses = [body, b"POST\0/api/v1/subscribers\0\0" + body]
    hashes = [hashlib.blake2b(one, digest_size=32).digest() for one in guesses]
    assert row["request"] not in hashes
    assert count(site.bot.engine, subscribers) == 0
