from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from newsletter_bot.bot import Bot
from newsletter_bot.subscribers.address import parse_address
from newsletter_bot.subscribers.model import NewSubscriber, SubscriptionState
from newsletter_bot.subscribers.tokens import TokenSigner
from newsletter_bot.web.public import make_public
from newsletter_bot.web.serving.service import PublicServer

ONE_CLICK = {"List-Unsubscribe": "One-Click"}


class Site:
    """A newsletter with a reader, and its public web on a port of this machine."""

    def __init__(self, folder: Path) -> None:
        self.bot = Bot.open(folder)
        self.bot.settings = self.bot.settings.model_copy(
            update={"web": self.bot.settings.web.model_copy(update={"port": 0})}
        )
        person = NewSubscriber(parse_address("ada@example.com"), "Ada")
        self.bot.subscribers.add([person], "weekly", {"source": "test"})
        self.signer = self.bot.signer
        self.token = self.signer.unsubscribe_token(1, "weekly")
        self.reasons: list[str] = []
        app = make_public(self.bot, lambda: self.reasons)
        self.server = PublicServer(app, self.bot.settings.web)
        self.server.start()
        self.web = httpx.Client(base_url=self.server.address, timeout=30)

    @property
    def state(self) -> SubscriptionState:
        person = self.bot.subscribers.find("ada@example.com")
        assert person is not None
        return person.subscriptions[0].state

    def close(self) -> None:
        self.web.close()
        self.server.stop()
        self.bot.close()


@pytest.fixture
def site(newsletter: Path) -> Iterator[Site]:
    made = Site(newsletter)
    yield made
    made.close()


# ── unsubscribing ────────────────────────────────────────────────────────────────────────────


def test_a_mail_programs_one_click_unsubscribes(site: Site) -> None:
    answer = site.web.post(f"/u/{site.token}", data=ONE_CLICK)
    assert answer.status_code == 200
    assert site.state is SubscriptionState.UNSUBSCRIBED
    assert "set-cookie" not in answer.headers
    assert answer.history == []
    again = site.web.post(f"/u/{site.token}", data=ONE_CLICK)
    assert (again.status_code, again.text) == (200, answer.text)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"])
def test_nothing_but_post_changes_anything(site: Site, method: str) -> None:
    for _ in range(3):
        site.web.request(method, f"/u/{site.token}?List-Unsubscribe=One-Click")
    assert site.state is SubscriptionState.ACTIVE


def test_the_page_has_a_button_and_says_that_nothing_has_changed(site: Site) -> None:
    answer = site.web.get(f"/u/{site.token}")
    assert answer.status_code == 200
    assert '<form method="post"><button type="submit">Unsubscribe</button></form>' in answer.text
    assert "Nothing has changed yet" in answer.text
    assert "<script" not in answer.text
    assert site.web.head(f"/u/{site.token}").status_code == 200


@pytest.mark.parametrize(
    ("accept", "words"),
    [
        ("ja", "配信を停止する"),
        ("tlh, ja;q=0.5, en;q=0.3", "配信を停止する"),
        ("de-AT,de;q=0.9", "Abbestellen"),
        ("xx;q=nonsense, *", "Unsubscribe"),
        ("en;q=0.1," * 5000, "Unsubscribe"),
    ],
)
def test_the_page_speaks_the_readers_language(site: Site, accept: str, words: str) -> None:
    headers = {"Accept-Language": accept[:8000]}
    assert words in site.web.get(f"/u/{site.token}", headers=headers).text


def forged(token: str) -> list[str]:
    other = "0" if token[-1] != "0" else "1"
    bounce = TokenSigner(b"0123456789abcdef" * 4).bounce_token(1)
    return [token[:-1], token[:-1] + other, token + "00", "", "x" * 5000, bounce, "%00", "\u202e"]


def test_a_forged_or_broken_token_does_nothing_and_says_what_to_do(site: Site) -> None:
    for one in forged(site.token):
        for answer in (site.web.get(f"/u/{one}"), site.web.post(f"/u/{one}", data=ONE_CLICK)):
            assert answer.status_code in {404, 405}, one
    assert "This link is incomplete" in site.web.get("/u/0102").text
    assert site.state is SubscriptionState.ACTIVE


