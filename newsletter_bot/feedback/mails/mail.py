"""One mail taken apart: what its sender wrote, what machines are told, what was returned."""

from __future__ import annotations

import re
from dataclasses import dataclass

from newsletter_bot.feedback.mails.decode import LONGEST, as_lines
from newsletter_bot.feedback.mails.mime import RETURNED, Part, leaves, part_of

_NOTHING = 15  # letters before a message pasted in, too few to be the notice
_ENOUGH = 40  # letters of plain text beside which HTML says nothing new
_LONGEST_NOTICE = 60_000
_LONGEST_TEXT = 200_000  # with what was pasted behind it

# Lines behind which programs put the message they return.
_MARK = re.compile(
    r"^[ \t>]{0,8}(?:[-=_*+]{2,80}[ \t]{0,4}|[^\w\n]{0,4})(?:"
    r"Below (?:this line )?is a copy of the (?:original )?message|(?:Here|This) is a copy of the"
    r"|This is a copy of (?:the|your) message|Original message (?:follows|headers|text|as received)"
    r"|Original message|The original message (?:follows|was as follows|is attached)|Unsent message"
    r"|Message (?:header|headers|text|body) follows?|No message was collected"
    r"|Returned (?:mail|message)|START OF RETURNED MESSAGE"
    r"|(?:The )?header of the (?:original|source)"
    r"|Included is a copy of the message header|The attachment contains the original mail headers"
    r"|Your (?:original )?message (?:follows|reads)|original mail(?: info)?"
    r"|Original mail as follows|Rest of (?:the )?(?:original )?message"
    r"|En-t.{1,3}tes de message d.origine|Intestazioni originali del messaggio"
    r"|Urspr.{1,2}ngliche Nachricht(?:enkopfzeilen)?|Mensaje original|Message d.origine"
    r"|A copy of the original message below|Message Hops|First \d+ lines of the"
    r")(?:[ \t]{0,4}[-=_*+:.(]|[ \t]{0,4}$|[^\n]{0,60}[-:=.][ \t]{0,4}$)",
    re.MULTILINE | re.IGNORECASE,
)
_HEAD = re.compile(
    r"^[ \t>|]{0,4}(?:Received: ?(?:from|by|\()|Return-Path: ?<|DKIM-Signature: |X-Received: )",
    re.MULTILINE | re.IGNORECASE,
)
_FIELD = re.compile(
    r"(?:(?:From|To|Subject|Date|Message-ID|MIME-Version|Content-Type|Reply-To|Sender|X-Mailer"
    r"|List-[A-Za-z]{1,20}|Precedence|Errors-To|User-Agent): ?[^\n]*\n"
    r"(?:[ \t][^\n]*\n){0,20}){4,40}",
    re.IGNORECASE,
)
_FIELD_AT = re.compile(r"^(?=[A-Z][A-Za-z-]{1,20}:)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Mail:
    """The parts of a mail by what they are for."""

    head: Part
    notice: str  # what a person reads, without the message returned
    statuses: tuple[str, ...]  # delivery-status parts
    reports: tuple[str, ...]  # feedback-report parts
    receipts: tuple[str, ...]  # disposition-notification parts
    returned: str  # the message returned, or what there is of it, undecoded but for its transfer
    cut: bool

    def field_of_returned(self, name: str) -> str:
        """Return a header of the message returned, or ""."""
        return part_of(self.returned).get(name)


def take_apart(data: bytes) -> Mail:
    """Read a mail's bytes; every input has an answer, and none takes long."""
    lines = as_lines(data)
    head = part_of(lines)
    parts = leaves(head)
    notice, pasted = _split(_notice(parts)[:_LONGEST_TEXT])
    returned = [one.decoded() for one in parts if one.type in RETURNED]
    returned += [_whole(one) for one in parts if one is not head and _is_bare(one)]
    return Mail(
        head=head,
        notice=notice[:_LONGEST_NOTICE],
        statuses=_of_type(parts, "delivery-status", "delivery_status"),
        reports=_of_type(parts, "feedback-report"),
        receipts=_of_type(parts, "disposition-notification"),
        returned="\n".join(returned).lstrip("\n") if returned else pasted,
        cut=len(data) > LONGEST,
    )


def _of_type(parts: list[Part], *endings: str) -> tuple[str, ...]:
    return tuple(one.decoded() for one in parts if one.type.endswith(endings))


def _notice(parts: list[Part]) -> str:
    texts = [one for one in parts if _is_text(one) and (len(parts) == 1 or not _is_bare(one))]
    plain = [one.text() for one in texts if one.type != "text/html"]
    if sum(len(one.strip()) for one in plain) < _ENOUGH:
        plain += [one.text() for one in texts if one.type == "text/html"]
    return "\n".join(plain)


def _is_bare(part: Part) -> bool:
    """Tell whether a part is a message without a part's head around it (Mail2000)."""
    return bool(part.raw("received") or part.raw("return-path"))


def _whole(part: Part) -> str:
    return "\n".join(f"{name}: {value}" for name, value in part.headers) + f"\n\n{part.body}"


def _is_text(part: Part) -> bool:
    if part.type in RETURNED:
        return False
    return part.type.startswith(("text/", "multipart/")) or part.type == "message/plain"


def _split(text: str) -> tuple[str, str]:
    """Cut a notice where the message returned begins, if it was pasted into the text."""
    found = _MARK.search(text)
    head = _HEAD.search(text)
    ends = [one.start() for one in (found, head) if one]
    ends += [at for at in (_fields_at(text[: min(ends, default=len(text))]),) if at is not None]
    if not ends:
        return text, ""
    end = min(ends)
    start = found.end() if found and found.start() == end else end
    before, returned = text[:end], text[start:].lstrip("\n -=")
    return (before if len(before.strip()) > _NOTHING else text), returned


def _fields_at(text: str) -> int | None:
    for at in _FIELD_AT.finditer(text):
        if _FIELD.match(text, at.start()) and (at.start() > 0):
            return at.start()
    return None
