from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from newsletter_bot.delivery.calls.model import Answer, Finding, NotTaken, Request, Unsure, Verdict
from newsletter_bot.delivery.model import DeliveryState, Message
from newsletter_bot.delivery.provider_events import (
    EventKind,
    ForgedError,
    HookRequest,
    ProviderEvent,
)
from newsletter_bot.delivery.transports.postmark import (
    Options,
    Postmark,
    open_events,
    open_transport,
)
from newsletter_bot.delivery.transports.postmark.events import PostmarkEvents
from newsletter_bot.errors import ConfigurationError
from newsletter_bot.feedback.mails.classify import judge
from newsletter_bot.feedback.mails.model import Fault
from tests.servers.providers import ProviderServer, provider_server, reply
from tests.servers.providers.postmark import TOKEN, WRONG, Fake, failure

DOMAIN = "news.example.com"
REFERENCE = "0f" * 20
CONTENT = (
    b"DKIM-Signature: v=1; a=rsa-sha256;\r\n b=abcd\r\n"
    b'From: "Weekly, ML" <news@news.example.com>\r\n'
    b"To: =?utf-8?q?D=C3=B6=2C_x_=3Cevil=40other=2Eexample=3E=2C?= <%s>\r\n"
    b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nMessage-ID: <1@news.example.com>\r\n"
    b"Reply-To: desk@news.example.com\r\n"
    b"List-Unsubscribe: <https://news.example.com/u/1>\r\n"
    b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
    b"X-Newsletter-Bot-Ref: " + REFERENCE.encode() + b"\r\n"
    b'MIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary="b"\r\n\r\n'
    b"--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nHello\r\n"
    b"--b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>Hello</p>\r\n--b--\r\n"
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
def postmark(server: ProviderServer) -> Postmark:
    return Postmark(server.url, TOKEN)


def message(number: int, recipient: str) -> Message:
    content = CONTENT.replace(b"%s", recipient.encode())
    return Message(number, f"bounce+{number}@{DOMAIN}", recipient, content)


def ask(request: Request) -> Answer:
    made = httpx.request(
        request.method, request.url, headers=dict(request.headers), content=request.content
    )
    headers = {name.lower(): text for name, text in made.headers.items()}
    return Answer(made.status_code, headers, made.content)


def send(postmark: Postmark, *recipients: str) -> Verdict:
    messages = [message(number, one) for number, one in enumerate(recipients)]
    return postmark.read(ask(postmark.request(messages, "")), messages)


def states(verdict: Verdict) -> list[DeliveryState]:
    assert isinstance(verdict, list)
    return [one.state for one in verdict]


# ── sending ──────────────────────────────────────────────────────────────────────────────────


def test_a_reader_gets_our_text_html_and_headers(
    server: ProviderServer, postmark: Postmark
) -> None:
    assert states(send(postmark, "pat@reader.example")) == [DeliveryState.ACCEPTED]
    (taken,) = server.taken
    assert taken.recipient == "pat@reader.example"  # and not what their name spells
    assert (taken.text.strip(), taken.html.strip()) == ("Hello", "<p>Hello</p>")
    assert taken.headers["from"] == '"Weekly, ML" <news@news.example.com>'
    assert taken.headers["subject"] == "Grüße"
    assert taken.headers["message-id"] == "<1@news.example.com>"
    assert taken.headers["list-unsubscribe"] == "<https://news.example.com/u/1>"
    assert taken.headers["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"
    assert "dkim-signature" not in taken.headers
    assert taken.reference == REFERENCE
    assert not taken.tracked
    (told,) = server.handed_over[0].json
    assert told["ReplyTo"] == "desk@news.example.com"
    assert told["MessageStream"] == "broadcast"


def test_the_same_messages_are_the_same_bytes(postmark: Postmark) -> None:
    messages = [message(1, "a@reader.example"), message(2, "b@reader.example")]
    assert postmark.request(messages, "") == postmark.request(messages, "")


def test_each_reader_of_a_batch_has_a_result_of_their_own(fake: Fake, postmark: Postmark) -> None:
    fake.results = {
        "broken@reader.example": failure(500, "Exception"),
        "credits@reader.example": failure(405, "Not allowed to send: out of credits"),
        "slow@reader.example": {"Message": "OK, but may be delayed", "MessageID": "b7bc"},
        "odd@reader.example": {"Message": "?"},
        "From'@reader.example": failure(300, "Error parsing 'To': 'From'@x' is no address"),
    }
    verdict = send(
        postmark,
        "good@reader.example",
        "refused@reader.example",
        "later@reader.example",
        *fake.results,
        "ü@reader.example",
    )
    assert states(verdict) == [
        DeliveryState.ACCEPTED,
        DeliveryState.REFUSED,
        DeliveryState.DEFERRED,
        DeliveryState.UNKNOWN,
        DeliveryState.DEFERRED,  # ours, and still owed
        DeliveryState.ACCEPTED,
        DeliveryState.UNKNOWN,
        DeliveryState.REFUSED,
        DeliveryState.REFUSED,
    ]
    assert isinstance(verdict, list)
    assert "marked as inactive" in verdict[1].reason
    assert judge(verdict[1].reason).fault is Fault.SOFT
    assert len(fake.taken) == 1


@pytest.mark.parametrize(
    ("result", "meant"),
    [
        (failure(400, "The 'From' address is no Sender Signature"), NotTaken("", lasting=True)),
        (failure(401, "not confirmed"), NotTaken("", lasting=True)),
        (failure(405, "out of credits"), NotTaken("", lasting=True)),
        (failure(412, "pending approval"), NotTaken("", lasting=True)),
        (failure(413, "may not send"), NotTaken("", lasting=True)),
        (failure(1235, "no such stream"), NotTaken("", lasting=True)),
        (failure(300, "Invalid 'From' address: 'x'."), NotTaken("", lasting=True)),
        (failure(429, "Rate limit exceeded"), NotTaken("")),
        (failure(100, "Maintenance"), NotTaken("")),
    ],
)
def test_what_holds_for_all_is_nobodys_fault(
    fake: Fake, postmark: Postmark, result: dict[str, Any], meant: NotTaken
) -> None:
    recipients = ["a@reader.example", "b@reader.example"]
    fake.results = dict.fromkeys(recipients, result)
    verdict = send(postmark, *recipients)
    assert isinstance(verdict, NotTaken)
    assert (verdict.lasting, verdict.wait) == (meant.lasting, meant.wait)
    assert result["Message"] in verdict.reason


@pytest.mark.parametrize(
    ("status", "body", "meant"),
    [
        (401, failure(10, "Bad or missing Server API token."), NotTaken("", lasting=True)),
        (422, failure(402, "Invalid JSON"), NotTaken("", lasting=True)),
        (422, failure(410, "Too many batch messages"), NotTaken("", lasting=True)),
        (429, failure(429, "Rate limit exceeded"), NotTaken("")),
        (503, failure(100, "Maintenance"), NotTaken("")),
        (503, "busy", NotTaken("")),
        (500, failure(0, "oh"), Unsure("")),
        (502, "", Unsure("")),
        (200, [], Unsure("")),
        (200, {"ErrorCode": 0}, Unsure("")),
        (200, [None, 7], [DeliveryState.UNKNOWN] * 2),
    ],
)
def test_answers_about_the_whole_batch_are_sorted(
    fake: Fake, postmark: Postmark, status: int, body: object, meant: object
) -> None:
    fake.verdict = reply(status, body)
    verdict = send(postmark, "a@reader.example", "b@reader.example")
    if isinstance(meant, list):
        assert states(verdict) == meant
        return
    assert type(verdict) is type(meant)
    if isinstance(verdict, NotTaken) and isinstance(meant, NotTaken):
        assert verdict.lasting == meant.lasting


def test_half_an_answer_is_unsure(postmark: Postmark) -> None:
    messages = [message(1, "a@reader.example")]
    for content in (b"<html>", b'[{"ErrorCode": 0', b"", b"[" * 100_000):
        assert isinstance(postmark.read(Answer(200, {}, content), messages), Unsure)
    said = json.dumps([{"ErrorCode": 0, "To": "kim@reader.example"}] * 2).encode()
    verdict = postmark.read(Answer(200, {}, said), messages)
    assert verdict == Unsure("HTTP 200, with 2 results for 1 messages")  # nobody's address


def test_options_need_a_token_and_sane_words(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="server_token"):
        open_transport(Options(), tmp_path)
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    provider = open_transport(Options(server_token_file="token"), tmp_path).provider
    assert provider == Postmark("https://api.postmarkapp.com", TOKEN, "broadcast")
    assert TOKEN not in repr(provider)
    for wrong in ({"message_stream": "a/b"}, {"webhook_user": "a:b"}):
        with pytest.raises(ValidationError):
            Options(**wrong)


# ── doctor ───────────────────────────────────────────────────────────────────────────────────


def unwell(postmark: Postmark) -> list[Finding]:
    return [one for one in postmark.check(ask, DOMAIN) if not one.well]


def test_a_good_server_and_stream_are_well_and_what_cannot_be_asked_is_said(
    postmark: Postmark,
) -> None:
    assert unwell(postmark) == []
    sentences = " ".join(one.sentence for one in postmark.check(ask, DOMAIN))
    assert f"may send for {DOMAIN} only an account's token may ask" in sentences


@pytest.mark.parametrize(
    ("changed", "said", "grave"),
    [
        ({"MessageStreamType": "Transactional"}, "for transactional", False),
        ({"ArchivedAt": "2026-11-01T00:00:00Z"}, "no stream broadcast in use", True),
        ({"ID": "other"}, "no stream broadcast in use", True),
        (
            {"SubscriptionManagementConfiguration": {"UnsubscribeHandlingType": "Postmark"}},
            "its own List-Unsubscribe",
            False,
        ),
    ],
)
def test_a_stream_that_does_not_fit_is_told(
    fake: Fake, postmark: Postmark, changed: dict[str, Any], said: str, grave: object
) -> None:
    fake.stream |= changed
    (finding,) = unwell(postmark)
    assert said in finding.sentence
    assert finding.next_step
    assert finding.grave == grave


def test_a_sandbox_and_a_wrong_token_are_told(
    server: ProviderServer, fake: Fake, postmark: Postmark
) -> None:
    fake.server["DeliveryType"] = "Sandbox"
    assert "sandbox" in unwell(postmark)[0].sentence
    (finding,) = unwell(Postmark(server.url, WRONG))
    assert "refuses the server token" in finding.sentence
    assert WRONG not in str(finding)


# ── events ───────────────────────────────────────────────────────────────────────────────────

PASSWORD = "a long one: with ü"
EVENTS = PostmarkEvents("postmark", PASSWORD)
ID = "883953f4-6105-42a2-a16a-77a8eac79483"


def shown(user: str, password: str, scheme: str = "Basic") -> dict[str, str]:
    word = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"authorization": f"{scheme} {word}"}


def hook(body: bytes, headers: dict[str, str] | None = None) -> HookRequest:
    known = shown("postmark", PASSWORD) if headers is None else headers
    return HookRequest(known, body, 0.0, lambda _url: b"")


def event(name: str, **fields: Any) -> bytes:
    told = {"RecordType": name, "MessageID": ID, "Metadata": {"newsletter-bot-ref": REFERENCE}}
    return json.dumps({**told, **fields}).encode()


def read(body: bytes) -> ProviderEvent:
    (found,) = EVENTS.read(body)
    return found


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "Basic"},
        {"authorization": "Basic ="},
        {"authorization": "Basic ü"},
        shown("postmark", "wrong"),
        shown("other", PASSWORD),
        shown("postmark", ""),
        shown("postmark", PASSWORD, "Bearer"),
        shown("postmark", PASSWORD + "x"),
    ],
)
def test_who_does_not_know_the_password_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(ForgedError):
        EVENTS.verify(hook(event("Delivery"), headers))


