"""Rendering + recipient → the message's bytes, by joining pieces that were encoded once."""

from __future__ import annotations

import base64
import hashlib
import time
from dataclasses import dataclass, replace
from email.utils import formatdate
from functools import lru_cache, partial

from newsletter_bot.delivery.composing import headers
from newsletter_bot.delivery.composing.dkim import canonical, relaxed
from newsletter_bot.delivery.composing.encoding import encoded
from newsletter_bot.delivery.composing.senders import (
    domain_of,
    in_whose_name,
    senders_of,
    signer_of,
)
from newsletter_bot.delivery.model import Message, Recipient
from newsletter_bot.delivery.planning.links_store import Counted
from newsletter_bot.rendering.addresses import page_url
from newsletter_bot.rendering.model import Hole, Only, Pieces, Rendering, Static, filled
from newsletter_bot.rendering.tracked import READER, Visits, as_sent
from newsletter_bot.settings import Settings
from newsletter_bot.subscribers.tokens import Link, TokenSigner, mac

_ID = 12  # bytes that tell one message of an issue from the others


@dataclass(frozen=True, slots=True)
class _ListHeaders:
    """The headers that are the same for everybody on a list, by their places in a message."""

    domain: str
    sender: bytes
    list_id: bytes
    rest: bytes
    signed: bytes  # all of them as DKIM signs them


