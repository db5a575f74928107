"""What every answer of the public web carries, where it leads, and what is never written down."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from newsletter_bot.bot import Bot
from newsletter_bot.cli import app
from newsletter_bot.errors import ConfigurationError, TryAgainError
from newsletter_bot.settings.service import WebTable
from newsletter_bot.subscribers.address import parse_address
from newsletter_bot.subscribers.model import NewSubscriber
from newsletter_bot.subscribers.tokens import Link
from newsletter_bot.web.public import make_public
from newsletter_bot.web.serving.service import PublicServer
from tests.web.wire import Connect

EVIL = "evil.example"
FRAMES = '\n[signup]\nembed = ["https://partner.example"]\n'


class Served:
    """A newsletter with an issue's page and a reader, on a port of this machine."""

    def __init__(self, folder: Path) -> None:
        self.bot = Bot.open(folder)
        person = NewSubscriber(parse_address("ada@example.com"), "Ada")
        self.bot.subscribers.add([person], "weekly", {"source": "test"})
        self.bot.build_archive(["2026-W01"])
        table = self.bot.settings.web.model_copy(update={"port": 0})
        self.server = PublicServer(make_public(self.bot), table)
        self.server.start()
        self.web = httpx.Client(base_url=self.server.address, timeout=30)
        self.connect = Connect(self.server)

    @property
    def token(self) -> str:
        return self.bot.signer.unsubscribe_token(1, "weekly")

    def raw(self, path: bytes, *headers: bytes) -> tuple[int, dict[str, str], bytes]:
        """Ask with exactly these bytes; returns status, headers and body."""
        lines = headers or (b"Host: x",)
        head = b"GET %b HTTP/1.1\r\n%b\r\n\r\n" % (
            path,
            b"\r\n".join((*lines, b"Connection: close")),
        )
        said = self.connect().send(head).everything()
        top, _, body = said.partition(b"\r\n\r\n")
        status, *fields = top.decode("latin-1").split("\r\n")
        pairs = (line.partition(": ") for line in fields)
        return int(status.split()[1]), {name.lower(): value for name, _, value in pairs}, body

    def close(self) -> None:
        self.web.close()
        self.connect.close()
        self.server.stop()
        self.bot.close()


@pytest.fixture
def served(newsletter: Path, write_issue: Callable[..., Path]) -> Iterator[Served]:
    toml = newsletter / "newsletter.toml"
    toml.write_text(toml.read_text("utf-8") + FRAMES, "utf-8")
    write_issue()
    made = Served(newsletter)
    yield made
    made.close()


# ── headers ──────────────────────────────────────────────────────────────────────────────────

ANSWERS = [
    ("GET", "/", 200),
    ("GET", "/archive/2026-W01/", 200),
    ("GET", "/archive/2026-W01", 308),
    ("GET", "/feed.atom", 200),
    ("GET", "/robots.txt", 200),
    ("GET", "/nothing/here", 404),
    ("POST", "/", 405),
    ("GET", "/healthz", 200),
    ("GET", "/readyz", 200),
    ("GET", "/u/{token}", 200),
    ("POST", "/u/{token}", 200),
    ("GET", "/u/broken", 404),
    ("GET", "/c/broken", 404),
    ("GET", "/p/broken", 404),
    ("GET", "/subscribe", 200),
    ("GET", "/subscribe/sent", 200),
    ("GET", "/subscribe/embed", 200),
    ("GET", "/api/v1/subscribers", 401),
    ("GET", "/api/v1/openapi.json", 200),
    ("GET", "/api/v1/none", 401),
    ("DELETE", "/subscribe", 405),
]


