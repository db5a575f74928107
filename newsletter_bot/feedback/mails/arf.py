"""Complaints: feedback reports (RFC 5965), Microsoft's JMRP, and those that only look like them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from newsletter_bot.feedback.mails.addresses import addresses, is_a_machines
from newsletter_bot.feedback.mails.mail import Mail

_FIELD = re.compile(
    r"^([A-Za-z][A-Za-z-]{2,40}):[ \t]*([^\n]*(?:\n[ \t][^\n]*){0,20})", re.MULTILINE
)
_TYPE = re.compile(r"^Feedback-Type:[ \t]*([\w-]{1,40})", re.MULTILINE | re.IGNORECASE)
_READER = ("original-rcpt-to", "removal-recipient", "original-recipient", "final-recipient")
_READER_OF_RETURNED = (
    "x-hmxmroriginalrecipient",  # Microsoft's JMRP; it has no machine-readable part (2026-11)
    "x-original-to",
    "delivered-to",
    "envelope-to",
    "x-rcpt-to",
    "to",
)
_JMRP_FROM = re.compile(
    r"staff@hotmail\.com|@email-abuse\.amazonses\.com|jmrp@|abuse-report", re.IGNORECASE
)
_JMRP_SUBJECT = re.compile(r"complaint about message from", re.IGNORECASE)
_SAYS_SO = re.compile(
    r"^\W{0,10}this is an? (?:[\w.-]{1,60} )?(?:e-?mail )?abuse report",
    re.IGNORECASE | re.MULTILINE,
)
_REDACTED = re.compile(r"redacted|undisclosed|\[|\*\*|xxxx", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Complaint:
    """A complaint: what kind of feedback, where it stood, and of whom, unless that is redacted."""

    feedback: str
    found: str
    addresses: tuple[str, ...]


def complaint(mail: Mail) -> Complaint | None:
    """Return the complaint that a mail makes, or None when it makes none."""
    report = "\n".join(mail.reports) or (mail.notice if _TYPE.search(mail.notice) else "")
    if report:
        kind = _TYPE.search(report)
        found = "feedback-report" if mail.reports else "text"
        return Complaint(kind[1].lower() if kind else "abuse", found, _readers(mail, report))
    if _is_announced(mail):
        return Complaint("abuse", "content type", _readers(mail, mail.notice))
    if _is_jmrp(mail):
        return Complaint("abuse", "JMRP", _readers(mail, ""))
    return None


def _is_announced(mail: Mail) -> bool:
    kind = mail.head.parameters.get("report-type", "").lower()
    told = mail.head.type == "multipart/report" and kind == "feedback-report"
    return told or mail.head.get("x-arf").upper() == "YES" or bool(mail.head.get("x-xarf"))


def _is_jmrp(mail: Mail) -> bool:
    if mail.field_of_returned("x-hmxmroriginalrecipient"):
        return True
    by_name = _JMRP_FROM.search(mail.head.get("from")) is not None
    by_subject = _JMRP_SUBJECT.search(mail.head.get("subject")) is not None
    return (by_name and by_subject) or (
        _SAYS_SO.search(mail.notice) is not None and bool(mail.returned)
    )


def _readers(mail: Mail, report: str) -> tuple[str, ...]:
    fields = [(found[1].lower(), found[2]) for found in _FIELD.finditer(report)]
    told = [one for name, value in fields if name in _READER for one in addresses(value)]
    good = [one for one in told if not _REDACTED.search(one)]
    if good:
        return tuple(dict.fromkeys(good))
    for name in _READER_OF_RETURNED:
        value = mail.field_of_returned(name)
        found = [] if _REDACTED.search(value) else addresses(value)
        if found and not is_a_machines(found[0]):
            return (found[0],)
    return ()
