"""A stream of bytes → the mails in it: one mail, or an mbox, with any line ends."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

from newsletter_bot.feedback.mailboxes import LONGEST_KEPT

_PIECE = 65_536
# Programs write who and when; a person who begins a line with "From" does not (no standard).
_FROM = re.compile(
    rb"From .{0,320}\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? .{0,12}\d{1,2}:\d\d.{0,40}\s*$", re.DOTALL
)
_QUOTED = re.compile(rb">+From ")


def mails(stream: BinaryIO) -> Iterator[bytes]:
    """Yield each mail, its first megabyte if it is longer, without the line that mbox puts before.

    A mail that merely begins with such a line, as from Postfix's pipe(8) with the flag F, is one.
    """
    mail = bytearray()
    begun = quoted = False
    empty = True  # the line before: mails of an mbox begin behind an empty one
    whole = True  # the piece before ended its line
    for line in _lines(stream):
        if whole and empty and _FROM.match(line) and (begun or not mail.strip()):
            if mail.strip():
                yield bytes(mail[:LONGEST_KEPT])
            mail.clear()
            begun = quoted = True
        elif len(mail) < LONGEST_KEPT:
            mail += line[1:] if whole and quoted and _QUOTED.match(line) else line
        empty = whole and not line.strip(b"\r\n")
        whole = line.endswith((b"\r", b"\n"))
    if mail.strip():
        yield bytes(mail[:LONGEST_KEPT])


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    """Yield lines with their ends, LF, CRLF or CR; a long one in pieces."""
    rest = b""
    while piece := stream.read(_PIECE):
        lines = (rest + piece).splitlines(keepends=True)
        # The last one may go on, and a CR at the very end may be half of a CRLF.
        last = lines.pop() if not lines[-1].endswith(b"\n") else b""
        yield from lines
        if len(last) > _PIECE and not last.endswith(b"\r"):
            yield last
            last = b""
        rest = last
    if rest:
        yield from rest.splitlines(keepends=True)
