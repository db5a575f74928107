"""A link that was found, and what makes two links one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit

# Parameters that say where a reader came from, not what is read.
_TRACKING = re.compile(r"^(utm_.*|fbclid|gclid|mc_cid|mc_eid|igshid|ref|ref_src|source|cmpid)$")
_ARXIV = re.compile(
    r"/(?:abs|pdf|html|format)/([a-z-]+(?:\.[A-Z]{2})?/\d{7}|\d{4}\.\d{4,5})(?:v\d+)?"
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
# What Markdown, HTML and our own slots could take for more than text.
_MARKUP = re.compile(r"([\\`*_{}\[\]<>#~|!])")
_LONGEST = 300  # characters of a title


@dataclass(frozen=True, slots=True)
class Found:
    """A link with its title as the source gave it: hostile text."""

    url: str
    title: str
    source: str


def is_web_address(url: str) -> bool:
    """Tell whether a link leads to the web, and can stand in Markdown as it is."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    plain = not re.search(r"[\s<>()\[\]{}\\\"`]", url) and url.isprintable()
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and plain


def url_key(url: str) -> str:
    """Return what is the same for all addresses of one page.

    Without scheme, `www.`, fragment, tracking parameters and the slash at the end; the abstract,
    PDF and every version of an arXiv paper are one.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").removeprefix("www.")
    paper = _ARXIV.match(parts.path) if host.endswith("arxiv.org") else None
    if paper:
        return f"arxiv.org/abs/{paper[1]}"
    kept = [
        pair
        for pair in parse_qsl(parts.query, keep_blank_values=True)
        if not _TRACKING.match(pair[0])
    ]
    query = f"?{urlencode(kept)}" if kept else ""
    port = f":{parts.port}" if parts.port not in {None, 80, 443} else ""
    return f"{host}{port}{parts.path.rstrip('/')}{query}"


def plain_title(title: str, longest: int = _LONGEST) -> str:
    """Return a title, or another text, as one line of Markdown that is nothing but text."""
    line = " ".join(_CONTROL.sub(" ", title).split())[:longest].strip()
    return _MARKUP.sub(r"\\\1", line) or "Untitled"
