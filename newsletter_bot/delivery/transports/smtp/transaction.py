"""One mail transaction (RFC 5321 section 3.3): its commands, and what is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from newsletter_bot.delivery.model import Message, Outcome, refused
from newsletter_bot.delivery.transports.smtp.wire import Wire


class Step(Enum):
    """What a reply answers."""

    RSET = auto()
    MAIL = auto()
    RCPT = auto()
    DATA = auto()
    FINAL = auto()
    LONE_DOT = auto()
    QUIT = auto()


@dataclass(slots=True)
class Transaction:
    """A message on its way through a session."""

    message: Message
    cleared: bool = False  # the ledger says that it may be delivered
    withdrawn: bool = False  # it must not be delivered, and nobody waits for its outcome
    invited: bool = False  # the server waits for its content
    outcome: Outcome | None = None  # once refused, until the replies to its other commands are in
    end: int | None = None  # how many bytes have left when its final dot has

    def has_left(self, wire: Wire) -> bool:
        """Tell whether the final dot has left: from there on it may have been delivered."""
        return self.end is not None and self.end <= wire.sent


def mail(message: Message, features: Mapping[str, str]) -> bytes:
    """Write MAIL with the parameters that the server offered in EHLO."""
    words = [f"MAIL FROM:<{message.sender}>"]
    if "size" in features:
        words.append(f"SIZE={len(message.content)}")
    if message.needs_smtputf8:
        words.append("SMTPUTF8")
        if "8bitmime" in features:
            words.append("BODY=8BITMIME")  # its header holds UTF-8 (RFC 6531 section 3.6)
    return (" ".join(words) + "\r\n").encode()


def recipient(message: Message) -> bytes:
    """Write RCPT."""
    return f"RCPT TO:<{message.recipient}>\r\n".encode()


def impossible(message: Message, features: Mapping[str, str]) -> Outcome | None:
    """Refuse here what the server's own words in EHLO rule out (RFC 6531, RFC 1870)."""
    if message.needs_smtputf8 and "smtputf8" not in features:
        return refused("the relay does not offer SMTPUTF8, which this address needs")
    limit = features.get("size", "").strip()
    if limit.isdigit() and 0 < int(limit) < len(message.content):
        return refused(
            f"552 5.3.4 {len(message.content)} bytes are more than the relay's SIZE {limit}"
        )
    return None


def dot_stuffed(message: Message) -> bytes:
    """Return the content, with a dot that begins a line doubled (RFC 5321 section 4.5.2)."""
    if message.dotless:
        return message.content
    stuffed = message.content.replace(b"\r\n.", b"\r\n..")
    return b"." + stuffed if stuffed.startswith(b".") else stuffed
