"""SPF (RFC 7208): who may send in a domain's name, read far enough to see what breaks it."""

from __future__ import annotations

import re

from newsletter_bot.service.doctor.names import Names

_MOST = 10  # questions to DNS that a record may ask for, section 4.6.4
_ASKING = re.compile(r"[+?~-]?(include|a|mx|ptr|exists)(?:[:/]|$)|(redirect)=", re.IGNORECASE)
_TARGET = re.compile(r"(?:[+?~-]?include:|redirect=)(\S+)", re.IGNORECASE)
_ALL = re.compile(r"(?:^|\s)([+?~-]?)all(?:\s|$)", re.IGNORECASE)


def records(names: Names, domain: str) -> list[str]:
    """Return the SPF records of a domain; more than one is as wrong as can be (section 4.5)."""
    return [one for one in names.texts(domain) if re.match(r"v=spf1(?:\s|$)", one, re.IGNORECASE)]


def trouble(names: Names, record: str) -> str:
    """Say what makes receivers give up on a record, or believe everybody; else nothing."""
    found = _ALL.search(record)
    if found is not None and found[1] in {"", "+"}:
        return "it ends in `all`, by which anybody may send in your name"
    return _Walk(names).follow(record)


def is_open(record: str) -> bool:
    """Tell whether a record says nothing of those it does not name."""
    found = _ALL.search(record)
    if found is None:
        return "redirect=" not in record.lower()
    return found[1] == "?"


class _Walk:
    def __init__(self, names: Names) -> None:
        self._names = names
        self._asked = 0

    def follow(self, record: str) -> str:
        for term in record.split()[1:]:
            if not _ASKING.match(term):
                continue
            self._asked += 1
            if self._asked > _MOST:
                return f"it takes more than {_MOST} questions to DNS, and receivers ask no more"
            target = _TARGET.match(term)
            if target is not None and "%" not in target[1]:
                why = self._enter(target[1])
                if why:
                    return why
        return ""

    def _enter(self, domain: str) -> str:
        found = records(self._names, domain.rstrip("."))
        if len(found) != 1:
            count = "no SPF record" if not found else f"{len(found)} SPF records"
            return f"it includes {domain}, which has {count}"
        return self.follow(found[0])
