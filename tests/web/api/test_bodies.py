from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from sqlalchemy import func, select

from newsletter_bot.bot import Bot
from newsletter_bot.storage.engine import reading
from newsletter_bot.storage.tables import signups, subscribers
from newsletter_bot.web.api import make_api
from newsletter_bot.web.api.keys import Scope
from newsletter_bot.web.api.keys_store import KeyStore
from newsletter_bot.web.serving.service import PublicServer
from tests.web.api.api_site import CONSENT, ApiSite, problem, settle

ADA = "ada@example.com"
GOOD = {"address": ADA, "lists": ["weekly"], "confirm": True}
JSON = {"Content-Type": "application/json"}


def nobody_asked(site: ApiSite) -> bool:
    with reading(site.bot.engine) as connection:
        return connection.execute(select(func.count()).select_from(signups)).scalar() == 0


# ── size ─────────────────────────────────────────────────────────────────────────────────────


def padded(size: int) -> bytes:
    text = json.dumps(GOOD)
    return text.encode() + b" " * (size - len(text))


def test_64_kb_are_read(program: httpx.Client) -> None:
    answer = program.post("/subscribers", content=padded(64 * 1024), headers=JSON)
    assert answer.status_code == 202


@pytest.mark.parametrize("kind", ["counted", "chunked"])
def test_more_is_refused(site: ApiSite, program: httpx.Client, kind: str) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(65):
            yield b" " * 1024
        yield padded(1024)

    content: Any = pieces() if kind == "chunked" else padded(64 * 1024 + 1)
    try:
        answer = program.post("/subscribers", content=content, headers=JSON)
    except (httpx.WriteError, httpx.ReadError):
        pass  # it was refused while it was still being sent
    else:
        assert answer.status_code == 413
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == 413
    assert nobody_asked(site)


# ── kind ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "kind",
    [
        "",
        "text/plain",
        "text/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/xml",
        "application/vnd.api+json",
        "application/json; charset=iso-8859-1",
        "application/json; profile=x",
        "application/json, text/plain",
    ],
)
def test_nothing_but_json_is_read(site: ApiSite, program: httpx.Client, kind: str) -> None:
    headers = {"Content-Type": kind} if kind else {}
    answer = program.post("/subscribers", content=json.dumps(GOOD).encode(), headers=headers)
    problem(answer, 415, "media-type")
    assert nobody_asked(site)


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; Charset=UTF-8"])
def test_json_may_say_its_charset(program: httpx.Client, kind: str) -> None:
    headers = {"Content-Type": kind}
    content = json.dumps(GOOD).encode()
    assert program.post("/subscribers", content=content, headers=headers).status_code == 202


def test_compressed_bodies_are_not_read(program: httpx.Client) -> None:
    content = gzip.compress(b" " * 1_000_000)
    headers = {**JSON, "Content-Encoding": "gzip"}
    problem(program.post("/subscribers", content=content, headers=headers), 415, "media-type")


# ── text ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"nonsense",
        b'{"address": "ada@example.com",}',
        b'{"address": NaN}',
        b'{"address": Infinity}',
        b"\xff\xfe{\x00}\x00",
        b"\xef\xbb\xbf{}",
        b'{"address": "\xff"}',
        b'{"address": "a", "address": "b"}',
        b'{"consent": {"source": "a", "source": "b"}}',
        b"1" * 5000,
        b"[" * 60_000,
        b"[" * 30_000 + b"]" * 30_000,
        b'{"a":' * 9 + b"1" + b"}" * 9,
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b"\x00",
    ],
    ids=lambda content: content[:20].decode("latin-1") + str(len(content)),
)
def test_what_is_no_json_or_too_deep_is_refused(
    site: ApiSite, program: httpx.Client, content: bytes
) -> None:
    answer = program.post("/subscribers", content=content, headers=JSON)
    problem(answer, 400, "malformed")
    assert nobody_asked(site)


@pytest.mark.parametrize("content", [b"null", b"[]", b"{}", b'"x"', b"7", b"true", b"", b"[{}]"])
def test_json_that_is_no_request_is_refused(program: httpx.Client, content: bytes) -> None:
    problem(program.post("/subscribers", content=content, headers=JSON), 422, "invalid")


