from __future__ import annotations

import hmac
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from newsletter_bot.delivery.calls.model import Answer, Finding, NotTaken, Request, Unsure, Verdict
from newsletter_bot.delivery.model import DeliveryState, Message
from newsletter_bot.delivery.provider_events import EventKind, ForgedError, HookRequest
from newsletter_bot.delivery.transports.mailgun import (
    Mailgun,
    MailgunEvents,
    Options,
    open_events,
    open_transport,
)
from newsletter_bot.errors import ConfigurationError
from tests.servers.providers import ProviderServer, provider_server, reply
from tests.servers.providers.mailgun import DOMAIN, KEY, Fake

NOW = 1_800_000_000
SIGNING_KEY = "0123456789abcdef"
REFERENCE = "0f" * 20
CONTENT = (
    b"DKIM-Signature: v=1; a=rsa-sha256;\r\n b=abcd\r\n"
    b"From: Weekly <news@news.example.com>\r\nTo: pat@reader.example\r\nSubject: Hi\r\n"
    b"List-Unsubscribe: <https://news.example.com/u/1>\r\n"
    b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
    b"X-Newsletter-Bot-Ref: " + REFERENCE.encode() + b"\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n\r\nHello =\r\n--there\r\n"
)


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with provider_server(Fake()) as made:
        yield made


@pytest.fixture
def fake(server: ProviderServer) -> Fake:
    assert isinstance(server.behaviour, Fake)
    return server.behaviour


@pytest.fixture
def mailgun(server: ProviderServer) -> Mailgun:
    return Mailgun(server.url, DOMAIN, KEY)


def message(recipient: str = "pat@reader.example") -> Message:
    return Message(1, f"bounce+1@{DOMAIN}", recipient, CONTENT)


def ask(request: Request) -> Answer:
    made = httpx.request(
        request.method, request.url, headers=dict(request.headers), content=request.content
    )
    headers = {name.lower(): text for name, text in made.headers.items()}
    return Answer(made.status_code, headers, made.content)


def send(mailgun: Mailgun, recipient: str = "pat@reader.example") -> Verdict:
    messages = [message(recipient)]
    return mailgun.read(ask(mailgun.request(messages, "")), messages)


# ── sending ──────────────────────────────────────────────────────────────────────────────────


def test_a_reader_gets_our_own_mime_without_our_signature(
    server: ProviderServer, mailgun: Mailgun
) -> None:
    verdict = send(mailgun)
    assert isinstance(verdict, list)
    assert verdict[0].state is DeliveryState.ACCEPTED
    assert f"<1.{DOMAIN}>" in verdict[0].reason
    (taken,) = server.taken
    assert taken.recipient == "pat@reader.example"
    assert "dkim-signature" not in taken.headers
    assert taken.headers["list-unsubscribe"] == "<https://news.example.com/u/1>"
    assert taken.reference == REFERENCE
    assert not taken.tracked
    assert CONTENT.partition(b"abcd\r\n")[2] in server.handed_over[0].body


def test_the_same_message_is_the_same_bytes(mailgun: Mailgun) -> None:
    assert mailgun.request([message()], "") == mailgun.request([message()], "")


def test_a_reader_who_is_refused_stops_nobody_else(mailgun: Mailgun) -> None:
    verdict = send(mailgun, "refused@reader.example")
    assert isinstance(verdict, list)
    assert verdict[0].state is DeliveryState.REFUSED
    assert "'to' parameter is not a valid address" in verdict[0].reason


@pytest.mark.parametrize(
    ("status", "said", "meant"),
    [
        (400, "'from' parameter is not a valid address", NotTaken("", lasting=True)),
        (400, "Please add the address to your authorized recipients", NotTaken("", lasting=True)),
        (401, "Forbidden", NotTaken("", lasting=True)),
        (402, "Request failed", NotTaken("", lasting=True)),
        (403, f"Domain {DOMAIN} is not allowed to send", NotTaken("", lasting=True)),
        (404, "Domain not found", NotTaken("", lasting=True)),
        (408, "Timeout", Unsure("")),
        (429, "Too many requests", NotTaken("", 7.0)),
        (500, "Internal", Unsure("")),
        (502, "Bad gateway", Unsure("")),
        (503, "Unavailable", Unsure("")),
    ],
)
def test_what_is_not_about_the_reader_is_not_held_against_them(
    fake: Fake, mailgun: Mailgun, status: int, said: str, meant: NotTaken | Unsure
) -> None:
    fake.verdict = reply(status, {"message": said}, Retry_After="7")
    verdict = send(mailgun)
    assert not isinstance(verdict, list)
    assert type(verdict) is type(meant)
    if isinstance(verdict, NotTaken) and isinstance(meant, NotTaken):
        assert verdict.lasting is meant.lasting
        assert meant.lasting or verdict.wait == meant.wait