class Composer:
    """Makes every message of one issue; safe to share between threads.

    The header set is that of RFC 5322, 2369, 2919, 5064 and 8058, in a fixed order. Message-ID is
    derived from issue, subscriber and variant, so a retry carries the same one. Raises
    ConfigurationError when a sender has no address, or when [dkim] names a key of no use or the
    wrong domain.
    """

    def __init__(
        self,
        rendering: Rendering,
        settings: Settings,
        secret: bytes,
        counted: Counted | None = None,
    ) -> None:
        """Without `counted`, as in a proof, every link leads straight on and nothing is counted."""
        self._rendering = rendering
        self._settings = settings
        self._tokens = TokenSigner(secret)
        self._id_mac = mac(secret, b"message-id", _ID)
        self._id_mac.update(rendering.issue.encode() + b":")
        self._lists = {one.id: one for one in settings.lists}
        self._senders = senders_of(settings)
        self._signer = signer_of(settings, self._senders.values())
        self._boundary = f"=_{rendering.hash[:32]}"
        self._counted = counted if rendering.tracking.knows_readers else None
        html = as_sent(rendering, None if counted is None else self._visits(counted))
        self._text, self._html = encoded(rendering.text), encoded(html)
        self._frame = self._part_headers()
        self._mime = self._mime_headers()
        self._subjects = tuple(map(_Subject, rendering.subjects))
        parts = (*rendering.subjects, rendering.html, rendering.text)
        self._prefers = any(_has_slot(one, "preferences_url") for one in parts)
        self._fixed = lru_cache(maxsize=64)(self._list_headers)

    def domain_of(self, list_id: str) -> str:
        """Return the domain in whose name a list's messages are sent."""
        return domain_of((self._senders.get(list_id) or self._senders[""])[1])

    def compose(self, recipient: Recipient, date: int) -> Message:
        """Write one recipient's message, dated `date` (seconds since 1970 UTC).

        Raises DataError for a name or an address that no header can hold.
        """
        fixed = self._fixed(recipient.list)
        unsubscribe = self._tokens.unsubscribe_token(recipient.subscriber_id, recipient.list)
        link = f"{self._settings.newsletter.url}/u/{unsubscribe}"
        mailto = f"mailto:unsub+{unsubscribe}@{fixed.domain}?subject=unsubscribe"
        values = {**recipient.values, "unsubscribe_url": link}
        if self._prefers:  # a token more costs time: not for nothing
            values["preferences_url"] = self._preferences(recipient.subscriber_id)
        if self._counted is not None:
            issue = self._counted.issue_id
            values[READER] = self._tokens.visit_token(issue, recipient.delivery_id)
        address = headers.wire_address(recipient.address)
        token = self._tokens.bounce_token(recipient.delivery_id)
        dated = _dated(date)
        to = headers.line("To", headers.mailbox(recipient.name, address, "To"))
        subject = self._subjects[recipient.variant].line(values)
        name = headers.line("Message-ID", f"<{self._message_id(recipient)}@{fixed.domain}>")
        leave = headers.line("List-Unsubscribe", f"<{link}>,\r\n <{mailto}>")
        reference = headers.line("X-Newsletter-Bot-Ref", token)
        own = (to, subject, name, fixed.list_id, leave, fixed.rest, reference, self._mime)
        head = b"".join((dated, fixed.sender, *own))
        body = self._body(values)
        signature = b""
        if self._signer:
            # In the order of dkim.OF_A_MESSAGE.
            varying = b"".join(map(relaxed, (dated, to, subject, name, leave)))
            signature = self._signer.sign(varying + fixed.signed, body, int(time.time()))
        return Message(
            delivery_id=recipient.delivery_id,
            sender=f"bounce+{token}@{fixed.domain}",
            recipient=address,
            content=b"".join((signature, head, b"\r\n", body)),
            needs_smtputf8=not head.isascii(),
            dotless=True,  # headers fold with a blank, and `encoding` begins no line with a dot
        )

    def _visits(self, counted: Counted) -> Visits:
        issue = self._rendering.issue
        mac_of = partial(self._tokens.place_mac, issue)
        return Visits(self._settings.newsletter.url, issue, counted.numbers, mac_of)

    def _preferences(self, subscriber_id: int) -> str:
        token = self._tokens.link_token(Link.PREFERENCES, subscriber_id)
        return f"{self._settings.newsletter.url}/p/{token}"

    def _body(self, values: dict[str, str]) -> bytes:
        first, second, last = self._frame
        return b"".join((first, self._text.fill(values), second, self._html.fill(values), last))

    def _message_id(self, recipient: Recipient) -> str:
        state = self._id_mac.copy()
        state.update(b"%d" % recipient.subscriber_id)
        if recipient.variant:  # an editor gets a proof of each subject, which are several messages
            state.update(b".%d" % recipient.variant)
        return f"{self._rendering.issue.lower()}.{state.hexdigest()}"

    def _list_headers(self, list_id: str) -> _ListHeaders:
        newsletter = self._settings.newsletter
        name, address = self._senders.get(list_id) or self._senders[""]
        sender = in_whose_name((name, address), newsletter)
        title = headers.display_name(self._list_name(list_id), "List-Id")
        list_name = headers.line("List-Id", f"{title} <{list_id}.{self._domain}>")
        rest = [
            ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
            ("List-Help", f"<{newsletter.url}/>"),
            ("List-Subscribe", f"<{newsletter.url}/subscribe>"),
            ("List-Archive", f"<{newsletter.url}/>"),
            ("Archived-At", f"<{page_url(self._settings, self._rendering.issue)}>"),
            ("Feedback-ID", self._feedback_id(list_id)),
            ("X-Auto-Response-Suppress", "OOF, AutoReply"),
            ("Precedence", "bulk"),
        ]
        parts = (headers.block(sender), list_name, headers.block(rest))
        signed = canonical(b"".join((*parts, self._mime)))
        return _ListHeaders(domain_of(address), *parts, signed)

    def _mime_headers(self) -> bytes:
        return headers.block(
            [
                ("Content-Language", self._rendering.language),
                ("MIME-Version", "1.0"),
                ("Content-Type", f'multipart/alternative;\r\n boundary="{self._boundary}"'),
            ]
        )

    @property
    def _domain(self) -> str:
        # A list's own sender may change; List-Id and Feedback-ID stay, so they take this domain.
        return domain_of(self._senders[""][1])

    def _list_name(self, list_id: str) -> str:
        newsletter = self._settings.newsletter.name
        known = self._lists.get(list_id)
        return (
            newsletter if known is None or len(self._lists) == 1 else f"{newsletter}: {known.name}"
        )

    def _feedback_id(self, list_id: str) -> str:
        # Gmail: up to three names of ours and a SenderId of 5 to 15 characters that never changes;
        # no value may be unique to one message (Postmaster Tools documentation, 2026-11).
        sender = base64.b32encode(hashlib.sha256(self._domain.encode()).digest())[:10].decode()
        return f"{self._rendering.issue}:{list_id}:newsletter:{sender.lower()}"

    def _part_headers(self) -> tuple[bytes, bytes, bytes]:
        mark = self._boundary

        def part(kind: str, encoding: str) -> bytes:
            return (
                f"--{mark}\r\nContent-Type: {kind}; charset=utf-8\r\n"
                f"Content-Transfer-Encoding: {encoding}\r\n\r\n"
            ).encode()

        return (
            part("text/plain", self._text.name),
            b"\r\n" + part("text/html", self._html.name),
            f"\r\n--{mark}--\r\n".encode(),
        )


def as_proof(rendering: Rendering) -> Rendering:
    """Mark the subject of a copy for the editor, so that nobody takes it for the real one."""
    marked = tuple((Static("[Proof] "), *subject) for subject in rendering.subjects)
    return replace(rendering, subjects=marked)


class _Subject:
    """The subject line: written once when it has no slot."""

    def __init__(self, pieces: Pieces) -> None:
        self._pieces = pieces
        self._same = self._written({}) if all(isinstance(one, Static) for one in pieces) else None

    def line(self, values: dict[str, str]) -> bytes:
        return self._same or self._written(values)

    def _written(self, values: dict[str, str]) -> bytes:
        return headers.line("Subject", headers.free_text(filled(self._pieces, values), "Subject"))


@lru_cache(maxsize=64)
def _dated(date: int) -> bytes:
    return headers.line("Date", formatdate(date))


def _has_slot(pieces: Pieces, name: str) -> bool:
    inner = (one.pieces if isinstance(one, Only) else (one,) for one in pieces)
    return any(isinstance(one, Hole) and one.name == name for part in inner for one in part)
