"""Where programs put the address that failed when no field does: a row for each way, best first."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from newsletter_bot.feedback.mails.addresses import ADDRESS, addresses, is_a_machines, tidy
from newsletter_bot.feedback.mails.mail import Mail

_A = rf"<?(?:mailto:|smtp:)?(?P<a>{ADDRESS})>?"
_SAID = r"(?P<said>.*)"
_LABELS = (
    (
        r"(?:(?:failed|original|undeliverable|intended|invalid|bad|recipient'?s?) )?"
        r"(?:e-?mail )?(?:recipient|address|rcpt|addressee)s?(?: address)?"
    ),
    r"addressed to|rcpt to|could not be delivered to|was not delivered to|undeliverable to",
    r"unable to deliver (?:message )?to|failed to (?:deliver|send) (?:message |mail )?to",
    r"recipient\(s\)|mailbox|destinat\w{2,10}|destination|status: error, address",
    r"unknown user|unknown host|invalid final delivery userid",
    r"user mailbox exceeds allowed size|delivery failed \d{1,3} attempts",
)
_REASONS = (
    r"[:(\[;-].*|on (?:mon|tue|wed|thu|fri|sat|sun|\d).*|invalid address.*|delivery failed.*",
    r"(?:was|is|does|not|failed|unknown|user|mailbox|because|has|address)\b.*|\.\.\..*",
    r"[45]\d\d\b.*",
)
_NOUNS = r"(?:deliver\w*|mail|message|sent|addressed|address|recipient|user|account|mailbox)\b"


@dataclass(frozen=True, slots=True)
class Spot:
    """One way to name who did not get it; `line` is searched in each line."""

    name: str
    note: str
    line: str

    @property
    def pattern(self) -> re.Pattern[str]:
        """The line's pattern, compiled when a mail first needs it."""
        return _compiled(self.line)


@dataclass(frozen=True, slots=True)
class Named:
    """An address, where it stood, and what was said beside it."""

    address: str
    spot: str
    said: str

    @property
    def written(self) -> str:
        """The address we wrote to, where an alias was expanded (Sendmail, Exim); else ""."""
        found = _EXPANDED.search(self.said[:2_000])
        return tidy(found["a"]) if found else ""


def _spot(name: str, note: str, *line: str) -> Spot:
    return Spot(name, note, "".join(line))


@cache
def _compiled(line: str) -> re.Pattern[str]:
    return re.compile(line, re.IGNORECASE)


_SPOTS = (
    _spot(
        "<address>:",
        "qmail, Postfix, Yahoo, MXLogic, Courier",
        rf"^[ \t]{{0,8}}(?:To ?: ?)?<(?P<a>{ADDRESS})>[ \t]?:",
        _SAID,
    ),
    _spot(
        "labelled",
        "GroupWise, iPlanet, HotPOP, SurfControl, Trend Micro, MAILsweeper, ezweb, KDDI, IMail",
        rf"^\W{{0,8}}(?:{'|'.join(_LABELS)})[ \t]{{0,8}}[:=]?[ \t]{{0,20}}[\"']?",
        _A,
        _SAID,
    ),
    _spot(
        "SMTP=address",
        "X.400 names of Exchange 5.5",
        r"\bSMTP=(?P<a>[^\s;>@]{1,64}@[^\s;>@]{1,255})",
        _SAID,
    ),
    _spot(
        "address alone",
        "Exim, Sendmail, Exchange, Domino, Notes, Gmail, Biglobe, m-FILTER, GMX, 1&1",
        rf"^[\s>*•·\"'(\[-]{{0,16}}{_A}[\"')\].,;:]{{0,3}}[ \t]*(?P<said>)$",
    ),
    _spot(
        "address and reason",
        "OpenSMTPD, Exchange ('on Mon, …'), GroupWise ('(…)'), X1 ('[…]'), Zoho, Office 365",
        rf"^[\s>*•\"'-]{{0,16}}{_A}[\"']?(?:<mailto:[^<>\n]{{0,330}}>)?[ \t]{{0,8}}",
        rf"(?P<said>{'|'.join(_REASONS)})",
    ),
    _spot(
        "name and address",
        "Exchange, Mercury",
        r"^[\s>*•-]{0,16}(?:\"[^\"\n]{1,80}\"|[\w .,'-]{1,60})[ \t]?",
        rf"<(?:mailto:)?(?P<a>{ADDRESS})>[ \t]*(?P<said>)$",
    ),
    _spot(
        "550 <address>...",
        "Sendmail 5 and 8",
        rf"^[<> ]{{0,4}}[45]\d\d[ -](?:[45]\.\d{{1,3}}\.\d{{1,3}}[ ])?{_A}[:,. ]",
        _SAID,
    ),
    _spot(
        "generated from",
        "Exim, where the address that failed is kept from us",
        rf"\((?:ultimately )?generated from {_A}\)",
        _SAID,
    ),
    _spot("RCPT TO", "transcripts", rf"RCPT TO:? ?{_A}", _SAID),
    _spot(
        "(address)",
        "Domino, X2, Yahoo",
        rf"\b(?:user|account|mailbox|recipient|address)\b[^()\n]{{0,80}}\((?P<a>{ADDRESS})\)",
        _SAID,
    ),
    _spot(
        "sentence",
        "Microsoft SMTP, MDaemon, Demon, Facebook, Gmail ('wasn't delivered to …'), Mercury",
        rf"{_NOUNS}[^@\n]{{0,100}}?(?<!from)[ \t:(\[\"'<]{_A}",
        _SAID,
    ),
)
_SURE = 6  # ways of naming that are believed of our own address too
_LINES = 2_000
_LONGEST_LINE = 1_000
_AFTER = 12  # lines behind an address that may tell why
_MOST = 100
_LOCAL = re.compile(r"^[ \t]+([\w.-]{2,64})[ \t]*$", re.MULTILINE)
_AOL = re.compile(r"following recipients? could not be delivered", re.IGNORECASE)
_FROM = re.compile(rf"\bfrom:? {_A}", re.IGNORECASE)
_EXPANDED = re.compile(rf"\((?:expanded|(?:ultimately )?generated) from:? {_A}", re.IGNORECASE)
_SENDER = re.compile(
    r"^[ \t>]{0,8}(?:from|sender|return-path|reply-to|errors-to):[^\n]{0,400}",
    re.MULTILINE | re.IGNORECASE,
)


