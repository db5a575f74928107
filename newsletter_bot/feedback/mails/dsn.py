"""The fields of a delivery status notification (RFC 3464), also where they stand in plain text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from newsletter_bot.feedback.mails.addresses import addresses, plain_address

_FIELD = re.compile(r"[ \t>|]{0,4}([A-Za-z][A-Za-z-]{3,40})[ \t]{0,4}:[ \t]*(.*)")
_STATUS = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.])")
_TYPE = re.compile(r"(?:smtp|x-[\w-]{1,30}|dns|unix|lmtp|x400|http)\s{0,4};\s{0,4}", re.IGNORECASE)

_RECIPIENTS = ("final-recipient", "original-recipient", "x-actual-recipient")
_OF_A_RECIPIENT = frozenset(
    {*_RECIPIENTS, "action", "status", "diagnostic-code", "remote-mta", "last-attempt-date"}
    | {"will-retry-until", "final-log-id", "x-display-name", "x-supplementary-info"}
    | {"x-notes-item", "disposition"}
)
_TELLING = frozenset({"action", "status", "diagnostic-code"})
_OF_THE_MESSAGE = frozenset(
    {"reporting-mta", "original-envelope-id", "arrival-date", "dsn-gateway", "received-from-mta"}
)
_LONGEST = 4_000
_MOST = 500


@dataclass(frozen=True, slots=True)
class Group:
    """What is told of one recipient."""

    address: str  # the one we wrote to, where it is told
    final: str
    action: str
    status: str
    diagnostic: str

    @property
    def tells(self) -> bool:
        """Whether it says something of a delivery, and is not merely a name."""
        return bool(self.action or self.status or self.diagnostic)


def groups(texts: Iterable[str]) -> list[Group]:
    """Return the recipients' groups of delivery-status parts, or of text that holds such fields."""
    told = islice((fields for text in texts for fields in _groups(text)), _MOST)
    found = [_group(fields) for fields in told]
    return [one for one in found if one.tells and (one.address or one.action or one.status)]


def envelope_ids(texts: Iterable[str]) -> list[str]:
    """Return what `Original-Envelope-Id` says."""
    return [
        value
        for text in texts
        for name, value in _fields(text)
        if name == "original-envelope-id" and value
    ]


def enhanced_code(text: str) -> str:
    """Return the first enhanced status code of a text (RFC 3463), never part of an IP address."""
    found = _STATUS.search(text)
    return found[0] if found else ""


def _groups(text: str) -> Iterator[dict[str, str]]:
    current: dict[str, str] = {}
    for name, value in _fields(text):
        if name == "":
            if any(one in current for one in _RECIPIENTS) and _TELLING & current.keys():
                yield current
                current = {}
            continue
        if name not in _OF_A_RECIPIENT:
            continue
        if name in current and name in _RECIPIENTS:
            yield current
            current = {}
        current.setdefault(name, value)
    if current:
        yield current


def _fields(text: str) -> Iterator[tuple[str, str]]:
    """Yield known fields unfolded, and ("", "") for a blank line."""
    name, value = "", ""
    for line in text.split("\n"):
        found = _FIELD.match(line)
        known = found is not None and _known(found[1].lower())
        if name and not known and line[:1] in {" ", "\t"} and line.strip():
            value = f"{value} {line.strip()}"[:_LONGEST]
            continue
        if name:
            yield name, value
            name = ""
        if found is not None and known:
            name, value = found[1].lower(), found[2].strip()[:_LONGEST]
        elif not line.strip():
            yield "", ""
    if name:
        yield name, value


def _known(name: str) -> bool:
    return name in _OF_A_RECIPIENT or name in _OF_THE_MESSAGE


def _group(fields: dict[str, str]) -> Group:
    final = _address(fields.get("final-recipient", ""))
    original = _address(fields.get("original-recipient", ""))
    actual = _address(fields.get("x-actual-recipient", ""))
    address = original or final or actual
    status = enhanced_code(fields.get("status", ""))
    diagnostic = _TYPE.sub("", fields.get("diagnostic-code", ""), count=1).strip()
    note = fields.get("status", "") if "(" in fields.get("status", "") else ""
    extra = fields.get("x-supplementary-info", "") or fields.get("x-notes-item", "")
    return Group(
        address=address,
        final=final if final.casefold() != address.casefold() else "",
        action=_action(fields.get("action", "")),
        status=status,
        diagnostic=" ".join(one for one in (diagnostic, note, extra) if one),
    )


def _action(value: str) -> str:
    word = re.match(r"[a-z]{1,20}", value.strip().lower())
    return word[0] if word else ""


def _address(value: str) -> str:
    """Return the address of "rfc822; someone@example.org", in whatever dress it comes."""
    text = value.partition(";")[2] if ";" in value else value
    found = addresses(text) or addresses(value)
    if found:
        return found[0]
    return plain_address(text)
