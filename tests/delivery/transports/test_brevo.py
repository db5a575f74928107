from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from newsletter_bot.delivery.calls.model import Answer, NotTaken, Unsure
from newsletter_bot.delivery.model import DeliveryState, Message
from newsletter_bot.delivery.provider_events import EventKind, ForgedError, HookRequest
from newsletter_bot.delivery.transports import brevo
from newsletter_bot.errors import ConfigurationError
from tests.servers.providers import ProviderServer, provider_server
from tests.servers.providers.brevo import Fake

PASSWORD = "a long password"
PROVIDER = brevo.Brevo("https://api.brevo.com", "xkeysib-1")
HEAD = (
    'From: "Zoë, Néws" <news@news.example.com>\r\nTo: a@example.com\r\nSubject: x\r\n\r\nHello\r\n'
)
MESSAGE = Message(1, "b@example.com", "a@example.com", HEAD.encode())


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with provider_server(Fake()) as made:
        yield made


def read(status: int, document: object, headers: dict[str, str] | None = None) -> Any:
    answer = Answer(status, headers or {}, json.dumps(document).encode())
    return PROVIDER.read(answer, [MESSAGE])


# ── what an answer means ─────────────────────────────────────────────────────────────────────


def test_a_key_that_it_knows_means_that_it_had_the_message() -> None:
    (found,) = read(400, {"code": "duplicate_parameter", "message": "idempotencyKey used"})
    assert found.state is DeliveryState.ACCEPTED
    assert "already" in found.reason


def test_a_parameter_that_is_double_for_another_reason_is_no_success() -> None:
    found = read(400, {"code": "duplicate_parameter", "message": "sender exists already"})
    assert isinstance(found, NotTaken)


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (400, "invalid_parameter", "sender is not valid"),
        (400, "missing_parameter", "subject is missing"),
        (400, "account_under_validation", "wait"),
        (401, "unauthorized", "Key not found"),
        (402, "not_enough_credits", "buy some"),
        (403, "permission_denied", "no"),
    ],
)
def test_what_is_no_readers_fault_ends_the_run(status: int, code: str, said: str) -> None:
    found = read(status, {"code": code, "message": said})
    assert isinstance(found, NotTaken)
    assert found.lasting


def test_an_address_that_is_no_good_is_refused() -> None:
    (found,) = read(400, {"code": "invalid_parameter", "message": "email is not valid in to"})
    assert found.state is DeliveryState.REFUSED


def test_a_limit_says_in_its_own_header_when_it_ends() -> None:
    headers = {"x-sib-ratelimit-remaining": "0", "x-sib-ratelimit-reset": "45"}
    found = read(429, {"code": "too_many_requests", "message": ""}, headers)
    assert isinstance(found, NotTaken)
    assert found.wait == 45


@pytest.mark.parametrize("document", [{}, [], {"messageId": ""}, {"messageIds": ["a"]}, "ok"])
def test_an_answer_without_an_id_is_no_success(document: object) -> None:
    assert isinstance(read(201, document), Unsure)


def test_the_key_becomes_a_uuid_always_the_same() -> None:
    bodies = [json.loads(PROVIDER.request([MESSAGE], key).content) for key in ("a/1", "a/1", "a/2")]
    first, again, other = (one["headers"]["idempotencyKey"] for one in bodies)
    assert first == again != other
    assert bodies[0]["sender"] == {"email": "news@news.example.com", "name": "Zoë Néws"}


def test_the_check_finds_a_domain_that_is_not_authenticated(server: ProviderServer) -> None:
    fake = server.behaviour
    assert isinstance(fake, Fake)
    fake.authenticated = False
    options = brevo.Options.model_validate(fake.options(server.url))
    account, domain = brevo.open_transport(options, Path()).check("news.example.com")
    assert account.well
    assert not domain.well
    assert "authenticated" in domain.sentence


# ── events ───────────────────────────────────────────────────────────────────────────────────


def events(user: str = "") -> brevo.BrevoEvents:
    options = brevo.Options.model_validate({"webhook_user": user, "webhook_password": PASSWORD})
    found = brevo.open_events(options, Path())
    assert found is not None
    return found


def asked(authorization: str, body: bytes = b"{}") -> HookRequest:
    return HookRequest({"authorization": authorization}, body, 0.0, lambda _url: b"")


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def test_the_password_or_token_is_asked_for() -> None:
    assert events("brevo").verify(asked(basic("brevo", PASSWORD)))
    assert events().verify(asked(f"Bearer {PASSWORD}"))
    assert events().verify(asked(f"Bearer {PASSWORD}", b"1")) != events().verify(
        asked(f"Bearer {PASSWORD}", b"2")
    )


@pytest.mark.parametrize(
    "shown",
    ["", "Basic", "Basic !!!", basic("brevo", "x"), basic("x", PASSWORD), f"Bearer {PASSWORD}"],
)
def test_anybody_else_is_forged(shown: str) -> None:
    with pytest.raises(ForgedError):
        events("brevo").verify(asked(shown))
    with pytest.raises(ForgedError):
        events().verify(asked(f"Basic {PASSWORD}"))


def test_a_user_without_a_password_is_a_mistake() -> None:
    with pytest.raises(ConfigurationError, match="webhook_password"):
        brevo.open_events(brevo.Options(webhook_user="x"), Path())
    assert brevo.open_events(brevo.Options(), Path()) is None


@pytest.mark.parametrize(
    ("word", "kind", "permanent"),
    [
        ("delivered", EventKind.DELIVERED, None),
        ("soft_bounce", EventKind.BOUNCED, False),
        ("hard_bounce", EventKind.BOUNCED, True),
        ("invalid_email", EventKind.BOUNCED, True),
        ("blocked", EventKind.REJECTED, None),
        ("spam", EventKind.COMPLAINED, None),
        ("unsubscribed", EventKind.UNSUBSCRIBED, None),
        ("deferred", EventKind.DEFERRED, None),
        ("error", EventKind.FAILED, None),
        ("proxy_open", EventKind.OPENED, None),
        ("click", EventKind.CLICKED, None),
        ("levitated", EventKind.UNKNOWN, None),
    ],
)
def test_words_are_read(word: str, kind: EventKind, permanent: object) -> None:
    told = {
        "event": word,
        "email": "ada@example.com",
        "tags": ["token"],
        "reason": "550 5.1.1 no such user",
        "ts": 1,
        "ts_event": 2,
        "ts_epoch": 1_800_000_000_123,
    }
    (event,) = events().read(json.dumps(told).encode())
    assert (event.kind, event.permanent, event.word) == (kind, permanent, word)
    assert (event.token, event.address, event.at) == ("token", "ada@example.com", 1_800_000_000)
    assert event.reason == "550 5.1.1 no such user"


def test_batched_events_have_keys_of_their_own() -> None:
    body = json.dumps([{"event": "request"}, {"event": "delivered"}, {"event": "spam"}]).encode()
    found = events().read(body)
    assert [one.word for one in found] == ["delivered", "spam"]
    assert len({one.key for one in found}) == 2


@pytest.mark.parametrize("body", [b"", b"5", b"{", b"[" * 50_000, b'{"event": [], "tags": {}}'])
def test_a_body_that_makes_no_sense_is_unknown(body: bytes) -> None:
    (event,) = events().read(body)
    assert event.kind is EventKind.UNKNOWN


WORDS = st.sampled_from(["event", "email", "tags", "tag", "reason", "ts_epoch", "ts_event"])
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
