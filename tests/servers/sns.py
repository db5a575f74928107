"""Amazon SNS: signs what it posts, with a certificate of an authority of its own."""

from __future__ import annotations

import base64
import datetime as dt
import json
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from uuid import uuid4

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from newsletter_bot.outside import OutsideError

TOPIC = "arn:aws:sns:eu-west-1:123456789012:mail"
CERTIFICATE = (
    "https://sns.eu-west-1.amazonaws.com/"
    "SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"
)
ISSUER = "http://crt.r2m01.amazontrust.com/r2m01.cer"
SUBSCRIBE = (
    "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription"
    f"&TopicArn={TOPIC}&Token=2336412f37fb687f5d51e6e2425929f5"
)
_ORDER = ("Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn")


@cache
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass
class Sns:
    """`files` is what is found at which address; `fetched` are the addresses that were asked."""

    name: str = "sns.amazonaws.com"
    issuer: str = ISSUER
    certificate: str = CERTIFICATE
    topic: str = TOPIC
    days: tuple[int, int] = (-30, 30)  # from when and until when the certificate is good
    now: float = 1_795_000_000.0
    files: dict[str, bytes] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        root_key, between_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        self.root = self._authority("Amazon Root CA 1", root_key, None, root_key)
        between = self._authority("Amazon RSA 2048 M01", between_key, self.root, root_key)
        leaf = self._leaf(between, between_key)
        self.files[self.certificate] = leaf.public_bytes(serialization.Encoding.PEM)
        self.files[self.issuer] = between.public_bytes(serialization.Encoding.DER)

    def fetch(self, url: str) -> bytes:
        self.fetched.append(url)
        if url not in self.files:
            raise OutsideError("HTTP 404")
        return self.files[url]

    def notification(self, message: object, *, version: str = "2", **fields: str) -> bytes:
        """Post an event of SES: a document, or text as it is."""
        text = message if isinstance(message, str) else json.dumps(message)
        subject = {"Subject": "Amazon SES Email Event Notification"}
        return self.post({"Type": "Notification", "Message": text, **subject, **fields}, version)

    def subscription(self, **fields: str) -> bytes:
        told = {"Type": "SubscriptionConfirmation", "Message": "You have chosen to subscribe."}
        address = {"SubscribeURL": SUBSCRIBE, "Token": "2336412f37fb687f5d51e6e2425929f5"}
        return self.post({**told, **address, **fields}, "2")

    def post(self, fields: dict[str, str], version: str) -> bytes:
        at = dt.datetime.fromtimestamp(self.now, dt.UTC)
        whole: dict[str, Any] = {
            "MessageId": str(uuid4()),
            "TopicArn": self.topic,
            "Timestamp": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            **fields,
        }
        named = [(name, whole[name]) for name in (*_ORDER, "Type") if name in whole]
        text = "".join(f"{name}\n{value}\n" for name, value in named).encode()
        algorithm = hashes.SHA1() if version == "1" else hashes.SHA256()
        signature = rsa_key().sign(text, padding.PKCS1v15(), algorithm)
        whole |= {"SignatureVersion": version, "SigningCertURL": self.certificate}
        return json.dumps({**whole, "Signature": base64.b64encode(signature).decode()}).encode()

    # ── certificates ─────────────────────────────────────────────────────────────────────────

    def _authority(
        self,
        name: str,
        key: ec.EllipticCurvePrivateKey,
        issuer: x509.Certificate | None,
        signing: ec.EllipticCurvePrivateKey,
    ) -> x509.Certificate:
        usage = x509.KeyUsage(*([True, *[False] * 4, True, True, False, False]))
        built = (
            self._builder(name, key.public_key(), issuer, (-60, 60))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .add_extension(_authority_of(signing), critical=False)
        )
        return built.sign(signing, hashes.SHA256())

    def _leaf(
        self, issuer: x509.Certificate, signing: ec.EllipticCurvePrivateKey
    ) -> x509.Certificate:
        where = x509.AccessDescription(
            AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier(self.issuer)
        )
        purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        built = (
            self._builder(self.name, rsa_key().public_key(), issuer, self.days)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(self.name)]), False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(purpose, critical=False)
            .add_extension(x509.AuthorityInformationAccess([where]), critical=False)
            .add_extension(_authority_of(signing), critical=False)
        )
        return built.sign(signing, hashes.SHA256())

    def _builder(
        self,
        name: str,
        key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
        issuer: x509.Certificate | None,
        days: tuple[int, int],
    ) -> x509.CertificateBuilder:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = dt.datetime.fromtimestamp(self.now, dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject if issuer is None else issuer.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + dt.timedelta(days=days[0]))
            .not_valid_after(now + dt.timedelta(days=days[1]))
        )


def _authority_of(key: ec.EllipticCurvePrivateKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
