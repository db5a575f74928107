"""A message's headers and parts, read without recursion and with bounds on depth and number."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from newsletter_bot.feedback.mails.decode import decoded, header_text, text_of_html

DEEPEST = 8  # nested multiparts; what lies deeper is read as the text it is
MOST_PARTS = 64
_MOST_FIELDS = 1_000
_LONGEST_VALUE = 20_000

_NAME = re.compile(r"([!-9;-~]{1,80})[ \t]*:")
_PARAMETER = re.compile(r';\s{0,80}([\w*-]{1,40})\s{0,20}=\s{0,20}(?:"([^"]*)"|([^\s;"]*))')
_GUESSED = re.compile(r"^--(\S[^\n]{0,200})\nContent-", re.MULTILINE | re.IGNORECASE)

# The message that was sent, or its head: never read for what a report says.
RETURNED = frozenset(
    {
        "message/rfc822",
        "message/global",
        "text/rfc822-headers",
        "text/rfc822-header",
        "message/rfc822-headers",
        "message/global-headers",
        "message/partial",
        "message/news",
    }
)


@dataclass(frozen=True, slots=True)
class Part:
    """Headers (names in lower case, values as written but unfolded) and an undecoded body."""

    headers: tuple[tuple[str, str], ...]
    body: str
    type: str = "text/plain"
    parameters: dict[str, str] = field(default_factory=dict)

    def raw(self, name: str) -> str:
        """Return a header's first value as written, or ""."""
        return next((value for key, value in self.headers if key == name), "")

    def get(self, name: str) -> str:
        """Return a header's first value decoded, or ""."""
        return header_text(self.raw(name)).strip()

    def all(self, *names: str) -> Iterator[str]:
        """Return all values of headers, in the order of the names."""
        for name in names:
            yield from (value for key, value in self.headers if key == name)

    def text(self) -> str:
        """Return the body as a person reads it."""
        body = self.decoded()
        return text_of_html(body) if self.type == "text/html" else body

    def decoded(self) -> str:
        """Return the body as text, HTML and all."""
        charset = self.parameters.get("charset", "")
        return decoded(self.body, self.raw("content-transfer-encoding"), charset)


def part_of(message: str) -> Part:
    """Split a message or a part into headers and body."""
    headers, body = split_head(message)
    kind = "text/plain"
    parameters: dict[str, str] = {}
    for name, value in headers:
        if name == "content-type":
            kind, parameters = _content_type(value)
            break
    return Part(headers, body, kind, parameters)


def split_head(message: str) -> tuple[tuple[tuple[str, str], ...], str]:
    """Return the header fields at a text's beginning, and what follows the blank line."""
    fields: list[tuple[str, str]] = []
    at, end = 0, len(message)
    while at < end and len(fields) < _MOST_FIELDS:
        stop = message.find("\n", at)
        line = message[at : stop if stop >= 0 else end]
        after = stop + 1 if stop >= 0 else end
        if not line.strip():
            return tuple(fields), message[after:]
        found = _NAME.match(line)
        if line[0] in " \t" and fields:
            name, value = fields[-1]
            if len(value) < _LONGEST_VALUE:
                fields[-1] = name, f"{value} {line.strip()}"[:_LONGEST_VALUE]
        elif found:
            fields.append((found[1].lower(), line[found.end() :].strip()[:_LONGEST_VALUE]))
        elif fields or not line.startswith(("From ", ">From ")):
            return tuple(fields), message[at:]
        at = after
    return tuple(fields), message[at:]


def _content_type(value: str) -> tuple[str, dict[str, str]]:
    kind = value.partition(";")[0].strip().lower()
    found = _PARAMETER.findall(value[:4_000])
    parameters = {name.lower(): quoted or bare for name, quoted, bare in found}
    return (kind if "/" in kind else "text/plain"), parameters


def leaves(message: Part) -> list[Part]:
    """Return the parts that are not multiparts themselves, in their order.

    Messages inside are leaves: what was returned is looked into by who needs it.
    """
    found: list[Part] = []
    waiting = [(message, 0)]
    while waiting and len(found) < MOST_PARTS:
        part, depth = waiting.pop()
        inner = _inner(part) if depth < DEEPEST else []
        if inner:
            waiting += [(one, depth + 1) for one in reversed(inner)]
        else:
            found.append(part)
    return found


def _inner(part: Part) -> list[Part]:
    if not part.type.startswith("multipart/"):
        return []
    boundary = part.parameters.get("boundary", "").rstrip()[:250]
    pieces = _pieces(part.body, boundary) if boundary else []
    if not pieces:
        guessed = _GUESSED.search(part.body)
        pieces = _pieces(part.body, guessed[1].rstrip()) if guessed else []
    return [part_of(piece) for piece in pieces[:MOST_PARTS]]


def _pieces(body: str, boundary: str) -> list[str]:
    """Cut at the lines that are this boundary, and not one that merely begins like it."""
    mark = f"\n--{boundary}"
    kept: list[list[str]] = []
    for piece in f"\n{body}".split(mark)[1:]:
        ended = piece.startswith("--")
        if not ended and piece[:1] not in {"\n", " ", "\t", ""}:
            if kept:
                kept[-1] += (mark, piece)
            continue
        if ended or len(kept) == MOST_PARTS:
            break
        kept.append([piece.partition("\n")[2]])
    return ["".join(one) for one in kept]
