"""Hostile bytes → text: line ends, encodings, charsets, encoded words, HTML; never an exception."""

from __future__ import annotations

import binascii
import codecs
import contextlib
import html
import quopri
import re

LONGEST = 1_000_000  # bytes of a mail that are read

_WORD = re.compile(r"=\?([^?\s]{1,40})\?([bq])\?([^?\s]*)\?=", re.IGNORECASE)
_BETWEEN_WORDS = re.compile(r"(\?=)\s{1,80}(=\?)")
_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/]")
_BREAKING = re.compile(
    r"<(?:br|/?p|/?div|/?tr|/?table|/?li|/?ul|/?h[1-6]|/?pre|hr|/?blockquote)\b[^<>]*>",
    re.IGNORECASE,
)
_UNSHOWN = re.compile(r"<(style|script|title)\b", re.IGNORECASE)
_TAG = re.compile(r"<(?![^<>@\s]{1,100}@[^<>@\s]{1,255}>)[^<>]*>")
# Not charsets of mail, or slow on purpose-made input.
_NO_CHARSETS = {"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape", "mbcs"}
_SAME_AS = {
    "x-sjis": "cp932",
    "shift_jis": "cp932",
    "x-euc-jp": "euc_jp",
    "iso-2022-jp": "iso2022_jp_3",
    "gb2312": "gb18030",
    "ks_c_5601-1987": "cp949",
    "us-ascii": "utf-8",
    "ascii": "utf-8",
    "iso-8859-1": "cp1252",
    "windows-1252": "cp1252",
}


def as_lines(data: bytes) -> str:
    """Return at most LONGEST bytes as Latin-1 with LF alone, whichever line ends they had.

    Latin-1 keeps every byte, so that the text of a part can be decoded by its own charset.
    """
    text = data[:LONGEST].decode("latin-1")
    text = text.replace("\r\r\n", "\n").replace("\r\n", "\n").replace("\r", "\n")
    return text.replace("\0", "").lstrip("\n")


def decoded(body: str, encoding: str, charset: str) -> str:
    """Return a part's text: `body` is Latin-1 as `as_lines` gave it."""
    return in_charset(_transferred(body, encoding.strip().lower()), charset)


def in_charset(data: bytes, charset: str) -> str:
    """Decode by the charset named, else as UTF-8, else as Windows-1252; bad bytes are replaced."""
    known = _codec(charset)
    for name in (known, "utf-8"):
        if name:
            try:
                return data.decode(name)
            except (UnicodeError, ValueError):
                continue
    return data.decode(known or "cp1252", errors="replace")


def _codec(charset: str) -> str:
    name = charset.strip().strip("\"'").lower()[:40]
    name = _SAME_AS.get(name, name)
    try:
        found = codecs.lookup(name) if name.isascii() and name else None
    except (LookupError, ValueError):
        return ""
    if found is None or found.name.replace("-", "_") in _NO_CHARSETS:
        return ""
    # `_is_text_encoding` is how Python itself keeps rot13 and zlib out of bytes.decode (3.11).
    return found.name if getattr(found, "_is_text_encoding", True) else ""


def _transferred(body: str, encoding: str) -> bytes:
    if encoding == "quoted-printable":
        return quopri.decodestring(body.encode("latin-1", "replace"))
    if encoding == "base64":
        return _from_base64(body)
    return body.encode("latin-1", "replace")


def _from_base64(body: str) -> bytes:
    clean = _NOT_BASE64.sub("", body)
    try:
        return binascii.a2b_base64(clean[: len(clean) - len(clean) % 4] + _rest(clean))
    except (binascii.Error, ValueError):
        return body.encode("latin-1", "replace")


def _rest(clean: str) -> str:
    left = clean[len(clean) - len(clean) % 4 :]
    return left + "=" * (4 - len(left)) if len(left) > 1 else ""


def header_text(raw: str) -> str:
    """Decode a header's value: UTF-8 (RFC 6532) and encoded words (RFC 2047), however broken."""
    value = in_charset(raw.encode("latin-1", "replace"), "utf-8")
    if "=?" not in value:
        return value
    return _WORD.sub(_word, _BETWEEN_WORDS.sub(r"\1\2", value))


def _word(found: re.Match[str]) -> str:
    charset, kind, text = found[1].partition("*")[0], found[2].lower(), found[3]
    if kind == "b":
        return in_charset(_from_base64(text), charset)
    data = quopri.decodestring(text.replace("_", " ").encode("utf-8", "replace"), header=False)
    return in_charset(data, charset)


def text_of_html(source: str) -> str:
    """Return what a person would read of HTML, a line for each block; addresses in <> stay."""
    shown = _BREAKING.sub("\n", _without_unshown(source))
    plain = _TAG.sub("", shown)
    with contextlib.suppress(ValueError):  # a reference with thousands of digits
        plain = html.unescape(plain)
    return plain.replace("\xa0", " ")


def _without_unshown(source: str) -> str:
    kept: list[str] = []
    at = 0
    while found := _UNSHOWN.search(source, at):
        end = source.lower().find(f"</{found[1].lower()}", found.end()) if len(kept) < 50 else -1  # noqa: PLR2004 - enough for any page
        kept.append(source[at : found.start()])
        if end < 0:
            return "".join(kept) + (source[found.end() :] if found[1].lower() != "style" else "")
        at = end
    return "".join(kept) + source[at:]