def test_without_a_password_nobody_is_heard(tmp_path: Path) -> None:
    assert open_events(Options(), tmp_path) is None
    options = Options(webhook_user="us", webhook_password=SecretStr("long"))
    assert open_events(options, tmp_path) == PostmarkEvents("us", "long")
    assert "long" not in repr(open_events(options, tmp_path))


def test_what_is_told_again_has_the_same_key_and_what_is_new_another() -> None:
    bodies = [
        event("Bounce", ID=42, Email="pat@reader.example"),
        event("Bounce", ID=43, Email="pat@reader.example"),
        event("Delivery", Recipient="pat@reader.example"),
        event("Delivery", Recipient="kim@reader.example"),
        event("Open", Recipient="pat@reader.example", ReceivedAt="2026-11-20T10:00:00Z"),
        event("Open", Recipient="pat@reader.example", ReceivedAt="2026-11-20T10:00:01Z"),
        event("SubscriptionChange", Recipient="pat@reader.example", SuppressSending=True),
        event("SubscriptionChange", Recipient="pat@reader.example", SuppressSending=False),
        b"nonsense",
        b"[" * 100_000,
    ]
    keys = [EVENTS.verify(hook(body, shown("postmark", PASSWORD, "basic"))) for body in bodies]
    assert len(set(keys)) == len(bodies)
    assert [read(body).key for body in bodies] == keys
    again = event("Bounce", Email="pat@reader.example", ID=42, Subject="in another order")
    assert EVENTS.verify(hook(again)) == keys[0]
    assert EVENTS.confirmation(again) == ""


