"""A message's bytes → its parts, for providers that take no MIME; one builder makes them all."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import parseaddr

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
    found = message_from_bytes(message.content, policy=policy.compat32)
    named = {name.lower(): _decoded(str(value)) for name, value in found.items()}
    kept = [
        (name, _plain(str(value)))
        for name, value in found.items()
        if name.lower() not in _OWN and not name.lower().startswith("content-")
    ]
    body = message_from_bytes(message.content, _class=EmailMessage, policy=policy.default)
    return Structured(
        sender=_mailbox(str(found.get("from", ""))),
        to=_mailbox(str(found.get("to", "")), message.recipient),
        recipient=message.recipient,
        reply_to=_mailbox(str(found.get("reply-to", ""))),
        subject=named.get("subject", ""),
        message_id=named.get("message-id", ""),
        text=_body(body, "plain"),
        html=_body(body, "html"),
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


def _decoded(value: str) -> str:
    unfolded = re.sub(r"\r?\n[ \t]+", " ", value)
    return str(make_header(decode_header(unfolded)))


def _plain(value: str) -> str:
    """Decode a header; of one that names a list beyond ASCII, only `<the id>` is kept.

    Providers differ in what they make of such a name: Brevo passes it on as it is, 8 bits
    (django-anymail's notes, 2026-11).
    """
    found = _decoded(value)
    return (
        found if found.isascii() else found[found.rfind("<") :].encode("ascii", "ignore").decode()
    )


def _mailbox(value: str, address: str = "") -> str:
    """Decode one mailbox. A reader's name must never read as an address more: `x <a@b>, y`."""
    name, written = parseaddr(re.sub(r"\r?\n[ \t]+", " ", value))
    words = re.sub(r"[\x00-\x1f\x7f-\x9f]+", " ", _decoded(name))
    quoted = words.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}" <{address or written}>' if words else address or written


def _body(message: EmailMessage, kind: str) -> str:
    part = message.get_body(preferencelist=(kind,))
    return "" if part is None else str(part.get_content()).replace("\r\n", "\n")
