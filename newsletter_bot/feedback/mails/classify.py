"""Whose fault a failure is: the diagnostic's words first, then the codes, then the text around."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from newsletter_bot.feedback.mails import codes
from newsletter_bot.feedback.mails.addresses import ADDRESS
from newsletter_bot.feedback.mails.model import Fault
from newsletter_bot.feedback.mails.rules import Rule, Stage, rules

_LONGEST = 2_500

_URL = re.compile(r"\b(?:https?://|www\.)[^\s<>\"')]{1,300}")
_ADDRESSES = re.compile(ADDRESS)
# Exchange writes words that look like host names: RESOLVER.ADR.RecipNotFound.
_HOST = re.compile(
    r"(?<![@\w.-])(?!(?:resolver|queue|smtpsend|storedrv|routing|agent)\.)(?:[a-z0-9_-]{1,63}\.){1,8}[a-z]{2,24}\b(?:\[[0-9a-f.:]{3,45}\])?(?!\()"
)
_SPACE = re.compile(r"\s+")
_LISTS = re.compile(
    r"spamhaus|spamcop|barracuda|sorbs|abuseat|senderbase|uribl|surbl|dnsbl|\brbl|spam"
)
_AFTER_DATA = re.compile(
    r"in reply to (?:end of )?data|after (?:the )?(?:end of )?data|end of data|failed after i sent"
)
_AFTER_MAIL = re.compile(r"in reply to mail from|after mail from")
_COMMAND = re.compile(r">>> ?([a-z]{4})\b")
# What bounces say beside the reason, whatever the reason.
_BOILERPLATE = re.compile(
    r"this is a permanent error|i've given up|sorry it didn't work out|failed permanently"
    r"|if you have any questions[^.]{0,200}|please (?:send mail to|contact|check)[^.]{0,120}"
    r"|for (?:further|more) (?:assistance|information)[^.]{0,120}"
    r"|no further (?:delivery )?attempts?[^.]{0,60}"
    r"|permanent(?:ly)? (?:fatal )?(?:error|failure)s?|do not (?:reply|send)[^.]{0,80}"
    r"|automatically generated[^.]{0,60}|created automatically[^.]{0,60}"
    r"|message-id|mime-version|content-[a-z-]{4,30}:[^\n]{0,80}|this message is in mime[^.]{0,80}"
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A fault, and what decided it."""

    fault: Fault
    rule: str
    status: str


def judge(diagnostic: str, status: str = "", around: Sequence[str] = ()) -> Verdict:
    """Say whose fault it is.

    `diagnostic` is what the refusing server said, `status` the report's own code, `around` other
    text of the report, the nearest first. Words are believed before codes because servers choose
    codes carelessly (5.7.1 for an unknown user, 5.1.1 for spam); a reply of 4xx is never hard.
    """
    said = _Said(diagnostic, status)
    found = said.by_words(rules(Stage.SURE)) or said.by_code() or said.by_words(rules(Stage.UNSURE))
    for text in around:
        if found is not None:
            break
        other = _Said(text, said.code)
        found = (
            other.by_words(rules(Stage.SURE))
            or other.by_words(rules(Stage.UNSURE))
            or other.by_code()
        )
    if found is not None:
        return found
    # A refusal that nobody understands counts, but is not believed.
    return Verdict(Fault.SOFT, "no-rule", said.code)


def plain(text: str) -> str:
    """Return text as the rules see it: one line, lower case, no names that could mislead."""
    text = text[: 2 * _LONGEST].replace("’", "'").replace("`", "'").lower()
    text = _URL.sub(_page, text)
    text = _HOST.sub("~", _ADDRESSES.sub("@", text))
    text = _BOILERPLATE.sub(" ", text)
    return _SPACE.sub(" ", text).strip()[:_LONGEST]


def _page(found: re.Match[str]) -> str:
    known = _LISTS.search(found[0])
    return f"url {known[0]}" if known else "url"


class _Said:
    """One text of a server and the codes that belong to it."""

    def __init__(self, text: str, status: str) -> None:
        self._words = plain(text)
        self.code = _specific(self._words, len(self._words), first=True) or status

    def by_words(self, table: Sequence[Rule]) -> Verdict | None:
        """Return what the first rule that matches says, weighed by code and phase."""
        for rule in table:
            found = rule.words.search(self._words)
            if found is not None:
                return self._weighed(rule, found)
        return None

    def by_code(self) -> Verdict | None:
        """Return what the enhanced code says."""
        fault = codes.fault_of(self.code)
        if fault is Fault.HARD and self._for_now(len(self._words)):
            fault = Fault.SOFT
        return None if fault is None else Verdict(fault, f"code {self.code}", self.code)

    def _weighed(self, rule: Rule, found: re.Match[str]) -> Verdict:
        code = _specific(self._words, found.start()) or self.code
        if rule.fault is not Fault.HARD:
            return Verdict(rule.fault, rule.name, code)
        if self._for_now(found.start()):
            return Verdict(Fault.SOFT, f"{rule.name}, for now", code)
        command = self._command(found)
        if command == "data":
            return Verdict(Fault.SOFT, f"{rule.name}, after DATA", code)
        if command == "mail":
            return Verdict(Fault.BLOCK, f"{rule.name}, after MAIL FROM", code)
        return Verdict(Fault.HARD, rule.name, code)

    def _for_now(self, at: int) -> bool:
        """Tell whether the reply was 4xx: the three digits nearest before, else the code."""
        reply = _last(codes.REPLY, self._words, at) or codes.REPLY.search(self._words)
        if reply is not None:
            return reply[1].startswith("4")
        return (_specific(self._words, at) or self.code).startswith("4")

    def _command(self, found: re.Match[str]) -> str:
        """Return what the words answered, where a transcript or a remark tells.

        Carriers (docomo, KDDI; 2026-11) say "unknown user" to DATA of a reader whose filter refused
        it; what is said to MAIL FROM is about our own address.
        """
        command = _last(_COMMAND, self._words, found.start())
        if command is not None:
            return command[1]
        if _AFTER_DATA.search(self._words) is not None:
            return "data"
        return "mail" if _AFTER_MAIL.search(self._words) is not None else ""


def _last(pattern: re.Pattern[str], text: str, end: int) -> re.Match[str] | None:
    found = None
    for one in pattern.finditer(text, 0, end):
        found = one
    return found


def _specific(text: str, end: int, *, first: bool = False) -> str:
    """Return the last enhanced code before `end`, or the first, that says more than x.0.0."""
    found = [one[0] for one in codes.ENHANCED.finditer(text, 0, end)]
    told = [one for one in found if not one.endswith("0.0")]
    return (told[0] if first else told[-1]) if told else ""
