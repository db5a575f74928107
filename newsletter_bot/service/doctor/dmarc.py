"""DMARC (RFC 9989): the policy that receivers find for a domain, by walking up the tree of DNS."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from newsletter_bot.service.doctor.names import Names

_MOST_LABELS = 8  # section 4.10: of a longer name the last seven are asked for after the whole
_REMOVED = ("pct", "rf", "ri")  # tags of RFC 7489 that are none any more


@dataclass(frozen=True, slots=True)
class Policy:
    """What a domain's record asks of receivers."""

    domain: str  # at whose `_dmarc` it was found
    tags: dict[str, str]
    own: bool  # of the domain itself, and not of one above

    @property
    def wanted(self) -> str:
        """What receivers are asked to do: none, quarantine or reject."""
        return (self.tags.get("p", "") if self.own else self._below()) or "none"

    @property
    def outdated(self) -> list[str]:
        """Tags that mean nothing any more."""
        return [one for one in _REMOVED if one in self.tags]

    def _below(self) -> str:
        return self.tags.get("sp") or self.tags.get("p", "")


def policy(names: Names, domain: str) -> Policy | None:
    """Return the policy that holds for a domain; None where there is none."""
    found = [(one, tags) for one in _walk(domain) if (tags := _record(names, one)) is not None]
    if not found:
        return None
    if found[0][0] == domain:
        return Policy(*found[0], own=True)
    marked = next((one for one in found if one[1].get("psd") == "n"), None)
    above = [one for one in found if one[1].get("psd") != "y"]
    chosen = marked or (above[-1] if above else found[-1])
    return Policy(*chosen, own=False)


def _walk(domain: str) -> Iterator[str]:
    labels = domain.split(".")
    yield domain
    rest = labels[1:] if len(labels) <= _MOST_LABELS else labels[1 - _MOST_LABELS :]
    for at in range(len(rest)):
        yield ".".join(rest[at:])


def _record(names: Names, domain: str) -> dict[str, str] | None:
    found = [tags for one in names.texts(f"_dmarc.{domain}") if (tags := _tags(one)) is not None]
    return found[0] if len(found) == 1 else None  # of several none counts


def _tags(record: str) -> dict[str, str] | None:
    if not re.match(r"v\s*=\s*DMARC1\s*(?:;|$)", record):
        return None
    pairs = (one.partition("=") for one in record.split(";") if "=" in one)
    return {name.strip().lower(): value.strip().lower() for name, _, value in pairs}
