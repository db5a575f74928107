"""A newsletter exported from Medium: what the export flattened is put back in order.

An export has the issue's title as a first heading, a table of contents, picks that repeat items,
link cards written as a link around headings, and captions glued to the text after them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, quote, urljoin, urlsplit, urlunsplit

from newsletter_bot.errors import DataError
from newsletter_bot.issues.importers import Imported

description = "A story exported from Medium as Markdown, with its link cards and captions."

_HOME = "https://medium.com/"
_CARD = re.compile(
    r"\[\]\((?P<url>[^)\s]+)\)\s*+\[\s*+#{1,6}\s*+(?P<title>[^\n]{0,500}+)\n++"
    r"(?:#{1,6}\s*+(?P<description>[^\n]{0,500}+)\n++)?"
    r"(?P<site>[^\]\n#]*)\]\((?P<again>[^)\s]+)\)[ \t]*"
)
_HEADING = re.compile(r"^(#{1,6})\s+(.{0,2000})$")
_LINKED = re.compile(r"\[(?P<text>.*)\]\((?P<url>\S+)\)$")
_CAPTION = re.compile(r"^\*[\[【](?P<id>[^\]】]+)[\]】](?P<title>[^*]*)\*\s*(?P<rest>.*)$")
_LINK = re.compile(r"(?<!!)\[(?P<text>[^\[\]]*)\]\((?P<url>[^()\s]+(?:\([^()\s]*\)[^()\s]*)*)\)")
_IMAGE = re.compile(r"!\[[^\[\]]*\]\(([^)\s]+)\)")
_SOURCE = re.compile(
    r"^>[ \t]*(?:原文|Original|Source)\s*[:\uff1a].*$", re.IGNORECASE | re.MULTILINE
)
_NUMBER = re.compile(r"^\s*\d+\s*[.、．)]\s*")
_DASHES = " \t\u3000\xa0-—–:"
_CONTENTS = re.compile(
    r"^(topics?|contents|table of contents|目次|主题|目录|トピック|목차)$", re.IGNORECASE
)
_PICKS = re.compile(
    r"editor.?s.?.?\s*picks?|weekly picks|highlights|精选|ピックアップ|注目|추천", re.IGNORECASE
)
_TRACKING = re.compile(r"utm_\w+|fbclid|gclid|mc_[ce]id|_hsenc|_hsmi|igshid|ref_src", re.IGNORECASE)
_WEEK = (
    re.compile(r"(?P<year>20\d\d)\s*年\s*第?\s*(?P<week>\d{1,2})\s*[周週]"),
    re.compile(
        r"week\s*#?\s*(?P<week>\d{1,2})\s*[,，]?\s*(?:of\s+)?(?P<year>20\d\d)", re.IGNORECASE
    ),
    re.compile(r"(?P<year>20\d\d)[\s,]*week\s*#?\s*(?P<week>\d{1,2})", re.IGNORECASE),
)


@dataclass
class _Part:
    """A heading of the export and the lines under it."""

    level: int
    title: str
    url: str | None
    lines: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "\n".join(self.lines).strip()


def convert(text: str, source: Path) -> Imported:
    """Turn an export into our issue file; raises DataError when it has no items."""
    cards: dict[str, dict[str, str]] = {}
    flat = _CARD.sub(lambda card: _card(card, cards), _SOURCE.sub("", text))
    opening, parts = _parts(flat)
    title = ""
    if parts and parts[0].url is None:
        title, opening = parts[0].title, parts.pop(0).lines
    body, picks = _without_lists(parts)
    section, item = _levels(body, source)
    identity = _identity(title, source)
    written = list(_body(body, section, item, picks))
    front = [f"issue: {identity}", f"title: {_quoted(title or identity)}"]
    language = _language(text)
    front += [f"language: {language}"] if language else []
    intro = _clean("\n".join(opening)).strip()
    markdown = "\n".join(["---", *front, "status: draft", "---", intro, "", *written])
    markdown = re.sub(r"\n{3,}", "\n\n", markdown).rstrip() + "\n"
    found = [part for part in body if part.level == item]
    return Imported(
        identity,
        markdown,
        cards,
        tuple(one for one in _IMAGE.findall(markdown) if "://" not in one),
        _notes(found, picks),
        len({at for at, _ in _sections_of(body, section, item)}),
        len(found),
        sum(_same(part.url) in picks for part in found),
    )


def _parts(text: str) -> tuple[list[str], list[_Part]]:
    opening: list[str] = []
    parts: list[_Part] = []
    for line in text.split("\n"):
        heading = _HEADING.match(line)
        if heading is None:
            (parts[-1].lines if parts else opening).append(line)
            continue
        words = heading[2].rstrip()
        linked = _LINKED.match(words)
        title = linked["text"] if linked else words
        url = _tidy(linked["url"]) if linked else None
        parts.append(_Part(len(heading[1]), title.replace("**", "").strip(), url))
    return opening, parts


def _without_lists(parts: list[_Part]) -> tuple[list[_Part], dict[str, str]]:
    """Drop the table of contents; take the picks out, to be marked on their items."""
    kept: list[_Part] = []
    picks: dict[str, str] = {}
    for part in parts:
        plain = part.title.strip(_DASHES)
        only_list = _is_list(part.text)
        if part.url is None and only_list and _CONTENTS.match(plain):
            continue
        if part.url is None and only_list and _PICKS.search(plain):
            picks |= {_same(_tidy(one["url"])): one["text"] for one in _LINK.finditer(part.text)}
            continue
        kept.append(part)
    return kept, picks


def _is_list(text: str) -> bool:
    lines = [line for line in text.split("\n") if line.strip()]
    return bool(lines) and all(re.match(r"\s*([*+-]|\d+\.)\s", line) for line in lines)


def _levels(parts: list[_Part], source: Path) -> tuple[int, int]:
    """Return the levels of sections and items: items are where the linked headings are."""
    linked = [part.level for part in parts if part.url is not None]
    if not linked:
        raise DataError(
            f"{source} has no headings with links, so no items were found in it.",
            "Is it a newsletter exported from Medium? Try --from markdown.",
        )
    item = max(set(linked), key=linked.count)
    shallower = [part.level for part in parts if part.level < item]
    return (max(shallower) if shallower else item - 1), item


def _sections_of(parts: list[_Part], section: int, item: int) -> Iterator[tuple[int, _Part]]:
    """Yield each item with the number of the section it stands in."""
    number = 0
    for part in parts:
        if part.level <= section:
            number += 1
        elif part.level == item:
            yield number, part


def _body(parts: list[_Part], section: int, item: int, picks: dict[str, str]) -> Iterator[str]:
    for part in parts:
        title = _escaped(_NUMBER.sub("", part.title).strip(_DASHES))
        if part.level <= section:
            yield f"## {title}"
        elif part.level == item:
            mark = " {pick}" if part.url and _same(part.url) in picks else ""
            title = title.rstrip("。.") if part.url is None else title
            yield f"### [{title}]({part.url}){mark}" if part.url else f"### {title}{mark}"
        else:
            yield f"{'#' * (part.level - item + 3)} {title}"
        yield ""
        yield _clean(part.text)
        yield ""


def _clean(text: str) -> str:
    """Split captions off, strip tracking from links, make Medium's own links absolute."""
    lines = []
    for line in text.split("\n"):
        caption = _CAPTION.match(line.strip())
        if caption is None:
            lines.append(line.rstrip())
            continue
        lines += [f"*[{caption['id'].strip()}] {caption['title'].strip()}*", "", caption["rest"]]
    return _LINK.sub(
        lambda link: f"[{link['text']}]({_tidy(link['url'])})", "\n".join(lines)
    ).strip()


