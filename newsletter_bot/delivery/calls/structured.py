"""A message's bytes → its parts, for providers that take no MIME; one builder makes them all."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.header import decode_header, make_header
from email.utils import parseaddr
from functools import lru_cache

from newsletter_bot.delivery.calls.mime import split, texts
from newsletter_bot.delivery.model import Message

_SIGNATURE = re.compile(rb"(?:DKIM-Signature:[^\n]*\n(?:[ \t][^\n]*\n)*)+", re.IGNORECASE)
_REFERENCE = re.compile(rb"^X-Newsletter-Bot-Ref:[ \t]*(\S+)", re.IGNORECASE | re.MULTILINE)
# What a provider writes itself, or is given in fields of its own.
_OWN = frozenset(
    {"date", "from", "to", "subject", "reply-to", "message-id", "mime-version", "dkim-signature"}
)


@dataclass(frozen=True, slots=True)
class Structured:
    """The parts of a message of ours; texts are decoded, `headers` are those to be kept."""

    sender: str  # as in From: `"Name" <address>`; a name is always between quotes
    to: str  # the same
    recipient: str  # the bare address
    reply_to: str
    subject: str
    message_id: str  # in angle brackets
    text: str
    html: str
    headers: tuple[tuple[str, str], ...]  # ASCII
    reference: str  # the token of X-Newsletter-Bot-Ref: what an event names the delivery by


def structured(message: Message) -> Structured:
    """Take a message apart; Content-* and what the provider writes itself are left out."""
    found, rest = split(message.content)
    named = {name.lower(): value for name, value in found}
    bodies = texts(found, rest)
    kept = [
        (name, _plain(value))
        for name, value in found
        if name.lower() not in _OWN and not name.lower().startswith("content-")
    ]
    return Structured(
        sender=_mailbox(named.get("from", "")),
        to=_mailbox(named.get("to", ""), message.recipient),
        recipient=message.recipient,
        reply_to=_mailbox(named.get("reply-to", "")),
        subject=_decoded(named.get("subject", "")),
        message_id=named.get("message-id", ""),
        text=bodies.get("text/plain", ""),
        html=bodies.get("text/html", ""),
        headers=tuple(kept),
        reference=named.get("x-newsletter-bot-ref", ""),
    )


def without_signature(content: bytes) -> bytes:
    """Drop our DKIM signatures, which stand first: a provider signs, and may change headers.

    Yahoo: a second signature that breaks may cost the first one's worth (senders' page, 2026-11).
    """
    found = _SIGNATURE.match(content)
    return content[found.end() :] if found else content


def reference_of(content: bytes) -> str:
    """Return the token of X-Newsletter-Bot-Ref, for providers that take the MIME as it is."""
    found = _REFERENCE.search(content.partition(b"\r\n\r\n")[0])
    return found[1].decode("ascii", errors="replace") if found else ""


@lru_cache(maxsize=256)
def _decoded(value: str) -> str:
    return str(make_header(decode_header(value))) if "=?" in value else value


def _plain(value: str) -> str:
    """Decode a header; of one that names a list beyond ASCII, only `<the id>` is kept.

    Providers differ in what they make of such a name: Brevo passes it on as it is, 8 bits
    (django-anymail's notes, 2026-11).
    """
    found = _decoded(value)
    return (
        found if found.isascii() else found[found.rfind("<") :].encode("ascii", "ignore").decode()
    )


@lru_cache(maxsize=256)
def _mailbox(value: str, address: str = "") -> str:
    """Decode one mailbox. A reader's name must never read as an address more: `x <a@b>, y`."""
    name, written = parseaddr(value)
    words = re.sub(r"[\x00-\x1f\x7f-\x9f]+", " ", _decoded(name))
    quoted = words.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}" <{address or written}>' if words else address or written
