from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from newsletter_bot.delivery.calls.model import Answer, Finding, NotTaken, Request, Unsure, Verdict
from newsletter_bot.delivery.composing import headers
from newsletter_bot.delivery.model import DeliveryState, Message
from newsletter_bot.delivery.provider_events import EventKind, ForgedError, HookRequest
from newsletter_bot.delivery.transports.sendgrid import (
    Options,
    SendGrid,
    SendGridEvents,
    open_events,
    open_transport,
)
from newsletter_bot.errors import ConfigurationError
from tests.servers.providers import ProviderServer, Reply, provider_server, reply
from tests.servers.providers.sendgrid import KEY, Fake

NOW = 1_800_000_000
REFERENCE = "0f" * 20
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of the curve P-256


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with provider_server(Fake()) as made:
        yield made


@pytest.fixture
def fake(server: ProviderServer) -> Fake:
    assert isinstance(server.behaviour, Fake)
    return server.behaviour


@pytest.fixture
def sendgrid(server: ProviderServer) -> SendGrid:
    return SendGrid(server.url, KEY)


def message(recipient: str = "pat@reader.example", name: str = "Pat") -> Message:
    head = headers.block(
        [
            ("From", headers.mailbox("Weekly, Daily", "news@news.example.com", "From")),
            ("Reply-To", "editor@example.com"),
            ("To", headers.mailbox(name, recipient, "To")),
            ("Subject", headers.free_text("Größe", "Subject")),
            ("Message-ID", "<2026-w01.1@news.example.com>"),
            ("List-Unsubscribe", "<https://news.example.com/u/1>,\r\n <mailto:u@x.example>"),
            ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
            ("X-Newsletter-Bot-Ref", REFERENCE),
            ("MIME-Version", "1.0"),
            ("Content-Type", 'multipart/alternative; boundary="b"'),
        ]
    )
    parts = (("plain", "Hello"), ("html", "<p>Hello</p>"))
    body = "".join(
        f"--b\r\nContent-Type: text/{kind}; charset=utf-8\r\n\r\n{text}\r\n" for kind, text in parts
    )
    content = head + b"\r\n" + body.encode() + b"--b--\r\n"
    return Message(1, "bounce+1@news.example.com", recipient, content)


def ask(request: Request) -> Answer:
    made = httpx.request(
        request.method, request.url, headers=dict(request.headers), content=request.content
    )
    found = {name.lower(): text for name, text in made.headers.items()}
    return Answer(made.status_code, found, made.content)


def send(sendgrid: SendGrid, recipient: str = "pat@reader.example") -> Verdict:
    messages = [message(recipient)]
    return sendgrid.read(ask(sendgrid.request(messages, "")), messages)


# ── sending ──────────────────────────────────────────────────────────────────────────────────


