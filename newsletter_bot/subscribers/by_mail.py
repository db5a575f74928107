"""A mail to unsub+TOKEN@… → what its token claims: the `mailto:` of List-Unsubscribe (RFC 2369).

A mail is hostile bytes. Its header alone is looked at, without decoding anything, so that neither
size nor nesting nor a charset can hurt.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from newsletter_bot.subscribers.tokens import TokenSigner, UnsubscribeClaim

_LONGEST_HEADER = 256 * 1024  # bytes; mail servers allow about half of it
_MOST = 100  # addresses that are looked at
_RECIPIENTS = (b"to", b"delivered-to", b"x-original-to", b"envelope-to", b"resent-to", b"cc")
_TOKEN = re.compile(rb"(?<![\w.+-])unsub\+([0-9a-fA-F]{46})@")
_FIELD = re.compile(rb"^([!-9;-~]+)[ \t]*:(.*(?:\n[ \t].*)*)", re.MULTILINE)
_REPORT = re.compile(rb"\s*multipart/report\b", re.IGNORECASE)


def read_mail(
    mail: bytes, signer: TokenSigner, recipients: Sequence[str] = ()
) -> UnsubscribeClaim | None:
    """Return whom a mail asks to unsubscribe, or None when it is no such mail.

    `recipients` are those of the envelope, where the mail server tells them. Who wrote it is not
    asked: the token is the authority. What a machine sent back (RFC 3834 answers, RFC 3464 bounces)
    asks for nothing; what a mail program wrote for its reader does.
    """
    fields = list(_fields(mail))
    if _is_answer(fields):
        return None
    texts = [one.encode("utf-8", "replace") for one in recipients]
    texts += [value for name, value in fields if name in _RECIPIENTS]
    for token in _tokens(texts):
        claim = signer.read_unsubscribe_token(token)
        if claim is not None:
            return claim
    return None


def _fields(mail: bytes) -> Iterable[tuple[bytes, bytes]]:
    head = mail[:_LONGEST_HEADER].replace(b"\r\n", b"\n").lstrip(b"\n")
    head = head.partition(b"\n\n")[0]
    return ((found[1].lower(), found[2]) for found in _FIELD.finditer(head))


def _is_answer(fields: Iterable[tuple[bytes, bytes]]) -> bool:
    for name, value in fields:
        words = value.strip().lower()
        if name == b"auto-submitted" and words.startswith((b"auto-replied", b"auto-notified")):
            return True
        if name == b"return-path" and words == b"<>":
            return True
        if name == b"content-type" and _REPORT.match(value):
            return True
        if name == b"precedence" and words == b"auto_reply":
            return True
        if name in {b"x-autoreply", b"x-autorespond", b"x-failed-recipients"}:
            return True
    return False


def _tokens(texts: Iterable[bytes]) -> list[str]:
    found = (one for text in texts for one in _TOKEN.finditer(text))
    return [one[1].decode("ascii") for one, _ in zip(found, range(_MOST), strict=False)]
