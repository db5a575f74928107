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
from pydantic import ValidationError

from newsletter_bot.delivery.calls.model import Answer, Finding, NotTaken, Request, Unsure, Verdict
from newsletter_bot.delivery.model import DeliveryState, Message
from newsletter_bot.delivery.provider_events import EventKind, ProviderEvent
from newsletter_bot.delivery.transports.ses import Options, Ses, open_events, open_transport
from newsletter_bot.delivery.transports.ses.events import SesEvents
from newsletter_bot.delivery.transports.ses.sigv4 import Credentials, Signer
from newsletter_bot.delivery.transports.ses.sns import Signatures
from newsletter_bot.errors import ConfigurationError
from tests.servers.providers import ProviderServer, provider_server, reply
from tests.servers.providers.ses import DOMAIN, KEY_ID, REGION, SECRET, TOKEN, WRONG, Fake, error
from tests.servers.sns import TOPIC

NOW = 1_800_000_000.0
REFERENCE = "0f" * 20
CONTENT = (
    b"DKIM-Signature: v=1; a=rsa-sha256;\r\n b=abcd\r\n"
    b"From: =?utf-8?q?W=C3=B6chentlich?= <news@news.example.com>\r\nTo: pat@reader.example\r\n"
    b"Subject: Hi\r\nMessage-ID: <1@news.example.com>\r\n"
    b"List-Unsubscribe: <https://news.example.com/u/1>\r\n"
    b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
    b"X-Newsletter-Bot-Ref: " + REFERENCE.encode() + b"\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n\r\nHello\r\n"
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
def ses(server: ProviderServer) -> Ses:
    signer = Signer(Credentials(KEY_ID, SECRET, TOKEN), REGION, "ses")
    return Ses(server.url, signer, clock=lambda: NOW)


def message(recipient: str = "pat@reader.example") -> Message:
    return Message(1, f"bounce+1@{DOMAIN}", recipient, CONTENT)


def ask(request: Request) -> Answer:
    made = httpx.request(
        request.method, request.url, headers=dict(request.headers), content=request.content
    )
    headers = {name.lower(): text for name, text in made.headers.items()}
    return Answer(made.status_code, headers, made.content)


def send(ses: Ses, recipient: str = "pat@reader.example") -> Verdict:
    messages = [message(recipient)]
    return ses.read(ask(ses.request(messages, "")), messages)


# ── sending ──────────────────────────────────────────────────────────────────────────────────


def test_a_reader_gets_our_own_mime_without_our_signature(server: ProviderServer, ses: Ses) -> None:
    verdict = send(ses)
    assert isinstance(verdict, list)
    assert verdict[0].state is DeliveryState.ACCEPTED
    assert verdict[0].reason == "SES took it as 0102018-1-000000"
    (taken,) = server.taken
    assert taken.recipient == "pat@reader.example"
    assert "dkim-signature" not in taken.headers
    assert taken.headers["from"] == "Wöchentlich <news@news.example.com>"
    assert taken.headers["list-unsubscribe"] == "<https://news.example.com/u/1>"
    assert taken.reference == REFERENCE
    told = server.handed_over[0].json
    assert base64.b64decode(told["Content"]["Raw"]["Data"]) == CONTENT.partition(b"abcd\r\n")[2]
    # SES would write its own From, and mail bounces as well as tell of them.
    assert not {"FromEmailAddress", "FeedbackForwardingEmailAddress", "ConfigurationSetName"} & set(
        told
    )


def test_a_configuration_set_is_named(server: ProviderServer, ses: Ses) -> None:
    named = Ses(server.url, ses.signer, "newsletter", lambda: NOW)
    assert isinstance(send(named), list)
    assert server.handed_over[0].json["ConfigurationSetName"] == "newsletter"


def test_the_same_message_at_the_same_time_is_the_same_request(ses: Ses) -> None:
    assert ses.request([message()], "") == ses.request([message()], "")


def test_a_reader_who_is_refused_stops_nobody_else(ses: Ses) -> None:
    for recipient in ("refused@reader.example", "ü@reader.example"):
        verdict = send(ses, recipient)
        assert isinstance(verdict, list)
        assert verdict[0].state is DeliveryState.REFUSED
        assert "Local address contains" in verdict[0].reason


@pytest.mark.parametrize(
    ("status", "name", "said", "meant"),
    [
        (400, "ThrottlingException", "Maximum sending rate exceeded.", NotTaken("")),
        (400, "ThrottlingException", "Daily message quota exceeded.", NotTaken("", lasting=True)),
        (429, "TooManyRequestsException", "Too many requests", NotTaken("")),
        (400, "MessageRejected", "Email address is not verified.", NotTaken("", lasting=True)),
        (400, "AccountSuspendedException", "shut down", NotTaken("", lasting=True)),
        (400, "SendingPausedException", "paused", NotTaken("", lasting=True)),
        (400, "MailFromDomainNotVerifiedException", "verify", NotTaken("", lasting=True)),
        (400, "LimitExceededException", "too many", NotTaken("", lasting=True)),
        (
            404,
            "NotFoundException",
            "Configuration set <x> does not exist",
            NotTaken("", None, True),
        ),
        (
            400,
            "BadRequestException",
            "Invalid email address of the sender",
            NotTaken("", None, True),
        ),
        (400, "BadRequestException", "Something else", NotTaken("", lasting=True)),
        (403, "ExpiredTokenException", "expired", NotTaken("", lasting=True)),
        (500, "InternalFailure", "", Unsure("")),
        (503, "ServiceUnavailable", "", NotTaken("")),
        (503, "", "", Unsure("")),
        (504, "", "", Unsure("")),
    ],
)
def test_failures_are_sorted_by_what_they_mean(
    ses: Ses, fake: Fake, status: int, name: str, said: str, meant: NotTaken | Unsure
) -> None:
    fake.verdict = error(status, name, said)
    verdict = send(ses)
    assert type(verdict) is type(meant)
    assert isinstance(verdict, NotTaken | Unsure)
    assert said in verdict.reason
    if isinstance(verdict, NotTaken) and isinstance(meant, NotTaken):
        assert (verdict.lasting, verdict.wait) == (meant.lasting, meant.wait)


def test_what_names_the_reader_is_about_the_reader(ses: Ses, fake: Fake) -> None:
    # As older services of Amazon write it.
    told = {"__type": "com.amazon#BadRequestException", "message": "No: Pat@Reader.example"}
    fake.verdict = reply(400, told)
    verdict = send(ses)
    assert isinstance(verdict, list)
    assert verdict[0].state is DeliveryState.REFUSED


@pytest.mark.parametrize("content", [b"<html>", b"{}", b"", b'{"MessageId": null}', b"[" * 9999])
def test_an_answer_that_names_no_message_is_unsure(ses: Ses, content: bytes) -> None:
    assert isinstance(ses.read(Answer(200, {}, content), [message()]), Unsure)


# ── credentials ──────────────────────────────────────────────────────────────────────────────


def opened(options: dict[str, Any], folder: Path) -> Ses:
    given = {name: value for name, value in options.items() if name != "kind"}
    provider = open_transport(Options(**given), folder).provider
    assert isinstance(provider, Ses)
    return provider


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "REGION", "DEFAULT_REGION"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    return monkeypatch


def test_credentials_come_from_the_environment_all_or_none(
    tmp_path: Path, bare: pytest.MonkeyPatch
) -> None:
    bare.setenv("AWS_ACCESS_KEY_ID", "AKIDENVIRONMENT")
    bare.setenv("AWS_SECRET_ACCESS_KEY", "environment")
    bare.setenv("AWS_SESSION_TOKEN", "temporary")
    bare.setenv("AWS_DEFAULT_REGION", "cn-north-1")
    found = opened({}, tmp_path)
    assert found.signer.credentials == Credentials("AKIDENVIRONMENT", "environment", "temporary")
    assert found.base == "https://email.cn-north-1.amazonaws.com.cn"
    (tmp_path / "secret").write_text("written\n")
    own = {"access_key_id": "AKIDOWN", "secret_access_key_file": "secret", "region": "us-east-1"}
    found = opened(own, tmp_path)
    assert found.signer.credentials == Credentials("AKIDOWN", "written", "")
    assert found.base == "https://email.us-east-1.amazonaws.com"


def test_what_is_missing_is_said(tmp_path: Path, bare: pytest.MonkeyPatch) -> None:
    del bare
    with pytest.raises(ConfigurationError, match="region"):
        opened({"access_key_id": "AKID", "secret_access_key": "x"}, tmp_path)
    with pytest.raises(ConfigurationError, match="access_key_id"):
        opened({"region": "eu-west-1"}, tmp_path)
    with pytest.raises(ConfigurationError, match="secret_access_key"):
        opened({"region": "eu-west-1", "access_key_id": "AKID"}, tmp_path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"region": "evil.example/?"},
        {"access_key_id": "AK\r\nX-Y: z"},
        {"topics": ["arn:aws:sns:*"]},
        {"topics": ["arn:aws:iam::123456789012:mail"]},
    ],
)
def test_nonsense_in_options_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Options(**wrong)


