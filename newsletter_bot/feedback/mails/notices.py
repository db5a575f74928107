"""Whether a mail is a bounce though no field says so: by its writer, its subject and its words."""

from __future__ import annotations

import re
from dataclasses import dataclass

from newsletter_bot.feedback.mails.mail import Mail
from newsletter_bot.feedback.mails.rules import phrase

_NULL = re.compile(r"<\s*>|<?mailer.?daemon", re.IGNORECASE)
_CODE = re.compile(
    r"(?<![\d.])(?:[45]\d\d[ -]#?[45]\.\d{1,3}\.\d{1,3}|5\d\d[ -]{1,3}[<A-Za-z(#]|#[45]\.\d\.\d)"
)
_ENOUGH = 4
_WITHOUT_WORDS = 5
# A person may write of a bounce and quote it, in the same words.
_MACHINE = frozenset({"X-Failed-Recipients", "report", "sender", "return path", "program"})
_BEGINNING = 200


@dataclass(frozen=True, slots=True)
class Signs:
    """How much speaks for a bounce, and what does."""

    weight: int
    names: tuple[str, ...]

    @property
    def enough(self) -> bool:
        """Whether together they are believed."""
        told = "words" in self.names or "codes" in self.names
        machine = _MACHINE.intersection(self.names)
        return bool(machine) and self.weight >= (_ENOUGH if told else _WITHOUT_WORDS)


def signs(mail: Mail) -> Signs:
    """Weigh what speaks for a bounce; a person's mail about one has a person's head."""
    head, notice = mail.head, mail.notice[:20_000]
    null = any(_NULL.match(one.strip()) for one in head.all("return-path"))
    found = {
        "X-Failed-Recipients": 5 if head.raw("x-failed-recipients") else 0,
        "report": 3 if _is_report(mail) else 0,
        "sender": _of_sender(f"{head.get('from')} {head.get('sender')}"),
        "return path": 2 if null else 0,
        "program": 2 if phrase("program").search(_first_line(notice)) else 0,
        "subject": 2 if phrase("subject").search(head.get("subject")) else 0,
        "words": 1 if phrase("sentence").search(notice) else 0,
        "codes": 1 if _CODE.search(notice) else 0,
        "returned": 1 if mail.returned.strip() else 0,
    }
    if not null and not found["sender"]:
        answer = head.get("subject").lower().startswith(("re:", "aw:", "fwd:", "fw:", "sv:"))
        found["answer"] = -2 * answer - bool(head.raw("in-reply-to"))
    return Signs(sum(found.values()), tuple(name for name, weight in found.items() if weight > 0))


def _of_sender(sender: str) -> int:
    if phrase("mailer-daemon").search(sender):
        return 3
    return 2 if phrase("daemon").search(sender) or not sender.strip() else 0


def _first_line(text: str) -> str:
    return text.lstrip()[:_BEGINNING].partition("\n")[0]


def is_delay(mail: Mail) -> bool:
    """Tell whether a notice without machine-readable action says that delivery goes on."""
    text = f"{mail.head.get('subject')}\n{mail.notice[:6_000]}"
    return phrase("delay").search(text) is not None and phrase("over").search(text) is None


def _is_report(mail: Mail) -> bool:
    kind = mail.head.parameters.get("report-type", "").lower()
    return mail.head.type == "multipart/report" and kind in {"delivery-status", ""}
