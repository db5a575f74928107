"""A mail's bytes → what it is, whom it is about and whose fault that is: pure, the whole of it."""

from __future__ import annotations

from dataclasses import replace

from newsletter_bot.feedback.mails import dsn
from newsletter_bot.feedback.mails.affected import MOST, by_fields, by_names
from newsletter_bot.feedback.mails.arf import complaint
from newsletter_bot.feedback.mails.automatic import auto_reply, challenge, receipt
from newsletter_bot.feedback.mails.mail import Mail, take_apart
from newsletter_bot.feedback.mails.mime import part_of
from newsletter_bot.feedback.mails.model import Affected, Fault, Kind, Reading
from newsletter_bot.feedback.mails.notices import is_delay, signs
from newsletter_bot.feedback.mails.ties import mailto_token, ties

_SURE = 6  # weight of signs that nothing else outweighs
_LIKELY = 5
_ACTIONS = frozenset({"delayed", "delivered", "relayed", "expanded", "failed"})
_FAILED = "not delivered, for good"
_LATE = "not delivered yet, still being tried"


def read_mail(data: bytes) -> Reading:
    """Read a mail that came back to us; every input has an answer and raises nothing.

    At most 1 MB of it is read. Nothing here is verified: whoever acts on it checks the tokens of
    `ties` (RFC 3464, RFC 3834, RFC 5965, RFC 8098; the words of MTAs are in `rules.toml`).
    """
    return _read(take_apart(data), deeper=True)


def _read(mail: Mail, *, deeper: bool) -> Reading:
    return (
        _by_status(mail)
        or _by_complaint(mail)
        or _by_receipt(mail)
        or (_inside(mail) if deeper else None)
        or _by_notice(mail, least=_LIKELY)
        or _automatic(mail)
        or _by_notice(mail, least=0)
        or _reading(mail, Kind.OTHER, "nothing in it says that anything came back", "nothing")
    )


def _by_status(mail: Mail) -> Reading | None:
    """Read RFC 3464: by its part, or by its fields in the text."""
    told, found = dsn.groups(mail.statuses), "delivery-status"
    if not told:
        told, found = dsn.groups([mail.notice]), "fields in text"
    if not told or (found != "delivery-status" and not signs(mail).enough):
        return None
    failed = [one for one in told if _action(one, mail) == "failed"]
    late = [one for one in told if _action(one, mail) == "delayed"]
    if failed:
        return _reading(mail, Kind.BOUNCE, _FAILED, found, by_fields(mail, failed, found))
    if late:
        return _reading(mail, Kind.DELAY, _LATE, found, by_fields(mail, late, found))
    return _reading(mail, Kind.OTHER, "a report of success", found)


def _action(group: dsn.Group, mail: Mail) -> str:
    if group.action in _ACTIONS:
        return group.action
    if group.status.startswith("2"):
        return "delivered"
    return "delayed" if group.status.startswith("4") and is_delay(mail) else "failed"


def _by_complaint(mail: Mail) -> Reading | None:
    told = complaint(mail)
    if told is None:
        return None
    reason = f"a complaint: {told.feedback}"
    recipients = tuple(
        Affected(one, "", Fault.BLOCK, reason, "complaint", told.found)
        for one in told.addresses[:MOST]
    )
    reading = _reading(mail, Kind.COMPLAINT, reason, told.found, recipients)
    return replace(reading, feedback=told.feedback)


def _by_receipt(mail: Mail) -> Reading | None:
    told = receipt(mail)
    # Dovecot says with a receipt, too, that a message was not delivered (2.3, 2026-11).
    if not told or signs(mail).weight >= _SURE:
        return None
    return _reading(mail, Kind.AUTO_REPLY, f"a receipt: {told}", "disposition-notification")


def _inside(mail: Mail) -> Reading | None:
    """Read the report inside a report: some gateways wrap what passes them (InterScan)."""
    wrapped = part_of(mail.returned).type == "multipart/report"
    if not wrapped or "sender" not in signs(mail).names:
        return None
    inner = _read(take_apart(mail.returned.encode("latin-1", "replace")), deeper=False)
    if inner.kind not in {Kind.BOUNCE, Kind.DELAY}:
        return None
    return replace(inner, ties=ties(mail) or inner.ties, found=f"{inner.found}, wrapped")


def _by_notice(mail: Mail, least: int) -> Reading | None:
    """Read a bounce by its words alone; `least` weight of signs, where others may be right too."""
    weighed = signs(mail)
    if not weighed.enough or weighed.weight < least or (least and "words" not in weighed.names):
        return None
    by = f"by {', '.join(weighed.names)}"
    if is_delay(mail):
        return _reading(mail, Kind.DELAY, f"{_LATE} ({by})", "text", by_names(mail))
    return _reading(mail, Kind.BOUNCE, f"not delivered ({by})", "text", by_names(mail))


def _automatic(mail: Mail) -> Reading | None:
    told = challenge(mail)
    if told:
        return _reading(mail, Kind.OTHER, f"a challenge-response mail ({told})", "text")
    told = auto_reply(mail)
    if told:
        return _reading(mail, Kind.AUTO_REPLY, f"nobody wrote it ({told})", told)
    if mailto_token(mail.head):
        return _reading(mail, Kind.UNSUBSCRIBE, "sent to an unsubscribe address", "address")
    return None


def _reading(
    mail: Mail, kind: Kind, reason: str, found: str, recipients: tuple[Affected, ...] = ()
) -> Reading:
    return Reading(
        kind=kind,
        reason=reason,
        found=found,
        recipients=recipients,
        ties=ties(mail),
        sender=mail.head.get("from"),
        subject=mail.head.get("subject"),
        message_id=mail.head.get("message-id").strip("<> "),
        cut=mail.cut,
    )
