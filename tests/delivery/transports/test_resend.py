from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

from newsletter_bot.delivery.calls.model import Answer, NotTaken, Unsure
from newsletter_bot.delivery.calls.transport import CallTransport
from newsletter_bot.delivery.model import DeliveryState, Message
from newsletter_bot.delivery.provider_events import EventKind, ForgedError, HookRequest
from newsletter_bot.delivery.single import hand_over
from newsletter_bot.delivery.transports import resend
from newsletter_bot.errors import ConfigurationError
from tests.servers.providers import ProviderServer, provider_server
from tests.servers.providers.resend import Fake

NOW = 1_800_000_000
SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with provider_server(Fake()) as made:
        yield made


def opened(server: ProviderServer, **more: Any) -> CallTransport:
    options = {**server.behaviour.options(server.url), **more}
    return resend.open_transport(resend.Options.model_validate(options), Path())


def message(number: int, sender: str = "News <news@news.example.com>") -> Message:
    head = f"From: {sender}\r\nTo: r{number}@example.com\r\nSubject: {number}\r\n\r\nHello\r\n"
    return Message(number, "b@example.com", f"r{number}@example.com", head.encode())


def answered(status: int, document: object) -> Answer:
    return Answer(status, {}, json.dumps(document).encode())


# ── what an answer means ─────────────────────────────────────────────────────────────────────


def read(status: int, document: object, count: int = 2) -> Any:
    provider = resend.Resend("https://api.resend.com", "re_key")
    return provider.read(answered(status, document), [message(one) for one in range(count)])


def test_errors_have_their_place_between_those_who_were_taken() -> None:
    errors = [{"index": 1, "message": "Invalid `to` field"}]
    found = read(200, {"data": [{"id": "a"}, {"id": "b"}], "errors": errors}, count=3)
    assert [one.reason for one in found] == [
        "Resend a",
        "Resend: Invalid `to` field",
        "Resend b",
    ]


@pytest.mark.parametrize(
    "document",
    [
        {},
        [],
        "done",
        {"data": None},
        {"data": [{"id": "a"}]},
        {"data": [{"id": "a"}, {}]},
        {"data": [{"id": "a"}, {"id": ""}]},
        {"data": [{"id": "a"}, {"id": "b"}, {"id": "c"}]},
        {"data": [{"id": "a"}], "errors": [{"index": 2, "message": "no"}]},
        {"data": [{"id": "a"}], "errors": [{"index": True, "message": "no"}]},
        {"data": [], "errors": [{"index": 0}, {"index": 0}]},
        {"data": [{"id": "a"}, {"id": "b"}], "errors": "none"},
    ],
)
def test_an_answer_that_does_not_fit_is_no_success(document: object) -> None:
    assert isinstance(read(200, document), Unsure)


@pytest.mark.parametrize(
    ("status", "name", "lasting"),
    [
        (429, "rate_limit_exceeded", False),
        (429, "daily_quota_exceeded", True),
        (429, "monthly_quota_exceeded", True),
        (409, "concurrent_idempotent_requests", False),
        (409, "invalid_idempotent_request", True),
        (403, "invalid_api_key", True),
        (403, "validation_error", True),
        (422, "invalid_from_address", True),
        (451, "security_error", True),
    ],
)
def test_what_is_nobodys_fault_is_not_taken(status: int, name: str, lasting: bool) -> None:  # noqa: FBT001 - a column of the table
    found = read(status, {"statusCode": status, "name": name, "message": "words"})
    assert isinstance(found, NotTaken)
    assert found.lasting is lasting
    assert "words" in found.reason


def test_a_503_is_asked_about_with_the_same_key_and_never_called_not_taken() -> None:
    answer = replace(answered(503, {}), headers={"retry-after": "7"})
    found = resend.Resend("https://api.resend.com", "re_key").read(answer, [message(1)])
    assert isinstance(found, Unsure)
    assert found.wait == 7


def test_an_address_that_is_no_good_alone_is_refused() -> None:
    (found,) = read(422, {"name": "validation_error", "message": "Invalid `to` field."}, count=1)
    assert found.state is DeliveryState.REFUSED


# ── keys ─────────────────────────────────────────────────────────────────────────────────────


def test_a_call_that_is_still_at_work_is_asked_for_again(
    server: ProviderServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = server.behaviour
    assert isinstance(fake, Fake)
    transport = opened(server)
    monkeypatch.setattr("uuid.uuid4", lambda: "same")
    fake.in_flight.add("single/same")
    ((_, outcome),) = hand_over(transport, [message(1)])
    assert outcome.state is DeliveryState.ACCEPTED
    assert len(server.handed_over) == 2
    assert len(server.taken) == 1


def test_a_name_that_resend_would_refuse_is_written_plainly(server: ProviderServer) -> None:
    outcomes = hand_over(opened(server), [message(1, '"Weekly, (the) <News>" <news@x.example>')])
    assert [one.state for _, one in outcomes] == [DeliveryState.ACCEPTED]
    assert server.taken[0].headers["from"] == "Weekly the News <news@x.example>"


def test_calls_keep_to_the_pace_of_the_team(server: ProviderServer) -> None:
    transport = opened(server, calls_per_second=1000)
    slow = replace(transport, per_second=20.0)
    assert slow.pacer is not transport.pacer
    list(hand_over(slow, [message(one) for one in range(1, 4)], at_once=1))
    assert len(server.handed_over) == 3


# ── what the operator is told ────────────────────────────────────────────────────────────────


def test_a_domain_that_is_not_verified_or_tracks_is_found(server: ProviderServer) -> None:
    fake = server.behaviour
    assert isinstance(fake, Fake)
    transport = opened(server)
    fake.domain["click_tracking"] = True
    good, tracked = transport.check("news.example.com")
    assert good.well
    assert not tracked.well
    assert not tracked.grave
    fake.domain["status"] = "pending"
    (pending,) = transport.check("news.example.com")
    (unknown,) = transport.check("elsewhere.example")
    assert "is pending" in pending.sentence
    assert "is not known" in unknown.sentence
    assert pending.grave


def test_a_key_that_is_missing_is_a_matter_of_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="api_key"):
        resend.open_transport(resend.Options(), tmp_path)
    (tmp_path / "key").write_text("re_one\nre_two\n")
    with pytest.raises(ConfigurationError, match="line break"):
        resend.open_transport(resend.Options(api_key_file="key"), tmp_path)
    with pytest.raises(ConfigurationError, match="signing secret"):
        resend.open_events(resend.Options.model_validate({"webhook_secret": "whsec_!"}), tmp_path)


