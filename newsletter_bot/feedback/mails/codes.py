"""What enhanced status codes mean where they say enough (RFC 3463, IANA's registry of 2026-11)."""

from __future__ import annotations

import re

from newsletter_bot.feedback.mails.model import Fault

REPLY = re.compile(r"(?<![\d.:/=+-])([245]\d\d)(?=[ \-:;#,>)\]}'\"]|$)")
ENHANCED = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.]*\d)")

# Subject and detail → fault of a permanent failure. X.0.0, X.1.0, X.2.0 … say too little.
_PERMANENT = {
    "1.1": Fault.HARD,  # bad destination mailbox address
    "1.2": Fault.HARD,  # bad destination system address
    "1.3": Fault.HARD,  # bad destination mailbox address syntax
    "1.6": Fault.HARD,  # moved, no forwarding address
    "1.7": Fault.BLOCK,  # bad sender's mailbox address syntax
    "1.8": Fault.BLOCK,  # bad sender's system address
    "1.10": Fault.HARD,  # null MX (RFC 7505); Exchange: recipient not found
    "2.2": Fault.SOFT,  # mailbox full
    "2.3": Fault.SOFT,  # message too long for this mailbox
    "3.4": Fault.SOFT,  # message too big for system
    "4.4": Fault.HARD,  # unable to route: no such domain
    "4.310": Fault.HARD,  # Exchange Online: the domain does not exist
    "7.13": Fault.HARD,  # user account disabled (RFC 5248)
    "7.17": Fault.HARD,  # mailbox owner has changed (RFC 7293)
    "7.18": Fault.HARD,  # domain owner has changed (RFC 7293)
}
_PERMANENT_SUBJECTS = {
    "3": Fault.TECHNICAL,  # mail system
    "4": Fault.TECHNICAL,  # network and routing
    "5": Fault.TECHNICAL,  # protocol
    "6": Fault.TECHNICAL,  # content and conversion
    "7": Fault.BLOCK,  # security and policy
}
_FOR_NOW_SUBJECTS = {"4": Fault.TECHNICAL, "7": Fault.BLOCK}
_SAYS_NOTHING = {"3.0", "4.0", "5.0", "6.0"}


def fault_of(code: str) -> Fault | None:
    """Return what an enhanced code alone tells, or None where it tells too little.

    4.x.y is never hard: 450 4.1.1 is what greylisting and broken directories say.
    """
    kind, _, rest = code.partition(".")
    subject = rest.partition(".")[0]
    if rest == "0.0" or kind not in {"4", "5"}:
        return None
    if kind == "4":
        return _FOR_NOW_SUBJECTS.get(subject, Fault.SOFT)
    if rest in _SAYS_NOTHING:
        return None
    return _PERMANENT.get(rest) or _PERMANENT_SUBJECTS.get(subject)
