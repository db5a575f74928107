"""Rendering: an issue compiled once, cut at its slots; immutable and named by its content.

A part of a message is a tuple of pieces. Only holes and `only` blocks are decided per subscriber,
by substitution and comparison: no template engine, MJML or CSS runs after a Rendering is made.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any, assert_never
from urllib.parse import quote

from newsletter_bot.issues.model import Condition
from newsletter_bot.rendering.tracking import UNTRACKED, Tracking


class Escape(StrEnum):
    """How a value is written where its hole stands."""

    PLAIN = "plain"  # plain text and headers: control characters become spaces
    HTML = "html"  # HTML text and attribute values
    URL = "url"  # inside a link's path or query: percent-encoded
    LINK = "link"  # the hole is the whole address


@dataclass(frozen=True, slots=True)
class Static:
    """Text that is the same for every subscriber."""

    text: str


@dataclass(frozen=True, slots=True)
class Hole:
    """A slot's place: the field to put in, what to say without one, and how to escape it."""

    name: str
    fallback: str
    escape: Escape


@dataclass(frozen=True, slots=True)
class Only:
    """Pieces that only those subscribers see for whom every condition holds."""

    conditions: tuple[Condition, ...]
    pieces: tuple[Static | Hole, ...]


# A link to the web that no rule below would change.
_PLAIN_LINK = re.compile(r"https?://[A-Za-z0-9/:._~-]*+")

Piece = Static | Hole | Only
Pieces = tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Rendering:
    """What goes to readers: subject lines and the two bodies, cut at their slots."""

    issue: str
    subjects: tuple[Pieces, ...]
    html: Pieces
    text: Pieces
    language: str
    tracking: Tracking = UNTRACKED

    @property
    def hash(self) -> str:
        """The content hash that names this rendering (SHA-256, 64 hexadecimal digits)."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        """Write the rendering for the database, the same text for the same content."""
        value: dict[str, Any] = {
            "issue": self.issue,
            "language": self.language,
            "subjects": [_pieces_out(subject) for subject in self.subjects],
            "html": _pieces_out(self.html),
            "text": _pieces_out(self.text),
        }
        if self.tracking.is_on:  # else the content has the name that it always had
            value["tracking"] = self.tracking.to_json()
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Rendering:
        """Read back what `to_json` wrote."""
        value = json.loads(text)
        return cls(
            issue=value["issue"],
            language=value["language"],
            subjects=tuple(_pieces_in(subject) for subject in value["subjects"]),
            html=_pieces_in(value["html"]),
            text=_pieces_in(value["text"]),
            tracking=Tracking.from_json(value.get("tracking")),
        )


def escaped(value: str, escape: Escape) -> str:
    """Write a subscriber's value so that it stays a value where it comes out."""
    printable = value.isprintable()
    one_line = value if printable else "".join(c if c.isprintable() else " " for c in value)
    match escape:
        case Escape.PLAIN:
            return one_line
        case Escape.HTML:
            return html.escape(one_line)
        case Escape.URL:
            return quote(one_line, safe="")
        case Escape.LINK:
            if _PLAIN_LINK.fullmatch(value):  # as those of ours are
                return value
            # A reader's own value could be `javascript:`; a link leads to the web or to mail.
            safe = one_line.startswith(("https://", "http://", "mailto:"))
            return html.escape(quote(one_line, safe="/:?#[]@!$&()*+,;=%~")) if safe else "#"
        case _:
            assert_never(escape)


def applies(conditions: Iterable[Condition], values: Mapping[str, str]) -> bool:
    """Tell whether every condition of an `only` block holds for a subscriber's values."""
    return all(_holds(condition, values) for condition in conditions)


def filled(pieces: Pieces, values: Mapping[str, str]) -> str:
    """Join pieces for one subscriber's values; for previews, proofs and files, not for sending."""
    return "".join(_fill(piece, values) for piece in pieces)


def _holds(condition: Condition, values: Mapping[str, str]) -> bool:
    found = values.get(condition.field, "").casefold()
    return (found in _casefolded(condition.values)) != condition.negated


@lru_cache(maxsize=1024)
def _casefolded(values: tuple[str, ...]) -> frozenset[str]:
    return frozenset(value.casefold() for value in values)


def _fill(piece: Piece, values: Mapping[str, str]) -> str:
    match piece:
        case Static(text):
            return text
        case Hole(name, fallback, escape):
            return escaped(values.get(name) or fallback, escape)
        case Only(conditions, pieces):
            return filled(pieces, values) if applies(conditions, values) else ""
        case _:
            assert_never(piece)


def _pieces_out(pieces: Pieces) -> list[Any]:
    return [_piece_out(piece) for piece in pieces]


def _piece_out(piece: Piece) -> Any:
    match piece:
        case Static(text):
            return text
        case Hole(name, fallback, escape):
            return {"slot": name, "fallback": fallback, "escape": escape}
        case Only(conditions, pieces):
            only = [[one.field, list(one.values), one.negated] for one in conditions]
            return {"only": only, "pieces": _pieces_out(pieces)}
        case _:
            assert_never(piece)


def _pieces_in(values: list[Any]) -> Pieces:
    return tuple(_piece_in(value) for value in values)


def _piece_in(value: Any) -> Any:
    if isinstance(value, str):
        return Static(value)
    if "slot" in value:
        return Hole(value["slot"], value["fallback"], Escape(value["escape"]))
    conditions = tuple(Condition(name, tuple(values), no) for name, values, no in value["only"])
    return Only(conditions, _pieces_in(value["pieces"]))  # type: ignore[arg-type]