# ── events ───────────────────────────────────────────────────────────────────────────────────


def events() -> Any:
    found = resend.open_events(resend.Options.model_validate({"webhook_secret": SECRET}), Path())
    assert found is not None
    return found


def signed(body: bytes, at: int = NOW, secret: str = SECRET, name: str = "msg_1") -> HookRequest:
    """Sign as Svix does, by the reference implementation of its successor."""
    import datetime as dt

    when = dt.datetime.fromtimestamp(at, dt.UTC)
    signature = Webhook(secret).sign(name, when, body.decode())
    headers = {"svix-id": name, "svix-timestamp": str(at), "svix-signature": signature}
    return HookRequest(headers, body, NOW, lambda _url: b"")


def test_a_signature_is_believed_for_five_minutes() -> None:
    assert events().verify(signed(b"{}")) == "msg_1"
    assert events().verify(signed(b"{}", at=NOW - 299)) == "msg_1"
    for at in (NOW - 301, NOW + 301):
        with pytest.raises(ForgedError, match="timestamp"):
            events().verify(signed(b"{}", at=at))


def test_one_good_signature_of_several_is_enough() -> None:
    good = signed(b"{}")
    several = f"v1,AAAA v2,xyz {good.headers['svix-signature']}"
    headers = {**good.headers, "svix-signature": several}
    assert events().verify(replace(good, headers=headers)) == "msg_1"


@pytest.mark.parametrize(
    "change",
    [
        {"svix-id": "msg_2"},
        {"svix-timestamp": str(NOW - 1)},
        {"svix-timestamp": "soon"},
        {"svix-signature": "v1,AAAA"},
        {"svix-signature": "v1,ÄÖ"},
        {"svix-signature": ""},
        {"svix-id": ""},
    ],
)
def test_a_request_that_was_changed_is_forged(change: dict[str, str]) -> None:
    good = signed(b"{}")
    with pytest.raises(ForgedError):
        events().verify(replace(good, headers={**good.headers, **change}))


def test_a_body_or_secret_of_somebody_else_is_forged() -> None:
    other = "whsec_" + base64.b64encode(b"x" * 24).decode()
    for request in (signed(b"{}", secret=other), replace(signed(b"{}"), body=b'{"a":1}')):
        with pytest.raises(ForgedError):
            events().verify(request)


@pytest.mark.parametrize("tags", [{"ref": "token"}, [{"name": "ref", "value": "token"}]])
def test_a_bounce_names_the_delivery_and_whose_fault_it_is(tags: object) -> None:
    said = "550 5.1.1 no such user"
    data = {
        "to": ["Ada <ada@example.com>"],
        "tags": tags,
        "bounce": {"type": "Permanent", "subType": "General", "diagnosticCode": [said]},
    }
    told = {"type": "email.bounced", "created_at": "2026-11-22T23:41:12.126Z", "data": data}
    (event,) = events().read(json.dumps(told).encode())
    assert (event.kind, event.token, event.address) == (
        EventKind.BOUNCED,
        "token",
        "ada@example.com",
    )
    assert (event.reason, event.permanent, event.at) == (said, True, 1795390872)
    assert event.key == events().read(json.dumps(told).encode())[0].key


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("email.delivered", EventKind.DELIVERED),
        ("email.delivery_delayed", EventKind.DEFERRED),
        ("email.complained", EventKind.COMPLAINED),
        ("email.suppressed", EventKind.REJECTED),
        ("email.failed", EventKind.FAILED),
        ("email.opened", EventKind.OPENED),
        ("email.clicked", EventKind.CLICKED),
        ("email.teleported", EventKind.UNKNOWN),
        ("contact.created", EventKind.UNKNOWN),
    ],
)
def test_words_are_read(word: str, kind: EventKind) -> None:
    (event,) = events().read(json.dumps({"type": word, "data": {}}).encode())
    assert (event.kind, event.word) == (kind, word)


def test_that_a_message_was_sent_is_no_news() -> None:
    assert list(events().read(b'{"type": "email.sent", "data": {}}')) == []


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"[" * 50_000, b'{"type": 5, "data": []}'])
def test_a_body_that_makes_no_sense_is_unknown(body: bytes) -> None:
    (event,) = events().read(body)
    assert event.kind is EventKind.UNKNOWN


WORDS = st.sampled_from(["type", "data", "tags", "ref", "to", "bounce", "created_at"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.text(), inner),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None)
@given(told=JSON)
def test_whatever_it_tells_is_read(told: Any) -> None:
    body = json.dumps(told).encode()
    found = list(events().read(body))
    assert found == list(events().read(body))
    for event in found:
        assert 0 <= event.at < 1 << 53
        (event.token + event.address + event.reason).encode()