def test_without_a_topic_nobody_is_heard(tmp_path: Path) -> None:
    assert open_events(Options(), tmp_path) is None
    assert isinstance(open_events(Options(topics=(TOPIC,)), tmp_path), SesEvents)


# ── doctor ───────────────────────────────────────────────────────────────────────────────────


def grave(found: object) -> list[str]:
    assert isinstance(found, list)
    return [one.sentence for one in found if isinstance(one, Finding) and not one.well]


def test_a_good_account_is_well(ses: Ses) -> None:
    found = ses.check(ask, DOMAIN)
    assert grave(found) == []
    assert "SES takes 50000 messages in 24 hours (120 sent), 14 a second." in [
        one.sentence for one in found
    ]


def test_a_domain_is_covered_by_the_one_above_it(ses: Ses, fake: Fake) -> None:
    assert grave(ses.check(ask, f"a.b.{DOMAIN}")) == []
    assert "no identity other.example" in grave(ses.check(ask, "other.example"))[0]
    fake.identities[DOMAIN]["DkimAttributes"]["Status"] = "PENDING"
    fake.identities[DOMAIN]["VerifiedForSendingStatus"] = False
    assert [one.split("(")[0] for one in grave(ses.check(ask, DOMAIN))] == [
        f"SES may not send for {DOMAIN}.",
        f"SES does not sign for {DOMAIN} ",
    ]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"SendingEnabled": False}, "sending is off"),
        ({"ProductionAccessEnabled": False}, "sandbox"),
        ({"EnforcementStatus": "PROBATION"}, "under review"),
        ({"SendQuota": {"Max24HourSend": 200, "SentLast24Hours": 200}}, "SES takes 200 messages"),
    ],
)
def test_an_account_that_may_not_send_is_told(
    ses: Ses, fake: Fake, changed: dict[str, Any], said: str
) -> None:
    fake.account |= changed
    assert said in grave(ses.check(ask, DOMAIN))[0]