def test_a_bounce_carries_the_servers_own_words() -> None:
    body = event(
        "Bounce",
        ID=42,
        Type="HardBounce",
        Description="The server was unable to deliver your message.",
        Details="smtp;550 5.1.1 user unknown",
        Email="pat@reader.example",
        BouncedAt="2014-08-01T13:28:10.2735393-04:00",
        Inactive=True,
        CanActivate=True,
    )
    assert read(body) == ProviderEvent(
        key=EVENTS.verify(hook(body)),
        kind=EventKind.BOUNCED,
        at=1_406_914_090,
        token=REFERENCE,
        address="pat@reader.example",
        reason="smtp;550 5.1.1 user unknown",
        permanent=True,
        word="Bounce HardBounce",
    )


@pytest.mark.parametrize(
    ("kind", "found", "permanent"),
    [
        ("SoftBounce", EventKind.BOUNCED, False),
        ("Transient", EventKind.DEFERRED, False),
        ("Blocked", EventKind.BOUNCED, False),
        ("SpamNotification", EventKind.BOUNCED, False),  # a filter's word, not a reader's
        ("SpamComplaint", EventKind.COMPLAINED, None),
        ("Unsubscribe", EventKind.UNSUBSCRIBED, None),
        ("AutoResponder", EventKind.UNKNOWN, None),
        ("ManuallyDeactivated", EventKind.REJECTED, None),
        ("Novelty", EventKind.BOUNCED, None),
    ],
)
def test_bounces_are_of_many_types(kind: str, found: EventKind, permanent: object) -> None:
    told = read(event("Bounce", ID=1, Type=kind, Description="why"))
    assert (told.kind, told.permanent) == (found, permanent)
    assert told.reason.startswith("why")