@pytest.mark.parametrize(("method", "path", "status"), ANSWERS)
def test_every_answer_carries_what_keeps_it_harmless(
    served: Served, method: str, path: str, status: int
) -> None:
    answer = served.web.request(method, path.format(token=served.token))
    headers = answer.headers
    assert answer.status_code == status
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "'unsafe-eval'" not in policy
    scripts = re.search(r"script-src ([^;]*)", policy)
    assert scripts is None or scripts[1].strip() == "'self'"
    assert "base-uri 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    shown = "strict-origin-when-cross-origin" if "sandbox" in policy else "same-origin"
    assert headers["referrer-policy"] in {"no-referrer", shown}
    assert "camera=()" in headers["permissions-policy"]
    assert headers["strict-transport-security"] == "max-age=31536000"
    assert "server" not in headers
    assert "x-powered-by" not in headers
    assert "set-cookie" not in headers
    assert len(headers.get_list("content-security-policy")) == 1
    embedded = path == "/subscribe/embed"
    assert ("frame-ancestors https://partner.example" in policy) is embedded
    assert ("frame-ancestors 'none'" in policy) is not embedded
    assert headers.get("x-frame-options") == (None if embedded else "DENY")


def test_a_page_of_ours_is_kept_apart_from_who_opened_it(served: Served) -> None:
    for path in ("/subscribe", f"/u/{served.token}"):
        headers = served.web.get(path).headers
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["cross-origin-resource-policy"] == "same-origin"
    assert served.web.get("/subscribe/embed").headers["cross-origin-resource-policy"] == (
        "cross-origin"
    )


def test_the_archive_is_a_sandbox_whose_pictures_may_be_shown_anywhere(served: Served) -> None:
    headers = served.web.get("/archive/2026-W01/").headers
    policy = headers["content-security-policy"]
    sandbox = policy.partition("sandbox ")[2].split(";")[0].split()
    assert set(sandbox) == {
        "allow-downloads",
        "allow-popups",
        "allow-popups-to-escape-sandbox",
        "allow-top-navigation-by-user-activation",
    }
    assert "form-action 'none'" in policy
    assert "script-src" not in policy
    # With it, browsers refuse to show a page that is a sandbox.
    assert "cross-origin-opener-policy" not in headers
    assert headers["cross-origin-resource-policy"] == "cross-origin"


def test_only_a_newsletter_read_over_https_binds_browsers_to_it(newsletter: Path) -> None:
    toml = newsletter / "newsletter.toml"
    toml.write_text(toml.read_text("utf-8").replace("https://news.example.com", "http://x.test"))
    bot = Bot.open(newsletter)
    table = bot.settings.web.model_copy(update={"port": 0})
    server = PublicServer(make_public(bot), table)
    server.start()
    assert "strict-transport-security" not in httpx.get(f"{server.address}healthz").headers
    server.stop()
    bot.close()


# ── where it leads ───────────────────────────────────────────────────────────────────────────

_LIES = (
    b"X-Forwarded-Host: evil.example",
    b"X-Original-URL: http://evil.example/",
    b"Forwarded: host=evil.example",
    b"X-Forwarded-Proto: https",
)


@pytest.mark.parametrize("host", [b"evil.example", b"evil.example:443@x", b"", b"a b", b"[::1"])
def test_a_folder_without_its_slash_leads_to_itself_whatever_the_host_is_said_to_be(
    served: Served, host: bytes
) -> None:
    status, headers, _ = served.raw(b"/archive/2026-W01?next=//evil", b"Host: " + host, *_LIES)
    assert (status, headers["location"]) == (308, "/archive/2026-W01/")


@pytest.mark.parametrize(
    "path",
    [
        b"//evil.example",
        b"//evil.example/",
        b"///evil.example/%2e%2e",
        b"/%2f%2fevil.example",
        b"/%2f/evil.example/..",
        b"/\\evil.example",
        b"/%5cevil.example",
        b"/%5c%5cevil.example/",
        b"/.//evil.example",
        b"/./archive/2026-W01",
        b"/archive//2026-W01",
        b"//archive/2026-W01",
        b"/archive/2026-W01/..%2f",
        b"/archive/2026-W01%00",
        b"/archive/2026-W01%0d%0aLocation:%20https://evil.example",
        b"/u/a/",
        b"//u/a",
        b"/subscribe/",
        b"/%75/",
        b"http://evil.example//evil.example",
        b"/@evil.example",
        b"/archive/2026-W01%2f",
        b"/archive%2f2026-W01",
    ],
)
def test_no_path_leads_away(served: Served, path: bytes) -> None:
    status, headers, body = served.raw(path, b"Host: evil.example", *_LIES)
    location = headers.get("location")
    if location is not None:
        assert re.fullmatch(r"/[A-Za-z0-9]([A-Za-z0-9-]|/(?!/))*/", location), location
        assert served.web.get(location).status_code == 200
    else:
        assert status in {200, 400, 404}
    assert EVIL not in " ".join(headers.values())
    assert EVIL.encode() not in body or status == 200


