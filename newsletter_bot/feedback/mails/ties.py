"""What ties a mail that came back to a delivery: VERP tokens, references, Message-IDs."""

from __future__ import annotations

import re
from collections.abc import Iterable

from newsletter_bot.feedback.mails import dsn
from newsletter_bot.feedback.mails.mail import Mail
from newsletter_bot.feedback.mails.mime import Part
from newsletter_bot.feedback.mails.model import Ties

_MOST = 20  # of each kind: a mail that names more is a flood, not a bounce

# Where mail systems keep the address that a mail was delivered to (none is standard).
_ENVELOPE = (
    "delivered-to",
    "x-original-to",
    "envelope-to",
    "x-envelope-to",
    "x-rcpt-to",
    "x-forwarded-to",
    "x-delivered-to",
    "to",
    "cc",
    "received",
)
# `+` may have become %2B or =2B, and SRS or BATV may have wrapped the whole address.
_BOUNCE = re.compile(r"bounce(?:\+|%2b|=2b)([0-9a-f]{20,100})(?![0-9a-f])", re.IGNORECASE)
_UNSUB = re.compile(r"(?:unsub(?:\+|%2b|=2b)|/u/)([0-9a-f]{20,100})(?![0-9a-f])", re.IGNORECASE)
_REFERENCE = re.compile(
    r"^[ \t>|]{0,8}X-Newsletter-Bot-Ref:\s{0,20}([0-9a-f]{20,100})(?![0-9a-f])",
    re.IGNORECASE | re.MULTILINE,
)
_MESSAGE_ID = re.compile(
    r"^[ \t>|]{0,8}Message-ID:\s{0,20}<([^<>\s]{3,300})>", re.IGNORECASE | re.MULTILINE
)
_SOFT_BREAK = re.compile(r"=\n(?=[0-9A-Za-z+@%/])")


def mailto_token(head: Part) -> str:
    """Return the token of the unsubscribe address that a mail was sent to, or ""."""
    for value in head.all(*_ENVELOPE):
        for found in re.finditer(r"unsub(?:\+|%2b|=2b)([0-9a-f]{20,100})@", value, re.IGNORECASE):
            return found[1].lower()
    return ""


def ties(mail: Mail) -> Ties:
    """Collect what names a delivery: from the envelope first, then the report, then the return."""
    envelope = "\n".join(mail.head.all(*_ENVELOPE))
    returned = _SOFT_BREAK.sub("", mail.returned)
    machine = "\n".join((*mail.statuses, *mail.reports))
    places = (envelope, machine, returned, _SOFT_BREAK.sub("", mail.notice))
    references = _each(_REFERENCE, (returned, machine, mail.notice))
    return Ties(
        bounce_tokens=_unique(
            [*_each(_BOUNCE, places[:1]), *references, *_each(_BOUNCE, places[1:])]
        ),
        unsubscribe_tokens=_unique(_each(_UNSUB, places)),
        envelope_ids=tuple(dict.fromkeys(dsn.envelope_ids([*mail.statuses, mail.notice])))[:_MOST],
        message_ids=tuple(dict.fromkeys(_each(_MESSAGE_ID, places[1:])))[:_MOST],
    )


def _each(pattern: re.Pattern[str], texts: Iterable[str]) -> list[str]:
    return [found[1] for text in texts for found in pattern.finditer(text)]


def _unique(tokens: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.lower() for one in tokens))[:_MOST]