@pytest.mark.parametrize(
    "kind", ["Blocked", "SpamNotification", "DMARCPolicy", "VirusNotification"]
)
def test_what_filters_say_is_judged_to_be_about_us(kind: str) -> None:
    told = read(event("Bounce", ID=1, Type=kind, Details="smtp;550 5.1.1 go away"))
    assert judge(told.reason, told.status).fault is Fault.BLOCK


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"SuppressSending": True, "SuppressionReason": "HardBounce"}, EventKind.BOUNCED),
        ({"SuppressSending": True, "SuppressionReason": "SpamComplaint"}, EventKind.COMPLAINED),
        (
            {"SuppressSending": True, "SuppressionReason": "ManualSuppression"}
            | {"Origin": "Recipient"},
            EventKind.UNSUBSCRIBED,
        ),
        (
            {"SuppressSending": True, "SuppressionReason": "ManualSuppression"}
            | {"Origin": "Customer", "MessageID": None},
            EventKind.REJECTED,
        ),
        ({"SuppressSending": False, "SuppressionReason": None}, EventKind.UNKNOWN),
    ],
)
def test_the_streams_suppression_list_is_followed(fields: dict[str, Any], kind: EventKind) -> None:
    assert read(event("SubscriptionChange", Recipient="pat@reader.example", **fields)).kind is kind


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Delivery", EventKind.DELIVERED),
        ("SpamComplaint", EventKind.COMPLAINED),
        ("Open", EventKind.OPENED),
        ("Click", EventKind.CLICKED),
        ("Inbound", EventKind.UNKNOWN),
        ("", EventKind.UNKNOWN),
    ],
)
def test_other_events_are_read(name: str, kind: EventKind) -> None:
    told = read(event(name, Recipient="pat@reader.example"))
    assert (told.kind, told.token, told.address) == (kind, REFERENCE, "pat@reader.example")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
NAMES = st.sampled_from(["Bounce", "SubscriptionChange", "Delivery", "Open"])
FIELDS = st.sampled_from(["Type", "Email", "Details", "Metadata", "BouncedAt", "MessageID", "ID"])


@given(NAMES, st.dictionaries(FIELDS, JSON), st.binary())
def test_whatever_stands_in_an_event_it_is_read(
    name: str, fields: dict[str, Any], nonsense: bytes
) -> None:
    body = event(name, **fields)
    assert read(body).key == EVENTS.verify(hook(body)) == read(body).key
    assert read(nonsense).kind is EventKind.UNKNOWN