def test_no_page_names_the_host_it_was_asked_under(served: Served) -> None:
    pages = (b"/", b"/subscribe", b"/u/" + served.token.encode(), b"/feed.atom", b"/lost")
    for path in (*pages, b"/api/v1/openapi.json", b"/api/v1/subscribers"):
        _, headers, body = served.raw(path, b"Host: evil.example", *_LIES)
        assert EVIL.encode() not in body
        assert EVIL not in str(headers)


# ── the archive's files ──────────────────────────────────────────────────────────────────────


def test_what_was_built_anew_is_seen_at_once(served: Served) -> None:
    page = served.bot.settings.folder / "site" / "new.html"
    assert served.web.get("/new.html").status_code == 404
    for text in ("one", "two", "another"):
        page.write_text(text)
        answer = served.web.get("/new.html")
        assert (answer.status_code, answer.text) == (200, text)
        tag, since = answer.headers["etag"], answer.headers["last-modified"]
        again = served.web.get("/new.html", headers={"If-None-Match": f'W/"x", {tag}'})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag
        unchanged = served.web.get("/new.html", headers={"If-Modified-Since": since})
        assert unchanged.status_code == 304
        for known in ('"other"', "*x", ""):
            assert served.web.get("/new.html", headers={"If-None-Match": known}).text == text
        for wrong in ("yesterday", "", "Mon, 99 Foo 2026", "Thu, 01 Jan 1970 00:00:00 GMT"):
            assert served.web.get("/new.html", headers={"If-Modified-Since": wrong}).text == text
        head = served.web.head("/new.html")
        assert (head.content, head.headers["content-length"]) == (b"", str(len(text)))
    page.unlink()
    assert served.web.get("/new.html").status_code == 404


def test_a_file_that_becomes_a_way_out_is_not_served_any_more(served: Served) -> None:
    folder = served.bot.settings.folder
    page = folder / "site" / "page.txt"
    page.write_text("public")
    assert served.web.get("/page.txt").text == "public"
    page.unlink()
    page.symlink_to(folder / "secret.key")
    assert served.web.get("/page.txt").status_code == 404
    (folder / "site" / "out").symlink_to(folder)
    for path in ("/out/secret.key", "/out", "/out/", "/out/issues/2026-W01.md"):
        assert served.web.get(path).status_code == 404
    (folder / "site" / "loop").symlink_to("loop")
    os.mkfifo(folder / "site" / "pipe")
    for path in ("/loop", "/loop/", "/pipe", "/pipe/", f"/{'a' * 300}", f"/{'a/' * 2000}"):
        assert served.web.get(path).status_code == 404


def test_a_large_file_comes_in_pieces_and_in_parts(served: Served) -> None:
    content = os.urandom(3_000_000)
    (served.bot.settings.folder / "site" / "large.png").write_bytes(content)
    answer = served.web.get("/large.png")
    assert answer.content == content
    assert answer.headers["content-type"] == "image/png"
    part = served.web.get("/large.png", headers={"Range": "bytes=1000-1999"})
    assert (part.status_code, part.content) == (206, content[1000:2000])
    known = served.web.get("/large.png", headers={"If-None-Match": answer.headers["etag"]})
    assert known.status_code == 304
    assert served.web.head("/large.png").headers["content-length"] == "3000000"


def test_a_page_that_has_the_name_of_ours_is_not_in_front_of_it(served: Served) -> None:
    site = served.bot.settings.folder / "site"
    (site / "subscribe").mkdir()
    (site / "subscribe" / "index.html").write_text("not this one")
    (site / "healthz").write_text("nor this")
    assert "not this one" not in served.web.get("/subscribe").text
    assert served.web.get("/healthz").json() == {"ok": True}


# ── when the database is not there ───────────────────────────────────────────────────────────