def named(mail: Mail) -> list[Named]:
    """Return who did not get it, by the best way of naming that a notice uses."""
    ours = _ours(mail)
    lines = [one[:_LONGEST_LINE] for one in mail.notice.split("\n")[:_LINES]]
    header = addresses(mail.head.get("x-failed-recipients").replace(",", " "))
    if header:
        return _with_header(header, lines, ours)
    return (
        _first(_SPOTS, lines, ours)
        or _first(_SPOTS[:_SURE], lines, set())
        or _of_aol(mail)
        or _anywhere(mail, ours)
        or _of_returned(mail, ours)
    )


def _first(spots: Iterable[Spot], lines: list[str], ours: set[str]) -> list[Named]:
    return next((found for spot in spots if (found := _by(spot, lines, ours))), [])


def _with_header(header: list[str], lines: list[str], ours: set[str]) -> list[Named]:
    """Return whom X-Failed-Recipients names, with what the text says of them (Exim, Gmail)."""
    wanted = {one.casefold() for one in header}
    for spot in _SPOTS:
        found = [one for one in _by(spot, lines, ours) if one.address.casefold() in wanted]
        if found:
            told = {one.address.casefold() for one in found}
            rest = [one for one in header if one.casefold() not in told]
            return [*found, *(Named(one, "X-Failed-Recipients", "") for one in rest)]
    return [Named(one, "X-Failed-Recipients", "") for one in header]


def _by(spot: Spot, lines: list[str], ours: set[str]) -> list[Named]:
    at, pattern = [], spot.pattern
    for number, line in enumerate(lines):
        found = pattern.search(line) if "@" in line else None
        address = tidy(found["a"]) if found else ""
        if found and address and address.casefold() not in ours and not is_a_machines(address):
            at.append((number, address, found["said"]))
    kept: dict[str, Named] = {}
    ends = [*(number for number, _, _ in at[1:]), len(lines)]
    for (number, address, said), end in zip(at, ends, strict=False):
        behind = lines[number + 1 : min(end, number + 1 + _AFTER)]
        text = "\n".join((said, *behind))
        old = kept.get(address.casefold())
        text = f"{old.said}\n{text}" if old else text
        kept[address.casefold()] = Named(address, spot.name, text[: _LONGEST_LINE * _AFTER])
    return list(kept.values())[:_MOST]


def _ours(mail: Mail) -> set[str]:
    """Return addresses that are the sender's own: they stand in every bounce."""
    head = mail.head
    own = head.all("to", "delivered-to", "x-original-to", "envelope-to", "from", "reply-to")
    values = [*own, *_SENDER.findall(mail.returned[:20_000])]
    ours = {one.casefold() for value in values for one in addresses(value)}
    wanted = addresses(mail.field_of_returned("to")[:2_000])
    return ours - {one.casefold() for one in wanted}


def _foreign(text: str, ours: set[str]) -> list[str]:
    return [one for one in addresses(text) if one.casefold() not in ours and not is_a_machines(one)]


def _anywhere(mail: Mail, ours: set[str]) -> list[Named]:
    for text in (_FROM.sub("", mail.notice[:8_000]), mail.head.get("subject")):
        good = _foreign(text, ours)
        if good:
            return [Named(good[0], "anywhere", "")]
    return []


def _of_aol(mail: Mail) -> list[Named]:
    """AOL named its readers without their domain (2002 to 2010)."""
    sender = addresses(mail.head.get("from"))
    if not sender or not _AOL.search(mail.notice):
        return []
    domain = sender[0].rpartition("@")[2]
    found = _LOCAL.findall(mail.notice)[:_MOST]
    return [Named(f"{one}@{domain}", "name alone", "") for one in found]


def _of_returned(mail: Mail, ours: set[str]) -> list[Named]:
    """Take whom the returned message was for: our messages have one reader each."""
    for name in ("to", "x-original-to", "delivered-to"):
        good = _foreign(mail.field_of_returned(name)[:2_000], ours)
        if len(good) == 1:
            return [Named(good[0], "returned To", "")]
    return []