def test_a_message_that_is_too_large_is_refused(fake: Fake, mailgun: Mailgun) -> None:
    fake.verdict = reply(413, {"message": "Request Entity Too Large"})
    verdict = send(mailgun)
    assert isinstance(verdict, list)
    assert "too large" in verdict[0].reason


def test_a_good_answer_that_is_not_mailguns_proves_nothing(fake: Fake, mailgun: Mailgun) -> None:
    fake.verdict = reply(200, ["<html>"])
    assert isinstance(send(mailgun), Unsure)


def test_the_region_chooses_the_address(tmp_path: Path) -> None:
    options = Options(domain=DOMAIN, api_key=SecretStr(KEY), region="eu")
    provider = open_transport(options, tmp_path).provider
    assert provider.request([message()], "").url.startswith("https://api.eu.mailgun.net/v3/")
    with pytest.raises(ConfigurationError, match="api_key"):
        open_transport(Options(domain=DOMAIN), tmp_path)


# ── looking ──────────────────────────────────────────────────────────────────────────────────


def bad(found: list[Finding]) -> str:
    return "\n".join(f"{one.sentence} {one.next_step}" for one in found if not one.well)


def test_a_domain_in_order_has_nothing_to_mend(mailgun: Mailgun) -> None:
    found = list(mailgun.check(ask, DOMAIN))
    assert found
    assert bad(found) == ""


def test_what_is_wrong_with_a_domain_is_said(fake: Fake, mailgun: Mailgun) -> None:
    fake.state, fake.valid, fake.unsubscribe = "unverified", "unknown", "true"
    found = bad(list(mailgun.check(ask, "other.example")))
    for words in ("unverified", "mx._domainkey", "k=rsa; p=MIGf", "other.example", "unsubscribe"):
        assert words in found
    assert "CNAME" not in found


def test_a_key_or_domain_that_mailgun_does_not_know_is_said(server: ProviderServer) -> None:
    found = bad(list(Mailgun(server.url, DOMAIN, "wrong").check(ask, DOMAIN)))
    assert "refuses the API key" in found
    found = bad(list(Mailgun(server.url, "x.example", KEY).check(ask, DOMAIN)))
    assert "nothing of x.example" in found


# ── hearing ──────────────────────────────────────────────────────────────────────────────────


def told(**event: Any) -> dict[str, Any]:
    common = {"id": "CCXMjJ7nQi2N3BPigGOdgQ", "timestamp": 1799999990.5}
    common |= {"recipient": "pat@reader.example", "user-variables": {"ref": REFERENCE}}
    return {**common, **event}


def signed(
    event: object, *, at: int = NOW, key: str = SIGNING_KEY, token: str = "ab" * 25
) -> bytes:
    made = hmac.digest(key.encode(), f"{at}{token}".encode(), "sha256").hex()
    signature = {"timestamp": str(at), "token": token, "signature": made}
    return json.dumps({"signature": signature, "event-data": event}).encode()


def fetch(url: str) -> bytes:
    raise AssertionError(url)


def hook(body: bytes) -> HookRequest:
    return HookRequest({"content-type": "application/json"}, body, float(NOW), fetch)


EVENTS = MailgunEvents(SIGNING_KEY)

HARD = {
    "event": "failed",
    "severity": "permanent",
    "reason": "bounce",
    "delivery-status": {
        "code": 550,
        "message": "5.1.1 The email account that you tried to reach does not exist",
        "enhanced-code": "5.1.1",
    },
}


