"""DKIM keys: the private half in a file that only we can read, the public half as a DNS record."""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import assert_never

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from newsletter_bot.errors import ConfigurationError

FEWEST_BITS = 1024  # RFC 8301 section 3.2: a shorter key is no signature to a verifier
USUAL_BITS = 2048
MOST_BITS = 4096  # the longest that every verifier must understand (RFC 8301 section 3.2)
_EXPONENT = 65537  # RFC 8301 section 3.2
_TXT_STRING = 255  # octets a string of a TXT record holds at most, RFC 1035 section 3.3.14


class Algorithm(StrEnum):
    """How a signature is made: the `a=` tag of RFC 6376 and RFC 8463."""

    RSA = "rsa-sha256"
    ED25519 = "ed25519-sha256"


@dataclass(frozen=True, slots=True)
class Record:
    """The TXT record that lets verifiers find a public key (RFC 6376 section 3.6)."""

    name: str
    value: str

    @property
    def strings(self) -> tuple[str, ...]:
        """The value in strings of at most 255 characters, as a zone file needs it."""
        places = range(0, len(self.value), _TXT_STRING)
        return tuple(self.value[at : at + _TXT_STRING] for at in places)

    @property
    def zone_line(self) -> str:
        """The record as a line of a zone file."""
        quoted = " ".join(f'"{one}"' for one in self.strings)
        return f"{self.name}. IN TXT ( {quoted} )"


@dataclass(frozen=True, slots=True)
class Key:
    """A private key; safe to share between threads."""

    private: RSAPrivateKey | Ed25519PrivateKey

    @property
    def algorithm(self) -> Algorithm:
        """What it signs with."""
        return Algorithm.RSA if isinstance(self.private, RSAPrivateKey) else Algorithm.ED25519

    @property
    def bits(self) -> int:
        """The length of an RSA key; of Ed25519 there is one length."""
        return self.private.key_size if isinstance(self.private, RSAPrivateKey) else 256

    def sign(self, data: bytes) -> bytes:
        """Sign data; OpenSSL works without the interpreter's lock."""
        if isinstance(self.private, RSAPrivateKey):
            return self.private.sign(data, PKCS1v15(), SHA256())
        return self.private.sign(hashlib.sha256(data).digest())  # the hash, RFC 8463 section 3

    def record(self, selector: str, domain: str) -> Record:
        """Write the record under which the public half is looked up."""
        public = self.private.public_key()
        if isinstance(self.private, RSAPrivateKey):
            kind = "rsa"
            raw = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        else:
            kind = "ed25519"
            raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
        value = f"v=DKIM1; k={kind}; p={base64.b64encode(raw).decode()}"
        return Record(f"{selector}._domainkey.{domain}", value)


def read_key(path: Path, algorithm: Algorithm) -> Key:
    """Read a private key in PEM; raises ConfigurationError when it is not there or not of use."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"The DKIM key {path} cannot be read: {error.strerror}.",
            "Restore it from a backup, correct [dkim] in newsletter.toml,"
            " or make a new one with `newsletter-bot dkim generate`.",
        ) from error
    try:
        private = load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _unusable(path, f"is no private key in PEM without a password ({error})") from error
    match algorithm:
        case Algorithm.RSA:
            if not isinstance(private, RSAPrivateKey):
                raise _unusable(path, "is no RSA key")
            if private.key_size < FEWEST_BITS:
                raise _unusable(path, f"has {private.key_size} bits, fewer than {FEWEST_BITS}")
            return Key(private)
        case Algorithm.ED25519:
            if not isinstance(private, Ed25519PrivateKey):
                raise _unusable(path, "is no Ed25519 key")
            return Key(private)
        case _:
            assert_never(algorithm)


def write_key(path: Path, algorithm: Algorithm, bits: int = USUAL_BITS) -> None:
    """Make a key at `path`, readable by its owner only; raises FileExistsError, never overwrites.

    `bits` is the length of an RSA key; an Ed25519 key has one length.
    """
    private: RSAPrivateKey | Ed25519PrivateKey
    if algorithm is Algorithm.RSA:
        private = generate_private_key(_EXPONENT, bits)
    else:
        private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)


def _unusable(path: Path, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"The DKIM key {path} {why}.",
        "Name another file in [dkim] of newsletter.toml, or make a key with"
        " `newsletter-bot dkim generate`.",
    )