def test_an_error_says_where_and_not_what(program: httpx.Client) -> None:
    body = {"address": ADA, "lists": ["weekly", 5], "confirm": True, "a/b~c": "secret-word"}
    answer = program.post("/subscribers", json=body)
    said = problem(answer, 422, "invalid")
    assert {one["pointer"] for one in said["errors"]} == {"/lists/1", "/a~1b~0c"}
    assert "secret-word" not in answer.text
    assert ADA not in answer.text


def test_many_errors_are_not_told_for_ever(program: httpx.Client) -> None:
    body = {**GOOD, **{f"x{number}" * 50: 1 for number in range(300)}}
    said = problem(program.post("/subscribers", json=body), 422, "invalid")
    assert len(said["errors"]) == 20
    assert max(len(one["pointer"]) for one in said["errors"]) <= 300


# ── hostile text ─────────────────────────────────────────────────────────────────────────────

HOSTILE = [
    "'; DROP TABLE subscribers; --",
    '" OR 1=1 --',
    "<script>alert(1)</script>",
    "{{7*7}} ${7*7} #{7*7} <%= 7*7 %>",
    '=HYPERLINK("http://evil.example")',
    "%s%n%x",
    "../../secret.key",
    "\u202egnp.exe",
    "\ud83d\ude00",
    "ﬁ ﷺ ́",
    "x\r\nBcc: eve@example.com",
    "x\nSet-Cookie: a=b",
    "x\x00y",
    "\x1b[31mred",
    "\u2028",
    "a" * 5000,
]
PLAIN = "name language page wording version".split()


def fields() -> Iterator[tuple[str, str, dict[str, Any], str]]:
    for name in ("address", *PLAIN):
        yield "POST", "/subscribers", GOOD, name
    added = {**GOOD, "confirm": False, "consent": CONSENT}
    for name in ("address", "name", "language", "consent/source", "consent/wording", "fields/plan"):
        yield "POST", "/subscribers", added, name
    for name in ("name", "language"):
        yield "PATCH", "/subscribers/1", {}, name
    yield "POST", "/subscribers/1/address", {}, "address"
    for name in ("address", "reason"):
        yield "POST", "/suppressions", {"address": "x@example.com", "reason": "x"}, name
    yield "POST", "/suppressions/lookup", {}, "address"
    yield "POST", "/subscribers/search", {}, "address"
    yield "POST", "/segments/no-such/explain", {}, "address"


def with_text(body: dict[str, Any], name: str, text: str) -> dict[str, Any]:
    first, _, rest = name.partition("/")
    if rest:
        return {**body, first: {**body.get(first, {}), rest: text}}
    return {**body, first: text}


def test_hostile_text_is_refused_or_kept_inert(each_site: ApiSite) -> None:
    program = each_site.client(Scope.ALL)
    each_site.add("first@example.com")
    for method, path, body, name in fields():
        for text in HOSTILE:
            content = json.dumps(with_text(body, name, text))
            answer = program.request(method, path, content=content, headers=JSON)
            where = (method, path, name, text)
            assert answer.status_code < 500, where
            assert answer.headers.get("content-type", "") in {
                "",
                "application/json",
                "application/problem+json",
            }
            assert answer.headers["x-content-type-options"] == "nosniff"
            if any(one in text for one in "\r\n\x00\x1b\u2028"):
                assert answer.status_code in {422, 429}, where
    each_site.bot.people.settle()
    for path in ("/subscribers", "/suppressions", "/subscribers/1/export"):
        assert program.get(path).status_code == 200
    with reading(each_site.bot.engine) as connection:
        assert connection.execute(select(func.count()).select_from(subscribers)).scalar()