def test_wrong_credentials_are_told_and_not_shown(server: ProviderServer) -> None:
    wrong = Ses(server.url, Signer(Credentials(KEY_ID, WRONG), REGION, "ses"))
    (finding,) = wrong.check(ask, DOMAIN)
    assert not finding.well
    assert "refuses the credentials" in finding.sentence
    assert WRONG not in f"{finding} {wrong!r}"


# ── events ───────────────────────────────────────────────────────────────────────────────────

EVENTS = SesEvents([TOPIC], Signatures([TOPIC]))
ID = "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324"
MAIL = {
    "timestamp": "2026-11-20T10:00:00.000Z",
    "messageId": "0102018-1-000000",
    "destination": ["pat@reader.example"],
    "tags": {"newsletter-bot-ref": [REFERENCE], "ses:from-domain": [DOMAIN]},
}
AT = 1_795_169_345


def told(document: object, **fields: Any) -> ProviderEvent:
    (event,) = read(document, **fields)
    return event


def read(document: object, **fields: Any) -> list[ProviderEvent]:
    text = document if isinstance(document, str) else json.dumps(document)
    envelope = {"Type": "Notification", "MessageId": ID, "Timestamp": "2026-11-20T10:09:06.000Z"}
    found = EVENTS.read(json.dumps({**envelope, "Message": text, **fields}).encode())
    assert found == EVENTS.read(json.dumps({**envelope, "Message": text, **fields}).encode())
    return list(found)


def bounce(kind: str, sub: str, **recipient: str) -> dict[str, Any]:
    return {
        "eventType": "Bounce",
        "mail": MAIL,
        "bounce": {
            "bounceType": kind,
            "bounceSubType": sub,
            "bouncedRecipients": [{"emailAddress": "pat@reader.example", **recipient}],
            "timestamp": "2026-11-20T10:09:05.500Z",
        },
    }


def test_a_bounce_carries_the_servers_own_words() -> None:
    said = {"status": "5.1.1", "diagnosticCode": "smtp; 550 5.1.1 user unknown"}
    assert told(bounce("Permanent", "General", **said)) == ProviderEvent(
        key=f"{ID}:pat@reader.example",
        kind=EventKind.BOUNCED,
        at=AT,
        token=REFERENCE,
        address="pat@reader.example",
        status="5.1.1",
        reason="smtp; 550 5.1.1 user unknown",
        permanent=True,
        word="Bounce Permanent General",
    )


@pytest.mark.parametrize(
    ("kind", "sub", "event", "permanent", "reason"),
    [
        ("Transient", "MailboxFull", EventKind.BOUNCED, False, "mailbox full"),
        ("Transient", "General", EventKind.BOUNCED, False, "Transient General"),
        ("Transient", "ContentRejected", EventKind.BOUNCED, False, "message content rejected"),
        ("Undetermined", "Undetermined", EventKind.BOUNCED, None, "Undetermined Undetermined"),
        ("Permanent", "Suppressed", EventKind.REJECTED, True, "bounced before"),
        ("Permanent", "OnAccountSuppressionList", EventKind.REJECTED, True, "bounced before"),
        ("Novel", "", EventKind.BOUNCED, None, "Novel"),
    ],
)
def test_bounces_that_no_server_explains_have_words_too(
    kind: str, sub: str, event: EventKind, permanent: object, reason: str
) -> None:
    found = told(bounce(kind, sub))
    assert (found.kind, found.permanent) == (event, permanent)
    assert reason in found.reason


