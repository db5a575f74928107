"""What providers post to the public web: verified, kept once, and only then answered."""

from __future__ import annotations

import base64
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA256
from fastapi import FastAPI
from sqlalchemy import Connection, event, select
from starlette.types import ASGIApp

from newsletter_bot.bot import Bot
from newsletter_bot.delivery.provider_events import ForgedError, HookRequest, ProviderEvent
from newsletter_bot.outside import OutsideError
from newsletter_bot.storage.tables import raw_events
from newsletter_bot.web.providers import ProviderHooks
from newsletter_bot.web.public import make_public
from newsletter_bot.web.serving.crowd import Bounds
from newsletter_bot.web.serving.service import PublicServer
from tests.feedback.office import KEY, PUBLIC

WRITTEN = json.dumps([{"event": "delivered", "sg_event_id": "one", "timestamp": 1}]).encode()
_SIGNATURE = "X-Twilio-Email-Event-Webhook-Signature"
_TIMESTAMP = "X-Twilio-Email-Event-Webhook-Timestamp"


def signed(body: bytes, at: float | None = None) -> dict[str, str]:
    """Return the headers with which SendGrid signs."""
    stamp = str(int(time.time() if at is None else at))
    made = KEY.sign(stamp.encode() + body, ECDSA(SHA256()))
    return {_TIMESTAMP: stamp, _SIGNATURE: base64.b64encode(made).decode()}


class Site:
    """The public web of a newsletter that sends by SendGrid."""

    def __init__(self, folder: Path) -> None:
        toml = folder / "newsletter.toml"
        text = toml.read_text().partition("[transport]")[0]
        transport = f'kind = "sendgrid"\napi_key = "k"\nwebhook_public_key = "{PUBLIC}"\n'
        toml.write_text(f"{text}[transport]\n{transport}")
        self.bot = Bot.open(folder)
        self.rung = threading.Event()
        self.duties: list[str] = []
        self.server = self.serve(make_public(self.bot, ring=self._ring))
        self.web = httpx.Client(base_url=self.server.address, timeout=60)

    def _ring(self, duty: str) -> None:
        self.duties.append(duty)
        self.rung.set()

    def serve(self, app: ASGIApp, bounds: Bounds | None = None) -> PublicServer:
        table = self.bot.settings.web.model_copy(update={"port": 0})
        made = PublicServer(app, table, bounds)
        made.start()
        return made

    def post(self, body: bytes, headers: dict[str, str] | None = None) -> httpx.Response:
        given = signed(body) if headers is None else headers
        return self.web.post("/hooks/sendgrid", content=body, headers=given)

    def kept(self) -> list[tuple[str, bytes]]:
        with self.bot.engine.connect() as connection:
            query = select(raw_events.c.source, raw_events.c.body).order_by(raw_events.c.id)
            return [(row[0], bytes(row[1])) for row in connection.execute(query)]

    def close(self) -> None:
        self.web.close()
        self.server.stop()
        self.bot.close()


@pytest.fixture
def site(newsletter: Path) -> Iterator[Site]:
    made = Site(newsletter)
    yield made
    made.close()


def test_what_is_signed_is_kept_as_it_came_and_its_duty_is_rung(site: Site) -> None:
    answer = site.post(WRITTEN)
    assert (answer.status_code, answer.text) == (200, "kept\n")
    assert site.kept() == [("sendgrid", WRITTEN)]
    assert site.rung.wait(30)
    assert site.duties == ["feedback"]


def test_a_request_that_is_repeated_is_kept_once(site: Site) -> None:
    headers = signed(WRITTEN)
    assert [site.post(WRITTEN, headers).status_code for _ in range(3)] == [200, 200, 200]
    assert len(site.kept()) == 1


