"""Who asks for a page: the language they read, and their network, never their own address."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from fastapi import Request

from newsletter_bot.subscribers.address import has_control
from newsletter_bot.subscribers.given import network_prefix
from newsletter_bot.web.readers.languages import language_of

_LONGEST = 300  # characters of a page's address in the evidence


@dataclass(frozen=True, slots=True)
class Visitor:
    """What a page may know of the one who opens it."""

    language: str
    prefix: str  # of their network: "203.0.113.0/24"; empty when nobody can tell
    referer: str  # the page they come from, without query; empty when their browser keeps quiet

    @classmethod
    def of(cls, request: Request, fallback: str) -> Visitor:
        """Read a request; `fallback` is the language for those who read none of ours.

        A client's address is what the server says it is: it has believed trusted proxies already.
        """
        host = request.client.host if request.client else ""
        referer = request.headers.get("referer", "")
        return cls(language_of(request) or fallback, network_prefix(host), page_of(referer))


def page_of(referer: str) -> str:
    """Return the address of a page as a browser tells it, without query; empty for a wrong one."""
    try:
        parts = urlsplit(referer)
        host = parts.netloc.rpartition("@")[2] if parts.hostname and parts.port != 0 else ""
    except ValueError:
        return ""
    if parts.scheme not in {"http", "https"} or not host or has_control(referer):
        return ""
    return f"{parts.scheme}://{host}{parts.path}"[:_LONGEST]
