"""What SNS signs: real messages of Amazon's, then ones that somebody forged."""

from __future__ import annotations

import json
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from newsletter_bot.delivery.calls.event_values import date
from newsletter_bot.delivery.provider_events import ForgedError, HookRequest
from newsletter_bot.delivery.transports.ses.events import SesEvents
from newsletter_bot.delivery.transports.ses.sns import Signatures, envelope_of
from newsletter_bot.outside import OutsideError
from tests.servers.sns import CERTIFICATE, SUBSCRIBE, TOPIC, Sns

# Published by Amazon with its SDK: signed by the real SNS, with a real certificate.
REAL = json.loads(Path(__file__).with_name("amazon.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def sns() -> Sns:
    return Sns()


@pytest.fixture
def events(sns: Sns) -> SesEvents:
    return trusting(sns)


def trusting(*known: Sns, sha1: bool = True) -> SesEvents:
    def roots() -> list[x509.Certificate]:
        return [one.root for one in known]

    topics = [TOPIC, *(one.topic for one in known)]
    return SesEvents(topics, Signatures(topics, sha1=sha1, roots=roots))


def posted(sns: Sns, body: bytes, later: float = 60.0) -> HookRequest:
    return HookRequest({}, body, sns.now + later, sns.fetch)


def altered(body: bytes, **fields: Any) -> bytes:
    return json.dumps({**json.loads(body), **fields}).encode()


# ── what is good ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("message", REAL["messages"], ids=lambda one: one["MessageId"][:8])
def test_amazons_own_messages_and_certificates_are_believed(message: dict[str, str]) -> None:
    url, pem = REAL["issuer"]
    files = {name: text.encode() for name, text in REAL["files"].items()}
    files[url] = ssl.PEM_cert_to_DER_cert(pem)
    body, now = json.dumps(message).encode(), date(message, "Timestamp") + 5.0
    events = SesEvents([REAL["topic"]], Signatures([REAL["topic"]]))
    assert events.verify(HookRequest({}, body, now, files.__getitem__)) == message["MessageId"]
    assert events.confirmation(body) == message.get("SubscribeURL", "")
    with pytest.raises(ForgedError, match="signature is wrong"):
        events.verify(HookRequest({}, altered(body, Message="!"), now, files.__getitem__))


@pytest.mark.parametrize("version", ["1", "2"])
def test_a_message_is_known_by_its_id_and_its_certificate_is_fetched_once(version: str) -> None:
    sns = Sns()
    events = trusting(sns)
    body = sns.notification({"eventType": "Send"}, version=version)
    key = events.verify(posted(sns, body))
    assert key == json.loads(body)["MessageId"]
    assert events.verify(posted(sns, body, 3000)) == key  # told again: the same
    assert sns.fetched == [sns.certificate, sns.issuer]


@pytest.mark.parametrize(
    ("region", "name"),
    [
        ("af-south-1.amazonaws.com", "sns-signing.af-south-1.amazonaws.com"),
        ("us-gov-east-1.amazonaws.com", "sns-us-gov-west-1.amazonaws.com"),
        ("cn-north-1.amazonaws.com.cn", "sns-cn-north-1.amazonaws.com.cn"),
    ],
)
def test_regions_have_certificates_in_other_names(region: str, name: str) -> None:
    place = CERTIFICATE.replace("eu-west-1.amazonaws.com", region)
    topic = TOPIC.replace("eu-west-1", region.partition(".")[0])
    sns = Sns(name=name, certificate=place, topic=topic)
    assert trusting(sns).verify(posted(sns, sns.notification({})))


def test_a_subscription_to_our_topic_is_confirmed(sns: Sns, events: SesEvents) -> None:
    body = sns.subscription()
    assert events.verify(posted(sns, body))
    assert events.confirmation(body) == SUBSCRIBE
    assert events.read(body) == []


# ── what is forged ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "changed",
    [
        {"Message": '{"eventType":"Bounce"}'},
        {"MessageId": "00000000-0000-4000-8000-000000000000"},  # a replay under another id
        {"Subject": "another"},
        {"Timestamp": "2026-11-18T09:46:41.000Z"},
        {"Signature": "AAAA"},
        {"Signature": "not base64!"},
        {"Signature": 7},
        {"SignatureVersion": "1"},
        {"SignatureVersion": "3"},
    ],
    ids=str,
)
def test_an_altered_message_is_refused(
    sns: Sns, events: SesEvents, changed: dict[str, Any]
) -> None:
    body = altered(sns.notification({"eventType": "Send"}), **changed)
    with pytest.raises(ForgedError, match=r"signature|far from our clock"):
        events.verify(posted(sns, body))


def test_no_id_swallows_the_field_behind_it(sns: Sns, events: SesEvents) -> None:
    # The signed text is the same: "MessageId\nID\nSubject\nWORDS\n"; the key would be another.
    good = json.loads(sns.notification({"eventType": "Send"}))
    forged = {**good, "MessageId": f"{good['MessageId']}\nSubject\n{good.pop('Subject')}"}
    forged.pop("Subject")
    with pytest.raises(ForgedError, match="MessageId is none of Amazon's"):
        events.verify(posted(sns, json.dumps(forged).encode()))


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem",
        "https://sns.eu-west-1.amazonaws.com.evil.example/SimpleNotificationService-01234567.pem",
        "https://evil.example/https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0.pem",
        "https://sns.eu-west-1.amazonaws.com@evil.example/SimpleNotificationService-01234567.pem",
        "https://s3.amazonaws.com/bucket/SimpleNotificationService-01234567.pem",
        "https://bucket.s3.amazonaws.com/SimpleNotificationService-01234567.pem",
        CERTIFICATE.replace("https:", "http:"),
        CERTIFICATE.replace("eu-west-1", "us-east-1"),  # another region's than the topic's
        CERTIFICATE + "?x=1",
        CERTIFICATE + "\n",
        CERTIFICATE.replace(".pem", ".pem/../../?Action=x"),
        "",
    ],
)
def test_a_certificate_from_elsewhere_is_not_even_fetched(sns: Sns, url: str) -> None:
    body = altered(sns.notification({}), SigningCertURL=url)
    attacker = Sns(files={url: sns.files[CERTIFICATE]})
    with pytest.raises(ForgedError, match="not at Amazon's"):
        trusting(sns).verify(HookRequest({}, body, sns.now, attacker.fetch))
    assert attacker.fetched == []


