"""Events on their way to endpoints that answer well, badly, slowly or not at all."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, delete, insert

from newsletter_bot.hooks.retry import WAITS
from newsletter_bot.hooks.store import LEASE
from newsletter_bot.settings.people import HookType
from newsletter_bot.storage.tables import hook_deliveries, hook_events
from tests.hooks.conftest import PATIENCE, Round
from tests.servers.certificates import Authority
from tests.servers.hook_server import HookServer, Reply, hook_server

Open = Callable[..., Round]
ADDRESS = "ada@example.com"


def test_an_event_reaches_each_endpoint_that_wants_it_once_and_signed(
    open_round: Open, server: HookServer
) -> None:
    left = ["subscriber.unsubscribed"]
    it = open_round(
        {"name": "a", "url": server.url("a")},
        {"name": "b", "url": server.url("b")},
        {"name": "c", "url": server.url("c"), "events": left},
    )
    it.tell(HookType.CONFIRMED, address=ADDRESS, list="weekly")
    for _ in range(3):
        it.deliver()
    (one,), (other,) = server.to("a"), server.to("b")
    at = datetime.fromtimestamp(int(it.now), UTC)
    assert one.json == {
        "type": "subscriber.confirmed",
        "timestamp": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        "data": {"address": ADDRESS, "list": "weekly"},
    }
    assert one.id == other.id == it.rows()[0]["uid"]
    assert one.headers["Content-Type"] == "application/json"
    assert it.is_signed(one, "a")
    assert it.is_signed(other, "b")
    assert not it.is_signed(one, "b")
    assert server.to("c") == []
    assert it.states("a") == it.states("b") == ["delivered"]


def test_without_an_endpoint_nothing_is_kept(open_round: Open) -> None:
    it = open_round()
    it.tell()
    it.deliver()
    with it.engine.connect() as connection:
        assert connection.execute(hook_events.select()).all() == []


def test_a_change_that_is_undone_tells_nothing(a_round: Round, server: HookServer) -> None:
    def change(connection: object) -> None:
        a_round.outbox.tell(connection, HookType.CONFIRMED, {}, 1, 1)  # type: ignore[arg-type]
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        a_round.writer.run(change)
    a_round.deliver()
    assert server.calls == []
    assert a_round.rows() == []


def test_an_endpoint_that_comes_later_gets_nothing_old(
    open_round: Open, server: HookServer
) -> None:
    first = {"name": "a", "url": server.url("a")}
    before = open_round(first)
    before.tell()
    before.deliver()
    after = open_round(first, {"name": "b", "url": server.url("b")})
    after.tell()
    after.deliver()
    assert len(server.to("a")) == 2
    assert len(server.to("b")) == 1


def test_events_are_attempted_in_the_order_in_which_they_happened(
    a_round: Round, server: HookServer
) -> None:
    server.delay["a"] = 0.02
    for number in range(20):
        a_round.tell(number=number)
    a_round.deliver()
    numbers = [call.json["data"]["number"] for call in server.calls]
    assert sorted(numbers) == list(range(20))
    assert all(abs(at - number) < 8 for at, number in enumerate(numbers)), "four at a time"
    assert server.most_at_once["a"] <= 4


@pytest.mark.parametrize(
    "reply",
    [
        Reply(500),
        Reply(404),
        Reply(301, {"Location": "/b"}),
        Reply(302, {"Location": "http://[broken"}),
        Reply(304),
        Reply(429),
        Reply(500, {"Retry-After": "nonsense"}),
        Reply(200, {"Content-Length": "broken"}),
        Reply(manner="reset"),
        Reply(manner="drip"),
        Reply(500, manner="endless"),
        Reply(manner="hang"),
    ],
    ids=str,
)
def test_what_was_not_taken_is_tried_again_under_the_same_id(
    a_round: Round, server: HookServer, reply: Reply
) -> None:
    server.replies["a"] = [reply]
    a_round.tell(address=ADDRESS)
    a_round.deliver()  # which takes as long as an attempt may, and no longer
    server.release.set()
    (row,) = a_round.rows()
    assert row["state"] == "planned"
    assert row["attempts"] == 1
    assert row["reason"]
    assert 4 <= row["not_before"] - int(a_round.now) <= 6
    a_round.now += 7
    a_round.deliver()
    first, second = server.to("a")
    assert first.id == second.id
    assert first.body == second.body
    times = [int(call.headers["webhook-timestamp"]) for call in (first, second)]
    assert times[1] - times[0] == 7
    assert a_round.is_signed(second)
    assert a_round.states() == ["delivered"]
    assert server.to("b") == [], "redirects are not followed"


def test_an_answer_that_never_ends_is_an_answer_and_fills_no_memory(
    a_round: Round, server: HookServer
) -> None:
    server.replies["a"] = [Reply(200, manner="endless")]
    a_round.tell()
    tracemalloc.start()
    a_round.deliver()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000
    assert a_round.states() == ["delivered"]


def test_after_ten_attempts_over_three_days_it_is_given_up_and_told(
    a_round: Round, server: HookServer
) -> None:
    server.always["a"] = Reply(503, content=b"<h1>down</h1>\n\x1b[31mfor\0 now")
    a_round.tell()
    waits: list[int] = []
    row: Mapping[str, Any] = {}
    for _ in range(len(WAITS) + 1):
        a_round.deliver()
        (row,) = a_round.rows()
        waits.append(row["not_before"] - int(a_round.now))
        assert a_round.courier()._store.next_due(["a"]) in {None, row["not_before"]}
        a_round.now = row["not_before"]
    for wait, expected in zip(waits, WAITS, strict=False):
        assert 0.8 * expected - 1 <= wait <= 1.2 * expected
    assert row["state"] == "failed"
    assert row["reason"] == "503 down [31mfor now"
    assert len({call.id for call in server.calls}) == 1
    assert len(server.calls) == 10
    ((key, title, text),) = a_round.alerts
    assert key == "webhook:a"
    assert title == "The webhook a does not take events"
    assert "webhooks replay a --failed" in text
    a_round.now += 10 * 86_400
    a_round.deliver()
    assert len(server.calls) == 10


def test_an_endpoint_that_is_gone_is_switched_off_until_the_operator_says_so(
    a_round: Round, server: HookServer
) -> None:
    server.replies["a"] = [Reply(500), Reply(410, content=b"moved away")]
    a_round.tell(number=1)
    a_round.deliver()
    a_round.tell(number=2)
    a_round.deliver()
    assert a_round.states() == ["failed", "failed"]
    a_round.tell(number=3)
    a_round.now += 86_400
    a_round.deliver()
    assert len(server.calls) == 2
    assert len(a_round.rows()) == 2
    ((_, title, text),) = a_round.alerts
    assert title == "The webhook a is switched off"
    assert "410 moved away" in text
    ((_, standing),) = a_round.desk.standings()
    assert standing.off_at is not None
    assert a_round.desk.enable("a")
    assert not a_round.desk.enable("a")
    a_round.tell(number=4)
    a_round.deliver()
    assert [call.json["data"]["number"] for call in server.calls] == [1, 2, 4]


@pytest.mark.parametrize("written", ["3600", "date", "1000000"])
def test_an_endpoint_that_asks_to_be_left_alone_is(
    a_round: Round, server: HookServer, written: str
) -> None:
    until = datetime.fromtimestamp(a_round.now, UTC) + timedelta(seconds=3600)
    asked = format_datetime(until, usegmt=True) if written == "date" else written
    server.replies["a"] = [Reply(429, {"Retry-After": asked})]
    a_round.tell()
    a_round.deliver()
    a_round.tell()
    wait = 86_400 if written == "1000000" else 3600
    a_round.now += wait - 5
    a_round.deliver()
    assert len(server.calls) == 1, "neither this event nor the next one"
    a_round.now += 6
    a_round.deliver()
    assert a_round.states() == ["delivered", "delivered"]


def test_one_that_is_dead_slow_or_misconfigured_holds_up_no_other(
    open_round: Open, server: HookServer
) -> None:
    it = open_round(
        {"name": "dead", "url": "http://127.0.0.1:9/"},
        {"name": "hangs", "url": server.url("hangs")},
        {"name": "odd", "url": server.url("odd"), "secret_file": "none"},
        {"name": "z", "url": server.url("z")},
    )
    server.always["hangs"] = Reply(manner="hang")
    for _ in range(30):
        it.tell()
    courier = it.courier(longest=2 * PATIENCE)
    begun = time.monotonic()
    courier.look()
    while len(server.to("z")) < 30:
        assert time.monotonic() - begun < PATIENCE
        time.sleep(0.02)
    assert 0 < len(server.to("hangs")) <= 4
    courier.stop()
    server.release.set()
    assert courier.wait(PATIENCE)
    assert set(it.states("z")) == {"delivered"}
    assert set(it.states("odd")) == {"planned"}
    assert {row["attempts"] for row in it.rows("odd")} == {0}
    told = {key: text for key, _, text in it.alerts}
    assert "webhooks.odd.secret_file" in told["webhook:odd"]


def test_told_to_stop_it_begins_nothing_more(a_round: Round, server: HookServer) -> None:
    server.always["a"] = Reply(manner="hang")
    for _ in range(20):
        a_round.tell()
    courier = a_round.courier(longest=PATIENCE)
    courier.look()
    while len(server.calls) < 4:
        time.sleep(0.01)
    courier.stop()
    assert not courier.wait(0.1)
    server.release.set()
    assert courier.wait(PATIENCE)
    assert len(server.calls) == 4
    assert a_round.states().count("delivered") == 4
    courier.look()
    assert courier.wait(1)
    assert len(server.calls) == 4


def test_it_asks_to_be_woken_when_the_next_one_is_due(a_round: Round, server: HookServer) -> None:
    a_round.deliver()
    assert a_round.rung == []
    server.replies["a"] = [Reply(500)]
    a_round.tell()
    a_round.deliver()
    assert a_round.rung[-1] == a_round.rows()[0]["not_before"]


def test_two_couriers_at_once_deliver_each_event_once(open_round: Open, server: HookServer) -> None:
    tables = [{"name": name, "url": server.url(name)} for name in "ab"]
    first, second = open_round(*tables), open_round(*tables)
    server.delay["a"] = 0.01
    for _ in range(60):
        first.tell()
    couriers = [first.courier(), second.courier()]
    for _ in range(3):
        for one in couriers:
            one.look()
    for one in couriers:
        assert one.wait(30)
    for name in "ab":
        assert len({call.id for call in server.to(name)}) == 60
        assert len(server.to(name)) == 60
        assert set(first.states(name)) == {"delivered"}


def test_what_is_under_way_elsewhere_is_left_alone_until_its_lease_ends(
    a_round: Round, server: HookServer
) -> None:
    a_round.tell()
    store = a_round.courier()._store
    store.spread(a_round.settings.webhooks)
    lost = store.take("a")  # by a process that is killed
    assert lost is not None
    a_round.now += LEASE - 1
    a_round.deliver()
    assert server.calls == []
    a_round.now += 1
    a_round.deliver()
    (call,) = server.calls
    assert call.id == lost.uid
    assert a_round.rows()[0]["attempts"] == 2


def test_an_erased_persons_events_are_gone_even_while_one_is_under_way(
    a_round: Round, server: HookServer
) -> None:
    server.always["a"] = Reply(manner="hang")
    a_round.tell(person=7, address=ADDRESS)
    a_round.tell(person=8)
    courier = a_round.courier()
    courier.look()
    while len(server.calls) < 2:
        time.sleep(0.01)
    with a_round.engine.begin() as connection:
        connection.execute(delete(hook_events).where(hook_events.c.subscriber_id == 7))
    server.release.set()
    assert courier.wait(10)
    assert a_round.states() == ["delivered"]
    with a_round.engine.connect() as connection:
        assert len(connection.execute(hook_deliveries.select()).all()) == 1
        (left,) = connection.execute(hook_events.select()).mappings()
    assert left["subscriber_id"] == 8
    assert a_round.alerts == []


def test_what_is_old_is_purged_and_what_is_owed_is_not(
    open_round: Open, server: HookServer, engine: Engine
) -> None:
    it = open_round({"name": "a", "url": server.url("a")})
    old = int(it.now) - 100 * 86_400
    with engine.begin() as connection:
        for number, (state, endpoint, at) in enumerate(
            [
                ("delivered", "a", old),
                ("delivered", "a", int(it.now) - 29 * 86_400),
                ("failed", "a", old),
                ("failed", "a", int(it.now) - 89 * 86_400),
                ("planned", "removed", old),
                ("planned", "a", old),
            ],
            1,
        ):
            event = {"id": number, "uid": f"evt_{number}", "type": "issue.sent", "data": {}}
            connection.execute(insert(hook_events).values(event | {"at": at, "spread_at": at}))
            row = {"event_id": number, "endpoint": endpoint, "state": state}
            later = {"not_before": int(it.now) + 999, "changed_at": at}
            connection.execute(insert(hook_deliveries).values(row | later))
    it.deliver()
    with engine.connect() as connection:
        left = connection.execute(hook_events.select().order_by(hook_events.c.id)).mappings()
        assert [row["id"] for row in left] == [2, 4, 6]


def test_tls_is_verified(open_round: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path / "ca")
    with hook_server(authority.identity()) as server:
        it = open_round({"name": "a", "url": server.url("a", "localhost")})
        it.tell()
        it.deliver()
        assert server.calls == []
        assert "certificate verify failed" in it.rows()[0]["reason"]
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
        it.now += 60
        it.deliver()
        assert it.states() == ["delivered"]
