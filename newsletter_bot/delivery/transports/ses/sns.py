"""What Amazon SNS posts: whether Amazon signed it, for a topic of ours, and not long ago."""

from __future__ import annotations

import base64
import binascii
import re
import warnings
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Any

import httpx
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from newsletter_bot.delivery.calls.event_values import check_age, date, decoded
from newsletter_bot.delivery.provider_events import ForgedError, HookRequest

NOTIFICATION = "Notification"
SUBSCRIPTION = "SubscriptionConfirmation"
# SNS gives up on an endpoint after an hour, however its retries are set (SNS guide, 2026-11).
_OLDEST = 3600.0
_MOST_KNOWN = 8  # certificates: Amazon has one in each region, for about a year
_HOST = r"https://sns\.(?P<region>[a-z0-9-]{2,40})\.amazonaws\.com(?P<china>\.cn)?"
_CERTIFICATE = re.compile(rf"{_HOST}/SimpleNotificationService-[0-9a-f]{{8,64}}\.pem")
_SUBSCRIBE = re.compile(rf"{_HOST}/\?Action=ConfirmSubscription&[\w=&:.%~-]{{1,2000}}", re.ASCII)
# Where the signing certificate says its issuer's is: the file holds the certificate alone, and
# that address is always plain http, since what comes is checked by its signature (2026-11).
_ISSUER = re.compile(
    r"http://(?:crt\.[a-z0-9]{1,20}\.amazontrust|cacerts\.digicert)\.com/[\w.-]{1,80}", re.ASCII
)
# The text that is signed joins fields by line breaks, so that a value with a line break could pass
# for two fields: ids and times must look like such.
_SHAPES = {
    "MessageId": re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
    "Timestamp": re.compile(r"[0-9T:.Z-]{20,30}"),
    "SubscribeURL": _SUBSCRIBE,
    "Token": re.compile(r"\w{1,1000}", re.ASCII),
}
_ABOUT_US = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_SIGNED = {
    NOTIFICATION: ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    SUBSCRIPTION: _ABOUT_US,
    "UnsubscribeConfirmation": _ABOUT_US,
}

Envelope = dict[str, str]


def envelope_of(body: bytes) -> Envelope | None:
    """Return the fields of what SNS posted; None when it is no such thing."""
    found: Any = decoded(body)
    if not isinstance(found, dict) or str(found.get("Type")) not in _SIGNED:
        return None
    return {str(name): value for name, value in found.items() if isinstance(value, str)}


def confirmation_of(envelope: Envelope, topics: Collection[str]) -> str:
    """Return the address that confirms a subscription to a topic of ours; empty for any other."""
    ours = envelope.get("Type") == SUBSCRIPTION and envelope.get("TopicArn") in topics
    url = envelope.get("SubscribeURL", "")
    return url if ours and _SUBSCRIBE.fullmatch(url) else ""