@pytest.mark.parametrize(
    "forger",
    [
        Sns(name="sns.evil.example"),
        Sns(name="sns.us-east-1.amazonaws.com"),  # another region's than its address
        Sns(days=(-30, -1)),
        Sns(days=(1, 30)),
        Sns(issuer="http://crt.evil.example/r2m01.cer"),
    ],
    ids=lambda one: f"{one.name} {one.days} {one.issuer}",
)
def test_a_certificate_that_is_not_amazons_is_not_trusted(forger: Sns) -> None:
    with pytest.raises(ForgedError, match="certificate cannot be trusted"):
        trusting(forger).verify(posted(forger, forger.notification({})))


def test_a_certificate_of_another_authority_is_not_trusted(sns: Sns, events: SesEvents) -> None:
    forger = Sns()
    body = forger.notification({})
    with pytest.raises(ForgedError, match="certificate cannot be trusted"):
        events.verify(posted(forger, body))
    # Not even with Amazon's own certificate as its issuer.
    forger.files[forger.issuer] = sns.files[sns.issuer]
    with pytest.raises(ForgedError, match="certificate cannot be trusted"):
        events.verify(posted(forger, body))
    for nonsense in (b"", b"<html>", b"-----BEGIN CERTIFICATE-----\nAAAA\n"):
        forger.files[forger.certificate] = nonsense
        with pytest.raises(ForgedError, match="certificate cannot be trusted"):
            events.verify(posted(forger, body))


def test_a_certificate_is_forgotten_when_it_expires() -> None:
    sns = Sns()
    events = trusting(sns)
    assert events.verify(posted(sns, sns.notification({})))
    sns.now += 31 * 86_400
    with pytest.raises(ForgedError, match="certificate cannot be trusted"):
        events.verify(posted(sns, sns.notification({})))


def test_amazon_is_asked_to_come_again_when_its_certificate_cannot_be_had() -> None:
    sns = Sns()
    body = sns.notification({})
    sns.files.clear()
    with pytest.raises(OutsideError):
        trusting(sns).verify(posted(sns, body))


def test_another_topic_is_refused(sns: Sns, events: SesEvents) -> None:
    for topic in (TOPIC.replace("mail", "other"), TOPIC.replace("1234", "9999"), ""):
        for body in (sns.notification({}, TopicArn=topic), sns.subscription(TopicArn=topic)):
            with pytest.raises(ForgedError, match="topic is none of ours"):
                events.verify(posted(sns, body))
            assert events.confirmation(body) == ""


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/?Action=ConfirmSubscription&Token=1",
        SUBSCRIBE.replace("https", "http"),
        SUBSCRIBE.replace("amazonaws.com/", "amazonaws.com.evil.example/"),
        SUBSCRIBE.replace("amazonaws.com/", "amazonaws.com@evil.example/"),
        SUBSCRIBE.replace("ConfirmSubscription", "Unsubscribe"),
        SUBSCRIBE + "#\n",
        "http://169.254.169.254/latest/meta-data/",
        "",
    ],
)
def test_a_subscription_is_confirmed_at_amazons_alone(
    sns: Sns, events: SesEvents, url: str
) -> None:
    body = sns.subscription(SubscribeURL=url)  # signed all the same
    with pytest.raises(ForgedError, match="SubscribeURL is none of Amazon's"):
        events.verify(posted(sns, body))
    assert events.confirmation(body) == ""


@pytest.mark.parametrize("later", [3601.0, 90_000.0, -400.0])
def test_an_old_message_is_refused_and_one_of_the_future(
    sns: Sns, events: SesEvents, later: float
) -> None:
    with pytest.raises(ForgedError, match="far from our clock"):
        events.verify(posted(sns, sns.notification({}), later))


def test_sha1_can_be_refused(sns: Sns) -> None:
    strict = trusting(sns, sha1=False)
    assert strict.verify(posted(sns, sns.notification({})))
    with pytest.raises(ForgedError, match="version is not taken"):
        strict.verify(posted(sns, sns.notification({}, version="1")))


def test_a_message_without_an_envelope_is_refused(sns: Sns, events: SesEvents) -> None:
    raw = json.dumps({"eventType": "Bounce", "mail": {}}).encode()  # raw message delivery
    deep = b'{"Type":' + b"[" * 100_000
    for body in (raw, b"", b"null", b"[]", deep, b'{"Type": ["Notification"]}', b"\xff\xfe"):
        with pytest.raises(ForgedError, match="no signed message of SNS"):
            events.verify(posted(sns, body))
        assert events.confirmation(body) == ""


@given(st.binary() | st.text().map(str.encode))
def test_nothing_but_a_refusal_comes_of_nonsense(body: bytes) -> None:
    assert envelope_of(body) is None
    with pytest.raises(ForgedError):
        trusting().verify(HookRequest({}, body, 0.0, lambda _url: b""))