def _card(match: re.Match[str], cards: dict[str, dict[str, str]]) -> str:
    url = _tidy(match["url"])
    cards[url] = {
        "title": match["title"].strip(),
        "description": (match["description"] or "").strip(),
    }
    return f"\n\n[card]({url})\n\n"


def _tidy(url: str) -> str:
    absolute = urljoin(_HOME, url) if url.startswith("/") else url
    try:
        parts = urlsplit(absolute)
    except ValueError:
        return absolute
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    kept = [pair for pair in pairs if not _is_tracking(*pair)]
    if len(kept) == len(pairs):
        return absolute
    query = "&".join(f"{quote(name)}={quote(value)}" for name, value in kept)
    return urlunsplit(parts._replace(query=query))


def _is_tracking(name: str, value: str) -> bool:
    return bool(_TRACKING.fullmatch(name)) or (
        name == "source" and value.startswith(("collection_", "post_", "user_", "email-"))
    )


def _same(url: str | None) -> str:
    return (url or "").rstrip("/").partition("#")[0]


def _identity(title: str, source: Path) -> str:
    for pattern in _WEEK:
        if found := pattern.search(title):
            return f"{found['year']}-W{int(found['week']):02}"
    slug = re.sub(r"[^A-Za-z0-9]+", "-", title if title.isascii() else source.stem).strip("-")
    return slug[:64].strip("-").lower() or "imported"


def _language(text: str) -> str:
    """Guess from the letters; leave it to the newsletter when they are Latin."""
    if len(re.findall(r"[\u3040-\u30ff]", text)) > len(text) / 100:
        return "ja"
    if len(re.findall(r"[\uac00-\ud7af]", text)) > len(text) / 50:
        return "ko"
    return "zh" if len(re.findall(r"[\u4e00-\u9fff]", text)) > len(text) / 50 else ""


def _escaped(title: str) -> str:
    return re.sub(r"([\[\]])", r"\\\1", title).strip()


def _quoted(title: str) -> str:
    return '"' + title.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _notes(items: list[_Part], picks: dict[str, str]) -> tuple[str, ...]:
    known = {_same(part.url): part.title for part in items}
    notes = []
    for url, text in picks.items():
        if url not in known:
            notes.append(f"The pick “{text}” is none of the items.")
        elif known[url] != text:
            notes.append(f"The pick “{text}” is the item “{known[url]}”.")
    return tuple(notes)