def trusted_roots() -> list[x509.Certificate]:
    """Return the authorities that calls by HTTP trust as well."""
    found = []
    for content in httpx.create_ssl_context().get_ca_certs(binary_form=True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old roots are written carelessly
            try:
                found.append(x509.load_der_x509_certificate(content))
            except ValueError:
                continue
    return found


class Signatures:
    """Checks what SNS signed; keeps the certificates that it trusts, for its threads to share."""

    def __init__(
        self,
        topics: Collection[str],
        *,
        sha1: bool = True,
        roots: Callable[[], list[x509.Certificate]] = trusted_roots,
    ) -> None:
        self._topics = frozenset(topics)
        self._hashes: dict[str, hashes.HashAlgorithm] = {"2": hashes.SHA256()}
        if sha1:  # what a topic signs with unless it is told otherwise
            self._hashes["1"] = hashes.SHA1()  # noqa: S303 - Amazon's choice, and the operator's
        self._roots = roots
        self._known: dict[str, x509.Certificate] = {}

    def check(self, request: HookRequest) -> Envelope:
        """Return what SNS posted; raises ForgedError, or OutsideError as `fetch` does."""
        envelope = envelope_of(request.body)
        if envelope is None:
            # Raw message delivery is one of these: it carries no signature to check.
            raise ForgedError("it is no signed message of SNS")
        self._check_fields(envelope)
        check_age(date(envelope, "Timestamp"), request.now, _OLDEST)
        certificate = self._certificate(envelope, request)
        self._check_signature(envelope, certificate)
        return envelope

    def _check_fields(self, envelope: Envelope) -> None:
        if envelope.get("TopicArn") not in self._topics:
            raise ForgedError("its topic is none of ours")
        for name in _SIGNED[envelope["Type"]]:
            shape = _SHAPES.get(name)
            if shape is not None and not shape.fullmatch(envelope.get(name, "")):
                raise ForgedError(f"its {name} is none of Amazon's")

    def _check_signature(self, envelope: Envelope, certificate: x509.Certificate) -> None:
        algorithm = self._hashes.get(envelope.get("SignatureVersion", ""))
        if algorithm is None:
            raise ForgedError("its signature's version is not taken")
        key = certificate.public_key()
        if not isinstance(key, rsa.RSAPublicKey):
            raise ForgedError("its certificate is of another kind")
        try:
            signature = base64.b64decode(envelope.get("Signature", ""), validate=True)
            key.verify(signature, _signed_text(envelope), padding.PKCS1v15(), algorithm)
        except (binascii.Error, ValueError, InvalidSignature) as error:
            raise ForgedError("its signature is wrong") from error

    def _certificate(self, envelope: Envelope, request: HookRequest) -> x509.Certificate:
        """Return the certificate at an address of Amazon's, in the topic's region, fetched once."""
        url = envelope.get("SigningCertURL", "")
        place = _CERTIFICATE.fullmatch(url)
        if place is None or place["region"] != envelope["TopicArn"].split(":")[3]:
            raise ForgedError("its certificate is not at Amazon's")
        known = self._known.get(url)
        now = datetime.fromtimestamp(request.now, UTC)
        if known is None or not known.not_valid_before_utc <= now <= known.not_valid_after_utc:
            known = self._trusted(place, request.fetch, now)
            while len(self._known) >= _MOST_KNOWN:
                self._known.pop(next(iter(self._known)), None)
            self._known[url] = known
        return known

    def _trusted(
        self, place: re.Match[str], fetch: Callable[[str], bytes], now: datetime
    ) -> x509.Certificate:
        try:
            leaf, *between = x509.load_pem_x509_certificates(fetch(place[0]))
            name = _name_in(leaf, _names(place["region"], place["china"] or ""))
            between = between or _issuers(leaf, fetch)
            policy = PolicyBuilder().store(Store(self._roots())).time(now)
            policy.build_server_verifier(x509.DNSName(name)).verify(leaf, between)
        except (ValueError, VerificationError, x509.ExtensionNotFound) as error:
            raise ForgedError(f"its certificate cannot be trusted: {error}") from error
        return leaf


def _names(region: str, china: str) -> list[str]:
    """Return whom a region's certificate is made out to (as in AWS's SDK for Java, 2026-11)."""
    end = f"amazonaws.com{china}"
    names = [f"sns-signing.{region}.{end}", f"sns.{region}.{end}", f"sns-{region}.{end}"]
    if region.startswith("us-gov-"):
        names.append(f"sns-us-gov-west-1.{end}")
    return [f"sns.{end}", *names]


def _name_in(leaf: x509.Certificate, names: Collection[str]) -> str:
    listed = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    for name in listed.get_values_for_type(x509.DNSName):
        if name in names:
            return name
    raise ValueError("it is not made out to SNS")


def _issuers(leaf: x509.Certificate, fetch: Callable[[str], bytes]) -> list[x509.Certificate]:
    access = leaf.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    issuers = AuthorityInformationAccessOID.CA_ISSUERS
    for entry in access:
        url = str(entry.access_location.value)
        if entry.access_method == issuers and _ISSUER.fullmatch(url):
            return [x509.load_der_x509_certificate(fetch(url))]
    raise ValueError("it does not say where its issuer is")


def _signed_text(envelope: Envelope) -> bytes:
    names = [name for name in _SIGNED[envelope["Type"]] if name in envelope]
    text = "".join(f"{name}\n{envelope[name]}\n" for name in names)
    return text.encode("utf-8", errors="surrogatepass")
