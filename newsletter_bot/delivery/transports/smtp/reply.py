"""SMTP replies, read from whatever bytes have arrived."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from newsletter_bot.delivery.model import Outcome, accepted, deferred, refused

GO_ON = 354
_LONGEST = 65_536  # bytes of one reply: a server that says more is not speaking SMTP
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


class NoReplyError(Exception):
    """The bytes that arrived are no SMTP reply."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply code and its words, of one line or several."""

    code: int
    words: bytes

    @property
    def positive(self) -> bool:
        """True for 2xx (RFC 5321 section 4.2.1)."""
        return 200 <= self.code < 300  # noqa: PLR2004 - the same

    @property
    def lasting(self) -> bool:
        """True for 5xx: not cured by trying again."""
        return self.code >= 500  # noqa: PLR2004 - the same

    def outcome(self) -> Outcome:
        """Say what this reply means for the message it answers."""
        if self.positive:
            return accepted(str(self))
        return refused(str(self)) if self.lasting else deferred(str(self))

    def __str__(self) -> str:
        text = self.words.decode("utf-8", "replace")
        return f"{self.code} {' '.join(_CONTROL.sub(' ', text).split())}".rstrip()


class ReplyReader:
    """Cuts a stream of bytes into replies."""

    __slots__ = ("_bytes", "_lines")

    def __init__(self) -> None:
        self._bytes = b""
        self._lines: list[bytes] = []

    def feed(self, data: bytes) -> Iterator[Reply]:
        """Yield the replies that these bytes complete; raises NoReplyError."""
        *lines, self._bytes = (self._bytes + data).split(b"\n")
        if len(self._bytes) + sum(map(len, self._lines)) > _LONGEST:
            raise NoReplyError("a reply without end")
        for line in lines:
            code = line[:3]
            if not (code.isdigit() and b"200" <= code <= b"599"):
                raise NoReplyError(f"words that are no reply: {line[:80]!r}")
            if line[3:4] == b"-":
                self._lines.append(line[4:])
                continue
            yield Reply(int(code), b" ".join((*self._lines, line[4:])))
            self._lines.clear()