def test_a_bounce_is_read_with_the_servers_own_words() -> None:
    (event,) = EVENTS.read(signed(told(**HARD)))
    assert event.kind is EventKind.BOUNCED
    assert event.permanent is True
    assert event.token == REFERENCE
    assert event.status == "5.1.1"
    assert event.reason.startswith("550 5.1.1 The email account")
    assert event.at == 1799999990
    assert event.address == "pat@reader.example"
    assert event.word == "failed permanent bounce"


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ({"event": "delivered"}, EventKind.DELIVERED),
        ({"event": "failed", "severity": "temporary", "reason": "generic"}, EventKind.DEFERRED),
        ({"event": "failed", "severity": "permanent", "reason": "old"}, EventKind.BOUNCED),
        (
            {"event": "failed", "severity": "permanent", "reason": "suppress-bounce"},
            EventKind.REJECTED,
        ),
        ({"event": "rejected", "reject": {"reason": "Sandbox"}}, EventKind.REJECTED),
        ({"event": "complained"}, EventKind.COMPLAINED),
        ({"event": "unsubscribed"}, EventKind.UNSUBSCRIBED),
        ({"event": "opened"}, EventKind.OPENED),
        ({"event": "clicked"}, EventKind.CLICKED),
        ({"event": "accepted"}, EventKind.UNKNOWN),
        ({"event": "list_member_uploaded"}, EventKind.UNKNOWN),
    ],
)
def test_each_word_of_mailgun_means_something(event: dict[str, Any], kind: EventKind) -> None:
    (found,) = EVENTS.read(signed(told(**event)))
    assert found.kind is kind
    assert found.word.startswith(event["event"])


def test_an_event_told_twice_is_the_same_event() -> None:
    first = EVENTS.read(signed(told(**HARD), token="aa" * 25))
    again = EVENTS.read(signed(told(**HARD), token="bb" * 25, at=NOW - 60))
    assert first == again
    (later,) = EVENTS.read(signed(told(**HARD, timestamp=1_899_999_990)))
    assert later.key != first[0].key  # an id is unique for a day


def test_a_request_of_mailgun_is_believed_once() -> None:
    key = EVENTS.verify(hook(signed(told(**HARD))))
    assert EVENTS.verify(hook(signed(told(**HARD)))) == key
    # The signature does not cover the event: another one behind it is taken for a repetition.
    assert EVENTS.verify(hook(signed(told(event="complained")))) == key
    assert EVENTS.verify(hook(signed(told(**HARD), token="cd" * 25))) != key


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (signed(told(**HARD), key="another"), "not Mailgun's"),
        (signed(told(**HARD), at=NOW - 86_400), "clock"),
        (signed(told(**HARD), at=NOW + 3600), "clock"),
        (json.dumps({"event-data": told(**HARD)}).encode(), "no signature"),
        (b"[" * 200_000, "no signature"),
        (b'{"signature":{"timestamp":"1e999","token":"x","signature":"\\ud800"}}', "not Mailgun's"),
        (b"\xff\xfe", "no signature"),
        (b"", "no signature"),
    ],
    ids=range(8),
)
def test_a_forged_or_stale_request_is_refused(body: bytes, why: str) -> None:
    with pytest.raises(ForgedError, match=why):
        EVENTS.verify(hook(body))


def test_an_event_of_a_subaccount_is_signed_by_the_main_one_too() -> None:
    known = json.loads(signed(told(**HARD)))
    theirs = known["signature"]["signature"]
    known["signature"] |= {"signature": "0" * 64, "parent-signature": theirs}
    assert EVENTS.verify(hook(json.dumps(known).encode()))


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(
                ["event", "reason", "reject", "timestamp", "user-variables", "ref", "id"]
            )
            | st.sampled_from(["severity", "delivery-status", "message", "code"]),
            inner,
        )
    ),
)


@given(JSON)
def test_what_makes_no_sense_is_an_event_all_the_same(event: object) -> None:
    (found,) = EVENTS.read(signed(event))
    assert found == EVENTS.read(signed(event))[0]
    assert found.key
    assert isinstance(found.token, str)


def test_without_a_signing_key_nothing_is_heard(tmp_path: Path) -> None:
    assert open_events(Options(domain=DOMAIN), tmp_path) is None
    (tmp_path / "key").write_text(f"{SIGNING_KEY}\n")
    found = open_events(Options(domain=DOMAIN, webhook_signing_key_file="key"), tmp_path)
    assert found == EVENTS
    assert SIGNING_KEY not in repr(found)
    assert EVENTS.confirmation(b"{}") == ""
