"""What a server's words mean: whose fault a refusal is, and whether it asks us to slow down."""

from __future__ import annotations

import re
from enum import StrEnum

_CODE = re.compile(r"\s*([245])(\d\d)\b")
_ENHANCED = re.compile(r"\b([245])\.(\d{1,3})\.(\d{1,3})\b")
_NO_SUCH_USER = re.compile(
    r"(user|recipient|mailbox|address|account)\b.{0,30}\b(unknown|not found|not exist|disabled"
    r"|unavailable|invalid)|(no such|unknown|invalid) (user|recipient|mailbox|address)",
    re.IGNORECASE,
)
_ABOUT_US = re.compile(
    r"\b(spam|block(ed|list)?|black-?list(ed)?|denied|dmarc|dkim|spf|reputation|ptr|unsolicited"
    r"|policy|not authori[sz]ed|authentication)\b",
    re.IGNORECASE,
)
_GREYLISTED = re.compile(r"gr[ea]y-?list", re.IGNORECASE)
_SLOW_DOWN = re.compile(
    r"\b(rate|too (many|fast)|throttl\w*|slow down|quota for sending)\b", re.IGNORECASE
)

SERVICE_CLOSING = 421


class Kind(StrEnum):
    """Whom or what a reply that is not positive speaks about."""

    ADDRESS = "address"  # no such reader
    MAILBOX = "mailbox"  # the reader's, and not now: full, disabled
    THROTTLE = "throttle"  # we are too fast for this domain or relay
    ABOUT_US = "about us"  # our name, our authentication, our reputation: never the reader's fault
    CONTENT = "content"  # what we send: too large, malformed, a virus
    OTHER = "other"


def kind_of(reply: str) -> Kind:
    """Read a reply like "550 5.7.26 unauthenticated" (RFC 5321 section 4.2, RFC 3463).

    The enhanced code says more than the three digits; where both disagree on whether it is for
    good, the three digits are right, because they are what mail servers act on.
    """
    code = _CODE.match(reply)
    for_now = code is not None and code[1] == "4"
    if _NO_SUCH_USER.search(reply):
        return Kind.ADDRESS
    enhanced = _ENHANCED.search(reply)
    if for_now and _asks_to_slow_down(reply, enhanced):
        return Kind.THROTTLE
    if enhanced is not None and enhanced[2] != "0":
        return _by_enhanced_code(enhanced)
    return Kind.ABOUT_US if not for_now and _ABOUT_US.search(reply) else Kind.OTHER


def _asks_to_slow_down(reply: str, enhanced: re.Match[str] | None) -> bool:
    if _GREYLISTED.search(reply):
        return False
    if reply.startswith(str(SERVICE_CLOSING)) or _SLOW_DOWN.search(reply):
        return True
    # 4.7.1 alone is what most greylisting says; Gmail and Microsoft throttle with other 4.7.x.
    return enhanced is not None and (
        enhanced.group(2, 3) == ("3", "2") or (enhanced[2] == "7" and enhanced[3] != "1")
    )


def _by_enhanced_code(enhanced: re.Match[str]) -> Kind:
    subject, detail = enhanced[2], enhanced[3]
    match subject:
        case "1":
            return Kind.ADDRESS
        case "2":
            return Kind.MAILBOX
        case "6":
            return Kind.CONTENT
        case "7":
            return Kind.ABOUT_US
        case "3" if detail == "4":
            return Kind.CONTENT
        case "4" if detail == "4":
            return Kind.ADDRESS
        case _:
            return Kind.OTHER


def without_identifiers(reply: str) -> str:
    """Strip what differs from message to message, so that like replies can be counted together."""
    return re.sub(r"\S*\d\S*", "#", reply[3:]) if _CODE.match(reply) else reply