def test_half_a_character_is_refused(program: httpx.Client) -> None:
    for name in ("name", "wording", "address"):
        content = json.dumps(GOOD)[:-1] + f', "{name}x": "1"' + "}"
        content = content.replace(f'"{name}x": "1"', f'"{name}": "\\ud800"')
        if name == "address":
            content = content.replace(f'"address": "{ADA}", ', "")
        answer = program.post("/subscribers", content=content, headers=JSON)
        problem(answer, 422, "invalid")


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_in_addresses_of_the_api_is_inert(
    site: ApiSite, program: httpx.Client, text: str
) -> None:
    site.add(ADA)
    quoted = quote(text[:1000].encode(errors="surrogatepass"), safe="")
    for path in (
        f"/subscribers/{quoted}",
        f"/subscribers/1/tags/{quoted}",
        f"/subscribers/1/subscriptions/{quoted}",
        f"/lists/{quoted}",
        f"/segments/{quoted}",
        f"/issues/{quoted}",
        f"/issues/{quoted}/deliveries",
        f"/reports/{quoted}",
        f"/subscribers?tag={quoted}",
        f"/subscribers?list={quoted}",
        f"/subscribers?segment={quoted}",
        f"/subscribers?rules={quoted}",
        f"/subscribers?cursor={quoted}",
        f"/{quoted}",
    ):
        for method in ("GET", "PUT", "DELETE"):
            answer = program.request(method, path)
            assert answer.status_code < 500, (method, path)
            assert "<script>" not in answer.text
            assert "text/html" not in answer.headers.get("content-type", ""), (method, path)


# ── what every answer has ────────────────────────────────────────────────────────────────────


def test_no_answer_is_kept_or_shared(site: ApiSite, program: httpx.Client) -> None:
    answers = [
        program.get("/lists"),
        program.get("/nothing"),
        program.post("/subscribers", json=GOOD),
        site.client(key="").get("/lists"),
        site.client(key="").get("/openapi.json"),
    ]
    for answer in answers:
        assert answer.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "set-cookie" not in answer.headers
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_what_cannot_be_done_says_what_can(site: ApiSite, program: httpx.Client) -> None:
    answer = program.put("/lists")
    problem(answer, 405, "method")
    assert answer.headers["allow"] == "GET"
    assert program.put("/subscribers/1").headers["allow"] == "GET, PATCH, DELETE"
    assert program.patch("/subscribers/search").headers["allow"] == "POST"
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    asked = program.request("OPTIONS", "/subscribers", headers=headers)
    problem(asked, 405, "method")
    assert "access-control-allow-origin" not in asked.headers
    assert program.head("/lists").status_code == 405


def test_an_address_that_is_none_is_a_problem_too(program: httpx.Client) -> None:
    for path in ("/", "/nothing", "/lists/", "/docs", "/redoc", "//lists"):
        problem(program.get(path), 404, "not-found")


def test_the_description_is_public_and_names_no_secret(site: ApiSite) -> None:
    answer = site.client(key="").get("/openapi.json")
    assert answer.status_code == 200
    described = answer.json()
    assert described["openapi"].startswith("3.1")
    assert described["servers"] == [{"url": "/api/v1"}]
    assert described["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    fields = described["components"]["schemas"]["Addition"]["properties"]["fields"]
    assert set(fields["properties"]) == {"first_name", "plan"}
    assert answer.json() == site.client(key="").get("/openapi.json").json()
    assert str(site.bot.settings.folder) not in answer.text
    assert site.bot.secret.decode() not in answer.text
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"], (method, path)
            assert operation["description"], (method, path)
            assert operation["security"], (method, path)
            needed = {"401", "403", "422", "429", "503"}
            if method != "get" and not path.endswith(("search", "lookup", "explain")):
                needed |= {"400", "409", "413", "415"}
            assert needed <= set(operation["responses"]), (method, path)


def test_switched_off_there_is_no_api(newsletter: Path) -> None:
    settle(newsletter, more="\n[api]\nenabled = false\n")
    site = ApiSite(newsletter)
    try:
        assert site.client(Scope.ALL).get("/lists").status_code == 404
        assert site.client(Scope.ALL).post("/subscribers", json=GOOD).status_code in {404, 405}
    finally:
        site.close()


def test_what_nobody_foresaw_is_logged_and_not_told(
    newsletter: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settle(newsletter)
    bot = Bot.open(newsletter)
    app = make_api(bot)

    @app.get("/boom")
    def boom() -> None:
        raise ZeroDivisionError("the secret word")

    server = PublicServer(app, bot.settings.web)
    server.start()
    key = KeyStore(bot.engine, bot.writer).add("shop", [Scope.READ])
    try:
        headers = {"Authorization": f"Bearer {key}"}
        answer = httpx.get(f"{server.address}boom", headers=headers, timeout=30)
    finally:
        server.stop()
        bot.close()
    assert answer.status_code == 500
    assert "secret word" not in answer.text
    assert "Traceback" not in answer.text
    assert any("ZeroDivisionError" in str(one.exc_text or one.exc_info) for one in caplog.records)
