"""Rendering + recipient → the message's bytes, by joining pieces that were encoded once."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import replace
from email.utils import formatdate, parseaddr
from functools import lru_cache

from newsletter_bot.delivery import headers
from newsletter_bot.delivery.encoding import encoded
from newsletter_bot.delivery.model import Message, Recipient
from newsletter_bot.errors import ConfigurationError
from newsletter_bot.rendering.addresses import page_url
from newsletter_bot.rendering.model import Rendering, Static, filled
from newsletter_bot.settings import Settings
from newsletter_bot.subscribers.tokens import TokenSigner


class Composer:
    """Makes every message of one issue; safe to share between threads.

    The header set is that of RFC 5322, 2369, 2919, 5064 and 8058, in a fixed order. Message-ID is
    derived from issue and subscriber, so a retry carries the same one.
    """

    def __init__(self, rendering: Rendering, settings: Settings, secret: bytes) -> None:
        self._rendering = rendering
        self._settings = settings
        self._signer = TokenSigner(secret)
        self._id_key = hmac.digest(secret, b"message-id:" + rendering.issue.encode(), "sha256")
        self.sender_name, self.sender = _sender(settings)
        self.domain = self.sender.rpartition("@")[2]
        self._boundary = f"=_{rendering.hash[:32]}"
        self._text, self._html = encoded(rendering.text), encoded(rendering.html)
        self._frame = self._part_headers()
        self._lists = {one.id: one for one in settings.lists}
        self._fixed = lru_cache(maxsize=64)(self._fixed_headers)

    def compose(self, recipient: Recipient, date: int) -> Message:
        """Write one recipient's message, dated `date` (seconds since 1970 UTC)."""
        unsubscribe = self._signer.unsubscribe_token(recipient.subscriber_id, recipient.list)
        link = f"{self._settings.newsletter.url}/u/{unsubscribe}"
        values = {**recipient.values, "unsubscribe_url": link}
        address = headers.wire_address(recipient.address)
        token = self._signer.bounce_token(recipient.delivery_id)
        sender, list_id, list_rest, mime = self._fixed(recipient.list)
        mailto = f"mailto:unsub+{unsubscribe}@{self.domain}?subject=unsubscribe"
        block = headers.block
        content = b"".join(
            (
                block([("Date", formatdate(date))]),
                sender,
                block([("To", headers.mailbox(recipient.name, address, "To"))]),
                block([("Subject", self._subject(values))]),
                block([("Message-ID", f"<{self._message_id(recipient)}>")]),
                list_id,
                block([("List-Unsubscribe", f"<{link}>,\r\n <{mailto}>")]),
                list_rest,
                block([("X-Newsletter-Bot-Ref", token)]),
                mime,
                self._body(values),
            )
        )
        return Message(
            delivery_id=recipient.delivery_id,
            sender=f"bounce+{token}@{self.domain}",
            recipient=address,
            content=content,
            needs_smtputf8=not address.isascii(),
        )

    def _body(self, values: dict[str, str]) -> bytes:
        first, second, last = self._frame
        return b"".join((first, self._text.fill(values), second, self._html.fill(values), last))

    def _subject(self, values: dict[str, str]) -> str:
        return headers.free_text(filled(self._rendering.subjects[0], values), "Subject")

    def _message_id(self, recipient: Recipient) -> str:
        mac = hmac.digest(self._id_key, str(recipient.subscriber_id).encode(), "sha256")
        return f"{self._rendering.issue.lower()}.{mac[:12].hex()}@{self.domain}"

    def _fixed_headers(self, list_id: str) -> tuple[bytes, bytes, bytes, bytes]:
        """Write the headers that are the same for everybody on a list, in their four places."""
        newsletter = self._settings.newsletter
        name = headers.display_name(self._list_name(list_id), "List-Id")
        sender = [("From", headers.mailbox(self.sender_name, self.sender, "From"))]
        if newsletter.reply_to:
            sender.append(("Reply-To", _rewritten(newsletter.reply_to, "Reply-To")))
        list_rest = [
            ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
            ("List-Help", f"<{newsletter.url}/>"),
            ("List-Subscribe", f"<{newsletter.url}/>"),
            ("List-Archive", f"<{newsletter.url}/>"),
            ("Archived-At", f"<{page_url(self._settings, self._rendering.issue)}>"),
            ("Feedback-ID", self._feedback_id(list_id)),
            ("X-Auto-Response-Suppress", "OOF, AutoReply"),
            ("Precedence", "bulk"),
        ]
        mime = [
            ("Content-Language", self._rendering.language),
            ("MIME-Version", "1.0"),
            ("Content-Type", f'multipart/alternative;\r\n boundary="{self._boundary}"'),
        ]
        groups = (sender, [("List-Id", f"{name} <{list_id}.{self.domain}>")], list_rest, mime)
        first, second, third, fourth = map(headers.block, groups)
        return first, second, third, fourth

    def _list_name(self, list_id: str) -> str:
        newsletter = self._settings.newsletter.name
        known = self._lists.get(list_id)
        return (
            newsletter if known is None or len(self._lists) == 1 else f"{newsletter}: {known.name}"
        )

    def _feedback_id(self, list_id: str) -> str:
        # Gmail: up to three names of ours and a SenderId of 5 to 15 characters that never changes;
        # no value may be unique to one message (Postmaster Tools documentation, 2026-11).
        sender = base64.b32encode(hashlib.sha256(self.domain.encode()).digest())[:10].decode()
        return f"{self._rendering.issue}:{list_id}:newsletter:{sender.lower()}"

    def _part_headers(self) -> tuple[bytes, bytes, bytes]:
        mark = self._boundary

        def part(kind: str, encoding: str) -> bytes:
            return (
                f"--{mark}\r\nContent-Type: {kind}; charset=utf-8\r\n"
                f"Content-Transfer-Encoding: {encoding}\r\n\r\n"
            ).encode()

        return (
            b"\r\n" + part("text/plain", self._text.name),
            b"\r\n" + part("text/html", self._html.name),
            f"\r\n--{mark}--\r\n".encode(),
        )


def as_proof(rendering: Rendering) -> Rendering:
    """Mark the subject of a copy for the editor, so that nobody takes it for the real one."""
    marked = tuple((Static("[Proof] "), *subject) for subject in rendering.subjects)
    return replace(rendering, subjects=marked)


def _sender(settings: Settings) -> tuple[str, str]:
    name, address = parseaddr(settings.newsletter.from_)
    if not address.rpartition("@")[0] or not address.rpartition("@")[2]:
        raise ConfigurationError(
            f"newsletter.toml: newsletter.from: {settings.newsletter.from_!r} holds no address.",
            'Write it like "Weekly News <news@news.example.com>".',
        )
    return name, headers.wire_address(address)


def _rewritten(value: str, header: str) -> str:
    name, address = parseaddr(value)
    return headers.mailbox(name, headers.wire_address(address or value), header)