def test_a_reader_gets_what_we_wrote_and_nothing_of_sendgrids_own(
    server: ProviderServer, sendgrid: SendGrid
) -> None:
    verdict = send(sendgrid)
    assert isinstance(verdict, list)
    assert verdict[0].state is DeliveryState.ACCEPTED
    assert "qNwBLgPQQjW6DJvKQwSAbw" in verdict[0].reason
    (taken,) = server.taken
    assert (taken.recipient, taken.headers["subject"]) == ("pat@reader.example", "Größe")
    leave = "<https://news.example.com/u/1>, <mailto:u@x.example>"
    assert taken.headers["list-unsubscribe"] == leave
    assert taken.headers["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"
    assert taken.headers["message-id"] == "<2026-w01.1@news.example.com>"
    assert (taken.text.strip(), taken.html.strip()) == ("Hello", "<p>Hello</p>")
    assert taken.reference == REFERENCE
    assert not taken.tracked


def test_people_are_written_as_sendgrid_wants_them(sendgrid: SendGrid) -> None:
    written = json.loads(sendgrid.request([message(name='Dö "J", \\ x')], "").content)
    assert written["from"] == {"email": "news@news.example.com", "name": "Weekly, Daily"}
    assert written["reply_to"] == {"email": "editor@example.com"}
    (person,) = written["personalizations"]
    assert person["to"] == [{"email": "pat@reader.example", "name": 'Dö "J", \\ x'}]
    assert sendgrid.request([message()], "") == sendgrid.request([message()], "")


def test_a_reader_who_is_refused_stops_nobody_else(sendgrid: SendGrid) -> None:
    verdict = send(sendgrid, "refused@reader.example")
    assert isinstance(verdict, list)
    assert verdict[0].state is DeliveryState.REFUSED
    assert "Does not contain a valid address." in verdict[0].reason


def failed(status: int, field: str | None = None) -> Reply:
    return reply(status, {"errors": [{"message": "No", "field": field}]})


@pytest.mark.parametrize(
    ("answer", "lasting"),
    [
        (failed(400, "from"), True),
        (failed(400, "headers"), True),
        (failed(400), True),
        (failed(401), True),  # "Maximum credits exceeded" too
        (failed(403), True),
        (failed(404), True),
        (failed(429), False),
    ],
    ids=range(7),
)
def test_what_is_not_about_the_reader_is_not_held_against_them(
    fake: Fake, sendgrid: SendGrid, answer: Reply, *, lasting: bool
) -> None:
    fake.verdict = answer
    verdict = send(sendgrid)
    assert isinstance(verdict, NotTaken)
    assert verdict.lasting is lasting


def test_the_rate_is_waited_for_as_long_as_sendgrid_says(fake: Fake, sendgrid: SendGrid) -> None:
    fake.verdict = fake.too_many(30)
    verdict = send(sendgrid)
    assert isinstance(verdict, NotTaken)
    assert verdict.wait is not None
    assert 0 < verdict.wait <= 30
    reset = {"x-ratelimit-reset": str(int(time.time()) + 10**8)}
    verdict = sendgrid.read(Answer(429, reset, b""), [message()])
    assert isinstance(verdict, NotTaken)
    assert verdict.wait == 3600


def test_what_may_have_been_taken_is_not_called_refused(fake: Fake, sendgrid: SendGrid) -> None:
    for answer in (failed(500), failed(503), failed(408), Reply(202, b"<!doctype html>")):
        fake.verdict = answer
        assert isinstance(send(sendgrid), Unsure)


def test_a_message_that_is_too_large_is_refused(fake: Fake, sendgrid: SendGrid) -> None:
    fake.verdict = failed(413)
    verdict = send(sendgrid)
    assert isinstance(verdict, list)
    assert "too large" in verdict[0].reason


def test_the_region_chooses_the_address(tmp_path: Path) -> None:
    options = Options(api_key=SecretStr(KEY), region="eu")
    provider = open_transport(options, tmp_path).provider
    assert provider.request([message()], "").url == "https://api.eu.sendgrid.com/v3/mail/send"
    with pytest.raises(ConfigurationError, match="api_key"):
        open_transport(Options(), tmp_path)


# ── looking ──────────────────────────────────────────────────────────────────────────────────


def bad(sendgrid: SendGrid, domain: str = "news.example.com") -> str:
    found: list[Finding] = list(sendgrid.check(ask, domain))
    assert found
    return "\n".join(f"{one.sentence} {one.next_step}" for one in found if not one.well)


def test_a_domain_that_is_authenticated_or_below_one_is_in_order(sendgrid: SendGrid) -> None:
    assert bad(sendgrid) == ""
    assert bad(sendgrid, "example.com") == ""


def test_what_is_wrong_with_the_account_is_said(
    fake: Fake, server: ProviderServer, sendgrid: SendGrid
) -> None:
    assert "does not know the domain other.example" in bad(sendgrid, "other.example")
    fake.domains[0]["valid"] = False
    assert "does not find its DNS records" in bad(sendgrid)
    fake.scopes = ["whitelabel.read"]
    assert "may not send mail" in bad(sendgrid)
    fake.scopes = ["mail.send"]
    assert "access forbidden" in bad(sendgrid)
    assert "refuses the API key" in bad(SendGrid(server.url, "wrong"))


# ── hearing ──────────────────────────────────────────────────────────────────────────────────

PRIVATE = generate_private_key(SECP256R1())
EVENTS = SendGridEvents(PRIVATE.public_key())


def written(key: EllipticCurvePrivateKey) -> str:
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(der).decode()


def fetch(url: str) -> bytes:
    raise AssertionError(url)


def hook(
    body: bytes, at: int = NOW, signature: bytes = b"", key: EllipticCurvePrivateKey = PRIVATE
) -> HookRequest:
    signature = signature or key.sign(str(at).encode() + body, ECDSA(SHA256()))
    known = {
        "x-twilio-email-event-webhook-signature": base64.b64encode(signature).decode(),
        "x-twilio-email-event-webhook-timestamp": str(at),
    }
    return HookRequest(known, body, float(NOW), fetch)


def told(**event: Any) -> dict[str, Any]:
    common = {"email": "pat@reader.example", "timestamp": 1799999990, "ref": REFERENCE}
    return {"sg_event_id": "Ym91bmNlLTQ", "sg_message_id": "x.filter", **common, **event}


BOUNCE = told(
    event="bounce",
    type="bounce",
    status="5.1.1",
    reason="550 5.1.1 The email account does not exist",
    bounce_classification="Invalid Address",
)
BODY = json.dumps([BOUNCE]).encode()


def test_a_bounce_is_read_with_the_servers_own_words() -> None:
    (event,) = EVENTS.read(BODY)
    assert (event.kind, event.permanent, event.status) == (EventKind.BOUNCED, True, "5.1.1")
    assert (event.key, event.token, event.at) == ("Ym91bmNlLTQ", REFERENCE, 1799999990)
    assert event.address == "pat@reader.example"
    assert event.reason == "550 5.1.1 The email account does not exist"
    assert event.word == "bounce bounce Invalid Address"


@pytest.mark.parametrize(
    ("event", "kind", "permanent"),
    [
        ({"event": "bounce", "type": "blocked"}, EventKind.BOUNCED, False),
        ({"event": "bounce"}, EventKind.BOUNCED, None),
        ({"event": "delivered", "response": "250 OK"}, EventKind.DELIVERED, None),
        ({"event": "deferred", "response": "450 later"}, EventKind.DEFERRED, None),
        ({"event": "dropped", "reason": "Bounced Address"}, EventKind.REJECTED, None),
        ({"event": "spamreport"}, EventKind.COMPLAINED, None),
        ({"event": "unsubscribe"}, EventKind.UNSUBSCRIBED, None),
        ({"event": "group_unsubscribe"}, EventKind.UNSUBSCRIBED, None),
        ({"event": "open"}, EventKind.OPENED, None),
        ({"event": "click", "type": "bounce"}, EventKind.CLICKED, None),
        ({"event": "processed"}, EventKind.UNKNOWN, None),
        ({"event": "group_resubscribe"}, EventKind.UNKNOWN, None),
    ],
    ids=range(12),
)
def test_each_word_of_sendgrid_means_something(
    event: dict[str, Any], kind: EventKind, *, permanent: bool | None
) -> None:
    (found,) = EVENTS.read(json.dumps([told(**event)]).encode())
    assert (found.kind, found.permanent) == (kind, permanent)
    assert found.word.startswith(event["event"])


def test_a_batch_may_tell_of_mail_that_is_not_ours() -> None:
    other = {"event": "bounce", "email": "x@y.example", "sg_event_id": "2", "timestamp": 5}
    ours, theirs = EVENTS.read(json.dumps([BOUNCE, other]).encode())
    assert (ours.token, theirs.token) == (REFERENCE, "")


def test_a_request_of_sendgrid_is_known_again_whatever_its_signature() -> None:
    first = hook(BODY)
    key = EVENTS.verify(first)
    # Each signature (r, s) of this curve has a second that is as good.
    given = base64.b64decode(first.headers["x-twilio-email-event-webhook-signature"])
    one, other = decode_dss_signature(given)
    assert EVENTS.verify(hook(BODY, signature=encode_dss_signature(one, _ORDER - other))) == key
    assert EVENTS.verify(hook(BODY, at=NOW - 1)) != key


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (hook(BODY, key=generate_private_key(SECP256R1())), "not SendGrid's"),
        (hook(BODY, signature=PRIVATE.sign(BODY, ECDSA(SHA256()))), "not SendGrid's"),
        (hook(BODY, signature=b"nonsense"), "not SendGrid's"),
        (hook(BODY, at=NOW - 2 * 86_400), "clock"),
        (hook(BODY, at=NOW + 3600), "clock"),
        (HookRequest({}, BODY, float(NOW), fetch), "no signature"),
    ],
    ids=range(6),
)
def test_a_forged_or_stale_request_is_refused(request_: HookRequest, why: str) -> None:
    with pytest.raises(ForgedError, match=why):
        EVENTS.verify(request_)