def test_somebody_erased_meanwhile_gets_the_same_answer(site: Site) -> None:
    token = site.signer.unsubscribe_token(4711, "weekly")
    answer = site.web.post(f"/u/{token}", data=ONE_CLICK)
    assert answer.status_code == 200
    assert "You are unsubscribed" in answer.text


def test_a_list_that_was_removed_ends_all_subscriptions(site: Site) -> None:
    token = site.signer.unsubscribe_token(1, "monthly")
    assert site.web.post(f"/u/{token}", data=ONE_CLICK).status_code == 200
    assert site.state is SubscriptionState.UNSUBSCRIBED


def test_a_body_that_is_too_long_is_refused(site: Site) -> None:
    answer = site.web.post(f"/u/{site.token}", content=b"x" * 9000)
    assert answer.status_code == 413
    assert site.state is SubscriptionState.ACTIVE


@pytest.mark.parametrize("content", [b"", b"\xff\x00{{7*7}}", b"a" * 8000])
def test_what_the_body_says_does_not_matter(site: Site, content: bytes) -> None:
    assert site.web.post(f"/u/{site.token}", content=content).status_code == 200
    assert site.state is SubscriptionState.UNSUBSCRIBED


def test_pages_with_tokens_are_kept_from_others(site: Site) -> None:
    for answer in (site.web.get(f"/u/{site.token}"), site.web.post(f"/u/{site.token}")):
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-robots-tag"] == "noindex"
        assert "script-src" not in answer.headers["content-security-policy"]
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["strict-transport-security"]


# ── archive ──────────────────────────────────────────────────────────────────────────────────


def test_the_archive_is_served_with_types_and_not_again_when_unchanged(
    site: Site, write_issue: Callable[..., Path]
) -> None:
    assert site.web.get("/").status_code == 404  # not built yet
    write_issue()
    site.bot.build_archive(["2026-W01"])
    front = site.web.get("/")
    assert front.status_code == 200
    assert front.headers["content-type"].startswith("text/html")
    again = site.web.get("/", headers={"If-None-Match": front.headers["etag"]})
    assert again.status_code == 304
    assert "xml" in site.web.get("/feed.atom").headers["content-type"]
    lost = site.web.get("/no/such/page")
    assert lost.status_code == 404
    assert "There is no such page" in lost.text
    assert site.web.post("/").status_code == 405


@pytest.mark.parametrize(
    "path",
    [
        b"/../newsletter.toml",
        b"/%2e%2e/secret.key",
        b"/..%2fsecret.key",
        b"/..%5csecret.key",
        b"/img/../../secret.key",
        b"/%00",
        b"//etc/passwd",
        b"/link.txt",
        b"/.hidden/file",
        b"/.git",
        b"/a/.env",
    ],
)
def test_nothing_outside_the_site_and_nothing_hidden_is_served(
    site: Site, newsletter: Path, path: bytes
) -> None:
    folder = newsletter / "site"
    (folder / ".hidden").mkdir(parents=True)
    (folder / "a").mkdir()
    for name in (".hidden/file", ".git", "a/.env"):
        (folder / name).write_text("0123456789abcdef")
    (folder / "link.txt").symlink_to(newsletter / "secret.key")
    host, port = site.web.base_url.host, site.web.base_url.port
    with socket.create_connection((host, port), timeout=30) as raw:
        raw.sendall(b"GET %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % path)
        answer = b""
        while piece := raw.recv(65536):
            answer += piece
    assert b"0123456789abcdef" not in answer
    assert b"root:" not in answer
    assert answer.split()[1] in {b"404", b"400", b"405"}


# ── health ───────────────────────────────────────────────────────────────────────────────────


def test_health_and_readiness_are_told_apart(site: Site) -> None:
    assert site.web.get("/readyz").json() == {"ok": True, "reasons": []}
    site.reasons.append("this database is a copy")
    answer = site.web.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["reasons"] == ["this database is a copy"]
    assert site.web.get("/healthz").json() == {"ok": True}


def test_what_a_proxy_says_is_believed_from_trusted_ones_only(site: Site) -> None:
    answer = site.web.get("/healthz", headers={"X-Forwarded-For": "1.2.3.4, evil"})
    assert answer.status_code == 200


def test_there_is_no_operators_interface_and_no_schema(site: Site) -> None:
    for path in ("/openapi.json", "/docs", "/redoc", "/events", "/assets/preview.js"):
        assert site.web.get(path).status_code == 404
