"""Hostile and strange things that come in: whatever they hold, they are read or set apart."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from newsletter_bot.delivery.provider_events import EventKind, HookRequest, ProviderEvent
from newsletter_bot.delivery.relay_events import open_events
from newsletter_bot.delivery.transports.sendgrid import SendGridEvents
from newsletter_bot.feedback.events.happened import MAIL, Proof, Raw, RawState, Read
from newsletter_bot.feedback.events.interpret import Interpreter
from newsletter_bot.feedback.mails.model import Fault
from newsletter_bot.storage.tables import events
from newsletter_bot.subscribers.tokens import TokenSigner
from tests.feedback.office import KEY, SECRET, START, Office, settings_of

SIGNER = TokenSigner(SECRET)
SENDGRID = Interpreter(SIGNER, {"sendgrid": [SendGridEvents(KEY.public_key())]})
TOKEN = SIGNER.bounce_token(7)

_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
_WORDS = st.sampled_from(["bounce", "delivered", "dropped", "spamreport", "open", "", "x"])
_NAMES = ("sg_event_id", "timestamp", "email", "ref", "reason", "status", "type", "response")


def read(body: bytes, source: str = "sendgrid", interpreter: Interpreter = SENDGRID) -> Read:
    return interpreter.read(Raw(1, source, "key", body, START))


def check(found: Read) -> None:
    """Every database must take it: no NUL, no half of a character, no huge number."""
    for one in found.told:
        texts = [one.key, one.status, one.reason, one.rule, one.feedback, *one.addresses]
        assert all("\0" not in text and "\n" not in text for text in texts)
        assert all(len(text.encode()) <= 1300 for text in texts)
        assert 0 < one.at <= START + 86_400
        assert one.key
        assert "@" not in one.reason


@given(_WORDS | _JSON, st.dictionaries(st.sampled_from(_NAMES), _JSON))
def test_wrong_types_everywhere_are_read(word: Any, fields: dict[str, Any]) -> None:
    found = read(json.dumps([{"event": word, **fields}]).encode())
    assert found.state is RawState.READ
    check(found)
    assert found.told[0].proof in {Proof.NONE, Proof.FORGED}


@given(st.binary(max_size=200) | _JSON.map(lambda one: json.dumps(one).encode()))
def test_whatever_is_posted_is_read(body: bytes) -> None:
    check(read(body))


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 500_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'[{"event":"bounce","timestamp":' + b"9" * 4000 + b"}]",
        b'[{"event":"bounce","timestamp":' + b"9" * 500_000 + b"}]",
        b'[{"event":"bounce","timestamp":1e999,"reason":NaN}]',
        b'[{"event":"bounce","sg_event_id":"' + b"\\u0000" * 100_000 + b'"}]',
        b"",
    ],
    ids=["lists", "tables", "4,000 digits", "digits", "infinite", "NULs", "nothing"],
)
def test_json_bombs_are_read_or_set_apart(body: bytes) -> None:
    check(read(body))


def test_a_mail_nested_a_thousand_deep_is_read() -> None:
    parts = [f'Content-Type: multipart/mixed; boundary="{n}"\n\n--{n}\n' for n in range(1000)]
    check(read("".join(parts).encode(), MAIL))
    assert read("".join(parts).encode(), MAIL).state is RawState.READ


@given(st.binary(max_size=300))
@examples(max_examples=30)
def test_whatever_comes_as_mail_is_read(body: bytes) -> None:
    found = read(b"From: MAILER-DAEMON@x\nSubject: failed\n\n" + body, MAIL)
    assert found.state is RawState.READ
    check(found)


class Careless:
    """A provider's reader that promises little."""

    def __init__(self, tell: Callable[[bytes], Any]) -> None:
        self._tell = tell

    def verify(self, request: HookRequest) -> str:
        raise AssertionError

    def read(self, body: bytes) -> Sequence[ProviderEvent]:
        told: Sequence[ProviderEvent] = self._tell(body)
        return told

    def confirmation(self, body: bytes) -> str:
        raise AssertionError


def careless(tell: Callable[[bytes], Any]) -> Read:
    return read(b"{}", "careless", Interpreter(SIGNER, {"careless": [Careless(tell)]}))


def test_a_reader_that_fails_leaves_it_broken_with_the_reason() -> None:
    def fail(_body: bytes) -> Any:
        raise KeyError("event")

    def endless(body: bytes) -> Any:
        return endless(body)

    for tell, reason in ((fail, "KeyError"), (endless, "RecursionError"), (len, "TypeError")):
        found = careless(tell)
        assert (found.state, found.told) == (RawState.BROKEN, ())
        assert found.note.startswith(reason)


NASTY = ProviderEvent(
    key="\ud800ada@reader.example\0",
    kind=EventKind.BOUNCED,
    at=10**30,
    token="\ud800",
    address="\0<ada@reader.example>\n" * 1000,
    status="\x1b[31m" * 100,
    reason="550 5.7.1 \ud800\0 ada@reader.example\n" * 1000,
    word="\0",
)


def test_nasty_values_are_made_fit_to_keep(office: Office) -> None:
    found = careless(lambda _body: [NASTY, ProviderEvent("", EventKind.UNKNOWN, -1)])
    check(found)
    assert len({one.key for one in found.told}) == 2
    office.feedback.__dict__["_interpreter"] = Interpreter(
        SIGNER, {"careless": [Careless(lambda _body: [NASTY])]}
    )
    office.intake.keep("careless", b"\0", "key\0\ud800")
    assert office.work() == 1
    assert office.raws() == [("read", "")]
    assert len(office.rows(events)) == 1


@pytest.mark.parametrize(
    ("reason", "status", "permanent", "fault"),
    [
        ("550 5.1.1 user unknown", "5.1.1", True, Fault.HARD),
        ("550 5.1.1 user unknown", "5.1.1", False, Fault.SOFT),
        ("550 5.7.1 message rejected as spam", "5.1.1", True, Fault.BLOCK),
        ("552 5.2.2 mailbox full", "", True, Fault.SOFT),
        ("gibberish", "", True, Fault.HARD),
        ("gibberish", "", False, Fault.SOFT),
        ("gibberish", "", None, Fault.SOFT),
    ],
)
def test_the_words_of_the_server_weigh_more_than_what_the_provider_makes_of_them(
    reason: str, status: str, permanent: Any, fault: Fault
) -> None:
    told = ProviderEvent("k", EventKind.BOUNCED, START, TOKEN, "", status, reason, permanent)
    (found,) = careless(lambda _body: [told]).told
    assert (found.fault, found.delivery_id) == (fault, 7)


def test_a_kind_of_relay_that_has_a_secret_is_heard(tmp_path: Path) -> None:
    assert list(open_events(settings_of(tmp_path, {}))) == ["sendgrid"]