def test_notifications_of_an_identity_are_tied_by_our_header() -> None:
    headers = [{"name": "Subject", "value": "Hi"}, {"name": "X-Newsletter-Bot-Ref", "value": "ab"}]
    mail = {"destination": ["pat@reader.example"], "headers": headers}
    document = {**bounce("Permanent", "General"), "mail": mail, "notificationType": "Bounce"}
    document.pop("eventType")
    assert told(document).token == "ab"
    assert told({**document, "mail": {**mail, "headers": "none"}}).token == ""


def test_each_recipient_is_an_event_of_its_own() -> None:
    document = bounce("Permanent", "General")
    document["bounce"]["bouncedRecipients"].append({"emailAddress": "kim@reader.example"})
    assert [one.key for one in read(document)] == [
        f"{ID}:pat@reader.example",
        f"{ID}:kim@reader.example",
    ]


@pytest.mark.parametrize(
    ("complaint", "kind"),
    [
        ({"complaintFeedbackType": "abuse"}, EventKind.COMPLAINED),
        ({}, EventKind.COMPLAINED),
        ({"complaintFeedbackType": "not-spam"}, EventKind.UNKNOWN),
        ({"complaintFeedbackType": "auth-failure"}, EventKind.UNKNOWN),
        ({"complaintFeedbackType": "opt-out"}, EventKind.UNSUBSCRIBED),
        ({"complaintSubType": "OnAccountSuppressionList"}, EventKind.REJECTED),
    ],
)
def test_a_complaint_is_one_only_where_a_reader_complained(
    complaint: dict[str, str], kind: EventKind
) -> None:
    document = {"eventType": "Complaint", "mail": MAIL, "complaint": complaint}
    found = told(document)
    assert (found.kind, found.token, found.address) == (kind, REFERENCE, "pat@reader.example")


@pytest.mark.parametrize(
    ("name", "field", "content", "kind", "reason"),
    [
        ("Delivery", "delivery", {"smtpResponse": "250 ok"}, EventKind.DELIVERED, "250 ok"),
        ("DeliveryDelay", "deliveryDelay", {"delayType": "Full"}, EventKind.DEFERRED, "Full"),
        ("Reject", "reject", {"reason": "Bad content"}, EventKind.REJECTED, "Bad content"),
        ("Rendering Failure", "failure", {"errorMessage": "no"}, EventKind.FAILED, "no"),
        ("Open", "open", {}, EventKind.OPENED, ""),
        ("Click", "click", {"link": "https://x.example"}, EventKind.CLICKED, ""),
        (
            "Subscription",
            "subscription",
            {"newTopicPreferences": {"unsubscribeAll": True}, "source": "UnsubscribeHeader"},
            EventKind.UNSUBSCRIBED,
            "UnsubscribeHeader",
        ),
        ("Subscription", "subscription", {}, EventKind.UNKNOWN, ""),
        ("Novelty", "novelty", {}, EventKind.UNKNOWN, ""),
    ],
)
def test_other_events_are_read(
    name: str, field: str, content: dict[str, Any], kind: EventKind, reason: str
) -> None:
    found = told({"eventType": name, "mail": MAIL, field: content})
    assert (found.kind, found.reason) == (kind, reason)
    assert found.word.startswith(name)
    assert found.token == REFERENCE


def test_what_tells_nothing_new_is_no_event() -> None:
    assert read({"eventType": "Send", "mail": MAIL, "send": {}}) == []
    assert read({"notificationType": "AmazonSnsSubscriptionSucceeded", "message": "x"}) == []
    assert read("Successfully validated SNS topic for Amazon SES event publishing.") == []
    assert told("", Type="UnsubscribeConfirmation").word == "UnsubscribeConfirmation"
    assert told("hello").kind is EventKind.UNKNOWN


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
NAMES = ("Bounce", "Complaint", "Delivery", "DeliveryDelay", "Subscription", "Open", "Reject")


@given(st.sampled_from(NAMES), JSON, JSON, JSON)
def test_whatever_stands_in_an_event_it_is_read(name: str, mail: Any, part: Any, one: Any) -> None:
    fields = {
        "bounce": {"bouncedRecipients": one},
        "complaint": {"complainedRecipients": one},
        "delivery": {"recipients": one},
    }
    for document in (
        {"eventType": name, "mail": mail, name.lower(): part},
        {"eventType": name, "mail": {"tags": mail, "headers": one, "destination": part}, **fields},
    ):
        for event in read(document):
            assert event.key.isprintable() or event.address
