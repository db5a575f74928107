"""Addresses in an issue: written so that every mail program opens them, and what is wrong."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

import idna

SHORTENERS = frozenset(
    "bit.ly buff.ly cutt.ly dlvr.it goo.gl is.gd lnkd.in ow.ly rb.gy rebrand.ly shorturl.at t.co"
    " t.ly tiny.cc tinyurl.com trib.al v.gd".split()
)
_ARXIV = re.compile(
    r"(?:abs|pdf|html|e-print)/(\d{4}\.\d{4,5}|[a-z-]+(?:\.[A-Z]{2})?/\d{7})(?:v\d+)?(?:\.pdf)?/?"
)
_ARXIV_ID = re.compile(r"(?:\d{4}\.\d{4,5}|[a-z-]+(?:\.[a-z]{2})?/\d{7})(?:v\d+)?")
_DOI = re.compile(r"10\.\d+/\S+")
_BAD_CHARACTER = re.compile(r"[\s\"<>\\^`{|}]|[\x00-\x1f\x7f]|%(?![0-9A-Fa-f]{2})")
_STRAY_QUOTE = re.compile(r"['\u2018\u2019\u201c\u201d]$|%E2%80%9[89CD]$|(?:%27|%22)$")
_HOST = re.compile(r"([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)+[A-Za-z0-9-]{2,63}|\[.+\]")


def in_ascii(url: str) -> str:
    """Write an address in ASCII: A-labels for the host (RFC 5891), percent-encoding for the rest.

    An address that cannot be split stays as it is; `fault` says what is wrong with it.
    """
    if url.isascii():
        return url
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        netloc = parts.netloc
        if not host.isascii():
            netloc = netloc.replace(host, idna.encode(host, uts46=True).decode("ascii"))
        return urlunsplit(
            (
                parts.scheme,
                netloc,
                quote(parts.path, safe="/:@!$&'()*+,;=%~"),
                quote(parts.query, safe="/:@!$&'()*+,;=%~?"),
                quote(parts.fragment, safe="/:@!$&'()*+,;=%~?"),
            )
        )
    except (ValueError, idna.IDNAError):
        return url


def fault(url: str) -> str:
    """Say in words what is wrong with a link's address; empty when nothing is."""
    if not url.strip():
        return "the address is empty"
    if bad := _BAD_CHARACTER.search(url):
        return f"the address holds {bad[0]!r}"
    if stray := _STRAY_QUOTE.search(url):
        return f"the address ends with {unquote(stray[0])!r}"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        return f"the address cannot be read ({error})"
    if parts.scheme == "mailto":
        return "" if "@" in parts.path else "there is no address behind mailto:"
    if not parts.scheme:
        return "a relative address leads nowhere from a mail"
    if parts.scheme not in ("http", "https"):
        return f"{parts.scheme}: is not a scheme for links"
    if port == 0 or not _HOST.fullmatch(parts.hostname or ""):
        return f"{parts.hostname or ''!r} is no host"
    return ""


def source_id(url: str) -> str | None:
    """Return the paper's id that an address names: arXiv's number or a DOI."""
    host = host_of(url)
    if not host:
        return None
    parts = urlsplit(url)
    if host.endswith("arxiv.org"):
        match = _ARXIV.fullmatch(parts.path.lstrip("/"))
        return match[1] if match else None
    if host in ("doi.org", "dx.doi.org"):
        return parts.path.lstrip("/").lower() or None
    return None


def same_paper(written: str, linked: str) -> bool | None:
    """Tell whether two ids name one paper; None when the first is no id of the second's kind."""
    written = re.sub(r"^(arxiv:|doi:|https://(dx\.)?doi\.org/)\s*", "", written.strip().lower())
    for kind in (_ARXIV_ID, _DOI):
        if kind.fullmatch(written) and kind.fullmatch(linked.lower()):
            return re.sub(r"v\d+$", "", written) == linked.lower()
    return None


def shown_host(text: str) -> str:
    """Return the host of the address that a link's text shows; empty when it shows none."""
    shown = re.search(r"https?://[^\s<>()]+", text)
    return host_of(in_ascii(shown[0])) if shown else ""


def host_of(url: str) -> str:
    """Return an address's host without `www.`, in lower case."""
    try:
        return (urlsplit(url).hostname or "").removeprefix("www.")
    except ValueError:
        return ""


def without_utm(url: str) -> str:
    """Drop campaign parameters, so that two links to one page compare equal."""
    parts = urlsplit(url)
    query = [pair for pair in parse_qsl(parts.query, True) if not pair[0].startswith("utm_")]
    return urlunsplit(parts._replace(query=urlencode(query)))
