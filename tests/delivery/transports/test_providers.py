"""The contract kit of providers: each that has a fake in tests/servers/providers is tested."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from newsletter_bot.delivery.calls import attempts
from newsletter_bot.delivery.calls.caller import Caller
from newsletter_bot.delivery.calls.model import Answer, NotTaken, Unsure
from newsletter_bot.delivery.calls.transport import CallTransport
from newsletter_bot.delivery.composing.composer import Composer
from newsletter_bot.delivery.model import DeliveryState, Message, Outcome, Recipient
from newsletter_bot.delivery.transports import RelayError, kinds
from newsletter_bot.rendering.model import Escape, Hole, Rendering, Static
from newsletter_bot.settings import Settings, read_options
from tests.servers.providers import Fault, ProviderServer, Reply, fake, fakes, provider_server

WHEN = 1_800_000_000
DOMAIN = "news.example.com"
TIMEOUT = 1.5  # seconds
TAKEN = {DeliveryState.ACCEPTED, DeliveryState.UNKNOWN}
HTML = '<p>Hello Zoë, <a href="https://example.com/?a=1&amp;b=2">read</a> '


@pytest.fixture(autouse=True)
def _no_long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "_PAUSES", (0.01, 0.02))
    monkeypatch.setattr(attempts, "_UNSURE", (0.01, 0.02))


@pytest.fixture(params=fakes())
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def server(kind: str) -> Iterator[ProviderServer]:
    with provider_server(fake(kind)) as made:
        yield made


@pytest.fixture
def relay(kind: str, server: ProviderServer) -> Relay:
    return Relay(kind, server, opened(kind, server.behaviour.options(server.url)))


def opened(kind: str, options: dict[str, Any]) -> CallTransport:
    known = kinds()[kind]
    own = {name: one for name, one in options.items() if name != "kind"}
    read = read_options(known.Options, own, "transport", Path())
    made = known.open_transport(read, Path())
    assert isinstance(made, CallTransport)
    return replace(made, timeout=TIMEOUT)


@dataclass
class Relay:
    kind: str
    server: ProviderServer
    transport: CallTransport
    announced: list[int] = field(default_factory=list)
    error: RelayError | None = None

    @property
    def most(self) -> int:
        return self.transport.provider.shape.most

    @property
    def has_keys(self) -> bool:
        return self.transport.provider.shape.key_lasts > 0

    def hand_over(self, *names: str) -> dict[str, Outcome]:
        """Hand over to these readers in one session, as the sender does; returns outcomes."""
        rung = threading.Event()
        session = self.transport.open(lambda one: self.announced.append(one.delivery_id), rung.set)
        left = messages(*names)
        made: dict[str, Outcome] = {}
        end = time.monotonic() + 30
        while not session.closed:
            assert time.monotonic() < end, "it took too long"
            made |= {one.recipient.partition("@")[0]: what for one, what in session.listen()}
            given = [left.pop(0) for _ in range(min(session.room, len(left)))]
            for one in given:
                session.give(one)
            for one in given:
                session.clear(one)
            if len(made) == len(names):
                session.finish()
            rung.wait(0.02)
            rung.clear()
        self.error = session.error
        return made

    def recipients(self) -> list[str]:
        return [one.recipient.partition("@")[0] for one in self.server.taken]


def messages(*names: str) -> list[Message]:
    table = {"name": "Néws, weekly", "url": f"https://{DOMAIN}", "from": f"Néws <news@{DOMAIN}>"}
    known = Settings(
        folder=Path(),
        newsletter={**table, "reply_to": "editor@example.com", "postal_address": "here"},
    )
    issue = Rendering(
        issue="2026-W01",
        subjects=((Static("Grüße, "), Hole("name", "there", Escape.PLAIN)),),
        html=(Static(HTML), Hole("unsubscribe_url", "", Escape.LINK), Static("</p>")),
        text=(Static("Hello\n.\n.dot Zoë\n"),),
        language="en",
    )
    composer = Composer(issue, known, b"0123456789abcdef" * 4)
    return [
        composer.compose(
            Recipient(
                at, at, f"{name}@example.com", "Ada, Countess", "weekly", {"name": "A"}, 1, WHEN
            ),
            WHEN,
        )
        for at, name in enumerate(names, 1)
    ]


BATCH = messages("a", "b")


def states(made: dict[str, Outcome]) -> dict[str, DeliveryState]:
    return {name: one.state for name, one in made.items()}


# ── what arrives ─────────────────────────────────────────────────────────────────────────────


def test_a_message_arrives_as_we_wrote_it(relay: Relay) -> None:
    made = relay.hand_over("ada")
    assert states(made) == {"ada": DeliveryState.ACCEPTED}
    assert made["ada"].reason
    (taken,) = relay.server.taken
    headers = taken.headers
    assert taken.recipient == "ada@example.com"
    assert headers["subject"] == "Grüße, A"
    assert "editor@example.com" in headers.get("reply-to", "editor@example.com")
    assert headers["list-unsubscribe"].startswith(f"<https://{DOMAIN}/u/")
    assert headers["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"
    assert headers["list-id"].endswith(f"<weekly.{DOMAIN}>")
    assert taken.html.startswith(HTML)
    assert taken.text.replace("\r\n", "\n").startswith("Hello\n.\n.dot Zoë")
    assert taken.reference == headers["x-newsletter-bot-ref"]


def test_the_providers_own_tracking_is_off_and_our_signature_is_left_to_it(relay: Relay) -> None:
    relay.hand_over("ada")
    (taken,) = relay.server.taken
    assert not taken.tracked
    assert "dkim-signature" not in taken.headers


def test_everybody_gets_one_message_in_calls_of_the_largest_size(relay: Relay) -> None:
    names = [f"r{number}" for number in range(relay.most + 2)]
    made = relay.hand_over(*names)
    assert set(states(made).values()) == {DeliveryState.ACCEPTED}
    assert sorted(relay.recipients()) == sorted(names)
    assert len(relay.server.handed_over) == (2 if relay.most > 1 else 3)
    assert len(relay.announced) == len(names)


def test_one_who_is_refused_spoils_nobody_elses_message(relay: Relay) -> None:
    made = relay.hand_over("a", "refused", "b")
    assert states(made) == {
        "a": DeliveryState.ACCEPTED,
        "refused": DeliveryState.REFUSED,
        "b": DeliveryState.ACCEPTED,
    }
    assert relay.recipients() == ["a", "b"]


def test_the_same_call_is_the_same_bytes(relay: Relay) -> None:
    provider, batch = relay.transport.provider, messages("a", "b")[: relay.most]
    first, again = (provider.request(batch, "issue/key") for _ in range(2))
    assert first.content == again.content


# ── bad weather ──────────────────────────────────────────────────────────────────────────────


def test_too_many_calls_are_waited_for_as_long_as_asked(relay: Relay) -> None:
    relay.server.faults.append(Fault.TOO_MANY)
    made = relay.hand_over("a")
    assert states(made) == {"a": DeliveryState.ACCEPTED}
    assert relay.recipients() == ["a"]
    assert len(relay.server.handed_over) == 2


def test_a_wait_that_is_too_long_for_a_session_is_the_relays(relay: Relay) -> None:
    relay.server.wait = 3600
    relay.server.faults.extend([Fault.TOO_MANY] * 9)
    assert relay.hand_over("a") == {}
    assert relay.error is not None
    assert not relay.error.lasting
    assert relay.server.taken == []


@pytest.mark.parametrize(
    "fault", [Fault.BROKEN, Fault.HANG_AFTER, Fault.CLOSE_AFTER, Fault.HTML, Fault.TRUNCATED]
)
def test_an_answer_that_is_lost_or_makes_no_sense_is_asked_for_again_or_unknown(
    relay: Relay, fault: Fault
) -> None:
    relay.server.faults.append(fault)
    made = relay.hand_over("a")
    state = DeliveryState.ACCEPTED if relay.has_keys else DeliveryState.UNKNOWN
    assert states(made) == {"a": state}
    assert relay.recipients() == ["a"], "it was taken, and once"


def test_an_answer_that_never_makes_sense_is_unknown(relay: Relay) -> None:
    relay.server.faults.extend([Fault.CLOSE_AFTER] * 9)
    made = relay.hand_over("a")
    assert states(made) == {"a": DeliveryState.UNKNOWN}
    assert relay.error is not None, "the relay rests"
    assert relay.recipients() == ["a"]


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"message": "done"}'])
def test_success_of_another_kind_than_is_documented_may_be_any(kind: str, content: bytes) -> None:
    provider = opened(kind, fake(kind).options("http://127.0.0.1:9")).provider
    for status in (200, 201, 202, 203, 204, 303):
        found = provider.read(Answer(status, {}, content), messages("ada"))
        assert isinstance(found, Unsure), (status, found)


def test_an_answer_for_fewer_messages_is_never_success(relay: Relay) -> None:
    if relay.most == 1:
        pytest.skip("it takes one message")
    relay.server.faults.extend([Fault.FEWER] * 9)
    made = relay.hand_over("a", "b")
    assert set(states(made).values()) == {DeliveryState.UNKNOWN}


WORDS = st.sampled_from(["data", "errors", "index", "id", "name", "code", "message", "messageId"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.text(), inner),
    max_leaves=12,
)
STATUSES = st.sampled_from([200, 201, 202, 204, 301, 400, 403, 409, 418, 422, 429, 500, 503, 599])
SUCCESS = range(200, 300)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(status=STATUSES, document=JSON | st.binary(max_size=40))
def test_whatever_it_answers_means_something_and_seldom_success(
    relay: Relay, status: int, document: Any
) -> None:
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    batch = BATCH[: relay.most]
    found = relay.transport.provider.read(Answer(status, {}, content), batch)
    if isinstance(found, NotTaken | Unsure):
        assert found.reason
    else:
        assert {one.state for one in found} != {DeliveryState.ACCEPTED} or status in SUCCESS


@pytest.mark.parametrize("fault", [Fault.HANG_BEFORE, Fault.CLOSE_BEFORE])
def test_a_body_that_nobody_read_is_owed_as_before_or_unknown(relay: Relay, fault: Fault) -> None:
    relay.server.faults.extend([fault] * 9)
    made = relay.hand_over("a")
    assert set(states(made).values()) <= {DeliveryState.UNKNOWN}
    assert relay.error is not None
    assert not relay.error.lasting
    assert relay.server.taken == []


def test_without_a_connection_nothing_happened(relay: Relay) -> None:
    relay.server.stop()
    assert relay.hand_over("a") == {}
    assert relay.announced == []
    assert relay.error is not None
    assert not relay.error.lasting


# ── keys ─────────────────────────────────────────────────────────────────────────────────────


def test_a_key_that_is_used_again_sends_nothing_twice(relay: Relay) -> None:
    if not relay.has_keys:
        pytest.skip("it has no keys")
    provider, batch = relay.transport.provider, messages("a", "b")[: relay.most]
    with closing(Caller(10.0)) as caller:
        for _ in range(2):
            found = provider.read(caller.call(provider.request(batch, "issue/1")), batch)
            assert not isinstance(found, NotTaken | Unsure)
            assert {one.state for one in found} == {DeliveryState.ACCEPTED}
        assert len(relay.server.taken) == len(batch)
        other = messages("a", "b", "c")[-len(batch) :]
        again = provider.read(caller.call(provider.request(other, "issue/1")), other)
    assert len(relay.server.taken) == len(batch), "another message under the key is not sent"
    if relay.kind == "resend":  # which looks; Brevo says no more than that it knows the key
        assert isinstance(again, NotTaken)
        assert again.lasting


@pytest.mark.parametrize("then", [Fault.TOO_MANY, Fault.CLOSE_BEFORE])
def test_what_may_have_been_taken_is_unknown_whatever_is_said_next(
    relay: Relay, then: Fault
) -> None:
    relay.server.wait = 3600
    relay.server.faults.extend([Fault.CLOSE_AFTER, *[then] * 9])
    assert states(relay.hand_over("a")) == {"a": DeliveryState.UNKNOWN}
    assert relay.error is not None


# ── secrets ──────────────────────────────────────────────────────────────────────────────────


def test_a_credential_that_is_refused_ends_the_run_and_is_shown_to_nobody(
    relay: Relay, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server = relay.server
    wrong = Relay(relay.kind, server, opened(relay.kind, server.behaviour.wrong(server.url)))
    assert wrong.hand_over("a", "b") == {}
    assert wrong.error is not None
    assert wrong.error.lasting
    assert len(server.handed_over) == 1
    (finding, *_) = wrong.transport.check(DOMAIN)
    assert not finding.well
    assert finding.next_step
    relay.hand_over("a")
    said = f"{wrong.error.reason} {finding} {caplog.text} {relay.error} {relay.transport.provider}"
    for secret in server.behaviour.secrets():
        assert secret not in said


def test_the_check_finds_the_credentials_and_the_domain_good_and_sends_nothing(
    relay: Relay,
) -> None:
    found = relay.transport.check(DOMAIN)
    assert found
    assert [one for one in found if not one.well and one.grave] == []
    assert relay.server.taken == []
    relay.server.stop()
    assert not all(one.well for one in relay.transport.check(DOMAIN))


def test_the_check_takes_a_web_page_for_no_word_of_the_provider(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = Reply(404, b"\n<!DOCTYPE html><title>Not found</title>")
    monkeypatch.setattr(relay.server.behaviour, "answer", lambda _call: page)
    (finding,) = relay.transport.check(DOMAIN)
    assert finding.sentence == "The provider's API does not answer: HTTP 404: a web page."
    assert "url" in finding.next_step


def test_a_provider_that_has_a_fake_is_a_transport() -> None:
    assert set(fakes()) <= set(kinds())