def test_a_database_that_takes_nothing_is_said_as_try_again(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    served.bot.writer.close()
    answer = served.web.post(f"/u/{served.token}", data={"List-Unsubscribe": "One-Click"})
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    with pytest.raises(TryAgainError):
        served.bot.people.unsubscribe(1)


def test_proxies_are_addresses_and_networks() -> None:
    for wrong in ("*", "caddy", "10.0.0.0/99", ""):
        with pytest.raises(ConfigurationError, match="trusted_proxies"):
            PublicServer(_nothing, WebTable(port=0, trusted_proxies=(wrong,)))


async def _nothing(scope: object, receive: object, send: object) -> None:
    """An app that is never asked."""


# ── what is never written down ───────────────────────────────────────────────────────────────


def started(folder: Path) -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-m", "newsletter_bot", "-C", str(folder), "run", "--only", "web"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
    )
    assert process.stdout is not None
    found = re.search(r"http://\S+/", process.stdout.readline())
    assert found is not None
    return process, found[0]


def visit(web: httpx.Client, secrets: list[str], key: str) -> None:
    """Use everything there is, rightly and wrongly, with secrets wherever one may stand."""
    for secret in secrets:
        for page in ("u", "c", "p", "a/old", "a/new"):
            for end in ("", "/data", "/address", "/leave"):
                web.get(f"/{page}/{secret}{end}")
                web.post(f"/{page}/{secret}{end}", data={"address": "eve.secret@example.com"})
        web.get("/", params={"token": secret, "email": "eve.secret@example.com"})
        web.get(f"/{secret}")
        web.get(f"/api/v1/subscribers/{secret}", headers={"Authorization": f"Bearer {secret}"})
        web.get("/lost", headers={"Referer": f"https://news.example.com/u/{secret}"})
        web.request("BREW", f"/u/{secret}")
        web.post(f"/u/{secret}", content=b"x" * 70_000)
    form = {"address": "eve.secret@example.com", "list": "weekly", "name": "eve.secret@example.com"}
    web.post("/subscribe", data=form)
    web.post("/subscribe", content=b"address=eve.secret%40example.com&list=%00")
    good = {"Authorization": f"Bearer {key}", "Idempotency-Key": "x" * 20}
    body = {"address": "eve.secret@example.com", "lists": ["weekly"]}
    web.post("/api/v1/subscribers", json=body, headers=good)
    web.post("/api/v1/subscribers", json={**body, "address": "eve.secret@"}, headers=good)
    web.get("/api/v1/subscribers", params={"address": "eve.secret@example.com"}, headers=good)
    web.get("/api/v1/subscribers", headers={"Authorization": f"Basic {key}"})


def test_no_secret_and_no_address_gets_into_a_log(
    newsletter: Path, write_issue: Callable[..., Path]
) -> None:
    write_issue()
    toml = newsletter / "newsletter.toml"
    toml.write_text(toml.read_text("utf-8") + "\n[web]\nport = 0\n", "utf-8")
    words = ["-C", str(newsletter), "--json", "api-key", "add", "test"]
    result = CliRunner().invoke(app, [*words, "--scope", "*"])
    assert result.exit_code == 0, result.output
    key: str = json.loads(result.stdout)["key"]
    bot = Bot.open(newsletter)
    bot.subscribers.add([NewSubscriber(parse_address("ada.secret@example.com"))], "weekly", {})
    signer = bot.signer
    tokens = [signer.unsubscribe_token(1, "weekly"), signer.bounce_token(1)]
    tokens += [signer.link_token(one, 1) for one in Link]
    bot.close()
    process, address = started(newsletter)
    with httpx.Client(base_url=address, timeout=60) as web:
        visit(web, [*tokens, key, f"{key}x"], key)
        # The same once more while everything fails inside.
        (newsletter / "newsletter.db").rename(newsletter / "gone.db")
        for one in newsletter.glob("newsletter.db*"):
            one.unlink()
        (newsletter / "newsletter.db").mkdir()
        visit(web, tokens[:2], key)
    time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    out, said = process.communicate(timeout=60)
    assert "web.unsubscribed" in said
    for secret in (*tokens, key, f"{key}x", "secret@example.com", "0123456789abcdef"):
        assert secret not in said + out, secret
    assert "eve.secret" not in said + out
