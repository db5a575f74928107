"""Bodies encoded once: static bytes ready for the wire, with holes that any value may fill.

Both encodings of RFC 2045 are offered and the smaller one is taken for an issue. Whatever a slot
holds, no line grows beyond 76 characters or begins with a dot, no bare CR or LF appears and base64
stays aligned. No line has a tab, two blanks side by side or one at its end: the relaxed form of
such a body (RFC 6376 section 3.4.4) is the body itself, so that a signature needs only its hash.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, assert_never

from newsletter_bot.rendering.model import Hole, Only, Pieces, Static, applies, escaped

_SOFT_BREAK = b"=\r\n"
_LONGEST_RUN = 75  # characters: with the `=` of a soft break 76, RFC 2045 section 6.7 (5)
_BASE64_LINE = 57  # bytes that fill a line of 76 characters

# What quoted-printable must write as `=XX`, one byte at a time. RFC 2045 asks for all that is not
# printable ASCII and for white space at the end of a line; RFC 2049 section 3 (8) advises it for a
# dot and for `From ` at the start. Tabs and every blank but the first of a run are ours: see below.
_UNSAFE = re.compile(rb"[^ -<>-~]|(?<= ) | \Z|\A\.|\AF(?=rom )")
_UNSAFE_START = re.compile(rb"\A(?:\.|F(?=rom ))")
_AS_IT_IS = re.compile(r"(?!\.|From )(?: ?[!-<>-~]++)*+")  # nothing of it is unsafe
_HEX = tuple(b"=%02X" % byte for byte in range(256))


class EncodedBody(Protocol):
    """A body part whose static text is already encoded."""

    name: str

    def fill(self, values: Mapping[str, str]) -> bytes:
        """Return the encoded part for one subscriber, ending in a line break."""


def encoded(pieces: Pieces) -> EncodedBody:
    """Encode a part as quoted-printable or base64, whichever makes the smaller message."""
    printable = QuotedPrintable(pieces)
    base64 = Base64(pieces)
    return printable if printable.static_size <= base64.static_size else base64


def whole(text: str) -> tuple[str, bytes]:
    """Encode a body without slots; returns the encoding's name and the bytes.

    They end in one line break: empty lines behind it do not count in the relaxed form either.
    """
    body = encoded((Static(text.rstrip("\n")),))
    data = body.fill({})
    if isinstance(body, QuotedPrintable):
        data = data.removesuffix(b"=\r\n\r\n") + b"\r\n"  # of a piece's end no soft break is left
    return body.name, data


def _crlf(text: str) -> bytes:
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n").encode()


def _value(hole: Hole, values: Mapping[str, str]) -> bytes:
    return escaped(values.get(hole.name) or hole.fallback, hole.escape).encode()


@dataclass(frozen=True, slots=True)
class _Guarded:
    """Encoded pieces of an `only` block."""

    only: Only
    inner: tuple[bytes | Hole, ...]


class QuotedPrintable:
    """Quoted-printable (RFC 2045 section 6.7): a soft line break stands on both sides of a hole."""

    name = "quoted-printable"

    def __init__(self, pieces: Pieces) -> None:
        encoded_pieces = [_printable_piece(piece) for piece in pieces]
        self.static_size = sum(_printable_size(piece) for piece in encoded_pieces)
        # A template with empty places, so that filling copies it and looks at those alone; a hole
        # that occurs often, such as the unsubscribe link, is written once.
        self._holes: dict[Hole, list[int]] = {}
        self._guarded: list[tuple[int, _Guarded]] = []
        for at, one in enumerate(encoded_pieces):
            if isinstance(one, Hole):
                self._holes.setdefault(one, []).append(at)
            elif isinstance(one, _Guarded):
                self._guarded.append((at, one))
        self._template = [one if isinstance(one, bytes) else b"" for one in encoded_pieces]
        self._template.append(b"\r\n")

    def fill(self, values: Mapping[str, str]) -> bytes:
        """Put a subscriber's values between the static segments."""
        parts = self._template.copy()
        for hole, places in self._holes.items():
            value = _printable_value(hole, values)
            for at in places:
                parts[at] = value
        for at, piece in self._guarded:
            if applies(piece.only.conditions, values):
                parts[at] = b"".join([_printable(inner, values) for inner in piece.inner])
        return b"".join(parts)


def _printable(piece: bytes | Hole, values: Mapping[str, str]) -> bytes:
    return piece if isinstance(piece, bytes) else _printable_value(piece, values)


