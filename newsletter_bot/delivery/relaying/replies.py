"""What a server's words mean: whose fault a refusal is, and whether it asks us to slow down."""

from __future__ import annotations

import re
from enum import StrEnum

_CODE = re.compile(r"\s*([245]\d\d)\b")
# Not the first numbers of an IP address, of which replies about blocklists are full.
_ENHANCED = re.compile(r"(?<![\d.])[245]\.(\d{1,3})\.(\d{1,3})(?!\.?\d)")
_ADDRESS = re.compile(r"<?[^\s<>@]+@[^\s<>@]+>?")
_OUR_ADDRESS = re.compile(
    r"\b(sender( address)? (rejected|denied)|bad( outbound)? sender)\b", re.IGNORECASE
)
_NO_SUCH_USER = re.compile(
    r"(user|recipient|mailbox|(?<!IP )address|account)\b.{0,30}\b(unknown|not found|not exist"
    r"|invalid)|(no such|unknown|invalid) (user|recipient|mailbox|address)",
    re.IGNORECASE,
)
_UNAVAILABLE = re.compile(r"mailbox\b.{0,30}\bunavailable", re.IGNORECASE)
_FULL = re.compile(
    r"\b(mailbox|inbox|account|user|recipient|storage)\b.{0,30}\b(full|(over|exceeded) ?quota"
    r"|disabled|inactive|suspended|locked)\b"
    r"|\b(over|exceeded|exceeds) (the |its )?(quota|storage)\b",
    re.IGNORECASE,
)
_WHAT_WE_SEND = re.compile(
    r"\b(message|headers?|size)\b.{0,30}\b(too (large|big)|exceeds|malformed)\b"
    r"|\b(virus|malware)\b",
    re.IGNORECASE,
)
_ABOUT_US = re.compile(
    r"\b(spam|block(ed|list)?|black-?list(ed)?|denied|dmarc|dkim|spf|reputation|ptr|unsolicited"
    r"|policy|not authori[sz]ed|authentication)\b",
    re.IGNORECASE,
)
_GREYLISTED = re.compile(r"gr[ea]y-?list", re.IGNORECASE)
_SLOW_DOWN = re.compile(
    r"\b(rate|rate-?limit\w*|too (many|fast)|throttl\w*|slow down|quota for sending)\b",
    re.IGNORECASE,
)
# X.7.n that speak of names and keys, not of speed: RFC 7372, RFC 8616, Gmail's and Microsoft's own.
_AUTHENTICATION = {"20", "21", "22", "23", "24", "25", "26", "27", "29", "30", "31", "32", "40"}

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
    words = _ADDRESS.sub("", reply)  # `user@invalid.example` is no word about a user
    code = _CODE.match(words)
    for_now = code is not None and code[1].startswith("4")
    enhanced = _ENHANCED.search(words)
    subject, detail = enhanced.groups() if enhanced is not None else ("0", "0")
    if _OUR_ADDRESS.search(words):
        return Kind.ABOUT_US
    if for_now and _GREYLISTED.search(words):
        return Kind.OTHER
    if _NO_SUCH_USER.search(words) and not (subject == "1" and detail in {"7", "8"}):
        return Kind.ADDRESS
    if for_now and _asks_to_slow_down(words, subject, detail):
        return Kind.THROTTLE
    if subject != "0":
        found = _by_enhanced_code(subject, detail, for_now=for_now)
        if found is not Kind.OTHER:
            return found
    return _by_words(words, for_now=for_now)


def _asks_to_slow_down(words: str, subject: str, detail: str) -> bool:
    if words.lstrip().startswith(str(SERVICE_CLOSING)):
        return True
    if subject in {"1", "2"}:
        return False  # one reader gets too much mail: Gmail's 4.2.1
    # 4.7.1 alone is what most greylisting says; Gmail and Microsoft throttle with other 4.7.x.
    by_code = (subject, detail) == ("3", "2") or (
        subject == "7" and detail != "1" and detail not in _AUTHENTICATION
    )
    return by_code or _SLOW_DOWN.search(words) is not None


def _by_enhanced_code(subject: str, detail: str, *, for_now: bool) -> Kind:
    match subject, detail:
        case "1", "7" | "8":
            return Kind.ABOUT_US  # the sender's address
        case "1", _:
            return Kind.ADDRESS
        case ("2", "3") | ("3", "4") | ("6", _):
            return Kind.CONTENT
        case "2", _:
            return Kind.MAILBOX
        case "4", "1" if not for_now:
            return Kind.ADDRESS  # Microsoft's directory knows no such reader
        case "4", "4":
            return Kind.ADDRESS
        case "7", _:
            return Kind.ABOUT_US
        case _:
            return Kind.OTHER


def _by_words(words: str, *, for_now: bool) -> Kind:
    if _UNAVAILABLE.search(words):
        return Kind.MAILBOX if for_now else Kind.ADDRESS
    if _FULL.search(words):
        return Kind.MAILBOX
    if _WHAT_WE_SEND.search(words):
        return Kind.CONTENT
    return Kind.ABOUT_US if not for_now and _ABOUT_US.search(words) else Kind.OTHER


def without_identifiers(reply: str) -> str:
    """Strip what differs from message to message, so that like replies can be counted together."""
    code = _CODE.match(reply)
    words = _ADDRESS.sub("#", reply[code.end() :] if code else reply)
    return re.sub(r"\S*\d\S*", "#", words)