def test_a_body_that_was_changed_is_refused() -> None:
    given = hook(BODY)
    with pytest.raises(ForgedError):
        EVENTS.verify(HookRequest(given.headers, BODY + b" ", given.now, fetch))
    broken = {**given.headers, "x-twilio-email-event-webhook-signature": "é"}
    with pytest.raises(ForgedError):
        EVENTS.verify(HookRequest(broken, BODY, given.now, fetch))


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(["event", "type", "reason", "timestamp", "sg_event_id", "ref"]), inner
        )
    ),
)


@given(st.one_of(JSON.map(lambda one: json.dumps(one).encode()), st.binary()))
def test_what_makes_no_sense_is_an_event_all_the_same(body: bytes) -> None:
    found = EVENTS.read(body)
    assert found == EVENTS.read(body)
    assert all(one.key for one in found)


def test_a_body_made_to_break_readers_is_read() -> None:
    for body in (b"[" * 500_000, b"[" * 900 + b"]" * 900, b'[{"timestamp":' + b"9" * 5000 + b"}]"):
        assert [one.kind for one in EVENTS.read(body)] == [EventKind.UNKNOWN]


def test_the_public_key_is_taken_as_sendgrid_shows_it(tmp_path: Path) -> None:
    assert open_events(Options(), tmp_path) is None
    lines = f"-----BEGIN PUBLIC KEY-----\n{written(PRIVATE)}\n-----END PUBLIC KEY-----\n"
    for known in (written(PRIVATE), lines):
        found = open_events(Options(webhook_public_key=known), tmp_path)
        assert found is not None
        assert found.verify(hook(BODY)) == EVENTS.verify(hook(BODY))
    for wrong in ("MFkw", "é", written(PRIVATE)[:-8]):
        with pytest.raises(ConfigurationError, match="verification key"):
            open_events(Options(webhook_public_key=wrong), tmp_path)
    assert EVENTS.confirmation(b"[]") == ""