def _printable_value(hole: Hole, values: Mapping[str, str]) -> bytes:
    text = escaped(values.get(hole.name) or hole.fallback, hole.escape)
    if len(text) <= _LONGEST_RUN and _AS_IT_IS.fullmatch(text):
        return text.encode() + _SOFT_BREAK
    return _printable_run(text.encode())


def _printable_run(data: bytes) -> bytes:
    """Encode bytes, beginning a line and ending with a soft line break."""
    return b"\r\n".join(map(_printable_line, data.split(b"\r\n"))) + _SOFT_BREAK


def _printable_line(line: bytes) -> bytes:
    rest = _UNSAFE.sub(_in_hex, line)
    parts = []
    while len(rest) > _LONGEST_RUN:
        cut = _LONGEST_RUN
        while b"=" in rest[cut - 2 : cut]:  # never through the middle of an `=C3`
            cut -= 1
        parts.append(rest[:cut])
        rest = _UNSAFE_START.sub(_in_hex, rest[cut:])
    return _SOFT_BREAK.join((*parts, rest))


def _in_hex(found: re.Match[bytes]) -> bytes:
    return _HEX[found[0][0]]


def _printable_piece(piece: Static | Hole | Only) -> bytes | Hole | _Guarded:
    match piece:
        case Static(text):
            return _printable_run(_crlf(text))
        case Hole():
            return piece
        case Only(pieces=pieces):
            inner = (_printable_piece(one) for one in pieces)
            return _Guarded(piece, tuple(one for one in inner if not isinstance(one, _Guarded)))
        case _:
            assert_never(piece)


def _printable_size(piece: bytes | Hole | _Guarded) -> int:
    if isinstance(piece, _Guarded):
        return sum(_printable_size(inner) for inner in piece.inner)
    return len(piece) if isinstance(piece, bytes) else 0


class _Aligned:
    """A static segment, encoded for each of the three places in a 3-byte group it may begin at."""

    __slots__ = ("by_lead",)

    def __init__(self, data: bytes) -> None:
        self.by_lead: list[tuple[bytes, bytes, bytes]] = []
        for lead in range(3):
            start = min(lead, len(data))
            stop = start + (len(data) - start) // 3 * 3
            self.by_lead.append((data[:start], _base64_lines(data[start:stop]), data[stop:]))


class Base64:
    """Base64 (RFC 2045 section 6.8): only the bytes around a hole are encoded again."""

    name = "base64"

    def __init__(self, pieces: Pieces) -> None:
        self._pieces = [_base64_piece(piece) for piece in pieces]
        self.static_size = sum(_base64_size(piece) for piece in self._pieces)

    def fill(self, values: Mapping[str, str]) -> bytes:
        """Put a subscriber's values between the static segments."""
        parts: list[bytes] = []
        waiting = b""  # bytes not yet encoded, because a group of three may go on after them
        for piece in self._run(values):
            if isinstance(piece, Hole):
                waiting += _value(piece, values)
                continue
            lead, lines, tail = piece.by_lead[-len(waiting) % 3]
            waiting += lead
            if lines:
                parts.extend((_base64_lines(waiting), lines))
                waiting = tail
            else:
                waiting += tail
        parts.append(_base64_lines(waiting))
        return b"".join(parts) or b"\r\n"

    def _run(self, values: Mapping[str, str]) -> list[_Aligned | Hole]:
        run: list[_Aligned | Hole] = []
        for piece in self._pieces:
            if isinstance(piece, tuple):
                only, inner = piece
                if applies(only.conditions, values):
                    run.extend(inner)
            else:
                run.append(piece)
        return run


def _base64_lines(data: bytes) -> bytes:
    lines = (
        binascii.b2a_base64(data[at : at + _BASE64_LINE], newline=False) + b"\r\n"
        for at in range(0, len(data), _BASE64_LINE)
    )
    return b"".join(lines)


_Base64Piece = _Aligned | Hole | tuple[Only, tuple[_Aligned | Hole, ...]]


def _base64_piece(piece: Static | Hole | Only) -> _Base64Piece:
    match piece:
        case Only(pieces=pieces):
            return piece, tuple(_base64_flat(one) for one in pieces)
        case _:
            return _base64_flat(piece)


def _base64_flat(piece: Static | Hole) -> _Aligned | Hole:
    return piece if isinstance(piece, Hole) else _Aligned(_crlf(piece.text))


def _base64_size(piece: _Base64Piece) -> int:
    match piece:
        case Hole():
            return 0
        case _Aligned(by_lead=by_lead):
            return len(by_lead[0][1])
        case (_, inner):
            return sum(_base64_size(one) for one in inner)
