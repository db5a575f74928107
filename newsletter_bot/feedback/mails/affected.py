"""Whom a report is about, and whose fault each failure is: fields or names → `Affected`."""

from __future__ import annotations

from collections.abc import Sequence

from newsletter_bot.feedback.mails import dsn
from newsletter_bot.feedback.mails.classify import judge
from newsletter_bot.feedback.mails.mail import Mail
from newsletter_bot.feedback.mails.model import Affected
from newsletter_bot.feedback.mails.spots import Named, named

MOST = 50  # a message of ours has one reader; a report of hundreds is no answer to it
_LONGEST_REASON = 500


def by_fields(mail: Mail, groups: Sequence[dsn.Group], found: str) -> tuple[Affected, ...]:
    """Return whom the groups of a delivery status name; without an address, whom the text does."""
    names = named(mail)
    groups = _first_of_each(groups)
    told = tuple(_of_group(one, _around(mail, one, names, len(groups)), found) for one in groups)
    good = tuple(one for one in told if one.address)
    if good or not names:
        return _once(good or told)
    return _once(tuple(_of_name(one, mail, groups[0]) for one in names[:MOST]))


def _first_of_each(groups: Sequence[dsn.Group]) -> list[dsn.Group]:
    kept: dict[str, dsn.Group] = {}
    for one in groups:
        kept.setdefault(one.address.casefold(), one)
    return list(kept.values())[:MOST]


def by_names(mail: Mail) -> tuple[Affected, ...]:
    """Return whom the text of a notice names."""
    return _once(tuple(_of_name(one, mail) for one in named(mail)[:MOST]))


def _around(mail: Mail, group: dsn.Group, names: Sequence[Named], groups: int) -> list[str]:
    own = {group.address.casefold(), group.final.casefold()}
    beside = [one.said for one in names if one.address.casefold() in own]
    return [*beside, mail.notice] if groups == 1 else beside


def _of_group(group: dsn.Group, around: Sequence[str], found: str) -> Affected:
    verdict = judge(group.diagnostic, group.status, around)
    told = next((one for one in around if one.strip()), "")
    reason = group.diagnostic or told or f"{group.action} {group.status}".strip()
    return Affected(
        address=group.address,
        status=group.status or verdict.status,
        fault=verdict.fault,
        reason=_line(reason),
        rule=verdict.rule,
        found=found,
        final=group.final,
    )


def _of_name(one: Named, mail: Mail, group: dsn.Group | None = None) -> Affected:
    diagnostic = group.diagnostic if group and group.diagnostic else one.said
    status = group.status if group else dsn.enhanced_code(one.said)
    verdict = judge(diagnostic, status, [mail.notice, mail.head.get("subject")])
    return Affected(
        address=one.written or one.address,
        status=verdict.status,
        fault=verdict.fault,
        reason=_line(diagnostic if diagnostic.strip() else mail.notice),
        rule=verdict.rule,
        found=one.spot,
        final=one.address if one.written else "",
    )


def _once(recipients: tuple[Affected, ...]) -> tuple[Affected, ...]:
    kept: dict[str, Affected] = {}
    for one in recipients:
        kept.setdefault(one.address.casefold(), one)
    return tuple(kept.values())


def _line(text: str) -> str:
    return " ".join(text[: 4 * _LONGEST_REASON].split())[:_LONGEST_REASON]