def test_what_is_forged_or_stale_is_refused_and_never_read(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    secret = b'[{"email":"ada@reader.example"}]'
    good = signed(secret)
    for headers in (
        {},
        {**good, _SIGNATURE: "bm90IG9uZQ=="},
        {**good, _TIMESTAMP: "1"},
        signed(secret, time.time() - 3 * 86_400),
        signed(WRITTEN),
    ):
        answer = site.post(secret, headers)
        assert (answer.status_code, answer.text) == (403, "refused\n")
    assert site.kept() == []
    refusals = [one for one in caplog.records if one.getMessage() == "hooks.refused"]
    assert 1 <= len(refusals) <= 3
    assert "ada@" not in repr([vars(one) for one in caplog.records])


def test_others_than_post_and_other_names_are_refused(site: Site) -> None:
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        answer = site.web.request(method, "/hooks/sendgrid")
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    for name in ("mailgun", "smtp", "nobody", "%00", "x" * 1000):
        assert site.web.post(f"/hooks/{name}", content=b"{}").status_code == 404
    assert site.web.post("/hooks/", content=b"{}").status_code in {404, 405}


@pytest.mark.parametrize("way", ["with its length", "in chunks"])
def test_a_megabyte_is_taken_and_ten_are_not(site: Site, way: str) -> None:
    chunked = way == "in chunks"

    def whole(body: bytes) -> Any:
        return (body[at : at + 65_536] for at in range(0, len(body), 65_536))

    large = b"[" + b" " * (1024 * 1024 - 2) + b"]"
    content = whole(large) if chunked else large
    headers = signed(large)
    assert site.web.post("/hooks/sendgrid", content=content, headers=headers).status_code == 200
    huge = b"x" * 10_000_000
    content = whole(huge) if chunked else huge
    try:
        answer = site.web.post("/hooks/sendgrid", content=content, headers=signed(huge))
        assert answer.status_code == 413
    except httpx.WriteError:
        pass  # it closed before all was sent
    assert [len(body) for _, body in site.kept()] == [1024 * 1024]
    assert site.web.post("/subscribe", content=b"x" * 70_000).status_code == 413


def test_long_bodies_may_take_so_much_memory_together(site: Site) -> None:
    app = ProviderHooks(FastAPI(), site.bot, lambda _duty: None)
    server = site.serve(app, Bounds(long_bodies=150_000))
    port = int(server.address.rstrip("/").rpartition(":")[2])
    body = b"[" + b" " * 100_000 + b"]"
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=60) as slow:
            head = (
                f"POST /hooks/sendgrid HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            slow.sendall(head.encode() + body[:80_000])
            time.sleep(0.5)
            statuses = {_posted(server.address, body) for _ in range(2)}
            slow.sendall(body[80_000:])
            assert slow.recv(100).startswith(b"HTTP/1.1 403")
        assert statuses == {503}
        assert _posted(server.address, body) == 200
    finally:
        server.stop()


def _posted(address: str, body: bytes) -> int:
    try:
        return httpx.post(
            f"{address}hooks/sendgrid", content=body, headers=signed(body), timeout=60
        ).status_code
    except httpx.WriteError:
        return 503


def test_a_database_that_takes_nothing_asks_the_provider_to_come_again(site: Site) -> None:
    def refuse(_connection: Connection) -> None:
        import sqlite3

        error = sqlite3.OperationalError("disk full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    event.listen(site.bot.engine, "commit", refuse)
    answer = site.post(WRITTEN)
    event.remove(site.bot.engine, "commit", refuse)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
    assert site.kept() == []
    assert site.post(WRITTEN).status_code == 200


# ── several relays of a kind, and what must be fetched ───────────────────────────────────────


@dataclass
class Invented:
    """A provider whose requests say by what word they are signed; it may need a certificate."""

    word: str
    certificate: str = ""
    confirm: str = ""
    threads: list[str] = field(default_factory=list)

    def verify(self, request: HookRequest) -> str:
        self.threads.append(threading.current_thread().name)
        if self.certificate:
            request.fetch(self.certificate)
        if request.headers.get("x-word") != self.word:
            raise ForgedError("another word")
        return request.headers["x-key"]

    def read(self, body: bytes) -> Sequence[ProviderEvent]:
        return []

    def confirmation(self, body: bytes) -> str:
        return self.confirm if body == b"confirm" else ""


@pytest.fixture
def invent(site: Site) -> Iterator[Callable[..., httpx.Client]]:
    """Serve `/hooks/invented` for these; `get` fetches."""
    servers: list[PublicServer] = []

    def made(*several: Invented, get: Callable[[str], bytes] = str.encode) -> httpx.Client:
        hooks = ProviderHooks(FastAPI(), site.bot, lambda _duty: None, get)
        hooks._known = {"invented": several}
        servers.append(site.serve(hooks))
        return httpx.Client(base_url=f"{servers[-1].address}hooks/", timeout=60)

    yield made
    for one in servers:
        one.stop()


def test_any_relay_of_the_kind_may_know_a_request_for_its_own(
    site: Site, invent: Callable[..., httpx.Client]
) -> None:
    with invent(Invented("a"), Invented("b")) as web:
        said = [web.post("invented", headers={"X-Word": word, "X-Key": word}) for word in "abc"]
    assert [one.status_code for one in said] == [200, 200, 403]
    assert len(site.kept()) == 2


def test_what_must_be_fetched_is_fetched_in_another_thread(
    site: Site, invent: Callable[..., httpx.Client]
) -> None:
    asked: list[str] = []

    def get(url: str) -> bytes:
        asked.append(url)
        if "down" in url:
            raise OutsideError("it does not answer")
        return b"certificate"

    needy = Invented("a", certificate="https://sns.example/cert", confirm="https://sns.example/yes")
    with invent(needy, get=get) as web:
        headers = {"X-Word": "a", "X-Key": "1"}
        assert web.post("invented", content=b"confirm", headers=headers).status_code == 200
    assert asked == ["https://sns.example/cert", "https://sns.example/yes"]
    assert needy.threads[0] == "web"
    assert needy.threads[1] != "web"
    assert site.kept() == [("invented", b"confirm")]
    down = Invented("a", certificate="https://down.example/cert")
    with invent(down, get=get) as web:
        assert web.post("invented", headers={"X-Word": "a", "X-Key": "2"}).status_code == 503
    unconfirmed = Invented("a", confirm="https://down.example/yes")
    with invent(unconfirmed, get=get) as web:
        answer = web.post("invented", content=b"confirm", headers={"X-Word": "a", "X-Key": "3"})
    assert answer.status_code == 503
    assert len(site.kept()) == 2, "it is kept before it is confirmed"
